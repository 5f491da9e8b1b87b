//! What is committed is what is loaded: whole batches, in any grouping, whatever happens to the end of the journal.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use broker::{
    Away, Batch, Change, Head, Kept, KeptCopy, Message, Now, Queued, SessionKey, Subscription, Will,
};
use policy::principal::Principal;
use proptest::prelude::*;
use session_store::{Error, Keeper, News, SessionStore};

const NOW: Now = Now { mono_ms: 5_000, unix_ms: 1_795_000_000_000 };

fn message(topic: &str, size: usize, qos: u8, expires_at_ms: Option<u64>) -> Arc<Message> {
    Arc::new(Message {
        topic: topic.into(),
        payload: vec![7; size].into(),
        qos,
        retain: true,
        properties: (size % 2 == 1).then(|| [0x01, 0x01].into()),
        expires_at_ms,
        hop_limit_at: None,
    })
}

fn principal() -> impl Strategy<Value = Principal> {
    prop_oneof![
        Just(Principal::Gateway { username: "gw-7c5a0a01".into(), gateway: 0x7c5a_0a01 }),
        Just(Principal::Observer { username: "reader".into() }),
        Just(Principal::Service { username: "ha".into(), prefix: "homeassistant".into() }),
        Just(Principal::own_bridge("topeka")),
        Just(Principal::Guest { gateway: Some(u32::MAX) }),
        Just(Principal::Guest { gateway: None }),
        Just(Principal::Lab),
    ]
}

fn head() -> impl Strategy<Value = Head> {
    let will = prop::option::of((0u64..100_000, any::<bool>(), prop::option::of(any::<u32>())).prop_map(
        |(delay_ms, retain, expiry_s)| {
            let (topic, payload) = ("a/will".into(), b"gone"[..].into());
            Arc::new(Will { topic, payload, qos: 1, retain, delay_ms, expiry_s, properties: None })
        },
    ));
    let expiry_ms = prop_oneof![Just(0), Just(600_000), Just(4_294_967_295_000)];
    (principal(), prop::option::of(0u64..9), expiry_ms, any::<u16>(), will).prop_map(
        |(principal, generation, expiry_ms, receive_maximum, will)| Head {
            client_id: "anna".into(),
            principal,
            generation,
            expiry_ms,
            receive_maximum,
            will,
        },
    )
}

fn away() -> impl Strategy<Value = Away> {
    let time = || prop::option::of(5_000u64..9_000_000);
    (time(), time(), 0u64..9).prop_map(|(ends_at_ms, will_due_ms, sent_to)| Away {
        ends_at_ms,
        will_due_ms,
        sent_to,
    })
}

/// A change of one of three sessions; `Queued` stands for all of them, with one message between them.
fn change() -> impl Strategy<Value = Vec<Change>> {
    let key = || (1u64..4).prop_map(SessionKey);
    let topic = || prop_oneof![Just("a"), Just("a/b"), Just("ä")];
    let wanted = (0u8..3, any::<bool>(), any::<bool>(), prop::option::of(1u32..9)).prop_map(
        |(qos, no_local, retain_as_published, identifier)| Subscription {
            qos,
            no_local,
            retain_as_published,
            identifier,
        },
    );
    // Empty, small, and larger than fits into a page beside others.
    let size = || prop_oneof![0usize..40, Just(3_001)];
    let expires = || prop::option::of(5_001u64..9_000_000);
    prop_oneof![
        4 => (key(), head()).prop_map(|(key, head)| vec![Change::SessionKept(key, Box::new(head))]),
        2 => (key(), away()).prop_map(|(key, away)| vec![Change::SessionAway(key, away)]),
        1 => key().prop_map(|key| vec![Change::WillGone(key)]),
        1 => key().prop_map(|key| vec![Change::SessionEnded(key)]),
        2 => (key(), topic(), wanted).prop_map(|(key, filter, wanted)| vec![Change::Subscribed(key, filter.into(), wanted)]),
        1 => (key(), topic()).prop_map(|(key, filter)| vec![Change::Unsubscribed(key, filter.into())]),
        8 => (topic(), size(), 1u8..3, expires(), prop::collection::vec(1u32..300, 0..3), prop::option::of(0u8..7)).prop_map(
            |(topic, size, qos, expires_at_ms, identifiers, hop_limit)| {
                let message = message(topic, size, qos, expires_at_ms);
                (1..4).map(|key| Change::Queued(SessionKey(key), Queued {
                    order: 0,
                    message: message.clone(),
                    qos,
                    retain: size % 2 == 0,
                    hop_limit,
                    identifiers: identifiers.iter().copied().collect(),
                    group: None,
                    stale_at_ms: None,
                })).collect()
            }),
        4 => (key(), 1u64..20).prop_map(|(key, order)| vec![Change::Released(key, order)]),
        8 => (key(), 1u64..20).prop_map(|(key, order)| vec![Change::Finished(key, order)]),
        2 => (key(), 1u16..4).prop_map(|(key, packet_id)| vec![Change::Incoming(key, packet_id)]),
        2 => (key(), 1u16..4).prop_map(|(key, packet_id)| vec![Change::IncomingDone(key, packet_id)]),
        4 => (topic(), size(), 0u8..3, expires())
            .prop_map(|(topic, size, qos, expires)| vec![Change::Retained(message(topic, size, qos, expires))]),
        1 => topic().prop_map(|topic| vec![Change::RetainedGone(topic.into())]),
    ]
}

