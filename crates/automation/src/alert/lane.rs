//! One rule's state for one subject.
//!
//! - It fires only when it is not firing, and ends only when it is: a beginning and an end always alternate.
//! - What it remembers has a fixed size, but for the moments of matches, which are as many as the rule counts.

use std::collections::VecDeque;

use crate::alert::rule::{COUNT_MAX, Direction, Rule, Side, Trigger};

/// The state.
#[derive(Debug, Clone, Default)]
pub struct Lane {
    /// Since when it fires, Unix ms.
    pub firing_since_ms: Option<i64>,
    /// When something that it waits for happened last, Unix ms.
    pub last_ms: i64,
    /// Since when a number is bad, Unix ms.
    bad_since_ms: Option<i64>,
    /// The last number.
    value: f64,
    /// Moments of the latest matches.
    matches: VecDeque<i64>,
    /// What was seen last of what may change.
    pub seen: Option<Box<[u8]>>,
    /// Whether it was in the area.
    is_inside: Option<bool>,
    /// Whether others than the operator may be told of what it saw last.
    pub may_be_told: bool,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It begins.
    Begins,
    /// It is over.
    Ends,
}

impl Lane {
    /// A lane that begins at a moment.
    pub fn new(now_ms: i64) -> Self {
        Self { last_ms: now_ms, ..Self::default() }
    }

    fn begin(&mut self, at_ms: i64) -> Option<Turn> {
        if self.firing_since_ms.is_some() {
            return None;
        }
        self.firing_since_ms = Some(at_ms);
        Some(Turn::Begins)
    }

    fn end(&mut self) -> Option<Turn> {
        self.firing_since_ms.take().map(|_| Turn::Ends)
    }

    /// A packet that the rule looks at.
    pub fn matched(&mut self, rule: &Rule, at_ms: i64) -> Option<Turn> {
        self.last_ms = self.last_ms.max(at_ms);
        match rule.trigger {
            Trigger::Match { count, within_ms } => {
                let count = count.clamp(1, COUNT_MAX) as usize;
                self.matches.push_back(at_ms);
                while self.matches.len() > count {
                    self.matches.pop_front();
                }
                let is_dense = self.matches.len() == count
                    && self.matches.front().is_some_and(|first| at_ms - first <= within_ms);
                if is_dense { self.begin(at_ms) } else { None }
            }
            Trigger::Absence { .. } => self.end(),
            Trigger::Threshold { .. } | Trigger::Change(_) | Trigger::Crossing { .. } => None,
        }
    }

    /// A number.
    pub fn measured(&mut self, rule: &Rule, value: f64, at_ms: i64) -> Option<Turn> {
        let Trigger::Threshold { side, limit, clear, for_ms, .. } = rule.trigger else { return None };
        self.last_ms = self.last_ms.max(at_ms);
        self.value = value;
        if side.holds(value, limit) {
            let since_ms = *self.bad_since_ms.get_or_insert(at_ms);
            return if at_ms - since_ms >= for_ms { self.begin(at_ms) } else { None };
        }
        self.bad_since_ms = None;
        if is_clear(side, value, clear) { self.end() } else { None }
    }

    /// What may change, as it is.
    pub fn showed(&mut self, value: &[u8], at_ms: i64) -> Option<Turn> {
        self.last_ms = self.last_ms.max(at_ms);
        let before = self.seen.replace(value.into());
        let has_changed = before.is_some_and(|before| *before != *value);
        if has_changed { self.begin(at_ms) } else { None }
    }

    /// It was never there before.
    pub fn appeared(&mut self, at_ms: i64) -> Option<Turn> {
        self.seen = Some(Box::default());
        self.last_ms = self.last_ms.max(at_ms);
        self.begin(at_ms)
    }

    /// Where it is: inside the rule's area or not. The first place says nothing about a border.
    pub fn placed(&mut self, rule: &Rule, is_inside: bool, at_ms: i64) -> Option<Turn> {
        let Trigger::Crossing { direction, .. } = rule.trigger else { return None };
        self.last_ms = self.last_ms.max(at_ms);
        let was_inside = self.is_inside.replace(is_inside)?;
        let wanted = direction == Direction::Entering;
        match (was_inside == wanted, is_inside == wanted) {
            (false, true) => self.begin(at_ms),
            (_, false) => self.end(),
            (true, true) => None,
        }
    }

    /// Time passed.
    pub fn tick(&mut self, rule: &Rule, now_ms: i64) -> Option<Turn> {
        match rule.trigger {
            Trigger::Absence { for_ms } if now_ms - self.last_ms >= for_ms => self.begin(now_ms),
            Trigger::Threshold { for_ms, .. } => {
                let is_long = self.bad_since_ms.is_some_and(|since| now_ms - since >= for_ms);
                if is_long { self.begin(now_ms) } else { None }
            }
            Trigger::Match { .. } | Trigger::Change(_) if now_ms - self.last_ms >= rule.over_after_ms => {
                self.end()
            }
            Trigger::Match { .. }
            | Trigger::Change(_)
            | Trigger::Absence { .. }
            | Trigger::Crossing { .. } => None,
        }
    }

    /// The last number, for words.
    pub const fn value(&self) -> f64 {
        self.value
    }
}

/// Good again: at the clearing limit or beyond, away from the bad side.
fn is_clear(side: Side, value: f64, clear: f64) -> bool {
    match side {
        Side::Above => value <= clear,
        Side::Below => value >= clear,
    }
}
