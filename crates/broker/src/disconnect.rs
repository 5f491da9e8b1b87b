//! Ends: DISCONNECT from either side, lost connections, sessions that are over, Wills, revoked credentials.

use directory::Directory;
use mqtt::reason_code::ReasonCode;
use record::ConnectionWhat;

use crate::journal::Change;
use crate::publish::Arrived;
use crate::session::{Keeping, SessionId};
use crate::{Broker, ConnectionId, Now};

impl Broker {
    /// Closes a connection after what is in its outbox has been written as far as possible.
    pub(crate) fn close(&mut self, id: ConnectionId, reason: &'static str) {
        let Some(connection) = self.connection(id) else { return };
        connection.is_closing = true;
        connection.partial = Vec::new();
        self.mark_dirty(id);
        self.closing.push_back((id, reason));
    }

    /// Tells an MQTT 5.0 client why, then closes. [MQTT-4.13.1-1]
    pub(crate) fn disconnect(&mut self, id: ConnectionId, reason: ReasonCode, why: &'static str) {
        let speaks_v5 =
            self.connection(id).is_some_and(|c| c.version == mqtt::Version::V5 && c.session.is_some());
        if speaks_v5 {
            self.send_disconnect(id, reason, why);
        }
        self.close(id, why);
    }

    /// The Network Connection is gone, whoever ended it.
    pub(crate) fn on_closed(&mut self, now: Now, id: ConnectionId, reason: &'static str) {
        let session = self.connections.get(id.index()).and_then(|c| c.session);
        if let Some(session_id) = session {
            let client_id = self.sessions.get(session_id.index()).map(|s| s.client_id.clone());
            if let Some(client_id) = client_id {
                self.note_connection(now, id, client_id, ConnectionWhat::Disconnected(reason));
            }
        }
        let Some(connection) = self.connections.try_remove(id.index()) else { return };
        self.entrances.leave(connection.listener, connection.address);
        self.gate.leave(connection.address);
        let Some(session_id) = connection.session else { return };
        let Some(session) = self.session(session_id) else { return };
        if session.connection != Some(id) {
            return; // taken over by a newer connection
        }
        self.leave(now, session_id, connection.said_goodbye);
        self.pass_on_unsent(now, session_id);
    }

    /// A session has lost its connection: its Will and its end become due. A session that ends with its connection ends
    /// here, also when the next connection of the same client is what ended this one. [MQTT-3.1.2-23]
    pub(crate) fn leave(&mut self, now: Now, id: SessionId, said_goodbye: bool) {
        self.sign_out(id);
        self.pause_downlink(id);
        let Some(session) = self.session(id) else { return };
        session.connection = None;
        session.since_unix_ms = now.unix_ms;
        if said_goodbye {
            session.will = None; // [MQTT-3.14.4-3]
            if session.keeping != Keeping::Nothing {
                let key = session.key;
                self.journal.note(Change::WillGone(key));
            }
        }
        let Some(session) = self.session(id) else { return };
        session.expires_at_ms = match session.expiry_ms {
            u64::MAX => None,
            after => Some(now.mono_ms.saturating_add(after)),
        };
        let (ends_now, will_delay) = (session.expiry_ms == 0, session.will.as_ref().map(|w| w.delay_ms));
        // The Will is due after its delay or when the session ends, whichever is first. [MQTT-3.1.3-9]
        session.will_due_ms = will_delay.map(|delay| now.mono_ms.saturating_add(delay));
        if ends_now {
            return self.end_session(now, id);
        }
        self.note_away(id);
        if will_delay == Some(0) {
            self.publish_will(now, id);
        }
        self.watch_session(id);
    }

    /// Forgets a session and everything it holds.
    pub(crate) fn end_session(&mut self, now: Now, id: SessionId) {
        self.publish_will(now, id);
        let Some(mut session) = self.sessions.try_remove(id.index()) else { return };
        self.by_client_id.remove(&session.client_id);
        for filter in session.subscriptions.keys() {
            self.remove_subscription(filter, id);
        }
        self.pass_on_all(now, &mut session);
        self.end_downlink(now, &mut session);
        if session.keeping != Keeping::Nothing {
            self.journal.note(Change::SessionEnded(session.key));
        }
    }

    /// Publishes the Will through the same journey as everything else. [MQTT-3.1.2-8]
    pub(crate) fn publish_will(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.session(id) else { return };
        session.will_due_ms = None;
        let Some(will) = session.will.take() else { return };
        if session.keeping != Keeping::Nothing {
            let key = session.key;
            self.journal.note(Change::WillGone(key));
        }
        let arrived = Arrived {
            topic: &will.topic,
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            packet_id: 0,
            expiry_s: will.expiry_s,
            properties: will.properties.clone(),
        };
        self.on_publish(now, id, arrived, self.journal.last());
    }

    /// Clients whose credential is gone, disabled or renewed leave at once, and their sessions with them; guests leave
    /// when the first credential exists.
    pub(crate) fn on_directory_change(&mut self, now: Now, old: &Directory) {
        let directory = self.options.directory.clone();
        for name in directory.changed_since(old) {
            self.sign_in_waits.forget_name(name.as_str());
        }
        let revoked: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, s)| !policy::admission::may_stay(&s.principal, old, &directory))
            .filter_map(|(index, _)| u32::try_from(index).ok().map(SessionId))
            .collect();
        for id in revoked {
            self.keep_no_longer(id);
            let connection = self.session(id).and_then(|s| {
                s.expiry_ms = 0;
                s.will = None;
                s.connection
            });
            match connection {
                Some(connection) => {
                    self.disconnect(connection, ReasonCode::NotAuthorized, "credential revoked");
                }
                None => self.end_session(now, id),
            }
        }
        self.plan_demanded(now, old);
    }

    pub(crate) fn on_shut_down(&mut self, _now: Now) {
        let open: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter_map(|(index, _)| u32::try_from(index).ok().map(ConnectionId))
            .collect();
        for id in open {
            self.disconnect(id, ReasonCode::ServerShuttingDown, "server stopped");
        }
    }
}
