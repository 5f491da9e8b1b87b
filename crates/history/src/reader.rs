//! Finding records again. Opens the files read-only, the newest first, and only as many as an answer needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::decision::{Decision, Verdict};
use policy::rule::{RuleId, RuleSet};
use record::{Consent, KeyClass, PacketSummary, Reception, Release, ReleasedCopy};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::copies;
use crate::error::Error;
use crate::files::{self, Day};
use crate::filter::Filter;
use crate::{schema, shell};

/// Reads a history folder; also while another process writes it.
#[derive(Debug, Clone)]
pub struct Reader {
    folder: PathBuf,
}

/// Rows that one answer holds at most.
pub const ROWS_MAX: usize = 10_000;

impl Reader {
    /// A reader of the folder. A folder that does not exist yet is an empty history.
    ///
    /// # Errors
    /// When the folder cannot be read or its newest file is damaged or newer than this program.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let reader = Self { folder: folder.to_path_buf() };
        if let Some(newest) = files::days_in(folder)?.pop() {
            reader.day(newest)?;
        }
        Ok(reader)
    }

    /// The receptions that fulfil the filter: newest first, or oldest first when `after_seq` is set.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn log(&self, filter: &Filter) -> Result<Vec<Reception>, Error> {
        let mut days = self.days_between(filter.since_ms, filter.until_ms)?;
        let oldest_first = filter.after_seq.is_some();
        if !oldest_first {
            days.reverse();
        }
        let limit = filter.limit.min(ROWS_MAX);
        let mut found = Vec::new();
        for day in days {
            let Some(connection) = self.day(day)? else { continue };
            let (condition, arguments) = condition(filter);
            let order = if oldest_first { "ASC" } else { "DESC" };
            let query =
                format!("{SELECT} WHERE {condition} ORDER BY r.seq {order} LIMIT {}", limit - found.len());
            found.extend(select(&connection, &query, arguments).map_err(self.in_file(day))?);
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    /// Every reception of one packet with what became of its copies, oldest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn packet(&self, from: u32, id: u32) -> Result<Vec<(Reception, Option<Release>)>, Error> {
        let filter =
            Filter { packet: Some((from, id)), after_seq: Some(0), limit: ROWS_MAX, ..Filter::default() };
        let receptions = self.log(&filter)?;
        receptions.into_iter().map(|r| self.release_of(&r).map(|release| (r, release))).collect()
    }

    /// What became of the copies of a reception.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn release_of(&self, reception: &Reception) -> Result<Option<Release>, Error> {
        let day = files::day_of(reception.at_ms);
        // It stands with its reception, which may stand in the next day's file when the clock was put back.
        let is_in_next = reception.at_ms >= files::starts_taking(day + 1);
        for day in day..=day + i64::from(is_in_next) {
            let Some(connection) = self.day(day)? else { continue };
            let found = release(&connection, reception.seq).map_err(self.in_file(day))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// What each gateway uplinked since a moment, busiest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn gateways(&self, since_ms: i64) -> Result<Vec<GatewayActivity>, Error> {
        let mut by_gateway: BTreeMap<u32, GatewayActivity> = BTreeMap::new();
        self.each_day(since_ms, |connection| {
            let mut query = connection.prepare_cached(
                "SELECT gateway, verdict, count(*), max(at_ms) FROM reception
                 WHERE at_ms >= ?1 AND gateway IS NOT NULL GROUP BY gateway, verdict",
            )?;
            let mut rows = query.query([since_ms])?;
            while let Some(row) = rows.next()? {
                let gateway = row.get(0)?;
                let entry = by_gateway.entry(gateway).or_insert(GatewayActivity {
                    gateway,
                    receptions: [0; 4],
                    last_ms: 0,
                });
                let verdict: usize = row.get(1)?;
                if let Some(count) = entry.receptions.get_mut(verdict) {
                    *count += row.get::<_, u64>(2)?;
                }
                entry.last_ms = entry.last_ms.max(row.get(3)?);
            }
            Ok(())
        })?;
        let mut found: Vec<_> = by_gateway.into_values().collect();
        found.sort_by_key(|g| std::cmp::Reverse(g.receptions.iter().sum::<u64>()));
        Ok(found)
    }

    /// Counts over everything since a moment; `buckets` parts of equal length up to `until_ms`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn totals(&self, since_ms: i64, until_ms: i64, buckets: usize) -> Result<Totals, Error> {
        let mut totals = Totals { buckets: vec![0; buckets.clamp(1, 1000)], ..Totals::default() };
        let width = ((until_ms - since_ms) / totals.buckets.len() as i64).max(1);
        self.each_day(since_ms, |connection| {
            let mut query = connection.prepare_cached(
                "SELECT (at_ms - ?1) / ?3, verdict, count(*), sum(coalesce(airtime_us, 0)) FROM reception
                 WHERE at_ms >= ?1 AND at_ms < ?2 GROUP BY 1, 2",
            )?;
            let mut rows = query.query([since_ms, until_ms, width])?;
            while let Some(row) = rows.next()? {
                let (bucket, verdict): (usize, usize) = (row.get(0)?, row.get(1)?);
                let count: u64 = row.get(2)?;
                let last = totals.buckets.len() - 1;
                totals.buckets[bucket.min(last)] += count;
                totals.receptions += count;
                if let Some(by_verdict) = totals.by_verdict.get_mut(verdict) {
                    *by_verdict += count;
                }
                totals.airtime_us += row.get::<_, u64>(3)?;
            }
            let mut packets = connection.prepare_cached(
                "SELECT count(*) FROM (SELECT DISTINCT sender, packet FROM reception
                 WHERE at_ms >= ?1 AND at_ms < ?2 AND packet <> 0)",
            )?;
            totals.packets += packets.query_row([since_ms, until_ms], |row| row.get::<_, u64>(0))?;
            let mut nodes = connection.prepare_cached(
                "SELECT count(DISTINCT sender) FROM reception WHERE at_ms >= ?1 AND at_ms < ?2",
            )?;
            totals.nodes = totals.nodes.max(nodes.query_row([since_ms, until_ms], |row| row.get(0))?);
            Ok(())
        })?;
        Ok(totals)
    }

    /// What is known of a node since a moment; `None` when nothing was received from it.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn node(&self, node: u32, since_ms: i64, public_only: bool) -> Result<Option<NodeActivity>, Error> {
        let mut activity = NodeActivity::default();
        let public = if public_only { format!(" AND {PUBLIC}") } else { String::new() };
        self.each_day(since_ms, |connection| {
            let mut ports = connection.prepare_cached(&format!(
                "SELECT r.port, count(*), min(r.at_ms), max(r.at_ms) FROM reception r
                 WHERE r.sender = ?1 AND r.at_ms >= ?2{public} GROUP BY 1"
            ))?;
            let mut rows = ports.query([i64::from(node), since_ms])?;
            while let Some(row) = rows.next()? {
                *activity.by_port.entry(row.get(0)?).or_default() += row.get::<_, u64>(1)?;
                let (first, last): (i64, i64) = (row.get(2)?, row.get(3)?);
                activity.first_ms = Some(activity.first_ms.map_or(first, |f| f.min(first)));
                activity.last_ms = Some(activity.last_ms.map_or(last, |l| l.max(last)));
            }
            let mut gateways = connection.prepare_cached(&format!(
                "SELECT r.gateway, count(*), max(r.rx_snr), max(r.at_ms) FROM reception r
                 WHERE r.sender = ?1 AND r.at_ms >= ?2 AND r.gateway IS NOT NULL{public} GROUP BY 1"
            ))?;
            let mut rows = gateways.query([i64::from(node), since_ms])?;
            while let Some(row) = rows.next()? {
                let entry = activity.heard_by.entry(row.get(0)?).or_insert((0, None, 0));
                entry.0 += row.get::<_, u64>(1)?;
                entry.1 = match (entry.1, row.get::<_, Option<f32>>(2)?) {
                    (Some(a), Some(b)) => Some(f32::max(a, b)),
                    (a, b) => a.or(b),
                };
                entry.2 = entry.2.max(row.get(3)?);
            }
            Ok(())
        })?;
        Ok(activity.last_ms.is_some().then_some(activity))
    }

    /// The latest reception of each node on a port, such as NodeInfo for names; newest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn latest_by_node(
        &self,
        port: u32,
        since_ms: i64,
        public_only: bool,
    ) -> Result<Vec<Reception>, Error> {
        let public = if public_only { format!(" AND {PUBLIC}") } else { String::new() };
        let mut latest: BTreeMap<u32, Reception> = BTreeMap::new();
        self.each_day(since_ms, |connection| {
            let query = format!(
                "{SELECT} WHERE r.seq IN (SELECT max(r.seq) FROM reception r
                 WHERE r.port = ?1 AND r.at_ms >= ?2 AND r.sender IS NOT NULL{public} GROUP BY r.sender)"
            );
            let arguments = vec![Value::Integer(i64::from(port)), Value::Integer(since_ms)];
            for reception in select(connection, &query, arguments)? {
                if let Some(packet) = reception.packet {
                    latest.insert(packet.from, reception);
                }
            }
            Ok(())
        })?;
        let mut found: Vec<_> = latest.into_values().collect();
        found.sort_by_key(|r| std::cmp::Reverse(r.seq));
        Ok(found)
    }

    fn each_day(
        &self,
        since_ms: i64,
        mut visit: impl FnMut(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        for day in self.days_between(Some(since_ms), None)? {
            if let Some(connection) = self.day(day)? {
                visit(&connection).map_err(self.in_file(day))?;
            }
        }
        Ok(())
    }

    fn days_between(&self, since_ms: Option<i64>, until_ms: Option<i64>) -> Result<Vec<Day>, Error> {
        let mut days = files::days_in(&self.folder)?;
        days.retain(|day| since_ms.is_none_or(|since| files::start_of(day + 1) > since));
        days.retain(|day| until_ms.is_none_or(|until| files::starts_taking(*day) < until));
        Ok(days)
    }

    fn day(&self, day: Day) -> Result<Option<Connection>, Error> {
        let file = files::path_of(&self.folder, day);
        if file.exists() { schema::open_for_reading(&file) } else { Ok(None) }
    }

    fn in_file(&self, day: Day) -> impl FnOnce(rusqlite::Error) -> Error + use<> {
        Error::sqlite(&files::path_of(&self.folder, day))
    }
}

