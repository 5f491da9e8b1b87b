//! The operator's word on downlink, on disk.

use directory::{Downlink, DownlinkApplied, DownlinkCommand, GatewayId, IslandNumber};
use rusqlite::{Connection, params};

use crate::StoreError;
use crate::audit;
use crate::store::{Store, begin_write, read_directory, stored};

impl Store {
    /// Judges a command about downlink against the present state and makes it durable, with a line in the audit.
    ///
    /// `actor` is who asked, in words for the audit; `now_ms` is milliseconds since 1970 UTC.
    pub fn apply_downlink(
        &mut self,
        command: DownlinkCommand,
        actor: &str,
        now_ms: u64,
    ) -> Result<DownlinkApplied, StoreError> {
        let path = self.path.clone();
        let writing = begin_write(&mut self.connection, &path)?;
        let before = read_directory(&writing, &path)?;
        let applied = before.apply_downlink(command, now_ms).map_err(StoreError::Downlink)?;
        write(&writing, applied.directory.downlink())
            .and_then(|()| {
                audit::write(&writing, now_ms, actor, applied.action, &applied.subject, &applied.event)
            })
            .and_then(|()| writing.commit())
            .map_err(|source| StoreError::during("write", &path, source))?;
        Ok(applied)
    }
}

pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Downlink> {
    let mut downlink = Downlink::default();
    let mut stops = connection.prepare("SELECT island, since_ms FROM downlink_stop")?;
    let mut rows = stops.query([])?;
    while let Some(row) = rows.next()? {
        let since_ms: u64 = row.get(1)?;
        match row.get::<_, Option<u32>>(0)? {
            None => downlink.stopped_ms = Some(since_ms),
            Some(island) => drop(downlink.stopped_islands.insert(IslandNumber(island), since_ms)),
        }
    }
    let mut asked = connection.prepare("SELECT gateway, at_ms FROM downlink_asked")?;
    let mut rows = asked.query([])?;
    while let Some(row) = rows.next()? {
        downlink.asked.insert(GatewayId(row.get(0)?), row.get(1)?);
    }
    Ok(downlink)
}

/// Writes all of it anew: it is small, and edits are rare.
fn write(connection: &Connection, downlink: &Downlink) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM downlink_stop; DELETE FROM downlink_asked;")?;
    let everywhere = downlink.stopped_ms.map(|since_ms| (None, since_ms));
    let islands = downlink.stopped_islands.iter().map(|(island, since_ms)| (Some(island.0), *since_ms));
    for (island, since_ms) in everywhere.into_iter().chain(islands) {
        let insert = "INSERT INTO downlink_stop (island, since_ms) VALUES (?1, ?2)";
        connection.execute(insert, params![island, stored(since_ms)])?;
    }
    for (gateway, at_ms) in &downlink.asked {
        let insert = "INSERT INTO downlink_asked (gateway, at_ms) VALUES (?1, ?2)";
        connection.execute(insert, params![gateway.0, stored(*at_ms)])?;
    }
    Ok(())
}
