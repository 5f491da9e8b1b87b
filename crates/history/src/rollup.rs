//! What receptions amount to, hour by hour: kept as they are stored, read for charts and tables over weeks.

use std::collections::{BTreeMap, HashMap};

use foldhash::quality::RandomState;
use policy::rule::RuleId;
use record::Reception;
use rusqlite::{Connection, params};

use crate::error::Error;
use crate::files;
use crate::reader::Reader;
use crate::schema::Version;
use crate::sql;

const HOUR_MS: i64 = 3_600_000;

/// What an hour is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// Everything.
    All,
    /// Each port; what could not be opened is one of them.
    Port,
    /// Each gateway.
    Gateway,
    /// Each sender.
    Node,
    /// Each channel name.
    Channel,
    /// Each rule that decided.
    Rule,
}

/// One thing that hours are told of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thing {
    /// Everything.
    All,
    /// A port; `None` for what could not be opened.
    Port(Option<u32>),
    /// A gateway.
    Gateway(u32),
    /// A sender.
    Node(u32),
    /// A channel by name.
    Channel(String),
    /// A rule.
    Rule(RuleId),
}

/// What some receptions amount to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Receptions by verdict, in the order of `Verdict::ALL`.
    pub by_verdict: [u64; 4],
    /// Packets of which the first reception is among them; one that is heard again long after counts again.
    pub packets: u64,
    /// Time on air of all of them, microseconds, each reception counted.
    pub airtime_us: u64,
}

impl Tally {
    /// Receptions.
    pub fn receptions(&self) -> u64 {
        self.by_verdict.iter().sum()
    }

    fn add(&mut self, other: &Self) {
        self.by_verdict.iter_mut().zip(other.by_verdict).for_each(|(sum, part)| *sum += part);
        self.packets += other.packets;
        self.airtime_us += other.airtime_us;
    }
}

impl Dimension {
    /// The stored number; never reused.
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::All => 0,
            Self::Port => 1,
            Self::Gateway => 2,
            Self::Node => 3,
            Self::Channel => 4,
            Self::Rule => 5,
        }
    }

    /// The key of a row, for files without rollups.
    const fn key_in_version_one(self) -> &'static str {
        match self {
            Self::All => "0",
            Self::Port => "j.port",
            Self::Gateway => "s.gateway",
            Self::Node => "coalesce(r.sender, -1)",
            Self::Channel => "s.channel",
            Self::Rule => "j.rule",
        }
    }
}

impl Thing {
    /// What it is one of.
    pub const fn dimension(&self) -> Dimension {
        match self {
            Self::All => Dimension::All,
            Self::Port(_) => Dimension::Port,
            Self::Gateway(_) => Dimension::Gateway,
            Self::Node(_) => Dimension::Node,
            Self::Channel(_) => Dimension::Channel,
            Self::Rule(_) => Dimension::Rule,
        }
    }

    /// The key as SQL.
    fn key(&self) -> String {
        match self {
            Self::All => "0".to_owned(),
            Self::Port(port) => port.map_or(-1, i64::from).to_string(),
            Self::Gateway(node) | Self::Node(node) => node.to_string(),
            Self::Channel(name) => format!("(SELECT w.id FROM word w WHERE w.text = {})", sql::text(name)),
            Self::Rule(rule) => rule.code().to_string(),
        }
    }
}

/// What the receptions of one transaction amount to.
#[derive(Debug, Default)]
pub struct Tallies(HashMap<(i64, i64, i64), Tally, RandomState>);

impl Tallies {
    /// Counts a reception. `channel` is the number of its channel's word, -1 for none.
    pub fn count(&mut self, r: &Reception, channel: i64, is_first_of_packet: bool) {
        let mut one = Tally { packets: is_first_of_packet.into(), ..Tally::default() };
        one.by_verdict[usize::from(r.decision.verdict.code())] = 1;
        one.airtime_us = r.airtime_us.unwrap_or(0).into();
        let hour = r.at_ms.div_euclid(HOUR_MS);
        let keys = [
            (Dimension::All, Some(0)),
            (Dimension::Port, Some(r.port.map_or(-1, i64::from))),
            (Dimension::Gateway, r.gateway.map(i64::from)),
            (Dimension::Node, r.packet.map(|p| i64::from(p.from))),
            (Dimension::Channel, Some(channel).filter(|channel| *channel >= 0)),
            (Dimension::Rule, r.decision.rule.map(|rule| rule.code().into())),
        ];
        for (dimension, key) in keys {
            if let Some(key) = key {
                self.0.entry((hour, dimension.code(), key)).or_default().add(&one);
            }
        }
    }

