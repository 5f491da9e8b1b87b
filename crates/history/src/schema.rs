//! The tables of a day file, and opening one. Version 1.
//!
//! Invariants:
//! - a reception's payload is `content`; where it has a `layout`, it is put together from that, `content` and `body`,
//!   byte for byte (`payload.rs`);
//! - a packet's header is what the payload says and what `header` tells beyond (`header.rs`); `recipient` is NULL for
//!   everyone, all three are NULL when there is no packet;
//! - words, sources, judgements and layouts are stored once per file; -1 in them stands for none;
//! - times rise with the numbers, give or take `CLOCK_SLACK_MS`, unless `clock_put_back` has a row;
//! - a release has the number of its reception, and stands in the same file; copies that are settled later are added;
//! - storing a row a second time changes nothing, since a batch may be given again after a failure.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::Error;

/// Schema version of files written by this program (`PRAGMA user_version`).
pub const VERSION: i64 = 1;

/// How much earlier than the latest before it a reception may be without `clock_put_back` saying so.
pub const CLOCK_SLACK_MS: i64 = 60_000;

/// Stands for everyone in a packet's destination, and is not stored.
pub const EVERYONE: u32 = u32::MAX;

const CREATE: &str = "
    CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE source (
        id INTEGER PRIMARY KEY,
        client INTEGER NOT NULL,
        username INTEGER NOT NULL,
        gateway INTEGER NOT NULL,
        topic INTEGER NOT NULL,
        channel INTEGER NOT NULL,
        UNIQUE (client, username, gateway, topic, channel)
    ) STRICT;
    CREATE INDEX source_gateway ON source (gateway);
    CREATE TABLE judgement (
        id INTEGER PRIMARY KEY,
        verdict INTEGER NOT NULL,
        rule INTEGER NOT NULL,
        sentence INTEGER NOT NULL,
        observed INTEGER NOT NULL,
        off INTEGER NOT NULL,
        port INTEGER NOT NULL,
        consent INTEGER NOT NULL,
        key_class INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        qos INTEGER NOT NULL,
        retain INTEGER NOT NULL,
        UNIQUE (port, flags, verdict, rule, sentence, observed, off, consent, key_class, qos, retain)
    ) STRICT;
    CREATE TABLE layout (id INTEGER PRIMARY KEY, content BLOB NOT NULL UNIQUE) STRICT;
    CREATE TABLE body (id INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT;
    CREATE TABLE reception (
        seq INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        source INTEGER NOT NULL,
        judgement INTEGER NOT NULL,
        sender INTEGER,
        recipient INTEGER,
        packet INTEGER,
        layout INTEGER,
        body INTEGER,
        content BLOB NOT NULL,
        header BLOB,
        snr_quarters INTEGER,
        frame_bytes INTEGER,
        airtime_us INTEGER
    ) STRICT;
    CREATE INDEX reception_packet ON reception (sender, packet) WHERE sender IS NOT NULL;
    CREATE INDEX reception_recipient ON reception (recipient) WHERE recipient IS NOT NULL;
    CREATE INDEX reception_source ON reception (source);
    CREATE TABLE clock_put_back (seq INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE release (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, copies BLOB NOT NULL) STRICT;
    CREATE TABLE connection (
        at_ms INTEGER NOT NULL,
        client INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        address INTEGER NOT NULL,
        username INTEGER,
        gateway INTEGER,
        detail INTEGER NOT NULL,
        PRIMARY KEY (at_ms, client, kind, address)
    ) STRICT, WITHOUT ROWID;
";

/// Opens a day file for writing, making it if need be. Synchronous writes with a write-ahead log: what is committed
/// survives `kill -9` and a power cut. One commit for a batch of receptions makes that affordable.
pub fn open_for_writing(file: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(file).map_err(Error::sqlite(file))?;
    let failed = |error| Error::sqlite(file)(error);
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
    // Before anything is changed: the file may be a newer program's, or somebody else's.
    let is_new = !has_tables(file, &connection)?;
    let set_up = || -> rusqlite::Result<()> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -16_000)?;
        connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_KEPT)?;
        connection.pragma_update(None, "wal_autocheckpoint", JOURNAL_PAGES)?;
        if is_new {
            connection.execute_batch(&format!("BEGIN; {CREATE} PRAGMA user_version = {VERSION}; COMMIT;"))?;
        }
        Ok(())
    };
    set_up().map_err(failed)?;
    Ok(connection)
}

/// Pages in the journal before they are moved to the file: a page that changes often is moved once for many changes.
const JOURNAL_PAGES: i64 = 4_000;
/// The journal may grow while somebody reads for long; it is cut back to this afterwards.
const JOURNAL_BYTES_KEPT: i64 = 64 << 20;

/// Opens a day file read-only; `None` when it has no tables, because its writer has just made it.
pub fn open_for_reading(file: &Path) -> Result<Option<Connection>, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(Error::sqlite(file))?;
    connection.busy_timeout(std::time::Duration::from_secs(2)).map_err(Error::sqlite(file))?;
    Ok(has_tables(file, &connection)?.then_some(connection))
}

/// Whether the file has this version's tables; false when it has none at all.
fn has_tables(file: &Path, connection: &Connection) -> Result<bool, Error> {
    let look = || -> rusqlite::Result<(i64, i64)> {
        // One transaction: a writer may be making the tables in this moment.
        let both = connection.unchecked_transaction()?;
        let version = both.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables = both.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        both.finish()?;
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
