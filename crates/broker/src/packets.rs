//! Control packets in and out: each packet from a client to its verb, and the small answers.

use std::sync::Arc;

use mqtt::client_packet::{self, ClientPacket, Disconnect};
use mqtt::property::{Properties, id};
use mqtt::publish::{Ack, AckKind, Publish, PublishOut};
use mqtt::server_packet::PINGRESP;
use mqtt::{DecodeError, ReasonCode, Version, frame};

use crate::connection::Connection;
use crate::journal::Change;
use crate::outbox::SpareBuffers;
use crate::publish::Arrived;
use crate::reached::Reached;
use crate::session::{Queued, SessionId, Step};
use crate::topic_alias::Spelling;
use crate::{Broker, ConnectionId, Now};

/// First byte of a CONNECT. [MQTT-3.1.0-1]
const CONNECT_HEADER: u8 = 0x10;
/// A client that keeps to the rules cannot wait for more answers: each has a Packet Identifier of its own.
const ANSWERS_HELD_MAX: usize = 65_535;
/// First bytes of AUTH and DISCONNECT, which alone may come between a CONNECT that names an Authentication Method and
/// CONNACK. [MQTT-3.1.2-30]
const SIGN_IN_HEADERS: [u8; 2] = [0xf0, 0xe0];

impl Broker {
    /// Takes whole control packets off the bytes; returns how many bytes were used.
    pub(crate) fn take_packets(&mut self, now: Now, id: ConnectionId, bytes: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let limits = &self.options.limits;
            let Some(connection) = self.connections.get_mut(id.index()).filter(|c| !c.is_closing) else {
                return bytes.len();
            };
            let has_session = connection.session.is_some();
            let packet_bytes_max = self.entrances.rules(connection.listener).packet_bytes_max;
            let bytes_max = if has_session { packet_bytes_max } else { limits.connect_bytes_max };
            let expected: &[u8] =
                if connection.sign_in.is_some() { &SIGN_IN_HEADERS } else { &[CONNECT_HEADER] };
            if !has_session && bytes.get(used).is_some_and(|first| !expected.contains(first)) {
                // Known from one byte: whoever speaks something else need not be listened to for long.
                self.on_bad_packet(now, id, DecodeError::protocol("the first packet is not CONNECT"));
                continue;
            }
            match frame::split(&bytes[used..], bytes_max) {
                Ok(Some(frame)) => {
                    used += frame.len;
                    connection.last_packet_ms = now.mono_ms;
                    self.counters.bytes_in += frame.len as u64;
                    self.counters.packets_in += 1;
                    let version = connection.version;
                    match client_packet::decode(&frame, version) {
                        Ok(packet) => self.on_packet(now, id, packet, frame.body),
                        Err(error) if reads_connack_v5(&frame) => self.on_bad_connect_v5(now, id, error),
                        Err(error) => self.on_bad_packet(now, id, error),
                    }
                }
                Ok(None) => return used,
                Err(error) => self.on_bad_packet(now, id, error),
            }
        }
    }

    fn on_packet(&mut self, now: Now, id: ConnectionId, packet: ClientPacket<'_>, body: &[u8]) {
        let session = self.connections.get(id.index()).and_then(|c| c.session);
        match (packet, session) {
            (ClientPacket::Connect(connect), None) => self.on_connect(now, id, &connect, body),
            (ClientPacket::Connect(_), Some(_)) => {
                self.on_bad_packet(now, id, DecodeError::protocol("a second CONNECT")); // [MQTT-3.1.0-2]
            }
            (ClientPacket::Auth(auth), session) => self.on_auth(now, id, session, auth),
            (ClientPacket::Disconnect(_), None) => self.close(id, "left"),
            (_, None) => {
                self.on_bad_packet(now, id, DecodeError::protocol("the first packet is not CONNECT"))
            }
            (ClientPacket::Publish(publish), Some(s)) => self.on_publish_packet(now, id, s, &publish),
            (ClientPacket::Ack(ack), Some(s)) => self.on_ack(now, s, ack),
            (ClientPacket::Subscribe(subscribe), Some(s)) => self.on_subscribe(now, id, s, &subscribe),
            (ClientPacket::Unsubscribe(unsubscribe), Some(s)) => self.on_unsubscribe(id, s, &unsubscribe),
            (ClientPacket::Pingreq, Some(_)) => self.write(id, |out, _| out.extend_from_slice(&PINGRESP)),
            (ClientPacket::Disconnect(disconnect), Some(s)) => self.on_disconnect(now, id, s, disconnect),
        }
    }

    /// The rules that MQTT has for a PUBLISH beyond its form; then the journey.
    fn on_publish_packet(&mut self, now: Now, id: ConnectionId, sender: SessionId, publish: &Publish<'_>) {
        let aliased = match self.resolve_alias(id, publish) {
            Ok(topic) => topic,
            Err(error) => return self.on_bad_packet(now, id, error),
        };
        let topic = aliased.as_deref().unwrap_or(publish.topic);
        if publish.properties.number(id::SUBSCRIPTION_IDENTIFIER).is_some() {
            let error = DecodeError::protocol("a Subscription Identifier from a client"); // [MQTT-3.3.4-6]
            return self.on_bad_packet(now, id, error);
        }
        if let Some(why) = self.options.limits.why_not_topic(topic) {
            self.counters.reached.add(Reached::Topic);
            return self.on_bad_packet(now, id, DecodeError::with(ReasonCode::TopicNameInvalid, why));
        }
        let version = self.connections.get(id.index()).map_or(Version::V311, |c| c.version);
        if publish.retain && !self.may_retain(version) {
            let error = DecodeError::with(ReasonCode::RetainNotSupported, "RETAIN, which CONNACK declined");
            return self.on_bad_packet(now, id, error); // [MQTT-3.2.2-14]
        }
        if publish.qos > 0 && self.session(sender).is_some_and(|s| s.held.len() >= ANSWERS_HELD_MAX) {
            let error = DecodeError::with(
                ReasonCode::ReceiveMaximumExceeded,
                "more messages without an answer than there are Packet Identifiers",
            );
            return self.on_bad_packet(now, id, error);
        }
        let changes_before = self.journal.last();
        if publish.qos == 2 {
            let receive_maximum = usize::from(self.options.limits.receive_maximum);
            let Some(session) = self.session(sender) else { return };
            if session.incoming_qos2.contains(&publish.packet_id) {
                return self.answer_again(sender, id, publish.packet_id);
            }
            if session.incoming_qos2.len() >= receive_maximum {
                let error =
                    DecodeError::with(ReasonCode::ReceiveMaximumExceeded, "more QoS 2 messages than allowed");
                return self.on_bad_packet(now, id, error);
            }
            let key = session.kept_key();
            if key.is_some() && self.journal.is_full() {
                self.refuse_change();
                return self.answer_unkept(sender, publish.qos, publish.packet_id);
            }
            if let Some(session) = self.session(sender) {
                session.incoming_qos2.insert(publish.packet_id);
            }
            if let Some(key) = key {
                self.journal.note(Change::Incoming(key, publish.packet_id));
            }
        }
        if let Some(session) = self.session(sender) {
            session.messages_in += 1;
        }
        self.counters.payload_bytes_in += publish.payload.len() as u64;
        let arrived = Arrived {
            topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            packet_id: publish.packet_id,
            expiry_s: publish.properties.number(id::MESSAGE_EXPIRY),
            properties: travelling(publish.properties),
        };
        self.on_publish(now, sender, arrived, changes_before);
    }

    /// The Topic Name that a Topic Alias stands for; `None` when the PUBLISH carries none.
    fn resolve_alias(
        &mut self,
        id: ConnectionId,
        publish: &Publish<'_>,
    ) -> Result<Option<Arc<str>>, DecodeError> {
        let Some(alias) = publish.properties.number(id::TOPIC_ALIAS) else { return Ok(None) };
        let max = self.options.limits.topic_alias_maximum;
        let Some(connection) = self.connection(id) else { return Ok(None) };
        connection.incoming_aliases.resolve(alias, publish.topic, max).map(Some)
    }

    fn on_ack(&mut self, now: Now, from: SessionId, ack: Ack) {
        match ack.kind {
            AckKind::Puback => {
                self.on_finished(now, from, ack.packet_id, Step::Puback);
            }
            AckKind::Pubrec if ack.reason.is_error() => {
                self.on_finished(now, from, ack.packet_id, Step::Pubrec);
            }
            AckKind::Pubrec => self.on_pubrec(from, ack.packet_id),
            AckKind::Pubrel => self.on_pubrel(from, ack.packet_id),
            AckKind::Pubcomp => {
                self.on_finished(now, from, ack.packet_id, Step::Pubcomp);
            }
        }
    }

    fn on_disconnect(&mut self, now: Now, id: ConnectionId, from: SessionId, disconnect: Disconnect) {
        if let Some(expiry_s) = disconnect.session_expiry_s {
            let expiry_max_s = self.options.limits.session_expiry_max_s;
            let Some(session) = self.session(from) else { return };
            if session.expiry_ms == 0 && expiry_s > 0 {
                // [MQTT-3.14.2-2]
                let error = DecodeError::protocol("a session that was to end at once is to be kept");
                return self.on_bad_packet(now, id, error);
            }
            session.expiry_ms = crate::connect::expiry_ms(expiry_s, expiry_max_s);
            self.note_head(from);
        }
        if let Some(connection) = self.connection(id) {
            connection.said_goodbye = disconnect.reason == ReasonCode::Success; // [MQTT-3.14.4-3]
        }
        self.close(id, "left");
    }

    /// A CONNECT of 5.0 or later that breaks a rule can be answered with what is wrong. [MQTT-3.1.2-2] [MQTT-3.1.4-1]
    fn on_bad_connect_v5(&mut self, now: Now, id: ConnectionId, error: DecodeError) {
        match self.connection(id).filter(|c| c.session.is_none()) {
            Some(connection) => connection.version = Version::V5,
            None => return self.on_bad_packet(now, id, error),
        }
        let may_say = error.reason.may_stand_in(mqtt::reason_code::carrier::CONNACK);
        let reason = if may_say { error.reason } else { ReasonCode::ProtocolError };
        self.count_bad_packet(error);
        self.refuse_connect(now, id, reason, error.what);
    }

    /// Bytes that are no lawful packet: counted, answered where the client can be told, and the connection ends.
    pub(crate) fn on_bad_packet(&mut self, now: Now, id: ConnectionId, error: DecodeError) {
        self.count_bad_packet(error);
        let Some(connection) = self.connection(id) else { return };
        if connection.session.is_none() && error.reason == ReasonCode::UnsupportedProtocolVersion {
            // [MQTT-3.1.2-2] of 3.1.1
            connection.version = Version::V311;
            return self.refuse_connect(now, id, error.reason, error.what);
        }
        let may_say = error.reason.may_stand_in(mqtt::reason_code::carrier::CONNACK);
        if connection.session.is_none() && connection.sign_in.is_some() && may_say {
            return self.refuse_connect(now, id, error.reason, error.what); // CONNACK is what the client waits for.
        }
        self.disconnect(id, error.reason, error.what);
    }

    fn count_bad_packet(&mut self, error: DecodeError) {
        let index = match error.reason {
            ReasonCode::MalformedPacket => 0,
            ReasonCode::PacketTooLarge => 2,
            ReasonCode::UnsupportedProtocolVersion => 3,
            _ => 1,
        };
        self.counters.malformed[index] += 1;
    }

    /// Appends to a connection's outbox.
    pub(crate) fn write(&mut self, id: ConnectionId, packet: impl FnOnce(&mut Vec<u8>, Version)) {
        let Some(connection) = self.connections.get_mut(id.index()).filter(|c| !c.is_closing) else { return };
        let out = connection.outbox.append(&mut self.spare_buffers);
        let start = out.len();
        packet(out, connection.version);
        self.counters.packets_out += 1;
        let bytes = out.len() - start;
        self.counters.bytes_out += bytes as u64;
        self.memory.note(bytes);
        self.mark_dirty(id);
        self.check_unread(id);
    }
}

