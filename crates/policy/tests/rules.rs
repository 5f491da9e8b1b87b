//! The rules as a table: for each uplink rule at least one packet it lets pass and one it objects to; the release
//! rules the same for copies. A rule without both fails the last test.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::collections::BTreeMap;
use std::net::IpAddr;

use directory::{Directory, DownlinkCommand, GatewayId, Grant, Grants};
use mesh::compose::{Closed, Content, Packet, envelope, text};
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::observe::{Scratch, observe};
use mesh::portnum::PortNum;
use policy::decision::{Decision, Outcome, Verdict};
use policy::downlink::hold::hold as radio_first;
use policy::downlink::model::Model;
use policy::downlink::numbers::charge_of;
use policy::memory::airtime::{Account, Charge};
use policy::memory::holds::{Held, HoldSettings};
use policy::memory::seen::PacketKey;
use policy::memory::volume::Kind;
use policy::memory::{Memory, MemoryLimits};
use policy::now::Now;
use policy::principal::Principal;
use policy::release::{Passing, Release, decide_release};
use policy::rule::{RULES, RuleId, RuleSet, RuleState, Stage};
use policy::settings::Settings;
use policy::uplink::volume::VolumeSettings;
use policy::uplink::{Permit, Publish, Uplink, decide_uplink};
use proptest::prelude::*;

const GATEWAY: u32 = 0x7c5a_0a01;
const OTHER: u32 = 0x7c5a_0c03;
const FIELD: u32 = 0x7c5a_0b02;
const OWN_NODE: u32 = 0x7c5a_0d04;

/// The same time in Unix seconds.
const NOW_S: u32 = 1_790_000_000;

const NOW: Now = Now { mono_ms: 1_000, unix_ms: 1_790_000_000_000 };

fn memory() -> Memory {
    Memory::new(&Settings::default(), MemoryLimits::default(), 0)
}

fn gateway(number: u32) -> Principal {
    Principal::Gateway { username: format!("gw-{number:08x}").into(), gateway: number }
}

/// One publish and what is known before it.
#[derive(Clone)]
struct Case {
    sender: Principal,
    topic: String,
    payload: Option<Vec<u8>>,
    packet: Packet,
    content: Content,
    channel: &'static str,
    key: ChannelKey,
    is_decoded: bool,
    named: u32,
    was_released: bool,
    /// What the operator chose beside the states.
    choose: fn(&mut Settings),
    address: Option<IpAddr>,
    /// What was learned before.
    learn: fn(&mut Memory),
    /// What was agreed with the gateway.
    grant: Option<Grant>,
}

impl Default for Case {
    /// A consenting text of a field node, heard by a gateway and uplinked by it: nothing to object to.
    fn default() -> Self {
        let (port, payload) = text("hello");
        Self {
            sender: gateway(GATEWAY),
            topic: "msh/US/2/e/Ops/!7c5a0a01".into(),
            payload: None,
            packet: Packet {
                from: NodeNum(FIELD),
                to: NodeNum::BROADCAST,
                id: 7,
                hop_limit: 1,
                hop_start: 3,
                rx_rssi: -80,
                ..Packet::default()
            },
            content: Content { port: port.0, payload, bitfield: Some(1), ..Content::default() },
            channel: "Ops",
            key: ChannelKey::from_psk(&[9; 32]).unwrap(),
            is_decoded: false,
            named: GATEWAY,
            was_released: false,
            choose: |_| {},
            address: None,
            learn: |_| {},
            grant: None,
        }
    }
}

impl Case {
    fn decide(&self, settings: &Settings) -> (Decision, Option<Permit>) {
        let settings = &{
            let mut settings = settings.clone();
            (self.choose)(&mut settings);
            settings
        };
        let mut keyring = Keyring::default();
        keyring.add("Ops", ChannelKey::from_psk(&[9; 32]).unwrap());
        let closed = if self.is_decoded { Closed::Decoded(0) } else { Closed::Encrypted(&self.key) };
        let composed = || envelope(&self.packet, &self.content, self.channel, closed, NodeNum(self.named));
        let payload = self.payload.clone().unwrap_or_else(composed);
        let mut memory = memory();
        (self.learn)(&mut memory);
        if self.was_released {
            memory.seen.note_released(0, PacketKey { from: self.packet.from.0, id: self.packet.id });
        }
        let mut scratch = Scratch::default();
        let facts = observe(&self.topic, &payload, &keyring, &mut scratch);
        let grants = self.grant.iter().map(|grant| (GatewayId(GATEWAY), grant.clone())).collect();
        let directory = Directory::default().with_grants(Grants { gateways: grants, ..Grants::default() });
        let topic = &self.topic;
        let publish = Publish {
            sender: &self.sender,
            address: self.address,
            topic,
            facts: &facts,
            directory: &directory,
        };
        decide_uplink(settings, &Uplink::new(NOW, &publish, &memory))
    }
}

