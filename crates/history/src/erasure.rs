//! Everything that is held of one node: counting it, showing it, and taking it away from a folder of day files in short
//! steps, so that who writes meanwhile waits for milliseconds.
//!
//! - What is deleted is written over, and a file of which anything was deleted is written anew at the end (`rewrite`), so
//!   that no page has remains of it.
//! - Sums over everybody stay as they are; sums about the node go.
//! - Where a row is needed for others (a word in the list of who got a copy), the node's number in it is replaced.
//! - Everything may be done again: a step that was cut short leaves nothing that the next time does not find.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mesh::keyring::Keyring;
use record::{Reception, Release};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::Error;
use crate::files::{self, Day};
use crate::held::{Held, Needle, PAGE_ROWS, Tie, Ties, list, numbers, sums_of};
use crate::schema::{self, Version};
use crate::{row, said};

/// A history and whose belongings are looked for in it.
#[derive(Debug)]
pub struct Belongings<'a> {
    folder: PathBuf,
    needle: Needle,
    keyring: &'a Keyring,
}

/// A change of a connection, as it is disclosed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldConnection {
    /// When, Unix ms.
    pub at_ms: i64,
    /// MQTT client identifier.
    pub client_id: String,
    /// Network address.
    pub address: String,
    /// What happened, in plain words.
    pub detail: String,
}

/// One thing that is held of a node.
#[derive(Debug)]
pub enum Belonging {
    /// A reception, with why it is the node's and what became of its copies.
    Reception(Box<Reception>, Tie, Option<Release>),
    /// A connection.
    Connection(HeldConnection),
    /// What the node called itself on a day: long and short name.
    Name(Day, String, String),
}

/// Time that an erasing step waits for the file's writer.
const BUSY: Duration = Duration::from_secs(10);
/// Bodies deleted in one transaction.
const BODIES: usize = 500;
/// Pages of the index of texts that are merged in one transaction.
const MERGE_PAGES: i64 = 200;
/// Merging ends at the latest after so many steps; an index of a day has fewer.
const MERGES_MAX: usize = 10_000;

impl<'a> Belongings<'a> {
    /// Looks in a folder for what is held of a node, opening with these keys what may be opened.
    pub fn of(folder: &Path, node: u32, keyring: &'a Keyring) -> Self {
        Self { folder: folder.to_path_buf(), needle: Needle::of(node), keyring }
    }

