//! Messages that the broker publishes in its own name: `$SYS`, what home automation is told, and what is put back of the
//! past.

use std::sync::Arc;

use mesh::observe::Scratch;
use policy::decision::Outcome;
use policy::outside::may_leave_with;
use policy::principal::Principal;
use policy::rule::RuleId;

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

/// What a message of the broker's own is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    /// What is known at the moment, chosen by whoever made it.
    Present,
    /// Something received once, and whether its sender agreed to MQTT.
    Past { has_consent: bool },
}

/// First level of the topics that the past is put back on: `replay/<number>/<topic as it was>`.
pub const REPLAY_TREE: &str = "replay";

/// What was received once and is published again, below [`REPLAY_TREE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedMessage {
    /// Number of the replay.
    pub replay: i64,
    /// Topic Name as it was.
    pub topic: Arc<str>,
    /// Payload as it was.
    pub payload: Arc<[u8]>,
    /// Whether its sender agreed to MQTT: only *yes* counts.
    pub has_consent: bool,
}

impl Broker {
    /// Puts a message of the past back, for observers and services. It reaches no gateway, whatever that subscribed to and
    /// whatever the policy says, and no bridge; nobody outside without its sender's consent; and it is neither judged, nor
    /// recorded, nor retained.
    pub fn publish_replayed(&mut self, now: Now, replayed: ReplayedMessage) {
        let ReplayedMessage { replay, topic, payload, has_consent } = replayed;
        let mut scratch = Scratch::default();
        let facts = mesh::observe::observe(&topic, &payload, &self.options.keyring, &mut scratch);
        if self.tells_of_erased(&facts, None) {
            self.counters.erased += 1;
            return;
        }
        let topic = format!("{REPLAY_TREE}/{replay}/{topic}").into();
        let (properties, expires_at_ms, hop_limit_at, retain) = (None, None, None, false);
        let message = Message { topic, payload, qos: QOS, retain, properties, expires_at_ms, hop_limit_at };
        self.counters.replayed += 1;
        self.deliver_own(now, &Arc::new(message), Of::Past { has_consent });
    }

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
        self.deliver_own(now, &message, Of::Present);
    }

    /// Notes how many records home automation has not been told of since the start, because it could not keep up.
    pub const fn note_untold(&mut self, untold: u64) {
        self.counters.untold = untold;
    }

    /// What clients and the broker have retained on topics that match these filters.
    pub fn retained_matching(&self, now: Now, filters: &[String]) -> Vec<Arc<Message>> {
        filters.iter().flat_map(|filter| self.retained.matching(filter, now.mono_ms)).collect()
    }

    /// Copies for those who wanted it and may have it.
    pub(crate) fn deliver_own(&mut self, now: Now, message: &Arc<Message>, of: Of) {
        let routes = self.route(&message.topic, NOBODY);
        for route in routes.iter() {
            let receiver = self.sessions.get(route.session.index());
            if receiver.is_none_or(|session| !self.may_have_own(&session.principal, of)) {
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
            // Who may not read it cannot have subscribed, and gateways share nothing.
            self.offer(now, group, message, |broker, member| {
                let session = broker.sessions.get(member.index());
                match session.is_some_and(|session| broker.may_have_own(&session.principal, of)) {
                    true => Outcome::Delivered,
                    false => Outcome::Withheld(RuleId::OutsideConsent),
                }
            });
        }
    }

    /// Nothing of the broker's own goes to a radio, and what was received once not to other brokers, which have some too.
    fn may_have_own(&self, receiver: &Principal, of: Of) -> bool {
        let is_outside = || self.policy.settings().outside.holds(receiver);
        receiver.gateway().is_none()
            && match of {
                Of::Present => true,
                Of::Past { has_consent } => {
                    !matches!(receiver, Principal::Bridge { .. })
                        && (may_leave_with(has_consent) || !is_outside())
                }
            }
    }
}
