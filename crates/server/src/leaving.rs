//! One connection on its way out: the rest is written, goodbye is said on every layer, and the peer gets a moment to read
//! it.

use std::io::ErrorKind;

use crate::transport::{ReadBuffers, ReadEnd, Transport};

/// What is left to be told.
pub(crate) struct Leaving {
    rest: Vec<u8>,
    written: usize,
    has_shut_down: bool,
}

impl Leaving {
    /// With bytes that the peer has not got yet.
    pub fn new(transport: &mut Transport, rest: Vec<u8>) -> Self {
        if rest.is_empty() {
            transport.say_goodbye();
        }
        Self { rest, written: 0, has_shut_down: false }
    }

    /// Returns whether the connection may be closed: everything was told, and the peer has closed its side.
    pub fn go_on(&mut self, transport: &mut Transport, buffers: &mut ReadBuffers) -> bool {
        while self.written < self.rest.len() {
            match transport.write(&self.rest[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => return true,
            }
            if self.written == self.rest.len() {
                transport.say_goodbye();
            }
        }
        if !self.has_shut_down {
            match transport.flush() {
                Ok(()) => transport.shut_down_writing(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => return true,
            }
            self.has_shut_down = true;
        }
        // What the peer still sends is read and thrown away.
        for _ in 0..DRAINS_PER_TURN_MAX {
            match transport.drain(buffers) {
                ReadEnd::Drained => return false,
                ReadEnd::More => {}
                ReadEnd::Closed(_) => return true,
            }
        }
        // It sends without end; it has had its chance.
        true
    }
}

/// Reads per turn from somebody who is on the way out.
const DRAINS_PER_TURN_MAX: usize = 16;
