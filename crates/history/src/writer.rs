//! Appending records: what a batch has for one day is one transaction, so it is there as a whole or not at all.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use record::{ConnectionEvent, ConnectionWhat, Reception, Record, Release};
use rusqlite::{Connection, params};

use crate::copies::{self, Copy};
use crate::error::Error;
use crate::files::{self, Day};
use crate::{schema, shell};

/// The one writer of a history folder.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    last_seq: u64,
    days: Days,
    open: Option<OpenDay>,
}

/// Which file a record goes to: by its time; a release with its reception.
#[derive(Debug, Default)]
struct Days {
    /// First reception of each run of receptions of one day, in the order of their numbers.
    runs: VecDeque<(u64, Day)>,
}

/// Runs of receptions remembered; releases follow their receptions within moments.
const RUNS_MAX: usize = 64;

/// The file that is written to.
#[derive(Debug)]
struct OpenDay {
    day: Day,
    file: PathBuf,
    connection: Connection,
    words: HashMap<String, i64>,
    bodies: RecentBodies,
}

/// Bodies stored lately: copies of a packet come within seconds. A body that was forgotten is stored once more.
#[derive(Debug, Default)]
struct RecentBodies {
    ids: BTreeMap<(u32, u32), (i64, Vec<u8>)>,
    order: VecDeque<(u32, u32)>,
}

const RECENT_BODIES_MAX: usize = 20_000;
/// Longer bodies did not cross a radio and are not remembered: a hostile client must not fill the memory.
const RECENT_BODY_BYTES_MAX: usize = 512;
/// Words remembered per file; more (from clients with random identifiers) are looked up in the file.
const WORDS_MAX: usize = 50_000;
/// Longer words are always looked up in the file.
const WORD_BYTES_MAX: usize = 512;

impl Writer {
    /// Opens a folder for writing, making it if need be, and finds where the numbering stands.
    ///
    /// # Errors
    /// When the folder cannot be made, or a file in it is damaged or newer than this program.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|e| Error::Io(folder.to_path_buf(), e))?;
        let mut last_seq = 0;
        for day in files::days_in(folder)? {
            let file = files::path_of(folder, day);
            let Some(connection) = schema::open_for_reading(&file)? else { continue };
            // A reception may have been shed and its release stored: that number is used up too.
            let query = "SELECT max(coalesce((SELECT max(seq) FROM reception), 0),
                                    coalesce((SELECT max(seq) FROM release), 0))";
            let found: i64 =
                connection.query_row(query, [], |row| row.get(0)).map_err(Error::sqlite(&file))?;
            last_seq = last_seq.max(found as u64);
        }
        Ok(Self { folder: folder.to_path_buf(), last_seq, days: Days::default(), open: None })
    }

    /// Number of the last reception that is stored.
    pub const fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Stores a batch. When it returns, the batch survives the death of the process and of the machine.
    ///
    /// # Errors
    /// When it cannot be stored. Of each day, all or nothing is there then, and the same batch may be given again:
    /// what is there already stays as it is.
    pub fn append(&mut self, batch: &[Record]) -> Result<(), Error> {
        let day_of_each: Vec<Day> = batch.iter().map(|record| self.days.of(record)).collect();
        let mut days = day_of_each.clone();
        days.sort_unstable();
        days.dedup();
        for day in days {
            let of_day =
                batch.iter().zip(&day_of_each).filter(|(_, of)| **of == day).map(|(record, _)| record);
            let stored = self.open_day(day)?.append(of_day);
            if stored.is_err() {
                // Ids in memory may belong to rows that were rolled back.
                self.open = None;
            }
            self.last_seq = self.last_seq.max(stored?);
        }
        Ok(())
    }

    fn open_day(&mut self, day: Day) -> Result<&mut OpenDay, Error> {
        if self.open.as_ref().is_none_or(|open| open.day != day) {
            let file = files::path_of(&self.folder, day);
            let connection = schema::open_for_writing(&file)?;
            self.open = Some(OpenDay {
                day,
                file,
                connection,
                words: HashMap::new(),
                bodies: RecentBodies::default(),
            });
        }
        Ok(self.open.as_mut().expect("opened above"))
    }
}

