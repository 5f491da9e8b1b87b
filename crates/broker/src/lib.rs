//! Sessions, subscriptions and the journey of a packet. Knows no sockets, files or clock.
//!
//! The shell feeds bytes and time in (`open`, `receive`, `closed`, `tick`) and takes bytes and records out
//! (`next_dirty`, `outbox`, `next_closing`, `take_records`). `publish.rs` tells the journey from top to bottom.

mod acknowledge;
mod board;
mod command;
mod connect;
mod connection;
mod counters;
mod deliver;
mod disconnect;
mod downlink;
mod erased;
mod gate;
mod holdings;
mod journal;
mod keep;
mod limits;
mod memory;
mod message;
mod observe;
mod origin;
mod outbox;
mod packets;
mod publish;
mod reached;
mod reason;
mod repeat;
mod retained;
mod route_cache;
mod session;
mod shared;
mod sign_in;
mod sign_in_wait;
mod snapshot;
mod subscribe;
mod subscription_tree;
mod sys;
mod tell;
mod tick;
mod timers;
mod topic_alias;
mod verify;
mod watching;
mod will;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use directory::Directory;
use policy::engine::Policy;
use policy::memory::MemoryLimits;
use policy::memory::keep::{Damaged, Restored};
pub use policy::now::Now;
use policy::settings::Settings;
use record::{ConnectionEvent, ConnectionWhat, PolicyChange, Record};
use slab::Slab;

pub use board::{Board, GatewayBoard, IslandBoard, Share, WaitingClass};
pub use connection::ConnectionId;
pub use counters::{Counters, DOOR_REASONS, MALFORMED_REASONS, RuleCounts};
pub use erased::ErasedHere;
pub use holdings::Holdings;
pub use journal::{Away, Batch, Change, Head, SessionKey};
pub use keep::{Kept, KeptCopy, KeptSession};
pub use limits::Limits;
pub use message::Message;
pub use origin::{ListenerRules, ListenerSnapshot, Origin};
pub use outbox::Outbox;
pub use reached::{Reached, ReachedCounts};
pub use session::{Identifiers, Queued};
pub use snapshot::{ClientSnapshot, Snapshot};
pub use subscription_tree::Subscription;
pub use tell::{OwnMessage, REPLAY_TREE, ReplayedMessage};
pub use watching::{NodeAbout, Watching};
pub use will::Will;

use connection::Connection;
use session::{Session, SessionId};

/// What a broker is made of.
pub struct Options {
    /// Plain-broker profile: loopback only, anonymous, every topic allowed, no mesh policy, no records.
    pub lab: bool,
    /// Its limits.
    pub limits: Limits,
    /// The policy in force.
    pub policy: Arc<Settings>,
    /// Keys of the channels that may be opened.
    pub keyring: mesh::keyring::Keyring,
    /// Modem preset assumed for channels whose name does not tell, for time on air.
    pub preset: mesh::airtime::ModemPreset,
    /// Who may connect.
    pub directory: Arc<Directory>,
    /// Key of the token hashes.
    pub token_key: directory::TokenKey,
    /// Number of the last reception in the history.
    pub last_seq: u64,
    /// Whether acknowledgements wait until the history has the reception.
    pub acknowledge_when_durable: bool,
    /// Makes hashing and assigned client identifiers unpredictable.
    pub seed: u64,
}

