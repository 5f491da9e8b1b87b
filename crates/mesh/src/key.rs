//! Channel keys: how a configured PSK becomes a key, how public it is, and the channel hash.

use std::fmt;

use aes::cipher::KeyInit;
use aes::{Aes128, Aes256};

/// The published default key (`Channels.cpp`); PSK byte 1 stands for it.
pub const DEFAULT_KEY: [u8; 16] =
    [0xd4, 0xf1, 0xbb, 0x3a, 0x20, 0x29, 0x07, 0x59, 0xf0, 0xbc, 0xff, 0xab, 0xcf, 0x4e, 0x69, 0x01];

/// How public the key of a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyClass {
    /// No key we have opens it.
    Unknown,
    /// Not encrypted.
    Unencrypted,
    /// The default key.
    Default,
    /// Another one-byte key: 255 of them exist, anyone can try all.
    Simple,
    /// A published key of another form.
    Known,
    /// A key that is not published.
    Private,
    /// Public-key encryption between two nodes.
    Pki,
}

/// An expanded key with its cipher ready.
#[derive(Clone)]
pub struct ChannelKey {
    bytes: KeyBytes,
    pub(crate) cipher: Cipher,
    class: KeyClass,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyBytes {
    None,
    Short([u8; 16]),
    Long([u8; 32]),
}

/// Held in place, not boxed: one-byte keys are made while a packet is looked at, which must not allocate.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "keys are few and live in the keyring or on the stack")]
pub(crate) enum Cipher {
    None,
    Aes128(Aes128),
    Aes256(Aes256),
}

impl fmt::Debug for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelKey({:?}, ***)", self.class)
    }
}

impl ChannelKey {
    /// Expands a PSK as it is configured (`Channels.cpp getKey`): none, one byte, or up to 32. Longer is no PSK.
    pub fn from_psk(psk: &[u8]) -> Option<Self> {
        Some(match psk {
            [] | [0] => Self::none(),
            [n] => {
                let mut key = DEFAULT_KEY;
                key[15] = key[15].wrapping_add(n - 1);
                Self::short(key)
            }
            _ if psk.len() <= 16 => Self::short(padded(psk)),
            _ if psk.len() <= 32 => Self::long(padded(psk)),
            _ => return None,
        })
    }

    /// The published default key.
    pub fn default_key() -> Self {
        Self::short(DEFAULT_KEY)
    }

    fn none() -> Self {
        Self { bytes: KeyBytes::None, cipher: Cipher::None, class: KeyClass::Unencrypted }
    }

    fn short(key: [u8; 16]) -> Self {
        let class = if key == DEFAULT_KEY {
            KeyClass::Default
        } else if key[..15] == DEFAULT_KEY[..15] {
            KeyClass::Simple
        } else {
            KeyClass::Private
        };
        let cipher = Cipher::Aes128(Aes128::new(&key.into()));
        Self { bytes: KeyBytes::Short(key), cipher, class }
    }

    fn long(key: [u8; 32]) -> Self {
        let cipher = Cipher::Aes256(Aes256::new(&key.into()));
        Self { bytes: KeyBytes::Long(key), cipher, class: KeyClass::Private }
    }

    /// The same key, counted as published: keys handed out for events are.
    pub fn published(mut self) -> Self {
        if self.class == KeyClass::Private {
            self.class = KeyClass::Known;
        }
        self
    }

    /// How public it is.
    pub const fn class(&self) -> KeyClass {
        self.class
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            KeyBytes::None => &[],
            KeyBytes::Short(key) => key,
            KeyBytes::Long(key) => key,
        }
    }

    /// The 8-bit hash that packets of the channel carry: all name bytes and key bytes XORed; `0xAE` more when the
    /// channel is authenticated (AEAD). The name is the effective one; case matters.
    pub fn channel_hash(&self, name: &str, is_aead: bool) -> u8 {
        let xor = |bytes: &[u8]| bytes.iter().fold(0, |hash, byte| hash ^ byte);
        xor(name.as_bytes()) ^ xor(self.bytes()) ^ if is_aead { 0xae } else { 0 }
    }
}

fn padded<const N: usize>(psk: &[u8]) -> [u8; N] {
    let mut key = [0; N];
    key[..psk.len()].copy_from_slice(psk);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_the_default_channels() {
        let key = ChannelKey::from_psk(&[1]).unwrap();
        for (name, hash) in [
            ("LongFast", 8),
            ("MediumFast", 31),
            ("MediumSlow", 24),
            ("ShortFast", 112),
            ("ShortSlow", 119),
            ("ShortTurbo", 14),
            ("LongTurbo", 118),
            ("LongMod", 110),
            ("LongSlow", 15),
            ("MediumTurbo", 97),
            ("LiteFast", 22),
            ("LiteSlow", 17),
            ("NarrowFast", 21),
            ("NarrowSlow", 18),
            ("TinyFast", 8),
            ("TinySlow", 15),
        ] {
            assert_eq!(key.channel_hash(name, false), hash, "{name}");
        }
    }

    #[test]
    fn classes_and_lengths() {
        let class = |psk: &[u8]| ChannelKey::from_psk(psk).map(|k| (k.class(), k.bytes().len()));
        assert_eq!(class(&[]), Some((KeyClass::Unencrypted, 0)));
        assert_eq!(class(&[0]), Some((KeyClass::Unencrypted, 0)));
        assert_eq!(class(&[1]), Some((KeyClass::Default, 16)));
        assert_eq!(class(&[2]), Some((KeyClass::Simple, 16)));
        assert_eq!(class(&DEFAULT_KEY), Some((KeyClass::Default, 16)));
        assert_eq!(class(&[9; 3]), Some((KeyClass::Private, 16)));
        assert_eq!(class(&[9; 17]), Some((KeyClass::Private, 32)));
        assert_eq!(class(&[9; 33]), None);
    }

    #[test]
    fn a_key_does_not_show_itself() {
        let shown = format!("{:?}", ChannelKey::from_psk(&[0x41; 16]).unwrap());
        assert_eq!(shown, "ChannelKey(Private, ***)");
    }
}
