//! MeshPacket: its header as typed values, its payload as slices, and the one byte that may be changed in place.

use crate::node::NodeNum;
use crate::wire::{Content, Fields, WireError};

/// Header fields of a MeshPacket (`mesh.proto`). Values are as received; nothing is judged here.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PacketHeader {
    /// Original sender; relays never change it.
    pub from: NodeNum,
    /// Destination.
    pub to: NodeNum,
    /// Channel hash (8 bits) when encrypted, the gateway's channel index when decoded.
    pub channel: u32,
    /// With `from`, the packet's identity; 0 identifies nothing.
    pub id: u32,
    /// The gateway's clock at reception, Unix seconds; 0 when it has none.
    pub rx_time: u32,
    /// Signal-to-noise ratio in dB; 0 for the gateway's own packets.
    pub rx_snr: f32,
    /// Hops left; more than 7 does not exist on the air.
    pub hop_limit: u32,
    /// Whether an acknowledgement is wanted.
    pub want_ack: bool,
    /// Priority, a hint between tasks of one node.
    pub priority: u32,
    /// Signal strength in dBm; 0 for the gateway's own packets.
    pub rx_rssi: i32,
    /// Whether it has crossed MQTT.
    pub via_mqtt: bool,
    /// Hop limit it started with; 0 when unknown.
    pub hop_start: u32,
    /// Whether public-key encryption was used, says the gateway.
    pub pki_encrypted: bool,
    /// Whether the gateway attached the sender's public key: it opened the packet.
    pub has_public_key: bool,
    /// Last byte of the wanted next relay; 0 none.
    pub next_hop: u8,
    /// Last byte of the node it was heard from; 0 unknown.
    pub relay_node: u8,
    /// How it reached the gateway: 0 internal, 1 LoRa, 5 MQTT, 6 UDP multicast, 7 API.
    pub transport: u32,
}

/// A MeshPacket as slices of its bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PacketView<'a> {
    /// Header.
    pub header: PacketHeader,
    /// What it carries.
    pub variant: Variant<'a>,
    /// Offset of the hop limit's byte within the packet, when it is one byte long.
    pub hop_limit_at: Option<usize>,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant<'a> {
    /// Nothing: a header stub.
    None,
    /// A Data message in clear.
    Decoded(&'a [u8]),
    /// Ciphertext.
    Encrypted(&'a [u8]),
}

impl<'a> PacketView<'a> {
    /// Looks at the bytes of a MeshPacket. Fields may come in any order; of a repeated one the last counts.
    ///
    /// # Errors
    /// When the bytes are not protobuf, or hold two payloads: which of them, or what mixture, counts is each reader's
    /// own, and firmware writes one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut h = PacketHeader::default();
        let mut variant = Variant::None;
        let mut hop_limit_at = None;
        for field in Fields::of(bytes) {
            let field = field?;
            let number = field.content.as_u32();
            match (field.number, field.content, number) {
                (1, Content::Fixed32(v), _) => h.from = NodeNum(v),
                (2, Content::Fixed32(v), _) => h.to = NodeNum(v),
                (3, Content::Varint(_), Some(v)) => h.channel = v,
                (4 | 5, Content::Bytes(_), _) if variant != Variant::None => return Err(WireError),
                (4, Content::Bytes(v), _) => variant = Variant::Decoded(v),
                (5, Content::Bytes(v), _) => variant = Variant::Encrypted(v),
                (6, Content::Fixed32(v), _) => h.id = v,
                (7, Content::Fixed32(v), _) => h.rx_time = v,
                (8, Content::Fixed32(v), _) => h.rx_snr = f32::from_bits(v),
                (9, Content::Varint(_), Some(v)) => {
                    h.hop_limit = v;
                    hop_limit_at = (field.end - field.content_start == 1).then_some(field.content_start);
                }
                (10, Content::Varint(v), _) => h.want_ack = v != 0,
                (11, Content::Varint(_), Some(v)) => h.priority = v,
                (12, Content::Varint(v), _) => h.rx_rssi = v as i32,
                (14, Content::Varint(v), _) => h.via_mqtt = v != 0,
                (15, Content::Varint(_), Some(v)) => h.hop_start = v,
                (16, Content::Bytes(v), _) => h.has_public_key = !v.is_empty(),
                (17, Content::Varint(v), _) => h.pki_encrypted = v != 0,
                (18, Content::Varint(v), _) => h.next_hop = v as u8,
                (19, Content::Varint(v), _) => h.relay_node = v as u8,
                (21, Content::Varint(_), Some(v)) => h.transport = v,
                // A known field of another wire type is as unknown as an unknown one.
                _ => {}
            }
        }
        Ok(Self { header: h, variant, hop_limit_at })
    }
}

/// Lowers the hop limit in place, in a copy of the bytes it was found in. It is never raised: firmware 2.8 drops
/// packets whose limit is above their start. Returns whether the byte was changed.
pub fn lower_hop_limit(bytes: &mut [u8], at: usize, hop_limit: u8) -> bool {
    match bytes.get_mut(at) {
        // One byte of a varint below 0x80; its upper bit would mean that more bytes follow.
        Some(byte) if hop_limit < *byte && *byte < 0x80 => {
            *byte = hop_limit;
            true
        }
        _ => false,
    }
}
