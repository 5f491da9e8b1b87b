//! Radio first: how long a copy waits because its gateway may still hear the packet over the radio.

use crate::memory::Memory;
use crate::now::Now;
use crate::release::Passing;
use crate::rule::{RuleId, RuleSet, RuleState};
use crate::settings::Settings;

/// How long a copy waits for the radio, in ms, and whether the rule would have made it wait but only watches.
pub fn hold(
    settings: &Settings,
    memory: &Memory,
    now: Now,
    passing: &Passing<'_>,
    receiver: u32,
) -> (u64, RuleSet) {
    let mut observed = RuleSet::default();
    let state = settings.state(RuleId::RadioFirst);
    if state == RuleState::Off || settings.queue.hold_ms == 0 || !may_hear(memory, now, passing, receiver) {
        return (0, observed);
    }
    if state == RuleState::Observe {
        observed.insert(RuleId::RadioFirst);
        return (0, observed);
    }
    (settings.queue.hold_ms, observed)
}

/// How long ago a gateway may have heard a sender for the radio to have a chance again, in ms.
const HEARD_WITHIN_MS: u64 = 3_600_000;

/// Whether the radio may bring the packet to this gateway: it is on the island that the packet came from, or it heard the
/// sender lately. Where it never did, waiting would only delay.
fn may_hear(memory: &Memory, now: Now, passing: &Passing<'_>, receiver: u32) -> bool {
    let island = memory.islands.island_of(receiver);
    let from = passing.uplinked_by.and_then(|gateway| memory.islands.island_of(gateway));
    passing.key.is_some()
        && ((island.is_some() && island == from)
            || memory.reach.hears(now.mono_ms, receiver, passing.from, HEARD_WITHIN_MS))
}
