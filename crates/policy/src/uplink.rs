//! The decision on one reception: the uplink rules, asked in the order of the table.
//!
//! A rule looks at facts and answers with an objection or with nothing. The first objection of an enforced rule
//! decides; objections of observed rules are noted beside it. No allocation unless a rule objects.

pub mod consent;
pub mod identity;
pub mod keys;
pub mod origin;
pub mod stationary;
pub mod volume;
pub mod what;
pub mod who;

use std::borrow::Cow;
use std::net::IpAddr;

use directory::Directory;
use mesh::observe::Facts;
use mesh::topic::TopicKind;

use crate::decision::{Decision, Verdict};
use crate::memory::Memory;
use crate::memory::mark::Mark;
use crate::memory::seen::PacketKey;
use crate::now::Now;
use crate::principal::Principal;
use crate::rule::{RuleId, RuleSet, RuleState, UPLINK_RULES};
use crate::settings::Settings;

/// One publish: what came, and who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Publish<'a> {
    /// Who published.
    pub sender: &'a Principal,
    /// From which network address; `None` where the past is judged again.
    pub address: Option<IpAddr>,
    /// Topic Name.
    pub topic: &'a str,
    /// What topic and payload were found to be.
    pub facts: &'a Facts<'a>,
    /// What operators have decided: credentials and grants.
    pub directory: &'a Directory,
}

/// What the uplink rules look at: one publish, the time, and what is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Uplink<'a> {
    /// When.
    pub now: Now,
    /// Who published.
    pub sender: &'a Principal,
    /// From which network address; `None` where the past is judged again.
    pub address: Option<IpAddr>,
    /// Topic Name.
    pub topic: &'a str,
    /// What topic and payload were found to be.
    pub facts: &'a Facts<'a>,
    /// What operators have decided.
    pub directory: &'a Directory,
    /// What was learned.
    pub memory: &'a Memory,
}

impl<'a> Uplink<'a> {
    /// A publish with what the rules need beside it.
    pub const fn new(now: Now, publish: &Publish<'a>, memory: &'a Memory) -> Self {
        let Publish { sender, address, topic, facts, directory } = *publish;
        Self { now, sender, address, topic, facts, directory, memory }
    }
}

/// Proof that a reception may be passed on. Only this module makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    radio: bool,
}

impl Permit {
    /// Whether copies may go to gateways, whose copies end on the radio.
    pub const fn allows_radio(&self) -> bool {
        self.radio
    }
}

/// Decides whether a reception may be passed on. A permit comes with *accept* and *rewrite* only.
pub fn decide_uplink(settings: &Settings, uplink: &Uplink<'_>) -> (Decision, Option<Permit>) {
    let mut observed = RuleSet::default();
    let mut decided = None;
    for rule in UPLINK_RULES {
        let state = settings.state(rule);
        if state == RuleState::Off || (decided.is_some() && state == RuleState::Enforce) {
            continue;
        }
        let Some(objection) = ask(rule, settings, uplink) else { continue };
        match state {
            RuleState::Observe => observed.insert(rule),
            RuleState::Enforce => decided = Some((rule, objection)),
            RuleState::Off => {}
        }
    }
    let off = settings.off();
    let (rule, Objection { verdict, sentence, radio }) = match decided {
        Some((rule, objection)) => (Some(rule), objection),
        None => without_objection(settings, uplink.facts),
    };
    let permit = matches!(verdict, Verdict::Accept | Verdict::Rewrite).then_some(Permit { radio });
    (Decision { verdict, rule, sentence, observed, off }, permit)
}

/// What a rule has against a packet.
struct Objection {
    verdict: Verdict,
    sentence: Cow<'static, str>,
    radio: bool,
}

fn object(verdict: Verdict, sentence: impl Into<Cow<'static, str>>) -> Option<Objection> {
    Some(Objection { verdict, sentence: sentence.into(), radio: false })
}

fn without_objection(settings: &Settings, facts: &Facts<'_>) -> (Option<RuleId>, Objection) {
    let lowered = settings.state(RuleId::HopLimit) == RuleState::Enforce
        && facts.packet.is_some_and(|p| p.hop_limit > u32::from(settings.downlink.hop_limit_max));
    if lowered {
        let sentence = Cow::Borrowed(match settings.downlink.hop_limit_max {
            0 => "Passed on; toward gateways with hop limit 0, so that it is shown and not transmitted.",
            1 => {
                "Passed on; toward gateways with hop limit 1, so that it is transmitted once and not relayed."
            }
            _ => "Passed on; toward gateways with a lower hop limit.",
        });
        return (Some(RuleId::HopLimit), Objection { verdict: Verdict::Rewrite, sentence, radio: true });
    }
    (None, Objection { verdict: Verdict::Accept, sentence: "Passed on.".into(), radio: true })
}

