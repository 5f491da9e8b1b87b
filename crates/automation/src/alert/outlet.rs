//! What of all that happens is sent to whom: grouped, within limits, and at night only what cannot wait.
//!
//! - Of one rule no more beginnings are told within an hour than it allows; of all rules no more than the common limit.
//! - An end is told only to whom its beginning was told.
//! - What is left out is counted, and the next letter says how much it was.

use std::collections::{BTreeMap, VecDeque};

use crate::alert::engine::Happening;
use crate::alert::quiet::{Moment, QuietHours};
use crate::alert::rule::{Severity, Subject};

/// How much is told, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutletSettings {
    /// Beginnings told within an hour, of all rules and to all targets together.
    pub per_hour_max: u32,
    /// How long what happens together is gathered before it is sent, ms.
    pub gather_ms: i64,
    /// Hours in which only what is critical is told.
    pub quiet: Option<QuietHours>,
}

/// What one target is told in one message.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// Name of the target.
    pub target: Box<str>,
    /// What happened, the oldest first.
    pub happened: Vec<Happening>,
    /// What was left out since the last letter.
    pub left_out: u64,
}

/// Happenings in one letter; more are counted in it.
pub const LETTER_MAX: usize = 50;
/// The span that limits are about, ms.
const HOUR_MS: i64 = 3_600_000;

/// The outlet.
#[derive(Debug)]
pub struct Outlet {
    settings: OutletSettings,
    waiting: BTreeMap<Box<str>, Waiting>,
    /// Beginnings that were taken, whose ends are told too.
    told: BTreeMap<(Box<str>, Subject), ()>,
    of_rule: BTreeMap<Box<str>, VecDeque<i64>>,
    of_all: VecDeque<i64>,
    left_out: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    happened: Vec<Happening>,
    since_ms: i64,
    left_out: u64,
}

impl Outlet {
    /// Forgets a node: what waits to be told of it, and that anybody was told.
    pub fn forget_node(&mut self, node: u32) {
        for waiting in self.waiting.values_mut() {
            waiting.happened.retain(|happening| happening.subject.node() != Some(node));
        }
        self.told.retain(|(_, subject), ()| subject.node() != Some(node));
    }

    /// An outlet that has told nothing.
    pub fn new(settings: OutletSettings) -> Self {
        Self {
            settings,
            waiting: BTreeMap::new(),
            told: BTreeMap::new(),
            of_rule: BTreeMap::new(),
            of_all: VecDeque::new(),
            left_out: 0,
        }
    }

    /// Other settings from now on; what waits and what was told stays.
    pub const fn set(&mut self, settings: OutletSettings) {
        self.settings = settings;
    }

    /// Takes over what an earlier run has told and is not over.
    pub fn resume(&mut self, told: impl IntoIterator<Item = (Box<str>, Subject)>) {
        self.told.extend(told.into_iter().map(|key| (key, ())));
    }

    /// Beginnings that were left out since the start.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes in what happened. Returns whether it is told to anybody.
    pub fn take(&mut self, happening: &Happening) -> bool {
        let rule = &happening.rule;
        if rule.targets.is_empty() {
            return false;
        }
        let key = (rule.name.clone(), happening.subject.clone());
        if happening.is_end {
            if self.told.remove(&key).is_none() || !rule.tells_end {
                return false;
            }
        } else if self.is_too_much(happening) {
            self.left_out += 1;
            for target in &rule.targets {
                self.waiting.entry(target.clone()).or_default().left_out += 1;
            }
            return false;
        } else {
            self.told.insert(key, ());
        }
        for target in &rule.targets {
            let waiting = self.waiting.entry(target.clone()).or_default();
            if waiting.happened.is_empty() {
                waiting.since_ms = happening.at_ms;
            }
            if waiting.happened.len() < LETTER_MAX {
                waiting.happened.push(happening.clone());
            } else {
                waiting.left_out += 1;
            }
        }
        true
    }

    fn is_too_much(&mut self, happening: &Happening) -> bool {
        let at_ms = happening.at_ms;
        let of_rule = self.of_rule.entry(happening.rule.name.clone()).or_default();
        for moments in [&mut *of_rule, &mut self.of_all] {
            while moments.front().is_some_and(|first| at_ms - first >= HOUR_MS) {
                moments.pop_front();
            }
        }
        let rule_max = happening.rule.per_hour_max as usize;
        if of_rule.len() >= rule_max || self.of_all.len() >= self.settings.per_hour_max as usize {
            return true;
        }
        of_rule.push_back(at_ms);
        self.of_all.push_back(at_ms);
        false
    }

    /// Letters that are due.
    pub fn due(&mut self, moment: Moment) -> Vec<Gathered> {
        let is_quiet = self.settings.quiet.is_some_and(|quiet| quiet.hold(moment));
        let gather_ms = self.settings.gather_ms;
        let mut letters = Vec::new();
        for (target, waiting) in &mut self.waiting {
            let can_wait = |happening: &Happening| is_quiet && happening.rule.severity < Severity::Critical;
            let is_gathered = moment.now_ms - waiting.since_ms >= gather_ms;
            if waiting.happened.is_empty() || !is_gathered || waiting.happened.iter().all(can_wait) {
                continue;
            }
            let (later, happened): (Vec<_>, Vec<_>) = waiting.happened.drain(..).partition(can_wait);
            waiting.happened = later;
            let left_out = std::mem::take(&mut waiting.left_out);
            letters.push(Gathered { target: target.clone(), happened, left_out });
        }
        letters
    }
}
