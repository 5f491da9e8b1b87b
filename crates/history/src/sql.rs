//! Conditions as SQL on a day file. The SQL lets through everything that fulfils the condition and maybe more: what it
//! cannot say, such as what was said, the search asks of each row that is left.

use query::{Condition, CopyFate, Measure, Test};
use rusqlite::Connection;

use crate::schema::{EVERYONE, Version};

/// A condition on the rows of a day file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Lets everything through.
    Always,
    /// Lets nothing through.
    Never,
    /// SQL on `judgement j`.
    Judgement(String),
    /// SQL on `source s`.
    Source(String),
    /// SQL on `reception r`.
    Row(String),
}

/// The condition as SQL for files of that version.
pub fn compile(condition: &Condition, version: Version) -> Part {
    match condition {
        Condition::All(parts) => all(parts.iter().map(|part| compile(part, version))),
        Condition::Any(parts) => any(parts.iter().map(|part| compile(part, version))),
        Condition::Is(test) => is(test, version),
        Condition::Not(test) => is_not(test, version),
    }
}

/// Whether any row of the file can fulfil it, as far as its judgements and sources tell: they are few, and where none
/// fits, the file need not be searched.
pub fn is_possible(
    connection: &Connection,
    condition: &Condition,
    version: Version,
) -> rusqlite::Result<bool> {
    let parts: Vec<Part> = match condition {
        // Each by itself is asked of its table, all together.
        Condition::All(parts) => parts.iter().map(|part| compile(part, version)).collect(),
        other => vec![compile(other, version)],
    };
    let of = |wanted: fn(&Part) -> Option<&String>| -> Vec<String> {
        parts.iter().filter_map(|part| wanted(part).map(|sql| format!("({sql})"))).collect()
    };
    let exists = |table: &str, parts: &[String]| -> rusqlite::Result<bool> {
        if parts.is_empty() {
            return Ok(true);
        }
        let query = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {})", parts.join(" AND "));
        connection.query_row(&query, [], |row| row.get(0))
    };
    if parts.contains(&Part::Never) {
        return Ok(false);
    }
    let judgements = of(|part| if let Part::Judgement(sql) = part { Some(sql) } else { None });
    let sources = of(|part| if let Part::Source(sql) = part { Some(sql) } else { None });
    Ok(exists("judgement j", &judgements)? && exists("source s", &sources)?)
}

impl Part {
    /// As a condition on `reception r`; `None` lets everything through. Indexes are not used: what they are good for,
    /// `candidates` has fetched from them before.
    pub fn on_rows(self) -> Option<String> {
        match self {
            Self::Always => None,
            Self::Never => Some("FALSE".to_owned()),
            Self::Judgement(sql) => {
                Some(format!("+r.judgement IN (SELECT j.id FROM judgement j WHERE {sql})"))
            }
            Self::Source(sql) => Some(format!("+r.source IN (SELECT s.id FROM source s WHERE {sql})")),
            Self::Row(sql) => Some(sql),
        }
    }
}

fn all(parts: impl Iterator<Item = Part>) -> Part {
    let (mut judgement, mut source, mut row) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Always => {}
            Part::Never => return Part::Never,
            Part::Judgement(sql) => judgement.push(sql),
            Part::Source(sql) => source.push(sql),
            Part::Row(sql) => row.push(sql),
        }
    }
    together(judgement, source, row, " AND ").unwrap_or(Part::Always)
}

fn any(parts: impl Iterator<Item = Part>) -> Part {
    let (mut judgement, mut source, mut row) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Always => return Part::Always,
            Part::Never => {}
            Part::Judgement(sql) => judgement.push(sql),
            Part::Source(sql) => source.push(sql),
            Part::Row(sql) => row.push(sql),
        }
    }
    together(judgement, source, row, " OR ").unwrap_or(Part::Never)
}

/// Parts of one table stay with it, so that each table is asked once for a row.
fn together(judgement: Vec<String>, source: Vec<String>, row: Vec<String>, joiner: &str) -> Option<Part> {
    let join = |parts: Vec<String>| -> Option<String> {
        match parts.len() {
            0 => None,
            1 => parts.into_iter().next(),
            _ => Some(format!("({})", parts.join(joiner))),
        }
    };
    let parts =
        [join(judgement).map(Part::Judgement), join(source).map(Part::Source), join(row).map(Part::Row)];
    let mut parts: Vec<Part> = parts.into_iter().flatten().collect();
    if parts.len() < 2 {
        return parts.pop();
    }
    join(parts.into_iter().filter_map(Part::on_rows).collect()).map(Part::Row)
}

fn is(test: &Test, version: Version) -> Part {
    if let Test::Text(_) = test {
        let ports: Vec<String> = crate::said::TEXT_PORTS.iter().map(|port| port.0.to_string()).collect();
        return Part::Judgement(format!("j.port IN ({})", ports.join(", ")));
    }
    exactly(test, version).unwrap_or(Part::Always)
}

