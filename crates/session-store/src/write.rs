//! Writing changes: what is given at once is one transaction, so it is there as a whole or not at all.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use broker::{Away, Batch, Change, Head, Message, Now, Queued, SessionKey, Will};
use policy::principal::Principal;
use rusqlite::{Connection, Params, Transaction, TransactionBehavior, params};

use crate::coalesce::coalesce;
use crate::error::Error;
use crate::schema;

/// Name of the file in the data folder.
const FILE: &str = "sessions.db";

/// The store. One writer at a time.
#[derive(Debug)]
pub struct SessionStore {
    pub(crate) file: PathBuf,
    pub(crate) connection: Connection,
    messages: Messages,
}

/// The rows of `message`: how many copies need each, and the last number given.
#[derive(Debug, Default)]
struct Messages {
    copies: HashMap<i64, u32>,
    last: i64,
}

impl SessionStore {
    /// Opens the store in a data folder, making both if need be.
    ///
    /// # Errors
    /// When the file cannot be made, is damaged, another program's, or newer than this program.
    pub fn open(data: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(data).map_err(|error| Error::File(data.to_path_buf(), error))?;
        let file = data.join(FILE);
        let connection = schema::open(&file)?;
        let messages = Messages::read(&connection).map_err(Error::sqlite(&file))?;
        Ok(Self { file, connection, messages })
    }

    /// Writes the file anew, also while a server uses it, so that nothing is left in it of what was deleted; it waits for a
    /// moment. Nothing happens when there is no file.
    ///
    /// # Errors
    /// When the file cannot be written: it is as it was then.
    pub fn rewrite(data: &Path) -> Result<(), Error> {
        let file = data.join(FILE);
        if !file.exists() {
            return Ok(());
        }
        let rewrite = || -> rusqlite::Result<()> {
            let connection = Connection::open(&file)?;
            connection.busy_timeout(std::time::Duration::from_secs(10))?;
            connection.execute_batch("VACUUM")?;
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        };
        rewrite().map_err(Error::sqlite(&file))
    }

    /// Bytes of the file that a start reads.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(0, |file| file.len())
    }

    /// Stores changes. When it returns, they survive the death of the process and of the machine.
    ///
    /// # Errors
    /// When they cannot be stored. None of them is there then, and the same may be given again.
    pub fn commit(&mut self, batches: &[Batch]) -> Result<(), Error> {
        let Some(last) = batches.last() else { return Ok(()) };
        let changes = coalesce(batches);
        if changes.is_empty() {
            return Ok(());
        }
        let written = self.write(&changes, last.now);
        if written.is_err() {
            // What is in memory may belong to rows that were rolled back. When even reading fails, so will the next
            // attempt to write, and this is done again.
            if let Ok(messages) = Messages::read(&self.connection) {
                self.messages = messages;
            }
        }
        written.map_err(Error::sqlite(&self.file))
    }

    fn write(&mut self, changes: &[&Change], now: Now) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut writing =
            Writing { transaction: &transaction, messages: &mut self.messages, stored: HashMap::new(), now };
        for change in changes {
            writing.write(change)?;
        }
        transaction.commit()
    }
}

impl Messages {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let last = connection.query_row("SELECT coalesce(max(id), 0) FROM message", [], |row| row.get(0))?;
        let mut copies = HashMap::new();
        let mut statement = connection.prepare("SELECT message FROM copy WHERE message IS NOT NULL")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            *copies.entry(row.get(0)?).or_default() += 1;
        }
        Ok(Self { copies, last })
    }
}

/// One transaction.
struct Writing<'a> {
    transaction: &'a Transaction<'a>,
    messages: &'a mut Messages,
    /// Messages stored in this transaction. The changes hold them, so an address stands for one message.
    stored: HashMap<*const Message, i64>,
    now: Now,
}

