//! Bytes on their way to one Network Connection: bounded, contiguous, and holding no memory while empty.

/// Bytes waiting to be written to one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

/// Buffers that empty outboxes gave back, for the next that need one: in a turn many outboxes fill and empty.
#[derive(Debug, Default)]
pub(crate) struct SpareBuffers {
    buffers: Vec<Vec<u8>>,
    /// The fewest there were since the last rest: so many were not needed.
    unused: usize,
}

/// Buffers kept at most.
const SPARES_MAX: usize = 1024;
/// A buffer that grew larger than this is given to the allocator.
const SPARE_BYTES_MAX: usize = 16 * 1024;

impl SpareBuffers {
    fn take(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.unused = self.unused.min(self.buffers.len());
        buffer
    }

    fn put(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= SPARE_BYTES_MAX && self.buffers.len() < SPARES_MAX {
            self.buffers.push(buffer);
        }
    }

    /// Gives back the memory that was not needed lately.
    pub fn rest(&mut self) {
        self.buffers.truncate(self.buffers.len() - self.unused);
        self.unused = self.buffers.len();
    }
}

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
            self.bytes.clear();
        }
    }

    /// The buffer to append whole control packets to.
    pub(crate) fn append(&mut self, spares: &mut SpareBuffers) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = spares.take();
        } else if self.sent > 0 && self.sent >= self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.bytes
    }

    /// Gives back the buffer if everything was written.
    pub(crate) fn give_back(&mut self, spares: &mut SpareBuffers) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            spares.put(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_they_came() {
        let (mut outbox, mut spares) = (Outbox::default(), SpareBuffers::default());
        outbox.append(&mut spares).extend(b"abcdef");
        outbox.advance(4);
        outbox.append(&mut spares).extend(b"gh");
        assert_eq!(outbox.unsent(), b"efgh");
        outbox.give_back(&mut spares);
        assert_eq!(outbox.unsent(), b"efgh", "what is not written stays");
        outbox.advance(4);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_buffer_goes_round_until_nobody_needs_it() {
        let (mut outbox, mut spares) = (Outbox::default(), SpareBuffers::default());
        for _ in 0..3 {
            outbox.append(&mut spares).extend(b"abc");
            outbox.advance(3);
            outbox.give_back(&mut spares);
            assert_eq!((outbox.bytes.capacity(), spares.buffers.len()), (0, 1));
            spares.rest();
        }
        spares.rest();
        assert_eq!(spares.buffers.len(), 0);
    }

    #[test]
    fn a_large_buffer_is_not_kept() {
        let (mut outbox, mut spares) = (Outbox::default(), SpareBuffers::default());
        outbox.append(&mut spares).extend(vec![0; 100_000]);
        outbox.advance(100_000);
        outbox.give_back(&mut spares);
        assert_eq!((outbox.bytes.capacity(), spares.buffers.len()), (0, 0));
    }
}
