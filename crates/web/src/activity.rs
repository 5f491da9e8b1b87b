//! The last hour at a glance, folded from receptions: rates by minute and what each gateway brought. Holds counts only;
//! the time is an argument.

use std::collections::{BTreeMap, HashMap};

use policy::decision::Verdict;
use policy::rule::RuleId;
use record::Reception;

/// Minutes remembered.
pub const MINUTES: usize = 60;
const MINUTE_MS: i64 = 60_000;
/// Gateways remembered. Further ones are counted in the rates and have no line of their own.
const GATEWAYS_MAX: usize = 4096;
/// Packets remembered to tell a packet from a further reception of it. At the limit all of them are forgotten, and
/// some packets of that hour count twice.
const PACKETS_MAX: usize = 200_000;

/// Receptions by verdict, in the order of `Verdict::ALL`.
pub type ByVerdict = [u32; 4];

/// The fold.
#[derive(Debug, Default)]
pub struct Activity {
    minutes: Minutes<Minute>,
    gateways: BTreeMap<u32, Gateway>,
    packets: HashMap<(u32, u32), i64>,
}

/// One minute of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Minute {
    /// Receptions by verdict.
    pub receptions: ByVerdict,
    /// Packets of which the first reception came in this minute.
    pub packets: u32,
}

#[derive(Debug, Default)]
struct Gateway {
    last_ms: i64,
    minutes: Minutes<ByVerdict>,
}

/// What one gateway brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayHour {
    /// Its node number.
    pub gateway: u32,
    /// When its last reception came, Unix ms.
    pub last_ms: i64,
    /// Its receptions of the last hour by verdict.
    pub receptions: ByVerdict,
}

impl Activity {
    /// Forgets a gateway.
    pub fn forget_node(&mut self, node: u32) {
        self.gateways.remove(&node);
        self.packets.retain(|(from, _), _| *from != node);
    }

    /// Takes in one reception; any order will do.
    pub fn take(&mut self, reception: &Reception) {
        let minute = reception.at_ms.div_euclid(MINUTE_MS);
        let verdict = usize::from(reception.decision.verdict.code());
        let is_first = self.is_first_of_its_packet(reception, minute);
        if let Some(m) = self.minutes.at(minute) {
            m.receptions[verdict] += 1;
            m.packets += u32::from(is_first);
        }
        // A client that claims to be another gateway must not appear as that gateway.
        let is_claim = matches!(
            reception.decision.rule,
            Some(RuleId::Identity | RuleId::TopicRights | RuleId::JsonCommand | RuleId::NotAnEnvelope)
        );
        let Some(gateway) = reception.gateway.filter(|_| !is_claim) else { return };
        if self.gateways.len() >= GATEWAYS_MAX && !self.gateways.contains_key(&gateway) {
            return;
        }
        let line = self.gateways.entry(gateway).or_default();
        line.last_ms = line.last_ms.max(reception.at_ms);
        if let Some(counts) = line.minutes.at(minute) {
            counts[verdict] += 1;
        }
    }

    fn is_first_of_its_packet(&mut self, reception: &Reception, minute: i64) -> bool {
        let Some(packet) = reception.packet else { return false };
        if packet.id == 0 {
            return true;
        }
        if self.packets.len() >= PACKETS_MAX {
            self.packets.retain(|_, seen| *seen > minute - MINUTES as i64);
            if self.packets.len() >= PACKETS_MAX {
                self.packets.clear();
            }
        }
        match self.packets.insert((packet.from, packet.id), minute) {
            Some(seen) => minute - seen >= MINUTES as i64,
            None => true,
        }
    }

    /// The minutes of the last hour, oldest first, the running one last.
    pub fn minutes(&self, now_ms: i64) -> [Minute; MINUTES] {
        self.minutes.until(now_ms.div_euclid(MINUTE_MS))
    }

    /// Every gateway heard, the latest first.
    pub fn gateways(&self, now_ms: i64) -> Vec<GatewayHour> {
        let minute = now_ms.div_euclid(MINUTE_MS);
        let mut hours: Vec<_> = self
            .gateways
            .iter()
            .map(|(gateway, line)| GatewayHour {
                gateway: *gateway,
                last_ms: line.last_ms,
                receptions: line.minutes.until(minute).iter().fold([0; 4], |sum, m| add(sum, *m)),
            })
            .collect();
        hours.sort_by_key(|h| (std::cmp::Reverse(h.last_ms), h.gateway));
        hours
    }
}

/// Adds counts verdict by verdict.
pub fn add(a: ByVerdict, b: ByVerdict) -> ByVerdict {
    std::array::from_fn(|i| a[i] + b[i])
}

/// How many of these were passed on, only recorded, refused.
pub fn passed_recorded_refused(counts: ByVerdict) -> [u32; 3] {
    let of = |v: Verdict| counts[usize::from(v.code())];
    [of(Verdict::Accept) + of(Verdict::Rewrite), of(Verdict::RecordOnly), of(Verdict::Refuse)]
}

/// A ring with one slot for each minute of an hour.
#[derive(Debug)]
struct Minutes<T> {
    slots: Box<[(i64, T); MINUTES]>,
}

impl<T: Default + Copy> Default for Minutes<T> {
    fn default() -> Self {
        Self { slots: Box::new([(i64::MIN, T::default()); MINUTES]) }
    }
}

impl<T: Default + Copy> Minutes<T> {
    /// The slot of a minute, emptied when it held an earlier one; `None` when it holds a later one.
    fn at(&mut self, minute: i64) -> Option<&mut T> {
        let index = minute.rem_euclid(MINUTES as i64) as usize;
        let (held, value) = &mut self.slots[index];
        if *held > minute {
            return None;
        }
        if *held < minute {
            (*held, *value) = (minute, T::default());
        }
        Some(value)
    }

    /// The hour that ends with this minute, oldest first.
    fn until(&self, minute: i64) -> [T; MINUTES] {
        std::array::from_fn(|i| {
            let wanted = minute - (MINUTES - 1 - i) as i64;
            let (held, value) = self.slots[wanted.rem_euclid(MINUTES as i64) as usize];
            if held == wanted { value } else { T::default() }
        })
    }
}
