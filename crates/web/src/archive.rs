//! The past, asked for by pages: on threads that may wait for the disk, a few at a time, and only what the visitor may
//! see.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use history::statement::{Day, Statement};
use history::{Cursor, Effort, NodeActivity, Page, Reader, Search, Tally, Thing, Totals};
use mesh::keyring::Keyring;
use mesh::portnum::PortNum;
use query::{Condition, Test};
use record::{Consent, Reception, Release};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::visibility::Sight;

/// Questions answered at the same time; further visitors wait. Reading must not take the disk from recording.
const QUESTIONS_AT_ONCE: usize = 3;
/// What is done for one page: it holds one of few turns. A search that finds too few says where it stopped.
const EFFORT: Effort = Effort { rows: 2_000_000, time: Duration::from_millis(1_500) };

/// The way to the history.
pub struct Archive {
    reader: Reader,
    turns: Arc<Semaphore>,
}

/// What came after a reception.
pub struct After {
    /// Oldest first.
    pub receptions: Vec<Reception>,
    /// The last that was looked at.
    pub last_seq: Option<u64>,
    /// Whether there is more.
    pub is_full: bool,
}

/// The history could not be read.
#[derive(Debug)]
pub struct Unreadable;

impl Archive {
    /// The way to the history of one folder.
    pub fn new(reader: Reader) -> Self {
        Self { reader, turns: Arc::new(Semaphore::new(QUESTIONS_AT_ONCE)) }
    }