/// Batches as a broker could have made them, and what they amount to after each.
fn batches() -> impl Strategy<Value = Vec<(Batch, Kept)>> {
    prop::collection::vec(prop::collection::vec(change(), 1..12), 1..12).prop_map(|turns| {
        let (mut kept, mut last, mut order) = (Kept::default(), 0, 0);
        let mut made = Vec::new();
        for turn in turns {
            let mut changes = Vec::new();
            for mut change in turn.into_iter().flatten() {
                if let Change::Queued(_, copy) = &mut change {
                    order += 1;
                    copy.order = order;
                }
                if is_possible(&kept, &change) {
                    kept.apply(&batch(vec![change.clone()], 0));
                    changes.push(change);
                }
            }
            last += changes.len() as u64;
            made.push((batch(changes, last), kept.clone()));
        }
        made
    })
}

fn batch(changes: Vec<Change>, last: u64) -> Batch {
    Batch { changes, last, is_awaited: true, now: NOW }
}

fn is_possible(kept: &Kept, change: &Change) -> bool {
    let session = |key| kept.sessions.get(key);
    match change {
        Change::SessionKept(..) | Change::Retained(_) | Change::RetainedGone(_) => true,
        Change::Released(key, order) => session(key)
            .is_some_and(|s| matches!(s.copies.get(order), Some(KeptCopy::Message(copy)) if copy.qos == 2)),
        // A session is away once, and nothing of its Will is told after that is gone.
        Change::SessionAway(key, away) => session(key)
            .is_some_and(|s| s.away.is_none() && (s.head.will.is_some() || away.will_due_ms.is_none())),
        Change::WillGone(key)
        | Change::SessionEnded(key)
        | Change::Subscribed(key, ..)
        | Change::Unsubscribed(key, _)
        | Change::Queued(key, _)
        | Change::Finished(key, _)
        | Change::IncomingDone(key, _) => session(key).is_some(),
        // A Packet Identifier that is in use is that of a repeated message, which changes nothing.
        Change::Incoming(key, packet_id) => {
            session(key).is_some_and(|s| !s.incoming_qos2.contains(packet_id))
        }
    }
}

