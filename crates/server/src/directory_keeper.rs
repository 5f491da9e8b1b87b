//! Watches the directory on disk: what the command line or a page changes takes effect at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use directory_store::{Store, StoreError};

use crate::core_loop::{Command, CoreHandle};

/// How often the file is asked whether it changed; the question costs a page read.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// A running keeper; ends when dropped.
#[derive(Debug)]
pub struct DirectoryKeeper {
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DirectoryKeeper {
    /// Starts watching. The core must already have the directory that `store` held at `version`.
    pub fn start(data: PathBuf, version: i64, store: Store, core: CoreHandle) -> std::io::Result<Self> {
        let is_ending = Arc::new(AtomicBool::new(false));
        let ends = is_ending.clone();
        let thread = std::thread::Builder::new().name("directory".to_owned()).spawn(move || {
            let mut known = version;
            while !ends.load(Ordering::Relaxed) {
                std::thread::sleep(ASK_EVERY);
                if let Err(error) = look(&store, &mut known, &core) {
                    tracing::error!(%error, folder = %data.display(), "the directory could not be read");
                }
            }
        })?;
        Ok(Self { is_ending, thread: Some(thread) })
    }
}

fn look(store: &Store, known: &mut i64, core: &CoreHandle) -> Result<(), StoreError> {
    let version = store.data_version()?;
    if version != *known {
        let directory = store.load()?;
        *known = version;
        core.send(Command::SetDirectory(Arc::new(directory)));
    }
    Ok(())
}

impl Drop for DirectoryKeeper {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}