impl Days {
    /// The day of a record. Receptions come in the order of their numbers; a batch that is given again gets the same.
    fn of(&mut self, record: &Record) -> Day {
        match record {
            Record::Reception(reception) => {
                while self.runs.pop_back_if(|(first, _)| *first >= reception.seq).is_some() {}
                let day = self.of_moment(reception.at_ms);
                if self.runs.back().is_none_or(|(_, last)| *last != day) {
                    self.runs.push_back((reception.seq, day));
                }
                if self.runs.len() > RUNS_MAX {
                    self.runs.pop_front();
                }
                day
            }
            Record::Release(release) => {
                let run = self.runs.iter().rev().find(|(first, _)| *first <= release.reception_seq);
                run.map_or_else(|| files::day_of(release.at_ms), |(_, day)| *day)
            }
            Record::Connection(event) => self.of_moment(event.at_ms),
        }
    }

    /// A clock that is put back a little around midnight does not open the day before again: numbers rise from file to
    /// file.
    fn of_moment(&self, at_ms: i64) -> Day {
        match self.runs.back() {
            Some((_, day)) if (files::starts_taking(*day)..files::start_of(*day)).contains(&at_ms) => *day,
            _ => files::day_of(at_ms),
        }
    }
}

impl OpenDay {
    /// Returns the highest reception number in the batch.
    fn append<'a>(&mut self, batch: impl Iterator<Item = &'a Record>) -> Result<u64, Error> {
        let file = self.file.clone();
        self.append_in_transaction(batch).map_err(Error::sqlite(&file))
    }

    fn append_in_transaction<'a>(
        &mut self,
        batch: impl Iterator<Item = &'a Record>,
    ) -> rusqlite::Result<u64> {
        let mut last_seq = 0;
        let Self { connection, words, bodies, .. } = self;
        let transaction = connection.transaction()?;
        let mut into = Into { connection: &transaction, words, bodies };
        for record in batch {
            match record {
                Record::Reception(reception) => {
                    into.reception(reception)?;
                    last_seq = last_seq.max(reception.seq);
                }
                Record::Release(release) => into.release(release)?,
                Record::Connection(event) => into.connection(event)?,
            }
        }
        transaction.commit()?;
        Ok(last_seq)
    }
}

/// A transaction and the ids known in it.
struct Into<'a> {
    connection: &'a Connection,
    words: &'a mut HashMap<String, i64>,
    bodies: &'a mut RecentBodies,
}

