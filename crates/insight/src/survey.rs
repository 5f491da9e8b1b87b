//! What a window of history says about who hears whom and where they are: a fold that does not mind the order.

use std::collections::{BTreeMap, BTreeSet};

use h3o::{CellIndex, Resolution};

use crate::link::{Link, LinkKey, Source};
use crate::place::Place;
use crate::traceroute::{Hop, Route};

/// Nodes, links and routes that are kept at most; what is beyond is counted and not kept.
const NODES_MAX: usize = 50_000;
const LINKS_MAX: usize = 200_000;
const ROUTES_MAX: usize = 2_000;
/// Places that a node has within a window at most: one that moves on has more than can be drawn.
const CELLS_MAX: usize = 64;
/// The finest hexagons, about 200 m across the edge: places are remembered as these.
const FINEST: Resolution = Resolution::Nine;

/// One reception as far as links need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hearing {
    /// When, Unix ms.
    pub at_ms: i64,
    /// Node number of the sender.
    pub from: u32,
    /// Node number of the gateway.
    pub gateway: u32,
    /// Packet id.
    pub packet: u32,
    /// Hops it had travelled; `None` when unknown.
    pub hops: Option<u8>,
    /// Whether it had come by MQTT on its way.
    pub is_via_mqtt: bool,
    /// Signal-to-noise ratio, quarters of a dB.
    pub snr_quarters: Option<i32>,
}

impl Hearing {
    /// Whether the gateway heard the sender's own radio.
    pub fn is_direct(&self) -> bool {
        self.hops == Some(0) && !self.is_via_mqtt && self.from != self.gateway && self.snr_quarters.is_some()
    }
}

/// A traceroute that was answered, or a question on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// When it was first received, Unix ms.
    pub at_ms: i64,
    /// Who asked.
    pub asked: u32,
    /// Who was asked for.
    pub wanted: u32,
    /// The way.
    pub route: Route,
    /// Whether it was answered.
    pub is_answer: bool,
}

/// What is known of where a node is.
#[derive(Debug, Clone, PartialEq)]
pub struct Whereabouts {
    /// Where it said last.
    pub place: Place,
    /// When, Unix ms.
    pub at_ms: i64,
    /// The small hexagons it has said within the window.
    pub cells: BTreeSet<CellIndex>,
}

/// The fold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    links: BTreeMap<LinkKey, Link>,
    nodes: BTreeMap<u32, Whereabouts>,
    placed: BTreeMap<(u32, u32, CellIndex), Link>,
    gateways: BTreeMap<u32, u64>,
    routes: BTreeMap<(u32, u32), Traced>,
    heard: u64,
    beyond: u64,
}

impl Survey {
    /// Takes one reception.
    pub fn hear(&mut self, hearing: &Hearing) {
        self.heard += 1;
        if self.gateways.len() < NODES_MAX || self.gateways.contains_key(&hearing.gateway) {
            *self.gateways.entry(hearing.gateway).or_default() += 1;
        }
        if hearing.is_direct() {
            let key = LinkKey { from: hearing.from, to: hearing.gateway, source: Source::Direct };
            self.link(key, Link::once(hearing.at_ms, hearing.snr_quarters));
        }
    }

    /// Takes where a node says it is, from a reception of it; where that was direct, the place was heard from.
    pub fn place(&mut self, hearing: &Hearing, place: Place) {
        let Some(cell) = place.cell(FINEST) else { return };
        if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(&hearing.from) {
            self.beyond += 1;
            return;
        }
        let known = self.nodes.entry(hearing.from).or_insert_with(|| Whereabouts {
            place,
            at_ms: hearing.at_ms,
            cells: BTreeSet::new(),
        });
        let rank = |at_ms: i64, p: &Place| (at_ms, p.latitude.to_bits(), p.longitude.to_bits());
        if rank(hearing.at_ms, &place) > rank(known.at_ms, &known.place) {
            (known.place, known.at_ms) = (place, hearing.at_ms);
        }
        known.cells.insert(cell);
        // The same ones stay in whatever order they come.
        while known.cells.len() > CELLS_MAX {
            known.cells.pop_last();
        }
        if hearing.is_direct() {
            let once = Link::once(hearing.at_ms, hearing.snr_quarters);
            let key = (hearing.from, hearing.gateway, cell);
            if self.placed.len() < LINKS_MAX || self.placed.contains_key(&key) {
                self.placed.entry(key).and_modify(|link| link.add(&once)).or_insert(once);
            }
        }
    }

