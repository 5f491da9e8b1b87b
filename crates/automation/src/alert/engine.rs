//! The state machine: receptions, samples and time in, beginnings and ends out.

use std::collections::BTreeMap;
use std::sync::Arc;

use query::Evidence;
use record::Reception;

use crate::alert::lane::{Lane, Turn};
use crate::alert::rule::{Attribute, Per, Rule, Subject, Trigger};
use crate::alert::sighting::Sighting;
use crate::seen::Seen;

/// Subjects that one rule is kept apart by. Further ones are not watched, which is counted.
const SUBJECTS_MAX: usize = 10_000;
/// A subject that nothing was heard of for so long is forgotten, ms.
const FORGOTTEN_AFTER_MS: i64 = 30 * 24 * 3_600_000;
/// Who was not heard while nobody listened has so long to be heard, ms.
const GRACE_MS: i64 = 15 * 60_000;
/// A rule that looks for what was never there before learns for so long what is there, ms.
pub const LEARNING_MS: i64 = 24 * 3_600_000;

/// A beginning or an end.
#[derive(Debug, Clone)]
pub struct Happening {
    /// The rule.
    pub rule: Arc<Rule>,
    /// What it is about.
    pub subject: Subject,
    /// When, Unix ms.
    pub at_ms: i64,
    /// When it began, Unix ms.
    pub since_ms: i64,
    /// Whether it is over.
    pub is_end: bool,
    /// What happened, a sentence without the subject. May say what is private.
    pub detail: String,
    /// Whether others than the operator may be told.
    pub may_be_told: bool,
}

/// What a rule learned of a subject and must not forget at a restart: what it looked like, or that it was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// Name of the rule.
    pub rule: Box<str>,
    /// The subject.
    pub subject: Subject,
    /// What it looked like.
    pub value: Box<[u8]>,
    /// When it was seen, Unix ms.
    pub at_ms: i64,
}

/// Something that fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// Name of the rule.
    pub rule: Box<str>,
    /// The subject.
    pub subject: Subject,
    /// Since when, Unix ms.
    pub since_ms: i64,
}

/// All rules with their states.
#[derive(Debug)]
pub struct Engine {
    rules: Vec<Running>,
    learned: Vec<Learned>,
    unwatched: u64,
}

#[derive(Debug)]
struct Running {
    rule: Arc<Rule>,
    lanes: BTreeMap<Subject, Lane>,
    seen: Seen,
    /// Until when what is there for the first time is no news, Unix ms.
    learns_until_ms: i64,
}

impl Engine {
    /// Rules that have seen nothing yet.
    pub fn new(rules: impl IntoIterator<Item = Rule>, now_ms: i64) -> Self {
        let running = |rule: Rule| {
            let mut lanes = BTreeMap::new();
            // Silence of everybody is counted from the start; that of one begins when it was heard.
            if matches!((&rule.trigger, rule.per), (Trigger::Absence { .. }, Per::Mesh)) {
                let mut lane = Lane::new(now_ms);
                // That nothing at all was heard names nobody.
                lane.may_be_told = true;
                lanes.insert(Subject::Mesh, lane);
            }
            let rule = Arc::new(rule);
            Running { rule, lanes, seen: Seen::default(), learns_until_ms: now_ms + LEARNING_MS }
        };
        let rules = rules.into_iter().map(running).collect();
        Self { rules, learned: Vec::new(), unwatched: 0 }
    }

