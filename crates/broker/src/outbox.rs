//! Bytes on their way to one Network Connection: bounded, contiguous, and holding no memory while empty.

/// Bytes waiting to be written to one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    /// Whether the last buffer grew large: the next one had better be.
    is_large: bool,
}

/// Buffers that empty outboxes gave back, for the next that need one: in a turn many outboxes fill and empty. A few grow
/// large, those of clients that take from many; a large one that is made anew costs more than what is written into it.
#[derive(Debug, Default)]
pub(crate) struct SpareBuffers {
    small: Spares,
    large: Spares,
}

/// Buffers of one kind.
#[derive(Debug, Default)]
struct Spares {
    buffers: Vec<Vec<u8>>,
    /// The fewest there were since the last rest: so many were not needed.
    unused: usize,
}

/// Small buffers kept at most.
const SMALL_MAX: usize = 1024;
/// A buffer that grew larger than this is a large one.
const SMALL_BYTES_MAX: usize = 16 * 1024;
/// Large buffers kept at most.
const LARGE_MAX: usize = 8;
/// A buffer that grew larger than this is given to the allocator.
const LARGE_BYTES_MAX: usize = 2 * 1024 * 1024;

impl SpareBuffers {
    fn take(&mut self, is_large: bool) -> Vec<u8> {
        let large = if is_large { self.large.take() } else { None };
        large.or_else(|| self.small.take()).unwrap_or_default()
    }

    fn put(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= SMALL_BYTES_MAX {
            self.small.put(buffer, SMALL_MAX);
        } else if buffer.capacity() <= LARGE_BYTES_MAX {
            self.large.put(buffer, LARGE_MAX);
        }
    }

    /// Gives back the memory that was not needed lately.
    pub fn rest(&mut self) {
        self.small.rest();
        self.large.rest();
    }
}

impl Spares {
    fn take(&mut self) -> Option<Vec<u8>> {
        let buffer = self.buffers.pop();
        self.unused = self.unused.min(self.buffers.len());
        buffer
    }

    fn put(&mut self, buffer: Vec<u8>, buffers_max: usize) {
        if self.buffers.len() < buffers_max {
            self.buffers.push(buffer);
        }
    }

    fn rest(&mut self) {
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
            self.bytes = spares.take(self.is_large);
        } else if self.sent > 0 && self.sent >= self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.bytes
    }

    /// Gives back the buffer if everything was written.
    pub(crate) fn give_back(&mut self, spares: &mut SpareBuffers) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            self.is_large = self.bytes.capacity() > SMALL_BYTES_MAX;
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
            assert_eq!((outbox.bytes.capacity(), spares.small.buffers.len()), (0, 1));
            spares.rest();
        }
        spares.rest();
        assert_eq!(spares.small.buffers.len(), 0);
    }

    #[test]
    fn a_large_buffer_goes_to_who_needed_one_and_a_huge_one_to_the_allocator() {
        let (mut busy, mut quiet, mut spares) =
            (Outbox::default(), Outbox::default(), SpareBuffers::default());
        for (count, kept) in [(100_000, 1), (LARGE_BYTES_MAX + 1, 0)] {
            busy.append(&mut spares).extend(vec![0; count]);
            busy.advance(count);
            busy.give_back(&mut spares);
            assert_eq!((busy.bytes.capacity(), spares.large.buffers.len()), (0, kept));
            quiet.append(&mut spares).extend(b"abc");
            assert!(quiet.bytes.capacity() < 100_000, "nobody else gets it");
            quiet.advance(3);
            quiet.give_back(&mut spares);
        }
    }
}
