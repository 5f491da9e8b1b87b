//! CONNECT: who it is, which session it gets, what it is told.

use std::sync::Arc;

use mqtt::connect::{Connect, ConnectWill, encode_connack};
use mqtt::property::{Value, id};
use mqtt::{ReasonCode, Version};
use policy::admission::{Offer, Refusal, admit};
use policy::principal::Principal;
use policy::response::response_topic;
use record::ConnectionWhat;

use crate::reached::Reached;
use crate::reason::Explains;
use crate::session::{Session, SessionId};
use crate::sign_in::METHOD;
use crate::topic_alias::OutgoingAliases;
use crate::will::Will;
use crate::{Broker, ConnectionId, Limits, Now};

/// For who signs in again too early after wrong passwords.
pub(crate) const TRY_LATER: &str = "Too many wrong passwords: try again in a minute.";

pub(crate) const fn version_text(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    }
}

/// A Session Expiry Interval in ms, no longer than granted; `u32::MAX` means for ever and is granted as the longest.
pub(crate) fn expiry_ms(wanted_s: u32, granted_max_s: u32) -> u64 {
    u64::from(wanted_s.min(granted_max_s)) * 1000
}

impl Broker {
    /// `body` is the packet's, for when the answer has to wait.
    pub(crate) fn on_connect(&mut self, now: Now, id: ConnectionId, connect: &Connect<'_>, body: &[u8]) {
        let Some(connection) = self.connection(id) else { return };
        connection.note_how_to_speak(connect.version, connect.properties);
        if let Some(method) = connect.properties.text(id::AUTHENTICATION_METHOD) {
            return self.begin_sign_in(now, id, method, connect, body);
        }
        if self.must_wait(now, id, connect.username) {
            return self.refuse_connect(now, id, ReasonCode::ConnectionRateExceeded, TRY_LATER);
        }
        match self.admit_client(id, connect) {
            Ok(principal) => self.let_in(now, id, connect, principal, None),
            Err(refusal) => self.turn_away(now, id, connect, refusal),
        }
    }

    /// The client is who it says: it gets its session and CONNACK. `proof` is what ends an extended authentication.
    pub(crate) fn let_in(
        &mut self,
        now: Now,
        id: ConnectionId,
        connect: &Connect<'_>,
        principal: Principal,
        proof: Option<&str>,
    ) {
        let needs_client_id = match connect.version {
            Version::V31 => true,
            Version::V311 => !connect.clean_start, // [MQTT-3.1.3-8] of 3.1.1
            Version::V5 => false,
        };
        if connect.client_id.is_empty() && needs_client_id {
            const WHY: &str = "A session that is kept needs a client identifier.";
            return self.refuse_connect(now, id, ReasonCode::ClientIdentifierNotValid, WHY);
        }
        if connect.will.as_ref().is_some_and(|will| will.retain) && !self.may_retain(connect.version) {
            const WHY: &str = "This server keeps no retained messages, so the Will cannot be one.";
            return self.refuse_connect(now, id, ReasonCode::RetainNotSupported, WHY); // [MQTT-3.2.2-13]
        }
        let will_topic = connect.will.as_ref().map(|will| will.topic);
        if let Some(why) = will_topic.and_then(|topic| self.options.limits.why_not_topic(topic)) {
            self.counters.reached.add(Reached::Topic);
            return self.refuse_connect(now, id, ReasonCode::TopicNameInvalid, why);
        }
        let (client_id, is_assigned) = match connect.client_id {
            "" => (self.fresh_client_id(id), true),
            given => (given.into(), false),
        };
        if wanted_expiry_s(connect, &self.options.limits) > 0 && self.journal.is_full() {
            self.refuse_change();
            const WHY: &str = "The disk of this server does not keep up, so no session can be kept.";
            return self.refuse_connect(now, id, ReasonCode::ServerBusy, WHY);
        }
        if !self.has_room_under(&principal, &client_id) {
            const WHY: &str = "As many clients are connected under this user name as may be.";
            return self.refuse_connect(now, id, ReasonCode::QuotaExceeded, WHY);
        }
        match self.session_for(now, client_id, principal.clone(), connect.clean_start) {
            Ok((session, is_present)) => {
                self.note_signed_in(now, id, &principal);
                let opening = Opening { session, is_present, is_assigned, proof };
                self.open_session(now, id, opening, connect);
            }
            Err((reason, why)) => self.refuse_connect(now, id, reason, why),
        }
    }

    fn admit_client(&self, id: ConnectionId, connect: &Connect<'_>) -> Result<Principal, Refusal> {
        if self.options.lab {
            return Ok(Principal::Lab);
        }
        let Some(connection) = self.connections.get(id.index()) else { return Err(Refusal::NoCredential) };
        if let Some(name) = &connection.bridge {
            return Ok(Principal::own_bridge(name));
        }
        let rules = self.entrances.rules(connection.listener);
        let offer = Offer {
            client_id: connect.client_id,
            username: connect.username,
            password: connect.password,
            may_be_guest: rules.allows_guests && connection.address.is_loopback(),
            certificate_name: connection
                .certificate_name
                .as_deref()
                .filter(|_| rules.certificate_is_credential),
        };
        admit(&self.options.directory, &self.options.token_key, offer)
    }

