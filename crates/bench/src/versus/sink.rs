//! A loop that forwards QoS 0 messages without the state of a protocol: whoever subscribed gets every PUBLISH that matches
//! the first filter it gave. What it costs is what sockets and copies cost alone.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use bench::Failure;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use mqtt::Version;
use mqtt::client_packet::{ClientPacket, decode};
use mqtt::frame::split;
use mqtt::subscribe::encode_suback;

const LISTENER: Token = Token(usize::MAX);

#[derive(Default)]
struct Peer {
    stream: Option<TcpStream>,
    partial: Vec<u8>,
    outbox: Vec<u8>,
    filter: Option<String>,
}

/// All peers, and who gets what.
#[derive(Default)]
struct Room {
    peers: Vec<Peer>,
    receivers: HashMap<String, Vec<usize>>,
}

/// Forwards until it is killed. Prints where it listens.
pub fn run() -> Result<(), Failure> {
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    println!("sink {}", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    let mut room = Room::default();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(room.peers.len()), interest)?;
                    room.peers.push(Peer { stream: Some(stream), ..Peer::default() });
                }
            } else if event.is_readable() {
                room.attend(event.token().0, &mut buffer);
            }
        }
        room.peers.iter_mut().filter(|p| !p.outbox.is_empty()).for_each(flush);
    }
}

impl Room {
    fn attend(&mut self, index: usize, buffer: &mut [u8]) {
        let Some(stream) = &mut self.peers[index].stream else { return };
        let count = match stream.read(buffer) {
            Ok(0) => {
                self.peers[index] = Peer::default();
                return;
            }
            Ok(count) => count,
            Err(_) => return,
        };
        let mut bytes = std::mem::take(&mut self.peers[index].partial);
        bytes.extend_from_slice(&buffer[..count]);
        let mut used = 0;
        while let Ok(Some(frame)) = split(&bytes[used..], 1 << 20) {
            let whole = &bytes[used..used + frame.len];
            used += frame.len;
            match decode(&frame, Version::V311) {
                Ok(ClientPacket::Connect(_)) => self.peers[index].outbox.extend([0x20, 2, 0, 0]),
                Ok(ClientPacket::Subscribe(subscribe)) => {
                    let filters: Vec<_> = subscribe.filters().map(|(filter, _)| filter.to_owned()).collect();
                    let codes = vec![0; filters.len()];
                    let peer = &mut self.peers[index];
                    encode_suback(&mut peer.outbox, Version::V311, subscribe.packet_id, &codes, None);
                    peer.filter = filters.into_iter().next();
                    self.receivers.clear();
                }
                Ok(ClientPacket::Publish(publish)) => self.forward(publish.topic, whole),
                _ => {}
            }
        }
        bytes.drain(..used);
        self.peers[index].partial = bytes;
    }

    fn forward(&mut self, topic: &str, packet: &[u8]) {
        if !self.receivers.contains_key(topic) {
            let wants = |peer: &Peer| peer.filter.as_deref().is_some_and(|f| mqtt::topic::matches(f, topic));
            let found = self.peers.iter().enumerate().filter(|(_, p)| wants(p)).map(|(i, _)| i).collect();
            self.receivers.insert(topic.to_owned(), found);
        }
        for index in &self.receivers[topic] {
            self.peers[*index].outbox.extend_from_slice(packet);
        }
    }
}

fn flush(peer: &mut Peer) {
    let Some(stream) = &mut peer.stream else { return };
    while !peer.outbox.is_empty() {
        match stream.write(&peer.outbox) {
            Ok(count) => drop(peer.outbox.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => {
                *peer = Peer::default();
                return;
            }
        }
    }
}
