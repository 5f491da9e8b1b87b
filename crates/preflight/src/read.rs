//! Reading whatever a person has: an export, a profile or a channel link. Never panics, keeps no secret.

use std::fmt;

use crate::node_config::{Knows, NodeConfig, Source};
use crate::{channel_link, profile, yaml};

/// Largest file that is looked at, bytes; exports have some thousand.
pub const FILE_BYTES_MAX: usize = 256 * 1024;

/// Why a file cannot be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// There is nothing in it.
    Empty,
    /// It is larger than any configuration.
    TooLarge,
    /// YAML, but nobody's node.
    NoNodeConfig,
    /// A link without channels.
    Link(channel_link::NoChannelLink),
    /// None of the three formats.
    Unknown,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("The file is empty."),
            Self::TooLarge => write!(f, "The file is larger than {} KB; a node's configuration is not.", FILE_BYTES_MAX / 1024),
            Self::NoNodeConfig => f.write_str(
                "This is YAML, but it has neither `config`, `module_config` nor `channel_url`. \
                 `meshtastic --export-config > node.yaml` makes the right file.",
            ),
            Self::Link(error) => write!(f, "{error}"),
            Self::Unknown => f.write_str(
                "This is neither an export (`meshtastic --export-config > node.yaml`), nor a profile from an app \
                 (.cfg), nor a channel link (https://meshtastic.org/e/#…).",
            ),
        }
    }
}

impl std::error::Error for Unreadable {}

/// Reads a configuration.
///
/// # Errors
/// When it is none; the text says what would be one and holds nothing of the file.
pub fn read(bytes: &[u8]) -> Result<NodeConfig, Unreadable> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Unreadable::TooLarge);
    }
    let text = std::str::from_utf8(bytes).ok().map(|text| text.trim_start_matches('\u{feff}'));
    if let Some(text) = text {
        if text.trim().is_empty() {
            return Err(Unreadable::Empty);
        }
        if channel_link::looks_like_one(text) {
            return read_link(text);
        }
        if let Some(read) = yaml::read(text) {
            return read;
        }
    }
    profile::read(bytes).ok_or(Unreadable::Unknown)
}

fn read_link(link: &str) -> Result<NodeConfig, Unreadable> {
    let mut config = NodeConfig::new(Source::ChannelLink, Knows::Nothing);
    channel_link::take(&mut config, link).map_err(Unreadable::Link)?;
    if !config.values.is_empty() {
        config.knows = Knows::Lora;
    }
    Ok(config)
}
