//! A packet from its sender's point of view, and what became of it: the truth that receivers and brokers cannot know.

use mesh::airtime::HEADER_BYTES;
use mesh::compose::{Closed, Content, Packet, envelope};
use mesh::key::ChannelKey;
use mesh::node::NodeNum;

/// The channel that everybody is on.
pub const CHANNEL: &str = "LongFast";
/// Where direct messages under public keys are published.
pub const PKI: &str = "PKI";
/// What encryption for one destination adds to a message: 8 bytes of tag, 4 of nonce.
const PKI_BYTES: usize = 12;

/// A packet's identity: sender and id.
pub type Key = (u32, u32);

/// What a packet is, as far as the report counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text to everyone.
    Text,
    /// A direct message, which its destination acknowledges.
    Direct,
    /// The acknowledgement of a direct message.
    Ack,
    /// A traceroute.
    Traceroute,
    /// Its answer.
    TracerouteReply,
    /// What a node says by itself.
    Routine,
    /// What a misfit made up.
    Forged,
}

/// A packet.
#[derive(Debug, Clone)]
pub struct Letter {
    /// What it is.
    pub kind: Kind,
    /// As its sender transmits it.
    pub packet: Packet,
    /// What it says.
    pub content: Content,
    /// Whether only its destination can open it.
    pub is_sealed: bool,
    /// Node that made it; for what is forged, the misfit.
    pub maker: usize,
    /// Island of that node when it made it.
    pub island: usize,
    /// When, ms since the start.
    pub born_ms: u64,
    /// Whether its sender agrees to MQTT.
    pub consents: bool,
    /// What it answers.
    pub answers: Option<Key>,
    /// Nodes other than its maker that have it, and when they got it; of routine traffic nobody keeps account.
    pub reached: Vec<(usize, u64)>,
    /// When the sender of a direct message had the acknowledgement, ms since the start.
    pub acknowledged_ms: Option<u64>,
}

impl Letter {
    /// Sender and id.
    pub const fn key(&self) -> Key {
        (self.packet.from.0, self.packet.id)
    }

    /// Bytes on the air.
    pub fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.content.encode().len() + if self.is_sealed { PKI_BYTES } else { 0 }
    }

    /// The channel as topics name it.
    pub const fn channel(&self) -> &'static str {
        if self.is_sealed { PKI } else { CHANNEL }
    }

    /// The envelope that a gateway makes of its copy.
    pub fn envelope(&self, copy: &Packet, key: &ChannelKey, gateway: NodeNum) -> Vec<u8> {
        let sealed;
        let closed = if self.is_sealed {
            // Nobody but the destination could read it anyway.
            sealed = vec![0xa5; self.frame_bytes() - HEADER_BYTES];
            Closed::Sealed(&sealed)
        } else {
            Closed::Encrypted(key)
        };
        envelope(copy, &self.content, self.channel(), closed, gateway)
    }
}
