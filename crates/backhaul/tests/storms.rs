//! Storms through real sockets against the real binary: many connections, takeovers, half-open connections, a peer that
//! never reads. Sizes are modest; `BACKHAUL_STORM_CLIENTS=10000` makes them large. Nothing here measures time.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mqtt::connect::Connect;
use mqtt::property::Properties;
use mqtt::publish::PublishOut;
use mqtt::server_packet::{self, ServerPacket};
use mqtt::subscribe::{Options, encode_subscribe};
use mqtt::{Version, frame};

struct Server {
    process: Child,
    address: SocketAddr,
    _data: tempfile::TempDir,
}

impl Server {
    fn start(lines: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = data.path().join("backhaul.toml");
        std::fs::write(&config, lines).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_backhaul"))
            .args(["serve", "--mqtt-listen", "127.0.0.1:0", "--web-listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .arg("--data")
            .arg(data.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = output.find_map(|line| {
            let line = line.unwrap();
            let mut words = line.split_whitespace();
            (words.next() == Some("MQTT")).then(|| words.next().unwrap().parse().unwrap())
        });
        // The program goes on writing there; somebody has to read.
        std::thread::spawn(move || output.for_each(drop));
        Self { process, address: address.unwrap(), _data: data }
    }

    fn connect(&self) -> Peer {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        // Only so that a broken server fails the test instead of stopping it.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Peer { stream, received: Vec::new() }
    }

    fn join(&self, client_id: &str) -> Peer {
        let mut peer = self.connect();
        peer.hello(client_id, true);
        assert_eq!(peer.connack(), Some(0));
        peer
    }

    fn resident_bytes(&self) -> usize {
        let path = Path::new("/proc").join(self.process.id().to_string()).join("status");
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _status = self.process.wait();
    }
}

struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Peer {
    fn hello(&mut self, client_id: &str, is_clean: bool) {
        let connect = Connect {
            version: Version::V311,
            clean_start: is_clean,
            keep_alive_s: 600,
            client_id,
            will: None,
            username: None,
            password: None,
            properties: Properties::default(),
        };
        let mut out = Vec::new();
        connect.encode(&mut out, &[], &[]);
        self.send(&out);
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next packet; `None` when the broker has closed the connection.
    fn packet(&mut self) -> Option<Vec<u8>> {
        loop {
            let whole = frame::split(&self.received, u32::MAX).unwrap().map(|frame| frame.len);
            if let Some(len) = whole {
                return Some(self.received.drain(..len).collect());
            }
            let mut bytes = [0; 65_536];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.received.extend(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the broker does not answer: {error}"),
            }
        }
    }

    fn connack(&mut self) -> Option<u8> {
        self.packet().map(|packet| {
            assert_eq!(packet[0], 0x20, "{packet:?}");
            packet[3]
        })
    }

    fn subscribe(&mut self, filter: &str, qos: u8) {
        let mut out = Vec::new();
        let options = Options { qos, ..Options::default() };
        encode_subscribe(&mut out, Version::V311, 1, &[(filter, options)], &[]);
        self.send(&out);
        assert_eq!(self.packet().unwrap()[0], 0x90);
    }

    fn publish(&mut self, topic: &str, number: u32, bytes: usize) {
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(bytes, 7);
        let mut out = Vec::new();
        PublishOut { topic, payload: &payload, ..PublishOut::default() }.encode(&mut out, Version::V311);
        self.send(&out);
    }

    /// The number of the next message.
    fn message(&mut self) -> u32 {
        let packet = self.packet().unwrap();
        let frame = frame::split(&packet, u32::MAX).unwrap().unwrap();
        match server_packet::decode(&frame, Version::V311).unwrap() {
            ServerPacket::Publish(publish) => u32::from_be_bytes(*publish.payload.first_chunk().unwrap()),
            other => panic!("{other:?}"),
        }
    }
}

/// How many clients: what the environment asks for, as far as files may be open.
fn clients(usual: usize) -> usize {
    let wanted = std::env::var("BACKHAUL_STORM_CLIENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual);
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX);
    let possible = wanted.min(soft.saturating_sub(100));
    if possible < wanted {
        eprintln!("{possible} clients instead of {wanted}: only {soft} files may be open");
    }
    possible
}

/// Limits that let so many clients in, twice over: those who left may not all be noticed when they come again.
fn roomy(count: usize) -> String {
    format!(
        "[mqtt]\nmax_connections = {0}\nsessions_max = {0}\nconnects_per_second_max = 1000000\nconnect_timeout_s = 300\n",
        2 * count + 10
    )
}

#[test]
fn everybody_comes_back_at_once() {
    let count = clients(500);
    let server = Server::start(&roomy(count));
    let name = |n: usize| format!("client-{n}");
    for round in 0..2 {
        let mut peers: Vec<Peer> = (0..count).map(|_| server.connect()).collect();
        for (n, peer) in peers.iter_mut().enumerate() {
            peer.hello(&name(n), false);
        }
        for (n, peer) in peers.iter_mut().enumerate() {
            let connack = peer.packet().unwrap();
            assert_eq!((connack[2], connack[3]), (u8::from(round > 0), 0), "client {n} in round {round}");
            if round == 0 {
                peer.subscribe("all", 0);
            }
        }
        let mut voice = server.join("voice");
        voice.publish("all", 7, 10);
        assert!(peers.iter_mut().all(|peer| peer.message() == 7));
        // All of them are gone at once, as after a power cut: no DISCONNECT.
    }
}

#[test]
fn a_takeover_storm_leaves_one_connection() {
    let count = clients(300);
    let server = Server::start(&roomy(count));
    let mut peers: Vec<Peer> = (0..count).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.hello("the same", false);
    }
    let mut voice = server.join("voice");
    // Every one is let in or closed; the last to be let in stays.
    let mut staying = Vec::new();
    for mut peer in peers {
        let _connack = peer.packet();
        peer.send(&server_packet::PINGREQ);
        staying.push(peer);
    }
    let alive = staying.iter_mut().filter_map(|peer| peer.packet().map(|_| ())).count();
    assert_eq!(alive, 1);
    voice.subscribe("t", 0);
    voice.publish("t", 1, 10);
    assert_eq!(voice.message(), 1, "nobody else is disturbed");
}

#[test]
fn a_frozen_peer_costs_a_bounded_number_of_bytes_and_nobody_else_a_message() {
    let server = Server::start("[mqtt]\nqueue_bytes_max = 100000\nmax_packet_size = 65536\n");
    let mut frozen: Vec<Peer> = (0..10).map(|n| server.join(&format!("frozen-{n}"))).collect();
    for peer in &mut frozen {
        peer.subscribe("flood", 0);
    }
    let mut reader = server.join("reader");
    reader.subscribe("flood", 0);
    let mut writer = server.join("writer");
    let before = server.resident_bytes();
    const MESSAGES: u32 = 2_000;
    const BYTES: usize = 20_000;
    for number in 0..MESSAGES {
        writer.publish("flood", number, BYTES);
        assert_eq!(reader.message(), number, "in order, and none is missing");
    }
    let grown = server.resident_bytes().saturating_sub(before);
    let all = MESSAGES as usize * BYTES * frozen.len();
    assert!(grown < all / 10, "{grown} bytes were kept of {all}");
}

#[test]
fn half_open_connections_do_not_keep_others_out() {
    let server = Server::start("[mqtt]\nconnect_timeout_s = 1\nmax_connections = 50\n");
    // Peers that open and say nothing, or half a CONNECT, or have closed their side only.
    let silent: Vec<Peer> = (0..20).map(|_| server.connect()).collect();
    let half: Vec<Peer> = (0..20)
        .map(|_| {
            let mut peer = server.connect();
            peer.send(&[0x10, 0x20, 0, 4, b'M']);
            peer
        })
        .collect();
    let closed_side = server.connect();
    closed_side.stream.shutdown(Shutdown::Write).unwrap();
    // The broker closes each of them by itself, which is when reading ends.
    for mut peer in silent.into_iter().chain(half).chain([closed_side]) {
        assert_eq!(peer.packet(), None);
    }
    let joined: Vec<Peer> = (0..50).map(|n| server.join(&format!("client-{n}"))).collect();
    assert_eq!(joined.len(), 50);
}
