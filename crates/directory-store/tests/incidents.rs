//! Incidents and replays on real files.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use directory::{
    IncidentForm, IncidentRefused, REPLAYS_MAX, ReplayCommand, ReplayOrder, ReplayRefused, ReplayState,
};
use directory_store::{Store, StoreError};
use tempfile::TempDir;

const NOW: i64 = 1_800_000_000_000;

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn form(title: &str) -> IncidentForm {
    IncidentForm {
        title: title.to_owned(),
        notes: "wind".to_owned(),
        since_ms: NOW - 3_600_000,
        until_ms: NOW,
        is_pinned: true,
        is_public: false,
    }
}

#[test]
fn incidents_are_marked_changed_closed_and_removed_and_pin_their_window() {
    let (_folder, mut store) = store();
    let storm = store.mark_incident(form("Storm"), None, "ann", NOW).unwrap();
    let foreign = store.mark_incident(form("Far storm"), Some("far"), "ann", NOW).unwrap();
    assert_eq!(store.pinned_spans().unwrap(), [(NOW - 3_600_000, NOW)], "an archive is kept as it is");
    let changed = IncidentForm { is_public: true, is_pinned: false, ..form("The storm") };
    store.change_incident(storm, changed.clone(), "ben", NOW + 1).unwrap();
    store.close_incident(storm, true, "ben", NOW + 2).unwrap();
    let found = store.incident(storm).unwrap().unwrap();
    assert_eq!((found.form, found.closed_ms, found.made_by.as_str()), (changed, Some(NOW + 2), "ann"));
    assert_eq!(store.pinned_spans().unwrap(), []);
    store.close_incident(storm, false, "ben", NOW + 3).unwrap();
    assert_eq!(store.incident(storm).unwrap().unwrap().closed_ms, None);
    store.remove_incident(foreign, "ben", NOW + 4).unwrap();
    assert_eq!(store.incidents().unwrap().len(), 1);
    let audit: Vec<String> = store.audit(3).unwrap().into_iter().map(|line| line.words).collect();
    assert_eq!(audit, ["remove-incident 2", "open-incident 1", "close-incident 1"]);
    let unknown = store.close_incident(99, true, "ben", NOW);
    assert!(matches!(unknown, Err(StoreError::Incident(IncidentRefused::Unknown(99)))), "{unknown:?}");
    let untitled = store.mark_incident(form(" "), None, "ann", NOW);
    assert!(matches!(untitled, Err(StoreError::Incident(IncidentRefused::NoTitle))), "{untitled:?}");
}

#[test]
fn replays_are_ordered_steered_and_end_with_the_server() {
    let (_folder, mut store) = store();
    let order = ReplayOrder {
        since_ms: NOW - 1,
        until_ms: NOW,
        filter: "port:text".to_owned(),
        archive: None,
        speed: 10_000,
        with_json: true,
        is_paused: true,
    };
    let number = store.order_replay(&order, "ann", NOW).unwrap();
    assert_eq!(store.replays().unwrap()[0].state, ReplayState::Paused);
    assert_eq!(store.command_replay(number, ReplayCommand::Step(2)).unwrap().steps, 2);
    assert_eq!(store.command_replay(number, ReplayCommand::Speed(500)).unwrap().order.speed, 500);
    store.command_replay(number, ReplayCommand::Resume).unwrap();
    let found = store.replays().unwrap().remove(0);
    assert_eq!((found.state, found.steps, found.order.speed), (ReplayState::Running, 2, 500));
    for _ in 1..REPLAYS_MAX {
        store.order_replay(&order, "ann", NOW).unwrap();
    }
    let more = store.order_replay(&order, "ann", NOW);
    assert!(matches!(more, Err(StoreError::Replay(ReplayRefused::TooMany))), "{more:?}");
    store.end_replays().unwrap();
    assert!(store.replays().unwrap().iter().all(|replay| replay.state == ReplayState::Over));
    let over = store.command_replay(number, ReplayCommand::Pause);
    assert!(matches!(over, Err(StoreError::Replay(ReplayRefused::Unknown(_)))), "{over:?}");
}
