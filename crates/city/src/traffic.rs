//! Who says what, when: the intervals that firmware has by default, and what people type.

use fastrand::Rng;
use mesh::compose;
use mesh::node::NodeNum;
use mesh::portnum::PortNum;

use crate::map::TEXTS;
use crate::resident::Resident;

/// What a node says by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Habit {
    /// Its names.
    NodeInfo,
    /// Its place.
    Position,
    /// Its battery and channel.
    DeviceTelemetry,
    /// Its weather.
    EnvironmentTelemetry,
    /// Whom it hears; over MQTT only.
    NeighborInfo,
    /// Its report for the map; over MQTT only.
    MapReport,
}

impl Habit {
    /// Every habit.
    pub const ALL: [Self; 6] = [
        Self::NodeInfo,
        Self::Position,
        Self::DeviceTelemetry,
        Self::EnvironmentTelemetry,
        Self::NeighborInfo,
        Self::MapReport,
    ];

    /// Milliseconds between two (`Default.h` and module defaults; routers speak every twelve hours).
    pub const fn interval_ms(self, is_router: bool) -> u64 {
        const HOUR_MS: u64 = 3_600_000;
        match self {
            Self::NodeInfo => 3 * HOUR_MS,
            Self::Position | Self::DeviceTelemetry if is_router => 12 * HOUR_MS,
            Self::Position | Self::DeviceTelemetry | Self::EnvironmentTelemetry | Self::MapReport => HOUR_MS,
            Self::NeighborInfo => 6 * HOUR_MS,
        }
    }

    /// The same for a node that hears so many others: above 40, firmware stretches what is said by clients
    /// (`Default.h`; 2^11 / 250 kHz / 100 on LongFast).
    pub const fn stretched_interval_ms(self, is_router: bool, online_nodes: u64) -> u64 {
        let interval = self.interval_ms(is_router);
        if is_router || online_nodes <= 40 || matches!(self, Self::MapReport | Self::NeighborInfo) {
            return interval;
        }
        interval + interval * (online_nodes - 40) * 8_192 / 100_000
    }

    /// Whether a node has it.
    pub const fn is_kept_by(self, resident: &Resident) -> bool {
        match self {
            Self::NodeInfo => true,
            Self::Position => resident.precision_bits > 0,
            Self::DeviceTelemetry => resident.sends_telemetry,
            Self::EnvironmentTelemetry => resident.has_sensor,
            Self::NeighborInfo | Self::MapReport => resident.is_gateway,
        }
    }

    /// What it says. `neighbors` are nodes heard directly with their signal-to-noise ratio in dB; `utilization` is the
    /// channel's, in percent.
    pub fn content(
        self,
        resident: &Resident,
        neighbors: &[(NodeNum, f32)],
        utilization: f32,
        now_s: u32,
        uptime_s: u32,
        rng: &mut Rng,
    ) -> (PortNum, Vec<u8>) {
        let r = resident;
        let role = if r.is_router { 2 } else { 0 };
        match self {
            Self::NodeInfo => compose::nodeinfo(r.num, &r.long_name, &r.short_name, 43, role),
            Self::Position => {
                compose::position(r.latitude_i, r.longitude_i, r.altitude_m, now_s, r.precision_bits)
            }
            Self::DeviceTelemetry => {
                let battery = if r.is_gateway { 101 } else { 40 + rng.u32(0..60) };
                compose::device_telemetry(
                    now_s,
                    battery,
                    3.6 + rng.f32() * 0.5,
                    utilization,
                    rng.f32() * 2.0,
                    uptime_s,
                )
            }
            Self::EnvironmentTelemetry => compose::environment_telemetry(
                now_s,
                4.0 + rng.f32() * 20.0,
                30.0 + rng.f32() * 50.0,
                1000.0 + rng.f32() * 25.0,
            ),
            Self::NeighborInfo => compose::neighborinfo(r.num, 21_600, neighbors),
            Self::MapReport => compose::map_report(&compose::MapReport {
                long_name: &r.long_name,
                short_name: &r.short_name,
                role,
                hardware: 43,
                firmware: "2.7.26.54e0d8d",
                latitude_i: r.latitude_i,
                longitude_i: r.longitude_i,
                altitude_m: r.altitude_m,
                precision_bits: 14,
                online_nodes: u32::try_from(neighbors.len()).unwrap_or(u32::MAX),
            }),
        }
    }
}

/// What somebody types.
pub fn typed(rng: &mut Rng) -> &'static str {
    TEXTS[rng.usize(0..TEXTS.len())]
}
