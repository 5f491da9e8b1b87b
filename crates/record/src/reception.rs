//! One reception: exact bytes, what they were found to be, and the decision. Values only.

use std::sync::Arc;

use mesh::observe::Facts;
use mesh::packet::PacketHeader;

use policy::decision::Decision;

/// One gateway's uplink of one packet, with the decision on it.
#[derive(Debug, Clone)]
pub struct Reception {
    /// Number of the reception: rises by one, never reused, survives restarts.
    pub seq: u64,
    /// When it arrived, Unix milliseconds.
    pub at_ms: i64,
    /// MQTT client identifier of the sender.
    pub client_id: Arc<str>,
    /// Name of the credential it signed in with; `None` for a loopback guest.
    pub username: Option<Arc<str>>,
    /// Node number of the gateway: from the topic, else from the envelope.
    pub gateway: Option<u32>,
    /// Topic Name as published.
    pub topic: Arc<str>,
    /// Application payload, byte for byte.
    pub payload: Arc<[u8]>,
    /// Quality of Service of the publish, 0–2.
    pub qos: u8,
    /// Whether the publish asked to be retained.
    pub retain: bool,
    /// Header of the packet; `None` when the payload held none.
    pub packet: Option<PacketSummary>,
    /// Channel name from the envelope, else from the topic.
    pub channel: Option<Arc<str>>,
    /// Port number of the decoded packet; `None` when it could not be opened.
    pub port: Option<u32>,
    /// Whether the sender agreed to MQTT.
    pub consent: Consent,
    /// How public the key of its channel is.
    pub key_class: KeyClass,
    /// Facts as the bits of `mesh`'s flag set.
    pub flags: u64,
    /// Bytes on the air, LoRa header included; `None` when there is no packet.
    pub frame_bytes: Option<u16>,
    /// Time on air in microseconds on the preset assumed for its channel.
    pub airtime_us: Option<u32>,
    /// The decision.
    pub decision: Decision,
}

/// The header fields of a packet that people search and pages show.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PacketSummary {
    /// Sender's node number.
    pub from: u32,
    /// Destination's node number; `0xffff_ffff` is everyone.
    pub to: u32,
    /// Packet id; with `from` it identifies the packet. 0 identifies nothing.
    pub id: u32,
    /// Hops left, 0–7 when valid.
    pub hop_limit: u8,
    /// Hops it started with, 0–7 when valid, 0 when unknown.
    pub hop_start: u8,
    /// Hops travelled, when known.
    pub hops_away: Option<u8>,
    /// Received signal strength in dBm; `None` for the gateway's own packets.
    pub rx_rssi: Option<i32>,
    /// Signal-to-noise ratio in dB; `None` for the gateway's own packets.
    pub rx_snr: Option<f32>,
    /// Gateway's clock at reception, Unix seconds; 0 when it had none.
    pub rx_time: u32,
    /// Last byte of the node it was heard from; 0 unknown.
    pub relay_node: u8,
    /// Last byte of the wanted next relay; 0 none.
    pub next_hop: u8,
    /// Whether an acknowledgement was asked for.
    pub want_ack: bool,
    /// Data field `request_id`: the packet this answers; 0 none.
    pub request_id: u32,
}

impl PacketSummary {
    /// What stands in a packet's header, with what was found out about it.
    pub fn of(header: &PacketHeader, facts: &Facts<'_>) -> Self {
        Self {
            from: header.from.0,
            to: header.to.0,
            id: header.id,
            hop_limit: u8::try_from(header.hop_limit).unwrap_or(u8::MAX),
            hop_start: u8::try_from(header.hop_start).unwrap_or(u8::MAX),
            hops_away: facts.hops_away,
            rx_rssi: (header.rx_rssi != 0).then_some(header.rx_rssi),
            rx_snr: (header.rx_rssi != 0 || header.rx_snr != 0.0).then_some(header.rx_snr),
            rx_time: header.rx_time,
            relay_node: header.relay_node,
            next_hop: header.next_hop,
            want_ack: header.want_ack,
            request_id: facts.data.as_ref().map_or(0, |data| data.request_id),
        }
    }
}

/// Whether the sender of a packet agreed to MQTT (the ok-to-MQTT bit). The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Consent {
    /// It could not be seen: the packet is opaque, or comes from firmware without the bit.
    Unknown = 0,
    /// The bit is set, or the gateway published its own packet.
    Yes = 1,
    /// The bit is clear.
    No = 2,
}

/// How public the key of a packet's channel is. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum KeyClass {
    /// No key we know opens it.
    Unknown = 0,
    /// Not encrypted at all.
    Unencrypted = 1,
    /// The published default key.
    Default = 2,
    /// A one-byte key: anyone can try all of them.
    Simple = 3,
    /// A published key, such as the event key.
    Known = 4,
    /// A key of the operator's that is not published.
    Private = 5,
    /// Public-key encryption between two nodes.
    Pki = 6,
}

impl From<mesh::observe::Consent> for Consent {
    fn from(consent: mesh::observe::Consent) -> Self {
        match consent {
            mesh::observe::Consent::Yes => Self::Yes,
            mesh::observe::Consent::No => Self::No,
            mesh::observe::Consent::Unknown => Self::Unknown,
        }
    }
}

impl From<mesh::key::KeyClass> for KeyClass {
    fn from(class: mesh::key::KeyClass) -> Self {
        use mesh::key::KeyClass as Mesh;
        match class {
            Mesh::Default => Self::Default,
            Mesh::Simple => Self::Simple,
            Mesh::Known => Self::Known,
            Mesh::Private => Self::Private,
            Mesh::Pki => Self::Pki,
            Mesh::Unencrypted => Self::Unencrypted,
            Mesh::Unknown => Self::Unknown,
        }
    }
}

macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal),* $(,)? }) => {
        impl $type {
            /// Every value, in the order of its stored number.
            pub const ALL: &[$type] = &[$($type::$variant),*];

            /// The word used in history, filters and pages.
            pub const fn word(self) -> &'static str {
                match self { $($type::$variant => $word),* }
            }

            /// The stored number.
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The value with that stored number.
            pub fn from_code(code: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.code() == code)
            }

            /// The value with that word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.word() == word)
            }
        }
    };
}
words!(Consent { Unknown => "unknown", Yes => "yes", No => "no" });
words!(KeyClass {
    Unknown => "unknown", Unencrypted => "unencrypted", Default => "default", Simple => "simple",
    Known => "known", Private => "private", Pki => "PKI",
});

impl KeyClass {
    /// Whether anyone may be able to read what this key protects: treated as public everywhere.
    pub const fn is_public(self) -> bool {
        matches!(self, Self::Unencrypted | Self::Default | Self::Simple | Self::Known)
    }
}

impl Reception {
    /// Who brought it for its gateway: the user name of a bridge or service, where it is not the gateway's own.
    pub fn brought_by(&self) -> Option<&str> {
        let name = self.username.as_deref()?;
        let is_own = self.gateway.is_some_and(|gateway| *name == *format!("gw-{gateway:08x}"));
        (!is_own).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_go_both_ways() {
        for v in Consent::ALL {
            assert_eq!((Consent::from_code(v.code()), Consent::from_word(v.word())), (Some(*v), Some(*v)));
        }
        for v in KeyClass::ALL {
            assert_eq!((KeyClass::from_code(v.code()), KeyClass::from_word(v.word())), (Some(*v), Some(*v)));
        }
    }
}
