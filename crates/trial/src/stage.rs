//! The stage: city, broker and connections on one clock, in steps of a firmware's loop.

use std::collections::BTreeMap;

use broker::{Broker, ConnectionId, Now};
use city::letter::Key;
use city::misfit::Manner;
use city::report::Report;
use city::simulation::{City, Uplink, channel};
use mesh::envelope::EnvelopeView;
use mesh::node::NodeNum;
use policy::decision::{Outcome as CopyOutcome, Verdict};
use record::Record;

use crate::client::{Client, Login};
use crate::figures::Figures;
use crate::promise::Broken;
use crate::scene;
use crate::watch::{Kept, Watch};
use crate::{Fault, Outcome, Plan, Way};

/// A node reads at most one packet in this time (firmware's MQTT loop).
const STEP_MS: u64 = 20;

/// Everything there is.
pub(crate) struct Stage {
    plan: Plan,
    city: City,
    broker: Broker,
    gateways: Vec<(NodeNum, Client)>,
    outside: Client,
    /// Whose connection it is: a gateway's place, or nobody's here for the outside.
    by_connection: BTreeMap<ConnectionId, Option<usize>>,
    watch: Watch,
    figures: Figures,
    digest: u64,
    /// The first broken promise.
    broken: Option<Broken>,
    before: Report,
    busy_before_s: Vec<f64>,
    /// Copies until the planted fault strikes.
    fault_in: u32,
}

impl Stage {
    pub fn new(plan: &Plan) -> Self {
        let city = scene::city(plan);
        let mut broker = scene::broker(plan, &city);
        let now = scene::now(0);
        let is_loopback = plan.way != Way::Policy;
        let filters = [city.filter(channel()), city.filter("PKI")];
        let mut by_connection = BTreeMap::new();
        let mut gateways = Vec::new();
        for (n, resident) in (0u8..).zip(city.gateways()) {
            let (name, password) = (scene::username(resident.num.0), scene::token(n));
            let login = Login {
                client_id: &resident.num.to_string(),
                credential: (!is_loopback).then(|| (name.as_str(), password.reveal())),
                filters: &filters,
                address: n + 1,
                is_loopback,
                is_node: true,
            };
            let client = Client::new(&mut broker, now, &login).expect("there is room for twelve");
            by_connection.insert(client.connection(), Some(usize::from(n)));
            gateways.push((resident.num, client));
        }
        let password = scene::token(u8::MAX);
        let login = Login {
            client_id: scene::OUTSIDE,
            credential: (!is_loopback).then(|| (scene::OUTSIDE, password.reveal())),
            filters: &["msh/#".to_owned()],
            address: 200,
            is_loopback,
            is_node: false,
        };
        let outside = Client::new(&mut broker, now, &login).expect("there is room for one more");
        by_connection.insert(outside.connection(), None);
        Self {
            plan: plan.clone(),
            city,
            broker,
            gateways,
            outside,
            by_connection,
            watch: Watch::new(plan.budget.clone(), plan.warm_up_ms),
            figures: Figures::default(),
            digest: 0xcbf2_9ce4_8422_2325,
            broken: None,
            before: Report::default(),
            busy_before_s: Vec::new(),
            fault_in: 40,
        }
    }

    pub fn run(mut self) -> Outcome {
        self.play();
        let mut figures = std::mem::take(&mut self.figures);
        figures.take_from(&self.city, &self.plan, &self.before, &self.busy_before_s);
        Outcome { figures, digest: self.digest, broken: self.broken }
    }

    fn play(&mut self) {
        let mut at_ms = 0;
        while at_ms < self.plan.duration_ms {
            at_ms += STEP_MS;
            let now = scene::now(at_ms);
            for uplink in self.city.live_until(at_ms) {
                self.go_up(now, at_ms, &uplink);
            }
            self.broker.tick(now);
            self.look_at_copies(at_ms);
            self.come_down(now);
            self.look_at_copies(at_ms);
            self.take_records(at_ms);
            if at_ms == self.plan.warm_up_ms {
                self.before = self.city.report().clone();
                let seconds = at_ms as f64 / 1000.0;
                self.busy_before_s = (0..scene::ISLANDS)
                    .map(|island| self.city.utilisation_percent(island) / 100.0 * seconds)
                    .collect();
            }
        }
    }

    fn go_up(&mut self, now: Now, at_ms: u64, uplink: &Uplink) {
        let Some((_, client)) = self.gateways.iter_mut().find(|(num, _)| *num == uplink.gateway) else {
            return;
        };
        self.watch.on_uplink(at_ms, &self.city, uplink);
        client.publish(&mut self.broker, now, &uplink.topic, &uplink.payload);
        self.look_at_copies(at_ms);
    }

