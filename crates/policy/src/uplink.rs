//! The decision on one reception: the uplink rules, asked in the order of the table.
//!
//! A rule looks at facts and answers with an objection or with nothing. The first objection of an enforced rule
//! decides; objections of observed rules are noted beside it. No allocation unless a rule objects.

use std::borrow::Cow;

use mesh::observe::{EnvelopeState, Facts, Flags, PayloadState};
use mesh::topic::TopicKind;

use crate::decision::{Decision, Verdict};
use crate::ledger::{PacketKey, SeenPackets};
use crate::principal::Principal;
use crate::response::is_response_topic;
use crate::rule::{RULES, RuleId, RuleSet, RuleState, Stage};
use crate::settings::Settings;

/// What the uplink rules look at.
pub struct Uplink<'a> {
    /// Who published.
    pub sender: &'a Principal,
    /// Topic Name.
    pub topic: &'a str,
    /// What topic and payload were found to be.
    pub facts: &'a Facts<'a>,
    /// Packets seen before.
    pub seen: &'a SeenPackets,
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
    for rule in RULES.iter().filter(|r| r.stage == Stage::Uplink) {
        let state = settings.state(rule.id);
        if state == RuleState::Off || (decided.is_some() && state == RuleState::Enforce) {
            continue;
        }
        let Some(objection) = ask(rule.id, settings, uplink) else { continue };
        match state {
            RuleState::Observe => observed.insert(rule.id),
            RuleState::Enforce => decided = Some((rule.id, objection)),
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
        && facts.packet.is_some_and(|p| p.hop_limit > u32::from(settings.hop_limit_max));
    if lowered {
        let sentence = Cow::Borrowed(match settings.hop_limit_max {
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
        RuleId::TopicRights => topic_rights(up),
        RuleId::JsonCommand => json_command(up),
        RuleId::NotAnEnvelope => not_an_envelope(up.facts),
        RuleId::Identity => identity(up),
        RuleId::NoPayload => no_payload(up.facts),
        RuleId::PkiOpened => pki_opened(up.facts),
        RuleId::RemoteControl => remote_control(up.facts),
        RuleId::ViaMqtt => via_mqtt(up.facts),
        RuleId::ImpossibleHops => impossible_hops(up.facts),
        RuleId::JsonUplink => json_uplink(up),
        RuleId::Stat => stat(up.facts),
        RuleId::Consent => consent(settings, up.facts),
        RuleId::PublicKey => public_key(up.facts),
        RuleId::Duplicate => duplicate(up),
        RuleId::Echo | RuleId::AlreadyHeard | RuleId::DownlinkSize | RuleId::HopLimit => None,
    }
}

fn kind(facts: &Facts<'_>) -> Option<TopicKind> {
    facts.topic.as_ref().map(|t| t.kind)
}

/// Whether the topic is one that gateways uplink envelopes on.
fn carries_envelopes(facts: &Facts<'_>) -> bool {
    matches!(kind(facts), Some(TopicKind::Envelope | TopicKind::LegacyEnvelope | TopicKind::Map))
}

fn topic_rights(up: &Uplink<'_>) -> Option<Objection> {
    match up.sender {
        Principal::Gateway { .. } if up.facts.topic.is_none() => object(
            Verdict::Refuse,
            "A gateway publishes on its own mesh topics only; this topic is none of them. Check the MQTT root topic.",
        ),
        Principal::Observer { .. } => object(Verdict::Refuse, "An observer reads and does not publish."),
        Principal::Service { .. } | Principal::Guest { .. } if is_response_topic(up.topic) => None,
        Principal::Service { prefix, .. } if !is_at_or_below(up.topic, prefix) => {
            object(Verdict::Refuse, "A service publishes at or below its own topic prefix only.")
        }
        Principal::Service { .. } if carries_envelopes(up.facts) => object(
            Verdict::Refuse,
            "Packets come from gateways: a service does not publish on envelope topics.",
        ),
        Principal::Guest { .. } if up.topic.starts_with('$') => {
            object(Verdict::Refuse, "Topics that begin with `$` belong to the broker.")
        }
        _ => None,
    }
}

/// Whether a topic is the prefix itself or lies below it; `a/b` does not lie below `a/`'s sibling `ab`.
fn is_at_or_below(topic: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    topic.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn json_command(up: &Uplink<'_>) -> Option<Objection> {
    if kind(up.facts) != Some(TopicKind::JsonCommand) || matches!(up.sender, Principal::Service { .. }) {
        return None;
    }
    // A gateway with a channel named `mqtt` uplinks its decoded JSON on the same topic, under its own id; that is
    // judged as JSON. Everybody else could only mean a command.
    let own = up.facts.topic.as_ref().and_then(|t| t.gateway_node()).map(|n| n.0);
    if own.is_some() && own == up.sender.gateway() {
        return None;
    }
    object(
        Verdict::Refuse,
        "JSON command topics make a node transmit; a service credential is needed for them.",
    )
}

fn not_an_envelope(facts: &Facts<'_>) -> Option<Objection> {
    if !carries_envelopes(facts) {
        return None;
    }
    match facts.envelope {
        EnvelopeState::Ok => None,
        EnvelopeState::Empty => {
            object(Verdict::Refuse, "The message is empty; an envelope was expected here.")
        }
        EnvelopeState::Malformed => object(
            Verdict::Refuse,
            "This is not a Meshtastic envelope. Phones truncate packets over 435 bytes, and JSON has its own topics.",
        ),
    }
}

fn identity(up: &Uplink<'_>) -> Option<Objection> {
    let topic = up.facts.topic.as_ref()?;
    if matches!(up.sender, Principal::Service { .. }) {
        // A service speaks for itself on topics of its own; envelope topics are closed to it.
        return None;
    }
    let in_topic = topic.gateway_node().map(|n| n.0);
    let credential = match up.sender {
        Principal::Gateway { gateway, .. } => Some(*gateway),
        _ => None,
    };
    if topic.gateway.is_some() && in_topic.is_none() {
        return object(
            Verdict::Refuse,
            "The last level of the topic must be the gateway's id: `!` and eight lower-case hexadecimal digits.",
        );
    }
    if let (Some(topic), Some(credential)) = (in_topic, credential)
        && topic != credential
    {
        return object(
            Verdict::Refuse,
            format!("The topic names gateway !{topic:08x}, but the credential is of !{credential:08x}."),
        );
    }
    if !carries_envelopes(up.facts) {
        return None;
    }
    let Some(envelope) = up.facts.gateway.map(|n| n.0) else {
        return object(Verdict::Refuse, "The envelope does not say which gateway it comes from.");
    };
    let expected = in_topic.or(credential);
    if let Some(expected) = expected
        && expected != envelope
    {
        return object(
            Verdict::Refuse,
            format!("The envelope names gateway !{envelope:08x}, but it came as !{expected:08x}."),
        );
    }
    if up.facts.flags.contains(Flags::TOPIC_CHANNEL_MISMATCH) {
        return object(Verdict::Refuse, "Topic and envelope name different channels.");
    }
    if up.facts.flags.contains(Flags::FROM_INVALID) {
        return object(
            Verdict::Refuse,
            "The packet's sender is not a node: its number is 0 or the broadcast address.",
        );
    }
    None
}

fn no_payload(facts: &Facts<'_>) -> Option<Objection> {
    if !carries_envelopes(facts) || facts.payload != PayloadState::None {
        return None;
    }
    object(Verdict::Refuse, "The envelope carries no packet or a packet without payload.")
}

fn pki_opened(facts: &Facts<'_>) -> Option<Objection> {
    if !facts.flags.contains(Flags::PKI_PLAINTEXT_LEAK) {
        return None;
    }
    object(
        Verdict::Refuse,
        "A direct message was opened before it was uplinked. Turn on MQTT encryption (mqtt.encryption_enabled true).",
    )
}

fn remote_control(facts: &Facts<'_>) -> Option<Objection> {
    if !facts.port.is_some_and(|p| p.is_remote_control()) {
        return None;
    }
    object(Verdict::Refuse, "Administration, remote shell and firmware updates never cross MQTT.")
}

fn via_mqtt(facts: &Facts<'_>) -> Option<Objection> {
    if !facts.flags.contains(Flags::VIA_MQTT) {
        return None;
    }
    object(Verdict::Refuse, "This packet already crossed MQTT; uplinking it again is a loop.")
}

fn impossible_hops(facts: &Facts<'_>) -> Option<Objection> {
    let packet = facts.packet.as_ref()?;
    if facts.flags.contains(Flags::HOP_INVALID) {
        let (limit, start) = (packet.hop_limit, packet.hop_start);
        return object(Verdict::Refuse, format!("Hop limit {limit} of {start}: more than 7 does not exist."));
    }
    if facts.flags.contains(Flags::HOP_INCONSISTENT) {
        let (limit, start) = (packet.hop_limit, packet.hop_start);
        return object(
            Verdict::Refuse,
            format!("Hop limit {limit} is above hop start {start}; a relay cannot add hops."),
        );
    }
    None
}

fn json_uplink(up: &Uplink<'_>) -> Option<Objection> {
    let is_firmware = !matches!(up.sender, Principal::Service { .. });
    if !is_firmware || !matches!(kind(up.facts), Some(TopicKind::Json | TopicKind::JsonCommand)) {
        return None;
    }
    object(
        Verdict::RecordOnly,
        "Firmware JSON does not say whether the sender agreed to MQTT; the packet beside it does and is passed on.",
    )
}

fn stat(facts: &Facts<'_>) -> Option<Objection> {
    if kind(facts) != Some(TopicKind::Stat) {
        return None;
    }
    object(Verdict::RecordOnly, "Legacy online/offline messages are kept in the log and not passed on.")
}

fn consent(settings: &Settings, facts: &Facts<'_>) -> Option<Objection> {
    use mesh::observe::Consent;
    if !carries_envelopes(facts) || facts.packet.is_none() {
        return None;
    }
    let opaque = facts.payload == PayloadState::Opaque;
    let (verdict, sentence) = match facts.consent {
        Consent::Yes => return None,
        Consent::No => (
            settings.consent_no,
            "Its sender has not agreed to MQTT (lora.config_ok_to_mqtt is off on the sending node).",
        ),
        Consent::Unknown if opaque => (
            settings.opaque,
            "It is encrypted with a key we do not have, so nobody can see whether its sender agreed.",
        ),
        Consent::Unknown => (
            settings.consent_unknown,
            "Its sender's firmware is too old to say whether it agrees to MQTT, which counts as no.",
        ),
    };
    if verdict == Verdict::Accept { None } else { object(verdict, sentence) }
}

fn public_key(facts: &Facts<'_>) -> Option<Objection> {
    use mesh::key::KeyClass;
    let sentence = match facts.key_class {
        KeyClass::Default => "The channel uses the default key: anyone can read it.",
        KeyClass::Simple => "The channel uses a one-byte key: anyone can read it.",
        KeyClass::Known => "The channel uses a published key: anyone can read it.",
        KeyClass::Unencrypted => "The channel is not encrypted: anyone can read it.",
        KeyClass::Private | KeyClass::Pki | KeyClass::Unknown => return None,
    };
    object(Verdict::RecordOnly, sentence)
}

fn duplicate(up: &Uplink<'_>) -> Option<Objection> {
    let key = packet_key(up.facts)?;
    if !up.seen.was_released(key) {
        return None;
    }
    object(
        Verdict::Accept,
        "Gateways already got this packet from another copy; observers get this copy too.",
    )
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
