//! One MQTT connection: signs in step by step, then reads and writes without blocking. Knows nothing of the work.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use bench::Failure;
use mio::net::TcpStream;
use mqtt::Version;
use mqtt::connect::Connect;
use mqtt::frame::split;
use mqtt::property::Properties;
use mqtt::server_packet::{ServerPacket, decode};
use mqtt::subscribe::{Options, encode_subscribe};

/// How long a broker may take to answer CONNECT and SUBSCRIBE.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Largest packet taken.
const PACKET_BYTES_MAX: u32 = 1 << 20;
/// Topic Filters in one SUBSCRIBE.
const FILTERS_AT_ONCE: usize = 100;

/// A connection that is signed in.
pub struct Client {
    /// For the poll.
    pub stream: TcpStream,
    /// What is to be written.
    pub outbox: Vec<u8>,
    written: usize,
    /// The front of a packet whose rest has not arrived.
    partial: Vec<u8>,
}

impl Client {
    /// Connects, and subscribes to the filters.
    pub fn sign_in(
        address: SocketAddr,
        client_id: &str,
        filters: &[String],
        qos: u8,
    ) -> Result<Self, Failure> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        ask(&mut stream, &connect(client_id), |answer| match answer {
            ServerPacket::Connack(connack) if connack.code == 0 => Ok(()),
            other => Err(format!("CONNECT is answered with {other:?}").into()),
        })?;
        for filters in filters.chunks(FILTERS_AT_ONCE) {
            let options = Options { qos, ..Options::default() };
            let filters: Vec<_> = filters.iter().map(|filter| (filter.as_str(), options)).collect();
            let mut out = Vec::new();
            encode_subscribe(&mut out, Version::V311, 1, &filters, &[]);
            ask(&mut stream, &out, |answer| match answer {
                ServerPacket::Suback(1, codes) if codes.iter().all(|code| *code == qos) => Ok(()),
                other => Err(format!("SUBSCRIBE is answered with {other:?}").into()),
            })?;
        }
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream);
        Ok(Self { stream, outbox: Vec::new(), written: 0, partial: Vec::new() })
    }

    /// Reads until nothing is left and gives each packet to `take`, with the outbox for answers.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(ServerPacket<'_>, &mut Vec<u8>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err("the broker closed a connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let bytes = if self.partial.is_empty() {
                &buffer[..count]
            } else {
                self.partial.extend_from_slice(&buffer[..count]);
                &self.partial
            };
            let mut used = 0;
            while let Some(frame) = split(&bytes[used..], PACKET_BYTES_MAX)? {
                take(decode(&frame, Version::V311)?, &mut self.outbox)?;
                used += frame.len;
            }
            if self.partial.is_empty() {
                self.partial.extend_from_slice(&buffer[used..count]);
            } else {
                self.partial.drain(..used);
            }
            if count < buffer.len() {
                return Ok(()); // Less than asked for: the socket is dry, and the next byte is a new event.
            }
        }
    }

    /// Writes what the socket takes.
    pub fn flush(&mut self) -> Result<(), Failure> {
        while self.written < self.outbox.len() {
            match self.stream.write(&self.outbox[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.outbox.clear();
        self.written = 0;
        Ok(())
    }
}

/// A CONNECT of MQTT 3.1.1 with a clean session and no Keep Alive to speak of.
pub fn connect(client_id: &str) -> Vec<u8> {
    let connect = Connect {
        version: Version::V311,
        clean_start: true,
        keep_alive_s: 3_600,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    };
    let mut out = Vec::new();
    connect.encode(&mut out, &[], &[]);
    out
}

/// Sends a packet and judges the next one.
fn ask(
    stream: &mut std::net::TcpStream,
    packet: &[u8],
    judge: impl FnOnce(ServerPacket<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    stream.write_all(packet)?;
    let mut answer = Vec::new();
    loop {
        if let Some(frame) = split(&answer, PACKET_BYTES_MAX)? {
            return judge(decode(&frame, Version::V311)?);
        }
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
}
