//! What may be told. Who reads JSON topics and what they do with it is unknown, so they are outside the community: only
//! what was passed on, with consent, on channels that are permitted.

use mesh::portnum::PortNum;
use policy::decision::Verdict;
use policy::outside::may_leave_with;
use record::{Consent, KeyClass, Reception};

use crate::settings::Settings;

/// Ports that command or reprogram a node. Policy refuses them already; it can be told not to, and this cannot.
const NEVER: [PortNum; 3] = [PortNum::ADMIN, PortNum::REMOTE_SHELL, PortNum::LORA_OTA];

/// Whether a reception may be told.
pub fn may_be_told(settings: &Settings, reception: &Reception) -> bool {
    let was_passed_on = matches!(reception.decision.verdict, Verdict::Accept | Verdict::Rewrite);
    was_passed_on
        && may_leave_with(reception.consent == Consent::Yes)
        && is_permitted(settings, reception.channel.as_deref(), reception.key_class)
        && reception.port.is_some_and(|port| !NEVER.contains(&PortNum(port)))
}

/// Whether the operator permits the channel. What only its members can read is told only when it is named; what is
/// between two nodes is never told.
fn is_permitted(settings: &Settings, channel: Option<&str>, key: KeyClass) -> bool {
    match key {
        KeyClass::Pki | KeyClass::Unknown => false,
        _ if settings.channels.is_empty() => key.is_public(),
        _ => channel.is_some_and(|name| settings.channels.iter().any(|named| **named == *name)),
    }
}
