//! What the reader answers, against a plain search of the same receptions in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod made_up;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use history::{Cursor, Dimension, Effort, Filter, Reader, Search, Thing, Writer};
use made_up::{Maker, NOON_MS, gateway, node, shown};
use mesh::keyring::Keyring;
use policy::decision::Verdict;
use policy::rule::RULES;
use proptest::prelude::*;
use query::{Compare, Condition, CopyFate, Evidence, Measure, Test};
use record::{Consent, KeyClass, Reception, Record, Release};
use tempfile::TempDir;

struct Town {
    folder: TempDir,
    all: Vec<Arc<Reception>>,
    releases: BTreeMap<u64, Arc<Release>>,
    said: BTreeMap<u64, String>,
}

impl Town {
    /// A few thousand receptions over three days.
    fn new(seed: u64, count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut maker = Maker::new(seed);
        maker.step_ms = 2 * 86_400_000 / count as i64;
        maker.nodes = 30;
        let mut town = Self { folder, all: Vec::new(), releases: BTreeMap::new(), said: BTreeMap::new() };
        let mut batch = Vec::new();
        for index in 0..count {
            let records = if index % 20 == 7 {
                let text =
                    ["Net tonight at 8", "hail \"here\" now", "ÜBUNG", "nothing of note"][index / 20 % 4];
                let said = maker.said(&mesh::key::ChannelKey::default_key(), "LongFast", text);
                town.said.insert(maker.seq, text.to_owned());
                vec![said]
            } else {
                maker.records()
            };
            for record in &records {
                match record {
                    Record::Reception(reception) => town.all.push(reception.clone()),
                    Record::Release(release) => {
                        drop(town.releases.insert(release.reception_seq, release.clone()))
                    }
                    _ => {}
                }
            }
            batch.extend(records);
        }
        Writer::open(town.folder.path()).unwrap().append(&batch).unwrap();
        town
    }

    /// Takes away what the earlier schema did not have.
    fn made_version_one(&self) {
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|e| e == "db") {
                let connection = rusqlite::Connection::open(file).unwrap();
                connection
                    .execute_batch(
                        "CREATE INDEX reception_source ON reception (source);
                         ALTER TABLE reception DROP COLUMN hops; ALTER TABLE reception DROP COLUMN rssi;
                         ALTER TABLE release DROP COLUMN fate; DROP TABLE fate; DROP TABLE rollup;
                         DROP TABLE said; DROP TABLE node_name; PRAGMA user_version = 1;",
                    )
                    .unwrap();
            }
        }
    }

    fn reader(&self) -> Reader {
        Reader::open(self.folder.path()).unwrap()
    }

    /// The answer by looking at each.
    fn plain(&self, filter: &Filter) -> Vec<&Reception> {
        let holds = |r: &&Reception| {
            let evidence = Evidence {
                reception: r,
                said: self.said.get(&r.seq).map(String::as_str),
                release: self.releases.get(&r.seq).map(|release| &**release),
            };
            filter.since_ms.is_none_or(|v| r.at_ms >= v)
                && filter.until_ms.is_none_or(|v| r.at_ms < v)
                && filter.before_seq.is_none_or(|v| r.seq < v)
                && filter.after_seq.is_none_or(|v| r.seq > v)
                && filter.condition.holds(&evidence)
        };
        let mut found: Vec<&Reception> = self.all.iter().map(|r| &**r).filter(holds).collect();
        if filter.after_seq.is_none() {
            found.reverse();
        }
        found.truncate(filter.limit);
        found
    }
}

fn is_public(r: &Reception) -> bool {
    r.consent == Consent::Yes
        && matches!(r.decision.verdict, Verdict::Accept | Verdict::Rewrite)
        && (r.key_class.is_public() || r.port == Some(73))
}

