//! A simulated gateway's real MQTT connection: speaks 3.1.1 as firmware does, and comes back when it is lost.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use mesh::node::NodeNum;
use mqtt::Version;
use mqtt::connect::Connect;
use mqtt::frame;
use mqtt::property::Properties;
use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::server_packet::{self, PINGREQ, ServerPacket};
use mqtt::subscribe::{Options, encode_subscribe};

/// How a gateway signs in.
#[derive(Clone)]
pub struct Login {
    /// User name and password; `None` for a guest.
    pub credential: Option<(String, String)>,
    /// Topic Filters it subscribes to.
    pub filters: Vec<String>,
}

/// What a gateway is told to publish.
pub struct Publication {
    /// Topic Name.
    pub topic: String,
    /// Application payload.
    pub payload: Vec<u8>,
}

/// A copy that came down.
pub struct Downlink {
    /// To which gateway.
    pub gateway: NodeNum,
    /// Envelope.
    pub payload: Vec<u8>,
}

/// Firmware's Keep Alive, seconds.
const KEEP_ALIVE_S: u16 = 15;
/// How long one read waits, so that publications go out soon.
const READ_WAIT: Duration = Duration::from_millis(5);
/// Firmware waits 30 s before it connects again; a simulated city is less patient.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);
/// Largest packet taken.
const PACKET_BYTES_MAX: u32 = 65_536;

/// Starts a gateway on a thread of its own; it ends when the sender of publications is dropped.
pub fn start(
    broker: SocketAddr,
    gateway: NodeNum,
    login: Login,
    downlinks: Sender<Downlink>,
) -> std::io::Result<Sender<Publication>> {
    let (publish, publications) = channel();
    std::thread::Builder::new().name(gateway.to_string()).spawn(move || {
        let gateway = SimulatedGateway { broker, gateway, login, downlinks };
        while gateway.connect_and_run(&publications).is_err() {
            std::thread::sleep(RECONNECT_AFTER);
        }
    })?;
    Ok(publish)
}

struct SimulatedGateway {
    broker: SocketAddr,
    gateway: NodeNum,
    login: Login,
    downlinks: Sender<Downlink>,
}

impl SimulatedGateway {
    /// Ends without an error when there is nothing more to publish.
    fn connect_and_run(&self, publications: &Receiver<Publication>) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(self.broker)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_WAIT))?;
        stream.write_all(&self.hello())?;
        let mut buffered = Vec::new();
        let mut last_sent = Instant::now();
        loop {
            self.receive(&mut stream, &mut buffered)?;
            match self.publish_waiting(&mut stream, publications)? {
                Waiting::Sent => last_sent = Instant::now(),
                Waiting::None => {}
                Waiting::Over => return Ok(()),
            }
            if last_sent.elapsed() > Duration::from_secs(u64::from(KEEP_ALIVE_S)) {
                stream.write_all(&PINGREQ)?;
                last_sent = Instant::now();
            }
        }
    }

    fn hello(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let client_id = self.gateway.to_string();
        let credential = self.login.credential.as_ref();
        let connect = Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive_s: KEEP_ALIVE_S,
            client_id: &client_id,
            will: None,
            username: credential.map(|c| c.0.as_str()),
            password: credential.map(|c| c.1.as_bytes()),
            properties: Properties::default(),
        };
        connect.encode(&mut out, &[], &[]);
        for (index, filter) in self.login.filters.iter().enumerate() {
            let options = Options { qos: 1, ..Options::default() };
            let packet_id = u16::try_from(index + 1).unwrap_or(u16::MAX);
            encode_subscribe(&mut out, Version::V311, packet_id, &[(filter, options)], &[]);
        }
        out
    }

    fn receive(&self, stream: &mut TcpStream, buffered: &mut Vec<u8>) -> std::io::Result<()> {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(0) => return Err(ErrorKind::ConnectionReset.into()),
            Ok(count) => buffered.extend_from_slice(&bytes[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let mut used = 0;
        let mut answers = Vec::new();
        let bad = |e: mqtt::DecodeError| std::io::Error::new(ErrorKind::InvalidData, e);
        while let Some(frame) = frame::split(&buffered[used..], PACKET_BYTES_MAX).map_err(bad)? {
            match server_packet::decode(&frame, Version::V311).map_err(bad)? {
                ServerPacket::Connack(connack) if connack.code != 0 => {
                    tracing::warn!(gateway = %self.gateway, code = connack.code, "the broker refuses the gateway");
                    return Err(ErrorKind::PermissionDenied.into());
                }
                ServerPacket::Publish(publish) => {
                    if publish.qos == 1 {
                        let ack = Ack {
                            kind: AckKind::Puback,
                            packet_id: publish.packet_id,
                            reason: mqtt::ReasonCode::Success,
                        };
                        ack.encode(&mut answers, Version::V311);
                    }
                    // Nobody listening: the simulation ends, and so will the publications.
                    let _ = self
                        .downlinks
                        .send(Downlink { gateway: self.gateway, payload: publish.payload.to_vec() });
                }
                _ => {}
            }
            used += frame.len;
        }
        buffered.drain(..used);
        stream.write_all(&answers)
    }

    fn publish_waiting(
        &self,
        stream: &mut TcpStream,
        publications: &Receiver<Publication>,
    ) -> std::io::Result<Waiting> {
        let mut out = Vec::new();
        loop {
            match publications.recv_timeout(Duration::ZERO) {
                Ok(publication) => {
                    let publish = PublishOut {
                        topic: &publication.topic,
                        payload: &publication.payload,
                        ..PublishOut::default()
                    };
                    publish.encode(&mut out, Version::V311);
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) if out.is_empty() => return Ok(Waiting::Over),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        stream.write_all(&out)?;
        Ok(if out.is_empty() { Waiting::None } else { Waiting::Sent })
    }
}

enum Waiting {
    Sent,
    None,
    Over,
}
