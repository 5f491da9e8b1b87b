//! The JSON message that firmware 2.7.26 publishes on `{root}/2/json/{channel}/{gateway}` beside an envelope
//! (`MeshPacketSerializer.cpp`). Firmware 2.8 has none, so whoever reads that JSON needs it made elsewhere. Writes
//! only what firmware writes; for everything else there is `tree`.

use serde_json::{Map, Value as Json, json};

use crate::node::NodeNum;
use crate::observe::Facts;
use crate::portnum::PortNum;
use crate::tree::{self, Entry, Tree, Value};

/// The message for an opened packet; `None` when there is no packet or it is closed: firmware publishes only what it
/// can read. `channel_index` is the gateway's index of the channel, 0 for its primary one. `long_name` is what the
/// gateway knows of other nodes; only trace routes name them.
///
/// Keys are sorted and numbers have at most 15 significant digits, as in firmware.
pub fn message(
    facts: &Facts<'_>,
    channel_index: u32,
    long_name: &dyn Fn(NodeNum) -> Option<String>,
) -> Option<Json> {
    let (header, data) = (facts.packet?, facts.data?);
    let is_answer = data.request_id != 0;
    let (kind, payload) = match data.port {
        PortNum::TEXT_MESSAGE => ("text", Some(text(data.payload))),
        PortNum::DETECTION_SENSOR => ("detection", Some(json!({ "text": c_string(data.payload) }))),
        PortNum::TRACEROUTE if !is_answer => ("", None),
        port => {
            let entries = match tree::read(port, data.payload) {
                Tree::Message(_, entries) => Some(entries),
                Tree::Text(_) | Tree::Bytes(_) => None,
            };
            let fields = entries.as_deref().map(Message);
            match port {
                PortNum::POSITION => ("position", fields.map(position)),
                PortNum::NODEINFO => ("nodeinfo", fields.map(nodeinfo)),
                PortNum::TELEMETRY => ("telemetry", fields.map(telemetry)),
                PortNum::WAYPOINT => ("waypoint", fields.map(waypoint)),
                PortNum::NEIGHBORINFO => ("neighborinfo", fields.map(neighborinfo)),
                PortNum::TRACEROUTE => {
                    let ends = (header.to, header.from);
                    ("traceroute", fields.map(|f| traceroute(f, ends, long_name)))
                }
                PortNum::PAXCOUNTER => ("paxcounter", fields.map(paxcounter)),
                PortNum::REMOTE_HARDWARE => fields.map_or(("", None), gpios),
                _ => ("", None),
            }
        }
    };
    let mut out = Map::new();
    let mut put = |name: &str, value: Json| out.insert(name.to_owned(), value);
    put("id", json!(header.id));
    put("from", json!(header.from.0));
    put("to", json!(header.to.0));
    put("channel", json!(channel_index));
    put("timestamp", json!(header.rx_time));
    put("type", json!(kind));
    put("sender", json!(facts.gateway_id.unwrap_or_default()));
    if header.rx_rssi != 0 {
        put("rssi", json!(header.rx_rssi));
    }
    if header.rx_snr != 0.0 {
        put("snr", number(f64::from(header.rx_snr)));
    }
    // Of its own packet the gateway writes the JSON before it adds the bitfield, which is what tells that a hop start
    // of 0 is meant.
    let is_hop_start_meant = header.hop_start != 0 || !facts.is_own_packet();
    if let Some(hops_away) = facts.hops_away.filter(|_| is_hop_start_meant) {
        put("hops_away", json!(hops_away));
        put("hop_start", json!(header.hop_start));
    }
    if let Some(payload) = payload {
        put("payload", payload);
    }
    Some(Json::Object(out))
}

/// Text that is itself JSON becomes that value: the message `42` is the number 42.
fn text(payload: &[u8]) -> Json {
    let text = c_string(payload);
    serde_json::from_str(&text).map_or_else(|_| json!({ "text": text }), as_firmware_prints)
}

fn as_firmware_prints(value: Json) -> Json {
    match value {
        Json::Number(n) => n.as_f64().map_or(Json::Null, number),
        Json::Array(values) => values.into_iter().map(as_firmware_prints).collect(),
        Json::Object(values) => values.into_iter().map(|(k, v)| (k, as_firmware_prints(v))).collect(),
        Json::Null | Json::Bool(_) | Json::String(_) => value,
    }
}

