//! The tables of a day file, and opening one. Version 1.
//!
//! Invariants:
//! - a reception's payload is `shell` with the body's content put in at `cut`, byte for byte;
//! - words (topics, names, sentences) are stored once per file;
//! - a release has the number of its reception.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::Error;

/// Schema version of files written by this program (`PRAGMA user_version`).
pub const VERSION: i64 = 1;

const CREATE: &str = "
    CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE body (id INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT;
    CREATE TABLE reception (
        seq INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        client INTEGER NOT NULL,
        username INTEGER,
        gateway INTEGER,
        topic INTEGER NOT NULL,
        shell BLOB NOT NULL,
        cut INTEGER,
        body INTEGER,
        qos INTEGER NOT NULL,
        retain INTEGER NOT NULL,
        sender INTEGER,
        recipient INTEGER,
        packet INTEGER,
        hop_limit INTEGER,
        hop_start INTEGER,
        hops_away INTEGER,
        rx_rssi INTEGER,
        rx_snr REAL,
        rx_time INTEGER,
        relay_node INTEGER,
        next_hop INTEGER,
        want_ack INTEGER,
        request INTEGER,
        channel INTEGER,
        port INTEGER,
        consent INTEGER NOT NULL,
        key_class INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        frame_bytes INTEGER,
        airtime_us INTEGER,
        verdict INTEGER NOT NULL,
        rule INTEGER,
        sentence INTEGER NOT NULL,
        observed INTEGER NOT NULL,
        off INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX reception_packet ON reception (sender, packet);
    CREATE INDEX reception_gateway ON reception (gateway);
    CREATE TABLE release (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, copies BLOB NOT NULL) STRICT;
    CREATE TABLE connection (
        id INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        client INTEGER NOT NULL,
        username INTEGER,
        gateway INTEGER,
        address INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        detail INTEGER NOT NULL
    ) STRICT;
";

/// Opens a day file for writing, making it if need be. Synchronous writes with a write-ahead log: what is committed
/// survives `kill -9` and a power cut.
pub fn open_for_writing(file: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(file).map_err(Error::sqlite(file))?;
    let set_up = || -> rusqlite::Result<i64> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -16_000)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        let version = version(&connection)?;
        if version == 0 {
            connection.execute_batch(&format!("BEGIN; {CREATE} PRAGMA user_version = {VERSION}; COMMIT;"))?;
            return Ok(VERSION);
        }
        Ok(version)
    };
    let version = set_up().map_err(Error::sqlite(file))?;
    known(file, version)?;
    Ok(connection)
}

/// Opens a day file read-only; `None` when it has no tables, because its writer has just made it.
pub fn open_for_reading(file: &Path) -> Result<Option<Connection>, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(Error::sqlite(file))?;
    let prepare = || -> rusqlite::Result<i64> {
        connection.busy_timeout(std::time::Duration::from_secs(2))?;
        version(&connection)
    };
    match prepare().map_err(Error::sqlite(file))? {
        0 => Ok(None),
        version => known(file, version).map(|()| Some(connection)),
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn known(file: &Path, found: i64) -> Result<(), Error> {
    if found > VERSION {
        return Err(Error::Newer { file: file.to_path_buf(), found, known: VERSION });
    }
    Ok(())
}
