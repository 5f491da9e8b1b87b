//! The whole bridge: two connections, and what happens to a message between them.
//!
//! A message arrives from one side, is observed, held to the contract of its direction, charged, and waits for the other
//! side. It is sent there at QoS 1, and acknowledged where it came from when the receiving broker has it. Outward our own
//! broker has decided before, and releases to a bridge what consented and nothing else; inward it will judge like
//! anything that gateways uplink. Nothing here makes either weaker.

use mesh::airtime::ModemPreset;
use mesh::keyring::Keyring;
use mesh::observe::{Facts, Scratch, observe};
use mqtt::property::{Value, id, put};
use policy::uplink::packet_key;

use crate::area::Places;
use crate::contract::Contract;
use crate::crossed::Crossed;
use crate::lane::{Crossing, Lane};
use crate::link::{Ended, Event, Link, LinkSettings, Message, TRAIL};
use crate::root::Roots;
use crate::status::{Connection, Held, LaneStatus, Status};

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Our own broker.
    Here,
    /// The other one.
    There,
}

impl End {
    const fn other(self) -> Self {
        match self {
            Self::Here => Self::There,
            Self::There => Self::Here,
        }
    }
}

/// What a bridge is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name.
    pub name: Box<str>,
    /// What this broker calls itself in trails; no other broker's is the same.
    pub own_id: Box<str>,
    /// Topic roots on both sides.
    pub roots: Roots,
    /// What may leave; `None` for nothing.
    pub outward: Option<Contract>,
    /// What may come in; `None` for nothing.
    pub inward: Option<Contract>,
    /// How to sign in here.
    pub here: LinkSettings,
    /// How to sign in there.
    pub there: LinkSettings,
    /// Messages that may wait in each direction.
    pub waiting_max: usize,
    /// How long a message may wait, ms.
    pub stale_ms: u64,
    /// Modem preset assumed where a channel's name does not tell.
    pub preset: ModemPreset,
    /// Keys of channels that may be opened.
    pub keyring: Keyring,
}

/// A bridge. The caller owns the sockets: it says when they come and go, and moves the bytes.
pub struct Relay {
    settings: Settings,
    here: Link,
    there: Link,
    outward: Lane,
    inward: Lane,
    crossed: Crossed,
    places: Places,
    since_ms: u64,
    trouble: Option<Box<str>>,
}

impl Relay {
    /// A bridge without connections. Outward consent is needed whatever the contract says.
    pub fn new(mut settings: Settings, now_ms: u64) -> Self {
        if let Some(contract) = &mut settings.outward {
            contract.needs_consent = true;
        }
        let lane = |contract: &Option<Contract>| {
            let quota = contract.as_ref().map(|contract| contract.quota).unwrap_or_default();
            Lane::new(settings.waiting_max, settings.stale_ms, quota)
        };
        Self {
            here: Link::new(settings.here.clone()),
            there: Link::new(settings.there.clone()),
            outward: lane(&settings.outward),
            inward: lane(&settings.inward),
            crossed: Crossed::default(),
            places: Places::default(),
            since_ms: now_ms,
            trouble: None,
            settings,
        }
    }

    /// A Network Connection to that side is there.
    pub fn connected(&mut self, now_ms: u64, end: End) {
        self.link(end).begin(now_ms);
    }

    /// The Network Connection to that side is gone, or was not made. `why` says what to do, if something went wrong.
    pub fn lost(&mut self, now_ms: u64, end: End, why: Option<&str>) {
        if end == End::There && self.there.connection() == Connection::Up {
            self.since_ms = now_ms;
        }
        self.link(end).end();
        self.lane_to(end).take_back();
        self.lane_to(end.other()).forget_origins();
        if let Some(why) = why {
            self.trouble = Some(why.into());
        }
    }

    /// Bytes came from that side.
    ///
    /// # Errors
    /// When the connection must be closed, with what to do about it.
    pub fn receive(&mut self, now_ms: u64, end: End, bytes: &[u8]) -> Result<(), Ended> {
        let mut events = Vec::new();
        let outcome = self.link(end).receive(now_ms, bytes, &mut events);
        for event in events {
            match event {
                Event::Ready => self.on_ready(now_ms, end),
                Event::Message(message) => self.on_message(now_ms, end, message),
                Event::Settled { ticket, is_taken } => {
                    let settled = self.lane_to(end).settle(ticket, is_taken);
                    self.acknowledge(now_ms, end.other(), settled);
                }
            }
        }
        self.pump(now_ms);
        outcome
    }

    /// Does what is due by the clock on that side.
    ///
    /// # Errors
    /// When the connection must be closed, with what to do about it.
    pub fn tick(&mut self, now_ms: u64, end: End) -> Result<(), Ended> {
        for crossing in self.lane_to(end).stale(now_ms) {
            self.acknowledge(now_ms, end.other(), Some(crossing));
        }
        self.pump(now_ms);
        self.link(end).tick(now_ms)
    }

    /// Bytes to write to that side.
    pub fn unsent(&self, end: End) -> &[u8] {
        match end {
            End::Here => self.here.unsent(),
            End::There => self.there.unsent(),
        }
    }

    /// So many of them are written.
    pub fn advance(&mut self, end: End, count: usize) {
        self.link(end).advance(count);
    }