/// Tests of every sort, of which most hold for some of what there is.
fn tests() -> impl Strategy<Value = Test> {
    let nodes =
        || prop::collection::vec((0u32..32).prop_map(|n| if n == 31 { u32::MAX } else { node(n) }), 1..4);
    let word = |words: &'static [&'static str]| prop::sample::select(words).prop_map(str::to_owned);
    let rule = || prop::sample::select(RULES).prop_map(|rule| rule.id);
    let measure = (prop::sample::select(Measure::ALL.to_vec()), prop::sample::select(Compare::ALL.to_vec()));
    let moment = || (0i64..1_000).prop_map(|thousandth| NOON_MS + thousandth * 2 * 86_400);
    prop_oneof![
        nodes().prop_map(Test::From),
        nodes().prop_map(Test::To),
        prop::collection::vec((0u32..22).prop_map(gateway), 0..4).prop_map(Test::Gateway),
        word(&["LongFast", "kansas city", "PKI", "none", "o'clock"]).prop_map(Test::Channel),
        word(&["msh/US/2/e/LongFast/!7c5a0a03", "msh/US/*", "other/*"]).prop_map(Test::Topic),
        word(&["!7c5a0a03", "!7c5a0a0*", "é*"]).prop_map(Test::Client),
        word(&["gw-7c5a0a03", "gw-7c5a0a0*", "*"]).prop_map(Test::User),
        prop::sample::select(&[Some(1), Some(3), Some(4), Some(67), Some(73), Some(9), None])
            .prop_map(Test::Port),
        prop::sample::select(&Verdict::ALL).prop_map(Test::Verdict),
        rule().prop_map(Test::Rule),
        rule().prop_map(Test::WithheldBy),
        rule().prop_map(Test::Would),
        prop::sample::select(&CopyFate::ALL).prop_map(Test::Copy),
        prop::sample::select(Consent::ALL).prop_map(Test::Consent),
        prop::sample::select(KeyClass::ALL).prop_map(Test::Key),
        (0u32..5).prop_map(|bit| Test::Flag(1 << bit)),
        (measure, -200i64..200).prop_map(|((m, c), n)| Test::Measure(m, c, n * 1_000)),
        (prop::sample::select(Compare::ALL.to_vec()), -50i64..50).prop_map(|(c, n)| Test::Measure(
            Measure::Snr,
            c,
            n * 250
        )),
        word(&["net", "net tonight", "hail \"here\"", "it", "zz", "übung"]).prop_map(Test::Text),
        moment().prop_map(Test::Since),
        moment().prop_map(Test::Until),
    ]
}

fn conditions() -> impl Strategy<Value = Condition> {
    let leaf = (tests(), prop::bool::weighted(0.25))
        .prop_map(|(test, is_not)| if is_not { Condition::Not(test) } else { Condition::Is(test) });
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Condition::All),
            prop::collection::vec(inner, 0..4).prop_map(Condition::Any),
        ]
    })
}

fn filters() -> impl Strategy<Value = Filter> {
    let rarely = |end: u64| prop::option::weighted(0.2, 0..end);
    let times = (rarely(1_000), rarely(1_000), rarely(3_000), rarely(3_000));
    (times, conditions(), 1usize..400).prop_map(|((since, until, before, after), condition, limit)| {
        let at = |thousandth: u64| NOON_MS + thousandth as i64 * 2 * 86_400;
        Filter {
            since_ms: since.map(at),
            until_ms: until.map(at),
            before_seq: before,
            after_seq: after,
            condition,
            limit,
        }
    })
}

#[test]
fn every_filter_finds_what_a_plain_search_finds() {
    let town = Town::new(1, 3_000);
    let reader = town.reader();
    let found_any = std::cell::Cell::new(0);
    proptest!(ProptestConfig::with_cases(600), |(filter in filters())| {
        let found = reader.log(&filter).unwrap();
        let plain = town.plain(&filter);
        found_any.set(found_any.get() + usize::from(!found.is_empty()));
        prop_assert!(found.iter().map(shown).eq(plain.into_iter().map(shown)), "{filter:?}");
    });
    assert!(found_any.get() > 100, "most of the filters ask for something that there is");
}

