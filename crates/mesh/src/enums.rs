//! Names of enum values (`mesh.proto`, `config.proto`, `telemetry.proto`). One table each; unknown numbers survive.

/// An enum's names by number.
pub type Names = &'static [(u32, &'static str)];

/// The name of a number.
pub fn name_of(names: Names, number: u32) -> Option<&'static str> {
    names.iter().find(|(n, _)| *n == number).map(|(_, name)| *name)
}

/// Device roles.
pub const ROLE: Names = &[
    (0, "CLIENT"),
    (1, "CLIENT_MUTE"),
    (2, "ROUTER"),
    (3, "ROUTER_CLIENT"),
    (4, "REPEATER"),
    (5, "TRACKER"),
    (6, "SENSOR"),
    (7, "TAK"),
    (8, "CLIENT_HIDDEN"),
    (9, "LOST_AND_FOUND"),
    (10, "TAK_TRACKER"),
    (11, "ROUTER_LATE"),
    (12, "CLIENT_BASE"),
];

/// Where a position comes from.
pub const LOCATION_SOURCE: Names =
    &[(0, "LOC_UNSET"), (1, "LOC_MANUAL"), (2, "LOC_INTERNAL"), (3, "LOC_EXTERNAL")];

/// Where an altitude comes from.
pub const ALTITUDE_SOURCE: Names =
    &[(0, "ALT_UNSET"), (1, "ALT_MANUAL"), (2, "ALT_INTERNAL"), (3, "ALT_EXTERNAL"), (4, "ALT_BAROMETRIC")];

/// Routing errors.
pub const ROUTING_ERROR: Names = &[
    (0, "NONE"),
    (1, "NO_ROUTE"),
    (2, "GOT_NAK"),
    (3, "TIMEOUT"),
    (4, "NO_INTERFACE"),
    (5, "MAX_RETRANSMIT"),
    (6, "NO_CHANNEL"),
    (7, "TOO_LARGE"),
    (8, "NO_RESPONSE"),
    (9, "DUTY_CYCLE_LIMIT"),
    (32, "BAD_REQUEST"),
    (33, "NOT_AUTHORIZED"),
    (34, "PKI_FAILED"),
    (35, "PKI_UNKNOWN_PUBKEY"),
    (36, "ADMIN_BAD_SESSION_KEY"),
    (37, "ADMIN_PUBLIC_KEY_UNAUTHORIZED"),
    (38, "RATE_LIMIT_EXCEEDED"),
    (39, "PKI_SEND_FAIL_PUBLIC_KEY"),
];

/// Store-and-forward requests and answers.
pub const STORE_FORWARD: Names = &[
    (0, "UNSET"),
    (1, "ROUTER_ERROR"),
    (2, "ROUTER_HEARTBEAT"),
    (3, "ROUTER_PING"),
    (4, "ROUTER_PONG"),
    (5, "ROUTER_BUSY"),
    (6, "ROUTER_HISTORY"),
    (7, "ROUTER_STATS"),
    (8, "ROUTER_TEXT_DIRECT"),
    (9, "ROUTER_TEXT_BROADCAST"),
    (64, "CLIENT_ERROR"),
    (65, "CLIENT_HISTORY"),
    (66, "CLIENT_STATS"),
    (67, "CLIENT_PING"),
    (68, "CLIENT_PONG"),
    (106, "CLIENT_ABORT"),
];

/// Remote hardware messages.
pub const HARDWARE_MESSAGE: Names = &[
    (0, "UNSET"),
    (1, "WRITE_GPIOS"),
    (2, "WATCH_GPIOS"),
    (3, "GPIOS_CHANGED"),
    (4, "READ_GPIOS"),
    (5, "READ_GPIOS_REPLY"),
];

/// Modem presets.
pub const MODEM_PRESET: Names = &[
    (0, "LONG_FAST"),
    (1, "LONG_SLOW"),
    (2, "VERY_LONG_SLOW"),
    (3, "MEDIUM_SLOW"),
    (4, "MEDIUM_FAST"),
    (5, "SHORT_SLOW"),
    (6, "SHORT_FAST"),
    (7, "LONG_MODERATE"),
    (8, "SHORT_TURBO"),
    (9, "LONG_TURBO"),
    (10, "LITE_FAST"),
    (11, "LITE_SLOW"),
    (12, "NARROW_FAST"),
    (13, "NARROW_SLOW"),
    (14, "TINY_FAST"),
    (15, "TINY_SLOW"),
    (16, "MEDIUM_TURBO"),
];

/// Regions.
pub const REGION: Names = &[
    (0, "UNSET"),
    (1, "US"),
    (2, "EU_433"),
    (3, "EU_868"),
    (4, "CN"),
    (5, "JP"),
    (6, "ANZ"),
    (7, "KR"),
    (8, "TW"),
    (9, "RU"),
    (10, "IN"),
    (11, "NZ_865"),
    (12, "TH"),
    (13, "LORA_24"),
    (14, "UA_433"),
    (15, "UA_868"),
    (16, "MY_433"),
    (17, "MY_919"),
    (18, "SG_923"),
    (19, "PH_433"),
    (20, "PH_868"),
    (21, "PH_915"),
    (22, "ANZ_433"),
    (23, "KZ_433"),
    (24, "KZ_863"),
    (25, "NP_865"),
    (26, "BR_902"),
    (27, "ITU1_2M"),
    (28, "ITU2_2M"),
    (29, "EU_866"),
    (30, "EU_874"),
    (31, "EU_917"),
    (32, "EU_N_868"),
    (33, "ITU3_2M"),
    (34, "ITU1_70CM"),
    (35, "ITU2_70CM"),
    (36, "ITU3_70CM"),
    (37, "ITU2_125CM"),
];

/// Hardware models that are common; new ones appear every few weeks and show as their number.
pub const HARDWARE: Names = &[
    (0, "UNSET"),
    (1, "TLORA_V2"),
    (2, "TLORA_V1"),
    (3, "TLORA_V2_1_1P6"),
    (4, "TBEAM"),
    (5, "HELTEC_V2_0"),
    (6, "TBEAM_V0P7"),
    (7, "T_ECHO"),
    (8, "TLORA_V1_1P3"),
    (9, "RAK4631"),
    (10, "HELTEC_V2_1"),
    (11, "HELTEC_V1"),
    (12, "LILYGO_TBEAM_S3_CORE"),
    (13, "RAK11200"),
    (14, "NANO_G1"),
    (15, "TLORA_V2_1_1P8"),
    (16, "TLORA_T3_S3"),
    (17, "NANO_G1_EXPLORER"),
    (18, "NANO_G2_ULTRA"),
    (21, "WIO_WM1110"),
    (25, "STATION_G1"),
    (26, "RAK11310"),
    (29, "CANARYONE"),
    (31, "STATION_G2"),
    (37, "PORTDUINO"),
    (39, "DIY_V1"),
    (43, "HELTEC_V3"),
    (44, "HELTEC_WSL_V3"),
    (47, "RPI_PICO"),
    (48, "HELTEC_WIRELESS_TRACKER"),
    (49, "HELTEC_WIRELESS_PAPER"),
    (50, "T_DECK"),
    (51, "T_WATCH_S3"),
    (69, "HELTEC_MESH_NODE_T114"),
    (70, "SENSECAP_INDICATOR"),
    (71, "TRACKER_T1000_E"),
    (255, "PRIVATE_HW"),
];
