//! Moments as people read them: UTC and age. The present is an argument.

use jiff::Timestamp;
use maud::{Markup, html};

const DAY_MS: i64 = 86_400_000;

/// Unix milliseconds as `2026-08-20T13:45:09Z`.
pub fn iso(at_ms: i64) -> String {
    written(at_ms, "%Y-%m-%dT%H:%M:%SZ")
}

/// The date, `2026-08-20`.
pub fn date(at_ms: i64) -> String {
    written(at_ms, "%Y-%m-%d")
}

/// Day and time without year and seconds, `08-20 13:45`, where room is short.
pub fn short(at_ms: i64) -> String {
    written(at_ms, "%m-%d %H:%M")
}

fn time_of_day(at_ms: i64) -> String {
    written(at_ms, "%H:%M:%S")
}

/// A dash for moments beyond the calendar, which only a broken clock makes.
fn written(at_ms: i64, format: &str) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| "–".into(), |at| at.strftime(format).to_string())
}

/// Time of day in UTC, with the date when it is not today's, marked up so that programs can read it.
pub fn clock(at_ms: i64, now_ms: i64) -> Markup {
    let is_today = at_ms.div_euclid(DAY_MS) == now_ms.div_euclid(DAY_MS);
    html! {
        time datetime=(iso(at_ms)) title=(iso(at_ms)) {
            @if !is_today { (date(at_ms)) " " } (time_of_day(at_ms))
        }
    }
}

/// How long ago, as `<time>`: `12 s ago`.
pub fn age(at_ms: i64, now_ms: i64) -> Markup {
    html! { time.age datetime=(iso(at_ms)) title=(iso(at_ms)) { (ago(at_ms, now_ms)) } }
}

/// How long ago, in words.
pub fn ago(at_ms: i64, now_ms: i64) -> String {
    match now_ms - at_ms {
        ms if ms < 1000 => "just now".into(),
        ms => format!("{} ago", duration(ms)),
    }
}

/// A span in its largest unit: `45 s`, `12 min`, `5 h`, `3 d`.
pub fn duration(ms: i64) -> String {
    match ms / 1000 {
        s if s < 60 => format!("{s} s"),
        s if s < 3600 => format!("{} min", s / 60),
        s if s < 2 * 86_400 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_787_233_509_000;

    #[test]
    fn moments_are_written() {
        assert_eq!(iso(NOW), "2026-08-20T13:45:09Z");
        assert_eq!(date(NOW), "2026-08-20");
    }

    #[test]
    fn spans_have_one_unit() {
        for (ms, text) in
            [(0, "0 s"), (59_999, "59 s"), (60_000, "1 min"), (3_600_000, "1 h"), (3 * DAY_MS, "3 d")]
        {
            assert_eq!(duration(ms), text);
        }
    }
}
