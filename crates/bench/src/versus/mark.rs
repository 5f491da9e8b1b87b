//! The mark at the end of every payload: whose message it is, which, and when it was due. By it a loss, a copy too many, a
//! wrong order and a delay are seen.

/// What a mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Number of the publisher.
    pub publisher: u32,
    /// Number of the message among the publisher's.
    pub number: u64,
    /// When it was due, in ns since the run began.
    pub due_ns: u64,
}

/// Bytes of a mark.
pub const MARK_BYTES: usize = 20;
/// In an envelope the mark is a protobuf field nobody knows, number 1000, so that the envelope stays lawful.
const FIELD: [u8; 3] = [0xc2, 0x3e, MARK_BYTES as u8];

impl Mark {
    /// Puts it at the end of an envelope.
    pub fn append_as_field(&self, envelope: &mut Vec<u8>) {
        envelope.extend(FIELD);
        envelope.extend([0; MARK_BYTES]);
        self.write(envelope);
    }

    /// Writes it over the end of a payload of at least [`MARK_BYTES`].
    pub fn write(&self, payload: &mut [u8]) {
        if let Some((_, mark)) = payload.split_last_chunk_mut::<MARK_BYTES>() {
            mark[..4].copy_from_slice(&self.publisher.to_be_bytes());
            mark[4..12].copy_from_slice(&self.number.to_be_bytes());
            mark[12..].copy_from_slice(&self.due_ns.to_be_bytes());
        }
    }

    /// Reads it off the end of a payload.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (_, mark) = payload.split_last_chunk::<MARK_BYTES>()?;
        let (publisher, rest) = mark.split_first_chunk::<4>()?;
        let (number, due) = rest.split_first_chunk::<8>()?;
        Some(Self {
            publisher: u32::from_be_bytes(*publisher),
            number: u64::from_be_bytes(*number),
            due_ns: u64::from_be_bytes(due.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_written() {
        let mark = Mark { publisher: 7, number: u64::MAX - 1, due_ns: 3 };
        let mut envelope = vec![1, 2, 3];
        mark.append_as_field(&mut envelope);
        assert_eq!(Mark::read(&envelope), Some(mark));
        assert_eq!(Mark::read(b"short"), None);
    }
}