    /// Takes a traceroute; the packet counts once however many gateways heard it. `id` is the packet's.
    pub fn trace(&mut self, from: u32, id: u32, traced: Traced) {
        if let Some(known) = self.routes.get(&(from, id)) {
            let fullness = |t: &Traced| (t.route.there.len() + t.route.back.len(), t.route.clone());
            let earliest_ms = traced.at_ms.min(known.at_ms);
            let fuller = if fullness(&traced) > fullness(known) { traced } else { known.clone() };
            self.routes.insert((from, id), Traced { at_ms: earliest_ms, ..fuller });
            return;
        }
        if self.routes.len() >= ROUTES_MAX {
            self.beyond += 1;
            return;
        }
        self.routes.insert((from, id), traced);
    }

    /// Takes the neighbours that a node told.
    pub fn neighbours(&mut self, at_ms: i64, hops: &[Hop]) {
        for hop in hops.iter().filter(|hop| hop.is_link()) {
            let key = LinkKey { from: hop.from, to: hop.to, source: Source::Neighbour };
            self.link(key, Link::once(at_ms, hop.snr_quarters));
        }
    }

    fn link(&mut self, key: LinkKey, once: Link) {
        if self.links.len() >= LINKS_MAX && !self.links.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        self.links.entry(key).and_modify(|link| link.add(&once)).or_insert(once);
    }

    /// Every link, those over which traceroutes went among them.
    pub fn links(&self) -> BTreeMap<LinkKey, Link> {
        let mut links = self.links.clone();
        for traced in self.routes.values() {
            for hop in traced.route.there.iter().chain(&traced.route.back).filter(|hop| hop.is_link()) {
                let key = LinkKey { from: hop.from, to: hop.to, source: Source::Traceroute };
                let once = Link::once(traced.at_ms, hop.snr_quarters);
                links.entry(key).and_modify(|link| link.add(&once)).or_insert(once);
            }
        }
        links
    }

    /// Nodes whose place is known.
    pub fn nodes(&self) -> &BTreeMap<u32, Whereabouts> {
        &self.nodes
    }

    /// Gateways with how many receptions each had.
    pub fn gateways(&self) -> &BTreeMap<u32, u64> {
        &self.gateways
    }

    /// Traceroutes, newest first.
    pub fn routes(&self) -> Vec<&Traced> {
        let mut routes: Vec<_> = self.routes.values().collect();
        routes.sort_by_key(|traced| (std::cmp::Reverse(traced.at_ms), traced.asked, traced.wanted));
        routes
    }

    /// What was heard directly from each small hexagon, by node and gateway: positions where they were told; all else
    /// where the node is, if it was in one place only.
    pub fn placed(&self) -> BTreeMap<(u32, u32, CellIndex), Link> {
        let mut placed = self.placed.clone();
        for (key, link) in self.links.iter().filter(|(key, _)| key.source == Source::Direct) {
            let Some(known) = self.nodes.get(&key.from) else { continue };
            if let (1, Some(cell)) = (known.cells.len(), known.cells.first()) {
                placed.insert((key.from, key.to, *cell), *link);
            }
        }
        placed
    }

    /// The distance that a link goes, m, when both places are known.
    pub fn distance_m(&self, key: &LinkKey) -> Option<f64> {
        Some(self.nodes.get(&key.from)?.place.distance_m(&self.nodes.get(&key.to)?.place))
    }

    /// Receptions taken.
    pub fn heard(&self) -> u64 {
        self.heard
    }

    /// Things that were not kept because there were too many.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }
}
