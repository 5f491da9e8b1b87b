//! Meshtastic: envelopes, packets, keys, crypto, facts and airtime. Knows no MQTT, no sockets and no clock.
//!
//! Reading order: names and numbers, the wire, keys and crypto, then `observe`, which puts them together into facts.
//! Behind it: what an opened payload says (`schema`, `tree`), the firmware's JSON, time on air, and composing packets.

pub mod node;
pub mod topic;
pub mod portnum;
pub mod wire;
pub mod packet;
pub mod envelope;
pub mod data;
pub mod key;
pub mod keyring;
pub mod crypto;
pub mod signature;
pub mod position;
pub mod observe;
pub mod airtime;
pub mod region;
pub mod enums;
pub mod schema;
pub mod tree;
