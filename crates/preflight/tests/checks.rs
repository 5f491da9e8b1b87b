//! Every check has a configuration that passes it and one that does not; files of all three formats say the same; no
//! secret comes out; no file makes it panic.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use preflight::checks::{CHECKS, check};
use preflight::expected::Expected;
use preflight::read::{FILE_BYTES_MAX, Unreadable, read};
use preflight::report::{Level, Report};
use proptest::prelude::*;

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/config").join(name)).unwrap()
}

fn kansas_city() -> Expected {
    Expected {
        mesh: "Kansas City mesh".into(),
        server: Some("mqtt.example.org".into()),
        root: Some("msh/US".into()),
        region: Some("US".into()),
        preset: Some("LONG_FAST".into()),
        ..Expected::default()
    }
}

fn report_of(bytes: &[u8]) -> Report {
    check(&read(bytes).unwrap(), &kansas_city())
}

/// One channel as protobuf: PSK, name, uplink, downlink, precision.
fn channel(psk: &[u8], name: &str, uplink: bool, downlink: bool, precision: Option<u8>) -> Vec<u8> {
    let mut c = vec![0x12, psk.len() as u8];
    c.extend(psk);
    c.extend([0x1a, name.len() as u8]);
    c.extend(name.as_bytes());
    c.extend([0x28, uplink.into(), 0x30, downlink.into()]);
    if let Some(bits) = precision {
        c.extend([0x3a, 2, 0x08, bits]);
    }
    [vec![0x0a, c.len() as u8], c].concat()
}

fn link(channels: &[Vec<u8>]) -> String {
    format!("https://meshtastic.org/e/#{}", URL_SAFE_NO_PAD.encode(channels.concat()))
}

/// An export of a gateway that nothing is said against, with some lines changed. Keys are `section.key`.
fn export(changes: &[(&str, &str)]) -> String {
    let private = channel(&[7; 32], "Ops", true, false, Some(13));
    let mut lines = BTreeMap::from([
        ("channel_url", link(&[private])),
        ("config.lora.configOkToMqtt", "true".into()),
        ("config.lora.region", "US".into()),
        ("config.lora.txEnabled", "true".into()),
        ("config.lora.usePreset", "true".into()),
        ("config.network.wifiEnabled", "true".into()),
        ("config.position.fixedPosition", "true".into()),
        ("module_config.mqtt.address", "mqtt.example.org".into()),
        ("module_config.mqtt.enabled", "true".into()),
        ("module_config.mqtt.encryptionEnabled", "true".into()),
        ("module_config.mqtt.password", "their-own".into()),
        ("module_config.mqtt.root", "msh/US".into()),
        ("module_config.mqtt.tlsEnabled", "true".into()),
        ("module_config.mqtt.username", "gw-01".into()),
    ]);
    changes.iter().for_each(|(key, value)| drop(lines.insert(key, (*value).to_owned())));
    let mut yaml = String::new();
    let mut open: Vec<&str> = Vec::new();
    for (key, value) in &lines {
        let levels: Vec<&str> = key.split('.').collect();
        let common = open.iter().zip(&levels).take_while(|(a, b)| a == b).count();
        for (depth, level) in levels.iter().enumerate().skip(common) {
            let is_last = depth + 1 == levels.len();
            let value = if is_last { format!(" {value}") } else { String::new() };
            yaml.push_str(&format!("{}{level}:{value}\n", "  ".repeat(depth)));
        }
        open = levels;
    }
    yaml
}

#[test]
fn a_gateway_as_it_should_be_passes_everything() {
    let report = report_of(export(&[]).as_bytes());
    let others: Vec<_> = report.findings.iter().filter(|f| f.level != Level::Pass).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert_eq!(report.sentence(), "Ready: nothing has to be changed.");
    assert_eq!(report.findings.len(), CHECKS.len());
}

/// The check, what it says, and the change that makes it say so.
type Objection = (&'static str, Level, Vec<(&'static str, String)>);

