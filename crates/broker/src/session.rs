//! One Session: what the broker keeps for a client across Network Connections. Values and their bookkeeping; what is
//! sent when is decided by the verbs (`publish`, `acknowledge`, `connect`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use policy::principal::Principal;
use record::ReceiverKind;

use crate::ConnectionId;
use crate::message::Message;
use crate::shared::GroupId;
use crate::subscription_tree::Subscription;
use crate::will::Will;

/// Number of a session in the broker's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

/// What the broker keeps for one client identifier.
#[derive(Debug)]
pub struct Session {
    /// Client Identifier.
    pub client_id: Arc<str>,
    /// Who made it; nobody else may take it over.
    pub principal: Principal,
    /// What the history calls this client as a receiver.
    pub receiver: Arc<str>,
    /// The Network Connection it is on; `None` while the client is away.
    pub connection: Option<ConnectionId>,
    /// When it came or went, Unix ms.
    pub since_unix_ms: i64,
    /// Subscriptions by Topic Filter.
    pub subscriptions: BTreeMap<Box<str>, Subscription>,
    /// QoS 1 and 2 messages sent and not finished, in the order of sending.
    pub inflight: VecDeque<Inflight>,
    /// QoS 1 and 2 messages that wait for room in flight or for the client to come back.
    pub queue: VecDeque<Queued>,
    /// Payload and topic bytes in `queue` and `inflight`.
    pub queued_bytes: usize,
    /// Packet Identifiers of incoming QoS 2 messages that are not released yet. [MQTT-4.3.3-10]
    pub incoming_qos2: BTreeSet<u16>,
    /// How many QoS 1 and 2 messages the client takes at once. [MQTT-3.3.4-9]
    pub receive_maximum: u16,
    /// Session Expiry Interval in ms after the connection ends; 0 ends with it, `u64::MAX` never.
    pub expiry_ms: u64,
    /// When it ends, on the broker's clock in ms; set while the client is away.
    pub expires_at_ms: Option<u64>,
    /// Will Message.
    pub will: Option<Will>,
    /// When the Will is due, on the broker's clock in ms; set while the client is away.
    pub will_due_ms: Option<u64>,
    /// When a timer will have it looked at, on the broker's clock in ms; `u64::MAX` when none does.
    pub looked_at_ms: u64,
    last_packet_id: u16,
    /// Packet Identifiers tried since the session began, so that the age of one in use is known.
    packet_ids_tried: u64,
    /// Set by the routing step to merge overlapping subscriptions of one session.
    pub route_mark: (u64, usize),
    /// Messages this client published.
    pub messages_in: u64,
    /// Messages sent to this client.
    pub messages_out: u64,
    /// Messages lost because this client reads too slowly.
    pub dropped: u64,
    /// Whether something in flight may await its repetition.
    pub repeats_wait: bool,
    /// Whether it is in the list of those that wait for room in their outbox.
    pub waits_for_room: bool,
}

/// A QoS 1 or 2 message on its way to the client.
#[derive(Debug)]
pub struct Inflight {
    /// Packet Identifier.
    pub packet_id: u16,
    /// How many identifiers had been tried when it got its own.
    pub tried_at: u64,
    /// How far the exchange has come.
    pub step: Step,
    /// The copy; `None` once PUBREC has come, since only PUBREL is repeated then.
    pub copy: Option<Queued>,
    /// Whether it was sent on an earlier connection and not yet on this one.
    pub awaits_repeat: bool,
}

/// What the broker waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// PUBACK.
    Puback,
    /// PUBREC.
    Pubrec,
    /// PUBCOMP.
    Pubcomp,
}

/// One copy of a message for this session.
#[derive(Debug, Clone)]
pub struct Queued {
    /// The message.
    pub message: Arc<Message>,
    /// QoS of this copy: the lower of publisher's and subscription's.
    pub qos: u8,
    /// RETAIN flag of this copy.
    pub retain: bool,
    /// Lower hop limit to write into this copy.
    pub hop_limit: Option<u8>,
    /// Subscription Identifiers that matched.
    pub identifiers: Identifiers,
    /// The group whose member this session got it as.
    pub group: Option<GroupId>,
}

/// Subscription Identifiers of the subscriptions that matched; rarely more than one.
pub type Identifiers = smallvec::SmallVec<[u32; 2]>;