fn position(fields: Message<'_>) -> Json {
    let mut out = Map::new();
    for name in ["latitude_i", "longitude_i"] {
        out.insert(name.to_owned(), fields.number_or_zero(name));
    }
    for name in [
        "time",
        "timestamp",
        "altitude",
        "ground_speed",
        "ground_track",
        "sats_in_view",
        "PDOP",
        "HDOP",
        "VDOP",
        "precision_bits",
    ] {
        if let Some(value) = fields.number(name).filter(|v| *v != json!(0)) {
            out.insert(name.to_owned(), value);
        }
    }
    Json::Object(out)
}

fn nodeinfo(user: Message<'_>) -> Json {
    json!({
        "id": user.text("id"),
        "longname": user.text("long_name"),
        "shortname": user.text("short_name"),
        "hardware": user.number_or_zero("hw_model"),
        "role": user.number_or_zero("role"),
    })
}

// Metrics by their names in the message and in JSON. Those that are not on the wire are left out, but device metrics
// other than the battery level are always there.
const DEVICE: &[(&str, &str)] = &[
    ("battery_level", "battery_level"),
    ("voltage", "voltage"),
    ("channel_utilization", "channel_utilization"),
    ("air_util_tx", "air_util_tx"),
    ("uptime_seconds", "uptime_seconds"),
];
const ENVIRONMENT: &[(&str, &str)] = &[
    ("temperature", "temperature"),
    ("relative_humidity", "relative_humidity"),
    ("barometric_pressure", "barometric_pressure"),
    ("gas_resistance", "gas_resistance"),
    ("voltage", "voltage"),
    ("current", "current"),
    ("iaq", "iaq"),
    ("distance", "distance"),
    ("lux", "lux"),
    ("white_lux", "white_lux"),
    ("ir_lux", "ir_lux"),
    ("uv_lux", "uv_lux"),
    ("wind_direction", "wind_direction"),
    ("wind_speed", "wind_speed"),
    ("weight", "weight"),
    ("wind_gust", "wind_gust"),
    ("wind_lull", "wind_lull"),
    ("radiation", "radiation"),
    ("rainfall_1h", "rainfall_1h"),
    ("rainfall_24h", "rainfall_24h"),
    ("soil_moisture", "soil_moisture"),
    ("soil_temperature", "soil_temperature"),
];
const AIR_QUALITY: &[(&str, &str)] = &[
    ("pm10_standard", "pm10"),
    ("pm25_standard", "pm25"),
    ("pm100_standard", "pm100"),
    ("co2", "co2"),
    ("co2_temperature", "co2_temperature"),
    ("co2_humidity", "co2_humidity"),
    ("form_formaldehyde", "form_formaldehyde"),
    ("form_humidity", "form_humidity"),
    ("form_temperature", "form_temperature"),
];
const POWER: &[(&str, &str)] = &[
    ("ch1_voltage", "voltage_ch1"),
    ("ch1_current", "current_ch1"),
    ("ch2_voltage", "voltage_ch2"),
    ("ch2_current", "current_ch2"),
    ("ch3_voltage", "voltage_ch3"),
    ("ch3_current", "current_ch3"),
];

fn telemetry(fields: Message<'_>) -> Json {
    let mut out = Map::new();
    // The variants exclude each other: the last one on the wire is the one that counts.
    let variant = fields.0.iter().rev().find_map(|e| match &e.value {
        Value::Message(entries) => Some((e.name?, Message(entries))),
        _ => None,
    });
    let Some((variant, metrics)) = variant else { return Json::Object(out) };
    let names = match variant {
        "device_metrics" => DEVICE,
        "environment_metrics" => ENVIRONMENT,
        "air_quality_metrics" => AIR_QUALITY,
        "power_metrics" => POWER,
        _ => &[],
    };
    for (name, json_name) in names {
        let is_always_there = variant == "device_metrics" && *name != "battery_level";
        if let Some(value) = metrics.number(name).or_else(|| is_always_there.then(|| json!(0))) {
            out.insert((*json_name).to_owned(), value);
        }
    }
    Json::Object(out)
}

fn waypoint(fields: Message<'_>) -> Json {
    json!({
        "id": fields.number_or_zero("id"),
        "name": fields.text("name"),
        "description": fields.text("description"),
        "expire": fields.number_or_zero("expire"),
        "locked_to": fields.number_or_zero("locked_to"),
        "latitude_i": fields.number_or_zero("latitude_i"),
        "longitude_i": fields.number_or_zero("longitude_i"),
    })
}

