//! What must survive a restart, kept in SQLite: sessions, what waits for them, retained messages, Wills.
//!
//! `keeper` is the thread that takes the broker's changes and says how far they are on disk; `coalesce` drops what undid
//! itself on the way, `write` stores the rest, `load` reads all of it at the start. Decides nothing about messages.

mod coalesce;
mod error;
mod keeper;
mod load;
mod schema;
mod write;

pub use error::Error;
pub use keeper::{Health, Keeper, News};
pub use write::SessionStore;
