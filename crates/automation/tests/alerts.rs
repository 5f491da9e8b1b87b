//! Promises of the alerts that hold whatever comes: beginnings and ends alternate, limits are kept, quiet is quiet.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::collections::BTreeMap;
use std::sync::Arc;

use automation::alert::engine::{Engine, Happening, LEARNING_MS, Learned};
use automation::alert::letter::{Letter, fill, letter};
use automation::alert::outlet::{LETTER_MAX, Outlet, OutletSettings};
use automation::alert::quiet::{Moment, QuietHours};
use automation::alert::rule::{Attribute, Direction, Per, Rule, Severity, Side, Subject, Trigger};
use automation::alert::sighting::Sighting;
use bridge::area::Area;
use policy::decision::{Decision, Verdict};
use policy::rule::RuleSet;
use proptest::prelude::*;
use query::Condition;
use record::{Consent, KeyClass, PacketSummary, Reception};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const NOON_MS: i64 = 12 * HOUR_MS;
const LIBERTY: (i32, i32) = (392_461_000, -944_191_000);
const TOPEKA: (i32, i32) = (390_483_000, -956_780_000);

fn rule(name: &str, trigger: Trigger) -> Rule {
    Rule {
        name: name.into(),
        about: "about".into(),
        severity: Severity::Warning,
        condition: Condition::ALWAYS,
        trigger,
        per: Per::Node,
        targets: vec!["team".into()],
        tells_end: true,
        per_hour_max: 5,
        over_after_ms: 10 * MINUTE_MS,
    }
}

fn battery(for_ms: i64) -> Rule {
    let measure = "battery_level".into();
    rule("battery", Trigger::Threshold { measure, side: Side::Below, limit: 20.0, clear: 30.0, for_ms })
}

fn reception(node: u32, id: u32, gateway: u32, at_ms: i64) -> Reception {
    Reception {
        seq: 1,
        at_ms,
        client_id: "gw".into(),
        username: None,
        gateway: Some(gateway),
        topic: "msh/US/2/e/LongFast/!7c5a0a01".into(),
        payload: Arc::from([]),
        qos: 0,
        retain: false,
        packet: Some(PacketSummary { from: node, id, ..PacketSummary::default() }),
        channel: Some("LongFast".into()),
        port: Some(1),
        consent: Consent::Yes,
        key_class: KeyClass::Default,
        flags: 0,
        frame_bytes: None,
        airtime_us: None,
        decision: Decision {
            verdict: Verdict::Accept,
            rule: None,
            sentence: "Passed on.".into(),
            observed: RuleSet::default(),
            off: RuleSet::default(),
        },
    }
}

fn sighting() -> Sighting {
    Sighting { may_be_told: true, ..Sighting::default() }
}

fn with_battery(level: f64) -> Sighting {
    Sighting { measures: vec![("battery_level", level)], ..sighting() }
}

fn words(happened: &[Happening]) -> Vec<&'static str> {
    happened.iter().map(|h| if h.is_end { "end" } else { "begin" }).collect()
}

#[test]
fn a_threshold_has_a_way_back_and_takes_its_time() {
    let mut engine = Engine::new([battery(5 * MINUTE_MS)], 0);
    let mut told = |minute: i64, level: f64| {
        let at_ms = minute * MINUTE_MS;
        let mut happened = engine.tick(at_ms);
        happened.extend(engine.take(&reception(1, minute as u32 + 1, 9, at_ms), &with_battery(level)));
        words(&happened)
    };
    assert!(told(0, 19.0).is_empty(), "not for long");
    assert!(told(3, 21.0).is_empty(), "it was only a moment");
    assert!(told(4, 19.0).is_empty());
    assert_eq!(told(9, 18.0), ["begin"]);
    assert!(told(10, 25.0).is_empty(), "neither bad nor good again");
    assert!(told(11, 19.0).is_empty(), "it fires already");
    assert_eq!(told(12, 30.0), ["end"]);
}

