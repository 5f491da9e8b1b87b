//! Signatures of broadcasts (firmware 2.8): XEdDSA over the packet, in both layouts that have been released.

use std::fmt;

use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha512};

use crate::data::DataView;
use crate::packet::PacketHeader;

/// Which bytes were signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Firmware 2.8.0, since revoked: sender, id, port, payload.
    V0,
    /// Firmware 2.8.1 and later: addresses, answers, bitfield and flags as well.
    V1,
}

/// What checking a signature found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Made by the holder of the key, in this layout.
    Valid(Layout),
    /// Not made by the holder of the key over this packet.
    Invalid,
    /// Neither 0 nor 64 bytes: receivers drop such packets always.
    Malformed,
}

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// Checks the signature of a packet with its sender's x25519 public key. `None` when it is not signed. Costs two
/// curve operations at worst, so the caller chooses when.
pub fn verify(header: &PacketHeader, data: &DataView<'_>, public_key: &[u8; 32]) -> Option<Verification> {
    if data.signature.is_empty() {
        return None;
    }
    let Ok(signature) = <[u8; SIGNATURE_BYTES]>::try_from(data.signature) else {
        return Some(Verification::Malformed);
    };
    let Some(key) = verifying_key(public_key) else { return Some(Verification::Invalid) };
    let signature = Signature::from_bytes(&signature);
    let holds = |layout| key.verify_strict(&signed_bytes(header, data, layout), &signature).is_ok();
    let layout = [Layout::V1, Layout::V0].into_iter().find(|layout| holds(*layout));
    Some(layout.map_or(Verification::Invalid, Verification::Valid))
}

/// The Ed25519 key on the same curve point: y = (u-1)/(u+1), sign bit 0.
fn verifying_key(public_key: &[u8; 32]) -> Option<VerifyingKey> {
    let point = MontgomeryPoint(*public_key).to_edwards(0)?;
    VerifyingKey::from_bytes(&point.compress().to_bytes()).ok()
}

/// A node's private x25519 key, with which simulated nodes sign.
#[derive(Clone)]
pub struct NodeKey([u8; 32]);

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(***)")
    }
}

impl NodeKey {
    /// Any 32 bytes are a private key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The x25519 public key, as NodeInfo carries it.
    pub fn public_key(&self) -> [u8; 32] {
        MontgomeryPoint::mul_base_clamped(self.0).to_bytes()
    }

    /// Signs a packet (XEdDSA). The signature depends on key and packet only: the nonce takes the place of randomness
    /// from a hash of both, as in Ed25519.
    pub fn sign(&self, header: &PacketHeader, data: &DataView<'_>, layout: Layout) -> [u8; SIGNATURE_BYTES] {
        let mut scalar = Scalar::from_bytes_mod_order(clamp_integer(self.0));
        let mut point =
            (&scalar * curve25519_dalek::constants::ED25519_BASEPOINT_TABLE).compress().to_bytes();
        if point[31] & 0x80 != 0 {
            // The key that verifies is the one of the two with sign bit 0.
            scalar = -scalar;
            point[31] &= 0x7f;
        }
        let digest = Sha512::new().chain_update(b"node key nonce").chain_update(self.0).finalize();
        let mut hash_prefix = [0; 32];
        hash_prefix.copy_from_slice(&digest[..32]);
        let verifying = VerifyingKey::from_bytes(&point).expect("a multiple of the base point is a point");
        let secret = ExpandedSecretKey { scalar, hash_prefix };
        raw_sign::<Sha512>(&secret, &signed_bytes(header, data, layout), &verifying).to_bytes()
    }
}

/// The bytes that are signed.
pub fn signed_bytes(header: &PacketHeader, data: &DataView<'_>, layout: Layout) -> Vec<u8> {
    let mut out = Vec::with_capacity(48 + data.payload.len());
    let mut put = |value: u32| out.extend_from_slice(&value.to_le_bytes());
    match layout {
        Layout::V0 => [header.from.0, header.id, data.port.0].into_iter().for_each(&mut put),
        Layout::V1 => {
            let numbers = [
                header.from.0,
                header.id,
                header.to.0,
                data.port.0,
                data.request_id,
                data.reply_id,
                data.emoji,
                data.bitfield.unwrap_or(0),
            ];
            numbers.into_iter().for_each(&mut put);
            out.push(u8::from(data.want_response) | u8::from(data.bitfield.is_some()) << 1);
            out.insert(0, 1);
        }
    }
    out.extend_from_slice(data.payload);
    out
}
