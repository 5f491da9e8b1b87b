//! The city on its clock: what happens next, what gateways uplink, and what a downlink does to the air.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use fastrand::Rng;
use mesh::airtime::{HEADER_BYTES, ModemPreset};
use mesh::compose::{Closed, Content, Packet, Route, envelope, traceroute};
use mesh::crypto::apply_ctr;
use mesh::data::DataView;
use mesh::envelope::EnvelopeView;
use mesh::key::ChannelKey;
use mesh::node::NodeNum;
use mesh::packet::{PacketHeader, Variant};
use mesh::portnum::PortNum;
use mesh::topic::{envelope_topic, map_topic};

use crate::flood::{Flood, Links, flood};
use crate::plan::Plan;
use crate::radio::{SNR_LIMIT_DB, path};
use crate::resident::{Resident, settle};
use crate::traffic::{Habit, typed};

/// A gateway publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// When, in ms since the start of the city's clock.
    pub at_ms: u64,
    /// Which gateway.
    pub gateway: NodeNum,
    /// Topic Name.
    pub topic: String,
    /// Envelope.
    pub payload: Vec<u8>,
}

/// What became of the air and of people's texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Packets that nodes made themselves.
    pub packets: u64,
    /// Transmissions for them, relays included.
    pub transmissions: u64,
    /// Time on air of those transmissions, ms.
    pub airtime_ms: u64,
    /// Envelopes that gateways uplinked.
    pub uplinks: u64,
    /// Copies that gateways were sent.
    pub downlinks: u64,
    /// Those that were new to the gateway and so had an effect.
    pub downlinks_used: u64,
    /// Transmissions that downlinks caused.
    pub downlink_transmissions: u64,
    /// Time on air of those transmissions, ms.
    pub downlink_airtime_ms: u64,
    /// Texts that people typed.
    pub texts: u64,
    /// Times a text reached an island other than its own.
    pub texts_crossed: u64,
}

/// The city.
#[derive(Debug)]
pub struct City {
    plan: Plan,
    residents: Vec<Resident>,
    links: Links,
    routers: Vec<bool>,
    key: ChannelKey,
    rng: Rng,
    /// What nodes do next.
    agenda: BinaryHeap<Reverse<(u64, Event)>>,
    /// What gateways publish, once its time has come.
    pending: BinaryHeap<Reverse<(u64, u64)>>,
    uplinks: std::collections::BTreeMap<u64, Uplink>,
    next_uplink: u64,
    /// Packets each node has had, by sender and id; old ones are forgotten as in a node's own history.
    seen: Vec<Memory>,
    /// Packets that are texts, and the island each comes from.
    texts: std::collections::BTreeMap<(u32, u32), usize>,
    texts_seen: BTreeSet<((u32, u32), usize)>,
    now_ms: u64,
    report: Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Habit(usize, Habit),
    Text,
}

#[derive(Debug, Default)]
struct Memory {
    packets: BTreeSet<(u32, u32)>,
    order: VecDeque<(u32, u32)>,
}

/// Packets a node remembers to recognise copies.
const MEMORY_MAX: usize = 2_000;
/// The channel everybody is on.
const CHANNEL: &str = "LongFast";

impl Memory {
    /// Returns whether it is new.
    fn note(&mut self, packet: (u32, u32)) -> bool {
        if !self.packets.insert(packet) {
            return false;
        }
        self.order.push_back(packet);
        if self.order.len() > MEMORY_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.packets.remove(&oldest);
        }
        true
    }
}

impl City {
    /// Settles the city; the same plan gives the same city.
    pub fn new(plan: Plan) -> Self {
        let mut rng = Rng::with_seed(plan.seed);
        let residents = settle(&plan, &mut rng);
        let links = links(&residents, plan.seed);
        let mut agenda = BinaryHeap::new();
        for (index, resident) in residents.iter().enumerate() {
            for habit in Habit::ALL.into_iter().filter(|h| h.is_kept_by(resident)) {
                // Nodes were switched on at different times, so their rhythms are spread over the interval; names come
                // early, as after a boot.
                let interval = habit.interval_ms(resident.is_router);
                let spread = if habit == Habit::NodeInfo { interval / 12 } else { interval };
                agenda.push(Reverse((rng.u64(0..spread), Event::Habit(index, habit))));
            }
        }
        agenda.push(Reverse((5_000, Event::Text)));
        let seen = residents.iter().map(|_| Memory::default()).collect();
        Self {
            routers: residents.iter().map(|r| r.is_router).collect(),
            key: ChannelKey::default_key(),
            plan,
            residents,
            links,
            rng,
            agenda,
            pending: BinaryHeap::new(),
            uplinks: std::collections::BTreeMap::new(),
            next_uplink: 0,
            seen,
            texts: std::collections::BTreeMap::new(),
            texts_seen: BTreeSet::new(),
            now_ms: 0,
            report: Report::default(),
        }
    }

