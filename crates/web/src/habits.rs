//! How a node behaves, folded from what was heard of it: what `advice.rs` judges. Holds counts and times only; for the
//! operator.

use mesh::portnum::PortNum;
use policy::rule::RuleId;
use record::{Consent, KeyClass, Reception};

use crate::roster;

/// Packets of a kind by whose times a pace is told.
const PACE_OF: usize = 8;

/// What one node was seen to do. Times are Unix ms, of the latest that was so.
#[derive(Debug, Clone, Default)]
pub struct Habits {
    /// A packet of its own that another gateway heard did not agree to MQTT.
    pub declined_ms: Option<i64>,
    /// A packet of its own that another gateway heard agreed.
    pub agreed_ms: Option<i64>,
    /// The most bits of precision of a place that it told on a channel that anyone can read, 1–32, and when.
    pub precise: Option<(u32, i64)>,
    /// Hop limit with which its latest packet began, 0–7.
    pub hop_start: Option<u8>,
    /// It uplinked to a topic with an empty level.
    pub double_slash_ms: Option<i64>,
    /// It uplinked a packet that was not encrypted.
    pub in_clear_ms: Option<i64>,
    /// It uplinked with a clock that was wrong.
    pub wrong_time_ms: Option<i64>,
    /// Its places: when they were sent.
    pub places: Pace,
    /// Its measurements.
    pub measurements: Pace,
    /// Its node information.
    pub infos: Pace,
}

impl Habits {
    /// Takes in a packet of its own. `precision_bits` are those of a place in it.
    pub fn take(&mut self, reception: &Reception, precision_bits: Option<u32>) {
        let Some(packet) = reception.packet else { return };
        let at_ms = reception.at_ms;
        if roster::is_own(reception) {
            self.take_uplink(reception);
        } else {
            match reception.consent {
                Consent::Yes => later(&mut self.agreed_ms, at_ms),
                Consent::No => later(&mut self.declined_ms, at_ms),
                Consent::Unknown => {}
            }
        }
        let is_readable = reception.key_class.is_public() || reception.port == Some(PortNum::MAP_REPORT.0);
        if let Some(bits) = precision_bits.filter(|_| is_readable)
            && self.precise.is_none_or(|(_, known_ms)| known_ms <= at_ms)
        {
            self.precise = Some((bits, at_ms));
        }
        if packet.hop_start > 0 {
            self.hop_start = Some(packet.hop_start);
        }
        // An answer was asked for; only what it sends by itself has a pace. Map reports go nowhere near the radio.
        if packet.request_id != 0 || packet.to != u32::MAX {
            return;
        }
        match reception.port.map(PortNum) {
            Some(PortNum::POSITION) => self.places.take(packet.id, at_ms),
            Some(PortNum::TELEMETRY) => self.measurements.take(packet.id, at_ms),
            Some(PortNum::NODEINFO) => self.infos.take(packet.id, at_ms),
            _ => {}
        }
    }

    /// Takes in something that it uplinked.
    pub fn take_uplink(&mut self, reception: &Reception) {
        let at_ms = reception.at_ms;
        // Map reports come in clear whatever the settings say.
        if reception.key_class == KeyClass::Unencrypted && reception.port != Some(PortNum::MAP_REPORT.0) {
            later(&mut self.in_clear_ms, at_ms);
        }
        if reception.topic.contains("//") {
            later(&mut self.double_slash_ms, at_ms);
        }
        let decision = &reception.decision;
        if decision.rule == Some(RuleId::WrongTime) || decision.observed.contains(RuleId::WrongTime) {
            later(&mut self.wrong_time_ms, at_ms);
        }
    }
}

fn later(known: &mut Option<i64>, at_ms: i64) {
    *known = (*known).max(Some(at_ms));
}

/// When the latest packets of one kind came, each packet once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    last_id: u32,
    count: u8,
    at_ms: [i64; PACE_OF],
}

impl Pace {
    /// Takes in a reception; further ones of the same packet count once.
    pub fn take(&mut self, id: u32, at_ms: i64) {
        let newest = self.newest_ms();
        if (self.count > 0 && id == self.last_id) || newest.is_some_and(|newest| at_ms <= newest) {
            return;
        }
        self.last_id = id;
        self.at_ms.rotate_left(1);
        self.at_ms[PACE_OF - 1] = at_ms;
        self.count = (self.count + 1).min(PACE_OF as u8);
    }

    /// The mean time between them, ms; `None` until there are enough to tell.
    pub fn every_ms(&self) -> Option<i64> {
        let is_told = usize::from(self.count) == PACE_OF;
        is_told.then(|| (self.at_ms[PACE_OF - 1] - self.at_ms[0]) / (PACE_OF as i64 - 1))
    }

    /// When the latest came, Unix ms.
    pub fn newest_ms(&self) -> Option<i64> {
        (self.count > 0).then_some(self.at_ms[PACE_OF - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_told_by_eight_packets_each_counted_once() {
        let mut pace = Pace::default();
        for minute in 0..7 {
            // Three gateways heard each.
            for copy in 0..3 {
                pace.take(minute, i64::from(minute) * 60_000 + copy);
            }
        }
        assert_eq!(pace.every_ms(), None);
        pace.take(7, 7 * 60_000);
        assert_eq!(pace.every_ms(), Some(60_000));
        // Copies that come late change nothing.
        pace.take(3, 3 * 60_000 + 500);
        assert_eq!((pace.every_ms(), pace.newest_ms()), (Some(60_000), Some(420_000)));
    }
}
