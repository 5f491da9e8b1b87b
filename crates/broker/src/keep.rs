//! What survives a restart, as one value: taken over at the start, told in changes from then on, and the meaning of
//! those changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh::topic::MeshTopic;
use policy::admission::may_return;

use crate::journal::{Away, Batch, Change, Head, SessionKey};
use crate::message::Message;
use crate::reached::Reached;
use crate::session::{Inflight, Keeping, Queued, Session, SessionId, Step};
use crate::subscription_tree::Subscription;
use crate::{Broker, ConnectionId, Now};

/// Everything that survives a restart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// Sessions by their number.
    pub sessions: BTreeMap<SessionKey, KeptSession>,
    /// Retained messages by topic.
    pub retained: BTreeMap<Arc<str>, Arc<Message>>,
}

/// One session.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptSession {
    /// What is known apart from what follows.
    pub head: Head,
    /// Since the client is away; `None` while it is connected.
    pub away: Option<Away>,
    /// Subscriptions by Topic Filter.
    pub subscriptions: BTreeMap<Box<str>, Subscription>,
    /// QoS 1 and 2 messages by order number.
    pub copies: BTreeMap<u64, KeptCopy>,
    /// Packet Identifiers of incoming QoS 2 messages that are not released.
    pub incoming_qos2: BTreeSet<u16>,
}

/// A QoS 1 or 2 message on its way to a client.
#[derive(Debug, Clone, PartialEq)]
pub enum KeptCopy {
    /// The client may not have it.
    Message(Queued),
    /// The client has it, and PUBREL is to be repeated.
    Released,
}

impl Kept {
    /// Applies changes in order. Changes of sessions that are not there have no effect.
    pub fn apply(&mut self, batch: &Batch) {
        batch.changes.iter().for_each(|change| self.apply_one(change));
    }

    fn apply_one(&mut self, change: &Change) {
        match change {
            Change::SessionKept(key, head) => match self.sessions.get_mut(key) {
                Some(session) => (session.head, session.away) = (Head::clone(head), None),
                None => drop(self.sessions.insert(*key, KeptSession::new(Head::clone(head)))),
            },
            Change::SessionEnded(key) => drop(self.sessions.remove(key)),
            Change::Retained(message) => drop(self.retained.insert(message.topic.clone(), message.clone())),
            Change::RetainedGone(topic) => drop(self.retained.remove(topic)),
            Change::SessionAway(key, _)
            | Change::WillGone(key)
            | Change::Subscribed(key, ..)
            | Change::Unsubscribed(key, _)
            | Change::Queued(key, _)
            | Change::Released(key, _)
            | Change::Finished(key, _)
            | Change::Incoming(key, _)
            | Change::IncomingDone(key, _) => {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.apply(change);
                }
            }
        }
    }
}

impl KeptSession {
    /// A session that has collected nothing.
    pub const fn new(head: Head) -> Self {
        Self {
            head,
            away: None,
            subscriptions: BTreeMap::new(),
            copies: BTreeMap::new(),
            incoming_qos2: BTreeSet::new(),
        }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::SessionAway(_, away) => self.away = Some(*away),
            Change::WillGone(_) => {
                self.head.will = None;
                if let Some(away) = &mut self.away {
                    away.will_due_ms = None;
                }
            }
            Change::Subscribed(_, filter, wanted) => drop(self.subscriptions.insert(filter.clone(), *wanted)),
            Change::Unsubscribed(_, filter) => drop(self.subscriptions.remove(filter)),
            Change::Queued(_, copy) => {
                drop(self.copies.insert(copy.order, KeptCopy::Message(copy.for_store())))
            }
            Change::Released(_, order) => drop(self.copies.insert(*order, KeptCopy::Released)),
            Change::Finished(_, order) => drop(self.copies.remove(order)),
            Change::Incoming(_, packet_id) => drop(self.incoming_qos2.insert(*packet_id)),
            Change::IncomingDone(_, packet_id) => drop(self.incoming_qos2.remove(packet_id)),
            Change::SessionKept(..)
            | Change::SessionEnded(_)
            | Change::Retained(_)
            | Change::RetainedGone(_) => {}
        }
    }
}

/// A QoS 2 message that is not sent before the store has it.
#[derive(Debug)]
pub(crate) struct UnkeptMessage {
    pub change: u64,
    pub key: SessionKey,
    pub session: SessionId,
    pub order: u64,
}

impl Broker {
    /// Takes over what a store has kept, and tells from then on what changes. Called once, before the first connection.
    ///
    /// Whoever was connected when the program ended is gone since: its Will falls due, its session begins to expire.
    /// Sessions whose credential was revoked meanwhile are forgotten without their Wills.
    pub fn restore(&mut self, now: Now, kept: Kept) {
        self.journal.turn_on();
        self.last_key = kept.sessions.last_key_value().map_or(self.last_key, |(key, _)| *key);
        self.retained.restore(kept.retained);
        for (key, session) in kept.sessions {
            let head = &session.head;
            if may_return(&head.principal, head.generation, &self.options.directory) {
                self.restore_session(now, key, session);
            } else {
                self.journal.note(Change::SessionEnded(key));
            }
        }
    }