    /// Says goodbye on both sides; what is unsent after this is the last.
    pub fn leave(&mut self) {
        self.here.leave();
        self.there.leave();
    }

    /// Whether messages flow on that side.
    pub fn is_up(&self, end: End) -> bool {
        let link = if end == End::Here { &self.here } else { &self.there };
        link.connection() == Connection::Up
    }

    /// How it is doing.
    pub fn status(&mut self, now_ms: u64) -> Status {
        Status {
            name: self.settings.name.clone(),
            there: self.there.connection(),
            here: self.here.connection(),
            since_ms: self.since_ms,
            trouble: self.trouble.clone(),
            outward: self.outward.status(now_ms, self.settings.outward.is_some()),
            inward: self.inward.status(now_ms, self.settings.inward.is_some()),
        }
    }

    fn on_ready(&mut self, now_ms: u64, end: End) {
        if end == End::There {
            self.since_ms = now_ms;
            self.trouble = None;
        }
    }

    fn on_message(&mut self, now_ms: u64, from: End, message: Message) {
        let origin = message.packet_id.map(|packet_id| (self.link(from).serial, packet_id));
        let evicted = match self.pass(now_ms, from, &message) {
            Ok(crossing) => self.lane_to(from.other()).push(Crossing { from: origin, ..crossing }),
            Err(held) => {
                self.lane_to(from.other()).hold(held);
                // Nothing more becomes of it, so its broker need not send it again.
                if let Some(packet_id) = message.packet_id {
                    self.link(from).acknowledge(now_ms, packet_id);
                }
                None
            }
        };
        self.acknowledge(now_ms, from, evicted);
    }

    /// What crosses, or why not.
    fn pass(&mut self, now_ms: u64, from: End, message: &Message) -> Result<Crossing, Held> {
        let (contract, topic) = match from {
            End::Here => (self.settings.outward.as_ref(), self.settings.roots.outward(&message.topic)),
            End::There => (self.settings.inward.as_ref(), self.settings.roots.inward(&message.topic)),
        };
        let contract = contract.ok_or(Held::NotAPacket)?;
        if message.is_retained {
            return Err(Held::Retained);
        }
        if message.trail.iter().any(|broker| **broker == *self.settings.own_id) {
            return Err(Held::OwnTrail);
        }
        let mut scratch = Scratch::default();
        let facts = observe(&message.topic, &message.payload, &self.settings.keyring, &mut scratch);
        if let Some(packet) = &facts.packet {
            self.places.learn(packet.from.0, facts.position.as_ref());
        }
        if let Some(held) = contract.objection(&facts, &self.places, &self.crossed) {
            return Err(held);
        }
        let topic = topic.ok_or(Held::Root)?;
        let payload = contract.fitted(&facts, &message.payload);
        let airtime_us = airtime_us(&facts, self.settings.preset);
        let lane = if from == End::Here { &mut self.outward } else { &mut self.inward };
        lane.charge(now_ms, airtime_us)?;
        packet_key(&facts).into_iter().for_each(|key| self.crossed.add(key));
        let own = (from == End::Here).then_some(&*self.settings.own_id);
        let mut properties = Vec::new();
        for broker in message.trail.iter().map(String::as_str).chain(own) {
            put(&mut properties, id::USER_PROPERTY, Value::Pair(TRAIL, broker));
        }
        Ok(Crossing { topic, payload, properties, came_ms: now_ms, from: None })
    }

    /// Sends what waits.
    fn pump(&mut self, now_ms: u64) {
        for (link, lane) in [(&mut self.there, &mut self.outward), (&mut self.here, &mut self.inward)] {
            while link.has_window()
                && let Some((ticket, crossing)) = lane.next()
            {
                let Crossing { topic, payload, properties, .. } = crossing;
                link.publish(now_ms, topic, payload, properties, ticket);
            }
        }
    }

    /// Tells the side that a message came from that nothing more becomes of it, if it is the connection it came over.
    fn acknowledge(&mut self, now_ms: u64, at: End, crossing: Option<Crossing>) {
        let Some((serial, packet_id)) = crossing.and_then(|crossing| crossing.from) else { return };
        let link = self.link(at);
        if link.serial == serial && link.connection() != Connection::Down {
            link.acknowledge(now_ms, packet_id);
        }
    }

    const fn link(&mut self, end: End) -> &mut Link {
        match end {
            End::Here => &mut self.here,
            End::There => &mut self.there,
        }
    }

    const fn lane_to(&mut self, end: End) -> &mut Lane {
        match end {
            End::Here => &mut self.inward,
            End::There => &mut self.outward,
        }
    }
}

impl LaneStatus {
    /// Messages that did not cross.
    pub fn held_in_all(&self) -> u64 {
        self.held.values().sum()
    }
}

fn airtime_us(facts: &Facts<'_>, preset: ModemPreset) -> u64 {
    let channel = facts.channel_id.or(facts.topic.as_ref().and_then(|t| t.channel));
    let preset = channel.and_then(ModemPreset::of_channel_name).unwrap_or(preset);
    facts.frame_bytes.map_or(0, |bytes| u64::from(preset.time_on_air_us(usize::from(bytes))))
}
