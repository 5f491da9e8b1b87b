//! The thread that writes: takes records off a bounded queue, stores them in batches, and says what is durable.
//!
//! Giving it a record never blocks. While the disk stalls, the batch in hand is kept and tried again; records that find
//! the queue full are shed and counted.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use record::Record;

use crate::error::Error;
use crate::writer::Writer;

/// How the recorder batches.
#[derive(Debug, Clone)]
pub struct RecorderOptions {
    /// Records that wait at most; more are shed.
    pub queue_max: usize,
    /// Records in one transaction at most.
    pub batch_max: usize,
    /// How long a record waits for others to share its transaction.
    pub commit_interval: Duration,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self { queue_max: 100_000, batch_max: 2_000, commit_interval: Duration::from_millis(20) }
    }
}

/// The recorder's state, for pages and metrics.
#[derive(Debug, Default)]
pub struct Health {
    /// Records stored.
    pub stored: AtomicU64,
    /// Records shed because the queue was full.
    pub shed: AtomicU64,
    /// Records waiting.
    pub queued: AtomicU64,
    /// Whether the last attempt to store failed.
    pub is_stalled: AtomicBool,
    last_error: Mutex<Option<String>>,
}

impl Health {
    /// Why the last attempt failed; `None` when it did not.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().map_or(None, |error| error.clone())
    }

    fn set_error(&self, error: Option<String>) {
        self.is_stalled.store(error.is_some(), Ordering::Relaxed);
        if let Ok(mut last) = self.last_error.lock() {
            *last = error;
        }
    }
}

/// A running recorder. Dropping it stores what is queued and ends the thread.
#[derive(Debug)]
pub struct Recorder {
    queue: Option<SyncSender<Record>>,
    health: Arc<Health>,
    thread: Option<JoinHandle<()>>,
    last_seq: u64,
}

/// Pause between attempts while the disk does not take a batch.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// At a stop, how long a batch that the disk does not take is tried again.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

impl Recorder {
    /// Opens the folder and starts the thread. `told` is called on it with everything that becomes durable.
    ///
    /// # Errors
    /// When the folder cannot be written or its files are damaged or newer than this program.
    pub fn start(
        folder: &Path,
        options: RecorderOptions,
        told: impl FnMut(Vec<Record>) + Send + 'static,
    ) -> Result<Self, Error> {
        let writer = Writer::open(folder)?;
        let last_seq = writer.last_seq();
        let health = Arc::new(Health::default());
        let (queue, records) = sync_channel(options.queue_max);
        let shared = health.clone();
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || Work { writer, options, records, health: shared, told }.run())
            .map_err(|e| Error::Io(folder.to_path_buf(), e))?;
        Ok(Self { queue: Some(queue), health, thread: Some(thread), last_seq })
    }

    /// Number of the last reception that was stored before the start.
    pub const fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The recorder's state.
    pub fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// A way to give it records. Returns false when the record was shed.
    pub fn sender(&self) -> impl FnMut(Record) -> bool + Send + use<> {
        let (queue, health) = (self.queue.clone(), self.health.clone());
        move |record| {
            let Some(queue) = &queue else { return false };
            health.queued.fetch_add(1, Ordering::Relaxed);
            match queue.try_send(record) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    health.queued.fetch_sub(1, Ordering::Relaxed);
                    health.shed.fetch_add(1, Ordering::Relaxed);
                    false
                }
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

struct Work<T> {
    writer: Writer,
    options: RecorderOptions,
    records: Receiver<Record>,
    health: Arc<Health>,
    told: T,
}

impl<T: FnMut(Vec<Record>)> Work<T> {
    fn run(mut self) {
        while let Ok(first) = self.records.recv() {
            let (batch, is_last) = self.collect(first);
            if self.store(&batch, is_last) {
                (self.told)(batch);
            }
        }
    }

    /// Waits for others to share the transaction; says whether the senders are gone.
    fn collect(&self, first: Record) -> (Vec<Record>, bool) {
        let mut batch = vec![first];
        let until = Instant::now() + self.options.commit_interval;
        let mut is_last = false;
        while batch.len() < self.options.batch_max {
            match self.records.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(record) => batch.push(record),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    is_last = true;
                    break;
                }
            }
        }
        (batch, is_last)
    }

    /// Returns false when the program stops and the disk does not take the batch.
    fn store(&mut self, batch: &[Record], is_last: bool) -> bool {
        let began = Instant::now();
        while let Err(error) = self.writer.append(batch) {
            self.health.set_error(Some(error.to_string()));
            if is_last && began.elapsed() > STOP_PATIENCE {
                self.health.shed.fetch_add(batch.len() as u64, Ordering::Relaxed);
                return false;
            }
            std::thread::sleep(RETRY_PAUSE);
        }
        self.health.set_error(None);
        self.health.stored.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.health.queued.fetch_sub(batch.len() as u64, Ordering::Relaxed);
        true
    }
}