#[test]
fn silence_is_told_once_and_its_end_too() {
    let silent = Rule { per: Per::Gateway, ..rule("silent", Trigger::Absence { for_ms: HOUR_MS }) };
    let nobody = Rule { per: Per::Mesh, ..rule("nobody", Trigger::Absence { for_ms: 3 * HOUR_MS }) };
    let mut engine = Engine::new([silent, nobody], 0);
    assert!(engine.tick(2 * HOUR_MS).is_empty(), "nobody misses who was never there");
    engine.take(&reception(1, 1, 9, 2 * HOUR_MS), &sighting());
    assert!(engine.tick(3 * HOUR_MS - 1).is_empty());
    let [happening] = &engine.tick(3 * HOUR_MS)[..] else { panic!("one gateway is silent") };
    assert_eq!(happening.subject, Subject::Gateway(9));
    assert!(happening.detail.contains("60 min"), "{}", happening.detail);
    assert!(engine.tick(4 * HOUR_MS).is_empty());
    assert_eq!(words(&engine.tick(5 * HOUR_MS)), ["begin"], "the whole mesh");
    assert_eq!(words(&engine.take(&reception(1, 2, 9, 5 * HOUR_MS), &sighting())), ["end", "end"]);
}

#[test]
fn nobody_is_blamed_for_a_silence_in_which_nobody_listened() {
    let silent = Rule { per: Per::Gateway, ..rule("silent", Trigger::Absence { for_ms: HOUR_MS }) };
    let nobody = Rule { per: Per::Mesh, ..rule("nobody", Trigger::Absence { for_ms: HOUR_MS }) };
    let mut engine = Engine::new([silent, nobody], 0);
    engine.take(&reception(1, 1, 9, 0), &sighting());
    let start_ms = 24 * HOUR_MS;
    engine.begin_present(start_ms);
    assert!(engine.tick(start_ms + 14 * MINUTE_MS).is_empty());
    let happened = engine.tick(start_ms + 15 * MINUTE_MS);
    assert_eq!(happened.iter().map(|h| h.subject.clone()).collect::<Vec<_>>(), [Subject::Gateway(9)]);
    assert_eq!(words(&engine.tick(start_ms + HOUR_MS)), ["begin"]);
}

#[test]
fn a_rate_counts_packets_and_not_the_gateways_that_heard_them() {
    let many = rule("many", Trigger::Match { count: 3, within_ms: MINUTE_MS });
    let mut engine = Engine::new([many], 0);
    let mut take = |id, gateway, at_ms| words(&engine.take(&reception(1, id, gateway, at_ms), &sighting()));
    for gateway in 0..10 {
        assert!(take(1, gateway, 0).is_empty());
    }
    assert!(take(2, 0, 50_000).is_empty());
    assert!(take(3, 0, 61_000).is_empty(), "too slow");
    assert_eq!(take(4, 0, 70_000), ["begin"]);
    assert!(take(5, 0, 70_001).is_empty());
    assert!(engine.tick(70_001 + 10 * MINUTE_MS - 1).is_empty());
    assert_eq!(words(&engine.tick(70_001 + 10 * MINUTE_MS)), ["end"]);
}

#[test]
fn what_was_never_there_is_news_after_the_first_day_and_also_after_a_restart() {
    let new = || rule("new", Trigger::Change(Attribute::Appearance));
    let mut engine = Engine::new([new()], 0);
    assert!(engine.take(&reception(1, 1, 9, 0), &sighting()).is_empty(), "it learns who is there");
    assert!(engine.take(&reception(1, 2, 9, LEARNING_MS), &sighting()).is_empty(), "known");
    assert_eq!(words(&engine.take(&reception(2, 3, 9, LEARNING_MS), &sighting())), ["begin"]);
    let learned = engine.take_learned();
    assert_eq!(
        learned.iter().map(|l| l.subject.clone()).collect::<Vec<_>>(),
        [Subject::Node(1), Subject::Node(2)]
    );
    let mut next = Engine::new([new()], 2 * LEARNING_MS);
    next.restore(learned, &BTreeMap::from([("new".into(), 0)]), 2 * LEARNING_MS);
    assert!(next.take(&reception(2, 4, 9, 2 * LEARNING_MS), &sighting()).is_empty());
    assert_eq!(words(&next.take(&reception(3, 5, 9, 2 * LEARNING_MS), &sighting())), ["begin"]);
}

