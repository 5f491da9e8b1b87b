//! How long what is kept: which files and rows are due, and taking them away a file at a time. What is due is gone for good:
//! files are deleted, and files of which a class was deleted are written anew.
//!
//! Files of today and yesterday are the writer's and are never touched.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::class::{self, Class};
use crate::error::Error;
use crate::files::{self, Day};

/// How many days are kept; `None` for ever. Today counts as one, and nothing of today or yesterday is ever deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Keep {
    /// Everything: whole days with all that is in them.
    pub days: Option<u32>,
    /// Who connected from which network address.
    pub connection_days: Option<u32>,
    /// Exact bytes; texts, positions and measurements stand in them and are kept no longer.
    #[serde(default)]
    pub bytes_days: Option<u32>,
    /// What people wrote.
    #[serde(default)]
    pub text_days: Option<u32>,
    /// Where nodes were.
    #[serde(default)]
    pub position_days: Option<u32>,
    /// What nodes measured.
    #[serde(default)]
    pub telemetry_days: Option<u32>,
    /// What became of each copy.
    #[serde(default)]
    pub decision_days: Option<u32>,
    /// What people who asked for something said of themselves.
    #[serde(default)]
    pub owner_days: Option<u32>,
}

/// Days that the writer may still write to.
const WRITERS_DAYS: i64 = 2;
const DAY_MS: i64 = 86_400_000;

impl Keep {
    /// The first day of which something is kept.
    fn first_day(days: Option<u32>, today: Day) -> Option<Day> {
        days.map(|days| today + 1 - i64::from(days).max(WRITERS_DAYS))
    }

    /// Whether nothing of that day is kept.
    pub fn is_due(&self, day: Day, today: Day) -> bool {
        Self::first_day(self.days, today).is_some_and(|first| day < first)
    }

    /// Whether a class of that day is not kept.
    pub fn is_class_due(&self, class: Class, day: Day, today: Day) -> bool {
        Self::first_day(self.days_of(class), today).is_some_and(|first| day < first)
    }

    /// How many days a class is kept: no longer than what it is part of.
    pub fn days_of(&self, class: Class) -> Option<u32> {
        let own = match class {
            Class::Bytes => None,
            Class::Text => self.text_days,
            Class::Position => self.position_days,
            Class::Telemetry => self.telemetry_days,
            Class::Decisions => self.decision_days,
            Class::Connections => self.connection_days,
        };
        let whole = match class {
            Class::Bytes | Class::Text | Class::Position | Class::Telemetry => self.bytes_days,
            Class::Decisions | Class::Connections => None,
        };
        [own, whole, self.days].into_iter().flatten().min()
    }

    /// Personal data of owners from before that moment is due, Unix ms; `None` when it is kept for ever.
    pub fn owners_before_ms(&self, now_ms: i64) -> Option<i64> {
        let days = [self.owner_days, self.days].into_iter().flatten().min()?;
        Some(now_ms - i64::from(days) * DAY_MS)
    }

    /// Alerts, which quote texts, from before that moment are due, Unix ms; `None` when they go by their own time.
    pub fn alerts_before_ms(&self, now_ms: i64) -> Option<i64> {
        self.days_of(Class::Text).map(|days| now_ms - i64::from(days) * DAY_MS)
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
    /// Payloads that were emptied because exact bytes were due.
    #[serde(default)]
    pub bytes: u64,
    /// Payloads that were emptied because they are texts.
    #[serde(default)]
    pub texts: u64,
    /// Payloads that were emptied because they tell places.
    #[serde(default)]
    pub positions: u64,
    /// Payloads that were emptied because they are measurements.
    #[serde(default)]
    pub telemetry: u64,
    /// Lists of what became of copies.
    #[serde(default)]
    pub decisions: u64,
    /// Requests of owners with what they said of themselves.
    #[serde(default)]
    pub owners: u64,
    /// Alerts: what happened, and letters.
    #[serde(default)]
    pub alerts: u64,
}

impl Purged {
    fn add(&mut self, other: &Self) {
        self.days += other.days;
        self.receptions += other.receptions;
        self.connections += other.connections;
        for class in Class::ALL.into_iter().filter(|class| *class != Class::Connections) {
            *self.of_mut(class) += other.of(class);
        }
        self.owners += other.owners;
        self.alerts += other.alerts;
    }

    /// How much of a class.
    pub const fn of(&self, class: Class) -> u64 {
        match class {
            Class::Bytes => self.bytes,
            Class::Text => self.texts,
            Class::Position => self.positions,
            Class::Telemetry => self.telemetry,
            Class::Decisions => self.decisions,
            Class::Connections => self.connections,
        }
    }

