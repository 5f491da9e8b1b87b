//! The load generator: many MQTT 3.1.1 clients on one thread, in a closed loop. It measures nothing and knows no
//! broker.
//!
//! A publisher has at most `window` messages on the way: the next goes out when every receiver has the oldest (and,
//! with QoS 1, the broker has acknowledged it). Queues in the broker stay bounded that way, so a loss is a fault.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use mqtt::Version;
use mqtt::connect::Connect;
use mqtt::frame::split;
use mqtt::property::Properties;
use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::server_packet::{ServerPacket, decode};
use mqtt::subscribe::{Options, encode_subscribe};

use crate::Failure;
use crate::envelope::{Composer, Uplink};

/// One client that publishes.
pub struct PublisherPlan {
    /// Client Identifier.
    pub client_id: String,
    /// Topic Name; ends in eight hexadecimal digits whose last four are the publisher's index.
    pub topic: String,
    /// What it publishes.
    pub payload: Payload,
}

/// What a publisher publishes.
#[derive(Debug, Clone, Copy)]
pub enum Payload {
    /// Bytes that mean nothing.
    Opaque,
    /// Envelopes of that gateway, each with a packet of its own.
    Envelopes(u32),
}

/// One client that subscribes.
pub struct SubscriberPlan {
    /// Client Identifier.
    pub client_id: String,
    /// Topic Filter.
    pub filter: String,
}

/// The work of one run.
pub struct Plan {
    /// Publishers, by index.
    pub publishers: Vec<PublisherPlan>,
    /// Subscribers.
    pub subscribers: Vec<SubscriberPlan>,
    /// Subscribers that get each message: all of them, or one each.
    pub copies: usize,
    /// QoS of publishes and subscriptions, 0 or 1.
    pub qos: u8,
    /// Messages on the way per publisher.
    pub window: u64,
    /// Messages per second of all publishers together; as many as the windows allow when `None`.
    pub rate: Option<u64>,
}

/// Bytes of an opaque payload; envelopes are as long.
pub const PAYLOAD_BYTES: usize = 200;
const ENVELOPE_TEXT: usize = 120;
/// Without a delivery for so long, what is missing is lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// With a rate, how often it is looked whether something is due.
const PACE: Duration = Duration::from_millis(1);

/// All clients of a run, connected.
pub struct Load {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    publishers: Vec<Publisher>,
    copies: u64,
    qos: u8,
    window: u64,
    rate: Option<u64>,
    began: Instant,
    next: usize,
    composer: Composer,
    packets: u32,
    read_buffer: Box<[u8]>,
    /// Messages published.
    pub published: u64,
    /// Copies that arrived.
    pub delivered: u64,
}

struct Client {
    stream: TcpStream,
    /// The front of a packet whose rest has not arrived.
    partial: Vec<u8>,
    unsent: Vec<u8>,
}

struct Publisher {
    topic: String,
    payload: Payload,
    sent: u64,
    acknowledged: u64,
    /// Messages that each of its receivers has.
    had_by: Vec<u64>,
    /// Messages that every receiver has.
    done: u64,
    /// Receivers that have more than `done`.
    ahead: usize,
}

impl Publisher {
    fn delivered_to(&mut self, receiver: usize) {
        self.had_by[receiver] += 1;
        if self.had_by[receiver] == self.done + 1 {
            self.ahead += 1;
        }
        while self.ahead == self.had_by.len() {
            self.done += 1;
            self.ahead = self.had_by.iter().filter(|had| **had > self.done).count();
        }
    }

    fn on_the_way(&self, qos: u8) -> u64 {
        self.sent - if qos == 0 { self.done } else { self.done.min(self.acknowledged) }
    }
}

