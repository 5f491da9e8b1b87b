//! A client's side of MQTT 3.1.1 and 5.0, as far as a bridge needs it: clean sessions, QoS 0 and 1. Bytes in, bytes and
//! events out.

use std::collections::BTreeMap;
use std::fmt;

use mqtt::connect::Connect;
use mqtt::property::{Properties, Value, id};
use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::server_packet::{DISCONNECT, PINGREQ, ServerPacket, decode};
use mqtt::subscribe::{Options, encode_subscribe};
use mqtt::{ReasonCode, Version, frame};

use crate::status::Connection;

/// How to sign in, and what to ask for. The password never shows itself.
#[derive(Clone)]
pub struct LinkSettings {
    /// Protocol version.
    pub version: Version,
    /// Client Identifier.
    pub client_id: Box<str>,
    /// User Name.
    pub username: Option<Box<str>>,
    /// Password.
    pub password: Option<Box<[u8]>>,
    /// Keep Alive, seconds.
    pub keep_alive_s: u16,
    /// Filters to subscribe to; none asks for nothing.
    pub filters: Vec<String>,
}

impl fmt::Debug for LinkSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSettings")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("filters", &self.filters)
            .finish_non_exhaustive()
    }
}

/// A message from the broker.
#[derive(Debug)]
pub(crate) struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    /// Packet Identifier to acknowledge; `None` for QoS 0.
    pub packet_id: Option<u16>,
    pub is_retained: bool,
    /// Who passed it on, in order: the values of `TRAIL`.
    pub trail: Vec<String>,
}

/// The User Property that tells through which brokers a message has come.
pub(crate) const TRAIL: &str = "backhaul-trail";
/// Brokers in a trail that are looked at.
const TRAIL_MAX: usize = 16;

/// What the broker said.
#[derive(Debug)]
pub(crate) enum Event {
    /// Signed in and subscribed: messages may flow.
    Ready,
    Message(Message),
    /// The broker has taken the message with this ticket, or refused it.
    Settled {
        ticket: u64,
        is_taken: bool,
    },
}

/// The connection cannot go on, for a reason in words that say what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended(pub Box<str>);

fn ended(why: impl Into<Box<str>>) -> Ended {
    Ended(why.into())
}

/// Largest control packet taken. Envelopes have at most 1024 bytes.
const PACKET_BYTES_MAX: u32 = 65_536;
/// Messages that may be unacknowledged toward a broker that names no lower number.
const WINDOW: u16 = 20;
/// How long an answer to CONNECT, SUBSCRIBE or PINGREQ may take, ms.
const ANSWER_MS: u64 = 10_000;
const SUBSCRIBE_ID: u16 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Down,
    Connecting,
    Subscribing,
    Up,
}

/// One connection, and the next one after it.
#[derive(Debug)]
pub(crate) struct Link {
    settings: LinkSettings,
    stage: Stage,
    /// Number of the connection, so that answers do not go to another one.
    pub serial: u64,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    unanswered: BTreeMap<u16, u64>,
    window: u16,
    last_id: u16,
    keep_alive_ms: u64,
    sent_ms: u64,
    /// When an answer is due, if one is.
    due_ms: Option<u64>,
}

impl Link {
    pub fn new(settings: LinkSettings) -> Self {
        let keep_alive_ms = u64::from(settings.keep_alive_s) * 1000;
        Self {
            settings,
            stage: Stage::Down,
            serial: 0,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            unanswered: BTreeMap::new(),
            window: WINDOW,
            last_id: SUBSCRIBE_ID,
            keep_alive_ms,
            sent_ms: 0,
            due_ms: None,
        }
    }

    pub const fn connection(&self) -> Connection {
        match self.stage {
            Stage::Down => Connection::Down,
            Stage::Connecting | Stage::Subscribing => Connection::Greeting,
            Stage::Up => Connection::Up,
        }
    }

    /// A Network Connection is there: introduces itself.
    pub fn begin(&mut self, now_ms: u64) {
        self.end();
        self.serial += 1;
        let settings = &self.settings;
        let connect = Connect {
            version: settings.version,
            clean_start: true,
            keep_alive_s: settings.keep_alive_s,
            client_id: &settings.client_id,
            will: None,
            username: settings.username.as_deref(),
            password: settings.password.as_deref(),
            properties: Properties::default(),
        };
        let limits = [
            (id::RECEIVE_MAXIMUM, Value::TwoBytes(100)),
            (id::MAXIMUM_PACKET_SIZE, Value::FourBytes(PACKET_BYTES_MAX)),
        ];
        connect.encode(&mut self.outgoing, &limits, &[]);
        self.stage = Stage::Connecting;
        self.sent_ms = now_ms;
        self.due_ms = Some(now_ms + ANSWER_MS);
    }

