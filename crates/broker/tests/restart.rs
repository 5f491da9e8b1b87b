//! What the broker tells the store is what must survive: after any sequence of operations, the changes told so far
//! amount to the broker's state, and a broker started from those up to any turn has the state of that turn.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use broker::{Batch, Broker, Change, ConnectionId, Kept, Limits, Now, Options};
use directory::{Directory, TokenKey};
use mqtt::connect::{Connect, ConnectWill};
use mqtt::property::{Properties, Value, id};
use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::subscribe::{Options as Wanted, encode_subscribe, encode_unsubscribe};
use mqtt::{ReasonCode, Version, server_packet};
use proptest::prelude::*;

const START: Now = Now { mono_ms: 1, unix_ms: 1_795_000_000_000 };
const TOPICS: [&str; 4] = ["a/b", "a", "c", "a/will"];
const FILTERS: [&str; 5] = ["a/+", "#", "a/b", "$share/g/a/#", "c"];

fn broker(limits: Limits) -> Broker {
    Broker::new(Options {
        lab: true,
        limits,
        policy: Default::default(),
        keyring: mesh::keyring::Keyring::default(),
        preset: mesh::airtime::ModemPreset::LongFast,
        directory: Arc::new(Directory::default()),
        token_key: TokenKey::new([0; 32]),
        last_seq: 0,
        acknowledge_when_durable: false,
        seed: 1,
    })
}

fn limits() -> Limits {
    Limits { queue_messages_max: 12, receive_maximum: 4, retained_max: 3, ..Limits::default() }
}

#[derive(Debug, Clone)]
enum Step {
    Connect {
        name: usize,
        v5: bool,
        clean: bool,
        expiry_s: u32,
        receive_maximum: u16,
        will_delay_s: Option<u32>,
    },
    Subscribe {
        filter: usize,
        qos: u8,
    },
    Unsubscribe(usize),
    Publish {
        topic: usize,
        qos: u8,
        retain: bool,
        is_empty: bool,
        packet_id: u16,
        expiry_s: Option<u32>,
    },
    Ack {
        kind: usize,
        packet_id: u16,
        is_error: bool,
    },
    Goodbye {
        expiry_s: Option<u32>,
        with_will: bool,
    },
    Lose,
    Wait(u64),
    Keep,
}

fn step() -> impl Strategy<Value = Step> {
    let expiry = prop_oneof![Just(0u32), Just(5), Just(u32::MAX)];
    let delay = prop_oneof![Just(None), Just(Some(0)), Just(Some(3)), Just(Some(20))];
    prop_oneof![
        6 => (0usize..3, any::<bool>(), any::<bool>(), expiry.clone(), 1u16..6, delay).prop_map(
            |(name, v5, clean, expiry_s, receive_maximum, will_delay_s)|
            Step::Connect { name, v5, clean, expiry_s, receive_maximum, will_delay_s }),
        5 => (0usize..5, 0u8..3).prop_map(|(filter, qos)| Step::Subscribe { filter, qos }),
        1 => (0usize..5).prop_map(Step::Unsubscribe),
        12 => (0usize..4, 0u8..3, any::<bool>(), prop::bool::weighted(0.2), 1u16..6,
            prop_oneof![3 => Just(None), 1 => Just(Some(4u32))]).prop_map(
            |(topic, qos, retain, is_empty, packet_id, expiry_s)|
            Step::Publish { topic, qos, retain, is_empty, packet_id, expiry_s }),
        10 => (0usize..4, 1u16..8, prop::bool::weighted(0.1))
            .prop_map(|(kind, packet_id, is_error)| Step::Ack { kind, packet_id, is_error }),
        1 => (prop_oneof![Just(None), Just(Some(7u32)), Just(Some(0))], any::<bool>())
            .prop_map(|(expiry_s, with_will)| Step::Goodbye { expiry_s, with_will }),
        2 => Just(Step::Lose),
        2 => prop_oneof![Just(10u64), Just(3_000), Just(10_000)].prop_map(Step::Wait),
        6 => Just(Step::Keep),
    ]
}

struct World {
    broker: Broker,
    now: Now,
    peers: Vec<(ConnectionId, Version)>,
    batches: Vec<(Batch, Kept)>,
    told: Kept,
}

impl World {
    fn new(limits: Limits) -> Self {
        let mut broker = broker(limits);
        broker.restore(START, Kept::default());
        Self { broker, now: START, peers: Vec::new(), batches: Vec::new(), told: Kept::default() }
    }

