//! The run: each reception through both policies, in the order of a packet's journey, on a clock made of the times at
//! which receptions arrived.

use std::sync::Arc;

use directory::Directory;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use mesh::airtime::ModemPreset;
use mesh::keyring::Keyring;
use mesh::observe::{Consent, Facts, Scratch, observe};
use policy::decision::{Decision, Outcome};
use policy::engine::Policy;
use policy::memory::MemoryLimits;
use policy::now::Now;
use policy::principal::Principal;
use policy::release::{Passing, mqtt_packet_bytes, variant};
use policy::rule::{RuleId, RuleSet};
use policy::settings::Settings;
use policy::uplink::{Permit, Publish, heard_by, packet_key};

use crate::people::People;
use crate::receivers::{Receiver, Receivers};
use crate::report::{Changed, Report};
use crate::side::{Settled, Side};

/// What a backtest is made of.
pub struct Options {
    /// The policy in force.
    pub current: Arc<Settings>,
    /// The policy that is asked about.
    pub proposed: Arc<Settings>,
    /// Credentials, of today.
    pub directory: Arc<Directory>,
    /// Keys that may open packets.
    pub keyring: Keyring,
    /// Modem preset assumed for channels whose name does not tell.
    pub preset: ModemPreset,
    /// How much each policy may remember.
    pub limits: MemoryLimits,
    /// Receptions before this moment (Unix ms) fill the ledgers and are not counted.
    pub count_from_ms: i64,
}

/// One reception of the past.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Its number.
    pub seq: u64,
    /// When it arrived, Unix ms.
    pub at_ms: i64,
    /// MQTT client identifier of the sender.
    pub client_id: &'a Arc<str>,
    /// Name of its credential; `None` for a guest.
    pub username: Option<&'a Arc<str>>,
    /// Topic Name.
    pub topic: &'a Arc<str>,
    /// Channel name as recorded.
    pub channel: Option<&'a Arc<str>>,
    /// Application payload, byte for byte.
    pub payload: &'a [u8],
    /// Whose subscriptions matched; empty when it was passed on to nobody at the time.
    pub receivers: &'a [Receiver],
}

/// Two policies and what sets them apart so far.
pub struct Backtest {
    sides: [Side; 2],
    people: People,
    receivers: Receivers,
    keyring: Keyring,
    preset: ModemPreset,
    scratch: Box<Scratch>,
    count_from_ms: i64,
    first_ms: Option<i64>,
    now: Now,
    /// Receptions of which copies still wait, by number.
    unsettled: HashMap<u64, Fate, FixedState>,
    report: Report,
}

/// What both policies do with one reception.
pub(crate) struct Fate {
    pub what: Changed,
    pub decisions: [Decision; 2],
    pub copies: [Copies; 2],
    waiting: u32,
}

/// How long what waits at the end is waited for, as long as the oldest copy may be.
const AFTERMATH_MS: u64 = 3_600_000;

impl Backtest {
    /// Nothing given yet. Both policies begin without memory.
    pub fn new(options: Options) -> Self {
        let Options { current, proposed, directory, keyring, preset, limits, count_from_ms } = options;
        // The seed makes live hashing unpredictable; here the same input is to give the same report.
        let side = |settings| Side::new(Policy::new(settings, limits, 0));
        Self {
            sides: [side(current), side(proposed)],
            people: People::new(directory),
            receivers: Receivers::default(),
            keyring,
            preset,
            scratch: Box::default(),
            count_from_ms,
            first_ms: None,
            now: Now { mono_ms: 0, unix_ms: 0 },
            unsettled: HashMap::default(),
            report: Report::default(),
        }
    }

    /// Judges one reception by both policies.
    pub fn take(&mut self, heard: &Heard<'_>) {
        self.set_clock(heard.at_ms);
        self.tick();
        let is_counted = heard.at_ms >= self.count_from_ms;
        let Some(sender) = self.people.sender(heard.username, heard.client_id) else {
            self.report.senders_gone += u64::from(is_counted);
            return;
        };
        let facts = observe(heard.topic, heard.payload, &self.keyring, &mut self.scratch);
        let directory = self.people.directory();
        let publish =
            Publish { sender: &sender, address: None, topic: heard.topic, facts: &facts, directory };
        let now = self.now;
        let judged = self.sides.each_mut().map(|side| side.policy.judge(now, &publish));
        let (receivers, is_assumed) = self.receivers.of(heard.channel, heard.receivers);
        let receivers = self.people.receivers(&receivers);
        let (mut copies, mut waiting) = ([Copies::default(), Copies::default()], 0);
        for (index, (_, permit)) in judged.iter().enumerate() {
            let Some(permit) = permit else { continue };
            if let Some(passing) = passing(&facts, heard, &sender, permit, self.preset) {
                let (mine, unsettled, report) = (&mut copies[index], &mut self.unsettled, &mut self.report);
                // A copy of this reception is not among the unsettled yet.
                let mut told = |settled: Settled| match settled.seq == heard.seq {
                    true => mine.add(&settled),
                    false => settle(unsettled, report, index, &settled),
                };
                waiting += self.sides[index].release(
                    now,
                    heard.seq,
                    &passing,
                    receivers.iter(),
                    &self.people,
                    &mut told,
                );
            }
            self.sides[index].policy.note_passed_on(now, packet_key(&facts), permit);
        }
        if !is_counted {
            return;
        }
        let is_released = judged.iter().any(|(_, permit)| permit.is_some());
        self.report.receivers_assumed += u64::from(is_assumed && is_released);
        let what = Changed {
            seq: heard.seq,
            at_ms: heard.at_ms,
            packet: facts.packet.map(|p| (p.from.0, p.id)),
            gateway: heard_by(&facts).or(sender.gateway()),
            port: facts.port.map(|p| p.0),
        };
        let fate = Fate { what, decisions: judged.map(|(decision, _)| decision), copies, waiting };
        if waiting == 0 {
            self.report.add(&fate);
        } else {
            self.unsettled.insert(heard.seq, fate);
        }
    }

