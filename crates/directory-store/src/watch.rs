//! Quarantine and reviews, on disk.

use directory::{GatewayId, Quarantine, Watch, WatchApplied, WatchCommand};
use rusqlite::{Connection, params};

use crate::StoreError;
use crate::audit;
use crate::store::{Store, begin_write, read_directory};

impl Store {
    /// Judges a command about quarantine or a review against the present state and makes it durable, with a line in the
    /// audit.
    ///
    /// `actor` is who asked, in words for the audit; `now_ms` is Unix milliseconds.
    ///
    /// # Errors
    /// When the directory refuses the command, or the file cannot be written.
    pub fn apply_watch(
        &mut self,
        command: WatchCommand,
        actor: &str,
        now_ms: i64,
    ) -> Result<WatchApplied, StoreError> {
        let path = self.path.clone();
        let writing = begin_write(&mut self.connection, &path)?;
        let before = read_directory(&writing, &path)?;
        let applied = before.apply_watch(command, now_ms).map_err(StoreError::Watch)?;
        let (at_ms, subject) = (u64::try_from(now_ms).unwrap_or(0), applied.subject.to_string());
        write(&writing, applied.directory.watch())
            .and_then(|()| audit::write(&writing, at_ms, actor, applied.action, &subject, &applied.event))
            .and_then(|()| writing.commit())
            .map_err(|source| StoreError::during("write", &path, source))?;
        Ok(applied)
    }
}

pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Watch> {
    let mut watch = Watch::default();
    let mut nodes = connection.prepare("SELECT node, since_ms, reason FROM quarantine")?;
    let mut rows = nodes.query([])?;
    while let Some(row) = rows.next()? {
        let kept = Quarantine { since_ms: row.get(1)?, reason: row.get(2)? };
        watch.quarantined.insert(GatewayId(row.get(0)?), kept);
    }
    let mut reviews = connection.prepare("SELECT gateway, at_ms FROM review")?;
    let mut rows = reviews.query([])?;
    while let Some(row) = rows.next()? {
        watch.reviews.insert(GatewayId(row.get(0)?), row.get(1)?);
    }
    Ok(watch)
}

/// Writes all of it anew: it is small, and edits are rare.
fn write(connection: &Connection, watch: &Watch) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM quarantine; DELETE FROM review;")?;
    for (node, kept) in &watch.quarantined {
        let insert = "INSERT INTO quarantine (node, since_ms, reason) VALUES (?1, ?2, ?3)";
        connection.execute(insert, params![node.0, kept.since_ms, kept.reason])?;
    }
    for (gateway, at_ms) in &watch.reviews {
        connection
            .execute("INSERT INTO review (gateway, at_ms) VALUES (?1, ?2)", params![gateway.0, at_ms])?;
    }
    Ok(())
}