impl Load {
    /// Connects everybody; subscriptions are acknowledged when it returns.
    pub fn connect(plan: Plan, address: SocketAddr) -> Result<Self, Failure> {
        let poll = Poll::new()?;
        let mut clients = Vec::new();
        let publishing = plan.publishers.iter().map(|p| (&p.client_id, None));
        let subscribing = plan.subscribers.iter().map(|s| (&s.client_id, Some(&*s.filter)));
        for (client_id, filter) in publishing.chain(subscribing) {
            let mut stream = sign_in(address, client_id, filter, plan.qos)?;
            let token = Token(clients.len());
            poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            clients.push(Client { stream, partial: Vec::new(), unsent: Vec::new() });
        }
        let publishers = plan.publishers.into_iter().map(|p| Publisher {
            topic: p.topic,
            payload: p.payload,
            sent: 0,
            acknowledged: 0,
            had_by: vec![0; plan.copies],
            done: 0,
            ahead: 0,
        });
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            clients,
            publishers: publishers.collect(),
            copies: plan.copies as u64,
            qos: plan.qos,
            window: plan.window,
            rate: plan.rate,
            began: Instant::now(),
            next: 0,
            composer: Composer::new(),
            packets: 0,
            read_buffer: vec![0; 65_536].into(),
            published: 0,
            delivered: 0,
        })
    }

    /// Publishes and receives for so long.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        let mut moved = (Instant::now(), self.delivered);
        while Instant::now() < end {
            self.publish()?;
            self.receive()?;
            if self.delivered != moved.1 {
                moved = (Instant::now(), self.delivered);
            } else if moved.0.elapsed() > PATIENCE {
                break; // Every window is full of lost messages; `lost` says how many.
            }
        }
        Ok(())
    }

    /// Publishes nothing more and receives what is on the way.
    pub fn drain(&mut self) -> Result<(), Failure> {
        let mut moved = (Instant::now(), self.delivered);
        while self.lost() > 0 && moved.0.elapsed() < PATIENCE {
            self.receive()?;
            if self.delivered != moved.1 {
                moved = (Instant::now(), self.delivered);
            }
        }
        Ok(())
    }

    /// Copies that have not arrived; after `drain` they never will.
    pub fn lost(&self) -> u64 {
        (self.published * self.copies).saturating_sub(self.delivered)
    }

    fn publish(&mut self) -> Result<(), Failure> {
        let Some(rate) = self.rate else {
            for index in 0..self.publishers.len() {
                let free = self.window.saturating_sub(self.publishers[index].on_the_way(self.qos));
                self.publish_by(index, free)?;
            }
            return Ok(());
        };
        let due = (self.began.elapsed().as_secs_f64() * rate as f64) as u64;
        for _ in 0..self.publishers.len() {
            if self.published >= due {
                break;
            }
            let index = self.next % self.publishers.len();
            self.next += 1;
            let has_room = self.publishers[index].on_the_way(self.qos) < self.window;
            self.publish_by(index, u64::from(has_room))?;
        }
        Ok(())
    }

    fn publish_by(&mut self, index: usize, count: u64) -> Result<(), Failure> {
        let opaque = [b'x'; PAYLOAD_BYTES];
        let (publisher, client) = (&mut self.publishers[index], &mut self.clients[index]);
        for _ in 0..count {
            publisher.sent += 1;
            let payload = match publisher.payload {
                Payload::Opaque => &opaque[..],
                Payload::Envelopes(gateway) => {
                    self.packets += 1;
                    // An odd factor: every packet gets an id of its own.
                    let id = self.packets.wrapping_mul(2_654_435_761);
                    let from = 0x1000_0000 + self.packets % 1000;
                    self.composer.compose(&Uplink {
                        gateway,
                        from,
                        id,
                        rx_time: 1_790_000_000,
                        text_len: ENVELOPE_TEXT,
                    });
                    &self.composer.envelope
                }
            };
            let packet_id = if self.qos > 0 { (publisher.sent % 65_535) as u16 + 1 } else { 0 };
            let topic = &publisher.topic;
            PublishOut { qos: self.qos, topic, packet_id, payload, ..Default::default() }
                .encode(&mut client.unsent, Version::V311);
        }
        self.published += count;
        client.flush()
    }

    fn receive(&mut self) -> Result<(), Failure> {
        self.poll.poll(&mut self.events, Some(if self.rate.is_some() { PACE } else { PATIENCE / 100 }))?;
        for event in &self.events {
            let index = event.token().0;
            let client = &mut self.clients[index];
            if event.is_readable() {
                let receiver = index.saturating_sub(self.publishers.len()) % self.copies as usize;
                let (publishers, delivered) = (&mut self.publishers, &mut self.delivered);
                let mut inbox = Inbox { publishers, delivered, index, receiver };
                client.read(&mut self.read_buffer, &mut inbox)?;
            }
            client.flush()?;
        }
        Ok(())
    }
}