fn objections() -> Vec<Objection> {
    use Level::{Fail, Warn};
    let one = |key: &'static str, value: &str| vec![(key, value.to_owned())];
    let channels = |list: &[Vec<u8>]| vec![("channel_url", link(list))];
    let lora = |key: &'static str, value: &str| one(key, value);
    let private = || channel(&[7; 32], "Ops", true, false, Some(13));
    let sensor =
        |on: &'static str, every: &'static str| vec![(on, "true".to_owned()), (every, "60".to_owned())];
    vec![
        ("mqtt-enabled", Fail, one("module_config.mqtt.enabled", "false")),
        ("mqtt-server", Fail, one("module_config.mqtt.address", "''")),
        ("mqtt-server", Fail, one("module_config.mqtt.address", "elsewhere.example")),
        ("mqtt-server", Fail, one("module_config.mqtt.address", "mqtt://gw:secret@mqtt.example.org")),
        ("mqtt-credential", Fail, one("module_config.mqtt.username", "meshdev")),
        ("mqtt-credential", Fail, one("module_config.mqtt.password", "large4cats")),
        ("mqtt-credential", Fail, one("module_config.mqtt.password", "''")),
        ("mqtt-root", Fail, one("module_config.mqtt.root", "msh/US/")),
        ("mqtt-root", Fail, one("module_config.mqtt.root", "msh//US")),
        ("mqtt-root", Fail, one("module_config.mqtt.root", "msh/EU_868")),
        ("mqtt-root", Fail, one("module_config.mqtt.root", "msh/US/Missouri/KansasCity/North")),
        ("mqtt-root", Fail, one("module_config.mqtt.root", "msh/+")),
        ("mqtt-tls", Warn, one("module_config.mqtt.tlsEnabled", "false")),
        ("internet", Fail, one("config.network.wifiEnabled", "false")),
        ("phone-proxy", Warn, one("module_config.mqtt.proxyToClientEnabled", "true")),
        ("power-saving", Warn, one("config.power.isPowerSaving", "true")),
        ("region", Fail, one("config.lora.region", "UNSET")),
        ("region", Fail, one("config.lora.region", "EU_868")),
        ("preset", Fail, one("config.lora.modemPreset", "MEDIUM_FAST")),
        ("preset", Warn, one("config.lora.usePreset", "false")),
        ("hop-limit", Warn, lora("config.lora.hopLimit", "7")),
        ("hop-limit", Fail, lora("config.lora.hopLimit", "99")),
        ("transmit", Warn, lora("config.lora.txEnabled", "false")),
        ("duty-cycle", Fail, lora("config.lora.overrideDutyCycle", "true")),
        ("role", Fail, one("config.device.role", "TRACKER")),
        ("role", Warn, one("config.device.role", "ROUTER")),
        ("role", Warn, one("config.device.role", "SENSOR")),
        ("fixed-position", Warn, one("config.position.fixedPosition", "false")),
        ("uplink", Fail, channels(&[channel(&[7; 32], "Ops", false, false, None)])),
        ("uplink", Warn, channels(&[private(), private()])),
        ("downlink", Fail, channels(&[channel(&[1], "", true, true, None)])),
        ("downlink", Warn, channels(&[channel(&[7; 32], "Ops", true, true, None)])),
        (
            "ignore-mqtt",
            Fail,
            vec![
                ("channel_url", link(&[channel(&[7; 32], "Ops", true, true, None)])),
                ("config.lora.ignoreMqtt", "true".into()),
            ],
        ),
        ("public-key", Warn, channels(&[channel(&[1], "", true, false, None)])),
        ("public-key", Warn, channels(&[channel(&[4], "Ops", true, false, None)])),
        ("public-key", Warn, channels(&[channel(&[], "Ops", true, false, None)])),
        ("position-precision", Fail, channels(&[channel(&[1], "", true, false, Some(32))])),
        ("position-precision", Fail, channels(&[channel(&[1], "", true, false, Some(16))])),
        ("mqtt-encryption", Fail, one("module_config.mqtt.encryptionEnabled", "false")),
        ("ok-to-mqtt", Warn, lora("config.lora.configOkToMqtt", "false")),
        ("json", Warn, one("module_config.mqtt.jsonEnabled", "true")),
        (
            "map-report",
            Warn,
            vec![
                ("module_config.mqtt.mapReportingEnabled", "true".into()),
                ("module_config.mqtt.mapReportSettings.positionPrecision", "32".into()),
            ],
        ),
        ("position-interval", Warn, one("config.position.positionBroadcastSecs", "60")),
        (
            "position-interval",
            Warn,
            vec![
                ("config.position.positionBroadcastSmartEnabled", "true".into()),
                ("config.position.broadcastSmartMinimumIntervalSecs", "30".into()),
            ],
        ),
        ("node-info-interval", Warn, one("config.device.nodeInfoBroadcastSecs", "900")),
        (
            "device-metrics",
            Fail,
            sensor(
                "module_config.telemetry.deviceTelemetryEnabled",
                "module_config.telemetry.deviceUpdateInterval",
            ),
        ),
        (
            "sensors",
            Fail,
            sensor("module_config.telemetry.airQualityEnabled", "module_config.telemetry.airQualityInterval"),
        ),
        (
            "neighbor-info",
            Warn,
            vec![
                ("module_config.neighborInfo.enabled", "true".into()),
                ("module_config.neighborInfo.transmitOverLora", "true".into()),
            ],
        ),
        (
            "range-test",
            Fail,
            vec![
                ("module_config.rangeTest.enabled", "true".into()),
                ("module_config.rangeTest.sender", "30".into()),
            ],
        ),
        ("other-modules", Warn, one("module_config.serial.enabled", "true")),
        ("syslog", Fail, one("config.network.rsyslogServer", "203.0.113.9:514")),
        ("debug-log", Fail, one("config.security.debugLogApiEnabled", "true")),
        ("admin-channel", Fail, one("config.security.adminChannelEnabled", "true")),
        ("udp-mesh", Warn, one("config.network.enabledProtocols", "1")),
    ]
}