impl Writing<'_> {
    fn write(&mut self, change: &Change) -> rusqlite::Result<()> {
        match change {
            Change::SessionKept(key, head) => self.keep_session(*key, head),
            Change::SessionAway(key, away) => self.note_away(*key, *away),
            Change::WillGone(key) => {
                self.run("UPDATE session SET will_due_ms = NULL WHERE key = ?1", [key.0])?;
                self.run("DELETE FROM will WHERE session = ?1", [key.0])
            }
            Change::SessionEnded(key) => self.end_session(*key),
            Change::Subscribed(key, filter, wanted) => self.run(
                "INSERT OR REPLACE INTO subscription VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    key.0,
                    filter,
                    wanted.qos,
                    wanted.no_local,
                    wanted.retain_as_published,
                    wanted.identifier
                ],
            ),
            Change::Unsubscribed(key, filter) => self
                .run("DELETE FROM subscription WHERE session = ?1 AND filter = ?2", params![key.0, filter]),
            Change::Queued(key, copy) => self.queue(*key, copy),
            Change::Released(key, order) => {
                let freed = self.messages_of(
                    "SELECT message FROM copy WHERE session = ?1 AND place = ?2",
                    params![key.0, order],
                )?;
                self.run(
                    "INSERT OR REPLACE INTO copy VALUES (?1, ?2, NULL, 2, 0, NULL, NULL)",
                    params![key.0, order],
                )?;
                self.free(freed)
            }
            Change::Finished(key, order) => {
                let freed = self.messages_of(
                    "DELETE FROM copy WHERE session = ?1 AND place = ?2 RETURNING message",
                    params![key.0, order],
                )?;
                self.free(freed)
            }
            Change::Incoming(key, packet_id) => {
                self.run("INSERT OR REPLACE INTO incoming VALUES (?1, ?2)", params![key.0, packet_id])
            }
            Change::IncomingDone(key, packet_id) => self
                .run("DELETE FROM incoming WHERE session = ?1 AND packet_id = ?2", params![key.0, packet_id]),
            Change::Retained(message) => self.run(
                "INSERT OR REPLACE INTO retained VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    message.topic,
                    message.payload,
                    message.qos,
                    message.properties,
                    message.expires_at_ms.map(|at| self.unix_ms(at))
                ],
            ),
            Change::RetainedGone(topic) => self.run("DELETE FROM retained WHERE topic = ?1", [topic]),
        }
    }

    fn keep_session(&mut self, key: SessionKey, head: &Head) -> rusqlite::Result<()> {
        let (role, gateway, prefix) = match &head.principal {
            Principal::Gateway { gateway, .. } => ("gateway", Some(*gateway), None),
            Principal::Observer { .. } => ("observer", None, None),
            Principal::Service { prefix, .. } => ("service", None, Some(prefix)),
            Principal::Guest { gateway } => ("guest", *gateway, None),
            Principal::Bridge { .. } => ("bridge", None, None),
            Principal::Lab => ("lab", None, None),
        };
        self.run(
            "INSERT OR REPLACE INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, NULL, NULL, 0)",
            params![
                key.0,
                head.client_id,
                role,
                head.principal.username(),
                gateway,
                prefix,
                head.generation,
                head.expiry_ms,
                head.receive_maximum
            ],
        )?;
        match head.will.as_deref() {
            Some(will) => self.keep_will(key, will),
            None => self.run("DELETE FROM will WHERE session = ?1", [key.0]),
        }
    }

    fn keep_will(&mut self, key: SessionKey, will: &Will) -> rusqlite::Result<()> {
        self.run(
            "INSERT OR REPLACE INTO will VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                key.0,
                will.topic,
                will.payload,
                will.qos,
                will.retain,
                will.delay_ms,
                will.expiry_s,
                will.properties
            ],
        )
    }

    fn note_away(&mut self, key: SessionKey, away: Away) -> rusqlite::Result<()> {
        self.run(
            "UPDATE session SET is_away = 1, ends_at_ms = ?2, will_due_ms = ?3, sent_to = ?4 WHERE key = ?1",
            params![
                key.0,
                away.ends_at_ms.map(|at| self.unix_ms(at)),
                away.will_due_ms.map(|at| self.unix_ms(at)),
                away.sent_to
            ],
        )
    }

    fn end_session(&mut self, key: SessionKey) -> rusqlite::Result<()> {
        self.run("DELETE FROM session WHERE key = ?1", [key.0])?;
        self.run("DELETE FROM will WHERE session = ?1", [key.0])?;
        self.run("DELETE FROM subscription WHERE session = ?1", [key.0])?;
        self.run("DELETE FROM incoming WHERE session = ?1", [key.0])?;
        let freed = self.messages_of("DELETE FROM copy WHERE session = ?1 RETURNING message", [key.0])?;
        self.free(freed)
    }

    fn queue(&mut self, key: SessionKey, copy: &Queued) -> rusqlite::Result<()> {
        let message = self.message_row(&copy.message)?;
        let identifiers: Vec<u8> = copy.identifiers.iter().flat_map(|id| id.to_le_bytes()).collect();
        self.run(
            "INSERT OR REPLACE INTO copy VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                key.0,
                copy.order,
                message,
                copy.qos,
                copy.retain,
                copy.hop_limit,
                (!identifiers.is_empty()).then_some(identifiers)
            ],
        )?;
        *self.messages.copies.entry(message).or_default() += 1;
        Ok(())
    }

    /// The row of a message, made when it has none yet.
    fn message_row(&mut self, message: &std::sync::Arc<Message>) -> rusqlite::Result<i64> {
        let address = std::sync::Arc::as_ptr(message);
        if let Some(id) = self.stored.get(&address).filter(|id| self.messages.copies.contains_key(*id)) {
            return Ok(*id);
        }
        self.messages.last += 1;
        let id = self.messages.last;
        self.run(
            "INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                id,
                message.topic,
                message.payload,
                message.qos,
                message.retain,
                message.properties,
                message.expires_at_ms.map(|at| self.unix_ms(at)),
                message.hop_limit_at
            ],
        )?;
        self.stored.insert(address, id);
        Ok(id)
    }

    /// Copies are gone: messages that no copy needs any more go with them.
    fn free(&mut self, messages: Vec<i64>) -> rusqlite::Result<()> {
        for id in messages {
            let left = self.messages.copies.get_mut(&id).map_or(0, |count| {
                *count -= 1;
                *count
            });
            if left == 0 {
                self.messages.copies.remove(&id);
                self.run("DELETE FROM message WHERE id = ?1", [id])?;
            }
        }
        Ok(())
    }

    fn run(&self, sql: &str, values: impl Params) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(sql)?.execute(values).map(drop)
    }

    fn messages_of(&self, sql: &str, values: impl Params) -> rusqlite::Result<Vec<i64>> {
        let mut statement = self.transaction.prepare_cached(sql)?;
        let found: Vec<Option<i64>> =
            statement.query_map(values, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// A time on the broker's clock as Unix milliseconds.
    fn unix_ms(&self, mono_ms: u64) -> i64 {
        let ahead = i128::from(mono_ms) - i128::from(self.now.mono_ms);
        i64::try_from(i128::from(self.now.unix_ms) + ahead).unwrap_or(i64::MAX)
    }
}
