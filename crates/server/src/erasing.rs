//! Erases nodes that are ordered to be: a thread that takes each order through every place that holds something, one step
//! after another, each of which may be done again. An order that is cut short goes on after the next start.
//!
//! The tombstone is in force from the order on, so that nothing comes after what is deleted. An order is done when a last
//! look finds nothing; its receipt says what was found at the beginning, and what could not be reached.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use directory::{ErasureState, GatewayId};
use directory_store::{Entered, Store, StoreError};
use history::erasure::{self, Belonging, Belongings};
use history::statement::{self, Statement};
use history::{Health, Held, Reader};
use mesh::keyring::Keyring;
use serde::{Deserialize, Serialize};
use session_store::SessionStore;

use crate::core_loop::{Command, CoreHandle};
use crate::memory_keeper::MemoryWriter;
use crate::private_file;

/// How often orders are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After a failure the order is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Rest after each step in a file, for those who write to it.
const REST: Duration = Duration::from_millis(5);
/// How long the recorder may take to store what was on its way when the node was shut out.
const DRAINED_WITHIN: Duration = Duration::from_secs(60);
/// Time for the store of sessions and the alerts to write what they were told.
const SETTLES_WITHIN: Duration = Duration::from_millis(700);
/// A file that is still written to is written anew only up to this size, which takes about a second; a larger one when its
/// day is over.
const REWRITE_OPEN_BYTES_MAX: u64 = 128 << 20;
/// Days that may still be written to.
const OPEN_DAYS: i64 = 2;
/// Files that are looked through for the number at the end; databases are asked instead.
const LOOKED_BYTES_MAX: u64 = 64 << 20;
/// Folder of the receipts in the data folder.
pub const RECEIPTS: &str = "erasures";

/// What was found of a node, place by place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// In the history.
    pub history: Held,
    /// In archives, by name.
    pub archives: BTreeMap<String, Held>,
    /// Receptions in the windows of pinned incidents, by the incident's number, counted by whole days.
    pub pinned: BTreeMap<i64, u64>,
    /// In the directory.
    pub directory: Entered,
    /// Alerts: what happened, what was learned, letters.
    pub alerts: u64,
    /// Days of which something was found, by history (`""`) or archive.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub days: BTreeMap<String, Vec<String>>,
}

impl Found {
    /// It for people: each place with what is there.
    pub fn lines(&self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        let mut tell = |place: String, held: &Held| {
            let Held { sent, to, brought, named, .. } = held;
            let of_receptions = format!(
                "{} receptions: {sent} it sent, {to} for it, {brought} it brought as a gateway, {named} that name it",
                held.receptions()
            );
            let rest = format!(
                "{} lists of copies, {} searchable texts, {} names, {} hours of sums, {} connections, {} words, {} policy \
                 changes",
                held.releases,
                held.texts,
                held.names,
                held.hours,
                held.connections,
                held.words,
                held.policy_changes
            );
            lines.push((place.clone(), of_receptions));
            lines.push((place, rest));
        };
        tell("History".to_owned(), &self.history);
        self.archives.iter().for_each(|(name, held)| tell(format!("Archive {name}"), held));
        for (number, receptions) in &self.pinned {
            let words = format!("pins days with {receptions} of these receptions, which go all the same");
            lines.push((format!("Incident {number}"), words));
        }
        let entered = &self.directory;
        let words = format!(
            "{} credentials, {} agreements, {} requests, {} sign-ins, {} mentions",
            entered.credentials, entered.agreements, entered.requests, entered.sign_ins, entered.mentions
        );
        lines.push(("Directory".to_owned(), words));
        lines.push(("Alerts".to_owned(), format!("{} rows", self.alerts)));
        lines
    }

    /// Whether nothing was found.
    pub fn is_nothing(&self) -> bool {
        self.history == Held::default()
            && self.archives.values().all(|held| *held == Held::default())
            && self.directory == Entered::default()
            && self.alerts == 0
    }
}

/// What is done for an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Receipt {
    /// Version of this form.
    pub v: u32,
    /// Number of the erasure.
    pub number: i64,
    /// The tombstone's print.
    pub tombstone: String,
    /// When it was asked for, Unix ms.
    pub asked_ms: i64,
    /// When it was done, Unix ms.
    pub done_ms: i64,
    /// What was found, all of which is deleted.
    pub found: Found,
    /// Retained messages that were deleted.
    pub retained: u64,
    /// Messages that waited for clients and were deleted.
    pub queued: u64,
    /// What is left and why, one sentence each.
    pub left: Vec<String>,
}

