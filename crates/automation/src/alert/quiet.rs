//! Hours in which only what is critical is told. The rest waits for the morning.

/// Hours of the day, in the operator's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    /// First minute of the day, 0 to 1439.
    pub from_min: u16,
    /// First minute after them; before `from_min` when midnight lies between.
    pub to_min: u16,
}

/// A moment as quiet hours see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Unix ms.
    pub now_ms: i64,
    /// How far the operator's clocks are ahead of UTC, in seconds.
    pub ahead_s: i32,
}

impl QuietHours {
    /// Reads `22:00-07:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let minute = |text: &str| -> Option<u16> {
            let (hour, minute) = text.trim().split_once(':')?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let (from, to) = text.split_once('-')?;
        let (from_min, to_min) = (minute(from)?, minute(to)?);
        (from_min != to_min).then_some(Self { from_min, to_min })
    }

    /// Whether a moment lies in them.
    pub fn hold(self, moment: Moment) -> bool {
        let local_min = (moment.now_ms / 1000 + i64::from(moment.ahead_s)).div_euclid(60).rem_euclid(1440);
        let (from, to) = (i64::from(self.from_min), i64::from(self.to_min));
        if from < to { (from..to).contains(&local_min) } else { !(to..from).contains(&local_min) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_may_go_over_midnight_and_know_the_operators_clock() {
        let at = |hour: i64, ahead_s| Moment { now_ms: hour * 3_600_000, ahead_s };
        let night = QuietHours::parse("22:00-07:00").unwrap();
        for (hour, holds) in [(21, false), (22, true), (0, true), (6, true), (7, false), (12, false)] {
            assert_eq!(night.hold(at(hour, 0)), holds, "{hour}");
        }
        assert!(night.hold(at(4, -6 * 3600)) && !night.hold(at(14, -6 * 3600)));
        let noon = QuietHours::parse("12:00 - 13:30").unwrap();
        assert!(noon.hold(at(12, 0)) && !noon.hold(at(14, 0)) && !noon.hold(at(11, 0)));
        for wrong in ["", "22-07", "24:00-07:00", "07:00-07:00", "22:60-07:00", "22:00"] {
            assert_eq!(QuietHours::parse(wrong), None, "{wrong}");
        }
    }
}
