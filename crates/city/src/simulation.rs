//! The city on its clock: what happens next, and how packets go from node to node.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use fastrand::Rng;
use mesh::airtime::ModemPreset;
use mesh::compose::{Content, Packet};
use mesh::key::ChannelKey;
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use mesh::topic::envelope_topic;

use crate::air::{Air, Links, draw};
use crate::letter::{CHANNEL, Key, Kind, Letter};
use crate::misfit::Manner;
use crate::plan::Plan;
use crate::radio::{FADING_DB, SNR_LIMIT_DB, path};
use crate::radio_node::{Frame, RadioNode, own_wait_ms, relay_wait_ms};
use crate::report::IslandReport;
pub use crate::report::Report;
use crate::resident::{Resident, settle};
use crate::traffic::{Habit, typed};

/// What a gateway publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// When, in ms since the start.
    pub at_ms: u64,
    /// Which gateway.
    pub gateway: NodeNum,
    /// Topic.
    pub topic: String,
    /// Envelope.
    pub payload: Vec<u8>,
}

/// Whose lives end in this file, in `gateway.rs` and in `misfit.rs`.
#[derive(Debug)]
pub struct City {
    pub(crate) plan: Plan,
    pub(crate) residents: Vec<Resident>,
    /// How each of the gateways behaves, in the order of residents.
    pub(crate) manners: Vec<Manner>,
    pub(crate) air: Air,
    pub(crate) radios: Vec<RadioNode>,
    pub(crate) key: ChannelKey,
    /// Each node has its own luck, so that what one does leaves the others' lives as they are.
    rngs: Vec<Rng>,
    people: Rng,
    pub(crate) agenda: BinaryHeap<Reverse<(u64, Event)>>,
    on_air: BTreeMap<u64, (usize, Frame)>,
    /// What gateways publish, once its time has come.
    pending: BinaryHeap<Reverse<(u64, u64)>>,
    uplinks: BTreeMap<u64, Uplink>,
    next_uplink: u64,
    pub(crate) letters: BTreeMap<Key, Letter>,
    pub(crate) now_ms: u64,
    pub(crate) report: Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A transmission is over.
    Ended(u64),
    /// A node transmits what it has of a packet, if the channel is free.
    Transmit(usize, Key),
    /// A node answers a packet.
    Answer(usize, Key),
    Habit(usize, Habit),
    Text,
    Direct,
    Traceroute,
    Abuse(u64),
    Spoof(usize),
    Move(usize),
}

/// People and modules take so long to answer.
const ANSWER_MS: u64 = 1_500;
/// Nodes keep their own periodic packets back while the channel is this busy (firmware's polite limit).
const POLITE_PERCENT: f32 = 25.0;
/// Then they try again after this.
const POLITE_WAIT_MS: u64 = 60_000;
/// Routine packets older than this are forgotten: their floods are over long before.
const FORGOTTEN_MS: u64 = 1_800_000;

impl City {
    /// Settles the city; the same plan gives the same city.
    pub fn new(plan: Plan) -> Self {
        let mut rng = Rng::with_seed(plan.seed);
        let residents = settle(&plan, &mut rng);
        let mut agenda = BinaryHeap::new();
        for (index, resident) in residents.iter().enumerate() {
            for habit in Habit::ALL.into_iter().filter(|h| h.is_kept_by(resident)) {
                // Nodes were switched on at different times, so their rhythms are spread over the interval; names come
                // early, as after a boot.
                let interval = interval_ms(&plan, habit, resident);
                let spread = if habit == Habit::NodeInfo { interval / 12 } else { interval };
                agenda.push(Reverse((rng.u64(0..spread), Event::Habit(index, habit))));
            }
        }
        for (at_ms, event, per_hour) in [
            (5_000, Event::Text, plan.texts_per_hour),
            (9_000, Event::Direct, plan.directs_per_hour),
            (13_000, Event::Traceroute, plan.traceroutes_per_hour),
        ] {
            if per_hour > 0 {
                agenda.push(Reverse((at_ms, event)));
            }
        }
        let islands = residents.iter().map(|r| r.island + 1).max().unwrap_or(0);
        let mut city = Self {
            manners: Manner::of_gateways(&plan),
            air: Air::new(links(&residents, plan.seed), plan.seed),
            radios: residents.iter().map(|_| RadioNode::default()).collect(),
            rngs: residents.iter().map(|r| draw(plan.seed, &[4, u64::from(r.num.0)])).collect(),
            people: draw(plan.seed, &[5]),
            key: ChannelKey::default_key(),
            plan,
            residents,
            agenda,
            on_air: BTreeMap::new(),
            pending: BinaryHeap::new(),
            uplinks: BTreeMap::new(),
            next_uplink: 0,
            letters: BTreeMap::new(),
            now_ms: 0,
            report: Report { islands: vec![IslandReport::default(); islands], ..Report::default() },
        };
        city.plan_misfits();
        city
    }

