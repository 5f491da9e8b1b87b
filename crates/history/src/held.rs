//! What a day file holds of one node, found row by row: what it sent, what was sent to it, what it brought as a gateway, and
//! where packets of others name it.

use mesh::keyring::Keyring;
use mesh::observe::{Scratch, observe};
use mesh::portnum::PortNum;
use record::Reception;
use rusqlite::{Connection, Params, params};
use serde::{Deserialize, Serialize};

use crate::rollup::Dimension;
use crate::row;

/// Why a reception is about a node; the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tie {
    /// The node sent the packet.
    Sent,
    /// The packet was for the node.
    To,
    /// The node brought it as a gateway.
    Brought,
    /// The packet names the node: a traceroute or a list of neighbours it is in.
    Named,
}

/// How much is held of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Receptions of packets that it sent.
    pub sent: u64,
    /// Receptions of packets for it.
    pub to: u64,
    /// Receptions of others' packets that it brought as a gateway.
    pub brought: u64,
    /// Receptions of others' packets that name it.
    pub named: u64,
    /// Receptions among all of these with a record of what became of their copies.
    pub releases: u64,
    /// Texts among what it sent that can be searched.
    pub texts: u64,
    /// Days on which its name is known.
    pub names: u64,
    /// Hours of sums about it.
    pub hours: u64,
    /// Connections made, ended and refused.
    pub connections: u64,
    /// Topics, names and sentences with its number in them.
    pub words: u64,
    /// Changes of the policy that name it.
    pub policy_changes: u64,
}

impl Held {
    /// Adds what another file holds.
    pub fn add(&mut self, other: &Self) {
        let Self {
            sent,
            to,
            brought,
            named,
            releases,
            texts,
            names,
            hours,
            connections,
            words,
            policy_changes,
        } = other;
        self.sent += sent;
        self.to += to;
        self.brought += brought;
        self.named += named;
        self.releases += releases;
        self.texts += texts;
        self.names += names;
        self.hours += hours;
        self.connections += connections;
        self.words += words;
        self.policy_changes += policy_changes;
    }

    /// Receptions in all.
    pub const fn receptions(&self) -> u64 {
        self.sent + self.to + self.brought + self.named
    }

    pub(crate) fn count(&mut self, tie: Tie) {
        *match tie {
            Tie::Sent => &mut self.sent,
            Tie::To => &mut self.to,
            Tie::Brought => &mut self.brought,
            Tie::Named => &mut self.named,
        } += 1;
    }
}

/// Rows looked at together: deleting so many holds the file for some milliseconds.
pub(crate) const PAGE_ROWS: usize = 250;
/// Ports whose packets list other nodes by number.
const LISTING_PORTS: [PortNum; 3] = [PortNum::TRACEROUTE, PortNum::NEIGHBORINFO, PortNum::STORE_FORWARD];

/// A node, in the ways in which files write it.
#[derive(Debug, Clone)]
pub(crate) struct Needle {
    pub node: u32,
    /// `a5000001`, as it stands in topics, names and sentences.
    pub hex: String,
    decimal: String,
    bytes: [u8; 4],
    varint: Vec<u8>,
}

impl Needle {
    pub fn of(node: u32) -> Self {
        let mut varint = Vec::new();
        mesh::wire::put_varint(&mut varint, u64::from(node));
        Self {
            node,
            hex: format!("{node:08x}"),
            decimal: node.to_string(),
            bytes: node.to_le_bytes(),
            varint,
        }
    }

    /// Whether a text has the node's number in it.
    pub fn is_in(&self, text: &str) -> bool {
        text.to_ascii_lowercase().contains(&self.hex)
    }

    /// The text with another word where the number stands.
    pub fn replaced(&self, text: &str, word: &str) -> String {
        let lower = text.to_ascii_lowercase();
        let mut out = String::with_capacity(text.len());
        let mut rest = 0;
        for (at, _) in lower.match_indices(&self.hex) {
            out.push_str(&text[rest..at]);
            out.push_str(word);
            rest = at + self.hex.len();
        }
        out.push_str(&text[rest..]);
        out
    }

    /// Whether a packet of others says the node's number, as far as the keys at hand open it. Ciphertext says nothing,
    /// whatever bytes are in it.
    fn is_named_by(&self, reception: &Reception, keyring: &Keyring) -> bool {
        let mut scratch = Scratch::default();
        let facts = observe(&reception.topic, &reception.payload, keyring, &mut scratch);
        match (facts.packet, facts.data) {
            (Some(_), Some(data)) => {
                let lists = LISTING_PORTS.contains(&data.port);
                has(data.payload, &self.bytes) || (lists && has(data.payload, &self.varint))
            }
            (Some(_), None) => false,
            (None, _) => {
                let text = String::from_utf8_lossy(&reception.payload);
                has(&reception.payload, &self.bytes) || self.is_in(&text) || text.contains(&self.decimal)
            }
        }
    }
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The rows of a file that may be about a node, known before its receptions are gone through.
#[derive(Debug)]
pub(crate) struct Ties {
    /// Words with the node's number in them.
    pub words: Vec<i64>,
    /// Sources that are the node's.
    pub sources: Vec<i64>,
    /// Shapes of envelopes that only this gateway has.
    pub layouts: Vec<i64>,
    /// Bodies in which its four bytes occur.
    bodies: Vec<i64>,
    /// Judgements of packets that list nodes.
    judgements: Vec<i64>,
}

/// Numbers of receptions with why they are the node's, and the last number that was looked at.
pub(crate) type TiedPage = (Vec<(i64, Tie)>, i64);

impl Ties {
    pub fn find(connection: &Connection, needle: &Needle) -> rusqlite::Result<Self> {
        let words =
            numbers(connection, "SELECT id FROM word WHERE instr(lower(text), ?1) > 0", [&needle.hex])?;
        let named = list(&words);
        let sources = format!(
            "SELECT id FROM source WHERE gateway = ?1 OR client IN ({named}) OR username IN ({named}) OR topic IN ({named})"
        );
        let ports = list(&LISTING_PORTS.map(|port| i64::from(port.0)));
        let judgements = format!("SELECT id FROM judgement WHERE port IN ({ports})");
        let hex = needle.hex.as_bytes();
        Ok(Self {
            sources: numbers(connection, &sources, [needle.node])?,
            layouts: numbers(connection, "SELECT id FROM layout WHERE instr(content, ?1) > 0", [hex])?,
            bodies: numbers(
                connection,
                "SELECT id FROM body WHERE instr(content, ?1) > 0",
                [&needle.bytes[..]],
            )?,
            judgements: numbers(connection, &judgements, [])?,
            words,
        })
    }