/// Where what a client receives is counted.
struct Inbox<'a> {
    publishers: &'a mut [Publisher],
    delivered: &'a mut u64,
    /// The client.
    index: usize,
    /// Its number among the receivers of a publisher.
    receiver: usize,
}

impl Inbox<'_> {
    fn take(&mut self, packet: ServerPacket<'_>, unsent: &mut Vec<u8>) -> Result<(), Failure> {
        match packet {
            ServerPacket::Publish(publish) => {
                let publisher = publisher_of(publish.topic).and_then(|p| self.publishers.get_mut(p));
                publisher.ok_or("a message on a topic that nobody published to")?.delivered_to(self.receiver);
                *self.delivered += 1;
                if publish.qos == 1 {
                    let reason = mqtt::ReasonCode::Success;
                    Ack { kind: AckKind::Puback, packet_id: publish.packet_id, reason }
                        .encode(unsent, Version::V311);
                }
                Ok(())
            }
            ServerPacket::Ack(Ack { kind: AckKind::Puback, .. }) => {
                self.publishers[self.index].acknowledged += 1;
                Ok(())
            }
            other => Err(format!("the broker sent {other:?}").into()),
        }
    }
}

impl Client {
    fn read(&mut self, buffer: &mut [u8], inbox: &mut Inbox<'_>) -> Result<(), Failure> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err("the broker closed a connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let Self { partial, unsent, .. } = self;
            if partial.is_empty() {
                let used = take_all(&buffer[..count], inbox, unsent)?;
                partial.extend_from_slice(&buffer[used..count]);
            } else {
                partial.extend_from_slice(&buffer[..count]);
                let used = take_all(partial, inbox, unsent)?;
                partial.drain(..used);
            }
            if count < buffer.len() {
                return Ok(()); // The socket was read dry; the next byte is a new event.
            }
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn take_all(bytes: &[u8], inbox: &mut Inbox<'_>, unsent: &mut Vec<u8>) -> Result<usize, Failure> {
    let mut used = 0;
    while let Some(frame) = split(&bytes[used..], u32::MAX)? {
        used += frame.len;
        inbox.take(decode(&frame, Version::V311)?, unsent)?;
    }
    Ok(used)
}

fn publisher_of(topic: &str) -> Option<usize> {
    usize::from_str_radix(topic.get(topic.len().checked_sub(4)?..)?, 16).ok()
}

/// Connects and subscribes, step by step; the connection does not block from then on.
fn sign_in(
    address: SocketAddr,
    client_id: &str,
    filter: Option<&str>,
    qos: u8,
) -> Result<TcpStream, Failure> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let connect = Connect {
        version: Version::V311,
        clean_start: true,
        keep_alive_s: 600,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    };
    let mut out = Vec::new();
    connect.encode(&mut out, &[], &[]);
    let answer = ask(&mut stream, &out)?;
    if answer.first() != Some(&0x20) || answer.last() != Some(&0) {
        return Err(format!("the broker answers CONNECT with {answer:02x?}").into());
    }
    if let Some(filter) = filter {
        out.clear();
        let options = Options { qos, ..Options::default() };
        encode_subscribe(&mut out, Version::V311, 1, &[(filter, options)], &[]);
        let answer = ask(&mut stream, &out)?;
        if answer.first() != Some(&0x90) || answer.last() != Some(&qos) {
            return Err(format!("the broker answers SUBSCRIBE with {answer:02x?}").into());
        }
    }
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

/// Sends a packet and reads the next one whole.
fn ask(stream: &mut std::net::TcpStream, packet: &[u8]) -> Result<Vec<u8>, Failure> {
    stream.write_all(packet)?;
    let mut answer = Vec::new();
    loop {
        if let Some(frame) = split(&answer, u32::MAX)? {
            let len = frame.len;
            answer.truncate(len);
            return Ok(answer);
        }
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
}
