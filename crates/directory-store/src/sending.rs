//! What services may have sent, on disk.

use directory::{Sending, SendingApplied, SendingCommand, Sendings};
use rusqlite::{Connection, params};

use crate::StoreError;
use crate::audit;
use crate::store::{Store, begin_write, read_directory, stored};

/// Between the names of channels; no name has it.
const BETWEEN: char = '\0';

impl Store {
    /// Judges a command about what services may have sent against the present state and makes it durable, with a line in
    /// the audit.
    ///
    /// `actor` is who asked, in words for the audit; `now_ms` is milliseconds since 1970 UTC.
    ///
    /// # Errors
    /// When the directory refuses the command, or the file cannot be written.
    pub fn apply_sending(
        &mut self,
        command: SendingCommand,
        actor: &str,
        now_ms: u64,
    ) -> Result<SendingApplied, StoreError> {
        let path = self.path.clone();
        let writing = begin_write(&mut self.connection, &path)?;
        let before = read_directory(&writing, &path)?;
        let applied = before.apply_sending(command, now_ms).map_err(StoreError::Sending)?;
        write(&writing, applied.directory.sendings())
            .and_then(|()| {
                audit::write(&writing, now_ms, actor, applied.action, &applied.subject, &applied.event)
            })
            .and_then(|()| writing.commit())
            .map_err(|source| StoreError::during("write", &path, source))?;
        Ok(applied)
    }
}

pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Sendings> {
    let mut statement = connection.prepare("SELECT service, channels, per_hour, since_ms FROM sending")?;
    let rows = statement.query_map([], |row| {
        let channels: String = row.get(1)?;
        let channels = channels.split(BETWEEN).map(str::to_owned).collect();
        Ok((row.get(0)?, Sending { channels, per_hour: row.get(2)?, since_ms: row.get(3)? }))
    })?;
    rows.collect()
}

/// Writes all of it anew: it is small, and edits are rare.
fn write(connection: &Connection, sendings: &Sendings) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM sending", [])?;
    for (service, Sending { channels, per_hour, since_ms }) in sendings {
        let channels = channels.join(&BETWEEN.to_string());
        connection.execute(
            "INSERT INTO sending (service, channels, per_hour, since_ms) VALUES (?1, ?2, ?3, ?4)",
            params![service, channels, per_hour, stored(*since_ms)],
        )?;
    }
    Ok(())
}