#[test]
fn another_key_is_told_and_the_same_is_not_also_after_a_restart() {
    let key = |bytes: &[u8]| Sighting { user: vec![(Attribute::Key, bytes.to_vec())], ..sighting() };
    let changed = || rule("key", Trigger::Change(Attribute::Key));
    let mut engine = Engine::new([changed()], 0);
    assert!(engine.take(&reception(1, 1, 9, 0), &key(b"one")).is_empty());
    assert!(engine.take(&reception(1, 2, 9, 1), &key(b"one")).is_empty());
    assert!(engine.take(&reception(1, 3, 9, 1), &sighting()).is_empty(), "it says nothing of its key");
    let learned: Vec<Learned> = engine.take_learned();
    let mut next = Engine::new([changed()], 10);
    next.restore(learned, &BTreeMap::new(), 10);
    assert_eq!(words(&next.take(&reception(1, 4, 9, 10), &key(b"two"))), ["begin"]);
}

#[test]
fn a_border_is_crossed_only_by_who_was_on_the_other_side() {
    let at = |place| Sighting { place: Some(place), ..sighting() };
    let area = Area { latitude_i: LIBERTY.0, longitude_i: LIBERTY.1, radius_m: 10_000 };
    for (direction, wanted) in [
        (Direction::Entering, [&[][..], &["begin"], &[], &["end"]]),
        (Direction::Leaving, [&[][..], &[], &["begin"], &[]]),
    ] {
        let mut engine = Engine::new([rule("border", Trigger::Crossing { area, direction })], 0);
        let places = if direction == Direction::Entering {
            [TOPEKA, LIBERTY, LIBERTY, TOPEKA]
        } else {
            [LIBERTY, LIBERTY, TOPEKA, TOPEKA]
        };
        for (id, (place, wanted)) in (1..).zip(places.into_iter().zip(wanted)) {
            assert_eq!(
                words(&engine.take(&reception(1, id, 9, 0), &at(place))),
                wanted,
                "{direction:?} {id}"
            );
        }
    }
}

#[test]
fn a_rule_that_fired_before_a_restart_goes_on_and_does_not_begin_again() {
    let mut engine = Engine::new([battery(0)], 0);
    engine.take(&reception(1, 1, 9, 5), &with_battery(10.0));
    let firing = engine.firing();
    assert_eq!(firing.len(), 1);
    let mut next = Engine::new([battery(0)], 100);
    next.resume(firing.clone());
    assert_eq!(next.firing(), firing);
    assert!(next.take(&reception(1, 2, 9, 101), &with_battery(9.0)).is_empty());
    let [end] = &next.take(&reception(1, 3, 9, 102), &with_battery(50.0))[..] else { panic!("it is over") };
    assert!(end.is_end && end.since_ms == 5);
}

fn settings() -> OutletSettings {
    OutletSettings { per_hour_max: 8, gather_ms: MINUTE_MS, quiet: QuietHours::parse("22:00-07:00") }
}

fn happening(rule: &Arc<Rule>, node: u32, at_ms: i64, is_end: bool) -> Happening {
    Happening {
        rule: rule.clone(),
        subject: Subject::Node(node),
        at_ms,
        since_ms: at_ms,
        is_end,
        detail: "said “secret”".to_owned(),
        may_be_told: true,
    }
}

const fn utc(now_ms: i64) -> Moment {
    Moment { now_ms, ahead_s: 0 }
}

#[test]
fn what_happens_together_is_one_letter_and_the_night_waits_for_the_morning() {
    let (warning, critical) = (Arc::new(battery(0)), {
        Arc::new(Rule {
            severity: Severity::Critical,
            ..rule("fire", Trigger::Match { count: 1, within_ms: 1 })
        })
    });
    let mut outlet = Outlet::new(settings());
    assert!(outlet.take(&happening(&warning, 1, NOON_MS, false)));
    assert!(outlet.take(&happening(&warning, 2, NOON_MS + 1, false)));
    assert!(outlet.due(utc(NOON_MS + MINUTE_MS - 1)).is_empty(), "still gathering");
    let [letter] = &outlet.due(utc(NOON_MS + MINUTE_MS))[..] else { panic!("one letter") };
    assert_eq!(letter.happened.len(), 2);
    assert!(outlet.due(utc(NOON_MS + HOUR_MS)).is_empty(), "told once");

    let night_ms = NOON_MS + 11 * HOUR_MS;
    outlet.take(&happening(&warning, 3, night_ms, false));
    outlet.take(&happening(&critical, 4, night_ms, false));
    let [letter] = &outlet.due(utc(night_ms + MINUTE_MS))[..] else { panic!("one letter") };
    assert_eq!(letter.happened.iter().map(|h| &*h.rule.name).collect::<Vec<_>>(), ["fire"]);
    assert!(outlet.due(utc(night_ms + 7 * HOUR_MS)).is_empty());
    let [letter] = &outlet.due(utc(night_ms + 8 * HOUR_MS))[..] else { panic!("the morning's letter") };
    assert_eq!(letter.happened.iter().map(|h| &*h.rule.name).collect::<Vec<_>>(), ["battery"]);
}