    /// Does what fell due while the program did not run. Called once, after `restore` and before the first connection: a
    /// client that returns must not undo its Will.
    pub fn catch_up(&mut self, now: Now) {
        let is_over = |at: Option<u64>| at.is_some_and(|at| at <= now.mono_ms);
        let id_of = |(index, _): (usize, &Session)| u32::try_from(index).ok().map(SessionId);
        let due = self.sessions.iter().filter(|(_, s)| is_over(s.will_due_ms)).filter_map(id_of);
        due.collect::<Vec<_>>().into_iter().for_each(|id| self.publish_will(now, id));
        let over = self.sessions.iter().filter(|(_, s)| is_over(s.expires_at_ms)).filter_map(id_of);
        over.collect::<Vec<_>>().into_iter().for_each(|id| self.end_session(now, id));
    }

    fn restore_session(&mut self, now: Now, key: SessionKey, kept: KeptSession) {
        let head = kept.head;
        let mut session = Session::new(key, head.client_id.clone(), head.principal);
        session.keeping = if head.expiry_ms == 0 { Keeping::Will } else { Keeping::All };
        session.since_unix_ms = now.unix_ms;
        session.expiry_ms = head.expiry_ms;
        session.receive_maximum = head.receive_maximum;
        session.incoming_qos2 = kept.incoming_qos2;
        let will_delay_ms = head.will.as_ref().map(|will| will.delay_ms);
        session.will = head.will;
        let was_connected = kept.away.is_none();
        let away = kept.away.unwrap_or_else(|| {
            // What had been sent is not known, but no more than the client takes at once.
            let mut window = kept.copies.keys().take(usize::from(head.receive_maximum));
            Away {
                ends_at_ms: ends_at_ms(now, head.expiry_ms),
                will_due_ms: will_delay_ms.map(|delay| now.mono_ms.saturating_add(delay)),
                sent_to: window.next_back().copied().unwrap_or(0),
            }
        });
        (session.expires_at_ms, session.will_due_ms) = (away.ends_at_ms, away.will_due_ms);
        session.sent_to = away.sent_to;
        let is_gateway = session.principal.gateway().is_some();
        for (order, copy) in kept.copies {
            session.next_order = order + 1;
            match copy {
                // How long the program did not run is not asked: packets that late are no good on the air.
                KeptCopy::Message(copy) if is_gateway && MeshTopic::parse(&copy.message.topic).is_some() => {
                    self.counters.expired += 1;
                    self.journal.note(Change::Finished(key, order));
                }
                KeptCopy::Released => {
                    session.inflight.push_back(Inflight {
                        order,
                        step: Step::Pubcomp,
                        copy: None,
                        awaits_repeat: false,
                    });
                }
                KeptCopy::Message(copy) => {
                    session.queued_bytes += copy.bytes();
                    if order <= away.sent_to {
                        let step = if copy.qos == 1 { Step::Puback } else { Step::Pubrec };
                        session.inflight.push_back(Inflight {
                            order,
                            step,
                            copy: Some(copy),
                            awaits_repeat: false,
                        });
                    } else {
                        session.queue.push_back(copy);
                    }
                }
            }
        }
        session.next_order = session.next_order.max(away.sent_to + 1);
        session.kept_to = session.next_order - 1;
        let Ok(id) = u32::try_from(self.sessions.insert(session)).map(SessionId) else { return };
        self.by_client_id.insert(head.client_id, id);
        for (filter, wanted) in kept.subscriptions {
            self.add_subscription(&filter, id, wanted);
        }
        self.watch_session(id);
        if was_connected {
            self.note_away(id);
        }
    }

    /// Everything that survives a restart at this moment. What the store was told so far amounts to the same.
    pub fn worth_keeping(&self) -> Kept {
        let sessions = self.sessions.iter().filter(|(_, session)| session.keeping != Keeping::Nothing);
        Kept {
            sessions: sessions.map(|(_, session)| (session.key, self.kept_session(session))).collect(),
            retained: self.retained.all().clone(),
        }
    }

    fn kept_session(&self, session: &Session) -> KeptSession {
        let mut kept = KeptSession::new(self.head_of(session));
        kept.away = session.connection.is_none().then(|| away(session));
        if session.keeping == Keeping::All {
            kept.subscriptions = session.subscriptions.clone();
            kept.incoming_qos2 = session.incoming_qos2.clone();
            let sent = session.inflight.iter().map(|entry| match &entry.copy {
                Some(copy) => (entry.order, KeptCopy::Message(copy.for_store())),
                None => (entry.order, KeptCopy::Released),
            });
            let waiting = session.queue.iter().map(|copy| (copy.order, KeptCopy::Message(copy.for_store())));
            kept.copies = sent.chain(waiting).collect();
        }
        kept
    }

