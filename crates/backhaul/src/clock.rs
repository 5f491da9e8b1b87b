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

/// A moment in Unix ms from a time back (`90s`, `15m`, `6h`, `7d`) or RFC 3339.
pub fn parse_moment(text: &str) -> Result<i64, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond());
    }
    let wrong = || {
        format!(
            "write a time back like 90s, 15m, 6h or 7d, or a moment like 2026-11-23T20:00:00Z, not `{text}`"
        )
    };
    let unit_at = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or_else(wrong)?;
    let (count, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let count: i64 = count.parse().ok().filter(|n| (0..=1_000_000).contains(n)).ok_or_else(wrong)?;
    Ok(unix_ms() - count * unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_nonsense_is_explained() {
        assert_eq!(parse_moment("2026-11-23T20:00:00Z"), Ok(1_795_464_000_000));
        let hour_back = parse_moment("1h").unwrap();
        assert!((unix_ms() - hour_back - 3_600_000).abs() < 60_000);
        for wrong in ["", "h", "5", "5x", "-1h", "ü", "yesterday"] {
            assert!(parse_moment(wrong).unwrap_err().contains("6h"), "{wrong}");
        }
        assert_eq!(utc(1_795_464_000_000), "2026-11-23 20:00:00");
    }
}