/// What one gateway uplinked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayActivity {
    /// Node number.
    pub gateway: u32,
    /// Receptions by verdict, in the order of `Verdict::ALL`.
    pub receptions: [u64; 4],
    /// The last one, Unix ms.
    pub last_ms: i64,
}

/// Counts over a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Receptions.
    pub receptions: u64,
    /// Distinct packets; one that was heard around midnight counts for both days.
    pub packets: u64,
    /// Distinct senders on the busiest day.
    pub nodes: u64,
    /// Receptions by verdict, in the order of `Verdict::ALL`.
    pub by_verdict: [u64; 4],
    /// Time on air of everything received, microseconds, each reception counted.
    pub airtime_us: u64,
    /// Receptions in equal parts of the window.
    pub buckets: Vec<u64>,
}

/// What is known of one node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeActivity {
    /// First reception in the window, Unix ms.
    pub first_ms: Option<i64>,
    /// Last reception, Unix ms.
    pub last_ms: Option<i64>,
    /// Receptions by port; `None` for packets that could not be opened.
    pub by_port: BTreeMap<Option<u32>, u64>,
    /// By gateway: receptions, best signal-to-noise ratio in dB, last reception.
    pub heard_by: BTreeMap<u32, (u64, Option<f32>, i64)>,
}

