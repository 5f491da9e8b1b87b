//! Protobuf on the wire: fields read from a slice with their place in it, and fields appended to a buffer.

/// Bytes that are not protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireError;

/// The content of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Content<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

impl Content<'_> {
    /// A number that fits 32 bits once truncated, as protobuf truncates.
    pub const fn as_u32(self) -> Option<u32> {
        match self {
            Self::Varint(v) => Some(v as u32),
            Self::Fixed32(v) => Some(v),
            Self::Fixed64(_) | Self::Bytes(_) => None,
        }
    }
}

/// One field and where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field<'a> {
    /// Field number, from 1.
    pub number: u32,
    /// What it holds.
    pub content: Content<'a>,
    /// Offset of the tag in the message.
    pub start: usize,
    /// Offset of the content: of a varint's first byte, of the first byte of `Bytes`.
    pub content_start: usize,
    /// Offset after the field.
    pub end: usize,
}

/// The fields of a message, in order. The first error ends it. Groups are refused, as nanopb refuses them.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// The fields of these bytes.
    pub const fn of(message: &'a [u8]) -> Self {
        Self { message, at: 0 }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        // Tags, and most numbers, are one byte long.
        match self.message.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for index in 0..10 {
            let byte = *self.message.get(self.at).ok_or(WireError)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(count).ok_or(WireError)?;
        let bytes = self.message.get(self.at..end).ok_or(WireError)?;
        self.at = end;
        Ok(bytes)
    }

    fn fixed32(&mut self) -> Result<u32, WireError> {
        let bytes = self.message.get(self.at..).and_then(<[u8]>::first_chunk::<4>).ok_or(WireError)?;
        self.at += 4;
        Ok(u32::from_le_bytes(*bytes))
    }

    #[inline(always)]
    fn field(&mut self) -> Result<Field<'a>, WireError> {
        let start = self.at;
        let tag = self.varint()?;
        let number =
            u32::try_from(tag >> 3).ok().filter(|n| (1..=0x1fff_ffff).contains(n)).ok_or(WireError)?;
        let mut content_start = self.at;
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => {
                let (low, high) = (self.fixed32()?, self.fixed32()?);
                Content::Fixed64(u64::from(high) << 32 | u64::from(low))
            }
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| WireError)?;
                content_start = self.at;
                Content::Bytes(self.take(len)?)
            }
            5 => Content::Fixed32(self.fixed32()?),
            _ => return Err(WireError),
        };
        Ok(Field { number, content, start, content_start, end: self.at })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    // Into each message's own loop, which looks at few of a field's parts.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.message.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.message.len();
        }
        Some(field)
    }
}

/// The numbers of a packed list. The first error ends it.
pub fn packed_varints(packed: &[u8]) -> impl Iterator<Item = Result<u64, WireError>> {
    let mut rest = Fields::of(packed);
    std::iter::from_fn(move || {
        (rest.at < packed.len()).then(|| {
            let number = rest.varint();
            if number.is_err() {
                rest.at = packed.len();
            }
            number
        })
    })
}

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a varint field unless it is 0, the default that firmware leaves out.
pub fn put_uint(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        put_varint(out, u64::from(number) << 3);
        put_varint(out, value);
    }
}

/// Appends a fixed32 field unless it is 0.
pub fn put_fixed32(out: &mut Vec<u8>, number: u32, value: u32) {
    if value != 0 {
        put_varint(out, u64::from(number) << 3 | 5);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Appends a float field unless it is 0.
pub fn put_float(out: &mut Vec<u8>, number: u32, value: f32) {
    put_fixed32(out, number, value.to_bits());
}

/// Appends a field of bytes, empty or not.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_read(a in any::<u64>(), b in any::<u32>(), c in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            put_uint(&mut out, 1, a);
            put_fixed32(&mut out, 200, b);
            put_bytes(&mut out, 3, &c);
            let fields: Vec<_> = Fields::of(&out).map(|f| f.unwrap()).collect();
            prop_assert!(a == 0 || fields[0].content == Content::Varint(a));
            prop_assert!(b == 0 || fields.iter().any(|f| (f.number, f.content) == (200, Content::Fixed32(b))));
            let last = fields.last().unwrap();
            prop_assert_eq!(last.content, Content::Bytes(&c));
            prop_assert_eq!(&out[last.content_start..last.end], &c[..]);
        }

        #[test]
        fn junk_ends_and_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let fields = Fields::of(&bytes).collect::<Vec<_>>();
            prop_assert!(fields.iter().rev().skip(1).all(Result::is_ok), "something follows an error");
        }
    }

    #[test]
    fn groups_field_zero_and_overruns_are_refused() {
        for bytes in
            [&[0x0b, 0x0c][..], &[0x00, 0x01], &[0x0a, 5, 1], &[0x08], &[0x08, 0xff], &[0x0d, 1, 2, 3]]
        {
            assert!(Fields::of(bytes).any(|f| f.is_err()), "{bytes:02x?}");
        }
    }
}
