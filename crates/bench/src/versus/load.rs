//! The load: all clients of a case on one thread, in a closed loop or at a fixed rate. It knows no broker.
//!
//! A publisher has at most a window of messages on the way. One leaves the window when every receiver has it and, with QoS
//! 1 or 2, the broker has taken it over. A broker's queues stay short that way, so a loss is a fault. At a fixed rate a
//! message is due by the schedule, whatever became of those before it, and its delay counts from then.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bench::Failure;
use bench::envelope::{Composer, Uplink};
use mio::{Events, Interest, Poll, Token};
use mqtt::publish::{Ack, AckKind, Publish, PublishOut};
use mqtt::server_packet::ServerPacket;
use mqtt::{ReasonCode, Version};

use crate::case::{self, Traffic};
use crate::client::Client;
use crate::mark::{MARK_BYTES, Mark};

/// Without progress for so long, what is missing is lost.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes taken off a socket at once.
const READ_BYTES: usize = 256 * 1024;
/// Characters of an envelope's text: with the mark it has 200 bytes and some.
const ENVELOPE_TEXT: usize = 100;

/// A case's clients and how far they are.
pub struct Load {
    poll: Poll,
    events: Events,
    buffer: Box<[u8]>,
    clients: Vec<Client>,
    publishers: Vec<Publisher>,
    /// Of each subscriber, the number it expects next from each publisher, or from the only one that it hears.
    expected: Vec<Vec<u64>>,
    traffic: Traffic,
    copies: u32,
    payload: Vec<u8>,
    composer: Composer,
    began: Instant,
    /// Whose turn it is at a fixed rate.
    next: usize,
    /// When the schedule began, and what had been published then.
    schedule: (Instant, u64),
    /// Messages published.
    pub published: u64,
    /// Copies that arrived for the first time.
    pub delivered: u64,
    /// Copies that came twice, or after a later one.
    pub disordered: u64,
    /// Delays from due to arrived, in µs; kept while `is_timed`.
    pub delays_us: Vec<u32>,
    /// Whether delays are kept.
    pub is_timed: bool,
}

struct Publisher {
    topics: Vec<String>,
    gateway: Option<u32>,
    sent: u64,
    /// Number of the oldest message on the way.
    oldest: u64,
    /// Of each message on the way, copies and answers that have not come.
    missing: VecDeque<u32>,
    /// Whether its window may have got room.
    is_ready: bool,
}

impl Publisher {
    fn arrived(&mut self, number: u64) {
        let index = number.checked_sub(self.oldest).and_then(|index| usize::try_from(index).ok());
        if let Some(missing) = index.and_then(|index| self.missing.get_mut(index)) {
            *missing = missing.saturating_sub(1);
        }
        while self.missing.front() == Some(&0) {
            self.missing.pop_front();
            self.oldest += 1;
            self.is_ready = true;
        }
    }

    /// The number of the message with that Packet Identifier: the one in the window, as windows are smaller than the
    /// range of identifiers.
    fn number_of(&self, packet_id: u16) -> u64 {
        let oldest_id = packet_id_of(self.oldest);
        self.oldest + (u64::from(packet_id) + 65_535 - u64::from(oldest_id)) % 65_535
    }
}

fn packet_id_of(number: u64) -> u16 {
    (number % 65_535) as u16 + 1
}

