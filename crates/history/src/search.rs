//! Looking for receptions, page by page, through the day files, with an end to the work of one page.
//!
//! In a file, indexes are asked for the few rows that can be meant (`candidates`); where they do not narrow it down, rows
//! are gone through in stretches. Either way what SQL let through is asked once more in memory, so the answer is exact,
//! and the page says where it stopped, so that the next one goes on there.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use query::{Condition, Evidence, Needs, Test};
use record::Reception;
use rusqlite::Connection;

use crate::candidates::candidates;
use crate::error::Error;
use crate::files::{self, Day};
use crate::filter::Filter;
use crate::reader::Reader;
use crate::schema::Version;
use crate::{row, said, span, sql};

/// What is looked for, newest first.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// What must hold.
    pub condition: &'a Condition,
    /// What must hold beside it, of the reception by itself: what whoever asks may see.
    pub keep: &'a dyn Fn(&Reception) -> bool,
    /// Where to go on; `None` begins with the newest.
    pub before: Option<Cursor>,
    /// Receptions on the page at most; above `ROWS_MAX` counts as that.
    pub limit: usize,
    /// How much may be done for the page.
    pub effort: Effort,
}

/// How much may be done for one page. What is exceeded ends it early, which the page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Receptions gone through, about.
    pub rows: u64,
    /// Time, about: a stretch that has begun is finished.
    pub time: Duration,
}

impl Effort {
    /// Goes on until the page is full or nothing is left.
    pub const UNBOUNDED: Self = Self { rows: u64::MAX, time: Duration::MAX };
}

/// One page, newest first.
#[derive(Debug, Default)]
pub struct Page {
    /// What was found.
    pub receptions: Vec<Reception>,
    /// Where the next page goes on; `None` when there is nothing older.
    pub next: Option<Cursor>,
    /// Whether the effort ended before the page was full.
    pub is_cut_short: bool,
    /// Receptions gone through, about.
    pub looked_at: u64,
}

/// A place between two receptions: in the file of a day, right before a number. Written as `2026-11-23.4711`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    day: Day,
    before_seq: u64,
}

/// Rows that one page holds at most.
pub const ROWS_MAX: usize = 10_000;
/// Numbers gone through in one stretch: some ten milliseconds.
const STRETCH: i64 = 65_536;
/// Rows fetched in one go: most of them are shown, so not many more than a page.
const FETCHED_MIN: usize = 64;
const FETCHED_MAX: usize = 1_000;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", files::name_of(self.day), self.before_seq)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (day, before_seq) = text.split_once('.').ok_or(())?;
        let before_seq: u64 = before_seq.parse().map_err(|_| ())?;
        i64::try_from(before_seq).map_err(|_| ())?;
        Ok(Self { day: files::parse(day).ok_or(())?, before_seq })
    }
}