fn with(change: impl FnOnce(&mut Case)) -> Case {
    let mut case = Case::default();
    change(&mut case);
    case
}

/// The rule, the verdict it gives, and a packet it objects to.
fn denials() -> Vec<(RuleId, Verdict, Case)> {
    use RuleId as R;
    use Verdict::{Accept, RecordOnly, Refuse};
    let service = |prefix: &str| Principal::Service { username: "ha".into(), prefix: prefix.into() };
    let on = |topic: &str| with(|c| c.topic = topic.into());
    let port = |port: PortNum| with(|c| c.content.port = port.0);
    vec![
        (R::TopicRights, Refuse, on("home/lights")),
        (R::TopicRights, Refuse, with(|c| c.sender = Principal::Observer { username: "o".into() })),
        (R::TopicRights, Refuse, with(|c| (c.sender, c.topic) = (service("home"), "homes/a".into()))),
        (R::TopicRights, Refuse, with(|c| c.sender = service("msh"))),
        (R::JsonCommand, Refuse, on("msh/US/2/json/mqtt/!7c5a0c03")),
        (R::JsonCommand, Refuse, on("msh/US/2/json/mqtt/go")),
        // A service that the operator has not allowed to have anything sent, wherever it may publish.
        (
            R::JsonCommand,
            Refuse,
            with(|c| (c.sender, c.topic) = (service("msh/US/2/json/mqtt"), "msh/US/2/json/mqtt/go".into())),
        ),
        (
            R::JsonCommand,
            Refuse,
            with(|c| (c.sender, c.topic) = (service("home"), "msh/US/2/json/mqtt/go".into())),
        ),
        (R::NotAnEnvelope, Refuse, with(|c| c.payload = Some(Vec::new()))),
        (R::NotAnEnvelope, Refuse, with(|c| c.payload = Some(b"{\"json\":1}".to_vec()))),
        (R::Identity, Refuse, on("msh/US/2/e/Ops/!7c5a0c03")),
        (R::Identity, Refuse, on("msh/US/2/e/Ops/!7C5A0A01")),
        (R::Identity, Refuse, on("msh/US/2/e/Other/!7c5a0a01")),
        (R::Identity, Refuse, with(|c| c.named = OTHER)),
        (R::Identity, Refuse, with(|c| c.packet.from = NodeNum(0))),
        (R::Identity, Refuse, on("msh/US/2/stat/!7c5a0c03")),
        (R::NoPayload, Refuse, with(|c| c.payload = Some(stub()))),
        (
            R::PkiOpened,
            Refuse,
            with(|c| {
                (c.channel, c.topic, c.is_decoded) = ("PKI", "msh/US/2/e/PKI/!7c5a0a01".into(), true);
            }),
        ),
        (R::RemoteControl, Refuse, port(PortNum::ADMIN)),
        (R::RemoteControl, Refuse, port(PortNum::REMOTE_SHELL)),
        (R::RemoteControl, Refuse, port(PortNum::LORA_OTA)),
        (R::ViaMqtt, Refuse, with(|c| c.packet.via_mqtt = true)),
        (R::ImpossibleHops, Refuse, with(|c| c.packet.hop_start = 8)),
        (R::ImpossibleHops, Refuse, with(|c| (c.packet.hop_limit, c.packet.hop_start) = (4, 3))),
        (R::JsonUplink, RecordOnly, on("msh/US/2/json/Ops/!7c5a0a01")),
        (R::JsonUplink, RecordOnly, on("msh/US/2/json/mqtt/!7c5a0a01")),
        (R::Stat, RecordOnly, on("msh/US/2/stat/!7c5a0a01")),
        (R::Consent, RecordOnly, with(|c| c.content.bitfield = Some(0))),
        (R::Consent, RecordOnly, with(|c| c.content.bitfield = Some(2))),
        (R::Consent, RecordOnly, with(|c| c.content.bitfield = None)),
        // A map report speaks for the gateway that sends it and for nobody else.
        (
            R::MapReport,
            RecordOnly,
            with(|c| {
                (c.topic, c.is_decoded, c.packet.id) = ("msh/US/2/map/".into(), true, 0);
                c.content = Content { port: PortNum::MAP_REPORT.0, ..Content::default() };
            }),
        ),
        (R::MapReport, RecordOnly, exact_map_report()),
        (
            R::BlockedAddress,
            Refuse,
            with(|c| {
                c.address = Some("::ffff:203.0.113.9".parse().unwrap());
                c.choose = |s| s.who.blocked_networks = vec!["203.0.113.0/24".parse().unwrap()];
            }),
        ),
        (R::BlockedGateway, Refuse, with(|c| c.choose = |s| s.who.blocked_gateways = vec![GATEWAY])),
        (
            R::BlockedGateway,
            Refuse,
            with(|c| {
                c.sender = Principal::Guest { gateway: None };
                c.choose = |s| s.who.blocked_gateways = vec![GATEWAY];
            }),
        ),
        (R::BlockedNode, RecordOnly, with(|c| c.choose = |s| s.who.blocked_nodes = vec![FIELD])),
        (R::Oversize, Refuse, with(|c| c.content.payload = vec![b'x'; 300])),
        (R::DecodedOnWire, RecordOnly, with(|c| c.is_decoded = true)),
        (R::GrantedPorts, RecordOnly, port(PortNum::RANGE_TEST)),
        (R::GrantedPorts, RecordOnly, port(PortNum::IP_TUNNEL)),
        (R::NoRadioEvidence, RecordOnly, with(|c| c.packet.rx_rssi = 0)),
        (R::WrongTime, RecordOnly, with(|c| c.packet.rx_time = NOW_S - 601)),
        (R::WrongTime, RecordOnly, with(|c| c.packet.rx_time = NOW_S + 121)),
        (R::Hold, Refuse, with(|c| c.learn = |m| hold(m, Held::Gateway(GATEWAY)))),
        (R::Hold, RecordOnly, with(|c| c.learn = |m| hold(m, Held::Node(FIELD)))),
        (
            R::MessageRate,
            Refuse,
            with(|c| {
                c.learn = |m| {
                    (0..200).for_each(|_| m.volume.take_token(1_000, GATEWAY, VolumeSettings::default().rate))
                };
            }),
        ),
        (
            R::UplinkAirtime,
            RecordOnly,
            with(|c| c.learn = |m| m.uplink.add(1_000, Account::Node(FIELD), 180_000_000)),
        ),
        (
            R::UplinkAirtime,
            RecordOnly,
            with(|c| c.learn = |m| m.uplink.add(1_000, Account::Gateway(GATEWAY), 3_600_000_000)),
        ),
        (
            R::Interval,
            RecordOnly,
            with(|c| {
                c.content.port = PortNum::NODEINFO.0;
                c.learn = |m| m.volume.note(900, flow(PortNum::NODEINFO), false, true);
            }),
        ),
        (
            R::Interval,
            RecordOnly,
            with(|c| {
                c.content.port = PortNum::NODEINFO.0;
                c.grant = Some(Grant { telemetry: true, telemetry_ms: Some(30_000), ..Grant::default() });
                c.learn = |m| {
                    m.volume.note(900, flow(PortNum::NODEINFO), false, true);
                    m.uplink.add(1_000, Account::Granted(GATEWAY), 30_000_000);
                };
            }),
        ),
        (
            R::Stream,
            RecordOnly,
            with(|c| {
                c.learn =
                    |m| (0..60).for_each(|n| m.volume.note(n, flow(PortNum::TEXT_MESSAGE), false, true));
            }),
        ),
        (
            R::Stream,
            RecordOnly,
            with(|c| {
                c.learn = |m| (0..20).for_each(|n| m.volume.note(n, flow(PortNum::TEXT_MESSAGE), true, true));
            }),
        ),
        (
            R::ChannelGrant,
            RecordOnly,
            with(|c| c.grant = Some(Grant { channels: ["LongFast".to_owned()].into(), ..Grant::default() })),
        ),
        (R::PublicKey, RecordOnly, with(|c| (c.channel, c.key, c.topic) = default_channel())),
        (R::Duplicate, Accept, with(|c| c.was_released = true)),
    ]
}

