//! `backhaul consent` as a program: what it says, what it recounts, and its exit codes.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    folder_at(NOON_MS, consent, outcome)
}

fn folder_at(at_ms: i64, consent: Consent, outcome: Outcome) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let reception = Reception {
        seq: 1,
        at_ms,
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
    let release = Release { reception_seq: 1, at_ms, copies: vec![copy] };
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

#[test]
fn the_server_writes_the_statement_of_a_day_that_is_over_and_a_backup_has_it() {
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let folder = folder_at(now_ms - 2 * 86_400_000, Consent::No, Outcome::Withheld(RuleId::OutsideConsent));
    let mut server = Server::start(folder.path());
    let statements = folder.path().join("statements");
    let statement = server.wait_for(|| {
        let entry = std::fs::read_dir(&statements).ok()?.next()?.ok()?;
        let is_whole = entry.file_name().to_str()?.ends_with(".json");
        is_whole.then(|| entry.path())
    });
    let backup = folder.path().join("backup");
    let program = |arguments: &[&Path]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backhaul"));
        let done = command.args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", said(&done));
    };
    program(&["backup".as_ref(), &backup, "--data".as_ref(), folder.path()]);
    drop(server);
    let restored = folder.path().join("restored");
    program(&["restore".as_ref(), &backup, "--data".as_ref(), &restored]);
    let kept = restored.join("statements").join(statement.file_name().unwrap());
    assert_eq!(std::fs::read(&kept).unwrap(), std::fs::read(&statement).unwrap());
    let check = run(&restored, &["check", kept.to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(0), "{}", said(&check));
    assert!(said(&check).contains("agrees with the history"), "{}", said(&check));
}

/// A running server; killed when dropped.
struct Server(Child);

impl Server {
    fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backhaul"));
        command.args(["serve", "--mqtt-listen", "127.0.0.1:0", "--web-listen", "127.0.0.1:0", "--data"]);
        Self(command.arg(data).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// What comes to be while the server runs.
    fn wait_for<T>(&mut self, mut found: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(self.0.try_wait().unwrap().is_none(), "the server has ended");
            assert!(Instant::now() < until, "nothing came to be in a minute");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
