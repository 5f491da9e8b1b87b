//! Channel keys: how a configured PSK becomes a key, how public it is, and the channel hash.

use std::fmt;

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc};

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
    pub(crate) cipher: Cipher,
    class: KeyClass,
    /// All bytes XORed.
    hash: u8,
}

/// The ciphers lie in the key itself: keys for one-byte PSKs are made while a packet is observed, which allocates
/// nothing. Both modes need the direction of encryption only.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "see above")]
pub(crate) enum Cipher {
    None,
    Aes128(Aes128Enc),
    Aes256(Aes256Enc),
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

    pub(crate) fn none() -> Self {
        Self { cipher: Cipher::None, class: KeyClass::Unencrypted, hash: 0 }
    }

    fn short(key: [u8; 16]) -> Self {
        let class = if key == DEFAULT_KEY {
            KeyClass::Default
        } else if key[..15] == DEFAULT_KEY[..15] {
            KeyClass::Simple
        } else {
            KeyClass::Private
        };
        let cipher = Cipher::Aes128(Aes128Enc::new(&key.into()));
        Self { cipher, class, hash: xor(&key) }
    }

    fn long(key: [u8; 32]) -> Self {
        let cipher = Cipher::Aes256(Aes256Enc::new(&key.into()));
        Self { cipher, class: KeyClass::Private, hash: xor(&key) }
    }

    /// The same key, counted as published: keys handed out for events are.
    pub fn published(mut self) -> Self {
        if self.class == KeyClass::Private {
            self.class = KeyClass::Known;
        }
        self
    }

    /// What the key makes of sixteen bytes: the same key makes the same of them, and nobody finds the key by it.
    pub(crate) fn check_value(&self, salt: [u8; 16]) -> [u8; 16] {
        let mut block = salt.into();
        match &self.cipher {
            Cipher::None => {}
            Cipher::Aes128(cipher) => cipher.encrypt_block(&mut block),
            Cipher::Aes256(cipher) => cipher.encrypt_block(&mut block),
        }
        block.into()
    }

    /// How public it is.
    pub const fn class(&self) -> KeyClass {
        self.class
    }

    /// The 8-bit hash that packets of the channel carry: all name bytes and key bytes XORed; `0xAE` more when the
    /// channel is authenticated (AEAD). The name is the effective one; case matters.
    pub fn channel_hash(&self, name: &str, is_aead: bool) -> u8 {
        xor(name.as_bytes()) ^ self.hash(is_aead)
    }

    /// The key's part of the channel hash.
    pub(crate) const fn hash(&self, is_aead: bool) -> u8 {
        self.hash ^ if is_aead { 0xae } else { 0 }
    }
}

/// All bytes XORed.
pub(crate) const fn xor(bytes: &[u8]) -> u8 {
    let (mut hash, mut at) = (0, 0);
    while at < bytes.len() {
        hash ^= bytes[at];
        at += 1;
    }
    hash
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
        let class = |psk: &[u8]| ChannelKey::from_psk(psk).map(|k| (k.class(), key_bytes(&k)));
        assert_eq!(class(&[]), Some((KeyClass::Unencrypted, 0)));
        assert_eq!(class(&[0]), Some((KeyClass::Unencrypted, 0)));
        assert_eq!(class(&[1]), Some((KeyClass::Default, 16)));
        assert_eq!(class(&[2]), Some((KeyClass::Simple, 16)));
        assert_eq!(class(&DEFAULT_KEY), Some((KeyClass::Default, 16)));
        assert_eq!(class(&[9; 3]), Some((KeyClass::Private, 16)));
        assert_eq!(class(&[9; 17]), Some((KeyClass::Private, 32)));
        assert_eq!(class(&[9; 33]), None);
    }

    fn key_bytes(key: &ChannelKey) -> usize {
        match key.cipher {
            Cipher::None => 0,
            Cipher::Aes128(_) => 16,
            Cipher::Aes256(_) => 32,
        }
    }

    #[test]
    fn a_key_does_not_show_itself() {
        let shown = format!("{:?}", ChannelKey::from_psk(&[0x41; 16]).unwrap());
        assert_eq!(shown, "ChannelKey(Private, ***)");
    }
}