fn hold(memory: &mut Memory, held: Held) {
    let settings = HoldSettings { objections: 1, ..HoldSettings::default() };
    memory.holds.note_objection(&settings, NOW, held, RuleId::MessageRate, None);
}

const fn flow(port: PortNum) -> Kind {
    Kind { node: FIELD, port: port.0, variant: 0 }
}

/// A map report of the gateway itself, with a position to the metre.
fn exact_map_report() -> Case {
    with(|c| {
        (c.topic, c.is_decoded, c.packet.id, c.packet.from) =
            ("msh/US/2/map/".into(), true, 0, NodeNum(GATEWAY));
        let mut report = Vec::new();
        mesh::wire::put_fixed32(&mut report, 9, 391_234_567);
        mesh::wire::put_fixed32(&mut report, 10, 3_000_000_001);
        c.content = Content { port: PortNum::MAP_REPORT.0, payload: report, ..Content::default() };
    })
}

fn default_channel() -> (&'static str, ChannelKey, String) {
    ("LongFast", ChannelKey::default_key(), "msh/US/2/e/LongFast/!7c5a0a01".into())
}

/// An envelope with a packet that has a header and nothing else.
fn stub() -> Vec<u8> {
    let mut packet = Vec::new();
    mesh::wire::put_fixed32(&mut packet, 1, FIELD);
    mesh::wire::put_fixed32(&mut packet, 6, 7);
    let mut out = Vec::new();
    mesh::wire::put_bytes(&mut out, 1, &packet);
    mesh::wire::put_bytes(&mut out, 2, b"Ops");
    mesh::wire::put_bytes(&mut out, 3, b"!7c5a0a01");
    out
}

