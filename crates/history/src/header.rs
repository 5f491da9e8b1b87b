//! The summary of a packet's header, as far as it does not follow from the payload that is stored anyway.

use mesh::envelope::EnvelopeView;
use record::PacketSummary;

/// The summary was read off the payload.
const AS_READ: u8 = 0;
/// As read, but hops travelled and `request_id`, which may need the channel's key, are told.
const WITH_SECRETS: u8 = 1;
/// All fields are told.
const IN_FULL: u8 = 2;

/// Bytes from which `read` finds the summary again; empty when it is as read.
pub fn put(summary: &PacketSummary, payload: &[u8]) -> Vec<u8> {
    let mut as_read = off(payload, summary.from, summary.to, summary.id);
    if is_same(&as_read, summary) {
        return Vec::new();
    }
    as_read.hops_away = summary.hops_away;
    as_read.request_id = summary.request_id;
    if is_same(&as_read, summary) {
        let mut out = vec![WITH_SECRETS];
        put_optional(&mut out, summary.hops_away.map(u32::from));
        out.extend(summary.request_id.to_le_bytes());
        return out;
    }
    let s = summary;
    let mut out = vec![IN_FULL, s.hop_limit, s.hop_start, s.relay_node, s.next_hop, u8::from(s.want_ack)];
    put_optional(&mut out, s.hops_away.map(u32::from));
    put_optional(&mut out, s.rx_rssi.map(|v| v as u32));
    put_optional(&mut out, s.rx_snr.map(f32::to_bits));
    out.extend(s.rx_time.to_le_bytes());
    out.extend(s.request_id.to_le_bytes());
    out
}

/// The summary again. Damaged bytes give what the payload says.
pub fn read(bytes: &[u8], payload: &[u8], from: u32, to: u32, id: u32) -> PacketSummary {
    let as_read = off(payload, from, to, id);
    told(bytes, as_read).unwrap_or(as_read)
}

fn told(mut bytes: &[u8], as_read: PacketSummary) -> Option<PacketSummary> {
    match byte(&mut bytes).unwrap_or(AS_READ) {
        AS_READ => Some(as_read),
        WITH_SECRETS => Some(PacketSummary {
            hops_away: optional(&mut bytes)?.map(|v| v as u8),
            request_id: number(&mut bytes)?,
            ..as_read
        }),
        IN_FULL => Some(PacketSummary {
            hop_limit: byte(&mut bytes)?,
            hop_start: byte(&mut bytes)?,
            relay_node: byte(&mut bytes)?,
            next_hop: byte(&mut bytes)?,
            want_ack: byte(&mut bytes)? != 0,
            hops_away: optional(&mut bytes)?.map(|v| v as u8),
            rx_rssi: optional(&mut bytes)?.map(|v| v as i32),
            rx_snr: optional(&mut bytes)?.map(f32::from_bits),
            rx_time: number(&mut bytes)?,
            request_id: number(&mut bytes)?,
            ..as_read
        }),
        _ => None,
    }
}

/// What the payload says. The rules are those by which receptions are summed up; where they differ, all is told.
fn off(payload: &[u8], from: u32, to: u32, id: u32) -> PacketSummary {
    let nothing = PacketSummary { from, to, id, ..PacketSummary::default() };
    let Some(packet) = EnvelopeView::parse(payload).ok().and_then(|envelope| envelope.packet) else {
        return nothing;
    };
    let h = packet.header;
    let hops_away = (h.hop_start != 0).then(|| h.hop_start.checked_sub(h.hop_limit)).flatten();
    PacketSummary {
        hop_limit: u8::try_from(h.hop_limit).unwrap_or(u8::MAX),
        hop_start: u8::try_from(h.hop_start).unwrap_or(u8::MAX),
        hops_away: hops_away.and_then(|hops| u8::try_from(hops).ok()),
        rx_rssi: (h.rx_rssi != 0).then_some(h.rx_rssi),
        rx_snr: (h.rx_rssi != 0 || h.rx_snr != 0.0).then_some(h.rx_snr),
        rx_time: h.rx_time,
        relay_node: h.relay_node,
        next_hop: h.next_hop,
        want_ack: h.want_ack,
        ..nothing
    }
}

/// Equal to the bit, which `==` on a NaN is not.
fn is_same(a: &PacketSummary, b: &PacketSummary) -> bool {
    let bits = |s: &PacketSummary| s.rx_snr.map(f32::to_bits);
    let rest = |s: &PacketSummary| PacketSummary { rx_snr: None, ..*s };
    bits(a) == bits(b) && rest(a) == rest(b)
}

fn put_optional(out: &mut Vec<u8>, value: Option<u32>) {
    out.push(u8::from(value.is_some()));
    out.extend(value.into_iter().flat_map(u32::to_le_bytes));
}

fn optional(bytes: &mut &[u8]) -> Option<Option<u32>> {
    if byte(bytes)? == 0 { Some(None) } else { Some(Some(number(bytes)?)) }
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (four, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*four))
}

fn byte(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_summary_comes_back(
            payload in prop::collection::vec(any::<u8>(), 0..40),
            small in any::<[u8; 4]>(),
            want_ack in any::<bool>(),
            hops_away in any::<Option<u8>>(),
            rx_rssi in any::<Option<i32>>(),
            snr_bits in any::<Option<u32>>(),
            large in any::<[u32; 5]>(),
            junk in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let summary = PacketSummary {
                from: large[0], to: large[1], id: large[2],
                hop_limit: small[0], hop_start: small[1], hops_away, rx_rssi,
                rx_snr: snr_bits.map(f32::from_bits),
                rx_time: large[3], relay_node: small[2], next_hop: small[3], want_ack, request_id: large[4],
            };
            let back = read(&put(&summary, &payload), &payload, large[0], large[1], large[2]);
            prop_assert!(is_same(&back, &summary), "{back:?} {summary:?}");
            read(&junk, &payload, 0, 0, 0);
        }
    }
}
