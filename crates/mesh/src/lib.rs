//! Meshtastic: envelopes, packets, keys, crypto, facts and airtime. Knows no MQTT, no sockets and no clock.
//!
//! Reading order: names and numbers, the wire, keys and crypto, then `observe`, which puts them together into facts.
//! Behind it: what an opened payload says (`schema`, `tree`), the firmware's JSON, time on air, and composing packets.

pub mod airtime;
pub mod compose;
pub mod crypto;
pub mod data;
pub mod enums;
pub mod envelope;
pub mod frame;
pub mod json27;
pub mod json_command;
pub mod key;
pub mod keyring;
pub mod node;
pub mod observe;
pub mod packet;
pub mod portnum;
pub mod position;
pub mod region;
pub mod report;
pub mod schema;
pub mod signature;
pub mod topic;
pub mod tree;
pub mod wire;
