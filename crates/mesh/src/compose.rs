//! Making packets and envelopes, for simulators and tests. Nothing here touches a packet that came from elsewhere.

use crate::crypto::{apply_ctr, seal_aead};
use crate::data::DataView;
use crate::key::ChannelKey;
use crate::node::NodeNum;
use crate::packet::PacketHeader;
use crate::portnum::PortNum;
use crate::signature::{Layout, NodeKey};
use crate::wire::{put_bytes, put_fixed32, put_float, put_uint, put_varint};

/// What a Data message is to say.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// Port number.
    pub port: u32,
    /// Payload.
    pub payload: Vec<u8>,
    /// Whether an answer is wanted.
    pub want_response: bool,
    /// Id of the packet this answers; 0 none.
    pub request_id: u32,
    /// Id of the message this replies to; 0 none.
    pub reply_id: u32,
    /// Whether the text is an emoji reaction; 0 no.
    pub emoji: u32,
    /// The bitfield: `Some(1)` agrees to MQTT, `Some(0)` does not, `None` is firmware before 2.5.
    pub bitfield: Option<u32>,
    /// Signature, 64 bytes; empty for none.
    pub signature: Vec<u8>,
}

impl Content {
    /// The Data message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len() + 16);
        put_uint(&mut out, 1, u64::from(self.port));
        put_bytes(&mut out, 2, &self.payload);
        put_uint(&mut out, 3, u64::from(self.want_response));
        put_fixed32(&mut out, 6, self.request_id);
        put_fixed32(&mut out, 7, self.reply_id);
        put_fixed32(&mut out, 8, self.emoji);
        if let Some(bitfield) = self.bitfield {
            put_varint(&mut out, 9 << 3);
            put_varint(&mut out, u64::from(bitfield));
        }
        if !self.signature.is_empty() {
            put_bytes(&mut out, 10, &self.signature);
        }
        out
    }

    /// Signs it as its sender does: broadcasts of firmware 2.8 are. Nothing may change afterwards.
    pub fn sign(&mut self, packet: &Packet, key: &NodeKey, layout: Layout) {
        let header =
            PacketHeader { from: packet.from, to: packet.to, id: packet.id, ..PacketHeader::default() };
        self.signature.clear();
        let data = DataView {
            port: PortNum(self.port),
            payload: &self.payload,
            want_response: self.want_response,
            request_id: self.request_id,
            reply_id: self.reply_id,
            emoji: self.emoji,
            bitfield: self.bitfield,
            signature: &[],
        };
        self.signature = key.sign(&header, &data, layout).to_vec();
    }
}

/// A packet as a gateway hands it on.
#[derive(Debug, Clone, Default)]
pub struct Packet {
    /// Sender.
    pub from: NodeNum,
    /// Destination.
    pub to: NodeNum,
    /// Packet id.
    pub id: u32,
    /// Hops left.
    pub hop_limit: u32,
    /// Hops it started with.
    pub hop_start: u32,
    /// Whether an acknowledgement is wanted.
    pub want_ack: bool,
    /// Gateway's clock, Unix seconds.
    pub rx_time: u32,
    /// Signal-to-noise ratio, dB; 0 for the gateway's own packets.
    pub rx_snr: f32,
    /// Signal strength, dBm; 0 for the gateway's own packets.
    pub rx_rssi: i32,
    /// Last byte of the relay it was heard from.
    pub relay_node: u8,
    /// Whether it crossed MQTT.
    pub via_mqtt: bool,
    /// How it reached the gateway: 0 internal, 1 LoRa.
    pub transport: u32,
}

