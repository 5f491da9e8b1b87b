//! Signatures checked lately: each packet once, however many gateways bring it, and only so many in a second, since a
//! check costs as much as a hundred packets. What is left unchecked is unknown, not wrong.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use mesh::data::DataView;
use mesh::observe::Facts;
use mesh::packet::PacketHeader;
use mesh::signature::{SIGNATURE_BYTES, Verification, verify};

use super::nodes::KnownNode;
use crate::now::Now;

/// Checks in a second; also what may come at once after a pause.
const CHECKS_PER_SECOND_MAX: u32 = 100;
/// Results remembered.
const RESULTS_MAX: usize = 1_024;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// Made with the node's key.
    Valid,
    /// Made with the other key that the node has shown.
    ValidWithOtherKey,
    /// Made with neither.
    Wrong,
}

/// Results, and what may still be spent.
#[derive(Debug, Clone)]
pub struct Signatures {
    results: Vec<Option<(u64, Checked)>>,
    hasher: FixedState,
    checks_left: u32,
    second: u64,
    latest: Option<Checked>,
    /// Signatures that were not checked because there were too many at once.
    pub left_unchecked: u64,
}

impl Default for Signatures {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Signatures {
    /// Nothing checked yet. `seed` makes hashing unpredictable to those who make packets.
    pub fn new(seed: u64) -> Self {
        Self {
            results: vec![None; RESULTS_MAX],
            hasher: FixedState::with_seed(seed),
            checks_left: CHECKS_PER_SECOND_MAX,
            second: 0,
            latest: None,
            left_unchecked: 0,
        }
    }

    /// What is known of the packet that was looked at last; `None` when it is not signed, or not to be checked.
    pub const fn latest(&self) -> Option<Checked> {
        self.latest
    }

    /// Looks at the packet that is about to be judged.
    pub fn look(&mut self, now: Now, facts: &Facts<'_>, sender: Option<&KnownNode>) {
        self.latest = None;
        let (Some(packet), Some(data), Some(sender)) = (&facts.packet, &facts.data, sender) else { return };
        if data.signature.len() == SIGNATURE_BYTES {
            self.latest = self.check(now, packet, data, sender);
        }
    }

    fn check(
        &mut self,
        now: Now,
        packet: &PacketHeader,
        data: &DataView<'_>,
        sender: &KnownNode,
    ) -> Option<Checked> {
        let key = sender.key?.key;
        let other = sender.other_key.map(|other| other.key);
        let print = {
            let mut hasher = self.hasher.build_hasher();
            (packet.from.0, packet.to.0, packet.id, data.port.0, data.request_id, data.reply_id)
                .hash(&mut hasher);
            (data.bitfield, data.emoji, data.want_response, data.payload, data.signature).hash(&mut hasher);
            (key, other).hash(&mut hasher);
            hasher.finish()
        };
        let at = (print % RESULTS_MAX as u64) as usize;
        if let Some((known, checked)) = self.results[at]
            && known == print
        {
            return Some(checked);
        }
        self.refill(now);
        if self.checks_left == 0 {
            self.left_unchecked += 1;
            return None;
        }
        self.checks_left -= 1;
        let is_valid = |key: &[u8; 32]| matches!(verify(packet, data, key), Some(Verification::Valid(_)));
        let checked = if is_valid(&key) {
            Checked::Valid
        } else if other.is_some_and(|other| is_valid(&other)) {
            Checked::ValidWithOtherKey
        } else {
            Checked::Wrong
        };
        self.results[at] = Some((print, checked));
        Some(checked)
    }

    fn refill(&mut self, now: Now) {
        let second = now.mono_ms / 1000;
        if second != self.second {
            (self.second, self.checks_left) = (second, CHECKS_PER_SECOND_MAX);
        }
    }
}
