//! The thread that puts stretches of the past back on `replay/<number>/…`. What people order and steer comes from the
//! directory's file, receptions from the history a page at a time, and messages go to the core a batch at a time: the next
//! one is made when the last is out, so that the core never holds more.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use automation::Teller;
use broker::ReplayedMessage;
use directory::{Replay, ReplayCommand, ReplayState};
use directory_store::{Progresses, REPLAYS_FILE, ReplayProgress, Store, StoreError};
use history::{Reader, Walk};
use mesh::keyring::Keyring;
use query::{Condition, Island, Query, Surroundings, Test};
use record::{Consent, Reception, Record};

use crate::core_loop::{Command, CoreHandle};
use crate::pages::unix_ms;
use crate::private_file;
use crate::replay_pace::Pace;

/// How often orders are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the file is written while something goes on.
const WRITE_EVERY: Duration = Duration::from_millis(500);
/// Receptions read at a time.
const PAGE_ROWS: usize = 500;
/// Receptions put back in one go.
const BATCH_MAX: usize = 64;
/// Names are taken from this far back.
const NAMES_SINCE_MS: i64 = 31 * 86_400_000;

/// What the thread needs.
pub(crate) struct Means {
    pub data: PathBuf,
    pub keyring: Keyring,
    pub automation: automation::settings::Settings,
    pub core: CoreHandle,
}

/// The running thread; ends when dropped.
#[derive(Debug)]
pub(crate) struct Replaying {
    ending: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Replaying {
    /// Starts waiting for orders. What an earlier run left unfinished is over.
    pub fn start(means: Means) -> Result<Self, StoreError> {
        let mut store = Store::open(&means.data)?;
        store.end_replays()?;
        let (ending, ends) = channel();
        let folder = means.data.clone();
        let run = move || {
            Loop {
                means,
                store,
                version: None,
                under_way: BTreeMap::new(),
                progresses: Progresses::new(),
                is_told: true,
            }
            .run(&ends)
        };
        let thread = std::thread::Builder::new().name("replay".to_owned()).spawn(run);
        let thread = thread.map_err(|source| StoreError::Folder { path: folder, source })?;
        Ok(Self { ending: Some(ending), thread: Some(thread) })
    }
}

impl Drop for Replaying {
    fn drop(&mut self) {
        self.ending = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

struct Loop {
    means: Means,
    store: Store,
    version: Option<i64>,
    under_way: BTreeMap<i64, Going>,
    /// How far each is that this run knows.
    progresses: Progresses,
    /// Whether the file says how far they are.
    is_told: bool,
}

/// One replay that is under way.
struct Going {
    replay: Replay,
    walk: Walk,
    pace: Pace,
    /// Read and not yet put back, the next first.
    ahead: VecDeque<Reception>,
    is_read: bool,
    steps_done: u64,
    teller: Option<Teller>,
    progress: ReplayProgress,
}

impl Loop {
    fn run(mut self, ends: &Receiver<()>) {
        let begun = Instant::now();
        let clock = move || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (mut looked, mut written) = (None::<Instant>, Instant::now());
        loop {
            if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                looked = Some(Instant::now());
                if let Err(error) = self.look(clock()) {
                    tracing::error!(%error, "orders of replays cannot be read; it is tried again");
                }
            }
            let mut wait = LOOK_EVERY;
            let numbers: Vec<i64> = self.under_way.keys().copied().collect();
            for number in numbers {
                wait = wait.min(self.go_on(number, clock()));
            }
            if !self.is_told && (written.elapsed() >= WRITE_EVERY || self.under_way.is_empty()) {
                written = Instant::now();
                self.write();
            }
            if ends.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                // Whether that can be noted or not, the next start ends them too.
                let _ = self.store.end_replays();
                self.write();
                return;
            }
        }
    }

    /// Looks for orders and for what was said to those under way.
    fn look(&mut self, now_ms: u64) -> Result<(), StoreError> {
        let version = self.store.data_version()?;
        if self.version.replace(version) == Some(version) {
            return Ok(());
        }
        for replay in self.store.replays()? {
            let number = replay.number;
            let is_over = replay.state == ReplayState::Over;
            match self.under_way.get_mut(&number) {
                Some(_) if is_over => drop(self.under_way.remove(&number)),
                Some(going) => {
                    going.pace.steer(now_ms, replay.order.speed, replay.state == ReplayState::Running);
                    going.replay = replay;
                }
                None if is_over => {}
                None => match Going::begin(&self.means, replay, now_ms) {
                    Ok(going) => {
                        self.progresses.insert(number, going.progress.clone());
                        self.under_way.insert(number, going);
                    }
                    Err(why) => self.end(number, Some(why)),
                },
            }
            self.is_told = false;
        }
        Ok(())
    }

    /// Puts back what is due of a replay, and says how long nothing more is.
    fn go_on(&mut self, number: i64, now_ms: u64) -> Duration {
        let Some(going) = self.under_way.get_mut(&number) else { return LOOK_EVERY };
        if let Err(error) = going.read_on() {
            tracing::error!(%error, number, "a replay cannot be read on");
            self.end(number, Some("the history cannot be read; the log has the reason".to_owned()));
            return Duration::ZERO;
        }
        let batch = going.take_due(now_ms);
        if batch.is_empty() {
            if going.ahead.is_empty() && going.is_read {
                self.end(number, None);
                return Duration::ZERO;
            }
            return going.next_in(now_ms);
        }
        let messages: Vec<ReplayedMessage> = batch.iter().flat_map(|row| going.messages_of(row)).collect();
        going.progress.receptions += batch.len() as u64;
        going.progress.messages += messages.len() as u64;
        going.progress.position_ms = batch.last().map_or(0, |row| row.at_ms);
        self.progresses.insert(number, going.progress.clone());
        self.is_told = false;
        let (done, is_done) = channel();
        self.means.core.send(Command::Replay(messages, done));
        // An error means that the core has stopped, and this thread is about to be told.
        let _ = is_done.recv();
        Duration::ZERO
    }

