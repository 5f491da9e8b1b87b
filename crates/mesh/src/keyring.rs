//! The keys we may open packets with, and which of them to try for a packet.

use crate::key::ChannelKey;

/// Channels by name with their keys. The default key and one-byte keys need no entry: they are public.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    channels: Vec<(Box<str>, ChannelKey)>,
}

/// A key to try, and how.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'k> {
    pub key: std::borrow::Cow<'k, ChannelKey>,
    pub is_aead: bool,
    /// The key is a guess that only the 8-bit hash supports: look harder at what comes out.
    pub is_guess: bool,
}

impl Keyring {
    /// Adds a channel. Several keys for one name are all tried.
    pub fn add(&mut self, name: &str, key: ChannelKey) {
        self.channels.push((name.into(), key));
    }

    /// Adds all channels of another keyring, after ours.
    pub fn extend(&mut self, other: &Self) {
        self.channels.extend_from_slice(&other.channels);
    }

    /// Names of the channels we have keys for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.channels.iter().map(|(name, _)| &**name)
    }

    /// The key to open a packet of that channel name and hash with. Keys are chosen by name first and always need the
    /// right hash; 256 hashes collide easily, so a key is never tried without one.
    pub(crate) fn candidate(&self, name: &str, hash: u32) -> Option<Candidate<'_>> {
        let hash = u8::try_from(hash).ok()?;
        for (_, key) in self.channels.iter().filter(|(n, _)| **n == *name) {
            for is_aead in [false, true] {
                if key.channel_hash(name, is_aead) == hash {
                    return Some(Candidate {
                        key: std::borrow::Cow::Borrowed(key),
                        is_aead,
                        is_guess: false,
                    });
                }
            }
        }
        if self.names().any(|n| n == name) {
            // We know this channel's key, and this packet is not encrypted with it.
            return None;
        }
        self.public_candidate(name, hash).or_else(|| {
            // A channel under a name of its own, with one of our keys.
            let (_, key) = self.channels.iter().find(|(_, k)| k.channel_hash(name, false) == hash)?;
            Some(Candidate { key: std::borrow::Cow::Borrowed(key), is_aead: false, is_guess: true })
        })
    }

    /// The one-byte key that gives this hash: they differ in the last byte only, so the hash determines it.
    fn public_candidate(&self, name: &str, hash: u8) -> Option<Candidate<'_>> {
        let default = ChannelKey::default_key();
        let difference = default.channel_hash(name, false) ^ hash;
        let is_guess = difference != 0;
        let key = if is_guess {
            let last_byte = crate::key::DEFAULT_KEY[15] ^ difference;
            ChannelKey::from_psk(&[last_byte.wrapping_sub(crate::key::DEFAULT_KEY[15]).wrapping_add(1)])?
        } else {
            default
        };
        Some(Candidate { key: std::borrow::Cow::Owned(key), is_aead: false, is_guess })
    }
}
