//! Files of an earlier schema made into today's, in one transaction: whoever reads sees the old file or the new one.

use std::collections::HashSet;

use foldhash::quality::RandomState;
use mesh::keyring::Keyring;
use rusqlite::{Connection, params};

use crate::insert::{Ids, Insert, fate_of};
use crate::schema::CREATE_TWO;
use crate::{copies, row};

/// Rows read in one go.
const ROWS: i64 = 2_000;

/// Version 1 to 2: fills the further columns, rollups, texts and names from what is stored.
pub fn to_two(connection: &mut Connection, keyring: &Keyring) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(&format!(
        "ALTER TABLE reception ADD COLUMN hops INTEGER;
         ALTER TABLE reception ADD COLUMN rssi INTEGER;
         ALTER TABLE release ADD COLUMN fate INTEGER;
         DROP INDEX reception_source;
         {CREATE_TWO}
         PRAGMA user_version = 2;"
    ))?;
    let first_of_each: HashSet<i64, RandomState> = {
        let mut query =
            transaction.prepare("SELECT min(seq) FROM reception GROUP BY coalesce(body, -seq)")?;
        let found: rusqlite::Result<_> = query.query_map([], |row| row.get(0))?.collect();
        found?
    };
    let mut ids = Ids::default();
    let mut insert = Insert::new(&transaction, &mut ids, keyring)?;
    let mut after = i64::MIN;
    loop {
        let query = format!("{} WHERE r.seq > {after} ORDER BY r.seq LIMIT {ROWS}", row::SELECT);
        let receptions = row::select(&transaction, &query, Vec::new())?;
        let Some(last) = receptions.last() else { break };
        after = last.seq as i64;
        let mut update =
            transaction.prepare_cached("UPDATE reception SET hops = ?2, rssi = ?3 WHERE seq = ?1")?;
        for reception in &receptions {
            let seq = reception.seq as i64;
            let packet = reception.packet;
            let (hops, rssi) = (packet.and_then(|p| p.hops_away), packet.and_then(|p| p.rx_rssi));
            update.execute(params![seq, hops, rssi])?;
            insert.derived(reception, first_of_each.contains(&seq))?;
        }
    }
    let mut releases: Vec<(i64, Vec<u8>)> = Vec::new();
    let mut after = i64::MIN;
    loop {
        {
            let mut query = transaction
                .prepare_cached("SELECT seq, copies FROM release WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
            releases.clear();
            for found in query.query_map([after, ROWS], |row| Ok((row.get(0)?, row.get(1)?)))? {
                releases.push(found?);
            }
        }
        let Some((last, _)) = releases.last() else { break };
        after = *last;
        let mut update = transaction.prepare_cached("UPDATE release SET fate = ?2 WHERE seq = ?1")?;
        for (seq, bytes) in &releases {
            let outcomes = copies::read(bytes).into_iter().map(|copy| copy.outcome);
            let fate = insert.fate(fate_of(outcomes))?;
            update.execute([*seq, fate])?;
        }
    }
    insert.finish()?;
    transaction.commit()
}
