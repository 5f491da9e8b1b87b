//! Two islands of three gateways and whatever is said there, with the policy's promises checked at every copy. What was
//! heard, sent and spent is noted here beside the policy, so that a promise is never checked against the policy's own books.

use std::cell::Cell;

use directory::Directory;
use mesh::compose::{Closed, Content, Packet, envelope, position, text};
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::observe::{Consent, Scratch, observe};
use policy::decision::{Outcome, Verdict};
use policy::downlink::class::Class;
use policy::engine::Policy;
use policy::memory::MemoryLimits;
use policy::memory::airtime::{Account, Charge, channel_number};
use policy::memory::seen::PacketKey;
use policy::now::Now;
use policy::principal::Principal;
use policy::release::Passing;
use policy::rule::{RuleId, RuleSet, RuleState};
use policy::settings::Settings;
use policy::uplink::Publish;

/// Gateways 0 to 2 are on one island, 3 to 5 on the other.
pub const GATEWAYS: [u32; 6] = [0x7c5a_0a01, 0x7c5a_0a02, 0x7c5a_0a03, 0x7c5a_0c01, 0x7c5a_0c02, 0x7c5a_0c03];
const HOUR_MS: u64 = 3_600_000;
const START_MS: u64 = 1_790_000_000_000;
/// A long packet on a slow preset, so that few of them fill a budget.
const AIRTIME_US: u32 = 3_000_000;
const HOP_LIMIT_MAX: u8 = 3;

/// One packet, and the gateways that hear it one after another.
#[derive(Debug, Clone)]
pub struct Spoken {
    pub pause_ms: u64,
    /// 0 to 5: a node; 6 and 7: gateways 0 and 3 themselves.
    pub speaker: u8,
    /// 0: gateway 4; 1: node 1; above: everyone.
    pub to: u8,
    /// Bits: gateways that hear it.
    pub heard_by: u8,
    pub hop_limit: u8,
    pub consent: Option<u32>,
    pub is_text: bool,
    /// Steps back to the packet that is heard again; 0: it is another packet.
    pub again: u8,
}

/// A fault planted around the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Everybody is taken to have agreed to MQTT.
    IgnoreConsent,
    /// A copy leaves with one hop more.
    RaiseHopLimit,
    /// What was sent is charged to nobody.
    IgnoreBudgets,
    /// Who heard a packet is not asked.
    ForgetWhoHeard,
    /// Now and then a decision follows from something that was not passed in.
    GoByChance,
}

/// What must hold whatever is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    Consent,
    HopLimit,
    Budget,
    NotHeardBefore,
    SameDecisions,
}

/// What was decided, in order.
pub type Decided = Vec<(Verdict, Option<RuleId>, Vec<(Outcome, RuleSet)>)>;

thread_local! {
    /// What `Fault::GoByChance` goes by.
    static CHANCE: Cell<u32> = const { Cell::new(0) };
}

struct Street {
    policy: Policy,
    directory: Directory,
    keyring: Keyring,
    fault: Option<Fault>,
    now_ms: u64,
    heard: Vec<(PacketKey, u32)>,
    given: Vec<(PacketKey, u32)>,
    spent: Vec<(u64, Charge)>,
    decided: Decided,
}

/// Decides on all that is said, and says which promise was broken.
pub fn walk(said: &[Spoken], fault: Option<Fault>, seed: u64) -> Result<Decided, (Promise, String)> {
    let mut street = Street::new(fault, seed);
    // Gateways of one island get to hear the same, so that there are islands.
    let begin = |side: u8| Spoken {
        pause_ms: 40_000,
        speaker: side,
        to: 9,
        heard_by: 0b111 << (3 * side),
        hop_limit: 0,
        consent: Some(0),
        is_text: false,
        again: 0,
    };
    let said: Vec<Spoken> = (0..16).map(|n| begin(n % 2)).chain(said.iter().cloned()).collect();
    for (place, spoken) in said.iter().enumerate() {
        let first = place.saturating_sub(usize::from(spoken.again));
        street.speak(
            first as u32 + 1,
            &Spoken { pause_ms: spoken.pause_ms, heard_by: spoken.heard_by, ..said[first].clone() },
        )?;
    }
    Ok(street.decided)
}

