//! Erasures on disk, and erasing a node from the directory itself: its credential, what was agreed with its owner, what they
//! asked for, and its number wherever somebody wrote it down.

use directory::{
    ERASURE_REQUESTS_MAX, ERASURES_MAX, Erasure, ErasureRefused, ErasureState, GatewayId, NodePrint,
    Tombstones,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::audit;
use crate::store::{Store, begin_write, since_1970};

const COLUMNS: &str = "number, print, node, state, asked_ms, asked_by, found, problem, done_ms, receipt";

/// What the directory has entered of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entered {
    /// Credentials, with their owner's name and contact.
    pub credentials: u64,
    /// Agreements, reviews, quarantines, holds that were lifted, calls to prove downlink.
    pub agreements: u64,
    /// Requests to the operators.
    pub requests: u64,
    /// Sign-ins of its owner.
    pub sign_ins: u64,
    /// Lines of the audit, of incidents and replays that name it.
    pub mentions: u64,
}

/// Tables with rows of one node, the column with its number, and what they count as.
const ROWS: [(&str, &str, Sort); 7] = [
    ("grants", "gateway", Sort::Agreement),
    ("quarantine", "node", Sort::Agreement),
    ("review", "gateway", Sort::Agreement),
    ("hold_released", "number", Sort::Agreement),
    ("downlink_asked", "gateway", Sort::Agreement),
    ("request", "node", Sort::Request),
    ("sign_in", "gateway", Sort::SignIn),
];

/// Texts in which people or the program may have written its number.
const TEXTS: [(&str, &str, &[&str]); 6] = [
    ("audit", "id", &["actor", "subject", "words"]),
    ("incident", "number", &["title", "notes", "made_by"]),
    ("replay", "number", &["filter", "made_by"]),
    ("request", "number", &["place", "reason", "answer"]),
    ("grants", "gateway", &["note"]),
    ("quarantine", "node", &["reason"]),
];

#[derive(Clone, Copy)]
enum Sort {
    Agreement,
    Request,
    SignIn,
}

impl Store {
    /// Orders that a node is erased; it is kept out from then on. One that was asked for is confirmed by that.
    ///
    /// # Errors
    /// When it is ordered or done already, or the file cannot be written.
    pub fn order_erasure(&mut self, node: GatewayId, actor: &str, now_ms: i64) -> Result<i64, StoreError> {
        self.put_erasure(node, ErasureState::Ordered, actor, now_ms)
    }

    /// Notes that somebody asks for a node to be erased, for an operator to confirm.
    ///
    /// # Errors
    /// When it is asked for, ordered or done already, too many wait, or the file cannot be written.
    pub fn ask_erasure(&mut self, node: GatewayId, who: &str, now_ms: i64) -> Result<i64, StoreError> {
        self.put_erasure(node, ErasureState::Asked, who, now_ms)
    }