#[test]
fn files_of_the_earlier_schema_answer_every_filter_the_same() {
    let town = Town::new(1, 3_000);
    town.made_version_one();
    let reader = town.reader();
    proptest!(ProptestConfig::with_cases(200), |(filter in filters())| {
        let found = reader.log(&filter).unwrap();
        prop_assert!(found.iter().map(shown).eq(town.plain(&filter).into_iter().map(shown)), "{filter:?}");
    });
}

#[test]
fn what_is_public_is_what_everyone_may_see() {
    let town = Town::new(2, 1_000);
    let found = town.reader().log(&Filter { limit: 10_000, ..Filter::of(Condition::public()) }).unwrap();
    let mut plain: Vec<&Arc<Reception>> = town.all.iter().filter(|r| is_public(r)).collect();
    plain.reverse();
    assert!(!found.is_empty() && found.iter().map(|r| r.seq).eq(plain.into_iter().map(|r| r.seq)));
}

#[test]
fn a_page_goes_on_where_the_last_one_stopped_however_little_was_done_for_it() {
    let town = Town::new(2, 2_000);
    let reader = town.reader();
    let (rule, any) = (Condition::Is(Test::Verdict(Verdict::Refuse)), Condition::ALWAYS);
    let text = Condition::Is(Test::Text("net".to_owned()));
    let node = Condition::node(node(3));
    for condition in [rule, any, text, node] {
        for effort in [Effort::UNBOUNDED, Effort { rows: 0, time: Duration::ZERO }] {
            let (mut before, mut found, mut cut_short) = (None, Vec::new(), 0);
            loop {
                let search =
                    Search { condition: &condition, keep: &|r| r.seq % 3 != 0, before, limit: 37, effort };
                let page = reader.search(&search).unwrap();
                assert!(page.receptions.len() <= 37);
                assert!(page.receptions.len() == 37 || page.is_cut_short || page.next.is_none());
                cut_short += usize::from(page.is_cut_short);
                found.extend(page.receptions.iter().map(|r| r.seq));
                before = page.next.map(|next| next.to_string().parse().unwrap());
                if before.is_none() {
                    break;
                }
            }
            let filter = Filter { limit: 10_000, ..Filter::of(condition.clone()) };
            let plain: Vec<u64> = town.plain(&filter).iter().map(|r| r.seq).filter(|s| s % 3 != 0).collect();
            assert_eq!(found, plain, "{condition:?}");
            assert_eq!(cut_short > 0, effort != Effort::UNBOUNDED, "{condition:?}");
        }
    }
}

#[test]
fn a_cursor_that_is_none_is_refused() {
    for wrong in
        ["", "17", "2026-11-23", "2026-11-23.", "2026-11-23.x", "2026-11-23.99999999999999999999", "é.1"]
    {
        assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
    }
}

#[test]
fn what_was_said_is_found_only_while_its_key_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut keyring = Keyring::default();
    let key = mesh::key::ChannelKey::from_psk(&[7; 32]).unwrap();
    keyring.add("Works", key.clone());
    let maker = &mut Maker::new(9);
    let batch = [
        maker.said(&key, "Works", "Storm crew to the NORTH tower"),
        maker.said(&mesh::key::ChannelKey::default_key(), "LongFast", "net tonight at eight"),
    ];
    let mut writer = Writer::open(folder.path()).unwrap().with_keyring(keyring.clone());
    writer.append(&batch).unwrap();
    let found = |reader: &Reader, text: &str| -> usize {
        let condition = Condition::Is(Test::Text(query::fold(text)));
        reader.log(&Filter::of(condition)).unwrap().len()
    };
    let without = Reader::open(folder.path()).unwrap();
    let with = without.clone().with_keyring(Arc::new(keyring));
    assert_eq!((found(&with, "north TOWER"), found(&with, "tonight")), (1, 1));
    assert_eq!((found(&without, "north tower"), found(&without, "tonight")), (0, 1));
    assert_eq!((found(&with, "ni"), found(&with, "at \"eight\"")), (1, 0));
}