    /// The next receptions after a number that are about the node, with why; and how far was looked. Nothing, once there
    /// are no more.
    pub fn page(
        &self,
        connection: &Connection,
        needle: &Needle,
        keyring: &Keyring,
        after: i64,
    ) -> rusqlite::Result<Option<TiedPage>> {
        let query = format!(
            "SELECT seq, sender IS ?1, recipient IS ?1, source IN ({sources}) OR coalesce(layout IN ({layouts}), FALSE)
             FROM reception WHERE seq > ?2 AND (
                 sender = ?1 OR recipient = ?1 OR source IN ({sources}) OR layout IN ({layouts}) OR body IN ({bodies})
                 OR judgement IN ({judgements}) OR instr(content, ?3) > 0 OR instr(content, ?4) > 0
                 OR instr(content, ?5) > 0)
             ORDER BY seq LIMIT {PAGE_ROWS}",
            sources = list(&self.sources),
            layouts = list(&self.layouts),
            bodies = list(&self.bodies),
            judgements = list(&self.judgements),
        );
        let mut statement = connection.prepare_cached(&query)?;
        let arguments =
            params![needle.node, after, &needle.bytes[..], needle.decimal.as_bytes(), needle.hex.as_bytes()];
        let mut rows = statement.query(arguments)?;
        let (mut tied, mut unsure, mut last) = (Vec::new(), Vec::new(), None);
        while let Some(row) = rows.next()? {
            let seq: i64 = row.get(0)?;
            last = Some(seq);
            let (is_sender, is_recipient, is_source): (bool, bool, bool) =
                (row.get(1)?, row.get(2)?, row.get(3)?);
            match (is_sender, is_recipient, is_source) {
                (true, ..) => tied.push((seq, Tie::Sent)),
                (false, true, _) => tied.push((seq, Tie::To)),
                (false, false, true) => tied.push((seq, Tie::Brought)),
                (false, false, false) => unsure.push(seq),
            }
        }
        let Some(last) = last else { return Ok(None) };
        if !unsure.is_empty() {
            let query = format!("{} WHERE r.seq IN ({})", row::SELECT, list(&unsure));
            for reception in row::select(connection, &query, Vec::new())? {
                if needle.is_named_by(&reception, keyring) {
                    tied.push((reception.seq as i64, Tie::Named));
                }
            }
            tied.sort_unstable();
        }
        Ok(Some((tied, last)))
    }

    /// What a file holds beside receptions.
    pub fn count_rest(&self, connection: &Connection, needle: &Needle) -> rusqlite::Result<Held> {
        let count = |table: &str, holds: &str| -> rusqlite::Result<u64> {
            if !connection.table_exists(None, table)? {
                return Ok(0);
            }
            connection.query_row(&format!("SELECT count(*) FROM {table} WHERE {holds}"), [], |row| row.get(0))
        };
        let mut held = Held {
            names: count("node_name", &format!("node = {}", needle.node))?,
            hours: count("rollup", &sums_of(needle.node))?,
            connections: count("connection", &self.connections(needle))?,
            words: self.words.len() as u64,
            ..Held::default()
        };
        if connection.table_exists(None, "policy_change")? {
            let query = "SELECT count(*) FROM policy_change
                 WHERE instr(lower(who || changes || private_changes || content), ?1) > 0";
            held.policy_changes = connection.query_row(query, [&needle.hex], |row| row.get(0))?;
        }
        Ok(held)
    }

    /// The connections that are the node's, as a condition.
    pub fn connections(&self, needle: &Needle) -> String {
        let named = list(&self.words);
        format!(
            "gateway = {} OR client IN ({named}) OR username IN ({named}) OR address IN ({named}) OR detail IN ({named})",
            needle.node
        )
    }
}

/// Rows of sums that are about a node.
pub(crate) fn sums_of(node: u32) -> String {
    let (of_node, of_gateway) = (Dimension::Node.code(), Dimension::Gateway.code());
    format!("kind IN ({of_node}, {of_gateway}) AND key = {node}")
}

pub(crate) fn numbers(
    connection: &Connection,
    query: &str,
    arguments: impl Params,
) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare(query)?;
    statement.query_map(arguments, |row| row.get(0))?.collect()
}

pub(crate) fn list(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}
