//! Port numbers: what a packet's payload is. One table; unknown numbers survive.

/// A port number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortNum(pub u32);

macro_rules! ports {
    ($($constant:ident = $number:literal, $name:literal, $word:literal;)*) => {
        #[allow(missing_docs, reason = "the names are those of the protocol")]
        impl PortNum { $(pub const $constant: Self = Self($number);)* }

        const NAMES: &[(u32, &str, &str)] = &[$(($number, $name, $word)),*];
    };
}

ports! {
    UNKNOWN = 0, "UNKNOWN_APP", "unknown";
    TEXT_MESSAGE = 1, "TEXT_MESSAGE_APP", "text";
    REMOTE_HARDWARE = 2, "REMOTE_HARDWARE_APP", "remote hardware";
    POSITION = 3, "POSITION_APP", "position";
    NODEINFO = 4, "NODEINFO_APP", "nodeinfo";
    ROUTING = 5, "ROUTING_APP", "routing";
    ADMIN = 6, "ADMIN_APP", "admin";
    TEXT_COMPRESSED = 7, "TEXT_MESSAGE_COMPRESSED_APP", "compressed text";
    WAYPOINT = 8, "WAYPOINT_APP", "waypoint";
    AUDIO = 9, "AUDIO_APP", "audio";
    DETECTION_SENSOR = 10, "DETECTION_SENSOR_APP", "detection";
    ALERT = 11, "ALERT_APP", "alert";
    KEY_VERIFICATION = 12, "KEY_VERIFICATION_APP", "key verification";
    REMOTE_SHELL = 13, "REMOTE_SHELL_APP", "remote shell";
    REPLY = 32, "REPLY_APP", "reply";
    IP_TUNNEL = 33, "IP_TUNNEL_APP", "ip tunnel";
    PAXCOUNTER = 34, "PAXCOUNTER_APP", "paxcounter";
    STORE_FORWARD_PLUSPLUS = 35, "STORE_FORWARD_PLUSPLUS_APP", "store and forward++";
    NODE_STATUS = 36, "NODE_STATUS_APP", "node status";
    MESH_BEACON = 37, "MESH_BEACON_APP", "beacon";
    SERIAL = 64, "SERIAL_APP", "serial";
    STORE_FORWARD = 65, "STORE_FORWARD_APP", "store and forward";
    RANGE_TEST = 66, "RANGE_TEST_APP", "range test";
    TELEMETRY = 67, "TELEMETRY_APP", "telemetry";
    ZPS = 68, "ZPS_APP", "zps";
    SIMULATOR = 69, "SIMULATOR_APP", "simulator";
    TRACEROUTE = 70, "TRACEROUTE_APP", "traceroute";
    NEIGHBORINFO = 71, "NEIGHBORINFO_APP", "neighborinfo";
    ATAK_PLUGIN = 72, "ATAK_PLUGIN", "atak";
    MAP_REPORT = 73, "MAP_REPORT_APP", "map report";
    POWERSTRESS = 74, "POWERSTRESS_APP", "power stress";
    LORAWAN_BRIDGE = 75, "LORAWAN_BRIDGE", "lorawan bridge";
    RETICULUM_TUNNEL = 76, "RETICULUM_TUNNEL_APP", "reticulum";
    CAYENNE = 77, "CAYENNE_APP", "cayenne";
    ATAK_PLUGIN_V2 = 78, "ATAK_PLUGIN_V2", "atak v2";
    LORA_OTA = 79, "LORA_OTA_APP", "firmware update";
    GROUPALARM = 112, "GROUPALARM_APP", "group alarm";
    PRIVATE = 256, "PRIVATE_APP", "private";
    ATAK_FORWARDER = 257, "ATAK_FORWARDER", "atak forwarder";
    MAX = 511, "MAX", "max";
}

impl PortNum {
    /// The protocol's name; `None` for numbers it does not have.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|n| n.0 == self.0).map(|n| n.1)
    }

    /// A word for people; `port 300` for unknown numbers.
    pub fn word(self) -> std::borrow::Cow<'static, str> {
        match NAMES.iter().find(|n| n.0 == self.0) {
            Some(n) => n.2.into(),
            None => format!("port {}", self.0).into(),
        }
    }

    /// The port with that word, protocol name or number.
    pub fn from_word(text: &str) -> Option<Self> {
        let named = NAMES.iter().find(|n| n.2 == text || n.1.eq_ignore_ascii_case(text));
        named.map(|n| n.0).or_else(|| text.parse().ok()).map(Self)
    }

    /// Every word, in the order of numbers.
    pub fn words() -> impl Iterator<Item = (Self, &'static str)> {
        NAMES.iter().map(|n| (Self(n.0), n.2))
    }

    /// Administration, remote shell and firmware updates: they change a node.
    pub const fn is_remote_control(self) -> bool {
        matches!(self, Self::ADMIN | Self::REMOTE_SHELL | Self::LORA_OTA)
    }

    /// Text that people read as it is.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::TEXT_MESSAGE | Self::ALERT | Self::DETECTION_SENSOR | Self::RANGE_TEST)
    }
}
