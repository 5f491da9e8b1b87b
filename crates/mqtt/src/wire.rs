//! Integers, strings and binary data on the wire (§ 1.5), read from a slice and appended to a buffer.

use crate::error::DecodeError;

/// Reads fields off the front of a slice.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of the bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What has not been read.
    pub const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether everything was read.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(DecodeError::malformed(what))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(self.take(1, what)?[0])
    }

    /// Two Byte Integer.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        let bytes = self.take(2, what)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Four Byte Integer.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        let bytes = self.take(4, what)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Variable Byte Integer, at most 268,435,455, in as few bytes as it needs. [MQTT-1.5.5-1]
    pub fn variable(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for index in 0..4 {
            let byte = self.u8(what)?;
            value |= u32::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                let is_padded = index > 0 && byte == 0;
                return if is_padded { Err(DecodeError::malformed(what)) } else { Ok(value) };
            }
        }
        Err(DecodeError::malformed(what))
    }

    /// Binary Data.
    pub fn binary(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.u16(what)?;
        self.take(usize::from(len), what)
    }

    /// UTF-8 Encoded String, without the null character. [MQTT-1.5.4-1] [MQTT-1.5.4-2]
    pub fn string(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let text = std::str::from_utf8(self.binary(what)?).map_err(|_| DecodeError::malformed(what))?;
        if text.contains('\0') { Err(DecodeError::malformed(what)) } else { Ok(text) }
    }

    /// A Packet Identifier, never 0. [MQTT-2.2.1-3]
    pub fn packet_id(&mut self) -> Result<u16, DecodeError> {
        match self.u16("Packet Identifier is cut off")? {
            0 => Err(DecodeError::protocol("Packet Identifier is 0")),
            id => Ok(id),
        }
    }

    /// Nothing may follow.
    pub const fn end(&self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::malformed("bytes after the end of the packet"))
        }
    }
}

/// Appends a Two Byte Integer.
pub fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a Variable Byte Integer; the value must be at most 268,435,455.
pub fn put_variable(out: &mut Vec<u8>, mut value: usize) {
    debug_assert!(value <= 268_435_455, "a Variable Byte Integer has 28 bits");
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        out.push(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            return;
        }
    }
}

/// Bytes that a Variable Byte Integer takes.
pub const fn variable_len(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Appends Binary Data or a UTF-8 Encoded String. Longer than 65,535 bytes does not exist in MQTT; the rest is cut.
pub fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    put_u16(out, len);
    out.extend_from_slice(&bytes[..usize::from(len)]);
}

/// Appends a whole control packet whose body is written by `body`.
pub fn put_packet(out: &mut Vec<u8>, header: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(header);
    put_with_len(out, body);
}

/// Appends what `body` writes, behind its length as a Variable Byte Integer. One byte is set aside for the length;
/// the rare longer body moves up by one to three bytes, which is cheaper than measuring every body beforehand.
pub fn put_with_len(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(0);
    body(out);
    let len = out.len() - start - 1;
    debug_assert!(len <= 268_435_455, "a Variable Byte Integer has 28 bits");
    if len < 128 {
        out[start] = len as u8;
        return;
    }
    let digits =
        [len as u8, (len >> 7) as u8, (len >> 14) as u8, (len >> 21) as u8].map(|digit| digit & 0x7f);
    let count = variable_len(len);
    let continued = |(index, digit): (usize, u8)| if index + 1 < count { digit | 0x80 } else { digit };
    out.splice(start..=start, digits.into_iter().take(count).enumerate().map(continued));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn variable_byte_integers_of_the_specification() {
        for (value, bytes) in [
            (0, vec![0u8]),
            (127, vec![0x7f]),
            (128, vec![0x80, 1]),
            (16_383, vec![0xff, 0x7f]),
            (16_384, vec![0x80, 0x80, 1]),
            (268_435_455, vec![0xff, 0xff, 0xff, 0x7f]),
        ] {
            let mut out = Vec::new();
            put_variable(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(variable_len(value), bytes.len());
            assert_eq!(Reader::new(&out).variable("v").unwrap() as usize, value);
        }
        assert!(Reader::new(&[0x80, 0]).variable("v").is_err(), "padded");
        assert!(Reader::new(&[0xff; 5]).variable("v").is_err(), "too long");
    }

    proptest! {
        #[test]
        fn a_packet_of_any_length_can_be_split_off_again(len in 0usize..40_000) {
            let mut out = vec![9];
            put_packet(&mut out, 0x30, |o| o.extend(vec![5; len]));
            let frame = crate::frame::split(&out[1..], u32::MAX).unwrap().unwrap();
            prop_assert_eq!((frame.body.len(), frame.len), (len, out.len() - 1));
        }
    }
}
