//! The keys we may open packets with, and which of them to try for a packet.

use sha2::{Digest, Sha256};

use crate::airtime::ModemPreset;
use crate::key::{ChannelKey, DEFAULT_KEY, xor};

/// Channels by name with their keys. The default key and one-byte keys need no entry: they are public.
#[derive(Debug, Clone)]
pub struct Keyring {
    channels: Vec<(Box<str>, ChannelKey)>,
    /// Most packets need it; its schedule is made once.
    default_key: ChannelKey,
    no_key: ChannelKey,
}

impl Default for Keyring {
    fn default() -> Self {
        Self { channels: Vec::new(), default_key: ChannelKey::default_key(), no_key: ChannelKey::none() }
    }
}

/// A key to try, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'k> {
    pub key: &'k ChannelKey,
    pub is_aead: bool,
    /// The channel's name is not what led to the key, only its 8-bit hash: look harder at what comes out.
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

    /// The key to speak with on a channel: ours of that name, or the default one on a channel named after a preset.
    pub fn key_of(&self, name: &str) -> Option<&ChannelKey> {
        let named = self.channels.iter().find(|channel| *channel.0 == *name).map(|(_, key)| key);
        named.or_else(|| ModemPreset::of_channel_name(name).map(|_| &self.default_key))
    }

    /// Tells this keyring from others: names, keys and how public each is, with something random of whoever compares, so
    /// that nobody finds a key by it.
    pub fn fingerprint(&self, salt: [u8; 16]) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (name, key) in &self.channels {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            hash.update(key.check_value(salt));
            hash.update([key.class() as u8]);
        }
        hash.finalize().into()
    }

    /// Tries the keys that a packet of this channel name and hash may be closed with until one `opens` it. The name
    /// goes first and the hash must always fit; 256 hashes collide easily, so the rest are guesses. Names that we have
    /// keys for are not guessed at, but for the default key: it is what everybody else's channel of that name has.
    pub(crate) fn find<T>(
        &self,
        name: &str,
        hash: u32,
        mut opens: impl FnMut(Candidate<'_>) -> Option<T>,
    ) -> Option<T> {
        let hash = u8::try_from(hash).ok()?;
        let name_hash = xor(name.as_bytes());
        let named = self.channels.iter().filter(|channel| *channel.0 == *name);
        let is_known = named.clone().next().is_some();
        let mut try_both = |key: &ChannelKey, is_guess| {
            [false, true].into_iter().find_map(|is_aead| {
                let fits = name_hash ^ key.hash(is_aead) == hash;
                // A tag that does not fit means something only where the channel's own key was expected to.
                let is_guess = is_guess || is_aead && !is_known;
                if fits { opens(Candidate { key, is_aead, is_guess }) } else { None }
            })
        };
        if let Some(found) = named.map(|(_, key)| key).find_map(|key| try_both(key, false)) {
            return Some(found);
        }
        let is_preset = ModemPreset::of_channel_name(name).is_some();
        if let Some(found) = try_both(&self.default_key, is_known || !is_preset) {
            return Some(found);
        }
        if is_known {
            return None;
        }
        let mut others = self.channels.iter().map(|(_, key)| key);
        others
            .find_map(|key| try_both(key, true))
            .or_else(|| try_both(&self.no_key, true))
            .or_else(|| try_both(&simple_key(name_hash ^ hash)?, true))
    }
}

/// The one-byte key, the default one aside, whose bytes XOR to this: such keys differ in the last byte only.
fn simple_key(hash: u8) -> Option<ChannelKey> {
    let last_byte = DEFAULT_KEY[15] ^ const { xor(&DEFAULT_KEY) } ^ hash;
    // Byte n stands for the key that ends in n; 0 stands for no key at all, 1 for the default one.
    if last_byte > 1 { ChannelKey::from_psk(&[last_byte]) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::apply_ctr;
    use crate::key::KeyClass;
    use crate::node::NodeNum;

    #[test]
    fn keys_are_tried_by_name_then_by_hash() {
        let key = |psk: &[u8]| ChannelKey::from_psk(psk).unwrap();
        let mut keyring = Keyring::default();
        keyring.add("Ops", key(&[7; 16]));
        keyring.add("Ops", key(&[8; 32]));
        keyring.add("Field", key(&[9; 16]));
        let tried = |name: &str, key: &ChannelKey, is_aead| {
            let mut tried = Vec::new();
            keyring.find(name, u32::from(key.channel_hash(name, is_aead)), |c| {
                tried.push((c.key.class(), is_same(c.key, key), c.is_aead, c.is_guess));
                None::<()>
            });
            tried
        };
        use KeyClass::{Default, Private, Simple, Unencrypted};
        // Both keys of a name have the same hash, so both are tried; so is another channel's only for unknown names.
        let found = tried("Ops", &key(&[8; 32]), false);
        assert_eq!(found, [(Private, false, false, false), (Private, true, false, false)]);
        assert_eq!(tried("Ops", &key(&[8; 32]), true).last(), Some(&(Private, true, true, false)));
        assert_eq!(tried("Ops", &key(&[1]), false).last(), Some(&(Default, true, false, true)));
        assert_eq!(tried("LongFast", &key(&[1]), false)[0], (Default, true, false, false));
        assert!(tried("Renamed", &key(&[9; 16]), false).contains(&(Private, true, false, true)));
        assert!(tried("Renamed", &key(&[]), false).contains(&(Unencrypted, true, false, true)));
        for n in 2..=255 {
            assert!(tried("Town", &key(&[n]), false).contains(&(Simple, true, false, true)), "{n}");
        }
        assert!(tried("Ops", &key(&[77]), false).is_empty());
        assert_eq!(keyring.find("LongFast", 300, |_| Some(())), None, "no 8-bit hash");
    }

    fn is_same(a: &ChannelKey, b: &ChannelKey) -> bool {
        let sealed = |key| {
            let mut bytes = [0; 16];
            apply_ctr(key, NodeNum(1), 1, &mut bytes);
            bytes
        };
        sealed(a) == sealed(b)
    }
}
