//! Filters as SQL, so that the smallest index answers and nothing is fetched that is not shown.

use policy::decision::Verdict;
use record::{KeyClass, Reception};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::filter::Filter;
use crate::row;
use crate::schema::{CLOCK_SLACK_MS, EVERYONE};

/// The receptions of one file that fulfil the filter, in its order, at most `limit`.
pub fn page(connection: &Connection, filter: &Filter, limit: usize) -> rusqlite::Result<Vec<Reception>> {
    let Some(node) = filter.node else { return page_where(connection, filter, limit, None) };
    if node == EVERYONE {
        let to_everyone = Where::of("r.recipient IS NULL AND r.sender IS NOT NULL", Vec::new());
        return page_where(connection, filter, limit, Some(to_everyone));
    }
    // Each with an index; as one condition with OR, neither would give the order.
    let is_sender = Where::of("r.sender = ?", vec![node.into()]);
    let is_recipient = Where::of("r.recipient = ? AND r.sender <> ?", vec![node.into(), node.into()]);
    let mut found = page_where(connection, filter, limit, Some(is_sender))?;
    found.extend(page_where(connection, filter, limit, Some(is_recipient))?);
    found.sort_by_key(|r| r.seq);
    if filter.after_seq.is_none() {
        found.reverse();
    }
    found.truncate(limit);
    Ok(found)
}

fn page_where(
    connection: &Connection,
    filter: &Filter,
    limit: usize,
    node: Option<Where>,
) -> rusqlite::Result<Vec<Reception>> {
    let mut all = Where::default();
    node.into_iter().for_each(|node| all.and(node));
    let judgements = judgements(filter);
    let sources = sources(filter);
    // Where no row can match, the file need not be searched for one.
    if !judgements.has_any(connection, "judgement j")? || !sources.has_any(connection, "source s")? {
        return Ok(Vec::new());
    }
    if filter.gateway.is_some() {
        all.and(sources.within("r.source IN (SELECT s.id FROM source s WHERE {})"));
    } else if !sources.is_empty() {
        // A channel is most of a file: its index would gather all of it first, and `+` keeps it from being used.
        all.and(sources.within("+r.source IN (SELECT s.id FROM source s WHERE {})"));
    }
    if !judgements.is_empty() {
        all.and(judgements.within("r.judgement IN (SELECT j.id FROM judgement j WHERE {})"));
    }
    if let Some((from, id)) = filter.packet {
        all.and(Where::of("r.sender = ? AND r.packet = ?", vec![from.into(), id.into()]));
    }
    all.and(times(connection, filter.since_ms, filter.until_ms)?);
    filter.before_seq.into_iter().for_each(|seq| all.and(Where::of("r.seq < ?", vec![number(seq)])));
    filter.after_seq.into_iter().for_each(|seq| all.and(Where::of("r.seq > ?", vec![number(seq)])));
    let order = if filter.after_seq.is_some() { "ASC" } else { "DESC" };
    let inner =
        all.within(&format!("SELECT r.seq FROM reception r WHERE {{}} ORDER BY r.seq {order} LIMIT {limit}"));
    let query = format!("{} WHERE r.seq IN ({}) ORDER BY r.seq {order}", row::SELECT, inner.text);
    row::select(connection, &query, inner.arguments)
}

/// Conditions on `judgement j`.
fn judgements(filter: &Filter) -> Where {
    let mut all = Where::default();
    let mut equal = |column: &str, value: Option<u32>| {
        value.into_iter().for_each(|v| all.and(Where::of(&format!("j.{column} = ?"), vec![v.into()])));
    };
    equal("port", filter.port);
    equal("verdict", filter.verdict.map(|v| v.code().into()));
    equal("rule", filter.rule.map(|r| r.code().into()));
    equal("consent", filter.consent.map(|c| c.code().into()));
    if filter.public_only {
        all.and(Where::of(&public(), Vec::new()));
    }
    all
}

/// Conditions on `source s`.
fn sources(filter: &Filter) -> Where {
    let mut all = Where::default();
    filter.gateway.into_iter().for_each(|g| all.and(Where::of("s.gateway = ?", vec![g.into()])));
    if let Some(channel) = &filter.channel {
        let channel = Value::Text(channel.clone());
        all.and(Where::of("s.channel = (SELECT id FROM word WHERE text = ?)", vec![channel]));
    }
    all
}

