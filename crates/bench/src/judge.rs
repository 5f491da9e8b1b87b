//! What looking at an envelope and deciding on it costs, and deciding on its copies: the traffic of a simulated city, each
//! envelope once and in its time, with every rule on.

use std::hint::black_box;
use std::time::Duration;

use city::plan::Plan;
use city::simulation::{City, Uplink, channel};
use directory::Directory;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::observe::{Scratch, observe};
use policy::decision::{Decision, Verdict};
use policy::engine::Policy;
use policy::memory::MemoryLimits;
use policy::memory::seen::PacketKey;
use policy::now::Now;
use policy::principal::Principal;
use policy::release::Passing;
use policy::rule::{RULES, RuleState};
use policy::settings::Settings;
use policy::uplink::{Permit, Publish};

use crate::allocations;
use bench::Failure;
use bench::machine::thread_cpu;
use bench::statistics::Spread;

/// The costs found, in CPU time of the thread: others use the machine too.
pub struct Costs {
    /// Envelopes measured.
    pub envelopes: usize,
    /// How many of them policy passes on.
    pub passed: usize,
    /// ns for observing and judging one, over the repetitions.
    pub both_ns: Spread,
    /// ns for observing one.
    pub observe_ns: Spread,
    /// Heap allocations for each envelope that is passed on, once the tables have grown.
    pub allocations_passed: f64,
    /// Heap allocations for each that is not: a sentence for its owner, mostly.
    pub allocations_held: f64,
    /// µs for deciding on the copies of one packet for this many gateways.
    pub release_us: Spread,
    /// The gateways.
    pub gateways: usize,
}

const REPETITIONS: usize = 9;
/// Gateways that copies are decided for.
const GATEWAYS: u32 = 100;
/// The first half of the traffic lets tables grow and is not counted.
const WARM: usize = 2;

/// Measures with the traffic of so many hours.
pub fn measure(hours: u64) -> Result<Costs, Failure> {
    let traffic = traffic(hours);
    let mut keyring = Keyring::default();
    keyring.add(channel(), ChannelKey::default_key());
    let mut settings = Settings::default();
    for rule in RULES.iter().filter(|rule| rule.default == RuleState::Off) {
        settings.set_state(rule.id, RuleState::Observe);
    }
    let settings = std::sync::Arc::new(settings);
    let counted = &traffic[traffic.len() / WARM..];
    let (mut both, mut seeing, mut release) = (Vec::new(), Vec::new(), Vec::new());
    let (mut passed, mut of_passed, mut of_held) = (0, 0, 0);
    for repetition in 0..REPETITIONS {
        let mut policy = Policy::new(settings.clone(), MemoryLimits::default(), 7);
        let mut judge = Judge { policy: &mut policy, keyring: &keyring, directory: Directory::default() };
        traffic[..traffic.len() / WARM].iter().for_each(|heard| _ = judge.judge(heard));
        if repetition == 0 {
            // Counting has its own turn, since it looks at every envelope.
            for heard in counted {
                let before = allocations::count();
                let (decision, _) = judge.judge(heard);
                let made = allocations::count() - before;
                match decision.verdict {
                    Verdict::Accept | Verdict::Rewrite => {
                        (passed, of_passed) = (passed + 1, of_passed + made)
                    }
                    Verdict::RecordOnly | Verdict::Refuse => of_held += made,
                }
            }
            continue;
        }
        let started = thread_cpu()?;
        counted.iter().for_each(|heard| _ = black_box(judge.judge(heard)));
        both.push(since(started)?.as_nanos() as f64 / counted.len() as f64);
        let started = thread_cpu()?;
        let mut scratch = Scratch::default();
        for heard in counted {
            black_box(observe(&heard.uplink.topic, &heard.uplink.payload, &keyring, &mut scratch));
        }
        seeing.push(since(started)?.as_nanos() as f64 / counted.len() as f64);
        release.push(release_us(&policy, &keyring, counted)?);
    }
    Ok(Costs {
        envelopes: counted.len(),
        passed,
        both_ns: Spread::of(both),
        observe_ns: Spread::of(seeing),
        allocations_passed: of_passed as f64 / passed.max(1) as f64,
        allocations_held: of_held as f64 / (counted.len() - passed).max(1) as f64,
        release_us: Spread::of(release),
        gateways: GATEWAYS as usize,
    })
}

