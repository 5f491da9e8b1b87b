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
    /// Channel name, or `PKI`; never empty.
    pub channel_id: Option<&'a str>,
    /// Gateway id as text; never empty.
    pub gateway_id: Option<&'a str>,
}

impl<'a> EnvelopeView<'a> {
    /// Looks at the bytes of an envelope.
    ///
    /// # Errors
    /// When the envelope or its packet is not protobuf, a name is not UTF-8, or a second packet follows: firmware
    /// would merge the two into one that we have not seen, with a hop limit that was not lowered.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut view =
            Self { packet: None, packet_bytes: &[], packet_at: 0, channel_id: None, gateway_id: None };
        let mut known = false;
        for field in Fields::of(bytes) {
            let field = field?;
            match (field.number, field.content) {
                (1, Content::Bytes(packet)) if view.packet.is_none() => {
                    view.packet = Some(PacketView::parse(packet)?);
                    view.packet_bytes = packet;
                    view.packet_at = field.content_start;
                }
                (2, Content::Bytes(name)) => view.channel_id = text(name)?,
                (3, Content::Bytes(name)) => view.gateway_id = text(name)?,
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

/// An empty text means the same as none, as everywhere in protobuf.
fn text(bytes: &[u8]) -> Result<Option<&str>, WireError> {
    let text = std::str::from_utf8(bytes).map_err(|_| WireError)?;
    Ok(if text.is_empty() { None } else { Some(text) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{put_bytes, put_uint};

    fn is_refused(packets: &[&[u8]]) -> bool {
        let mut envelope = Vec::new();
        for packet in packets {
            put_bytes(&mut envelope, 1, packet);
        }
        EnvelopeView::parse(&envelope).is_err()
    }

    #[test]
    fn what_firmware_would_merge_is_refused() {
        let (mut far, mut opened, mut closed) = (Vec::new(), Vec::new(), Vec::new());
        put_uint(&mut far, 9, 7);
        put_bytes(&mut opened, 4, &[0x08, 1]);
        put_bytes(&mut closed, 5, &[1, 2, 3]);
        assert!(!is_refused(&[&far]));
        assert!(is_refused(&[&far, &opened]));
        assert!(!is_refused(&[&opened]));
        for payloads in [[&opened, &closed], [&closed, &opened], [&opened, &opened], [&closed, &closed]] {
            assert!(is_refused(&[&payloads.map(Vec::as_slice).concat()]));
        }
    }

    #[test]
    fn an_empty_name_is_none() {
        let view = EnvelopeView::parse(&[0x12, 0, 0x1a, 0]).unwrap();
        assert_eq!((view.channel_id, view.gateway_id), (None, None));
        assert!(EnvelopeView::parse(&[0x12, 1, 0xff]).is_err());
    }

    #[test]
    fn of_a_repeated_hop_limit_the_last_counts_and_is_the_one_to_lower() {
        let mut packet = Vec::new();
        put_uint(&mut packet, 9, 7);
        put_uint(&mut packet, 9, 5);
        let mut envelope = Vec::new();
        put_bytes(&mut envelope, 2, b"LongFast");
        put_bytes(&mut envelope, 1, &packet);
        let view = EnvelopeView::parse(&envelope).unwrap();
        let at = view.hop_limit_at().unwrap();
        assert_eq!((view.packet.unwrap().header.hop_limit, envelope[at], at), (5, 5, envelope.len() - 1));
        // Two bytes for a small number are valid protobuf, but not to be changed in place.
        let long = EnvelopeView::parse(&[0x0a, 3, 0x48, 0x87, 0x00]).unwrap();
        assert_eq!((long.packet.unwrap().header.hop_limit, long.hop_limit_at()), (7, None));
    }
}
