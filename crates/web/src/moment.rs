//! Moments as people read them: UTC and age. The present is an argument.

use maud::{Markup, html};

const DAY_MS: i64 = 86_400_000;

/// Unix milliseconds as `2026-08-20T13:45:09Z`.
pub fn iso(at_ms: i64) -> String {
    let (date, time) = (date(at_ms), time_of_day(at_ms));
    format!("{date}T{time}Z")
}

/// The date, `2026-08-20`.
pub fn date(at_ms: i64) -> String {
    let (y, m, d) = civil(at_ms.div_euclid(DAY_MS));
    format!("{y:04}-{m:02}-{d:02}")
}

fn time_of_day(at_ms: i64) -> String {
    let s = at_ms.rem_euclid(DAY_MS) / 1000;
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
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

/// Reads `2026-08-20`, `2026-08-20T13:45`, `2026-08-20 13:45:09Z` (UTC) or an age such as `90m`, `6h`, `7d`.
pub fn parse(text: &str, now_ms: i64) -> Option<i64> {
    let text = text.trim().trim_end_matches('Z');
    if let Some((at, unit)) = text.char_indices().next_back()
        && let Ok(count) = text[..at].parse::<u32>()
    {
        let unit_ms = match unit {
            's' => 1000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => DAY_MS,
            _ => return None,
        };
        return Some(now_ms - i64::from(count) * unit_ms);
    }
    let (day, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut parts =
        day.split('-').map(|p| p.parse::<i64>().ok().filter(|_| p.bytes().all(|b| b.is_ascii_digit())));
    let (Some(Some(y)), Some(Some(m)), Some(Some(d)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let days = days_from_civil(y, m, d)?;
    let mut units = time.split(':').map(|p| p.parse::<u8>().ok());
    let (h, min, s) = (units.next()??, units.next()??, units.next().unwrap_or(Some(0))?);
    let is_time = h < 24 && min < 60 && s < 60 && units.next().is_none();
    is_time.then(|| days * DAY_MS + (i64::from(h) * 3600 + i64::from(min) * 60 + i64::from(s)) * 1000)
}

/// Year, month, day of a day counted from 1970-01-01: eras of 400 years, years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year_from_march = year - i64::from(month <= 2);
    let (era, year_of_era) = (year_from_march.div_euclid(400), year_from_march.rem_euclid(400));
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    (civil(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_787_233_509_000;

    #[test]
    fn days_go_both_ways() {
        for days in (0..80_000).step_by(7).chain([0, 59, 60, 10_956, 11_016, 11_017]) {
            let (y, m, d) = civil(days);
            assert_eq!(days_from_civil(y, m, d), Some(days));
        }
        assert_eq!(days_from_civil(2026, 2, 29), None);
        assert_eq!(days_from_civil(2024, 2, 29), Some(19_782));
    }

    #[test]
    fn written_and_read() {
        assert_eq!(iso(NOW), "2026-08-20T13:45:09Z");
        for (text, at) in [
            ("2026-08-20T13:45:09Z", Some(NOW)),
            ("2026-08-20 13:45", Some(NOW - 9000)),
            ("2026-08-20", Some(NOW - (13 * 3600 + 45 * 60 + 9) * 1000)),
            ("90m", Some(NOW - 90 * 60_000)),
            ("7d", Some(NOW - 7 * DAY_MS)),
            ("yesterday", None),
            ("2026-13-01", None),
            ("2026-08-20T25:00", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(parse(text, NOW), at, "{text}");
        }
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
