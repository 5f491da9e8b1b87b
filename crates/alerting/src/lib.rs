//! Sending alerts to targets, and what of it survives a restart: what fires, what was learned, letters with their attempts.
//! Waits for networks and disks; whoever calls it runs on a thread that may.
//!
//! Reading order: who is told, how one letter is sent, when it is tried again, what is kept.

pub mod send;
pub mod store;
pub mod target;
pub mod wait;

mod mail;
