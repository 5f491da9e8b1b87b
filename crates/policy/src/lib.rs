//! Facts, sender and ledgers to decisions, by named rules in one order. Knows no sockets, files or clock.
//!
//! Reading order: what a decision is, which rules there are, who is asked about, then the functions that decide.

pub mod decision;
pub mod rule;
pub mod settings;
pub mod principal;
pub mod admission;
pub mod ledger;
pub mod subscribe;
pub mod uplink;
pub mod release;