    /// Looks at what the broker has just written to anybody.
    fn look_at_copies(&mut self, at_ms: u64) {
        while let Some(id) = self.broker.next_dirty() {
            let Some(place) = self.by_connection.get(&id).copied() else { continue };
            let client = match place {
                Some(place) => &mut self.gateways[place].1,
                None => &mut self.outside,
            };
            for payload in client.written(&mut self.broker) {
                let broken = self.look_at_copy(at_ms, place, payload).err();
                // Promises are the policy's; the other ways make none.
                self.broken = self.broken.take().or(broken.filter(|_| self.plan.way == Way::Policy));
            }
        }
        while self.broker.next_closing().is_some() {}
    }

    fn look_at_copy(&mut self, at_ms: u64, place: Option<usize>, payload: Vec<u8>) -> Kept {
        self.hash(&payload);
        let Some(place) = place else {
            return self.watch.on_copy_outside(at_ms, &self.city, &payload);
        };
        let gateway = self.gateways[place].0;
        if at_ms > self.plan.warm_up_ms {
            self.figures.copies += 1;
            let from = key_of(&payload).map(|(from, _)| NodeNum(from));
            self.figures.copies_of_abuse += u64::from(from.is_some() && from == self.abuser());
        }
        let copies = self.with_fault(gateway, payload);
        copies.iter().try_for_each(|copy| self.watch.on_copy(at_ms, &self.city, gateway, copy))
    }

    fn abuser(&self) -> Option<NodeNum> {
        let place = (0..self.gateways.len()).find(|place| self.city.manner(*place) == Manner::Abuser)?;
        Some(self.gateways[place].0)
    }

    /// What the gateway is shown of a copy when a fault strikes on the way.
    fn with_fault(&mut self, gateway: NodeNum, mut payload: Vec<u8>) -> Vec<Vec<u8>> {
        let view = EnvelopeView::parse(&payload).ok();
        let is_own = view.and_then(|v| v.packet).is_some_and(|p| p.header.from == gateway);
        let hop_limit_at = view.and_then(|v| v.hop_limit_at());
        let (false, Some(at), Some(fault)) = (is_own, hop_limit_at, self.plan.fault) else {
            return vec![payload];
        };
        self.fault_in = self.fault_in.saturating_sub(1);
        match fault {
            Fault::RaiseHopLimit if self.fault_in == 0 => payload[at] = 7,
            Fault::DamageCopy if self.fault_in == 0 => payload[at - 3] ^= 1,
            Fault::RepeatCopy if self.fault_in == 0 => return vec![payload.clone(), payload],
            _ => {}
        }
        vec![payload]
    }

    /// Every gateway reads one packet, as its loop does.
    fn come_down(&mut self, now: Now) {
        for place in 0..self.gateways.len() {
            let (gateway, client) = &mut self.gateways[place];
            client.take(&mut self.broker);
            if let Some(mut payload) = client.read(&mut self.broker, now) {
                if self.plan.way == Way::ZeroHop {
                    lower_to_zero(&mut payload);
                }
                self.city.downlink(*gateway, &payload);
            }
        }
        self.outside.take(&mut self.broker);
        while self.outside.has_unread() && self.outside.read(&mut self.broker, now).is_some() {}
    }

    /// Decisions go into the digest and the counts.
    fn take_records(&mut self, at_ms: u64) {
        let mut records = Vec::new();
        self.broker.take_records(&mut |record| records.push(record));
        let is_counted = at_ms > self.plan.warm_up_ms;
        for record in records {
            match record {
                Record::Reception(reception) => {
                    let decision = &reception.decision;
                    self.hash(&[decision.verdict.code(), decision.rule.map_or(0, |r| r.code())]);
                    let objects = matches!(decision.verdict, Verdict::RecordOnly | Verdict::Refuse);
                    let Some(rule) = decision.rule.filter(|_| objects && is_counted) else { continue };
                    *self.figures.by_rule.entry(rule.name()).or_default() += 1;
                    let place = self.gateways.iter().position(|(num, _)| Some(num.0) == reception.gateway);
                    if place.is_some_and(|place| self.city.manner(place) == Manner::Honest) {
                        *self.figures.honest_by_rule.entry(rule.name()).or_default() += 1;
                    }
                }
                Record::Release(release) => {
                    for copy in &release.copies {
                        let details = &copy.details;
                        if let Some(island) = details.island.filter(|_| details.airtime_us > 0) {
                            let kept = self.watch.on_charge(at_ms, island, details.airtime_us);
                            self.broken = self.broken.take().or(kept.err());
                        }
                        if let (CopyOutcome::Withheld(rule), true) = (copy.outcome, is_counted) {
                            *self.figures.by_rule.entry(rule.name()).or_default() += 1;
                        }
                    }
                }
                Record::Connection(_) | Record::PolicyChange(_) | Record::Erased(_) => {}
            }
        }
    }

    fn hash(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

fn key_of(payload: &[u8]) -> Option<Key> {
    let header = EnvelopeView::parse(payload).ok()?.packet?.header;
    Some((header.from.0, header.id))
}

fn lower_to_zero(payload: &mut [u8]) {
    let at = EnvelopeView::parse(payload).ok().and_then(|view| view.hop_limit_at());
    if let Some(byte) = at.and_then(|at| payload.get_mut(at)) {
        *byte = 0;
    }
}
