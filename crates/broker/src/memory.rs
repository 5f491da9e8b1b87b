//! How much memory clients make the broker hold, and what goes when it is too much.
//!
//! Counted are topic and payload bytes of waiting messages, for every receiver anew although they share them, bytes in
//! outboxes, bytes of unfinished packets, and retained messages. Counting everything takes a look at every session and
//! connection, so it is done at a tick; in between what comes in is added and nothing is taken off. The sum is never below
//! the truth.

use crate::reached::Reached;
use crate::session::SessionId;
use crate::{Broker, ConnectionId, Now};

/// What is held.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    counted: usize,
    since: usize,
    partial_counted: usize,
    partial_since: usize,
}

/// What a waiting message takes besides its bytes, about.
const ENTRY_BYTES: usize = 100;
/// From this share of the limit on, slow readers get no QoS 0.
const SHORT_EIGHTHS: usize = 7;
/// Bytes that a reader may be behind by while memory is short.
const SHORT_OUTBOX_BYTES: usize = 16 * 1024;
/// The look at everything is taken again when this share of the limit has come in since the last one.
const LOOK_AGAIN_AFTER: usize = 64;

impl Memory {
    /// Notes bytes that are kept from now on.
    pub fn note(&mut self, bytes: usize) {
        self.since = self.since.saturating_add(bytes);
    }

    /// Notes a message that waits.
    pub fn note_waiting(&mut self, bytes: usize) {
        self.note(bytes + ENTRY_BYTES);
    }

    const fn held_at_most(&self) -> usize {
        self.counted.saturating_add(self.since)
    }

    /// Whether memory is too short to give more QoS 0 to a reader that is behind by so many bytes.
    pub const fn is_short_for(&self, unsent: usize, memory_bytes_max: usize) -> bool {
        unsent > SHORT_OUTBOX_BYTES && self.counted > memory_bytes_max / 8 * SHORT_EIGHTHS
    }
}

impl Broker {
    /// Counts everything.
    pub(crate) fn count_memory(&mut self) {
        let waiting = |s: &crate::session::Session| {
            let (copies, bytes) = s.downlink_waiting();
            s.queued_bytes + bytes + ENTRY_BYTES * (s.queue.len() + s.inflight.len() + copies)
        };
        let sessions: usize = self.sessions.iter().map(|(_, s)| waiting(s)).sum();
        let outboxes: usize = self.connections.iter().map(|(_, c)| c.outbox.len()).sum();
        let partial: usize = self.connections.iter().map(|(_, c)| c.partial.len()).sum();
        self.memory = Memory {
            counted: sessions + outboxes + partial + self.retained.bytes(),
            since: 0,
            partial_counted: partial,
            partial_since: 0,
        };
    }

    /// Whether more is held than may be. Never wrong by more than the share that is looked at again.
    fn is_out_of_memory(&mut self) -> bool {
        let max = self.options.limits.memory_bytes_max;
        if self.memory.held_at_most() <= max {
            return false;
        }
        if self.memory.since >= max / LOOK_AGAIN_AFTER {
            self.count_memory();
        }
        self.memory.counted > max
    }

    /// Whether a connection may be opened; it counts from then on.
    pub(crate) fn has_room_for(&mut self, now: Now, origin: &crate::Origin) -> bool {
        let refused = match self.is_out_of_memory() {
            true => Err(Reached::MemoryRefused),
            false => {
                self.gate.enter(now.mono_ms, origin.address, self.connections.len(), &self.options.limits)
            }
        };
        if let Err(reached) = refused {
            self.counters.reached.add(reached);
            return false;
        }
        let is_in = self.entrances.enter(origin);
        if !is_in {
            self.gate.leave(origin.address);
        }
        is_in
    }

    /// Whether a message may be retained: there is memory for it.
    pub(crate) fn has_memory_to_retain(&mut self, message: &crate::message::Message) -> bool {
        if message.payload.is_empty() {
            return true;
        }
        self.memory.note(message.topic.len() + message.payload.len());
        let has_memory = !self.is_out_of_memory();
        if !has_memory {
            self.counters.reached.add(Reached::MemoryRefused);
        }
        has_memory
    }

