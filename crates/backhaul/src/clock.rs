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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_for_people() {
        assert_eq!(utc(1_795_464_000_000), "2026-11-23 20:00:00");
        assert_eq!(utc(i64::MAX), "-");
    }
}
