//! What is due by the clock: silent clients, expired sessions, delayed Wills.

use mqtt::reason_code::ReasonCode;

use crate::session::SessionId;
use crate::{Broker, ConnectionId, Now};

/// How often deadlines are looked at, in ms. All of them are whole seconds, and later by this much harms nobody.
pub(crate) const INTERVAL_MS: u64 = 500;

impl Broker {
    pub(crate) fn on_tick(&mut self, now: Now) {
        self.close_the_silent(now);
        self.publish_due_wills(now);
        self.end_expired_sessions(now);
        self.forget_expired_retained(now);
    }

    /// No CONNECT in time, or nothing for one and a half Keep Alive. [MQTT-3.1.2-22]
    fn close_the_silent(&mut self, now: Now) {
        let connect_timeout_ms = self.options.limits.connect_timeout_ms;
        let mut silent = Vec::new();
        for (index, connection) in self.connections.iter_mut().filter(|(_, c)| !c.is_closing) {
            let Ok(index) = u32::try_from(index) else { continue };
            let is_late =
                connection.session.is_none() && now.mono_ms - connection.opened_ms > connect_timeout_ms;
            let is_silent = connection.session.is_some()
                && connection.patience_ms > 0
                && now.mono_ms - connection.last_packet_ms > connection.patience_ms;
            if is_late || is_silent {
                silent.push((ConnectionId(index), is_silent));
            } else {
                connection.outbox.rest();
            }
        }
        for (id, has_session) in silent {
            self.counters.timed_out += 1;
            if has_session {
                self.disconnect(id, ReasonCode::KeepAliveTimeout, "keep-alive time passed");
            } else {
                self.close(id, "no CONNECT in time");
            }
        }
    }

    fn publish_due_wills(&mut self, now: Now) {
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now.mono_ms);
        for id in self.sessions_where(|s| due(s.will_due_ms)) {
            self.publish_will(now, id);
        }
    }

    fn end_expired_sessions(&mut self, now: Now) {
        let over = |at: Option<u64>| at.is_some_and(|at| at <= now.mono_ms);
        for id in self.sessions_where(|s| s.connection.is_none() && over(s.expires_at_ms)) {
            self.end_session(now, id);
        }
    }

    fn sessions_where(&self, matches: impl Fn(&crate::session::Session) -> bool) -> Vec<SessionId> {
        let found = self.sessions.iter().filter(|(_, s)| matches(s));
        found.filter_map(|(index, _)| u32::try_from(index).ok().map(SessionId)).collect()
    }
}
