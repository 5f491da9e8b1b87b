//! What automation reads: packets as JSON, nodes as devices of Home Assistant, alerts. Learns from records, and answers
//! with messages to publish or to send; knows no broker, socket, file or clock.
//!
//! Reading order: what may be told, to whom it is told in which form, and the value that puts both together.

pub mod alert;
pub mod allowed;
mod firmware_json;
mod home_assistant;
mod known_nodes;
mod packet_json;
mod seen;
pub mod settings;
mod teller;

pub use teller::{Teller, Told};
