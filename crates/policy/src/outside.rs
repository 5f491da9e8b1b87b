//! What may leave the community. Inside, the operator chooses what happens without consent; toward the outside nobody
//! does: bridges, feeds and automation that others can see get what its sender agreed to, and nothing else.

use crate::principal::Principal;
use crate::release::Passing;

/// Who is outside the community.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutsideSettings {
    /// User names of observers and services whose readers are outside: bridges, public feeds, shared dashboards.
    pub receivers: Vec<Box<str>>,
}

impl OutsideSettings {
    /// Whether what this client gets leaves the community. What a bridge gets does, whatever stands in the list.
    pub fn holds(&self, receiver: &Principal) -> bool {
        if matches!(receiver, Principal::Bridge { .. }) {
            return true;
        }
        let name = receiver.username();
        name.is_some_and(|name| self.receivers.iter().any(|outside| **outside == **name))
    }
}

/// Whether a packet may leave the community. There is no setting for this.
pub const fn may_leave(passing: &Passing<'_>) -> bool {
    may_leave_with(passing.has_consent)
}

/// The same, where the packet has been recorded: of what its sender said only *yes* is consent.
pub const fn may_leave_with(has_consent: bool) -> bool {
    has_consent
}
