//! When a letter that did not arrive is tried again, and when it is given up.

/// The first pause, ms.
const FIRST_MS: i64 = 5_000;
/// The longest pause, ms.
const LONGEST_MS: i64 = 3_600_000;
/// A letter that could not be delivered for so long is given up, ms.
pub const GIVEN_UP_AFTER_MS: i64 = 24 * 3_600_000;

/// The pause after so many attempts that failed, ms. It doubles.
pub fn pause_ms(attempts: u32) -> i64 {
    FIRST_MS.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(LONGEST_MS)
}

/// When to try again after a failure; `None` when it is time to give up.
pub fn next_ms(written_ms: i64, attempts: u32, now_ms: i64) -> Option<i64> {
    let next_ms = now_ms.saturating_add(pause_ms(attempts));
    (next_ms - written_ms <= GIVEN_UP_AFTER_MS).then_some(next_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_end_after_a_day() {
        assert_eq!([1, 2, 3, 4].map(pause_ms), [5_000, 10_000, 20_000, 40_000]);
        assert_eq!(pause_ms(11), LONGEST_MS);
        assert_eq!(pause_ms(u32::MAX), LONGEST_MS);
        let (mut now_ms, mut attempts) = (0, 1);
        while let Some(next_ms) = next_ms(0, attempts, now_ms) {
            (now_ms, attempts) = (next_ms, attempts + 1);
        }
        assert!((20..60).contains(&attempts), "{attempts}");
        assert!(now_ms <= GIVEN_UP_AFTER_MS);
    }
}