#[test]
fn a_letter_says_nothing_of_who_may_not_be_told() {
    let rule = Arc::new(battery(0));
    let name_of = |_| Some("Hermit Hut".to_owned());
    let write = |may_be_told| {
        let happened = vec![Happening { may_be_told, ..happening(&rule, 0x4f21_00ee, 0, false) }];
        let gathered = automation::alert::outlet::Gathered { target: "team".into(), happened, left_out: 3 };
        letter("KC", &gathered, &name_of)
    };
    let all = |letter: &Letter| format!("{} {} {}", letter.title, letter.text, letter.json);
    let open = all(&write(true));
    for part in ["Hermit Hut", "!4f2100ee", "secret", "3 more"] {
        assert!(open.contains(part), "{part} in {open}");
    }
    let closed = all(&write(false));
    for part in ["Hermit", "4f2100ee", "secret"] {
        assert!(!closed.contains(part), "{part} in {closed}");
    }
    assert!(closed.contains("battery") && closed.contains("not agreed"));
}

#[test]
fn what_is_said_begins_no_line_of_its_own() {
    let detail = "said “x\r\nBcc: everybody@example.org\u{1b}[2J”".to_owned();
    let happened = vec![Happening { detail, ..happening(&Arc::new(battery(0)), 1, 0, false) }];
    let gathered = automation::alert::outlet::Gathered { target: "team".into(), happened, left_out: 0 };
    let letter = letter("KC", &gathered, &|_| None);
    assert!(letter.title.contains("Bcc") && !letter.title.contains(char::is_control), "{:?}", letter.title);
    assert_eq!(letter.text.lines().count(), 2, "{}", letter.text);
}

#[test]
fn nothing_that_is_said_gets_out_of_its_place_in_a_template() {
    let letter = Letter {
        severity: Severity::Info,
        title: "a \"quote\", {text} and\na line".to_owned(),
        text: "{json}".to_owned(),
        json: "{\"a\":1}".to_owned(),
        is_end: false,
    };
    let filled = fill("{\"t\": \"{title}\", \"all\": {json}, \"{other}\": \"{severity}\"}", &letter, true);
    let json: serde_json::Value = serde_json::from_str(&filled).unwrap();
    assert_eq!(json["t"], "a \"quote\", {text} and\na line", "what is said is no template");
    assert_eq!((&json["all"]["a"], &json["{other}"]), (&1.into(), &"info".into()));
    assert_eq!(fill("{text}{", &letter, false), "{json}{");
}

fn any_trigger() -> impl Strategy<Value = Trigger> {
    let measure = || -> Box<str> { "battery_level".into() };
    prop_oneof![
        (1..4_u32, 1..HOUR_MS).prop_map(|(count, within_ms)| Trigger::Match { count, within_ms }),
        (1..HOUR_MS).prop_map(|for_ms| Trigger::Absence { for_ms }),
        (0..HOUR_MS, 0..60_i32).prop_map(move |(for_ms, gap)| Trigger::Threshold {
            measure: measure(),
            side: Side::Below,
            limit: 40.0,
            clear: 40.0 + f64::from(gap),
            for_ms
        }),
        Just(Trigger::Change(Attribute::Key)),
        Just(Trigger::Change(Attribute::Appearance)),
        prop_oneof![Just(Direction::Entering), Just(Direction::Leaving)].prop_map(|direction| {
            let area = Area { latitude_i: LIBERTY.0, longitude_i: LIBERTY.1, radius_m: 10_000 };
            Trigger::Crossing { area, direction }
        }),
    ]
}

fn any_per() -> impl Strategy<Value = Per> {
    prop_oneof![Just(Per::Mesh), Just(Per::Node), Just(Per::Gateway), Just(Per::Channel)]
}

