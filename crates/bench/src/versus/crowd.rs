//! Connections without messages: many that stay, many that come and go.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bench::Failure;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::client::{Client, connect};

/// Opens so many connections with one subscription each.
pub fn gather(address: SocketAddr, count: usize) -> Result<Vec<Client>, Failure> {
    (0..count)
        .map(|index| {
            Client::sign_in(address, false, &format!("idle-{index:05}"), &[format!("idle/{index}/#")], 0)
        })
        .collect()
}

/// Connections under way at a time.
const AT_ONCE: usize = 100;
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A CONNACK of 3.1.1 that says yes.
const WELCOME: [u8; 4] = [0x20, 2, 0, 0];
/// DISCONNECT.
const GOODBYE: [u8; 2] = [0xe0, 0];

/// Lets so many clients connect, be let in and leave; returns how long that took.
pub fn come_and_go(address: SocketAddr, count: usize) -> Result<Duration, Failure> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(AT_ONCE);
    let mut under_way: Vec<Option<Visit>> = Vec::new();
    let (mut begun, mut done) = (0, 0);
    let started = Instant::now();
    under_way.resize_with(AT_ONCE, || None);
    while done < count {
        for (slot, visit) in under_way.iter_mut().enumerate() {
            if visit.is_none() && begun < count {
                *visit = Some(Visit::begin(&poll, address, slot, begun)?);
                begun += 1;
            }
        }
        poll.poll(&mut events, Some(PATIENCE / 100))?;
        for event in &events {
            let Some(slot) = under_way.get_mut(event.token().0) else { continue };
            if let Some(visit) = slot
                && visit.go_on()?
            {
                *slot = None;
                done += 1;
            }
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("only {done} of {count} connections were let in").into());
        }
    }
    Ok(started.elapsed())
}

/// One client that comes and goes.
struct Visit {
    stream: TcpStream,
    to_write: Vec<u8>,
    read: Vec<u8>,
}

impl Visit {
    fn begin(poll: &Poll, address: SocketAddr, slot: usize, number: usize) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(slot), interest)?;
        Ok(Self { stream, to_write: connect(&format!("visitor-{number}")), read: Vec::new() })
    }

    /// Returns whether it was let in and has said goodbye.
    fn go_on(&mut self) -> Result<bool, Failure> {
        while !self.to_write.is_empty() {
            match self.stream.write(&self.to_write) {
                Ok(count) => drop(self.to_write.drain(..count)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut buffer = [0; 16];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err("the broker closed a connection".into()),
            Ok(count) => self.read.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
            Err(error) => return Err(error.into()),
        }
        if self.read.len() < WELCOME.len() {
            return Ok(false);
        }
        if self.read != WELCOME {
            return Err(format!("CONNECT is answered with {:02x?}", self.read).into());
        }
        self.stream.write_all(&GOODBYE)?;
        Ok(true)
    }
}
