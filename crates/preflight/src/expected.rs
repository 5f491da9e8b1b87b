//! What the mesh wants of a node that becomes its gateway.

/// What is expected. What is `None` is not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// What people call the mesh.
    pub mesh: String,
    /// Host of the broker, without port.
    pub server: Option<String>,
    /// Topic root.
    pub root: Option<String>,
    /// LoRa region, the protocol's name.
    pub region: Option<String>,
    /// Modem preset, the protocol's name.
    pub preset: Option<String>,
    /// Highest hop limit of a node, 1–7.
    pub hop_limit_max: u8,
    /// Whether the owner has agreed with the operator on downlink.
    pub has_downlink_grant: bool,
    /// Whether the owner has agreed with the operator on further telemetry and sensors.
    pub has_telemetry_grant: bool,
}

impl Default for Expected {
    fn default() -> Self {
        Self {
            mesh: "the mesh".to_owned(),
            server: None,
            root: None,
            region: None,
            preset: None,
            hop_limit_max: 3,
            has_downlink_grant: false,
            has_telemetry_grant: false,
        }
    }
}