impl Street {
    fn new(fault: Option<Fault>, seed: u64) -> Self {
        let mut settings = Settings::default();
        // How often somebody speaks is not what is looked at here, and the operator lets people speak without consent inside.
        for rule in
            [RuleId::Interval, RuleId::Stream, RuleId::MessageRate, RuleId::UplinkAirtime, RuleId::Consent]
        {
            settings.set_state(rule, RuleState::Off);
        }
        if fault == Some(Fault::ForgetWhoHeard) {
            settings.set_state(RuleId::IslandHeard, RuleState::Off);
            settings.set_state(RuleId::AlreadyHeard, RuleState::Off);
        }
        settings.downlink.hop_limit_max = HOP_LIMIT_MAX;
        settings.duplicate_window_ms = 1_000 * HOUR_MS;
        settings.outside.receivers = vec!["feed".into()];
        let mut keyring = Keyring::default();
        keyring.add("Ops", key());
        Self {
            policy: Policy::new(settings.into(), MemoryLimits::default(), seed),
            directory: Directory::default(),
            keyring,
            fault,
            now_ms: START_MS,
            heard: Vec::new(),
            given: Vec::new(),
            spent: Vec::new(),
            decided: Vec::new(),
        }
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, unix_ms: self.now_ms as i64 }
    }

    fn speak(&mut self, id: u32, spoken: &Spoken) -> Result<(), (Promise, String)> {
        self.now_ms += spoken.pause_ms;
        for (bit, gateway) in GATEWAYS.into_iter().enumerate() {
            if spoken.heard_by & (1 << bit) != 0 {
                self.now_ms += 300;
                self.uplink(id, spoken, gateway)?;
            }
        }
        Ok(())
    }

    /// One gateway uplinks a packet, and everybody is offered a copy.
    fn uplink(&mut self, id: u32, spoken: &Spoken, via: u32) -> Result<(), (Promise, String)> {
        let from = match spoken.speaker {
            6 => GATEWAYS[0],
            7 => GATEWAYS[3],
            node => 0x5000_0000 + u32::from(node),
        };
        let to = match spoken.to {
            0 => GATEWAYS[4],
            1 => 0x5000_0001,
            _ => NodeNum::BROADCAST.0,
        };
        let packet = Packet {
            from: NodeNum(from),
            to: NodeNum(to),
            id,
            hop_limit: u32::from(spoken.hop_limit),
            hop_start: u32::from(spoken.hop_limit),
            rx_rssi: if from == via { 0 } else { -80 },
            ..Packet::default()
        };
        let (port, payload) =
            if spoken.is_text { text("hello") } else { position(392_461_000, -944_191_000, 300, 1, 13) };
        let content = Content { port: port.0, payload, bitfield: spoken.consent, ..Content::default() };
        let payload = envelope(&packet, &content, "Ops", Closed::Encrypted(&key()), NodeNum(via));
        let topic = format!("msh/US/2/e/Ops/!{via:08x}");
        let mut scratch = Scratch::default();
        let facts = observe(&topic, &payload, &self.keyring, &mut scratch);
        let has_consent = facts.consent == Consent::Yes || self.fault == Some(Fault::IgnoreConsent);
        let sender = gateway(via);
        let publish = Publish {
            sender: &sender,
            address: None,
            topic: &topic,
            facts: &facts,
            directory: &self.directory,
        };
        let now = self.now();
        let (decision, permit) = self.policy.judge(now, &publish);
        let key = PacketKey { from, id };
        if decision.verdict != Verdict::Refuse && !self.given.contains(&(key, via)) {
            self.heard.push((key, via));
        }
        let Some(permit) = permit else {
            self.decided.push((decision.verdict, decision.rule, Vec::new()));
            return Ok(());
        };
        let passing = Passing {
            permit: &permit,
            uplinked_by: Some(via),
            from,
            to,
            key: Some(key),
            has_consent,
            hop_limit: spoken.hop_limit,
            can_lower: spoken.hop_limit > 0,
            port: Some(port.0),
            request_id: 0,
            channel: Some("Ops"),
            variant: 0,
            airtime_us: Some(AIRTIME_US),
            frame_bytes: None,
            mqtt_packet_bytes: 200,
        };
        let mut outcomes = Vec::new();
        for receiver in receivers() {
            outcomes.push(self.offer(&passing, &receiver, spoken.consent)?);
        }
        self.policy.note_passed_on(now, Some(key), &permit);
        self.decided.push((decision.verdict, decision.rule, outcomes));
        Ok(())
    }

    fn offer(
        &mut self,
        passing: &Passing<'_>,
        receiver: &Principal,
        consent: Option<u32>,
    ) -> Result<(Outcome, RuleSet), (Promise, String)> {
        let (mut outcome, observed) = self.policy.release(self.now(), passing, receiver, &self.directory);
        let chance = CHANCE.replace(CHANCE.get().wrapping_add(1));
        if self.fault == Some(Fault::GoByChance) && chance.is_multiple_of(97) {
            outcome = Outcome::Dropped;
        }
        if self.fault == Some(Fault::RaiseHopLimit) && outcome == Outcome::Delivered {
            outcome = Outcome::DeliveredWithHopLimit(passing.hop_limit + 1);
        }
        let hop_limit = match outcome {
            Outcome::Delivered => passing.hop_limit,
            Outcome::DeliveredWithHopLimit(hop_limit) => hop_limit,
            Outcome::Withheld(_) | Outcome::Dropped => return Ok((outcome, observed)),
        };
        let broken = |promise, what: String| Err((promise, what));
        // Whoever hands a packet of its own to the broker agrees to it, whatever its flag tells other gateways.
        let agreed = consent == Some(1) || passing.uplinked_by == Some(passing.from);
        if is_outside(receiver) && !agreed {
            return broken(Promise::Consent, format!("{receiver:?} was sent {:?}", passing.key));
        }
        if hop_limit > passing.hop_limit {
            return broken(Promise::HopLimit, format!("{hop_limit} from {}", passing.hop_limit));
        }
        let Some(number) = receiver.gateway() else { return Ok((outcome, observed)) };
        let is_own_echo = passing.from == number && passing.uplinked_by == Some(number);
        if is_own_echo {
            return Ok((outcome, observed));
        }
        if hop_limit > HOP_LIMIT_MAX {
            return broken(Promise::HopLimit, format!("{hop_limit} toward a gateway"));
        }
        self.check_unheard(passing, number)?;
        self.spend(passing, number, hop_limit)?;
        if self.fault != Some(Fault::IgnoreBudgets) {
            self.policy.charge(self.now(), passing, number, hop_limit, &self.directory);
        }
        if let Some(key) = passing.key {
            self.given.push((key, number));
        }
        Ok((outcome, observed))
    }

    fn check_unheard(&self, passing: &Passing<'_>, receiver: u32) -> Result<(), (Promise, String)> {
        let island = self.island(receiver);
        // A gateway that is asked for by number gets its packet, unless it heard it itself.
        let counts =
            |heard: u32| heard == receiver || (passing.to != receiver && self.island(heard) == island);
        let by = self.heard.iter().find(|(key, gateway)| Some(*key) == passing.key && counts(*gateway));
        match by {
            None => Ok(()),
            Some((key, by)) => Err((
                Promise::NotHeardBefore,
                format!("{receiver:08x} was sent {key:?}, which {by:08x} had heard"),
            )),
        }
    }

    /// Notes what a copy costs, and looks at every account of it over the hour that ends here.
    fn spend(
        &mut self,
        passing: &Passing<'_>,
        receiver: u32,
        hop_limit: u8,
    ) -> Result<(), (Promise, String)> {
        let budget = &self.policy.settings().budget;
        // One transmission by the gateway, and so many relays for each hop after it.
        let transmissions = match hop_limit {
            0 => 0,
            hops => 1 + u32::from(budget.relays_per_hop) * (u32::from(hops) - 1),
        };
        let charge = Charge {
            gateway: receiver,
            island: self.island(receiver),
            channel: channel_number(passing.channel),
            node: passing.from,
            class: Class::of(passing.port, passing.to),
            airtime_us: if passing.to == receiver { 0 } else { AIRTIME_US * transmissions },
        };
        self.spent.push((self.now_ms, charge));
        for account in charge.accounts() {
            let within = self.spent.iter().filter(|(at, spent)| {
                self.now_ms - at < HOUR_MS && spent.accounts().any(|other: Account| other == account)
            });
            let used: u64 = within.map(|(_, spent)| u64::from(spent.airtime_us)).sum();
            let limit = budget.limit_us(account, None);
            if charge.airtime_us > 0 && used > limit {
                return Err((Promise::Budget, format!("{account:?}: {used} µs of {limit}")));
            }
        }
        Ok(())
    }

    fn island(&self, gateway: u32) -> u32 {
        self.policy.memory.islands.island_of(gateway).unwrap_or(gateway)
    }
}

fn key() -> ChannelKey {
    ChannelKey::from_psk(&[9; 32]).unwrap()
}

fn gateway(number: u32) -> Principal {
    Principal::Gateway { username: format!("gw-{number:08x}").into(), gateway: number }
}

fn receivers() -> impl Iterator<Item = Principal> {
    let others = [
        Principal::Observer { username: "neighbour".into() },
        Principal::Observer { username: "feed".into() },
        Principal::Bridge { username: "elsewhere".into() },
    ];
    GATEWAYS.into_iter().map(gateway).chain(others)
}

fn is_outside(receiver: &Principal) -> bool {
    matches!(receiver, Principal::Bridge { .. }) || receiver.username().is_some_and(|name| **name == *"feed")
}