fn is_not(test: &Test, version: Version) -> Part {
    match exactly(test, version) {
        None | Some(Part::Never) => Part::Always,
        Some(Part::Always) => Part::Never,
        Some(Part::Judgement(sql)) => Part::Judgement(format!("NOT ({sql})")),
        Some(Part::Source(sql)) => Part::Source(format!("NOT ({sql})")),
        // What is not known is NULL, and fails the test.
        Some(Part::Row(sql)) => Part::Row(format!("NOT coalesce({sql}, FALSE)")),
    }
}

/// The test in SQL; `None` when SQL cannot say exactly that.
fn exactly(test: &Test, version: Version) -> Option<Part> {
    let judgement = |column: &str, code: u8| Some(Part::Judgement(format!("j.{column} = {code}")));
    match test {
        Test::From(nodes) => Some(Part::Row(format!("+r.sender IN ({})", list(nodes)))),
        Test::To(nodes) => Some(recipients(nodes)),
        Test::Gateway(nodes) => Some(Part::Source(format!("s.gateway IN ({})", list(nodes)))),
        Test::Packet(id) => Some(Part::Row(format!("+r.packet = {id}"))),
        Test::Channel(name) => Some(Part::Source(format!(
            "s.channel IN (SELECT w.id FROM word w WHERE w.text = {} COLLATE NOCASE)",
            text(name)
        ))),
        Test::Topic(pattern) => Some(word_of("topic", pattern)),
        Test::Client(pattern) => Some(word_of("client", pattern)),
        Test::User(pattern) => Some(word_of("username", pattern)),
        Test::Port(port) => Some(Part::Judgement(format!("j.port = {}", port.map_or(-1, i64::from)))),
        Test::Verdict(verdict) => judgement("verdict", verdict.code()),
        Test::Rule(rule) => judgement("rule", rule.code()),
        Test::Consent(consent) => judgement("consent", consent.code()),
        Test::Key(class) => judgement("key_class", class.code()),
        Test::Would(rule) => Some(Part::Judgement(format!("(j.observed >> {}) & 1", rule.code()))),
        Test::Flag(bits) => {
            let bits = *bits as i64;
            Some(Part::Judgement(format!("(j.flags & {bits}) = {bits}")))
        }
        Test::Measure(measure, compare, thousandths) => {
            let column = match measure {
                Measure::Hops if version >= Version::TWO => "r.hops * 1000",
                Measure::Rssi if version >= Version::TWO => "r.rssi * 1000",
                Measure::Hops | Measure::Rssi => return None,
                Measure::Snr => "r.snr_quarters * 250",
                Measure::Bytes => "r.frame_bytes * 1000",
                Measure::Airtime => "r.airtime_us",
            };
            Some(Part::Row(format!("{column} {} {thousandths}", compare.sign())))
        }
        Test::Copy(fate) if version >= Version::TWO => {
            Some(Part::Row(released(&format!("f.outcomes & {}", outcome_bit(*fate)))))
        }
        Test::WithheldBy(rule) if version >= Version::TWO => {
            Some(Part::Row(released(&format!("(f.rules >> {}) & 1", rule.code()))))
        }
        Test::Copy(_) | Test::WithheldBy(_) | Test::Text(_) => None,
        Test::Since(at_ms) => Some(Part::Row(format!("r.at_ms >= {at_ms}"))),
        Test::Until(at_ms) => Some(Part::Row(format!("r.at_ms < {at_ms}"))),
    }
}

fn recipients(nodes: &[u32]) -> Part {
    let known: Vec<u32> = nodes.iter().copied().filter(|node| *node != EVERYONE).collect();
    let mut parts = vec![format!("coalesce(+r.recipient IN ({}), FALSE)", list(&known))];
    if known.len() < nodes.len() {
        parts.push("(+r.recipient IS NULL AND +r.sender IS NOT NULL)".to_owned());
    }
    Part::Row(format!("({})", parts.join(" OR ")))
}

fn word_of(column: &str, pattern: &str) -> Part {
    let holds = match pattern.strip_suffix('*') {
        Some(beginning) => format!("substr(w.text, 1, {}) = {}", beginning.chars().count(), text(beginning)),
        None => format!("w.text = {}", text(pattern)),
    };
    Part::Source(format!("s.{column} IN (SELECT w.id FROM word w WHERE {holds})"))
}

fn released(holds: &str) -> String {
    format!("EXISTS (SELECT 1 FROM release x JOIN fate f ON f.id = x.fate WHERE x.seq = r.seq AND ({holds}))")
}

/// The bit of `fate.outcomes` that stands for it.
pub const fn outcome_bit(fate: CopyFate) -> i64 {
    match fate {
        CopyFate::Delivered => 1,
        CopyFate::Lowered => 2,
        CopyFate::Withheld => 4,
        CopyFate::Dropped => 8,
    }
}

/// Numbers for `IN`.
pub fn list<T: ToString>(numbers: &[T]) -> String {
    numbers.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// A text as a literal in which nothing can end it.
pub fn text(value: &str) -> String {
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("CAST(x'{hex}' AS TEXT)")
}