    fn turn_away(&mut self, now: Now, id: ConnectionId, connect: &Connect<'_>, refusal: Refusal) {
        self.counters.authentication_failed += 1;
        let reason = match refusal {
            Refusal::NoCredential => ReasonCode::NotAuthorized,
            Refusal::Credential(_) | Refusal::OtherName => {
                self.note_wrong_credential(now, id, connect.username);
                ReasonCode::BadUserNameOrPassword
            }
        };
        let why = refusal.sentence();
        self.note_connection(now, id, connect.client_id.into(), ConnectionWhat::Refused(refusal.reason()));
        self.refuse_connect(now, id, reason, why);
    }

    /// CONNACK with an error, then the end. [MQTT-3.2.2-7]
    pub(crate) fn refuse_connect(
        &mut self,
        _now: Now,
        id: ConnectionId,
        reason: ReasonCode,
        why: &'static str,
    ) {
        self.write_why(id, Explains::Always, why, |out, version, why| {
            let told = why.map(|why| (id::REASON_STRING, Value::Text(why)));
            encode_connack(out, version, false, reason, told.as_slice());
        });
        self.close(id, reason.name());
    }

    /// The session of a client identifier, taken over or fresh, and whether it was there. [MQTT-3.1.4-3]
    fn session_for(
        &mut self,
        now: Now,
        client_id: Arc<str>,
        principal: Principal,
        clean_start: bool,
    ) -> Result<(SessionId, bool), (ReasonCode, &'static str)> {
        const FULL: (ReasonCode, &str) =
            (ReasonCode::QuotaExceeded, "The server keeps as many sessions as it may.");
        if let Some(existing) = self.by_client_id.get(&client_id).copied() {
            let Some(session) = self.session(existing) else {
                return Err((ReasonCode::UnspecifiedError, "The session is gone."));
            };
            if !principal.may_take_over(&session.principal) {
                const WHY: &str = "Another user's client has this client identifier: choose another one.";
                return Err((ReasonCode::ClientIdentifierNotValid, WHY));
            }
            if let Some(old) = session.connection {
                const WHY: &str = "taken over by a newer connection";
                self.note_connection(now, old, client_id.clone(), ConnectionWhat::Disconnected(WHY));
                self.disconnect(old, ReasonCode::SessionTakenOver, WHY);
                let old = self.connections.get_mut(old.index());
                let said_goodbye = old.is_some_and(|connection| {
                    connection.session = None;
                    connection.said_goodbye
                });
                self.leave(now, existing, said_goodbye);
            }
            if !clean_start && self.session(existing).is_some() {
                return Ok((existing, true));
            }
            self.end_session(now, existing);
        }
        if self.sessions.len() >= self.options.limits.sessions_max {
            self.counters.reached.add(Reached::Sessions);
            return Err(FULL);
        }
        self.last_key.0 += 1;
        let index = self.sessions.insert(Session::new(self.last_key, client_id.clone(), principal));
        let session = SessionId(u32::try_from(index).map_err(|_| FULL)?);
        self.by_client_id.insert(client_id, session);
        Ok((session, false))
    }

