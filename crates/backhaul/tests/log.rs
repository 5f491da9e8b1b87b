//! `log` and `explain`, run as people run them, on a history written for the purpose.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use history::Writer;
use policy::decision::{Decision, Outcome, Verdict};
use policy::downlink::details::CopyDetails;
use policy::rule::{RuleId, RuleSet};
use record::{Consent, KeyClass, PacketSummary, ReceiverKind, Reception, Record, Release, ReleasedCopy};
use serde_json::Value as Json;
use tempfile::TempDir;

/// 2026-11-23 12:00:00 UTC.
const NOON_MS: i64 = 1_795_435_200_000;
const SENDER: u32 = 0x7c5a_0001;
const OTHER: u32 = 0x7c5a_0002;
const FIRST_GATEWAY: u32 = 0x7c5a_0a01;
const SECOND_GATEWAY: u32 = 0x7c5a_0a02;

fn reception(seq: u64, packet: PacketSummary, gateway: u32) -> Reception {
    let mut observed = RuleSet::default();
    observed.insert(RuleId::PublicKey);
    let mut off = RuleSet::default();
    off.insert(RuleId::ViaMqtt);
    Reception {
        seq,
        at_ms: NOON_MS + seq as i64 * 1_000,
        client_id: format!("!{gateway:08x}").into(),
        username: Some(format!("gw-{gateway:08x}").into()),
        gateway: Some(gateway),
        topic: format!("msh/US/2/e/LongFast/!{gateway:08x}").into(),
        payload: vec![0x0a, seq as u8].into(),
        qos: 0,
        retain: false,
        packet: Some(packet),
        channel: Some("LongFast".into()),
        port: Some(1),
        consent: Consent::Yes,
        key_class: KeyClass::Default,
        flags: 0,
        frame_bytes: Some(40),
        airtime_us: Some(345_600),
        decision: Decision {
            verdict: Verdict::Accept,
            rule: None,
            sentence: "no rule objected".into(),
            observed,
            off,
        },
    }
}

fn packet(from: u32, id: u32) -> PacketSummary {
    PacketSummary {
        from,
        to: u32::MAX,
        id,
        hop_limit: 2,
        hop_start: 3,
        hops_away: Some(1),
        rx_rssi: Some(-97),
        rx_snr: Some(5.25),
        ..PacketSummary::default()
    }
}

/// Four receptions: a packet heard by two gateways, a direct message, and a position without consent.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let first = reception(1, packet(SENDER, 7), FIRST_GATEWAY);
    let mut second = reception(2, packet(SENDER, 7), SECOND_GATEWAY);
    second.decision.rule = Some(RuleId::Duplicate);
    let direct = PacketSummary { to: SENDER, ..packet(OTHER, 0x10) };
    let mut direct = reception(3, direct, FIRST_GATEWAY);
    direct.channel = Some("PKI\u{1b}[31m".into());
    direct.port = None;
    let mut silent = reception(4, packet(OTHER, 9), SECOND_GATEWAY);
    silent.port = Some(3);
    silent.consent = Consent::No;
    silent.decision.verdict = Verdict::RecordOnly;
    silent.decision.rule = Some(RuleId::Consent);
    silent.decision.sentence = "its sender did not agree to MQTT".into();
    let copy = |receiver: &str, kind, outcome| ReleasedCopy {
        receiver: receiver.into(),
        kind,
        outcome,
        observed: RuleSet::default(),
        details: CopyDetails::default(),
    };
    let copies = vec![
        copy("!7c5a0a02", ReceiverKind::Gateway, Outcome::DeliveredWithHopLimit(0)),
        copy("!7c5a0a01", ReceiverKind::Gateway, Outcome::Withheld(RuleId::Echo)),
        copy("house\u{1b}[2J", ReceiverKind::Observer, Outcome::Delivered),
        copy("slow", ReceiverKind::Service, Outcome::Dropped),
    ];
    let release = Release { reception_seq: 1, at_ms: first.at_ms, copies };
    let mut batch = vec![Record::Release(Arc::new(release))];
    batch.splice(0..0, [first].map(Arc::new).map(Record::Reception));
    batch.extend([second, direct, silent].map(Arc::new).map(Record::Reception));
    Writer::open(&folder.path().join("history")).unwrap().append(&batch).unwrap();
    folder
}

fn backhaul(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backhaul"));
    command.args(arguments).arg("--data").arg(folder);
    command
}

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    backhaul(folder.path(), arguments).output().unwrap()
}

