//! A gateway's node number and its one spelling. Knows nothing of packets.

use std::fmt;
use std::str::FromStr;

/// A gateway's node number, written `!%08x`.
///
/// Node numbers are 32 bits; the spelling is the one that firmware puts into topics and into
/// `ServiceEnvelope.gateway_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId(pub u32);

impl GatewayId {
    /// Tells whether a device can have this number: 0 means nobody and `0xffffffff` everybody.
    pub fn is_a_device(self) -> bool {
        self.0 != 0 && self.0 != u32::MAX
    }
}

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "!{:08x}", self.0)
    }
}

impl FromStr for GatewayId {
    type Err = GatewayIdError;

    /// Reads `!` and exactly eight lower-case hex digits, so that one gateway has one spelling.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || GatewayIdError { seen: text.chars().take(40).collect() };
        let digits = text.strip_prefix('!').ok_or_else(refuse)?;
        let lower_hex = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digits.len() != 8 || !lower_hex {
            return Err(refuse());
        }
        u32::from_str_radix(digits, 16).map(GatewayId).map_err(|_| refuse())
    }
}

/// Text that is not a node id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayIdError {
    /// What was seen, cut to 40 characters.
    pub seen: String,
}

impl fmt::Display for GatewayIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "node id must be `!` and 8 lower-case hex digits, such as `!7c5a0a01`, but is `{}`",
            self.seen.escape_debug()
        )
    }
}

impl std::error::Error for GatewayIdError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_firmware_spelling_is_read() {
        assert_eq!("!7c5a0a01".parse(), Ok(GatewayId(0x7c5a_0a01)));
        for bad in
            ["", "!", "7c5a0a01", "!7C5A0A01", "!7c5a0a0", "!7c5a0a011", "!+c5a0a01", "!7c5a0a0é", "!é5a0a0"]
        {
            assert!(bad.parse::<GatewayId>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_number_survives_writing_and_reading(number: u32) {
            prop_assert_eq!(GatewayId(number).to_string().parse(), Ok(GatewayId(number)));
        }

        #[test]
        fn whatever_is_read_is_written_the_same(text in "!?[0-9a-fA-F]{0,9}") {
            if let Ok(id) = text.parse::<GatewayId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