fn ask(rule: RuleId, settings: &Settings, up: &Uplink<'_>) -> Option<Objection> {
    match rule {
        RuleId::TopicRights => who::topic_rights(up),
        RuleId::BlockedAddress => who::blocked_address(&settings.who, up),
        RuleId::BlockedGateway => who::blocked_gateway(&settings.who, up),
        RuleId::BlockedNode => who::blocked_node(&settings.who, up.facts),
        RuleId::JsonCommand => who::json_command(up),
        RuleId::NotAnEnvelope => what::not_an_envelope(up.facts),
        RuleId::Identity => who::identity(up),
        RuleId::NoPayload => what::no_payload(up.facts),
        RuleId::Oversize => what::oversize(up.facts),
        RuleId::PkiOpened => what::pki_opened(up.facts),
        RuleId::RemoteControl => what::remote_control(up.facts),
        RuleId::DecodedOnWire => what::decoded_on_wire(up.facts),
        RuleId::GrantedPorts => what::granted_ports(&settings.what, up),
        RuleId::Quarantined => identity::quarantined(up),
        RuleId::TwoKeys => identity::marked(Mark::TwoKeys, &settings.identity, up),
        RuleId::SharedKey => identity::marked(Mark::SharedKey, &settings.identity, up),
        RuleId::Signature => identity::marked(Mark::Signature, &settings.identity, up),
        RuleId::OwnIdHeard => identity::marked(Mark::OwnIdHeard, &settings.identity, up),
        RuleId::ImpossibleTravel => identity::marked(Mark::ImpossibleTravel, &settings.identity, up),
        RuleId::TwoIslands => identity::marked(Mark::TwoIslands, &settings.identity, up),
        RuleId::MapReport => what::map_report(up.facts),
        RuleId::NoRadioEvidence => origin::no_radio_evidence(up.facts),
        RuleId::WrongTime => origin::wrong_time(&settings.origin, up),
        RuleId::ViaMqtt => origin::via_mqtt(up.facts),
        RuleId::ImpossibleHops => origin::impossible_hops(up.facts),
        RuleId::JsonUplink => what::json_uplink(up),
        RuleId::Stat => what::stat(up.facts),
        RuleId::Consent => consent::consent(&settings.consent, up.facts),
        RuleId::PublicKey => keys::public_key(&settings.keys, up.facts),
        RuleId::Hold => volume::hold(&settings.volume, up),
        RuleId::MessageRate => volume::message_rate(&settings.volume, up),
        RuleId::UplinkAirtime => volume::uplink_airtime(&settings.volume, up),
        RuleId::Interval => volume::interval(&settings.volume, up),
        RuleId::Stream => volume::stream(&settings.volume, up),
        RuleId::ChannelGrant => who::channel_grant(up),
        RuleId::Duplicate => volume::duplicate(up),
        // The release rules are asked elsewhere; a test sees to it that every uplink rule stands above.
        _ => None,
    }
}

fn kind(facts: &Facts<'_>) -> Option<TopicKind> {
    facts.topic.as_ref().map(|t| t.kind)
}

/// Whether the topic is one that gateways uplink envelopes on.
fn carries_envelopes(facts: &Facts<'_>) -> bool {
    matches!(kind(facts), Some(TopicKind::Envelope | TopicKind::LegacyEnvelope | TopicKind::Map))
}

/// The gateway whose reception this is: from the topic, else from the envelope.
pub fn heard_by(facts: &Facts<'_>) -> Option<u32> {
    let in_topic = facts.topic.as_ref().and_then(|t| t.gateway_node());
    in_topic.or(facts.gateway).map(|n| n.0)
}

/// The identity of the packet; packets with id 0 have none.
pub fn packet_key(facts: &Facts<'_>) -> Option<PacketKey> {
    let packet = facts.packet.as_ref()?;
    (packet.id != 0).then_some(PacketKey { from: packet.from.0, id: packet.id })
}

/// The decision of the plain-broker profile, which has no mesh policy and never reaches a radio by our promise.
pub fn pass_unjudged() -> (Decision, Permit) {
    let decision = Decision {
        verdict: Verdict::Accept,
        rule: None,
        sentence: Cow::Borrowed("Passed on."),
        observed: RuleSet::default(),
        off: RuleSet::default(),
    };
    (decision, Permit { radio: true })
}

/// The decision on a request of the broker's own node to a gateway's node.
pub fn pass_own_request() -> (Decision, Permit) {
    let (decision, permit) = pass_unjudged();
    let sentence = Cow::Borrowed("The broker's own request, to find out whether the gateway can be reached.");
    (Decision { sentence, ..decision }, permit)
}

/// The decision on a packet of the broker's own node that a service asked for. Its copies are judged like any other's.
pub fn pass_asked(service: &str) -> (Decision, Permit) {
    let (decision, permit) = pass_unjudged();
    let sentence = Cow::Owned(format!("Sent by the broker's own node for the service `{service}`."));
    (Decision { sentence, ..decision }, permit)
}

/// The decision on a command that cannot be carried out, with the reason in a sentence.
pub fn refuse_command(decision: Decision, why: impl Into<Cow<'static, str>>) -> Decision {
    Decision { verdict: Verdict::Refuse, sentence: why.into(), ..decision }
}

/// The decision on a message that enters the broker's own topics, for the plain-broker profile.
pub fn refuse_unjudged() -> Decision {
    Decision {
        verdict: Verdict::Refuse,
        rule: Some(RuleId::TopicRights),
        sentence: "Topics below `$SYS` belong to the broker.".into(),
        observed: RuleSet::default(),
        off: RuleSet::default(),
    }
}
