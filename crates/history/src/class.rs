//! Classes of what a day file holds, each with a time of its own, and deleting one of them from a file that is not written
//! to any more, in short steps.
//!
//! - What was written, where a node was and what it measured stand in the exact bytes and nowhere else, so deleting one of
//!   these deletes the bytes of its packets. The header, the decision and the sums stay.
//! - A file notes what was deleted from it and when (`purged`), with the last step, so that each class is deleted once, and
//!   again after a step that was cut short.

use std::path::Path;
use std::time::Duration;

use mesh::portnum::PortNum;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::error::Error;
use crate::files::{self, Day};
use crate::held::{list, numbers};
use crate::reader::Reader;
use crate::{erasure, header, row, schema};

/// One class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Payloads byte for byte, whatever is in them.
    Bytes,
    /// What people wrote: texts, alerts, range tests, status lines.
    Text,
    /// Where nodes were: positions, waypoints, map reports.
    Position,
    /// What nodes measured.
    Telemetry,
    /// What became of each copy: to whom, withheld by which rule.
    Decisions,
    /// Who connected from which network address.
    Connections,
}

/// Rows in one transaction.
const STEP_ROWS: i64 = 500;
/// Time to wait for somebody else who has the file.
const BUSY: Duration = Duration::from_secs(5);

const CREATE: &str = "CREATE TABLE IF NOT EXISTS purged (
    class INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, rows INTEGER NOT NULL) STRICT";

impl Class {
    /// Every class, in the order in which they are deleted.
    pub const ALL: [Self; 6] =
        [Self::Bytes, Self::Text, Self::Position, Self::Telemetry, Self::Decisions, Self::Connections];

    /// Its name in JSON, in the configuration and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Text => "text",
            Self::Position => "position",
            Self::Telemetry => "telemetry",
            Self::Decisions => "decisions",
            Self::Connections => "connections",
        }
    }

    /// It in words, for everybody.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Bytes => "Exact bytes of packets",
            Self::Text => "Texts that people wrote",
            Self::Position => "Positions of nodes",
            Self::Telemetry => "Measurements of nodes",
            Self::Decisions => "What became of each copy",
            Self::Connections => "Who connected from where",
        }
    }

    /// The stored number; never reused.
    const fn code(self) -> i64 {
        match self {
            Self::Bytes => 0,
            Self::Text => 1,
            Self::Position => 2,
            Self::Telemetry => 3,
            Self::Decisions => 4,
            Self::Connections => 5,
        }
    }

    /// The ports whose packets are of this class, where ports tell.
    const fn ports(self) -> &'static [PortNum] {
        match self {
            Self::Text => &[
                PortNum::TEXT_MESSAGE,
                PortNum::TEXT_COMPRESSED,
                PortNum::ALERT,
                PortNum::DETECTION_SENSOR,
                PortNum::RANGE_TEST,
                PortNum::REPLY,
                PortNum::NODE_STATUS,
            ],
            Self::Position => &[PortNum::POSITION, PortNum::WAYPOINT, PortNum::MAP_REPORT],
            Self::Telemetry => &[PortNum::TELEMETRY, PortNum::PAXCOUNTER, PortNum::POWERSTRESS],
            Self::Bytes | Self::Decisions | Self::Connections => &[],
        }
    }

    /// Which receptions with bytes are of this class; `None` where it is not about bytes.
    fn receptions(self, connection: &Connection) -> rusqlite::Result<Option<String>> {
        const HAS_BYTES: &str = "(r.body IS NOT NULL OR length(r.content) > 0)";
        match self {
            Self::Bytes => Ok(Some(HAS_BYTES.to_owned())),
            Self::Text | Self::Position | Self::Telemetry => {
                let ports: Vec<i64> = self.ports().iter().map(|port| i64::from(port.0)).collect();
                let query = format!("SELECT id FROM judgement WHERE port IN ({})", list(&ports));
                let judgements = list(&numbers(connection, &query, [])?);
                Ok(Some(format!("r.judgement IN ({judgements}) AND {HAS_BYTES}")))
            }
            Self::Decisions | Self::Connections => Ok(None),
        }
    }
}

