//! Nodes that were erased. What comes from one, is for one or tells of one goes nowhere: it is not judged, not recorded, not
//! passed on, and counted without a name. What is here of one when it is erased goes.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use mesh::envelope::EnvelopeView;
use mesh::node::NodeNum;
use mesh::observe::Facts;
use mesh::portnum::PortNum;
use mesh::topic::MeshTopic;
use mesh::wire::{Content, Fields};
use record::{ErasedNode, Record};

use crate::message::Message;
use crate::session::{SessionId, Step};
use crate::tell::OwnMessage;
use crate::{Broker, Now};

/// Nodes of which it is remembered whether they are kept out; the answer costs a hash otherwise.
const KNOWN_MAX: usize = 20_000;
/// Nodes in one list that are asked about: a traceroute has at most 16, a list of neighbours 10.
const LISTED_MAX: usize = 64;

/// Who is kept out, as far as it was asked.
#[derive(Debug)]
pub(crate) struct Erased {
    known: HashMap<u32, bool, FixedState>,
}

/// What was here of a node that is erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErasedHere {
    /// Retained messages on topics with its number.
    pub retained: u64,
    /// Messages with its packets that waited for clients.
    pub queued: u64,
    /// Messages with its packets that clients have been sent and not acknowledged; they go when they are, or when the
    /// session ends.
    pub in_flight: u64,
}

impl Erased {
    pub fn new(seed: u64) -> Self {
        Self { known: HashMap::with_hasher(FixedState::with_seed(seed)) }
    }

    /// The directory changed.
    pub fn forget_answers(&mut self) {
        self.known.clear();
    }
}

impl Broker {
    /// Forgets a node: what policy remembers of it, what is retained on its topics and what waits for clients. Whoever learns
    /// from records is told to forget it too.
    pub fn erase(&mut self, now: Now, node: u32) -> ErasedHere {
        self.policy.memory.forget_node(node);
        let mut here = ErasedHere { retained: self.erase_retained(now, node), ..ErasedHere::default() };
        let sessions: Vec<SessionId> =
            self.sessions.iter().filter_map(|(index, _)| u32::try_from(index).ok().map(SessionId)).collect();
        for id in sessions {
            self.erase_waiting(id, node, &mut here);
        }
        self.records.push(Record::Erased(ErasedNode { at_ms: now.unix_ms, node }));
        here
    }

    /// Subscribers are told, so that home automation drops what it has made of the topics.
    fn erase_retained(&mut self, now: Now, node: u32) -> u64 {
        let hex = format!("{node:08x}");
        let names_it = |topic: &str| topic.to_ascii_lowercase().contains(&hex);
        let topics: Vec<_> = self.retained.all().keys().filter(|topic| names_it(topic)).cloned().collect();
        for topic in &topics {
            let (topic, payload) = (topic.clone(), [].into());
            self.publish_own(now, OwnMessage { topic, payload, retain: true });
        }
        topics.len() as u64
    }

    fn erase_waiting(&mut self, id: SessionId, node: u32, here: &mut ErasedHere) {
        let Some(session) = self.session(id) else { return };
        let is_away = session.connection.is_none();
        let mut gone = Vec::new();
        let mut bytes = 0;
        session.queue.retain(|copy| {
            let is_its = is_of(&copy.message, node);
            if is_its {
                bytes += copy.bytes();
                gone.push(copy.order);
            }
            !is_its
        });
        session.inflight.retain(|entry| {
            let Some(copy) = entry.copy.as_ref().filter(|copy| is_of(&copy.message, node)) else {
                return true;
            };
            // Of QoS 2 the exchange must go on, or the client would wait for its end; and who is here will answer.
            if !is_away || entry.step != Step::Puback {
                here.in_flight += 1;
                return true;
            }
            bytes += copy.bytes();
            gone.push(entry.order);
            false
        });
        session.queued_bytes -= bytes;
        here.queued += gone.len() as u64;
        gone.into_iter().for_each(|order| self.note_finished(id, order));
    }

