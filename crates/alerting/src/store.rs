//! What survives a restart, in SQLite: what fires, what was learned, letters with their attempts. One thread writes;
//! others may read the file meanwhile.

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use automation::alert::engine::{Firing, Happening, Learned};
use automation::alert::letter::Letter;
use automation::alert::rule::{Severity, Subject};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

/// The file's name in the data folder.
pub const FILE: &str = "alerts.db";
/// Letters that wait for one target; of more, the oldest are given up.
const WAITING_MAX: u32 = 500;
/// Letters and happenings kept, ms.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;
/// Happenings and letters kept at most, each.
const ROWS_MAX: u32 = 20_000;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS firing (rule TEXT NOT NULL, subject TEXT NOT NULL, since_ms INTEGER NOT NULL,
    told INTEGER NOT NULL, PRIMARY KEY (rule, subject)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS learned (rule TEXT NOT NULL, subject TEXT NOT NULL, value BLOB NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (rule, subject)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rule (name TEXT PRIMARY KEY, since_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS happening (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, rule TEXT NOT NULL,
    subject TEXT NOT NULL, severity TEXT NOT NULL, is_end INTEGER NOT NULL, detail TEXT NOT NULL, told INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS letter (id INTEGER PRIMARY KEY, target TEXT NOT NULL, written_ms INTEGER NOT NULL,
    severity TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL, json TEXT NOT NULL, is_end INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, next_ms INTEGER, sent_ms INTEGER, problem TEXT);
CREATE INDEX IF NOT EXISTS letter_waiting ON letter (target, next_ms) WHERE next_ms IS NOT NULL;
PRAGMA user_version = 1;
";

/// Why something is not stored.
#[derive(Debug)]
pub struct StoreError {
    file: PathBuf,
    cause: rusqlite::Error,
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`: {}", self.file.display(), self.cause)
    }
}

impl std::error::Error for StoreError {}

/// The file, opened.
pub struct Store {
    connection: Connection,
    file: PathBuf,
}

/// A letter with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its number.
    pub id: i64,
    /// Name of the target.
    pub target: String,
    /// When it was written, Unix ms.
    pub written_ms: i64,
    /// The letter.
    pub letter: Letter,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next, Unix ms; `None` when it arrived or was given up.
    pub next_ms: Option<i64>,
    /// When it arrived, Unix ms.
    pub sent_ms: Option<i64>,
    /// Why the last attempt failed.
    pub problem: Option<String>,
}

/// Something that happened, as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// When, Unix ms.
    pub at_ms: i64,
    /// Name of the rule.
    pub rule: String,
    /// What it was about.
    pub subject: Subject,
    /// How bad.
    pub severity: Severity,
    /// Whether it is over.
    pub is_end: bool,
    /// What happened.
    pub detail: String,
    /// Whether anybody was told.
    pub told: bool,
}

type Done<T> = Result<T, StoreError>;

impl Store {
    /// Opens the file in the data folder, making it on first use.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(data: &Path) -> Done<Self> {
        let file = data.join(FILE);
        // It holds what people wrote: for its owner only, and SQLite makes its companions alike. What fails
        // here fails again below, with a better reason.
        let made = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&file);
        drop(made);
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(&file)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        };
        match open() {
            Ok(connection) => Ok(Self { connection, file }),
            Err(cause) => Err(StoreError { file, cause }),
        }
    }

    /// Opens the file for reading; `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open_to_read(data: &Path) -> Done<Option<Self>> {
        let file = data.join(FILE);
        if !file.exists() {
            return Ok(None);
        }
        match Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_WRITE) {
            Ok(connection) => Ok(Some(Self { connection, file })),
            Err(cause) => Err(StoreError { file, cause }),
        }
    }

    fn told<T>(&self, done: rusqlite::Result<T>) -> Done<T> {
        done.map_err(|cause| StoreError { file: self.file.clone(), cause })
    }

    /// Notes when a rule was there first. Returns the moment for each.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn know_rules<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
        now_ms: i64,
    ) -> Done<BTreeMap<Box<str>, i64>> {
        let known = || -> rusqlite::Result<_> {
            let mut known = BTreeMap::new();
            for name in names {
                self.connection
                    .execute("INSERT OR IGNORE INTO rule VALUES (?1, ?2)", params![name, now_ms])?;
                let since_ms = self.connection.query_row(
                    "SELECT since_ms FROM rule WHERE name = ?1",
                    [name],
                    |row| row.get(0),
                )?;
                known.insert(name.into(), since_ms);
            }
            Ok(known)
        };
        self.told(known())
    }

    /// What fires, and whether anybody was told.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn firing(&self) -> Done<Vec<(Firing, bool)>> {
        let read = || {
            let mut statement = self
                .connection
                .prepare("SELECT rule, subject, since_ms, told FROM firing ORDER BY since_ms")?;
            let rows = statement.query_map([], |row| {
                let (rule, subject): (String, String) = (row.get(0)?, row.get(1)?);
                let subject = Subject::parse(&subject).unwrap_or(Subject::Mesh);
                Ok((Firing { rule: rule.into(), subject, since_ms: row.get(2)? }, row.get(3)?))
            })?;
            rows.collect()
        };
        self.told(read())
    }

    /// What was learned.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn learned(&self) -> Done<Vec<Learned>> {
        let read = || {
            let mut statement = self.connection.prepare("SELECT rule, subject, value, at_ms FROM learned")?;
            let rows = statement.query_map([], |row| {
                let (rule, subject, value): (String, String, Vec<u8>) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                let subject = Subject::parse(&subject).unwrap_or(Subject::Mesh);
                Ok(Learned { rule: rule.into(), subject, value: value.into(), at_ms: row.get(3)? })
            })?;
            rows.collect()
        };
        self.told(read())
    }

    /// Keeps what was learned and what happened, with whether anybody is told, and what is written of it: all or nothing.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn keep(
        &mut self,
        learned: &[Learned],
        happened: &[(Happening, bool)],
        letters: &[(Box<str>, Letter)],
        now_ms: i64,
    ) -> Done<()> {
        let keep = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            for Learned { rule, subject, value, at_ms } in learned {
                transaction.execute(
                    "INSERT OR REPLACE INTO learned VALUES (?1, ?2, ?3, ?4)",
                    params![rule, subject.to_string(), &value[..], at_ms],
                )?;
            }
            for (happening, told) in happened {
                note(&transaction, happening, *told)?;
            }
            for (target, letter) in letters {
                transaction.execute(
                    "INSERT INTO letter (target, written_ms, severity, title, text, json, is_end, next_ms) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?2)",
                    params![
                        target,
                        now_ms,
                        letter.severity.word(),
                        letter.title,
                        letter.text,
                        letter.json,
                        letter.is_end
                    ],
                )?;
                transaction.execute(
                    "UPDATE letter SET next_ms = NULL, problem = 'given up: too many waited for this target' \
                     WHERE target = ?1 AND next_ms IS NOT NULL AND id NOT IN \
                     (SELECT id FROM letter WHERE target = ?1 AND next_ms IS NOT NULL ORDER BY id DESC LIMIT ?2)",
                    params![target, WAITING_MAX],
                )?;
            }
            transaction.commit()
        };
        let done = keep(&mut self.connection);
        self.told(done)
    }

    /// The next letter for a target, when one is due; the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn due(&self, target: &str, now_ms: i64) -> Done<Option<Sent>> {
        self.told(
            self.connection
                .query_row(
                    &format!(
                        "SELECT {LETTER} FROM letter WHERE target = ?1 AND next_ms <= ?2 ORDER BY id LIMIT 1"
                    ),
                    params![target, now_ms],
                    sent,
                )
                .optional(),
        )
    }

    /// Notes what became of an attempt: it arrived, or it is tried again, or it was given up.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn attempted(&self, id: i64, problem: Option<&str>, next_ms: Option<i64>, now_ms: i64) -> Done<()> {
        let sent_ms = problem.is_none().then_some(now_ms);
        self.told(
            self.connection
                .execute(
                    "UPDATE letter SET attempts = attempts + 1, next_ms = ?2, sent_ms = ?3, problem = ?4 WHERE id = ?1",
                    params![id, next_ms, sent_ms, problem],
                )
                .map(drop),
        )
    }

    /// The last letters, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn letters(&self, limit: u32) -> Done<Vec<Sent>> {
        let read = || {
            let mut statement =
                self.connection.prepare(&format!("SELECT {LETTER} FROM letter ORDER BY id DESC LIMIT ?1"))?;
            statement.query_map([limit], sent)?.collect()
        };
        self.told(read())
    }

    /// What happened last, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn happened(&self, limit: u32) -> Done<Vec<Noted>> {
        let read = || {
            let mut statement = self.connection.prepare(
                "SELECT at_ms, rule, subject, severity, is_end, detail, told FROM happening ORDER BY id DESC LIMIT ?1",
            )?;
            let rows = statement.query_map([limit], |row| {
                let (subject, severity): (String, String) = (row.get(2)?, row.get(3)?);
                Ok(Noted {
                    at_ms: row.get(0)?,
                    rule: row.get(1)?,
                    subject: Subject::parse(&subject).unwrap_or(Subject::Mesh),
                    severity: Severity::from_word(&severity).unwrap_or(Severity::Info),
                    is_end: row.get(4)?,
                    detail: row.get(5)?,
                    told: row.get(6)?,
                })
            })?;
            rows.collect()
        };
        self.told(read())
    }

    /// How many letters and happenings are from before a moment, Unix ms.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn count_before(&self, before_ms: i64) -> Done<u64> {
        let query = "SELECT (SELECT count(*) FROM happening WHERE at_ms < ?1)
             + (SELECT count(*) FROM letter WHERE written_ms < ?1)";
        self.told(self.connection.query_row(query, [before_ms], |row| row.get(0)))
    }

    /// Deletes letters and happenings from before a moment, Unix ms, and leaves nothing of them in the file. Gives how many
    /// these were.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn delete_before(&self, before_ms: i64) -> Done<u64> {
        let count = self.count_before(before_ms)?;
        if count == 0 {
            return Ok(0);
        }
        let delete = || -> rusqlite::Result<()> {
            self.connection.busy_timeout(std::time::Duration::from_secs(5))?;
            self.connection.pragma_update(None, "secure_delete", true)?;
            self.connection.execute("DELETE FROM happening WHERE at_ms < ?1", [before_ms])?;
            self.connection.execute("DELETE FROM letter WHERE written_ms < ?1", [before_ms])?;
            self.connection.execute_batch("VACUUM")?;
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        };
        self.told(delete().map(|()| count))
    }

    /// How much is kept of a node: what happened to it, what was learned, and letters in which its number or one of its
    /// names stands.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn count_of_node(&self, node: u32, names: &[String]) -> Done<u64> {
        let count = || -> rusqlite::Result<u64> {
            let mut found = 0;
            for (table, holds, arguments) in of_node(node, names) {
                let query = format!("SELECT count(*) FROM {table} WHERE {holds}");
                let rows: u64 =
                    self.connection
                        .query_row(&query, rusqlite::params_from_iter(&arguments), |row| row.get(0))?;
                found += rows;
            }
            Ok(found)
        };
        self.told(count())
    }

    /// What is kept of a node as lines for its owner: what happened to it, and letters about it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn lines_of_node(&self, node: u32, names: &[String]) -> Done<Vec<(i64, String)>> {
        let read = || -> rusqlite::Result<Vec<(i64, String)>> {
            let mut found = Vec::new();
            for (table, holds, arguments) in of_node(node, names) {
                let columns = match table {
                    "happening" => "at_ms, rule || ': ' || detail",
                    "letter" => "written_ms, title || ': ' || text",
                    _ => continue,
                };
                let query = format!("SELECT {columns} FROM {table} WHERE {holds} ORDER BY 1");
                let mut statement = self.connection.prepare(&query)?;
                let rows = statement.query_map(rusqlite::params_from_iter(&arguments), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
                for row in rows {
                    found.push(row?);
                }
            }
            Ok(found)
        };
        self.told(read())
    }

    /// Deletes all of that, and writes the file anew so that nothing is left of it.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn erase_node(&self, node: u32, names: &[String]) -> Done<()> {
        let erase = || -> rusqlite::Result<()> {
            self.connection.busy_timeout(std::time::Duration::from_secs(5))?;
            self.connection.pragma_update(None, "secure_delete", true)?;
            for (table, holds, arguments) in of_node(node, names) {
                let delete = format!("DELETE FROM {table} WHERE {holds}");
                self.connection.execute(&delete, rusqlite::params_from_iter(&arguments))?;
            }
            self.connection.execute_batch("VACUUM")?;
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        };
        self.told(erase())
    }

    /// Forgets what is old, and what fires of rules that are not there any more.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn forget(&self, rules: &[&str], now_ms: i64) -> Done<()> {
        let forget = || -> rusqlite::Result<()> {
            let before_ms = now_ms - KEPT_MS;
            self.connection.execute("DELETE FROM happening WHERE at_ms < ?1", [before_ms])?;
            self.connection.execute("DELETE FROM letter WHERE written_ms < ?1", [before_ms])?;
            for table in ["happening", "letter"] {
                let sql = format!("DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - ?1");
                self.connection.execute(&sql, [ROWS_MAX])?;
            }
            for (Firing { rule, subject, .. }, _) in self.firing().unwrap_or_default() {
                if !rules.contains(&&*rule) {
                    self.connection.execute(
                        "DELETE FROM firing WHERE rule = ?1 AND subject = ?2",
                        params![rule, subject.to_string()],
                    )?;
                }
            }
            Ok(())
        };
        self.told(forget())
    }
}

