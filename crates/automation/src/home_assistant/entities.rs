//! The entities that a node can have in Home Assistant: one table, with the device classes and units of its documentation.

use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use mesh::tree::{self, Tree, Value};
use serde_json::{Map, Value as Json, json};

/// One entity.
#[derive(Debug)]
pub struct Entity {
    /// Its key in the state and its part of topics and ids; never changed, because Home Assistant remembers it.
    pub name: &'static str,
    /// What people read.
    title: &'static str,
    /// Kind of entity.
    pub component: &'static str,
    device_class: &'static str,
    unit: &'static str,
    /// Where its value comes from.
    pub source: Source,
}

/// Where an entity's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A key of the node's state.
    State,
    /// Whether it was heard lately.
    Online,
    /// Whether it is connected as a gateway.
    Link,
    /// Where it is.
    Position,
    /// What it says to everyone.
    Text,
}

const fn sensor(
    name: &'static str,
    title: &'static str,
    device_class: &'static str,
    unit: &'static str,
) -> Entity {
    Entity { name, title, component: "sensor", device_class, unit, source: Source::State }
}

/// Every entity. A node has those of which a value has come.
#[rustfmt::skip]
pub const ENTITIES: &[Entity] = &[
    Entity { name: "online", title: "Heard", component: "binary_sensor", device_class: "connectivity", unit: "", source: Source::Online },
    Entity { name: "link", title: "Gateway link", component: "binary_sensor", device_class: "connectivity", unit: "", source: Source::Link },
    Entity { name: "external_power", title: "External power", component: "binary_sensor", device_class: "plug", unit: "", source: Source::State },
    Entity { name: "position", title: "Position", component: "device_tracker", device_class: "", unit: "", source: Source::Position },
    Entity { name: "text", title: "Text", component: "event", device_class: "", unit: "", source: Source::Text },
    sensor("last_heard", "Last heard", "timestamp", ""),
    sensor("rssi", "Signal strength", "signal_strength", "dBm"),
    sensor("snr", "Signal-to-noise ratio", "", "dB"),
    sensor("hops_away", "Hops away", "", ""),
    sensor("battery_level", "Battery", "battery", "%"),
    sensor("voltage", "Voltage", "voltage", "V"),
    sensor("channel_utilization", "Channel utilisation", "", "%"),
    sensor("air_util_tx", "Airtime sent", "", "%"),
    sensor("uptime_seconds", "Uptime", "duration", "s"),
    sensor("num_online_nodes", "Nodes online", "", ""),
    sensor("noise_floor", "Noise floor", "signal_strength", "dBm"),
    sensor("temperature", "Temperature", "temperature", "°C"),
    sensor("relative_humidity", "Humidity", "humidity", "%"),
    sensor("barometric_pressure", "Air pressure", "atmospheric_pressure", "hPa"),
    sensor("gas_resistance", "Gas resistance", "", "MΩ"),
    sensor("environment_voltage", "Sensor voltage", "voltage", "V"),
    sensor("environment_current", "Sensor current", "current", "mA"),
    sensor("iaq", "Air quality index", "aqi", ""),
    sensor("distance", "Distance", "distance", "mm"),
    sensor("lux", "Illuminance", "illuminance", "lx"),
    sensor("white_lux", "White light", "illuminance", "lx"),
    sensor("ir_lux", "Infrared light", "illuminance", "lx"),
    sensor("uv_lux", "Ultraviolet light", "illuminance", "lx"),
    sensor("wind_direction", "Wind direction", "", "°"),
    sensor("wind_speed", "Wind speed", "wind_speed", "m/s"),
    sensor("wind_gust", "Wind gust", "wind_speed", "m/s"),
    sensor("wind_lull", "Wind lull", "wind_speed", "m/s"),
    sensor("weight", "Weight", "weight", "kg"),
    sensor("radiation", "Radiation", "", "µR/h"),
    sensor("rainfall_1h", "Rain in the last hour", "precipitation", "mm"),
    sensor("rainfall_24h", "Rain in the last day", "precipitation", "mm"),
    sensor("soil_moisture", "Soil moisture", "moisture", "%"),
    sensor("soil_temperature", "Soil temperature", "temperature", "°C"),
    sensor("pm10_standard", "Particles to 1 µm", "pm1", "µg/m³"),
    sensor("pm25_standard", "Particles to 2.5 µm", "pm25", "µg/m³"),
    sensor("pm100_standard", "Particles to 10 µm", "pm10", "µg/m³"),
    sensor("co2", "Carbon dioxide", "carbon_dioxide", "ppm"),
    sensor("ch1_voltage", "Channel 1 voltage", "voltage", "V"),
    sensor("ch1_current", "Channel 1 current", "current", "mA"),
    sensor("ch2_voltage", "Channel 2 voltage", "voltage", "V"),
    sensor("ch2_current", "Channel 2 current", "current", "mA"),
    sensor("ch3_voltage", "Channel 3 voltage", "voltage", "V"),
    sensor("ch3_current", "Channel 3 current", "current", "mA"),
];

