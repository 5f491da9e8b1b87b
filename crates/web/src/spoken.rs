//! The channels that are spoken on, folded from receptions: under which keys, by how many, how much within the hour. What
//! the public may know of a channel is folded only from what the public may see.

use std::collections::{BTreeMap, HashMap};

use mesh::portnum::PortNum;
use record::{KeyClass, Reception};

use crate::visibility::{Sight, Visitor};

/// Channels remembered for each kind of visitor: names come from outside, and anyone can make them up.
const CHANNELS_MAX: usize = 200;
/// Senders remembered of one channel; further ones are not counted.
const SENDERS_MAX: usize = 5_000;
/// Senders that were silent for this long do not count, ms.
const SENDERS_SINCE_MS: i64 = 86_400_000;

/// Channels by name, as each kind of visitor may know them.
#[derive(Debug, Default)]
pub struct Channels {
    public: BTreeMap<Box<str>, Spoken>,
    operator: BTreeMap<Box<str>, Spoken>,
}

/// One channel.
#[derive(Debug, Clone, Default)]
pub struct Spoken {
    /// When something came on it last, Unix ms.
    pub last_ms: i64,
    /// When somebody wrote something last, Unix ms.
    pub text_ms: Option<i64>,
    /// Key classes under which something came, with when it did last, in the order of `KeyClass::ALL`.
    pub keys: [Option<i64>; KeyClass::ALL.len()],
    /// A topic of it, to ask who subscribes.
    pub topic: Box<str>,
    senders: HashMap<u32, i64>,
}

impl Channels {
    /// Forgets a node: that it spoke, and topics with its number.
    pub fn forget_node(&mut self, node: u32) {
        let hex = format!("{node:08x}");
        for spoken in self.public.values_mut().chain(self.operator.values_mut()) {
            spoken.senders.remove(&node);
            if spoken.topic.contains(&hex) {
                spoken.topic = Box::default();
            }
        }
    }

    /// Takes in one reception; any order will do. `public` is the sight of the public.
    pub fn take(&mut self, reception: &Reception, public: &Sight) {
        let Some(channel) = reception.channel.as_deref() else { return };
        if public.allows(reception) {
            remember(&mut self.public, channel, reception);
        }
        remember(&mut self.operator, channel, reception);
    }

    /// Every channel that this visitor may know, by name.
    pub fn all(&self, visitor: Visitor) -> &BTreeMap<Box<str>, Spoken> {
        match visitor {
            Visitor::Public => &self.public,
            Visitor::Operator => &self.operator,
        }
    }
}

fn remember(channels: &mut BTreeMap<Box<str>, Spoken>, channel: &str, reception: &Reception) {
    if !channels.contains_key(channel) {
        if channels.len() >= CHANNELS_MAX {
            return;
        }
        channels.insert(channel.into(), Spoken::default());
    }
    if let Some(spoken) = channels.get_mut(channel) {
        spoken.take(reception);
    }
}

impl Spoken {
    fn take(&mut self, reception: &Reception) {
        let at_ms = reception.at_ms;
        if at_ms >= self.last_ms {
            self.last_ms = at_ms;
            if *self.topic != *reception.topic {
                self.topic = (*reception.topic).into();
            }
        }
        let key = &mut self.keys[usize::from(reception.key_class.code())];
        *key = (*key).max(Some(at_ms));
        if reception.port == Some(PortNum::TEXT_MESSAGE.0) {
            self.text_ms = self.text_ms.max(Some(at_ms));
        }
        let Some(from) = reception.packet.map(|packet| packet.from) else { return };
        if self.senders.len() >= SENDERS_MAX && !self.senders.contains_key(&from) {
            let last_ms = self.last_ms;
            self.senders.retain(|_, seen_ms| last_ms - *seen_ms < SENDERS_SINCE_MS);
            if self.senders.len() >= SENDERS_MAX {
                return;
            }
        }
        let seen_ms = self.senders.entry(from).or_default();
        *seen_ms = (*seen_ms).max(at_ms);
    }

    /// Nodes that spoke on it within a day.
    pub fn senders(&self, now_ms: i64) -> u64 {
        self.senders.values().filter(|seen_ms| now_ms - **seen_ms < SENDERS_SINCE_MS).count() as u64
    }

    /// The key classes under which something came within a day, the latest first.
    pub fn key_classes(&self, now_ms: i64) -> Vec<KeyClass> {
        let mut known: Vec<_> = KeyClass::ALL.iter().copied().zip(self.keys).collect();
        known.retain(|(_, at)| at.is_some_and(|at| now_ms - at < SENDERS_SINCE_MS));
        known.sort_by_key(|(class, at)| (std::cmp::Reverse(*at), class.code()));
        known.into_iter().map(|(class, _)| class).collect()
    }
}
