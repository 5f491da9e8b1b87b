//! What nodes report of the radio around a gateway: its modem preset, and how busy the channel is.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use mesh::airtime::ModemPreset;
use mesh::observe::Facts;
use mesh::portnum::PortNum;
use mesh::wire::{Content, Field, Fields};
use serde::{Deserialize, Serialize};

/// Gateways remembered. When there are more, all are forgotten at once: presets are then assumed for an hour.
const GATEWAYS_MAX: usize = 4_096;
/// After this time without a report half of what was reported counts, in ms.
const HALF_LIFE_MS: f32 = 600_000.0;
/// After this time what was reported says nothing any more, in ms.
const FORGOTTEN_MS: u64 = 3_600_000;
/// Reports of nodes that are further away say little of the channel here, hops.
const NEAR_HOPS: u8 = 1;

#[derive(Debug, Clone, Copy, Default)]
struct Report {
    preset: Option<ModemPreset>,
    /// Sum of reported utilisation and number of reports, both fading.
    utilisation: (f32, f32),
    at_ms: u64,
}

/// Reports as they are kept across a restart.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptReports(Vec<KeptReport>);

#[derive(Debug, Serialize, Deserialize)]
struct KeptReport {
    gateway: u32,
    /// The protocol's number.
    preset: Option<u32>,
    utilisation: (f32, f32),
    at_ms: u64,
}

/// What was reported around each gateway.
#[derive(Debug)]
pub struct Reports {
    gateways: HashMap<u32, Report, FixedState>,
}

impl Reports {
    /// Nothing reported yet.
    pub fn new(seed: u64) -> Self {
        Self { gateways: HashMap::with_hasher(FixedState::with_seed(seed)) }
    }

    /// Reports as they are kept across a restart.
    pub fn kept(&self) -> KeptReports {
        let report = |(gateway, report): (&u32, &Report)| KeptReport {
            gateway: *gateway,
            preset: report.preset.map(|preset| preset as u32),
            utilisation: report.utilisation,
            at_ms: report.at_ms,
        };
        let mut kept: Vec<_> = self.gateways.iter().map(report).collect();
        kept.sort_unstable_by_key(|report| report.gateway);
        KeptReports(kept)
    }

    /// Forgets a gateway.
    pub fn forget_node(&mut self, gateway: u32) {
        self.gateways.remove(&gateway);
    }

    /// Takes over what an earlier run knew.
    pub fn take_over(&mut self, kept: KeptReports) {
        self.gateways.clear();
        for KeptReport { gateway, preset, utilisation, at_ms } in kept.0.into_iter().take(GATEWAYS_MAX) {
            let preset = ModemPreset::ALL.iter().copied().find(|known| Some(*known as u32) == preset);
            self.gateways.insert(gateway, Report { preset, utilisation, at_ms });
        }
    }

    /// Learns from a packet that a gateway uplinked.
    pub fn note(&mut self, now_ms: u64, gateway: u32, facts: &Facts<'_>) {
        let Some(data) = &facts.data else { return };
        match facts.port {
            Some(PortNum::MAP_REPORT) if facts.is_own_packet() => {
                let preset = preset_of(data.payload);
                self.entry(gateway).preset = preset;
            }
            Some(PortNum::TELEMETRY)
                if facts.is_own_packet() || facts.hops_away.is_some_and(|h| h <= NEAR_HOPS) =>
            {
                if let Some(percent) = utilisation_of(data.payload) {
                    self.note_utilisation(now_ms, gateway, percent);
                }
            }
            _ => {}
        }
    }

    /// A node near a gateway reports that the channel is in use for this share of time, percent.
    pub fn note_utilisation(&mut self, now_ms: u64, gateway: u32, percent: f32) {
        let report = self.entry(gateway);
        let fade = (-(now_ms.saturating_sub(report.at_ms) as f32) / HALF_LIFE_MS).exp2();
        let (sum, count) = report.utilisation;
        report.utilisation = (sum * fade + percent.clamp(0.0, 100.0), count * fade + 1.0);
        report.at_ms = now_ms;
    }

