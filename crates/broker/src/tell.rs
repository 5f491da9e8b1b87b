//! Messages that the broker publishes in its own name: `$SYS`, and what home automation is told.

use std::sync::Arc;

use policy::decision::Outcome;

use crate::message::Message;
use crate::session::{Queued, SessionId};
use crate::{Broker, Now};

/// The sender of these messages is no session.
pub(crate) const NOBODY: SessionId = SessionId(u32::MAX);
/// Who asks for it gets it for certain; told twice, it does no harm.
const QOS: u8 = 1;

/// A message to publish in the broker's own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnMessage {
    /// Topic Name, without wildcards.
    pub topic: Arc<str>,
    /// Payload; empty and retained: the topic is forgotten.
    pub payload: Arc<[u8]>,
    /// Whether it is kept for those who subscribe later.
    pub retain: bool,
}

impl Broker {
    /// Publishes a message of the broker's own. Gateways get none: it is made of what they have sent.
    pub fn publish_own(&mut self, now: Now, own: OwnMessage) {
        let OwnMessage { topic, payload, retain } = own;
        let (properties, expires_at_ms, hop_limit_at) = (None, None, None);
        let message = Message { topic, payload, qos: QOS, retain, properties, expires_at_ms, hop_limit_at };
        let message = Arc::new(message);
        self.counters.told += 1;
        if retain {
            self.retain(&message);
        }
        self.deliver_own(now, &message);
    }

    /// Notes how many records home automation has not been told of since the start, because it could not keep up.
    pub const fn note_untold(&mut self, untold: u64) {
        self.counters.untold = untold;
    }

    /// What clients and the broker have retained on topics that match these filters.
    pub fn retained_matching(&self, now: Now, filters: &[String]) -> Vec<Arc<Message>> {
        filters.iter().flat_map(|filter| self.retained.matching(filter, now.mono_ms)).collect()
    }

    pub(crate) fn deliver_own(&mut self, now: Now, message: &Arc<Message>) {
        let routes = self.route(&message.topic, NOBODY);
        for route in routes.iter() {
            let receiver = self.sessions.get(route.session.index());
            if receiver.is_none_or(|session| session.principal.gateway().is_some()) {
                continue;
            }
            let copy = Queued {
                message: message.clone(),
                qos: route.qos.min(message.qos),
                retain: message.retain && route.retain_as_published,
                hop_limit: None,
                stale_at_ms: None,
                identifiers: route.identifiers.clone(),
                group: None,
                order: 0,
            };
            self.deliver(now, route.session, copy);
        }
        for group in self.shared.matching(&message.topic) {
            // Who may not read it cannot have subscribed, and gateways share nothing: nothing is left to decide.
            self.offer(now, group, message, |_, _| Outcome::Delivered);
        }
    }
}
