//! The tables of a day file, and opening one. Version 2; files of version 1 are read, and made version 2 when they are
//! written to (`upgrade.rs`).
//!
//! Invariants:
//! - a reception's payload is `content`; where it has a `layout`, it is put together from that, `content` and `body`,
//!   byte for byte (`payload.rs`);
//! - a packet's header is what the payload says and what `header` tells beyond (`header.rs`); `recipient` is NULL for
//!   everyone, all three are NULL when there is no packet;
//! - words, sources, judgements and layouts are stored once per file; -1 in them stands for none;
//! - times rise with the numbers, give or take `CLOCK_SLACK_MS`, unless `clock_put_back` has a row;
//! - a release has the number of its reception, and stands in the same file; copies that are settled later are added;
//! - `hops` and `rssi` repeat what the payload says, for looking; NULL where it says nothing;
//! - `rollup` has for each hour and thing what its receptions amount to, in the transaction that stores them;
//! - there is no index by source or judgement: both are few, so that a scan finds a page of what there is soon, and a file
//!   without any is told from its small tables;
//! - `said` has a row for the first reception of each body that somebody wrote and a key at hand opened; what it found
//!   must be opened again before it is shown;
//! - storing a row a second time changes nothing, since a batch may be given again after a failure.

use std::path::Path;

use mesh::keyring::Keyring;
use rusqlite::{Connection, OpenFlags};

use crate::error::Error;
use crate::upgrade;

/// Schema version of a file (`PRAGMA user_version`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(i64);

impl Version {
    /// Receptions, releases and connections.
    pub const ONE: Self = Self(1);
    /// Hops and signal strength as columns, what became of copies, rollups, texts and names.
    pub const TWO: Self = Self(2);
    /// What this program writes.
    pub const NEWEST: Self = Self::TWO;
}

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
        airtime_us INTEGER,
        hops INTEGER,
        rssi INTEGER
    ) STRICT;
    CREATE INDEX reception_packet ON reception (sender, packet) WHERE sender IS NOT NULL;
    CREATE INDEX reception_recipient ON reception (recipient) WHERE recipient IS NOT NULL;
    CREATE TABLE clock_put_back (seq INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE release (
        seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, copies BLOB NOT NULL, fate INTEGER
    ) STRICT;
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

/// What version 2 has beyond version 1, columns aside.
pub const CREATE_TWO: &str = "
    CREATE TABLE fate (
        id INTEGER PRIMARY KEY, outcomes INTEGER NOT NULL, rules INTEGER NOT NULL, UNIQUE (outcomes, rules)
    ) STRICT;
    CREATE TABLE rollup (
        hour INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        key INTEGER NOT NULL,
        accepted INTEGER NOT NULL,
        rewritten INTEGER NOT NULL,
        recorded INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        packets INTEGER NOT NULL,
        airtime_us INTEGER NOT NULL,
        PRIMARY KEY (hour, kind, key)
    ) STRICT, WITHOUT ROWID;
    CREATE VIRTUAL TABLE said USING fts5 (
        text, content='', contentless_delete=1, detail=none, tokenize='trigram case_sensitive 1'
    );
    CREATE TABLE node_name (
        node INTEGER PRIMARY KEY, seq INTEGER NOT NULL, long TEXT NOT NULL, short TEXT NOT NULL
    ) STRICT;
";

/// Opens a day file for writing, making it if need be. Synchronous writes with a write-ahead log: what is committed
/// survives `kill -9` and a power cut. One commit for a batch of receptions makes that affordable.
pub fn open_for_writing(file: &Path, keyring: &Keyring) -> Result<Connection, Error> {
    let mut connection = Connection::open(file).map_err(Error::sqlite(file))?;
    let failed = |error| Error::sqlite(file)(error);
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
    // Before anything is changed: the file may be a newer program's, or somebody else's.
    let version = version_of(file, &connection)?;
    let set_up = || -> rusqlite::Result<()> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -16_000)?;
        connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_KEPT)?;
        connection.pragma_update(None, "wal_autocheckpoint", JOURNAL_PAGES)?;
        if version.is_none() {
            let newest = Version::NEWEST.0;
            let tables = format!("BEGIN; {CREATE} {CREATE_TWO} PRAGMA user_version = {newest}; COMMIT;");
            connection.execute_batch(&tables)?;
        }
        Ok(())
    };
    set_up().map_err(failed)?;
    if version == Some(Version::ONE) {
        upgrade::to_two(&mut connection, keyring).map_err(failed)?;
    }
    Ok(connection)
}

/// Pages in the journal before they are moved to the file: a page that changes often is moved once for many changes.
const JOURNAL_PAGES: i64 = 4_000;
/// The journal may grow while somebody reads for long; it is cut back to this afterwards.
const JOURNAL_BYTES_KEPT: i64 = 64 << 20;

/// Opens a day file read-only; `None` when it has no tables, because its writer has just made it.
pub fn open_for_reading(file: &Path) -> Result<Option<(Connection, Version)>, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(Error::sqlite(file))?;
    connection.busy_timeout(std::time::Duration::from_secs(2)).map_err(Error::sqlite(file))?;
    Ok(version_of(file, &connection)?.map(|version| (connection, version)))
}

/// The file's version, if this program knows it; `None` when the file has no tables at all.
fn version_of(file: &Path, connection: &Connection) -> Result<Option<Version>, Error> {
    let look = || -> rusqlite::Result<(i64, i64)> {
        // One transaction: a writer may be making the tables in this moment.
        let both = connection.unchecked_transaction()?;
        let version = both.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables = both.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        both.finish()?;
        Ok((version, tables))
    };
    match look().map_err(Error::sqlite(file))? {
        (0, 0) => Ok(None),
        (found, _) if found > Version::NEWEST.0 => {
            Err(Error::Newer { file: file.to_path_buf(), found, known: Version::NEWEST.0 })
        }
        (found @ 1.., 1..) => Ok(Some(Version(found))),
        _ => Err(Error::Foreign(file.to_path_buf())),
    }
}