/// Why something could not be counted or deleted.
#[derive(Debug)]
pub enum ErasingError {
    /// The directory.
    Directory(StoreError),
    /// The history.
    History(history::Error),
    /// The alerts.
    Alerts(alerting::store::StoreError),
    /// The sessions.
    Sessions(session_store::Error),
    /// A file.
    Io(PathBuf, std::io::Error),
    /// Something is not ready, or not yet.
    NotYet(&'static str),
}

impl fmt::Display for ErasingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(error) => error.fmt(f),
            Self::History(error) => error.fmt(f),
            Self::Alerts(error) => error.fmt(f),
            Self::Sessions(error) => error.fmt(f),
            Self::Io(path, error) => write!(f, "`{}`: {error}", path.display()),
            Self::NotYet(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ErasingError {}

impl From<StoreError> for ErasingError {
    fn from(error: StoreError) -> Self {
        Self::Directory(error)
    }
}

impl From<history::Error> for ErasingError {
    fn from(error: history::Error) -> Self {
        Self::History(error)
    }
}

impl From<alerting::store::StoreError> for ErasingError {
    fn from(error: alerting::store::StoreError) -> Self {
        Self::Alerts(error)
    }
}

type Done<T> = Result<T, ErasingError>;

/// Counts what is held of a node, without touching anything.
///
/// # Errors
/// When something cannot be read.
pub fn find(data: &Path, store: &Store, node: GatewayId, keyring: &Keyring) -> Done<Found> {
    let mut found = Found { directory: store.entered(node)?, ..Found::default() };
    let pinned: Vec<_> = store
        .incidents()?
        .into_iter()
        .filter(|incident| incident.form.is_pinned && incident.archive.is_none())
        .collect();
    for (archive, folder) in histories(data)? {
        let belongings = Belongings::of(&folder, node.0, keyring);
        let mut held = Held::default();
        for day in belongings.days()? {
            let of_day = belongings.count(day)?;
            if of_day == Held::default() {
                continue;
            }
            held.add(&of_day);
            found.days.entry(archive.clone()).or_default().push(statement::date(day));
            for incident in pinned.iter().filter(|_| archive.is_empty()) {
                if history::retention::is_in(&[(incident.form.since_ms, incident.form.until_ms)], day) {
                    *found.pinned.entry(incident.number).or_default() += of_day.receptions();
                }
            }
        }
        if archive.is_empty() {
            found.history = held;
        } else if held != Held::default() {
            found.archives.insert(archive, held);
        }
    }
    let names = names_of(data, node, keyring)?;
    if let Some(alerts) = alerting::store::Store::open_to_read(data)? {
        found.alerts = alerts.count_of_node(node.0, &names)?;
    }
    Ok(found)
}

/// The folders of day files: the history, named `""`, and every archive by its name.
///
/// # Errors
/// When the folder of archives cannot be read.
pub fn histories(data: &Path) -> Done<Vec<(String, PathBuf)>> {
    let mut found = vec![(String::new(), data.join("history"))];
    let archives = data.join("archives");
    let entries = match std::fs::read_dir(&archives) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(ErasingError::Io(archives, error)),
    };
    for entry in entries.flatten() {
        let history = entry.path().join("history");
        if let (true, Some(name)) = (history.is_dir(), entry.file_name().to_str()) {
            found.push((name.to_owned(), history));
        }
    }
    found.sort();
    Ok(found)
}

/// What the node has called itself, for finding alerts that call it so.
///
/// # Errors
/// When a file cannot be read.
pub fn names_of(data: &Path, node: GatewayId, keyring: &Keyring) -> Done<Vec<String>> {
    let mut names = Vec::new();
    for (_, folder) in histories(data)? {
        for name in Belongings::of(&folder, node.0, keyring).names()? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// Shows everything that the history and archives hold of a node.
///
/// # Errors
/// When a file cannot be read.
pub fn disclose(
    data: &Path,
    node: GatewayId,
    keyring: &Keyring,
    mut visit: impl FnMut(&str, Belonging),
) -> Done<()> {
    for (archive, folder) in histories(data)? {
        let belongings = Belongings::of(&folder, node.0, keyring);
        for day in belongings.days()? {
            belongings.each(day, |belonging| visit(&archive, belonging))?;
        }
    }
    Ok(())
}

/// What the thread works with.
pub(crate) struct Means {
    /// Folder of all state.
    pub data: PathBuf,
    /// Keys of channels that may be opened.
    pub keyring: Keyring,
    /// The core.
    pub core: CoreHandle,
    /// Writes what policy remembers.
    pub memory: MemoryWriter,
    /// How far the recorder is.
    pub health: Option<Arc<Health>>,
}

/// A running thread; ends when dropped, between two steps.
pub(crate) struct Erasing {
    ending: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Erasing {
    /// Starts looking for orders.
    pub fn start(means: Means) -> Result<Self, StoreError> {
        let store = Store::open(&means.data)?;
        let (ending, ends) = channel();
        let folder = means.data.clone();
        let run = move || Work { means, store, version: None, again_at: None, ends }.run();
        let thread = std::thread::Builder::new().name("erasing".to_owned()).spawn(run);
        let thread = thread.map_err(|source| StoreError::Folder { path: folder, source })?;
        Ok(Self { ending: Some(ending), thread: Some(thread) })
    }
}

impl Drop for Erasing {
    fn drop(&mut self) {
        self.ending = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

struct Work {
    means: Means,
    store: Store,
    version: Option<i64>,
    again_at: Option<Instant>,
    ends: Receiver<()>,
}

impl Work {
    fn run(mut self) {
        while self.ends.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            if let Err(error) = self.look() {
                tracing::error!(%error, "orders to erase cannot be read; it is tried again");
            }
        }
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let version = self.store.data_version()?;
        let is_again = self.again_at.is_some_and(|at| Instant::now() >= at);
        if self.version.replace(version) == Some(version) && !is_again {
            return Ok(());
        }
        self.again_at = None;
        for order in self.store.erasures()? {
            let (ErasureState::Ordered, Some(node)) = (order.state, order.node) else { continue };
            match self.erase(order.number, order.asked_ms, order.found.as_deref(), node) {
                Ok(receipt) => tracing::info!(
                    erasure = order.number,
                    receptions = receipt.found.history.receptions(),
                    "everything held of a node was deleted"
                ),
                Err(error) => {
                    tracing::warn!(%error, erasure = order.number, "an erasure is not done yet; it goes on later");
                    self.store.note_erasure_problem(order.number, Some(&error.to_string()))?;
                    self.again_at = Some(Instant::now() + AGAIN_AFTER);
                }
            }
        }
        Ok(())
    }

    fn erase(
        &mut self,
        number: i64,
        asked_ms: i64,
        found_before: Option<&str>,
        node: GatewayId,
    ) -> Done<Receipt> {
        let data = self.means.data.clone();
        // What an earlier run found counts: what it has deleted cannot be found any more.
        let known: Option<Found> = found_before.and_then(|text| serde_json::from_str(text).ok());
        let names = names_of(&data, node, &self.means.keyring)?;
        let found = match known {
            Some(found) => found,
            None => {
                let found = find(&data, &self.store, node, &self.means.keyring)?;
                self.store.note_found(number, &serde_json::to_string(&found).unwrap_or_default())?;
                found
            }
        };
        self.store.erase_entries(node)?;
        let here = self.erase_in_core(node)?;
        self.wait_for_recorder()?;
        self.erase_histories(node, &found)?;
        self.write_statements(&found)?;
        if !self.means.memory.write() {
            return Err(ErasingError::NotYet("what policy remembers could not be written"));
        }
        // The stores of sessions and alerts were told by the core, and write on threads of their own.
        self.rest(SETTLES_WITHIN)?;
        SessionStore::rewrite(&data).map_err(ErasingError::Sessions)?;
        if let Some(alerts) = alerting::store::Store::open_to_read(&data)? {
            alerts.erase_node(node.0, &names)?;
        }
        let left_over = find(&data, &self.store, node, &self.means.keyring)?;
        if !left_over.is_nothing() {
            return Err(ErasingError::NotYet("something came while it was deleted; it is looked for again"));
        }
        self.finish(number, asked_ms, node, found, here)
    }

    /// The tombstone and the credential that is gone come into force before anything is deleted.
    fn erase_in_core(&self, node: GatewayId) -> Done<broker::ErasedHere> {
        let directory = self.store.load()?;
        self.means.core.send(Command::SetDirectory(Arc::new(directory)));
        let (reply, answer) = channel();
        self.means.core.send(Command::Erase(node.0, reply));
        answer
            .recv_timeout(Duration::from_secs(30))
            .map_err(|_| ErasingError::NotYet("the core does not answer"))
    }

    /// What was on its way to the files when the node was shut out has to be there before it can be deleted.
    fn wait_for_recorder(&self) -> Done<()> {
        let Some(health) = &self.means.health else { return Ok(()) };
        let done = || health.stored.load(Ordering::Relaxed) + health.shed.load(Ordering::Relaxed);
        let mark = done() + health.queued.load(Ordering::Relaxed);
        let until = Instant::now() + DRAINED_WITHIN;
        while done() < mark {
            if Instant::now() >= until {
                return Err(ErasingError::NotYet("the recorder does not come on; the disk may be full"));
            }
            self.rest(Duration::from_millis(20))?;
        }
        Ok(())
    }

    fn erase_histories(&self, node: GatewayId, found: &Found) -> Done<()> {
        let today = statement::day_of(unix_ms());
        let mut is_postponed = false;
        for (archive, folder) in histories(&self.means.data)? {
            let belongings = Belongings::of(&folder, node.0, &self.means.keyring);
            let before = found.days.get(&archive);
            for day in belongings.days()? {
                let held = belongings.erase(day, || std::thread::sleep(REST))?;
                self.rest(Duration::ZERO)?;
                let was_written = before.is_some_and(|days| days.contains(&statement::date(day)));
                if held == Held::default() && !was_written {
                    continue;
                }
                let is_open = archive.is_empty() && day + OPEN_DAYS > today;
                if is_open && erasure::bytes_of(&folder, day) > REWRITE_OPEN_BYTES_MAX {
                    is_postponed = true;
                } else {
                    erasure::rewrite(&folder, day)?;
                }
            }
        }
        if is_postponed {
            return Err(ErasingError::NotYet(
                "everything is deleted; the file of today is large and is written anew when its day is over",
            ));
        }
        Ok(())
    }

    /// Statements of consent of days that have changed are made again from what is left.
    fn write_statements(&self, found: &Found) -> Done<()> {
        let folder = self.means.data.join("statements");
        let reader = Reader::open(&self.means.data.join("history"))?;
        for day in found.days.get("").into_iter().flatten().filter_map(|date| statement::parse_day(date)) {
            let Ok(text) = std::fs::read_to_string(statement::path_of(&folder, day)) else { continue };
            let before: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let outside = before["outside_receivers"].as_array().map_or_else(Vec::new, |names| {
                names.iter().filter_map(|name| name.as_str().map(Box::<str>::from)).collect()
            });
            Statement::of(&reader, day, &outside)?.write(&folder)?;
        }
        Ok(())
    }

    fn finish(
        &mut self,
        number: i64,
        asked_ms: i64,
        node: GatewayId,
        mut found: Found,
        here: broker::ErasedHere,
    ) -> Done<Receipt> {
        found.days.clear();
        let mut left = vec![
            "Backups of this data folder, and copies that others have received, are not ours to delete."
                .to_owned(),
        ];
        if here.in_flight > 0 {
            left.push(format!(
                "{} messages that clients have been sent wait for their acknowledgement and go with it.",
                here.in_flight
            ));
        }
        let receipt = Receipt {
            v: 1,
            number,
            tombstone: self.store.token_key().print_of(node.0).to_string(),
            asked_ms,
            done_ms: unix_ms(),
            found,
            retained: here.retained,
            queued: here.queued,
            left,
        };
        // Its number is in the directory until here; what else names it is told and left to the operator.
        let receipt = Receipt { left: [receipt.left, self.named_in_files(node)].concat(), ..receipt };
        let text = serde_json::to_string_pretty(&receipt).unwrap_or_default();
        let folder = self.means.data.join(RECEIPTS);
        let path = folder.join(format!("erasure-{number}.json"));
        std::fs::create_dir_all(&folder)
            .and_then(|()| private_file::write(&path, text.as_bytes(), 0o600))
            .map_err(|error| ErasingError::Io(path, error))?;
        self.store.finish_erasure(number, &text, unix_ms())?;
        Ok(receipt)
    }

    /// Files of the data folder, no databases, in which the node's number stands: what the operator wrote.
    fn named_in_files(&self, node: GatewayId) -> Vec<String> {
        let hex = format!("{:08x}", node.0);
        let mut named = Vec::new();
        let mut folders = vec![self.means.data.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&self.means.data).unwrap_or(&path).display().to_string();
                let is_database = [".db", ".db-wal", ".db-shm"].iter().any(|end| name.ends_with(end));
                let is_small = entry.metadata().is_ok_and(|meta| meta.len() <= LOOKED_BYTES_MAX);
                if is_database || !is_small {
                    continue;
                }
                let bytes = std::fs::read(&path).unwrap_or_default();
                if String::from_utf8_lossy(&bytes).to_ascii_lowercase().contains(&hex) {
                    named.push(format!("The file `{name}` names the node; who wrote it has to change it."));
                }
            }
        }
        named
    }

    /// Waits, unless the server stops.
    fn rest(&self, time: Duration) -> Done<()> {
        match self.ends.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                Err(ErasingError::NotYet("the server stopped; it goes on after the next start"))
            }
        }
    }
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
