//! Opening and sealing channel packets. Works in a caller's buffer; direct messages under public keys stay closed.

use aes::cipher::{InnerIvInit, StreamCipher};
use ccm::aead::AeadInPlace;
use ccm::aead::generic_array::GenericArray;
use ccm::consts::{U12, U13};

use crate::key::{ChannelKey, Cipher};
use crate::node::NodeNum;

/// Largest `encrypted` field that is opened (`mesh.options`: 256 bytes).
pub const ENCRYPTED_BYTES_MAX: usize = 256;

/// Bytes of the tag of an authenticated channel.
const TAG_BYTES: usize = 12;

/// Room for one opened packet.
#[derive(Debug, Clone)]
pub struct Scratch(pub(crate) [u8; ENCRYPTED_BYTES_MAX]);

impl Default for Scratch {
    fn default() -> Self {
        Self([0; ENCRYPTED_BYTES_MAX])
    }
}

/// AES-CTR over the bytes, in place: opening and sealing are the same. The counter block is the packet id as 64 bits,
/// the sender as 32, and 32 bits that count (`CryptoEngine.cpp`). Without a key nothing happens.
pub fn apply_ctr(key: &ChannelKey, from: NodeNum, id: u32, bytes: &mut [u8]) {
    let mut block = [0; 16];
    block[..4].copy_from_slice(&id.to_le_bytes());
    block[8..12].copy_from_slice(&from.0.to_le_bytes());
    let block = GenericArray::from(block);
    match &key.cipher {
        Cipher::None => {}
        Cipher::Aes128(aes) => {
            let core = ctr::CtrCore::<_, ctr::flavors::Ctr32BE>::inner_iv_init(aes, &block);
            ctr::Ctr32BE::<&aes::Aes128Enc>::from_core(core).apply_keystream(bytes);
        }
        Cipher::Aes256(aes) => {
            let core = ctr::CtrCore::<_, ctr::flavors::Ctr32BE>::inner_iv_init(aes, &block);
            ctr::Ctr32BE::<&aes::Aes256Enc>::from_core(core).apply_keystream(bytes);
        }
    }
}

/// Opens a packet of an authenticated channel in place: AES-CCM, 12-byte tag at the end, sender and destination
/// authenticated. Returns the length of the plain bytes; `None` when the tag is wrong.
pub fn open_aead(key: &ChannelKey, from: NodeNum, to: NodeNum, id: u32, bytes: &mut [u8]) -> Option<usize> {
    let plain_len = bytes.len().checked_sub(TAG_BYTES)?;
    let (plain, tag) = bytes.split_at_mut(plain_len);
    let (nonce, tag) = (aead_nonce(from, id), GenericArray::clone_from_slice(tag));
    let aad = aead_aad(from, to);
    let opened =
        match &key.cipher {
            Cipher::None => return None,
            Cipher::Aes128(aes) => ccm::Ccm::<_, U12, U13>::from(aes.clone())
                .decrypt_in_place_detached(&nonce, &aad, plain, &tag),
            Cipher::Aes256(aes) => ccm::Ccm::<_, U12, U13>::from(aes.clone())
                .decrypt_in_place_detached(&nonce, &aad, plain, &tag),
        };
    opened.ok().map(|()| plain_len)
}

/// Seals a packet for an authenticated channel; the tag is appended. `None` when the channel has no key.
pub fn seal_aead(
    key: &ChannelKey,
    from: NodeNum,
    to: NodeNum,
    id: u32,
    mut bytes: Vec<u8>,
) -> Option<Vec<u8>> {
    let (nonce, aad) = (aead_nonce(from, id), aead_aad(from, to));
    let sealed = match &key.cipher {
        Cipher::None => return None,
        Cipher::Aes128(aes) => {
            ccm::Ccm::<_, U12, U13>::from(aes.clone()).encrypt_in_place_detached(&nonce, &aad, &mut bytes)
        }
        Cipher::Aes256(aes) => {
            ccm::Ccm::<_, U12, U13>::from(aes.clone()).encrypt_in_place_detached(&nonce, &aad, &mut bytes)
        }
    };
    bytes.extend_from_slice(&sealed.ok()?);
    Some(bytes)
}

fn aead_nonce(from: NodeNum, id: u32) -> GenericArray<u8, U13> {
    let mut nonce = [0; 13];
    nonce[..4].copy_from_slice(&id.to_le_bytes());
    nonce[8..12].copy_from_slice(&from.0.to_le_bytes());
    GenericArray::from(nonce)
}

fn aead_aad(from: NodeNum, to: NodeNum) -> [u8; 8] {
    let mut aad = [0; 8];
    aad[..4].copy_from_slice(&from.0.to_le_bytes());
    aad[4..].copy_from_slice(&to.0.to_le_bytes());
    aad
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_only_with_the_same_addresses(
            psk in prop::collection::vec(any::<u8>(), 2..33), from: u32, to: u32, id: u32,
            plain in prop::collection::vec(any::<u8>(), 0..230),
        ) {
            let key = ChannelKey::from_psk(&psk).unwrap();
            let mut bytes = plain.clone();
            apply_ctr(&key, NodeNum(from), id, &mut bytes);
            apply_ctr(&key, NodeNum(from), id, &mut bytes);
            prop_assert_eq!(&bytes, &plain);
            let sealed = seal_aead(&key, NodeNum(from), NodeNum(to), id, plain.clone()).unwrap();
            let mut opened = sealed.clone();
            let len = open_aead(&key, NodeNum(from), NodeNum(to), id, &mut opened).unwrap();
            prop_assert_eq!(&opened[..len], &plain[..]);
            prop_assert!(open_aead(&key, NodeNum(from), NodeNum(to ^ 1), id, &mut sealed.clone()).is_none());
        }
    }
}