    /// The nodes.
    pub fn residents(&self) -> &[Resident] {
        &self.residents
    }

    /// The gateways.
    pub fn gateways(&self) -> impl Iterator<Item = &Resident> {
        self.residents.iter().filter(|r| r.is_gateway)
    }

    /// The Topic Filter that a gateway with downlink on a channel subscribes to.
    pub fn filter(&self, channel: &str) -> String {
        format!("{}/2/e/{channel}/+", self.plan.root)
    }

    /// What became of air and texts so far.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// When something happens next, in ms since the start.
    pub fn next_at_ms(&self) -> u64 {
        let next = |at: Option<u64>| at.unwrap_or(u64::MAX);
        let agenda = next(self.agenda.peek().map(|Reverse((at, _))| *at));
        agenda.min(next(self.pending.peek().map(|Reverse((at, _))| *at)))
    }

    /// Lets the city live until a moment and returns what its gateways publish, in order.
    pub fn live_until(&mut self, until_ms: u64) -> Vec<Uplink> {
        let mut published = Vec::new();
        loop {
            let event_at = self.agenda.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
            let uplink_at = self.pending.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
            if event_at.min(uplink_at) > until_ms {
                self.now_ms = until_ms;
                return published;
            }
            if uplink_at <= event_at {
                if let Some(Reverse((at, number))) = self.pending.pop()
                    && let Some(uplink) = self.uplinks.remove(&number)
                {
                    self.now_ms = at;
                    self.report.uplinks += 1;
                    published.push(uplink);
                }
            } else if let Some(Reverse((at, event))) = self.agenda.pop() {
                self.now_ms = at;
                self.happen(event);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Habit(index, habit) => {
                let resident = self.residents[index].clone();
                let neighbors: Vec<(NodeNum, f32)> =
                    self.links[index].iter().map(|(n, s)| (self.residents[*n].num, s.snr_db)).collect();
                let uptime_s = u32::try_from(self.now_ms / 1000).unwrap_or(u32::MAX) + 86_400;
                let content = habit.content(&resident, &neighbors, self.now_s(), uptime_s, &mut self.rng);
                self.say(index, habit, content);
                let interval = habit.interval_ms(resident.is_router);
                let next = self.now_ms + interval + self.rng.u64(0..interval / 20);
                self.agenda.push(Reverse((next, Event::Habit(index, habit))));
            }
            Event::Text => {
                let index = self.rng.usize(0..self.residents.len());
                let content = mesh::compose::text(typed(&mut self.rng));
                self.report.texts += 1;
                self.transmit_own(index, content);
                let mean_ms = 3_600_000 / u64::from(self.plan.texts_per_hour.max(1));
                // Exponential waiting times: people do not type by the clock.
                let wait = (-f64::from(1.0 - self.rng.f32()).ln() * mean_ms as f64) as u64;
                self.agenda.push(Reverse((self.now_ms + wait + 1, Event::Text)));
            }
        }
    }

    fn say(&mut self, index: usize, habit: Habit, content: (PortNum, Vec<u8>)) {
        match habit {
            Habit::MapReport => self.uplink_map_report(index, content),
            Habit::NeighborInfo => {
                let packet = self.own_packet(index, NodeNum::BROADCAST_NO_LORA);
                self.uplink_own(index, &packet, content);
            }
            Habit::NodeInfo | Habit::Position | Habit::DeviceTelemetry | Habit::EnvironmentTelemetry => {
                self.transmit_own(index, content);
            }
        }
    }

    /// A node transmits a packet of its own: it floods the island, and gateways that hear it uplink it.
    fn transmit_own(&mut self, index: usize, (port, payload): (PortNum, Vec<u8>)) {
        let packet = self.own_packet(index, NodeNum::BROADCAST);
        let content = self.content(index, port, payload);
        let airtime_ms = airtime_ms(content.encode().len());
        let hop_limit = packet.hop_limit;
        let flood = flood(&self.links, &self.routers, index, hop_limit, airtime_ms, &mut self.rng);
        self.report.packets += 1;
        self.report.transmissions += u64::from(flood.transmissions);
        self.report.airtime_ms += u64::from(flood.transmissions) * airtime_ms;
        let key = (packet.from.0, packet.id);
        self.seen[index].note(key);
        if port == PortNum::TEXT_MESSAGE {
            self.texts.insert(key, self.residents[index].island);
        }
        if self.residents[index].is_gateway {
            self.uplink_own(index, &packet, (port, content.payload.clone()));
        }
        self.spread(&flood, &packet, &content, key);
    }

    fn spread(&mut self, flood: &Flood, packet: &Packet, content: &Content, key: (u32, u32)) {
        for (listener, heard) in &flood.heard {
            if !self.seen[*listener].note(key) || !self.residents[*listener].is_gateway {
                continue;
            }
            let copy = Packet {
                hop_limit: heard.hop_limit,
                rx_time: self.now_s(),
                rx_snr: (heard.signal.snr_db * 4.0).round() / 4.0,
                rx_rssi: heard.signal.rssi_dbm.round() as i32,
                relay_node: self.residents[heard.relay].num.0 as u8,
                transport: 1,
                ..packet.clone()
            };
            let gateway = self.residents[*listener].num;
            let bytes = envelope(&copy, content, CHANNEL, Closed::Encrypted(&self.key), gateway);
            // Internet takes 20 to 150 ms.
            let at_ms = self.now_ms + heard.after_ms + self.rng.u64(20..150);
            let topic = envelope_topic(&self.plan.root, CHANNEL, gateway);
            self.publish_at(at_ms, gateway, topic, bytes);
        }
    }

    /// A copy came down from the broker to a gateway (firmware's `onReceiveProto`): what it has had is ignored; with
    /// hops left it is transmitted, marked as having crossed MQTT.
    pub fn downlink(&mut self, gateway: NodeNum, payload: &[u8]) {
        let Some(index) = self.residents.iter().position(|r| r.num == gateway) else { return };
        self.report.downlinks += 1;
        let Ok(view) = EnvelopeView::parse(payload) else { return };
        let Some(packet) = view.packet else { return };
        let (header, Variant::Encrypted(body)) = (packet.header, packet.variant) else { return };
        let key = (header.from.0, header.id);
        if header.from == gateway || header.via_mqtt || !self.seen[index].note(key) {
            return;
        }
        self.report.downlinks_used += 1;
        self.note_crossing(index, key);
        if header.to == gateway {
            return self.answer(index, &header, body);
        }
        if header.hop_limit == 0 || header.to == NodeNum::BROADCAST_NO_LORA {
            return;
        }
        let airtime_ms = airtime_ms(body.len());
        let hops = header.hop_limit - 1;
        let flood = flood(&self.links, &self.routers, index, hops, airtime_ms, &mut self.rng);
        self.report.downlink_transmissions += u64::from(flood.transmissions);
        self.report.downlink_airtime_ms += u64::from(flood.transmissions) * airtime_ms;
        // Marked via MQTT, so no gateway uplinks it again.
        for listener in flood.heard.keys() {
            self.seen[*listener].note(key);
        }
    }

    /// A request for a gateway's own node came down: a traceroute is answered on the air, and the answer is uplinked like
    /// every packet of its own (firmware's `TraceRouteModule`).
    fn answer(&mut self, index: usize, request: &PacketHeader, body: &[u8]) {
        let mut opened = body.to_vec();
        apply_ctr(&self.key, request.from, request.id, &mut opened);
        let Ok(data) = DataView::parse(&opened) else { return };
        if data.port != PortNum::TRACEROUTE || !data.want_response || data.request_id != 0 {
            return;
        }
        let (port, payload) = traceroute(Route::default(), Route::default());
        let packet = self.own_packet(index, request.from);
        let content = Content { request_id: request.id, ..self.content(index, port, payload) };
        let airtime_ms = airtime_ms(content.encode().len());
        let flood = flood(&self.links, &self.routers, index, packet.hop_limit, airtime_ms, &mut self.rng);
        self.report.downlink_transmissions += u64::from(flood.transmissions);
        self.report.downlink_airtime_ms += u64::from(flood.transmissions) * airtime_ms;
        let key = (packet.from.0, packet.id);
        self.seen[index].note(key);
        self.uplink_content(index, &packet, &content);
        self.spread(&flood, &packet, &content, key);
    }

    fn note_crossing(&mut self, gateway: usize, key: (u32, u32)) {
        let island = self.residents[gateway].island;
        let is_foreign_text = self.texts.get(&key).is_some_and(|origin| *origin != island);
        if is_foreign_text && self.texts_seen.insert((key, island)) {
            self.report.texts_crossed += 1;
        }
    }

    fn uplink_own(&mut self, index: usize, packet: &Packet, (port, payload): (PortNum, Vec<u8>)) {
        let content = self.content(index, port, payload);
        self.uplink_content(index, packet, &content);
    }

    fn uplink_content(&mut self, index: usize, packet: &Packet, content: &Content) {
        let gateway = self.residents[index].num;
        let copy = Packet { rx_time: self.now_s(), ..packet.clone() };
        let bytes = envelope(&copy, content, CHANNEL, Closed::Encrypted(&self.key), gateway);
        let topic = envelope_topic(&self.plan.root, CHANNEL, gateway);
        let at_ms = self.now_ms + self.rng.u64(20..150);
        self.publish_at(at_ms, gateway, topic, bytes);
    }

    fn uplink_map_report(&mut self, index: usize, (port, payload): (PortNum, Vec<u8>)) {
        let gateway = self.residents[index].num;
        let packet = Packet { from: gateway, to: NodeNum::BROADCAST, ..Packet::default() };
        let content = Content { port: port.0, payload, ..Content::default() };
        let bytes = envelope(&packet, &content, CHANNEL, Closed::Decoded(0), gateway);
        let topic = map_topic(&self.plan.root);
        self.publish_at(self.now_ms + 50, gateway, topic, bytes);
    }

    fn publish_at(&mut self, at_ms: u64, gateway: NodeNum, topic: String, payload: Vec<u8>) {
        self.next_uplink += 1;
        self.pending.push(Reverse((at_ms, self.next_uplink)));
        self.uplinks.insert(self.next_uplink, Uplink { at_ms, gateway, topic, payload });
    }

    fn own_packet(&mut self, index: usize, to: NodeNum) -> Packet {
        let resident = &self.residents[index];
        let hop_limit = resident.hop_limit;
        Packet {
            from: resident.num,
            to,
            id: self.rng.u32(1..),
            hop_limit,
            hop_start: hop_limit,
            ..Packet::default()
        }
    }

    fn content(&self, index: usize, port: PortNum, payload: Vec<u8>) -> Content {
        let bitfield = Some(u32::from(self.residents[index].consents));
        Content { port: port.0, payload, bitfield, ..Content::default() }
    }

    fn now_s(&self) -> u32 {
        let unix_ms = self.plan.start_unix_ms + i64::try_from(self.now_ms).unwrap_or(0);
        u32::try_from(unix_ms / 1000).unwrap_or(0)
    }
}

fn airtime_ms(body_bytes: usize) -> u64 {
    u64::from(ModemPreset::LongFast.time_on_air_us(body_bytes + HEADER_BYTES)).div_ceil(1000)
}

/// Who hears whom. Islands do not hear each other: the hills and the distance between them are taken as given.
fn links(residents: &[Resident], seed: u64) -> Links {
    residents
        .iter()
        .enumerate()
        .map(|(a, one)| {
            let others =
                residents.iter().enumerate().filter(|(b, other)| a != *b && one.island == other.island);
            let signals = others.map(|(b, other)| (b, path(one, other, seed)));
            // A little below the limit, fading lets some through.
            signals.filter(|(_, signal)| signal.snr_db > SNR_LIMIT_DB - crate::radio::FADING_DB).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use mesh::keyring::Keyring;
    use mesh::observe::{EnvelopeState, PayloadState, Scratch, observe};

    use super::*;

    fn lived(seed: u64, hours: u64) -> (City, Vec<Uplink>) {
        let mut city = City::new(Plan { seed, ..Plan::default() });
        let uplinks = city.live_until(hours * 3_600_000);
        (city, uplinks)
    }

    #[test]
    fn the_same_seed_gives_the_same_city() {
        let ((a, one), (b, same)) = (lived(7, 2), lived(7, 2));
        assert_eq!(one, same);
        assert_eq!(a.report(), b.report());
        assert_ne!(one, lived(8, 2).1);
    }

    #[test]
    fn uplinks_are_in_order_and_what_gateways_write() {
        let (city, uplinks) = lived(1, 3);
        assert!(uplinks.len() > 500, "{}", uplinks.len());
        assert!(uplinks.windows(2).all(|w| w[0].at_ms <= w[1].at_ms));
        for uplink in &uplinks {
            let mut scratch = Scratch::default();
            let facts = observe(&uplink.topic, &uplink.payload, &Keyring::default(), &mut scratch);
            assert_eq!(facts.envelope, EnvelopeState::Ok);
            assert_ne!(facts.payload, PayloadState::Opaque);
            assert_eq!(facts.gateway, Some(uplink.gateway));
            assert!(
                !facts
                    .flags
                    .names()
                    .any(|f| f.contains("hop_in") || f.contains("invalid") || f.contains("mismatch"))
            );
        }
        assert!(city.gateways().count() == 9);
    }

    #[test]
    fn packets_are_relayed_and_heard_by_several_gateways() {
        let (city, uplinks) = lived(1, 6);
        let report = city.report();
        assert!(report.transmissions > report.packets, "nobody relays");
        assert!(report.transmissions < report.packets * 20, "everybody relays");
        let mut copies = std::collections::BTreeMap::<_, usize>::new();
        for uplink in &uplinks {
            let header = EnvelopeView::parse(&uplink.payload).unwrap().packet.unwrap().header;
            *copies.entry((header.from, header.id)).or_default() += 1;
        }
        assert!(copies.values().any(|c| *c >= 2), "no duplicates");
    }

    #[test]
    fn a_downlink_is_transmitted_once_and_never_uplinked_again() {
        let (mut city, uplinks) = lived(1, 1);
        let foreign = uplinks
            .iter()
            .find(|u| {
                city.residents().iter().any(|r| r.num == u.gateway && r.island == 0)
                    && u.topic.contains("/e/")
            })
            .unwrap()
            .clone();
        let other = city.gateways().find(|r| r.island == 1).unwrap().num;
        city.downlink(other, &foreign.payload);
        let once = city.report().clone();
        assert_eq!((once.downlinks, once.downlinks_used), (1, 1));
        assert!(once.downlink_airtime_ms > 0);
        city.downlink(other, &foreign.payload);
        assert_eq!(city.report().downlink_airtime_ms, once.downlink_airtime_ms);
    }

    #[test]
    fn a_traceroute_to_a_gateway_is_answered_on_the_air_and_uplinked() {
        let mut city = City::new(Plan { seed: 1, ..Plan::default() });
        let gateway = city.gateways().next().unwrap().num;
        let (port, payload) = traceroute(Route::default(), Route::default());
        let packet =
            Packet { from: NodeNum(0x5e00_0007), to: gateway, id: 77, hop_limit: 1, ..Packet::default() };
        let content = Content { port: port.0, payload, want_response: true, ..Content::default() };
        let key = ChannelKey::default_key();
        let request = envelope(&packet, &content, CHANNEL, Closed::Encrypted(&key), packet.from);
        city.downlink(gateway, &request);
        let answers = |uplinks: Vec<Uplink>| {
            let mut by = Vec::new();
            for uplink in uplinks {
                let (keyring, mut scratch) = (Keyring::default(), Scratch::default());
                let facts = observe(&uplink.topic, &uplink.payload, &keyring, &mut scratch);
                if facts.data.is_some_and(|data| data.request_id == 77) {
                    let header = facts.packet.unwrap();
                    assert_eq!((header.from, header.to), (gateway, packet.from));
                    by.push(uplink.gateway);
                }
            }
            by
        };
        assert!(answers(city.live_until(10_000)).contains(&gateway));
        city.downlink(gateway, &request);
        assert!(answers(city.live_until(20_000)).is_empty(), "once is enough");
        assert!(city.report().downlink_airtime_ms > 0);
    }
}
