//! Frames as they were on the air: what a gateway put into an envelope, with the header that radios send before it
//! (firmware `src/mesh/RadioInterface.h`, PacketHeader).

use crate::crypto::apply_ctr;
use crate::envelope::EnvelopeView;
use crate::keyring::Keyring;
use crate::packet::{PacketHeader, Variant};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 16;
/// Bytes of the longest frame.
pub const FRAME_BYTES_MAX: usize = 255;

const WANT_ACK: u8 = 1 << 3;
const VIA_MQTT: u8 = 1 << 4;

/// The frame of an envelope's packet. A packet in clear is closed again with its channel's key; `None` when that is not in
/// the keyring, or the packet is none that a radio sends.
pub fn on_air(envelope: &[u8], keyring: &Keyring) -> Option<Vec<u8>> {
    let envelope = EnvelopeView::parse(envelope).ok()?;
    let packet = envelope.packet?;
    let header = packet.header;
    let (hash, body) = match packet.variant {
        Variant::None => return None,
        Variant::Encrypted(body) => (u8::try_from(header.channel).ok()?, body.to_vec()),
        Variant::Decoded(clear) => {
            let name = envelope.channel_id?;
            let key = keyring.key_of(name)?;
            let mut body = clear.to_vec();
            apply_ctr(key, header.from, header.id, &mut body);
            (key.channel_hash(name, false), body)
        }
    };
    if HEADER_BYTES + body.len() > FRAME_BYTES_MAX {
        return None;
    }
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.extend(header.to.0.to_le_bytes());
    frame.extend(header.from.0.to_le_bytes());
    frame.extend(header.id.to_le_bytes());
    frame.extend([flags(&header)?, hash, header.next_hop, header.relay_node]);
    frame.extend(body);
    Some(frame)
}

/// Hops left and started with, three bits each, beside what is wanted.
fn flags(header: &PacketHeader) -> Option<u8> {
    let hops = |count: u32| u8::try_from(count).ok().filter(|count| *count <= 7);
    let mut flags = hops(header.hop_limit)? | hops(header.hop_start)? << 5;
    if header.want_ack {
        flags |= WANT_ACK;
    }
    if header.via_mqtt {
        flags |= VIA_MQTT;
    }
    Some(flags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::{Closed, Content, Packet, envelope, text};
    use crate::key::ChannelKey;
    use crate::node::NodeNum;

    fn packet() -> Packet {
        Packet {
            from: NodeNum(0x7c5a_0a01),
            to: NodeNum(u32::MAX),
            id: 0x0102_0304,
            hop_limit: 2,
            hop_start: 5,
            want_ack: true,
            relay_node: 0xab,
            ..Packet::default()
        }
    }

    fn content() -> Content {
        let (port, payload) = text("hello");
        Content { port: port.0, payload, bitfield: Some(1), ..Content::default() }
    }

    #[test]
    fn a_frame_has_the_header_of_the_radio_and_is_the_same_from_clear_and_closed() {
        let key = ChannelKey::default_key();
        let gateway = NodeNum(1);
        let closed = envelope(&packet(), &content(), "LongFast", Closed::Encrypted(&key), gateway);
        let clear = envelope(&packet(), &content(), "LongFast", Closed::Decoded(0), gateway);
        let keyring = Keyring::default();
        let frame = on_air(&closed, &keyring).unwrap();
        assert_eq!(
            frame[..HEADER_BYTES],
            [0xff, 0xff, 0xff, 0xff, 0x01, 0x0a, 0x5a, 0x7c, 4, 3, 2, 1, 0b1010_1010, 8, 0, 0xab]
        );
        assert_eq!(on_air(&clear, &keyring).unwrap(), frame);
        let mut body = frame[HEADER_BYTES..].to_vec();
        apply_ctr(&key, packet().from, packet().id, &mut body);
        assert_eq!(body, content().encode());
    }

    #[test]
    fn what_no_radio_sent_is_no_frame() {
        let keyring = Keyring::default();
        let made = |packet: &Packet, channel: &str| {
            envelope(packet, &content(), channel, Closed::Decoded(0), NodeNum(1))
        };
        assert_eq!(on_air(&made(&packet(), "Strangers"), &keyring), None, "its key is not at hand");
        assert_eq!(on_air(&made(&Packet { hop_limit: 8, ..packet() }, "LongFast"), &keyring), None);
        assert_eq!(on_air(b"\xff\xff", &keyring), None);
        let long = Closed::Sealed(&[7; 240]);
        assert_eq!(on_air(&envelope(&packet(), &content(), "PKI", long, NodeNum(1)), &keyring), None);
        let full = Closed::Sealed(&[7; 239]);
        let frame = on_air(&envelope(&packet(), &content(), "PKI", full, NodeNum(1)), &keyring).unwrap();
        assert_eq!(frame.len(), FRAME_BYTES_MAX);
    }
}
