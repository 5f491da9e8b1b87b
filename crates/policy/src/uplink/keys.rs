//! How public the key of a channel is.

use mesh::key::KeyClass;
use mesh::observe::Facts;

use super::{Objection, object};
use crate::decision::Verdict;

/// What happens on channels that anyone can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// What happens to a packet whose key is public.
    pub public: Verdict,
    /// Names of channels that are public on purpose.
    pub public_channels: Vec<Box<str>>,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self { public: Verdict::RecordOnly, public_channels: Vec::new() }
    }
}

pub(super) fn public_key(settings: &KeySettings, facts: &Facts<'_>) -> Option<Objection> {
    let sentence = match facts.key_class {
        KeyClass::Default => "The channel uses the default key, which anyone can read: set a key of its own.",
        KeyClass::Simple => "The channel uses a one-byte key, which anyone can read: set a key of its own.",
        KeyClass::Known => "The channel uses a published key, which anyone can read: set a key of its own.",
        KeyClass::Unencrypted => "The channel is not encrypted, so anyone can read it: set a key of its own.",
        KeyClass::Private | KeyClass::Pki | KeyClass::Unknown => return None,
    };
    let channel = facts.channel_id.or(facts.topic.as_ref().and_then(|t| t.channel));
    if channel.is_some_and(|name| settings.public_channels.iter().any(|c| **c == *name)) {
        return None;
    }
    object(settings.public, sentence)
}
