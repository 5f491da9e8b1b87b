//! A moment as text for people: `2026-11-23 06:05Z`. Knows no clock.

/// Writes milliseconds since 1970 as UTC date and minute.
pub fn utc_text(unix_ms: u64) -> String {
    let minutes = unix_ms / 60_000;
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    let (year, month, day) = date_of(minutes / 1440);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}Z")
}

/// Year, month and day of a count of days since 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last of its year.
fn date_of(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468; // from 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::utc_text;

    #[test]
    fn known_moments_are_written_right() {
        assert_eq!(utc_text(0), "1970-01-01 00:00Z");
        assert_eq!(utc_text(951_782_340_000), "2000-02-28 23:59Z");
        assert_eq!(utc_text(951_782_400_000), "2000-02-29 00:00Z");
        assert_eq!(utc_text(1_795_413_900_000), "2026-11-23 06:05Z");
        assert_eq!(utc_text(4_107_542_400_000), "2100-03-01 00:00Z");
    }
}
