//! Which gateways have proved that what is sent down to them arrives: the broker's own node asks the gateway's node, and
//! the answer comes back up. Remembers what was asked and what came back; what is sent is the broker's business.
//!
//! An answer that the gateway uplinks itself proves that it reads, opens and handles what comes down. One that another
//! gateway heard over the radio proves that it transmits, too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::now::Now;

/// How gateways prove themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofSettings {
    /// How long a proof counts, in ms.
    pub valid_ms: u64,
}

impl Default for ProofSettings {
    fn default() -> Self {
        Self { valid_ms: 30 * DAY_MS }
    }
}

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// Pauses between one request and the next while no answer comes. Then there is one a day: a gateway may have been away,
/// and one frame a day drowns nobody.
const PAUSES_MS: [u64; 6] =
    [MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * 60 * MINUTE_MS, 6 * 60 * MINUTE_MS, DAY_MS];

/// Gateways remembered. Whoever is beyond that has to prove itself again.
const GATEWAYS_MAX: usize = 10_000;

/// What is known of each gateway's downlink. Times are Unix milliseconds: they outlive a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Proofs {
    /// Node number of the broker's own node; 0 for none, and then nobody is asked.
    #[serde(skip)]
    own_node: u32,
    gateways: BTreeMap<u32, Proof>,
}

/// What is known of one gateway's downlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proof {
    /// When the last answer came.
    pub proved_ms: Option<i64>,
    /// When another gateway last heard an answer over the radio.
    pub heard_ms: Option<i64>,
    /// When the last request was sent.
    pub asked_ms: Option<i64>,
    /// Packet id of the last request; 0 none.
    pub request_id: u32,
    /// Requests since the last answer.
    pub tries: u32,
}

impl Proof {
    /// Whether the last answer still counts. An answer from the future does: the clock was put back.
    pub fn is_valid(&self, now: Now, settings: &ProofSettings) -> bool {
        self.proved_ms.is_some_and(|at| age_ms(now, at) < settings.valid_ms)
    }

    /// When the next request is due, in Unix ms. A proof is renewed when three quarters of its time are over, so that
    /// several requests fit before it ends.
    pub fn due_ms(&self, settings: &ProofSettings) -> i64 {
        let renewed = self.proved_ms.map_or(i64::MIN, |at| later(at, settings.valid_ms / 4 * 3));
        let Some(asked_ms) = self.asked_ms else { return renewed };
        let pause_ms = match self.tries {
            0 => 0,
            tries => *PAUSES_MS.get(tries as usize - 1).unwrap_or(&DAY_MS),
        };
        renewed.max(later(asked_ms, pause_ms))
    }
}

impl Proofs {
    /// Forgets a gateway.
    pub fn forget_node(&mut self, gateway: u32) {
        self.gateways.remove(&gateway);
    }

    /// Node number of the broker's own node; 0 for none.
    pub const fn own_node(&self) -> u32 {
        self.own_node
    }

    /// Says which node is the broker's own.
    pub const fn set_own_node(&mut self, node: u32) {
        self.own_node = node;
    }

    /// Takes over what an earlier run knew.
    pub fn take_over(&mut self, kept: Self) {
        self.gateways = kept.gateways;
        while self.gateways.len() > GATEWAYS_MAX {
            self.gateways.pop_first();
        }
    }

    /// Whether a gateway has proved itself lately enough.
    pub fn is_valid(&self, gateway: u32, now: Now, settings: &ProofSettings) -> bool {
        self.gateways.get(&gateway).is_some_and(|proof| proof.is_valid(now, settings))
    }

    /// What is known of a gateway.
    pub fn of(&self, gateway: u32) -> Proof {
        self.gateways.get(&gateway).copied().unwrap_or_default()
    }

