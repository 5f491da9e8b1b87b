//! One record into the tables of a day, in the transaction of its batch. What repeats is stored once and remembered.

use std::collections::{HashMap, VecDeque};

use foldhash::quality::RandomState;
use mesh::keyring::Keyring;
use policy::decision::Outcome;
use query::CopyFate;
use record::{ConnectionEvent, ConnectionWhat, Reception, Release};
use rusqlite::{CachedStatement, Connection, params};

use crate::copies::{self, Copy};
use crate::payload::{self, Known};
use crate::rollup::Tallies;
use crate::schema::EVERYONE;
use crate::{header, said, sql};

/// Ids of rows in one file. Forgotten when a transaction fails, since its rows are not there then.
#[derive(Debug, Default)]
pub struct Ids {
    words: HashMap<String, i64, RandomState>,
    layouts: HashMap<Vec<u8>, i64, RandomState>,
    sources: HashMap<[i64; 5], i64, RandomState>,
    judgements: HashMap<[i64; 11], i64, RandomState>,
    fates: HashMap<[i64; 2], i64, RandomState>,
    bodies: RecentBodies,
}

/// Copies that were settled later. A release that is given a second time is in what is stored already, byte for byte.
const FURTHER_COPIES: &str = "
    UPDATE release SET copies = CAST(copies || ?2 AS BLOB), fate = ?3 WHERE seq = ?1 AND instr(copies, ?2) = 0";

/// Bodies stored lately: copies of a packet come within seconds. A body that was forgotten is stored once more.
#[derive(Debug, Default)]
struct RecentBodies {
    ids: HashMap<(u32, u32), (i64, Vec<u8>), RandomState>,
    order: VecDeque<(u32, u32)>,
}

const RECENT_BODIES_MAX: usize = 20_000;
/// Longer bodies did not cross a radio and are not remembered: a hostile client must not fill the memory.
const RECENT_BODY_BYTES_MAX: usize = 512;
/// Ids remembered of each sort; more (from clients with random identifiers) are looked up in the file.
const IDS_MAX: usize = 30_000;
/// Longer words are always looked up in the file.
const WORD_BYTES_MAX: usize = 512;
/// Stands for none where NULL would not be unique.
const NONE: i64 = -1;

/// What became of copies: a bit for each outcome there was, and for each rule that withheld any.
pub fn fate_of(outcomes: impl Iterator<Item = Outcome>) -> [i64; 2] {
    let mut key = [0; 2];
    for outcome in outcomes {
        let fates = CopyFate::ALL.into_iter().filter(|fate| fate.is_of(outcome));
        key[0] |= fates.map(sql::outcome_bit).fold(0, |bits, bit| bits | bit);
        if let Outcome::Withheld(rule) = outcome {
            key[1] |= 1 << rule.code();
        }
    }
    key
}

/// A transaction and the ids known in it.
pub struct Insert<'a> {
    connection: &'a Connection,
    ids: &'a mut Ids,
    /// What may be opened to be found by its words.
    keyring: &'a Keyring,
    tallies: Tallies,
    /// The statements that every reception needs are looked up once per transaction.
    reception: CachedStatement<'a>,
    body: CachedStatement<'a>,
    release: CachedStatement<'a>,
}

impl<'a> Insert<'a> {
    /// Inserts through a transaction's connection, with the ids known in its file.
    pub fn new(connection: &'a Connection, ids: &'a mut Ids, keyring: &'a Keyring) -> rusqlite::Result<Self> {
        Ok(Self {
            reception: connection.prepare_cached(
                "INSERT OR IGNORE INTO reception
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            )?,
            body: connection.prepare_cached("INSERT INTO body (content) VALUES (?1)")?,
            release: connection.prepare_cached("INSERT OR IGNORE INTO release VALUES (?1, ?2, ?3, ?4)")?,
            connection,
            ids,
            keyring,
            tallies: Tallies::default(),
        })
    }

    /// Stores a reception.
    pub fn reception(&mut self, r: &Reception) -> rusqlite::Result<()> {
        let source = self.source(r)?;
        let judgement = self.judgement(r)?;
        let known = r.packet.map_or_else(Known::default, |p| Known {
            from: p.from,
            to: p.to,
            id: p.id,
            at_s: r.at_ms.div_euclid(1000),
        });
        let parts = r.packet.and_then(|_| payload::take_apart(&r.payload, known));
        let layout = parts.as_ref().map(|parts| self.layout(&parts.layout)).transpose()?;
        let body = parts.as_ref().map(|parts| self.body((known.from, known.id), parts.body)).transpose()?;
        let is_first = body.is_none_or(|(_, is_first)| is_first);
        let content = parts.as_ref().map_or(&*r.payload, |parts| &parts.values);
        let header = r.packet.map(|p| header::put(&p, &r.payload)).filter(|header| !header.is_empty());
        let snr_quarters = r.packet.and_then(|p| p.rx_snr).filter(|snr| snr.is_finite());
        let is_stored = self.reception.execute(params![
            r.seq as i64,
            r.at_ms,
            source,
            judgement,
            r.packet.map(|p| p.from),
            r.packet.map(|p| p.to).filter(|to| *to != EVERYONE),
            r.packet.map(|p| p.id),
            layout,
            body.map(|(id, _)| id),
            content,
            header,
            snr_quarters.map(|snr| (snr * 4.0).round() as i64),
            r.frame_bytes,
            r.airtime_us,
            r.packet.and_then(|p| p.hops_away),
            r.packet.and_then(|p| p.rx_rssi),
        ])?;
        // A batch that is given again is not counted again.
        if is_stored == 1 { self.derived(r, is_first) } else { Ok(()) }
    }

