//! One Session: what the broker keeps for a client across Network Connections. Values and their bookkeeping; what is
//! sent when is decided by the verbs (`publish`, `acknowledge`, `connect`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use policy::principal::Principal;
use record::ReceiverKind;

use crate::ConnectionId;
use crate::acknowledge::Held;
use crate::downlink::Downlink;
use crate::journal::SessionKey;
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
    /// Its number for the store.
    pub key: SessionKey,
    /// How much of it the store is told.
    pub keeping: Keeping,
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
    pub will: Option<Arc<Will>>,
    /// When the Will is due, on the broker's clock in ms; set while the client is away.
    pub will_due_ms: Option<u64>,
    /// When a timer will have it looked at, on the broker's clock in ms; `u64::MAX` when none does.
    pub looked_at_ms: u64,
    /// Order number of the next message.
    pub next_order: u64,
    /// Messages up to this order number were sent at least once.
    pub sent_to: u64,
    /// QoS 2 messages up to this order number may be sent: the store has them.
    pub kept_to: u64,
    /// Answers that wait for the history or the store, in the order of what they answer.
    pub(crate) held: VecDeque<Held>,
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
    /// What a gateway has beside; made when the first copy goes down to it.
    pub(crate) downlink: Option<Box<Downlink>>,
}

/// A QoS 1 or 2 message on its way to the client.
#[derive(Debug)]
pub struct Inflight {
    /// Order number of its message.
    pub order: u64,
    /// How far the exchange has come.
    pub step: Step,
    /// The copy; `None` once PUBREC has come, since only PUBREL is repeated then.
    pub copy: Option<Queued>,
    /// Whether it was sent on an earlier connection and not yet on this one.
    pub awaits_repeat: bool,
}

impl Inflight {
    /// Packet Identifier.
    pub const fn packet_id(&self) -> u16 {
        packet_id_of(self.order)
    }
}

/// How much of a session the store is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// Nothing: it ends with its connection.
    Nothing,
    /// Its Will, which is due when the program ends before the connection does.
    Will,
    /// Everything: it outlives its connection.
    All,
}

/// Packet Identifiers; 0 is none. [MQTT-2.2.1-3]
const PACKET_IDS: u64 = 65_535;

/// The Packet Identifier of the message with that order number, which is at least 1. It is fixed when the message is
/// queued: a client that got a QoS 2 message before a crash and gets it again after it must be able to tell.
/// [MQTT-4.3.3-2]
pub const fn packet_id_of(order: u64) -> u16 {
    (order.saturating_sub(1) % PACKET_IDS) as u16 + 1
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
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    /// Its place in the order of the session's messages; given by `enqueue`.
    pub order: u64,
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
    /// When it is too late for this receiver, on the broker's clock in ms: packets toward a radio. After a restart they
    /// are too late anyway.
    pub stale_at_ms: Option<u64>,
}

/// Subscription Identifiers of the subscriptions that matched; rarely more than one.
pub type Identifiers = smallvec::SmallVec<[u32; 2]>;

impl Queued {
    /// What it counts toward the session's bytes.
    pub fn bytes(&self) -> usize {
        self.message.topic.len() + self.message.payload.len()
    }

    /// As the store keeps it: groups have other numbers after a restart, and what a member had stays with it then.
    pub fn for_store(&self) -> Self {
        Self { group: None, stale_at_ms: None, ..self.clone() }
    }

    /// Whether it must not be sent any more.
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.message.is_expired(now_ms) || self.stale_at_ms.is_some_and(|at| at <= now_ms)
    }
}

