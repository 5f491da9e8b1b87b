//! The thread that writes. What has gathered while the disk was busy is one transaction; what nobody waits for waits a
//! moment, since much of it undoes itself.
//!
//! Changes are never shed: one that is missing would make nonsense of those after it. The broker stops making them when
//! too many wait, so the queue is bounded by its maker.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use broker::Batch;

use crate::error::Error;
use crate::write::SessionStore;

/// How long changes wait for others to share their transaction, when no answer to a client waits for them.
const LINGER: Duration = Duration::from_millis(100);
/// Pause between attempts while the disk takes nothing.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// At a stop, how long the disk may take nothing before the rest is given up. Nothing of it was acknowledged.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The store's state, for pages and metrics.
#[derive(Debug, Default)]
pub struct Health {
    /// Transactions.
    pub commits: AtomicU64,
    /// Changes given to the store, those included that undid themselves.
    pub changes: AtomicU64,
    /// Whether the last attempt to store failed.
    pub is_stalled: AtomicBool,
    error: Mutex<Option<String>>,
}

impl Health {
    /// Why the last attempt failed; `None` when it did not.
    pub fn last_error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }

    fn stalls(&self, error: &Error) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        self.is_stalled.store(true, Ordering::Relaxed);
    }

    fn stores(&self, changes: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.changes.fetch_add(changes, Ordering::Relaxed);
        if self.is_stalled.swap(false, Ordering::Relaxed) {
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

/// What the keeper has to say.
#[derive(Debug)]
pub enum News<'a> {
    /// Every change up to that number is on disk.
    Kept(u64),
    /// The disk takes nothing; what waits is tried again and again.
    Stalled(&'a Error),
    /// The disk takes it again.
    Recovered,
}

/// A running keeper. Dropping it stores what waits and ends the thread.
#[derive(Debug)]
pub struct Keeper {
    queue: Arc<Queue>,
    health: Arc<Health>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread. `told` is called on it with what there is to know.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(store: SessionStore, told: impl FnMut(News<'_>) + Send + 'static) -> std::io::Result<Self> {
        let (queue, health) = (Arc::new(Queue::default()), Arc::new(Health::default()));
        let work = Work { store, queue: queue.clone(), health: health.clone(), told, give_up_at: None };
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || work.run())?;
        Ok(Self { queue, health, thread: Some(thread) })
    }

    /// The store's state.
    pub fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// A way to give it changes. Never waits for the disk.
    pub fn sender(&self) -> impl FnMut(Batch) + Send + use<> {
        let queue = self.queue.clone();
        move |batch| queue.put(batch)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    batches: Vec<Batch>,
    is_awaited: bool,
    /// Whether the taker waits, and for what: any batch, or one that somebody waits for.
    taker: Taker,
    is_closed: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Taker {
    #[default]
    Busy,
    WantsAny,
    WantsAwaited,
}

impl Queue {
    fn put(&self, batch: Batch) {
        let mut inner = self.lock();
        inner.is_awaited |= batch.is_awaited;
        inner.batches.push(batch);
        let wakes = match inner.taker {
            Taker::Busy => false,
            Taker::WantsAny => true,
            Taker::WantsAwaited => inner.is_awaited,
        };
        if wakes {
            inner.taker = Taker::Busy;
            drop(inner);
            self.changed.notify_all();
        }
    }

    /// Waits for changes and takes all of them; `None` when the queue is closed and empty.
    fn take(&self) -> Option<Vec<Batch>> {
        let mut inner = self.lock();
        while inner.batches.is_empty() {
            if inner.is_closed {
                return None;
            }
            inner.taker = Taker::WantsAny;
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + LINGER;
        while !inner.is_awaited && !inner.is_closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner.taker = Taker::WantsAwaited;
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.taker = Taker::Busy;
        inner.is_awaited = false;
        Some(std::mem::take(&mut inner.batches))
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Waits that long, or until the queue is closed; says whether it is.
    fn wait_closed(&self, at_most: Duration) -> bool {
        let inner = self.lock();
        let wait = self.changed.wait_timeout_while(inner, at_most, |inner| !inner.is_closed);
        wait.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code panics while it holds the lock, so what it guards is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Work<T> {
    store: SessionStore,
    queue: Arc<Queue>,
    health: Arc<Health>,
    told: T,
    /// When the rest is given up; set once the program stops while the disk takes nothing.
    give_up_at: Option<Instant>,
}

impl<T: FnMut(News<'_>)> Work<T> {
    fn run(mut self) {
        while let Some(batches) = self.queue.take() {
            if !self.store(&batches) {
                return;
            }
            if let Some(last) = batches.last() {
                (self.told)(News::Kept(last.last));
            }
        }
    }

    /// Returns false when the program stops and the disk does not take the changes.
    fn store(&mut self, batches: &[Batch]) -> bool {
        while let Err(error) = self.store.commit(batches) {
            if !self.health.is_stalled() {
                (self.told)(News::Stalled(&error));
            }
            self.health.stalls(&error);
            if self.queue.wait_closed(RETRY_PAUSE) {
                let give_up_at = *self.give_up_at.get_or_insert_with(|| Instant::now() + STOP_PATIENCE);
                if Instant::now() >= give_up_at {
                    return false;
                }
                std::thread::sleep(RETRY_PAUSE / 5);
            }
        }
        if self.health.is_stalled() {
            (self.told)(News::Recovered);
        }
        self.health.stores(batches.iter().map(|batch| batch.changes.len() as u64).sum());
        true
    }
}
