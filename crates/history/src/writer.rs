//! Appending records: what a batch has for one day is one transaction, so it is there as a whole or not at all.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use mesh::keyring::Keyring;
use record::Record;
use rusqlite::{Connection, TransactionBehavior};

use crate::error::Error;
use crate::files::{self, Day};
use crate::insert::{Ids, Insert};
use crate::{policy_changes, schema};

/// The one writer of a history folder.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    keyring: Keyring,
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
    ids: Ids,
    /// Differs from the last transaction's when somebody else has deleted rows, of which ids must not be used any more.
    data_version: Option<i64>,
    /// Time of the latest reception.
    latest_ms: Option<i64>,
}

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
            let Some((connection, _)) = schema::open_for_reading(&file)? else { continue };
            // A reception may have been shed and its release stored: that number is used up too.
            let query = "SELECT max(coalesce((SELECT max(seq) FROM reception), 0),
                                    coalesce((SELECT max(seq) FROM release), 0))";
            let found: i64 =
                connection.query_row(query, [], |row| row.get(0)).map_err(Error::sqlite(&file))?;
            last_seq = last_seq.max(found as u64);
        }
        let keyring = Keyring::default();
        Ok(Self { folder: folder.to_path_buf(), keyring, last_seq, days: Days::default(), open: None })
    }

    /// With keys that open what is to be found by its words, beside those that everybody has.
    #[must_use]
    pub fn with_keyring(self, keyring: Keyring) -> Self {
        Self { keyring, ..self }
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
            self.open_day(day)?;
            let open = self.open.as_mut().expect("opened above");
            let stored = open.append(of_day, &self.keyring);
            if stored.is_err() {
                // Ids in memory may belong to rows that were rolled back.
                self.open = None;
            }
            self.last_seq = self.last_seq.max(stored?);
        }
        Ok(())
    }

    fn open_day(&mut self, day: Day) -> Result<(), Error> {
        if self.open.as_ref().is_none_or(|open| open.day != day) {
            let file = files::path_of(&self.folder, day);
            let connection = schema::open_for_writing(&file, &self.keyring)?;
            let latest_ms = connection
                .query_row(
                    "SELECT max(at_ms) FROM (SELECT at_ms FROM reception ORDER BY seq DESC LIMIT 1000)",
                    [],
                    |row| row.get(0),
                )
                .map_err(Error::sqlite(&file))?;
            let (ids, data_version) = (Ids::default(), None);
            self.open = Some(OpenDay { day, file, connection, ids, data_version, latest_ms });
        }
        Ok(())
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
            Record::PolicyChange(change) => self.of_moment(change.at_ms),
            Record::Erased(erased) => self.of_moment(erased.at_ms),
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
    fn append<'a>(
        &mut self,
        batch: impl Iterator<Item = &'a Record>,
        keyring: &Keyring,
    ) -> Result<u64, Error> {
        let file = self.file.clone();
        self.append_in_transaction(batch, keyring).map_err(Error::sqlite(&file))
    }

    fn append_in_transaction<'a>(
        &mut self,
        batch: impl Iterator<Item = &'a Record>,
        keyring: &Keyring,
    ) -> rusqlite::Result<u64> {
        let mut last_seq = 0;
        let Self { connection, ids, data_version, latest_ms, .. } = self;
        // From its beginning nobody else writes, so what is known of ids stays true until its end.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: i64 = transaction.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if data_version.replace(version) != Some(version) {
            *ids = Ids::default();
        }
        let mut insert = Insert::new(&transaction, ids, keyring)?;
        for record in batch {
            match record {
                Record::Reception(reception) => {
                    insert.reception(reception)?;
                    if latest_ms.is_some_and(|latest| reception.at_ms < latest - schema::CLOCK_SLACK_MS) {
                        insert.clock_put_back(reception.seq)?;
                    }
                    *latest_ms = (*latest_ms).max(Some(reception.at_ms));
                    last_seq = last_seq.max(reception.seq);
                }
                Record::Release(release) => insert.release(release)?,
                Record::Connection(event) => insert.connection(event)?,
                Record::PolicyChange(change) => policy_changes::store(&transaction, change)?,
                // That a node was erased is nothing to be kept of it.
                Record::Erased(_) => {}
            }
        }
        insert.finish()?;
        transaction.commit()?;
        Ok(last_seq)
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
        let open = writer.open.as_ref().expect("the file is open");
        open.connection.pragma_update(None, "max_page_count", 20).expect("a limit can be set");
        let batch = [event(2), event(100_000)];
        let count = || -> i64 {
            let file = files::path_of(folder.path(), 0);
            let connection = Connection::open(file).expect("the file opens");
            connection.query_row("SELECT count(*) FROM connection", [], |r| r.get(0)).expect("a count")
        };
        let error = writer.append(&batch).expect_err("there is no room");
        assert!(error.is_out_of_space() && error.to_string().contains("full"), "{error}");
        assert_eq!(count(), 1, "nothing of the batch is there");
        // The limit belongs to the connection that was given up, as room belongs to a disk that was tidied.
        writer.append(&batch).expect("there is room again");
        assert_eq!(count(), 3);
    }
}