    fn end(&mut self, number: i64, problem: Option<String>) {
        if let Some(going) = self.under_way.remove(&number) {
            self.progresses.insert(number, ReplayProgress { problem, ..going.progress });
        } else {
            self.progresses.insert(number, ReplayProgress { problem, ..ReplayProgress::default() });
        }
        self.is_told = false;
        match self.store.command_replay(number, ReplayCommand::Stop) {
            Ok(_) | Err(StoreError::Replay(_)) => {}
            Err(error) => tracing::error!(%error, number, "the end of a replay cannot be noted"),
        }
    }

    /// Writes how far they are, for the command line.
    fn write(&mut self) {
        let file = self.means.data.join(REPLAYS_FILE);
        let text = serde_json::to_vec(&self.progresses).unwrap_or_default();
        match private_file::write(&file, &text, 0o600) {
            Ok(()) => self.is_told = true,
            Err(error) => {
                tracing::error!(%error, file = %file.display(), "how far replays are cannot be written")
            }
        }
    }
}

impl Going {
    /// Opens what a replay is read from, and understands its filter. The error is for people.
    fn begin(means: &Means, replay: Replay, now_ms: u64) -> Result<Self, String> {
        let order = &replay.order;
        let folder = history::history_folder(&means.data, order.archive.as_deref());
        let failed = |error: history::Error| {
            tracing::error!(%error, "a replay cannot be read");
            "the history cannot be read; the log has the reason".to_owned()
        };
        let reader = Reader::open(&folder).map_err(failed)?.with_keyring(Arc::new(means.keyring.clone()));
        let names = reader.names(order.since_ms - NAMES_SINCE_MS).map_err(failed)?;
        let islands: Vec<Island> = means.core.board().map_or_else(Vec::new, |board| {
            let island = |one: broker::IslandBoard| Island {
                number: one.island,
                gateways: one.gateways.iter().map(|gateway| gateway.gateway).collect(),
            };
            board.islands.into_iter().map(island).collect()
        });
        let surroundings = Surroundings { now_ms: unix_ms(), names: &names, islands: &islands };
        let condition = match order.filter.trim() {
            "" => Condition::ALWAYS,
            text => Query::parse(text)
                .map_err(|problems| {
                    problems.first().map_or(String::new(), |problem| problem.message.clone())
                })?
                .bind(&surroundings)
                .map_err(|problem| problem.message)?,
        };
        let within = [Test::Since(order.since_ms), Test::Until(order.until_ms)];
        let within = Condition::All(within.map(Condition::Is).into());
        let walk = Walk::begin(&reader, condition.and(within)).map_err(failed)?;
        let is_running = replay.state == ReplayState::Running;
        let teller = order.with_json.then(|| Teller::new(means.automation.clone(), means.keyring.clone()));
        Ok(Self {
            pace: Pace::begin(order.since_ms, now_ms, order.speed, is_running),
            progress: ReplayProgress { position_ms: order.since_ms, ..ReplayProgress::default() },
            walk,
            ahead: VecDeque::new(),
            is_read: false,
            steps_done: 0,
            teller,
            replay,
        })
    }

    fn read_on(&mut self) -> Result<(), history::Error> {
        if self.is_read || !self.ahead.is_empty() {
            return Ok(());
        }
        let page = self.walk.next_page(PAGE_ROWS)?;
        self.is_read = page.is_empty();
        self.ahead.extend(page);
        Ok(())
    }

    /// What comes round now: by the clock, or by steps while it waits.
    fn take_due(&mut self, now_ms: u64) -> Vec<Reception> {
        let mut due = Vec::new();
        while let Some(next) = self.ahead.front()
            && due.len() < BATCH_MAX
        {
            let is_due = match self.pace.due_in_ms(next.at_ms, now_ms) {
                Some(in_ms) => in_ms == 0,
                None => self.steps_done < self.replay.steps,
            };
            if !is_due {
                break;
            }
            if self.pace.due_in_ms(next.at_ms, now_ms).is_none() {
                self.steps_done += 1;
                self.pace.jump(next.at_ms, now_ms);
            }
            due.extend(self.ahead.pop_front());
        }
        due
    }

    fn next_in(&self, now_ms: u64) -> Duration {
        let next = self.ahead.front().and_then(|next| self.pace.due_in_ms(next.at_ms, now_ms));
        next.map_or(LOOK_EVERY, Duration::from_millis).max(Duration::from_millis(1))
    }

    /// A reception as it was, and what home automation would have been told of it.
    fn messages_of(&mut self, row: &Reception) -> Vec<ReplayedMessage> {
        let (replay, has_consent) = (self.replay.number, row.consent == Consent::Yes);
        let again =
            |topic: Arc<str>, payload: Arc<[u8]>| ReplayedMessage { replay, topic, payload, has_consent };
        let mut messages = vec![again(row.topic.clone(), row.payload.clone())];
        if let Some(teller) = &mut self.teller {
            let told = teller.take(&Record::Reception(Arc::new(row.clone())));
            let told = told.into_iter().filter(|told| !told.payload.is_empty());
            messages.extend(told.map(|told| again(told.topic.into(), told.payload.into())));
        }
        messages
    }
}
