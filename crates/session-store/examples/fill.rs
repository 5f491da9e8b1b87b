//! Fills a data folder with retained messages and sessions, and says how long they take to write and to read:
//! `cargo run --release -p session-store --example fill -- FOLDER [RETAINED] [SESSIONS] [WAITING]`.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot be made should stop")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use broker::{Away, Batch, Change, Head, Message, Now, Queued, SessionKey, Subscription};
use policy::principal::Principal;
use session_store::SessionStore;

const NOW: Now = Now { mono_ms: 0, unix_ms: 1_795_000_000_000 };
const BATCH: usize = 20_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(arguments.first().expect("the folder is the first argument"));
    let number =
        |index: usize, default: u64| arguments.get(index).map_or(default, |text| text.parse().unwrap());
    let (retained, sessions, waiting) = (number(1, 1_000_000), number(2, 10_000), number(3, 10));

    let began = Instant::now();
    let mut store = SessionStore::open(folder).unwrap();
    let mut pending = Vec::new();
    let mut last = 0;
    let mut keep = |change: Option<Change>| {
        last += 1;
        pending.extend(change.clone());
        if pending.len() >= BATCH || change.is_none() {
            let changes = std::mem::take(&mut pending);
            store.commit(&[Batch { changes, last, is_awaited: true, now: NOW }]).unwrap();
        }
    };
    for number in 0..retained {
        // In no order of topics, as they would come.
        let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        keep(Some(Change::Retained(message(format!("site/{}/device/{number:011x}/state", number % 1_000)))));
    }
    for session in 1..=sessions {
        let key = SessionKey(session);
        keep(Some(Change::SessionKept(key, Box::new(head(session)))));
        for number in 0..5 {
            let wanted =
                Subscription { qos: 1, no_local: false, retain_as_published: false, identifier: None };
            keep(Some(Change::Subscribed(key, format!("client/{session}/{number}/#").into(), wanted)));
        }
        for order in 1..=waiting {
            let copy = Queued {
                order,
                message: message(format!("client/{session}/1/{order}")),
                qos: 1,
                retain: false,
                hop_limit: None,
                identifiers: Default::default(),
                group: None,
                stale_at_ms: None,
            };
            keep(Some(Change::Queued(key, copy)));
        }
        let away = Away { ends_at_ms: Some(604_800_000), will_due_ms: None, sent_to: 0 };
        keep(Some(Change::SessionAway(key, away)));
    }
    keep(None);
    drop(store);
    println!("written in {:.1} s", began.elapsed().as_secs_f64());
    let bytes = std::fs::metadata(folder.join("sessions.db")).unwrap().len();
    println!("sessions.db has {:.0} MB", bytes as f64 / 1e6);

    for _ in 0..3 {
        let began = Instant::now();
        let store = SessionStore::open(folder).unwrap();
        let opened = began.elapsed();
        let kept = store.load(NOW).unwrap();
        let (opened, all) = (opened.as_secs_f64(), began.elapsed().as_secs_f64());
        println!(
            "{} sessions and {} retained messages read in {all:.2} s, {opened:.2} s of it to open",
            kept.sessions.len(),
            kept.retained.len()
        );
    }
}

fn message(topic: String) -> Arc<Message> {
    let mut payload = topic.clone().into_bytes();
    payload.resize(120, b'.');
    Arc::new(Message {
        topic: topic.into(),
        payload: payload.into(),
        qos: 1,
        retain: true,
        properties: None,
        expires_at_ms: None,
        hop_limit_at: None,
    })
}

fn head(session: u64) -> Head {
    Head {
        client_id: format!("client-{session}").into(),
        principal: Principal::Guest { gateway: None },
        generation: None,
        expiry_ms: 604_800_000,
        receive_maximum: 100,
        will: None,
    }
}
