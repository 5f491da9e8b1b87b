//! Traceroutes and lists of neighbours, read into links (`mesh.proto` RouteDiscovery and NeighborInfo).

use mesh::wire::{Content, Fields, WireError};

/// Stands for a node on the way that said nothing of itself.
const UNKNOWN_NODE: u32 = u32::MAX;
/// Stands for a signal nobody measured: the hop went over MQTT, or old firmware.
const UNKNOWN_SNR: i32 = i8::MIN as i32;
/// Nodes in one direction at most: firmware counts hops to 7, and leaves room for 8.
const NODES_MAX: usize = 8;

/// One hop: who was heard, by whom, and how well in quarters of a dB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// Node number of who was heard; `0xffff_ffff` when it is not known.
    pub from: u32,
    /// Node number of who heard; `0xffff_ffff` when it is not known.
    pub to: u32,
    /// Signal-to-noise ratio, quarters of a dB.
    pub snr_quarters: Option<i32>,
}

impl Hop {
    /// Whether both ends are known nodes and a radio measured it.
    pub fn is_link(&self) -> bool {
        let is_node = |node| node != UNKNOWN_NODE && node > 3;
        is_node(self.from) && is_node(self.to) && self.from != self.to && self.snr_quarters.is_some()
    }
}

/// The way a traceroute took: there, and as far as known back.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// From the one who asked, as far as it came.
    pub there: Vec<Hop>,
    /// From the one who answered, as far as it came.
    pub back: Vec<Hop>,
}

/// Reads the packet of a traceroute. `from`, `to` are those of the packet; an answer has a `request_id`.
///
/// # Errors
/// When the bytes are not protobuf.
pub fn route(payload: &[u8], from: u32, to: u32, request_id: u32) -> Result<Route, WireError> {
    let mut lists: [Vec<u32>; 4] = Default::default();
    for field in Fields::of(payload) {
        let field = field?;
        let Some(list) = (field.number as usize).checked_sub(1).and_then(|at| lists.get_mut(at)) else {
            continue;
        };
        let is_snr = field.number == 2 || field.number == 4;
        match field.content {
            Content::Bytes(packed) if is_snr => varints(packed, list)?,
            Content::Bytes(packed) => fixed(packed, list),
            single => list.extend(single.as_u32().filter(|_| list.len() <= NODES_MAX)),
        }
    }
    let [there, snr_there, back, snr_back] = lists;
    if request_id == 0 {
        // A question on its way: it knows where it began and whom it has passed.
        return Ok(Route { there: hops(from, &there, None, &snr_there), back: Vec::new() });
    }
    let back = hops(from, &back, (snr_back.len() > back.len()).then_some(to), &snr_back);
    Ok(Route { there: hops(to, &there, Some(from), &snr_there), back })
}

/// Reads the neighbours that a node tells: whom it hears, and how well.
///
/// # Errors
/// When the bytes are not protobuf.
pub fn neighbours(payload: &[u8], from: u32) -> Result<Vec<Hop>, WireError> {
    let mut hops = Vec::new();
    for field in Fields::of(payload) {
        let field = field?;
        if let (4, Content::Bytes(neighbour)) = (field.number, field.content) {
            let (mut node, mut snr_quarters) = (UNKNOWN_NODE, None);
            for field in Fields::of(neighbour) {
                let field = field?;
                match (field.number, field.content) {
                    (1, content) => node = content.as_u32().unwrap_or(UNKNOWN_NODE),
                    (2, Content::Fixed32(bits)) => snr_quarters = quarters(f32::from_bits(bits)),
                    _ => {}
                }
            }
            hops.push(Hop { from: node, to: from, snr_quarters });
        }
    }
    Ok(hops)
}

/// A signal-to-noise ratio in quarters of a dB; `None` for what no radio measures.
pub fn quarters(snr: f32) -> Option<i32> {
    (-40.0..=40.0).contains(&snr).then_some((snr * 4.0).round() as i32)
}