    const fn of_mut(&mut self, class: Class) -> &mut u64 {
        match class {
            Class::Bytes => &mut self.bytes,
            Class::Text => &mut self.texts,
            Class::Position => &mut self.positions,
            Class::Telemetry => &mut self.telemetry,
            Class::Decisions => &mut self.decisions,
            Class::Connections => &mut self.connections,
        }
    }

    /// It in words, for people.
    pub fn in_words(&self) -> String {
        if *self == Self::default() {
            return "nothing".to_owned();
        }
        let mut parts = Vec::new();
        if self.days > 0 {
            parts.push(format!("{} days with {} receptions", self.days, self.receptions));
        }
        for (count, what) in [
            (self.bytes, "payloads"),
            (self.texts, "texts"),
            (self.positions, "positions"),
            (self.telemetry, "measurements"),
            (self.decisions, "lists of copies"),
            (self.connections, "connection events"),
            (self.owners, "requests of owners"),
            (self.alerts, "alerts"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        parts.join(", ")
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

/// What would be taken away of the history at that moment (Unix ms), without touching anything.
///
/// # Errors
/// When a file cannot be read.
pub fn due(folder: &Path, keep: Keep, now_ms: i64, is_pinned: impl Fn(Day) -> bool) -> Result<Purged, Error> {
    let mut due = Purged::default();
    each(folder, keep, now_ms, is_pinned, |day, what| {
        due.add(&counts(folder, day, &what)?);
        Ok(())
    })?;
    Ok(due)
}

/// Takes away what is due at that moment (Unix ms), in short steps with a pause after each that the caller makes.
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
    each(folder, keep, now_ms, is_pinned, |day, what| {
        match &what {
            Due::All => {
                purged.add(&counts(folder, day, &what)?);
                delete(&files::path_of(folder, day))?;
            }
            Due::Classes(classes) => {
                let mut of_file = Purged::default();
                for (class, rows) in class::delete(folder, day, classes, now_ms, &mut pause)? {
                    *of_file.of_mut(class) += rows;
                }
                purged.add(&of_file);
            }
        }
        pause();
        Ok(())
    })?;
    Ok(purged)
}

/// What of a day is due.
enum Due {
    All,
    Classes(Vec<Class>),
}

/// Shows every day of which something is due, the oldest first, with what.
fn each(
    folder: &Path,
    keep: Keep,
    now_ms: i64,
    is_pinned: impl Fn(Day) -> bool,
    mut visit: impl FnMut(Day, Due) -> Result<(), Error>,
) -> Result<(), Error> {
    let today = files::day_of(now_ms);
    for day in files::days_in(folder)? {
        let is_pinned = is_pinned(day);
        if keep.is_due(day, today) && !is_pinned {
            visit(day, Due::All)?;
            continue;
        }
        // An incident keeps what it is about, and not who connected from where.
        let may_go = |class: &Class| !is_pinned || *class == Class::Connections;
        let mut classes: Vec<Class> = Class::ALL
            .into_iter()
            .filter(may_go)
            .filter(|class| keep.is_class_due(*class, day, today))
            .collect();
        if classes.is_empty() {
            continue;
        }
        let Some(connection) = class::open(folder, day)? else { continue };
        let is_there = |class: &Class| class::purged_at(&connection, *class).map(|at_ms| at_ms.is_none());
        let mut left = Vec::new();
        for class in classes.drain(..) {
            if is_there(&class).map_err(Error::sqlite(&files::path_of(folder, day)))? {
                left.push(class);
            }
        }
        drop(connection);
        if !left.is_empty() {
            visit(day, Due::Classes(left))?;
        }
    }
    Ok(())
}

fn counts(folder: &Path, day: Day, due: &Due) -> Result<Purged, Error> {
    let file = files::path_of(folder, day);
    let is_whole = matches!(due, Due::All);
    let mut counted = Purged { days: u64::from(is_whole), ..Purged::default() };
    let Some(connection) = class::open(folder, day)? else { return Ok(counted) };
    let count = || -> rusqlite::Result<Purged> {
        match due {
            Due::All => {
                let query = "SELECT count(*) FROM reception";
                counted.receptions = connection.query_row(query, [], |row| row.get(0))?;
                counted.connections = class::count(&connection, Class::Connections)?;
            }
            Due::Classes(classes) => {
                for class in classes {
                    *counted.of_mut(*class) = class::count(&connection, *class)?;
                }
                // Exact bytes are deleted first, and what stands in them is gone with them.
                if classes.contains(&Class::Bytes) {
                    (counted.texts, counted.positions, counted.telemetry) = (0, 0, 0);
                }
            }
        }
        Ok(counted)
    };
    count().map_err(Error::sqlite(&file))
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
