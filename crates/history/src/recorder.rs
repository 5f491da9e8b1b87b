//! The thread that writes: takes records off a bounded queue, stores them in batches, and says what is durable.
//!
//! Giving it a record never waits for the disk. While the disk stalls, the batch in hand is kept and tried again;
//! records that find the queue full are shed and counted.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mesh::keyring::Keyring;
use record::Record;

use crate::error::Error;
use crate::queue::{Bounds, Queue};
use crate::writer::Writer;

/// How the recorder batches.
#[derive(Debug, Clone)]
pub struct RecorderOptions {
    /// Records that wait at most; more are shed.
    pub queue_max: usize,
    /// Bytes of records that wait at most; more are shed.
    pub queue_bytes_max: usize,
    /// Records in one transaction at most.
    pub batch_max: usize,
    /// How long a record waits for others to share its transaction, unless somebody waits for it: a reception with QoS
    /// 1 or 2 is stored at once, with all that has gathered while the disk was busy.
    pub commit_interval: Duration,
    /// Keys that open what is to be found by its words.
    pub keyring: Keyring,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self {
            queue_max: 100_000,
            queue_bytes_max: 64 << 20,
            batch_max: 2_000,
            commit_interval: Duration::from_millis(250),
            keyring: Keyring::default(),
        }
    }
}

/// The recorder's state, for pages and metrics.
#[derive(Debug, Default)]
pub struct Health {
    /// Records stored.
    pub stored: AtomicU64,
    /// Records shed: the queue was full, or the program stopped while the disk took nothing.
    pub shed: AtomicU64,
    /// Records waiting, those in hand included.
    pub queued: AtomicU64,
    /// Whether the last attempt to store failed.
    pub is_stalled: AtomicBool,
    stall: Mutex<Option<Stall>>,
}

#[derive(Debug)]
struct Stall {
    since: Instant,
    error: String,
}

impl Health {
    /// Why the last attempt failed; `None` when it did not.
    pub fn last_error(&self) -> Option<String> {
        self.stall.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|stall| stall.error.clone())
    }

    /// How long nothing could be stored; `None` when the last attempt did not fail.
    pub fn stalled_for(&self) -> Option<Duration> {
        self.stall.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|stall| stall.since.elapsed())
    }

    fn stalls(&self, error: &Error) {
        let error = error.to_string();
        let mut stall = self.stall.lock().unwrap_or_else(PoisonError::into_inner);
        let since = stall.as_ref().map_or_else(Instant::now, |stall| stall.since);
        *stall = Some(Stall { since, error });
        self.is_stalled.store(true, Ordering::Relaxed);
    }

    fn stores(&self) {
        if self.is_stalled.swap(false, Ordering::Relaxed) {
            *self.stall.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

/// A running recorder. Dropping it stores what is queued and ends the thread; senders that are left shed everything.
#[derive(Debug)]
pub struct Recorder {
    queue: Arc<Queue>,
    health: Arc<Health>,
    thread: Option<JoinHandle<()>>,
    last_seq: u64,
}

/// Pause between attempts while the disk does not take a batch.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Pause between attempts at a stop.
const RETRY_PAUSE_AT_STOP: Duration = Duration::from_millis(100);
/// At a stop, how long the disk may take nothing before the rest is given up.
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
        let writer = Writer::open(folder)?.with_keyring(options.keyring);
        let last_seq = writer.last_seq();
        let health = Arc::new(Health::default());
        let queue = Arc::new(Queue::new(Bounds {
            count_max: options.queue_max,
            bytes_max: options.queue_bytes_max,
            batch_max: options.batch_max,
            batch_wait: options.commit_interval,
        }));
        let work = Work { writer, queue: queue.clone(), health: health.clone(), told, give_up_at: None };
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || work.run())
            .map_err(|e| Error::Io(folder.to_path_buf(), e))?;
        Ok(Self { queue, health, thread: Some(thread), last_seq })
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
            // Before it is in, so that the thread never takes off more than stands there.
            health.queued.fetch_add(1, Ordering::Relaxed);
            let is_in = queue.put(record);
            if !is_in {
                health.queued.fetch_sub(1, Ordering::Relaxed);
                health.shed.fetch_add(1, Ordering::Relaxed);
            }
            is_in
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

struct Work<T> {
    writer: Writer,
    queue: Arc<Queue>,
    health: Arc<Health>,
    told: T,
    /// When the rest is given up; set once the program stops while the disk takes nothing.
    give_up_at: Option<Instant>,
}

impl<T: FnMut(Vec<Record>)> Work<T> {
    fn run(mut self) {
        let queue = self.queue.clone();
        let _close = CloseOnDrop(&queue);
        while let Some(batch) = queue.take_batch() {
            let count = batch.len() as u64;
            let is_stored = self.store(&batch);
            self.health.queued.fetch_sub(count, Ordering::Relaxed);
            if is_stored {
                self.health.stored.fetch_add(count, Ordering::Relaxed);
                (self.told)(batch);
            } else {
                self.health.shed.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// Returns false when the program stops and the disk does not take the batch.
    fn store(&mut self, batch: &[Record]) -> bool {
        while let Err(error) = self.writer.append(batch) {
            self.health.stalls(&error);
            if self.queue.wait_closed(RETRY_PAUSE) {
                let give_up_at = *self.give_up_at.get_or_insert_with(|| Instant::now() + STOP_PATIENCE);
                if Instant::now() >= give_up_at {
                    return false;
                }
                std::thread::sleep(RETRY_PAUSE_AT_STOP);
            }
        }
        self.health.stores();
        self.give_up_at = None;
        true
    }
}

/// Should the thread panic, senders must learn that nobody stores what they give.
struct CloseOnDrop<'a>(&'a Queue);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