fn enforce_time(settings: &mut Settings) {
    settings.set_state(RuleId::WrongTime, RuleState::Enforce);
}

/// Packets that nothing is said against.
fn passes() -> Vec<Case> {
    vec![
        Case::default(),
        with(|c| c.sender = Principal::Guest { gateway: None }),
        with(|c| c.content.bitfield = Some(3)),
        // Its own packet consents by being sent, and map reports by what they are.
        with(|c| (c.packet.from, c.content.bitfield) = (NodeNum(GATEWAY), None)),
        with(|c| {
            (c.topic, c.is_decoded, c.packet.id, c.packet.from) =
                ("msh/US/2/map/".into(), true, 0, NodeNum(GATEWAY));
            c.content = Content { port: PortNum::MAP_REPORT.0, ..Content::default() };
        }),
        with(|c| (c.channel, c.topic) = ("PKI", "msh/US/2/e/PKI/!7c5a0a01".into())),
        // Nobody here has the key.
        with(|c| {
            (c.channel, c.topic) = ("Secret", "msh/US/2/e/Secret/!7c5a0a01".into());
            c.key = ChannelKey::from_psk(&[3; 32]).unwrap();
        }),
        with(|c| (c.packet.id, c.was_released) = (0, true)),
        // What the operator agreed to, blocked elsewhere or declared public.
        with(|c| {
            c.content.port = PortNum::RANGE_TEST.0;
            c.choose = |s| s.what.granted_ports = vec![PortNum::RANGE_TEST.0];
        }),
        with(|c| {
            c.address = Some("203.0.113.9".parse().unwrap());
            c.choose = |s| {
                s.who.blocked_networks = vec!["198.51.100.0/24".parse().unwrap()];
                (s.who.blocked_gateways, s.who.blocked_nodes) = (vec![OTHER], vec![OTHER]);
            };
        }),
        with(|c| {
            (c.channel, c.key, c.topic) = default_channel();
            c.choose = |s| {
                s.set_state(RuleId::PublicKey, RuleState::Enforce);
                s.keys.public_channels = vec!["LongFast".into()];
            };
        }),
        // What was agreed, or is no more than ordinary.
        with(|c| {
            c.content.port = PortNum::RANGE_TEST.0;
            c.grant = Some(Grant { ports: [PortNum::RANGE_TEST.0].into(), ..Grant::default() });
        }),
        with(|c| c.grant = Some(Grant { channels: ["Ops".to_owned()].into(), ..Grant::default() })),
        with(|c| {
            c.content.port = PortNum::NODEINFO.0;
            c.grant = Some(Grant { telemetry: true, ..Grant::default() });
            c.learn = |m| m.volume.note(900, flow(PortNum::NODEINFO), false, true);
        }),
        with(|c| {
            c.content.port = PortNum::NODEINFO.0;
            c.grant = Some(Grant { telemetry: true, telemetry_ms: Some(30_000), ..Grant::default() });
            c.learn = |m| {
                (0..70).for_each(|n| m.volume.note(n, flow(PortNum::NODEINFO), false, true));
                m.uplink.add(1_000, Account::Granted(GATEWAY), 29_999_000);
            };
        }),
        with(|c| {
            c.learn = |m| {
                (0..59).for_each(|n| m.volume.note(n, flow(PortNum::TEXT_MESSAGE), false, true));
                m.uplink.add(1_000, Account::Node(FIELD), 179_000_000);
                hold(m, Held::Gateway(OTHER));
            };
        }),
        with(|c| {
            c.learn = |m| hold(m, Held::Gateway(GATEWAY));
            c.choose = |s| s.volume.never_held = vec![GATEWAY];
        }),
        // Heard by the radio without a signal strength, a clock that is a little off, and no clock.
        with(|c| (c.packet.rx_rssi, c.packet.transport) = (0, 1)),
        with(|c| (c.packet.rx_time, c.choose) = (NOW_S - 600, enforce_time)),
        with(|c| (c.packet.rx_time, c.choose) = (NOW_S + 120, enforce_time)),
    ]
}

#[test]
fn each_rule_objects_to_what_it_is_for_and_names_itself() {
    for (rule, verdict, case) in denials() {
        let mut settings = Settings::default();
        settings.set_state(rule, RuleState::Enforce);
        let (decision, permit) = case.decide(&settings);
        let what = format!("{} on {}: {}", rule.name(), case.topic, decision.sentence);
        assert_eq!((decision.rule, decision.verdict), (Some(rule), verdict), "{what}");
        assert_eq!(permit.is_some(), verdict == Verdict::Accept, "{what}");
        assert!(decision.sentence.len() > 20 && decision.sentence.ends_with('.'), "{what}");
    }
}