/// The broker: one value, one owner.
pub struct Broker {
    options: Options,
    entrances: origin::Entrances,
    gate: gate::Gate,
    memory: memory::Memory,
    sign_in_waits: sign_in_wait::SignInWaits,
    connections: Slab<Connection>,
    sessions: Slab<Session>,
    by_client_id: BTreeMap<Arc<str>, SessionId>,
    subscriptions: subscription_tree::SubscriptionTree,
    shared: shared::SharedGroups,
    retained: retained::Retained,
    sys: sys::Sys,
    policy: Policy,
    counters: Counters,
    last_seq: u64,
    connections_made: u64,
    sign_ins_begun: u64,
    round_trips: u64,
    /// When services had something sent.
    sent_for_services: command::SentForServices,
    dirty: VecDeque<ConnectionId>,
    closing: VecDeque<(ConnectionId, &'static str)>,
    records: Vec<Record>,
    /// Copies that waited and are settled, with the number of their reception and when.
    settled: Vec<(u64, i64, record::ReleasedCopy)>,
    durable_seq: u64,
    /// Sessions that have an answer waiting for a reception to be in the history.
    held_by_seq: VecDeque<(u64, SessionId)>,
    /// Sessions that have an answer waiting for a change to be in the store.
    held_by_change: VecDeque<(u64, SessionId)>,
    /// Connections that write nothing before a change is in the store.
    barred: VecDeque<(u64, ConnectionId)>,
    /// QoS 2 messages that are not sent before they are in the store.
    unkept_messages: VecDeque<keep::UnkeptMessage>,
    journal: journal::Journal,
    last_key: SessionKey,
    route_cache: route_cache::RouteCache,
    erased: erased::Erased,
    /// Empty between two uses, so that merging does not allocate a list that grows.
    routes: Vec<deliver::Route>,
    routings: u64,
    timers: timers::Timers,
    due: Vec<timers::Timer>,
    next_tick_ms: u64,
    spare_buffers: outbox::SpareBuffers,
    waiting_for_room: Vec<SessionId>,
    /// The connection that the shell writes at the moment.
    being_written: Option<ConnectionId>,
}

impl Broker {
    /// A broker without clients.
    pub fn new(options: Options) -> Self {
        let limits = &options.limits;
        Self {
            entrances: origin::Entrances::new(vec![ListenerRules::of(limits, "mqtt")]),
            gate: Default::default(),
            memory: Default::default(),
            sign_in_waits: sign_in_wait::SignInWaits::new(limits.sign_in_free_tries),
            connections: Slab::new(),
            sessions: Slab::new(),
            by_client_id: BTreeMap::new(),
            subscriptions: Default::default(),
            shared: Default::default(),
            retained: retained::Retained::bounded(limits.retained_max, limits.retained_bytes_max),
            sys: Default::default(),
            policy: Policy::new(
                options.policy.clone(),
                MemoryLimits { seen_packets_max: limits.seen_packets_max, ..MemoryLimits::default() },
                options.seed,
            ),
            counters: Counters::default(),
            last_seq: options.last_seq,
            connections_made: 0,
            sign_ins_begun: 0,
            round_trips: 0,
            sent_for_services: command::SentForServices::default(),
            dirty: VecDeque::new(),
            closing: VecDeque::new(),
            records: Vec::new(),
            settled: Vec::new(),
            durable_seq: options.last_seq,
            held_by_seq: VecDeque::new(),
            held_by_change: VecDeque::new(),
            barred: VecDeque::new(),
            unkept_messages: VecDeque::new(),
            journal: journal::Journal::new(limits.unkept_changes_max, limits.unkept_bytes_max),
            last_key: SessionKey(0),
            route_cache: route_cache::RouteCache::new(options.seed),
            erased: erased::Erased::new(options.seed),
            routes: Vec::new(),
            routings: 0,
            timers: Default::default(),
            due: Vec::new(),
            next_tick_ms: 0,
            spare_buffers: Default::default(),
            waiting_for_room: Vec::new(),
            being_written: None,
            options,
        }
    }

    /// The same with listeners of these rules, by number, in place of one that allows what the limits do. There must be
    /// one at least.
    pub fn with_listeners(mut self, rules: Vec<ListenerRules>) -> Self {
        if !rules.is_empty() {
            self.entrances = origin::Entrances::new(rules);
        }
        self
    }

    /// A Network Connection was accepted. `None` when there are too many: the shell drops it.
    pub fn open(&mut self, now: Now, origin: impl Into<Origin>) -> Option<ConnectionId> {
        let origin = origin.into();
        let is_allowed = !self.options.lab || origin.address.is_loopback();
        if !is_allowed || !self.has_room_for(now, &origin) {
            self.counters.connections_refused += 1;
            return None;
        }
        self.connections_made += 1;
        let index = self.connections.insert(Connection::new(origin, now.mono_ms, self.connections_made));
        self.counters.connections_most = self.counters.connections_most.max(self.connections.len() as u64);
        let id = ConnectionId(u32::try_from(index).ok()?);
        self.watch_connection(id);
        Some(id)
    }

    /// Bytes arrived on a connection, in any portions.
    pub fn receive(&mut self, now: Now, id: ConnectionId, bytes: &[u8]) {
        let Some(connection) = self.connection(id) else { return };
        if connection.partial.is_empty() {
            let used = self.take_packets(now, id, bytes);
            if used < bytes.len() {
                self.keep_partial(id, bytes[used..].to_vec(), bytes.len() - used);
            }
        } else {
            let mut buffered = std::mem::take(&mut connection.partial);
            buffered.extend_from_slice(bytes);
            let used = self.take_packets(now, id, &buffered);
            buffered.drain(..used);
            if !buffered.is_empty() {
                self.keep_partial(id, buffered, bytes.len());
            }
        }
        self.relieve_memory(now);
    }

    /// The Network Connection is gone.
    pub fn closed(&mut self, now: Now, id: ConnectionId, reason: &'static str) {
        if self.connections.contains(id.index()) {
            self.on_closed(now, id, reason);
        }
    }

    /// Does what is due by the clock.
    pub fn tick(&mut self, now: Now) {
        if now.mono_ms >= self.next_tick_ms {
            self.next_tick_ms = now.mono_ms + tick::INTERVAL_MS;
            self.on_tick(now);
        }
    }

    /// When `tick` should be called next, on the monotonic clock in ms.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        Some(self.next_tick_ms)
    }

