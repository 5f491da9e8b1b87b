//! Counts over a window: per gateway, per node, and altogether. Streams the rows of the window and adds up.

use std::collections::{BTreeMap, HashMap, HashSet};

use query::{Condition, Test};
use record::Reception;
use rusqlite::Connection;

use crate::error::Error;
use crate::reader::Reader;
use crate::schema::Version;
use crate::{row, span, sql};

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
    /// Distinct senders.
    pub nodes: u64,
    /// Receptions by verdict, in the order of `Verdict::ALL`.
    pub by_verdict: [u64; 4],
    /// Time on air of everything received, microseconds, each reception counted.
    pub airtime_us: u64,
    /// Receptions in equal parts of the window.
    pub buckets: Vec<u64>,
    /// Receptions by gateway.
    pub by_gateway: BTreeMap<u32, u64>,
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
    /// By gateway: receptions, best signal-to-noise ratio in dB to a quarter, last reception.
    pub heard_by: BTreeMap<u32, (u64, Option<f32>, i64)>,
}

impl Reader {
    /// What each gateway uplinked since a moment, busiest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn gateways(&self, since_ms: i64) -> Result<Vec<GatewayActivity>, Error> {
        let mut by_gateway: BTreeMap<u32, GatewayActivity> = BTreeMap::new();
        self.each_day(since_ms, None, |connection| {
            let verdicts = numbers(connection, "SELECT id, verdict FROM judgement")?;
            let gateways = numbers(connection, "SELECT id, gateway FROM source WHERE gateway >= 0")?;
            let window = within(connection, Some(since_ms), None)?;
            let query = format!("SELECT r.source, r.judgement, r.at_ms FROM reception r WHERE {window}");
            each_row(connection, &query, |row| {
                let (source, judgement, at_ms): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let Some(gateway) = gateways.get(&source).and_then(|g| u32::try_from(*g).ok()) else {
                    return Ok(());
                };
                let entry = by_gateway.entry(gateway).or_insert(GatewayActivity {
                    gateway,
                    receptions: [0; 4],
                    last_ms: i64::MIN,
                });
                count(&mut entry.receptions, verdicts.get(&judgement));
                entry.last_ms = entry.last_ms.max(at_ms);
                Ok(())
            })
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
        let last_bucket = totals.buckets.len() - 1;
        let width_ms = (until_ms.saturating_sub(since_ms) / totals.buckets.len() as i64).max(1);
        let mut nodes = HashSet::new();
        self.each_day(since_ms, Some(until_ms), |connection| {
            let verdicts = numbers(connection, "SELECT id, verdict FROM judgement")?;
            let gateways = numbers(connection, "SELECT id, gateway FROM source WHERE gateway >= 0")?;
            let window = within(connection, Some(since_ms), Some(until_ms))?;
            let query = format!(
                "SELECT r.at_ms, r.judgement, r.sender, r.packet, r.airtime_us, r.source FROM reception r WHERE {window}"
            );
            let mut packets: Vec<u64> = Vec::new();
            let mut by_source: HashMap<i64, u64> = HashMap::new();
            each_row(connection, &query, |row| {
                let bucket = usize::try_from(row.get::<_, i64>(0)?.saturating_sub(since_ms) / width_ms);
                totals.buckets[bucket.map_or(last_bucket, |b| b.min(last_bucket))] += 1;
                totals.receptions += 1;
                count(&mut totals.by_verdict, verdicts.get(&row.get(1)?));
                if let (Some(sender), Some(id)) =
                    (row.get::<_, Option<u32>>(2)?, row.get::<_, Option<u32>>(3)?)
                {
                    nodes.insert(sender);
                    if id != 0 {
                        packets.push(u64::from(sender) << 32 | u64::from(id));
                    }
                }
                totals.airtime_us += row.get::<_, Option<u32>>(4)?.map_or(0, u64::from);
                *by_source.entry(row.get(5)?).or_default() += 1;
                Ok(())
            })?;
            for (source, receptions) in by_source {
                if let Some(gateway) = gateways.get(&source).and_then(|number| u32::try_from(*number).ok()) {
                    *totals.by_gateway.entry(gateway).or_default() += receptions;
                }
            }
            packets.sort_unstable();
            packets.dedup();
            totals.packets += packets.len() as u64;
            Ok(())
        })?;
        totals.nodes = nodes.len() as u64;
        Ok(totals)
    }

    /// What is known of a node since a moment; `None` when nothing was received from it.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn node(&self, node: u32, since_ms: i64, public_only: bool) -> Result<Option<NodeActivity>, Error> {
        let mut activity = NodeActivity::default();
        self.each_day(since_ms, None, |connection| {
            let window = within(connection, Some(since_ms), None)?;
            let query = format!(
                "SELECT s.gateway, j.port, r.at_ms, r.snr_quarters FROM reception r
                 JOIN source s ON s.id = r.source JOIN judgement j ON j.id = r.judgement
                 WHERE r.sender = {node} AND {window} AND {}",
                on_rows(if public_only { Condition::public() } else { Condition::ALWAYS })
            );
            each_row(connection, &query, |row| {
                let (gateway, port): (i64, i64) = (row.get(0)?, row.get(1)?);
                let at_ms: i64 = row.get(2)?;
                let snr = row.get::<_, Option<i32>>(3)?.map(|quarters| quarters as f32 / 4.0);
                *activity.by_port.entry(u32::try_from(port).ok()).or_default() += 1;
                activity.first_ms = Some(activity.first_ms.map_or(at_ms, |first| first.min(at_ms)));
                activity.last_ms = activity.last_ms.max(Some(at_ms));
                if let Ok(gateway) = u32::try_from(gateway) {
                    let (count, best, last_ms) = activity.heard_by.entry(gateway).or_insert((0, None, at_ms));
                    *count += 1;
                    *best = best.map_or(snr, |best| Some(snr.map_or(best, |snr| best.max(snr))));
                    *last_ms = at_ms.max(*last_ms);
                }
                Ok(())
            })
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
        let mut latest: BTreeMap<u32, Reception> = BTreeMap::new();
        self.each_day(since_ms, None, |connection| {
            let mut condition = Condition::Is(Test::Port(Some(port)));
            if public_only {
                condition = condition.and(Condition::public());
            }
            let (wanted, window) = (on_rows(condition), within(connection, Some(since_ms), None)?);
            let query = format!(
                "{} WHERE r.seq IN (SELECT max(r.seq) FROM reception r
                    WHERE {wanted} AND {window} AND r.sender IS NOT NULL GROUP BY r.sender)",
                row::SELECT
            );
            for reception in row::select(connection, &query, Vec::new())? {
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
}

/// A condition on what every version has, as SQL.
fn on_rows(condition: Condition) -> String {
    sql::compile(&condition, Version::ONE).on_rows().unwrap_or_else(|| "TRUE".to_owned())
}

/// A stretch of time as SQL, with the numbers between which it lies.
fn within(connection: &Connection, since_ms: Option<i64>, until_ms: Option<i64>) -> rusqlite::Result<String> {
    let times = [since_ms.map(Test::Since), until_ms.map(Test::Until)];
    let times = on_rows(Condition::All(times.into_iter().flatten().map(Condition::Is).collect()));
    let (first, end) = span::numbers(connection, since_ms, until_ms)?;
    Ok(format!("({times} AND r.seq >= {first} AND r.seq < {end})"))
}

fn count(by_verdict: &mut [u64; 4], verdict: Option<&i64>) {
    if let Some(count) = verdict.and_then(|v| usize::try_from(*v).ok()).and_then(|v| by_verdict.get_mut(v)) {
        *count += 1;
    }
}

fn numbers(connection: &Connection, query: &str) -> rusqlite::Result<HashMap<i64, i64>> {
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn each_row(
    connection: &Connection,
    query: &str,
    mut visit: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(row)?;
    }
    Ok(())
}
