//! The past, asked for by pages: on threads that may wait for the disk, a few at a time, and only what the visitor may
//! see.

use std::sync::Arc;

use history::{NodeActivity, Reader};
use mesh::keyring::Keyring;
use mesh::portnum::PortNum;
use record::{Consent, Reception, Release};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::filter::Filter;
use crate::reading;
use crate::visibility::Sight;

/// Questions answered at the same time; further visitors wait. Reading must not take the disk from recording.
const QUESTIONS_AT_ONCE: usize = 3;
/// Receptions looked at for one page of a search; a search that finds too few says where it stopped.
const LOOKED_AT_MAX: usize = 20_000;
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
    /// Where the next page begins; `None` when there is nothing older.
    pub older_than: Option<u64>,
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
        self.ask(move |reader| find(reader, &wanted, &sight, &keyring, count)).await
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

    /// The latest receptions from a node on a port that the visitor may see, newest first.
    pub async fn latest_from(
        &self,
        node: u32,
        port: PortNum,
        sight: Sight,
        count: usize,
    ) -> Result<Vec<Reception>, Unreadable> {
        let filter = history::Filter {
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

fn find(
    reader: &Reader,
    wanted: &Filter,
    sight: &Sight,
    keyring: &Keyring,
    count: usize,
) -> Result<LogPage, history::Error> {
    let mut page = LogPage { receptions: Vec::new(), older_than: None, is_cut_short: false };
    let mut before = wanted.before;
    let mut looked_at = 0;
    // When text is searched or rows are left out, one fetch may not fill the page.
    let step = if wanted.text.is_some() { FETCHED_MAX } else { count + 1 };
    loop {
        let filter = history::Filter {
            since_ms: wanted.since.as_ref().map(|m| m.at_ms),
            until_ms: wanted.until.as_ref().map(|m| m.at_ms),
            before_seq: before,
            node: wanted.node.map(|n| n.0),
            gateway: wanted.gateway.map(|n| n.0),
            channel: wanted.channel.clone(),
            port: wanted.port.map(|p| p.0),
            verdict: wanted.verdict,
            rule: wanted.rule,
            consent: (!sight.is_operator()).then_some(Consent::Yes),
            public_only: asks_for_public_only(sight),
            limit: step,
            ..history::Filter::default()
        };
        let fetched = reader.log(&filter)?;
        let is_end = fetched.len() < step;
        looked_at += fetched.len();
        for reception in fetched {
            before = Some(reception.seq);
            if !sight.allows(&reception) || !has_text(wanted, &reception, keyring) {
                continue;
            }
            if page.receptions.len() == count {
                page.older_than = page.receptions.last().map(|r| r.seq);
                return Ok(page);
            }
            page.receptions.push(reception);
        }
        if is_end {
            return Ok(page);
        }
        if looked_at >= LOOKED_AT_MAX {
            page.older_than = before;
            page.is_cut_short = true;
            return Ok(page);
        }
    }
}

fn has_text(wanted: &Filter, reception: &Reception, keyring: &Keyring) -> bool {
    wanted.text.is_none() || wanted.takes_text(reading::said(reception, keyring).as_deref())
}