    /// The nodes.
    pub fn residents(&self) -> &[Resident] {
        &self.residents
    }

    /// The gateways.
    pub fn gateways(&self) -> impl Iterator<Item = &Resident> {
        self.residents.iter().filter(|r| r.is_gateway)
    }

    /// How a gateway behaves, by its place among the gateways.
    pub fn manner(&self, gateway: usize) -> Manner {
        self.manners.get(gateway).copied().unwrap_or(Manner::Honest)
    }

    /// The Topic Filter that a gateway with downlink on a channel subscribes to.
    pub fn filter(&self, channel: &str) -> String {
        format!("{}/2/e/{channel}/+", self.plan.root)
    }

    /// What became of air and texts so far.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// Packets that people sent, and routine ones of the last half hour.
    pub fn letters(&self) -> impl Iterator<Item = &Letter> {
        self.letters.values()
    }

    /// The packet with that sender and id, while it is remembered.
    pub fn letter(&self, key: Key) -> Option<&Letter> {
        self.letters.get(&key)
    }

    /// Share of the time so far that nodes of an island found their channel taken, percent.
    pub fn utilisation_percent(&self, island: usize) -> f64 {
        let nodes = self.residents.iter().enumerate().filter(|(_, r)| r.island == island);
        let (count, us) = nodes.fold((0u64, 0), |(n, us), (i, _)| (n + 1, us + self.air.busy_us(i)));
        us as f64 / (count.max(1) * self.now_ms.max(1) * 10) as f64
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
                self.now_ms = self.now_ms.max(until_ms);
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
            Event::Ended(number) => self.end_transmission(number),
            Event::Transmit(node, key) => self.transmit(node, key),
            Event::Answer(node, key) => self.answer(node, key),
            Event::Habit(index, habit) => self.keep_habit(index, habit),
            Event::Text => {
                let index = self.people.usize(0..self.residents.len());
                let content = mesh::compose::text(typed(&mut self.people));
                self.report.texts += 1;
                self.say(index, Kind::Text, NodeNum::BROADCAST, content, None);
                self.plan_next(event, self.plan.texts_per_hour);
            }
            Event::Direct => {
                let (from, to) = self.two_people();
                let content = mesh::compose::text(typed(&mut self.people));
                self.say(from, Kind::Direct, self.residents[to].num, content, None);
                self.plan_next(event, self.plan.directs_per_hour);
            }
            Event::Traceroute => {
                let (from, to) = self.two_people();
                let content = mesh::compose::traceroute(Default::default(), Default::default());
                self.say(from, Kind::Traceroute, self.residents[to].num, content, None);
                self.plan_next(event, self.plan.traceroutes_per_hour);
            }
            Event::Abuse(turn) => self.abuse(turn),
            Event::Spoof(index) => self.spoof(index),
            Event::Move(index) => self.move_away(index),
        }
    }

    /// Exponential waiting times: people do not speak by the clock.
    fn plan_next(&mut self, event: Event, per_hour: u32) {
        let rush = if self.plan.rush_ms.contains(&self.now_ms) { 3 } else { 1 };
        let mean_ms = 3_600_000 / (u64::from(per_hour.max(1)) * rush);
        let wait = (-f64::from(1.0 - self.people.f32()).ln() * mean_ms as f64) as u64;
        self.agenda.push(Reverse((self.now_ms + wait + 1, event)));
    }

    /// Two nodes; half of the time on different islands.
    fn two_people(&mut self) -> (usize, usize) {
        let from = self.people.usize(0..self.residents.len());
        let (crosses, island) = (self.people.bool(), self.residents[from].island);
        let others: Vec<usize> = (0..self.residents.len())
            .filter(|i| *i != from && (self.residents[*i].island != island) == crosses)
            .collect();
        (from, others.get(self.people.usize(0..others.len().max(1))).copied().unwrap_or(from))
    }

    fn keep_habit(&mut self, index: usize, habit: Habit) {
        let utilisation = self.air.utilisation_percent(index, self.now_ms);
        let is_for_the_air = !matches!(habit, Habit::MapReport | Habit::NeighborInfo);
        if is_for_the_air && utilisation >= POLITE_PERCENT {
            return self.agenda.push(Reverse((self.now_ms + POLITE_WAIT_MS, Event::Habit(index, habit))));
        }
        let resident = self.residents[index].clone();
        let neighbors: Vec<(NodeNum, f32)> =
            self.air.hearers(index).iter().map(|(n, s)| (self.residents[*n].num, s.snr_db)).collect();
        let uptime_s = u32::try_from(self.now_ms / 1000).unwrap_or(u32::MAX) + 86_400;
        let now_s = self.now_s();
        let content =
            habit.content(&resident, &neighbors, utilisation, now_s, uptime_s, &mut self.rngs[index]);
        match habit {
            Habit::MapReport => self.uplink_map_report(index, content),
            Habit::NeighborInfo => {
                let letter = self.write(index, Kind::Routine, NodeNum::BROADCAST_NO_LORA, content, None);
                self.uplink_own(index, &letter);
                self.letters.insert(letter.key(), letter);
            }
            Habit::NodeInfo | Habit::Position | Habit::DeviceTelemetry | Habit::EnvironmentTelemetry => {
                self.say(index, Kind::Routine, NodeNum::BROADCAST, content, None);
            }
        }
        let interval = interval_ms(&self.plan, habit, &resident);
        let next = self.now_ms + interval + self.rngs[index].u64(0..interval / 20);
        self.agenda.push(Reverse((next, Event::Habit(index, habit))));
    }

    /// A node transmits a packet of its own: it floods the island, and gateways that hear it uplink it.
    pub(crate) fn say(
        &mut self,
        index: usize,
        kind: Kind,
        to: NodeNum,
        content: (PortNum, Vec<u8>),
        answers: Option<Key>,
    ) {
        let letter = self.write(index, kind, to, content, answers);
        let (key, hop_limit) = (letter.key(), letter.packet.hop_limit);
        self.report.packets += 1;
        self.radios[index].note(key);
        if self.residents[index].is_gateway {
            self.uplink_own(index, &letter);
        }
        self.letters.insert(key, letter);
        self.forget_old_letters();
        self.put_in_line(index, Frame { key, hop_limit, via_mqtt: false, is_relay: false });
    }

    fn write(
        &mut self,
        index: usize,
        kind: Kind,
        to: NodeNum,
        (port, payload): (PortNum, Vec<u8>),
        answers: Option<Key>,
    ) -> Letter {
        let resident = &self.residents[index];
        // Who asks without a hop gets an answer for one hop.
        let is_near = answers.is_some_and(|key| !self.letters.contains_key(&key));
        let hop_limit = if is_near { 1 } else { resident.hop_limit };
        let packet = Packet {
            from: resident.num,
            to,
            id: self.rngs[index].u32(1..),
            hop_limit,
            hop_start: hop_limit,
            want_ack: kind == Kind::Direct,
            ..Packet::default()
        };
        let content = Content {
            port: port.0,
            payload,
            bitfield: Some(u32::from(resident.consents)),
            want_response: kind == Kind::Traceroute,
            request_id: answers.map_or(0, |(_, id)| id),
            ..Content::default()
        };
        // Half of the nodes know each other's keys, so half of the direct messages are sealed; so is what answers them.
        let is_sealed = match answers.and_then(|key| self.letters.get(&key)) {
            Some(asked) => asked.is_sealed,
            None => kind == Kind::Direct && self.rngs[index].bool(),
        };
        Letter {
            kind,
            packet,
            content,
            is_sealed,
            maker: index,
            island: resident.island,
            born_ms: self.now_ms,
            consents: resident.consents,
            answers,
            reached: Vec::new(),
            acknowledged_ms: None,
        }
    }

    fn forget_old_letters(&mut self) {
        if self.letters.len().is_multiple_of(512) {
            let oldest_ms = self.now_ms.saturating_sub(FORGOTTEN_MS);
            let is_routine = |kind| matches!(kind, Kind::Routine | Kind::Forged);
            self.letters.retain(|_, l| !is_routine(l.kind) || l.born_ms >= oldest_ms);
        }
    }

    /// A node wants to transmit something that it did not hear over the radio.
    pub(crate) fn put_in_line(&mut self, node: usize, frame: Frame) {
        let utilisation = self.air.utilisation_percent(node, self.now_ms);
        let wait = own_wait_ms(utilisation, self.plan.seed, node, self.now_ms);
        self.put(node, frame, wait);
    }

    fn put(&mut self, node: usize, frame: Frame, wait_ms: u64) {
        if self.radios[node].put(frame) {
            self.agenda.push(Reverse((self.now_ms + wait_ms, Event::Transmit(node, frame.key))));
        } else {
            self.report.overruns += 1;
        }
    }

    fn transmit(&mut self, node: usize, key: Key) {
        if !self.radios[node].has(key) {
            return;
        }
        if self.air.is_busy(node, self.now_ms) {
            let utilisation = self.air.utilisation_percent(node, self.now_ms);
            let again = self.now_ms + own_wait_ms(utilisation, self.plan.seed, node, self.now_ms);
            return self.agenda.push(Reverse((again, Event::Transmit(node, key))));
        }
        let Some(frame) = self.radios[node].take(key) else { return };
        let Some(letter) = self.letters.get(&key) else { return };
        let airtime_us = u64::from(ModemPreset::LongFast.time_on_air_us(letter.frame_bytes()));
        let island = &mut self.report.islands[self.residents[node].island];
        island.transmissions += 1;
        if frame.via_mqtt {
            island.downlink_airtime_us += airtime_us;
            self.report.downlink_transmissions += 1;
            self.report.downlink_airtime_ms += airtime_us.div_ceil(1000);
        } else {
            island.own_airtime_us += airtime_us;
            self.report.transmissions += 1;
            self.report.airtime_ms += airtime_us.div_ceil(1000);
        }
        let number = self.air.begin(node, self.now_ms, airtime_us);
        self.on_air.insert(number, (node, frame));
        self.agenda.push(Reverse((self.now_ms + airtime_us.div_ceil(1000), Event::Ended(number))));
    }

    fn end_transmission(&mut self, number: u64) {
        let Some((sender, frame)) = self.on_air.remove(&number) else { return };
        let what = (u64::from(frame.key.0) << 32) | u64::from(frame.key.1);
        let ended = self.air.end(number, what);
        let island = &mut self.report.islands[self.residents[sender].island];
        island.received += ended.received.len() as u64;
        island.collided += u64::from(ended.collided);
        for (listener, signal) in ended.received {
            let is_router = self.residents[listener].is_router;
            if !self.radios[listener].note(frame.key) {
                self.radios[listener].hear_again(frame.key, is_router);
                continue;
            }
            let Some(letter) = self.letters.get(&frame.key) else { continue };
            let is_for_it = letter.packet.to == self.residents[listener].num;
            if self.residents[listener].is_gateway && !frame.via_mqtt {
                self.uplink_heard(listener, sender, &frame, signal);
            }
            self.arrive(listener, frame.key);
            if frame.hop_limit > 0 && !is_for_it {
                let wait = relay_wait_ms(signal, is_router, self.plan.seed, listener, frame.key);
                let relayed = Frame { hop_limit: frame.hop_limit - 1, is_relay: true, ..frame };
                self.put(listener, relayed, wait);
            }
        }
    }

    /// A node has got a packet for the first time, over the radio or from its broker.
    pub(crate) fn arrive(&mut self, node: usize, key: Key) {
        let Some(letter) = self.letters.get_mut(&key) else { return };
        if !matches!(letter.kind, Kind::Routine) {
            letter.reached.push((node, self.now_ms));
        }
        let is_for_it = letter.packet.to == self.residents[node].num;
        let answers = letter.answers;
        match letter.kind {
            Kind::Direct | Kind::Traceroute if is_for_it => {
                self.agenda.push(Reverse((self.now_ms + ANSWER_MS, Event::Answer(node, key))));
            }
            Kind::Ack | Kind::TracerouteReply if is_for_it => {
                let asked = answers.and_then(|asked| self.letters.get_mut(&asked));
                if let Some(asked) = asked.filter(|l| l.acknowledged_ms.is_none()) {
                    asked.acknowledged_ms = Some(self.now_ms);
                }
            }
            Kind::Text => self.note_crossing(node, key),
            Kind::Direct
            | Kind::Traceroute
            | Kind::Ack
            | Kind::TracerouteReply
            | Kind::Routine
            | Kind::Forged => {}
        }
    }

    fn note_crossing(&mut self, node: usize, key: Key) {
        let (island, residents) = (self.residents[node].island, &self.residents);
        let is_first = self.letters.get(&key).is_some_and(|l| {
            l.island != island && !l.reached.iter().any(|(n, _)| *n != node && residents[*n].island == island)
        });
        self.report.texts_crossed += u64::from(is_first);
    }

    fn answer(&mut self, node: usize, key: Key) {
        let Some(letter) = self.letters.get(&key) else { return };
        let (kind, content) = match letter.kind {
            Kind::Direct => (Kind::Ack, mesh::compose::routing(0)),
            _ => (Kind::TracerouteReply, mesh::compose::traceroute(Default::default(), Default::default())),
        };
        self.say(node, kind, letter.packet.from, content, Some(key));
    }

    /// Who hears whom has changed.
    pub(crate) fn rewire(&mut self) {
        self.air.set_hearers(links(&self.residents, self.plan.seed));
    }

    /// A gateway's envelope leaves for the broker after what internet takes: 20 to 150 ms.
    pub(crate) fn publish(&mut self, node: usize, topic: String, payload: Vec<u8>, what: Key) {
        let mut rng = draw(self.plan.seed, &[6, node as u64, u64::from(what.0), u64::from(what.1)]);
        let at_ms = self.now_ms + rng.u64(20..150);
        self.next_uplink += 1;
        self.pending.push(Reverse((at_ms, self.next_uplink)));
        let gateway = self.residents[node].num;
        self.uplinks.insert(self.next_uplink, Uplink { at_ms, gateway, topic, payload });
    }

    /// The topic on which a gateway publishes a packet.
    pub(crate) fn topic(&self, channel: &str, node: usize) -> String {
        envelope_topic(&self.plan.root, channel, self.residents[node].num)
    }

    pub(crate) fn now_s(&self) -> u32 {
        let unix_ms = self.plan.start_unix_ms + i64::try_from(self.now_ms).unwrap_or(0);
        u32::try_from(unix_ms / 1000).unwrap_or(0)
    }

    /// Luck of a node.
    pub(crate) fn luck(&mut self, node: usize) -> &mut Rng {
        &mut self.rngs[node]
    }
}