    /// Adds them to what the file has.
    pub fn store(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut add = connection.prepare_cached(
            "INSERT INTO rollup VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET
                accepted = accepted + excluded.accepted, rewritten = rewritten + excluded.rewritten,
                recorded = recorded + excluded.recorded, refused = refused + excluded.refused,
                packets = packets + excluded.packets, airtime_us = airtime_us + excluded.airtime_us",
        )?;
        // In the order of the table, so that each of its pages is visited once.
        let mut rows: Vec<_> = self.0.drain().collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        for ((hour, kind, key), tally) in rows {
            let [accepted, rewritten, recorded, refused] = tally.by_verdict.map(|count| count as i64);
            let (packets, airtime_us) = (tally.packets as i64, tally.airtime_us as i64);
            add.execute(params![
                hour, kind, key, accepted, rewritten, recorded, refused, packets, airtime_us
            ])?;
        }
        Ok(())
    }
}

/// Takes a reception from the port that it was counted for, and counts it for another.
pub fn move_port(
    connection: &Connection,
    r: &Reception,
    to: Option<u32>,
    is_first_of_packet: bool,
) -> rusqlite::Result<()> {
    const VERDICTS: [&str; 4] = ["accepted", "rewritten", "recorded", "refused"];
    let verdict = VERDICTS[usize::from(r.decision.verdict.code())];
    let (hour, kind) = (r.at_ms.div_euclid(HOUR_MS), Dimension::Port.code());
    let key = |port: Option<u32>| port.map_or(-1, i64::from);
    let (packets, airtime_us) = (i64::from(is_first_of_packet), i64::from(r.airtime_us.unwrap_or(0)));
    // Whether it was the first of its packet is not known to the last: no count falls below nothing for that.
    let take = format!(
        "UPDATE rollup SET {verdict} = max({verdict} - 1, 0), packets = max(packets - ?4, 0),
            airtime_us = max(airtime_us - ?5, 0) WHERE hour = ?1 AND kind = ?2 AND key = ?3"
    );
    connection.prepare_cached(&take)?.execute(params![hour, kind, key(r.port), packets, airtime_us])?;
    let empty = "DELETE FROM rollup WHERE hour = ?1 AND kind = ?2 AND key = ?3
                 AND accepted + rewritten + recorded + refused = 0";
    connection.prepare_cached(empty)?.execute(params![hour, kind, key(r.port)])?;
    let begin = "INSERT INTO rollup VALUES (?1, ?2, ?3, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING";
    connection.prepare_cached(begin)?.execute(params![hour, kind, key(to)])?;
    let add = format!(
        "UPDATE rollup SET {verdict} = {verdict} + 1, packets = packets + ?4, airtime_us = airtime_us + ?5
         WHERE hour = ?1 AND kind = ?2 AND key = ?3"
    );
    connection.prepare_cached(&add)?.execute(params![hour, kind, key(to), packets, airtime_us]).map(drop)
}