#[test]
fn an_observed_rule_decides_nothing_and_is_noted() {
    for (rule, _, case) in denials() {
        let mut settings = Settings::default();
        settings.set_state(rule, RuleState::Observe);
        let (decision, _) = case.decide(&settings);
        assert_ne!(decision.rule, Some(rule));
        assert!(decision.observed.contains(rule), "{}", rule.name());
        settings.set_state(rule, RuleState::Off);
        let (decision, _) = case.decide(&settings);
        assert!(!decision.observed.contains(rule) && decision.off.contains(rule));
    }
}

#[test]
fn what_nothing_is_said_against_passes() {
    for case in passes() {
        let (decision, permit) = case.decide(&Settings::default());
        assert_eq!(
            (decision.rule, decision.verdict),
            (None, Verdict::Accept),
            "{}: {}",
            case.topic,
            decision.sentence
        );
        assert!(permit.unwrap().allows_radio());
    }
}

#[test]
fn consent_goes_as_far_as_the_operator_says() {
    let mut settings = Settings::default();
    settings.consent.no = Verdict::Accept;
    settings.consent.unknown = Verdict::Refuse;
    settings.consent.opaque = Verdict::RecordOnly;
    let verdict = |case: Case| case.decide(&settings).0.verdict;
    assert_eq!(verdict(with(|c| c.content.bitfield = Some(0))), Verdict::Accept);
    assert_eq!(verdict(with(|c| c.content.bitfield = None)), Verdict::Refuse);
    assert_eq!(verdict(passes()[6].clone()), Verdict::RecordOnly);
}

#[test]
fn a_high_hop_limit_is_a_rewrite() {
    let case = with(|c| c.packet.hop_limit = 3);
    let (decision, permit) = case.decide(&Settings::default());
    assert_eq!((decision.verdict, decision.rule), (Verdict::Rewrite, Some(RuleId::HopLimit)));
    assert!(permit.unwrap().allows_radio());
}

fn permit() -> Permit {
    Case::default().decide(&Settings::default()).1.unwrap()
}

fn listeners_only() -> Permit {
    with(|c| c.was_released = true).decide(&Settings::default()).1.unwrap()
}

/// A packet of a field node on its way, which nothing is said against.
const fn passing(permit: &Permit) -> Passing<'_> {
    Passing {
        permit,
        uplinked_by: Some(GATEWAY),
        from: FIELD,
        to: 0xffff_ffff,
        key: Some(PacketKey { from: FIELD, id: 7 }),
        has_consent: true,
        hop_limit: 1,
        can_lower: true,
        port: Some(1),
        request_id: 0,
        channel: Some("Ops"),
        variant: 0,
        frame_bytes: Some(40),
        airtime_us: Some(500_000),
        mqtt_packet_bytes: 200,
    }
}

/// What becomes of a copy toward somebody.
fn ask(
    settings: &Settings,
    memory: &Memory,
    receiver: &Principal,
    passing: &Passing<'_>,
) -> (Outcome, RuleSet) {
    decide_release(
        settings,
        &Release { now: NOW, passing, receiver, directory: &Directory::default(), memory },
    )
}

#[test]
fn each_release_rule_withholds_what_it_is_for() {
    let (permit, listeners_only) = (permit(), listeners_only());
    let mut heard = memory();
    heard.seen.note_heard(0, PacketKey { from: FIELD, id: 7 }, OTHER);
    let mut unseen = memory();
    unseen.proofs.set_own_node(OWN_NODE);
    let (other, own) = (gateway(OTHER), gateway(GATEWAY));
    let fine = passing(&permit);
    assert_eq!(ask(&Settings::default(), &unseen, &other, &fine).0, Outcome::Delivered);
    let cases = [
        (RuleId::Echo, &own, &unseen, fine),
        (RuleId::Echo, &other, &unseen, Passing { from: OTHER, ..fine }),
        (RuleId::AlreadyHeard, &other, &heard, fine),
        (RuleId::Duplicate, &other, &unseen, passing(&listeners_only)),
        (RuleId::DownlinkSize, &other, &unseen, Passing { mqtt_packet_bytes: 1025, ..fine }),
        (RuleId::HopLimit, &other, &unseen, Passing { hop_limit: 3, can_lower: false, ..fine }),
        (RuleId::OwnNode, &other, &unseen, Passing { to: OWN_NODE, ..fine }),
        (RuleId::DownlinkVerified, &other, &unseen, fine),
    ];
    for (rule, receiver, memory, case) in cases {
        let mut settings = Settings::default();
        settings.set_state(rule, RuleState::Enforce);
        assert_eq!(ask(&settings, memory, receiver, &case).0, Outcome::Withheld(rule));
        settings.set_state(rule, RuleState::Observe);
        let (outcome, observed) = ask(&settings, memory, receiver, &case);
        assert!(outcome != Outcome::Withheld(rule) && observed.contains(rule), "{}", rule.name());
    }
    let lowered = ask(&Settings::default(), &unseen, &other, &Passing { hop_limit: 3, ..fine }).0;
    assert_eq!(lowered, Outcome::DeliveredWithHopLimit(1));
}

