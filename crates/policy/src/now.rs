//! The time as an argument: nothing below the shell reads a clock.

/// The time, made once per turn by the shell, by a simulation or by a backtest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on a clock that never goes back.
    pub mono_ms: u64,
    /// Unix milliseconds; may step.
    pub unix_ms: i64,
}