    fn put_erasure(
        &mut self,
        node: GatewayId,
        state: ErasureState,
        actor: &str,
        now_ms: i64,
    ) -> Result<i64, StoreError> {
        if !node.is_a_device() {
            return Err(StoreError::Erasure(ErasureRefused::NotANode));
        }
        let print = self.token_key().print_of(node.0);
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        let put = || -> rusqlite::Result<Result<i64, ErasureRefused>> {
            let present: Option<(i64, String)> = writing
                .query_row(
                    "SELECT number, state FROM erasure
                     WHERE print = ?1 AND state IN ('asked', 'ordered', 'done') ORDER BY number DESC LIMIT 1",
                    [&print.0[..]],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let number = match present {
                Some((number, of)) if of == "asked" && state == ErasureState::Ordered => {
                    writing.execute("UPDATE erasure SET state = 'ordered' WHERE number = ?1", [number])?;
                    number
                }
                Some((number, _)) => return Ok(Err(ErasureRefused::Already(number))),
                None => {
                    let count = |holds: &str| -> rusqlite::Result<usize> {
                        let query = format!("SELECT count(*) FROM erasure WHERE {holds}");
                        writing.query_row(&query, [], |row| row.get(0))
                    };
                    let is_asked = state == ErasureState::Asked;
                    if count("TRUE")? >= ERASURES_MAX
                        || (is_asked && count("state = 'asked'")? >= ERASURE_REQUESTS_MAX)
                    {
                        return Ok(Err(ErasureRefused::TooMany));
                    }
                    writing.execute(
                        "INSERT INTO erasure (print, node, state, asked_ms, asked_by) VALUES (?1, ?2, ?3, ?4, ?5)",
                        params![&print.0[..], node.0, state.word(), now_ms, actor],
                    )?;
                    writing.last_insert_rowid()
                }
            };
            // The number of the node stands in no line of the audit, which outlives it.
            let words = format!("erasure {number} is {} (tombstone {print})", state.word());
            audit::write(&writing, since_1970(now_ms), actor, "erase", &number.to_string(), &words)?;
            Ok(Ok(number))
        };
        let number = put().map_err(failed)?.map_err(StoreError::Erasure)?;
        writing.commit().map_err(failed)?;
        Ok(number)
    }

    /// Says no to who asked for an erasure; nothing is kept of the request but that.
    ///
    /// # Errors
    /// When none with this number is asked for, or the file cannot be written.
    pub fn refuse_erasure(&mut self, number: i64, actor: &str, now_ms: i64) -> Result<(), StoreError> {
        let set = "UPDATE erasure SET state = 'refused', node = NULL WHERE number = ?1 AND state = 'asked'";
        self.change_erasure(set, number, "refuse-erasure", actor, now_ms)
    }

    /// Lets a node that was erased come in again.
    ///
    /// # Errors
    /// When no tombstone keeps it out, its erasure is under way, or the file cannot be written.
    pub fn lift_tombstone(&mut self, node: GatewayId, actor: &str, now_ms: i64) -> Result<(), StoreError> {
        let print = self.token_key().print_of(node.0);
        let found = self.erasures()?.into_iter().find(|one| one.print == print && one.state.keeps_out());
        let number = found.ok_or(StoreError::Erasure(ErasureRefused::NotErased))?.number;
        let set = "UPDATE erasure SET state = 'lifted' WHERE number = ?1 AND state = 'done'";
        self.change_erasure(set, number, "lift-tombstone", actor, now_ms)
    }

    fn change_erasure(
        &mut self,
        set: &str,
        number: i64,
        action: &str,
        actor: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        if writing.execute(set, [number]).map_err(failed)? == 0 {
            return Err(StoreError::Erasure(ErasureRefused::Unknown(number)));
        }
        let words = format!("{action} {number}");
        audit::write(&writing, since_1970(now_ms), actor, action, &number.to_string(), &words)
            .and_then(|()| writing.commit())
            .map_err(failed)
    }

    /// All erasures, the latest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn erasures(&self) -> Result<Vec<Erasure>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Erasure>> {
            self.connection
                .prepare(&format!("SELECT {COLUMNS} FROM erasure ORDER BY number DESC"))?
                .query_map([], read_erasure)?
                .collect()
        };
        read().map_err(|source| self.during("read", source))
    }

    /// One erasure.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn erasure(&self, number: i64) -> Result<Option<Erasure>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM erasure WHERE number = ?1");
        let found = self.connection.query_row(&query, [number], read_erasure).optional();
        found.map_err(|source| self.during("read", source))
    }

    /// Notes what was found of a node when its erasure began; what was noted before stays.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_found(&mut self, number: i64, found: &str) -> Result<(), StoreError> {
        let set = "UPDATE erasure SET found = coalesce(found, ?2) WHERE number = ?1";
        let done = self.connection.execute(set, params![number, found]);
        done.map(drop).map_err(|source| self.during("write", source))
    }

    /// Notes what hinders an erasure, or that nothing does any more.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_erasure_problem(&mut self, number: i64, problem: Option<&str>) -> Result<(), StoreError> {
        let set = "UPDATE erasure SET problem = ?2 WHERE number = ?1 AND problem IS NOT ?2";
        let done = self.connection.execute(set, params![number, problem]);
        done.map(drop).map_err(|source| self.during("write", source))
    }

    /// Notes that everything of a node is deleted, and forgets its number.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish_erasure(&mut self, number: i64, receipt: &str, now_ms: i64) -> Result<(), StoreError> {
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        self.connection.pragma_update(None, "secure_delete", true).map_err(failed)?;
        let writing = begin_write(&mut self.connection, &path)?;
        let set = "UPDATE erasure SET state = 'done', node = NULL, problem = NULL, done_ms = ?2, receipt = ?3
             WHERE number = ?1 AND state = 'ordered'";
        let words = format!("erasure {number} is done");
        writing
            .execute(set, params![number, now_ms, receipt])
            .and_then(|_| {
                audit::write(&writing, since_1970(now_ms), "server", "erased", &number.to_string(), &words)
            })
            .and_then(|()| writing.commit())
            .map_err(failed)?;
        // Nothing of the number is left in free space of the file or in its journal.
        let tidy = || -> rusqlite::Result<()> {
            self.connection.execute_batch("VACUUM")?;
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        };
        tidy().map_err(|source| self.during("write", source))
    }

    /// What the directory has entered of a node.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn entered(&self, node: GatewayId) -> Result<Entered, StoreError> {
        count(&self.connection, node).map_err(|source| self.during("read", source))
    }

    /// What is entered of a node as one JSON object for each row, without secrets, for its owner.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn entries(&self, node: GatewayId) -> Result<Vec<serde_json::Value>, StoreError> {
        let queries = [
            format!(
                "SELECT json_object('kind', 'credential', 'name', name, 'role', role, 'owner', owner_name, 'contact',
                   owner_contact, 'made_ms', created_ms, 'disabled_ms', disabled_ms, 'note', note)
                 FROM credential WHERE gateway = {}",
                node.0
            ),
            format!(
                "SELECT json_object('kind', 'grant', 'channels', channels, 'downlink', downlink, 'telemetry', telemetry,
                   'ports', ports, 'until_ms', until_ms, 'since_ms', since_ms, 'by', by, 'note', note)
                 FROM grants WHERE gateway = {}",
                node.0
            ),
            format!(
                "SELECT json_object('kind', 'quarantine', 'since_ms', since_ms, 'reason', reason)
                 FROM quarantine WHERE node = {}",
                node.0
            ),
            format!(
                "SELECT json_object('kind', 'review', 'at_ms', at_ms) FROM review WHERE gateway = {}",
                node.0
            ),
            format!(
                "SELECT json_object('kind', 'request', 'what', kind, 'owner', owner, 'contact', contact, 'place', place,
                   'is_fixed', is_fixed, 'power', power, 'height', height, 'internet', internet, 'channels', channels,
                   'reason', reason, 'state', state, 'asked_ms', asked_ms, 'decided_ms', decided_ms, 'answer', answer)
                 FROM request WHERE node = {}",
                node.0
            ),
            format!(
                "SELECT json_object('kind', 'sign-in', 'made_ms', created_ms, 'expires_ms', expires_ms)
                 FROM sign_in WHERE gateway = {}",
                node.0
            ),
            format!(
                "SELECT json_object('kind', 'audit', 'at_ms', at_ms, 'actor', actor, 'action', action, 'words', words)
                 FROM audit WHERE instr(lower(subject || ' ' || words), '{:08x}') > 0 ORDER BY id",
                node.0
            ),
        ];
        let read = || -> rusqlite::Result<Vec<serde_json::Value>> {
            let mut found = Vec::new();
            for query in &queries {
                let mut statement = self.connection.prepare(query)?;
                for text in statement.query_map([], |row| row.get::<_, String>(0))? {
                    // SQLite made it, so it is JSON.
                    found.extend(serde_json::from_str(&text?).ok());
                }
            }
            Ok(found)
        };
        read().map_err(|source| self.during("read", source))
    }

    /// Deletes what is entered of a node. Where somebody wrote its number in a text, another word stands there then.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn erase_entries(&mut self, node: GatewayId) -> Result<Entered, StoreError> {
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        self.connection.pragma_update(None, "secure_delete", true).map_err(failed)?;
        let writing = begin_write(&mut self.connection, &path)?;
        let erase = || -> rusqlite::Result<Entered> {
            let entered = count(&writing, node)?;
            writing.execute("DELETE FROM credential WHERE gateway = ?1", [node.0])?;
            for (table, column, _) in ROWS {
                writing.execute(&format!("DELETE FROM {table} WHERE {column} = ?1"), [node.0])?;
            }
            let hex = format!("{:08x}", node.0);
            for (table, key, columns) in TEXTS {
                for column in columns {
                    let set = format!(
                        "UPDATE {table} SET {column} = replace(replace({column}, ?1, 'erased'), upper(?1), 'erased')
                         WHERE {key} IN (SELECT {key} FROM {table} WHERE instr(lower({column}), ?1) > 0)"
                    );
                    writing.execute(&set, [&hex])?;
                }
            }
            Ok(entered)
        };
        let entered = erase().map_err(failed)?;
        writing.commit().map_err(failed)?;
        Ok(entered)
    }
}