impl Session {
    /// A fresh session of a client.
    pub fn new(key: SessionKey, client_id: Arc<str>, principal: Principal) -> Self {
        let receiver = match (principal.gateway(), principal.username()) {
            (Some(gateway), _) => format!("!{gateway:08x}").into(),
            (None, Some(username)) => username.clone(),
            (None, None) => client_id.clone(),
        };
        Self {
            key,
            keeping: Keeping::Nothing,
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
            next_order: 1,
            sent_to: 0,
            kept_to: 0,
            held: VecDeque::new(),
            route_mark: (0, 0),
            messages_in: 0,
            messages_out: 0,
            dropped: 0,
            repeats_wait: false,
            waits_for_room: false,
            downlink: None,
        }
    }

    /// What kind of receiver the history notes.
    pub const fn kind(&self) -> ReceiverKind {
        match &self.principal {
            Principal::Gateway { .. } | Principal::Guest { gateway: Some(_) } => ReceiverKind::Gateway,
            Principal::Observer { .. } => ReceiverKind::Observer,
            Principal::Service { .. } => ReceiverKind::Service,
            Principal::Bridge { .. } => ReceiverKind::Bridge,
            Principal::Guest { gateway: None } | Principal::Lab => ReceiverKind::Guest,
        }
    }

    /// Puts a copy in flight.
    pub fn put_in_flight(&mut self, copy: Queued) {
        let step = if copy.qos == 1 { Step::Puback } else { Step::Pubrec };
        self.inflight.push_back(Inflight { order: copy.order, step, copy: Some(copy), awaits_repeat: false });
    }

    /// The key under which the store is told everything about it; `None` when it is not.
    pub fn kept_key(&self) -> Option<SessionKey> {
        (self.keeping == Keeping::All).then_some(self.key)
    }

    /// Whether the first waiting message may go out: its Packet Identifier is free, and a QoS 2 message that outlives a
    /// crash is in the store, so that it is not given a second time under another Packet Identifier.
    pub fn may_send_next(&self) -> bool {
        let Some(copy) = self.queue.front() else { return false };
        let is_kept = copy.qos < 2 || self.keeping != Keeping::All || copy.order <= self.kept_to;
        is_kept && !self.is_in_flight(packet_id_of(copy.order), copy.order)
    }

    /// Whether a message in flight has the Packet Identifier that the one with that order number has or would get.
    fn is_in_flight(&self, packet_id: u16, order: u64) -> bool {
        // Packet Identifiers are given in turn: one comes back only when the oldest in use is a whole round old.
        let is_old = |oldest: &Inflight| order.saturating_sub(oldest.order) >= PACKET_IDS;
        self.inflight.front().is_some_and(is_old) && self.inflight.iter().any(|i| i.packet_id() == packet_id)
    }

    /// Takes a copy into the queue unless the limits say no.
    pub fn enqueue(&mut self, mut copy: Queued, messages_max: usize, bytes_max: usize) -> bool {
        let waiting = self.queue.len() + self.inflight.len();
        if waiting >= messages_max || self.queued_bytes + copy.bytes() > bytes_max {
            self.dropped += 1;
            return false;
        }
        self.queued_bytes += copy.bytes();
        while self.is_in_flight(packet_id_of(self.next_order), self.next_order) {
            self.next_order += 1;
        }
        copy.order = self.next_order;
        self.next_order += 1;
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
        let mut session = Session::new(SessionKey(1), "c".into(), Principal::Lab);
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
            stale_at_ms: None,
            identifiers: Identifiers::new(),
            group: None,
            order: 0,
        };
        let mut times_given = vec![0_u32; 1 << 16];
        for round in 0..200_000 {
            assert!(session.enqueue(copy(), usize::MAX, usize::MAX));
            assert!(session.may_send_next());
            let copy = session.queue.pop_front().unwrap();
            let packet_id = packet_id_of(copy.order);
            if matches!(round, 0 | 1 | 4) {
                session.put_in_flight(copy); // and never acknowledged
            } else {
                times_given[usize::from(packet_id)] += 1;
            }
        }
        for (id, times) in times_given.into_iter().enumerate() {
            assert_eq!(times >= 3, ![0, 1, 2, 5].contains(&id), "{id} was given {times} times");
        }
    }
}
