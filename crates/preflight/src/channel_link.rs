//! Channel links (`https://meshtastic.org/e/#…`): a `ChannelSet` in base64url. Keys are classed and forgotten.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mesh::airtime::ModemPreset;
use mesh::key::{ChannelKey, KeyClass};
use mesh::wire::{Content, Field, Fields};

use crate::node_config::{NodeConfig, Raw};
use crate::setting;

/// One channel of a node. Its key is not in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its place, 0 for the primary one.
    pub index: usize,
    /// Its name; empty for the preset's.
    pub name: String,
    /// How public its key is.
    pub key_class: KeyClass,
    /// Whether the node passes to MQTT what it hears there.
    pub uplink: bool,
    /// Whether the node transmits there what comes from MQTT.
    pub downlink: bool,
    /// Precision of positions sent there, bits: 0 none are sent, 32 exact. `None`: the node's default.
    pub precision_bits: Option<u32>,
}

impl Channel {
    /// What people see: its name, or the preset's.
    pub fn shown_name(&self, preset: Option<ModemPreset>) -> &str {
        match self.name.as_str() {
            "" => preset.map_or("(no name)", ModemPreset::display_name),
            name => name,
        }
    }

    /// Whether anyone can read it.
    pub const fn is_public(&self) -> bool {
        matches!(
            self.key_class,
            KeyClass::Default | KeyClass::Simple | KeyClass::Known | KeyClass::Unencrypted
        )
    }
}

/// Channels that firmware has room for (`mesh-pb-constants.h`).
const CHANNELS_MAX: usize = 8;

/// Why a link is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoChannelLink(&'static str);

impl fmt::Display for NoChannelLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NoChannelLink {}

/// Whether a text looks like a channel link.
pub(crate) fn looks_like_one(text: &str) -> bool {
    let text = text.trim();
    !text.contains(char::is_whitespace)
        && text.contains('#')
        && (text.starts_with("http://") || text.starts_with("https://") || text.starts_with("meshtastic://"))
}

/// Takes in the channels and the radio settings of a link.
pub(crate) fn take(config: &mut NodeConfig, link: &str) -> Result<(), NoChannelLink> {
    let (_, fragment) = link
        .trim()
        .split_once('#')
        .ok_or(NoChannelLink("The channel link has no `#` with channels after it."))?;
    // Some apps write the older form `#…?add=true`.
    let code = fragment.split('?').next().unwrap_or_default().trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD.decode(code).map_err(|_| {
        NoChannelLink("What stands after `#` in the channel link is not base64url; was it cut off?")
    })?;
    let mut channels = Vec::new();
    for field in Fields::of(&bytes) {
        match field.map_err(|_| NoChannelLink("The channel link is damaged: it ends too early."))? {
            Field { number: 1, content: Content::Bytes(settings), .. } if channels.len() < CHANNELS_MAX => {
                channels.push(channel(channels.len(), settings)?);
            }
            Field { number: 2, content: Content::Bytes(lora), .. } => take_lora(config, lora)?,
            _ => {}
        }
    }
    if channels.is_empty() {
        return Err(NoChannelLink("The channel link holds no channel."));
    }
    config.channels = Some(channels);
    Ok(())
}

const DAMAGED: NoChannelLink = NoChannelLink("The channel link is damaged: a channel in it cannot be read.");

fn channel(index: usize, settings: &[u8]) -> Result<Channel, NoChannelLink> {
    let mut psk: &[u8] = &[];
    let mut channel = Channel {
        index,
        name: String::new(),
        key_class: KeyClass::Unencrypted,
        uplink: false,
        downlink: false,
        precision_bits: None,
    };
    for field in Fields::of(settings) {
        let field = field.map_err(|_| DAMAGED)?;
        match (field.number, field.content) {
            (2, Content::Bytes(bytes)) => psk = bytes,
            (3, Content::Bytes(name)) => channel.name = String::from_utf8_lossy(name).into_owned(),
            (5, Content::Varint(value)) => channel.uplink = value != 0,
            (6, Content::Varint(value)) => channel.downlink = value != 0,
            (7, Content::Bytes(module)) => {
                // The message is there: what it leaves out is 0, which sends no position.
                channel.precision_bits = Some(0);
                for field in Fields::of(module) {
                    if let Field { number: 1, content: Content::Varint(bits), .. } =
                        field.map_err(|_| DAMAGED)?
                    {
                        channel.precision_bits = Some(u32::try_from(bits).unwrap_or(u32::MAX));
                    }
                }
            }
            _ => {}
        }
    }
    channel.key_class = ChannelKey::from_psk(psk).ok_or(DAMAGED)?.class();
    Ok(channel)
}

fn take_lora(config: &mut NodeConfig, lora: &[u8]) -> Result<(), NoChannelLink> {
    for field in Fields::of(lora) {
        let field = field.map_err(|_| NoChannelLink("The channel link is damaged in its radio settings."))?;
        let known =
            setting::SETTINGS.iter().find(|s| s.section == "lora" && s.numbers == [field.number].as_slice());
        if let (Some(setting), Content::Varint(value)) = (known, field.content) {
            config.put(setting, Raw::Number(value as i64));
        }
    }
    Ok(())
}
