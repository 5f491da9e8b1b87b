//! Alerts: rules over what is heard and how the broker is doing, told once when something begins and once when it is over.
//!
//! Reading order: what a rule is, what is taken from a reception, the state machine, and what of it is sent to whom. The
//! same machine runs live, while it catches up after a restart, and over the history when a rule is tried. It knows no
//! clock: time comes with what happens, and with `tick`.

pub mod board;
pub mod engine;
mod lane;
pub mod letter;
pub mod outlet;
pub mod quiet;
pub mod rule;
pub mod sighting;
