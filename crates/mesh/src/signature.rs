//! Signatures of broadcasts (firmware 2.8): XEdDSA over the packet, in both layouts that have been released.

use curve25519_dalek::montgomery::MontgomeryPoint;
use ed25519_dalek::{Signature, VerifyingKey};

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