/// An uplink, and who sent it when.
struct Heard {
    uplink: Uplink,
    sender: Principal,
    now: Now,
}

fn traffic(hours: u64) -> Vec<Heard> {
    let plan = Plan { nodes: 300, gateways: 12, texts_per_hour: 100, ..Plan::default() };
    let start_ms = plan.start_unix_ms;
    let mut city = City::new(plan);
    let end_ms = hours * 3_600_000;
    let mut traffic = Vec::new();
    let mut at_ms = 0;
    while at_ms < end_ms {
        at_ms += 1_000;
        let unix_ms = start_ms + i64::try_from(at_ms).unwrap_or(0);
        let now = Now { mono_ms: 1_000 + at_ms, unix_ms };
        for uplink in city.live_until(at_ms) {
            let gateway = uplink.gateway.0;
            let sender = Principal::Gateway { username: format!("gw-{gateway:08x}").into(), gateway };
            traffic.push(Heard { uplink, sender, now });
        }
    }
    traffic
}

struct Judge<'a> {
    policy: &'a mut Policy,
    keyring: &'a Keyring,
    directory: Directory,
}

impl Judge<'_> {
    fn judge(&mut self, heard: &Heard) -> (Decision, Option<Permit>) {
        let mut scratch = Scratch::default();
        let facts = observe(&heard.uplink.topic, &heard.uplink.payload, self.keyring, &mut scratch);
        let publish = Publish {
            sender: &heard.sender,
            address: None,
            topic: &heard.uplink.topic,
            facts: &facts,
            directory: &self.directory,
        };
        self.policy.judge(heard.now, &publish)
    }
}

/// µs for the decisions on the copies of one packet: of each of the latest packets, toward gateways of which twelve are the
/// city's and the others hear nothing of it.
fn release_us(policy: &Policy, keyring: &Keyring, heard: &[Heard]) -> Result<f64, Failure> {
    let directory = Directory::default();
    let own = heard.iter().map(|h| h.uplink.gateway.0).collect::<std::collections::BTreeSet<_>>();
    let others = (0..).map(|n| 0x0b00_0000 + n);
    let receivers: Vec<Principal> = own
        .into_iter()
        .chain(others)
        .take(GATEWAYS as usize)
        .map(|gateway| Principal::Gateway { username: format!("gw-{gateway:08x}").into(), gateway })
        .collect();
    let permit = policy::uplink::pass_unjudged().1;
    let packets: Vec<(Passing<'_>, Now)> =
        heard.iter().rev().take(500).filter_map(|h| Some((passing(h, keyring, &permit)?, h.now))).collect();
    let started = thread_cpu()?;
    for (passing, now) in &packets {
        for receiver in &receivers {
            black_box(policy.release(*now, passing, receiver, &directory));
        }
    }
    Ok(since(started)?.as_nanos() as f64 / 1e3 / packets.len().max(1) as f64)
}

fn since(started: Duration) -> Result<Duration, Failure> {
    Ok(thread_cpu()?.saturating_sub(started))
}

fn passing<'a>(heard: &'a Heard, keyring: &Keyring, permit: &'a Permit) -> Option<Passing<'a>> {
    let mut scratch = Scratch::default();
    let facts = observe(&heard.uplink.topic, &heard.uplink.payload, keyring, &mut scratch);
    let packet = facts.packet?;
    Some(Passing {
        permit,
        uplinked_by: Some(heard.uplink.gateway.0),
        from: packet.from.0,
        to: packet.to.0,
        key: Some(PacketKey { from: packet.from.0, id: packet.id }),
        has_consent: true,
        hop_limit: u8::try_from(packet.hop_limit).unwrap_or(0),
        can_lower: facts.hop_limit_at.is_some(),
        port: facts.port.map(|port| port.0),
        request_id: facts.data.as_ref().map_or(0, |data| data.request_id),
        channel: Some(channel()),
        variant: policy::release::variant(&facts),
        frame_bytes: facts.frame_bytes,
        airtime_us: Some(500_000),
        mqtt_packet_bytes: heard.uplink.payload.len() + 40,
    })
}