pub(crate) fn tombstones(connection: &Connection) -> rusqlite::Result<Tombstones> {
    let mut found = connection.prepare("SELECT print FROM erasure WHERE state IN ('ordered', 'done')")?;
    let prints: rusqlite::Result<Vec<[u8; directory::PRINT_BYTES]>> =
        found.query_map([], |row| row.get(0))?.collect();
    Ok(Tombstones::of(prints?.into_iter().map(NodePrint)))
}

fn count(connection: &Connection, node: GatewayId) -> rusqlite::Result<Entered> {
    let rows = |table: &str, column: &str| -> rusqlite::Result<u64> {
        let query = format!("SELECT count(*) FROM {table} WHERE {column} = ?1");
        connection.query_row(&query, [node.0], |row| row.get(0))
    };
    let mut entered = Entered { credentials: rows("credential", "gateway")?, ..Entered::default() };
    for (table, column, sort) in ROWS {
        *match sort {
            Sort::Agreement => &mut entered.agreements,
            Sort::Request => &mut entered.requests,
            Sort::SignIn => &mut entered.sign_ins,
        } += rows(table, column)?;
    }
    let hex = format!("{:08x}", node.0);
    for (table, _, columns) in &TEXTS[..3] {
        let text = columns.join(" || ' ' || ");
        let query = format!("SELECT count(*) FROM {table} WHERE instr(lower({text}), ?1) > 0");
        entered.mentions += connection.query_row(&query, [&hex], |row| row.get::<_, u64>(0))?;
    }
    Ok(entered)
}

fn read_erasure(row: &Row<'_>) -> rusqlite::Result<Erasure> {
    let state: String = row.get(3)?;
    Ok(Erasure {
        number: row.get(0)?,
        print: NodePrint(row.get(1)?),
        node: row.get::<_, Option<u32>>(2)?.map(GatewayId),
        // A state that came later than this program keeps out rather than lets in.
        state: ErasureState::from_word(&state).unwrap_or(ErasureState::Done),
        asked_ms: row.get(4)?,
        asked_by: row.get(5)?,
        found: row.get(6)?,
        problem: row.get(7)?,
        done_ms: row.get(8)?,
        receipt: row.get(9)?,
    })
}
