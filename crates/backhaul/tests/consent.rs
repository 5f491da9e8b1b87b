//! `backhaul consent` as a program: what it says, what it recounts, and its exit codes.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use history::Writer;
use policy::decision::{Decision, Outcome, Verdict};
use policy::downlink::details::CopyDetails;
use policy::rule::{RuleId, RuleSet};
use record::{Consent, KeyClass, PacketSummary, ReceiverKind, Reception, Record, Release, ReleasedCopy};
use tempfile::TempDir;

/// 2026-11-23 12:00 UTC.
const NOON_MS: i64 = 1_795_435_200_000;
const POLICY: &str = "outside = [\"bridge\"]\n";

/// One packet whose copy toward the bridge had this outcome.
fn folder(consent: Consent, outcome: Outcome) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let reception = Reception {
        seq: 1,
        at_ms: NOON_MS,
        client_id: "!7c5a0a01".into(),
        username: Some("gw-7c5a0a01".into()),
        gateway: Some(0x7c5a_0a01),
        topic: "msh/US/2/e/LongFast/!7c5a0a01".into(),
        payload: Arc::from(&b"\x0a\x00"[..]),
        qos: 0,
        retain: false,
        packet: Some(PacketSummary { from: 0x7c5a_0002, to: u32::MAX, id: 7, ..PacketSummary::default() }),
        channel: Some("LongFast".into()),
        port: Some(1),
        consent,
        key_class: KeyClass::Default,
        flags: 0,
        frame_bytes: None,
        airtime_us: None,
        decision: Decision {
            verdict: Verdict::Accept,
            rule: None,
            sentence: "no rule objected".into(),
            observed: RuleSet::default(),
            off: RuleSet::default(),
        },
    };
    let copy = ReleasedCopy {
        receiver: "bridge".into(),
        kind: ReceiverKind::Service,
        outcome,
        observed: RuleSet::default(),
        details: CopyDetails::default(),
    };
    let release = Release { reception_seq: 1, at_ms: NOON_MS, copies: vec![copy] };
    let batch = [Record::Reception(Arc::new(reception)), Record::Release(Arc::new(release))];
    Writer::open(&folder.path().join("history")).unwrap().append(&batch).unwrap();
    std::fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backhaul"));
    command.arg("consent").args(arguments).arg("--data").arg(folder);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_day_that_holds_is_told_written_and_recounted() {
    let folder = folder(Consent::No, Outcome::Withheld(RuleId::OutsideConsent));
    let told = run(folder.path(), &["statement", "--day", "2026-11-23"]);
    assert_eq!(told.status.code(), Some(0), "{}", said(&told));
    let first = "2026-11-23: 0 copies left the community, none without consent; 1 were kept back.";
    assert!(said(&told).starts_with(first), "{}", said(&told));
    assert!(said(&told).contains("!7c5a0a01"), "{}", said(&told));

    let json = run(folder.path(), &["statement", "--day", "2026-11-23", "--json"]);
    let file = folder.path().join("statement.json");
    std::fs::write(&file, &json.stdout).unwrap();
    let check = run(folder.path(), &["check", file.to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(0), "{}", said(&check));
    assert!(said(&check).contains("agrees with the history"), "{}", said(&check));

    let changed = String::from_utf8(json.stdout).unwrap().replace("\"withheld\": 1", "\"withheld\": 0");
    std::fs::write(&file, changed).unwrap();
    let check = run(folder.path(), &["check", file.to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(1), "{}", said(&check));
    assert!(said(&check).contains("outside.withheld: the file says 0, the history 1"), "{}", said(&check));
}

#[test]
fn a_copy_without_consent_fails_even_when_the_file_leaves_the_receiver_out() {
    let folder = folder(Consent::Unknown, Outcome::Delivered);
    let json = run(folder.path(), &["statement", "--day", "2026-11-23", "--json"]);
    assert_eq!(json.status.code(), Some(1), "{}", said(&json));
    // The same day, counted as if nobody were outside: true to the history, but not to the configuration.
    std::fs::write(folder.path().join("policy.toml"), "").unwrap();
    let innocent = run(folder.path(), &["statement", "--day", "2026-11-23", "--json"]);
    assert_eq!(innocent.status.code(), Some(0), "{}", said(&innocent));
    let file = folder.path().join("statement.json");
    std::fs::write(&file, &innocent.stdout).unwrap();
    std::fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
    let check = run(folder.path(), &["check", file.to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(1), "{}", said(&check));
    assert!(said(&check).contains("1 of 1 copies left the community WITHOUT consent"), "{}", said(&check));
}

#[test]
fn what_cannot_be_checked_is_said_so() {
    let folder = folder(Consent::Yes, Outcome::Delivered);
    let check = run(folder.path(), &["check", folder.path().join("policy.toml").to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(2), "{}", said(&check));
    let day = run(folder.path(), &["statement", "--day", "2001-01-01"]);
    assert!(!day.status.success() && said(&day).contains("is not kept"), "{}", said(&day));
}