    /// Stores what follows from a reception that is there: counts, words and names. `is_first` says whether its body was
    /// not there before.
    pub fn derived(&mut self, r: &Reception, is_first: bool) -> rusqlite::Result<()> {
        let channel = self.optional_word(r.channel.as_deref())?;
        self.tallies.count(r, channel, is_first && r.packet.is_some());
        if is_first { self.words(r) } else { Ok(()) }
    }

    /// Stores what somebody wrote, and what a node is called.
    pub fn words(&mut self, r: &Reception) -> rusqlite::Result<()> {
        if let Some(said) = said::said(r, self.keyring) {
            let mut insert =
                self.connection.prepare_cached("INSERT INTO said (rowid, text) VALUES (?1, ?2)")?;
            insert.execute(params![r.seq as i64, query::fold(&said)])?;
        }
        if let (Some(packet), Some((long, short))) = (r.packet, said::names(r, self.keyring)) {
            let mut insert = self.connection.prepare_cached(
                "INSERT INTO node_name (node, seq, long, short) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
                 SET seq = excluded.seq, long = excluded.long, short = excluded.short WHERE excluded.seq > seq",
            )?;
            insert.execute(params![packet.from, r.seq as i64, long, short])?;
        }
        Ok(())
    }

    /// Stores what is added up at the end. Without it, what was counted is lost.
    pub fn finish(mut self) -> rusqlite::Result<()> {
        self.tallies.store(self.connection)
    }

    /// Notes that the clock was put back before a reception.
    pub fn clock_put_back(&self, seq: u64) -> rusqlite::Result<()> {
        let mut insert =
            self.connection.prepare_cached("INSERT OR IGNORE INTO clock_put_back VALUES (?1)")?;
        insert.execute([seq as i64]).map(drop)
    }

    /// Stores what became of a reception's copies; those that waited come later and are added.
    pub fn release(&mut self, release: &Release) -> rusqlite::Result<()> {
        let mut bytes = Vec::with_capacity(release.copies.len() * 4);
        for copy in &release.copies {
            let receiver = self.word(&copy.receiver)?;
            let (kind, outcome, observed) = (copy.kind, copy.outcome, copy.observed);
            let details = copy.details;
            copies::put(&mut bytes, &Copy { receiver, kind, outcome, observed, details });
        }
        let key = fate_of(release.copies.iter().map(|copy| copy.outcome));
        let (seq, fate) = (release.reception_seq as i64, self.fate(key)?);
        if self.release.execute(params![seq, release.at_ms, bytes, fate])? == 1 {
            return Ok(());
        }
        let mut stored = self.connection.prepare_cached(
            "SELECT f.outcomes, f.rules FROM release r JOIN fate f ON f.id = r.fate WHERE r.seq = ?1",
        )?;
        let stored: [i64; 2] = stored.query_row([seq], |row| Ok([row.get(0)?, row.get(1)?]))?;
        let fate = self.fate([stored[0] | key[0], stored[1] | key[1]])?;
        self.connection.prepare_cached(FURTHER_COPIES)?.execute(params![seq, bytes, fate]).map(drop)
    }

    /// The row of what became of copies, as `fate_of` sums it up.
    pub fn fate(&mut self, key: [i64; 2]) -> rusqlite::Result<i64> {
        if let Some(id) = self.ids.fates.get(&key) {
            return Ok(*id);
        }
        let mut insert =
            self.connection.prepare_cached("INSERT OR IGNORE INTO fate (outcomes, rules) VALUES (?1, ?2)")?;
        insert.execute(key)?;
        let mut select =
            self.connection.prepare_cached("SELECT id FROM fate WHERE outcomes = ?1 AND rules = ?2")?;
        let id = select.query_row(key, |row| row.get(0))?;
        if self.ids.fates.len() < IDS_MAX {
            self.ids.fates.insert(key, id);
        }
        Ok(id)
    }

