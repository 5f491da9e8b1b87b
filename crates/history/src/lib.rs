//! Every reception and release, kept in SQLite and found again.
//!
//! One file per UTC day, so that retention is deleting a file and a backup is copying some. `writer` is the only one
//! that writes; `reader` opens the same files read-only, also from another process. `schema` says how rows hang
//! together. Nothing here decides anything about packets.

mod activity;
mod archives;
mod candidates;
mod class;
mod connections;
mod consent;
mod copies;
pub mod erasure;
mod error;
mod files;
mod filter;
mod header;
mod hearing;
mod held;
pub mod import;
mod insert;
pub mod json;
mod names;
mod payload;
mod policy_changes;
mod queue;
mod reader;
mod recorder;
pub mod redecode;
mod replay;
pub mod retention;
mod rollup;
mod row;
mod said;
mod schema;
mod search;
pub mod snapshot;
mod span;
mod sql;
pub mod statement;
mod survey;
mod upgrade;
mod walk;
mod writer;

pub use activity::{GatewayActivity, NodeActivity, Totals};
pub use archives::{archive_folder, archive_name, history_folder};
pub use class::Class;
pub use connections::{Came, ConnectionChange};
pub use consent::{ConsentCounts, ConsentDay, ReceiverCounts};
pub use error::Error;
pub use filter::Filter;
pub use hearing::{HearingRow, Sort, Walked};
pub use held::{Held, Tie};
pub use reader::Reader;
pub use recorder::{Health, Recorder, RecorderOptions};
pub use replay::{Replayed, Source};
pub use rollup::{Dimension, Tally, Thing};
pub use said::said;
pub use search::{Cursor, Effort, Page, Search};
pub use survey::{Everything, Eyes};
pub use walk::Walk;
pub use writer::Writer;