/// What anyone may see: its sender agreed, its key is public anyway, and it was passed on.
const PUBLIC: &str =
    "(r.consent = 1 AND r.verdict IN (0, 1) AND (r.key_class IN (1, 2, 3, 4) OR r.port = 73))";

const SELECT: &str = "SELECT r.seq, r.at_ms, client.text, username.text, r.gateway, topic.text, r.shell, r.cut,
    body.content, r.qos, r.retain, r.sender, r.recipient, r.packet, r.hop_limit, r.hop_start, r.hops_away, r.rx_rssi,
    r.rx_snr, r.rx_time, r.relay_node, r.next_hop, r.want_ack, r.request, channel.text, r.port, r.consent,
    r.key_class, r.flags, r.frame_bytes, r.airtime_us, r.verdict, r.rule, sentence.text, r.observed, r.off
    FROM reception r
    JOIN word client ON client.id = r.client
    JOIN word topic ON topic.id = r.topic
    JOIN word sentence ON sentence.id = r.sentence
    LEFT JOIN word username ON username.id = r.username
    LEFT JOIN word channel ON channel.id = r.channel
    LEFT JOIN body ON body.id = r.body";

fn condition(filter: &Filter) -> (String, Vec<Value>) {
    let mut parts: Vec<String> = vec!["TRUE".to_owned()];
    let mut arguments = Vec::new();
    let mut add = |part: &str, value: Value| {
        arguments.push(value);
        parts.push(part.replace('?', &format!("?{}", arguments.len())));
    };
    let number = |v: u32| Value::Integer(i64::from(v));
    filter.since_ms.into_iter().for_each(|v| add("r.at_ms >= ?", Value::Integer(v)));
    filter.until_ms.into_iter().for_each(|v| add("r.at_ms < ?", Value::Integer(v)));
    filter.before_seq.into_iter().for_each(|v| add("r.seq < ?", Value::Integer(v as i64)));
    filter.after_seq.into_iter().for_each(|v| add("r.seq > ?", Value::Integer(v as i64)));
    filter.node.into_iter().for_each(|v| add("(r.sender = ? OR r.recipient = ?)", number(v)));
    filter.gateway.into_iter().for_each(|v| add("r.gateway = ?", number(v)));
    filter.channel.iter().for_each(|v| add("channel.text = ?", Value::Text(v.clone())));
    filter.port.into_iter().for_each(|v| add("r.port = ?", number(v)));
    filter.verdict.into_iter().for_each(|v| add("r.verdict = ?", number(v.code().into())));
    filter.rule.into_iter().for_each(|v| add("r.rule = ?", number(v.code().into())));
    filter.consent.into_iter().for_each(|v| add("r.consent = ?", number(v.code().into())));
    if let Some((from, id)) = filter.packet {
        add("r.sender = ?", number(from));
        add("r.packet = ?", number(id));
    }
    if filter.public_only {
        parts.push(PUBLIC.to_owned());
    }
    (parts.join(" AND "), arguments)
}

