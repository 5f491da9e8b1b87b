//! Who changed what and when. Holds no secrets and no contact data.

use rusqlite::{Connection, params};

use crate::StoreError;
use crate::store::{Store, stored};

/// One line of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Who: `command line`, `operator`, `setup link`.
    pub actor: String,
    /// What was done, in one word, for filters.
    pub action: String,
    /// Which credential or login it was done to.
    pub subject: String,
    /// The same as a sentence.
    pub words: String,
}

impl Store {
    /// Reads the newest lines of the audit, newest first.
    pub fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let read = || -> rusqlite::Result<Vec<AuditEntry>> {
            self.connection
                .prepare("SELECT at_ms, actor, action, subject, words FROM audit ORDER BY id DESC LIMIT ?1")?
                .query_map([limit], |row| {
                    let at_ms: i64 = row.get(0)?;
                    Ok(AuditEntry {
                        at_ms: u64::try_from(at_ms).unwrap_or(0),
                        actor: row.get(1)?,
                        action: row.get(2)?,
                        subject: row.get(3)?,
                        words: row.get(4)?,
                    })
                })?
                .collect()
        };
        read().map_err(|source| self.during("read", source))
    }
}

pub(crate) fn write(
    connection: &Connection,
    at_ms: u64,
    actor: &str,
    action: &str,
    subject: &str,
    words: &str,
) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO audit (at_ms, actor, action, subject, words) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![stored(at_ms), actor, action, subject, words],
        )
        .map(|_| ())
}
