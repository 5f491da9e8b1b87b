//! The shell: listeners, the core loop, the recorder, wiring and shutdown.
//!
//! Threads: the core (broker and plain sockets), the recorder (history files), the keeper (watches the directory for
//! changes made by another process), the pages. They speak in values over queues; nothing is shared but counters.

mod core_loop;
mod directory_keeper;
mod pages;
mod start;

pub use core_loop::{Command, CoreHandle};
pub use pages::PagesSettings;
pub use start::{Running, Settings, StartError, start};
