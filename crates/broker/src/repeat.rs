//! What was in flight when the client went away is sent again, as far as Receive Maximum allows; and what waits for a
//! reader that was too slow goes on when there is room.

use crate::session::{Session, SessionId};
use crate::{Broker, ConnectionId, Now};

impl Broker {
    /// Sends again what was in flight when the client went away, in the original order [MQTT-4.4.0-1]; not more at once
    /// than the client takes now, which may be less than before. [MQTT-3.3.4-9]
    pub(crate) fn send_again(&mut self, now: Now, to: SessionId) {
        let Some(session) = self.sessions.get_mut(to.index()) else { return };
        let mut released = Vec::new();
        for entry in &mut session.inflight {
            match entry.copy {
                Some(_) => (entry.awaits_repeat, session.repeats_wait) = (true, true),
                None => released.push(entry.packet_id()),
            }
        }
        released.into_iter().for_each(|packet_id| self.send_pubrel(to, packet_id));
        self.send_waiting(now, to);
    }

    /// Sends the oldest message that is to be repeated. What the client no longer takes because of its size counts as
    /// done [MQTT-3.1.2-25], and so does a packet toward a radio that would come too late.
    pub(crate) fn repeat_next(&mut self, now: Now, connection: ConnectionId, to: SessionId) {
        let Some(session) = self.sessions.get_mut(to.index()) else { return };
        let Some(index) = session.inflight.iter().position(|entry| entry.awaits_repeat) else {
            session.repeats_wait = false;
            return;
        };
        let entry = &mut session.inflight[index];
        entry.awaits_repeat = false;
        let packet_id = entry.packet_id();
        let Some(copy) = entry.copy.clone() else { return };
        let is_over = copy.stale_at_ms.is_some_and(|at| at <= now.mono_ms);
        self.counters.expired += u64::from(is_over);
        let is_sent = !is_over && self.send_copy(now, connection, to, &copy, packet_id, true);
        if !is_sent && let Some(session) = self.sessions.get_mut(to.index()) {
            session.inflight.remove(index);
            session.release_bytes(&copy);
            self.note_finished(to, copy.order);
        }
    }

    /// Notes that a session has more to send than its connection takes at the moment.
    pub(crate) fn wait_for_room(&mut self, to: SessionId) {
        let Some(session) = self.sessions.get_mut(to.index()) else { return };
        if !session.waits_for_room && (session.repeats_wait || !session.queue.is_empty()) {
            session.waits_for_room = true;
            self.waiting_for_room.push(to);
        }
    }

    /// Goes on where readers have caught up. Nothing else would: without a message in flight no acknowledgement comes.
    pub(crate) fn go_on_where_there_is_room(&mut self, now: Now) {
        for to in std::mem::take(&mut self.waiting_for_room) {
            if let Some(session) = self.sessions.get_mut(to.index()).filter(|s| s.waits_for_room) {
                session.waits_for_room = false;
                self.send_waiting(now, to);
            }
        }
    }
}

impl Session {
    /// Messages that count toward the client's Receive Maximum.
    fn in_flight_count(&self) -> usize {
        match self.repeats_wait {
            true => self.inflight.iter().filter(|entry| !entry.awaits_repeat).count(),
            false => self.inflight.len(),
        }
    }

    /// Whether another QoS 1 or 2 message may be sent now.
    pub fn has_room_in_flight(&self) -> bool {
        self.in_flight_count() < usize::from(self.receive_maximum)
    }
}