/// The channel's name, for those who make filters.
pub const fn channel() -> &'static str {
    CHANNEL
}

fn interval_ms(plan: &Plan, habit: Habit, resident: &Resident) -> u64 {
    let on_island = (plan.nodes / plan.islands.max(1)) as u64;
    let interval = habit.stretched_interval_ms(resident.is_router, on_island);
    // Trackers tell where they are more often, and are exempt from stretching.
    if habit == Habit::Position && resident.is_tracker { 300_000 } else { interval }
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
            signals.filter(|(_, signal)| signal.snr_db > SNR_LIMIT_DB - FADING_DB).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mesh::envelope::EnvelopeView;
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
            assert_eq!(facts.payload == PayloadState::Opaque, uplink.topic.contains("/PKI/"));
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
        let mut copies = BTreeMap::<_, usize>::new();
        for uplink in &uplinks {
            let header = EnvelopeView::parse(&uplink.payload).unwrap().packet.unwrap().header;
            *copies.entry((header.from, header.id)).or_default() += 1;
        }
        assert!(copies.values().any(|c| *c >= 2), "no duplicates");
    }

    #[test]
    fn direct_messages_within_an_island_are_acknowledged_and_those_across_are_not_without_a_broker() {
        let (city, _) = lived(2, 12);
        let directs = || city.letters().filter(|l| l.kind == Kind::Direct);
        let island_of = |num: NodeNum| city.residents().iter().find(|r| r.num == num).unwrap().island;
        let (across, within): (Vec<&Letter>, Vec<&Letter>) =
            directs().partition(|l| island_of(l.packet.to) != l.island);
        assert!(across.len() > 20 && across.iter().all(|l| l.acknowledged_ms.is_none()));
        let acknowledged = within.iter().filter(|l| l.acknowledged_ms.is_some()).count();
        assert!(acknowledged * 2 > within.len(), "{acknowledged} of {}", within.len());
    }

    #[test]
    fn a_crowded_channel_costs_texts() {
        let share = |texts_per_hour| {
            let plan = Plan { texts_per_hour, nodes: 120, ..Plan::default() };
            let mut city = City::new(plan);
            city.live_until(3_600_000);
            let nodes = city.residents().len() / 3;
            let texts: Vec<&Letter> = city.letters().filter(|l| l.kind == Kind::Text).collect();
            let reached: usize = texts.iter().map(|l| l.reached.len()).sum();
            (reached as f64 / (texts.len() * nodes) as f64, city.utilisation_percent(0))
        };
        let ((calm, quiet), (crowded, busy)) = (share(30), share(4_000));
        assert!(busy > 2.0 * quiet, "{quiet:.0} % and {busy:.0} %");
        assert!(crowded < 0.85 * calm, "{calm:.2} and {crowded:.2}");
    }
}
