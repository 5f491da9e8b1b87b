//! An envelope taken apart so that most of it is stored once: the body for all copies of a packet, the layout for all
//! packets of that shape from a gateway and channel, and per reception a few bytes of values.
//!
//! Invariant: what `take_apart` gives, `put_together` turns into the same bytes. `take_apart` tries that and gives
//! nothing where it does not hold; such payloads are stored whole.

use mesh::wire::{Content, Fields, put_varint};

/// What stands beside the payload in the same row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// Sender's node number.
    pub from: u32,
    /// Destination's node number.
    pub to: u32,
    /// Packet id.
    pub id: u32,
    /// Arrival, Unix seconds.
    pub at_s: i64,
}

/// An envelope in parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Keys of the packet's fields as varints, a zero, and what follows the packet: channel and gateway.
    pub layout: Vec<u8>,
    /// Contents of the fields, as far as they do not stand elsewhere.
    pub values: Vec<u8>,
    /// What the sender of the packet wrote: ciphertext or open data.
    pub body: &'a [u8],
}

/// Longer layouts are not of any firmware; they would be stored once each.
const LAYOUT_BYTES_MAX: usize = 160;

/// Takes an envelope apart; `None` for payloads that are to be stored whole.
pub fn take_apart(payload: &[u8], known: Known) -> Option<Parts<'_>> {
    let first = Fields::of(payload).next()?.ok()?;
    let (1, Content::Bytes(packet)) = (first.number, first.content) else { return None };
    let mut parts = Parts { layout: Vec::with_capacity(48), values: Vec::with_capacity(24), body: &[] };
    let mut has_body = false;
    for field in Fields::of(packet) {
        let field = field.ok()?;
        let values = &mut parts.values;
        let wire_type = match field.content {
            Content::Varint(value) => {
                put_varint(values, if is_signed(field.number) { zigzag(value as i64) } else { value });
                0
            }
            Content::Fixed64(value) => {
                values.extend(value.to_le_bytes());
                1
            }
            Content::Bytes(body) if is_body(field.number) && !has_body => {
                parts.body = body;
                has_body = true;
                2
            }
            Content::Bytes(bytes) => {
                put_varint(values, bytes.len() as u64);
                values.extend(bytes);
                2
            }
            Content::Fixed32(value) => {
                put_fixed32(values, field.number, value, known)?;
                5
            }
        };
        put_varint(&mut parts.layout, u64::from(field.number) << 3 | wire_type);
    }
    parts.layout.push(0);
    parts.layout.extend(&payload[first.end..]);
    let is_same =
        || put_together(&parts.layout, &parts.values, parts.body, known).as_deref() == Some(payload);
    (has_body && parts.layout.len() <= LAYOUT_BYTES_MAX && is_same()).then_some(parts)
}

/// The envelope again; `None` when the parts are damaged.
pub fn put_together(mut layout: &[u8], mut values: &[u8], body: &[u8], known: Known) -> Option<Vec<u8>> {
    let mut packet = Vec::with_capacity(body.len() + 64);
    let mut has_body = false;
    loop {
        let key = take_varint(&mut layout)?;
        if key == 0 {
            break;
        }
        put_varint(&mut packet, key);
        let number = u32::try_from(key >> 3).ok()?;
        match key & 7 {
            0 => {
                let value = take_varint(&mut values)?;
                put_varint(&mut packet, if is_signed(number) { unzigzag(value) as u64 } else { value });
            }
            1 => packet.extend(take(&mut values, 8)?),
            2 if is_body(number) && !has_body => {
                put_varint(&mut packet, body.len() as u64);
                packet.extend(body);
                has_body = true;
            }
            2 => {
                let count = usize::try_from(take_varint(&mut values)?).ok()?;
                put_varint(&mut packet, count as u64);
                packet.extend(take(&mut values, count)?);
            }
            5 => packet.extend(take_fixed32(&mut values, number, known)?.to_le_bytes()),
            _ => return None,
        }
    }
    let mut payload = Vec::with_capacity(packet.len() + layout.len() + 4);
    put_varint(&mut payload, 1 << 3 | 2);
    put_varint(&mut payload, packet.len() as u64);
    payload.extend(packet);
    payload.extend(layout);
    Some(payload)
}

/// MeshPacket's `decoded` and `encrypted`.
const fn is_body(number: u32) -> bool {
    matches!(number, 4 | 5)
}

/// MeshPacket's `rx_rssi`, which is negative and then ten bytes long.
const fn is_signed(number: u32) -> bool {
    number == 12
}

/// Stands in `values` before what has no short form.
const IN_FULL: u64 = 0;

