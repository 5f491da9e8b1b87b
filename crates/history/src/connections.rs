//! When a gateway came and went, found again newest first. Addresses stay in the files.

use rusqlite::params;

use crate::error::Error;
use crate::reader::Reader;

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It signed in.
    In,
    /// It was turned away.
    Refused,
    /// It went.
    Out,
    /// It is not where it was.
    Moved,
}

/// One change of a gateway's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionChange {
    /// When, Unix ms.
    pub at_ms: i64,
    /// What happened.
    pub came: Came,
    /// The MQTT version of who came, else why, in plain words.
    pub detail: String,
}

impl Reader {
    /// Changes of a gateway's connection between two moments (Unix ms; the first included, the second not), newest first,
    /// so many at most.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn connections_of(
        &self,
        gateway: u32,
        since_ms: i64,
        until_ms: i64,
        count: usize,
    ) -> Result<Vec<ConnectionChange>, Error> {
        let mut found = Vec::new();
        for day in self.days_between(Some(since_ms), Some(until_ms))?.into_iter().rev() {
            let Some((connection, _)) = self.day(day)? else { continue };
            let left = count - found.len();
            let each = || -> rusqlite::Result<()> {
                // The table is in the order of times and small beside that of receptions.
                let mut select = connection.prepare(
                    "SELECT c.at_ms, c.kind, w.text FROM connection c JOIN word w ON w.id = c.detail
                     WHERE c.gateway = ?1 AND c.at_ms >= ?2 AND c.at_ms < ?3 ORDER BY c.at_ms DESC LIMIT ?4",
                )?;
                let rows = select.query_map(params![gateway, since_ms, until_ms, left as i64], |row| {
                    let came = match row.get::<_, i64>(1)? {
                        0 => Came::In,
                        1 => Came::Refused,
                        3 => Came::Moved,
                        _ => Came::Out,
                    };
                    Ok(ConnectionChange { at_ms: row.get(0)?, came, detail: row.get(2)? })
                })?;
                for row in rows {
                    found.push(row?);
                }
                Ok(())
            };
            let mut each = each;
            each().map_err(self.in_file(day))?;
            if found.len() >= count {
                break;
            }
        }
        Ok(found)
    }
}