/// How many rows of a class a file still has.
pub(crate) fn count(connection: &Connection, class: Class) -> rusqlite::Result<u64> {
    if purged_at(connection, class)?.is_some() {
        return Ok(0);
    }
    let query = match (class, class.receptions(connection)?) {
        (_, Some(holds)) => format!("SELECT count(*) FROM reception r WHERE {holds}"),
        (Class::Decisions, None) => "SELECT count(*) FROM release".to_owned(),
        (_, None) => "SELECT count(*) FROM connection".to_owned(),
    };
    connection.query_row(&query, [], |row| row.get(0))
}

/// When a class was deleted from a file, Unix ms; `None` when it was not.
pub(crate) fn purged_at(connection: &Connection, class: Class) -> rusqlite::Result<Option<i64>> {
    if !connection.table_exists(None, "purged")? {
        return Ok(None);
    }
    connection
        .query_row("SELECT at_ms FROM purged WHERE class = ?1", [class.code()], |row| row.get(0))
        .optional()
}

/// Deletes these classes from a day's file and writes it anew, so that nothing of them is left in it. Gives how many rows
/// each had.
///
/// # Errors
/// When the file cannot be read or written; what was done until then stays done.
pub(crate) fn delete(
    folder: &Path,
    day: Day,
    classes: &[Class],
    now_ms: i64,
    pause: &mut impl FnMut(),
) -> Result<Vec<(Class, u64)>, Error> {
    let file = files::path_of(folder, day);
    let mut delete = || -> rusqlite::Result<Vec<(Class, u64)>> {
        let mut connection = Connection::open(&file)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.execute_batch(CREATE)?;
        let mut done = Vec::new();
        for class in classes {
            let rows = match class {
                Class::Bytes | Class::Text | Class::Position | Class::Telemetry => {
                    blank(&mut connection, *class, pause)?
                }
                Class::Decisions => delete_releases(&mut connection, pause)?,
                Class::Connections => delete_connections(&mut connection)?,
            };
            connection.execute(
                "INSERT OR REPLACE INTO purged VALUES (?1, ?2, ?3)",
                params![class.code(), now_ms, rows as i64],
            )?;
            done.push((*class, rows));
            pause();
        }
        Ok(done)
    };
    let done = delete().map_err(Error::sqlite(&file))?;
    if done.iter().any(|(_, rows)| *rows > 0) {
        erasure::rewrite(folder, day)?;
    }
    Ok(done)
}

/// What was deleted holds no longer for receptions that another key has opened since: they are looked for once more.
pub(crate) fn look_again(connection: &Connection) -> rusqlite::Result<()> {
    if connection.table_exists(None, "purged")? {
        let opened = [Class::Text, Class::Position, Class::Telemetry].map(Class::code);
        connection.execute(&format!("DELETE FROM purged WHERE class IN ({})", list(&opened)), [])?;
    }
    Ok(())
}

/// Empties the payloads of a class. All that the header says stays.
fn blank(connection: &mut Connection, class: Class, pause: &mut impl FnMut()) -> rusqlite::Result<u64> {
    let Some(holds) = class.receptions(connection)? else { return Ok(0) };
    let has_words_index = connection.table_exists(None, "said")?;
    let (mut after, mut rows) = (i64::MIN, 0);
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let query =
            format!("{} WHERE r.seq > {after} AND {holds} ORDER BY r.seq LIMIT {STEP_ROWS}", row::SELECT);
        let receptions = row::select(&transaction, &query, Vec::new())?;
        let Some(last) = receptions.last() else { break };
        after = last.seq as i64;
        rows += receptions.len() as u64;
        for reception in &receptions {
            let seq = reception.seq as i64;
            let header = reception.packet.map(|packet| header::put(&packet, &[]));
            transaction
                .prepare_cached(
                    "UPDATE reception SET layout = NULL, body = NULL, content = x'', header = ?2 WHERE seq = ?1",
                )?
                .execute(params![seq, header.filter(|header| !header.is_empty())])?;
            if has_words_index {
                transaction.prepare_cached("DELETE FROM said WHERE rowid = ?1")?.execute([seq])?;
            }
        }
        transaction.commit()?;
        pause();
    }
    // Nobody stores anything in a file of that age, so what is not referred to now is not needed any more.
    connection.execute_batch(
        "DELETE FROM body WHERE id NOT IN (SELECT body FROM reception WHERE body IS NOT NULL);
         DELETE FROM layout WHERE id NOT IN (SELECT layout FROM reception WHERE layout IS NOT NULL);",
    )?;
    if has_words_index && rows > 0 {
        erasure::merge_words_index(connection, pause)?;
    }
    Ok(rows)
}