/// Battery levels above are firmware's way to say that the node is powered from outside.
const BATTERY_FULL: u64 = 100;

/// Learns what telemetry says. Other ports say nothing that is a state.
pub fn learn(state: &mut Map<String, Json>, port: PortNum, payload: &[u8]) {
    if port != PortNum::TELEMETRY {
        return;
    }
    let Tree::Message(_, entries) = tree::read(port, payload) else { return };
    for entry in &entries {
        let (Some(kind), Value::Message(metrics)) = (entry.name, &entry.value) else { continue };
        for metric in metrics {
            let Some(name) = metric.name else { continue };
            let name = match (kind, name) {
                ("environment_metrics", "voltage") => "environment_voltage",
                ("environment_metrics", "current") => "environment_current",
                ("health_metrics" | "host_metrics" | "traffic_management_stats", _) => continue,
                (_, name) => name,
            };
            if !ENTITIES.iter().any(|entity| entity.name == name && entity.source == Source::State) {
                continue;
            }
            let value = match (name, &metric.value) {
                ("battery_level", Value::Uint(level)) => {
                    let is_external = *level > BATTERY_FULL;
                    state.insert("external_power".into(), json!(if is_external { "ON" } else { "OFF" }));
                    json!((*level).min(BATTERY_FULL))
                }
                (_, value) => value.to_json(),
            };
            state.insert(name.to_owned(), value);
        }
    }
}

impl Entity {
    /// The announcement of it (Home Assistant, MQTT discovery).
    pub fn config(&self, node: u32, device: &Json) -> Json {
        let id = format!("backhaul_{node:08x}_{}", self.name);
        let topic = |what: &str| format!("backhaul/1/node/{}/{what}", NodeNum(node));
        let mut config = json!({
            "name": self.title,
            "unique_id": id,
            "object_id": id,
            "device": device,
            "origin": { "name": "Backhaul", "sw_version": env!("CARGO_PKG_VERSION") },
        });
        let mut put = |name: &str, value: Json| config[name] = value;
        for (name, text) in [("device_class", self.device_class), ("unit_of_measurement", self.unit)] {
            if !text.is_empty() {
                put(name, json!(text));
            }
        }
        match self.source {
            Source::State => {
                put("state_topic", json!(topic("state")));
                let value = format!("value_json.{}", self.name);
                let template = match self.device_class {
                    "timestamp" => format!(
                        "{{{{ ({value} | as_datetime).isoformat() if {value} is defined else None }}}}"
                    ),
                    _ => format!("{{{{ {value} if {value} is defined else None }}}}"),
                };
                put("value_template", json!(template));
                if self.component == "sensor" && self.device_class != "timestamp" {
                    let counts_up = self.name == "uptime_seconds";
                    put("state_class", json!(if counts_up { "total_increasing" } else { "measurement" }));
                }
            }
            Source::Online => put("state_topic", json!(topic("online"))),
            Source::Link => put("state_topic", json!(topic("link"))),
            Source::Position => {
                put("json_attributes_topic", json!(topic("position")));
                put("source_type", json!("gps"));
            }
            Source::Text => {
                put("state_topic", json!(topic("text")));
                put("event_types", json!(["text"]));
            }
        }
        config
    }
}