    fn take(&mut self, who: usize, step: &Step) {
        match step {
            Step::Connect { v5, .. } => {
                let version = if *v5 { Version::V5 } else { Version::V311 };
                let id = self.broker.open(self.now, IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
                self.peers.push((id, version));
                let bytes = bytes_of(step, version);
                self.broker.receive(self.now, id, &bytes);
            }
            Step::Wait(ms) => {
                self.now = later(self.now, *ms);
                self.broker.tick(self.now);
            }
            Step::Keep => {
                let last = self.batches.last().map_or(0, |(batch, _)| batch.last);
                self.broker.kept(self.now, last);
            }
            _ if self.peers.is_empty() => {}
            Step::Lose => {
                let (id, _) = self.peers.remove(who % self.peers.len());
                self.broker.closed(self.now, id, "lost");
            }
            _ => {
                let (id, version) = self.peers[who % self.peers.len()];
                let bytes = bytes_of(step, version);
                self.broker.receive(self.now, id, &bytes);
            }
        }
        self.end_turn();
    }

    fn end_turn(&mut self) {
        while let Some(id) = self.broker.next_dirty() {
            if let Some(outbox) = self.broker.outbox(id) {
                let count = outbox.len();
                outbox.advance(count);
            }
        }
        while let Some((id, reason)) = self.broker.next_closing() {
            self.peers.retain(|(other, _)| *other != id);
            self.broker.closed(self.now, id, reason);
        }
        if let Some(batch) = self.broker.take_changes(self.now) {
            self.told.apply(&batch);
            self.batches.push((batch, self.broker.worth_keeping()));
        }
    }
}

fn later(now: Now, ms: u64) -> Now {
    Now { mono_ms: now.mono_ms + ms, unix_ms: now.unix_ms + i64::try_from(ms).unwrap() }
}

fn bytes_of(step: &Step, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    match step {
        Step::Connect { name, clean, expiry_s, receive_maximum, will_delay_s, .. } => {
            let connect = Connect {
                version,
                clean_start: *clean,
                keep_alive_s: 3_600,
                client_id: ["anna", "bert", "cora"][*name],
                will: will_delay_s.map(|_| ConnectWill {
                    topic: "a/will",
                    payload: b"gone",
                    qos: 1,
                    retain: *name == 1,
                    properties: Properties::default(),
                }),
                username: None,
                password: None,
                properties: Properties::default(),
            };
            let properties = [
                (id::SESSION_EXPIRY, Value::FourBytes(*expiry_s)),
                (id::RECEIVE_MAXIMUM, Value::TwoBytes(*receive_maximum)),
            ];
            let will = [(id::WILL_DELAY, Value::FourBytes(will_delay_s.unwrap_or_default()))];
            connect.encode(&mut out, &properties, &will);
        }
        Step::Subscribe { filter, qos } => {
            let wanted = Wanted { qos: *qos, ..Wanted::default() };
            encode_subscribe(&mut out, version, 9, &[(FILTERS[*filter], wanted)], &[]);
        }
        Step::Unsubscribe(filter) => encode_unsubscribe(&mut out, version, 9, &[FILTERS[*filter]]),
        Step::Publish { topic, qos, retain, is_empty, packet_id, expiry_s } => {
            let publish = PublishOut {
                qos: *qos,
                retain: *retain,
                topic: TOPICS[*topic],
                packet_id: if *qos > 0 { *packet_id } else { 0 },
                payload: if *is_empty { b"" } else { b"payload" },
                expiry_s: expiry_s.filter(|_| version == Version::V5),
                ..PublishOut::default()
            };
            publish.encode(&mut out, version);
        }
        Step::Ack { kind, packet_id, is_error } => {
            let kind = [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp][*kind];
            let may_fail = *is_error && matches!(kind, AckKind::Puback | AckKind::Pubrec);
            let reason = if may_fail { ReasonCode::QuotaExceeded } else { ReasonCode::Success };
            Ack { kind, packet_id: *packet_id, reason }.encode(&mut out, version);
        }
        Step::Goodbye { expiry_s, with_will } if version == Version::V5 => {
            let reason = if *with_will { 0x04 } else { 0x00 };
            match expiry_s {
                Some(expiry_s) => {
                    out.extend([0xE0, 7, reason, 5, 0x11]);
                    out.extend(expiry_s.to_be_bytes());
                }
                None => out.extend([0xE0, 1, reason]),
            }
        }
        Step::Goodbye { .. } => out.extend(server_packet::DISCONNECT),
        Step::Lose | Step::Wait(_) | Step::Keep => {}
    }
    out
}

/// After a restart nobody is connected.
fn as_after_a_restart(mut kept: Kept) -> Kept {
    for session in kept.sessions.values_mut() {
        session.away = None;
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_restart_from_any_turn_gives_the_state_of_that_turn(
        steps in prop::collection::vec((step(), 0usize..4), 1..100),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut world = World::new(limits());
        for (step, who) in &steps {
            world.take(*who, step);
            prop_assert_eq!(&world.told, &world.broker.worth_keeping(), "after {:?}", step);
        }
        if world.batches.is_empty() {
            return Ok(());
        }
        let cut = cut.index(world.batches.len());
        let mut told = Kept::default();
        world.batches[..=cut].iter().for_each(|(batch, _)| told.apply(batch));
        let (_, expected) = &world.batches[cut];
        let mut restarted = broker(limits());
        restarted.restore(world.now, told.clone());
        prop_assert_eq!(
            as_after_a_restart(restarted.worth_keeping()),
            as_after_a_restart(expected.clone())
        );
        // The store that a broker was started from goes on with what the broker tells.
        if let Some(batch) = restarted.take_changes(world.now) {
            told.apply(&batch);
        }
        prop_assert_eq!(as_after_a_restart(told.clone()), as_after_a_restart(restarted.worth_keeping()));
        restarted.catch_up(world.now);
        if let Some(batch) = restarted.take_changes(world.now) {
            told.apply(&batch);
        }
        prop_assert_eq!(&told, &restarted.worth_keeping());
        // What is over is over after a restart too: nothing stays for ever but retained messages.
        let end = later(world.now, u64::from(u32::MAX) * 1000);
        restarted.tick(end);
        if let Some(batch) = restarted.take_changes(end) {
            told.apply(&batch);
        }
        prop_assert!(told.sessions.is_empty(), "{:?}", told.sessions);
        prop_assert_eq!(told, restarted.worth_keeping());
    }
}

#[test]
fn nothing_is_told_before_a_store_asks_and_of_nobody_who_does_not_stay() {
    let mut silent = broker(limits());
    let mut world = World::new(limits());
    for is_silent in [true, false] {
        let broker = if is_silent { &mut silent } else { &mut world.broker };
        let id = broker.open(START, IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let connect = Step::Connect {
            name: 0,
            v5: true,
            clean: true,
            expiry_s: if is_silent { 600 } else { 0 },
            receive_maximum: 5,
            will_delay_s: None,
        };
        broker.receive(START, id, &bytes_of(&connect, Version::V5));
        broker.receive(START, id, &bytes_of(&Step::Subscribe { filter: 1, qos: 2 }, Version::V5));
        for qos in 0..3 {
            let (topic, packet_id) = (0, u16::from(qos));
            let publish =
                Step::Publish { topic, qos, retain: is_silent, is_empty: false, packet_id, expiry_s: None };
            broker.receive(START, id, &bytes_of(&publish, Version::V5));
        }
        assert!(broker.take_changes(START).is_none());
    }
}

#[test]
fn a_store_that_is_too_far_behind_refuses_what_adds_and_takes_what_frees() {
    let mut world = World::new(Limits { unkept_changes_max: 3, ..limits() });
    let connect = |name| Step::Connect {
        name,
        v5: true,
        clean: false,
        expiry_s: 600,
        receive_maximum: 5,
        will_delay_s: None,
    };
    world.take(0, &connect(0));
    world.take(0, &Step::Subscribe { filter: 0, qos: 1 });
    let publish = |packet_id| Step::Publish {
        topic: 0,
        qos: 1,
        retain: false,
        is_empty: false,
        packet_id,
        expiry_s: None,
    };
    for packet_id in 1..6 {
        world.take(0, &publish(packet_id));
    }
    let session = |world: &World| world.told.sessions.values().next().unwrap().clone();
    assert_eq!(session(&world).copies.len(), 1, "the third change fills the journal");
    assert_eq!(world.broker.snapshot(world.now).counters.unkept, 4);
    world.take(0, &connect(1));
    assert_eq!(world.told.sessions.len(), 1, "a further session is refused");
    world.take(0, &Step::Ack { kind: 0, packet_id: 1, is_error: false });
    assert!(session(&world).copies.is_empty());
    world.take(0, &Step::Keep);
    world.take(0, &publish(1));
    assert_eq!(session(&world).copies.len(), 1, "there is room again");
}

#[test]
fn wills_of_those_who_were_connected_are_due_after_a_crash() {
    let mut world = World::new(limits());
    world.take(0, &Step::Subscribe { filter: 1, qos: 1 });
    for (name, expiry_s, will_delay_s) in [(0, 600, Some(3)), (1, 0, Some(0)), (2, 600, None)] {
        world.take(
            0,
            &Step::Connect { name, v5: true, clean: true, expiry_s, receive_maximum: 5, will_delay_s },
        );
    }
    world.take(2, &Step::Subscribe { filter: 0, qos: 1 });
    let mut restarted = broker(limits());
    restarted.restore(START, world.told.clone());
    let waiting = |kept: &Kept| kept.sessions.values().map(|s| s.copies.len()).sum::<usize>();
    restarted.catch_up(START);
    assert_eq!(waiting(&restarted.worth_keeping()), 1, "the Will without delay");
    assert!(restarted.worth_keeping().retained.contains_key("a/will"));
    assert_eq!(restarted.worth_keeping().sessions.len(), 2, "a session without expiry is over");
    restarted.tick(later(START, 4_000));
    assert_eq!(waiting(&restarted.worth_keeping()), 2, "and the other after its delay");
    let batch = restarted.take_changes(START).unwrap();
    assert!(batch.changes.iter().any(|c| matches!(c, Change::WillGone(_))));
}
