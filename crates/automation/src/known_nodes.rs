//! What nodes say of themselves: names, hardware, firmware. Only what may be told comes in here.

use std::collections::BTreeMap;

use mesh::portnum::PortNum;
use mesh::tree::{self, Entry, Tree, Value};

/// Nodes remembered. At the limit the one that was heard longest ago is forgotten.
const NODES_MAX: usize = 10_000;

/// The nodes, by number.
#[derive(Debug, Default)]
pub struct KnownNodes(BTreeMap<u32, KnownNode>);

/// What a node says of itself; empty where it has not said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownNode {
    /// Long name.
    pub long_name: String,
    /// Hardware model, by the protocol's name.
    pub hardware: String,
    /// Firmware version; only map reports tell it.
    pub firmware: String,
    heard_ms: i64,
}

impl KnownNodes {
    /// Learns from an open payload, when it is node information or a map report.
    pub fn take(&mut self, node: u32, port: PortNum, payload: &[u8], at_ms: i64) {
        if !matches!(port, PortNum::NODEINFO | PortNum::MAP_REPORT) {
            return;
        }
        let Tree::Message(_, entries) = tree::read(port, payload) else { return };
        if self.0.len() >= NODES_MAX
            && !self.0.contains_key(&node)
            && let Some(oldest) = self.0.iter().min_by_key(|(_, known)| known.heard_ms).map(|(node, _)| *node)
        {
            self.0.remove(&oldest);
        }
        let known = self.0.entry(node).or_default();
        known.heard_ms = at_ms;
        for (name, place) in [
            ("long_name", &mut known.long_name),
            ("hw_model", &mut known.hardware),
            ("firmware_version", &mut known.firmware),
        ] {
            if let Some(text) = text(&entries, name) {
                *place = text;
            }
        }
    }

    /// Takes over what is known from before a restart; newer knowledge wins.
    pub fn restore(&mut self, node: u32, known: KnownNode) {
        if self.0.len() < NODES_MAX {
            self.0.entry(node).or_insert(known);
        }
    }

    /// Forgets a node.
    pub fn forget(&mut self, node: u32) {
        self.0.remove(&node);
    }

    /// What is known of a node.
    pub fn of(&self, node: u32) -> Option<&KnownNode> {
        self.0.get(&node)
    }

    /// Its long name, when it has told one.
    pub fn long_name(&self, node: u32) -> Option<&str> {
        self.of(node).map(|known| &*known.long_name).filter(|name| !name.is_empty())
    }
}

fn text(entries: &[Entry], name: &str) -> Option<String> {
    let value = &entries.iter().rev().find(|entry| entry.name == Some(name))?.value;
    match value {
        Value::Text(_) | Value::Enum(..) => Some(value.to_text()).filter(|text| !text.is_empty()),
        _ => None,
    }
}