    /// All that is known, by gateway.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Proof)> {
        self.gateways.iter().map(|(gateway, proof)| (*gateway, proof))
    }

    /// A request was sent.
    pub fn note_asked(&mut self, now: Now, gateway: u32, request_id: u32) {
        if self.gateways.len() >= GATEWAYS_MAX && !self.gateways.contains_key(&gateway) {
            let stalest = self.gateways.iter().min_by_key(|(_, p)| p.asked_ms.max(p.proved_ms));
            if let Some(stalest) = stalest.map(|(gateway, _)| *gateway) {
                self.gateways.remove(&stalest);
            }
        }
        let proof = self.gateways.entry(gateway).or_default();
        proof.asked_ms = Some(now.unix_ms);
        proof.request_id = request_id;
        proof.tries = proof.tries.saturating_add(1);
    }

    /// A packet for the broker's own node came up. It is an answer when it comes from a node that was asked and names
    /// the request; nobody can know its id who has not read it.
    pub fn note_answer(&mut self, now: Now, from: u32, request_id: u32, uplinked_by: u32) {
        let Some(proof) = self.gateways.get_mut(&from) else { return };
        if request_id == 0 || proof.request_id != request_id {
            return;
        }
        proof.proved_ms = Some(now.unix_ms);
        proof.tries = 0;
        if uplinked_by != from {
            proof.heard_ms = Some(now.unix_ms);
        }
    }
}

fn age_ms(now: Now, at_ms: i64) -> u64 {
    u64::try_from(now.unix_ms.saturating_sub(at_ms)).unwrap_or(0)
}

fn later(at_ms: i64, by_ms: u64) -> i64 {
    at_ms.saturating_add_unsigned(by_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: u32 = 0x7c5a_0a01;
    const OTHER: u32 = 0x7c5a_0c03;

    fn at(unix_ms: i64) -> Now {
        Now { mono_ms: 0, unix_ms }
    }

    fn settings() -> ProofSettings {
        ProofSettings { valid_ms: 8 * DAY_MS }
    }

    #[test]
    fn an_answer_to_the_request_proves_it_until_its_time_is_over() {
        let (mut proofs, settings) = (Proofs::default(), settings());
        proofs.note_asked(at(1_000), GATEWAY, 77);
        assert!(!proofs.is_valid(GATEWAY, at(1_000), &settings));
        proofs.note_answer(at(2_000), GATEWAY, 77, GATEWAY);
        assert!(proofs.is_valid(GATEWAY, at(2_000), &settings));
        assert_eq!(proofs.of(GATEWAY).heard_ms, None, "it said so itself");
        proofs.note_answer(at(3_000), GATEWAY, 77, OTHER);
        assert_eq!(proofs.of(GATEWAY).heard_ms, Some(3_000), "another one heard it");
        let end = 3_000 + 8 * DAY_MS as i64;
        assert!(proofs.is_valid(GATEWAY, at(end - 1), &settings));
        assert!(!proofs.is_valid(GATEWAY, at(end), &settings));
        assert_eq!(proofs.of(GATEWAY).due_ms(&settings), 3_000 + 6 * DAY_MS as i64);
    }

    #[test]
    fn what_answers_something_else_proves_nothing() {
        let (mut proofs, settings) = (Proofs::default(), settings());
        proofs.note_answer(at(1), GATEWAY, 77, GATEWAY);
        proofs.note_asked(at(1), GATEWAY, 77);
        for (from, request_id) in [(GATEWAY, 78), (GATEWAY, 0), (OTHER, 77)] {
            proofs.note_answer(at(2), from, request_id, from);
        }
        assert!(!proofs.is_valid(GATEWAY, at(2), &settings) && !proofs.is_valid(OTHER, at(2), &settings));
    }

    #[test]
    fn requests_become_rarer_until_there_is_one_a_day() {
        let (mut proofs, settings) = (Proofs::default(), settings());
        let (mut now, mut pauses) = (1_000_000, Vec::new());
        for id in 1..=9 {
            assert!(proofs.of(GATEWAY).due_ms(&settings) <= now);
            proofs.note_asked(at(now), GATEWAY, id);
            let due = proofs.of(GATEWAY).due_ms(&settings);
            pauses.push(u64::try_from(due - now).unwrap());
            now = due;
        }
        assert_eq!(pauses[..6], PAUSES_MS);
        assert_eq!(pauses[6..], [DAY_MS; 3]);
    }

    #[test]
    fn the_number_of_gateways_is_bounded() {
        let mut proofs = Proofs::default();
        for gateway in 1..=GATEWAYS_MAX as u32 + 5 {
            proofs.note_asked(at(i64::from(gateway)), gateway, 1);
        }
        assert_eq!(proofs.iter().count(), GATEWAYS_MAX);
        assert_eq!(proofs.of(1), Proof::default(), "the stalest is forgotten");
    }
}
