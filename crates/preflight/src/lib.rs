//! Is this node's configuration fit for the backhaul? A file or a link in, an answer to each point of the checklist out.
//! Knows no files, sockets or clock; secrets are forgotten while reading, before anything is looked at.
//!
//! Reading order: `setting` (what a node can be set to), `node_config` (what this one is set to), `read` and the three
//! formats, `expected` (what the mesh wants), `checks`, `report`.

#![forbid(unsafe_code)]

pub mod channel_link;
pub mod checks;
pub mod expected;
pub mod make_link;
pub mod markdown;
pub mod node_config;
mod profile;
pub mod read;
pub mod report;
pub mod setting;
mod yaml;
