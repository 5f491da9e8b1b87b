//! The directory on disk: credentials, people who sign in and the audit, in SQLite beside a secret key.
//!
//! Several processes may have it open: a running server and the command line. Edits are judged by the
//! `directory` crate inside a write transaction, so two of them never cross. Time comes in as an argument.
//! Nothing here is on the publish path.

mod store;

mod api_tokens;
mod audit;
mod downlink;
mod erasures;
mod grant;
mod incidents;
mod login;
mod people;
mod replays;
mod requests;
mod sending;
mod silences;
mod watch;

mod error;
mod schema;
mod secret;

pub use audit::AuditEntry;
pub use erasures::Entered;
pub use error::StoreError;
pub use login::{SETUP_LIFETIME_MS, SignedIn, verify_operator_password};
pub use replays::{Progresses, REPLAYS_FILE, ReplayProgress, replay_progress};
pub use requests::Fetched;
pub use schema::SCHEMA_VERSION;
pub use secret::{random_channel_key, random_token};
pub use store::Store;
