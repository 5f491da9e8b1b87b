//! The bounded queue between the core and the recorder's thread. Putting in never waits for the disk.
//!
//! Bounded by count and by bytes, since payloads may be as large as MQTT allows. What does not fit is shed by whoever
//! puts it in.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use record::Record;

/// How much may wait, and how records are taken out.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Records that wait at most.
    pub count_max: usize,
    /// Bytes that wait at most, as `bytes_of` counts them.
    pub bytes_max: usize,
    /// Records taken out at once at most.
    pub batch_max: usize,
    /// How long the first record of a batch waits for others. A record that somebody waits for ends the wait.
    pub batch_wait: Duration,
}

/// Records on their way to the recorder's thread.
#[derive(Debug)]
pub struct Queue {
    bounds: Bounds,
    inner: Mutex<Inner>,
    /// Told when the taker has what it waits for, and at the end.
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    records: VecDeque<Record>,
    bytes: usize,
    /// Records among them whose publisher waits for its acknowledgement.
    awaited: usize,
    /// Records that the taker waits for; fewer do not wake it, unless one is awaited. `None` while a batch is stored.
    count_wanted: Option<usize>,
    is_closed: bool,
}

impl Queue {
    /// An empty queue.
    pub const fn new(bounds: Bounds) -> Self {
        let inner =
            Inner { records: VecDeque::new(), bytes: 0, awaited: 0, count_wanted: None, is_closed: false };
        Self { bounds, inner: Mutex::new(inner), changed: Condvar::new() }
    }

    /// Puts a record in; false when it does not fit or nobody takes records any more.
    pub fn put(&self, record: Record) -> bool {
        let mut inner = self.lock();
        let bytes = inner.bytes + bytes_of(&record);
        if inner.is_closed || inner.records.len() >= self.bounds.count_max || bytes > self.bounds.bytes_max {
            return false;
        }
        inner.bytes = bytes;
        inner.awaited += usize::from(is_awaited(&record));
        inner.records.push_back(record);
        let count = inner.records.len();
        if inner.count_wanted.is_some_and(|wanted| count >= wanted || inner.awaited > 0) {
            self.changed.notify_all();
        }
        true
    }

    /// Waits for the next batch; `None` when the queue is closed and empty.
    pub fn take_batch(&self) -> Option<Vec<Record>> {
        let mut inner = self.lock();
        inner.count_wanted = Some(1);
        while inner.records.is_empty() {
            if inner.is_closed {
                return None;
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.count_wanted = Some(self.bounds.batch_max);
        let until = Instant::now() + self.bounds.batch_wait;
        while inner.records.len() < self.bounds.batch_max && inner.awaited == 0 && !inner.is_closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.count_wanted = None;
        let count = inner.records.len().min(self.bounds.batch_max.max(1));
        let batch: Vec<Record> = inner.records.drain(..count).collect();
        inner.bytes -= batch.iter().map(bytes_of).sum::<usize>();
        inner.awaited -= batch.iter().filter(|record| is_awaited(record)).count();
        Some(batch)
    }

    /// Takes no more records; those that are in can still be taken out.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Waits that long, or until the queue is closed; says whether it is.
    pub fn wait_closed(&self, at_most: Duration) -> bool {
        let inner = self.lock();
        let wait = self.changed.wait_timeout_while(inner, at_most, |inner| !inner.is_closed);
        wait.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code panics while it holds the lock, so what it guards is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a client waits for its PUBACK or PUBREC until this record is on disk.
fn is_awaited(record: &Record) -> bool {
    matches!(record, Record::Reception(reception) if reception.qos > 0)
}

/// Memory that a record keeps, roughly.
fn bytes_of(record: &Record) -> usize {
    match record {
        Record::Reception(reception) => 400 + reception.payload.len() + reception.topic.len(),
        Record::Release(release) => 64 + 40 * release.copies.len(),
        Record::Connection(_) => 200,
        Record::PolicyChange(change) => 400 + change.text.len(),
        Record::Erased(_) => 0,
    }
}
