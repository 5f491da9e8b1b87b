//! What is told of whom, from the packets of the vectors to topics and messages.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::path::Path;
use std::sync::Arc;

use automation::settings::{HomeAssistantSettings, HowOften, Settings, Who};
use automation::{Teller, Told};
use mesh::keyring::Keyring;
use mesh::observe::{Scratch, observe};
use policy::decision::{Decision, Verdict};
use policy::rule::RuleSet;
use record::{ConnectionEvent, ConnectionWhat, Consent, KeyClass, PacketSummary, Reception, Record};
use serde_json::Value as Json;

const NODE: u32 = 0xb600_0010;
const HOUR_MS: i64 = 3_600_000;

#[test]
fn firmware_json_is_what_the_vectors_say_for_everything_that_may_be_told() {
    let mut compared = 0;
    for line in lines("json27_uplink.jsonl") {
        let name = line["name"].as_str().unwrap();
        let reception = reception(name);
        let mut teller = teller(HowOften::OncePerPacket, HowOften::Never, Who::Nobody);
        let told = teller.take(&Record::Reception(Arc::new(reception.clone())));
        let may = reception.consent == Consent::Yes && reception.key_class.is_public();
        assert_eq!(told.len(), usize::from(may), "{name}: {told:?}");
        let Some(told) = told.first() else { continue };
        assert_eq!(told.topic, line["topic"].as_str().unwrap(), "{name}");
        assert!(!told.retain, "{name}");
        let found = json(told);
        // Without a channel list the index is 0.
        for key in ["id", "from", "to", "type", "sender"] {
            assert_eq!(found[key], line["json"][key], "{name}: {key}");
        }
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} vectors may be told");
}

#[test]
fn nothing_is_told_without_consent_verdict_and_a_permitted_channel() {
    let told = |change: fn(&mut Reception), channels: &[&str]| {
        let mut reception = reception("text_default");
        change(&mut reception);
        let settings = Settings {
            firmware_json: HowOften::PerReception,
            packet_json: HowOften::PerReception,
            channels: channels.iter().map(|name| (*name).into()).collect(),
            home_assistant: HomeAssistantSettings { who: Who::Consenting, ..Default::default() },
        };
        !Teller::new(settings, Keyring::default()).take(&Record::Reception(Arc::new(reception))).is_empty()
    };
    assert!(told(|_| {}, &[]));
    assert!(told(|_| {}, &["LongFast"]));
    assert!(!told(|_| {}, &["Works"]), "a channel that is not permitted");
    assert!(!told(|r| r.consent = Consent::No, &[]), "consent declined");
    assert!(!told(|r| r.consent = Consent::Unknown, &[]), "consent unknown");
    assert!(!told(|r| r.decision.verdict = Verdict::RecordOnly, &[]), "not passed on");
    assert!(!told(|r| r.decision.verdict = Verdict::Refuse, &[]), "refused");
    assert!(!told(|r| r.key_class = KeyClass::Private, &[]), "a private channel that is not named");
    assert!(told(|r| r.key_class = KeyClass::Private, &["LongFast"]), "a private channel that is named");
    assert!(!told(|r| r.key_class = KeyClass::Pki, &["LongFast"]), "between two nodes");
    assert!(!told(|r| r.port = Some(6), &[]), "administration");
}

#[test]
fn a_packet_is_told_once_or_for_each_gateway_by_choice() {
    for (how_often, count) in
        [(HowOften::Never, 0), (HowOften::OncePerPacket, 1), (HowOften::PerReception, 2)]
    {
        let mut teller = teller(how_often, HowOften::Never, Who::Nobody);
        let told = (0..2).flat_map(|_| teller.take(&Record::Reception(Arc::new(reception("text_default")))));
        assert_eq!(told.count(), count, "{how_often:?}");
    }
}

#[test]
fn json_never_goes_where_commands_go() {
    let mut reception = reception("text_default");
    reception.topic = "msh/US/CITY/2/e/mqtt/!a5000001".into();
    let mut teller = teller(HowOften::PerReception, HowOften::Never, Who::Nobody);
    assert_eq!(teller.take(&Record::Reception(Arc::new(reception))), []);
}

#[test]
fn the_richer_json_has_units_and_places() {
    let mut teller = teller(HowOften::Never, HowOften::OncePerPacket, Who::Nobody);
    let mut find = |kind: &str| {
        let name = vector_with(|app| app.get(kind).is_some());
        let told = teller.take(&Record::Reception(Arc::new(reception(&name))));
        json(told.first().unwrap())
    };
    let position = find("latitude_i");
    assert_eq!(position["format"], "backhaul.packet/1");
    assert!(position["position"]["latitude"].as_f64().unwrap().abs() > 1.0, "{position}");
    let telemetry = find("environment_metrics");
    assert_eq!(telemetry["units"]["temperature"], "°C", "{telemetry}");
    assert!(telemetry["payload"]["environment_metrics"]["temperature"].is_number(), "{telemetry}");
}

