//! What clients do: connect, publish, subscribe, answer, leave. Faults may make the broker see something else.

use mqtt::connect::{Connect, ConnectWill};
use mqtt::property::{Properties, Value, id};
use mqtt::server_packet::{DISCONNECT, PINGREQ};
use mqtt::subscribe::{Options, encode_subscribe, encode_unsubscribe};
use mqtt::{Version, frame};

use crate::Promise;
use crate::client::payload;
use crate::fault::Fault;
use crate::ledger::{Kept, Note, broken};
use crate::scene::{self, FILTERS, TOPICS, WILL_TOPICS};
use crate::wire::{Hello, Sent, Wire};
use crate::world::World;

impl World {
    pub fn let_a_client_act(&mut self) -> Kept {
        let who = self.rng.usize(1..=self.scene.n_clients);
        let client = &self.clients[who];
        match client.wire {
            None => self.connect(who),
            Some(_) if !client.is_connected => {
                if self.rng.u8(..40) == 0 {
                    self.connect(who)?;
                }
                Ok(())
            }
            Some(wire) => {
                match self.rng.u32(..100) {
                    0..45 => self.publish(who, wire),
                    45..60 => self.subscribe(who, wire),
                    60..63 => self.unsubscribe(who, wire),
                    63..92 => self.answer(who, wire),
                    92..95 => self.send(wire, &PINGREQ, Sent::Ping),
                    95..97 => self.say_goodbye(who, wire, None),
                    97 => return self.connect(who),
                    _ => {}
                }
                Ok(())
            }
        }
    }

    /// Opens a connection and sends CONNECT, whether or not there is one already.
    pub fn connect(&mut self, who: usize) -> Kept {
        if let Some(old) = self.clients[who].wire {
            // Half-open: the broker does not hear of it until it notices, or is told by the takeover.
            self.wires[old].has_client = false;
            if self.rng.bool() {
                self.wires[old].lose_upstream();
            }
            self.clients[who].on_lost();
        }
        let address = scene::address(who, self.scene.is_lab);
        let Some(id) = self.broker.open(self.now, address) else {
            return Err(broken(Promise::Admission, "a connection was refused below every limit"));
        };
        let wire = self.wires.len();
        self.wires.push(Wire::new(id, who));
        self.clients[who].wire = Some(wire);
        let hello = self.draw_hello(who);
        self.say_hello(who, wire, hello);
        Ok(())
    }

    pub fn draw_hello(&mut self, who: usize) -> Hello {
        let is_v5 = self.clients[who].version == Version::V5;
        let rng = &mut self.rng;
        let is_clean = rng.u8(..10) < 3;
        let is_thief = !self.scene.is_lab && rng.u8(..40) == 0;
        let session_of = if is_thief { rng.usize(1..=self.scene.n_clients) } else { who };
        let expiry_s = match is_v5 {
            true => [0, 5, 120, 100_000, u32::MAX][rng.usize(..5)],
            false if is_clean => 0,
            false => u32::MAX,
        };
        let receive_maximum = if is_v5 { [1, 2, 8, u16::MAX][rng.usize(..4)] } else { u16::MAX };
        let small = [60, 150, 300][rng.usize(..3)];
        // With restarts too, nobody could tell which of two equal messages was given up for its size.
        let is_small = is_v5 && !self.scene.keeps && rng.u8(..3) == 0;
        let packet_bytes_max = if is_small { small } else { u32::MAX };
        let has_will = rng.u8(..10) < 4;
        let knows_password = rng.u8(..30) > 0;
        let will = has_will.then(|| {
            let note = Note {
                publisher: session_of,
                topic: WILL_TOPICS[rng.usize(..2)],
                qos: rng.u8(..3),
                retain: rng.u8(..3) == 0,
                payload_len: rng.usize(8..60),
                expiry_s: None,
                is_will: true,
            };
            let delay_ms = if is_v5 { [0, 3_000, 60_000][rng.usize(..3)] } else { 0 };
            (self.ledger.note(note), delay_ms)
        });
        Hello {
            client: who,
            session_of,
            is_clean,
            expiry_s,
            receive_maximum,
            packet_bytes_max,
            will,
            knows_password,
            password_turn: self.clients[who].password_turn,
        }
    }