impl Reader {
    /// One page of what fulfils the search, newest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn search(&self, search: &Search<'_>) -> Result<Page, Error> {
        let mut work = Work {
            condition: search.condition,
            needs: search.condition.needs(),
            keep: search.keep,
            oldest_first: false,
            limit: search.limit.clamp(1, ROWS_MAX),
            effort: search.effort,
            began: Instant::now(),
            page: Page::default(),
        };
        let mut days = self.days_of(search.condition)?;
        days.retain(|day| search.before.is_none_or(|cursor| *day <= cursor.day));
        for (index, day) in days.into_iter().rev().enumerate() {
            if index > 0 && work.is_exhausted() {
                work.cut_short(Cursor { day, before_seq: i64::MAX as u64 });
                break;
            }
            let Some((connection, version)) = self.day(day)? else { continue };
            let cursor = search.before.filter(|cursor| cursor.day == day);
            let end = cursor.map_or(i64::MAX, |cursor| number(cursor.before_seq));
            let file = InFile { reader: self, connection: &connection, version, day };
            if file.look_through(&mut work, i64::MIN, end).map_err(self.in_file(day))? {
                break;
            }
        }
        Ok(work.page)
    }

    /// The receptions that fulfil the filter: newest first, or oldest first when `after_seq` is set.
    ///
    /// Numbers rise within a day and from day to day. Only when a clock was put back to an earlier day do they not: then
    /// a page that goes on from `before_seq` starts over in the days that came after; nothing is left out of what is
    /// asked for by time.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn log(&self, filter: &Filter) -> Result<Vec<Reception>, Error> {
        if filter.limit == 0 {
            return Ok(Vec::new());
        }
        let times = [filter.since_ms.map(Test::Since), filter.until_ms.map(Test::Until)];
        let times = Condition::All(times.into_iter().flatten().map(Condition::Is).collect());
        let condition = filter.condition.clone().and(times);
        let mut work = Work {
            needs: condition.needs(),
            condition: &condition,
            keep: &|_| true,
            oldest_first: filter.after_seq.is_some(),
            limit: filter.limit.min(ROWS_MAX),
            effort: Effort::UNBOUNDED,
            began: Instant::now(),
            page: Page::default(),
        };
        let mut days = self.days_of(&condition)?;
        if !work.oldest_first {
            days.reverse();
        }
        let first = filter.after_seq.map_or(i64::MIN, |seq| number(seq).saturating_add(1));
        let end = filter.before_seq.map_or(i64::MAX, number);
        for day in days {
            let Some((connection, version)) = self.day(day)? else { continue };
            let file = InFile { reader: self, connection: &connection, version, day };
            if file.look_through(&mut work, first, end).map_err(self.in_file(day))? {
                break;
            }
        }
        Ok(work.page.receptions)
    }

    /// What of one day's file fulfils the condition, oldest first, with numbers above `after` and below `end`.
    pub(crate) fn of_day(
        &self,
        day: Day,
        condition: &Condition,
        (after, end): (i64, i64),
        limit: usize,
    ) -> Result<Vec<Reception>, Error> {
        let Some((connection, version)) = self.day(day)? else { return Ok(Vec::new()) };
        let mut work = Work {
            needs: condition.needs(),
            condition,
            keep: &|_| true,
            oldest_first: true,
            limit: limit.clamp(1, ROWS_MAX),
            effort: Effort::UNBOUNDED,
            began: Instant::now(),
            page: Page::default(),
        };
        let file = InFile { reader: self, connection: &connection, version, day };
        file.look_through(&mut work, after.saturating_add(1), end).map_err(self.in_file(day))?;
        Ok(work.page.receptions)
    }

    pub(crate) fn days_of(&self, condition: &Condition) -> Result<Vec<Day>, Error> {
        let (since_ms, until_ms) = condition.time_range();
        self.days_between(since_ms, until_ms)
    }
}

/// Numbers above are never given; nothing is before or after them.
fn number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// A page in the making.
struct Work<'a> {
    condition: &'a Condition,
    needs: Needs,
    keep: &'a dyn Fn(&Reception) -> bool,
    oldest_first: bool,
    limit: usize,
    effort: Effort,
    began: Instant,
    page: Page,
}

impl Work<'_> {
    /// Rows to fetch next: one more than there is room for, since the page is done only when there is a further one.
    fn fetched(&self) -> usize {
        (self.limit + 1 - self.page.receptions.len()).clamp(FETCHED_MIN, FETCHED_MAX)
    }

    fn is_exhausted(&self) -> bool {
        self.page.looked_at >= self.effort.rows || self.began.elapsed() >= self.effort.time
    }

    fn cut_short(&mut self, next: Cursor) {
        self.page.next = Some(next);
        self.page.is_cut_short = true;
    }

    const fn order(&self) -> &'static str {
        if self.oldest_first { "ASC" } else { "DESC" }
    }
}

struct InFile<'a> {
    reader: &'a Reader,
    connection: &'a Connection,
    version: Version,
    day: Day,
}

