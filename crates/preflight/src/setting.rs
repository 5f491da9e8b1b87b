//! The settings of a node that matter here: one table with the name on the command line, the place in a binary profile,
//! and where the apps show it (`config.proto`, `module_config.proto`).

use mesh::enums::{self, Names};

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its section: `mqtt`, `lora`, …
    pub section: &'static str,
    /// Whether the section is a module's.
    pub is_module: bool,
    /// Number of the section in `LocalConfig` or `LocalModuleConfig`.
    pub section_number: u32,
    /// Field numbers from the section down to it.
    pub numbers: &'static [u32],
    /// Its name below the section, as the command line has it; a dot between levels.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What the apps call it.
    pub label: &'static str,
}

/// What a setting holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A number.
    Number,
    /// Text.
    Text,
    /// One of some names.
    Enum(Names),
    /// Something that must not be shown or kept: only whether it is set is kept.
    Secret,
    /// As many of them as there are; the content is not kept.
    Count,
}

impl Setting {
    /// The name that `meshtastic --set` takes.
    pub fn set_name(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Where the apps show it.
    pub fn app_path(&self) -> String {
        let root = if self.is_module { "Module configuration" } else { "Radio configuration" };
        format!("{root} › {} › {}", section_label(self.section), self.label)
    }

    /// The name as [`crate::node_config::NodeConfig`] finds it: camelCase and snake_case are the same.
    pub(crate) fn key(&self) -> String {
        normal(&self.set_name())
    }
}

/// A name without the differences between camelCase and snake_case.
pub(crate) fn normal(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

fn section_label(section: &str) -> &str {
    match section {
        "mqtt" => "MQTT",
        "lora" => "LoRa",
        "device" => "Device",
        "position" => "Position",
        "power" => "Power",
        "network" => "Network",
        "security" => "Security",
        "telemetry" => "Telemetry",
        "neighbor_info" => "Neighbor Info",
        "range_test" => "Range Test",
        "serial" => "Serial",
        "store_forward" => "Store & Forward",
        "detection_sensor" => "Detection Sensor",
        "paxcounter" => "Paxcounter",
        "audio" => "Audio",
        other => other,
    }
}

/// Values of `Config.DeviceConfig.RebroadcastMode`.
const REBROADCAST: Names = &[
    (0, "ALL"),
    (1, "ALL_SKIP_DECODING"),
    (2, "LOCAL_ONLY"),
    (3, "KNOWN_ONLY"),
    (4, "NONE"),
    (5, "CORE_PORTNUMS_ONLY"),
];

/// Values of `Config.PositionConfig.GpsMode`.
const GPS_MODE: Names = &[(0, "DISABLED"), (1, "ENABLED"), (2, "NOT_PRESENT")];

macro_rules! settings {
    ($($constant:ident = $root:ident $section:literal $number:literal . $numbers:expr, $name:literal, $kind:expr, $label:literal;)*) => {
        $(#[doc = concat!("`", $section, ".", $name, "`")]
        pub static $constant: Setting = Setting {
            section: $section,
            is_module: settings!(@ $root),
            section_number: $number,
            numbers: &$numbers,
            name: $name,
            kind: $kind,
            label: $label,
        };)*

        /// Every setting that is read.
        pub static SETTINGS: &[&Setting] = &[$(&$constant),*];
    };
    (@ Config) => { false };
    (@ Module) => { true };
}

use Kind::{Bool, Count, Enum, Number, Secret, Text};

settings! {
    ROLE = Config "device" 1 . [1], "role", Enum(enums::ROLE), "Role";
    REBROADCAST_MODE = Config "device" 1 . [6], "rebroadcast_mode", Enum(REBROADCAST), "Rebroadcast mode";
    NODE_INFO_SECS = Config "device" 1 . [7], "node_info_broadcast_secs", Number, "Node info broadcast interval";
    POSITION_SECS = Config "position" 2 . [1], "position_broadcast_secs", Number, "Broadcast interval";
    SMART_POSITION = Config "position" 2 . [2], "position_broadcast_smart_enabled", Bool, "Smart position";
    FIXED_POSITION = Config "position" 2 . [3], "fixed_position", Bool, "Fixed position";
    SMART_MIN_SECS = Config "position" 2 . [11], "broadcast_smart_minimum_interval_secs", Number, "Minimum interval";
    GPS = Config "position" 2 . [13], "gps_mode", Enum(GPS_MODE), "GPS mode";
    POWER_SAVING = Config "power" 3 . [1], "is_power_saving", Bool, "Power saving";
    WIFI_ENABLED = Config "network" 4 . [1], "wifi_enabled", Bool, "WiFi enabled";
    WIFI_PSK = Config "network" 4 . [4], "wifi_psk", Secret, "WiFi password";
    ETH_ENABLED = Config "network" 4 . [6], "eth_enabled", Bool, "Ethernet enabled";
    RSYSLOG = Config "network" 4 . [9], "rsyslog_server", Text, "Rsyslog server";
    PROTOCOLS = Config "network" 4 . [10], "enabled_protocols", Number, "Mesh via UDP";
    USE_PRESET = Config "lora" 6 . [1], "use_preset", Bool, "Use preset";
    PRESET = Config "lora" 6 . [2], "modem_preset", Enum(enums::MODEM_PRESET), "Preset";
    REGION = Config "lora" 6 . [7], "region", Enum(enums::REGION), "Region";
    HOP_LIMIT = Config "lora" 6 . [8], "hop_limit", Number, "Number of hops";
    TX_ENABLED = Config "lora" 6 . [9], "tx_enabled", Bool, "Transmit enabled";
    OVERRIDE_DUTY_CYCLE = Config "lora" 6 . [12], "override_duty_cycle", Bool, "Override duty cycle";
    IGNORE_MQTT = Config "lora" 6 . [104], "ignore_mqtt", Bool, "Ignore MQTT";
    OK_TO_MQTT = Config "lora" 6 . [105], "config_ok_to_mqtt", Bool, "OK to MQTT";
    PRIVATE_KEY = Config "security" 9 . [2], "private_key", Secret, "Private key";
    ADMIN_KEYS = Config "security" 9 . [3], "admin_key", Count, "Admin keys";
    IS_MANAGED = Config "security" 9 . [4], "is_managed", Bool, "Managed mode";
    DEBUG_LOG_API = Config "security" 9 . [6], "debug_log_api_enabled", Bool, "Debug log API";
    ADMIN_CHANNEL = Config "security" 9 . [8], "admin_channel_enabled", Bool, "Legacy admin channel";
    MQTT_ENABLED = Module "mqtt" 1 . [1], "enabled", Bool, "MQTT enabled";
    MQTT_ADDRESS = Module "mqtt" 1 . [2], "address", Text, "Server address";
    MQTT_USERNAME = Module "mqtt" 1 . [3], "username", Text, "Username";
    MQTT_PASSWORD = Module "mqtt" 1 . [4], "password", Secret, "Password";
    MQTT_ENCRYPTION = Module "mqtt" 1 . [5], "encryption_enabled", Bool, "Encryption enabled";
    MQTT_JSON = Module "mqtt" 1 . [6], "json_enabled", Bool, "JSON output enabled";
    MQTT_TLS = Module "mqtt" 1 . [7], "tls_enabled", Bool, "TLS enabled";
    MQTT_ROOT = Module "mqtt" 1 . [8], "root", Text, "Root topic";
    MQTT_PROXY = Module "mqtt" 1 . [9], "proxy_to_client_enabled", Bool, "Proxy to client";
    MAP_REPORTING = Module "mqtt" 1 . [10], "map_reporting_enabled", Bool, "Map reporting";
    MAP_SECS = Module "mqtt" 1 . [11, 1], "map_report_settings.publish_interval_secs", Number, "Map report interval";
    MAP_PRECISION = Module "mqtt" 1 . [11, 2], "map_report_settings.position_precision", Number, "Map report precision";
    SERIAL = Module "serial" 2 . [1], "enabled", Bool, "Serial enabled";
    STORE_FORWARD = Module "store_forward" 4 . [1], "enabled", Bool, "Store & Forward enabled";
    RANGE_TEST = Module "range_test" 5 . [1], "enabled", Bool, "Range test enabled";
    RANGE_TEST_SENDER = Module "range_test" 5 . [2], "sender", Number, "Sender message interval";
    DEVICE_TELEMETRY_SECS = Module "telemetry" 6 . [1], "device_update_interval", Number, "Device metrics interval";
    ENVIRONMENT_SECS = Module "telemetry" 6 . [2], "environment_update_interval", Number, "Environment interval";
    ENVIRONMENT = Module "telemetry" 6 . [3], "environment_measurement_enabled", Bool, "Environment metrics";
    AIR_QUALITY = Module "telemetry" 6 . [6], "air_quality_enabled", Bool, "Air quality metrics";
    AIR_QUALITY_SECS = Module "telemetry" 6 . [7], "air_quality_interval", Number, "Air quality interval";
    POWER_METRICS = Module "telemetry" 6 . [8], "power_measurement_enabled", Bool, "Power metrics";
    POWER_SECS = Module "telemetry" 6 . [9], "power_update_interval", Number, "Power interval";
    HEALTH = Module "telemetry" 6 . [11], "health_measurement_enabled", Bool, "Health metrics";
    HEALTH_SECS = Module "telemetry" 6 . [12], "health_update_interval", Number, "Health interval";
    DEVICE_TELEMETRY = Module "telemetry" 6 . [14], "device_telemetry_enabled", Bool, "Device metrics";
    AUDIO = Module "audio" 9 . [1], "codec2_enabled", Bool, "Codec 2 enabled";
    NEIGHBOR_INFO = Module "neighbor_info" 11 . [1], "enabled", Bool, "Neighbor info enabled";
    NEIGHBOR_SECS = Module "neighbor_info" 11 . [2], "update_interval", Number, "Update interval";
    NEIGHBOR_LORA = Module "neighbor_info" 11 . [3], "transmit_over_lora", Bool, "Transmit over LoRa";
    DETECTION_SENSOR = Module "detection_sensor" 13 . [1], "enabled", Bool, "Detection sensor enabled";
    PAXCOUNTER = Module "paxcounter" 14 . [1], "enabled", Bool, "Paxcounter enabled";
}
