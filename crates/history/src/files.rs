//! Day files: which file a moment belongs to, and which files there are.

use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::{Span, Unit};

use crate::error::Error;

/// Days since 1970-01-01, UTC.
pub type Day = i64;

const DAY_MS: i64 = 86_400_000;

/// The day of a moment in Unix ms.
pub fn day_of(at_ms: i64) -> Day {
    at_ms.div_euclid(DAY_MS)
}

/// First moment of a day, Unix ms.
pub fn start_of(day: Day) -> i64 {
    day * DAY_MS
}

/// How far a clock may be put back around midnight without a change of file, ms: more than time servers correct in a
/// running system.
const PUT_BACK_MS: i64 = 1_800_000;

/// First moment that can stand in a day's file, Unix ms: before its start when the clock was put back around midnight.
pub fn starts_taking(day: Day) -> i64 {
    start_of(day) - PUT_BACK_MS
}

/// The file of a day: `2026-11-23.db`.
pub fn path_of(folder: &Path, day: Day) -> PathBuf {
    folder.join(format!("{}.db", name_of(day)))
}

/// A day as files are named: `2026-11-23`.
pub fn name_of(day: Day) -> String {
    date_of(day).to_string()
}

/// The days that have a file, oldest first.
pub fn days_in(folder: &Path) -> Result<Vec<Day>, Error> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::Io(folder.to_path_buf(), error)),
    };
    let mut days: Vec<Day> = entries
        .flatten()
        .filter_map(|entry| {
            entry.file_name().to_str().and_then(|name| name.strip_suffix(".db")).and_then(parse)
        })
        .collect();
    days.sort_unstable();
    Ok(days)
}

/// The day of a name as `name_of` writes it.
pub fn parse(name: &str) -> Option<Day> {
    let date: Date = name.parse().ok()?;
    let day = EPOCH.until((Unit::Day, date)).ok()?.get_days();
    // Only names as this program writes them.
    (date.to_string() == name).then_some(i64::from(day))
}

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// The date of a day; beyond the calendar's ends, the end.
fn date_of(day: Day) -> Date {
    EPOCH.saturating_add(Span::new().days(day.clamp(-700_000, 2_900_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_days_go_both_ways() {
        for (at_ms, name) in [
            (0, "1970-01-01.db"),
            (951_782_400_000, "2000-02-29.db"),
            (1_795_403_444_383, "2026-11-23.db"),
            (-1, "1969-12-31.db"),
        ] {
            let day = day_of(at_ms);
            assert_eq!(path_of(Path::new(""), day).to_str(), Some(name));
            assert_eq!(parse(&name[..10]), Some(day));
        }
        for wrong in ["2026-02-30", "2026-1-01", "x", "2026-01-01-01"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
