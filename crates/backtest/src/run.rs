//! The run: each reception through both policies, in the order of a packet's journey, on a clock made of the times at
//! which receptions arrived.

use std::sync::Arc;

use directory::Directory;
use mesh::airtime::ModemPreset;
use mesh::keyring::Keyring;
use mesh::observe::{Consent, Facts, Scratch, observe};
use policy::decision::{Decision, Outcome};
use policy::engine::Policy;
use policy::memory::MemoryLimits;
use policy::now::Now;
use policy::principal::Principal;
use policy::release::{Passing, mqtt_packet_bytes};
use policy::rule::RuleSet;
use policy::settings::Settings;
use policy::uplink::{Permit, Publish, heard_by, packet_key};

use crate::people::People;
use crate::receivers::{Receiver, Receivers};
use crate::report::{Changed, Report};

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
    sides: [Policy; 2],
    people: People,
    receivers: Receivers,
    keyring: Keyring,
    preset: ModemPreset,
    scratch: Box<Scratch>,
    count_from_ms: i64,
    first_ms: Option<i64>,
    now: Now,
    report: Report,
}

impl Backtest {
    /// Nothing given yet. Both policies begin without memory.
    pub fn new(options: Options) -> Self {
        let Options { current, proposed, directory, keyring, preset, limits, count_from_ms } = options;
        // The seed makes live hashing unpredictable; here the same input is to give the same report.
        let side = |settings| Policy::new(settings, limits, 0);
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
            report: Report::default(),
        }
    }

    /// Judges one reception by both policies.
    pub fn take(&mut self, heard: &Heard<'_>) {
        self.set_clock(heard.at_ms);
        let is_counted = heard.at_ms >= self.count_from_ms;
        let Some(sender) = self.people.sender(heard.username, heard.client_id) else {
            self.report.senders_gone += u64::from(is_counted);
            return;
        };
        let facts = observe(heard.topic, heard.payload, &self.keyring, &mut self.scratch);
        let publish = Publish {
            sender: &sender,
            address: None,
            topic: heard.topic,
            facts: &facts,
            directory: self.people.directory(),
        };
        let [current, proposed] = self.sides.each_mut().map(|side| side.judge(self.now, &publish));
        let (receivers, is_assumed) = self.receivers.of(heard.channel, heard.receivers);
        let mut sent = [Copies::default(), Copies::default()];
        for (index, (decision, permit)) in [&current, &proposed].into_iter().enumerate() {
            if let Some(permit) = permit {
                sent[index] = release(
                    &mut self.sides[index],
                    &mut self.people,
                    self.now,
                    &facts,
                    heard,
                    &sender,
                    permit,
                    &receivers,
                    self.preset,
                );
                self.sides[index].note_passed_on(self.now, packet_key(&facts), permit);
            }
            debug_assert_eq!(permit.is_some(), passes(decision));
        }
        if is_counted {
            let assumed = is_assumed && (current.1.is_some() || proposed.1.is_some());
            self.report.receivers_assumed += u64::from(assumed);
            let packet = facts.packet.map(|p| (p.from.0, p.id));
            let gateway = heard_by(&facts).or(sender.gateway());
            let changed = Changed {
                seq: heard.seq,
                at_ms: heard.at_ms,
                packet,
                gateway,
                port: facts.port.map(|p| p.0),
            };
            self.report.add(&changed, [&current.0, &proposed.0], &sent);
        }
    }

    /// Ends the run.
    pub fn finish(mut self) -> Report {
        self.report.close();
        self.report
    }

    /// What was found so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The wall clock is what was recorded; the other never goes back.
    fn set_clock(&mut self, at_ms: i64) {
        let first_ms = *self.first_ms.get_or_insert(at_ms);
        let since_first = u64::try_from(at_ms.saturating_sub(first_ms)).unwrap_or(0);
        self.now = Now { mono_ms: self.now.mono_ms.max(since_first), unix_ms: at_ms };
    }
}

fn passes(decision: &Decision) -> bool {
    use policy::decision::Verdict;
    matches!(decision.verdict, Verdict::Accept | Verdict::Rewrite)
}

/// What one policy did with the copies of one reception.
#[derive(Debug, Default)]
pub struct Copies {
    /// Copies toward gateways that left.
    pub to_gateways: u32,
    /// Copies toward others that left.
    pub to_others: u32,
    /// Time on air of the copies toward gateways, in microseconds.
    pub airtime_us: u64,
    /// Rules that withheld copies, with how many.
    pub withheld: Vec<(policy::rule::RuleId, u32)>,
    /// Rules in state `observe` that would have withheld or changed copies.
    pub observed: RuleSet,
    /// The gateways that got one.
    pub gateways: Vec<u32>,
}

#[expect(clippy::too_many_arguments, reason = "parts of one value, borrowed apart")]
fn release(
    policy: &mut Policy,
    people: &mut People,
    now: Now,
    facts: &Facts<'_>,
    heard: &Heard<'_>,
    sender: &Principal,
    permit: &Permit,
    receivers: &[Receiver],
    preset: ModemPreset,
) -> Copies {
    let mut copies = Copies::default();
    let Some(packet) = facts.packet.as_ref() else { return copies };
    let channel = facts.channel_id.or(facts.topic.as_ref().and_then(|t| t.channel));
    let preset = channel.and_then(ModemPreset::of_channel_name).unwrap_or(preset);
    let airtime_us = facts.frame_bytes.map(|bytes| preset.time_on_air_us(usize::from(bytes)));
    let passing = Passing {
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
        variant: policy::release::variant(facts),
        frame_bytes: facts.frame_bytes,
        airtime_us,
        mqtt_packet_bytes: mqtt_packet_bytes(heard.topic, heard.payload),
    };
    for (name, kind) in receivers {
        let Some(receiver) = people.receiver(name, *kind) else { continue };
        let (outcome, observed) = policy.release(now, &passing, &receiver, people.directory());
        copies.observed.0 |= observed.0;
        let hop_limit = match outcome {
            Outcome::Delivered => passing.hop_limit,
            Outcome::DeliveredWithHopLimit(hops) => hops,
            Outcome::Withheld(rule) => {
                match copies.withheld.iter_mut().find(|(known, _)| *known == rule) {
                    Some((_, count)) => *count += 1,
                    None => copies.withheld.push((rule, 1)),
                }
                continue;
            }
            Outcome::Dropped => continue,
        };
        let Some(gateway) = receiver.gateway() else {
            copies.to_others += 1;
            continue;
        };
        copies.to_gateways += 1;
        copies.gateways.push(gateway);
        let charged = policy.charge(now, &passing, gateway, hop_limit);
        copies.airtime_us += u64::from(charged.airtime_us);
    }
    copies
}
