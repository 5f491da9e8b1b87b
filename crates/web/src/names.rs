//! Names of nodes, learnt from their node information. What the public may call a node is learnt only from what the
//! public may see.

use std::collections::{BTreeSet, HashMap};

use mesh::keyring::Keyring;
use mesh::portnum::PortNum;
use mesh::wire::{Content, Fields};
use query::NodeName;
use record::Reception;

use crate::reading;
use crate::visibility::{Sight, Visitor};

/// Nodes whose names are remembered. Further ones are shown by number.
const NODES_MAX: usize = 50_000;
/// Channels remembered, for completion.
const CHANNELS_MAX: usize = 200;
/// Characters kept of a name; firmware allows 39 bytes and 4.
const NAME_CHARS_MAX: usize = 40;

/// Names by node, as each kind of visitor may know them.
#[derive(Debug, Default)]
pub struct Names {
    public: HashMap<u32, Name>,
    operator: HashMap<u32, Name>,
    public_channels: BTreeSet<Box<str>>,
    channels: BTreeSet<Box<str>>,
}

/// What a node calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Long name, up to 39 bytes from firmware.
    pub long: Box<str>,
    /// Short name, up to 4 bytes from firmware.
    pub short: Box<str>,
    learnt_ms: i64,
}

impl Names {
    /// Forgets a node.
    pub fn forget_node(&mut self, node: u32) {
        self.public.remove(&node);
        self.operator.remove(&node);
    }

    /// Learns from a reception, when it is node information. `public` is the sight of the public.
    pub fn take(&mut self, reception: &Reception, keyring: &Keyring, public: &Sight) {
        let Some(from) = reception.packet.map(|p| p.from) else { return };
        if reception.port != Some(PortNum::NODEINFO.0) {
            return;
        }
        let name = reading::look(reception, keyring, |facts| {
            let data = facts.data.filter(|d| d.port == PortNum::NODEINFO)?;
            Name::parse(data.payload, reception.at_ms)
        });
        let Some(name) = name else { return };
        if public.allows(reception) {
            remember(&mut self.public, from, name.clone());
        }
        remember(&mut self.operator, from, name);
    }

    /// Learns the name of a channel that is in use.
    pub fn take_channel(&mut self, reception: &Reception, public: &Sight) {
        let Some(channel) = reception.channel.as_deref() else { return };
        let remember = |channels: &mut BTreeSet<Box<str>>| {
            if !channels.contains(channel) && channels.len() < CHANNELS_MAX {
                channels.insert(channel.into());
            }
        };
        remember(&mut self.channels);
        if public.allows(reception) {
            remember(&mut self.public_channels);
        }
    }

    /// Channels in use that this visitor may know.
    pub fn channels(&self, visitor: Visitor) -> Vec<String> {
        let channels = match visitor {
            Visitor::Public => &self.public_channels,
            Visitor::Operator => &self.channels,
        };
        channels.iter().map(|name| name.to_string()).collect()
    }

    /// Every name that this visitor may know.
    pub fn all(&self, visitor: Visitor) -> Vec<NodeName> {
        let names = match visitor {
            Visitor::Public => &self.public,
            Visitor::Operator => &self.operator,
        };
        let name = |(node, name): (&u32, &Name)| NodeName {
            node: *node,
            long: name.long.to_string(),
            short: name.short.to_string(),
        };
        names.iter().map(name).collect()
    }

    /// The name of a node, when this visitor may know it.
    pub fn of(&self, node: u32, visitor: Visitor) -> Option<&Name> {
        match visitor {
            Visitor::Public => self.public.get(&node),
            Visitor::Operator => self.operator.get(&node),
        }
    }
}

fn remember(names: &mut HashMap<u32, Name>, node: u32, name: Name) {
    let is_known = names.contains_key(&node);
    if (!is_known && names.len() >= NODES_MAX)
        || names.get(&node).is_some_and(|n| n.learnt_ms > name.learnt_ms)
    {
        return;
    }
    names.insert(node, name);
}

impl Name {
    /// Reads the names of a User message (`mesh.proto`: 2 long, 3 short).
    fn parse(user: &[u8], learnt_ms: i64) -> Option<Self> {
        let mut name = Self { long: "".into(), short: "".into(), learnt_ms };
        for field in Fields::of(user) {
            let field = field.ok()?;
            match (field.number, field.content) {
                (2, Content::Bytes(text)) => name.long = printable(text)?,
                (3, Content::Bytes(text)) => name.short = printable(text)?,
                _ => {}
            }
        }
        (!name.long.is_empty() || !name.short.is_empty()).then_some(name)
    }

    /// The name to show first.
    pub fn shown(&self) -> &str {
        if self.long.is_empty() { &self.short } else { &self.long }
    }
}

/// Text without control characters and marks that turn the direction of the line.
fn printable(text: &[u8]) -> Option<Box<str>> {
    let text = std::str::from_utf8(text).ok()?;
    Some(reading::printable(text, NAME_CHARS_MAX).into())
}
