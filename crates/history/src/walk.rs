//! Going through everything that fulfils a condition, oldest first, a page at a time: each day's file is opened for its own
//! pages only, and nothing is left out where a clock was put back.

use std::collections::VecDeque;

use query::Condition;
use record::Reception;

use crate::error::Error;
use crate::files::Day;
use crate::filter::Filter;
use crate::reader::Reader;

/// Where somebody is who goes through a history.
#[derive(Debug)]
pub struct Walk {
    reader: Reader,
    condition: Condition,
    days: VecDeque<Day>,
    after: i64,
    end: i64,
    newest_ms: i64,
}

impl Walk {
    /// Begins with the oldest that fulfils the condition, and ends with what stands in the files now: a server that
    /// writes faster than this reads must not keep it going for ever.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn begin(reader: &Reader, condition: Condition) -> Result<Self, Error> {
        let newest = reader.log(&Filter { limit: 1, ..Filter::default() })?;
        let newest = newest.first();
        let end = newest.map_or(0, |row| i64::try_from(row.seq).unwrap_or(i64::MAX).saturating_add(1));
        let newest_ms = newest.map_or(0, |row| row.at_ms);
        let days = reader.days_of(&condition)?.into();
        Ok(Self { reader: reader.clone(), condition, days, after: -1, end, newest_ms })
    }

    /// When the newest came that stood in the files when this began, Unix ms; 0 when nothing did.
    pub const fn newest_ms(&self) -> i64 {
        self.newest_ms
    }

    /// What comes next, up to so many; nothing when everything was seen.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn next_page(&mut self, limit: usize) -> Result<Vec<Reception>, Error> {
        while let Some(day) = self.days.front().copied() {
            let page = self.reader.of_day(day, &self.condition, (self.after, self.end), limit)?;
            if let Some(last) = page.last() {
                self.after = i64::try_from(last.seq).unwrap_or(i64::MAX);
                return Ok(page);
            }
            self.days.pop_front();
            self.after = -1;
        }
        Ok(Vec::new())
    }
}
