//! Which numbers of a day file a stretch of time may have, found without an index on times: they rise together.

use rusqlite::{Connection, OptionalExtension};

use crate::schema::CLOCK_SLACK_MS;

/// The numbers, from and to before, outside of which nothing of the file lies between the moments, Unix ms. Within, times
/// still have to be looked at.
pub fn numbers(
    connection: &Connection,
    since_ms: Option<i64>,
    until_ms: Option<i64>,
) -> rusqlite::Result<(i64, i64)> {
    let (mut first, mut end) = (i64::MIN, i64::MAX);
    if (since_ms.is_none() && until_ms.is_none()) || was_clock_put_back(connection)? {
        return Ok((first, end));
    }
    if let Some(since_ms) = since_ms {
        first = around(connection, since_ms.saturating_sub(CLOCK_SLACK_MS))?.0.saturating_add(1);
    }
    if let Some(until_ms) = until_ms {
        end = around(connection, until_ms.saturating_add(CLOCK_SLACK_MS))?.1.saturating_add(1);
    }
    Ok((first, end))
}

/// The highest number below one.
pub fn newest_below(connection: &Connection, end: i64) -> rusqlite::Result<Option<i64>> {
    let mut query = connection.prepare_cached("SELECT max(seq) FROM reception WHERE seq < ?1")?;
    query.query_row([end], |row| row.get(0))
}

/// The lowest number from one on.
pub fn oldest_from(connection: &Connection, first: i64) -> rusqlite::Result<Option<i64>> {
    let mut query = connection.prepare_cached("SELECT min(seq) FROM reception WHERE seq >= ?1")?;
    query.query_row([first], |row| row.get(0))
}

fn was_clock_put_back(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM clock_put_back)", [], |row| row.get(0))
}

/// Two neighbours found by halving: a reception before the moment (or a number below all) and one not before it (or a
/// number above all). Since times rise with the numbers give or take the slack, everything up to the first is earlier
/// than the moment plus slack, and everything from the second on is not earlier than the moment less slack.
fn around(connection: &Connection, at_ms: i64) -> rusqlite::Result<(i64, i64)> {
    // Two queries in one: SQLite finds both ends at once only by reading everything between.
    let ends =
        "SELECT coalesce((SELECT min(seq) FROM reception), 0), coalesce((SELECT max(seq) FROM reception), 0)";
    let (first, last): (i64, i64) = connection.query_row(ends, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut next =
        connection.prepare_cached("SELECT seq, at_ms FROM reception WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    let (mut earlier, mut later) = (first - 1, last + 1);
    while later - earlier > 1 {
        let middle = earlier + (later - earlier) / 2;
        let found: Option<(i64, i64)> =
            next.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match found {
            Some((seq, at)) if at < at_ms => earlier = seq,
            // Numbers may be missing between the middle and what was found.
            _ => later = middle,
        }
    }
    Ok((earlier, later))
}
