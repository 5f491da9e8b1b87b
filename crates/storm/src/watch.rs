//! The watching client: subscribed to everything, never slow, never lost. What it is sent, in its order, is what the
//! broker took.

use broker::{Broker, ConnectionId, Now};
use mqtt::connect::Connect;
use mqtt::property::{Properties, Value, id};
use mqtt::server_packet::{self, PINGREQ, ServerPacket};
use mqtt::subscribe::{Options, encode_subscribe};
use mqtt::{Version, frame};

use crate::ledger::number_of;
use crate::scene::{self, Scene};

/// Whose index the watching client has.
pub(crate) const WATCH: usize = 0;

/// A message that the broker took.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub topic: String,
    /// The message's number; `None` for an empty payload.
    pub number: Option<u64>,
    pub retain: bool,
}

/// The watching client.
pub(crate) struct Watch {
    pub id: ConnectionId,
}

impl Watch {
    /// Connects and subscribes to everything.
    pub fn new(broker: &mut Broker, now: Now, scene: &Scene) -> Self {
        let id = broker.open(now, scene::address(WATCH, scene.is_lab)).expect("the first connection");
        let token = scene::password(WATCH, 0);
        let connect = Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive_s: 0,
            client_id: "watch",
            will: None,
            username: Some("watch"),
            password: Some(token.reveal().as_bytes()),
            properties: Properties::default(),
        };
        let mut bytes = Vec::new();
        connect.encode(&mut bytes, &[(id::SESSION_EXPIRY, Value::FourBytes(0))], &[]);
        broker.receive(now, id, &bytes);
        let watch = Self { id };
        watch.subscribe(broker, now, 2);
        let _greetings = watch.take(broker);
        watch
    }

    fn subscribe(&self, broker: &mut Broker, now: Now, retain_handling: u8) {
        let options = Options { qos: 0, no_local: false, retain_as_published: true, retain_handling };
        let mut bytes = Vec::new();
        encode_subscribe(&mut bytes, Version::V5, 1, &[("#", options)], &[]);
        broker.receive(now, self.id, &bytes);
    }

    /// Asks for the retained messages.
    pub fn retained(&self, broker: &mut Broker, now: Now) -> Vec<Taken> {
        self.subscribe(broker, now, 0);
        self.take(broker)
    }

    /// Shows that it is alive.
    pub fn ping(&self, broker: &mut Broker, now: Now) {
        broker.receive(now, self.id, &PINGREQ);
        let _answer = self.take(broker);
    }

    /// The messages that were written to it since the last call.
    pub fn take(&self, broker: &mut Broker) -> Vec<Taken> {
        let mut taken = Vec::new();
        let Some(outbox) = broker.outbox(self.id) else { return taken };
        let bytes = outbox.unsent().to_vec();
        outbox.advance(bytes.len());
        let mut rest = &bytes[..];
        while let Ok(Some(frame)) = frame::split(rest, u32::MAX) {
            if let Ok(ServerPacket::Publish(publish)) = server_packet::decode(&frame, Version::V5) {
                let (topic, number) = (publish.topic.to_owned(), number_of(publish.payload));
                taken.push(Taken { topic, number, retain: publish.retain });
            }
            rest = &rest[frame.len..];
        }
        taken
    }
}
