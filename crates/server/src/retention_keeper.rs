//! Deletes what is older than is kept, once an hour, in short steps: from the history class by class, requests of owners, alerts.

use std::fmt;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use directory_store::{Store, StoreError};
use history::retention::{self, Keep, LastPurge, Purged};

/// How often it is asked what is due.
const EVERY: Duration = Duration::from_secs(3_600);
/// How long after the start: what else a start does comes first.
const FIRST: Duration = Duration::from_secs(20);
/// Rest after each step, for those who read and write meanwhile.
const REST: Duration = Duration::from_millis(20);

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
                purge_now(&data, keep);
            }
        })?;
        Ok(Self { ending: Some(ending), thread: Some(thread) })
    }
}

/// Why something could not be counted or deleted.
#[derive(Debug)]
pub enum RetentionError {
    /// The directory: what incidents pin, and requests of owners.
    Directory(StoreError),
    /// The history.
    History(history::Error),
    /// The alerts.
    Alerts(alerting::store::StoreError),
}

impl fmt::Display for RetentionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(error) => error.fmt(f),
            Self::History(error) => error.fmt(f),
            Self::Alerts(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RetentionError {}

impl From<StoreError> for RetentionError {
    fn from(error: StoreError) -> Self {
        Self::Directory(error)
    }
}

impl From<history::Error> for RetentionError {
    fn from(error: history::Error) -> Self {
        Self::History(error)
    }
}

impl From<alerting::store::StoreError> for RetentionError {
    fn from(error: alerting::store::StoreError) -> Self {
        Self::Alerts(error)
    }
}

/// Everything in a data folder that would be deleted at that moment (Unix ms), without touching anything.
///
/// # Errors
/// When something cannot be read.
pub fn due(data: &Path, keep: Keep, now_ms: i64) -> Result<Purged, RetentionError> {
    let store = present(data)?;
    let pinned = store.as_ref().map_or_else(|| Ok(Vec::new()), Store::pinned_spans)?;
    let mut due = retention::due(&data.join("history"), keep, now_ms, |day| retention::is_in(&pinned, day))?;
    if let (Some(store), Some(before_ms)) = (&store, keep.owners_before_ms(now_ms)) {
        due.owners = store.requests_before(before_ms)?.0;
    }
    if let (Some(alerts), Some(before_ms)) =
        (alerting::store::Store::open_to_read(data)?, keep.alerts_before_ms(now_ms))
    {
        due.alerts = alerts.count_before(before_ms)?;
    }
    Ok(due)
}

/// Deletes what is due in a data folder at that moment (Unix ms), in short steps with `rest` after each, and notes it.
///
/// # Errors
/// When something cannot be read or deleted; what was done until then stays done. Without knowing what is pinned, nothing is
/// deleted.
pub fn purge(data: &Path, keep: Keep, now_ms: i64, rest: impl FnMut()) -> Result<LastPurge, RetentionError> {
    let mut store = present(data)?;
    let pinned = store.as_ref().map_or_else(|| Ok(Vec::new()), Store::pinned_spans)?;
    let is_pinned = |day| retention::is_in(&pinned, day);
    let mut purged = retention::purge(&data.join("history"), keep, now_ms, is_pinned, rest)?;
    if let (Some(store), Some(before_ms)) = (&mut store, keep.owners_before_ms(now_ms)) {
        purged.owners = store.delete_requests_before(before_ms)? as u64;
    }
    if let (Some(alerts), Some(before_ms)) =
        (alerting::store::Store::open_to_read(data)?, keep.alerts_before_ms(now_ms))
    {
        purged.alerts = alerts.delete_before(before_ms)?;
    }
    Ok(retention::note_purge(data, now_ms, purged)?)
}

/// The directory, if there is one: looking makes none.
fn present(data: &Path) -> Result<Option<Store>, StoreError> {
    if data.join("directory.db").exists() { Store::open(data).map(Some) } else { Ok(None) }
}

fn purge_now(data: &Path, keep: Keep) {
    let now_ms = unix_ms();
    match purge(data, keep, now_ms, || std::thread::sleep(REST)) {
        Ok(last) if last.latest_loss.as_ref().is_some_and(|(at_ms, _)| *at_ms == now_ms) => {
            tracing::info!("what is older than is kept was deleted: {}", last.purged.in_words());
        }
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
