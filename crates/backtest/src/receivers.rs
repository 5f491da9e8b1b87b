//! Whose subscriptions would have matched: what was recorded with the packet, else what was recorded last for its channel.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use record::ReceiverKind;

/// Someone who was to get a copy.
pub type Receiver = (Arc<str>, ReceiverKind);

/// Receivers last seen for each channel.
#[derive(Default)]
pub struct Receivers {
    last: HashMap<Arc<str>, Arc<[Receiver]>, FixedState>,
}

/// Channels remembered; names come from clients.
const CHANNELS_MAX: usize = 10_000;

impl Receivers {
    /// The receivers of a reception: `recorded` when there are any. The second value tells whether they are assumed.
    pub fn of(&mut self, channel: Option<&Arc<str>>, recorded: &[Receiver]) -> (Arc<[Receiver]>, bool) {
        let channel = channel.map_or("", |name| name);
        if recorded.is_empty() {
            return (self.last.get(channel).cloned().unwrap_or_default(), true);
        }
        match self.last.get_mut(channel) {
            Some(known) if known[..] == *recorded => (known.clone(), false),
            Some(known) => {
                *known = recorded.into();
                (known.clone(), false)
            }
            None => {
                let recorded: Arc<[Receiver]> = recorded.into();
                if self.last.len() < CHANNELS_MAX {
                    self.last.insert(channel.into(), recorded.clone());
                }
                (recorded, false)
            }
        }
    }
}
