//! Makes channel links (`https://meshtastic.org/e/#…`): channels and radio settings for an app to take over, as text and
//! for a QR code. A key goes in as bytes, for this one text, and is not kept.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mesh::enums::Names;
use mesh::wire::{put_bytes, put_uint};

/// Longest channel name that firmware holds, bytes (meshtastic.md § 8.2).
pub const CHANNEL_NAME_BYTES_MAX: usize = 11;

/// A channel as a link tells it.
pub struct ChannelToShare<'a> {
    /// Its name; empty for the preset's.
    pub name: &'a str,
    /// Its key as it is configured: `[1]` is the published default, 32 bytes are a strong one.
    pub psk: &'a [u8],
    /// Whether the node passes to MQTT what it hears there.
    pub uplink: bool,
    /// Whether the node transmits there what comes from MQTT.
    pub downlink: bool,
    /// Precision of positions sent there, bits; `None` leaves it to the node.
    pub precision_bits: Option<u32>,
}

/// Radio settings of a link.
pub struct RadioToShare<'a> {
    /// Modem preset, the protocol's name.
    pub preset: &'a str,
    /// Region, the protocol's name.
    pub region: &'a str,
    /// Hop limit, 1 to 7.
    pub hop_limit: u8,
}

/// Why a channel cannot be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotShareable {
    /// The name does not fit the firmware.
    Name,
    /// The key has neither 0, 1, 16 nor 32 bytes.
    Key,
}

impl std::fmt::Display for NotShareable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name => write!(
                f,
                "a channel's name has 1 to {CHANNEL_NAME_BYTES_MAX} bytes without control characters"
            ),
            Self::Key => f.write_str("a channel's key has 0, 1, 16 or 32 bytes"),
        }
    }
}

impl std::error::Error for NotShareable {}

/// The link to these channels, the first of which becomes the primary one.
///
/// # Errors
/// When firmware could not take one of them.
pub fn channel_link(
    channels: &[ChannelToShare<'_>],
    radio: Option<&RadioToShare<'_>>,
) -> Result<String, NotShareable> {
    let mut set = Vec::new();
    for channel in channels {
        if channel.name.len() > CHANNEL_NAME_BYTES_MAX || channel.name.chars().any(char::is_control) {
            return Err(NotShareable::Name);
        }
        if !matches!(channel.psk.len(), 0 | 1 | 16 | 32) {
            return Err(NotShareable::Key);
        }
        put_bytes(&mut set, 1, &settings(channel));
    }
    if let Some(radio) = radio {
        put_bytes(&mut set, 2, &lora(radio));
    }
    Ok(format!("https://meshtastic.org/e/#{}", URL_SAFE_NO_PAD.encode(set)))
}

/// The link that adds a channel beside those that a node has.
///
/// # Errors
/// When firmware could not take it.
pub fn link_to_add(channel: &ChannelToShare<'_>) -> Result<String, NotShareable> {
    if channel.name.is_empty() {
        return Err(NotShareable::Name);
    }
    let link = channel_link(std::slice::from_ref(channel), None)?;
    // The apps take the query before the fragment.
    Ok(link.replacen("/e/#", "/e/?add=true#", 1))
}

/// A channel's key in base64, as apps and `meshtastic --ch-set psk base64:…` take it.
pub fn psk_text(psk: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(psk)
}

/// `ChannelSettings` of `channel.proto`.
fn settings(channel: &ChannelToShare<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    if !channel.psk.is_empty() {
        put_bytes(&mut out, 2, channel.psk);
    }
    if !channel.name.is_empty() {
        put_bytes(&mut out, 3, channel.name.as_bytes());
    }
    for (number, is_on) in [(5, channel.uplink), (6, channel.downlink)] {
        if is_on {
            put_uint(&mut out, number, 1);
        }
    }
    if let Some(bits) = channel.precision_bits {
        let mut module = Vec::new();
        put_uint(&mut module, 1, u64::from(bits));
        put_bytes(&mut out, 7, &module);
    }
    out
}

/// `LoRaConfig` of `config.proto`. A link without `tx_enabled` would silence the node.
fn lora(radio: &RadioToShare<'_>) -> Vec<u8> {
    let number = |names: Names, name: &str| names.iter().find(|(_, n)| *n == name).map_or(0, |(n, _)| *n);
    let mut out = Vec::new();
    put_uint(&mut out, 1, 1);
    put_uint(&mut out, 2, u64::from(number(mesh::enums::MODEM_PRESET, radio.preset)));
    put_uint(&mut out, 7, u64::from(number(mesh::enums::REGION, radio.region)));
    put_uint(&mut out, 8, u64::from(radio.hop_limit));
    put_uint(&mut out, 9, 1);
    out
}

#[cfg(test)]
mod tests {
    use mesh::key::KeyClass;

    use super::*;
    use crate::channel_link::take;
    use crate::node_config::{Knows, NodeConfig, Source};

    #[test]
    fn what_is_made_is_read_as_the_same() {
        let radio = RadioToShare { preset: "LONG_FAST", region: "US", hop_limit: 3 };
        let open =
            ChannelToShare { name: "", psk: &[1], uplink: true, downlink: false, precision_bits: Some(13) };
        let town = ChannelToShare {
            name: "Town",
            psk: &[7; 32],
            uplink: false,
            downlink: true,
            precision_bits: None,
        };
        let link = channel_link(&[open, town], Some(&radio)).unwrap();
        let mut config = NodeConfig::new(Source::ChannelLink, Knows::Lora);
        take(&mut config, &link).unwrap();
        let channels = config.channels.unwrap();
        assert_eq!((channels[0].key_class, channels[1].key_class), (KeyClass::Default, KeyClass::Private));
        assert_eq!(
            (channels[0].uplink, channels[0].downlink, channels[0].precision_bits),
            (true, false, Some(13))
        );
        assert_eq!(
            (channels[1].name.as_str(), channels[1].uplink, channels[1].downlink),
            ("Town", false, true)
        );
    }

    #[test]
    fn what_firmware_could_not_take_is_not_made() {
        let channel =
            |name, psk| ChannelToShare { name, psk, uplink: false, downlink: false, precision_bits: None };
        assert_eq!(channel_link(&[channel("twelve bytes", &[1])], None), Err(NotShareable::Name));
        assert_eq!(channel_link(&[channel("Town", &[1, 2])], None), Err(NotShareable::Key));
        assert_eq!(link_to_add(&channel("", &[1])), Err(NotShareable::Name));
        assert!(link_to_add(&channel("Town", &[7; 32])).unwrap().contains("/e/?add=true#"));
    }
}