    fn open_session(&mut self, now: Now, id: ConnectionId, opening: Opening<'_>, connect: &Connect<'_>) {
        let Opening { session: session_id, is_present, is_assigned, proof } = opening;
        let limits = self.options.limits.clone();
        let properties = connect.properties;
        let wanted_expiry_s = wanted_expiry_s(connect, &limits);
        let client_receive_maximum = properties.number(id::RECEIVE_MAXIMUM).unwrap_or(u32::from(u16::MAX));
        let Some(session) = self.session(session_id) else { return };
        session.connection = Some(id);
        session.since_unix_ms = now.unix_ms;
        session.expires_at_ms = None;
        session.will_due_ms = None;
        session.expiry_ms = expiry_ms(wanted_expiry_s, limits.session_expiry_max_s);
        session.receive_maximum =
            u16::try_from(client_receive_maximum).unwrap_or(u16::MAX).min(limits.receive_maximum);
        session.will = connect.will.as_ref().map(|will| Arc::new(keep_will(will)));
        let (client_id, principal) = (session.client_id.clone(), session.principal.clone());
        let keep_alive_s = connect.keep_alive_s.min(limits.keep_alive_max_s);
        // A client without Keep Alive is held to the longest one, or a dead connection would stay for ever.
        let granted_s = if connect.keep_alive_s == 0 { limits.keep_alive_max_s } else { keep_alive_s };
        let Some(connection) = self.connections.get_mut(id.index()).filter(|c| !c.is_closing) else { return };
        let packet_bytes_max = self.entrances.rules(connection.listener).packet_bytes_max;
        connection.session = Some(session_id);
        connection.patience_ms = u64::from(granted_s) * 1500;
        let client_aliases = properties.number(id::TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
        let outgoing = u16::try_from(client_aliases).unwrap_or(u16::MAX).min(limits.topic_alias_maximum);
        connection.outgoing_aliases = OutgoingAliases::new(outgoing);
        self.watch_connection(id);
        let mut told = vec![
            (id::RECEIVE_MAXIMUM, Value::TwoBytes(limits.receive_maximum)),
            (id::MAXIMUM_PACKET_SIZE, Value::FourBytes(packet_bytes_max)),
        ];
        if limits.topic_alias_maximum > 0 {
            told.push((id::TOPIC_ALIAS_MAXIMUM, Value::TwoBytes(limits.topic_alias_maximum)));
        }
        if granted_s != connect.keep_alive_s {
            told.push((id::SERVER_KEEP_ALIVE, Value::TwoBytes(granted_s))); // [MQTT-3.1.2-21]
        }
        if wanted_expiry_s > limits.session_expiry_max_s {
            told.push((id::SESSION_EXPIRY, Value::FourBytes(limits.session_expiry_max_s)));
        }
        if is_assigned {
            told.push((id::ASSIGNED_CLIENT_IDENTIFIER, Value::Text(&client_id))); // [MQTT-3.2.2-16]
        }
        if let Some(proof) = proof {
            told.push((id::AUTHENTICATION_METHOD, Value::Text(METHOD))); // [MQTT-4.12.0-5]
            told.push((id::AUTHENTICATION_DATA, Value::Binary(proof.as_bytes())));
        }
        if limits.retained_max == 0 {
            told.push((id::RETAIN_AVAILABLE, Value::Byte(0)));
        }
        let asks = properties.number(id::REQUEST_RESPONSE_INFORMATION) == Some(1); // [MQTT-3.1.2-28]
        let information = asks.then(|| response_topic(&principal, &client_id)).flatten().unwrap_or_default();
        let is_sent = self.write_why(id, Explains::Always, &information, |out, version, information| {
            let information = information.map(|text| (id::RESPONSE_INFORMATION, Value::Text(text)));
            let told: Vec<_> = told.iter().copied().chain(information).collect();
            encode_connack(out, version, is_present, ReasonCode::Success, &told);
        });
        if !is_sent {
            self.close(id, "takes no packet as large as CONNACK");
        }
        self.keep_session(id, session_id);
        self.counters.connected += 1;
        self.note_connection(now, id, client_id, ConnectionWhat::Connected(version_text(connect.version)));
        self.send_again(now, session_id);
        self.resume_downlink(now, session_id);
    }

    /// Whether a client may set RETAIN: clients before 5.0 always may, since they cannot be told that it has no effect.
    pub(crate) fn may_retain(&self, version: Version) -> bool {
        self.options.limits.retained_max > 0 || version != Version::V5
    }

    /// A client identifier that nobody has and nobody can guess well enough to take it over.
    fn fresh_client_id(&self, id: ConnectionId) -> Arc<str> {
        let serial = self.connections.get(id.index()).map_or(0, |c| c.serial);
        // The seed is secret and the serial unique; the mix shows neither (SplitMix64's finalizer).
        let mut mixed = self.options.seed ^ serial.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("auto-{serial}-{:016x}", mixed ^ (mixed >> 31)).into()
    }
}

/// How a session is opened for a client.
struct Opening<'a> {
    session: SessionId,
    /// Whether it was there.
    is_present: bool,
    /// Whether the broker made the client identifier up.
    is_assigned: bool,
    /// The last message of an extended authentication, for CONNACK.
    proof: Option<&'a str>,
}

/// The Session Expiry Interval that a client asks for, in seconds.
fn wanted_expiry_s(connect: &Connect<'_>, limits: &Limits) -> u32 {
    match connect.version {
        Version::V5 => connect.properties.number(id::SESSION_EXPIRY).unwrap_or(0),
        // A 3.1.1 session without Clean Session is kept as long as sessions are kept at all.
        Version::V31 | Version::V311 if connect.clean_start => 0,
        Version::V31 | Version::V311 => limits.session_expiry_max_s,
    }
}

fn keep_will(will: &ConnectWill<'_>) -> Will {
    Will {
        topic: will.topic.into(),
        payload: will.payload.into(),
        qos: will.qos,
        retain: will.retain,
        delay_ms: u64::from(will.properties.number(id::WILL_DELAY).unwrap_or(0)) * 1000,
        expiry_s: will.properties.number(id::MESSAGE_EXPIRY),
        properties: crate::packets::travelling(will.properties),
    }
}