/// Whether a frame begins as a CONNECT of 5.0 or later does, so that its sender reads a CONNACK of 5.0. The upper half of
/// the numbers is older versions' with a bridge's mark.
fn reads_connack_v5(frame: &frame::Frame<'_>) -> bool {
    let version = frame.body.strip_prefix(b"\x00\x04MQTT").and_then(|rest| rest.first());
    frame.header == CONNECT_HEADER && version.is_some_and(|version| (5..0x80).contains(version))
}

/// The properties that travel with a message, as bytes of a property section; most have none, which costs nothing.
pub(crate) fn travelling(properties: Properties<'_>) -> Option<Arc<[u8]>> {
    const TRAVELLING: [u32; 5] =
        [id::PAYLOAD_FORMAT, id::CONTENT_TYPE, id::RESPONSE_TOPIC, id::CORRELATION_DATA, id::USER_PROPERTY];
    if properties.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    let travelling = properties.iter().filter(|(id, _)| TRAVELLING.contains(id));
    travelling.for_each(|(id, value)| mqtt::property::put(&mut out, id, value));
    (!out.is_empty()).then(|| out.into())
}

/// Writes one copy into a connection's outbox, with its hop limit lowered in place where policy said so. Returns the bytes
/// of the packet; `None` when the client does not take packets that large. [MQTT-3.1.2-24]
pub(crate) fn write_publish(
    connection: &mut Connection,
    spare_buffers: &mut SpareBuffers,
    now: Now,
    copy: &Queued,
    packet_id: u16,
    again: bool,
) -> Option<usize> {
    let (message, version) = (&copy.message, connection.version);
    let spelling =
        connection.outgoing_aliases.as_ref().map_or(Spelling::Topic, |a| a.spelling(&message.topic));
    let mut publish = PublishOut {
        dup: again,
        qos: copy.qos,
        retain: copy.retain,
        topic: if matches!(spelling, Spelling::Alias(_)) { "" } else { &message.topic },
        alias: match spelling {
            Spelling::Topic => None,
            Spelling::Both(alias) | Spelling::Alias(alias) => Some(alias),
        },
        packet_id,
        shared_properties: message.properties.as_deref().unwrap_or_default(),
        expiry_s: message.expiry_left_s(now.mono_ms),
        identifiers: &copy.identifiers,
        payload: &message.payload,
    };
    let bytes_max = connection.client_packet_bytes_max as usize;
    if publish.len(version) > bytes_max && matches!(spelling, Spelling::Both(_)) {
        publish.alias = None; // A first alias must not make the packet one that the client does not take.
    }
    if publish.len(version) > bytes_max {
        return None;
    }
    if let (Spelling::Both(alias), Some(_), Some(aliases)) =
        (spelling, publish.alias, &mut connection.outgoing_aliases)
    {
        aliases.note_told(&message.topic, alias);
    }
    let out = connection.outbox.append(spare_buffers);
    let start = out.len();
    let payload_at = publish.encode(out, version);
    if let (Some(hop_limit), Some(at)) = (copy.hop_limit, message.hop_limit_at) {
        mesh::packet::lower_hop_limit(&mut out[payload_at..], at, hop_limit);
    }
    Some(out.len() - start)
}