/// How a packet's content is closed.
#[derive(Debug, Clone, Copy)]
pub enum Closed<'a> {
    /// Not at all: what gateways without MQTT encryption publish; the number is their channel index.
    Decoded(u32),
    /// With the channel's key.
    Encrypted(&'a ChannelKey),
    /// With the key of an authenticated channel.
    Authenticated(&'a ChannelKey),
    /// For the destination alone, under public keys: these bytes stand for what only it can open.
    Sealed(&'a [u8]),
}

/// The envelope of a packet.
pub fn envelope(
    packet: &Packet,
    content: &Content,
    channel: &str,
    closed: Closed<'_>,
    gateway: NodeNum,
) -> Vec<u8> {
    let data = content.encode();
    let (hash, number, bytes) = match closed {
        Closed::Decoded(index) => (index, 4, data),
        Closed::Encrypted(key) => {
            let mut sealed = data;
            apply_ctr(key, packet.from, packet.id, &mut sealed);
            (u32::from(key.channel_hash(channel, false)), 5, sealed)
        }
        Closed::Authenticated(key) => {
            let sealed = seal_aead(key, packet.from, packet.to, packet.id, data).unwrap_or_default();
            (u32::from(key.channel_hash(channel, true)), 5, sealed)
        }
        Closed::Sealed(bytes) => (0, 5, bytes.to_vec()),
    };
    let mut p = Vec::with_capacity(bytes.len() + 64);
    put_fixed32(&mut p, 1, packet.from.0);
    put_fixed32(&mut p, 2, packet.to.0);
    put_uint(&mut p, 3, u64::from(hash));
    put_bytes(&mut p, number, &bytes);
    put_fixed32(&mut p, 6, packet.id);
    put_fixed32(&mut p, 7, packet.rx_time);
    put_float(&mut p, 8, packet.rx_snr);
    put_uint(&mut p, 9, u64::from(packet.hop_limit));
    put_uint(&mut p, 10, u64::from(packet.want_ack));
    // Negative int32 is ten bytes on the wire, as firmware writes it.
    put_uint(&mut p, 12, i64::from(packet.rx_rssi) as u64);
    put_uint(&mut p, 14, u64::from(packet.via_mqtt));
    put_uint(&mut p, 15, u64::from(packet.hop_start));
    put_uint(&mut p, 17, u64::from(matches!(closed, Closed::Sealed(_))));
    put_uint(&mut p, 19, u64::from(packet.relay_node));
    put_uint(&mut p, 21, u64::from(packet.transport));
    let mut out = Vec::with_capacity(p.len() + 32);
    put_bytes(&mut out, 1, &p);
    put_bytes(&mut out, 2, channel.as_bytes());
    put_bytes(&mut out, 3, gateway.to_string().as_bytes());
    out
}

/// Text.
pub fn text(words: &str) -> (PortNum, Vec<u8>) {
    (PortNum::TEXT_MESSAGE, words.as_bytes().to_vec())
}

/// A position cut to `precision_bits`, as firmware cuts it. Coordinates in 1e-7 degrees, altitude in m.
pub fn position(
    latitude_i: i32,
    longitude_i: i32,
    altitude_m: i32,
    time: u32,
    precision_bits: u32,
) -> (PortNum, Vec<u8>) {
    let mut out = Vec::new();
    put_fixed32(&mut out, 1, crate::position::truncate(latitude_i, precision_bits) as u32);
    put_fixed32(&mut out, 2, crate::position::truncate(longitude_i, precision_bits) as u32);
    put_uint(&mut out, 3, i64::from(altitude_m) as u64);
    put_fixed32(&mut out, 4, time);
    put_uint(&mut out, 23, u64::from(precision_bits));
    (PortNum::POSITION, out)
}

/// NodeInfo. `hardware` and `role` are the protocol's numbers.
pub fn nodeinfo(
    node: NodeNum,
    long_name: &str,
    short_name: &str,
    hardware: u32,
    role: u32,
) -> (PortNum, Vec<u8>) {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, node.to_string().as_bytes());
    put_bytes(&mut out, 2, long_name.as_bytes());
    put_bytes(&mut out, 3, short_name.as_bytes());
    put_uint(&mut out, 5, u64::from(hardware));
    put_uint(&mut out, 7, u64::from(role));
    (PortNum::NODEINFO, out)
}

/// NodeInfo of firmware 2.5 and later, which says the node's public key as well.
pub fn nodeinfo_with_key(
    node: NodeNum,
    long_name: &str,
    short_name: &str,
    hardware: u32,
    role: u32,
    public_key: &[u8; 32],
) -> (PortNum, Vec<u8>) {
    let (port, mut payload) = nodeinfo(node, long_name, short_name, hardware, role);
    put_bytes(&mut payload, 8, public_key);
    (port, payload)
}

/// An acknowledgement, or with an error of the protocol's numbers the refusal of one. What it answers stands in
/// [`Content::request_id`].
pub fn routing(error_reason: u32) -> (PortNum, Vec<u8>) {
    // A oneof: an error of 0 is said, not left out.
    let mut out = vec![3 << 3];
    put_varint(&mut out, u64::from(error_reason));
    (PortNum::ROUTING, out)
}

/// The relays of one direction of a traceroute, with the signal-to-noise ratio at each and at the end, in quarters of
/// a dB; -128 where it is unknown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Route<'a> {
    /// Relays, in order; at most 8.
    pub relays: &'a [NodeNum],
    /// Ratios, in order.
    pub snr_quarters: &'a [i32],
}

