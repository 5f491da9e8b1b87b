//! Deletes what is older than is kept, once an hour, a file at a time.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use directory_store::Store;
use history::retention::{self, Keep};

/// How often it is asked what is due.
const EVERY: Duration = Duration::from_secs(3_600);
/// How long after the start: what else a start does comes first.
const FIRST: Duration = Duration::from_secs(20);
/// Rest after each file, for those who read and write meanwhile.
const REST: Duration = Duration::from_millis(200);

/// A running keeper; ends when dropped.
#[derive(Debug)]
pub struct RetentionKeeper {
    ending: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RetentionKeeper {
    /// Starts purging the history of a data folder.
    pub fn start(data: &Path, keep: Keep) -> std::io::Result<Self> {
        let (ending, ends) = mpsc::channel();
        let data = data.to_owned();
        let thread = std::thread::Builder::new().name("retention".to_owned()).spawn(move || {
            let mut wait = FIRST;
            while let Err(RecvTimeoutError::Timeout) = ends.recv_timeout(wait) {
                wait = EVERY;
                purge(&data, keep);
            }
        })?;
        Ok(Self { ending: Some(ending), thread: Some(thread) })
    }
}

fn purge(data: &Path, keep: Keep) {
    let now_ms = unix_ms();
    // Without knowing what is pinned, nothing is deleted.
    let pinned = match Store::open(data).and_then(|store| store.pinned_spans()) {
        Ok(pinned) => pinned,
        Err(error) => {
            tracing::error!(%error, "what incidents pin cannot be read, and so nothing is deleted; it is tried again");
            return;
        }
    };
    let is_pinned = |day| retention::is_in(&pinned, day);
    let done = retention::purge(&data.join("history"), keep, now_ms, is_pinned, || std::thread::sleep(REST));
    match done.and_then(|purged| retention::note_purge(data, now_ms, purged)) {
        Ok(last) if last.latest_loss.as_ref().is_some_and(|(at_ms, _)| *at_ms == now_ms) => tracing::info!(
            days = last.purged.days,
            receptions = last.purged.receptions,
            connections = last.purged.connections,
            "what is older than is kept was deleted"
        ),
        Ok(_) => {}
        Err(error) => {
            tracing::error!(%error, "what is older than is kept could not be deleted; it is tried again")
        }
    }
}

impl Drop for RetentionKeeper {
    fn drop(&mut self) {
        self.ending = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