    /// Stores a connection event.
    pub fn connection(&mut self, event: &ConnectionEvent) -> rusqlite::Result<()> {
        let client = self.word(&event.client_id)?;
        let username = event.username.as_deref().map(|name| self.word(name)).transpose()?;
        let address = self.word(&event.address)?;
        let (kind, detail) = match &event.what {
            ConnectionWhat::Connected(version) => (0, version),
            ConnectionWhat::Refused(why) => (1, why),
            ConnectionWhat::Disconnected(why) => (2, why),
            ConnectionWhat::Moved(why) => (3, why),
        };
        let detail = self.word(detail)?;
        let mut insert = self.connection.prepare_cached(
            "INSERT OR IGNORE INTO connection (at_ms, client, kind, address, username, gateway, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let values = params![event.at_ms, client, kind, address, username, event.gateway, detail];
        insert.execute(values).map(drop)
    }

    fn word(&mut self, text: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.ids.words.get(text) {
            return Ok(*id);
        }
        self.connection.prepare_cached("INSERT OR IGNORE INTO word (text) VALUES (?1)")?.execute([text])?;
        let mut select = self.connection.prepare_cached("SELECT id FROM word WHERE text = ?1")?;
        let id = select.query_row([text], |row| row.get(0))?;
        if self.ids.words.len() < IDS_MAX && text.len() <= WORD_BYTES_MAX {
            self.ids.words.insert(text.to_owned(), id);
        }
        Ok(id)
    }

    fn optional_word(&mut self, text: Option<&str>) -> rusqlite::Result<i64> {
        text.map_or(Ok(NONE), |text| self.word(text))
    }

    fn layout(&mut self, content: &[u8]) -> rusqlite::Result<i64> {
        if let Some(id) = self.ids.layouts.get(content) {
            return Ok(*id);
        }
        let connection = self.connection;
        connection
            .prepare_cached("INSERT OR IGNORE INTO layout (content) VALUES (?1)")?
            .execute([content])?;
        let mut select = connection.prepare_cached("SELECT id FROM layout WHERE content = ?1")?;
        let id = select.query_row([content], |row| row.get(0))?;
        if self.ids.layouts.len() < IDS_MAX {
            self.ids.layouts.insert(content.to_owned(), id);
        }
        Ok(id)
    }

    fn source(&mut self, r: &Reception) -> rusqlite::Result<i64> {
        let key = [
            self.word(&r.client_id)?,
            self.optional_word(r.username.as_deref())?,
            r.gateway.map_or(NONE, i64::from),
            self.word(&r.topic)?,
            self.optional_word(r.channel.as_deref())?,
        ];
        if let Some(id) = self.ids.sources.get(&key) {
            return Ok(*id);
        }
        let mut insert = self.connection.prepare_cached(
            "INSERT OR IGNORE INTO source (client, username, gateway, topic, channel) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        insert.execute(key)?;
        let mut select = self.connection.prepare_cached(
            "SELECT id FROM source
             WHERE client = ?1 AND username = ?2 AND gateway = ?3 AND topic = ?4 AND channel = ?5",
        )?;
        let id = select.query_row(key, |row| row.get(0))?;
        if self.ids.sources.len() < IDS_MAX {
            self.ids.sources.insert(key, id);
        }
        Ok(id)
    }

    /// The row of what was found and decided.
    pub fn judgement(&mut self, r: &Reception) -> rusqlite::Result<i64> {
        let key = [
            r.decision.verdict.code().into(),
            r.decision.rule.map_or(NONE, |rule| rule.code().into()),
            self.word(&r.decision.sentence)?,
            r.decision.observed.0 as i64,
            r.decision.off.0 as i64,
            r.port.map_or(NONE, i64::from),
            r.consent.code().into(),
            r.key_class.code().into(),
            r.flags as i64,
            r.qos.into(),
            r.retain.into(),
        ];
        if let Some(id) = self.ids.judgements.get(&key) {
            return Ok(*id);
        }
        let mut insert = self.connection.prepare_cached(
            "INSERT OR IGNORE INTO judgement
             (verdict, rule, sentence, observed, off, port, consent, key_class, flags, qos, retain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        insert.execute(key)?;
        let mut select = self.connection.prepare_cached(
            "SELECT id FROM judgement WHERE verdict = ?1 AND rule = ?2 AND sentence = ?3 AND observed = ?4
             AND off = ?5 AND port = ?6 AND consent = ?7 AND key_class = ?8 AND flags = ?9 AND qos = ?10
             AND retain = ?11",
        )?;
        let id = select.query_row(key, |row| row.get(0))?;
        if self.ids.judgements.len() < IDS_MAX {
            self.ids.judgements.insert(key, id);
        }
        Ok(id)
    }

    /// The row of a body, and whether it was not there before, as far as is remembered.
    fn body(&mut self, packet: (u32, u32), content: &[u8]) -> rusqlite::Result<(i64, bool)> {
        let bodies = &mut self.ids.bodies;
        if let Some((id, _)) = bodies.ids.get(&packet).filter(|(_, known)| known == content) {
            return Ok((*id, false));
        }
        self.body.execute([content])?;
        let id = self.connection.last_insert_rowid();
        if content.len() <= RECENT_BODY_BYTES_MAX {
            if bodies.ids.insert(packet, (id, content.to_vec())).is_none() {
                bodies.order.push_back(packet);
            }
            if bodies.order.len() > RECENT_BODIES_MAX
                && let Some(oldest) = bodies.order.pop_front()
            {
                bodies.ids.remove(&oldest);
            }
        }
        Ok((id, true))
    }
}