    /// Sends CONNECT as the hello says; faults may make the broker see another one.
    pub fn say_hello(&mut self, who: usize, wire: usize, hello: Hello) {
        let client = &self.clients[who];
        let (version, turn) = (client.version, hello.password_turn);
        let mut told = hello.clone();
        if told.receive_maximum < u16::MAX && self.strikes_always(Fault::RaiseReceiveMaximum) {
            told.receive_maximum = u16::MAX;
        }
        if told.packet_bytes_max < u32::MAX && self.strikes_always(Fault::RaisePacketSize) {
            told.packet_bytes_max = u32::MAX;
        }
        if told.will.is_some() && self.strikes_always(Fault::ForgetWill) {
            told.will = None;
        }
        if told.expiry_s > 0 && self.strikes(Fault::ForgetSession) {
            told.expiry_s = 0;
        }
        if !told.knows_password && !self.scene.is_lab && self.strikes_always(Fault::ForgetPassword) {
            told.knows_password = true;
        }
        let token = scene::password(who, if told.knows_password { turn } else { u32::from(u8::MAX) });
        let name = scene::username(who);
        let client_id = scene::username(told.session_of);
        let will_note = told.will.map(|(number, delay_ms)| {
            let note = &self.ledger.notes[crate::client::index(number)];
            (note.clone(), payload(number, note.payload_len), delay_ms)
        });
        let connect = Connect {
            version,
            clean_start: told.is_clean || (version == Version::V311 && told.expiry_s == 0),
            keep_alive_s: [0, 10, 300][self.rng.usize(..3)],
            client_id: &client_id,
            will: will_note.as_ref().map(|(note, payload, _)| ConnectWill {
                topic: note.topic,
                payload,
                qos: note.qos,
                retain: note.retain,
                properties: Properties::default(),
            }),
            username: Some(&name),
            password: Some(token.reveal().as_bytes()),
            properties: Properties::default(),
        };
        let mut properties = vec![(id::SESSION_EXPIRY, Value::FourBytes(told.expiry_s))];
        if told.receive_maximum < u16::MAX {
            properties.push((id::RECEIVE_MAXIMUM, Value::TwoBytes(told.receive_maximum)));
        }
        if told.packet_bytes_max < u32::MAX {
            properties.push((id::MAXIMUM_PACKET_SIZE, Value::FourBytes(told.packet_bytes_max)));
        }
        let delay_s = will_note.as_ref().map_or(0, |(_, _, delay_ms)| *delay_ms / 1000);
        let will_properties = [(id::WILL_DELAY, Value::FourBytes(u32::try_from(delay_s).unwrap_or(0)))];
        let mut bytes = Vec::new();
        connect.encode(&mut bytes, &properties, if told.will.is_some() { &will_properties } else { &[] });
        self.journal.note(format!(
            "{} client {who} connects on wire {wire}: {version:?} as {} clean={} expiry={} receive_maximum={} \
             packet_max={} will={:?}",
            self.now.mono_ms,
            hello.session_of,
            hello.is_clean,
            hello.expiry_s,
            hello.receive_maximum,
            hello.packet_bytes_max,
            hello.will,
        ));
        self.clients[who].hello = Some(hello.clone());
        self.wires[wire].packet_bytes_max = hello.packet_bytes_max;
        self.wires[wire].send(&bytes, Sent::Connect(Box::new(hello)));
    }

    pub fn strikes_always(&mut self, fault: Fault) -> bool {
        self.plan.fault == Some(fault)
    }

    pub fn send(&mut self, wire: usize, bytes: &[u8], sent: Sent) {
        self.journal.note(format!("{} on wire {wire}: {sent:?}", self.now.mono_ms));
        self.wires[wire].send(bytes, sent);
    }

    pub fn publish(&mut self, who: usize, wire: usize) {
        let in_flight_max = usize::from(self.scene.limits.receive_maximum);
        let has_room = self.clients[who].n_unfinished() < in_flight_max;
        let rng = &mut self.rng;
        let qos = if has_room { rng.u8(..3) } else { 0 };
        let retain = rng.u8(..5) == 0;
        let is_clear = retain && rng.u8(..3) == 0;
        let may_expire = !(retain && self.scene.limits.retained_max < 100);
        let is_v5 = self.clients[who].version == Version::V5;
        let large = if self.scene.is_roomy { 1_500 } else { 400 };
        let note = Note {
            publisher: who,
            topic: TOPICS[rng.usize(..TOPICS.len())],
            qos,
            retain,
            payload_len: match rng.u8(..4) {
                _ if is_clear => 0,
                0 => rng.usize(8..large),
                _ => rng.usize(8..80),
            },
            expiry_s: (is_v5 && may_expire && rng.u8(..4) == 0).then(|| [1, 30, 600][rng.usize(..3)]),
            is_will: false,
        };
        let number = self.ledger.note(note);
        let (mut bytes, sent) = self.clients[who].publish(number, &self.ledger.notes);
        let note = &self.ledger.notes[crate::client::index(number)];
        self.journal
            .note(format!("{} client {who} publishes {number} on wire {wire}: {note:?}", self.now.mono_ms));
        if retain && self.strikes(Fault::ForgetRetain) {
            bytes[0] &= !1;
        }
        if self.ledger.notes[crate::client::index(number)].expiry_s == Some(1)
            && self.plan.fault == Some(Fault::ForgetExpiry)
        {
            bytes = self.without_expiry(who, &bytes, number);
        }
        self.wires[wire].send(&bytes, sent);
    }

