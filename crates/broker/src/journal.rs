//! Changes to what must survive a restart, as values in order. The shell drains them once per turn and a store keeps
//! them; the broker holds back what it has promised until the store says how far it has come.
//!
//! - Only sessions that outlive their connection are told of, Wills of the others, and retained messages.
//! - A turn's changes are one batch: kept as a whole or not at all.
//! - The number of the last change never falls and a change is never taken back, so one number says what is kept.

use std::collections::VecDeque;
use std::sync::Arc;

use policy::principal::Principal;

use crate::Now;
use crate::message::Message;
use crate::session::Queued;
use crate::subscription_tree::Subscription;
use crate::will::Will;

/// Number of a session for the store; unlike `SessionId` it is never given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub u64);

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A client connected: its session begins, or goes on with all that it has.
    SessionKept(SessionKey, Box<Head>),
    /// Its connection is gone.
    SessionAway(SessionKey, Away),
    /// Its Will was published or discarded.
    WillGone(SessionKey),
    /// It is over, with all that it had.
    SessionEnded(SessionKey),
    /// It subscribed, or changed what it wants from a filter.
    Subscribed(SessionKey, Box<str>, Subscription),
    /// It unsubscribed.
    Unsubscribed(SessionKey, Box<str>),
    /// A QoS 1 or 2 message waits for it, after those with a lower order number.
    Queued(SessionKey, Queued),
    /// The client has the QoS 2 message with this order number; only PUBREL is repeated. [MQTT-4.3.3-1]
    Released(SessionKey, u64),
    /// The message with this order number is done.
    Finished(SessionKey, u64),
    /// The client sent a QoS 2 message with this Packet Identifier. [MQTT-4.3.3-10]
    Incoming(SessionKey, u16),
    /// That Packet Identifier is free again.
    IncomingDone(SessionKey, u16),
    /// The message is the retained one of its topic.
    Retained(Arc<Message>),
    /// The topic has no retained message any more.
    RetainedGone(Arc<str>),
}

/// What is known about a session apart from what it collects.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Client Identifier.
    pub client_id: Arc<str>,
    /// Who made it.
    pub principal: Principal,
    /// Generation of the credential it signed in with; `None` for guests.
    pub generation: Option<u64>,
    /// Session Expiry Interval in ms; 0 when it ends with the connection and only its Will is kept.
    pub expiry_ms: u64,
    /// How many QoS 1 and 2 messages the client takes at once.
    pub receive_maximum: u16,
    /// Will Message.
    pub will: Option<Arc<Will>>,
}

/// What is known about a session whose client is away. Times are on the broker's clock, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Away {
    /// When it ends; `None` for never.
    pub ends_at_ms: Option<u64>,
    /// When its Will is due.
    pub will_due_ms: Option<u64>,
    /// Messages up to this order number were sent.
    pub sent_to: u64,
}

/// The changes of one turn.
#[derive(Debug)]
pub struct Batch {
    /// The changes in order.
    pub changes: Vec<Change>,
    /// Number of the last one.
    pub last: u64,
    /// Whether an answer to a client waits for it.
    pub is_awaited: bool,
    /// When they were made: puts times on the broker's clock beside Unix time.
    pub now: Now,
}

/// The changes on their way to the store, and how far the store has come.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Nothing is noted before the store has said what it holds; the plain-broker profile has no store.
    is_on: bool,
    changes: Vec<Change>,
    last: u64,
    kept: u64,
    awaited: u64,
    bytes: usize,
    /// Batches that the store has not kept: their last change, and their bytes.
    backlog: VecDeque<(u64, usize)>,
    backlog_bytes: usize,
    changes_max: u64,
    bytes_max: usize,
    /// Changes that clients asked for and that were not made, because the store is too far behind.
    pub refused: u64,
}

impl Journal {
    pub fn new(changes_max: usize, bytes_max: usize) -> Self {
        Self {
            is_on: false,
            changes: Vec::new(),
            last: 0,
            kept: 0,
            awaited: 0,
            bytes: 0,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            changes_max: changes_max as u64,
            bytes_max,
            refused: 0,
        }
    }

    pub const fn turn_on(&mut self) {
        self.is_on = true;
    }

    pub const fn is_on(&self) -> bool {
        self.is_on
    }

    pub fn note(&mut self, change: Change) {
        self.last += 1;
        self.bytes += bytes_of(&change);
        self.changes.push(change);
    }

    /// Whether the store is so far behind that nothing may be added to what it has to keep. Changes that make it less
    /// are always taken; there can be no more of them than of the others.
    pub const fn is_full(&self) -> bool {
        self.last - self.kept >= self.changes_max || self.backlog_bytes + self.bytes >= self.bytes_max
    }

    /// Number of the last change.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Whether everything up to that change is kept.
    pub const fn has_kept(&self, change: u64) -> bool {
        change <= self.kept
    }

    /// Somebody waits for that change.
    pub fn await_change(&mut self, change: u64) {
        self.awaited = self.awaited.max(change);
    }

    pub fn take(&mut self, now: Now) -> Option<Batch> {
        if self.changes.is_empty() {
            return None;
        }
        self.backlog.push_back((self.last, self.bytes));
        self.backlog_bytes += self.bytes;
        self.bytes = 0;
        let first = self.last - self.changes.len() as u64;
        let changes = std::mem::take(&mut self.changes);
        Some(Batch { changes, last: self.last, is_awaited: self.awaited > first, now })
    }

    pub fn note_kept(&mut self, change: u64) {
        self.kept = self.kept.max(change);
        while let Some((last, bytes)) = self.backlog.front().copied()
            && last <= self.kept
        {
            self.backlog.pop_front();
            self.backlog_bytes -= bytes;
        }
    }

    /// Changes that are not kept yet.
    pub const fn behind(&self) -> u64 {
        self.last - self.kept
    }
}

/// Memory that a change holds, roughly; a message shared by several receivers counts for each.
fn bytes_of(change: &Change) -> usize {
    const ENTRY: usize = 80;
    ENTRY
        + match change {
            Change::SessionKept(_, head) => 200 + head.will.as_ref().map_or(0, |w| w.payload.len()),
            Change::Subscribed(_, filter, _) | Change::Unsubscribed(_, filter) => filter.len(),
            Change::Queued(_, copy) => copy.bytes(),
            Change::Retained(message) => message.topic.len() + message.payload.len(),
            Change::RetainedGone(topic) => topic.len(),
            Change::SessionAway(..)
            | Change::WillGone(_)
            | Change::SessionEnded(_)
            | Change::Released(..)
            | Change::Finished(..)
            | Change::Incoming(..)
            | Change::IncomingDone(..) => 0,
        }
}
