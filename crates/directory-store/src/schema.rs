//! The tables and their version. Knows no rows.

use std::path::Path;

use rusqlite::Connection;

use crate::StoreError;
use crate::store::begin_write;

/// Version of the tables that this program writes, kept in SQLite's `user_version`.
pub const SCHEMA_VERSION: i64 = 1 + STEPS.len() as i64;

/// The tables of version 1.
const TABLES: &str = "
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_generation INTEGER NOT NULL,
    -- Keyed hash of a fixed text: tells whether secret.key is the one that the tokens were hashed with.
    key_check BLOB
) STRICT;
INSERT INTO state (id, last_generation) VALUES (1, 0);
CREATE TABLE credential (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    gateway INTEGER,
    prefix TEXT,
    owner_name TEXT,
    owner_contact TEXT,
    token BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    disabled_ms INTEGER,
    note TEXT NOT NULL,
    generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE operator (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    password_phc TEXT NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE setup_token (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    hash BLOB NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE session (
    hash BLOB PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    words TEXT NOT NULL
) STRICT;
";

/// Steps from each version to the next, the first one from 1 to 2. A step never changes once it was released.
const STEPS: &[&str] = &[
    // What checks a token by SCRAM-SHA-256; credentials that are there get theirs when they are rotated.
    "ALTER TABLE credential ADD COLUMN scram TEXT;",
    // Where downlink is stopped (no island: everywhere), and which gateways the operator has asked to prove themselves.
    "CREATE TABLE IF NOT EXISTS downlink_stop (island INTEGER UNIQUE, since_ms INTEGER NOT NULL) STRICT;
     CREATE TABLE IF NOT EXISTS downlink_asked (gateway INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT;",
    // What was agreed with owners of single gateways, and who was let go from a hold.
    "CREATE TABLE IF NOT EXISTS grants (gateway INTEGER PRIMARY KEY, channels TEXT NOT NULL, downlink INTEGER NOT NULL,
       telemetry INTEGER NOT NULL, ports TEXT NOT NULL, until_ms INTEGER, since_ms INTEGER NOT NULL, by TEXT NOT NULL,
       note TEXT NOT NULL) STRICT;
     CREATE TABLE IF NOT EXISTS hold_released (number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT;",
    // Nodes in quarantine, and gateways that the operator has looked at.
    "CREATE TABLE IF NOT EXISTS quarantine (node INTEGER PRIMARY KEY, since_ms INTEGER NOT NULL, reason TEXT NOT NULL) STRICT;
     CREATE TABLE IF NOT EXISTS review (gateway INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT;",
    // Which services may have the broker's own node send something.
    "CREATE TABLE IF NOT EXISTS sending (service TEXT PRIMARY KEY, channels TEXT NOT NULL, per_hour INTEGER NOT NULL,
       since_ms INTEGER NOT NULL) STRICT;",
    // People with roles of their own: who knew the operator's password is the first admin, and stays signed in.
    "CREATE TABLE IF NOT EXISTS person (name TEXT PRIMARY KEY, role TEXT NOT NULL, password_phc TEXT, since_ms INTEGER NOT NULL,
       invite BLOB, invite_expires_ms INTEGER) STRICT, WITHOUT ROWID;
     INSERT OR IGNORE INTO person (name, role, password_phc, since_ms) SELECT 'operator', 'admin', password_phc, changed_ms FROM operator;
     DELETE FROM operator;
     CREATE TABLE IF NOT EXISTS sign_in (hash BLOB PRIMARY KEY, person TEXT, gateway INTEGER, created_ms INTEGER NOT NULL,
       expires_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
     INSERT OR IGNORE INTO sign_in (hash, person, created_ms, expires_ms) SELECT hash, 'operator', created_ms, expires_ms FROM session;
     DELETE FROM session;",
    // How much airtime an agreement about telemetry is worth.
    "ALTER TABLE grants ADD COLUMN telemetry_ms INTEGER;",
    // What people ask the operators for.
    "CREATE TABLE IF NOT EXISTS request (number INTEGER PRIMARY KEY AUTOINCREMENT, code BLOB NOT NULL UNIQUE, kind TEXT NOT NULL,
       node INTEGER NOT NULL, owner TEXT NOT NULL, contact TEXT NOT NULL, place TEXT NOT NULL, is_fixed INTEGER NOT NULL,
       power TEXT NOT NULL, height TEXT NOT NULL, internet TEXT NOT NULL, channels TEXT NOT NULL, wants_downlink INTEGER NOT NULL,
       wants_telemetry INTEGER NOT NULL, reason TEXT NOT NULL, state TEXT NOT NULL, asked_ms INTEGER NOT NULL, decided_ms INTEGER,
       decided_by TEXT NOT NULL, answer TEXT NOT NULL) STRICT;",
    // Of which channels packets go down to a gateway, and how much airtime an agreement about downlink is worth.
    "ALTER TABLE grants ADD COLUMN downlink_channels TEXT NOT NULL DEFAULT '';
     ALTER TABLE grants ADD COLUMN downlink_ms INTEGER;",
    // Windows of time that somebody wants to come back to, and stretches of the past that are put back on topics of their own.
    "CREATE TABLE IF NOT EXISTS incident (number INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, notes TEXT NOT NULL,
       since_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, is_pinned INTEGER NOT NULL, is_public INTEGER NOT NULL,
       closed_ms INTEGER, made_ms INTEGER NOT NULL, made_by TEXT NOT NULL, archive TEXT) STRICT;
     CREATE TABLE IF NOT EXISTS replay (number INTEGER PRIMARY KEY AUTOINCREMENT, since_ms INTEGER NOT NULL,
       until_ms INTEGER NOT NULL, filter TEXT NOT NULL, archive TEXT, speed INTEGER NOT NULL, with_json INTEGER NOT NULL,
       is_paused INTEGER NOT NULL, state TEXT NOT NULL, steps INTEGER NOT NULL, made_ms INTEGER NOT NULL,
       made_by TEXT NOT NULL) STRICT;",
    // Programs that ask the API.
    "CREATE TABLE IF NOT EXISTS api_token (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, scope TEXT NOT NULL,
       hash BLOB NOT NULL UNIQUE, made_ms INTEGER NOT NULL, made_by TEXT NOT NULL, person TEXT, until_ms INTEGER,
       used_ms INTEGER) STRICT;",
    // Nodes that are erased and kept out. Of one that is done the number is not kept.
    "CREATE TABLE IF NOT EXISTS erasure (number INTEGER PRIMARY KEY AUTOINCREMENT, print BLOB NOT NULL, node INTEGER,
       state TEXT NOT NULL, asked_ms INTEGER NOT NULL, asked_by TEXT NOT NULL, found TEXT, problem TEXT, done_ms INTEGER,
       receipt TEXT) STRICT;",
    // Alerts that nobody is told of for a while.
    "CREATE TABLE IF NOT EXISTS silence (number INTEGER PRIMARY KEY AUTOINCREMENT, rule TEXT NOT NULL, node INTEGER,
       until_ms INTEGER NOT NULL, made_by TEXT NOT NULL) STRICT;",
];

/// Checks the file and makes the tables in an empty one, or brings older ones up to date. A file that is not ours, or is newer, stays untouched.
pub(crate) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::during("open", path, source);
    refuse_newer(connection, path)?;
    // The directory is a few kilobytes, so reading all of it at every start is cheap.
    let health: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if health != "ok" {
        return Err(StoreError::corrupt(path, health));
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)).map_err(failed)?;
    // An edit is rare and must outlive a power cut: a revoked gateway stays revoked.
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;").map_err(failed)?;

    // Two processes may start in an empty folder together: the second one finds the tables made.
    let writing = begin_write(connection, path)?;
    let mut version = refuse_newer(&writing, path)?;
    if version == 0 {
        let tables: i64 =
            writing.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
        if tables != 0 {
            return Err(StoreError::corrupt(path, "it holds tables of another program"));
        }
        writing.execute_batch(TABLES).map_err(failed)?;
        version = 1;
    }
    for step in STEPS.iter().skip(usize::try_from(version - 1).unwrap_or(0)) {
        writing.execute_batch(step).map_err(failed)?;
    }
    writing.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
    writing.commit().map_err(failed)
}

fn refuse_newer(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|source| StoreError::during("open", path, source))?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    Ok(found)
}
