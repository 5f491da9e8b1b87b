//! Facts, sender and ledgers to decisions, by named rules in one order. Knows no sockets, files or clock.
//!
//! Reading order: what a decision is, which rules there are, who is asked about, then the functions that decide.

pub mod admission;
pub mod decision;
pub mod difference;
pub mod downlink;
pub mod edit;
pub mod engine;
pub mod ladder;
pub mod memory;
pub mod now;
pub mod outside;
pub mod parameters;
pub mod principal;
pub mod release;
pub mod response;
pub mod rule;
pub mod settings;
pub mod subscribe;
pub mod throttle;
pub mod uplink;
