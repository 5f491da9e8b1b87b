//! Fixed headers: where one control packet ends and the next begins (§ 2.1).

use crate::Version;
use crate::error::DecodeError;
use crate::reason_code::ReasonCode;
use crate::wire::variable_len;

/// One control packet, not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// First byte: type in the upper four bits, flags in the lower.
    pub header: u8,
    /// Variable header and payload.
    pub body: &'a [u8],
    /// Bytes of the whole packet.
    pub len: usize,
}

impl Frame<'_> {
    /// Control packet type, 0–15.
    pub const fn packet_type(&self) -> u8 {
        self.header >> 4
    }

    /// Flags of the fixed header.
    pub const fn flags(&self) -> u8 {
        self.header & 0x0f
    }
}

impl Frame<'_> {
    /// The flags are those reserved for the type, in every packet but PUBLISH, which uses them. [MQTT-2.1.3-1]
    /// In 3.1, PUBREL, SUBSCRIBE and UNSUBSCRIBE that are sent again say so with DUP.
    pub(crate) const fn check_flags(&self, version: Version) -> Result<(), DecodeError> {
        const DUP: u8 = 8;
        let is_reserved = match self.packet_type() {
            3 => true,
            6 | 8 | 10 if matches!(version, Version::V31) => self.flags() & !DUP == 2,
            6 | 8 | 10 => self.flags() == 2,
            _ => self.flags() == 0,
        };
        if is_reserved {
            Ok(())
        } else {
            Err(DecodeError::malformed("flags of the fixed header are not as reserved"))
        }
    }

    /// In 5.0 the Remaining Length takes as few bytes as it can [MQTT-1.5.5-1]; 3.1.1 does not ask for that.
    pub(crate) const fn check_len(&self, version: Version) -> Result<(), DecodeError> {
        let is_shortest = self.len == 1 + variable_len(self.body.len()) + self.body.len();
        match version {
            Version::V5 if !is_shortest => Err(DecodeError::malformed("Remaining Length is padded")),
            Version::V5 | Version::V311 | Version::V31 => Ok(()),
        }
    }
}

/// Takes the first control packet off the bytes; `None` when its rest has not arrived.
///
/// # Errors
/// When the Remaining Length is malformed or the packet is larger than `packet_bytes_max`, which is known from the
/// first bytes: nobody has to buffer a packet that will not be taken.
pub fn split(bytes: &[u8], packet_bytes_max: u32) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some((header, rest)) = bytes.split_first() else { return Ok(None) };
    let mut remaining = 0usize;
    for (index, byte) in rest.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 != 0 {
            continue;
        }
        let start = index + 2;
        let len = start + remaining;
        if len > packet_bytes_max as usize {
            return Err(DecodeError::with(ReasonCode::PacketTooLarge, "packet is larger than the limit"));
        }
        return Ok(bytes.get(start..len).map(|body| Frame { header: *header, body, len }));
    }
    if rest.len() >= 4 {
        return Err(DecodeError::malformed("Remaining Length has more than four bytes"));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_when_its_last_byte_arrives() {
        let mut bytes = vec![0x30, 0x80, 0x01];
        bytes.extend([7; 128]);
        for cut in 0..bytes.len() {
            assert_eq!(split(&bytes[..cut], 1000), Ok(None), "{cut}");
        }
        let frame = split(&bytes, 1000).unwrap().unwrap();
        assert_eq!((frame.packet_type(), frame.body.len(), frame.len), (3, 128, 131));
    }

    #[test]
    fn a_packet_over_the_limit_is_refused_before_it_arrives() {
        assert_eq!(split(&[0x30, 0xff, 0x7f], 1000).unwrap_err().reason, ReasonCode::PacketTooLarge);
        assert!(split(&[0x30, 0xff, 0xff, 0xff, 0xff], 1000).is_err());
    }
}
