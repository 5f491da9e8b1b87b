//! What the reader answers, against a plain search of the same receptions in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod made_up;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use history::{Filter, Reader, Writer};
use made_up::{Maker, NOON_MS, gateway, node, shown};
use policy::decision::Verdict;
use policy::rule::RuleId;
use proptest::prelude::*;
use record::{Consent, Reception, Record};
use tempfile::TempDir;

struct Town {
    folder: TempDir,
    all: Vec<Arc<Reception>>,
}

impl Town {
    /// A few thousand receptions over three days.
    fn new(seed: u64, count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut maker = Maker::new(seed);
        maker.step_ms = 2 * 86_400_000 / count as i64;
        maker.nodes = 30;
        let all: Vec<Arc<Reception>> = (0..count).map(|_| maker.reception()).collect();
        let batch: Vec<Record> = all.iter().map(|r| Record::Reception(r.clone())).collect();
        Writer::open(folder.path()).unwrap().append(&batch).unwrap();
        Self { folder, all }
    }

    fn reader(&self) -> Reader {
        Reader::open(self.folder.path()).unwrap()
    }

    /// The answer by looking at each.
    fn plain(&self, f: &Filter) -> Vec<&Reception> {
        let holds = |r: &&Reception| {
            let packet = r.packet.unwrap();
            f.since_ms.is_none_or(|v| r.at_ms >= v)
                && f.until_ms.is_none_or(|v| r.at_ms < v)
                && f.before_seq.is_none_or(|v| r.seq < v)
                && f.after_seq.is_none_or(|v| r.seq > v)
                && f.node.is_none_or(|v| packet.from == v || packet.to == v)
                && f.gateway.is_none_or(|v| r.gateway == Some(v))
                && f.channel.as_ref().is_none_or(|v| r.channel.as_deref() == Some(v.as_str()))
                && f.port.is_none_or(|v| r.port == Some(v))
                && f.verdict.is_none_or(|v| r.decision.verdict == v)
                && f.rule.is_none_or(|v| r.decision.rule == Some(v))
                && f.consent.is_none_or(|v| r.consent == v)
                && f.packet.is_none_or(|v| (packet.from, packet.id) == v)
                && (!f.public_only || is_public(r))
        };
        let mut found: Vec<&Reception> = self.all.iter().map(|r| &**r).filter(holds).collect();
        if f.after_seq.is_none() {
            found.reverse();
        }
        found.truncate(f.limit);
        found
    }
}

fn is_public(r: &Reception) -> bool {
    r.consent == Consent::Yes
        && matches!(r.decision.verdict, Verdict::Accept | Verdict::Rewrite)
        && (r.key_class.is_public() || r.port == Some(73))
}

/// A filter in which each condition is set now and then. Numbers choose among what there is.
fn filters() -> impl Strategy<Value = Filter> {
    let rarely = |end: u64| prop::option::weighted(0.25, 0..end);
    let times = (rarely(1_000), rarely(1_000), rarely(3_000), rarely(3_000));
    let who = (rarely(32), rarely(22), rarely(4), rarely(6));
    let how = (rarely(4), rarely(17), rarely(3), prop::bool::weighted(0.2), 1usize..400);
    (times, who, how).prop_map(|((since, until, before, after), (n, g, channel, port), how)| {
        let (verdict, rule, consent, public_only, limit) = how;
        let at = |thousandth: u64| NOON_MS + thousandth as i64 * 2 * 86_400;
        Filter {
            since_ms: since.map(at),
            until_ms: until.map(at),
            before_seq: before,
            after_seq: after,
            node: n.map(|n| if n == 31 { u32::MAX } else { node(n as u32) }),
            gateway: g.map(|g| gateway(g as u32)),
            channel: channel.map(|c| ["LongFast", "Kansas City", "PKI", "none"][c as usize].to_owned()),
            port: port.map(|p| [1, 3, 4, 67, 73, 9][p as usize]),
            verdict: verdict.map(|v| Verdict::ALL[v as usize]),
            rule: rule.and_then(|r| RuleId::from_code(r as u8)),
            consent: consent.map(|c| Consent::ALL[c as usize]),
            packet: None,
            public_only,
            limit,
        }
    })
}

#[test]
fn every_filter_finds_what_a_plain_search_finds() {
    let town = Town::new(1, 3_000);
    let reader = town.reader();
    let found_any = std::cell::Cell::new(0);
    proptest!(ProptestConfig::with_cases(400), |(filter in filters())| {
        let found = reader.log(&filter).unwrap();
        let plain = town.plain(&filter);
        found_any.set(found_any.get() + usize::from(!found.is_empty()));
        prop_assert!(found.iter().map(shown).eq(plain.into_iter().map(shown)), "{filter:?}");
    });
    assert!(found_any.get() > 100, "most of the filters ask for something that there is");
}

#[test]
fn pages_follow_each_other_without_gap_or_overlap() {
    let town = Town::new(2, 2_000);
    let reader = town.reader();
    let (mut before_seq, mut pages) = (None, Vec::new());
    loop {
        let filter = Filter { before_seq, verdict: Some(Verdict::Accept), limit: 77, ..Filter::default() };
        let page = reader.log(&filter).unwrap();
        before_seq = page.last().map(|r| r.seq);
        pages.extend(page.iter().map(|r| r.seq));
        if page.len() < 77 {
            break;
        }
    }
    let filter = Filter { verdict: Some(Verdict::Accept), limit: 10_000, ..Filter::default() };
    assert!(pages.into_iter().eq(town.plain(&filter).into_iter().map(|r| r.seq)));
}

#[test]
fn a_packet_is_found_with_all_its_receptions() {
    let town = Town::new(3, 600);
    let reader = town.reader();
    for r in town.all.iter().step_by(17) {
        let packet = r.packet.unwrap();
        let filter =
            Filter { packet: Some((packet.from, packet.id)), after_seq: Some(0), ..Filter::default() };
        let found = reader.packet(packet.from, packet.id).unwrap();
        assert_eq!(found.len(), made_up::COPIES as usize);
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
