//! Moments and ages as people write them: `6h`, `2026-11-23`, `2026-11-23T20:15`, `yesterday`. UTC; the present is an
//! argument.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

const DAY_MS: i64 = 86_400_000;
/// Units in which ages are written, with their seconds, largest first. A day is written as 24 hours, as people say it.
const UNITS: [(char, u32); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
/// Ages beyond this are read as this: twenty years.
pub const AGE_S_MAX: u32 = 20 * 366 * 86_400;

/// A moment as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Unix milliseconds, whole seconds.
    At(i64),
    /// Seconds before the present.
    Ago(u32),
    /// The beginning of the day so many days before the present one: 0 is today's.
    DayBefore(u8),
}

/// A stretch of time as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// From then on.
    Since(Moment),
    /// Before then.
    Until(Moment),
    /// The last so many seconds.
    Last(u32),
    /// The day that begins then.
    On(Moment),
}

impl Moment {
    /// Reads a moment; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "today" => return Some(Self::DayBefore(0)),
            "yesterday" => return Some(Self::DayBefore(1)),
            _ => {}
        }
        if let Some(seconds) = age(text) {
            return Some(Self::Ago(seconds));
        }
        let moment: DateTime = text.trim_end_matches(['Z', 'z']).parse().ok()?;
        let at = moment.to_zoned(TimeZone::UTC).ok()?.timestamp();
        Some(Self::At(at.as_second().checked_mul(1_000)?))
    }

    /// Which moment it is, Unix ms.
    pub fn at_ms(self, now_ms: i64) -> i64 {
        match self {
            Self::At(at_ms) => at_ms,
            Self::Ago(seconds) => now_ms.saturating_sub(i64::from(seconds) * 1_000),
            Self::DayBefore(days) => (now_ms.div_euclid(DAY_MS) - i64::from(days)) * DAY_MS,
        }
    }
}

impl When {
    /// From when, inclusive, to when, exclusive, Unix ms.
    pub fn range(self, now_ms: i64) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Since(moment) => (Some(moment.at_ms(now_ms)), None),
            Self::Until(moment) => (None, Some(moment.at_ms(now_ms))),
            Self::Last(seconds) => (Some(Moment::Ago(seconds).at_ms(now_ms)), None),
            Self::On(moment) => {
                let start = moment.at_ms(now_ms).div_euclid(DAY_MS).saturating_mul(DAY_MS);
                (Some(start), Some(start.saturating_add(DAY_MS)))
            }
        }
    }
}

/// Seconds of an age such as `90s`, `15m`, `6h`, `7d`, `2w`; words such as `6hours` are understood.
pub fn age(text: &str) -> Option<u32> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let seconds = unit_seconds(unit.trim())?;
    let count: u32 = count.parse().ok()?;
    Some(count.checked_mul(seconds).unwrap_or(AGE_S_MAX).min(AGE_S_MAX))
}

/// Seconds of a unit's letter or word.
pub fn unit_seconds(unit: &str) -> Option<u32> {
    let unit = unit.to_ascii_lowercase();
    Some(match unit.as_str() {
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        _ => return None,
    })
}

/// An age in the largest unit that gives a whole number.
pub fn write_age(f: &mut fmt::Formatter<'_>, seconds: u32) -> fmt::Result {
    let is_day = |unit: char| unit == 'd' && seconds < 2 * 86_400;
    let fits = (UNITS.iter())
        .find(|(unit, unit_s)| seconds != 0 && seconds.is_multiple_of(*unit_s) && !is_day(*unit));
    let (unit, unit_s) = fits.copied().unwrap_or(('s', 1));
    write!(f, "{}{unit}", seconds / unit_s)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ago(seconds) => write_age(f, seconds),
            Self::DayBefore(0) => f.write_str("today"),
            Self::DayBefore(_) => f.write_str("yesterday"),
            Self::At(at_ms) => {
                let at = Timestamp::from_second(at_ms.div_euclid(1_000)).unwrap_or_default();
                let at = at.to_zoned(TimeZone::UTC).datetime();
                let is_midnight = at.time() == jiff::civil::Time::midnight();
                f.write_str(
                    &at.strftime(if is_midnight { "%Y-%m-%d" } else { "%Y-%m-%dT%H:%M:%S" }).to_string(),
                )
            }
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Since(moment) => write!(f, "since {moment}"),
            Self::Until(moment) => write!(f, "until {moment}"),
            Self::Last(seconds) => {
                f.write_str("last ")?;
                write_age(f, *seconds)
            }
            Self::On(moment) => write!(f, "on {moment}"),
        }
    }
}

/// Whether a text is a date, which a time of day may follow.
pub fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_787_233_509_000;

    #[test]
    fn moments_are_read_and_written() {
        for (text, at_ms, written) in [
            ("2026-08-20T13:45:09Z", NOW, "2026-08-20T13:45:09"),
            ("2026-08-20 13:45", NOW - 9_000, "2026-08-20T13:45:00"),
            ("2026-08-20", 1_787_184_000_000, "2026-08-20"),
            ("90m", NOW - 5_400_000, "90m"),
            ("48h", NOW - 2 * DAY_MS, "2d"),
            ("1week", NOW - 7 * DAY_MS, "7d"),
            ("1d", NOW - DAY_MS, "24h"),
            ("0s", NOW, "0s"),
            ("Today", 1_787_184_000_000, "today"),
            ("yesterday", 1_787_184_000_000 - DAY_MS, "yesterday"),
        ] {
            let moment = Moment::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(moment.at_ms(NOW), at_ms, "{text}");
            assert_eq!(moment.to_string(), written);
            assert_eq!(Moment::parse(written).map(|m| m.at_ms(NOW)), Some(at_ms));
        }
        for wrong in
            ["", "soon", "2026-13-01", "2026-08-20T25:00", "6", "h", "6x", "é", "-6h", "99999999999d"]
        {
            assert_eq!(Moment::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_day_is_a_day() {
        let (since, until) = When::On(Moment::parse("2026-08-20T13:45").unwrap()).range(NOW);
        assert_eq!((since, until), (Some(1_787_184_000_000), Some(1_787_184_000_000 + DAY_MS)));
    }
}
