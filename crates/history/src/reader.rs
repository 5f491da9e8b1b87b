//! Finding records again. Opens the files read-only, the newest first, and only as many as an answer needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesh::keyring::Keyring;
use query::Condition;
use record::{Reception, Release};
use rusqlite::Connection;

use crate::error::Error;
use crate::files::{self, Day};
use crate::filter::Filter;
use crate::schema::Version;
use crate::search::ROWS_MAX;
use crate::{row, schema};

/// Reads a history folder; also while another process writes it.
#[derive(Debug, Clone)]
pub struct Reader {
    folder: PathBuf,
    pub(crate) keyring: Arc<Keyring>,
}

impl Reader {
    /// A reader of the folder. A folder that does not exist yet is an empty history.
    ///
    /// # Errors
    /// When the folder cannot be read or its newest file is damaged or newer than this program.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let reader = Self { folder: folder.to_path_buf(), keyring: Arc::default() };
        if let Some(newest) = files::days_in(folder)?.pop() {
            reader.day(newest)?;
        }
        Ok(reader)
    }

    /// With keys that may open what was said, beside those that everybody has.
    #[must_use]
    pub fn with_keyring(self, keyring: Arc<Keyring>) -> Self {
        Self { keyring, ..self }
    }

    /// Every reception of one packet with what became of its copies, oldest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn packet(&self, from: u32, id: u32) -> Result<Vec<(Reception, Option<Release>)>, Error> {
        let condition = Condition::packet(from, id);
        let filter = Filter { after_seq: Some(0), limit: ROWS_MAX, ..Filter::of(condition) };
        let receptions = self.log(&filter)?;
        receptions.into_iter().map(|r| self.release_of(&r).map(|release| (r, release))).collect()
    }

    /// What became of the copies of a reception.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn release_of(&self, reception: &Reception) -> Result<Option<Release>, Error> {
        let day = files::day_of(reception.at_ms);
        // It stands with its reception, which may stand in the next day's file when the clock was put back.
        let is_in_next = reception.at_ms >= files::starts_taking(day + 1);
        for day in day..=day + i64::from(is_in_next) {
            let Some((connection, _)) = self.day(day)? else { continue };
            let found = row::release(&connection, reception.seq).map_err(self.in_file(day))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Shows the files that may hold something since a moment, oldest first.
    pub(crate) fn each_day(
        &self,
        since_ms: i64,
        until_ms: Option<i64>,
        mut visit: impl FnMut(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        for day in self.days_between(Some(since_ms), until_ms)? {
            if let Some((connection, _)) = self.day(day)? {
                visit(&connection).map_err(self.in_file(day))?;
            }
        }
        Ok(())
    }

    /// The days that have a file, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn kept_days(&self) -> Result<Vec<Day>, Error> {
        files::days_in(&self.folder)
    }

    /// The days that may hold something between two moments, oldest first.
    pub(crate) fn days_between(
        &self,
        since_ms: Option<i64>,
        until_ms: Option<i64>,
    ) -> Result<Vec<Day>, Error> {
        let mut days = files::days_in(&self.folder)?;
        days.retain(|day| since_ms.is_none_or(|since| files::start_of(day + 1) > since));
        days.retain(|day| until_ms.is_none_or(|until| files::starts_taking(*day) < until));
        Ok(days)
    }

    /// Opens a day's file; `None` when there is none, or nothing in it.
    pub(crate) fn day(&self, day: Day) -> Result<Option<(Connection, Version)>, Error> {
        let file = files::path_of(&self.folder, day);
        if file.exists() { schema::open_for_reading(&file) } else { Ok(None) }
    }

    pub(crate) fn in_file(&self, day: Day) -> impl FnOnce(rusqlite::Error) -> Error + use<> {
        Error::sqlite(&files::path_of(&self.folder, day))
    }
}
