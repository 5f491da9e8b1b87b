//! Erasures on real files: ordered, asked for, done, lifted; and nothing of the node is left in the directory's bytes.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use directory::{Command, ErasureRefused, ErasureState, GatewayId, IncidentForm, Owner, WatchCommand};
use directory_store::{Entered, Store, StoreError};

const NOW: i64 = 1_800_000_000_000;
const NODE: GatewayId = GatewayId(0x9e1c_0d17);

fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>) -> ErasureRefused {
    match result.unwrap_err() {
        StoreError::Erasure(refused) => refused,
        other => panic!("{other}"),
    }
}

fn with_entries(store: &mut Store) {
    let owner = Owner { name: "Ada Example".to_owned(), contact: Some("ada@example.org".to_owned()) };
    let token = directory_store::random_token().unwrap();
    let add = Command::AddGateway { id: NODE, owner: Some(owner), note: String::new(), token };
    store.apply(add, "command line", NOW as u64).unwrap();
    let quarantine = WatchCommand::Quarantine { node: NODE, reason: format!("{NODE} floods") };
    store.apply_watch(quarantine, "ann", NOW).unwrap();
    let incident = IncidentForm {
        title: format!("Storm of {NODE}"),
        notes: format!("it was !{:08X} again", NODE.0),
        since_ms: NOW - 3_600_000,
        until_ms: NOW,
        is_pinned: true,
        is_public: false,
    };
    store.mark_incident(incident, None, "ann", NOW).unwrap();
}

#[test]
fn after_an_erasure_nothing_of_the_node_stands_in_the_files_and_it_is_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    with_entries(&mut store);
    let entered = store.entered(NODE).unwrap();
    assert_eq!((entered.credentials, entered.agreements), (1, 1));
    assert!(entered.mentions >= 3, "two lines of the audit and an incident: {entered:?}");
    let entries = store.entries(NODE).unwrap();
    assert!(entries.iter().any(|entry| entry["contact"] == "ada@example.org"));
    assert!(!store.load().unwrap().tombstones().has(store.token_key().print_of(NODE.0)));

    let number = store.order_erasure(NODE, "command line", NOW).unwrap();
    assert!(store.load().unwrap().tombstones().has(store.token_key().print_of(NODE.0)), "at once");
    assert_eq!(refused(store.order_erasure(NODE, "ann", NOW)), ErasureRefused::Already(number));
    assert_eq!(refused(store.lift_tombstone(NODE, "ann", NOW)), ErasureRefused::Unknown(number));
    assert_eq!(store.erase_entries(NODE).unwrap(), entered);
    store.finish_erasure(number, "{}", NOW + 5).unwrap();

    assert_eq!(store.entered(NODE).unwrap(), Entered::default());
    assert!(store.load().unwrap().gateway(NODE).is_none());
    let incidents = store.incidents().unwrap();
    assert_eq!(incidents[0].form.title, "Storm of !erased");
    let done = store.erasure(number).unwrap().unwrap();
    assert_eq!((done.state, done.node, done.done_ms), (ErasureState::Done, None, Some(NOW + 5)));
    drop(store);
    let needles = [
        format!("{:08x}", NODE.0).into_bytes(),
        format!("{:08X}", NODE.0).into_bytes(),
        NODE.0.to_be_bytes().to_vec(),
        NODE.0.to_le_bytes().to_vec(),
        b"Ada Example".to_vec(),
        b"ada@example.org".to_vec(),
    ];
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let file = entry.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        for needle in &needles {
            assert!(!bytes.windows(needle.len()).any(|w| w == needle), "{needle:x?} in {}", file.display());
        }
    }

    let mut store = Store::open(folder.path()).unwrap();
    assert!(store.load().unwrap().tombstones().has(store.token_key().print_of(NODE.0)), "after a start");
    store.lift_tombstone(NODE, "ann", NOW + 9).unwrap();
    assert!(store.load().unwrap().tombstones().is_empty());
    assert_eq!(refused(store.lift_tombstone(NODE, "ann", NOW)), ErasureRefused::NotErased);
}

#[test]
fn who_asks_waits_for_an_operator_and_keeps_nobody_out_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let number = store.ask_erasure(NODE, "its owner, on a channel", NOW).unwrap();
    assert!(store.load().unwrap().tombstones().is_empty());
    assert_eq!(refused(store.ask_erasure(NODE, "again", NOW)), ErasureRefused::Already(number));
    store.refuse_erasure(number, "ann", NOW + 1).unwrap();
    assert_eq!(store.erasure(number).unwrap().unwrap().node, None, "nothing is kept of it");
    let second = store.ask_erasure(NODE, "its owner", NOW + 2).unwrap();
    assert_eq!(store.order_erasure(NODE, "ann", NOW + 3).unwrap(), second, "confirmed");
    assert!(!store.load().unwrap().tombstones().is_empty());
    let everybody = GatewayId(u32::MAX);
    assert_eq!(refused(store.order_erasure(everybody, "ann", NOW)), ErasureRefused::NotANode);
}
