//! A seeded mesh of a city on a virtual clock: nodes on radio islands, packets as gateways would uplink them, and what
//! a downlink does to the air. Knows no sockets, files or clock, and nothing of the broker.
//!
//! Reading order: the plan, who lives where, how radio carries, how a packet floods, who says what when, the clock.

pub mod flood;
pub mod map;
pub mod plan;
pub mod radio;
pub mod resident;
pub mod simulation;
pub mod traffic;