fn stdout(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

fn error(output: Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

fn lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_table_is_newest_first_aligned_and_without_colour_in_a_pipe() {
    let text = stdout(run(&folder(), &["log"]));
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.len(), 5);
    assert!(rows[0].starts_with("TIME (UTC)"));
    assert!(rows[1].starts_with("2026-11-23 12:00:04  !7c5a0002  all        !7c5a0a02  position"), "{text}");
    assert!(rows[1].ends_with("record only  consent"), "{text}");
    assert!(rows[2].contains("!7c5a0002  !7c5a0001  !7c5a0a01  (closed)"), "{text}");
    let verdict_at = rows[0].find("VERDICT").unwrap();
    for (row, verdict) in rows[1..].iter().zip(["record only", "accept", "accept", "accept"]) {
        assert_eq!(row[verdict_at..].strip_prefix(verdict).map(|_| ()), Some(()), "{text}");
    }
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn each_filter_leaves_what_was_asked_for() {
    let folder = folder();
    for (arguments, expected) in [
        (&["node:!7c5a0001"][..], &[3, 2, 1][..]),
        (&["from:!7c5a0001"], &[2, 1]),
        (&["to:all"], &[4, 2, 1]),
        (&["gw:!7c5a0a02"], &[4, 2]),
        (&["channel:LongFast"], &[4, 2, 1]),
        (&["channel:Nowhere"], &[]),
        (&["port:text"], &[2, 1]),
        (&["port:position,text"], &[4, 2, 1]),
        (&["port:3"], &[4]),
        (&["verdict:record-only"], &[4]),
        (&["verdict:refuse"], &[]),
        (&["verdict:withheld"], &[1]),
        (&["rule:echo"], &[1]),
        (&["rule:duplicate"], &[2]),
        (&["consent:no"], &[4]),
        (&["last 9000d -port:text"], &[4, 3]),
        (&["not", "(port:text", "or", "consent:no)"], &[3]),
        (&["hops<1"], &[]),
        (&["snr>5 rssi<-90"], &[4, 3, 2, 1]),
        (&["--limit", "2"], &[4, 3]),
        (&["since", "2026-11-23T12:00:03Z"], &[4, 3]),
        (&["until 2026-11-23 12:00:03"], &[2, 1]),
        (&["gw:!7c5a0a01", "port:text"], &[1]),
        (&["--before", "2026-11-23.3"], &[2, 1]),
    ] {
        let arguments: Vec<&str> = [&["log", "--json"][..], arguments].concat();
        let found = lines(&stdout(run(&folder, &arguments)));
        let seqs: Vec<u64> = found.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, expected, "{arguments:?}");
    }
}

#[test]
fn json_lines_say_their_version_and_hold_the_exact_bytes() {
    let found = lines(&stdout(run(&folder(), &["log", "--json", "--limit", "1"])));
    let line = &found[0];
    assert_eq!((&line["v"], &line["payload_hex"]), (&1.into(), &"0a04".into()));
    assert_eq!(line["packet"]["from"], "!7c5a0002");
    assert_eq!((&line["verdict"], &line["rule"]), (&"record only".into(), &"consent".into()));
    assert_eq!(line["would_have"], serde_json::json!(["public-key"]));
}

#[test]
fn what_cannot_be_understood_is_explained() {
    let folder = folder();
    for (arguments, words) in [
        (&["log", "from:!7c5a port:text"][..], &["from:!7c5a port:text", "       ^^^^^\n", "eight"][..]),
        (&["log", "port:morse"], &["morse", "position"]),
        (&["log", "verdict:maybe"], &["record-only"]),
        (&["log", "rule:golden"], &["golden", "consent"]),
        (&["log", "prot:text"], &["  ^^^^\n", "did you mean `port`"]),
        (&["log", "since soon"], &["soon", "6h"]),
        (&["log", "gw:nobody"], &["     ^^^^^^\n", "no node is called `nobody`"]),
        (&["log", "--before", "17"], &["2026-11-23.4711"]),
        (&["explain", "!7c5a0001", "seven"], &["seven", "0x"]),
        (&["explain", "!7c5a0001", "12345"], &["12345", "!7c5a0001", "backhaul log 'node:"]),
    ] {
        let text = error(run(&folder, arguments));
        assert!(words.iter().all(|word| text.contains(word)), "{arguments:?}: {text}");
    }
}

#[test]
fn without_a_history_both_say_how_to_begin() {
    let empty = tempfile::tempdir().unwrap();
    for arguments in [&["log"][..], &["explain", "!7c5a0001", "7"]] {
        let text = error(run(&empty, arguments));
        assert!(text.contains("backhaul serve") && text.contains("--data"), "{text}");
        assert!(!empty.path().join("history").exists());
    }
}

#[test]
fn nothing_found_is_said_and_is_no_error() {
    let output = run(&folder(), &["log", "verdict:refuse"]);
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("nothing"));
}