#[test]
fn names_of_nodes_are_the_latest_they_gave_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(10);
    let mut writer = Writer::open(folder.path()).unwrap();
    writer
        .append(&[maker.named(node(1), "Old name", "OLD"), maker.named(node(2), "Water tower", "WT")])
        .unwrap();
    maker.at_ms += 86_400_000;
    writer.append(&[maker.named(node(1), "Jo's roof", "JO")]).unwrap();
    let names = Reader::open(folder.path()).unwrap().names(0).unwrap();
    let told: Vec<(u32, &str, &str)> = names.iter().map(|n| (n.node, &*n.long, &*n.short)).collect();
    assert_eq!(told, [(node(1), "Jo's roof", "JO"), (node(2), "Water tower", "WT")]);
}

#[test]
fn hours_and_tallies_are_what_adding_up_gives() {
    for made_version_one in [false, true] {
        let town = Town::new(11, 3_000);
        if made_version_one {
            town.made_version_one();
        }
        let reader = town.reader();
        let (since_ms, until_ms) = (NOON_MS + 3 * 3_600_000, NOON_MS + 40 * 3_600_000);
        let within = || town.all.iter().filter(|r| (since_ms..until_ms).contains(&r.at_ms));
        let things = |r: &Reception| -> Vec<Thing> {
            let mut things =
                vec![Thing::All, Thing::Port(r.port), Thing::Channel(r.channel.as_deref().unwrap().into())];
            things.extend([Thing::Gateway(r.gateway.unwrap()), Thing::Node(r.packet.unwrap().from)]);
            things.extend(r.decision.rule.map(Thing::Rule));
            things
        };
        let mut plain: BTreeMap<Thing, (u64, u64, BTreeMap<i64, u64>)> = BTreeMap::new();
        for r in within() {
            for thing in things(r) {
                let sums = plain.entry(thing).or_default();
                sums.0 += 1;
                sums.1 += u64::from(r.airtime_us.unwrap());
                *sums.2.entry(r.at_ms / 3_600_000 * 3_600_000).or_default() += 1;
            }
        }
        let dimensions = [
            Dimension::All,
            Dimension::Port,
            Dimension::Gateway,
            Dimension::Node,
            Dimension::Channel,
            Dimension::Rule,
        ];
        let mut seen = 0;
        for dimension in dimensions {
            for (thing, tally) in reader.tallies(dimension, since_ms, until_ms).unwrap() {
                let (receptions, airtime_us, hours) = &plain[&thing];
                assert_eq!((tally.receptions(), tally.airtime_us), (*receptions, *airtime_us), "{thing:?}");
                let found = reader.hours(&thing, since_ms, until_ms).unwrap();
                assert!(
                    found.iter().map(|(at, t)| (*at, t.receptions())).eq(hours.iter().map(|(a, n)| (*a, *n)))
                );
                seen += 1;
            }
        }
        assert_eq!(seen, plain.len());
        let packets: u64 = reader.tallies(Dimension::All, 0, i64::MAX / 2).unwrap()[0].1.packets;
        let distinct: BTreeSet<(u32, u32)> =
            town.all.iter().map(|r| (r.packet.unwrap().from, r.packet.unwrap().id)).collect();
        // A packet that is heard around midnight is in two files; one without rollups cannot even tell around the hour.
        let most = distinct.len() as u64 + if made_version_one { 49 } else { 2 };
        assert!((distinct.len() as u64..=most).contains(&packets), "{packets} {}", distinct.len());
    }
}

