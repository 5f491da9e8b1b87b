//! How alerts are doing, for the operator's page. May say what is private.

use crate::alert::rule::Severity;

/// Everything that the page shows.
#[derive(Debug, Clone, Default)]
pub struct Board {
    /// The rules, in the order of the file.
    pub rules: Vec<ShownRule>,
    /// What fires, the worst and oldest first, as far as a page shows it.
    pub firing: Vec<ShownFiring>,
    /// How much fires.
    pub firing_count: usize,
    /// What happened last, the newest first.
    pub recent: Vec<ShownHappening>,
    /// The targets, in the order of the file.
    pub targets: Vec<ShownTarget>,
    /// The last letters, the newest first.
    pub letters: Vec<ShownLetter>,
    /// Beginnings that were not told since the start, because there were too many.
    pub left_out: u64,
    /// Receptions that no rule saw since the start, because this could not keep up.
    pub lost: u64,
    /// Subjects that a rule could not watch, because it had too many.
    pub unwatched: u64,
    /// Why the alerts' file, or the store, is not as it should be.
    pub problem: Option<String>,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct ShownRule {
    /// Its name.
    pub name: Box<str>,
    /// What it means and what to do.
    pub about: Box<str>,
    /// How bad it is.
    pub severity: Severity,
    /// Names of the targets.
    pub targets: Vec<Box<str>>,
}

/// Something that fires.
#[derive(Debug, Clone)]
pub struct ShownFiring {
    /// Name of the rule.
    pub rule: Box<str>,
    /// How bad it is.
    pub severity: Severity,
    /// What it means and what to do.
    pub about: Box<str>,
    /// What it is about, in words.
    pub subject: String,
    /// The node that it is about.
    pub node: Option<u32>,
    /// Since when, Unix ms.
    pub since_ms: i64,
}

/// A beginning or an end.
#[derive(Debug, Clone)]
pub struct ShownHappening {
    /// When, Unix ms.
    pub at_ms: i64,
    /// Name of the rule.
    pub rule: Box<str>,
    /// How bad it is.
    pub severity: Severity,
    /// What it was about, in words.
    pub subject: String,
    /// The node that it was about.
    pub node: Option<u32>,
    /// Whether it is over.
    pub is_end: bool,
    /// What happened.
    pub detail: String,
    /// Whether any target is told.
    pub told: bool,
}

/// One target.
#[derive(Debug, Clone)]
pub struct ShownTarget {
    /// Its name.
    pub name: Box<str>,
    /// How it is told.
    pub kind: &'static str,
    /// Letters that wait for it.
    pub waiting: usize,
    /// When a letter arrived last, Unix ms.
    pub sent_ms: Option<i64>,
    /// Why the last attempt failed; `None` when it did not.
    pub problem: Option<String>,
}

/// One letter.
#[derive(Debug, Clone)]
pub struct ShownLetter {
    /// Name of the target.
    pub target: Box<str>,
    /// Its title.
    pub title: String,
    /// When it was written, Unix ms.
    pub written_ms: i64,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next, Unix ms.
    pub next_ms: Option<i64>,
    /// When it arrived, Unix ms.
    pub sent_ms: Option<i64>,
    /// Why the last attempt failed.
    pub problem: Option<String>,
}
