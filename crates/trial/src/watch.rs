//! The watch: it sees every envelope that goes up and every copy that comes down, knows the truth about the city, and
//! says when a promise is broken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use city::letter::Key;
use city::misfit::Manner;
use city::simulation::{City, Uplink};
use mesh::airtime::{HEADER_BYTES, ModemPreset};
use mesh::envelope::EnvelopeView;
use mesh::node::NodeNum;
use mesh::packet::Variant;
use policy::downlink::budget::BudgetSettings;

use crate::promise::{Broken, Promise};

/// How long an envelope is remembered, ms.
const REMEMBERED_MS: u64 = 3_600_000;
const HOUR_MS: u64 = 3_600_000;

/// What went up of one packet.
#[derive(Debug, Default)]
struct Packet {
    last_ms: u64,
    /// Envelopes as received, each with its hop limit, without the byte that holds it.
    envelopes: Vec<Envelope>,
    /// Islands whose gateways had uplinked it.
    islands: BTreeSet<usize>,
    /// Who was sent it.
    sent_to: BTreeSet<u32>,
}

#[derive(Debug, PartialEq, Eq)]
struct Envelope {
    to: u32,
    hop_limit: u32,
    frame_bytes: usize,
    rest: Vec<u8>,
}

/// What airtime is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Account {
    /// What one gateway transmits.
    Gateway(u32),
    /// What one sender takes up.
    Node(u32),
    /// What goes down to one island, as the broker draws it.
    Island(u32),
}

/// The watch.
#[derive(Debug)]
pub(crate) struct Watch {
    packets: BTreeMap<Key, Packet>,
    forgotten_at_ms: u64,
    budget: BudgetSettings,
    /// Until then nobody can know who is on which island.
    islands_known_ms: u64,
    /// What was spent in the last hour: when and how much, µs.
    spent: BTreeMap<Account, VecDeque<(u64, u64)>>,
}

pub(crate) type Kept = Result<(), Broken>;

impl Watch {
    /// A watch over a policy with these budgets; that a gateway's island had heard a packet is held against nobody before
    /// `islands_known_ms`.
    pub fn new(budget: BudgetSettings, islands_known_ms: u64) -> Self {
        Self {
            packets: BTreeMap::new(),
            forgotten_at_ms: 0,
            budget,
            islands_known_ms,
            spent: BTreeMap::new(),
        }
    }

    /// An envelope goes up.
    pub fn on_uplink(&mut self, now_ms: u64, city: &City, uplink: &Uplink) {
        let Some((key, envelope)) = read(&uplink.payload) else { return };
        let packet = self.packets.entry(key).or_default();
        packet.last_ms = now_ms;
        packet.islands.extend(island_that_heard(city, uplink.gateway));
        if !packet.envelopes.contains(&envelope) {
            packet.envelopes.push(envelope);
        }
        if now_ms > self.forgotten_at_ms + REMEMBERED_MS {
            self.packets.retain(|_, p| p.last_ms + REMEMBERED_MS > now_ms);
            self.forgotten_at_ms = now_ms;
        }
    }

    /// A copy leaves the broker toward a gateway.
    pub fn on_copy(&mut self, now_ms: u64, city: &City, gateway: NodeNum, payload: &[u8]) -> Kept {
        let broken = |promise, what: String| Err(Broken { promise, at_ms: now_ms, what });
        let Some((key, copy)) = read(payload) else { return Ok(()) };
        let Some(packet) = self.packets.get_mut(&key) else { return Ok(()) };
        let who = format!("{gateway} is sent {:08x}/{:08x}", key.0, key.1);
        packet.check_bytes(now_ms, &copy, &who)?;
        if key.0 == gateway.0 {
            return Ok(()); // its own packet: an implicit acknowledgement, never transmitted
        }
        if !packet.sent_to.insert(gateway.0) {
            return broken(Promise::Once, format!("{who} again"));
        }
        let place = city.residents().iter().position(|r| r.num == gateway);
        let island = place.map(|place| city.residents()[place].island);
        // Where the mobile gateway is at the moment nobody knows, and what is for a gateway itself is always due to it.
        let is_fixed = place.is_some_and(|place| city.manner(place) != Manner::Mobile);
        let is_due = copy.to == gateway.0 || !is_fixed || now_ms < self.islands_known_ms;
        if !is_due && island.is_some_and(|island| packet.islands.contains(&island)) {
            return broken(Promise::NotHeardBefore, format!("{who}, which its island had uplinked"));
        }
        if copy.hop_limit > 0 && copy.to != gateway.0 {
            let frame_us = ModemPreset::LongFast.time_on_air_us(copy.frame_bytes);
            // Its own transmission, and what is reckoned for the relays of every further hop.
            let relays = u64::from(self.budget.relays_per_hop) * u64::from(copy.hop_limit - 1);
            let airtime_us = u64::from(frame_us) * (1 + relays);
            self.spend(now_ms, Account::Gateway(gateway.0), self.budget.gateway, airtime_us)?;
            self.spend(now_ms, Account::Node(key.0), self.budget.node, airtime_us)?;
        }
        Ok(())
    }

