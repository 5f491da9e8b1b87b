//! Replays: stretches of the past that are put back on topics of their own.

use std::fmt;

/// Slowest speed, in thousandths of life.
pub const REPLAY_SPEED_MIN: u32 = 100;
/// Fastest speed, in thousandths of life.
pub const REPLAY_SPEED_MAX: u32 = 1_000_000;
/// Replays that may be under way at a time.
pub const REPLAYS_MAX: usize = 4;
/// Longest filter, bytes.
const FILTER_BYTES_MAX: usize = 2_000;

/// What is to be put back, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayOrder {
    /// From then on, Unix ms.
    pub since_ms: i64,
    /// Before then, Unix ms.
    pub until_ms: i64,
    /// The filter as it was written; empty for everything.
    pub filter: String,
    /// The archive that it is read from; `None` for our own history.
    pub archive: Option<String>,
    /// How fast, in thousandths of life.
    pub speed: u32,
    /// Whether decoded JSON is put back too.
    pub with_json: bool,
    /// Whether it waits for steps from the beginning.
    pub is_paused: bool,
}

/// How a replay stands, as far as people say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayState {
    /// It goes on by the clock.
    Running,
    /// It waits, and goes on by steps.
    Paused,
    /// It is over: stopped, at its end, or the server ended.
    Over,
}

impl ReplayState {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Over => "over",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Running, Self::Paused, Self::Over].into_iter().find(|state| state.word() == word)
    }
}

/// A replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Its number, from 1: `replay/<number>/…` are its topics.
    pub number: i64,
    /// What was ordered; its speed as it was changed last.
    pub order: ReplayOrder,
    /// How it stands.
    pub state: ReplayState,
    /// Receptions that it was let go on by, step by step, altogether.
    pub steps: u64,
    /// When it was ordered, Unix ms.
    pub made_ms: i64,
    /// By whom.
    pub made_by: String,
}

/// What is said to a replay that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayCommand {
    /// Wait.
    Pause,
    /// Go on by the clock.
    Resume,
    /// Go on by so many receptions and wait.
    Step(u16),
    /// Another speed, in thousandths of life.
    Speed(u32),
    /// End.
    Stop,
}

/// Why a replay or a command is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayRefused {
    /// The window ends before it begins.
    Window,
    /// The speed is out of range.
    Speed,
    /// The filter is too long.
    Filter,
    /// Too many are under way.
    TooMany,
    /// None with this number is under way.
    Unknown(i64),
}

impl fmt::Display for ReplayRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window => f.write_str("the window must begin before it ends"),
            Self::Speed => f.write_str("the speed is 0.1 to 1000 times life"),
            Self::Filter => write!(f, "a filter has at most {FILTER_BYTES_MAX} bytes"),
            Self::TooMany => write!(f, "at most {REPLAYS_MAX} replays run at a time; stop one first"),
            Self::Unknown(number) => write!(f, "no replay {number} is under way"),
        }
    }
}

impl std::error::Error for ReplayRefused {}

/// A speed as people write it, such as `10` or `0.5`, in thousandths of life.
///
/// # Errors
/// When it is no number from 0.1 to 1000.
pub fn parse_speed(text: &str) -> Result<u32, ReplayRefused> {
    let times: f64 = text.trim().parse().map_err(|_| ReplayRefused::Speed)?;
    let thousandths = (times * 1000.0).round();
    let range = f64::from(REPLAY_SPEED_MIN)..=f64::from(REPLAY_SPEED_MAX);
    // In range, and so whole and small enough.
    if range.contains(&thousandths) { Ok(thousandths as u32) } else { Err(ReplayRefused::Speed) }
}

impl ReplayOrder {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self) -> Result<(), ReplayRefused> {
        if self.since_ms >= self.until_ms {
            return Err(ReplayRefused::Window);
        }
        if !(REPLAY_SPEED_MIN..=REPLAY_SPEED_MAX).contains(&self.speed) {
            return Err(ReplayRefused::Speed);
        }
        if self.filter.len() > FILTER_BYTES_MAX { Err(ReplayRefused::Filter) } else { Ok(()) }
    }
}

impl Replay {
    /// What it is after a command.
    ///
    /// # Errors
    /// When it is over, or the command makes no sense.
    pub fn after(&self, command: ReplayCommand) -> Result<Self, ReplayRefused> {
        if self.state == ReplayState::Over {
            return Err(ReplayRefused::Unknown(self.number));
        }
        let mut next = self.clone();
        match command {
            ReplayCommand::Pause => next.state = ReplayState::Paused,
            ReplayCommand::Resume => next.state = ReplayState::Running,
            ReplayCommand::Step(count) => {
                next.state = ReplayState::Paused;
                next.steps = next.steps.saturating_add(u64::from(count));
            }
            ReplayCommand::Speed(speed) => {
                next.order.speed = speed;
                next.order.check()?;
            }
            ReplayCommand::Stop => next.state = ReplayState::Over,
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_a_tenth_to_a_thousand_times_life() {
        assert_eq!(parse_speed("0.1"), Ok(100));
        assert_eq!(parse_speed(" 1000 "), Ok(1_000_000));
        for wrong in ["0.09", "1001", "-1", "NaN", "inf", "", "fast"] {
            assert_eq!(parse_speed(wrong), Err(ReplayRefused::Speed), "{wrong}");
        }
    }

    #[test]
    fn commands_lead_from_state_to_state_and_what_is_over_stays_so() {
        let order = ReplayOrder {
            since_ms: 0,
            until_ms: 1,
            filter: String::new(),
            archive: None,
            speed: 1_000,
            with_json: false,
            is_paused: false,
        };
        assert_eq!(order.check(), Ok(()));
        assert_eq!(ReplayOrder { until_ms: 0, ..order.clone() }.check(), Err(ReplayRefused::Window));
        let replay = Replay {
            number: 7,
            order,
            state: ReplayState::Running,
            steps: 0,
            made_ms: 0,
            made_by: "ann".into(),
        };
        let stepped = replay.after(ReplayCommand::Step(3)).unwrap();
        assert_eq!((stepped.state, stepped.steps), (ReplayState::Paused, 3));
        assert_eq!(stepped.after(ReplayCommand::Resume).unwrap().state, ReplayState::Running);
        assert_eq!(stepped.after(ReplayCommand::Speed(99)), Err(ReplayRefused::Speed));
        let over = stepped.after(ReplayCommand::Stop).unwrap();
        assert_eq!(over.after(ReplayCommand::Resume), Err(ReplayRefused::Unknown(7)));
    }
}
