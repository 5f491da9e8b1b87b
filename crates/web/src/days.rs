//! Ninety days at a glance: receptions of each day, and in how many of its hours there were any. Folded from the hourly
//! sums of the history; drawn by the server.

use history::Tally;
use maud::{Markup, html};

use crate::moment;
use crate::words::{count, number};

/// Days shown.
pub const DAYS: usize = 90;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Share of hours, in percent, from which a day is called whole: a restart does not make a bad day.
const WHOLE_PERCENT: u32 = 95;

/// One day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayOf {
    /// When it begins, Unix ms.
    pub begins_ms: i64,
    /// Receptions.
    pub receptions: u64,
    /// Hours with any.
    pub hours: u32,
    /// Hours that there could have been: fewer on the first day and today.
    pub hours_of: u32,
}

impl DayOf {
    fn class(&self) -> &'static str {
        match self.hours * 100 / self.hours_of.max(1) {
            _ if self.hours == 0 => "none",
            percent if percent >= WHOLE_PERCENT => "good",
            percent if percent >= 50 => "note",
            _ => "bad",
        }
    }
}

/// When the hours for this begin, Unix ms.
pub fn since_ms(now_ms: i64) -> i64 {
    (now_ms.div_euclid(DAY_MS) - DAYS as i64 + 1) * DAY_MS
}

/// The days up to the present, oldest first. Days before the first with anything have no hours that there could have been.
pub fn fold(hours: &[(i64, Tally)], now_ms: i64) -> Vec<DayOf> {
    let with_any = || hours.iter().filter(|(_, tally)| tally.receptions() > 0);
    let first_ms = with_any().map(|(at_ms, _)| *at_ms).min().unwrap_or(now_ms);
    let begins_ms = since_ms(now_ms);
    let mut days: Vec<DayOf> = (0..DAYS as i64)
        .map(|day| {
            let begins_ms = begins_ms + day * DAY_MS;
            let (from, to) = (begins_ms.max(first_ms), (begins_ms + DAY_MS).min(now_ms + HOUR_MS - 1));
            let hours_of = u32::try_from((to - from).div_euclid(HOUR_MS)).unwrap_or(0);
            DayOf { begins_ms, receptions: 0, hours: 0, hours_of }
        })
        .collect();
    for (at_ms, tally) in with_any() {
        let index = usize::try_from((at_ms - begins_ms).div_euclid(DAY_MS)).ok();
        if let Some(day) = index.and_then(|index| days.get_mut(index)) {
            day.receptions += tally.receptions();
            day.hours += 1;
        }
    }
    days
}

/// The days as a chart with its numbers in words. `whose` says what they are of.
pub fn chart(days: &[DayOf], whose: &str) -> Markup {
    let told: Vec<_> = days.iter().filter(|day| day.hours_of > 0).collect();
    let highest = told.iter().map(|day| day.receptions).max().unwrap_or(0);
    let (hours, hours_of) = told.iter().fold((0, 0), |(a, b), day| (a + day.hours, b + day.hours_of));
    let percent = f64::from(hours) * 100.0 / f64::from(hours_of.max(1));
    let sum = told.iter().map(|day| day.receptions).sum();
    let label = format!(
        "{whose}, {}: {}, something in {percent:.1} percent of the hours; the busiest day had {highest}.",
        count(told.len() as u64, "day"),
        count(sum, "reception")
    );
    html! {
        @if highest == 0 { p.soft { "Nothing is kept of the last " (DAYS) " days." } } @else {
            div.card {
                svg.days viewBox=(format!("0 0 {} 72", DAYS * 10)) preserveAspectRatio="none" role="img" aria-label=(label) {
                    @for (index, day) in days.iter().enumerate() { @if day.hours_of > 0 { (bar(index, day, highest)) } }
                }
                p.ends {
                    span { (DAYS) " days ago" }
                    span { strong { (format!("{percent:.1} %")) } " of hours with receptions" }
                    span { "today" }
                }
            }
            details.fold {
                summary { "As numbers" }
                div.scroll tabindex="0" role="group" aria-label="Days" { table {
                    thead { tr { th scope="col" { "Day" } th.n scope="col" { "Receptions" } th.n scope="col" { "Hours with any" } } }
                    tbody { @for day in told.iter().rev() { tr {
                        th scope="row" { (moment::date(day.begins_ms)) }
                        td.n { (number(day.receptions)) }
                        td.n { (day.hours) " of " (day.hours_of) }
                    } } }
                } }
            }
        }
    }
}

fn bar(index: usize, day: &DayOf, highest: u64) -> Markup {
    let height = match day.receptions {
        // A day without anything shows too.
        0 => 6.0,
        n => 6.0 + n as f64 / highest.max(1) as f64 * 66.0,
    };
    html! {
        rect class=(day.class()) x=(index * 10 + 1) width="8" rx="1" y=(format!("{:.1}", 72.0 - height)) height=(format!("{height:.1}")) {
            title { (moment::date(day.begins_ms)) ": " (count(day.receptions, "reception")) ", " (day.hours) " of " (day.hours_of) " hours" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_787_233_509_000;

    fn hour(at_ms: i64, n: u64) -> (i64, Tally) {
        (at_ms.div_euclid(HOUR_MS) * HOUR_MS, Tally { by_verdict: [n, 0, 0, 0], ..Tally::default() })
    }

    #[test]
    fn days_count_the_hours_that_there_could_have_been() {
        let begun = NOW.div_euclid(DAY_MS) * DAY_MS - DAY_MS + 20 * HOUR_MS;
        let days = fold(&[hour(begun, 4), hour(begun + HOUR_MS, 2), hour(NOW, 1)], NOW);
        assert_eq!(days.len(), DAYS);
        let [.., before, yesterday, today] = days[..] else { panic!("there are ninety") };
        assert_eq!((before.hours_of, before.receptions), (0, 0));
        assert_eq!((yesterday.receptions, yesterday.hours, yesterday.hours_of), (6, 2, 4));
        // 13:45 is in the fourteenth hour.
        assert_eq!((today.receptions, today.hours, today.hours_of), (1, 1, 14));
        assert_eq!(today.class(), "bad");
    }

    #[test]
    fn nothing_kept_is_said_in_words() {
        assert!(chart(&fold(&[], NOW), "All").into_string().contains("Nothing is kept"));
        let text = chart(&fold(&[hour(NOW, 5)], NOW), "All").into_string();
        assert!(text.contains("All, 1 day: 5 receptions") && text.contains("rect"), "{text}");
    }
}