    /// The broker says on which island it has spent how much.
    pub fn on_charge(&mut self, now_ms: u64, island: u32, airtime_us: u32) -> Kept {
        self.spend(now_ms, Account::Island(island), self.budget.island, u64::from(airtime_us))
    }

    /// Adds to what was spent in the hour that ends now; `share` is in thousandths of an hour.
    fn spend(&mut self, now_ms: u64, account: Account, share: u32, airtime_us: u64) -> Kept {
        let spent = self.spent.entry(account).or_default();
        spent.push_back((now_ms, airtime_us));
        while spent.front().is_some_and(|(at, _)| at + HOUR_MS <= now_ms) {
            spent.pop_front();
        }
        let used_us: u64 = spent.iter().map(|(_, us)| us).sum();
        let limit_us = HOUR_MS * u64::from(share);
        if used_us > limit_us {
            let what = format!("{account:?} has {used_us} µs in an hour, and {limit_us} at most");
            return Err(Broken { promise: Promise::Budget, at_ms: now_ms, what });
        }
        Ok(())
    }

    /// A copy leaves the broker toward somebody outside.
    pub fn on_copy_outside(&mut self, now_ms: u64, city: &City, payload: &[u8]) -> Kept {
        let Some((key, copy)) = read(payload) else { return Ok(()) };
        let Some(packet) = self.packets.get_mut(&key) else { return Ok(()) };
        let who = format!("the outside is sent {:08x}/{:08x}", key.0, key.1);
        packet.check_bytes(now_ms, &copy, &who)?;
        match city.letter(key) {
            // Nobody can see what the sender of a sealed packet agreed to. What a gateway says itself it agrees to by uplinking it.
            Some(letter)
                if (!letter.consents || letter.is_sealed) && !city.residents()[letter.maker].is_gateway =>
            {
                let what = format!("{who}, whose sender does not agree");
                Err(Broken { promise: Promise::Consent, at_ms: now_ms, what })
            }
            _ => Ok(()),
        }
    }
}

impl Packet {
    fn check_bytes(&self, now_ms: u64, copy: &Envelope, who: &str) -> Kept {
        let broken = |promise, what: String| Err(Broken { promise, at_ms: now_ms, what });
        let Some(original) = self.envelopes.iter().find(|e| e.rest == copy.rest) else {
            return broken(Promise::ExactBytes, format!("{who} in bytes that nobody had sent"));
        };
        if copy.hop_limit > original.hop_limit {
            let (more, less) = (copy.hop_limit, original.hop_limit);
            return broken(Promise::HopLimit, format!("{who} with hop limit {more} instead of {less}"));
        }
        Ok(())
    }
}

/// The island whose air carried the packet. What the bridge and the spoofer say they heard was not on the air, and where the
/// mobile gateway is nobody knows.
fn island_that_heard(city: &City, gateway: NodeNum) -> Option<usize> {
    let (place, resident) = city.gateways().enumerate().find(|(_, r)| r.num == gateway)?;
    let is_no_witness = matches!(city.manner(place), Manner::Bridge | Manner::Spoofer | Manner::Mobile);
    (!is_no_witness).then_some(resident.island)
}

/// A packet's identity, its hop limit, and the bytes without that; `None` for what has no identity.
fn read(payload: &[u8]) -> Option<(Key, Envelope)> {
    let view = EnvelopeView::parse(payload).ok()?;
    let header = view.packet?.header;
    let mut rest = payload.to_vec();
    if let Some(byte) = view.hop_limit_at().and_then(|at| rest.get_mut(at)) {
        *byte = 0;
    }
    let body_bytes = match view.packet?.variant {
        Variant::Encrypted(body) | Variant::Decoded(body) => body.len(),
        _ => 0,
    };
    let frame_bytes = HEADER_BYTES + body_bytes;
    let envelope = Envelope { to: header.to.0, hop_limit: header.hop_limit, frame_bytes, rest };
    (header.id != 0).then_some(((header.from.0, header.id), envelope))
}
