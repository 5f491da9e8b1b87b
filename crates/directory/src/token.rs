//! Device tokens: how they are made from random bytes, and the keyed hash that stands for them.
//!
//! Knows no users and keeps no token: what is stored and compared is a hash.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Characters of a token. 26 of 32 possible ones make 130 bits; the firmware's password field holds 31
/// (meshtastic.md § 8.2).
pub const TOKEN_CHARS: usize = 26;

/// Random bytes that a token is made from; 130 of their 136 bits are used.
pub const TOKEN_RANDOM_BYTES: usize = 17;

/// RFC 4648's base32 alphabet in lower case: no 0, 1, 8 or 9, so little to misread.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A secret made for a device, a setup link or a login: 26 characters, 130 bits. Printed once, never kept.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Makes a token. The caller brings bytes from the operating system's random source.
    pub fn from_random(bytes: [u8; TOKEN_RANDOM_BYTES]) -> Token {
        let mut text = String::with_capacity(TOKEN_CHARS);
        for index in 0..TOKEN_CHARS {
            let first_bit = index * 5;
            let high = u16::from(bytes[first_bit / 8]);
            let low = bytes.get(first_bit / 8 + 1).copied().map_or(0, u16::from);
            let five_bits = ((high << 8 | low) >> (11 - first_bit % 8)) & 0x1f;
            text.push(char::from(ALPHABET[usize::from(five_bits)]));
        }
        Token(text)
    }

    /// The secret itself, to be shown once to the person it is for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// The key of this installation under which tokens are hashed: 32 secret bytes.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// Takes the key's bytes.
    pub fn new(bytes: [u8; 32]) -> TokenKey {
        TokenKey(bytes)
    }

    /// Hashes a device's token together with the username it belongs to.
    ///
    /// HMAC-SHA256 is fast, which is safe because tokens carry 130 random bits, and needed because a restart
    /// of the broker brings every gateway back at once.
    pub fn hash_credential(&self, username: &str, token: &[u8]) -> TokenHash {
        self.hash(b"credential", username.as_bytes(), token)
    }

    /// Hashes the token of the one-time setup link.
    pub fn hash_setup(&self, token: &[u8]) -> TokenHash {
        self.hash(b"setup", b"", token)
    }

    /// Hashes the token of a login on the pages.
    pub fn hash_session(&self, token: &[u8]) -> TokenHash {
        self.hash(b"session", b"", token)
    }

    /// Hashes the token of a program that asks the API.
    pub fn hash_api(&self, token: &[u8]) -> TokenHash {
        self.hash(b"api", b"", token)
    }

    /// The code that the owner of a node sends from it on a day (days since 1970) to have it forgotten.
    pub fn code_of(&self, node: u32, day: i64) -> String {
        let hash = self.derive(b"forget", &node.to_be_bytes(), &day.to_be_bytes());
        let mut random = [0; TOKEN_RANDOM_BYTES];
        random.copy_from_slice(&hash[..TOKEN_RANDOM_BYTES]);
        format!("BYE-{}", Token::from_random(random).reveal()[..8].to_ascii_uppercase())
    }

    /// The purpose and the lengths go in first, so that a hash for one use never fits another and no two
    /// different (subject, token) pairs feed the same bytes.
    fn hash(&self, purpose: &[u8], subject: &[u8], token: &[u8]) -> TokenHash {
        TokenHash(self.derive(purpose, subject, token))
    }

    pub(crate) fn derive(&self, purpose: &[u8], subject: &[u8], token: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in [purpose, subject, token] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(***)")
    }
}

/// The keyed hash of a token. Comparing two takes the same time whatever they hold.
#[derive(Clone)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Takes a stored hash.
    pub fn new(bytes: [u8; 32]) -> TokenHash {
        TokenHash(bytes)
    }

    /// The hash's bytes, for the store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &TokenHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_plain_base32_of_its_bytes() {
        // RFC 4648 § 10: base32("foobar") = MZXW6YTBOI======
        let mut bytes = [0; TOKEN_RANDOM_BYTES];
        bytes[..6].copy_from_slice(b"foobar");
        assert!(Token::from_random(bytes).reveal().starts_with("mzxw6ytboi"));
        assert_eq!(Token::from_random([0xff; 17]).reveal(), "7".repeat(26));
        assert_eq!(Token::from_random([0; 17]).reveal(), "a".repeat(26));
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let key = TokenKey::new([0x41; 32]);
        let token = Token::from_random([0x42; 17]);
        let hash = key.hash_credential("u", token.reveal().as_bytes());
        assert_eq!(format!("{key:?} {token:?} {hash:?}"), "TokenKey(***) Token(***) TokenHash(***)");
    }

    #[test]
    fn a_hash_belongs_to_one_use() {
        let key = TokenKey::new([7; 32]);
        assert_ne!(key.hash_setup(b"t"), key.hash_session(b"t"));
        assert_ne!(key.hash_setup(b"t"), key.hash_credential("", b"t"));
    }

    proptest! {
        #[test]
        fn tokens_fit_the_firmware_and_differ_in_every_used_bit(bytes: [u8; 17], bit in 0usize..130) {
            let token = Token::from_random(bytes);
            prop_assert_eq!(token.reveal().len(), TOKEN_CHARS);
            prop_assert!(token.reveal().len() <= 31);
            prop_assert!(token.reveal().bytes().all(|b| ALPHABET.contains(&b)));
            let mut other = bytes;
            other[bit / 8] ^= 0x80 >> (bit % 8);
            let flipped = Token::from_random(other);
            prop_assert_ne!(flipped.reveal(), token.reveal());
        }

        #[test]
        fn moving_a_byte_between_user_and_token_changes_the_hash(all in "[a-z]{2,12}", a in 0usize..13, b in 0usize..13) {
            let (a, b) = (a.min(all.len()), b.min(all.len()));
            prop_assume!(a != b);
            let key = TokenKey::new([9; 32]);
            let hash = |at: usize| key.hash_credential(&all[..at], &all.as_bytes()[at..]);
            prop_assert_ne!(hash(a), hash(b));
        }
    }
}
