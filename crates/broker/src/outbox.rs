//! Bytes on their way to one Network Connection: bounded, contiguous, and holding no memory while empty.

/// Bytes waiting to be written to one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

/// A buffer is given back to the allocator when it empties, unless it is smaller than this: the connection is
/// likely to need it again in the next turn, and 1 KiB is what a gateway's whole packet fits into.
const KEPT_BYTES: usize = 1024;

impl Outbox {
    /// Bytes not yet written.
    pub fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Number of bytes not yet written.
    pub const fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether everything was written.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Marks `count` bytes as written.
    pub fn advance(&mut self, count: usize) {
        self.sent += count;
        debug_assert!(self.sent <= self.bytes.len(), "more written than there was");
        if self.is_empty() {
            self.sent = 0;
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Vec::new();
            } else {
                self.bytes.clear();
            }
        }
    }

    /// The buffer to append whole control packets to.
    pub fn append(&mut self) -> &mut Vec<u8> {
        if self.sent > 0 && self.sent >= self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.bytes
    }

    /// Gives back the memory of an empty outbox; called for connections that have been quiet.
    pub fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_they_came() {
        let mut outbox = Outbox::default();
        outbox.append().extend(b"abcdef");
        outbox.advance(4);
        outbox.append().extend(b"gh");
        assert_eq!(outbox.unsent(), b"efgh");
        outbox.advance(4);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        let mut outbox = Outbox::default();
        outbox.append().extend(vec![0; 100_000]);
        outbox.advance(100_000);
        assert_eq!(outbox.bytes.capacity(), 0);
    }
}
