//! What is due by the clock: silent clients, expired sessions, delayed Wills, expired retained messages.

use mqtt::reason_code::ReasonCode;

use crate::connection::Connection;
use crate::session::{Session, SessionId};
use crate::timers::{TICK_MS, Timer, Whose};
use crate::{Broker, ConnectionId, Now};

/// How often deadlines are looked at, in ms.
pub(crate) const INTERVAL_MS: u64 = TICK_MS;

impl Broker {
    pub(crate) fn on_tick(&mut self, now: Now) {
        let mut due = std::mem::take(&mut self.due);
        self.timers.take_due(now.mono_ms, &mut due);
        for timer in due.drain(..) {
            match timer.whose {
                Whose::Connection(id) => self.look_at_connection(now, id, timer),
                Whose::Session(id) => self.look_at_session(now, id, timer),
                Whose::Downlink(id) => self.look_at_downlink(now, id, timer),
            }
        }
        self.due = due;
        self.forget_expired_retained(now);
        self.tell_sys(now);
        self.go_on_where_there_is_room(now);
        self.count_memory();
        self.relieve_memory(now);
        self.spare_buffers.rest();
    }

    /// Sees to it that the connection is looked at by its deadline.
    pub(crate) fn watch_connection(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.index()) else { return };
        let connect_timeout_ms = self.entrances.rules(connection.listener).connect_timeout_ms;
        let Some(deadline_ms) = connection.deadline_ms(connect_timeout_ms) else { return };
        if deadline_ms < connection.looked_at_ms {
            connection.looked_at_ms = deadline_ms;
            self.timers.put(deadline_ms, Whose::Connection(id));
        }
    }

    /// Sees to it that the session is looked at when its Will is due or it ends.
    pub(crate) fn watch_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id.index()) else { return };
        let Some(deadline_ms) = session.deadline_ms() else { return };
        if deadline_ms < session.looked_at_ms {
            session.looked_at_ms = deadline_ms;
            self.timers.put(deadline_ms, Whose::Session(id));
        }
    }

    /// No CONNECT in time, or nothing for one and a half Keep Alive. [MQTT-3.1.2-22]
    fn look_at_connection(&mut self, now: Now, id: ConnectionId, timer: Timer) {
        let connection = self.connections.get_mut(id.index()).filter(|c| !c.is_closing);
        let Some(connection) = connection else { return };
        let connect_timeout_ms = self.entrances.rules(connection.listener).connect_timeout_ms;
        if connection.looked_at_ms != timer.at_ms {
            return; // there is an earlier timer, or this one was somebody else's
        }
        connection.looked_at_ms = u64::MAX;
        let is_over = connection.deadline_ms(connect_timeout_ms).is_some_and(|at| at < now.mono_ms);
        if !is_over {
            return self.watch_connection(id);
        }
        let has_session = connection.session.is_some();
        let is_undecided =
            connection.sign_in_deadline_ms(connect_timeout_ms).is_some_and(|at| at < now.mono_ms);
        self.counters.timed_out += 1;
        if has_session && is_undecided {
            self.disconnect(id, ReasonCode::NotAuthorized, "signing in again took too long");
        } else if has_session {
            self.disconnect(id, ReasonCode::KeepAliveTimeout, "keep-alive time passed");
        } else {
            self.close(id, "no CONNECT in time");
        }
    }

    fn look_at_session(&mut self, now: Now, id: SessionId, timer: Timer) {
        let is_due = |at: Option<u64>| at.is_some_and(|at| at <= now.mono_ms);
        let Some(session) = self.session(id) else { return };
        if session.looked_at_ms != timer.at_ms {
            return;
        }
        session.looked_at_ms = u64::MAX;
        if session.connection.is_none() && is_due(session.expires_at_ms) {
            self.counters.sessions_expired += 1;
            return self.end_session(now, id);
        }
        if is_due(session.will_due_ms) {
            self.publish_will(now, id);
        }
        self.watch_session(id);
    }
}

impl Connection {
    /// When its time to introduce itself, or to sign in again, or its Keep Alive, is over; later packets move it.
    fn deadline_ms(&self, connect_timeout_ms: u64) -> Option<u64> {
        let keep_alive = match self.session {
            None => Some(self.opened_ms.saturating_add(connect_timeout_ms)),
            Some(_) if self.patience_ms == 0 => None,
            Some(_) => Some(self.last_packet_ms.saturating_add(self.patience_ms)),
        };
        keep_alive.into_iter().chain(self.sign_in_deadline_ms(connect_timeout_ms)).min()
    }

    /// When a sign-in that is under way must have ended.
    fn sign_in_deadline_ms(&self, connect_timeout_ms: u64) -> Option<u64> {
        self.sign_in.as_ref().map(|sign_in| sign_in.begun_ms.saturating_add(connect_timeout_ms))
    }
}

impl Session {
    /// When its Will is due or it ends; `None` while the client is connected.
    fn deadline_ms(&self) -> Option<u64> {
        self.will_due_ms.into_iter().chain(self.expires_at_ms).min()
    }
}
