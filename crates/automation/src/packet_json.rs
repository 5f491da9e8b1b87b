//! Packets in this program's own JSON: stable names, units beside the values, nothing that firmware leaves out. The
//! format is described by `docs/packet.schema.json`; fields are added to it, and never change their meaning.

use mesh::node::NodeNum;
use mesh::observe::Facts;
use mesh::position::PositionFacts;
use mesh::tree::{self, Entry, Tree, Value};
use record::Reception;
use serde_json::{Map, Value as Json, json};

use crate::known_nodes::KnownNodes;

/// The name and version of the format.
const FORMAT: &str = "backhaul.packet/1";

/// The topic and the message; `None` when there is no open packet.
pub fn of(reception: &Reception, facts: &Facts<'_>, nodes: &KnownNodes) -> Option<(String, Json)> {
    let (packet, data) = (facts.packet?, facts.data?);
    let from = packet.from;
    let tree = tree::read(data.port, data.payload);
    let mut message = json!({
        "format": FORMAT,
        "received_ms": reception.at_ms,
        "reception": reception.seq,
        "gateway": facts.gateway.map(|gateway| gateway.to_string()),
        "from": from.to_string(),
        "from_name": nodes.long_name(from.0),
        "to": destination(packet.to),
        "id": packet.id,
        "channel": reception.channel.as_deref(),
        "port": data.port.0,
        "kind": data.port.word(),
        "hop_limit": packet.hop_limit,
        "hop_start": packet.hop_start,
        "hops_away": facts.hops_away,
        "want_ack": packet.want_ack,
        "frame_bytes": reception.frame_bytes,
        "airtime_us": reception.airtime_us,
        "payload": tree.to_json(),
    });
    let mut put = |name: &str, value: Json| message.as_object_mut().map(|m| m.insert(name.to_owned(), value));
    let mut units = Map::new();
    if let Tree::Message(_, entries) = &tree {
        collect_units(entries, &mut units);
    }
    if !units.is_empty() {
        put("units", Json::Object(units));
    }
    // 0 means that there was no radio between: the gateway's own packet.
    if packet.rx_rssi != 0 {
        put("rssi_dbm", json!(packet.rx_rssi));
        put("snr_db", tree::float_to_json(packet.rx_snr));
    }
    if packet.rx_time != 0 {
        put("gateway_time_s", json!(packet.rx_time));
    }
    if data.request_id != 0 {
        put("answers", json!(data.request_id));
    }
    if let Some(position) = facts.position.and_then(|position| place(&position)) {
        put("position", position);
    }
    let channel = facts.topic.and_then(|topic| topic.channel);
    let topic = match channel {
        Some(channel) => format!("backhaul/1/packet/{channel}/{from}"),
        None => format!("backhaul/1/map/{from}"),
    };
    Some((topic, message))
}

fn destination(to: NodeNum) -> String {
    if to == NodeNum::BROADCAST { "everyone".to_owned() } else { to.to_string() }
}

fn collect_units(entries: &[Entry], units: &mut Map<String, Json>) {
    for entry in entries {
        if let (Some(name), false) = (entry.name, entry.unit.is_empty()) {
            units.insert(name.to_owned(), json!(entry.unit));
        }
        if let Value::Message(inner) = &entry.value {
            collect_units(inner, units);
        }
    }
}

/// The position in degrees and metres; `None` when there is none. At the claimed precision the node is within
/// `accuracy_m` of it, north or south.
pub fn place(position: &PositionFacts) -> Option<Json> {
    let (latitude, longitude) = position.latitude_i.zip(position.longitude_i)?;
    let mut place = json!({
        "latitude": degrees(latitude),
        "longitude": degrees(longitude),
    });
    let mut put = |name: &str, value: Json| place.as_object_mut().map(|p| p.insert(name.to_owned(), value));
    if let Some(accuracy_m) = accuracy_m(position.precision_bits) {
        put("accuracy_m", json!(accuracy_m));
    }
    if let Some(altitude_m) = position.altitude_m {
        put("altitude_m", json!(altitude_m));
    }
    Some(place)
}

fn degrees(e7: i32) -> f64 {
    f64::from(e7) / 1e7
}

/// Half the height of a cell of that precision, in whole metres; `None` when the sender claims none.
pub fn accuracy_m(precision_bits: u32) -> Option<u32> {
    const METRES_OF_UNIT: f64 = 111_320.0 / 1e7;
    match precision_bits {
        1..=31 => Some((f64::from(1_u32 << (31 - precision_bits)) * METRES_OF_UNIT).ceil() as u32),
        32 => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accuracy_is_that_of_the_protocols_table() {
        for (bits, metres) in [(10, 23_346), (13, 2_919), (14, 1_460), (16, 365), (32, 1)] {
            assert_eq!(accuracy_m(bits), Some(metres), "{bits} bits");
        }
        assert_eq!((accuracy_m(0), accuracy_m(33)), (None, None));
    }
}