/// Names that are shorter stand in too many texts by chance.
const NAME_CHARS_MIN: usize = 4;

/// The tables with a condition for the rows that are about a node, and its arguments.
fn of_node(node: u32, names: &[String]) -> Vec<(&'static str, String, Vec<String>)> {
    let mut needles = vec![format!("{node:08x}")];
    needles.extend(
        names.iter().filter(|name| name.chars().count() >= NAME_CHARS_MIN).map(|name| name.to_lowercase()),
    );
    let texts = [
        ("firing", "subject"),
        ("learned", "subject"),
        ("happening", "subject || ' ' || detail"),
        ("letter", "title || ' ' || text || ' ' || json"),
    ];
    texts
        .into_iter()
        .map(|(table, text)| {
            let one = |index: usize| format!("instr(lower({text}), ?{}) > 0", index + 1);
            let holds = (0..needles.len()).map(one).collect::<Vec<_>>().join(" OR ");
            (table, holds, needles.clone())
        })
        .collect()
}

const LETTER: &str =
    "id, target, written_ms, severity, title, text, json, is_end, attempts, next_ms, sent_ms, problem";

fn sent(row: &Row<'_>) -> rusqlite::Result<Sent> {
    let severity: String = row.get(3)?;
    Ok(Sent {
        id: row.get(0)?,
        target: row.get(1)?,
        written_ms: row.get(2)?,
        letter: Letter {
            severity: Severity::from_word(&severity).unwrap_or(Severity::Info),
            title: row.get(4)?,
            text: row.get(5)?,
            json: row.get(6)?,
            is_end: row.get(7)?,
        },
        attempts: row.get(8)?,
        next_ms: row.get(9)?,
        sent_ms: row.get(10)?,
        problem: row.get(11)?,
    })
}

fn note(connection: &Connection, happening: &Happening, told: bool) -> rusqlite::Result<()> {
    let Happening { rule, subject, at_ms, since_ms, is_end, detail, .. } = happening;
    let subject = subject.to_string();
    connection.execute(
        "INSERT INTO happening (at_ms, rule, subject, severity, is_end, detail, told) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![at_ms, rule.name, subject, rule.severity.word(), is_end, detail, told],
    )?;
    if *is_end {
        connection
            .execute("DELETE FROM firing WHERE rule = ?1 AND subject = ?2", params![rule.name, subject])?;
    } else {
        connection.execute(
            "INSERT OR REPLACE INTO firing VALUES (?1, ?2, ?3, ?4)",
            params![rule.name, subject, since_ms, told],
        )?;
    }
    Ok(())
}