    /// The Network Connection is gone.
    pub fn end(&mut self) {
        self.stage = Stage::Down;
        self.incoming.clear();
        self.outgoing.clear();
        self.unanswered.clear();
        self.window = WINDOW;
        self.last_id = SUBSCRIBE_ID;
        self.keep_alive_ms = u64::from(self.settings.keep_alive_s) * 1000;
        self.due_ms = None;
    }

    /// Says goodbye.
    pub fn leave(&mut self) {
        if self.stage != Stage::Down {
            self.outgoing.extend_from_slice(&DISCONNECT);
        }
    }

    /// Bytes to write.
    pub fn unsent(&self) -> &[u8] {
        &self.outgoing
    }

    /// So many of them are written.
    pub fn advance(&mut self, count: usize) {
        self.outgoing.drain(..count.min(self.outgoing.len()));
    }

    /// Whether one more message may be sent.
    pub fn has_window(&self) -> bool {
        self.stage == Stage::Up && self.unanswered.len() < usize::from(self.window)
    }

    /// Sends a message at QoS 1. There must be window.
    pub fn publish(&mut self, now_ms: u64, topic: &str, payload: &[u8], properties: &[u8], ticket: u64) {
        let packet_id = self.free_id();
        let publish = PublishOut {
            qos: 1,
            topic,
            packet_id,
            shared_properties: properties,
            payload,
            ..Default::default()
        };
        publish.encode(&mut self.outgoing, self.settings.version);
        self.unanswered.insert(packet_id, ticket);
        self.sent_ms = now_ms;
    }

    fn free_id(&mut self) -> u16 {
        // The window is far smaller than there are identifiers, so one is free.
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(SUBSCRIBE_ID + 1);
            if !self.unanswered.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }

    /// Acknowledges a message.
    pub fn acknowledge(&mut self, now_ms: u64, packet_id: u16) {
        let ack = Ack { kind: AckKind::Puback, packet_id, reason: ReasonCode::Success };
        ack.encode(&mut self.outgoing, self.settings.version);
        self.sent_ms = now_ms;
    }

    /// Bytes arrived, in any portions.
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Ended> {
        self.incoming.extend_from_slice(bytes);
        let incoming = std::mem::take(&mut self.incoming);
        let mut used = 0;
        loop {
            let found = frame::split(&incoming[used..], PACKET_BYTES_MAX);
            let Some(frame) = found.map_err(|error| nonsense(&error))? else { break };
            let packet = decode(&frame, self.settings.version).map_err(|error| nonsense(&error))?;
            used += frame.len;
            self.take(now_ms, packet, events)?;
        }
        self.incoming = incoming[used..].to_vec();
        Ok(())
    }

    fn take(&mut self, now_ms: u64, packet: ServerPacket<'_>, events: &mut Vec<Event>) -> Result<(), Ended> {
        match (self.stage, packet) {
            (Stage::Connecting, ServerPacket::Connack(connack)) => {
                if connack.code != 0 {
                    return Err(refused(self.settings.version, connack.code));
                }
                let wish = |wish: u32| connack.properties.number(wish);
                if let Some(seconds) = wish(id::SERVER_KEEP_ALIVE) {
                    self.keep_alive_ms = u64::from(seconds) * 1000; // [MQTT-3.1.2-21]
                }
                let window = wish(id::RECEIVE_MAXIMUM).and_then(|max| u16::try_from(max).ok());
                self.window = window.unwrap_or(WINDOW).min(WINDOW);
                if wish(id::MAXIMUM_QOS) == Some(0) {
                    return Err(ended("the other broker takes QoS 0 only, and a bridge needs QoS 1"));
                }
                self.subscribe(now_ms, events);
            }
            (Stage::Subscribing, ServerPacket::Suback(SUBSCRIBE_ID, codes)) => {
                if let Some(filter) = refused_filter(&self.settings.filters, codes) {
                    let why = format!(
                        "the broker does not let this bridge subscribe to `{filter}`; ask its operator"
                    );
                    return Err(ended(why));
                }
                self.stage = Stage::Up;
                self.due_ms = None;
                events.push(Event::Ready);
            }
            (Stage::Subscribing | Stage::Up, ServerPacket::Publish(publish)) => {
                if publish.qos == 2 {
                    return Err(ended("the broker sent QoS 2, which was not subscribed to"));
                }
                if publish.topic.is_empty() {
                    return Err(ended("the broker used a Topic Alias, which was not allowed")); // [MQTT-3.1.2-27]
                }
                let pairs = publish.properties.iter().filter_map(|(_, value)| match value {
                    Value::Pair(TRAIL, broker) => Some(broker.to_owned()),
                    _ => None,
                });
                events.push(Event::Message(Message {
                    topic: publish.topic.to_owned(),
                    payload: publish.payload.to_vec(),
                    packet_id: (publish.qos == 1).then_some(publish.packet_id),
                    is_retained: publish.retain,
                    trail: pairs.take(TRAIL_MAX).collect(),
                }));
            }
            (Stage::Up, ServerPacket::Ack(ack)) if ack.kind == AckKind::Puback => {
                if let Some(ticket) = self.unanswered.remove(&ack.packet_id) {
                    events.push(Event::Settled { ticket, is_taken: !ack.reason.is_error() });
                }
            }
            (Stage::Subscribing | Stage::Up, ServerPacket::Pingresp) => self.due_ms = None,
            (_, ServerPacket::Disconnect(bye)) => {
                return Err(ended(format!("the broker ended the connection: {:?}", bye.reason)));
            }
            _ => return Err(ended("the broker sent something that nobody had asked for")),
        }
        Ok(())
    }