#[test]
fn pages_follow_each_other_without_gap_or_overlap() {
    let town = Town::new(2, 2_000);
    let reader = town.reader();
    let (mut before_seq, mut pages) = (None, Vec::new());
    loop {
        let accepted = Condition::Is(Test::Verdict(Verdict::Accept));
        let filter = Filter { before_seq, limit: 77, ..Filter::of(accepted) };
        let page = reader.log(&filter).unwrap();
        before_seq = page.last().map(|r| r.seq);
        pages.extend(page.iter().map(|r| r.seq));
        if page.len() < 77 {
            break;
        }
    }
    let accepted = Condition::Is(Test::Verdict(Verdict::Accept));
    let filter = Filter { limit: 10_000, ..Filter::of(accepted) };
    assert!(pages.into_iter().eq(town.plain(&filter).into_iter().map(|r| r.seq)));
}

#[test]
fn a_packet_is_found_with_all_its_receptions() {
    let town = Town::new(3, 600);
    let reader = town.reader();
    for r in town.all.iter().step_by(17).filter(|r| !town.said.contains_key(&r.seq)) {
        let packet = r.packet.unwrap();
        let condition = Condition::packet(packet.from, packet.id);
        let filter = Filter { after_seq: Some(0), ..Filter::of(condition) };
        let found = reader.packet(packet.from, packet.id).unwrap();
        assert!((2..=made_up::COPIES as usize).contains(&found.len()));
        assert!(found.iter().map(|(r, _)| shown(r)).eq(town.plain(&filter).into_iter().map(shown)));
    }
    assert!(reader.packet(node(1), 2).unwrap().is_empty());
}

#[test]
fn totals_count_the_window() {
    let town = Town::new(4, 3_000);
    let reader = town.reader();
    for (since_ms, until_ms) in [
        (NOON_MS - 1, NOON_MS + 3 * 86_400_000),
        (NOON_MS + 5_000_000, NOON_MS + 9_000_000),
        (NOON_MS + 40_000_000, NOON_MS + 90_000_000),
        (0, NOON_MS - 1),
    ] {
        let within: Vec<&Arc<Reception>> =
            town.all.iter().filter(|r| (since_ms..until_ms).contains(&r.at_ms)).collect();
        let totals = reader.totals(since_ms, until_ms, 10).unwrap();
        assert_eq!(totals.receptions, within.len() as u64);
        let count = |v: Verdict| within.iter().filter(|r| r.decision.verdict == v).count() as u64;
        assert_eq!(totals.by_verdict, Verdict::ALL.map(count));
        let mut by_gateway = BTreeMap::new();
        for gateway in within.iter().filter_map(|r| r.gateway) {
            *by_gateway.entry(gateway).or_insert(0) += 1;
        }
        assert_eq!(totals.by_gateway, by_gateway);
        let nodes: BTreeSet<u32> = within.iter().map(|r| r.packet.unwrap().from).collect();
        assert_eq!(totals.nodes, nodes.len() as u64);
        // A packet heard around midnight counts for both days.
        let packets: BTreeSet<(i64, u32, u32)> = (within.iter())
            .map(|r| (r.at_ms / 86_400_000, r.packet.unwrap().from, r.packet.unwrap().id))
            .collect();
        assert_eq!(totals.packets, packets.len() as u64);
        assert_eq!(totals.airtime_us, within.iter().map(|r| u64::from(r.airtime_us.unwrap())).sum::<u64>());
        let mut buckets = vec![0; 10];
        let width = (until_ms - since_ms) / 10;
        within.iter().for_each(|r| buckets[(((r.at_ms - since_ms) / width) as usize).min(9)] += 1);
        assert_eq!(totals.buckets, buckets);
    }
}