    /// The days that have a file, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn days(&self) -> Result<Vec<Day>, Error> {
        files::days_in(&self.folder)
    }

    /// How much a day has.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn count(&self, day: Day) -> Result<Held, Error> {
        let file = files::path_of(&self.folder, day);
        let Some((connection, version)) = schema::open_for_reading(&file)? else {
            return Ok(Held::default());
        };
        self.count_in(&connection, version).map_err(Error::sqlite(&file))
    }

    /// How much there is in all.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn count_all(&self) -> Result<Held, Error> {
        let mut held = Held::default();
        for day in self.days()? {
            held.add(&self.count(day)?);
        }
        Ok(held)
    }

    /// What the node has called itself, long names and short ones.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for day in self.days()? {
            let file = files::path_of(&self.folder, day);
            let Some((connection, version)) = schema::open_for_reading(&file)? else { continue };
            if version < Version::TWO {
                continue;
            }
            let read = || -> rusqlite::Result<Vec<[String; 2]>> {
                let mut query = connection.prepare("SELECT long, short FROM node_name WHERE node = ?1")?;
                query.query_map([self.needle.node], |row| Ok([row.get(0)?, row.get(1)?]))?.collect()
            };
            for name in read().map_err(Error::sqlite(&file))?.into_iter().flatten() {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }

    /// Shows everything of a day, in the order in which it came.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn each(&self, day: Day, mut visit: impl FnMut(Belonging)) -> Result<(), Error> {
        let file = files::path_of(&self.folder, day);
        let Some((connection, version)) = schema::open_for_reading(&file)? else { return Ok(()) };
        self.each_in(&connection, version, day, &mut visit).map_err(Error::sqlite(&file))
    }

    /// Takes everything of a day away, pausing after each step as the caller wants, and says how much it was. The file is
    /// to be rewritten afterwards, if there was anything.
    ///
    /// # Errors
    /// When its file cannot be read or written; what was done until then stays done.
    pub fn erase(&self, day: Day, mut pause: impl FnMut()) -> Result<Held, Error> {
        let file = files::path_of(&self.folder, day);
        // Looking first: a file without anything is not written to.
        if self.count(day)? == Held::default() {
            return Ok(Held::default());
        }
        let mut erase = || -> rusqlite::Result<Held> {
            let mut connection = Connection::open(&file)?;
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "secure_delete", true)?;
            self.erase_in(&mut connection, &mut pause)
        };
        erase().map_err(Error::sqlite(&file))
    }

    fn count_in(&self, connection: &Connection, version: Version) -> rusqlite::Result<Held> {
        let ties = Ties::find(connection, &self.needle)?;
        let mut held = ties.count_rest(connection, &self.needle)?;
        let mut after = i64::MIN;
        while let Some((tied, last)) = ties.page(connection, &self.needle, self.keyring, after)? {
            after = last;
            for (_, tie) in &tied {
                held.count(*tie);
            }
            held.releases += count_of(connection, "release", "seq", tied.iter().map(|(seq, _)| *seq))?;
            if version >= Version::TWO {
                let sent = tied.iter().filter(|(_, tie)| *tie == Tie::Sent).map(|(seq, _)| *seq);
                held.texts += count_of(connection, "said", "rowid", sent)?;
            }
        }
        Ok(held)
    }

    fn each_in(
        &self,
        connection: &Connection,
        version: Version,
        day: Day,
        visit: &mut impl FnMut(Belonging),
    ) -> rusqlite::Result<()> {
        let ties = Ties::find(connection, &self.needle)?;
        let mut after = i64::MIN;
        while let Some((tied, last)) = ties.page(connection, &self.needle, self.keyring, after)? {
            after = last;
            let seqs: Vec<i64> = tied.iter().map(|(seq, _)| *seq).collect();
            let query = format!("{} WHERE r.seq IN ({}) ORDER BY r.seq", row::SELECT, list(&seqs));
            for reception in row::select(connection, &query, Vec::new())? {
                let why = tied.iter().find(|(seq, _)| *seq as u64 == reception.seq);
                let tie = why.map_or(Tie::Named, |(_, tie)| *tie);
                let release = row::release(connection, reception.seq)?;
                visit(Belonging::Reception(Box::new(reception), tie, release));
            }
        }
        let query = format!(
            "SELECT c.at_ms, client.text, address.text, detail.text FROM connection c
             JOIN word client ON client.id = c.client JOIN word address ON address.id = c.address
             JOIN word detail ON detail.id = c.detail WHERE {} ORDER BY c.at_ms",
            ties.connections(&self.needle)
                .replace("gateway =", "c.gateway =")
                .replace("client IN", "c.client IN")
                .replace("username IN", "c.username IN")
                .replace("address IN", "c.address IN")
                .replace("detail IN", "c.detail IN")
        );
        let mut statement = connection.prepare(&query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            visit(Belonging::Connection(HeldConnection {
                at_ms: row.get(0)?,
                client_id: row.get(1)?,
                address: row.get(2)?,
                detail: row.get(3)?,
            }));
        }
        if version >= Version::TWO {
            let mut statement = connection.prepare("SELECT long, short FROM node_name WHERE node = ?1")?;
            for name in statement.query_map([self.needle.node], |row| Ok((row.get(0)?, row.get(1)?)))? {
                let (long, short) = name?;
                visit(Belonging::Name(day, long, short));
            }
        }
        Ok(())
    }

    fn erase_in(&self, connection: &mut Connection, pause: &mut impl FnMut()) -> rusqlite::Result<Held> {
        let needle = &self.needle;
        let has_words_index = connection.table_exists(None, "said")?;
        let ties = Ties::find(connection, needle)?;
        let mut held = ties.count_rest(connection, needle)?;
        // Whose client it was is known by name only as long as the sources are there.
        let clients = self.clients(connection, &ties)?;
        let mut bodies: Vec<i64> = Vec::new();
        let mut after = i64::MIN;
        while let Some((tied, last)) = ties.page(connection, needle, self.keyring, after)? {
            after = last;
            let seqs: Vec<i64> = tied.iter().map(|(seq, _)| *seq).collect();
            tied.iter().for_each(|(_, tie)| held.count(*tie));
            held.releases += count_of(connection, "release", "seq", seqs.iter().copied())?;
            if has_words_index {
                let sent = tied.iter().filter(|(_, tie)| *tie == Tie::Sent).map(|(seq, _)| *seq);
                held.texts += count_of(connection, "said", "rowid", sent)?;
            }
            let others = tied.iter().filter(|(_, tie)| *tie != Tie::Sent).map(|(seq, _)| *seq).collect();
            let of_page = "SELECT DISTINCT body FROM reception WHERE body IS NOT NULL AND seq IN";
            bodies.extend(numbers(connection, &format!("{of_page} ({})", list(&seqs)), [])?);
            self.erase_receptions(connection, &seqs, others, has_words_index)?;
            pause();
        }
        bodies.sort_unstable();
        bodies.dedup();
        self.erase_bodies(connection, &bodies, pause)?;
        self.erase_rest(connection, &ties, &clients)?;
        pause();
        if has_words_index {
            merge_words_index(connection, pause)?;
        }
        Ok(held)
    }

    /// Deletes some receptions. A text that others have brought too is found by one of theirs from then on.
    fn erase_receptions(
        &self,
        connection: &mut Connection,
        seqs: &[i64],
        others: Vec<i64>,
        has_words_index: bool,
    ) -> rusqlite::Result<()> {
        let transaction = begin(connection)?;
        let all = list(seqs);
        if has_words_index {
            let found_by = format!("SELECT rowid FROM said WHERE rowid IN ({})", list(&others));
            let moving = numbers(&transaction, &found_by, [])?;
            transaction.execute(&format!("DELETE FROM said WHERE rowid IN ({all})"), [])?;
            for seq in moving {
                self.find_by_another(&transaction, seq, &all)?;
            }
        }
        for (table, key) in [("release", "seq"), ("clock_put_back", "seq"), ("reception", "seq")] {
            transaction.execute(&format!("DELETE FROM {table} WHERE {key} IN ({all})"), [])?;
        }
        transaction.commit()
    }

    fn find_by_another(&self, transaction: &Transaction<'_>, seq: i64, gone: &str) -> rusqlite::Result<()> {
        let query = format!(
            "{} WHERE r.seq = (SELECT min(c.seq) FROM reception o JOIN reception c
                ON c.sender = o.sender AND c.packet = o.packet AND c.body = o.body
             WHERE o.seq = {seq} AND c.seq NOT IN ({gone}))",
            row::SELECT
        );
        for other in row::select(transaction, &query, Vec::new())? {
            if let Some(said) = said::said(&other, self.keyring) {
                let mut insert =
                    transaction.prepare_cached("INSERT INTO said (rowid, text) VALUES (?1, ?2)")?;
                insert.execute((other.seq as i64, query::fold(&said)))?;
            }
        }
        Ok(())
    }

    /// Deletes bodies that nobody refers to any more. Which these are is found out without holding the file; what was
    /// stored meanwhile is asked for again.
    fn erase_bodies(
        &self,
        connection: &mut Connection,
        bodies: &[i64],
        pause: &mut impl FnMut(),
    ) -> rusqlite::Result<()> {
        for some in bodies.chunks(BODIES) {
            let some = list(some);
            let looked_to: i64 =
                connection.query_row("SELECT coalesce(max(seq), 0) FROM reception", [], |row| row.get(0))?;
            let used = format!("SELECT DISTINCT body FROM reception WHERE body IN ({some})");
            let used = list(&numbers(connection, &used, [])?);
            let transaction = begin(connection)?;
            transaction.execute(
                &format!(
                    "DELETE FROM body WHERE id IN ({some}) AND id NOT IN ({used})
                     AND id NOT IN (SELECT body FROM reception WHERE seq > {looked_to} AND body IS NOT NULL)"
                ),
                [],
            )?;
            transaction.commit()?;
            pause();
        }
        Ok(())
    }

    /// Words of clients that were the node's and nobody else's.
    fn clients(&self, connection: &Connection, ties: &Ties) -> rusqlite::Result<Vec<i64>> {
        let (sources, connections) = (list(&ties.sources), ties.connections(&self.needle));
        let query = format!(
            "SELECT client FROM source WHERE id IN ({sources})
             UNION SELECT username FROM source WHERE id IN ({sources})
             UNION SELECT topic FROM source WHERE id IN ({sources})
             UNION SELECT client FROM connection WHERE {connections}
             UNION SELECT username FROM connection WHERE username IS NOT NULL AND ({connections})
             UNION SELECT address FROM connection WHERE {connections}"
        );
        numbers(connection, &query, [])
    }

    /// Deletes what is not a reception, and replaces the number where a row is needed for others.
    fn erase_rest(&self, connection: &mut Connection, ties: &Ties, clients: &[i64]) -> rusqlite::Result<()> {
        let needle = &self.needle;
        let transaction = begin(connection)?;
        transaction.execute(&format!("DELETE FROM connection WHERE {}", ties.connections(needle)), [])?;
        for (table, holds) in
            [("node_name", format!("node = {}", needle.node)), ("rollup", sums_of(needle.node))]
        {
            if transaction.table_exists(None, table)? {
                transaction.execute(&format!("DELETE FROM {table} WHERE {holds}"), [])?;
            }
        }
        let sources = list(&ties.sources);
        transaction.execute(
            &format!(
                "DELETE FROM source WHERE id IN ({sources}) AND id NOT IN (SELECT source FROM reception)"
            ),
            [],
        )?;
        let layouts = list(&ties.layouts);
        transaction.execute(
            &format!(
                "DELETE FROM layout WHERE id IN ({layouts})
                 AND id NOT IN (SELECT layout FROM reception WHERE layout IS NOT NULL)"
            ),
            [],
        )?;
        let clients = list(clients);
        let orphans = numbers(
            &transaction,
            &format!(
                "SELECT id FROM word WHERE id IN ({clients}) AND id NOT IN (
                    SELECT client FROM source UNION SELECT username FROM source UNION SELECT topic FROM source
                    UNION SELECT channel FROM source UNION SELECT sentence FROM judgement
                    UNION SELECT client FROM connection UNION SELECT address FROM connection
                    UNION SELECT detail FROM connection
                    UNION SELECT username FROM connection WHERE username IS NOT NULL)"
            ),
            [],
        )?;
        // They may stand in lists of who got a copy, so they stay as words that say nothing.
        for id in orphans {
            transaction.execute("UPDATE word SET text = ?2 WHERE id = ?1", (id, format!("erased-{id}")))?;
        }
        for id in &ties.words {
            let text: String =
                transaction.query_row("SELECT text FROM word WHERE id = ?1", [id], |row| row.get(0))?;
            let text = needle.replaced(&text, &format!("erased-{id}"));
            transaction.execute("UPDATE word SET text = ?2 WHERE id = ?1", (id, text))?;
        }
        self.blacken_policy_changes(&transaction)?;
        transaction.commit()
    }

    fn blacken_policy_changes(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        if !transaction.table_exists(None, "policy_change")? {
            return Ok(());
        }
        let mut select = transaction.prepare(
            "SELECT rowid, who, changes, private_changes, content FROM policy_change
             WHERE instr(lower(who || changes || private_changes || content), ?1) > 0",
        )?;
        let found: rusqlite::Result<Vec<(i64, [String; 4])>> = select
            .query_map([&self.needle.hex], |row| {
                Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]))
            })?
            .collect();
        for (id, texts) in found? {
            let [who, changes, private, content] = texts.map(|text| self.needle.replaced(&text, "erased"));
            transaction.execute(
                "UPDATE policy_change SET who = ?2, changes = ?3, private_changes = ?4, content = ?5 WHERE rowid = ?1",
                (id, who, changes, private, content),
            )?;
        }
        Ok(())
    }
}

