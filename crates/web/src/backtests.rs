//! Backtests that the operator asked for: one at a time, on a thread of its own that pauses, so that reading the past takes
//! neither the processor nor the disk from the present.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use backtest::{Backtest, Heard, Report};
use history::{Reader, Replayed};
use policy::difference::Difference;

/// Backtests kept, with their results; beyond that the oldest is forgotten.
const KEPT_MAX: usize = 5;
/// Traffic before the span that fills the ledgers and is not counted: as long as the longest window of a rule.
const WARM_UP_MS: i64 = 3_600_000;
/// Receptions judged between two pauses.
const PORTION: u64 = 5_000;
/// How long a pause is: at most nine tenths of one processor are used.
const PAUSE: Duration = Duration::from_millis(3);
/// How long one may take.
const TIME_MAX: Duration = Duration::from_secs(600);

/// What is asked.
pub struct Question {
    /// The proposed policy file.
    pub text: String,
    /// Number of the text in force that it was made from.
    pub number: u64,
    /// What it would change.
    pub differences: Vec<Difference>,
    /// From when on, Unix ms.
    pub since_ms: i64,
    /// Until when.
    pub until_ms: i64,
}

/// A backtest that runs or has ended.
pub struct Job {
    /// Its number.
    pub id: u64,
    /// What was asked.
    pub question: Question,
    judged: AtomicU64,
    at_ms: AtomicI64,
    is_cancelled: AtomicBool,
    result: OnceLock<Result<Report, String>>,
}

impl Job {
    /// The result, when there is one.
    pub fn result(&self) -> Option<&Result<Report, String>> {
        self.result.get()
    }

    /// Receptions judged so far.
    pub fn judged(&self) -> u64 {
        self.judged.load(Ordering::Relaxed)
    }

    /// How much of the span has been judged, in percent.
    pub fn percent(&self) -> u64 {
        let question = &self.question;
        let span = (question.until_ms - question.since_ms + WARM_UP_MS).max(1);
        let done = self.at_ms.load(Ordering::Relaxed) - question.since_ms + WARM_UP_MS;
        u64::try_from(done.clamp(0, span) * 100 / span).unwrap_or(0)
    }

    fn run(&self, reader: &Reader, options: backtest::Options) {
        let started = Instant::now();
        let mut backtest = Backtest::new(options);
        let question = &self.question;
        let mut is_cut_short = false;
        let read = reader.replay(question.since_ms - WARM_UP_MS, question.until_ms, |replayed| {
            backtest.take(&heard(replayed));
            let judged = self.judged.fetch_add(1, Ordering::Relaxed) + 1;
            if judged.is_multiple_of(PORTION) {
                self.at_ms.store(replayed.at_ms, Ordering::Relaxed);
                is_cut_short = self.is_cancelled.load(Ordering::Relaxed) || started.elapsed() > TIME_MAX;
                if is_cut_short {
                    return ControlFlow::Break(());
                }
                std::thread::sleep(PAUSE);
            }
            ControlFlow::Continue(())
        });
        let result = match read {
            Err(error) => {
                tracing::error!(%error, "a backtest could not read the history");
                Err("The history cannot be read; the program's log has the reason.".to_owned())
            }
            Ok(()) if self.is_cancelled.load(Ordering::Relaxed) => {
                Err("Another backtest was begun, which ended this one.".to_owned())
            }
            Ok(()) if is_cut_short => {
                Err("There is too much traffic in this span to judge it within ten minutes. Choose a shorter one, or use \
                     the command line: backhaul policy test."
                    .to_owned())
            }
            Ok(()) => Ok(backtest.finish()),
        };
        // Only this thread sets it.
        let _ = self.result.set(result);
    }
}

fn heard<'a>(replayed: &Replayed<'a>) -> Heard<'a> {
    let source = replayed.source;
    Heard {
        seq: replayed.seq,
        at_ms: replayed.at_ms,
        client_id: &source.client_id,
        username: source.username.as_ref(),
        topic: &source.topic,
        channel: source.channel.as_ref(),
        payload: replayed.payload,
        receivers: replayed.receivers,
    }
}

/// The backtests of late.
#[derive(Default)]
pub struct Backtests {
    jobs: Mutex<(u64, VecDeque<Arc<Job>>)>,
}

impl Backtests {
    /// Begins a backtest and ends the one that runs. Gives its number.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn begin(
        &self,
        question: Question,
        reader: Reader,
        options: backtest::Options,
    ) -> std::io::Result<u64> {
        let mut jobs = self.lock();
        jobs.0 += 1;
        let job = Arc::new(Job {
            id: jobs.0,
            at_ms: AtomicI64::new(question.since_ms - WARM_UP_MS),
            question,
            judged: AtomicU64::new(0),
            is_cancelled: AtomicBool::new(false),
            result: OnceLock::new(),
        });
        jobs.1.iter().for_each(|other| other.is_cancelled.store(true, Ordering::Relaxed));
        let run = job.clone();
        std::thread::Builder::new().name("backtest".to_owned()).spawn(move || run.run(&reader, options))?;
        jobs.1.push_back(job.clone());
        if jobs.1.len() > KEPT_MAX {
            jobs.1.pop_front();
        }
        Ok(job.id)
    }

    /// Forgets those that are over.
    pub fn forget(&self) {
        self.lock().1.retain(|job| job.result().is_none());
    }

    /// One of them; `None` when it has been forgotten.
    pub fn job(&self, id: u64) -> Option<Arc<Job>> {
        self.lock().1.iter().find(|job| job.id == id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, (u64, VecDeque<Arc<Job>>)> {
        // Numbers and shared jobs: a panic cannot have left half of one.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
