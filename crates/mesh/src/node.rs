//! Node numbers and what they prove.

use std::fmt;

/// The number of a node; written `!%08x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeNum(pub u32);

impl NodeNum {
    /// Destination: everyone.
    pub const BROADCAST: Self = Self(0xffff_ffff);
    /// Destination: everyone, on transports other than LoRa.
    pub const BROADCAST_NO_LORA: Self = Self(1);

    /// Reads `!` and eight lower-case hexadecimal digits, as firmware writes them; nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('!')?;
        let is_strict = digits.len() == 8 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if is_strict { u32::from_str_radix(digits, 16).ok().map(Self) } else { None }
    }

    /// Whether a node can have this number.
    pub const fn is_node(self) -> bool {
        !matches!(self.0, 0 | 1 | 0xffff_ffff)
    }

    /// Whether the number is the CRC-32 of the public key, as firmware 2.8 makes it (`NodeDB.cpp createNewIdentity`).
    /// Older nodes take theirs from the MAC address, so `false` proves nothing.
    pub fn is_derived_from(self, public_key: &[u8; 32]) -> bool {
        crc32fast::hash(public_key) == self.0
    }
}

impl fmt::Display for NodeNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "!{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_firmware_writes_is_read() {
        assert_eq!(NodeNum::parse("!7c5a0a01"), Some(NodeNum(0x7c5a_0a01)));
        for wrong in ["7c5a0a01", "!7C5A0A01", "!7c5a0a0", "!7c5a0a011", "!+c5a0a01", ""] {
            assert_eq!(NodeNum::parse(wrong), None, "{wrong}");
        }
        assert_eq!(NodeNum(0xa5).to_string(), "!000000a5");
    }
}