#[test]
fn gateways_and_nodes_are_summed_up() {
    let town = Town::new(5, 3_000);
    let reader = town.reader();
    let since_ms = NOON_MS + 60_000_000;
    let within: Vec<&Arc<Reception>> = town.all.iter().filter(|r| r.at_ms >= since_ms).collect();
    let found = reader.gateways(since_ms).unwrap();
    assert_eq!(found.len(), 20);
    for g in &found {
        let own: Vec<_> = within.iter().filter(|r| r.gateway == Some(g.gateway)).collect();
        let count = |v: Verdict| own.iter().filter(|r| r.decision.verdict == v).count() as u64;
        assert_eq!(g.receptions, Verdict::ALL.map(count));
        assert_eq!(Some(g.last_ms), own.iter().map(|r| r.at_ms).max());
    }
    for (index, public_only) in [(3, false), (7, false), (7, true), (10, true)] {
        let own: Vec<_> = (within.iter())
            .filter(|r| r.packet.unwrap().from == node(index) && (!public_only || is_public(r)))
            .collect();
        let Some(activity) = reader.node(node(index), since_ms, public_only).unwrap() else {
            assert!(own.is_empty());
            continue;
        };
        assert_eq!(activity.first_ms, own.iter().map(|r| r.at_ms).min());
        assert_eq!(activity.last_ms, own.iter().map(|r| r.at_ms).max());
        let (mut by_port, mut heard_by) = (BTreeMap::new(), BTreeMap::new());
        for r in own {
            *by_port.entry(r.port).or_insert(0) += 1;
            let heard = heard_by.entry(r.gateway.unwrap()).or_insert((0, None::<f32>, 0));
            heard.0 += 1;
            heard.1 = match (heard.1, r.packet.unwrap().rx_snr) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (a, b) => a.or(b),
            };
            heard.2 = r.at_ms.max(heard.2);
        }
        assert_eq!(activity.by_port, by_port);
        assert_eq!(activity.heard_by, heard_by);
    }
    assert_eq!(reader.node(1, 0, false).unwrap(), None);
}

#[test]
fn the_latest_of_each_node_is_found() {
    let town = Town::new(6, 3_000);
    for public_only in [false, true] {
        let mut latest: BTreeMap<u32, u64> = BTreeMap::new();
        for r in town.all.iter().filter(|r| r.port == Some(4) && (!public_only || is_public(r))) {
            latest.insert(r.packet.unwrap().from, r.seq);
        }
        let mut expected: Vec<u64> = latest.into_values().collect();
        expected.sort_unstable_by_key(|seq| std::cmp::Reverse(*seq));
        let found = town.reader().latest_by_node(4, 0, public_only).unwrap();
        assert!(!found.is_empty() && found.iter().map(|r| r.seq).eq(expected));
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_empty_history() {
    let folder = tempfile::tempdir().unwrap();
    let reader = Reader::open(&folder.path().join("not there")).unwrap();
    assert!(reader.log(&Filter::default()).unwrap().is_empty());
    assert_eq!(reader.totals(0, NOON_MS, 5).unwrap().buckets, [0; 5]);
    assert!(reader.gateways(0).unwrap().is_empty());
    assert!(!folder.path().join("not there").exists());
}

#[test]
fn what_is_stored_is_seen_while_the_writer_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(7);
    let mut writer = Writer::open(folder.path()).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let mut after = 0;
    for _ in 0..5 {
        writer.append(&(0..30).map(|_| Record::Reception(maker.reception())).collect::<Vec<_>>()).unwrap();
        let newer = reader.log(&Filter { after_seq: Some(after), ..Filter::default() }).unwrap();
        assert!(newer.iter().map(|r| r.seq).eq(after + 1..=after + 30));
        after += 30;
    }
}

#[test]
fn one_answer_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(8);
    let batch: Vec<Record> = (0..10_050).map(|_| Record::Reception(maker.reception())).collect();
    Writer::open(folder.path()).unwrap().append(&batch).unwrap();
    let filter = Filter { limit: usize::MAX, ..Filter::default() };
    assert_eq!(Reader::open(folder.path()).unwrap().log(&filter).unwrap().len(), 10_000);
}