impl Reader {
    /// The hours of one thing between two moments, Unix ms: each hour that begins in the window and has anything, oldest
    /// first, with when it begins.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn hours(&self, thing: &Thing, since_ms: i64, until_ms: i64) -> Result<Vec<(i64, Tally)>, Error> {
        let mut hours: BTreeMap<i64, Tally> = BTreeMap::new();
        let holds = format!("kind = {} AND key = {}", thing.dimension().code(), thing.key());
        self.each_tally(thing.dimension(), &holds, since_ms, until_ms, |_, hour, _, tally| {
            hours.entry(hour * HOUR_MS).or_default().add(&tally);
        })?;
        Ok(hours.into_iter().collect())
    }

    /// Everything of one sort between two moments, each hour that begins in the window counted, busiest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn tallies(
        &self,
        dimension: Dimension,
        since_ms: i64,
        until_ms: i64,
    ) -> Result<Vec<(Thing, Tally)>, Error> {
        let mut found: HashMap<Thing, Tally, RandomState> = HashMap::default();
        let holds = format!("kind = {}", dimension.code());
        let mut words: Option<(i64, HashMap<i64, String>)> = None;
        self.each_tally(dimension, &holds, since_ms, until_ms, |connection, hour, key, tally| {
            let day = hour.div_euclid(24);
            let thing = match dimension {
                Dimension::All => Some(Thing::All),
                Dimension::Port => Some(Thing::Port(u32::try_from(key).ok())),
                Dimension::Gateway => u32::try_from(key).ok().map(Thing::Gateway),
                Dimension::Node => u32::try_from(key).ok().map(Thing::Node),
                Dimension::Rule => u8::try_from(key).ok().and_then(RuleId::from_code).map(Thing::Rule),
                Dimension::Channel => {
                    // A word's number is that of its file.
                    let known = match &mut words {
                        Some((of, known)) if *of == day => known,
                        other => &mut other.insert((day, HashMap::new())).1,
                    };
                    let word = known.entry(key).or_insert_with(|| word(connection, key));
                    Some(Thing::Channel(word.clone()))
                }
            };
            if let Some(thing) = thing {
                found.entry(thing).or_default().add(&tally);
            }
        })?;
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_by(|a, b| b.1.receptions().cmp(&a.1.receptions()).then_with(|| a.0.cmp(&b.0)));
        Ok(found)
    }

    fn each_tally(
        &self,
        dimension: Dimension,
        holds: &str,
        since_ms: i64,
        until_ms: i64,
        mut visit: impl FnMut(&Connection, i64, i64, Tally),
    ) -> Result<(), Error> {
        let first = since_ms.saturating_add(HOUR_MS - 1).div_euclid(HOUR_MS);
        let end = until_ms.saturating_add(HOUR_MS - 1).div_euclid(HOUR_MS);
        for day in self.days_between(Some(since_ms), Some(until_ms))? {
            let Some((connection, version)) = self.day(day)? else { continue };
            // A file takes what came shortly before its day when the clock was put back, and never anything after it.
            let first_of_file = files::starts_taking(day).div_euclid(HOUR_MS);
            let (first, end) = (first.max(first_of_file), end.min((day + 1) * 24));
            let hours: Vec<String> = (first..end).map(|hour| format!("({hour})")).collect();
            if hours.is_empty() {
                continue;
            }
            let columns = "hour, key, accepted, rewritten, recorded, refused, packets, airtime_us";
            let query = if version >= Version::TWO {
                // Hour by hour, since the table is in the order of hours and each has but a few rows of one thing.
                let hours = hours.join(", ");
                format!(
                    "WITH h(h) AS (VALUES {hours}) SELECT {columns} FROM h CROSS JOIN rollup ON hour = h AND {holds}"
                )
            } else {
                let of = in_version_one(dimension, first, end);
                format!("SELECT {columns} FROM ({of}) WHERE {holds}")
            };
            let each = || -> rusqlite::Result<()> {
                let mut statement = connection.prepare(&query)?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let count =
                        |column: usize| row.get::<_, i64>(column).map(|v| u64::try_from(v).unwrap_or(0));
                    let tally = Tally {
                        by_verdict: [count(2)?, count(3)?, count(4)?, count(5)?],
                        packets: count(6)?,
                        airtime_us: count(7)?,
                    };
                    visit(&connection, row.get(0)?, row.get(1)?, tally);
                }
                Ok(())
            };
            let mut each = each;
            each().map_err(self.in_file(day))?;
        }
        Ok(())
    }
}

fn word(connection: &Connection, id: i64) -> String {
    // A word that is missing is damage, which shows elsewhere; here it is a channel without a name.
    let found = connection.query_row("SELECT text FROM word WHERE id = ?1", [id], |row| row.get(0));
    found.unwrap_or_default()
}

/// Rollups added up from the rows of a file that has none.
fn in_version_one(dimension: Dimension, first: i64, end: i64) -> String {
    let (kind, key) = (dimension.code(), dimension.key_in_version_one());
    // Nothing is a key but where it stands for what could not be opened.
    let is_thing = if dimension == Dimension::Port { "TRUE".to_owned() } else { format!("{key} >= 0") };
    format!(
        "SELECT r.at_ms / {HOUR_MS} AS hour, {kind} AS kind, {key} AS key, sum(j.verdict = 0) AS accepted,
            sum(j.verdict = 1) AS rewritten, sum(j.verdict = 2) AS recorded, sum(j.verdict = 3) AS refused,
            count(DISTINCT r.body) AS packets, sum(coalesce(r.airtime_us, 0)) AS airtime_us
         FROM reception r JOIN judgement j ON j.id = r.judgement JOIN source s ON s.id = r.source
         WHERE r.at_ms >= {} AND r.at_ms < {} AND {is_thing} GROUP BY 1, 3",
        first * HOUR_MS,
        end * HOUR_MS
    )
}