#[test]
fn the_kill_switch_stops_what_would_end_on_the_radio_and_nothing_else() {
    let (permit, memory, settings) = (permit(), memory(), Settings::default());
    let stopped = Directory::default().apply_downlink(DownlinkCommand::Stop(None), 1).unwrap().directory;
    let ask = |receiver: &Principal, passing: &Passing<'_>| {
        let (directory, memory) = (&stopped, &memory);
        decide_release(&settings, &Release { now: NOW, passing, receiver, directory, memory }).0
    };
    let fine = passing(&permit);
    assert_eq!(ask(&gateway(OTHER), &fine), Outcome::Withheld(RuleId::DownlinkStopped));
    assert_eq!(ask(&Principal::Observer { username: "o".into() }, &fine), Outcome::Delivered);
    let echo = Passing { from: GATEWAY, ..fine };
    assert_eq!(ask(&gateway(GATEWAY), &echo), Outcome::Delivered, "its own packet is never transmitted");
}

#[test]
fn a_gateway_that_has_proved_itself_gets_packets() {
    let (permit, mut memory, mut settings) = (permit(), memory(), Settings::default());
    settings.set_state(RuleId::DownlinkVerified, RuleState::Enforce);
    memory.proofs.note_asked(NOW, OTHER, 5);
    memory.proofs.note_answer(NOW, OTHER, 5, OTHER);
    assert_eq!(ask(&settings, &memory, &gateway(OTHER), &passing(&permit)).0, Outcome::Delivered);
}

#[test]
fn a_copy_waits_for_the_radio_where_its_sender_is_heard_now_and_then() {
    let permit = permit();
    let (mut settings, mut policy) = (Settings::default(), memory());
    let hold =
        |settings: &Settings, memory: &Memory| radio_first(settings, memory, NOW, &passing(&permit), OTHER);
    assert_eq!(hold(&settings, &policy), (0, RuleSet::default()));
    policy.reach.note_heard(NOW.mono_ms, FIELD, OTHER, Some(1));
    assert_eq!(hold(&settings, &policy), (settings.queue.hold_ms, RuleSet::default()));
    settings.set_state(RuleId::RadioFirst, RuleState::Observe);
    let (hold_ms, observed) = hold(&settings, &policy);
    assert!(hold_ms == 0 && observed.contains(RuleId::RadioFirst));
    settings.set_state(RuleId::RadioFirst, RuleState::Off);
    assert_eq!(hold(&settings, &policy), (0, RuleSet::default()));
}

/// Gateways that hear the same twenty packets are on one island.
fn on_one_island(memory: &mut Memory, gateways: &[u32]) {
    for packet in 0..20 {
        for (place, gateway) in gateways.iter().enumerate() {
            memory.islands.note_heard(packet * 60_000, *gateway, gateways[..place].iter().copied());
        }
    }
}

#[test]
fn an_island_that_heard_a_packet_does_not_get_it_and_another_does() {
    let (permit, mut memory) = (permit(), memory());
    let (near, far) = (0x7c5a_0d04, 0x7c5a_0e05);
    on_one_island(&mut memory, &[OTHER, near]);
    on_one_island(&mut memory, &[far]);
    memory.seen.note_heard(0, PacketKey { from: FIELD, id: 7 }, near);
    let ask =
        |receiver, passing: &Passing<'_>| ask(&Settings::default(), &memory, &gateway(receiver), passing).0;
    assert_eq!(ask(OTHER, &passing(&permit)), Outcome::Withheld(RuleId::IslandHeard));
    assert_eq!(ask(far, &passing(&permit)), Outcome::Delivered);
}

#[test]
fn an_island_gets_as_many_copies_as_were_asked_for() {
    let (permit, mut memory, mut settings) = (permit(), memory(), Settings::default());
    on_one_island(&mut memory, &[OTHER, 0x7c5a_0d04]);
    let island = memory.islands.island_of(OTHER).unwrap();
    settings.downlink.copies_per_island = 1;
    assert_eq!(ask(&settings, &memory, &gateway(OTHER), &passing(&permit)).0, Outcome::Delivered);
    memory.seen.note_sent(0, PacketKey { from: FIELD, id: 7 }, island);
    let copy = passing(&permit);
    assert_eq!(ask(&settings, &memory, &gateway(OTHER), &copy).0, Outcome::Withheld(RuleId::IslandOnce));
    settings.downlink.hop_limit_max = 0;
    let on_phones = ask(&settings, &memory, &gateway(OTHER), &copy).0;
    assert_eq!(on_phones, Outcome::DeliveredWithHopLimit(0), "phones cost no airtime");
}