    /// The rules.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.iter().map(|running| &running.rule)
    }

    /// Takes over what an earlier run had learned, and since when each rule is there.
    pub fn restore(
        &mut self,
        learned: impl IntoIterator<Item = Learned>,
        since_ms: &BTreeMap<Box<str>, i64>,
        now_ms: i64,
    ) {
        for running in &mut self.rules {
            if let Some(since_ms) = since_ms.get(&running.rule.name) {
                running.learns_until_ms = since_ms + LEARNING_MS;
            }
        }
        for Learned { rule, subject, value, .. } in learned {
            if let Some(running) = self.rules.iter_mut().find(|running| running.rule.name == rule)
                && let Some(lane) = running.lane(&subject, now_ms)
            {
                lane.seen = Some(value);
            }
        }
    }

    /// Takes over what fired in an earlier run.
    pub fn resume(&mut self, firing: impl IntoIterator<Item = Firing>) {
        for Firing { rule, subject, since_ms } in firing {
            if let Some(running) = self.rules.iter_mut().find(|running| running.rule.name == rule)
                && let Some(lane) = running.lane(&subject, since_ms)
            {
                lane.firing_since_ms.get_or_insert(since_ms);
            }
        }
    }

    /// From here on time is the present. Who was silent while nobody listened gets a while to be heard, and the silence of
    /// all is counted from here.
    pub fn begin_present(&mut self, now_ms: i64) {
        for Running { rule, lanes, .. } in &mut self.rules {
            let Trigger::Absence { for_ms } = rule.trigger else { continue };
            for (subject, lane) in lanes.iter_mut().filter(|(_, lane)| lane.firing_since_ms.is_none()) {
                let heard_ms = match subject {
                    Subject::Mesh => now_ms,
                    _ => now_ms - for_ms + for_ms.min(GRACE_MS),
                };
                lane.last_ms = lane.last_ms.max(heard_ms);
            }
        }
    }

    /// What fires.
    pub fn firing(&self) -> Vec<Firing> {
        let of_rule = |running: &Running| {
            let lanes = running.lanes.iter().filter_map(|(subject, lane)| {
                let since_ms = lane.firing_since_ms?;
                Some(Firing { rule: running.rule.name.clone(), subject: subject.clone(), since_ms })
            });
            lanes.collect::<Vec<_>>()
        };
        self.rules.iter().flat_map(of_rule).collect()
    }

    /// What was learned since the last call.
    pub fn take_learned(&mut self) -> Vec<Learned> {
        std::mem::take(&mut self.learned)
    }

    /// Forgets a node: what was learned of it and what fires for it, without telling anybody that it ended.
    pub fn forget_node(&mut self, node: u32) {
        for running in &mut self.rules {
            running.lanes.retain(|subject, _| subject.node() != Some(node));
        }
        self.learned.retain(|learned| learned.subject.node() != Some(node));
    }

    /// How often a subject could not be watched because a rule had too many.
    pub const fn unwatched(&self) -> u64 {
        self.unwatched
    }

    /// Takes in a reception.
    pub fn take(&mut self, reception: &Reception, sighting: &Sighting) -> Vec<Happening> {
        let mut happened = Vec::new();
        let evidence = Evidence { reception, said: sighting.said.as_deref(), release: None };
        for running in &mut self.rules {
            if !running.rule.condition.holds(&evidence) {
                continue;
            }
            match running.take(reception, sighting, &mut self.learned) {
                Ok(happening) => happened.extend(happening),
                Err(TooMany) => self.unwatched += 1,
            }
        }
        happened
    }

    /// Takes in a number that the broker tells of itself.
    pub fn sample(&mut self, name: &str, subject: &Subject, value: f64, at_ms: i64) -> Vec<Happening> {
        let mut happened = Vec::new();
        for running in &mut self.rules {
            if !matches!(&running.rule.trigger, Trigger::Threshold { measure, .. } if **measure == *name) {
                continue;
            }
            let rule = running.rule.clone();
            let Some(lane) = running.lane(subject, at_ms) else {
                self.unwatched += 1;
                continue;
            };
            // Of the broker's own state; nodes are told by their number only.
            lane.may_be_told = true;
            let since_ms = lane.firing_since_ms;
            let turn = lane.measured(&rule, value, at_ms);
            happened.extend(turn.map(|turn| lane.happening(&rule, subject, turn, since_ms, at_ms, None)));
        }
        happened
    }

    /// Time passed.
    pub fn tick(&mut self, now_ms: i64) -> Vec<Happening> {
        let mut happened = Vec::new();
        for Running { rule, lanes, .. } in &mut self.rules {
            lanes.retain(|subject, lane| {
                let since_ms = lane.firing_since_ms;
                let is_forgotten = now_ms - lane.last_ms >= FORGOTTEN_AFTER_MS && *subject != Subject::Mesh;
                let turn = match since_ms {
                    Some(_) if is_forgotten => Some(Turn::Ends),
                    _ => lane.tick(rule, now_ms),
                };
                happened.extend(turn.map(|turn| lane.happening(rule, subject, turn, since_ms, now_ms, None)));
                !is_forgotten
            });
        }
        happened
    }
}

struct TooMany;

impl Running {
    fn lane(&mut self, subject: &Subject, now_ms: i64) -> Option<&mut Lane> {
        if self.lanes.len() >= SUBJECTS_MAX && !self.lanes.contains_key(subject) {
            return None;
        }
        Some(self.lanes.entry(subject.clone()).or_insert_with(|| Lane::new(now_ms)))
    }