impl Queued {
    /// What it counts toward the session's bytes.
    pub fn bytes(&self) -> usize {
        self.message.topic.len() + self.message.payload.len()
    }
}

impl Session {
    /// A fresh session of a client.
    pub fn new(client_id: Arc<str>, principal: Principal) -> Self {
        let receiver = match (principal.gateway(), principal.username()) {
            (Some(gateway), _) => format!("!{gateway:08x}").into(),
            (None, Some(username)) => username.clone(),
            (None, None) => client_id.clone(),
        };
        Self {
            client_id,
            principal,
            receiver,
            connection: None,
            since_unix_ms: 0,
            subscriptions: BTreeMap::new(),
            inflight: VecDeque::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            incoming_qos2: BTreeSet::new(),
            receive_maximum: u16::MAX,
            expiry_ms: 0,
            expires_at_ms: None,
            will: None,
            will_due_ms: None,
            looked_at_ms: u64::MAX,
            last_packet_id: 0,
            packet_ids_tried: 0,
            route_mark: (0, 0),
            messages_in: 0,
            messages_out: 0,
            dropped: 0,
            repeats_wait: false,
            waits_for_room: false,
        }
    }

    /// What kind of receiver the history notes.
    pub const fn kind(&self) -> ReceiverKind {
        match &self.principal {
            Principal::Gateway { .. } | Principal::Guest { gateway: Some(_) } => ReceiverKind::Gateway,
            Principal::Observer { .. } => ReceiverKind::Observer,
            Principal::Service { .. } => ReceiverKind::Service,
            Principal::Guest { gateway: None } | Principal::Lab => ReceiverKind::Guest,
        }
    }

    /// Puts a copy in flight under a Packet Identifier that is not in use. There are 65,535, and `inflight` is bounded
    /// well below.
    pub fn put_in_flight(&mut self, copy: Queued, packet_id: u16) {
        let step = if copy.qos == 1 { Step::Puback } else { Step::Pubrec };
        let tried_at = self.packet_ids_tried;
        self.inflight.push_back(Inflight {
            packet_id,
            tried_at,
            step,
            copy: Some(copy),
            awaits_repeat: false,
        });
    }

    /// A Packet Identifier that is not in use.
    pub fn fresh_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            self.packet_ids_tried += 1;
            let id = self.last_packet_id;
            // Identifiers are tried in turn: one comes back only when the oldest in use is a whole round old.
            let is_young = |oldest: &Inflight| self.packet_ids_tried - oldest.tried_at < u64::from(u16::MAX);
            let is_free = self.inflight.front().is_none_or(is_young);
            if is_free || !self.inflight.iter().any(|i| i.packet_id == id) {
                return id;
            }
        }
    }

    /// Takes a copy into the queue unless the limits say no.
    pub fn enqueue(&mut self, copy: Queued, messages_max: usize, bytes_max: usize) -> bool {
        let waiting = self.queue.len() + self.inflight.len();
        if waiting >= messages_max || self.queued_bytes + copy.bytes() > bytes_max {
            self.dropped += 1;
            return false;
        }
        self.queued_bytes += copy.bytes();
        self.queue.push_back(copy);
        true
    }

    /// Drops what a copy held of the session's bytes.
    pub fn release_bytes(&mut self, copy: &Queued) {
        self.queued_bytes = self.queued_bytes.saturating_sub(copy.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_identifier_in_use_is_not_given_again() {
        let mut session = Session::new("c".into(), Principal::Lab);
        let message = Arc::new(Message {
            topic: "t".into(),
            payload: [].into(),
            qos: 1,
            retain: false,
            properties: None,
            expires_at_ms: None,
            hop_limit_at: None,
        });
        let copy = || Queued {
            message: message.clone(),
            qos: 1,
            retain: false,
            hop_limit: None,
            identifiers: Identifiers::new(),
            group: None,
        };
        for kept in [1, 2, 5] {
            while session.fresh_packet_id() != kept {}
            session.put_in_flight(copy(), kept);
        }
        let mut times_given = vec![0_u32; 1 << 16];
        (0..200_000).for_each(|_| times_given[usize::from(session.fresh_packet_id())] += 1);
        for (id, times) in times_given.into_iter().enumerate() {
            assert_eq!(times >= 3, ![0, 1, 2, 5].contains(&id), "{id} was given {times} times");
        }
    }
}
