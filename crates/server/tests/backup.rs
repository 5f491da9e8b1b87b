//! A backup that is taken while the history is written, and what becomes of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use history::{Filter, Reader, Writer};
use record::{ConnectionEvent, ConnectionWhat, Record};
use server::backup::{BackupError, back_up, restore};

/// 2026-11-23 12:00 UTC.
const NOON_MS: i64 = 1_795_435_200_000;

fn event(at_ms: i64) -> Record {
    Record::Connection(Arc::new(ConnectionEvent {
        at_ms,
        client_id: format!("client {at_ms} {}", "x".repeat(200)).into(),
        username: None,
        gateway: None,
        address: "192.0.2.1".into(),
        what: ConnectionWhat::Connected("5.0"),
    }))
}

/// A data folder with two thousand events, and names of two that are not there yet.
fn data_folder(folder: &Path) -> [PathBuf; 3] {
    let data = folder.join("data");
    std::fs::create_dir(&data).unwrap();
    drop(directory_store::Store::open(&data).unwrap());
    let mut writer = Writer::open(&data.join("history")).unwrap();
    writer.append(&(0..2_000).map(|n| event(NOON_MS + n)).collect::<Vec<_>>()).unwrap();
    std::fs::write(data.join("serving.lock"), "").unwrap();
    [data, folder.join("copy"), folder.join("again")]
}

#[test]
fn a_backup_taken_while_the_history_is_written_is_whole_and_makes_the_same_folder() {
    let folder = tempfile::tempdir().unwrap();
    let [data, copy, again] = data_folder(folder.path());
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = Writer::open(&data.join("history")).unwrap();
            let mut at_ms = NOON_MS + 10_000;
            while !is_done.load(Ordering::Relaxed) {
                writer.append(&(0..10).map(|n| event(at_ms + n)).collect::<Vec<_>>()).unwrap();
                at_ms += 10;
            }
        });
        let copied = back_up(&data, &copy, NOON_MS);
        is_done.store(true, Ordering::Relaxed);
        let copied = copied.unwrap();
        assert!(copied.files >= 3 && copied.bytes > 100_000, "{copied:?}");
    });
    restore(&copy, &again).unwrap();
    history::snapshot::check(&again.join("history/2026-11-23.db")).unwrap();
    let names: Vec<String> = (std::fs::read_dir(&again).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let has = |name: &str| names.iter().any(|n| n == name);
    assert!(has("secret.key") && has("directory.db") && !has("serving.lock"), "{names:?}");
    let key_of = |folder: &Path| std::fs::read(folder.join("secret.key")).unwrap();
    assert_eq!(key_of(&again), key_of(&data));
    // It is a data folder like any other: it is read, and written to.
    directory_store::Store::open(&again).unwrap();
    assert!(Reader::open(&again.join("history")).unwrap().log(&Filter::default()).unwrap().is_empty());
    Writer::open(&again.join("history")).unwrap().append(&[event(NOON_MS + 1_000_000)]).unwrap();
}

#[test]
fn what_is_not_a_whole_backup_is_told_and_nothing_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let [data, copy, again] = data_folder(folder.path());
    back_up(&data, &copy, NOON_MS).unwrap();
    assert!(matches!(back_up(&data, &copy, NOON_MS), Err(BackupError::NotEmpty(_))));
    assert!(matches!(back_up(&folder.path().join("none"), &again, 0), Err(BackupError::NoData(_))));
    assert!(matches!(restore(&copy, &data), Err(BackupError::NotEmpty(_))));
    // A torn write: the end of a file is missing; then one byte is another.
    let file = copy.join("history/2026-11-23.db");
    let good = std::fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [&good[..good.len() - 4096], &flipped] {
        std::fs::write(&file, bad).unwrap();
        let error = restore(&copy, &again).unwrap_err();
        assert!(matches!(error, BackupError::Damaged(_)) && error.to_string().contains("2026-11-23.db"));
        assert!(!again.exists());
    }
    std::fs::write(&file, good).unwrap();
    let list = std::fs::read_to_string(copy.join("backup.json")).unwrap();
    for wrong in [
        list.replace("history/2026-11-23.db", "../2026-11-23.db"),
        list.replace("\"v\": 1", "\"v\": 2"),
        "{".to_owned(),
    ] {
        assert_ne!(wrong, list);
        std::fs::write(copy.join("backup.json"), wrong).unwrap();
        let error = restore(&copy, &again).unwrap_err();
        assert!(matches!(error, BackupError::UnknownList(_)), "{error}");
        assert!(!again.exists());
    }
    std::fs::remove_file(copy.join("backup.json")).unwrap();
    let error = restore(&copy, &again).unwrap_err();
    assert!(matches!(error, BackupError::NoBackup(_)) && error.to_string().contains("not finished"));
}