    fn head_of(&self, session: &Session) -> Head {
        let username = session.principal.username();
        let credential = username.and_then(|username| self.options.directory.credential(username));
        Head {
            client_id: session.client_id.clone(),
            principal: session.principal.clone(),
            generation: credential.map(|c| c.generation),
            expiry_ms: session.expiry_ms,
            receive_maximum: session.receive_maximum,
            will: session.will.clone(),
        }
    }

    /// A client has connected: tells the store what is new about its session. A session that ends with its connection is
    /// never taken up again, so one that is kept from here on has collected nothing yet. A CONNACK that promises to keep it waits
    /// for that; a client whose session ends with the connection waits for nothing.
    pub(crate) fn keep_session(&mut self, id: ConnectionId, session_id: SessionId) {
        let Some(session) = self.sessions.get(session_id.index()) else { return };
        let (key, before) = (session.key, session.keeping);
        let after = if !self.journal.is_on() {
            Keeping::Nothing
        } else if session.expiry_ms > 0 {
            Keeping::All
        } else if session.will.is_some() && !self.journal.is_full() {
            Keeping::Will
        } else {
            Keeping::Nothing
        };
        if before != Keeping::Nothing && before != after {
            self.journal.note(Change::SessionEnded(key));
        }
        if let Some(session) = self.session(session_id) {
            session.keeping = after;
        }
        self.note_head(session_id);
        if before == Keeping::All || after == Keeping::All {
            self.bar(id, self.journal.last());
        }
    }

    /// Tells the store what is known about the session of a connected client.
    pub(crate) fn note_head(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id.index()) else { return };
        if session.keeping != Keeping::Nothing {
            self.journal.note(Change::SessionKept(session.key, Box::new(self.head_of(session))));
        }
    }

    /// Tells the store that a client is away.
    pub(crate) fn note_away(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id.index()) else { return };
        if session.keeping != Keeping::Nothing {
            self.journal.note(Change::SessionAway(session.key, away(session)));
        }
    }

    /// The store forgets a session before it ends.
    pub(crate) fn keep_no_longer(&mut self, id: SessionId) {
        let Some(session) = self.session(id) else { return };
        let key = session.key;
        if std::mem::replace(&mut session.keeping, Keeping::Nothing) != Keeping::Nothing {
            self.journal.note(Change::SessionEnded(key));
        }
    }

    /// Keeps a message as the retained one of its topic, unless the store is too far behind.
    pub(crate) fn retain(&mut self, message: &Arc<Message>) {
        if !self.has_memory_to_retain(message) {
            return;
        }
        if self.journal.is_full() && !message.payload.is_empty() {
            return self.refuse_change();
        }
        let is_changed = self.retained.apply(message);
        if !is_changed && !message.payload.is_empty() {
            self.counters.reached.add(Reached::Retained);
        }
        if !is_changed || !self.journal.is_on() {
            return;
        }
        self.journal.note(if message.payload.is_empty() {
            Change::RetainedGone(message.topic.clone())
        } else {
            Change::Retained(message.clone())
        });
    }

    pub(crate) fn forget_expired_retained(&mut self, now: Now) {
        let journal = &mut self.journal;
        self.retained.forget_expired(now.mono_ms, &mut |topic| {
            if journal.is_on() {
                journal.note(Change::RetainedGone(topic));
            }
        });
    }

    /// The store is too far behind for what a client asks.
    pub(crate) fn refuse_change(&mut self) {
        self.journal.refused += 1;
        self.counters.unkept += 1;
    }

    /// Nothing is written to a connection before the store has that change.
    pub(crate) fn bar(&mut self, id: ConnectionId, change: u64) {
        if self.journal.has_kept(change) {
            return;
        }
        self.journal.await_change(change);
        if let Some(connection) = self.connections.get_mut(id.index()) {
            connection.barred_until = change;
            self.barred.push_back((change, id));
        }
    }

    /// The session's messages up to that one, QoS 2 ones among them, are sent when the store has them.
    pub(crate) fn await_message(&mut self, session: SessionId, key: SessionKey, order: u64) {
        let change = self.journal.last();
        self.journal.await_change(change);
        self.unkept_messages.push_back(UnkeptMessage { change, key, session, order });
    }
}

fn away(session: &Session) -> Away {
    Away { ends_at_ms: session.expires_at_ms, will_due_ms: session.will_due_ms, sent_to: session.sent_to }
}

/// When a session ends whose connection is gone; `None` for never.
fn ends_at_ms(now: Now, expiry_ms: u64) -> Option<u64> {
    (expiry_ms != u64::MAX).then(|| now.mono_ms.saturating_add(expiry_ms))
}