fn neighborinfo(fields: Message<'_>) -> Json {
    let neighbors: Vec<_> = fields
        .all("neighbors")
        .filter_map(|value| match value {
            Value::Message(entries) => Some(Message(entries)),
            _ => None,
        })
        .map(|neighbor| {
            let snr = match neighbor.last("snr") {
                Some(Value::Float(snr)) => *snr as i32,
                _ => 0,
            };
            json!({ "node_id": neighbor.number_or_zero("node_id"), "snr": snr })
        })
        .collect();
    json!({
        "node_id": fields.number_or_zero("node_id"),
        "node_broadcast_interval_secs": fields.number_or_zero("node_broadcast_interval_secs"),
        "last_sent_by_id": fields.number_or_zero("last_sent_by_id"),
        "neighbors_count": neighbors.len(),
        "neighbors": neighbors,
    })
}

/// An answer travels from the far end back to who asked, so the route there begins at its destination.
fn traceroute(
    fields: Message<'_>,
    (asker, far_end): (NodeNum, NodeNum),
    long_name: &dyn Fn(NodeNum) -> Option<String>,
) -> Json {
    let route = |name, first: NodeNum, last: NodeNum| -> Json {
        let between = fields.all(name).filter_map(|value| match value {
            Value::Node(node) => Some(*node),
            _ => None,
        });
        std::iter::once(first)
            .chain(between)
            .chain(std::iter::once(last))
            .map(|node| long_name(node).unwrap_or_else(|| "Unknown".to_owned()))
            .collect()
    };
    let decibels = |name| -> Json {
        let quarters = fields.all(name).filter_map(|value| match value {
            Value::Int(quarters) => Some(*quarters as f64 / 4.0),
            _ => None,
        });
        quarters.map(number).collect()
    };
    json!({
        "route": route("route", asker, far_end),
        "route_back": route("route_back", far_end, asker),
        "snr_towards": decibels("snr_towards"),
        "snr_back": decibels("snr_back"),
    })
}

fn paxcounter(fields: Message<'_>) -> Json {
    json!({
        "wifi_count": fields.number_or_zero("wifi"),
        "ble_count": fields.number_or_zero("ble"),
        "uptime": fields.number_or_zero("uptime"),
    })
}

fn gpios(fields: Message<'_>) -> (&'static str, Option<Json>) {
    let value = fields.number_or_zero("gpio_value");
    match fields.last("type") {
        Some(Value::Enum(_, Some("GPIOS_CHANGED"))) => {
            ("gpios_changed", Some(json!({ "gpio_value": value })))
        }
        Some(Value::Enum(_, Some("READ_GPIOS_REPLY"))) => {
            let mask = fields.number_or_zero("gpio_mask");
            ("gpios_read_reply", Some(json!({ "gpio_value": value, "gpio_mask": mask })))
        }
        _ => ("", None),
    }
}

/// The fields of a message, by name.
#[derive(Clone, Copy)]
struct Message<'a>(&'a [Entry]);

impl<'a> Message<'a> {
    fn all(self, name: &str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |e| e.name == Some(name)).map(|e| &e.value)
    }

    /// Of a repeated field the last counts.
    fn last(self, name: &str) -> Option<&'a Value> {
        self.all(name).last()
    }

    fn number(self, name: &str) -> Option<Json> {
        Some(match self.last(name)? {
            Value::Uint(v) => json!(v),
            Value::Int(v) => json!(v),
            Value::Float(v) => number(f64::from(*v)),
            Value::Time(v) => json!(v),
            Value::Node(v) => json!(v.0),
            Value::Enum(v, _) => json!(v),
            Value::Bool(_) | Value::Text(_) | Value::Bytes(_) | Value::Secret | Value::Message(_) => {
                return None;
            }
        })
    }

    fn number_or_zero(self, name: &str) -> Json {
        self.number(name).unwrap_or_else(|| json!(0))
    }

    fn text(self, name: &str) -> &'a str {
        match self.last(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }
}

/// A number as firmware prints it: a double of 15 significant digits; what JSON cannot say is null.
fn number(value: f64) -> Json {
    if !value.is_finite() {
        return Json::Null;
    }
    // Larger whole numbers lose digits, so they are printed as any other double.
    let is_whole = value.fract() == 0.0 && value.abs() < 1e15;
    if is_whole { json!(value as i64) } else { json!(format!("{value:.14e}").parse::<f64>().ok()) }
}

/// Text up to the first zero byte: firmware prints it as a C string.
fn c_string(payload: &[u8]) -> String {
    let end = payload.iter().position(|b| *b == 0).unwrap_or(payload.len());
    String::from_utf8_lossy(&payload[..end]).into_owned()
}
