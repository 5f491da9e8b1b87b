//! Everything received in a span of time, in order, for those who judge it again: exact bytes, who sent it, and who was to
//! get it. What was decided at the time is left out, and with it most of what a page reads.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use record::ReceiverKind;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::copies;
use crate::error::Error;
use crate::payload::{self, Known};
use crate::reader::Reader;
use crate::schema::EVERYONE;

/// Receptions of a day, oldest first, each with what is shared with others beside it.
const SELECT: &str = "
    SELECT r.seq, r.at_ms, r.source, r.sender, r.recipient, r.packet, r.layout, r.content, b.content, rel.copies
    FROM reception r LEFT JOIN body b ON b.id = r.body LEFT JOIN release rel ON rel.seq = r.seq
    WHERE r.at_ms >= ?1 AND r.at_ms < ?2 ORDER BY r.seq";

/// One reception of the past.
#[derive(Debug)]
pub struct Replayed<'a> {
    /// Its number.
    pub seq: u64,
    /// When it arrived, Unix ms.
    pub at_ms: i64,
    /// Who sent it, and where.
    pub source: &'a Source,
    /// Sender and id of the packet; `None` when there was none.
    pub packet: Option<(u32, u32)>,
    /// Application payload, byte for byte.
    pub payload: &'a [u8],
    /// Whose subscriptions matched at the time; empty when it was passed on to nobody.
    pub receivers: &'a [(Arc<str>, ReceiverKind)],
}

/// Who sent receptions, and where: stored once for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// MQTT client identifier.
    pub client_id: Arc<str>,
    /// Name of the credential; `None` for a guest.
    pub username: Option<Arc<str>>,
    /// Topic Name.
    pub topic: Arc<str>,
    /// Channel name.
    pub channel: Option<Arc<str>>,
}

/// Layouts, words and sources that one file's replay keeps at hand; beyond that they are read again.
const KEPT_MAX: usize = 100_000;

impl Reader {
    /// Shows what was received between two moments (Unix ms; the first included, the second not), oldest first, until
    /// it has seen enough.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn replay(
        &self,
        since_ms: i64,
        until_ms: i64,
        mut visit: impl FnMut(&Replayed<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut flow = ControlFlow::Continue(());
        self.each_day(since_ms, None, |connection| {
            if flow.is_continue() {
                flow = replay_day(connection, (since_ms, until_ms), &mut visit)?;
            }
            Ok(())
        })
    }
}

fn replay_day(
    connection: &Connection,
    (since_ms, until_ms): (i64, i64),
    visit: &mut impl FnMut(&Replayed<'_>) -> ControlFlow<()>,
) -> rusqlite::Result<ControlFlow<()>> {
    let mut kept =
        Kept { connection, sources: HashMap::new(), words: HashMap::new(), layouts: HashMap::new() };
    let mut select = connection.prepare(SELECT)?;
    let mut rows = select.query([since_ms, until_ms])?;
    let mut receivers = Vec::new();
    while let Some(row) = rows.next()? {
        let at_ms: i64 = row.get(1)?;
        let source = kept.source(row.get(2)?)?;
        let sender: Option<u32> = row.get(3)?;
        let id: Option<u32> = row.get(5)?;
        let known = Known {
            from: sender.unwrap_or_default(),
            to: row.get::<_, Option<u32>>(4)?.unwrap_or(EVERYONE),
            id: id.unwrap_or_default(),
            at_s: at_ms.div_euclid(1000),
        };
        let known = if sender.is_some() { known } else { Known::default() };
        let put_together = kept.put_together(row, known)?;
        receivers.clear();
        if let Some(bytes) = row.get_ref(9)?.as_blob_or_null()? {
            for copy in copies::read(bytes) {
                receivers.push((kept.word(copy.receiver)?, copy.kind));
            }
        }
        let whole = row.get_ref(7)?.as_blob()?;
        let replayed = Replayed {
            seq: row.get::<_, i64>(0)? as u64,
            at_ms,
            source: &source,
            packet: sender.zip(id),
            payload: put_together.as_deref().unwrap_or(whole),
            receivers: &receivers,
        };
        if visit(&replayed).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// What many rows of a file share.
struct Kept<'a> {
    connection: &'a Connection,
    sources: HashMap<i64, Arc<Source>>,
    words: HashMap<i64, Arc<str>>,
    layouts: HashMap<i64, Vec<u8>>,
}

impl Kept<'_> {
    fn source(&mut self, id: i64) -> rusqlite::Result<Arc<Source>> {
        if let Some(source) = self.sources.get(&id) {
            return Ok(source.clone());
        }
        let connection = self.connection;
        let mut select =
            connection.prepare_cached("SELECT client, username, topic, channel FROM source WHERE id = ?1")?;
        let ids: [i64; 4] =
            select.query_row([id], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?;
        let mut optional = |id: i64| if id < 0 { Ok(None) } else { self.word(id).map(Some) };
        let source = Arc::new(Source {
            username: optional(ids[1])?,
            channel: optional(ids[3])?,
            client_id: self.word(ids[0])?,
            topic: self.word(ids[2])?,
        });
        if self.sources.len() < KEPT_MAX {
            self.sources.insert(id, source.clone());
        }
        Ok(source)
    }

    fn word(&mut self, id: i64) -> rusqlite::Result<Arc<str>> {
        if let Some(word) = self.words.get(&id) {
            return Ok(word.clone());
        }
        let mut select = self.connection.prepare_cached("SELECT text FROM word WHERE id = ?1")?;
        let word: Arc<str> = select.query_row([id], |row| row.get::<_, String>(0))?.into();
        if self.words.len() < KEPT_MAX {
            self.words.insert(id, word.clone());
        }
        Ok(word)
    }

    /// The payload of a row that is stored in parts; `None` when it is stored whole.
    fn put_together(&mut self, row: &Row<'_>, known: Known) -> rusqlite::Result<Option<Vec<u8>>> {
        let (Some(layout), Some(body)) = (row.get::<_, Option<i64>>(6)?, row.get_ref(8)?.as_blob_or_null()?)
        else {
            return Ok(None);
        };
        if !self.layouts.contains_key(&layout) {
            let mut select = self.connection.prepare_cached("SELECT content FROM layout WHERE id = ?1")?;
            let content: Option<Vec<u8>> = select.query_row([layout], |row| row.get(0)).optional()?;
            if self.layouts.len() >= KEPT_MAX {
                self.layouts.clear();
            }
            self.layouts.insert(layout, content.unwrap_or_default());
        }
        let layout = self.layouts.get(&layout).map(Vec::as_slice).unwrap_or_default();
        // A damaged payload is judged as what it is: not an envelope.
        Ok(Some(payload::put_together(layout, row.get_ref(7)?.as_blob()?, body, known).unwrap_or_default()))
    }
}
