//! When what the log shows was received: a bar for each stretch of time, each a link to it. From the hourly sums of the
//! history, so it costs the same however much there is; those count everything, so it is for the operator.

use history::{Tally, Thing};
use maud::{Markup, html};
use query::{Condition, Test};

use crate::filter::View;
use crate::{moment, words};

const HOUR_MS: i64 = 3_600_000;
/// What is shown when the filter names no time.
const HOURS_SHOWN: i64 = 24;
/// Further back is not shown: it would be more bars than a screen has room for, of more files than are worth opening.
const HOURS_MAX: i64 = 31 * 24;
/// Bars at most; longer times have several hours in each.
const BARS_MAX: i64 = 72;

/// What a timeline shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Of what the sums are asked.
    pub thing: Thing,
    /// Start of the first hour, Unix ms.
    pub since_ms: i64,
    /// End of the last hour, Unix ms.
    pub until_ms: i64,
}

impl Timeline {
    /// The timeline of a condition; `None` when there are no sums for what it asks.
    pub fn of(condition: &Condition, now_ms: i64) -> Option<Self> {
        let mut thing = None;
        let is_known = collect(condition, &mut thing);
        let (since, until) = condition.time_range();
        let until_ms =
            until.unwrap_or(now_ms).min(now_ms).saturating_add(HOUR_MS - 1).div_euclid(HOUR_MS) * HOUR_MS;
        let hours =
            since.map_or(HOURS_SHOWN, |since| (until_ms - since).saturating_add(HOUR_MS - 1) / HOUR_MS);
        let since_ms = until_ms - hours.clamp(1, HOURS_MAX) * HOUR_MS;
        is_known.then(|| Self { thing: thing.unwrap_or(Thing::All), since_ms, until_ms })
    }

    /// Hours in one bar.
    fn hours_each(&self) -> i64 {
        ((self.until_ms - self.since_ms) / HOUR_MS + BARS_MAX - 1) / BARS_MAX
    }

    /// The bars over the log's rows. `hours` are the sums, each with when it begins.
    pub fn bars(&self, view: &View, hours: &[(i64, Tally)]) -> Markup {
        let each_ms = self.hours_each().max(1) * HOUR_MS;
        let count = (self.until_ms - self.since_ms + each_ms - 1) / each_ms;
        let mut sums = vec![0u64; usize::try_from(count).unwrap_or(0)];
        for (at_ms, tally) in hours {
            let index = usize::try_from((at_ms - self.since_ms) / each_ms).unwrap_or(usize::MAX);
            if let Some(sum) = sums.get_mut(index) {
                *sum += tally.receptions();
            }
        }
        let highest = sums.iter().copied().max().unwrap_or(0).max(1);
        let (width, height) = (sums.len() * 10, 72.0);
        let stretch = words::count((each_ms / HOUR_MS) as u64, "hour");
        html! {
            figure.timeline {
                svg.spark viewBox=(format!("0 0 {width} {height}")) preserveAspectRatio="none" role="group"
                    aria-label=(format!("Receptions by time; each bar is {stretch} and leads there")) {
                    line.ref x1="0" x2=(width) y1=(height - 0.5) y2=(height - 0.5) stroke="currentColor" stroke-width="1" {}
                    @for (index, sum) in sums.iter().enumerate() {
                        @if *sum > 0 {
                            @let from = self.since_ms + index as i64 * each_ms;
                            @let tall = (*sum as f64 / highest as f64 * (height - 4.0)).max(2.0);
                            a href=(view.between(from, from + each_ms).address("/log")) {
                                title { (moment::iso(from)) ": " (words::count(*sum, "reception")) }
                                rect.room x=(index * 10) width="10" y="0" height=(height) fill="transparent" {}
                                rect x=(index * 10 + 1) width="8" y=(format!("{:.1}", height - tall))
                                    height=(format!("{tall:.1}")) fill="currentColor" {}
                            }
                        }
                    }
                }
                figcaption.ends {
                    span.nowrap { (moment::short(self.since_ms)) }
                    span { "a bar is " (stretch) }
                    span.nowrap { (moment::short(self.until_ms)) }
                }
            }
        }
    }
}

/// Finds the one thing that a condition asks for beside times; false when there are no sums for it.
fn collect(condition: &Condition, thing: &mut Option<Thing>) -> bool {
    let found = match condition {
        Condition::All(parts) => return parts.iter().all(|part| collect(part, thing)),
        Condition::Is(Test::Since(_) | Test::Until(_)) => return true,
        Condition::Is(Test::From(nodes)) if nodes.len() == 1 => Thing::Node(nodes[0]),
        Condition::Is(Test::Gateway(nodes)) if nodes.len() == 1 => Thing::Gateway(nodes[0]),
        Condition::Is(Test::Port(port)) => Thing::Port(*port),
        Condition::Is(Test::Channel(name)) => Thing::Channel(name.clone()),
        Condition::Is(Test::Rule(rule)) => Thing::Rule(*rule),
        Condition::Any(_) | Condition::Is(_) | Condition::Not(_) => return false,
    };
    thing.replace(found).is_none()
}

#[cfg(test)]
mod tests {
    use query::{Query, Surroundings};

    use super::*;

    const NOW: i64 = 1_787_233_509_000;

    fn timeline(text: &str) -> Option<Timeline> {
        let surroundings = Surroundings { now_ms: NOW, ..Surroundings::default() };
        Timeline::of(&Query::parse(text).unwrap().bind(&surroundings).unwrap(), NOW)
    }

    #[test]
    fn there_are_sums_for_one_thing_at_a_time() {
        for (text, thing, hours) in [
            ("", Thing::All, 24),
            ("last 2h", Thing::All, 3),
            ("port:text last 7d", Thing::Port(Some(1)), 169),
            ("since 2020-01-01", Thing::All, HOURS_MAX),
            ("from:!7c5a0a01 on yesterday", Thing::Node(0x7c5a_0a01), 24),
            ("channel:LongFast", Thing::Channel("LongFast".to_owned()), 24),
        ] {
            let found = timeline(text).unwrap();
            assert_eq!(
                (found.thing.clone(), (found.until_ms - found.since_ms) / HOUR_MS),
                (thing, hours),
                "{text}"
            );
            assert!(found.hours_each() * BARS_MAX >= hours);
        }
        for text in [
            "hops<2",
            "port:text gw:!7c5a0a01",
            "port:text,position",
            "not port:text",
            "text:hi",
            "rule:echo",
        ] {
            assert_eq!(timeline(text), None, "{text}");
        }
    }

    #[test]
    fn a_bar_leads_to_its_time_with_the_other_conditions_kept() {
        let (view, _) = View::parse("q=port:text+last+6h&group=packet&before=2026-08-20.9");
        let text = view.between(NOW / HOUR_MS * HOUR_MS, (NOW / HOUR_MS + 1) * HOUR_MS);
        assert_eq!(text.text, "port:text since 2026-08-20T13:00:00 until 2026-08-20T14:00:00");
        assert_eq!((text.is_grouped, text.before), (true, None));
    }
}