impl Into<'_> {
    fn word(&mut self, text: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.words.get(text) {
            return Ok(*id);
        }
        self.connection.prepare_cached("INSERT OR IGNORE INTO word (text) VALUES (?1)")?.execute([text])?;
        let mut select = self.connection.prepare_cached("SELECT id FROM word WHERE text = ?1")?;
        let id = select.query_row([text], |row| row.get(0))?;
        if self.words.len() < WORDS_MAX && text.len() <= WORD_BYTES_MAX {
            self.words.insert(text.to_owned(), id);
        }
        Ok(id)
    }

    fn optional_word(&mut self, text: Option<&str>) -> rusqlite::Result<Option<i64>> {
        text.map(|text| self.word(text)).transpose()
    }

    fn body(&mut self, key: Option<(u32, u32)>, content: &[u8]) -> rusqlite::Result<i64> {
        if let Some((id, _)) =
            key.and_then(|key| self.bodies.ids.get(&key)).filter(|(_, known)| known == content)
        {
            return Ok(*id);
        }
        self.connection.prepare_cached("INSERT INTO body (content) VALUES (?1)")?.execute([content])?;
        let id = self.connection.last_insert_rowid();
        if let Some(key) = key.filter(|_| content.len() <= RECENT_BODY_BYTES_MAX) {
            if self.bodies.ids.insert(key, (id, content.to_vec())).is_none() {
                self.bodies.order.push_back(key);
            }
            if self.bodies.order.len() > RECENT_BODIES_MAX
                && let Some(oldest) = self.bodies.order.pop_front()
            {
                self.bodies.ids.remove(&oldest);
            }
        }
        Ok(id)
    }

    fn reception(&mut self, r: &Reception) -> rusqlite::Result<()> {
        let key = r.packet.map(|p| (p.from, p.id));
        let split = shell::split(&r.payload);
        let (shell, cut, body) = match &split {
            Some(split) => {
                let body = self.body(key, split.body)?;
                (shell::shell_of(&r.payload, split), Some(split.cut as i64), Some(body))
            }
            None => (r.payload.to_vec(), None, None),
        };
        let client = self.word(&r.client_id)?;
        let username = self.optional_word(r.username.as_deref())?;
        let topic = self.word(&r.topic)?;
        let channel = self.optional_word(r.channel.as_deref())?;
        let sentence = self.word(&r.decision.sentence)?;
        let p = r.packet;
        let mut insert = self.connection.prepare_cached(
            "INSERT OR IGNORE INTO reception VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
             ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36)",
        )?;
        insert.execute(params![
            r.seq as i64,
            r.at_ms,
            client,
            username,
            r.gateway,
            topic,
            shell,
            cut,
            body,
            r.qos,
            r.retain,
            p.map(|p| p.from),
            p.map(|p| p.to),
            p.map(|p| p.id),
            p.map(|p| p.hop_limit),
            p.map(|p| p.hop_start),
            p.and_then(|p| p.hops_away),
            p.and_then(|p| p.rx_rssi),
            p.and_then(|p| p.rx_snr),
            p.map(|p| p.rx_time),
            p.map(|p| p.relay_node),
            p.map(|p| p.next_hop),
            p.map(|p| p.want_ack),
            p.map(|p| p.request_id),
            channel,
            r.port,
            r.consent.code(),
            r.key_class.code(),
            r.flags as i64,
            r.frame_bytes,
            r.airtime_us,
            r.decision.verdict.code(),
            r.decision.rule.map(|rule| rule.code()),
            sentence,
            r.decision.observed.0 as i64,
            r.decision.off.0 as i64,
        ])?;
        Ok(())
    }

    fn release(&mut self, release: &Release) -> rusqlite::Result<()> {
        let mut bytes = Vec::with_capacity(release.copies.len() * 4);
        for copy in &release.copies {
            let receiver = self.word(&copy.receiver)?;
            let (kind, outcome, observed) = (copy.kind, copy.outcome, copy.observed);
            copies::put(&mut bytes, &Copy { receiver, kind, outcome, observed });
        }
        let mut insert =
            self.connection.prepare_cached("INSERT OR IGNORE INTO release VALUES (?1, ?2, ?3)")?;
        insert.execute(params![release.reception_seq as i64, release.at_ms, bytes])?;
        Ok(())
    }

    fn connection(&mut self, event: &ConnectionEvent) -> rusqlite::Result<()> {
        let client = self.word(&event.client_id)?;
        let username = self.optional_word(event.username.as_deref())?;
        let address = self.word(&event.address)?;
        let (kind, detail) = match &event.what {
            ConnectionWhat::Connected(version) => (0, version),
            ConnectionWhat::Refused(why) => (1, why),
            ConnectionWhat::Disconnected(why) => (2, why),
        };
        let detail = self.word(detail)?;
        let mut insert = self.connection.prepare_cached(
            "INSERT OR IGNORE INTO connection (at_ms, client, kind, address, username, gateway, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        insert.execute(params![event.at_ms, client, kind, address, username, event.gateway, detail])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use record::{ConnectionEvent, ConnectionWhat};

    use super::*;

    fn event(size: usize) -> Record {
        Record::Connection(Arc::new(ConnectionEvent {
            at_ms: 0,
            client_id: "x".repeat(size).into(),
            username: None,
            gateway: None,
            address: "127.0.0.1".into(),
            what: ConnectionWhat::Connected("5.0"),
        }))
    }

    #[test]
    fn a_full_disk_is_said_and_the_same_batch_is_stored_when_there_is_room() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut writer = Writer::open(folder.path()).expect("a fresh folder opens");
        writer.append(&[event(1)]).expect("there is room");
        let open = writer.open_day(0).expect("the file is open");
        open.connection.pragma_update(None, "max_page_count", 20).expect("a limit can be set");
        let batch = [event(100_000)];
        let error = writer.append(&batch).expect_err("there is no room");
        assert!(error.is_out_of_space() && error.to_string().contains("full"), "{error}");
        // The limit belongs to the connection that was given up, as room belongs to a disk that was tidied.
        writer.append(&batch).expect("there is room again");
        let file = files::path_of(folder.path(), 0);
        let connection = Connection::open(file).expect("the file opens");
        let count: i64 =
            connection.query_row("SELECT count(*) FROM connection", [], |r| r.get(0)).expect("a count");
        assert_eq!(count, 2);
    }
}