    fn subscribe(&mut self, now_ms: u64, events: &mut Vec<Event>) {
        if self.settings.filters.is_empty() {
            self.stage = Stage::Up;
            self.due_ms = None;
            events.push(Event::Ready);
            return;
        }
        let options = Options { qos: 1, no_local: true, retain_as_published: false, retain_handling: 2 };
        let filters: Vec<(&str, Options)> =
            self.settings.filters.iter().map(|filter| (filter.as_str(), options)).collect();
        encode_subscribe(&mut self.outgoing, self.settings.version, SUBSCRIBE_ID, &filters, &[]);
        self.stage = Stage::Subscribing;
        self.sent_ms = now_ms;
        self.due_ms = Some(now_ms + ANSWER_MS);
    }

    /// Does what is due by the clock.
    pub fn tick(&mut self, now_ms: u64) -> Result<(), Ended> {
        if self.due_ms.is_some_and(|due| now_ms >= due) {
            return Err(ended("the broker does not answer"));
        }
        if self.stage == Stage::Up
            && self.due_ms.is_none()
            && self.keep_alive_ms > 0
            && now_ms >= self.sent_ms + self.keep_alive_ms * 3 / 4
        {
            self.outgoing.extend_from_slice(&PINGREQ);
            self.sent_ms = now_ms;
            self.due_ms = Some(now_ms + ANSWER_MS);
        }
        Ok(())
    }
}

fn refused_filter<'a>(filters: &'a [String], codes: &[u8]) -> Option<&'a str> {
    let found = filters.iter().zip(codes).find(|(_, code)| **code >= 0x80);
    found.map(|(filter, _)| filter.as_str())
}

fn nonsense(error: &mqtt::DecodeError) -> Ended {
    ended(format!("the broker does not speak this version of MQTT: {error}"))
}

/// Why CONNECT was refused, in words that say what to do.
fn refused(version: Version, code: u8) -> Ended {
    let reason = match version {
        Version::V5 => ReasonCode::from_code(code),
        Version::V31 | Version::V311 => match code {
            1 => Some(ReasonCode::UnsupportedProtocolVersion),
            2 => Some(ReasonCode::ClientIdentifierNotValid),
            3 => Some(ReasonCode::ServerUnavailable),
            4 => Some(ReasonCode::BadUserNameOrPassword),
            5 => Some(ReasonCode::NotAuthorized),
            _ => None,
        },
    };
    ended(match reason {
        Some(ReasonCode::BadUserNameOrPassword) => {
            "the broker does not know this user name and password; check `username` and `password_file`"
                .into()
        }
        Some(ReasonCode::NotAuthorized) => {
            "the broker does not let this bridge in; ask its operator for a credential".into()
        }
        Some(ReasonCode::UnsupportedProtocolVersion) => {
            "the broker does not speak this version of MQTT; try `version = \"3.1.1\"`".to_owned()
        }
        Some(ReasonCode::ClientIdentifierNotValid) => {
            "the broker does not take this client identifier; set another `client_id`".to_owned()
        }
        Some(reason) => format!("the broker refuses the connection: {reason:?}"),
        None => format!("the broker refuses the connection with code {code}"),
    })
}