proptest! {
    #[test]
    fn beginnings_and_ends_alternate_whatever_happens(
        triggers in prop::collection::vec((any_trigger(), any_per()), 1..6),
        steps in prop::collection::vec(
            (0..HOUR_MS, 0..3_u32, 0..3_u32, 0..100_u8, any::<bool>(), any::<bool>()), 1..80),
    ) {
        let rules: Vec<Rule> = triggers
            .into_iter()
            .enumerate()
            .map(|(index, (trigger, per))| Rule { per, ..rule(&format!("r{index}"), trigger) })
            .collect();
        // As after a day, so that what is new is told.
        let mut engine = Engine::new(rules, -LEARNING_MS);
        let mut fires: BTreeMap<(Box<str>, Subject), bool> = BTreeMap::new();
        let mut now_ms = 0;
        for (id, (wait_ms, node, gateway, level, is_liberty, ticks)) in (1..).zip(steps) {
            now_ms += wait_ms;
            let mut happened = if ticks { engine.tick(now_ms) } else { Vec::new() };
            let seen = Sighting {
                measures: vec![("battery_level", f64::from(level))],
                place: Some(if is_liberty { LIBERTY } else { TOPEKA }),
                user: vec![(Attribute::Key, vec![level % 2])],
                ..sighting()
            };
            happened.extend(engine.take(&reception(node, id, gateway, now_ms), &seen));
            for h in happened {
                let was = fires.insert((h.rule.name.clone(), h.subject.clone()), !h.is_end);
                prop_assert_eq!(was.unwrap_or(false), h.is_end, "{} {}", h.rule.name, h.subject);
                prop_assert!(h.since_ms <= h.at_ms);
            }
        }
        let firing = engine.firing().into_iter().map(|f| (f.rule, f.subject)).collect::<Vec<_>>();
        let counted: Vec<_> = fires.into_iter().filter(|(_, is)| *is).map(|(key, _)| key).collect();
        prop_assert_eq!(firing.len(), counted.len());
        prop_assert!(counted.iter().all(|key| firing.contains(key)));
    }

    #[test]
    fn no_more_is_told_than_the_limits_allow_and_the_rest_is_counted(
        steps in prop::collection::vec((0..20 * MINUTE_MS, 0..3_usize, 0..6_u32, any::<bool>()), 1..200),
        per_hour_max in 1..12_u32,
    ) {
        let rules: Vec<_> =
            (0..3).map(|n| Arc::new(Rule { per_hour_max: 1 + n, ..battery(0) })).enumerate().map(|(n, rule)| {
                Arc::new(Rule { name: format!("r{n}").into(), ..(*rule).clone() })
            }).collect();
        let mut outlet = Outlet::new(OutletSettings { per_hour_max, gather_ms: 0, quiet: None });
        let (mut now_ms, mut offered) = (0, 0_u64);
        let mut told: Vec<(i64, Box<str>)> = Vec::new();
        let mut open: BTreeMap<(Box<str>, Subject), ()> = BTreeMap::new();
        for (wait_ms, index, node, is_end) in steps {
            now_ms += wait_ms;
            let happening = happening(&rules[index], node, now_ms, is_end);
            offered += u64::from(!is_end);
            outlet.take(&happening);
            for gathered in outlet.due(utc(now_ms)) {
                prop_assert!(gathered.happened.len() <= LETTER_MAX);
                for h in gathered.happened {
                    let key = (h.rule.name.clone(), h.subject.clone());
                    if h.is_end {
                        prop_assert!(open.remove(&key).is_some(), "an end without a beginning");
                    } else {
                        open.insert(key, ());
                        told.push((h.at_ms, h.rule.name.clone()));
                    }
                }
            }
        }
        for (at_ms, _) in &told {
            let within = |name: Option<&str>| told.iter().filter(|(other, rule)| {
                (at_ms - HOUR_MS + 1..=*at_ms).contains(other) && name.is_none_or(|name| **rule == *name)
            }).count();
            prop_assert!(within(None) <= per_hour_max as usize);
            for rule in &rules {
                prop_assert!(within(Some(&rule.name)) <= rule.per_hour_max as usize);
            }
        }
        prop_assert_eq!(told.len() as u64 + outlet.left_out(), offered);
    }
}
