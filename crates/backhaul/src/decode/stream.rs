//! What one line means after all lines before it: node keys learnt, packets that were there already.

use std::collections::{HashMap, VecDeque};

use mesh::airtime::ModemPreset;
use mesh::envelope::EnvelopeView;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::observe::{Facts, Flags, Scratch, SignatureState, observe};
use mesh::portnum::PortNum;
use mesh::signature::{Layout, Verification, verify};
use mesh::topic::MeshTopic;
use mesh::wire::{Content, Fields};
use serde_json::Value as Json;

use super::line::Line;
use super::{channel_key, report};

/// Nodes whose keys are remembered; a large city has some thousand.
const NODES_MAX: usize = 100_000;
/// Packets that are remembered to tell copies; the oldest are forgotten.
const PACKETS_MAX: usize = 100_000;

/// Bare bytes have no topic. Map topics name neither channel nor gateway, so they contradict nothing.
const TOPIC_OF_BARE_BYTES: &str = "2/map/";

/// The state between lines.
pub struct Stream {
    keyring: Keyring,
    preset: ModemPreset,
    public_keys: HashMap<NodeNum, [u8; 32]>,
    /// Each packet with the gateway that was first to publish it.
    packets: HashMap<(NodeNum, u32), String>,
    packets_in_order: VecDeque<(NodeNum, u32)>,
}

/// What is known of a packet's signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// There is none.
    None,
    /// Checked with its sender's key.
    Checked(Verification),
    /// There is one, and no key to check it with.
    UnknownKey,
}

/// Whether the sender's number was made from its key, as firmware 2.8 makes it. Older firmware makes it otherwise, so
/// only the first says something about who sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// It was.
    Derived,
    /// It was not.
    NotDerived,
    /// No NodeInfo told its key.
    UnknownKey,
}

impl Stream {
    /// Nothing seen yet.
    pub fn new(keyring: Keyring, preset: ModemPreset) -> Self {
        Self {
            keyring,
            preset,
            public_keys: HashMap::new(),
            packets: HashMap::new(),
            packets_in_order: VecDeque::new(),
        }
    }

    /// Decodes one publish.
    ///
    /// # Errors
    /// What is wrong with its key.
    pub fn decode(&mut self, line: &Line) -> Result<Json, String> {
        let keyring = match &line.key_base64 {
            Some(base64) => &self.keyring_with(line, base64)?,
            None => &self.keyring,
        };
        let mut scratch = Scratch::default();
        let topic = line.topic.as_deref().unwrap_or(TOPIC_OF_BARE_BYTES);
        let mut facts = observe(topic, &line.payload, keyring, &mut scratch);
        let signature = self.check_signature(&facts);
        let identity = self.check_identity(&facts);
        let flags = &mut facts.flags;
        if let Signature::Checked(found) = signature {
            flags.set(Flags::SIG_LAYOUT_V0, found == Verification::Valid(Layout::V0));
            flags.set(Flags::SIG_LAYOUT_V1, found == Verification::Valid(Layout::V1));
            flags.set(Flags::SIG_INVALID, found == Verification::Invalid);
        }
        let is_copy = self.is_copy(&facts);
        facts.flags.set(Flags::DUPLICATE, is_copy);
        Ok(report::report(line, &facts, signature, identity, self.preset))
    }

    /// The keys, and this line's own for the channel it names.
    fn keyring_with(&self, line: &Line, base64: &str) -> Result<Keyring, String> {
        let key = channel_key(base64).map_err(|what| format!("`key_b64` {what}"))?;
        let envelope = EnvelopeView::parse(&line.payload).ok();
        let in_topic = line.topic.as_deref().and_then(MeshTopic::parse).and_then(|t| t.channel);
        let channel = envelope.and_then(|e| e.channel_id).or(in_topic).unwrap_or_default();
        // Keys of a channel are tried in order: the line's own goes first.
        let mut keyring = Keyring::default();
        keyring.add(channel, key);
        keyring.extend(&self.keyring);
        Ok(keyring)
    }

    /// Checks a signature with the key that its sender's NodeInfo told, in this packet or earlier. Of several keys the
    /// first stays, and one that comes with a wrong signature is not learnt.
    fn check_signature(&mut self, facts: &Facts<'_>) -> Signature {
        let (Some(header), Some(data)) = (&facts.packet, &facts.data) else { return Signature::None };
        let own_key = if data.port == PortNum::NODEINFO { public_key(data.payload) } else { None };
        let key = self.public_keys.get(&header.from).copied().or(own_key);
        let found = match facts.signature {
            SignatureState::None => Signature::None,
            SignatureState::Malformed => Signature::Checked(Verification::Malformed),
            SignatureState::Unchecked => key
                .and_then(|key| verify(header, data, &key))
                .map_or(Signature::UnknownKey, Signature::Checked),
        };
        let is_believed = matches!(found, Signature::None | Signature::Checked(Verification::Valid(_)));
        if let (Some(key), true) = (own_key, is_believed && self.public_keys.len() < NODES_MAX) {
            self.public_keys.entry(header.from).or_insert(key);
        }
        found
    }

    /// Checks the sender's number with the key that is known of it; nothing is known of who sent a packet that we
    /// cannot see.
    fn check_identity(&self, facts: &Facts<'_>) -> Identity {
        let key = facts.packet.and_then(|header| Some((header.from, self.public_keys.get(&header.from)?)));
        match key {
            Some((from, key)) if from.is_derived_from(key) => Identity::Derived,
            Some(_) => Identity::NotDerived,
            None => Identity::UnknownKey,
        }
    }

    /// Whether another gateway was first to publish this packet.
    fn is_copy(&mut self, facts: &Facts<'_>) -> bool {
        let (Some(header), Some(gateway)) = (facts.packet, facts.gateway_id) else { return false };
        if header.id == 0 {
            return false;
        }
        let packet = (header.from, header.id);
        if let Some(first) = self.packets.get(&packet) {
            return first != gateway;
        }
        if self.packets_in_order.len() == PACKETS_MAX
            && let Some(oldest) = self.packets_in_order.pop_front()
        {
            self.packets.remove(&oldest);
        }
        self.packets.insert(packet, gateway.to_owned());
        self.packets_in_order.push_back(packet);
        false
    }
}

/// The x25519 key in a User message.
fn public_key(user: &[u8]) -> Option<[u8; 32]> {
    let key = Fields::of(user).flatten().find_map(|field| match (field.number, field.content) {
        (8, Content::Bytes(key)) => Some(key),
        _ => None,
    });
    key?.try_into().ok()
}
