//! Reading again what is stored when channel keys change: a key that is added opens what came before it, one that is taken
//! away closes it. What was decided at the time stays as it was; the port, the consent and the key class of each reception,
//! the index of what was said, names and hourly counts follow the keys.
//!
//! A file beside the day files says for which keys they were read last, and how far the reading is: it goes on after a
//! restart. Each step is one short transaction, so that recording goes on meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use foldhash::quality::RandomState;
use mesh::keyring::Keyring;
use mesh::observe::{Scratch, observe};
use record::{PacketSummary, Reception};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files::{self, Day};
use crate::insert::{Ids, Insert};
use crate::{class, header, rollup, row, said, schema};

/// Receptions looked at in one step.
const STEP_ROWS: usize = 1_000;
/// Steps after which it is noted how far the reading is; after a crash so many are done once more.
const NOTED_EVERY: u32 = 20;
/// What says for which keys the files were read.
const STATE_FILE: &str = "keys.json";

/// For which keys the day files were read, and how far.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// Random; makes the fingerprint worthless to others.
    salt: [u8; 16],
    /// Of the keys that `pending` is about.
    fingerprint: [u8; 32],
    /// Days that are not read to the end, each with the last number that was.
    pending: BTreeMap<Day, i64>,
}

/// What a reading came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reread {
    /// Receptions looked at.
    pub looked_at: u64,
    /// Of these, those that open now and did not.
    pub opened: u64,
    /// Those that opened and do not now.
    pub closed: u64,
}

/// A reading under way.
#[derive(Debug)]
pub struct Redecode {
    folder: PathBuf,
    keyring: Keyring,
    state: State,
    open: Option<Open>,
    steps: u32,
    done: Reread,
}

/// The day that is being read.
#[derive(Debug)]
struct Open {
    day: Day,
    connection: Connection,
    ids: Ids,
    /// Judgements whose receptions the keys may decide about.
    judgements: String,
    /// Bodies seen in this file: what was said stands with the first reception of each.
    bodies: HashSet<i64, RandomState>,
}

impl Redecode {
    /// Finds out what is to be read again for these keys. `salt` is random, for a folder that has none yet.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn begin(folder: &Path, keyring: &Keyring, salt: [u8; 16]) -> Result<Self, Error> {
        let kept = fs::read(folder.join(STATE_FILE)).ok();
        let kept: Option<State> = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let days = files::days_in(folder)?;
        let state = match kept {
            Some(state) if state.fingerprint == keyring.fingerprint(state.salt) => state,
            other => {
                let salt = other.map_or(salt, |state| state.salt);
                let pending = days.iter().map(|day| (*day, -1)).collect();
                State { salt, fingerprint: keyring.fingerprint(salt), pending }
            }
        };
        let begun = Self {
            folder: folder.to_owned(),
            keyring: keyring.clone(),
            state,
            open: None,
            steps: 0,
            done: Reread::default(),
        };
        if folder.is_dir() {
            begun.note()?;
        }
        Ok(begun)
    }

    /// Whether there is nothing to read.
    pub fn is_done(&self) -> bool {
        self.state.pending.is_empty()
    }

    /// Days that are still to be read, the present one included.
    pub fn days_left(&self) -> usize {
        self.state.pending.len()
    }

    /// What it came to so far.
    pub const fn came_to(&self) -> Reread {
        self.done
    }

    /// Reads a little, the newest day first; `false` when everything is read.
    ///
    /// # Errors
    /// When a file cannot be read or written. The same step may be tried again.
    pub fn step(&mut self) -> Result<bool, Error> {
        let Some((day, after)) = self.state.pending.last_key_value().map(|(day, after)| (*day, *after))
        else {
            return Ok(false);
        };
        let file = files::path_of(&self.folder, day);
        // It may have been deleted since.
        let next = if file.exists() { self.read_on(day, after)? } else { None };
        match next {
            Some(after) => {
                self.state.pending.insert(day, after);
            }
            None => {
                self.state.pending.remove(&day);
                self.open = None;
            }
        }
        self.steps += 1;
        if next.is_none() || self.steps.is_multiple_of(NOTED_EVERY) {
            self.note()?;
        }
        Ok(!self.is_done())
    }

    /// Reads some of a day; gives the last number that was read, `None` at the end.
    fn read_on(&mut self, day: Day, after: i64) -> Result<Option<i64>, Error> {
        let file = files::path_of(&self.folder, day);
        let mut open = match self.open.take().filter(|open| open.day == day) {
            Some(open) => open,
            None => Open::of(&file, day, &self.keyring)?,
        };
        let read = open.read_on(after, &self.keyring).map_err(Error::sqlite(&file))?;
        // After a failure ids may belong to rows that were rolled back: then it is opened anew.
        self.open = Some(open);
        Ok(read.map(|(last, reread)| {
            self.done.looked_at += reread.looked_at;
            self.done.opened += reread.opened;
            self.done.closed += reread.closed;
            last
        }))
    }

    fn note(&self) -> Result<(), Error> {
        let file = self.folder.join(STATE_FILE);
        let unfinished = file.with_extension("unfinished");
        let bytes = serde_json::to_vec(&self.state).unwrap_or_default();
        let failed = |error| Error::Io(file.clone(), error);
        fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, &file)).map_err(failed)
    }
}

