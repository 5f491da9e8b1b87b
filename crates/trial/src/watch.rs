//! The watch: it sees every envelope that goes up and every copy that comes down, knows the truth about the city, and
//! says when a promise is broken.

use std::collections::{BTreeMap, BTreeSet};

use city::letter::Key;
use city::misfit::Manner;
use city::simulation::{City, Uplink};
use mesh::envelope::EnvelopeView;
use mesh::node::NodeNum;

use crate::promise::{Broken, Promise};

/// How long an envelope is remembered, ms.
const REMEMBERED_MS: u64 = 3_600_000;

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
    hop_limit: u32,
    rest: Vec<u8>,
}

/// The watch.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    packets: BTreeMap<Key, Packet>,
    forgotten_at_ms: u64,
}

pub(crate) type Kept = Result<(), Broken>;

impl Watch {
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
        let island = city.residents().iter().find(|r| r.num == gateway).map(|r| r.island);
        if island.is_some_and(|island| packet.islands.contains(&island)) {
            return broken(Promise::NotHeardBefore, format!("{who}, which its island had uplinked"));
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
            // What a gateway says itself it agrees to by uplinking it.
            Some(letter) if !letter.consents && !city.residents()[letter.maker].is_gateway => {
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

/// The island whose air carried the packet. What the bridge and the spoofer say they heard was not on the air.
fn island_that_heard(city: &City, gateway: NodeNum) -> Option<usize> {
    let (place, resident) = city.gateways().enumerate().find(|(_, r)| r.num == gateway)?;
    let lies = matches!(city.manner(place), Manner::Bridge | Manner::Spoofer);
    (!lies).then_some(resident.island)
}

/// A packet's identity, its hop limit, and the bytes without that; `None` for what has no identity.
fn read(payload: &[u8]) -> Option<(Key, Envelope)> {
    let view = EnvelopeView::parse(payload).ok()?;
    let header = view.packet?.header;
    let mut rest = payload.to_vec();
    if let Some(byte) = view.hop_limit_at().and_then(|at| rest.get_mut(at)) {
        *byte = 0;
    }
    let envelope = Envelope { hop_limit: header.hop_limit, rest };
    (header.id != 0).then_some(((header.from.0, header.id), envelope))
}