impl InFile<'_> {
    /// Looks through the numbers from `first` to before `end`; says whether the page is done.
    fn look_through(&self, work: &mut Work<'_>, first: i64, end: i64) -> rusqlite::Result<bool> {
        if !sql::is_possible(self.connection, work.condition, self.version)? {
            return Ok(false);
        }
        let (since_ms, until_ms) = work.condition.time_range();
        let of_times = span::numbers(self.connection, since_ms, until_ms)?;
        // Numbers begin with 1, so a cursor is never below.
        let (first, end) = (first.max(of_times.0).max(0), end.min(of_times.1));
        if first >= end {
            return Ok(false);
        }
        let holds = sql::compile(work.condition, self.version).on_rows();
        let holds = holds.unwrap_or_else(|| "TRUE".to_owned());
        match candidates(self.connection, self.version, work.condition, first..end)? {
            Some(mut numbers) => {
                if work.oldest_first {
                    numbers.reverse();
                }
                self.look_at(work, &holds, &numbers)
            }
            None => self.look_through_stretches(work, &holds, first, end),
        }
    }

    /// Looks at rows of which the numbers are known.
    fn look_at(&self, work: &mut Work<'_>, holds: &str, numbers: &[i64]) -> rusqlite::Result<bool> {
        let mut left = numbers;
        while !left.is_empty() {
            let (now, later) = left.split_at(left.len().min(work.fetched()));
            left = later;
            let (select, order, list) = (row::SELECT, work.order(), sql::list(now));
            let query = format!("{select} WHERE r.seq IN ({list}) AND ({holds}) ORDER BY r.seq {order}");
            work.page.looked_at += now.len() as u64;
            let found = row::select(self.connection, &query, Vec::new())?;
            if self.take(work, found)? {
                return Ok(true);
            }
            if let (Some(last), true) = (now.last(), work.is_exhausted()) {
                work.cut_short(self.cursor(*last as u64));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes through all rows, stretch by stretch.
    fn look_through_stretches(
        &self,
        work: &mut Work<'_>,
        holds: &str,
        mut first: i64,
        mut end: i64,
    ) -> rusqlite::Result<bool> {
        // Numbers may be missing by the million, where a clock was put back: each stretch begins with one that is there.
        while let Some((start, stop)) = self.stretch(work.oldest_first, first, end)? {
            let (select, order, fetched) = (row::SELECT, work.order(), work.fetched());
            let query = format!(
                "{select} WHERE r.seq IN (SELECT r.seq FROM reception r
                    WHERE r.seq >= {start} AND r.seq < {stop} AND ({holds}) ORDER BY r.seq {order} LIMIT {fetched})
                 ORDER BY r.seq {order}"
            );
            let found = row::select(self.connection, &query, Vec::new())?;
            let last_seq = found.last().filter(|_| found.len() == fetched).map(|last| last.seq as i64);
            let looked_at = if work.oldest_first {
                first = last_seq.map_or(stop, |seq| seq + 1);
                first - start
            } else {
                end = last_seq.unwrap_or(start);
                stop - end
            };
            work.page.looked_at += looked_at as u64;
            if self.take(work, found)? {
                return Ok(true);
            }
            if work.is_exhausted() && first < end {
                work.cut_short(self.cursor(end as u64));
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn stretch(&self, oldest_first: bool, first: i64, end: i64) -> rusqlite::Result<Option<(i64, i64)>> {
        if first >= end {
            return Ok(None);
        }
        Ok(if oldest_first {
            let oldest = span::oldest_from(self.connection, first)?.filter(|oldest| *oldest < end);
            oldest.map(|start| (start, end.min(start + STRETCH)))
        } else {
            let newest = span::newest_below(self.connection, end)?.filter(|newest| *newest >= first);
            newest.map(|newest| (first.max(newest + 1 - STRETCH), newest + 1))
        })
    }

    /// Puts on the page what really fulfils the condition; says whether the page is done.
    fn take(&self, work: &mut Work<'_>, found: Vec<Reception>) -> rusqlite::Result<bool> {
        for reception in found {
            if !self.is_wanted(work, &reception)? {
                continue;
            }
            if work.page.receptions.len() == work.limit {
                work.page.next = Some(self.cursor(reception.seq + 1));
                return Ok(true);
            }
            work.page.receptions.push(reception);
        }
        Ok(false)
    }

    fn is_wanted(&self, work: &Work<'_>, reception: &Reception) -> rusqlite::Result<bool> {
        if !(work.keep)(reception) {
            return Ok(false);
        }
        let said = if work.needs.said { said::said(reception, &self.reader.keyring) } else { None };
        let release = if work.needs.release { row::release(self.connection, reception.seq)? } else { None };
        let evidence = Evidence { reception, said: said.as_deref(), release: release.as_ref() };
        Ok(work.condition.holds(&evidence))
    }

    const fn cursor(&self, before_seq: u64) -> Cursor {
        Cursor { day: self.day, before_seq }
    }
}
