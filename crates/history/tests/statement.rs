//! The daily statement of consent, against a plain count of the same records in memory, and its recount.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod made_up;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use history::statement::{self, Statement, Uncheckable};
use history::{Reader, Writer};
use made_up::{Maker, NOON_MS};
use policy::decision::{Outcome, Verdict};
use policy::downlink::details::CopyDetails;
use policy::rule::{RuleId, RuleSet};
use record::{Consent, ReceiverKind, Reception, Record, Release, ReleasedCopy};
use tempfile::TempDir;

const DAY_MS: i64 = 86_400_000;

fn kept(records: &[Record]) -> (TempDir, Reader) {
    let folder = tempfile::tempdir().unwrap();
    Writer::open(folder.path()).unwrap().append(records).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    (folder, reader)
}

/// Some thousand records around the midnight after noon, with consent of every kind.
fn around_midnight() -> Vec<Record> {
    let mut maker = Maker::new(7);
    maker.step_ms = 24_000;
    (0..3_000).flat_map(|_| maker.records()).collect()
}

/// A reception whose sender agreed as told, and what became of its copies.
fn passed(seq: u64, consent: Consent, copies: &[(&str, ReceiverKind, Outcome)]) -> [Record; 2] {
    let mut maker = Maker::new(seq);
    let reception = Reception { seq, at_ms: NOON_MS, consent, ..(*maker.reception()).clone() };
    let copies = copies.iter().map(|(receiver, kind, outcome)| ReleasedCopy {
        receiver: (*receiver).into(),
        kind: *kind,
        outcome: *outcome,
        observed: RuleSet::default(),
        details: CopyDetails::default(),
    });
    let release = Release { reception_seq: seq, at_ms: NOON_MS, copies: copies.collect() };
    [Record::Reception(Arc::new(reception)), Record::Release(Arc::new(release))]
}

fn bridge() -> Vec<Box<str>> {
    vec!["bridge".into()]
}

#[test]
fn each_day_is_counted_as_a_plain_look_at_its_records_counts_it() {
    let records = around_midnight();
    let (_folder, reader) = kept(&records);
    let days = reader.kept_days().unwrap();
    assert!(days.len() >= 2, "the records do not reach past midnight");
    let mut seen = 0;
    for day in days {
        let counted = reader.consent_of_day(day).unwrap();
        let mut packets = BTreeSet::new();
        let mut by_gateway: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        let (mut agreed, mut withheld) = (0, 0);
        let mut delivered: BTreeMap<(u8, String), (u64, u64)> = BTreeMap::new();
        let mut consents = BTreeMap::new();
        for record in &records {
            match record {
                Record::Reception(r) if r.at_ms.div_euclid(DAY_MS) == day => {
                    let packet = r.packet.unwrap();
                    packets.insert((packet.from, packet.id));
                    consents.insert(r.seq, r.consent);
                    agreed += u64::from(r.consent == Consent::Yes);
                    let is_withheld = r.decision.rule == Some(RuleId::Consent)
                        && matches!(r.decision.verdict, Verdict::RecordOnly | Verdict::Refuse);
                    withheld += u64::from(is_withheld);
                    let gateway = by_gateway.entry(r.gateway.unwrap()).or_default();
                    *gateway = (gateway.0 + 1, gateway.1 + u64::from(is_withheld));
                }
                Record::Release(release) if consents.contains_key(&release.reception_seq) => {
                    let has_agreed = consents[&release.reception_seq] == Consent::Yes;
                    for copy in &release.copies {
                        let is_sent =
                            matches!(copy.outcome, Outcome::Delivered | Outcome::DeliveredWithHopLimit(_));
                        let key = (copy.kind.code(), copy.receiver.to_string());
                        let counts = delivered.entry(key).or_default();
                        counts.0 += u64::from(is_sent);
                        counts.1 += u64::from(is_sent && !has_agreed);
                    }
                }
                Record::Reception(_)
                | Record::Release(_)
                | Record::Connection(_)
                | Record::PolicyChange(_)
                | Record::Erased(_) => {}
            }
        }
        assert_eq!(counted.all.receptions, consents.len() as u64);
        assert_eq!(counted.all.packets, packets.len() as u64);
        assert_eq!((counted.all.yes, counted.all.withheld), (agreed, withheld));
        assert_eq!(counted.all.yes + counted.all.no + counted.all.unknown, counted.all.receptions);
        let gateways = counted.by_gateway.iter().map(|(g, c)| (*g, (c.receptions, c.withheld)));
        assert_eq!(gateways.collect::<BTreeMap<_, _>>(), by_gateway);
        let receivers =
            counted.by_receiver.iter().map(|(k, c)| (k.clone(), (c.delivered, c.without_consent)));
        assert_eq!(receivers.collect::<BTreeMap<_, _>>(), delivered);
        seen += counted.all.receptions;
    }
    assert_eq!(seen, 3_000);
}