#[test]
fn a_node_becomes_a_device_with_what_it_measures_and_its_name() {
    let mut teller = teller(HowOften::Never, HowOften::Never, Who::Consenting);
    let device = vector_with(|app| app.get("device_metrics").is_some());
    let told = take(&mut teller, reception(&device), 0);
    let battery = find(&told, "/battery_level/config");
    assert!(battery.retain && battery.topic.starts_with("homeassistant/sensor/backhaul_"), "{battery:?}");
    let config = json(battery);
    assert_eq!((&config["device_class"], &config["unit_of_measurement"]), (&"battery".into(), &"%".into()));
    let id = config["state_topic"].as_str().unwrap();
    assert_eq!(find(&told, "/online").payload, b"ON");
    assert!(json(find(&told, "/state"))["battery_level"].is_number());
    assert!(id.ends_with("/state"));
    assert!(told.iter().all(|t| !t.topic.contains("/temperature/")), "no value, no entity");
}

#[test]
fn a_node_that_tells_its_name_is_announced_anew_in_everything_it_has() {
    let mut teller = teller(HowOften::Never, HowOften::Never, Who::Consenting);
    let configs = |told: &[Told]| -> Vec<(String, String)> {
        let configs = told.iter().filter(|t| t.topic.ends_with("/config"));
        configs.map(|t| (t.topic.clone(), json(t)["device"]["name"].as_str().unwrap().to_owned())).collect()
    };
    let before = configs(&take(&mut teller, reception("telemetry_device"), 0));
    assert!(before.len() >= 5 && before.iter().all(|(_, name)| name == "!b6000010"), "{before:?}");
    let after = configs(&take(&mut teller, reception("nodeinfo"), 1_000));
    for (topic, _) in &before {
        let (_, name) = after.iter().find(|(again, _)| again == topic).unwrap();
        assert!(!name.starts_with('!'), "{topic}: {name}");
    }
    let again = configs(&take(&mut teller, reception("nodeinfo_want_response"), 2_000));
    assert_eq!(again, [], "the same name is no news");
}

#[test]
fn a_silent_node_goes_offline_and_later_away() {
    let mut teller = teller(HowOften::Never, HowOften::Never, Who::Consenting);
    let told = take(&mut teller, reception("text_default"), 0);
    assert_eq!(teller.tick(HOUR_MS), []);
    let silent = teller.tick(2 * HOUR_MS);
    assert_eq!((silent.len(), &*silent[0].payload), (1, &b"OFF"[..]));
    assert_eq!(teller.tick(3 * HOUR_MS), [], "said once");
    let gone = teller.tick(14 * 24 * HOUR_MS);
    let retained = told.iter().filter(|t| t.retain).map(|t| &t.topic);
    for topic in retained {
        let forgotten = gone.iter().any(|t| t.topic == *topic && t.payload.is_empty() && t.retain);
        assert!(forgotten, "{topic} stays");
    }
}

#[test]
fn a_node_that_declines_is_taken_back() {
    let mut teller = teller(HowOften::Never, HowOften::Never, Who::Consenting);
    assert!(!take(&mut teller, reception("text_default"), 0).is_empty());
    let mut declined = reception("text_default");
    (declined.consent, declined.decision.verdict) = (Consent::No, Verdict::RecordOnly);
    let told = take(&mut teller, declined, 1);
    assert!(!told.is_empty() && told.iter().all(|t| t.retain && t.payload.is_empty()), "{told:?}");
}

#[test]
fn after_a_restart_names_stay_and_nodes_that_are_not_chosen_are_taken_back() {
    let mut before = teller(HowOften::Never, HowOften::Never, Who::Consenting);
    let kept: Vec<Told> =
        take(&mut before, reception("nodeinfo"), 0).into_iter().filter(|told| told.retain).collect();
    let stored = || kept.iter().map(|told| (&*told.topic, &*told.payload));

    let mut same = teller(HowOften::Never, HowOften::Never, Who::Consenting);
    assert_eq!(same.restore(HOUR_MS, stored()), []);
    let mut again = reception("nodeinfo");
    again.packet.as_mut().unwrap().id += 1;
    let told = take(&mut same, again, HOUR_MS);
    assert!(told.iter().all(|t| !t.topic.ends_with("/config")), "nothing is announced anew: {told:?}");

    let mut nobody = teller(HowOften::Never, HowOften::Never, Who::Nobody);
    let told = nobody.restore(HOUR_MS, stored());
    assert_eq!(told.len(), kept.len());
    assert!(told.iter().all(|t| t.payload.is_empty() && t.retain), "{told:?}");
    assert_eq!(nobody.restore(0, [("homeassistant/sensor/other/x/config", &b"{}"[..])].into_iter()), []);
}