#[test]
fn a_packet_for_one_node_goes_where_the_node_was_heard_the_best_first() {
    let (permit, mut memory, mut settings) = (permit(), memory(), Settings::default());
    settings.target.gateways_max = 1;
    let node = 0x7c5a_0f06;
    let direct = Passing { to: node, ..passing(&permit) };
    let outcome =
        |settings: &Settings, memory: &Memory, receiver| ask(settings, memory, &gateway(receiver), &direct).0;
    assert_eq!(outcome(&settings, &memory, OTHER), Outcome::Withheld(RuleId::UnknownDestination));
    settings.target.unknown_to_all = true;
    assert_eq!(outcome(&settings, &memory, OTHER), Outcome::Delivered);
    memory.reach.note_heard(NOW.mono_ms, node, OTHER, Some(0));
    memory.reach.note_heard(NOW.mono_ms, node, 0x7c5a_0d04, Some(2));
    assert_eq!(outcome(&settings, &memory, OTHER), Outcome::Delivered);
    for worse in [0x7c5a_0d04, 0x7c5a_0e05] {
        assert_eq!(outcome(&settings, &memory, worse), Outcome::Withheld(RuleId::DirectTarget));
    }
    let to_a_gateway = Passing { to: 0x7c5a_0e05, ..passing(&permit) };
    assert_eq!(ask(&settings, &memory, &gateway(0x7c5a_0e05), &to_a_gateway).0, Outcome::Delivered);
}

#[test]
fn a_model_says_what_goes_down_and_how_far() {
    let (permit, memory, mut settings) = (permit(), memory(), Settings::default());
    let text = Passing { hop_limit: 3, ..passing(&permit) };
    let telemetry = Passing { port: Some(67), ..text };
    let outcome =
        |settings: &Settings, passing: &Passing<'_>| ask(settings, &memory, &gateway(OTHER), passing).0;
    settings.model.default = Model::TEXTS_KEEP_HOPS;
    assert_eq!(outcome(&settings, &text), Outcome::Delivered);
    assert_eq!(outcome(&settings, &telemetry), Outcome::DeliveredWithHopLimit(0));
    settings.model.default = Model::TEXT_ONLY;
    assert_eq!(outcome(&settings, &text), Outcome::DeliveredWithHopLimit(1));
    assert_eq!(outcome(&settings, &telemetry), Outcome::Withheld(RuleId::DownlinkModel));
}

#[test]
fn downlink_of_some_channels_is_of_those_and_worth_what_was_agreed() {
    let (permit, mut memory, settings) = (permit(), memory(), Settings::default());
    let grant = Grant {
        downlink: true,
        downlink_channels: ["Ops".to_owned()].into(),
        downlink_ms: Some(2_000),
        ..Grant::default()
    };
    let grants = Grants { gateways: [(GatewayId(OTHER), grant)].into(), ..Grants::default() };
    let directory = Directory::default().with_grants(grants);
    let outcome = |memory: &Memory, passing: &Passing<'_>| {
        let (receiver, directory) = (&gateway(OTHER), &directory);
        decide_release(&settings, &Release { now: NOW, passing, receiver, directory, memory }).0
    };
    let ops = Passing { channel: Some("Ops"), airtime_us: Some(500_000), ..passing(&permit) };
    let withheld = Outcome::Withheld(RuleId::DownlinkChannel);
    assert_eq!(outcome(&memory, &Passing { channel: Some("LongFast"), ..ops }), withheld);
    assert_eq!(outcome(&memory, &Passing { channel: None, ..ops }), withheld, "what is on no known channel");
    let mut sent = 0;
    while outcome(&memory, &ops) == Outcome::Delivered {
        memory.airtime.charge(NOW.mono_ms, &charge_of(&settings, &memory, &ops, OTHER, 1));
        sent += 1;
        assert!(sent < 10, "the agreement is never used up");
    }
    assert_eq!((sent, outcome(&memory, &ops)), (4, Outcome::Withheld(RuleId::AirtimeBudget)));
    let later = Now { mono_ms: NOW.mono_ms + 3_700_000, ..NOW };
    let release = Release {
        now: later,
        passing: &ops,
        receiver: &gateway(OTHER),
        directory: &directory,
        memory: &memory,
    };
    assert_eq!(decide_release(&settings, &release).0, Outcome::Delivered, "an hour later it is there again");
}