/// A traceroute: asked for with empty routes, answered with [`Content::request_id`]. Relays add themselves.
pub fn traceroute(there: Route<'_>, back: Route<'_>) -> (PortNum, Vec<u8>) {
    let mut out = Vec::new();
    for (number, route) in [(1, there), (3, back)] {
        let relays: Vec<u8> = route.relays.iter().flat_map(|relay| relay.0.to_le_bytes()).collect();
        let mut ratios = Vec::new();
        for snr in route.snr_quarters {
            put_varint(&mut ratios, i64::from(*snr) as u64);
        }
        for (number, list) in [(number, relays), (number + 1, ratios)] {
            if !list.is_empty() {
                put_bytes(&mut out, number, &list);
            }
        }
    }
    (PortNum::TRACEROUTE, out)
}

/// Device telemetry: battery in percent (101 is external power), volts, percents, seconds.
pub fn device_telemetry(
    time: u32,
    battery: u32,
    voltage: f32,
    channel_utilization: f32,
    air_util_tx: f32,
    uptime_s: u32,
) -> (PortNum, Vec<u8>) {
    let mut metrics = Vec::new();
    put_uint(&mut metrics, 1, u64::from(battery));
    put_float(&mut metrics, 2, voltage);
    put_float(&mut metrics, 3, channel_utilization);
    put_float(&mut metrics, 4, air_util_tx);
    put_uint(&mut metrics, 5, u64::from(uptime_s));
    telemetry(time, 2, &metrics)
}

/// Environment telemetry: °C, percent, hPa.
pub fn environment_telemetry(
    time: u32,
    temperature: f32,
    humidity: f32,
    pressure: f32,
) -> (PortNum, Vec<u8>) {
    let mut metrics = Vec::new();
    put_float(&mut metrics, 1, temperature);
    put_float(&mut metrics, 2, humidity);
    put_float(&mut metrics, 3, pressure);
    telemetry(time, 3, &metrics)
}

fn telemetry(time: u32, variant: u32, metrics: &[u8]) -> (PortNum, Vec<u8>) {
    let mut out = Vec::new();
    put_fixed32(&mut out, 1, time);
    put_bytes(&mut out, variant, metrics);
    (PortNum::TELEMETRY, out)
}

/// Neighbours of a node with their signal-to-noise ratios in dB.
pub fn neighborinfo(node: NodeNum, interval_s: u32, neighbors: &[(NodeNum, f32)]) -> (PortNum, Vec<u8>) {
    let mut out = Vec::new();
    put_uint(&mut out, 1, u64::from(node.0));
    put_uint(&mut out, 2, u64::from(node.0));
    put_uint(&mut out, 3, u64::from(interval_s));
    for (neighbor, snr) in neighbors.iter().take(10) {
        let mut one = Vec::new();
        put_uint(&mut one, 1, u64::from(neighbor.0));
        put_float(&mut one, 2, *snr);
        put_bytes(&mut out, 4, &one);
    }
    (PortNum::NEIGHBORINFO, out)
}

