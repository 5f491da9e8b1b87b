//! The storm itself: what happens next, drawn from the seed, and what it does to the network, the clients and the
//! broker.

use std::collections::{BTreeMap, VecDeque};

use broker::{Broker, Now};
use directory::{Command, TokenKey};
use fastrand::Rng;
use mqtt::connect::{Connect, ConnectWill};
use mqtt::property::{Properties, Value, id};
use mqtt::server_packet::{self, DISCONNECT, PINGREQ, ServerPacket};
use mqtt::subscribe::{Options, encode_subscribe, encode_unsubscribe};
use mqtt::{Version, frame};

use crate::client::{Client, payload};
use crate::fault::Fault;
use crate::ledger::{Bounds, Broken, Kept, Ledger, Note, broken, number_of};
use crate::report::{Failure, Journal, Report};
use crate::scene::{self, FILTERS, Scene, TOPICS, WILL_TOPICS};
use crate::watch::Watch;
use crate::wire::{Hello, Sent, Wire};
use crate::{Plan, Promise};

/// Everything there is.
pub(crate) struct World {
    pub plan: Plan,
    pub rng: Rng,
    pub scene: Scene,
    pub broker: Broker,
    pub watch: Watch,
    pub now: Now,
    pub clients: Vec<Client>,
    pub wires: Vec<Wire>,
    /// Connections that the broker wants closed.
    pub closing: VecDeque<(usize, &'static str)>,
    pub ledger: Ledger,
    pub journal: Journal,
    /// Credentials that are disabled, and the rotation each is at.
    pub disabled: Vec<bool>,
    pub password_turns: Vec<u32>,
    pub directory: directory::Directory,
    pub last_seq: u64,
    /// Chances left before the planted fault strikes; `None` when it has, or there is none.
    pub fault_in: Option<u32>,
    pub held_back: Option<(usize, Vec<u8>)>,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let mut rng = Rng::with_seed(plan.seed);
        let scene = Scene::draw(&mut rng);
        let mut broker = scene.broker(plan.seed, plan.fault);
        let now = Now { mono_ms: 1_000, unix_ms: 1_795_000_000_000 };
        let watch = Watch::new(&mut broker, now, &scene);
        let limits = &scene.limits;
        let bounds = Bounds {
            receive_maximum: limits.receive_maximum,
            queue_messages_max: limits.queue_messages_max,
            queue_bytes_max: limits.queue_bytes_max,
            subscriptions_max: limits.subscriptions_max,
            retained_max: limits.retained_max,
            session_expiry_max_s: limits.session_expiry_max_s,
            sessions_max: limits.sessions_max - 1,
        };
        let is_recorded =
            if scene.is_lab { |_: &str| false } else { |topic: &str| topic.contains("/2/json/") };
        let versions = [Version::V311, Version::V5];
        let clients = (0..=scene.n_clients).map(|_| Client::new(versions[rng.usize(..2)])).collect();
        Self {
            fault_in: plan.fault.map(|_| rng.u32(..6)),
            ledger: Ledger::new(bounds, is_recorded, now.mono_ms),
            journal: Journal::new(plan.seed, plan.steps_shown),
            clients,
            wires: Vec::new(),
            closing: VecDeque::new(),
            disabled: vec![false; scene.n_clients + 1],
            password_turns: vec![0; scene.n_clients + 1],
            directory: (*scene.directory).clone(),
            last_seq: 0,
            held_back: None,
            plan,
            rng,
            scene,
            broker,
            watch,
            now,
        }
    }

    pub fn run(mut self) -> Report {
        let end = self.storm().and_then(|()| self.calm_down()).and_then(|()| self.everyone_leaves());
        let failure = end.err().map(|Broken { promise, what }| Failure {
            promise,
            what,
            last_steps: self.journal.last_steps(),
        });
        Report {
            seed: self.plan.seed,
            digest: self.journal.digest,
            steps: self.journal.steps,
            messages: self.ledger.notes.len() as u64,
            deliveries: self.ledger.deliveries,
            connections: self.wires.len() as u64,
            failure,
        }
    }

    fn storm(&mut self) -> Kept {
        for _ in 0..self.plan.steps {
            match self.rng.u32(..100) {
                0..30 => self.let_a_client_act()?,
                30..55 => self.feed_somewhere()?,
                55..70 => self.write_somewhere()?,
                70..85 => self.read_somewhere()?,
                85..89 => self.let_time_pass()?,
                89..93 => self.let_the_history_answer()?,
                93..96 => self.carry_out_closings()?,
                96..98 => self.break_a_wire()?,
                98 => self.freeze_or_thaw(),
                _ => self.change_the_directory()?,
            }
        }
        Ok(())
    }