fn hops(first: u32, between: &[u32], last: Option<u32>, snr: &[u32]) -> Vec<Hop> {
    let nodes: Vec<u32> = std::iter::once(first).chain(between.iter().copied()).chain(last).collect();
    let measured = |at: usize| {
        let value = *snr.get(at)? as i32;
        (value != UNKNOWN_SNR && (-160..=160).contains(&value)).then_some(value)
    };
    let pairs = nodes.windows(2).enumerate();
    pairs.map(|(at, pair)| Hop { from: pair[0], to: pair[1], snr_quarters: measured(at) }).collect()
}

fn fixed(packed: &[u8], list: &mut Vec<u32>) {
    let room = NODES_MAX.saturating_sub(list.len());
    let whole = packed.chunks_exact(4).take(room);
    list.extend(whole.map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
}

fn varints(packed: &[u8], list: &mut Vec<u32>) -> Result<(), WireError> {
    let mut value = 0u64;
    let mut shift = 0;
    for byte in packed {
        if shift > 63 {
            return Err(WireError);
        }
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            if list.len() <= NODES_MAX {
                list.push(value as u32);
            }
            (value, shift) = (0, 0);
        }
    }
    if shift == 0 { Ok(()) } else { Err(WireError) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: u32 = 0x7c5a_0a01;
    const B: u32 = 0x7c5a_0a02;
    const C: u32 = 0x7c5a_0a03;

    fn answer() -> Vec<u8> {
        let mut bytes = vec![0x0a, 4];
        bytes.extend_from_slice(&B.to_le_bytes());
        // 24 and −8, the second as ten bytes.
        bytes.extend_from_slice(&[0x12, 11, 24, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        bytes.extend_from_slice(&[0x1a, 4]);
        bytes.extend_from_slice(&B.to_le_bytes());
        bytes.extend_from_slice(&[0x22, 2, 20, 16]);
        bytes
    }

    #[test]
    fn an_answer_tells_both_ways() {
        let route = route(&answer(), C, A, 77).expect("is protobuf");
        let hop = |from, to, snr| Hop { from, to, snr_quarters: Some(snr) };
        assert_eq!(route.there, [hop(A, B, 24), hop(B, C, -8)]);
        assert_eq!(route.back, [hop(C, B, 20), hop(B, A, 16)]);
    }

    #[test]
    fn a_question_tells_how_far_it_came() {
        let route = route(&answer()[..6], A, C, 0).expect("is protobuf");
        assert_eq!(route.there, [Hop { from: A, to: B, snr_quarters: None }]);
        assert_eq!(route.back, []);
        assert!(!route.there[0].is_link(), "nobody measured it");
    }

    #[test]
    fn who_told_nothing_is_no_link() {
        let unknown = Hop { from: A, to: UNKNOWN_NODE, snr_quarters: Some(4) };
        assert!(!unknown.is_link());
        assert!(Hop { to: B, ..unknown }.is_link());
    }

    #[test]
    fn neighbours_are_heard_by_whoever_tells_them() {
        let mut one = vec![0x08];
        let mut node = u64::from(B);
        while node >= 0x80 {
            one.push(node as u8 | 0x80);
            node >>= 7;
        }
        one.push(node as u8);
        one.push(0x15);
        one.extend_from_slice(&6.25f32.to_le_bytes());
        let mut told = vec![0x22, one.len() as u8];
        told.extend(one);
        assert_eq!(neighbours(&told, A), Ok(vec![Hop { from: B, to: A, snr_quarters: Some(25) }]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_grow(bytes in proptest::collection::vec(any::<u8>(), 0..240), id: u32) {
            if let Ok(found) = route(&bytes, A, B, id) {
                prop_assert!(found.there.len() <= NODES_MAX + 2 && found.back.len() <= NODES_MAX + 2);
            }
            if let Ok(found) = neighbours(&bytes, A) {
                prop_assert!(found.len() <= 120);
            }
        }
    }
}