    /// Whether a node is kept out.
    pub(crate) fn is_erased(&mut self, node: u32) -> bool {
        let tombstones = self.options.directory.tombstones();
        if tombstones.is_empty() {
            return false;
        }
        if let Some(is_erased) = self.erased.known.get(&node) {
            return *is_erased;
        }
        let is_erased = tombstones.has(self.options.token_key.print_of(node));
        if self.erased.known.len() >= KNOWN_MAX {
            self.erased.known.clear();
        }
        self.erased.known.insert(node, is_erased);
        is_erased
    }

    /// Whether what was observed is from, for or about a node that is kept out.
    pub(crate) fn tells_of_erased(&mut self, facts: &Facts<'_>, credential: Option<u32>) -> bool {
        if self.options.directory.tombstones().is_empty() {
            return false;
        }
        let topic = facts.topic.as_ref().and_then(|topic| topic.gateway_node());
        let named = [
            credential,
            topic.map(|gateway| gateway.0),
            facts.gateway.map(|gateway| gateway.0),
            facts.packet.map(|packet| packet.from.0),
            facts.packet.map(|packet| packet.to.0),
        ];
        if named.into_iter().flatten().any(|node| self.is_erased(node)) {
            return true;
        }
        let listed = facts.data.map_or_else(Vec::new, |data| listed_in(data.port, data.payload));
        listed.into_iter().any(|node| self.is_erased(node))
    }

    /// Whether a text, such as a client identifier, names a node that is kept out: `!` or `gw-` and eight digits.
    pub(crate) fn text_names_erased(&mut self, text: &str) -> bool {
        if self.options.directory.tombstones().is_empty() {
            return false;
        }
        let digits_after = |mark: &str| -> Vec<u32> {
            let places = text.match_indices(mark).map(|(at, _)| at + mark.len());
            places.filter_map(|at| u32::from_str_radix(text.get(at..at + 8)?, 16).ok()).collect()
        };
        let named = [digits_after("!"), digits_after("gw-")].concat();
        named.into_iter().take(LISTED_MAX).any(|node| self.is_erased(node))
    }
}

/// Whether a message is a packet from or for the node, was brought by it, or is on a topic of it.
fn is_of(message: &Message, node: u32) -> bool {
    if message.topic.to_ascii_lowercase().contains(&format!("{node:08x}")) {
        return true;
    }
    if MeshTopic::parse(&message.topic).is_none() {
        return false;
    }
    let packet = EnvelopeView::parse(&message.payload).ok().and_then(|envelope| envelope.packet);
    packet.is_some_and(|packet| packet.header.from.0 == node || packet.header.to.0 == node)
}

/// The nodes that a traceroute or a list of neighbours names.
fn listed_in(port: PortNum, payload: &[u8]) -> Vec<u32> {
    let mut nodes = Vec::new();
    for field in Fields::of(payload).map_while(Result::ok) {
        match (port, field.number, field.content) {
            // `mesh.proto`, RouteDiscovery: 1 route, 3 route_back, packed or one by one.
            (PortNum::TRACEROUTE, 1 | 3, Content::Bytes(packed)) => {
                let numbers = packed.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                nodes.extend(numbers);
            }
            (PortNum::TRACEROUTE, 1 | 3, Content::Fixed32(node)) => nodes.push(node),
            // NeighborInfo: 1 node_id, 2 last_sent_by_id, 4 neighbors with 1 node_id.
            (PortNum::NEIGHBORINFO, 1 | 2, Content::Varint(node)) => nodes.extend(u32::try_from(node)),
            (PortNum::NEIGHBORINFO, 4, Content::Bytes(neighbour)) => {
                for field in Fields::of(neighbour).map_while(Result::ok) {
                    if let (1, Content::Varint(node)) = (field.number, field.content) {
                        nodes.extend(u32::try_from(node));
                    }
                }
            }
            _ => {}
        }
        if nodes.len() >= LISTED_MAX {
            break;
        }
    }
    nodes.retain(|node| *node != NodeNum::BROADCAST.0);
    nodes
}