    pub fn without_expiry(&self, who: usize, bytes: &[u8], number: u64) -> Vec<u8> {
        let mut notes = self.ledger.notes.clone();
        notes[crate::client::index(number)].expiry_s = None;
        let version = self.clients[who].version;
        let Ok(Some(frame)) = frame::split(bytes, u32::MAX) else { return bytes.to_vec() };
        let Ok(mqtt::client_packet::ClientPacket::Publish(p)) = mqtt::client_packet::decode(&frame, version)
        else {
            return bytes.to_vec();
        };
        let out = mqtt::publish::PublishOut {
            dup: p.dup,
            qos: p.qos,
            retain: p.retain,
            topic: p.topic,
            packet_id: p.packet_id,
            payload: p.payload,
            ..Default::default()
        };
        let mut again = Vec::new();
        out.encode(&mut again, version);
        again
    }

    pub fn subscribe(&mut self, who: usize, wire: usize) {
        let is_v5 = self.clients[who].version == Version::V5;
        let rng = &mut self.rng;
        let mut filters: Vec<(&'static str, Options)> = Vec::new();
        for _ in 0..rng.usize(1..4) {
            let filter = FILTERS[rng.usize(..FILTERS.len())];
            let options = Options {
                qos: rng.u8(..3),
                no_local: is_v5 && rng.u8(..5) == 0,
                retain_as_published: is_v5 && rng.bool(),
                retain_handling: if is_v5 { rng.u8(..3) } else { 0 },
            };
            if !filters.iter().any(|(f, _)| *f == filter) {
                filters.push((filter, options));
            }
        }
        let identifier = (is_v5 && rng.u8(..3) == 0).then(|| rng.u32(1..200_000));
        let packet_id = self.clients[who].fresh_packet_id();
        let properties: Vec<_> =
            identifier.iter().map(|i| (id::SUBSCRIPTION_IDENTIFIER, Value::Variable(*i))).collect();
        let mut bytes = Vec::new();
        encode_subscribe(&mut bytes, self.clients[who].version, packet_id, &filters, &properties);
        self.send(wire, &bytes, Sent::Subscribe { packet_id, filters, identifier });
    }

    pub fn unsubscribe(&mut self, who: usize, wire: usize) {
        let filters = vec![FILTERS[self.rng.usize(..FILTERS.len())]];
        let packet_id = self.clients[who].fresh_packet_id();
        let mut bytes = Vec::new();
        encode_unsubscribe(&mut bytes, self.clients[who].version, packet_id, &filters);
        self.send(wire, &bytes, Sent::Unsubscribe { packet_id, filters });
    }

    /// Gives some of the answers it owes.
    pub fn answer(&mut self, who: usize, wire: usize) {
        for _ in 0..self.rng.usize(1..6) {
            if !self.answer_one(who, wire) {
                return;
            }
        }
    }

    /// Gives the next answer; returns whether there was one.
    pub fn answer_one(&mut self, who: usize, wire: usize) -> bool {
        let Some((mut bytes, sent)) = self.clients[who].answers.pop_front() else { return false };
        if matches!(sent, Sent::Pubrec { .. }) && self.strikes(Fault::ForgetPubrec) {
            bytes.clear();
        }
        self.send(wire, &bytes, sent);
        true
    }

    /// DISCONNECT, with the Will kept now and then; `None` draws the Session Expiry.
    pub fn say_goodbye(&mut self, who: usize, wire: usize, expiry_s: Option<u32>) {
        let is_v5 = self.clients[who].version == Version::V5;
        let had_expiry = self.clients[who].hello.as_ref().is_some_and(|h| h.expiry_s > 0);
        let keeps_will = is_v5 && expiry_s.is_none() && self.rng.u8(..3) == 0;
        let expiry_s: Option<u32> = match expiry_s {
            _ if !is_v5 => None,
            Some(0) => Some(0),
            _ if had_expiry && self.rng.u8(..3) == 0 => Some([0, 7, 300][self.rng.usize(..3)]),
            _ => None,
        };
        let mut bytes = DISCONNECT.to_vec();
        if is_v5 && (keeps_will || expiry_s.is_some()) {
            let reason = if keeps_will { 0x04 } else { 0x00 };
            bytes = match expiry_s {
                Some(s) => {
                    let [a, b, c, d] = s.to_be_bytes();
                    vec![0xe0, 7, reason, 5, 0x11, a, b, c, d]
                }
                None => vec![0xe0, 2, reason, 0],
            };
        }
        let has_will = self.clients[who].hello.as_ref().is_some_and(|h| h.will.is_some());
        if has_will && !keeps_will && self.strikes(Fault::ForgetGoodbye) {
            bytes.clear();
        }
        self.send(wire, &bytes, Sent::Disconnect { keeps_will, expiry_s });
        self.wires[wire].has_client = false;
        self.wires[wire].is_finished = true;
        self.clients[who].on_lost();
    }
}
