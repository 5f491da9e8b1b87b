//! Facts, sender and ledgers to decisions, by named rules in one order. Knows no sockets, files or clock.
//!
//! Reading order: what a decision is, which rules there are, then the functions that apply them.

pub mod decision;
pub mod rule;