    /// The next connection that has bytes to write, each at most once until it gets new bytes. The one before has been
    /// written as far as possible.
    pub fn next_dirty(&mut self) -> Option<ConnectionId> {
        if let Some(id) = self.being_written.take()
            && let Some(connection) = self.connections.get_mut(id.index())
        {
            connection.outbox.give_back(&mut self.spare_buffers);
        }
        while let Some(id) = self.dirty.pop_front() {
            if let Some(connection) = self.connections.get_mut(id.index()) {
                connection.is_dirty = false;
                if self.journal.has_kept(connection.barred_until) {
                    self.being_written = Some(id);
                    return Some(id);
                }
            }
        }
        None
    }

    /// The next connection to close, after its bytes have been written as far as possible, with the reason.
    pub fn next_closing(&mut self) -> Option<(ConnectionId, &'static str)> {
        self.closing.pop_front()
    }

    /// The bytes on their way to a connection, unless they promise what the store does not have yet.
    pub fn outbox(&mut self, id: ConnectionId) -> Option<&mut Outbox> {
        let (connections, journal) = (&mut self.connections, &self.journal);
        connections.get_mut(id.index()).filter(|c| journal.has_kept(c.barred_until)).map(|c| &mut c.outbox)
    }

    /// Hands over what happened since the last call, in order.
    pub fn take_records(&mut self, sink: &mut impl FnMut(Record)) {
        self.record_settled();
        self.records.drain(..).for_each(sink);
    }

    /// Hands over what changed since the last call, for the store; `kept` is called when it has that.
    pub fn take_changes(&mut self, now: Now) -> Option<Batch> {
        self.journal.take(now)
    }

    /// The store has every change up to that number: what waits for them goes out.
    pub fn kept(&mut self, now: Now, change: u64) {
        self.on_kept(now, change);
    }

    /// The directory changed: clients whose credential is gone, disabled or renewed must leave.
    pub fn set_directory(&mut self, now: Now, directory: Arc<Directory>) {
        let old = std::mem::replace(&mut self.options.directory, directory);
        self.erased.forget_answers();
        self.on_directory_change(now, &old);
    }

    /// What policy remembers, as bytes for the next run.
    pub fn remembered(&self, now: Now) -> Vec<u8> {
        self.policy.memory.to_bytes(now)
    }

    /// Takes over what an earlier run remembered. To be called before the first connection; the clock must not stand
    /// earlier than in that run.
    ///
    /// # Errors
    /// When the bytes are not what `remembered` gave.
    pub fn remember(&mut self, bytes: &[u8]) -> Result<Restored, Damaged> {
        self.policy.memory.restore(bytes)
    }

    /// Another policy comes into force, between two packets. Tells the history who did it.
    pub fn set_policy(&mut self, now: Now, settings: Arc<Settings>, change: PolicyChange) {
        self.options.policy = settings.clone();
        self.policy.set_settings(settings);
        let change = PolicyChange { at_ms: now.unix_ms, ..change };
        self.records.push(Record::PolicyChange(Arc::new(change)));
    }

    /// The history has every reception up to `seq`: their acknowledgements go out.
    pub fn durable(&mut self, seq: u64) {
        self.on_durable(seq);
    }

    /// The history could not keep the reception `seq`: its publisher must not be told otherwise.
    pub fn lost(&mut self, seq: u64) {
        self.on_lost(seq);
    }

    /// The operating system refused a connection.
    pub fn note_accept_failed(&mut self) {
        self.counters.connections_refused += 1;
    }

    /// How many connections did not get past the beginning since the start, in the order of `DOOR_REASONS`; the shell
    /// counts them because they never came in.
    pub fn note_doors(&mut self, doors: [u64; DOOR_REASONS.len()]) {
        self.counters.doors = doors;
    }

    /// Tells every client that the server stops. [MQTT-3.14.2] reason 0x8B
    pub fn shut_down(&mut self, now: Now) {
        self.on_shut_down(now);
    }

    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id.index()).filter(|c| !c.is_closing)
    }

    fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id.index())
    }

    fn mark_dirty(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.index())
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push_back(id);
        }
    }

    fn note_connection(&mut self, now: Now, id: ConnectionId, client_id: Arc<str>, what: ConnectionWhat) {
        if self.options.lab {
            return;
        }
        if self.text_names_erased(&client_id) {
            self.counters.erased += 1;
            return;
        }
        let Some(connection) = self.connections.get(id.index()) else { return };
        let session = connection.session.and_then(|s| self.sessions.get(s.index()));
        let event = ConnectionEvent {
            at_ms: now.unix_ms,
            client_id,
            username: session.and_then(|s| s.principal.username().cloned()),
            gateway: session.and_then(|s| s.principal.gateway()),
            address: connection.address.to_string().into(),
            what,
        };
        self.records.push(Record::Connection(Arc::new(event)));
    }
}