    fn take(
        &mut self,
        reception: &Reception,
        sighting: &Sighting,
        learned: &mut Vec<Learned>,
    ) -> Result<Option<Happening>, TooMany> {
        let (rule, at_ms) = (self.rule.clone(), reception.at_ms);
        let Some(subject) = subject_of(&rule, reception) else { return Ok(None) };
        // A packet that several gateways heard is one packet, unless gateways are what is watched.
        let is_counted = matches!(rule.trigger, Trigger::Match { .. }) && rule.per != Per::Gateway;
        if is_counted
            && let Some(packet) = reception.packet
            && !self.seen.is_first(packet.from, packet.id, at_ms)
        {
            return Ok(None);
        }
        let is_new = !self.lanes.contains_key(&subject);
        let learns = at_ms < self.learns_until_ms;
        let lane = self.lane(&subject, at_ms).ok_or(TooMany)?;
        lane.may_be_told = sighting.may_be_told || subject_is_gateway(&subject);
        let since_ms = lane.firing_since_ms;
        let mut note = |value: &[u8]| {
            let (rule, subject) = (rule.name.clone(), subject.clone());
            learned.push(Learned { rule, subject, value: value.into(), at_ms });
        };
        let turn = match &rule.trigger {
            Trigger::Match { .. } | Trigger::Absence { .. } => lane.matched(&rule, at_ms),
            Trigger::Threshold { measure, .. } => {
                let value = sighting.measures.iter().rev().find(|(name, _)| **name == **measure);
                value.and_then(|(_, value)| lane.measured(&rule, *value, at_ms))
            }
            Trigger::Change(Attribute::Appearance) if !is_new => {
                lane.last_ms = lane.last_ms.max(at_ms);
                None
            }
            Trigger::Change(Attribute::Appearance) => {
                note(&[]);
                let turn = lane.appeared(at_ms);
                // What was there before anybody looked is no news.
                if learns {
                    lane.firing_since_ms = None;
                    None
                } else {
                    turn
                }
            }
            Trigger::Change(attribute) => match sighting.user.iter().find(|(kind, _)| kind == attribute) {
                Some((_, value)) => {
                    if lane.seen.as_deref() != Some(value.as_slice()) {
                        note(value);
                    }
                    lane.showed(value, at_ms)
                }
                None => None,
            },
            Trigger::Crossing { area, .. } => {
                sighting.place.and_then(|(lat, lon)| lane.placed(&rule, area.holds(lat, lon), at_ms))
            }
        };
        let said = sighting.said.as_deref();
        Ok(turn.map(|turn| lane.happening(&rule, &subject, turn, since_ms, at_ms, said)))
    }
}

const fn subject_is_gateway(subject: &Subject) -> bool {
    matches!(subject, Subject::Gateway(_))
}

fn subject_of(rule: &Rule, reception: &Reception) -> Option<Subject> {
    match rule.per {
        Per::Mesh => Some(Subject::Mesh),
        Per::Node => reception.packet.map(|packet| Subject::Node(packet.from)),
        Per::Gateway => reception.gateway.map(Subject::Gateway),
        Per::Channel => reception.channel.as_deref().map(|name| Subject::Channel(name.into())),
    }
}

impl Lane {
    fn happening(
        &self,
        rule: &Arc<Rule>,
        subject: &Subject,
        turn: Turn,
        since_ms: Option<i64>,
        at_ms: i64,
        said: Option<&str>,
    ) -> Happening {
        let is_end = turn == Turn::Ends;
        Happening {
            rule: rule.clone(),
            subject: subject.clone(),
            at_ms,
            since_ms: since_ms.unwrap_or(at_ms),
            is_end,
            detail: if is_end { "over".to_owned() } else { self.words(rule, at_ms, said) },
            may_be_told: self.may_be_told,
        }
    }

    fn words(&self, rule: &Rule, at_ms: i64, said: Option<&str>) -> String {
        use crate::alert::rule::Direction::{Entering, Leaving};
        match &rule.trigger {
            Trigger::Match { count: 0..=1, .. } => {
                said.map_or_else(|| "seen".to_owned(), |said| format!("said “{said}”"))
            }
            Trigger::Match { count, within_ms } => format!("{count} packets within {}", span(*within_ms)),
            Trigger::Absence { .. } => format!("nothing heard for {}", span(at_ms - self.last_ms)),
            Trigger::Threshold { measure, .. } => format!("{measure} is {}", number(self.value())),
            Trigger::Change(attribute) => match attribute {
                Attribute::Appearance => "heard for the first time",
                Attribute::Key => "shows another public key than before",
                Attribute::Name => "has another name than before",
                Attribute::Hardware => "has other hardware than before",
                Attribute::Role => "has another role than before",
            }
            .to_owned(),
            Trigger::Crossing { direction: Entering, .. } => "entered the area".to_owned(),
            Trigger::Crossing { direction: Leaving, .. } => "left the area".to_owned(),
        }
    }
}

/// A length of time in words.
pub fn span(ms: i64) -> String {
    match ms / 1000 {
        s @ ..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s / 60),
        s @ 7_200..172_800 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
