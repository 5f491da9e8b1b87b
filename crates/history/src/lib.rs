//! Every reception and release, kept in SQLite and found again.
//!
//! One file per UTC day, so that retention is deleting a file and a backup is copying some. `writer` is the only one
//! that writes; `reader` opens the same files read-only, also from another process. All SQL is in `schema`, `writer`
//! and `reader`. Nothing here decides anything about packets.

mod copies;
mod error;
mod files;
mod filter;
mod queue;
mod reader;
mod recorder;
mod schema;
mod shell;
mod writer;

pub use error::Error;
pub use filter::Filter;
pub use reader::{GatewayActivity, NodeActivity, Reader, Totals};
pub use recorder::{Health, Recorder, RecorderOptions};
pub use writer::Writer;