#[test]
fn the_link_of_a_gateway_is_told_when_its_first_client_comes_and_its_last_one_goes() {
    let mut teller = teller(HowOften::Never, HowOften::Never, Who::Chosen);
    let mut event = |client: &str, what| link_of(&connection(&mut teller, client, what));
    let (came, gone) = (ConnectionWhat::Connected("3.1.1"), ConnectionWhat::Disconnected("lost"));
    assert_eq!(event("a", came.clone()).as_deref(), Some("ON"));
    assert_eq!(event("b", came), None);
    assert_eq!(event("a", gone.clone()), None);
    assert_eq!(event("b", gone).as_deref(), Some("OFF"));
}

#[test]
fn the_link_of_a_gateway_that_has_to_consent_is_told_with_its_first_packet() {
    let mut teller = teller(HowOften::Never, HowOften::Never, Who::Consenting);
    assert_eq!(connection(&mut teller, "a", ConnectionWhat::Connected("3.1.1")), []);
    assert_eq!(link_of(&take(&mut teller, reception("text_default"), 0)).as_deref(), Some("ON"));
    assert_eq!(link_of(&take(&mut teller, reception("telemetry_device"), 0)), None, "said once");
}

fn connection(teller: &mut Teller, client: &str, what: ConnectionWhat) -> Vec<Told> {
    let event = ConnectionEvent {
        at_ms: 0,
        client_id: client.into(),
        username: None,
        gateway: Some(NODE),
        address: "192.0.2.1".into(),
        what,
    };
    teller.take(&Record::Connection(Arc::new(event)))
}

fn link_of(told: &[Told]) -> Option<String> {
    let link = told.iter().find(|t| t.topic.ends_with("/link"))?;
    Some(String::from_utf8_lossy(&link.payload).into_owned())
}

fn teller(firmware_json: HowOften, packet_json: HowOften, who: Who) -> Teller {
    let home_assistant = HomeAssistantSettings { who, nodes: vec![NODE], ..Default::default() };
    let settings = Settings { firmware_json, packet_json, channels: Vec::new(), home_assistant };
    Teller::new(settings, Keyring::default())
}

fn take(teller: &mut Teller, mut reception: Reception, at_ms: i64) -> Vec<Told> {
    reception.at_ms = at_ms;
    teller.take(&Record::Reception(Arc::new(reception)))
}

fn find<'a>(told: &'a [Told], end: &str) -> &'a Told {
    told.iter().find(|t| t.topic.ends_with(end)).unwrap_or_else(|| panic!("no {end} in {told:?}"))
}

fn json(told: &Told) -> Json {
    serde_json::from_slice(&told.payload).unwrap()
}

/// The first packet that anyone can read, with consent, whose decoded payload is as wanted.
fn vector_with(wanted: impl Fn(&Json) -> bool) -> String {
    let found = lines("generated.jsonl").into_iter().find(|v| {
        let reception = reception_of(v);
        let may = reception.consent == Consent::Yes && reception.key_class.is_public();
        may && wanted(&v["decoded"]["data"]["app"])
    });
    found.unwrap()["name"].as_str().unwrap().to_owned()
}

fn reception(name: &str) -> Reception {
    reception_of(&lines("generated.jsonl").into_iter().find(|v| v["name"] == name).unwrap())
}

/// A vector as the broker would have recorded it, passed on.
fn reception_of(vector: &Json) -> Reception {
    let topic = vector["topic"].as_str().unwrap();
    let payload = hex::decode(vector["envelope_hex"].as_str().unwrap()).unwrap();
    let mut scratch = Scratch::default();
    let facts = observe(topic, &payload, &Keyring::default(), &mut scratch);
    let packet = facts.packet.map(|p| PacketSummary {
        from: p.from.0,
        to: p.to.0,
        id: p.id,
        hops_away: facts.hops_away,
        ..Default::default()
    });
    Reception {
        seq: 1,
        at_ms: 0,
        client_id: "!a5000001".into(),
        username: None,
        gateway: facts.gateway.map(|g| g.0),
        topic: topic.into(),
        qos: 0,
        retain: false,
        packet,
        channel: facts.channel_id.map(Into::into),
        port: facts.port.map(|p| p.0),
        consent: match facts.consent {
            mesh::observe::Consent::Yes => Consent::Yes,
            mesh::observe::Consent::No => Consent::No,
            mesh::observe::Consent::Unknown => Consent::Unknown,
        },
        key_class: KeyClass::from_code(facts.key_class as u8).unwrap(),
        flags: facts.flags.0,
        frame_bytes: facts.frame_bytes,
        airtime_us: None,
        decision: Decision {
            verdict: Verdict::Accept,
            rule: None,
            sentence: "Passed on.".into(),
            observed: RuleSet::default(),
            off: RuleSet::default(),
        },
        payload: payload.into(),
    }
}

fn lines(file: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