    /// Frees memory, in this order, until there is enough: messages that wait for absent clients, those first who have
    /// been away longest; then connections whose clients read slowest.
    pub(crate) fn relieve_memory(&mut self, now: Now) {
        if self.is_out_of_memory() {
            self.forget_what_waits_for_the_absent();
        }
        if self.is_out_of_memory() {
            self.give_up_on_slow_readers(now);
        }
    }

    fn forget_what_waits_for_the_absent(&mut self) {
        let mut absent: Vec<(i64, SessionId)> = self
            .sessions
            .iter()
            .filter(|(_, s)| s.connection.is_none() && !s.queue.is_empty())
            .filter_map(|(index, s)| Some((s.since_unix_ms, SessionId(u32::try_from(index).ok()?))))
            .collect();
        absent.sort_unstable();
        absent.into_iter().for_each(|(_, id)| self.forget_what_waits_for(id));
    }

    /// Forgets messages that wait for a session, the oldest first, until there is enough memory.
    fn forget_what_waits_for(&mut self, id: SessionId) {
        while self.memory.counted > self.options.limits.memory_bytes_max
            && let Some(bytes) = self.forget_oldest(id)
        {
            self.memory.counted = self.memory.counted.saturating_sub(bytes + ENTRY_BYTES);
        }
    }

    /// Forgets the message that has waited longest for a session; returns its bytes.
    fn forget_oldest(&mut self, id: SessionId) -> Option<usize> {
        let session = self.sessions.get_mut(id.index())?;
        let copy = session.queue.pop_front()?;
        session.release_bytes(&copy);
        session.dropped += 1;
        self.note_finished(id, copy.order);
        self.counters.dropped += 1;
        self.counters.reached.add(Reached::MemoryQueued);
        Some(copy.bytes())
    }

    /// What a client is behind by is what it has not read and what it has not acknowledged. Once it is cut off, what waits
    /// for it goes as what waits for the absent.
    fn give_up_on_slow_readers(&mut self, _now: Now) {
        let max = self.options.limits.memory_bytes_max;
        let waiting = |session: Option<SessionId>| {
            session.and_then(|id| self.sessions.get(id.index())).map_or(0, |s| s.queued_bytes)
        };
        let mut readers: Vec<(usize, ConnectionId)> = self
            .connections
            .iter()
            .filter(|(_, c)| !c.is_closing)
            .filter_map(|(index, c)| {
                let behind = c.outbox.len() + waiting(c.session);
                Some((behind, ConnectionId(u32::try_from(index).ok()?)))
            })
            .filter(|(behind, _)| *behind > 0)
            .collect();
        readers.sort_unstable();
        while self.memory.counted > max
            && let Some((_, id)) = readers.pop()
        {
            self.counters.reached.add(Reached::MemoryReader);
            // No DISCONNECT: it would stand behind everything that is not read.
            self.close(id, "reads too slowly, and memory is short");
            let Some(connection) = self.connections.get(id.index()) else { continue };
            self.memory.counted = self.memory.counted.saturating_sub(connection.outbox.len());
            if let Some(session) = connection.session {
                self.forget_what_waits_for(session);
            }
        }
    }

    /// Keeps the beginning of a packet, to which so many bytes were added, unless everybody's beginnings together are too much: whoever would add to them
    /// has to go.
    pub(crate) fn keep_partial(&mut self, id: ConnectionId, partial: Vec<u8>, added: usize) {
        let max = self.options.limits.partial_bytes_max;
        self.memory.note(added);
        self.memory.partial_since = self.memory.partial_since.saturating_add(added);
        if self.memory.partial_counted.saturating_add(self.memory.partial_since) > max {
            self.count_memory();
            // This one is not among those that were counted, since it is in our hands.
            self.memory.partial_since = partial.len();
            if self.memory.partial_counted + partial.len() > max {
                self.counters.reached.add(Reached::PartialBytes);
                return self.close(id, "too many unfinished packets");
            }
        }
        if let Some(connection) = self.connection(id) {
            connection.partial = partial;
        }
    }

    /// A client that makes the broker answer and does not read the answers has to go. What an outbox holds is bounded by
    /// this, since messages stop at half of it.
    pub(crate) fn check_unread(&mut self, id: ConnectionId) {
        let max = self.options.limits.queue_bytes_max.saturating_mul(2);
        if self.connection(id).is_some_and(|c| c.outbox.len() > max) {
            self.counters.reached.add(Reached::UnreadAnswers);
            self.close(id, "does not read the answers it asks for");
        }
    }
}