fn message_rows(folder: &Path) -> i64 {
    let file = rusqlite::Connection::open(folder.join("sessions.db")).unwrap();
    file.query_row("SELECT count(*) FROM message", [], |row| row.get(0)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_committed_in_any_grouping_is_what_is_loaded(
        batches in batches(),
        groups in prop::collection::vec(1usize..5, 12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut rest = &batches[..];
        for group in groups {
            // Opened anew for each, so that nothing hangs on what is in memory.
            let mut store = SessionStore::open(folder.path()).unwrap();
            let (group, others) = rest.split_at(group.min(rest.len()));
            let Some((_, expected)) = group.last() else { break };
            let given: Vec<Batch> =
                group.iter().map(|(b, _)| batch(b.changes.clone(), b.last)).collect();
            store.commit(&given).unwrap();
            prop_assert_eq!(&store.load(NOW).unwrap(), expected);
            rest = others;
        }
        let (_, expected) = &batches[batches.len() - rest.len() - 1];
        let waiting = expected.sessions.values().flat_map(|s| s.copies.values()).filter_map(|copy| match copy {
            KeptCopy::Message(copy) => Some(Arc::as_ptr(&copy.message)),
            KeptCopy::Released => None,
        });
        let distinct: std::collections::BTreeSet<_> = waiting.collect();
        prop_assert!(message_rows(folder.path()) <= 3 * distinct.len() as i64, "messages that nobody needs are gone");
        prop_assert_eq!(distinct.is_empty(), message_rows(folder.path()) == 0);
    }

    #[test]
    fn a_torn_journal_gives_a_whole_number_of_batches(
        batches in batches(),
        cut in any::<prop::sample::Index>(),
        is_overwritten: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SessionStore::open(folder.path()).unwrap();
        for (batch, _) in &batches {
            store.commit(std::slice::from_ref(batch)).unwrap();
        }
        // What the disk holds when the machine loses power, with a journal that was not written to its end.
        let torn = tempfile::tempdir().unwrap();
        let journal = std::fs::read(folder.path().join("sessions.db-wal")).unwrap();
        std::fs::copy(folder.path().join("sessions.db"), torn.path().join("sessions.db")).unwrap();
        let cut = cut.index(journal.len() + 1);
        let mut left = journal[..cut].to_vec();
        if is_overwritten {
            left.resize(journal.len(), 0xA5);
        }
        std::fs::write(torn.path().join("sessions.db-wal"), left).unwrap();
        match SessionStore::open(torn.path()) {
            Ok(store) => {
                let loaded = store.load(NOW).unwrap();
                let is_prefix = loaded == Kept::default() || batches.iter().any(|(_, kept)| *kept == loaded);
                prop_assert!(is_prefix, "{loaded:?}");
                if cut == journal.len() {
                    prop_assert_eq!(&loaded, &batches.last().unwrap().1);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mut store = SessionStore::open(folder.path()).unwrap();
    store.commit(&[batch(vec![first_session()], 1)]).unwrap();
    for name in ["sessions.db", "sessions.db-wal"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

fn first_session() -> Change {
    let head = Head {
        client_id: "anna".into(),
        principal: Principal::Lab,
        generation: None,
        expiry_ms: 600_000,
        receive_maximum: 5,
        will: None,
    };
    Change::SessionKept(SessionKey(1), Box::new(head))
}

#[test]
fn times_pass_while_the_program_does_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SessionStore::open(folder.path()).unwrap();
    let away = Away { ends_at_ms: Some(65_000), will_due_ms: Some(15_000), sent_to: 0 };
    let changes = vec![
        first_session(),
        Change::SessionAway(SessionKey(1), away),
        Change::Retained(message("a", 1, 0, Some(25_000))),
    ];
    store.commit(&[batch(changes, 3)]).unwrap();
    // The clock of the next run starts anew, 20 seconds later.
    let kept = store.load(Now { mono_ms: 0, unix_ms: NOW.unix_ms + 15_000 }).unwrap();
    let away = kept.sessions[&SessionKey(1)].away.unwrap();
    assert_eq!((away.ends_at_ms, away.will_due_ms), (Some(45_000), Some(0)));
    assert_eq!(kept.retained["a"].expires_at_ms, Some(5_000));
}

#[test]
fn files_that_are_newer_foreign_or_damaged_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sessions.db");
    let refused = |word: &str| {
        let before = std::fs::read(&file).unwrap();
        let error = SessionStore::open(folder.path()).and_then(|store| store.load(NOW)).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), before);
        error
    };
    drop(SessionStore::open(folder.path()).unwrap());
    let change = |sql: &str| rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    change("PRAGMA user_version = 99");
    assert!(matches!(refused("newer"), Error::Newer { found: 99, .. }));
    change("PRAGMA user_version = 1; PRAGMA journal_mode = DELETE;");
    let store = SessionStore::open(folder.path()).unwrap();
    drop(store);
    change(
        "PRAGMA journal_mode = DELETE; INSERT INTO session VALUES (1, 'a', 'king', NULL, NULL, NULL, NULL, 1, 1, 0, NULL, NULL, 0)",
    );
    let error = SessionStore::open(folder.path()).and_then(|store| store.load(NOW)).unwrap_err();
    assert!(matches!(error, Error::Damaged(..)), "{error}");
    std::fs::write(&file, b"This was a file of mine, and it is long enough to be looked at by a program.")
        .unwrap();
    refused("damaged");
    std::fs::remove_file(&file).unwrap();
    change("CREATE TABLE mine (a)");
    assert!(matches!(refused("another program"), Error::Foreign(_)));
}

#[test]
fn while_the_disk_takes_nothing_nothing_is_told_and_then_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (tell, told) = mpsc::channel();
    let told_kept = move |news: News<'_>| {
        if let News::Kept(last) = news {
            tell.send(last).unwrap();
        }
    };
    let keeper = Keeper::start(SessionStore::open(folder.path()).unwrap(), told_kept).unwrap();
    let mut send = keeper.sender();
    send(batch(vec![first_session()], 1));
    assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(1));

    let other = rusqlite::Connection::open(folder.path().join("sessions.db")).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON retained BEGIN SELECT RAISE(ABORT, 'no room'); END",
        )
        .unwrap();
    send(batch(vec![Change::Incoming(SessionKey(1), 7)], 2));
    assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(2));
    send(batch(vec![Change::Incoming(SessionKey(1), 8), Change::Retained(message("a", 1, 0, None))], 4));
    let health = keeper.health();
    while health.last_error().is_none() {
        std::thread::yield_now();
    }
    assert!(health.last_error().unwrap().contains("no room"));
    assert!(told.try_recv().is_err(), "what is not on disk is not told");
    let rows: i64 = other.query_row("SELECT count(*) FROM incoming", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1, "nothing of the batch is there");

    send(batch(vec![Change::Incoming(SessionKey(1), 9)], 5));
    other.execute_batch("DROP TRIGGER full").unwrap();
    let mut last = 0;
    while last < 5 {
        last = told.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    assert_eq!(health.last_error(), None);
    drop(keeper);
    let kept = SessionStore::open(folder.path()).unwrap().load(NOW).unwrap();
    assert_eq!(kept.sessions[&SessionKey(1)].incoming_qos2.len(), 3);
    assert_eq!(kept.retained.len(), 1);
}