    /// The preset in a gateway's map reports.
    pub fn preset(&self, gateway: u32) -> Option<ModemPreset> {
        self.gateways.get(&gateway)?.preset
    }

    /// How busy the channel around a gateway is, percent of time; `None` when nobody has said so within the hour.
    pub fn utilisation(&self, now_ms: u64, gateway: u32) -> Option<f32> {
        let report = self.gateways.get(&gateway)?;
        let (sum, count) = report.utilisation;
        (count > 0.0 && now_ms.saturating_sub(report.at_ms) <= FORGOTTEN_MS).then(|| sum / count)
    }

    fn entry(&mut self, gateway: u32) -> &mut Report {
        if self.gateways.len() >= GATEWAYS_MAX && !self.gateways.contains_key(&gateway) {
            self.gateways.clear();
        }
        self.gateways.entry(gateway).or_default()
    }
}

/// The modem preset of a map report (`mqtt.proto MapReport`, field 7; 0 is left out).
fn preset_of(payload: &[u8]) -> Option<ModemPreset> {
    let number = Fields::of(payload).filter_map(Result::ok).find(|field| field.number == 7);
    let number = number.and_then(|field| field.content.as_u32()).unwrap_or(0);
    ModemPreset::ALL.iter().copied().find(|preset| *preset as u32 == number)
}

/// Channel utilisation in device metrics (`telemetry.proto`: Telemetry.device_metrics 2, channel_utilization 3) or in the
/// node's local statistics (Telemetry.local_stats 6, channel_utilization 2), percent.
fn utilisation_of(payload: &[u8]) -> Option<f32> {
    let float = |message: &[u8], number: u32| {
        Fields::of(message).filter_map(Result::ok).find_map(|field| match field {
            Field { number: n, content: Content::Fixed32(bits), .. } if n == number => {
                Some(f32::from_bits(bits))
            }
            _ => None,
        })
    };
    let found = Fields::of(payload).filter_map(Result::ok).find_map(|field| match field {
        Field { number: 2, content: Content::Bytes(metrics), .. } => float(metrics, 3),
        Field { number: 6, content: Content::Bytes(statistics), .. } => float(statistics, 2),
        _ => None,
    });
    found.filter(|percent| percent.is_finite() && (0.0..=100.0).contains(percent))
}

#[cfg(test)]
mod tests {
    use mesh::wire::{put_bytes, put_fixed32};

    use super::*;

    #[test]
    fn reports_are_averaged_and_fade() {
        let mut reports = Reports::new(0);
        assert_eq!(reports.utilisation(0, 1), None);
        reports.note_utilisation(0, 1, 40.0);
        reports.note_utilisation(600_000, 1, 10.0);
        let busy = reports.utilisation(600_000, 1).unwrap();
        assert!((busy - 20.0).abs() < 0.01, "the older report counts half: {busy}");
        assert_eq!(reports.utilisation(600_000 + FORGOTTEN_MS + 1, 1), None);
    }

    #[test]
    fn utilisation_is_found_in_device_metrics_and_in_statistics_and_nonsense_is_not() {
        for (outer, inner) in [(2, 3), (6, 2)] {
            let (mut metrics, mut telemetry) = (Vec::new(), Vec::new());
            put_fixed32(&mut metrics, inner, 12.5f32.to_bits());
            put_bytes(&mut telemetry, outer, &metrics);
            assert_eq!(utilisation_of(&telemetry), Some(12.5));
            let (mut metrics, mut telemetry) = (Vec::new(), Vec::new());
            put_fixed32(&mut metrics, inner, f32::NAN.to_bits());
            put_bytes(&mut telemetry, outer, &metrics);
            assert_eq!(utilisation_of(&telemetry), None);
        }
        assert_eq!(preset_of(&[0x38, 4]), Some(ModemPreset::MediumFast));
        assert_eq!(preset_of(&[]), Some(ModemPreset::LongFast));
        assert_eq!(preset_of(&[0x38, 99]), None);
    }
}