/// Writes a day's file anew, so that nothing is left in it of what was deleted, and empties its journal. Whoever writes
/// to it meanwhile waits; who reads does not.
///
/// # Errors
/// When the file cannot be written, as on a full disk: it is as it was then.
pub fn rewrite(folder: &Path, day: Day) -> Result<(), Error> {
    let file = files::path_of(folder, day);
    let rewrite = || -> rusqlite::Result<()> {
        let connection = Connection::open(&file)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.execute_batch("VACUUM")?;
        // Somebody who reads an old state keeps the journal from being emptied.
        let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if is_busy {
            let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
            return Err(rusqlite::Error::SqliteFailure(busy, None));
        }
        Ok(())
    };
    rewrite().map_err(Error::sqlite(&file))
}

/// Size of a day's file, bytes; 0 when there is none.
pub fn bytes_of(folder: &Path, day: Day) -> u64 {
    std::fs::metadata(files::path_of(folder, day)).map_or(0, |found| found.len())
}

/// Takes out of the index of texts what was deleted from it: until parts of it are merged, it only notes that.
pub(crate) fn merge_words_index(
    connection: &mut Connection,
    pause: &mut impl FnMut(),
) -> rusqlite::Result<()> {
    // A negative number begins with all parts that there are, the next ones go on with these.
    let mut pages = -MERGE_PAGES;
    for _ in 0..MERGES_MAX {
        let before = connection.total_changes();
        let transaction = begin(connection)?;
        transaction.execute("INSERT INTO said (said, rank) VALUES ('merge', ?1)", [pages])?;
        transaction.commit()?;
        // SQLite's own measure: fewer than two changes mean that there is nothing left to merge.
        if connection.total_changes() - before < 2 {
            return Ok(());
        }
        pages = MERGE_PAGES;
        pause();
    }
    Ok(())
}

fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

fn count_of(
    connection: &Connection,
    table: &str,
    key: &str,
    seqs: impl Iterator<Item = i64>,
) -> rusqlite::Result<u64> {
    let seqs: Vec<i64> = seqs.collect();
    debug_assert!(seqs.len() <= PAGE_ROWS);
    connection.query_row(
        &format!("SELECT count(*) FROM {table} WHERE {key} IN ({})", list(&seqs)),
        [],
        |row| row.get(0),
    )
}