fn select(connection: &Connection, query: &str, arguments: Vec<Value>) -> rusqlite::Result<Vec<Reception>> {
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map(params_from_iter(arguments), reception)?;
    rows.collect()
}

fn reception(row: &Row<'_>) -> rusqlite::Result<Reception> {
    let text = |column: usize| row.get::<_, String>(column).map(Arc::<str>::from);
    let optional_text = |column: usize| row.get::<_, Option<String>>(column).map(|t| t.map(Arc::<str>::from));
    let shell: Vec<u8> = row.get(6)?;
    let payload = match (row.get::<_, Option<usize>>(7)?, row.get::<_, Option<Vec<u8>>>(8)?) {
        (Some(cut), Some(body)) => shell::join(&shell, cut, &body),
        _ => shell,
    };
    let packet = match row.get::<_, Option<u32>>(11)? {
        Some(from) => Some(PacketSummary {
            from,
            to: row.get(12)?,
            id: row.get(13)?,
            hop_limit: row.get(14)?,
            hop_start: row.get(15)?,
            hops_away: row.get(16)?,
            rx_rssi: row.get(17)?,
            rx_snr: row.get(18)?,
            rx_time: row.get(19)?,
            relay_node: row.get(20)?,
            next_hop: row.get(21)?,
            want_ack: row.get(22)?,
            request_id: row.get(23)?,
        }),
        None => None,
    };
    Ok(Reception {
        seq: row.get::<_, i64>(0)? as u64,
        at_ms: row.get(1)?,
        client_id: text(2)?,
        username: optional_text(3)?,
        gateway: row.get(4)?,
        topic: text(5)?,
        payload: payload.into(),
        qos: row.get(9)?,
        retain: row.get(10)?,
        packet,
        channel: optional_text(24)?,
        port: row.get(25)?,
        consent: Consent::from_code(row.get(26)?).unwrap_or(Consent::Unknown),
        key_class: KeyClass::from_code(row.get(27)?).unwrap_or(KeyClass::Unknown),
        flags: row.get::<_, i64>(28)? as u64,
        frame_bytes: row.get(29)?,
        airtime_us: row.get(30)?,
        decision: Decision {
            verdict: Verdict::from_code(row.get(31)?).unwrap_or(Verdict::RecordOnly),
            rule: row.get::<_, Option<u8>>(32)?.and_then(RuleId::from_code),
            sentence: row.get::<_, String>(33)?.into(),
            observed: RuleSet(row.get::<_, i64>(34)? as u64),
            off: RuleSet(row.get::<_, i64>(35)? as u64),
        },
    })
}

fn release(connection: &Connection, seq: u64) -> rusqlite::Result<Option<Release>> {
    let mut query = connection.prepare_cached("SELECT at_ms, copies FROM release WHERE seq = ?1")?;
    let found: Option<(i64, Vec<u8>)> =
        query.query_row([seq as i64], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((at_ms, bytes)) = found else { return Ok(None) };
    let mut word = connection.prepare_cached("SELECT text FROM word WHERE id = ?1")?;
    let mut copies = Vec::new();
    for copy in copies::read(&bytes) {
        let receiver: String = word.query_row([copy.receiver], |row| row.get(0))?;
        let (kind, outcome, observed) = (copy.kind, copy.outcome, copy.observed);
        copies.push(ReleasedCopy { receiver: receiver.into(), kind, outcome, observed });
    }
    Ok(Some(Release { reception_seq: seq, at_ms, copies }))
}
