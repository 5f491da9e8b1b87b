//! The past, asked for by pages: on threads that may wait for the disk, a few at a time, and only what the visitor may
//! see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use history::statement::{Day, Statement};
use history::{NodeActivity, Reader};
use mesh::keyring::Keyring;
use mesh::portnum::PortNum;
use record::{Consent, Reception, Release};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::filter::{Filter, Moment};
use crate::visibility::Sight;
use crate::{moment, reading};

/// Questions answered at the same time; further visitors wait. Reading must not take the disk from recording.
const QUESTIONS_AT_ONCE: usize = 3;
/// Receptions looked at for one page of a search; a search that finds too few says where it stopped.
const LOOKED_AT_MAX: usize = 20_000;
/// Days looked through for one page.
const DAYS_MAX: u32 = 31;
/// How long looking for one page may take: it holds one of few turns.
const LOOKING_MAX: Duration = Duration::from_secs(2);
const DAY_MS: i64 = 86_400_000;
/// Receptions fetched in one go.
const FETCHED_MAX: usize = 1_000;

/// The way to the history.
pub struct Archive {
    reader: Reader,
    turns: Semaphore,
}

/// One page of a log, newest first.
pub struct LogPage {
    /// What was found.
    pub receptions: Vec<Reception>,
    /// The view of the next page; `None` when there is nothing older.
    pub next: Option<Filter>,
    /// Whether looking stopped before the page was full.
    pub is_cut_short: bool,
}

/// The history could not be read.
#[derive(Debug)]
pub struct Unreadable;

impl Archive {
    /// The way to the history of one folder.
    pub fn new(reader: Reader) -> Self {
        Self { reader, turns: Semaphore::new(QUESTIONS_AT_ONCE) }
    }

    /// A page of the log.
    pub async fn log(
        &self,
        wanted: Filter,
        sight: Sight,
        keyring: Arc<Keyring>,
        count: usize,
    ) -> Result<LogPage, Unreadable> {
        self.ask(move |reader| Search { reader, wanted, sight, keyring, count }.run()).await
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
        let filter = history::Filter {
            since_ms: Some(since_ms),
            node: Some(node),
            port: Some(port.0),
            public_only: asks_for_public_only(&sight),
            limit: count,
            ..history::Filter::default()
        };
        let mut found = self.ask(move |reader| reader.log(&filter)).await?;
        found.retain(|r| sight.allows(r) && r.packet.is_some_and(|p| p.from == node));
        Ok(found)
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

    /// The days of which something is kept, oldest first.
    pub async fn kept_days(&self) -> Result<Vec<Day>, Unreadable> {
        self.ask(Reader::kept_days).await
    }

    /// What left the community on a day with whose agreement.
    pub async fn statement(&self, day: Day, outside: Vec<Box<str>>) -> Result<Statement, Unreadable> {
        self.ask(move |reader| Statement::of(reader, day, &outside)).await
    }

    async fn ask<T: Send + 'static, E: Send + 'static>(
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

/// Whether the history may leave out for us what is not public. It does not know channels declared public, so with
/// those it is asked for all that consented, and `Sight` decides.
fn asks_for_public_only(sight: &Sight) -> bool {
    !sight.is_operator() && sight.public_channels.is_empty()
}

/// One search through the log, from the newest day to older ones: a condition that nothing fulfils would otherwise read
/// everything that is kept.
struct Search<'a> {
    reader: &'a Reader,
    wanted: Filter,
    sight: Sight,
    keyring: Arc<Keyring>,
    count: usize,
}

impl Search<'_> {
    fn run(&self) -> Result<LogPage, history::Error> {
        let began = Instant::now();
        let mut page = LogPage { receptions: Vec::new(), next: None, is_cut_short: false };
        let (Some(newest_ms), Some(oldest_ms)) = (self.newest_ms()?, self.oldest_ms()?) else {
            return Ok(page);
        };
        let since_ms = self.wanted.since.as_ref().map_or(oldest_ms, |m| m.at_ms.max(oldest_ms));
        // Numbers and times rise together, but for a clock that was set.
        let newest_ms = newest_ms + DAY_MS;
        let mut until_ms = self.wanted.until.as_ref().map_or(newest_ms, |m| m.at_ms.min(newest_ms));
        let mut days = 0;
        while until_ms > since_ms {
            let from_ms = ((until_ms - 1).div_euclid(DAY_MS) * DAY_MS).max(since_ms);
            if self.look_through(&mut page, from_ms, until_ms)? {
                return Ok(page);
            }
            until_ms = from_ms;
            days += 1;
            if (days >= DAYS_MAX || began.elapsed() > LOOKING_MAX) && until_ms > since_ms {
                let until = Moment { text: moment::iso(until_ms), at_ms: until_ms };
                page.next = Some(Filter { until: Some(until), before: None, ..self.wanted.clone() });
                page.is_cut_short = true;
                return Ok(page);
            }
        }
        Ok(page)
    }

    fn newest_ms(&self) -> Result<Option<i64>, history::Error> {
        let before_seq = self.wanted.before;
        let newest = history::Filter { before_seq, limit: 1, ..history::Filter::default() };
        Ok(self.reader.log(&newest)?.first().map(|r| r.at_ms))
    }

    fn oldest_ms(&self) -> Result<Option<i64>, history::Error> {
        let oldest = history::Filter { after_seq: Some(0), limit: 1, ..history::Filter::default() };
        Ok(self.reader.log(&oldest)?.first().map(|r| r.at_ms))
    }

    /// Looks through a part of one day; says whether the page is done.
    fn look_through(&self, page: &mut LogPage, from_ms: i64, until_ms: i64) -> Result<bool, history::Error> {
        let wanted = &self.wanted;
        let mut before = wanted.before;
        let mut looked_at = 0;
        // When text is searched, one fetch may not fill the page.
        let step = if wanted.text.is_some() { FETCHED_MAX } else { self.count + 1 };
        loop {
            let fetched = self.reader.log(&self.filter(from_ms, until_ms, before, step))?;
            let is_end = fetched.len() < step;
            looked_at += fetched.len();
            for reception in fetched {
                before = Some(reception.seq);
                if !self.sight.allows(&reception) || !self.has_text(&reception) {
                    continue;
                }
                if page.receptions.len() == self.count {
                    let before = page.receptions.last().map(|r| r.seq);
                    page.next = Some(Filter { before, ..wanted.clone() });
                    return Ok(true);
                }
                page.receptions.push(reception);
            }
            if is_end {
                return Ok(false);
            }
            if looked_at >= LOOKED_AT_MAX {
                page.next = Some(Filter { before, ..wanted.clone() });
                page.is_cut_short = true;
                return Ok(true);
            }
        }
    }

    fn filter(&self, from_ms: i64, until_ms: i64, before: Option<u64>, limit: usize) -> history::Filter {
        let wanted = &self.wanted;
        history::Filter {
            since_ms: Some(from_ms),
            until_ms: Some(until_ms),
            before_seq: before,
            node: wanted.node.map(|n| n.0),
            gateway: wanted.gateway.map(|n| n.0),
            channel: wanted.channel.clone(),
            port: wanted.port.map(|p| p.0),
            verdict: wanted.verdict,
            rule: wanted.rule,
            consent: (!self.sight.is_operator()).then_some(Consent::Yes),
            public_only: asks_for_public_only(&self.sight),
            limit,
            ..history::Filter::default()
        }
    }

    fn has_text(&self, reception: &Reception) -> bool {
        let wanted = &self.wanted;
        wanted.text.is_none() || wanted.takes_text(reading::said(reception, &self.keyring).as_deref())
    }
}