    /// The way to another history, for which questions wait in the same line.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn beside(&self, folder: &Path, keyring: Arc<Keyring>) -> Result<Self, Unreadable> {
        let reader = Reader::open(folder).map_err(|_| Unreadable)?.with_keyring(keyring);
        Ok(Self { reader, turns: self.turns.clone() })
    }

    /// A reader of its own, for work that takes no turn.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Changes of the policy between two moments, newest first.
    pub async fn policy_changes(
        &self,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<Vec<record::PolicyChange>, Unreadable> {
        self.ask(move |reader| reader.policy_changes(since_ms, until_ms)).await
    }

    /// A page of what fulfils the condition and the visitor may see, newest first.
    pub async fn log(
        &self,
        condition: Condition,
        before: Option<Cursor>,
        sight: Sight,
        count: usize,
    ) -> Result<Page, Unreadable> {
        let condition = condition.and(visible(&sight));
        self.ask(move |reader| {
            let keep = |reception: &Reception| sight.allows(reception);
            reader.search(&Search {
                condition: &condition,
                keep: &keep,
                before,
                limit: count,
                effort: EFFORT,
            })
        })
        .await
    }

    /// What came after a reception, fulfils the condition and may be seen, oldest first.
    pub async fn after(
        &self,
        condition: Condition,
        seq: u64,
        sight: Sight,
        count: usize,
    ) -> Result<After, Unreadable> {
        let filter = history::Filter {
            after_seq: Some(seq),
            limit: count,
            ..history::Filter::of(condition.and(visible(&sight)))
        };
        let mut receptions = self.ask(move |reader| reader.log(&filter)).await?;
        let (last_seq, is_full) = (receptions.last().map(|r| r.seq), receptions.len() >= count);
        receptions.retain(|reception| sight.allows(reception));
        Ok(After { receptions, last_seq, is_full })
    }

    /// The hourly sums of one thing. They count everything: for the operator.
    pub async fn hours(
        &self,
        thing: Thing,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<Vec<(i64, Tally)>, Unreadable> {
        self.ask(move |reader| reader.hours(&thing, since_ms, until_ms)).await
    }

    /// Every reception of a packet that the visitor may see, in the order heard, with what became of its copies.
    pub async fn packet(
        &self,
        from: u32,
        id: u32,
        sight: Sight,
    ) -> Result<Vec<(Reception, Option<Release>)>, Unreadable> {
        let mut found = self.ask(move |reader| reader.packet(from, id)).await?;
        found.retain(|(reception, _)| sight.allows(reception));
        Ok(found)
    }

    /// What is known of a node since a moment.
    pub async fn node(
        &self,
        node: u32,
        since_ms: i64,
        sight: Sight,
    ) -> Result<Option<NodeActivity>, Unreadable> {
        self.ask(move |reader| reader.node(node, since_ms, !sight.is_operator())).await
    }

    /// The latest receptions from a node on a port since a moment that the visitor may see, newest first.
    pub async fn latest_from(
        &self,
        node: u32,
        port: PortNum,
        since_ms: i64,
        sight: Sight,
        count: usize,
    ) -> Result<Vec<Reception>, Unreadable> {
        let condition = Condition::All(vec![
            Condition::Is(Test::From(vec![node])),
            Condition::Is(Test::Port(Some(port.0))),
            Condition::Is(Test::Since(since_ms)),
        ]);
        Ok(self.log(condition, None, sight, count).await?.receptions)
    }

    /// Everything since a moment, oldest first, for folds that start with the program.
    pub async fn since(&self, since_ms: i64) -> Result<Vec<Reception>, Unreadable> {
        let filter = history::Filter {
            since_ms: Some(since_ms),
            limit: history_rows_max(),
            ..history::Filter::default()
        };
        let mut found = self.ask(move |reader| reader.log(&filter)).await?;
        found.reverse();
        Ok(found)
    }

    /// The latest node information of every node since a moment: what all may see, and everything.
    pub async fn node_infos(&self, since_ms: i64) -> Result<Vec<Reception>, Unreadable> {
        self.ask(move |reader| {
            let mut found = reader.latest_by_node(PortNum::NODEINFO.0, since_ms, true)?;
            found.extend(reader.latest_by_node(PortNum::NODEINFO.0, since_ms, false)?);
            Ok::<_, history::Error>(found)
        })
        .await
    }

    /// The latest map report, telemetry and place of every node since a moment, oldest first.
    pub async fn self_descriptions(&self, since_ms: i64) -> Result<Vec<Reception>, Unreadable> {
        self.ask(move |reader| {
            let mut found = Vec::new();
            for port in [PortNum::MAP_REPORT, PortNum::TELEMETRY, PortNum::POSITION] {
                for public_only in [true, false] {
                    found.extend(reader.latest_by_node(port.0, since_ms, public_only)?);
                }
            }
            found.sort_by_key(|reception| reception.seq);
            Ok::<_, history::Error>(found)
        })
        .await
    }

    /// The days of which something is kept, oldest first.
    pub async fn kept_days(&self) -> Result<Vec<Day>, Unreadable> {
        self.ask(Reader::kept_days).await
    }

    /// What a stretch of time amounts to, in so many parts. Counts everything.
    pub async fn totals(&self, since_ms: i64, until_ms: i64, parts: usize) -> Result<Totals, Unreadable> {
        self.ask(move |reader| reader.totals(since_ms, until_ms, parts)).await
    }

    /// What left the community on a day with whose agreement.
    pub async fn statement(&self, day: Day, outside: Vec<Box<str>>) -> Result<Statement, Unreadable> {
        self.ask(move |reader| Statement::of(reader, day, &outside)).await
    }

    /// Asks what the other questions do not.
    pub async fn ask<T: Send + 'static, E: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Unreadable> {
        let _turn = self.turns.acquire().await.map_err(|_| Unreadable)?;
        let reader = self.reader.clone();
        spawn_blocking(move || question(&reader)).await.map_err(|_| Unreadable)?.map_err(|_| Unreadable)
    }
}

/// Rows that folds start with at most: an hour at five receptions a second takes longer than is worth waiting for.
const fn history_rows_max() -> usize {
    10_000
}

/// What the history may leave out for us. It does not know channels declared public, so with those it is asked for all
/// that consented, and `Sight` decides.
fn visible(sight: &Sight) -> Condition {
    if sight.is_operator() {
        Condition::ALWAYS
    } else if sight.public_channels.is_empty() {
        Condition::public()
    } else {
        Condition::Is(Test::Consent(Consent::Yes))
    }
}
