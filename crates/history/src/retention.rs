//! How long what is kept: which files and rows are due, and taking them away a file at a time. What is due is gone for good:
//! files are deleted, and rows are written over.
//!
//! Files of today and yesterday are the writer's and are never touched.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files::{self, Day};

/// How many days are kept; `None` for ever. Today counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Keep {
    /// Everything: receptions with their bytes, decisions, copies.
    pub days: Option<u32>,
    /// Who connected from which network address; never longer than everything.
    pub connection_days: Option<u32>,
}

/// Days that the writer may still write to.
const WRITERS_DAYS: i64 = 2;

impl Keep {
    /// The first day of which something is kept.
    fn first_day(days: Option<u32>, today: Day) -> Option<Day> {
        days.map(|days| today + 1 - i64::from(days).max(WRITERS_DAYS))
    }

    /// Whether nothing of that day is kept.
    pub fn is_due(&self, day: Day, today: Day) -> bool {
        Self::first_day(self.days, today).is_some_and(|first| day < first)
    }

    /// Whether connections of that day are not kept.
    pub fn are_connections_due(&self, day: Day, today: Day) -> bool {
        Self::first_day(self.connection_days, today).is_some_and(|first| day < first)
    }
}

/// What was taken away, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Whole days.
    pub days: u64,
    /// Receptions in them.
    pub receptions: u64,
    /// Connection events, those of whole days included.
    pub connections: u64,
}

impl Purged {
    fn add(&mut self, other: &Self) {
        self.days += other.days;
        self.receptions += other.receptions;
        self.connections += other.connections;
    }
}

/// The latest purge, as it is published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPurge {
    /// When it ended, Unix ms.
    pub at_ms: i64,
    /// What it took away.
    pub purged: Purged,
    /// The latest one that took anything away: when, and what.
    pub latest_loss: Option<(i64, Purged)>,
}

/// Whether anything of a day lies in one of these stretches (Unix ms, the second moment not included).
pub fn is_in(spans: &[(i64, i64)], day: Day) -> bool {
    spans.iter().any(|(since_ms, until_ms)| {
        (files::day_of(*since_ms)..=files::day_of(until_ms.saturating_sub(1))).contains(&day)
    })
}

/// What would be taken away at that moment (Unix ms), without touching anything.
///
/// # Errors
/// When a file cannot be read.
pub fn due(folder: &Path, keep: Keep, now_ms: i64, is_pinned: impl Fn(Day) -> bool) -> Result<Purged, Error> {
    let mut due = Purged::default();
    each(folder, keep, now_ms, is_pinned, |file, is_whole| {
        due.add(&counts(&file, is_whole)?);
        Ok(())
    })?;
    Ok(due)
}

/// Takes away what is due at that moment (Unix ms), a file at a time, with a pause in between that the caller makes.
///
/// # Errors
/// When a file cannot be read or deleted; what was done until then stays done.
pub fn purge(
    folder: &Path,
    keep: Keep,
    now_ms: i64,
    is_pinned: impl Fn(Day) -> bool,
    mut pause: impl FnMut(),
) -> Result<Purged, Error> {
    let mut purged = Purged::default();
    each(folder, keep, now_ms, is_pinned, |file, is_whole| {
        let of_file = counts(&file, is_whole)?;
        match is_whole {
            true => delete(&file)?,
            false if of_file.connections > 0 => delete_connections(&file)?,
            false => return Ok(()),
        }
        purged.add(&of_file);
        pause();
        Ok(())
    })?;
    Ok(purged)
}

/// Shows every file of which something is due, the oldest first, with whether all of it is.
fn each(
    folder: &Path,
    keep: Keep,
    now_ms: i64,
    is_pinned: impl Fn(Day) -> bool,
    mut visit: impl FnMut(PathBuf, bool) -> Result<(), Error>,
) -> Result<(), Error> {
    let today = files::day_of(now_ms);
    for day in files::days_in(folder)? {
        let is_whole = keep.is_due(day, today) && !is_pinned(day);
        if is_whole || keep.are_connections_due(day, today) {
            visit(files::path_of(folder, day), is_whole)?;
        }
    }
    Ok(())
}

fn counts(file: &Path, is_whole: bool) -> Result<Purged, Error> {
    let failed = |error| Error::sqlite(file)(error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(failed)?;
    let count = |table: &str| -> rusqlite::Result<u64> {
        if !connection.table_exists(None, table)? {
            return Ok(0);
        }
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
    };
    let receptions = if is_whole { count("reception").map_err(failed)? } else { 0 };
    Ok(Purged { days: u64::from(is_whole), receptions, connections: count("connection").map_err(failed)? })
}

fn delete(file: &Path) -> Result<(), Error> {
    // What is beside it goes first: alone it would be nonsense, the file alone is not.
    for name in ["-wal", "-shm", ""] {
        let mut path = file.as_os_str().to_owned();
        path.push(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Io(PathBuf::from(path), error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The events, and the words that were addresses and nothing else.
const DELETE_CONNECTIONS: &str = "
    BEGIN IMMEDIATE;
    CREATE TEMP TABLE gone AS SELECT DISTINCT address AS id FROM connection;
    DELETE FROM connection;
    DELETE FROM word WHERE id IN (SELECT id FROM gone)
        AND id NOT IN (SELECT client FROM source UNION SELECT username FROM source UNION SELECT topic FROM source
            UNION SELECT channel FROM source UNION SELECT sentence FROM judgement);
    DROP TABLE gone;
    COMMIT;";

/// Deletes the connection events of a file and writes over where they stood.
fn delete_connections(file: &Path) -> Result<(), Error> {
    let delete = || -> rusqlite::Result<()> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.execute_batch(DELETE_CONNECTIONS)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    delete().map_err(Error::sqlite(file))
}

/// Name of the file in the data folder that says what the latest purge did.
pub const LAST_PURGE_FILE: &str = "retention.json";

/// The latest purge of a data folder; `None` when there was none yet or what is kept of it cannot be read.
pub fn last_purge(data: &Path) -> Option<LastPurge> {
    serde_json::from_slice(&std::fs::read(data.join(LAST_PURGE_FILE)).ok()?).ok()
}

/// Notes a purge in a data folder.
///
/// # Errors
/// When the file cannot be written.
pub fn note_purge(data: &Path, at_ms: i64, purged: Purged) -> Result<LastPurge, Error> {
    let before = last_purge(data).and_then(|last| last.latest_loss);
    let took_something = purged != Purged::default();
    let latest_loss = if took_something { Some((at_ms, purged.clone())) } else { before };
    let last = LastPurge { at_ms, purged, latest_loss };
    let (file, next) = (data.join(LAST_PURGE_FILE), data.join("retention.json.new"));
    let text = serde_json::to_vec_pretty(&last).map_err(|error| Error::Io(file.clone(), error.into()))?;
    let written = std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, &file));
    written.map_err(|error| Error::Io(file, error))?;
    Ok(last)
}