    /// Ends the run, when the copies that wait have left or become too old.
    pub fn finish(mut self) -> Report {
        self.now.mono_ms += AFTERMATH_MS;
        self.now.unix_ms = self.now.unix_ms.saturating_add_unsigned(AFTERMATH_MS);
        self.tick();
        let mut left: Vec<Fate> = self.unsettled.drain().map(|(_, fate)| fate).collect();
        left.sort_by_key(|fate| fate.what.seq);
        left.iter().for_each(|fate| self.report.add(fate));
        self.report.close();
        self.report
    }

    /// What was found so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn tick(&mut self) {
        for (index, side) in self.sides.iter_mut().enumerate() {
            let (unsettled, report) = (&mut self.unsettled, &mut self.report);
            side.tick(self.now, &self.people, &mut |settled| settle(unsettled, report, index, &settled));
        }
    }

    /// The wall clock is what was recorded; the other never goes back.
    fn set_clock(&mut self, at_ms: i64) {
        let first_ms = *self.first_ms.get_or_insert(at_ms);
        let since_first = u64::try_from(at_ms.saturating_sub(first_ms)).unwrap_or(0);
        self.now = Now { mono_ms: self.now.mono_ms.max(since_first), unix_ms: at_ms };
    }
}

/// A copy that waited is settled; with the last of them, so is its reception. Those of the time before are not kept.
fn settle(
    unsettled: &mut HashMap<u64, Fate, FixedState>,
    report: &mut Report,
    side: usize,
    settled: &Settled,
) {
    let Some(fate) = unsettled.get_mut(&settled.seq) else { return };
    fate.copies[side].add(settled);
    fate.waiting = fate.waiting.saturating_sub(1);
    if fate.waiting == 0
        && let Some(fate) = unsettled.remove(&settled.seq)
    {
        report.add(&fate);
    }
}

/// What one policy did with the copies of one reception.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// Copies toward others than gateways that left.
    pub to_others: u32,
    /// What copies toward gateways were charged, in microseconds.
    pub airtime_us: u64,
    /// Rules that withheld copies, with how many.
    pub withheld: Vec<(RuleId, u32)>,
    /// Rules in state `observe` that would have withheld or changed copies.
    pub observed: RuleSet,
    /// The gateways that got one.
    pub gateways: Vec<u32>,
}

impl Copies {
    fn add(&mut self, settled: &Settled) {
        self.observed.0 |= settled.observed.0;
        self.airtime_us += settled.airtime_us;
        match (settled.outcome, settled.gateway) {
            (Outcome::Withheld(rule), _) => {
                match self.withheld.iter_mut().find(|(known, _)| *known == rule) {
                    Some((_, count)) => *count += 1,
                    None => self.withheld.push((rule, 1)),
                }
            }
            (Outcome::Dropped, _) => {}
            (Outcome::Delivered | Outcome::DeliveredWithHopLimit(_), Some(gateway)) => {
                self.gateways.push(gateway)
            }
            (Outcome::Delivered | Outcome::DeliveredWithHopLimit(_), None) => self.to_others += 1,
        }
    }

    /// Whether the same left toward the same.
    pub fn is_as(&self, other: &Self) -> bool {
        let sorted = |copies: &Self| {
            let mut gateways = copies.gateways.clone();
            gateways.sort_unstable();
            gateways
        };
        self.to_others == other.to_others
            && self.airtime_us == other.airtime_us
            && (self.gateways == other.gateways || sorted(self) == sorted(other))
    }
}

/// What the release rules need of an accepted packet; `None` for messages that hold none.
fn passing<'a>(
    facts: &Facts<'a>,
    heard: &Heard<'_>,
    sender: &Principal,
    permit: &'a Permit,
    preset: ModemPreset,
) -> Option<Passing<'a>> {
    let packet = facts.packet.as_ref()?;
    let channel = facts.channel_id.or(facts.topic.as_ref().and_then(|t| t.channel));
    let preset = channel.and_then(ModemPreset::of_channel_name).unwrap_or(preset);
    Some(Passing {
        permit,
        uplinked_by: heard_by(facts).or(sender.gateway()),
        from: packet.from.0,
        to: packet.to.0,
        key: packet_key(facts),
        has_consent: facts.consent == Consent::Yes,
        hop_limit: u8::try_from(packet.hop_limit).unwrap_or(u8::MAX),
        can_lower: facts.hop_limit_at.is_some(),
        port: facts.port.map(|p| p.0),
        request_id: facts.data.as_ref().map_or(0, |d| d.request_id),
        channel,
        variant: variant(facts),
        frame_bytes: facts.frame_bytes,
        airtime_us: facts.frame_bytes.map(|bytes| preset.time_on_air_us(usize::from(bytes))),
        mqtt_packet_bytes: mqtt_packet_bytes(heard.topic, heard.payload),
    })
}
