//! The storm itself: what happens next, drawn from the seed, and what it does to the network, the clients and the
//! broker.

use std::collections::{BTreeMap, VecDeque};

use broker::{Broker, Now};
use directory::{Command, TokenKey};
use fastrand::Rng;
use mqtt::server_packet::{self, ServerPacket};
use mqtt::{Version, frame};

use crate::client::Client;
use crate::fault::Fault;
use crate::ledger::{Bounds, Broken, Kept, Ledger, broken, number_of};
use crate::report::{Failure, Journal, Report};
use crate::scene::{self, Scene};
use crate::store::Store;
use crate::watch::Watch;
use crate::wire::{Hello, Wire};
use crate::{Plan, Promise};

/// Everything there is.
pub(crate) struct World {
    pub plan: Plan,
    pub rng: Rng,
    pub scene: Scene,
    pub broker: Broker,
    pub watch: Watch,
    pub store: Store,
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
        let mut broker = scene.broker(plan.seed, plan.fault, scene.directory.clone(), 0);
        let now = Now { mono_ms: 1_000, unix_ms: 1_795_000_000_000 };
        let store = Store::new(scene.keeps, &mut broker, now);
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
            store,
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
                98 if self.scene.keeps && self.rng.u8(..3) == 0 => self.restart()?,
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
                    let made_by = self.wires[wire].session_made_by;
                    self.ledger.on_received(who, made_by, number, publish.qos)?;
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
