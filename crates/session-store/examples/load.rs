//! QoS 1 or 2 messages from one client to a subscriber whose session is kept, against a running server:
//! `cargo run --release -p session-store --example load -- ADDRESS [MESSAGES] [QOS] [WINDOW] [present|absent]`.
//! Prints messages acknowledged per second and the time from PUBLISH to its acknowledgement.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot be made should stop")]

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Instant;

use mqtt::connect::Connect;
use mqtt::property::Properties;
use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::server_packet::{ServerPacket, decode};
use mqtt::subscribe::{Options, encode_subscribe};
use mqtt::{ReasonCode, Version, frame};

const VERSION: Version = Version::V311;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = arguments.first().expect("the address is the first argument").clone();
    let number =
        |index: usize, default: usize| arguments.get(index).map_or(default, |text| text.parse().unwrap());
    let (messages, qos, window) = (number(1, 100_000), number(2, 1) as u8, number(3, 100));
    let is_absent = arguments.get(4).is_some_and(|word| word == "absent");

    let mut subscriber = connect(&address, "load-subscriber", false);
    let mut out = Vec::new();
    encode_subscribe(&mut out, VERSION, 1, &[("load/#", Options { qos, ..Options::default() })], &[]);
    subscriber.write_all(&out).unwrap();
    let mut replies = Packets::new(subscriber.try_clone().unwrap());
    replies.next_is(0x90);
    let reader = (!is_absent).then(|| std::thread::spawn(move || receive(subscriber, replies, messages)));

    let publisher = connect(&address, "load-publisher", true);
    let began = Instant::now();
    let mut times = publish(publisher, messages, qos, window);
    let acknowledged_s = began.elapsed().as_secs_f64();
    if let Some(reader) = reader {
        reader.join().unwrap();
    }
    let delivered_s = began.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| f64::from(times[((times.len() - 1) as f64 * share) as usize]) / 1000.0;
    println!(
        "{:.0} messages/s acknowledged, {:.0} messages/s delivered; PUBLISH to acknowledgement p50 {:.2} ms, p99 {:.2} ms, \
         longest {:.2} ms",
        messages as f64 / acknowledged_s,
        messages as f64 / delivered_s,
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// Publishes with so many messages without an answer at a time; returns microseconds to each acknowledgement.
fn publish(mut publisher: TcpStream, messages: usize, qos: u8, window: usize) -> Vec<u32> {
    let mut answers = Packets::new(publisher.try_clone().unwrap());
    let (sent, expected) = mpsc::sync_channel::<Instant>(window);
    let mut releases = publisher.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut times = Vec::with_capacity(messages);
        while times.len() < messages {
            match answers.next() {
                Owned::Ack(AckKind::Pubrec, packet_id) => {
                    let mut out = Vec::new();
                    ack(AckKind::Pubrel, packet_id, &mut out);
                    releases.write_all(&out).unwrap();
                }
                Owned::Ack(AckKind::Puback | AckKind::Pubcomp, _) => {
                    let at: Instant = expected.recv().unwrap();
                    times.push(u32::try_from(at.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
                other => panic!("{other:?}"),
            }
        }
        times
    });
    let payload = [b'.'; 200];
    let mut out = Vec::new();
    for number in 0..messages {
        sent.send(Instant::now()).unwrap();
        let packet_id = (number % 60_000) as u16 + 1;
        let topic = format!("load/{}", number % 100);
        out.clear();
        PublishOut { topic: &topic, payload: &payload, qos, packet_id, ..PublishOut::default() }
            .encode(&mut out, VERSION);
        publisher.write_all(&out).unwrap();
    }
    reader.join().unwrap()
}

fn receive(mut subscriber: TcpStream, mut packets: Packets, messages: usize) {
    let (mut count, mut out) = (0, Vec::new());
    while count < messages {
        match packets.next() {
            Owned::Publish(1, packet_id) => {
                count += 1;
                ack(AckKind::Puback, packet_id, &mut out);
            }
            Owned::Publish(2, packet_id) => ack(AckKind::Pubrec, packet_id, &mut out),
            Owned::Ack(AckKind::Pubrel, packet_id) => {
                count += 1;
                ack(AckKind::Pubcomp, packet_id, &mut out);
            }
            other => panic!("{other:?}"),
        }
        if !packets.has_more() {
            subscriber.write_all(&out).unwrap();
            out.clear();
        }
    }
    subscriber.write_all(&out).unwrap();
}

fn ack(kind: AckKind, packet_id: u16, out: &mut Vec<u8>) {
    Ack { kind, packet_id, reason: ReasonCode::Success }.encode(out, VERSION);
}

fn connect(address: &str, client_id: &str, clean_start: bool) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let connect = Connect {
        version: VERSION,
        clean_start,
        keep_alive_s: 600,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    };
    let mut out = Vec::new();
    connect.encode(&mut out, &[], &[]);
    stream.write_all(&out).unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack[3], 0, "CONNACK refuses");
    stream
}

/// Control packets off a socket.
struct Packets {
    stream: BufReader<TcpStream>,
    bytes: Vec<u8>,
    used: usize,
}

#[derive(Debug)]
enum Owned {
    Publish(u8, u16),
    Ack(AckKind, u16),
    Other(u8),
}

impl Packets {
    fn new(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(stream), bytes: Vec::new(), used: 0 }
    }

    fn has_more(&self) -> bool {
        frame::split(&self.bytes[self.used..], u32::MAX).unwrap().is_some()
    }

    fn next_is(&mut self, header: u8) {
        assert!(matches!(self.next(), Owned::Other(first) if first == header));
    }

    fn next(&mut self) -> Owned {
        loop {
            if let Some(frame) = frame::split(&self.bytes[self.used..], u32::MAX).unwrap() {
                let packet = match decode(&frame, VERSION).unwrap() {
                    ServerPacket::Publish(publish) => Owned::Publish(publish.qos, publish.packet_id),
                    ServerPacket::Ack(ack) => Owned::Ack(ack.kind, ack.packet_id),
                    _ => Owned::Other(frame.header),
                };
                self.used += frame.len;
                return packet;
            }
            self.bytes.drain(..self.used);
            self.used = 0;
            let mut chunk = [0; 65_536];
            let count = self.stream.read(&mut chunk).unwrap();
            assert!(count > 0, "the server closed the connection");
            self.bytes.extend_from_slice(&chunk[..count]);
        }
    }
}
