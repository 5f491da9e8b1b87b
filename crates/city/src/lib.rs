//! A seeded mesh of a city on a virtual clock: nodes on radio islands, packets as gateways would uplink them, and what
//! a downlink does to the air. Knows no sockets, files or clock, and nothing of the broker.
//!
//! Reading order: the plan, who lives where, how radio carries and collides, who says what when, the clock, what gateways
//! do with it.

pub mod air;
mod gateway;
pub mod letter;
pub mod map;
pub mod misfit;
pub mod plan;
pub mod radio;
mod radio_node;
pub mod report;
pub mod resident;
pub mod simulation;
pub mod traffic;
