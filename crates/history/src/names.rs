//! What nodes call themselves, as the history knows it.

use std::collections::{HashMap, HashSet};

use query::NodeName;

use crate::error::Error;
use crate::reader::Reader;
use crate::said;
use crate::schema::Version;

/// Nodes of which names are given at most.
const NODES_MAX: usize = 50_000;

impl Reader {
    /// The latest names of nodes that gave themselves any since a moment, Unix ms, by node.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn names(&self, since_ms: i64) -> Result<Vec<NodeName>, Error> {
        let mut names: HashMap<u32, NodeName> = HashMap::new();
        let mut earlier_files = HashSet::new();
        for day in self.days_between(Some(since_ms), None)?.into_iter().rev() {
            let Some((connection, version)) = self.day(day)? else { continue };
            if version < Version::TWO {
                earlier_files.insert(day);
                continue;
            }
            let each = || -> rusqlite::Result<Vec<NodeName>> {
                let mut query = connection.prepare("SELECT node, long, short FROM node_name")?;
                let found = query.query_map([], |row| {
                    Ok(NodeName { node: row.get(0)?, long: row.get(1)?, short: row.get(2)? })
                })?;
                found.collect()
            };
            for name in each().map_err(self.in_file(day))? {
                if names.len() < NODES_MAX {
                    names.entry(name.node).or_insert(name);
                }
            }
        }
        if !earlier_files.is_empty() {
            for reception in self.latest_by_node(mesh::portnum::PortNum::NODEINFO.0, since_ms, false)? {
                let Some((long, short)) = said::names(&reception, &self.keyring) else { continue };
                let Some(node) = reception.packet.map(|p| p.from) else { continue };
                if names.len() < NODES_MAX {
                    names.entry(node).or_insert(NodeName { node, long, short });
                }
            }
        }
        let mut names: Vec<NodeName> = names.into_values().collect();
        names.sort_by_key(|name| name.node);
        Ok(names)
    }
}
