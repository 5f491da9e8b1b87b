//! Incidents on disk.

use directory::{INCIDENTS_MAX, Incident, IncidentForm, IncidentRefused};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::StoreError;
use crate::audit;
use crate::store::{Store, begin_write, since_1970};

const COLUMNS: &str =
    "number, title, notes, since_ms, until_ms, is_pinned, is_public, closed_ms, made_ms, made_by, archive";

impl Store {
    /// Marks a window of time, and gives its number. `archive` names where its receptions are, when they are not our own.
    ///
    /// # Errors
    /// When it makes no sense, there are too many, or the file cannot be written.
    pub fn mark_incident(
        &mut self,
        form: IncidentForm,
        archive: Option<&str>,
        actor: &str,
        now_ms: i64,
    ) -> Result<i64, StoreError> {
        let form = form.checked().map_err(StoreError::Incident)?;
        self.write_incident(actor, now_ms, "mark-incident", |writing| {
            let count: usize = writing.query_row("SELECT count(*) FROM incident", [], |row| row.get(0))?;
            if count >= INCIDENTS_MAX {
                return Ok(Err(IncidentRefused::TooMany));
            }
            writing.execute(
                "INSERT INTO incident (title, notes, since_ms, until_ms, is_pinned, is_public, made_ms, made_by, archive)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    form.title,
                    form.notes,
                    form.since_ms,
                    form.until_ms,
                    form.is_pinned,
                    form.is_public,
                    now_ms,
                    actor,
                    archive
                ],
            )?;
            Ok(Ok(writing.last_insert_rowid()))
        })
    }

    /// Says something else about an incident.
    ///
    /// # Errors
    /// When it makes no sense, none has this number, or the file cannot be written.
    pub fn change_incident(
        &mut self,
        number: i64,
        form: IncidentForm,
        actor: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let form = form.checked().map_err(StoreError::Incident)?;
        let change = |writing: &Connection| {
            let changed = writing.execute(
                "UPDATE incident SET title = ?2, notes = ?3, since_ms = ?4, until_ms = ?5, is_pinned = ?6, is_public = ?7
                 WHERE number = ?1",
                params![number, form.title, form.notes, form.since_ms, form.until_ms, form.is_pinned, form.is_public],
            )?;
            Ok(if changed == 0 { Err(IncidentRefused::Unknown(number)) } else { Ok(number) })
        };
        self.write_incident(actor, now_ms, "change-incident", change).map(drop)
    }

    /// Closes an incident, or opens it again.
    ///
    /// # Errors
    /// When none has this number, or the file cannot be written.
    pub fn close_incident(
        &mut self,
        number: i64,
        is_closed: bool,
        actor: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let action = if is_closed { "close-incident" } else { "open-incident" };
        let change = |writing: &Connection| {
            let closed_ms = is_closed.then_some(now_ms);
            let set = "UPDATE incident SET closed_ms = ?2 WHERE number = ?1";
            let changed = writing.execute(set, params![number, closed_ms])?;
            Ok(if changed == 0 { Err(IncidentRefused::Unknown(number)) } else { Ok(number) })
        };
        self.write_incident(actor, now_ms, action, change).map(drop)
    }

    /// Removes an incident; what was received stays as long as everything else.
    ///
    /// # Errors
    /// When none has this number, or the file cannot be written.
    pub fn remove_incident(&mut self, number: i64, actor: &str, now_ms: i64) -> Result<(), StoreError> {
        let change = |writing: &Connection| {
            let removed = writing.execute("DELETE FROM incident WHERE number = ?1", [number])?;
            Ok(if removed == 0 { Err(IncidentRefused::Unknown(number)) } else { Ok(number) })
        };
        self.write_incident(actor, now_ms, "remove-incident", change).map(drop)
    }

    /// All incidents, the latest window first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn incidents(&self) -> Result<Vec<Incident>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Incident>> {
            self.connection
                .prepare(&format!("SELECT {COLUMNS} FROM incident ORDER BY since_ms DESC, number DESC"))?
                .query_map([], read_incident)?
                .collect()
        };
        read().map_err(|source| self.during("read", source))
    }

    /// One incident.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn incident(&self, number: i64) -> Result<Option<Incident>, StoreError> {
        self.connection
            .query_row(&format!("SELECT {COLUMNS} FROM incident WHERE number = ?1"), [number], read_incident)
            .optional()
            .map_err(|source| self.during("read", source))
    }

    /// Stretches of our own history (Unix ms) that are kept however old they are.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn pinned_spans(&self) -> Result<Vec<(i64, i64)>, StoreError> {
        let pinned =
            self.incidents()?.into_iter().filter(|found| found.form.is_pinned && found.archive.is_none());
        Ok(pinned.map(|found| (found.form.since_ms, found.form.until_ms)).collect())
    }

    fn write_incident(
        &mut self,
        actor: &str,
        now_ms: i64,
        action: &str,
        change: impl FnOnce(&Connection) -> rusqlite::Result<Result<i64, IncidentRefused>>,
    ) -> Result<i64, StoreError> {
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        let number = change(&writing).map_err(failed)?.map_err(StoreError::Incident)?;
        let subject = number.to_string();
        audit::write(&writing, since_1970(now_ms), actor, action, &subject, &format!("{action} {number}"))
            .and_then(|()| writing.commit())
            .map_err(failed)?;
        Ok(number)
    }
}

fn read_incident(row: &Row<'_>) -> rusqlite::Result<Incident> {
    Ok(Incident {
        number: row.get(0)?,
        form: IncidentForm {
            title: row.get(1)?,
            notes: row.get(2)?,
            since_ms: row.get(3)?,
            until_ms: row.get(4)?,
            is_pinned: row.get(5)?,
            is_public: row.get(6)?,
        },
        closed_ms: row.get(7)?,
        made_ms: row.get(8)?,
        made_by: row.get(9)?,
        archive: row.get(10)?,
    })
}
