//! What the operator chose to tell.

/// What is told, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Packets in the JSON of firmware 2.7.
    pub firmware_json: HowOften,
    /// Packets in this program's own JSON.
    pub packet_json: HowOften,
    /// Channels whose packets are told, in the order of their index in the firmware's JSON. Empty: those that anyone can
    /// read, all with index 0.
    pub channels: Vec<Box<str>>,
    /// Home Assistant.
    pub home_assistant: HomeAssistantSettings,
}

impl Settings {
    /// Whether nothing is told at all.
    pub fn is_silent(&self) -> bool {
        self.firmware_json == HowOften::Never
            && self.packet_json == HowOften::Never
            && self.home_assistant.who == Who::Nobody
    }
}

/// How often a packet is told that several gateways heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HowOften {
    /// Not at all.
    #[default]
    Never,
    /// Once, as the first gateway heard it.
    OncePerPacket,
    /// For each gateway, as it heard it.
    PerReception,
}

/// What Home Assistant is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeAssistantSettings {
    /// Of whom.
    pub who: Who,
    /// The chosen nodes.
    pub nodes: Vec<u32>,
    /// Its discovery prefix.
    pub prefix: Box<str>,
    /// A node that was silent for this long is shown as offline, ms.
    pub silent_ms: i64,
}

impl Default for HomeAssistantSettings {
    fn default() -> Self {
        Self { who: Who::Nobody, nodes: Vec::new(), prefix: "homeassistant".into(), silent_ms: 7_200_000 }
    }
}

/// Of which nodes Home Assistant is told. Consent is needed in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Who {
    /// None.
    #[default]
    Nobody,
    /// Those on the list.
    Chosen,
    /// Every node whose packets say that it agrees to MQTT.
    Consenting,
}
