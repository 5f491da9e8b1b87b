//! The stretch of time that a page about coverage or links shows: the same words in its address as the log's filter.

use query::{Condition, Test};

use crate::filter::View;
use crate::moment;
use crate::site::Visit;

/// Shown when the address says nothing, ms.
const USUAL_MS: i64 = 86_400_000;
/// Shown at most, ms.
const LONGEST_MS: i64 = 31 * 86_400_000;
/// Windows begin and end on whole minutes, so that many visitors ask for the same one.
const MINUTE_MS: i64 = 60_000;

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// From then on, Unix ms.
    pub since_ms: i64,
    /// Before then, Unix ms.
    pub until_ms: i64,
}

impl Window {
    /// The window of an address: `since`, `until` and the times in `q`. With what was not understood or is not used.
    pub fn parse(visit: &Visit, query: &str) -> (Self, Option<String>) {
        let (view, mut problems) = View::parse(query);
        let condition = visit.bind(&view.query).unwrap_or_else(|problem| {
            problems.push(problem);
            Condition::ALWAYS
        });
        let (mut since, mut until, mut is_all_used) = (None, None, true);
        times(&condition, &mut since, &mut until, &mut is_all_used);
        let whole = |at_ms: i64| at_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let latest_ms = whole(visit.now_ms) + MINUTE_MS;
        let until_ms = until.map_or(latest_ms, |at| whole(at).saturating_add(MINUTE_MS)).min(latest_ms);
        let since_ms = since.map_or(until_ms.saturating_sub(USUAL_MS), whole);
        let since_ms = since_ms.clamp(until_ms.saturating_sub(LONGEST_MS), until_ms - MINUTE_MS);
        let trouble = match problems.first() {
            Some(problem) => Some(format!("The time was not understood: {}.", problem.message)),
            None if !is_all_used => Some("Of the filter only its times are used here.".to_owned()),
            None => None,
        };
        (Self { since_ms, until_ms }, trouble)
    }

    /// The window of the same length right before.
    pub fn before(self) -> Self {
        let length = self.until_ms - self.since_ms;
        Self { since_ms: self.since_ms - length, until_ms: self.since_ms }
    }

    /// `since` and `until` for an address.
    pub fn pairs(self) -> [(&'static str, String); 2] {
        // The last minute is part of the window.
        [("since", moment::iso(self.since_ms)), ("until", moment::iso(self.until_ms - MINUTE_MS))]
    }
}

fn times(condition: &Condition, since: &mut Option<i64>, until: &mut Option<i64>, is_all_used: &mut bool) {
    match condition {
        Condition::All(parts) => parts.iter().for_each(|part| times(part, since, until, is_all_used)),
        Condition::Is(Test::Since(at)) => *since = (*since).max(Some(*at)),
        Condition::Is(Test::Until(at)) => *until = Some(until.map_or(*at, |known: i64| known.min(*at))),
        _ => *is_all_used = false,
    }
}