fn put_fixed32(values: &mut Vec<u8>, number: u32, value: u32, known: Known) -> Option<()> {
    let short = match number {
        1 => return (value == known.from).then_some(()),
        2 => return (value == known.to).then_some(()),
        6 => return (value == known.id).then_some(()),
        // rx_time: gateways with a clock say nearly when it arrived.
        7 => Some(known.at_s - i64::from(value)).filter(|late_s| late_s.abs() < 8_000),
        // rx_snr: radios measure quarters of a decibel.
        8 => {
            let quarters = (f32::from_bits(value) * 4.0) as i64;
            Some(quarters).filter(|q| q.unsigned_abs() < 400 && (*q as f32 / 4.0).to_bits() == value)
        }
        _ => None,
    };
    match short {
        Some(short) => put_varint(values, zigzag(short) + 1),
        None => {
            put_varint(values, IN_FULL);
            values.extend(value.to_le_bytes());
        }
    }
    Some(())
}

fn take_fixed32(values: &mut &[u8], number: u32, known: Known) -> Option<u32> {
    match number {
        1 => return Some(known.from),
        2 => return Some(known.to),
        6 => return Some(known.id),
        _ => {}
    }
    let short = take_varint(values)?;
    if short == IN_FULL {
        let bytes = take(values, 4)?;
        return Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    }
    let short = unzigzag(short - 1);
    match number {
        7 => u32::try_from(known.at_s.checked_sub(short)?).ok(),
        8 => Some((short as f32 / 4.0).to_bits()),
        _ => None,
    }
}

const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for index in 0..10 {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: Known = Known { from: 7, to: u32::MAX, id: 99, at_s: 1_790_000_000 };

    fn is_exact(payload: &[u8]) -> bool {
        take_apart(payload, KNOWN)
            .is_none_or(|p| put_together(&p.layout, &p.values, p.body, KNOWN).as_deref() == Some(payload))
    }

    #[test]
    fn what_a_gateway_sends_takes_few_bytes() {
        let mut packet = Vec::new();
        mesh::wire::put_fixed32(&mut packet, 1, 7);
        mesh::wire::put_fixed32(&mut packet, 2, u32::MAX);
        mesh::wire::put_uint(&mut packet, 3, 8);
        mesh::wire::put_bytes(&mut packet, 5, b"sixteen bytes of");
        mesh::wire::put_fixed32(&mut packet, 6, 99);
        mesh::wire::put_fixed32(&mut packet, 7, 1_789_999_998);
        mesh::wire::put_float(&mut packet, 8, -7.25);
        mesh::wire::put_uint(&mut packet, 9, 3);
        mesh::wire::put_uint(&mut packet, 12, -91i64 as u64);
        let mut payload = Vec::new();
        mesh::wire::put_bytes(&mut payload, 1, &packet);
        mesh::wire::put_bytes(&mut payload, 3, b"!7c5a0a01");
        let parts = take_apart(&payload, KNOWN).unwrap();
        assert_eq!(parts.body, b"sixteen bytes of");
        assert_eq!(
            parts.values.len(),
            6,
            "channel, time, signal to noise, hop limit, two of signal strength"
        );
        assert!(is_exact(&payload));
    }

    proptest! {
        #[test]
        fn any_fields_come_back_exactly(
            fields in prop::collection::vec((1u32..24, 0u8..4, any::<u64>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            tail in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut packet = Vec::new();
            for (number, kind, value, bytes) in fields {
                match kind {
                    0 => { put_varint(&mut packet, u64::from(number) << 3); put_varint(&mut packet, value) }
                    1 => { put_varint(&mut packet, u64::from(number) << 3 | 1); packet.extend(value.to_le_bytes()) }
                    2 => mesh::wire::put_bytes(&mut packet, number, &bytes),
                    _ => {
                        let value = match number { 1 => KNOWN.from, 2 => KNOWN.to, 6 => KNOWN.id, _ => value as u32 };
                        mesh::wire::put_fixed32(&mut packet, number, value);
                    }
                }
            }
            let mut payload = Vec::new();
            mesh::wire::put_bytes(&mut payload, 1, &packet);
            payload.extend(tail);
            prop_assert!(is_exact(&payload));
        }

        #[test]
        fn junk_and_damage_do_not_panic(
            a in prop::collection::vec(any::<u8>(), 0..60),
            b in prop::collection::vec(any::<u8>(), 0..60),
            short in 0u64..40_000,
        ) {
            prop_assert!(is_exact(&a));
            put_together(&a, &b, &[], Known { at_s: i64::MIN, ..KNOWN });
            let mut values = Vec::new();
            put_varint(&mut values, short);
            values.extend(&b);
            put_together(&[&[7 << 3 | 5, 8 << 3 | 5, 0][..], &a].concat(), &values, &[], KNOWN);
        }
    }
}