fn delete_releases(connection: &mut Connection, pause: &mut impl FnMut()) -> rusqlite::Result<u64> {
    let mut rows = 0;
    loop {
        let query = format!(
            "DELETE FROM release WHERE seq IN (SELECT seq FROM release ORDER BY seq LIMIT {STEP_ROWS})"
        );
        match connection.execute(&query, [])? {
            0 => break,
            deleted => rows += deleted as u64,
        }
        pause();
    }
    if connection.table_exists(None, "fate")? {
        connection.execute("DELETE FROM fate", [])?;
    }
    Ok(rows)
}

/// The events, and the words that were addresses and nothing else.
fn delete_connections(connection: &mut Connection) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch("CREATE TEMP TABLE gone AS SELECT DISTINCT address AS id FROM connection;")?;
    let rows = transaction.execute("DELETE FROM connection", [])? as u64;
    transaction.execute_batch(
        "DELETE FROM word WHERE id IN (SELECT id FROM gone)
            AND id NOT IN (SELECT client FROM source UNION SELECT username FROM source
                UNION SELECT topic FROM source UNION SELECT channel FROM source
                UNION SELECT sentence FROM judgement);
         DROP TABLE gone;",
    )?;
    transaction.commit()?;
    Ok(rows)
}

impl Reader {
    /// When the exact bytes of a reception were deleted, Unix ms; `None` when they are there, or it is not known.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn bytes_deleted_ms(&self, reception: &record::Reception) -> Result<Option<i64>, Error> {
        if !reception.payload.is_empty() {
            return Ok(None);
        }
        let day = files::day_of(reception.at_ms);
        let Some((connection, _)) = self.day(day)? else { return Ok(None) };
        let look = || -> rusqlite::Result<Option<i64>> {
            let of = |class: Class| {
                let is_of_port = class.ports().iter().any(|port| reception.port == Some(port.0));
                class == Class::Bytes || is_of_port
            };
            let mut found = None;
            for class in Class::ALL.into_iter().filter(|class| of(*class)) {
                let at_ms = purged_at(&connection, class)?;
                found = [found, at_ms].into_iter().flatten().min();
            }
            Ok(found)
        };
        look().map_err(self.in_file(day))
    }

    /// The oldest day that still has something of each class, in the order of [`Class::ALL`].
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn oldest_of_each(&self) -> Result<[Option<Day>; Class::ALL.len()], Error> {
        let mut oldest = [None; Class::ALL.len()];
        for day in self.kept_days()? {
            let Some((connection, _)) = self.day(day)? else { continue };
            for (place, class) in Class::ALL.into_iter().enumerate() {
                if oldest[place].is_none()
                    && purged_at(&connection, class).map_err(self.in_file(day))?.is_none()
                {
                    oldest[place] = Some(day);
                }
            }
            if oldest.iter().all(Option::is_some) {
                break;
            }
        }
        Ok(oldest)
    }

    /// Whether what became of the copies of a day was deleted.
    pub(crate) fn has_no_decisions(&self, day: Day) -> Result<bool, Error> {
        let Some((connection, _)) = self.day(day)? else { return Ok(false) };
        let found = purged_at(&connection, Class::Decisions).map_err(self.in_file(day))?;
        Ok(found.is_some())
    }

    /// Days that somebody may be writing to at that moment (Unix ms), of those that are kept: what is read of them is what
    /// there is so far.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open_days(&self, now_ms: i64) -> Result<Vec<Day>, Error> {
        let today = files::day_of(now_ms);
        Ok(self.kept_days()?.into_iter().filter(|day| *day >= today).collect())
    }
}

/// A day's file opened for reading; `None` when there is none, or nothing in it.
pub(crate) fn open(folder: &Path, day: Day) -> Result<Option<Connection>, Error> {
    let file = files::path_of(folder, day);
    Ok(schema::open_for_reading(&file)?.map(|(connection, _)| connection))
}
