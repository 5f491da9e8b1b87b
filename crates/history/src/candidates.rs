//! The few receptions that a condition can mean, from the indexes of a day file: by sender, destination, packet and by
//! what was said. Where an index has too many, going through the rows finds a page sooner.

use std::ops::Range;

use query::{Condition, Test};
use rusqlite::Connection;

use crate::schema::{EVERYONE, Version};
use crate::sql;

/// More than this is not few: fetching them from an index takes some milliseconds.
const CANDIDATES_MAX: usize = 20_000;
/// So few that looking for fewer is not worth a further question.
const FEW: usize = 200;
/// Three characters in a row that are looked for at once; texts that have all of these are few.
const TRIGRAMS_MAX: usize = 24;
/// Shorter texts are not in the index, which is made of three characters each.
const TEXT_CHARS_MIN: usize = 3;

/// Numbers within the range that can fulfil the condition, highest first; `None` when they are not few.
pub fn candidates(
    connection: &Connection,
    version: Version,
    condition: &Condition,
    range: Range<i64>,
) -> rusqlite::Result<Option<Vec<i64>>> {
    let found = Indexes { connection, version, range }.of(condition)?;
    Ok(found.map(|mut numbers| {
        numbers.sort_unstable_by_key(|seq| std::cmp::Reverse(*seq));
        numbers.dedup();
        numbers
    }))
}

struct Indexes<'a> {
    connection: &'a Connection,
    version: Version,
    range: Range<i64>,
}

impl Indexes<'_> {
    fn of(&self, condition: &Condition) -> rusqlite::Result<Option<Vec<i64>>> {
        match condition {
            Condition::All(parts) => self.of_all(parts),
            Condition::Any(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    let Some(found) = self.of(part)? else { return Ok(None) };
                    all.extend(found);
                    if all.len() > CANDIDATES_MAX {
                        return Ok(None);
                    }
                }
                Ok(Some(all))
            }
            Condition::Is(test) => self.of_test(test),
            Condition::Not(_) => Ok(None),
        }
    }

    /// The fewest that one of the parts has.
    fn of_all(&self, parts: &[Condition]) -> rusqlite::Result<Option<Vec<i64>>> {
        if let Some((sender, packet)) = packet_in(parts) {
            return self.rows(&format!("sender = {sender} AND packet = {packet}"));
        }
        let mut fewest: Option<Vec<i64>> = None;
        for part in parts {
            let Some(found) = self.of(part)? else { continue };
            if fewest.as_ref().is_none_or(|fewest| found.len() < fewest.len()) {
                fewest = Some(found);
            }
            if fewest.as_ref().is_some_and(|fewest| fewest.len() <= FEW) {
                break;
            }
        }
        Ok(fewest)
    }

    fn of_test(&self, test: &Test) -> rusqlite::Result<Option<Vec<i64>>> {
        match test {
            Test::From(nodes) => self.rows(&format!("sender IN ({})", sql::list(nodes))),
            Test::To(nodes) if !nodes.contains(&EVERYONE) => {
                self.rows(&format!("recipient IN ({})", sql::list(nodes)))
            }
            Test::Text(part) if part.chars().count() >= TEXT_CHARS_MIN && self.version >= Version::TWO => {
                self.of_text(part)
            }
            _ => Ok(None),
        }
    }

    fn of_text(&self, part: &str) -> rusqlite::Result<Option<Vec<i64>>> {
        let phrase = trigrams(part);
        let mut query =
            self.connection.prepare_cached("SELECT rowid FROM said WHERE said MATCH ?1 LIMIT ?2")?;
        let first_of_each: rusqlite::Result<Vec<i64>> =
            query.query_map((phrase, CANDIDATES_MAX as i64 + 1), |row| row.get(0))?.collect();
        let first_of_each = first_of_each?;
        if first_of_each.len() > CANDIDATES_MAX {
            return Ok(None);
        }
        // The text was stored with the packet's first reception; the others have the same sender and packet.
        let mut copies = self.connection.prepare_cached(
            "SELECT c.seq FROM reception o JOIN reception c ON c.sender = o.sender AND c.packet = o.packet
             WHERE o.seq = ?1",
        )?;
        let mut all = Vec::with_capacity(first_of_each.len() * 3);
        for seq in first_of_each {
            for copy in copies.query_map([seq], |row| row.get::<_, i64>(0))? {
                all.push(copy?);
            }
        }
        all.retain(|seq| self.range.contains(seq));
        Ok((all.len() <= CANDIDATES_MAX).then_some(all))
    }

    fn rows(&self, holds: &str) -> rusqlite::Result<Option<Vec<i64>>> {
        let Range { start, end } = self.range;
        let query = format!(
            "SELECT seq FROM reception WHERE {holds} AND +seq >= {start} AND +seq < {end} LIMIT {}",
            CANDIDATES_MAX + 1
        );
        let mut query = self.connection.prepare(&query)?;
        let numbers: rusqlite::Result<Vec<i64>> = query.query_map([], |row| row.get(0))?.collect();
        let numbers = numbers?;
        Ok((numbers.len() <= CANDIDATES_MAX).then_some(numbers))
    }
}

/// A question for the texts in which all of these stand, in any order: the index keeps no places, which halves it. It is
/// made of what every three characters in a row are; looking again tells where they stand.
fn trigrams(part: &str) -> String {
    let characters: Vec<char> = part.chars().collect();
    let mut phrases: Vec<String> = Vec::new();
    for three in characters.windows(TEXT_CHARS_MIN) {
        let phrase = format!("\"{}\"", String::from_iter(three).replace('"', "\"\""));
        if !phrases.contains(&phrase) {
            phrases.push(phrase);
        }
    }
    phrases.truncate(TRIGRAMS_MAX);
    phrases.join(" AND ")
}

/// Sender and id, when the parts name one packet.
fn packet_in(parts: &[Condition]) -> Option<(u32, u32)> {
    let mut found = (None, None);
    for part in parts {
        match part {
            Condition::Is(Test::From(nodes)) if nodes.len() == 1 => found.0 = nodes.first().copied(),
            Condition::Is(Test::Packet(id)) => found.1 = Some(*id),
            _ => {}
        }
    }
    found.0.zip(found.1)
}