/// What anyone may see, on `judgement j`: its sender agreed, it was passed on, and anyone can read it anyway. Map
/// reports are meant for everyone.
pub fn public() -> String {
    let passed_on = [Verdict::Accept, Verdict::Rewrite].map(|v| v.code().to_string()).join(", ");
    let readable = KeyClass::ALL.iter().filter(|k| k.is_public()).map(|k| k.code().to_string());
    let readable = readable.collect::<Vec<_>>().join(", ");
    let agreed = record::Consent::Yes.code();
    let map_report = mesh::portnum::PortNum::MAP_REPORT.0;
    format!(
        "(j.consent = {agreed} AND j.verdict IN ({passed_on})
          AND (j.key_class IN ({readable}) OR j.port = {map_report}))"
    )
}

/// Conditions on the time of `reception r`, with the numbers between which such times stand.
pub fn times(
    connection: &Connection,
    since_ms: Option<i64>,
    until_ms: Option<i64>,
) -> rusqlite::Result<Where> {
    let mut all = Where::default();
    since_ms.into_iter().for_each(|v| all.and(Where::of("r.at_ms >= ?", vec![Value::Integer(v)])));
    until_ms.into_iter().for_each(|v| all.and(Where::of("r.at_ms < ?", vec![Value::Integer(v)])));
    if all.is_empty() || was_clock_put_back(connection)? {
        return Ok(all);
    }
    if let Some(since_ms) = since_ms {
        let (earlier, _) = around(connection, since_ms.saturating_sub(CLOCK_SLACK_MS))?;
        all.and(Where::of("r.seq > ?", vec![Value::Integer(earlier)]));
    }
    if let Some(until_ms) = until_ms {
        let (_, later) = around(connection, until_ms.saturating_add(CLOCK_SLACK_MS))?;
        all.and(Where::of("r.seq <= ?", vec![Value::Integer(later)]));
    }
    Ok(all)
}

fn was_clock_put_back(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM clock_put_back)", [], |row| row.get(0))
}

/// Two neighbours found by halving: a reception before the moment (or a number below all) and one not before it (or a
/// number above all). Since times rise with the numbers give or take the slack, everything up to the first is earlier
/// than the moment plus slack, and everything from the second on is not earlier than the moment less slack.
fn around(connection: &Connection, at_ms: i64) -> rusqlite::Result<(i64, i64)> {
    // Two queries in one: SQLite finds both ends at once only by reading everything between.
    let ends =
        "SELECT coalesce((SELECT min(seq) FROM reception), 0), coalesce((SELECT max(seq) FROM reception), 0)";
    let (first, last): (i64, i64) = connection.query_row(ends, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut next =
        connection.prepare_cached("SELECT seq, at_ms FROM reception WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    let (mut earlier, mut later) = (first - 1, last + 1);
    while later - earlier > 1 {
        let middle = earlier + (later - earlier) / 2;
        let found: Option<(i64, i64)> =
            next.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match found {
            Some((seq, at)) if at < at_ms => earlier = seq,
            // Numbers may be missing between the middle and what was found.
            _ => later = middle,
        }
    }
    Ok((earlier, later))
}

fn number(seq: u64) -> Value {
    // Numbers above are never given; nothing is before or after them.
    Value::Integer(i64::try_from(seq).unwrap_or(i64::MAX))
}

/// A part of a WHERE clause with its arguments; empty holds always.
#[derive(Debug, Default)]
pub struct Where {
    /// SQL with a `?` for each argument.
    pub text: String,
    /// The arguments, in the order of their marks.
    pub arguments: Vec<Value>,
}

impl Where {
    /// One condition.
    pub fn of(text: &str, arguments: Vec<Value>) -> Self {
        Self { text: text.to_owned(), arguments }
    }

    /// Both must hold.
    pub fn and(&mut self, other: Self) {
        if other.is_empty() {
            return;
        }
        if !self.is_empty() {
            self.text.push_str(" AND ");
        }
        self.text.push_str(&other.text);
        self.arguments.extend(other.arguments);
    }

    /// Whether it holds always.
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The condition in place of the braces.
    pub fn within(&self, frame: &str) -> Self {
        let text = if self.is_empty() { "TRUE" } else { &self.text };
        Self { text: frame.replace("{}", text), arguments: self.arguments.clone() }
    }

    fn has_any(&self, connection: &Connection, table: &str) -> rusqlite::Result<bool> {
        let query = self.within(&format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {{}})"));
        connection.query_row(&query.text, params_from_iter(query.arguments), |row| row.get(0))
    }
}