#[test]
fn nothing_without_consent_outside_holds() {
    let bridge_copy = |outcome| ("bridge", ReceiverKind::Service, outcome);
    let records = [
        passed(
            1,
            Consent::Yes,
            &[bridge_copy(Outcome::Delivered), ("house", ReceiverKind::Observer, Outcome::Delivered)],
        ),
        passed(
            2,
            Consent::No,
            &[
                bridge_copy(Outcome::Withheld(RuleId::OutsideConsent)),
                ("house", ReceiverKind::Observer, Outcome::Delivered),
            ],
        ),
        // A guest may call itself what it likes.
        passed(3, Consent::No, &[("bridge", ReceiverKind::Guest, Outcome::Delivered)]),
    ];
    let (_folder, reader) = kept(&records.concat());
    let statement = Statement::of(&reader, NOON_MS / DAY_MS, &bridge()).unwrap();
    let outside = statement.outside_counts();
    assert_eq!((outside.delivered, outside.without_consent, outside.withheld), (1, 0, 1));
    assert!(statement.holds());
    assert_eq!(
        statement.to_json()["receivers"][0]["without_consent"],
        1,
        "the house is inside: {}",
        statement.to_json()
    );
}

#[test]
fn one_copy_without_consent_outside_is_found() {
    for consent in [Consent::No, Consent::Unknown] {
        let (_folder, reader) =
            kept(&passed(1, consent, &[("bridge", ReceiverKind::Service, Outcome::Delivered)]));
        let statement = Statement::of(&reader, NOON_MS / DAY_MS, &bridge()).unwrap();
        assert!(!statement.holds(), "{consent:?}");
        assert_eq!(statement.outside_counts().without_consent, 1);
    }
}

#[test]
fn a_copy_whose_reception_was_lost_counts_as_without_consent() {
    let [_, release] = passed(1, Consent::Yes, &[("bridge", ReceiverKind::Service, Outcome::Delivered)]);
    // Something else makes the day's file.
    let records = [passed(2, Consent::Yes, &[])[0].clone(), release];
    let (_folder, reader) = kept(&records);
    let statement = Statement::of(&reader, NOON_MS / DAY_MS, &bridge()).unwrap();
    assert!(!statement.holds());
}

#[test]
fn a_written_statement_agrees_with_its_history_and_a_changed_one_does_not() {
    let (folder, reader) = kept(&around_midnight());
    let day = reader.kept_days().unwrap()[0];
    let statement = Statement::of(&reader, day, &["!7c5a0a03".into()]).unwrap();
    let file = statement.write(&folder.path().join("statements")).unwrap();
    assert!(file.ends_with(format!("consent-{}.json", statement::date(day))));
    let text = std::fs::read_to_string(&file).unwrap();
    let recount = statement::check(&text, &reader).unwrap();
    assert_eq!((recount.differences, recount.statement), (vec![], statement.clone()));

    let mut changed = statement.to_json();
    changed["outside"]["without_consent"] = 0.into();
    changed["gateways"][0]["withheld"] = 12_345.into();
    changed["note"] = "added".into();
    let differences = statement::check(&changed.to_string(), &reader).unwrap().differences;
    assert!(
        differences.iter().any(|d| d.starts_with("gateways[0].withheld: the file says 12345")),
        "{differences:?}"
    );
    assert!(differences.iter().any(|d| d.starts_with("note: ")), "{differences:?}");
    let is_false_claim = statement.outside_counts().without_consent > 0;
    assert_eq!(differences.iter().any(|d| d.starts_with("outside.without_consent")), is_false_claim);
    assert!(is_false_claim, "the made-up copies do not care for consent");
}

#[test]
fn what_cannot_be_recounted_is_said_so() {
    let (_folder, reader) = kept(&around_midnight());
    for text in [
        "",
        "[]",
        "{}",
        r#"{"v":2,"statement":"consent"}"#,
        r#"{"v":1,"statement":"consent","day":"today","outside_receivers":[]}"#,
        r#"{"v":1,"statement":"consent","day":"2026-11-23","outside_receivers":[1]}"#,
    ] {
        assert!(matches!(statement::check(text, &reader), Err(Uncheckable::NoStatement)), "{text}");
    }
    let long_ago = r#"{"v":1,"statement":"consent","day":"2001-01-01","outside_receivers":[]}"#;
    assert!(matches!(statement::check(long_ago, &reader), Err(Uncheckable::NotKept(_))));
}
