//! The thread that tells home automation: records come over a bounded queue, messages go to the core, a batch at a time.
//! Whatever it costs to open packets and to write JSON is paid here; if this cannot keep up, records are lost for home
//! automation, which is counted, and for nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use automation::{Teller, Told};
use broker::{Broker, Now, OwnMessage};
use record::Record;

use crate::core_loop::{Command, CoreHandle, RecordSink};
use crate::start::Settings;

/// Records waiting to be told.
const QUEUE_MAX: usize = 4_096;
/// Records whose messages go to the core together. The next batch is made when this one is published, so that the core
/// never holds more.
const BATCH_MAX: usize = 128;
/// How often what is due by the clock is looked at.
const TICK: Duration = Duration::from_secs(5);

/// The running thread. It ends when the core has let go of the sink; dropping this waits for it.
pub(crate) struct Telling(Option<JoinHandle<()>>);

/// What must be made before the core runs.
pub(crate) struct Prepared {
    teller: Teller,
    is_silent: bool,
    restored: Vec<Told>,
    records: Receiver<Record>,
    lost: Arc<AtomicU64>,
}

/// Takes over what was retained, and puts the queue before the sink.
pub(crate) fn prepare(settings: &Settings, broker: &Broker, sink: RecordSink) -> (Prepared, RecordSink) {
    let mut teller = Teller::new(settings.automation.clone(), settings.keyring.clone());
    let unix_ms = unix_ms();
    let retained = broker
        .retained_matching(Now { mono_ms: 0, unix_ms }, &Teller::retained_filters(&settings.automation));
    let restored =
        teller.restore(unix_ms, retained.iter().map(|message| (&*message.topic, &*message.payload)));
    let (feed, records) = sync_channel(QUEUE_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let is_silent = settings.automation.is_silent();
    let sink = if is_silent { sink } else { with_feed(sink, feed, lost.clone()) };
    (Prepared { teller, is_silent, restored, records, lost }, sink)
}

fn with_feed(mut sink: RecordSink, feed: SyncSender<Record>, lost: Arc<AtomicU64>) -> RecordSink {
    Box::new(move |record| {
        let is_told_of = !matches!(record, Record::Release(_));
        if is_told_of && let Err(TrySendError::Full(_)) = feed.try_send(record.clone()) {
            lost.fetch_add(1, Ordering::Relaxed);
        }
        sink(record);
    })
}

impl Prepared {
    /// Starts the thread, when there is anything to tell or to take back.
    pub fn start(self, core: CoreHandle) -> std::io::Result<Option<Telling>> {
        if self.is_silent && self.restored.is_empty() {
            return Ok(None);
        }
        let thread = std::thread::Builder::new().name("telling".to_owned()).spawn(move || self.run(&core))?;
        Ok(Some(Telling(Some(thread))))
    }

    fn run(mut self, core: &CoreHandle) {
        let restored = std::mem::take(&mut self.restored);
        self.publish(core, restored);
        let mut next_tick = Instant::now() + TICK;
        loop {
            let mut told = Vec::new();
            match self.records.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(record) => {
                    told.extend(self.teller.take(&record));
                    let further = self.records.try_iter().take(BATCH_MAX - 1);
                    further.for_each(|record| told.extend(self.teller.take(&record)));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + TICK;
                told.extend(self.teller.tick(unix_ms()));
            }
            self.publish(core, told);
        }
    }

    fn publish(&self, core: &CoreHandle, told: Vec<Told>) {
        if told.is_empty() {
            return;
        }
        let messages = told.into_iter().map(|told| OwnMessage {
            topic: told.topic.into(),
            payload: told.payload.into(),
            retain: told.retain,
        });
        let (done, is_done) = std::sync::mpsc::channel();
        core.send(Command::Tell(messages.collect(), Some(self.lost.load(Ordering::Relaxed)), done));
        // An error means that the core has stopped, which the queue will say too.
        let _ = is_done.recv();
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        // A panic there has been reported by the thread itself.
        let _ = self.0.take().map(JoinHandle::join);
    }
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
