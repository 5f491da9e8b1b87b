//! Replays on disk: what was ordered, and what was said to each since; beside it, in a file of its own that is written
//! often, how far each is.

use std::collections::BTreeMap;
use std::path::Path;

use directory::{REPLAYS_MAX, Replay, ReplayCommand, ReplayOrder, ReplayRefused, ReplayState};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::audit;
use crate::store::{Store, begin_write, since_1970};

/// Name of the file in the data folder that says how far replays are.
pub const REPLAYS_FILE: &str = "replays.json";

/// How far a replay is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayProgress {
    /// Receptions put back.
    pub receptions: u64,
    /// Messages published for them.
    pub messages: u64,
    /// The moment of the past that it has come to, Unix ms.
    pub position_ms: i64,
    /// Why it ended early; `None` when it did not.
    pub problem: Option<String>,
}

/// How far each replay is, by number.
pub type Progresses = BTreeMap<i64, ReplayProgress>;

/// How far the replays of a data folder are, as the server wrote it last; nothing when it has not.
pub fn replay_progress(data: &Path) -> Progresses {
    let text = std::fs::read(data.join(REPLAYS_FILE)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

const COLUMNS: &str = "number, since_ms, until_ms, filter, archive, speed, with_json, is_paused, state, steps, made_ms, made_by";
/// Replays that are over and still listed.
const OVER_MAX: usize = 50;

impl Store {
    /// Orders a replay, and gives its number.
    ///
    /// # Errors
    /// When it makes no sense, too many are under way, or the file cannot be written.
    pub fn order_replay(&mut self, order: &ReplayOrder, actor: &str, now_ms: i64) -> Result<i64, StoreError> {
        order.check().map_err(StoreError::Replay)?;
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        let under_way: usize = writing
            .query_row("SELECT count(*) FROM replay WHERE state <> 'over'", [], |row| row.get(0))
            .map_err(failed)?;
        if under_way >= REPLAYS_MAX {
            return Err(StoreError::Replay(ReplayRefused::TooMany));
        }
        let state = if order.is_paused { ReplayState::Paused } else { ReplayState::Running };
        let write = || -> rusqlite::Result<i64> {
            writing.execute(
                "INSERT INTO replay (since_ms, until_ms, filter, archive, speed, with_json, is_paused, state, steps, made_ms,
                   made_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10)",
                params![
                    order.since_ms,
                    order.until_ms,
                    order.filter,
                    order.archive,
                    order.speed,
                    order.with_json,
                    order.is_paused,
                    state.word(),
                    now_ms,
                    actor
                ],
            )?;
            let number = writing.last_insert_rowid();
            writing.execute(
                "DELETE FROM replay WHERE state = 'over' AND number NOT IN
                   (SELECT number FROM replay WHERE state = 'over' ORDER BY number DESC LIMIT ?1)",
                [OVER_MAX],
            )?;
            let words = format!("replay {number} of what was received is ordered");
            audit::write(&writing, since_1970(now_ms), actor, "order-replay", &number.to_string(), &words)?;
            Ok(number)
        };
        let number = write().map_err(failed)?;
        writing.commit().map_err(failed)?;
        Ok(number)
    }

    /// Says something to a replay that is under way, and gives what it is then.
    ///
    /// # Errors
    /// When none with this number is, the command makes no sense, or the file cannot be written.
    pub fn command_replay(&mut self, number: i64, command: ReplayCommand) -> Result<Replay, StoreError> {
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        let before = writing
            .query_row(&format!("SELECT {COLUMNS} FROM replay WHERE number = ?1"), [number], read_replay)
            .optional()
            .map_err(failed)?
            .ok_or(StoreError::Replay(ReplayRefused::Unknown(number)))?;
        let after = before.after(command).map_err(StoreError::Replay)?;
        let steps = i64::try_from(after.steps).unwrap_or(i64::MAX);
        writing
            .execute(
                "UPDATE replay SET speed = ?2, state = ?3, steps = ?4 WHERE number = ?1",
                params![number, after.order.speed, after.state.word(), steps],
            )
            .and_then(|_| writing.commit())
            .map_err(failed)?;
        Ok(after)
    }

    /// All replays, the latest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn replays(&self) -> Result<Vec<Replay>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Replay>> {
            self.connection
                .prepare(&format!("SELECT {COLUMNS} FROM replay ORDER BY number DESC"))?
                .query_map([], read_replay)?
                .collect()
        };
        read().map_err(|source| self.during("read", source))
    }

    /// Notes that every replay is over: none outlives the server that ran it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end_replays(&mut self) -> Result<(), StoreError> {
        let path = self.path.clone();
        self.connection
            .execute("UPDATE replay SET state = 'over' WHERE state <> 'over'", [])
            .map(drop)
            .map_err(|source| StoreError::during("write", &path, source))
    }
}

fn read_replay(row: &Row<'_>) -> rusqlite::Result<Replay> {
    let (state, steps): (String, i64) = (row.get(8)?, row.get(9)?);
    Ok(Replay {
        number: row.get(0)?,
        order: ReplayOrder {
            since_ms: row.get(1)?,
            until_ms: row.get(2)?,
            filter: row.get(3)?,
            archive: row.get(4)?,
            speed: row.get(5)?,
            with_json: row.get(6)?,
            is_paused: row.get(7)?,
        },
        // What a newer program calls otherwise does not run here.
        state: ReplayState::from_word(&state).unwrap_or(ReplayState::Over),
        steps: u64::try_from(steps).unwrap_or(0),
        made_ms: row.get(10)?,
        made_by: row.get(11)?,
    })
}