#[test]
fn every_check_objects_to_what_it_is_for_and_to_nothing_else_of_its_kind() {
    let mut tested = BTreeSet::new();
    for (id, level, changes) in objections() {
        tested.insert(id);
        let changes: Vec<(&str, &str)> = changes.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let report = report_of(export(&changes).as_bytes());
        let worst = report.findings.iter().filter(|f| f.id == id).min_by_key(|f| f.level).unwrap();
        assert_eq!(worst.level, level, "{id} with {changes:?}: {}", worst.evidence);
        let is_mended_by_hand = matches!(id, "public-key" | "uplink" | "mqtt-server" | "mqtt-credential");
        assert!(is_mended_by_hand || !worst.fixes.is_empty(), "{id} says what to change");
    }
    for check in CHECKS {
        assert!(tested.contains(check.id), "{} has no case", check.id);
    }
}

#[test]
fn an_export_and_a_profile_of_the_same_node_say_the_same() {
    for name in ["good_fixed_private_channel", "good_uplink_only"] {
        let (yaml, profile) = (sample(&format!("{name}.yaml")), sample(&format!("{name}.cfg")));
        assert_eq!(report_of(&yaml).findings, report_of(&profile).findings, "{name}");
        assert!(report_of(&yaml).is_ready(), "{name}");
    }
}

#[test]
fn snake_case_is_understood() {
    let snake = export(&[])
        .replace("txEnabled", "tx_enabled")
        .replace("encryptionEnabled", "encryption_enabled")
        .replace("channel_url", "channelUrl")
        .replace("module_config", "moduleConfig");
    assert_eq!(report_of(snake.as_bytes()).findings, report_of(export(&[]).as_bytes()).findings);
}

#[test]
fn a_channel_link_answers_what_it_can() {
    let report = report_of(link(&[channel(&[1], "", true, true, Some(32))]).as_bytes());
    let level = |id: &str| report.findings.iter().find(|f| f.id == id).unwrap().level;
    assert_eq!((level("downlink"), level("position-precision")), (Level::Fail, Level::Fail));
    assert_eq!((level("mqtt-enabled"), level("role")), (Level::Unknown, Level::Unknown));
}

#[test]
fn everything_that_is_bad_is_found_and_nothing_secret_is_said() {
    let yaml = String::from_utf8(sample("bad_everything.yaml")).unwrap();
    let said = format!("{:#} {:?}", report_of(yaml.as_bytes()).to_json(), read(yaml.as_bytes()));
    for secret in ["example-mqtt-secret", "example-wifi-secret", "ICEiIyQl", "CgsSAQEo", "13.405"] {
        assert!(!said.contains(secret), "{secret} is in {said}");
    }
    assert!(report_of(yaml.as_bytes()).count(Level::Fail) >= 11);
}

#[test]
fn what_is_no_configuration_is_answered_with_what_would_be_one() {
    for (bytes, error) in [
        (&b""[..], Unreadable::Empty),
        (b"\xef\xbb\xbf  \n", Unreadable::Empty),
        (b"- a\n- b\n", Unreadable::Unknown),
        (b"a: b\n", Unreadable::NoNodeConfig),
        (b"\x00\x01\x02", Unreadable::Unknown),
        (b"PK\x03\x04 something zipped", Unreadable::Unknown),
    ] {
        assert_eq!(read(bytes).unwrap_err(), error, "{bytes:?}");
    }
    assert_eq!(read(&vec![b'a'; FILE_BYTES_MAX + 1]).unwrap_err(), Unreadable::TooLarge);
    assert!(matches!(read(b"https://meshtastic.org/e/#Cgs").unwrap_err(), Unreadable::Link(_)));
    // A file of lists in lists, and one whose aliases would fill the memory.
    assert!(read("[".repeat(10_000).as_bytes()).is_err());
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..30 {
        bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", ")));
    }
    assert!(read(bomb.as_bytes()).is_err());
}

#[test]
fn settings_that_make_no_sense_are_remarked_on_and_not_ready() {
    let report =
        report_of(export(&[("config.device.role", "KING"), ("config.lora.region", "[1, 2]")]).as_bytes());
    assert_eq!(report.remarks.len(), 2, "{:?}", report.remarks);
    assert!(!report.is_ready());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(config) = read(&bytes) {
            let _ = check(&config, &Expected::default()).to_json();
        }
    }

    #[test]
    fn no_damage_to_a_real_file_makes_it_panic(at in 0usize..4000, byte: u8, cfg: bool) {
        let mut bytes = sample(if cfg { "good_fixed_private_channel.cfg" } else { "bad_everything.yaml" });
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(config) = read(&bytes) {
            let _ = check(&config, &Expected::default()).to_json();
        }
    }

    #[test]
    fn a_password_is_never_said(password in "[a-zA-Z0-9]{12,31}") {
        let yaml = export(&[("module_config.mqtt.password", &password), ("config.network.wifiPsk", &password),
            ("config.security.privateKey", &password)]);
        let config = read(yaml.as_bytes()).unwrap();
        let said = format!("{config:?} {}", check(&config, &kansas_city()).to_json());
        prop_assert!(!said.contains(&password));
    }
}
