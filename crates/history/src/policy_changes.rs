//! Changes of the policy: stored in the file of their day, found again newest first.
//!
//! The table is made with its first row, so that files from before it need no upgrade.

use std::sync::Arc;

use record::PolicyChange;
use rusqlite::{Connection, params};

use crate::error::Error;
use crate::reader::Reader;

const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS policy_change (
        at_ms INTEGER NOT NULL,
        who TEXT NOT NULL,
        changes TEXT NOT NULL,
        private_changes TEXT NOT NULL,
        content TEXT NOT NULL,
        PRIMARY KEY (at_ms, content)
    ) STRICT";

/// Changes that one answer holds at most.
const CHANGES_MAX: usize = 1_000;

/// Stores one change; a second time changes nothing.
pub fn store(connection: &Connection, change: &PolicyChange) -> rusqlite::Result<()> {
    connection.execute_batch(CREATE)?;
    let mut insert =
        connection.prepare_cached("INSERT OR IGNORE INTO policy_change VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let lines = |lines: &[String]| lines.join("\n");
    let values = params![
        change.at_ms,
        change.who,
        lines(&change.changes),
        lines(&change.private_changes),
        change.text
    ];
    insert.execute(values).map(drop)
}

impl Reader {
    /// The changes of the policy between two moments (Unix ms; the first included, the second not), newest first, a
    /// thousand at most.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn policy_changes(&self, since_ms: i64, until_ms: i64) -> Result<Vec<PolicyChange>, Error> {
        let mut found = Vec::new();
        self.each_day(since_ms, None, |connection| {
            let has_table = connection.table_exists(None, "policy_change")?;
            if !has_table {
                return Ok(());
            }
            let mut select = connection.prepare_cached(
                "SELECT at_ms, who, changes, private_changes, content FROM policy_change
                 WHERE at_ms >= ?1 AND at_ms < ?2",
            )?;
            let rows = select.query_map([since_ms, until_ms], |row| {
                let text = |column: usize| row.get::<_, String>(column).map(Arc::<str>::from);
                let lines = |column: usize| {
                    row.get::<_, String>(column).map(|text| text.lines().map(str::to_owned).collect())
                };
                Ok(PolicyChange {
                    at_ms: row.get(0)?,
                    who: text(1)?,
                    changes: lines(2)?,
                    private_changes: lines(3)?,
                    text: text(4)?,
                })
            })?;
            for row in rows {
                found.push(row?);
            }
            Ok(())
        })?;
        found.sort_by_key(|change| std::cmp::Reverse(change.at_ms));
        found.truncate(CHANGES_MAX);
        Ok(found)
    }
}
