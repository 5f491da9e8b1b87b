//! The payload messages (`meshtastic/*.proto`) as tables: field number, name, kind and unit. One table, one subject.

use crate::enums::{self, Names};
use crate::portnum::PortNum;
use crate::wire::{Content, Fields, packed_varints};

/// One message.
#[derive(Debug)]
pub struct MessageSpec {
    /// Its name in the protocol.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [FieldSpec],
}

/// One field.
#[derive(Debug)]
pub struct FieldSpec {
    /// Field number.
    pub number: u32,
    /// Its name in the protocol.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Unit of its value; empty for none.
    pub unit: &'static str,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Unsigned varint.
    Uint,
    /// Signed varint, two's complement.
    Int,
    /// Signed varint, zig-zag.
    Sint,
    /// Varint 0 or 1.
    Bool,
    /// Unsigned, four bytes.
    Fixed32,
    /// Signed, four bytes.
    Sfixed32,
    /// Four bytes.
    Float,
    /// Unix seconds, varint or four bytes.
    Time,
    /// A node number, varint or four bytes.
    Node,
    /// UTF-8.
    Text,
    /// Bytes.
    Bytes,
    /// Bytes that are never shown: a key.
    Secret,
    /// A named number.
    Enum(Names),
    /// Repeated node numbers.
    NodeList,
    /// Repeated signed varints.
    IntList,
    /// A message.
    Message(&'static MessageSpec),
    /// Repeated messages.
    List(&'static MessageSpec),
}

use Kind::{
    Bool, Bytes, Enum, Fixed32, Float, Int, IntList, List, Message, Node, NodeList, Secret, Sfixed32, Sint,
    Text, Time, Uint,
};

const fn field(number: u32, name: &'static str, kind: Kind, unit: &'static str) -> FieldSpec {
    FieldSpec { number, name, kind, unit }
}

/// How a port's payload is read.
#[derive(Debug, Clone, Copy)]
pub enum Payload {
    /// UTF-8 text.
    Text,
    /// A message of these tables.
    Message(&'static MessageSpec),
    /// Bytes that are not looked into.
    Opaque,
}

/// How the payload of a port is read.
pub fn payload_of(port: PortNum) -> Payload {
    if port.is_text() {
        return Payload::Text;
    }
    Payload::Message(match port {
        PortNum::REMOTE_HARDWARE => &HARDWARE_MESSAGE,
        PortNum::POSITION => &POSITION,
        PortNum::NODEINFO => &USER,
        PortNum::ROUTING => &ROUTING,
        PortNum::WAYPOINT => &WAYPOINT,
        PortNum::PAXCOUNTER => &PAXCOUNT,
        PortNum::NODE_STATUS => &STATUS_MESSAGE,
        PortNum::MESH_BEACON => &MESH_BEACON,
        PortNum::STORE_FORWARD => &STORE_FORWARD,
        PortNum::TELEMETRY => &TELEMETRY,
        PortNum::TRACEROUTE => &ROUTE_DISCOVERY,
        PortNum::NEIGHBORINFO => &NEIGHBOR_INFO,
        PortNum::MAP_REPORT => &MAP_REPORT,
        _ => return Payload::Opaque,
    })
}

/// Messages lie in messages at most this deep; the deepest of the tables is three.
pub const DEPTH_MAX: usize = 8;

/// Whether a payload is what its port says: text is UTF-8, messages parse and known fields have the right wire type.
pub fn is_valid(port: PortNum, payload: &[u8]) -> bool {
    match payload_of(port) {
        Payload::Text => std::str::from_utf8(payload).is_ok(),
        Payload::Message(spec) => is_valid_message(spec, payload, DEPTH_MAX),
        Payload::Opaque => true,
    }
}

fn is_valid_message(spec: &MessageSpec, bytes: &[u8], depth: usize) -> bool {
    depth > 0
        && Fields::of(bytes).all(|field| {
            let Ok(field) = field else { return false };
            let Some(known) = spec.fields.iter().find(|f| f.number == field.number) else { return true };
            match (known.kind, field.content) {
                (Kind::Text, Content::Bytes(text)) => std::str::from_utf8(text).is_ok(),
                (Kind::Message(inner) | Kind::List(inner), Content::Bytes(b)) => {
                    is_valid_message(inner, b, depth - 1)
                }
                (Kind::NodeList, Content::Bytes(packed)) => packed.len() % 4 == 0,
                (Kind::IntList, Content::Bytes(packed)) => packed_varints(packed).all(|n| n.is_ok()),
                (kind, content) => kind.fits(content),
            }
        })
}

impl Kind {
    /// Whether content of this wire type can be it.
    pub const fn fits(self, content: Content<'_>) -> bool {
        match self {
            Kind::Uint | Kind::Int | Kind::Sint | Kind::Bool | Kind::Enum(_) => {
                matches!(content, Content::Varint(_))
            }
            Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => matches!(content, Content::Fixed32(_)),
            Kind::Time | Kind::Node => matches!(content, Content::Varint(_) | Content::Fixed32(_)),
            Kind::Text | Kind::Bytes | Kind::Secret | Kind::Message(_) | Kind::List(_) => {
                matches!(content, Content::Bytes(_))
            }
            Kind::NodeList => matches!(content, Content::Fixed32(_) | Content::Bytes(_)),
            Kind::IntList => matches!(content, Content::Varint(_) | Content::Bytes(_)),
        }
    }
}

/// Whether a User payload belongs to a licensed (ham) node.
pub fn is_licensed(user: &[u8]) -> bool {
    Fields::of(user).flatten().any(|f| f.number == 6 && matches!(f.content, Content::Varint(v) if v != 0))
}

/// `Position`.
pub static POSITION: MessageSpec = MessageSpec {
    name: "Position",
    fields: &[
        field(1, "latitude_i", Sfixed32, "1e-7°"),
        field(2, "longitude_i", Sfixed32, "1e-7°"),
        field(3, "altitude", Int, "m"),
        field(4, "time", Time, "s"),
        field(5, "location_source", Enum(enums::LOCATION_SOURCE), ""),
        field(6, "altitude_source", Enum(enums::ALTITUDE_SOURCE), ""),
        field(7, "timestamp", Time, "s"),
        field(8, "timestamp_millis_adjust", Int, "ms"),
        field(9, "altitude_hae", Sint, "m"),
        field(10, "altitude_geoidal_separation", Sint, "m"),
        field(11, "PDOP", Uint, "0.01"),
        field(12, "HDOP", Uint, "0.01"),
        field(13, "VDOP", Uint, "0.01"),
        field(14, "gps_accuracy", Uint, "mm"),
        field(15, "ground_speed", Uint, "m/s or km/h"),
        field(16, "ground_track", Uint, "1e-5°"),
        field(17, "fix_quality", Uint, ""),
        field(18, "fix_type", Uint, ""),
        field(19, "sats_in_view", Uint, ""),
        field(20, "sensor_id", Uint, ""),
        field(21, "next_update", Uint, "s"),
        field(22, "seq_number", Uint, ""),
        field(23, "precision_bits", Uint, "bits"),
    ],
};

/// `User`.
pub static USER: MessageSpec = MessageSpec {
    name: "User",
    fields: &[
        field(1, "id", Text, ""),
        field(2, "long_name", Text, ""),
        field(3, "short_name", Text, ""),
        field(4, "macaddr", Bytes, ""),
        field(5, "hw_model", Enum(enums::HARDWARE), ""),
        field(6, "is_licensed", Bool, ""),
        field(7, "role", Enum(enums::ROLE), ""),
        field(8, "public_key", Bytes, ""),
        field(9, "is_unmessagable", Bool, ""),
    ],
};

/// `RouteDiscovery`.
pub static ROUTE_DISCOVERY: MessageSpec = MessageSpec {
    name: "RouteDiscovery",
    fields: &[
        field(1, "route", NodeList, ""),
        field(2, "snr_towards", IntList, "0.25 dB"),
        field(3, "route_back", NodeList, ""),
        field(4, "snr_back", IntList, "0.25 dB"),
    ],
};

/// `Routing`.
pub static ROUTING: MessageSpec = MessageSpec {
    name: "Routing",
    fields: &[
        field(1, "route_request", Message(&ROUTE_DISCOVERY), ""),
        field(2, "route_reply", Message(&ROUTE_DISCOVERY), ""),
        field(3, "error_reason", Enum(enums::ROUTING_ERROR), ""),
    ],
};

/// `DeviceMetrics`.
pub static DEVICE_METRICS: MessageSpec = MessageSpec {
    name: "DeviceMetrics",
    fields: &[
        field(1, "battery_level", Uint, "%"),
        field(2, "voltage", Float, "V"),
        field(3, "channel_utilization", Float, "%"),
        field(4, "air_util_tx", Float, "%"),
        field(5, "uptime_seconds", Uint, "s"),
    ],
};

/// `EnvironmentMetrics`.
pub static ENVIRONMENT_METRICS: MessageSpec = MessageSpec {
    name: "EnvironmentMetrics",
    fields: &[
        field(1, "temperature", Float, "°C"),
        field(2, "relative_humidity", Float, "%"),
        field(3, "barometric_pressure", Float, "hPa"),
        field(4, "gas_resistance", Float, "MΩ"),
        field(5, "voltage", Float, "V"),
        field(6, "current", Float, "mA"),
        field(7, "iaq", Uint, ""),
        field(8, "distance", Float, "mm"),
        field(9, "lux", Float, "lx"),
        field(10, "white_lux", Float, "lx"),
        field(11, "ir_lux", Float, "lx"),
        field(12, "uv_lux", Float, "lx"),
        field(13, "wind_direction", Uint, "°"),
        field(14, "wind_speed", Float, "m/s"),
        field(15, "weight", Float, "kg"),
        field(16, "wind_gust", Float, "m/s"),
        field(17, "wind_lull", Float, "m/s"),
        field(18, "radiation", Float, "µR/h"),
        field(19, "rainfall_1h", Float, "mm"),
        field(20, "rainfall_24h", Float, "mm"),
        field(21, "soil_moisture", Uint, "%"),
        field(22, "soil_temperature", Float, "°C"),
        field(24, "adc_voltage_ch0", Float, "V"),
        field(25, "adc_voltage_ch1", Float, "V"),
        field(26, "adc_voltage_ch2", Float, "V"),
        field(27, "adc_voltage_ch3", Float, "V"),
        field(28, "adc_voltage_ch4", Float, "V"),
        field(29, "adc_voltage_ch5", Float, "V"),
        field(30, "adc_voltage_ch6", Float, "V"),
        field(31, "adc_voltage_ch7", Float, "V"),
        field(32, "one_wire_temperature_ch0", Float, "°C"),
        field(33, "one_wire_temperature_ch1", Float, "°C"),
        field(34, "one_wire_temperature_ch2", Float, "°C"),
        field(35, "one_wire_temperature_ch3", Float, "°C"),
        field(36, "one_wire_temperature_ch4", Float, "°C"),
        field(37, "one_wire_temperature_ch5", Float, "°C"),
        field(38, "one_wire_temperature_ch6", Float, "°C"),
        field(39, "one_wire_temperature_ch7", Float, "°C"),
    ],
};

/// `AirQualityMetrics`.
pub static AIR_QUALITY_METRICS: MessageSpec = MessageSpec {
    name: "AirQualityMetrics",
    fields: &[
        field(1, "pm10_standard", Uint, "µg/m³"),
        field(2, "pm25_standard", Uint, "µg/m³"),
        field(3, "pm100_standard", Uint, "µg/m³"),
        field(4, "pm10_environmental", Uint, "µg/m³"),
        field(5, "pm25_environmental", Uint, "µg/m³"),
        field(6, "pm100_environmental", Uint, "µg/m³"),
        field(7, "particles_03um", Uint, "#/0.1l"),
        field(8, "particles_05um", Uint, "#/0.1l"),
        field(9, "particles_10um", Uint, "#/0.1l"),
        field(10, "particles_25um", Uint, "#/0.1l"),
        field(11, "particles_50um", Uint, "#/0.1l"),
        field(12, "particles_100um", Uint, "#/0.1l"),
        field(13, "co2", Uint, "ppm"),
        field(14, "co2_temperature", Float, "°C"),
        field(15, "co2_humidity", Float, "%"),
        field(16, "form_formaldehyde", Float, "ppb"),
        field(17, "form_humidity", Float, "%"),
        field(18, "form_temperature", Float, "°C"),
        field(19, "pm40_standard", Uint, "µg/m³"),
    ],
};

/// `PowerMetrics`.
pub static POWER_METRICS: MessageSpec = MessageSpec {
    name: "PowerMetrics",
    fields: &[
        field(1, "ch1_voltage", Float, "V"),
        field(2, "ch1_current", Float, "mA"),
        field(3, "ch2_voltage", Float, "V"),
        field(4, "ch2_current", Float, "mA"),
        field(5, "ch3_voltage", Float, "V"),
        field(6, "ch3_current", Float, "mA"),
        field(7, "ch4_voltage", Float, "V"),
        field(8, "ch4_current", Float, "mA"),
        field(9, "ch5_voltage", Float, "V"),
        field(10, "ch5_current", Float, "mA"),
        field(11, "ch6_voltage", Float, "V"),
        field(12, "ch6_current", Float, "mA"),
        field(13, "ch7_voltage", Float, "V"),
        field(14, "ch7_current", Float, "mA"),
        field(15, "ch8_voltage", Float, "V"),
        field(16, "ch8_current", Float, "mA"),
    ],
};

/// `LocalStats`.
pub static LOCAL_STATS: MessageSpec = MessageSpec {
    name: "LocalStats",
    fields: &[
        field(1, "uptime_seconds", Uint, "s"),
        field(2, "channel_utilization", Float, "%"),
        field(3, "air_util_tx", Float, "%"),
        field(4, "num_packets_tx", Uint, ""),
        field(5, "num_packets_rx", Uint, ""),
        field(6, "num_packets_rx_bad", Uint, ""),
        field(7, "num_online_nodes", Uint, ""),
        field(8, "num_total_nodes", Uint, ""),
        field(9, "num_rx_dupe", Uint, ""),
        field(10, "num_tx_relay", Uint, ""),
        field(11, "num_tx_relay_canceled", Uint, ""),
        field(12, "heap_total_bytes", Uint, "B"),
        field(13, "heap_free_bytes", Uint, "B"),
        field(14, "num_tx_dropped", Uint, ""),
        field(15, "noise_floor", Int, "dBm"),
    ],
};

/// `HealthMetrics`.
pub static HEALTH_METRICS: MessageSpec = MessageSpec {
    name: "HealthMetrics",
    fields: &[
        field(1, "heart_bpm", Uint, "1/min"),
        field(2, "spO2", Uint, "%"),
        field(3, "temperature", Float, "°C"),
    ],
};

/// `HostMetrics`.
pub static HOST_METRICS: MessageSpec = MessageSpec {
    name: "HostMetrics",
    fields: &[
        field(1, "uptime_seconds", Uint, "s"),
        field(2, "freemem_bytes", Uint, "B"),
        field(3, "diskfree1_bytes", Uint, "B"),
        field(4, "diskfree2_bytes", Uint, "B"),
        field(5, "diskfree3_bytes", Uint, "B"),
        field(6, "load1", Uint, "0.01"),
        field(7, "load5", Uint, "0.01"),
        field(8, "load15", Uint, "0.01"),
        field(9, "user_string", Text, ""),
    ],
};

/// `TrafficManagementStats`.
pub static TRAFFIC_STATS: MessageSpec = MessageSpec {
    name: "TrafficManagementStats",
    fields: &[
        field(1, "packets_inspected", Uint, ""),
        field(2, "position_dedup_drops", Uint, ""),
        field(3, "nodeinfo_cache_hits", Uint, ""),
        field(4, "rate_limit_drops", Uint, ""),
        field(5, "unknown_packet_drops", Uint, ""),
        field(6, "hop_exhausted_packets", Uint, ""),
        field(7, "router_hops_preserved", Uint, ""),
    ],
};

/// `Telemetry`.
pub static TELEMETRY: MessageSpec = MessageSpec {
    name: "Telemetry",
    fields: &[
        field(1, "time", Time, "s"),
        field(2, "device_metrics", Message(&DEVICE_METRICS), ""),
        field(3, "environment_metrics", Message(&ENVIRONMENT_METRICS), ""),
        field(4, "air_quality_metrics", Message(&AIR_QUALITY_METRICS), ""),
        field(5, "power_metrics", Message(&POWER_METRICS), ""),
        field(6, "local_stats", Message(&LOCAL_STATS), ""),
        field(7, "health_metrics", Message(&HEALTH_METRICS), ""),
        field(8, "host_metrics", Message(&HOST_METRICS), ""),
        field(9, "traffic_management_stats", Message(&TRAFFIC_STATS), ""),
    ],
};

/// `Neighbor`.
pub static NEIGHBOR: MessageSpec = MessageSpec {
    name: "Neighbor",
    fields: &[
        field(1, "node_id", Node, ""),
        field(2, "snr", Float, "dB"),
        field(3, "last_rx_time", Time, "s"),
        field(4, "node_broadcast_interval_secs", Uint, "s"),
    ],
};

/// `NeighborInfo`.
pub static NEIGHBOR_INFO: MessageSpec = MessageSpec {
    name: "NeighborInfo",
    fields: &[
        field(1, "node_id", Node, ""),
        field(2, "last_sent_by_id", Node, ""),
        field(3, "node_broadcast_interval_secs", Uint, "s"),
        field(4, "neighbors", List(&NEIGHBOR), ""),
    ],
};

/// `Waypoint`.
pub static WAYPOINT: MessageSpec = MessageSpec {
    name: "Waypoint",
    fields: &[
        field(1, "id", Uint, ""),
        field(2, "latitude_i", Sfixed32, "1e-7°"),
        field(3, "longitude_i", Sfixed32, "1e-7°"),
        field(4, "expire", Time, "s"),
        field(5, "locked_to", Node, ""),
        field(6, "name", Text, ""),
        field(7, "description", Text, ""),
        field(8, "icon", Fixed32, ""),
        field(9, "geofence_radius", Uint, "m"),
    ],
};

/// `MapReport`.
pub static MAP_REPORT: MessageSpec = MessageSpec {
    name: "MapReport",
    fields: &[
        field(1, "long_name", Text, ""),
        field(2, "short_name", Text, ""),
        field(3, "role", Enum(enums::ROLE), ""),
        field(4, "hw_model", Enum(enums::HARDWARE), ""),
        field(5, "firmware_version", Text, ""),
        field(6, "region", Enum(enums::REGION), ""),
        field(7, "modem_preset", Enum(enums::MODEM_PRESET), ""),
        field(8, "has_default_channel", Bool, ""),
        field(9, "latitude_i", Sfixed32, "1e-7°"),
        field(10, "longitude_i", Sfixed32, "1e-7°"),
        field(11, "altitude", Int, "m"),
        field(12, "position_precision", Uint, "bits"),
        field(13, "num_online_local_nodes", Uint, ""),
        field(14, "has_opted_report_location", Bool, ""),
    ],
};

/// `Statistics`.
pub static STORE_FORWARD_STATS: MessageSpec = MessageSpec {
    name: "Statistics",
    fields: &[
        field(1, "messages_total", Uint, ""),
        field(2, "messages_saved", Uint, ""),
        field(3, "messages_max", Uint, ""),
        field(4, "up_time", Uint, "s"),
        field(5, "requests", Uint, ""),
        field(6, "requests_history", Uint, ""),
        field(7, "heartbeat", Bool, ""),
        field(8, "return_max", Uint, ""),
        field(9, "return_window", Uint, "min"),
    ],
};

/// `History`.
pub static STORE_FORWARD_HISTORY: MessageSpec = MessageSpec {
    name: "History",
    fields: &[
        field(1, "history_messages", Uint, ""),
        field(2, "window", Uint, "ms"),
        field(3, "last_request", Uint, ""),
    ],
};

/// `Heartbeat`.
pub static STORE_FORWARD_HEARTBEAT: MessageSpec = MessageSpec {
    name: "Heartbeat",
    fields: &[field(1, "period", Uint, "s"), field(2, "secondary", Uint, "")],
};

/// `StoreAndForward`.
pub static STORE_FORWARD: MessageSpec = MessageSpec {
    name: "StoreAndForward",
    fields: &[
        field(1, "rr", Enum(enums::STORE_FORWARD), ""),
        field(2, "stats", Message(&STORE_FORWARD_STATS), ""),
        field(3, "history", Message(&STORE_FORWARD_HISTORY), ""),
        field(4, "heartbeat", Message(&STORE_FORWARD_HEARTBEAT), ""),
        field(5, "text", Bytes, ""),
    ],
};

/// `Paxcount`.
pub static PAXCOUNT: MessageSpec = MessageSpec {
    name: "Paxcount",
    fields: &[field(1, "wifi", Uint, ""), field(2, "ble", Uint, ""), field(3, "uptime", Uint, "s")],
};

/// `HardwareMessage`.
pub static HARDWARE_MESSAGE: MessageSpec = MessageSpec {
    name: "HardwareMessage",
    fields: &[
        field(1, "type", Enum(enums::HARDWARE_MESSAGE), ""),
        field(2, "gpio_mask", Uint, ""),
        field(3, "gpio_value", Uint, ""),
    ],
};

/// `StatusMessage`.
pub static STATUS_MESSAGE: MessageSpec =
    MessageSpec { name: "StatusMessage", fields: &[field(1, "status", Text, "")] };

/// `ModuleSettings`.
pub static MODULE_SETTINGS: MessageSpec = MessageSpec {
    name: "ModuleSettings",
    fields: &[field(1, "position_precision", Uint, "bits"), field(2, "is_muted", Bool, "")],
};

/// `ChannelSettings`.
pub static CHANNEL_SETTINGS: MessageSpec = MessageSpec {
    name: "ChannelSettings",
    fields: &[
        field(1, "channel_num", Uint, ""),
        field(2, "psk", Secret, ""),
        field(3, "name", Text, ""),
        field(4, "id", Fixed32, ""),
        field(5, "uplink_enabled", Bool, ""),
        field(6, "downlink_enabled", Bool, ""),
        field(7, "module_settings", Message(&MODULE_SETTINGS), ""),
        field(8, "use_aead", Bool, ""),
    ],
};

/// `MeshBeacon`.
pub static MESH_BEACON: MessageSpec = MessageSpec {
    name: "MeshBeacon",
    fields: &[
        field(1, "message", Text, ""),
        field(2, "offer_channel", Message(&CHANNEL_SETTINGS), ""),
        field(3, "offer_region", Enum(enums::REGION), ""),
        field(4, "offer_preset", Enum(enums::MODEM_PRESET), ""),
    ],
};
