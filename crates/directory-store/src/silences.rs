//! Silences of alerts on disk.

use directory::{GatewayId, SILENCES_MAX, Silence, SilenceRefused};
use rusqlite::{Row, params};

use crate::StoreError;
use crate::audit;
use crate::store::{Store, begin_write, since_1970};

impl Store {
    /// Lets nobody be told of an alert until a moment, and gives the number of the silence. Those that are over are forgotten.
    ///
    /// # Errors
    /// When it makes no sense, there are too many, or the file cannot be written.
    pub fn silence_alert(
        &mut self,
        rule: &str,
        node: Option<GatewayId>,
        until_ms: i64,
        actor: &str,
        now_ms: i64,
    ) -> Result<i64, StoreError> {
        let silence = Silence { number: 0, rule: rule.to_owned(), node, until_ms, by: actor.to_owned() };
        silence.check(now_ms).map_err(StoreError::Silence)?;
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        writing.execute("DELETE FROM silence WHERE until_ms <= ?1", [now_ms]).map_err(failed)?;
        let count: usize =
            writing.query_row("SELECT count(*) FROM silence", [], |row| row.get(0)).map_err(failed)?;
        if count >= SILENCES_MAX {
            return Err(StoreError::Silence(SilenceRefused::TooMany));
        }
        let write = || -> rusqlite::Result<i64> {
            writing.execute(
                "INSERT INTO silence (rule, node, until_ms, made_by) VALUES (?1, ?2, ?3, ?4)",
                params![rule, node.map(|node| node.0), until_ms, actor],
            )?;
            let number = writing.last_insert_rowid();
            let words = format!("silenced the alert {rule}");
            audit::write(&writing, since_1970(now_ms), actor, "silence-alert", rule, &words)?;
            Ok(number)
        };
        let number = write().map_err(failed)?;
        writing.commit().map_err(failed)?;
        Ok(number)
    }

    /// Ends a silence before its time.
    ///
    /// # Errors
    /// When none has this number, or the file cannot be written.
    pub fn end_silence(&mut self, number: i64, actor: &str, now_ms: i64) -> Result<(), StoreError> {
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        if writing.execute("DELETE FROM silence WHERE number = ?1", [number]).map_err(failed)? == 0 {
            return Err(StoreError::Silence(SilenceRefused::Unknown(number)));
        }
        let words = format!("ended the silence {number}");
        audit::write(&writing, since_1970(now_ms), actor, "end-silence", &number.to_string(), &words)
            .and_then(|()| writing.commit())
            .map_err(failed)
    }

    /// Silences that hold at this moment, the one that ends first before the others.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn silences(&self, now_ms: i64) -> Result<Vec<Silence>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Silence>> {
            let all = "SELECT number, rule, node, until_ms, made_by FROM silence WHERE until_ms > ?1 ORDER BY until_ms";
            self.connection.prepare(all)?.query_map([now_ms], silence)?.collect()
        };
        read().map_err(|source| self.during("read", source))
    }
}

fn silence(row: &Row<'_>) -> rusqlite::Result<Silence> {
    Ok(Silence {
        number: row.get(0)?,
        rule: row.get(1)?,
        node: row.get::<_, Option<u32>>(2)?.map(GatewayId),
        until_ms: row.get(3)?,
        by: row.get(4)?,
    })
}
