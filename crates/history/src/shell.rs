//! Taking the packet's body out of an envelope and putting it back: several gateways' copies share one body.

use mesh::envelope::EnvelopeView;
use mesh::packet::Variant;

/// A payload in two parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Split<'a> {
    /// Offset of the body in the payload.
    pub cut: usize,
    /// What the sender of the packet wrote: ciphertext or open data.
    pub body: &'a [u8],
}

/// Bodies below this are not worth a row of their own.
const BODY_BYTES_MIN: usize = 12;

/// Finds the body; `None` for payloads that are stored whole.
pub fn split(payload: &[u8]) -> Option<Split<'_>> {
    let envelope = EnvelopeView::parse(payload).ok()?;
    let (Variant::Decoded(body) | Variant::Encrypted(body)) = envelope.packet?.variant else { return None };
    if body.len() < BODY_BYTES_MIN {
        return None;
    }
    let cut = (body.as_ptr() as usize).checked_sub(payload.as_ptr() as usize)?;
    // The body is a slice of the payload, so this holds; if it ever did not, the payload is stored whole.
    (payload.get(cut..cut + body.len()) == Some(body)).then_some(Split { cut, body })
}

/// The payload without its body.
pub fn shell_of(payload: &[u8], split: &Split<'_>) -> Vec<u8> {
    [&payload[..split.cut], &payload[split.cut + split.body.len()..]].concat()
}

/// The payload again.
pub fn join(shell: &[u8], cut: usize, body: &[u8]) -> Vec<u8> {
    let cut = cut.min(shell.len());
    [&shell[..cut], body, &shell[cut..]].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_split_joins_to_the_same_bytes(
            before in prop::collection::vec(any::<u8>(), 0..3),
            body in prop::collection::vec(any::<u8>(), 0..250),
            gateway in "![0-9a-f]{8}",
            junk in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            let mut packet = Vec::new();
            mesh::wire::put_fixed32(&mut packet, 1, 7);
            mesh::wire::put_bytes(&mut packet, 5, &body);
            mesh::wire::put_uint(&mut packet, 9, 3);
            let mut payload = before;
            mesh::wire::put_bytes(&mut payload, 1, &packet);
            mesh::wire::put_bytes(&mut payload, 3, gateway.as_bytes());
            payload.extend(junk);
            if let Some(split) = split(&payload) {
                prop_assert_eq!(join(&shell_of(&payload, &split), split.cut, split.body), payload);
            }
        }
    }
}