#[test]
fn explain_tells_every_reception_rule_and_copy() {
    let folder = folder();
    let text = stdout(run(&folder, &["explain", "!7c5a0001", "7"]));
    assert_eq!(text, stdout(run(&folder, &["explain", "!7c5a0001", "0x7"])));
    let expected = [
        "Packet 7 of !7c5a0001 to all: ",
        "channel LongFast (default key), 346 ms on the air",
        "received 2026-11-23 12:00:01 (+0 ms) by !7c5a0a01: 1 hops, -97 dBm, SNR 5.25 dB",
        "verdict: accept — no rule objected",
        "topic-rights     passed",
        "via-mqtt         off",
        "public-key       would have decided (observe)",
        "to gateway !7c5a0a02: delivered with hop limit 0 (hop-limit)",
        "to gateway !7c5a0a01: withheld by echo: ",
        "to observer house\\u{1b}[2J: delivered as it came",
        "to service slow: dropped",
        "(+1000 ms) by !7c5a0a02",
        "duplicate        decided",
        RuleId::Duplicate.info().doc,
        "copies: none",
    ];
    let mut rest = text.as_str();
    for part in expected {
        let at =
            rest.find(part).unwrap_or_else(|| panic!("`{part}` is not in, or not in its place:\n{text}"));
        rest = &rest[at + part.len()..];
    }
    assert!(!text.contains('\u{1b}'), "a client's name does not command the terminal");
    let closed = stdout(run(&folder, &["explain", "!7c5a0002", "0x10"]));
    assert!(closed.contains("channel PKI\\u{1b}[31m") && !closed.contains('\u{1b}'), "{closed}");
    let refused = stdout(run(&folder, &["explain", "!7c5a0002", "9"]));
    assert!(refused.contains("its sender did not agree to MQTT"), "{refused}");
    assert!(refused.contains("duplicate        not reached"), "{refused}");
}

#[test]
fn explain_as_json_holds_ladder_and_copies() {
    let found = lines(&stdout(run(&folder(), &["explain", "!7c5a0001", "7", "--json"])));
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|line| line["v"] == 1));
    let step = |line: &Json, rule: &str| {
        let steps = line["ladder"].as_array().unwrap();
        steps.iter().find(|s| s["rule"] == rule).unwrap()["step"].clone()
    };
    assert_eq!(
        (step(&found[0], "duplicate"), step(&found[1], "duplicate")),
        ("passed".into(), "decided".into())
    );
    let copies = found[0]["copies"].as_array().unwrap();
    let outcomes: Vec<&str> = copies.iter().map(|copy| copy["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["delivered", "withheld", "delivered", "dropped"]);
    assert_eq!((&copies[0]["hop_limit"], &copies[1]["rule"]), (&0.into(), &"echo".into()));
    assert_eq!(found[1]["copies"], serde_json::json!([]));
}

#[test]
fn following_prints_what_is_stored_later_and_fulfils_the_filter() {
    let folder = folder();
    let arguments = ["log", "--follow", "--json", "gw:!7c5a0a01"];
    let mut child = backhaul(folder.path(), &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| {
        let line: Json = serde_json::from_str(&line.unwrap()).unwrap();
        line["seq"].as_u64().unwrap()
    });
    assert_eq!((printed.next(), printed.next()), (Some(1), Some(3)));
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let later = |seq, gateway| {
        let reception = Reception { at_ms: now_ms, ..reception(seq, packet(SENDER, 20), gateway) };
        Record::Reception(Arc::new(reception))
    };
    let mut writer = Writer::open(&folder.path().join("history")).unwrap();
    writer.append(&[later(5, SECOND_GATEWAY), later(6, FIRST_GATEWAY)]).unwrap();
    assert_eq!(printed.next(), Some(6));
    writer.append(&[later(7, FIRST_GATEWAY)]).unwrap();
    assert_eq!(printed.next(), Some(7));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let folder = folder();
    let mut child = backhaul(folder.path(), &["log", "--json", "--follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    // The next line finds nobody there.
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let next = Reception { at_ms: now_ms, ..reception(5, packet(SENDER, 21), FIRST_GATEWAY) };
    let batch = [Record::Reception(Arc::new(next))];
    Writer::open(&folder.path().join("history")).unwrap().append(&batch).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    assert_eq!(said, "");
}