    /// Whether the planted fault strikes here.
    pub fn strikes(&mut self, fault: Fault) -> bool {
        if self.plan.fault != Some(fault) {
            return false;
        }
        match self.fault_in {
            Some(0) => {
                self.fault_in = None;
                self.journal.note(format!("the planted fault strikes: {fault:?}"));
                true
            }
            Some(left) => {
                self.fault_in = Some(left - 1);
                false
            }
            None => false,
        }
    }

    // What clients do.

    fn let_a_client_act(&mut self) -> Kept {
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

    fn draw_hello(&mut self, who: usize) -> Hello {
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
        let packet_bytes_max = if is_v5 && rng.u8(..3) == 0 { small } else { u32::MAX };
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

    fn strikes_always(&mut self, fault: Fault) -> bool {
        self.plan.fault == Some(fault)
    }

    fn send(&mut self, wire: usize, bytes: &[u8], sent: Sent) {
        self.journal.note(format!("{} on wire {wire}: {sent:?}", self.now.mono_ms));
        self.wires[wire].send(bytes, sent);
    }

    fn publish(&mut self, who: usize, wire: usize) {
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

    fn without_expiry(&self, who: usize, bytes: &[u8], number: u64) -> Vec<u8> {
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

    fn subscribe(&mut self, who: usize, wire: usize) {
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

    fn unsubscribe(&mut self, who: usize, wire: usize) {
        let filters = vec![FILTERS[self.rng.usize(..FILTERS.len())]];
        let packet_id = self.clients[who].fresh_packet_id();
        let mut bytes = Vec::new();
        encode_unsubscribe(&mut bytes, self.clients[who].version, packet_id, &filters);
        self.send(wire, &bytes, Sent::Unsubscribe { packet_id, filters });
    }

    /// Gives some of the answers it owes.
    fn answer(&mut self, who: usize, wire: usize) {
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

    // What the network does.

    fn pick_wire(&mut self, is_possible: impl Fn(&Wire) -> bool) -> Option<usize> {
        let possible: Vec<usize> =
            self.wires.iter().enumerate().filter(|(_, w)| is_possible(w)).map(|(i, _)| i).collect();
        if possible.is_empty() { None } else { Some(possible[self.rng.usize(..possible.len())]) }
    }

    /// The broker reads some bytes, or learns that the client's end is closed.
    fn feed_somewhere(&mut self) -> Kept {
        let possible = |w: &Wire| w.has_broker && !w.is_closing && (w.has_upstream() || w.is_finished);
        let Some(wire) = self.pick_wire(possible) else { return Ok(()) };
        let len = self.wires[wire].upstream_len();
        let count = match self.rng.u8(..4) {
            0 => 1,
            1 => self.rng.usize(..=len),
            _ => len.min(4_000),
        };
        self.feed(wire, count)
    }

    pub fn feed(&mut self, wire: usize, count: usize) -> Kept {
        if !self.wires[wire].has_upstream() {
            return if self.wires[wire].is_finished {
                self.close(wire, "closed by the client")
            } else {
                Ok(())
            };
        }
        // Near a limit, what was dropped must be told from what was not.
        let publishes_max = if self.scene.is_roomy { 20 } else { 1 };
        let (bytes, whole) = self.wires[wire].take_upstream(count, publishes_max);
        self.journal.hash(&bytes);
        if !whole.is_empty() {
            self.journal.note(format!("{} the broker reads wire {wire}: {whole:?}", self.now.mono_ms));
        }
        self.expect(wire, &whole);
        self.broker.receive(self.now, self.wires[wire].id, &bytes);
        self.settle(Some(wire), &whole)
    }

    /// The broker's socket takes some bytes.
    fn write_somewhere(&mut self) -> Kept {
        let Some(wire) = self.pick_wire(|w| w.has_broker && w.has_staged()) else { return Ok(()) };
        let count = if self.rng.bool() { usize::MAX } else { self.rng.usize(1..100) };
        self.write(wire, count)
    }

    pub fn write(&mut self, wire: usize, count: usize) -> Kept {
        let count = count.min(self.wires[wire].room());
        let written = self.wires[wire].write(count);
        if written > 0
            && let Some(outbox) = self.broker.outbox(self.wires[wire].id)
        {
            outbox.advance(written);
        }
        self.after_write(wire)
    }

    fn read_somewhere(&mut self) -> Kept {
        let possible = |w: &Wire| w.has_client && (w.downstream_len() > 0 || !w.has_broker);
        let Some(wire) = self.pick_wire(possible) else { return Ok(()) };
        if self.clients[self.wires[wire].client].is_frozen {
            return Ok(());
        }
        let len = self.wires[wire].downstream_len();
        let count = if self.rng.bool() { len } else { self.rng.usize(..=len) };
        self.read(wire, count)
    }

    /// The client reads.
    pub fn read(&mut self, wire: usize, count: usize) -> Kept {
        let who = self.wires[wire].client;
        let bytes = self.wires[wire].read(count);
        self.clients[who].buffer.extend(bytes);
        let buffer = std::mem::take(&mut self.clients[who].buffer);
        let mut rest = &buffer[..];
        while let Ok(Some(frame)) = frame::split(rest, u32::MAX) {
            let version = self.clients[who].version;
            let packet = server_packet::decode(&frame, version)
                .map_err(|e| broken(Promise::Lawful, format!("client {who} got {frame:?}: {}", e.what)))?;
            rest = &rest[frame.len..];
            self.take_in(who, wire, packet)?;
            if self.clients[who].wire != Some(wire) {
                return Ok(());
            }
        }
        self.clients[who].buffer = rest.to_vec();
        if !self.wires[wire].has_broker && self.wires[wire].downstream_len() == 0 {
            self.wires[wire].has_client = false;
            self.clients[who].on_lost();
        }
        Ok(())
    }

    /// A client takes a packet in.
    fn take_in(&mut self, who: usize, wire: usize, packet: ServerPacket<'_>) -> Kept {
        match packet {
            ServerPacket::Connack(connack) if connack.code == 0 => {
                let is_own = self.clients[who].hello.as_ref().is_some_and(|h| h.session_of == who);
                if !is_own {
                    self.say_goodbye(who, wire, Some(0));
                    return Ok(());
                }
                let again = self.clients[who].on_accepted(connack.session_present, &self.ledger.notes);
                again.into_iter().for_each(|(bytes, sent)| self.send(wire, &bytes, sent));
            }
            ServerPacket::Connack(_) | ServerPacket::Disconnect(_) => {
                self.wires[wire].has_client = false;
                self.wires[wire].is_finished = true;
                self.clients[who].on_lost();
            }
            ServerPacket::Publish(publish) => {
                let refuses = self.rng.u8(..20) == 0;
                let is_new = self.clients[who].on_publish(publish.qos, publish.packet_id, refuses);
                if let (true, Some(number)) = (is_new, number_of(publish.payload)) {
                    self.ledger.on_received(who, number, publish.qos)?;
                }
            }
            ServerPacket::Ack(ack) => self.clients[who].on_ack(ack),
            ServerPacket::Suback(..)
            | ServerPacket::Unsuback(..)
            | ServerPacket::Pingresp
            | ServerPacket::Auth(_) => {}
        }
        Ok(())
    }

    fn break_a_wire(&mut self) -> Kept {
        let Some(wire) = self.pick_wire(|w| w.has_broker && w.has_client) else { return Ok(()) };
        let who = self.wires[wire].client;
        self.clients[who].on_lost();
        self.wires[wire].has_client = false;
        let how = self.rng.u8(..3);
        self.journal.note(format!("{} wire {wire} of client {who} breaks, kind {how}", self.now.mono_ms));
        match how {
            0 => self.wires[wire].is_finished = true,
            1 => {
                self.wires[wire].lose_upstream();
                self.close(wire, "connection lost")?;
            }
            _ => self.wires[wire].lose_upstream(),
        }
        Ok(())
    }

    fn freeze_or_thaw(&mut self) {
        let who = self.rng.usize(1..=self.scene.n_clients);
        let is_frozen = !self.clients[who].is_frozen;
        self.clients[who].is_frozen = is_frozen;
        self.journal.note(format!("client {who} frozen={is_frozen}"));
    }

    /// The shell's part: connections that the broker wants closed are flushed as far as possible and closed.
    pub fn carry_out_closings(&mut self) -> Kept {
        while let Some((wire, reason)) = self.closing.pop_front() {
            if self.wires[wire].has_broker {
                self.write(wire, usize::MAX)?;
                self.close(wire, reason)?;
            }
        }
        Ok(())
    }

    /// Tells the broker that a connection is gone.
    pub fn close(&mut self, wire: usize, reason: &'static str) -> Kept {
        self.journal.note(format!("{} wire {wire} is closed: {reason}", self.now.mono_ms));
        self.wires[wire].has_broker = false;
        if self.rng.u8(..4) == 0 {
            self.wires[wire].lose_downstream();
        }
        if let Some(session_of) = self.wires[wire].session.take()
            && self.ledger.sessions.get(&session_of).is_some_and(|s| s.wire == Some(wire))
        {
            self.ledger.on_detached(session_of, false, false);
        }
        self.broker.closed(self.now, self.wires[wire].id, reason);
        self.settle(None, &[])
    }

    // Time, history, directory.

    fn let_time_pass(&mut self) -> Kept {
        let ms = match self.rng.u32(..20) {
            0..12 => self.rng.u64(1..400),
            12..17 => self.rng.u64(400..20_000),
            17..19 => self.rng.u64(20_000..400_000),
            _ => self.rng.u64(400_000..4_000_000),
        };
        // The Unix clock steps as it likes; nothing may depend on it.
        let step = if self.rng.u8(..5) == 0 { self.rng.i64(-100_000_000..100_000_000) } else { 0 };
        self.advance(ms, step)
    }

    pub fn advance(&mut self, ms: u64, unix_step_ms: i64) -> Kept {
        self.carry_out_closings()?;
        self.watch.ping(&mut self.broker, self.now);
        self.now.mono_ms += ms;
        self.now.unix_ms += i64::try_from(ms).unwrap_or(0) + unix_step_ms;
        self.ledger.now_ms = self.now.mono_ms;
        self.journal.note(format!("{ms} ms pass: {}", self.now.mono_ms));
        self.broker.tick(self.now);
        self.settle(None, &[])
    }

    fn let_the_history_answer(&mut self) -> Kept {
        let (from, to) = (self.ledger.durable + 1, self.last_seq);
        if from > to {
            return Ok(());
        }
        let seq = self.rng.u64(from..=to);
        if self.rng.u8(..6) == 0 {
            self.journal.note(format!("reception {from} is lost"));
            self.ledger.on_lost(from);
            self.ledger.durable = from;
            self.broker.lost(from);
        } else {
            self.make_durable(seq);
        }
        self.settle(None, &[])
    }

    pub fn make_durable(&mut self, seq: u64) {
        self.journal.note(format!("durable up to {seq}"));
        self.ledger.durable = seq;
        self.broker.durable(seq);
    }

    fn change_the_directory(&mut self) -> Kept {
        if self.scene.is_lab {
            return Ok(());
        }
        let who = self.rng.usize(1..=self.scene.n_clients);
        let username = scene::username(who);
        let command = if self.disabled[who] {
            self.disabled[who] = false;
            Command::Enable { username }
        } else if self.rng.bool() {
            self.disabled[who] = true;
            Command::Disable { username }
        } else {
            self.password_turns[who] += 1;
            if self.rng.u8(..4) > 0 {
                self.clients[who].password_turn = self.password_turns[who];
            }
            let token = scene::password(who, self.password_turns[who]);
            Command::Rotate { username, token }
        };
        self.set_directory(who, command)
    }

    pub fn set_directory(&mut self, who: usize, command: Command) -> Kept {
        let key = TokenKey::new(self.scene.token_key);
        let Ok(applied) = self.directory.apply(command, &key, 0) else { return Ok(()) };
        self.journal.note(format!("{} {}", self.now.mono_ms, applied.event));
        self.directory = applied.directory;
        self.ledger.on_revoked(who);
        self.broker.set_directory(self.now, std::sync::Arc::new(self.directory.clone()));
        self.settle(None, &[])
    }

    /// Whether a client's credential is good at this moment.
    pub fn has_good_credential(&self, hello: &Hello) -> bool {
        let who = hello.client;
        let is_current = hello.password_turn == self.password_turns[who];
        self.scene.is_lab || (hello.knows_password && is_current && !self.disabled[who])
    }

    /// Outbox lengths by session, of those that can be written to.
    pub fn outboxes(&mut self) -> BTreeMap<usize, usize> {
        let mut outboxes = BTreeMap::new();
        for wire in self.wires.iter().filter(|w| w.has_broker && !w.is_closing) {
            if let (Some(session_of), Some(outbox)) = (wire.session, self.broker.outbox(wire.id)) {
                outboxes.insert(session_of, outbox.len());
            }
        }
        outboxes
    }
}
