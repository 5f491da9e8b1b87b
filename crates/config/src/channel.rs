//! `[[channel]]`: channels whose keys are entrusted to the broker, and where their secrets are read from.
//!
//! A key never appears in a message or in `Debug` output.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use toml::de::{DeTable, DeValue};

use crate::diagnostics::Problems;
use crate::kind::describe;
use crate::load::{Seen, quoted, shown, tables};
use crate::near_miss::near_miss;

/// Longest channel name in bytes (meshtastic.md § 2.6, ChannelSettings).
const NAME_BYTES_MAX: usize = 11;

/// Longest secret file in bytes; a key needs 44.
const SECRET_BYTES_MAX: u64 = 4096;

/// The keys of a channel, with their sentences: the documentation and the schema read this.
pub(crate) const CHANNEL_KEYS: &[(&str, &str)] = &[
    (
        "name",
        "The channel's name, 1 to 11 bytes, as in its topic; for an unnamed channel the preset's, such as LongFast.",
    ),
    ("psk", "Its key: base64 of 1, 16 or 32 bytes, or `default`, `simple0` to `simple254`, or `none`."),
    ("psk_file", "File that holds the key, instead of `psk`; a relative one starts at this file's folder."),
    ("psk_env", "Environment variable that holds the key, instead of `psk`."),
    (
        "public",
        "Whether the pages may show its packets to everybody, if their senders consented. Default: false.",
    ),
];

const ALLOWED_PSK: &str = "base64 of 1, 16 or 32 bytes, or `default`, `simple0` to `simple254`, or `none`";

/// A channel whose key the broker has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name, 1 to 11 bytes.
    pub name: String,
    /// Its key as configured on a node.
    pub psk: Psk,
    /// Whether the pages may show its packets to everybody.
    pub public: bool,
}

/// A channel's key as configured on a node: 1, 16 or 32 bytes, not yet expanded (meshtastic.md § 3.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Psk(Vec<u8>);

impl Psk {
    /// Reads the spellings that the Meshtastic command line takes: base64, `default`, `simpleN`, `none`.
    pub fn parse(text: &str) -> Option<Psk> {
        let text = text.trim();
        let bytes = match text {
            "default" => vec![1],
            "none" => vec![0],
            _ => match text.strip_prefix("simple") {
                Some(number) => {
                    let number = number.parse::<u8>().ok().filter(|n| *n <= 254)?;
                    vec![number + 1]
                }
                None => decode_base64(text)?,
            },
        };
        matches!(bytes.len(), 1 | 16 | 32).then_some(Psk(bytes))
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk(***)")
    }
}

/// Where secrets that the file only names are read from.
pub trait Secrets {
    /// Reads a file's text.
    fn file(&self, path: &Path) -> std::io::Result<String>;
    /// Reads an environment variable.
    fn variable(&self, name: &str) -> Option<String>;
}

/// Secrets from disk and the process's environment.
#[derive(Clone, Debug)]
pub struct SystemSecrets {
    folder: PathBuf,
}

impl SystemSecrets {
    /// Relative paths start at the folder of this configuration file.
    pub fn beside(config: &Path) -> SystemSecrets {
        SystemSecrets { folder: config.parent().map(Path::to_owned).unwrap_or_default() }
    }
}

