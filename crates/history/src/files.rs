//! Day files: which file a moment belongs to, and which files there are.

use std::path::{Path, PathBuf};

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
    let (year, month, day) = civil(day);
    folder.join(format!("{year:04}-{month:02}-{day:02}.db"))
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

fn parse(name: &str) -> Option<Day> {
    let mut parts = name.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let is_plain = parts.next().is_none() && (year.len(), month.len(), day.len()) == (4, 2, 2);
    let number = days_from_civil(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    (is_plain && path_of(Path::new(""), number).file_stem()?.to_str()? == name).then_some(number)
}

/// Year, month and day of a day number, in the proleptic Gregorian calendar (Howard Hinnant's `civil_from_days`).
fn civil(day: Day) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> Day {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
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
