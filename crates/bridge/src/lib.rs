//! One bridge: this broker as a client of another one, and what may cross between them. Knows no sockets and no clock.
//!
//! Both ends are MQTT connections (`link.rs`); the one here is to our own broker, which judges what comes in and releases
//! what goes out like for any other client. `relay.rs` tells what happens to one message; `contract.rs` what was agreed
//! for one direction; `crossed.rs` why nothing goes round in circles.

pub mod area;
pub mod contract;
mod crossed;
mod lane;
pub mod link;
pub mod quota;
pub mod relay;
pub mod root;
pub mod status;
pub mod wait;

pub use relay::{End, Relay};
pub use status::{Held, LaneStatus, Status};