impl Secrets for SystemSecrets {
    fn file(&self, path: &Path) -> std::io::Result<String> {
        let mut text = String::new();
        std::fs::File::open(self.folder.join(path))?.take(SECRET_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Reads every `[[channel]]`; a wrong one is reported and left out.
pub(crate) fn read(
    document: &DeTable<'_>,
    secrets: &dyn Secrets,
    problems: &mut Problems<'_>,
) -> Vec<Channel> {
    let mut channels: Vec<Channel> = Vec::new();
    for (table, at) in tables(document, "channel", usize::MAX, problems) {
        let Some(channel) = read_one(table, at.clone(), secrets, problems) else { continue };
        if channels.iter().any(|other| other.name == channel.name) {
            let at = table.get("name").map_or(at, |name| name.span());
            problems.add(
                at,
                format!("`channel.name` must differ from the others, but `{}` appears twice", channel.name),
            );
        } else {
            channels.push(channel);
        }
    }
    channels
}

fn read_one(
    table: &DeTable<'_>,
    at: Range<usize>,
    secrets: &dyn Secrets,
    problems: &mut Problems<'_>,
) -> Option<Channel> {
    let known = || CHANNEL_KEYS.iter().map(|(name, _)| *name);
    for key in table.keys().filter(|key| !known().any(|name| name == key.get_ref().as_ref())) {
        let hint = match near_miss(key.get_ref(), known()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("allowed here are {}", quoted(known())),
        };
        problems.add(key.span(), format!("unknown key `channel.{}`: {hint}", shown(key.get_ref())));
    }
    // All three are read before one of them gives up, so that every mistake is reported.
    let name = read_name(table, at.clone(), problems);
    let psk = read_psk(table, at, secrets, problems);
    let public = match table.get("public") {
        None => Some(false),
        Some(seen) => {
            let flag = seen.get_ref().as_bool();
            if flag.is_none() {
                let what = describe(seen.get_ref());
                problems
                    .add(seen.span(), format!("`channel.public` must be `true` or `false`, but is {what}"));
            }
            flag
        }
    };
    Some(Channel { name: name?, psk: psk?, public: public? })
}

fn read_name(table: &DeTable<'_>, at: Range<usize>, problems: &mut Problems<'_>) -> Option<String> {
    let allowed = format!(
        "`channel.name` must be 1 to {NAME_BYTES_MAX} bytes without `/`, `+`, `#` or control character"
    );
    let Some(seen) = table.get("name") else {
        problems.add(at, format!("{allowed}, but is missing"));
        return None;
    };
    let text = seen.get_ref().as_str().filter(|text| {
        (1..=NAME_BYTES_MAX).contains(&text.len())
            && !text.contains(['/', '+', '#'])
            && !text.chars().any(char::is_control)
    });
    if text.is_none() {
        problems.add(seen.span(), format!("{allowed}, but is {}", describe(seen.get_ref())));
    }
    text.map(str::to_owned)
}

fn read_psk(
    table: &DeTable<'_>,
    at: Range<usize>,
    secrets: &dyn Secrets,
    problems: &mut Problems<'_>,
) -> Option<Psk> {
    let places: Vec<(&str, Seen<'_, '_>)> = ["psk", "psk_file", "psk_env"]
        .into_iter()
        .filter_map(|name| table.get(name).map(|seen| (name, seen)))
        .collect();
    let (key, seen) = match places.as_slice() {
        [one] => *one,
        [] => {
            problems
                .add(at, "a channel needs one of `psk`, `psk_file` and `psk_env`, but has none".to_owned());
            return None;
        }
        [_, second, ..] => {
            let message = "a channel needs one of `psk`, `psk_file` and `psk_env`, but has more".to_owned();
            problems.add(second.1.span(), message);
            return None;
        }
    };
    let Some(text) = seen.get_ref().as_str() else {
        let what = if key == "psk" { kind_only(seen.get_ref()) } else { describe(seen.get_ref()) };
        problems.add(seen.span(), format!("`channel.{key}` must be text, but is {what}"));
        return None;
    };
    let secret = match key {
        "psk_file" => secrets.file(Path::new(text)).map_err(|error| format!("cannot be read: {error}")),
        "psk_env" if text.is_empty() || text.contains(['=', '\0']) => {
            Err("is not a variable's name".to_owned())
        }
        "psk_env" => secrets.variable(text).ok_or_else(|| "is not set".to_owned()),
        _ => Ok(text.to_owned()),
    };
    let secret = match secret {
        Ok(secret) => secret,
        Err(why) => {
            problems.add(seen.span(), format!("`channel.{key}`: `{}` {why}", shown(text)));
            return None;
        }
    };
    let psk = Psk::parse(&secret);
    if psk.is_none() {
        let whose = if key == "psk" { String::new() } else { format!(" (read from `{}`)", shown(text)) };
        // The text itself may be a key with one letter wrong, so only its length is told.
        let length = secret.trim().chars().count();
        problems.add(
            seen.span(),
            format!(
                "`channel.{key}`{whose} must be {ALLOWED_PSK}, but is another text of {length} characters"
            ),
        );
    }
    psk
}

/// What kind of value a secret is, without what it says.
fn kind_only(seen: &DeValue<'_>) -> String {
    format!("of type {}", seen.type_str())
}

/// Takes both alphabets, with and without padding: apps and links differ.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    let text = text.strip_prefix("base64:").unwrap_or(text).replace('-', "+").replace('_', "/");
    engine.decode(text).ok()
}
