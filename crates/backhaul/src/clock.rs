//! The wall clock, read at the edge, and moments as people write them.

use jiff::Timestamp;

/// Now, Unix ms.
pub fn unix_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// A moment as `2026-11-23 20:00:00`, UTC.
pub fn utc(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms)
        .map_or("-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A moment in Unix ms as filters have it: a time back (`90s`, `15m`, `6h`, `7d`), a date, a date and time in UTC.
#[allow(dead_code, reason = "options that are a moment, such as --since, are read by it")]
pub fn parse_moment(text: &str) -> Result<i64, String> {
    let moment = query::Moment::parse(text).ok_or_else(|| {
        format!(
            "write a time back like 90s, 15m, 6h or 7d, or a moment like 2026-11-23T20:00:00Z, not `{text}`"
        )
    })?;
    Ok(moment.at_ms(unix_ms()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written_and_nonsense_is_explained() {
        assert_eq!(parse_moment("2026-11-23T20:00:00Z"), Ok(1_795_464_000_000));
        let hour_back = parse_moment("1h").unwrap();
        assert!((unix_ms() - hour_back - 3_600_000).abs() < 60_000);
        for wrong in ["", "h", "5", "5x", "-1h", "ü", "soon"] {
            assert!(parse_moment(wrong).unwrap_err().contains("6h"), "{wrong}");
        }
        assert_eq!(utc(1_795_464_000_000), "2026-11-23 20:00:00");
        assert_eq!(utc(i64::MAX), "-");
    }
}
