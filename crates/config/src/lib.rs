//! The configuration file: one table of keys, and what reads, documents and checks by it.
//!
//! A key is one line in [`keys`]: its type, default, range and sentence. The structs, the defaults, the
//! commented example, the JSON Schema and the error messages all come from that line. The ids of policy
//! rules are the caller's, so that this crate knows no policy.

mod table;

pub mod alert_keys;
pub mod keys;

mod load;

mod alerts_file;
mod bridge;
mod channel;
mod document;
mod json_schema;
mod listener;
mod policy_edit;
mod policy_file;
mod rule_state;
mod told;

mod diagnostics;
mod kind;
mod near_miss;

pub use alerts_file::{
    ALERTS_BYTES_MAX, AlertsFile, Hidden, RuleTable, TargetTable, alerts_document, alerts_schema,
};
pub use bridge::{BridgeTable, Circle, Password};
pub use channel::{Channel, Psk, Secrets, SystemSecrets};
pub use diagnostics::{Diagnostic, Diagnostics};
pub use document::document;
pub use json_schema::json_schema;
pub use kind::node as node_number;
pub use kind::pair;
pub use load::Config;
pub use policy_edit::{PairsKey, with_pair, with_rule_state};
pub use policy_file::{POLICY_BYTES_MAX, PolicyFile, policy_document, policy_schema};
pub use rule_state::{RuleDoc, RuleState};
pub use told::ToldKey;