/// What a map report says of a node.
#[derive(Debug, Clone, Copy)]
pub struct MapReport<'a> {
    /// Long name.
    pub long_name: &'a str,
    /// Short name.
    pub short_name: &'a str,
    /// Role, the protocol's number.
    pub role: u32,
    /// Hardware, the protocol's number.
    pub hardware: u32,
    /// Firmware version.
    pub firmware: &'a str,
    /// Latitude, 1e-7 degrees.
    pub latitude_i: i32,
    /// Longitude, 1e-7 degrees.
    pub longitude_i: i32,
    /// Altitude, m.
    pub altitude_m: i32,
    /// Bits the position is cut to.
    pub precision_bits: u32,
    /// Nodes heard in the last two hours.
    pub online_nodes: u32,
}

/// A map report of a node in the US on LongFast.
pub fn map_report(report: &MapReport<'_>) -> (PortNum, Vec<u8>) {
    let mut out = Vec::new();
    let cut = |coordinate| crate::position::truncate(coordinate, report.precision_bits) as u32;
    put_bytes(&mut out, 1, report.long_name.as_bytes());
    put_bytes(&mut out, 2, report.short_name.as_bytes());
    put_uint(&mut out, 3, u64::from(report.role));
    put_uint(&mut out, 4, u64::from(report.hardware));
    put_bytes(&mut out, 5, report.firmware.as_bytes());
    put_uint(&mut out, 6, 1);
    put_uint(&mut out, 8, 1);
    put_fixed32(&mut out, 9, cut(report.latitude_i));
    put_fixed32(&mut out, 10, cut(report.longitude_i));
    put_uint(&mut out, 11, i64::from(report.altitude_m) as u64);
    put_uint(&mut out, 12, u64::from(report.precision_bits));
    put_uint(&mut out, 13, u64::from(report.online_nodes));
    put_uint(&mut out, 14, 1);
    (PortNum::MAP_REPORT, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Keyring;
    use crate::observe::{Consent, PayloadState, Scratch, observe};

    #[test]
    fn what_is_composed_is_observed() {
        let mut keyring = Keyring::default();
        let key = ChannelKey::from_psk(&[9; 16]).unwrap();
        keyring.add("Ops", key.clone());
        let packet = Packet {
            from: NodeNum(0x4b00_0001),
            to: NodeNum::BROADCAST,
            id: 77,
            hop_limit: 2,
            hop_start: 3,
            rx_rssi: -90,
            rx_snr: 4.5,
            ..Packet::default()
        };
        for (port, payload) in [
            text("hello"),
            position(391_000_000, -945_000_000, 250, 1, 13),
            nodeinfo(packet.from, "Router 1 Liberty", "LIB1", 43, 2),
            device_telemetry(1, 101, 4.1, 12.5, 1.5, 3600),
            environment_telemetry(1, 21.5, 40.0, 1013.0),
            neighborinfo(packet.from, 21_600, &[(NodeNum(2), 5.5)]),
            nodeinfo_with_key(packet.from, "Router 1 Liberty", "LIB1", 43, 2, &[4; 32]),
            routing(0),
            traceroute(Route::default(), Route::default()),
            traceroute(
                Route { relays: &[NodeNum(7), NodeNum(8)], snr_quarters: &[20, -128, -3] },
                Route { relays: &[NodeNum(9)], snr_quarters: &[4, 5] },
            ),
        ] {
            let content = Content { port: port.0, payload, bitfield: Some(1), ..Content::default() };
            for closed in [Closed::Decoded(0), Closed::Encrypted(&key), Closed::Authenticated(&key)] {
                let bytes = envelope(&packet, &content, "Ops", closed, NodeNum(0x4b00_0002));
                let mut scratch = Scratch::default();
                let facts = observe("msh/2/e/Ops/!4b000002", &bytes, &keyring, &mut scratch);
                assert_eq!(facts.port, Some(port), "{closed:?}");
                assert_eq!((facts.consent, facts.hops_away), (Consent::Yes, Some(1)));
                assert_ne!(facts.payload, PayloadState::Opaque);
                let is_plain = matches!(closed, Closed::Decoded(_));
                assert_eq!(facts.flags.names().any(|f| f == "decoded_on_wire"), is_plain);
                assert!(!facts.flags.names().any(|f| f == "app_payload_invalid"), "{port:?}");
            }
        }
    }
    #[test]
    fn a_traceroute_reads_as_it_was_made() {
        let there = Route { relays: &[NodeNum(7), NodeNum(8)], snr_quarters: &[20, -128, -3] };
        let back = Route { relays: &[NodeNum(9)], snr_quarters: &[4, 5] };
        let (port, payload) = traceroute(there, back);
        let read = crate::tree::read(port, &payload).to_json();
        let expected = serde_json::json!({
            "route": [7, 8], "snr_towards": [20, -128, -3], "route_back": [9], "snr_back": [4, 5],
        });
        assert_eq!(read, expected);
        let acknowledged = crate::tree::read(PortNum::ROUTING, &routing(0).1).to_json();
        assert_eq!(acknowledged, serde_json::json!({ "error_reason": "NONE" }));
    }

    #[test]
    fn a_signature_holds_until_something_signed_changes() {
        use crate::signature::{Verification, verify};

        let node = NodeKey::from_bytes([0x5a; 32]);
        let packet =
            Packet { from: NodeNum(0x4b00_0001), to: NodeNum::BROADCAST, id: 77, ..Packet::default() };
        let check = |packet: &Packet, content: &Content, key: &[u8; 32]| {
            let bytes = envelope(packet, content, "Ops", Closed::Decoded(0), NodeNum(2));
            let mut scratch = Scratch::default();
            let keyring = Keyring::default();
            let facts = observe("msh/2/e/Ops/!00000002", &bytes, &keyring, &mut scratch);
            verify(&facts.packet.unwrap(), &facts.data.unwrap(), key).unwrap()
        };
        for layout in [Layout::V0, Layout::V1] {
            let (port, payload) = text("signed");
            let mut content = Content { port: port.0, payload, bitfield: Some(1), ..Content::default() };
            content.sign(&packet, &node, layout);
            assert_eq!(check(&packet, &content, &node.public_key()), Verification::Valid(layout));
            // Hops and reception are not signed: they change on the way.
            let relayed = Packet { hop_limit: 2, rx_rssi: -90, ..packet.clone() };
            assert_eq!(check(&relayed, &content, &node.public_key()), Verification::Valid(layout));
            let other = NodeKey::from_bytes([0x5b; 32]);
            assert_eq!(check(&packet, &content, &other.public_key()), Verification::Invalid);
            let spoofed = Packet { from: NodeNum(3), ..packet.clone() };
            assert_eq!(check(&spoofed, &content, &node.public_key()), Verification::Invalid);
            let changed = Content { payload: b"Signed".to_vec(), ..content.clone() };
            assert_eq!(check(&packet, &changed, &node.public_key()), Verification::Invalid);
            // The newer layout covers the consent bit, too.
            let agreed = Content { bitfield: Some(0), ..content.clone() };
            assert_eq!(
                check(&packet, &agreed, &node.public_key()) == Verification::Invalid,
                layout == Layout::V1
            );
            let cut = Content { signature: content.signature[..63].to_vec(), ..content };
            assert_eq!(check(&packet, &cut, &node.public_key()), Verification::Malformed);
        }
        assert_eq!(format!("{node:?}"), "NodeKey(***)");
    }
}
