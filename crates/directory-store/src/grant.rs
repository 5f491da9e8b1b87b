//! Grants and releases from holds, on disk.

use std::collections::BTreeSet;

use directory::{GatewayId, Grant, GrantApplied, GrantCommand, Grants};
use rusqlite::{Connection, params};

use crate::StoreError;
use crate::audit;
use crate::store::{Store, begin_write, read_directory, stored};

impl Store {
    /// Judges a command about grants and holds against the present state and makes it durable, with a line in the audit.
    ///
    /// `actor` is who asked, in words for the audit; `now_ms` is milliseconds since 1970 UTC.
    ///
    /// # Errors
    /// When the command makes no sense or the file cannot be written; nothing has changed then.
    pub fn apply_grant(
        &mut self,
        command: GrantCommand,
        actor: &str,
        now_ms: u64,
    ) -> Result<GrantApplied, StoreError> {
        let path = self.path.clone();
        let writing = begin_write(&mut self.connection, &path)?;
        let before = read_directory(&writing, &path)?;
        let applied = before.apply_grant(command, now_ms).map_err(StoreError::Grant)?;
        write(&writing, applied.directory.grants())
            .and_then(|()| {
                audit::write(&writing, now_ms, actor, applied.action, &applied.subject, &applied.event)
            })
            .and_then(|()| writing.commit())
            .map_err(|source| StoreError::during("write", &path, source))?;
        Ok(applied)
    }
}

pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Grants> {
    let mut grants = Grants::default();
    let query = "SELECT gateway, channels, downlink, telemetry, ports, until_ms, since_ms, by, note, telemetry_ms, downlink_channels, downlink_ms FROM grants";
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (channels, ports, down): (String, String, String) = (row.get(1)?, row.get(4)?, row.get(10)?);
        let grant = Grant {
            channels: lines(&channels).map(str::to_owned).collect(),
            downlink: row.get(2)?,
            downlink_channels: lines(&down).map(str::to_owned).collect(),
            downlink_ms: row.get(11)?,
            telemetry: row.get(3)?,
            telemetry_ms: row.get(9)?,
            ports: lines(&ports).filter_map(|port| port.parse().ok()).collect::<BTreeSet<u32>>(),
            until_ms: row.get(5)?,
            since_ms: row.get(6)?,
            by: row.get(7)?,
            note: row.get(8)?,
        };
        grants.gateways.insert(GatewayId(row.get(0)?), grant);
    }
    let mut statement = connection.prepare("SELECT number, at_ms FROM hold_released")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        grants.released.insert(row.get(0)?, row.get(1)?);
    }
    Ok(grants)
}

/// Channel names hold no control characters, so a line each keeps them apart.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty())
}

/// Writes all of it anew: it is small, and edits are rare.
pub(crate) fn write(connection: &Connection, grants: &Grants) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM grants; DELETE FROM hold_released;")?;
    for (gateway, grant) in &grants.gateways {
        let as_lines =
            |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        let ports = grant.ports.iter().map(u32::to_string).collect::<Vec<_>>().join("\n");
        connection.execute(
            "INSERT INTO grants (gateway, channels, downlink, telemetry, ports, until_ms, since_ms, by, note, telemetry_ms,
               downlink_channels, downlink_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                gateway.0,
                as_lines(&grant.channels),
                grant.downlink,
                grant.telemetry,
                ports,
                grant.until_ms.map(stored),
                stored(grant.since_ms),
                grant.by,
                grant.note,
                grant.telemetry_ms,
                as_lines(&grant.downlink_channels),
                grant.downlink_ms
            ],
        )?;
    }
    for (number, at_ms) in &grants.released {
        let insert = "INSERT INTO hold_released (number, at_ms) VALUES (?1, ?2)";
        connection.execute(insert, params![number, stored(*at_ms)])?;
    }
    Ok(())
}
