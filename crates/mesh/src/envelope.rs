//! ServiceEnvelope: a checked view of the bytes a gateway publishes. Nothing is copied, unknown fields are left alone.

use crate::packet::PacketView;
use crate::wire::{Content, Fields, WireError};

/// The parts of an envelope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EnvelopeView<'a> {
    /// The packet; `None` when the field is missing.
    pub packet: Option<PacketView<'a>>,
    /// Bytes of the packet, as they stand.
    pub packet_bytes: &'a [u8],
    /// Offset of the packet's bytes in the envelope.
    pub packet_at: usize,
    /// Channel name, or `PKI`.
    pub channel_id: Option<&'a str>,
    /// Gateway id as text.
    pub gateway_id: Option<&'a str>,
}

impl<'a> EnvelopeView<'a> {
    /// Looks at the bytes of an envelope.
    ///
    /// # Errors
    /// When the envelope or its packet is not protobuf, or a name is not UTF-8.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut view =
            Self { packet: None, packet_bytes: &[], packet_at: 0, channel_id: None, gateway_id: None };
        let mut known = false;
        for field in Fields::of(bytes) {
            let field = field?;
            match (field.number, field.content) {
                (1, Content::Bytes(packet)) => {
                    view.packet = Some(PacketView::parse(packet)?);
                    view.packet_bytes = packet;
                    view.packet_at = field.content_start;
                }
                (2, Content::Bytes(name)) => {
                    view.channel_id = Some(std::str::from_utf8(name).map_err(|_| WireError)?)
                }
                (3, Content::Bytes(name)) => {
                    view.gateway_id = Some(std::str::from_utf8(name).map_err(|_| WireError)?)
                }
                (1..=3, _) => return Err(WireError),
                _ => continue,
            }
            known = true;
        }
        // Text can pass for unknown fields; an envelope without any field of an envelope is none.
        if known { Ok(view) } else { Err(WireError) }
    }

    /// Offset of the hop limit's byte in the envelope, when it can be lowered in place.
    pub fn hop_limit_at(&self) -> Option<usize> {
        Some(self.packet_at + self.packet?.hop_limit_at?)
    }
}
