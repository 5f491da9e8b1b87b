//! The tables and their version. Knows no rows.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::Error;

/// Version of the tables that this program writes, kept in SQLite's `user_version`.
pub const VERSION: i64 = 1;

/// Times are Unix milliseconds. A message that waits for several sessions is one row of `message`; a retained message has
/// its own, in the order of topics, so that the start reads one table from end to end.
const CREATE: &str = "
    CREATE TABLE session (
        key INTEGER PRIMARY KEY,
        client_id TEXT NOT NULL,
        role TEXT NOT NULL,
        username TEXT,
        gateway INTEGER,
        prefix TEXT,
        generation INTEGER,
        expiry_ms INTEGER NOT NULL,
        receive_maximum INTEGER NOT NULL,
        is_away INTEGER NOT NULL,
        ends_at_ms INTEGER,
        will_due_ms INTEGER,
        sent_to INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE will (
        session INTEGER PRIMARY KEY,
        topic TEXT NOT NULL,
        payload BLOB NOT NULL,
        qos INTEGER NOT NULL,
        retain INTEGER NOT NULL,
        delay_ms INTEGER NOT NULL,
        expiry_s INTEGER,
        properties BLOB
    ) STRICT;
    CREATE TABLE subscription (
        session INTEGER NOT NULL,
        filter TEXT NOT NULL,
        qos INTEGER NOT NULL,
        no_local INTEGER NOT NULL,
        retain_as_published INTEGER NOT NULL,
        identifier INTEGER,
        PRIMARY KEY (session, filter)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE message (
        id INTEGER PRIMARY KEY,
        topic TEXT NOT NULL,
        payload BLOB NOT NULL,
        qos INTEGER NOT NULL,
        retain INTEGER NOT NULL,
        properties BLOB,
        expires_at_ms INTEGER,
        hop_limit_at INTEGER
    ) STRICT;
    -- What waits for a session. Without a message: the client has it, and PUBREL is to be repeated.
    CREATE TABLE copy (
        session INTEGER NOT NULL,
        place INTEGER NOT NULL,
        message INTEGER,
        qos INTEGER NOT NULL,
        retain INTEGER NOT NULL,
        hop_limit INTEGER,
        identifiers BLOB,
        PRIMARY KEY (session, place)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE incoming (
        session INTEGER NOT NULL,
        packet_id INTEGER NOT NULL,
        PRIMARY KEY (session, packet_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE retained (
        topic TEXT PRIMARY KEY,
        payload BLOB NOT NULL,
        qos INTEGER NOT NULL,
        properties BLOB,
        expires_at_ms INTEGER
    ) STRICT, WITHOUT ROWID;
";

/// A start reads every page; with twice SQLite's usual size it takes a fifth less time.
const PAGE_BYTES: i64 = 8_192;
/// Pages in the journal before they are moved to the file: a page that changes often is moved once for many changes.
const JOURNAL_PAGES: i64 = 2_000;
/// The journal is cut back to this after it has grown.
const JOURNAL_BYTES_KEPT: i64 = 64 << 20;
/// How long another program may hold the file, while an operator looks at it for instance.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// Opens the file for writing, making it if need be. Synchronous writes with a write-ahead log: what is committed
/// survives `kill -9` and a power cut. A file that is not ours, or is newer, stays untouched.
pub fn open(file: &Path) -> Result<Connection, Error> {
    keep_private(file).map_err(|error| Error::File(file.to_path_buf(), error))?;
    let failed = Error::sqlite(file);
    let connection = Connection::open(file).map_err(&failed)?;
    connection.busy_timeout(BUSY_PATIENCE).map_err(&failed)?;
    let is_new = !has_tables(file, &connection)?;
    let set_up = || -> rusqlite::Result<()> {
        if is_new {
            connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -16_000)?;
        connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_KEPT)?;
        connection.pragma_update(None, "wal_autocheckpoint", JOURNAL_PAGES)?;
        connection.set_prepared_statement_cache_capacity(64);
        if is_new {
            connection.execute_batch(&format!("BEGIN; {CREATE} PRAGMA user_version = {VERSION}; COMMIT;"))?;
        }
        Ok(())
    };
    set_up().map_err(&failed)?;
    Ok(connection)
}

/// Messages are nobody else's business: the file is for its owner only, and SQLite makes its journal like it.
fn keep_private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// A further connection that only reads.
pub fn open_for_reading(file: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(Error::sqlite(file))?;
    connection.busy_timeout(BUSY_PATIENCE).map_err(Error::sqlite(file))?;
    Ok(connection)
}

/// Whether the file has this version's tables; false when it has none at all.
fn has_tables(file: &Path, connection: &Connection) -> Result<bool, Error> {
    let look = || -> rusqlite::Result<(i64, i64)> {
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((version, tables))
    };
    match look().map_err(Error::sqlite(file))? {
        (0, 0) => Ok(false),
        (VERSION, 1..) => Ok(true),
        (found, _) if found > VERSION => {
            Err(Error::Newer { file: file.to_path_buf(), found, known: VERSION })
        }
        _ => Err(Error::Foreign(file.to_path_buf())),
    }
}