#[test]
fn what_goes_down_stays_within_its_budget_and_texts_have_more_of_it() {
    let (permit, mut memory, settings) = (permit(), memory(), Settings::default());
    let text = Passing { airtime_us: Some(500_000), ..passing(&permit) };
    let telemetry = Passing { port: Some(67), ..text };
    let outcome = |memory: &Memory, passing: &Passing<'_>| ask(&settings, memory, &gateway(OTHER), passing).0;
    let mut sent = 0;
    while outcome(&memory, &telemetry) == Outcome::Delivered {
        let charge = charge_of(&settings, &memory, &telemetry, OTHER, 1);
        memory.airtime.charge(NOW.mono_ms, &Charge { node: sent, ..charge });
        sent += 1;
    }
    assert!(sent > 50, "{sent}");
    assert_eq!(outcome(&memory, &telemetry), Outcome::Withheld(RuleId::AirtimeBudget));
    assert_eq!(outcome(&memory, &text), Outcome::Delivered);
    memory.reports.note_utilisation(NOW.mono_ms, OTHER, 80.0);
    assert_eq!(outcome(&memory, &text), Outcome::Withheld(RuleId::AirtimeBudget), "the channel is busy");
}

#[test]
fn its_own_packet_comes_back_to_a_gateway_and_observers_get_every_copy() {
    let (permit, listeners_only) = (permit(), listeners_only());
    let (unseen, own) = (memory(), gateway(GATEWAY));
    let echo = Passing { from: GATEWAY, hop_limit: 7, ..passing(&permit) };
    assert_eq!(ask(&Settings::default(), &unseen, &own, &echo).0, Outcome::Delivered);
    let observer = Principal::Observer { username: "o".into() };
    let big = Passing { mqtt_packet_bytes: 9_999, hop_limit: 7, ..passing(&listeners_only) };
    assert_eq!(ask(&Settings::default(), &unseen, &observer, &big).0, Outcome::Delivered);
}

#[test]
fn what_leaves_the_community_has_consent() {
    let (permit, unseen) = (permit(), memory());
    let bridge = Principal::Service { username: "bridge".into(), prefix: "bridge".into() };
    let inside = Principal::Observer { username: "wall".into() };
    let mut settings = Settings::default();
    settings.outside.receivers = vec!["bridge".into()];
    let without = Passing { has_consent: false, ..passing(&permit) };
    let withheld = Outcome::Withheld(RuleId::OutsideConsent);
    assert_eq!(ask(&settings, &unseen, &bridge, &passing(&permit)).0, Outcome::Delivered);
    assert_eq!(ask(&settings, &unseen, &bridge, &without).0, withheld);
    assert_eq!(ask(&settings, &unseen, &inside, &without).0, Outcome::Delivered);
}

#[test]
fn every_rule_has_a_case() {
    let mut tested: BTreeMap<RuleId, usize> = BTreeMap::new();
    denials().iter().for_each(|(rule, _, _)| *tested.entry(*rule).or_default() += 1);
    // Rules that need a past have their cases in a file of their own.
    let with_a_past = [
        RuleId::Quarantined,
        RuleId::TwoKeys,
        RuleId::SharedKey,
        RuleId::Signature,
        RuleId::OwnIdHeard,
        RuleId::ImpossibleTravel,
        RuleId::TwoIslands,
    ];
    for rule in RULES.iter().filter(|r| r.stage == Stage::Uplink && !with_a_past.contains(&r.id)) {
        assert!(tested.contains_key(&rule.id), "{} has no case", rule.name);
    }
}

proptest! {
    /// Toward the radio nothing gets a higher hop limit than the operator's, whatever else happens.
    #[test]
    fn no_copy_toward_a_gateway_goes_farther_than_allowed(
        hop_limit in 0u8..=7, hop_limit_max in 0u8..=7, can_lower: bool, from in prop::sample::select(vec![FIELD, OTHER]),
    ) {
        let (permit, unseen, other) = (permit(), memory(), gateway(OTHER));
        let mut settings = Settings::default();
        settings.downlink.hop_limit_max = hop_limit_max;
        let copy = Passing { hop_limit, can_lower, from, ..passing(&permit) };
        let reached = match ask(&settings, &unseen, &other, &copy).0 {
            Outcome::Delivered => hop_limit,
            Outcome::DeliveredWithHopLimit(hops) => { prop_assert!(can_lower && hops < hop_limit); hops }
            Outcome::Withheld(_) | Outcome::Dropped => 0,
        };
        prop_assert!(reached <= hop_limit_max);
    }

    /// The same input gives the same decision, and only a verdict that passes comes with a permit.
    #[test]
    fn decisions_are_repeatable_and_permits_are_earned(payload in prop::collection::vec(any::<u8>(), 0..200), topic in
        prop::sample::select(vec!["msh/US/2/e/Ops/!7c5a0a01", "msh/US/2/map/", "msh/2/json/mqtt/x", "a/b", "$SYS/x"])) {
        let case = with(|c| (c.payload, c.topic) = (Some(payload), topic.into()));
        let (one, permit) = case.decide(&Settings::default());
        prop_assert_eq!(&one, &case.decide(&Settings::default()).0);
        prop_assert_eq!(permit.is_some(), matches!(one.verdict, Verdict::Accept | Verdict::Rewrite));
    }
}
