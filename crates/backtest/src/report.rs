//! What sets two policies apart over a span of traffic: counts per policy and per rule, who is hit, and samples. Values
//! only; bounded, however much traffic there was.

use std::collections::{BTreeMap, HashSet};

use policy::decision::{Decision, Verdict};
use policy::rule::{RULES, RuleId};

use crate::run::{Copies, Fate};

/// Samples kept for each kind of change.
const SAMPLES_PER_KIND: usize = 5;
/// Nodes and gateways counted one by one; traffic of others is still in the sums.
const HIT_MAX: usize = 20_000;
/// Packets told apart; beyond that receptions are counted and packets no more.
const PACKETS_MAX: usize = 1_000_000;
/// Nodes and gateways that a report names, the hardest hit first.
pub const NAMED_MAX: usize = 20;

/// What one policy did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SideReport {
    /// Receptions that were passed on.
    pub passed: u64,
    /// Receptions that were recorded only.
    pub recorded_only: u64,
    /// Receptions that were refused.
    pub refused: u64,
    /// Copies that left toward gateways.
    pub copies_to_gateways: u64,
    /// Copies that left toward observers and services.
    pub copies_to_others: u64,
    /// Copies that were withheld.
    pub withheld: u64,
    /// Time on air of the copies toward gateways, in microseconds.
    pub airtime_us: u64,
}

/// What one rule did under each policy: the current one first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Receptions that it decided on.
    pub decided: [u64; 2],
    /// Copies that it withheld.
    pub withheld: [u64; 2],
    /// Receptions and copies on which it would have decided, in state `observe`.
    pub observed: [u64; 2],
}

/// How a node or gateway is hit: receptions of its packets (or by it) whose fate differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hit {
    /// Passed on by the current policy and not by the proposed one.
    pub lost: u64,
    /// Passed on by the proposed policy and not by the current one.
    pub gained: u64,
}

/// A reception whose fate differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// Number of the reception.
    pub seq: u64,
    /// When it arrived, Unix ms.
    pub at_ms: i64,
    /// Sender and id of the packet.
    pub packet: Option<(u32, u32)>,
    /// The gateway that uplinked it.
    pub gateway: Option<u32>,
    /// Port number, when it could be opened.
    pub port: Option<u32>,
}

/// One reception whose fate differs, as an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Which.
    pub what: Changed,
    /// What either policy says.
    pub verdicts: [Verdict; 2],
    /// The rule that decides.
    pub rules: [Option<RuleId>; 2],
    /// The sentence for the owner.
    pub sentences: [String; 2],
    /// Copies that left toward gateways.
    pub copies: [usize; 2],
}

/// The whole comparison.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Receptions judged and counted.
    pub receptions: u64,
    /// When the first of them arrived, Unix ms.
    pub first_ms: Option<i64>,
    /// When the last did, Unix ms.
    pub last_ms: Option<i64>,
    /// Receptions left out: their senders have no credential any more.
    pub senders_gone: u64,
    /// Receptions for which nobody was recorded as receiver, so that those of the channel were assumed.
    pub receivers_assumed: u64,
    /// What either policy did; the current one first.
    pub sides: [SideReport; 2],
    /// What each rule did.
    pub rules: BTreeMap<RuleId, RuleCounts>,
    /// Receptions whose verdict or deciding rule differs, or whose copies do.
    pub changed: u64,
    /// Receptions that the current policy passes on and the proposed one does not.
    pub lost: u64,
    /// The other way round.
    pub gained: u64,
    /// Packets among the changed receptions.
    pub packets_changed: u64,
    /// Senders of packets that are hit, the hardest hit first; a few.
    pub nodes: Vec<(u32, Hit)>,
    /// How many there are.
    pub nodes_hit: u64,
    /// Gateways whose uplinks are hit.
    pub gateways: Vec<(u32, Hit)>,
    /// How many there are.
    pub gateways_hit: u64,
    /// Gateways that get other copies: current and proposed number.
    pub downlinks: Vec<(u32, [u64; 2])>,
    /// Examples, a few for each kind of change.
    pub samples: Vec<Sample>,
    open: Open,
}

/// What is folded into the report at the end.
#[derive(Debug, Clone, Default)]
struct Open {
    packets: HashSet<(u32, u32)>,
    nodes: BTreeMap<u32, Hit>,
    gateways: BTreeMap<u32, Hit>,
    downlinks: BTreeMap<u32, [u64; 2]>,
    kinds: BTreeMap<([u8; 2], [Option<RuleId>; 2]), usize>,
}

