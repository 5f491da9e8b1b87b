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
use rustls::ClientConnection;

use crate::tls;

/// How long a broker may take to answer CONNECT and SUBSCRIBE.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Largest packet taken.
const PACKET_BYTES_MAX: u32 = 1 << 20;
/// Topic Filters in one SUBSCRIBE.
const FILTERS_AT_ONCE: usize = 100;
/// What is put into TLS at a time.
const RECORD_BYTES: usize = 16 * 1024;

/// A connection that is signed in.
pub struct Client {
    /// For the poll.
    pub stream: TcpStream,
    /// TLS, where it is spoken.
    tls: Option<Box<ClientConnection>>,
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
        tls: bool,
        client_id: &str,
        filters: &[String],
        qos: u8,
    ) -> Result<Self, Failure> {
        let mut tcp = std::net::TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(ANSWER_WAIT))?;
        let mut tls = if tls { Some(Box::new(tls::begin()?)) } else { None };
        let mut tunnel;
        let stream: &mut dyn ReadWrite = match &mut tls {
            Some(session) => {
                tunnel = rustls::Stream::new(session.as_mut(), &mut tcp);
                &mut tunnel
            }
            None => &mut tcp,
        };
        ask(stream, &connect(client_id), |answer| match answer {
            ServerPacket::Connack(connack) if connack.code == 0 => Ok(()),
            other => Err(format!("CONNECT is answered with {other:?}").into()),
        })?;
        for filters in filters.chunks(FILTERS_AT_ONCE) {
            let options = Options { qos, ..Options::default() };
            let filters: Vec<_> = filters.iter().map(|filter| (filter.as_str(), options)).collect();
            let mut out = Vec::new();
            encode_subscribe(&mut out, Version::V311, 1, &filters, &[]);
            ask(stream, &out, |answer| match answer {
                ServerPacket::Suback(1, codes) if codes.iter().all(|code| *code == qos) => Ok(()),
                other => Err(format!("SUBSCRIBE is answered with {other:?}").into()),
            })?;
        }
        tcp.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(tcp),
            tls,
            outbox: Vec::new(),
            written: 0,
            partial: Vec::new(),
        })
    }

    /// Reads until nothing is left and gives each packet to `take`, with the outbox for answers.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(ServerPacket<'_>, &mut Vec<u8>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            let count = match read_once(&mut self.stream, &mut self.tls, buffer) {
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
            if count < buffer.len() && self.tls.is_none() {
                return Ok(()); // Less than asked for: the socket is dry, and the next byte is a new event.
            }
        }
    }

    /// Writes what the socket takes.
    pub fn flush(&mut self) -> Result<(), Failure> {
        while self.written < self.outbox.len() || self.tls.as_ref().is_some_and(|tls| tls.wants_write()) {
            let unsent = &self.outbox[self.written..];
            let written = match &mut self.tls {
                None => self.stream.write(unsent),
                Some(tls) if tls.wants_write() => tls.write_tls(&mut self.stream).map(|_| 0),
                Some(tls) => tls.writer().write(&unsent[..unsent.len().min(RECORD_BYTES)]),
            };
            match written {
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

/// What sign-in needs of a connection.
trait ReadWrite: Read + Write {}
impl<S: Read + Write> ReadWrite for S {}

/// Reads once: from the socket, or what TLS makes of it.
fn read_once(
    stream: &mut TcpStream,
    tls: &mut Option<Box<ClientConnection>>,
    buffer: &mut [u8],
) -> std::io::Result<usize> {
    let Some(tls) = tls else { return stream.read(buffer) };
    loop {
        match tls.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
        if tls.read_tls(stream)? == 0 {
            return Ok(0);
        }
        tls.process_new_packets().map_err(std::io::Error::other)?;
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
    stream: &mut dyn ReadWrite,
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