impl Load {
    /// Connects everybody; subscriptions are acknowledged when it returns.
    pub fn connect(traffic: Traffic, address: SocketAddr) -> Result<Self, Failure> {
        let case::Cast { publishers, subscribers, copies } = traffic.cast();
        let poll = Poll::new()?;
        let mut clients = Vec::new();
        let publishing = publishers.iter().map(|p| (p.client_id.clone(), &[][..]));
        let subscribing = subscribers.iter().enumerate().map(|(i, f)| (format!("subscriber-{i}"), &f[..]));
        for (client_id, filters) in publishing.chain(subscribing) {
            let mut client = Client::sign_in(address, traffic.tls, &client_id, filters, traffic.qos)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut client.stream, Token(clients.len()), interest)?;
            clients.push(client);
        }
        let heard = if copies == 1 { 1 } else { publishers.len() };
        let publishers = publishers.into_iter().map(|p| Publisher {
            topics: p.topics,
            gateway: p.gateway,
            sent: 0,
            oldest: 0,
            missing: VecDeque::new(),
            is_ready: true,
        });
        let now = Instant::now();
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            buffer: vec![0; READ_BYTES].into(),
            publishers: publishers.collect(),
            expected: vec![vec![0; heard]; subscribers.len()],
            clients,
            traffic,
            copies: copies as u32,
            payload: vec![b'x'; traffic.bytes.max(MARK_BYTES)],
            composer: Composer::default(),
            began: now,
            next: 0,
            schedule: (now, 0),
            published: 0,
            delivered: 0,
            disordered: 0,
            delays_us: Vec::new(),
            is_timed: false,
        })
    }

    /// Publishes and receives for so long.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Failure> {
        self.schedule = (Instant::now(), self.published);
        let end = Instant::now() + time;
        let mut moved = (Instant::now(), self.delivered);
        while Instant::now() < end {
            match self.traffic.rate {
                None => self.publish_what_windows_allow()?,
                Some(rate) => self.publish_what_is_due(rate)?,
            }
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
        let is_on_the_way = |load: &Self| load.publishers.iter().any(|p| !p.missing.is_empty());
        while is_on_the_way(self) && moved.0.elapsed() < PATIENCE {
            self.receive()?;
            if self.delivered != moved.1 {
                moved = (Instant::now(), self.delivered);
            }
        }
        Ok(())
    }

    /// Copies that have not arrived; after `drain` they never will.
    pub fn lost(&self) -> u64 {
        (self.published * u64::from(self.copies)).saturating_sub(self.delivered)
    }

    fn publish_what_windows_allow(&mut self) -> Result<(), Failure> {
        for index in 0..self.publishers.len() {
            if std::mem::take(&mut self.publishers[index].is_ready) {
                let due_ns = self.now_ns();
                while self.has_room(index) {
                    self.publish(index, due_ns);
                }
                self.clients[index].flush()?;
            }
        }
        Ok(())
    }

    /// Publishers take turns, as long as somebody's window has room.
    fn publish_what_is_due(&mut self, rate: u64) -> Result<(), Failure> {
        let (began, before) = self.schedule;
        let due = before + (began.elapsed().as_secs_f64() * rate as f64) as u64;
        let mut without_room = 0;
        while self.published < due && without_room < self.publishers.len() {
            let index = self.next % self.publishers.len();
            self.next += 1;
            if self.has_room(index) {
                let after_ns = (self.published - before) * 1_000_000_000 / rate;
                let began_ns = began.duration_since(self.began).as_nanos() as u64;
                self.publish(index, began_ns + after_ns);
                self.clients[index].flush()?;
                without_room = 0;
            } else {
                without_room += 1;
            }
        }
        Ok(())
    }

    fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn has_room(&self, index: usize) -> bool {
        self.publishers[index].missing.len() < self.traffic.window
    }

    fn publish(&mut self, index: usize, due_ns: u64) {
        let publisher = &mut self.publishers[index];
        let number = publisher.sent;
        let mark = Mark { publisher: index as u32, number, due_ns };
        let payload = match publisher.gateway {
            None => {
                mark.write(&mut self.payload);
                &self.payload
            }
            Some(gateway) => {
                let packets = self.published as u32;
                self.composer.compose(&Uplink {
                    gateway,
                    from: 0x1000_0000 + packets % 1000,
                    // An odd factor: every packet gets an id of its own.
                    id: packets.wrapping_add(1).wrapping_mul(2_654_435_761),
                    rx_time: 1_790_000_000,
                    text_len: ENVELOPE_TEXT,
                });
                mark.append_as_field(&mut self.composer.envelope);
                &self.composer.envelope
            }
        };
        let out = PublishOut {
            qos: self.traffic.qos,
            topic: &publisher.topics[number as usize % publisher.topics.len()],
            packet_id: if self.traffic.qos > 0 { packet_id_of(number) } else { 0 },
            payload,
            ..PublishOut::default()
        };
        out.encode(&mut self.clients[index].outbox, Version::V311);
        publisher.sent += 1;
        publisher.missing.push_back(self.copies + u32::from(self.traffic.qos > 0));
        self.published += 1;
    }

    fn receive(&mut self) -> Result<(), Failure> {
        // A schedule is kept to the microsecond by a generator that does not sleep.
        let wait = if self.traffic.rate.is_some() { Duration::ZERO } else { PATIENCE / 100 };
        self.poll.poll(&mut self.events, Some(wait))?;
        let Self { events, clients, publishers, expected, buffer, began, .. } = self;
        let mut inbox = Inbox {
            publishers,
            expected,
            now_ns: 0,
            delivered: &mut self.delivered,
            disordered: &mut self.disordered,
            delays_us: self.is_timed.then_some(&mut self.delays_us),
        };
        for event in &*events {
            let index = event.token().0;
            let client = &mut clients[index];
            if event.is_readable() {
                inbox.now_ns = began.elapsed().as_nanos() as u64;
                client.read(buffer, |packet, outbox| inbox.take(index, packet, outbox))?;
            }
            client.flush()?;
        }
        Ok(())
    }
}

