//! What gateways say of themselves: preset, region, role, hop limit, firmware, utilisation, place. The one place that
//! other rules read this from. Learned from a gateway's own uplink only, so that nobody else can say it over the air.

use mesh::airtime::ModemPreset;
use mesh::observe::Facts;
use mesh::portnum::PortNum;
use mesh::report::{Firmware, MapReportFacts, UserReport, Utilisation, preset_of};
use serde::{Deserialize, Serialize};

use super::node_table::NodeTable;
use super::place::Place;
use crate::now::Now;

/// How long a gateway is remembered that says nothing.
const REMEMBERED_MS: i64 = 90 * 24 * 3_600_000;

/// A place, and when it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Where.
    pub place: Place,
    /// When, Unix ms.
    pub at_ms: i64,
}

/// What a gateway said of itself. Unknown stays `None`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Profile {
    /// Role, the protocol's number: from NodeInfo or map report.
    pub role: Option<u8>,
    /// Modem preset, the protocol's number: from the map report.
    preset: Option<u8>,
    /// Region, the protocol's number: from the map report.
    pub region: Option<u8>,
    /// Firmware: major, minor, patch, from the map report.
    firmware: Option<(u8, u8, u8)>,
    /// Hop limit with which its own packets start, 0–7.
    pub hop_limit: Option<u8>,
    /// How busy it finds the air: channel and own transmissions in percent, and when it said so, Unix ms.
    pub utilisation: Option<(f32, f32, i64)>,
    /// Where it says it is.
    pub place: Option<Sighting>,
}

impl Profile {
    /// Its modem preset, when it reported one that is known here.
    pub fn preset(&self) -> Option<ModemPreset> {
        preset_of(u32::from(self.preset?))
    }

    /// Its firmware, when it reported one.
    pub fn firmware(&self) -> Option<Firmware> {
        self.firmware.map(|(major, minor, patch)| Firmware { major, minor, patch })
    }
}

/// What gateways said of themselves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Profiles {
    table: NodeTable<Profile>,
}

impl Profiles {
    /// Nothing was said yet.
    pub fn new(gateways_max: usize, seed: u64) -> Self {
        Self { table: NodeTable::new(gateways_max, seed) }
    }

    /// Forgets a gateway.
    pub fn forget_node(&mut self, gateway: u32) {
        self.table.remove(gateway);
    }

    /// What a gateway said of itself.
    pub fn get(&self, gateway: u32) -> Option<&Profile> {
        self.table.get(gateway)
    }

    /// Where a gateway says it is.
    pub fn place_of(&self, gateway: u32) -> Option<Place> {
        self.get(gateway)?.place.map(|sighting| sighting.place)
    }

    /// All gateways: number, when it spoke of itself last (Unix ms), what it said.
    pub fn iter(&self) -> impl Iterator<Item = (u32, i64, &Profile)> {
        self.table.iter()
    }

    /// Learns from a gateway's own packet; from others nothing.
    pub fn learn(&mut self, now: Now, facts: &Facts<'_>) {
        let Some(packet) = facts.packet.as_ref().filter(|_| speaks_for_itself(facts)) else { return };
        self.table.forget_one(now.unix_ms - REMEMBERED_MS);
        let profile = self.table.heard(now.unix_ms, packet.from.0);
        if packet.hop_start != 0 {
            profile.hop_limit = u8::try_from(packet.hop_start).ok().filter(|hops| *hops <= 7);
        }
        if let Some(place) = facts.position.as_ref().and_then(Place::of) {
            profile.place = Some(Sighting { place, at_ms: now.unix_ms });
        }
        if let Some(role) = role_in(facts) {
            profile.role = Some(role);
        }
        let Some(data) = &facts.data else { return };
        if data.port == PortNum::TELEMETRY
            && let Some(Utilisation { channel, transmitting }) = Utilisation::parse(data.payload)
        {
            profile.utilisation = Some((channel, transmitting, now.unix_ms));
        }
        if data.port == PortNum::MAP_REPORT
            && let Ok(report) = MapReportFacts::parse(data.payload)
        {
            profile.preset = u8::try_from(report.preset).ok();
            profile.region = u8::try_from(report.region).ok().filter(|region| *region != 0);
            profile.firmware = report.firmware.map(|f| (f.major, f.minor, f.patch));
        }
    }
}

/// Whether a gateway uplinked a packet of its own, and does not claim to have heard it.
pub fn speaks_for_itself(facts: &Facts<'_>) -> bool {
    facts.is_own_packet() && !super::nodes::heard_over_the_air(facts)
}

/// The role that a packet tells of its sender, the protocol's number.
pub fn role_in(facts: &Facts<'_>) -> Option<u8> {
    let data = facts.data.as_ref()?;
    let role = match data.port {
        PortNum::NODEINFO => UserReport::parse(data.payload).ok()?.role,
        PortNum::MAP_REPORT => MapReportFacts::parse(data.payload).ok()?.role,
        _ => return None,
    };
    u8::try_from(role).ok()
}
