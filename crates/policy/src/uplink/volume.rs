//! How much is passed on.

use super::{Objection, Uplink, object, packet_key};
use crate::decision::Verdict;

pub(super) fn duplicate(up: &Uplink<'_>) -> Option<Objection> {
    let key = packet_key(up.facts)?;
    if !up.memory.seen.was_released(key) {
        return None;
    }
    object(
        Verdict::Accept,
        "Gateways already got this packet from another copy; observers get this copy too.",
    )
}