impl Report {
    /// Takes what both policies did with one reception.
    pub(crate) fn add(&mut self, fate: &Fate) {
        let Fate { what, decisions, copies, .. } = fate;
        let decisions = decisions.each_ref();
        self.receptions += 1;
        self.first_ms.get_or_insert(what.at_ms);
        self.last_ms = self.last_ms.max(Some(what.at_ms));
        for side in 0..2 {
            self.add_side(side, decisions[side], &copies[side]);
        }
        let [old, new] = decisions;
        let is_decided_otherwise = old.verdict != new.verdict || old.rule != new.rule;
        let is_sent_otherwise = !copies[0].is_as(&copies[1]);
        if is_decided_otherwise || is_sent_otherwise {
            self.add_change(what, decisions, copies);
        }
    }

    fn add_side(&mut self, side: usize, decision: &Decision, copies: &Copies) {
        let sums = &mut self.sides[side];
        match decision.verdict {
            Verdict::Accept | Verdict::Rewrite => sums.passed += 1,
            Verdict::RecordOnly => sums.recorded_only += 1,
            Verdict::Refuse => sums.refused += 1,
        }
        sums.copies_to_gateways += copies.gateways.len() as u64;
        sums.copies_to_others += u64::from(copies.to_others);
        sums.airtime_us += copies.airtime_us;
        if let Some(rule) = decision.rule {
            self.rules.entry(rule).or_default().decided[side] += 1;
        }
        for (rule, count) in &copies.withheld {
            self.sides[side].withheld += u64::from(*count);
            self.rules.entry(*rule).or_default().withheld[side] += u64::from(*count);
        }
        let observed = decision.observed.0 | copies.observed.0;
        if observed != 0 {
            for rule in RULES.iter().filter(|rule| observed & 1 << rule.id.code() != 0) {
                self.rules.entry(rule.id).or_default().observed[side] += 1;
            }
        }
    }

    fn add_change(&mut self, what: &Changed, decisions: [&Decision; 2], copies: &[Copies; 2]) {
        self.changed += 1;
        let open = &mut self.open;
        if let Some(packet) = what.packet.filter(|_| open.packets.len() < PACKETS_MAX)
            && open.packets.insert(packet)
        {
            self.packets_changed += 1;
        }
        let [passed, passes] = decisions.map(|d| matches!(d.verdict, Verdict::Accept | Verdict::Rewrite));
        self.lost += u64::from(passed && !passes);
        self.gained += u64::from(!passed && passes);
        if passed != passes {
            let hits =
                [(&mut open.nodes, what.packet.map(|(from, _)| from)), (&mut open.gateways, what.gateway)];
            for (table, key) in hits {
                let Some(key) = key.filter(|key| table.len() < HIT_MAX || table.contains_key(key)) else {
                    continue;
                };
                let hit = table.entry(key).or_default();
                hit.lost += u64::from(passed);
                hit.gained += u64::from(passes);
            }
        }
        for (side, copies) in copies.iter().enumerate() {
            for gateway in &copies.gateways {
                if open.downlinks.len() < HIT_MAX || open.downlinks.contains_key(gateway) {
                    open.downlinks.entry(*gateway).or_default()[side] += 1;
                }
            }
        }
        let kind = (decisions.map(|d| d.verdict.code()), decisions.map(|d| d.rule));
        let of_kind = open.kinds.entry(kind).or_default();
        if *of_kind < SAMPLES_PER_KIND {
            *of_kind += 1;
            self.samples.push(Sample {
                what: *what,
                verdicts: decisions.map(|d| d.verdict),
                rules: decisions.map(|d| d.rule),
                sentences: decisions.map(|d| d.sentence.clone().into_owned()),
                copies: copies.each_ref().map(|copies| copies.gateways.len()),
            });
        }
    }

    /// Sorts out who is named.
    pub(crate) fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.nodes_hit = open.nodes.len() as u64;
        self.gateways_hit = open.gateways.len() as u64;
        let hardest = |hits: BTreeMap<u32, Hit>| {
            let mut hits: Vec<_> = hits.into_iter().collect();
            hits.sort_by_key(|(number, hit)| (std::cmp::Reverse(hit.lost + hit.gained), *number));
            hits.truncate(NAMED_MAX);
            hits
        };
        self.nodes = hardest(open.nodes);
        self.gateways = hardest(open.gateways);
        let mut downlinks: Vec<_> = open.downlinks.into_iter().filter(|(_, [old, new])| old != new).collect();
        downlinks.sort_by_key(|(number, [old, new])| (std::cmp::Reverse(old.abs_diff(*new)), *number));
        downlinks.truncate(NAMED_MAX);
        self.downlinks = downlinks;
    }

    /// The rules that did something else under the proposed policy, in the order in which rules are asked.
    pub fn rules_changed(&self) -> impl Iterator<Item = (RuleId, RuleCounts)> + '_ {
        RULES.iter().filter_map(|rule| self.rules.get(&rule.id).map(|counts| (rule.id, *counts))).filter(
            |(_, counts)| {
                [counts.decided, counts.withheld, counts.observed].iter().any(|[old, new]| old != new)
            },
        )
    }
}