impl Open {
    fn of(file: &Path, day: Day, keyring: &Keyring) -> Result<Self, Error> {
        let connection = schema::open_for_writing(file, keyring)?;
        let judgements = judgements(&connection).map_err(Error::sqlite(file))?;
        Ok(Self { day, connection, ids: Ids::default(), judgements, bodies: HashSet::default() })
    }

    fn read_on(&mut self, after: i64, keyring: &Keyring) -> rusqlite::Result<Option<(i64, Reread)>> {
        let Self { connection, ids, judgements, bodies, .. } = self;
        let transaction = connection.transaction()?;
        let query = format!(
            "{} WHERE r.seq > {after} AND r.sender IS NOT NULL AND r.judgement IN ({judgements})
             ORDER BY r.seq LIMIT {STEP_ROWS}",
            row::SELECT
        );
        let receptions = row::select(&transaction, &query, Vec::new())?;
        let Some(last) = receptions.last().map(|last| last.seq as i64) else { return Ok(None) };
        let body_of = bodies_of(&transaction, after, last)?;
        let mut insert = Insert::new(&transaction, ids, keyring)?;
        let mut reread = Reread::default();
        for before in &receptions {
            reread.looked_at += 1;
            let is_first = body_of.get(&(before.seq as i64)).is_none_or(|body| bodies.insert(*body));
            let Some(now) = read_again(before, keyring) else { continue };
            let judgement = insert.judgement(&now)?;
            transaction
                .prepare_cached("UPDATE reception SET judgement = ?2, header = ?3, hops = ?4 WHERE seq = ?1")?
                .execute(params![
                    now.seq as i64,
                    judgement,
                    now.packet.map(|p| header::put(&p, &now.payload)).filter(|header| !header.is_empty()),
                    now.packet.and_then(|p| p.hops_away),
                ])?;
            match (before.port, now.port) {
                (None, Some(_)) => reread.opened += 1,
                (Some(_), None) => reread.closed += 1,
                _ => {}
            }
            if is_first {
                if said::said(&now, keyring).is_none() {
                    transaction
                        .prepare_cached("DELETE FROM said WHERE rowid = ?1")?
                        .execute([now.seq as i64])?;
                    transaction
                        .prepare_cached("DELETE FROM node_name WHERE seq = ?1")?
                        .execute([now.seq as i64])?;
                }
                if before.port.is_none() {
                    insert.words(&now)?;
                }
            }
            if before.port != now.port {
                rollup::move_port(&transaction, before, now.port, is_first)?;
            }
        }
        insert.finish()?;
        if reread.opened > 0 {
            class::look_again(&transaction)?;
        }
        transaction.commit()?;
        Ok(Some((last, reread)))
    }
}

/// What keys decide about: packets that nobody opened, and those that a key of the operator's did. The rest opens with what
/// everybody has.
fn judgements(connection: &Connection) -> rusqlite::Result<String> {
    use record::KeyClass;
    let classes =
        [KeyClass::Unknown, KeyClass::Known, KeyClass::Private].map(|class| class.code().to_string());
    let query = format!("SELECT id FROM judgement WHERE port = -1 OR key_class IN ({})", classes.join(", "));
    let ids: Vec<String> = connection
        .prepare(&query)?
        .query_map([], |row| row.get::<_, i64>(0).map(|id| id.to_string()))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(ids.join(", "))
}

fn bodies_of(connection: &Connection, after: i64, last: i64) -> rusqlite::Result<HashMap<i64, i64>> {
    let query = "SELECT seq, body FROM reception WHERE seq > ?1 AND seq <= ?2 AND body IS NOT NULL";
    connection
        .prepare_cached(query)?
        .query_map([after, last], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// The reception as the keys have it now; `None` when nothing is otherwise.
fn read_again(before: &Reception, keyring: &Keyring) -> Option<Reception> {
    let mut scratch = Scratch::default();
    let facts = observe(&before.topic, &before.payload, keyring, &mut scratch);
    let now = Reception {
        packet: before.packet.and(facts.packet.as_ref().map(|packet| PacketSummary::of(packet, &facts))),
        port: facts.port.map(|port| port.0),
        consent: facts.consent.into(),
        key_class: facts.key_class.into(),
        flags: facts.flags.0,
        ..before.clone()
    };
    let is_same = (now.port, now.consent, now.key_class, now.flags)
        == (before.port, before.consent, before.key_class, before.flags);
    (!is_same && now.packet.is_some()).then_some(now)
}