/// Where what arrives is counted.
struct Inbox<'a> {
    publishers: &'a mut [Publisher],
    expected: &'a mut [Vec<u64>],
    now_ns: u64,
    delivered: &'a mut u64,
    disordered: &'a mut u64,
    delays_us: Option<&'a mut Vec<u32>>,
}

impl Inbox<'_> {
    fn take(&mut self, index: usize, packet: ServerPacket<'_>, outbox: &mut Vec<u8>) -> Result<(), Failure> {
        match packet {
            ServerPacket::Publish(publish) => {
                self.delivery(index, &publish)?;
                match publish.qos {
                    0 => {}
                    1 => answer(outbox, AckKind::Puback, publish.packet_id),
                    _ => answer(outbox, AckKind::Pubrec, publish.packet_id),
                }
            }
            ServerPacket::Ack(Ack { kind: AckKind::Puback | AckKind::Pubcomp, packet_id, .. }) => {
                let publisher = self.publishers.get_mut(index).ok_or("an answer to nobody")?;
                publisher.arrived(publisher.number_of(packet_id));
            }
            ServerPacket::Ack(Ack { kind: AckKind::Pubrec, packet_id, .. }) => {
                answer(outbox, AckKind::Pubrel, packet_id);
            }
            ServerPacket::Ack(Ack { kind: AckKind::Pubrel, packet_id, .. }) => {
                answer(outbox, AckKind::Pubcomp, packet_id);
            }
            other => return Err(format!("the broker sent {other:?}").into()),
        }
        Ok(())
    }

    fn delivery(&mut self, index: usize, publish: &Publish<'_>) -> Result<(), Failure> {
        let mark = Mark::read(publish.payload).ok_or("a message without a mark")?;
        let from = mark.publisher as usize;
        let subscriber = index.checked_sub(self.publishers.len()).and_then(|s| self.expected.get_mut(s));
        let heard = subscriber.ok_or("a message to somebody who did not ask for it")?;
        let slot = if heard.len() == 1 { 0 } else { from };
        let expected = heard.get_mut(slot).ok_or("a message from nobody")?;
        if mark.number < *expected {
            *self.disordered += 1;
            return Ok(());
        }
        *expected = mark.number + 1;
        *self.delivered += 1;
        self.publishers.get_mut(from).ok_or("a message from nobody")?.arrived(mark.number);
        if let Some(delays) = &mut self.delays_us {
            let delay_us = self.now_ns.saturating_sub(mark.due_ns) / 1_000;
            delays.push(u32::try_from(delay_us).unwrap_or(u32::MAX));
        }
        Ok(())
    }
}

fn answer(outbox: &mut Vec<u8>, kind: AckKind, packet_id: u16) {
    Ack { kind, packet_id, reason: ReasonCode::Success }.encode(outbox, Version::V311);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publisher(oldest: u64, missing: &[u32]) -> Publisher {
        Publisher {
            topics: vec!["t".into()],
            gateway: None,
            sent: oldest + missing.len() as u64,
            oldest,
            missing: missing.iter().copied().collect(),
            is_ready: false,
        }
    }

    #[test]
    fn a_message_leaves_the_window_when_all_have_it_and_none_before_it_is_missing() {
        let mut p = publisher(5, &[2, 1]);
        p.arrived(6);
        assert_eq!((p.oldest, p.missing.len()), (5, 2), "an older one is on the way");
        p.arrived(5);
        assert_eq!((p.oldest, p.missing.len()), (5, 2));
        p.arrived(5);
        assert_eq!((p.oldest, p.missing.len()), (7, 0));
        p.arrived(5);
        p.arrived(99);
        assert_eq!((p.oldest, p.missing.len()), (7, 0), "what is not on the way changes nothing");
    }

    #[test]
    fn an_acknowledgement_finds_its_message_after_the_identifiers_wrapped() {
        for oldest in [0, 65_533, 65_534, 65_535, 200_000] {
            let p = publisher(oldest, &[1, 1, 1]);
            for number in oldest..oldest + 3 {
                assert_eq!(p.number_of(packet_id_of(number)), number, "{oldest}");
            }
        }
    }
}
