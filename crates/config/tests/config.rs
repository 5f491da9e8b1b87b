//! The configuration's promises, through its public face: text in, values or diagnostics out.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use config::keys::{Crossing, Disposition, LogLevel};
use config::{
    Config, PolicyFile, Psk, RuleDoc, RuleState, Secrets, document, json_schema, policy_document,
    policy_schema,
};
use proptest::prelude::*;

const RULES: &[RuleDoc] = &[
    RuleDoc { id: "identity", default: RuleState::Enforce, doc: "The gateway must be itself." },
    RuleDoc { id: "public-key", default: RuleState::Observe, doc: "Anyone can read it." },
];

/// Every key: some values that are allowed and some that are not, as TOML.
const CASES: &[(&str, &[&str], &[&str])] = &[
    ("data", &["'a'", "'/var/lib/x'"], &["''", "5", "\"a\\u0000b\""]),
    ("policy", &["'policy.toml'"], &["''", "{}"]),
    ("alerts", &["'alerts.toml'"], &["''", "{}"]),
    (
        "mqtt.listen",
        &["'127.0.0.1:0'", "'[::1]:1883'"],
        &["1883", "'localhost:1883'", "'0.0.0.0'", "'0.0.0.0:65536'"],
    ),
    (
        "mqtt.max_packet_size",
        &["1024", "268_435_460", "0x10000"],
        &["1023", "268435461", "'65536'", "1e5", "99999999999999999999"],
    ),
    ("mqtt.max_connections", &["1", "1000000"], &["0", "1000001", "-1"]),
    ("mqtt.connect_timeout_s", &["1", "300"], &["0", "301", "1.5"]),
    ("mqtt.stop_grace_s", &["0", "300"], &["-1", "301"]),
    ("mqtt.keep_alive_max_s", &["15", "65535"], &["14", "65536"]),
    ("mqtt.session_expiry_max_s", &["0", "4294967295"], &["-1", "4294967296"]),
    ("mqtt.receive_maximum", &["1", "65535"], &["0", "65536"]),
    ("mqtt.queue_messages_max", &["1", "1000000"], &["0", "1000001"]),
    ("mqtt.queue_bytes_max", &["1024", "1073741824"], &["1023", "1073741825"]),
    ("mqtt.topic_levels_max", &["8", "1024"], &["7", "1025"]),
    ("mqtt.topic_alias_maximum", &["0", "65535"], &["-1", "65536"]),
    ("mqtt.subscriptions_max", &["1", "100000"], &["0", "100001"]),
    ("mqtt.persistence", &["true", "false"], &["1", "'true'"]),
    ("mqtt.unkept_max", &["100", "10000000"], &["99", "10000001"]),
    ("mqtt.retained_max", &["0", "10000000"], &["-1", "10000001"]),
    ("mqtt.retained_bytes_max", &["0", "1099511627776"], &["-1", "1099511627777"]),
    ("mqtt.sessions_max", &["1", "10000000"], &["0", "10000001"]),
    ("mqtt.connect_bytes_max", &["256", "1048576"], &["255", "1048577"]),
    ("mqtt.connections_per_address_max", &["1", "1000000"], &["0", "1000001"]),
    ("mqtt.connections_per_credential_max", &["1", "1000000"], &["0", "1000001"]),
    ("mqtt.connects_per_second_max", &["1", "1000000"], &["0", "1000001"]),
    ("mqtt.connects_per_address_per_minute_max", &["1", "1000000"], &["0", "1000001"]),
    ("mqtt.sign_in_free_tries", &["1", "1000000"], &["0", "1000001"]),
    ("mqtt.topic_bytes_max", &["64", "65535"], &["63", "65536"]),
    ("mqtt.subscriptions_total_max", &["1", "100000000"], &["0", "100000001"]),
    ("mqtt.partial_bytes_max", &["65536", "1099511627776"], &["65535", "1099511627777"]),
    ("mqtt.memory_bytes_max", &["1048576", "1099511627776"], &["1048575", "1099511627777"]),
    ("mqtt.seen_packets_max", &["1000", "10000000"], &["999", "10000001"]),
    ("mqtt.sys_interval_s", &["0", "3600"], &["-1", "3601"]),
    ("tls.certificate", &["'/a/b.pem'"], &["''", "1"]),
    ("tls.key", &["'/a/b.pem'"], &["''", "true"]),
    (
        "tls.names",
        &["[]", "['mesh.example.org', '*.example.org', '10.0.0.1', '::1']"],
        &["'a'", "['']", "['-a']", "['a b']", "[5]"],
    ),
    ("tls.acme", &["'off'", "'http-01'", "'tls-alpn-01'"], &["'dns-01'", "true"]),
    ("tls.acme_directory", &["'https://acme.example.org/directory'"], &["'acme.example.org'"]),
    ("tls.acme_directory_ca", &["'ca.pem'"], &["''"]),
    ("tls.acme_contact", &["'mailto:a@example.org'"], &["''", "5"]),
    ("tls.acme_http_listen", &["'0.0.0.0:5002'"], &["80"]),
    ("web.map_attribution", &["'© OpenStreetMap contributors'"], &["''", "7"]),
    (
        "web.map_tiles",
        &["'https://tiles.example.org/{z}/{x}/{y}.png'"],
        &["'tiles.example.org'", "'https://u:p@x/{z}'", "7"],
    ),
    ("web.tls", &["true", "false"], &["'yes'", "1"]),
    ("web.listen", &["'127.0.0.1:0'"], &["8080", "':8080'"]),
    (
        "web.public_url",
        &["'https://mesh.example.org'", "'http://10.0.0.1:8080/mesh/'"],
        &[
            "'mesh.example.org'",
            "'ftp://x'",
            "'https://'",
            "'https:///x'",
            "'https://u:p@x'",
            "'https://a b'",
            "true",
        ],
    ),
    ("web.api_per_minute", &["10", "1000000"], &["9", "1000001", "'many'"]),
    ("web.api_per_minute_signed_in", &["10"], &["0"]),
    ("web.metrics_from", &["[]", "['10.0.0.0/8']"], &["'10.0.0.1'", "['there']"]),
    ("automation.json", &["'off'"], &["'sometimes'", "true"]),
    ("automation.packets", &["'off'"], &["'sometimes'"]),
    ("automation.channels", &["['LongFast']"], &["['']"]),
    ("automation.home_assistant", &["'off'"], &["'all'"]),
    ("automation.home_assistant_nodes", &["['!7c5a0a01']"], &["['Router 1']"]),
    ("automation.home_assistant_prefix", &["'homeassistant'"], &["''"]),
    ("automation.home_assistant_silent_s", &["60", "604800"], &["59", "604801"]),
    ("mesh.node_name", &["'Backhaul'"], &["''", "1"]),
    ("mesh.name", &["'KC'", "'Maße'"], &["''", "'  '", "\"a\\nb\"", "7"]),
    (
        "mesh.root",
        &["'msh/US/KC'", "'kc'"],
        &["''", "'msh/'", "'/msh'", "'msh/#'", "'a/+'", "'$SYS'", "'msh/US/MO/Kansas City/Liberty/xy'"],
    ),
    ("mesh.region", &["'EU_868'"], &["'UNSET'", "'us'", "1"]),
    ("mesh.preset", &["'MEDIUM_FAST'"], &["'LongFast'", "0"]),
    ("policy.hop_limit_max", &["0", "7"], &["8", "-1", "true"]),
    ("policy.consent_no", &["'accept'", "'record-only'", "'refuse'"], &["'reject'", "false"]),
    ("policy.consent_unknown", &["'accept'"], &["'yes'"]),
    ("policy.public_key", &["'refuse'"], &["'no'"]),
    ("policy.public_channels", &["[]", "['LongFast']"], &["'LongFast'", "['']", "[1]"]),
    ("policy.granted_ports", &["['66']"], &["['512']", "['range test']", "[66]"]),
    ("policy.late_max_s", &["1", "604800"], &["0", "604801"]),
    ("policy.early_max_s", &["1", "604800"], &["0", "604801"]),
    ("policy.key_days", &["1", "3650"], &["0", "3651"]),
    ("policy.travel_kmh_max", &["1", "100000"], &["0", "100001"]),
    ("policy.travel_km_min", &["1", "20000"], &["0", "20001"]),
    ("policy.travel_slack_s", &["1", "86400"], &["0", "86401"]),
    ("policy.direct_km_max", &["1", "20000"], &["0", "20001"]),
    ("policy.at_once_s", &["1", "86400"], &["0", "86401"]),
    ("policy.moved_distance_m", &["10", "1000000"], &["9", "1000001"]),
    ("policy.moved_reports", &["1", "20"], &["0", "21"]),
    ("policy.hearing_window_h", &["1", "168"], &["0", "169"]),
    ("policy.hearing_same_percent", &["0", "100"], &["101", "-1"]),
    ("policy.blocked_nodes", &["['!7c5a0a01']"], &["['7c5a0a01']", "['!7c5a']", "['!7c5a0a0g']"]),
    ("policy.blocked_gateways", &["['!7c5a0a01', '!7C5A0A02']"], &["'!7c5a0a01'"]),
    ("policy.blocked_networks", &["['203.0.113.0/24', '2001:db8::/32']"], &["['somewhere']"]),
    ("policy.outside", &["['bridge']"], &["['']"]),
    ("policy.opaque", &["'refuse'"], &["'Accept'"]),
    ("policy.copies_per_island", &["1", "64"], &["0", "65"]),
    ("policy.direct_heard_within_s", &["60", "2592000"], &["59", "2592001"]),
    ("policy.direct_gateways_max", &["1", "6"], &["0", "7"]),
    ("policy.airtime_island", &["0", "1000"], &["-1", "1001"]),
    ("policy.airtime_gateway", &["0", "1000"], &["-1", "1001"]),
    ("policy.airtime_channel", &["0", "1000"], &["-1", "1001"]),
    ("policy.airtime_node", &["0", "1000"], &["-1", "1001"]),
    ("policy.quiet_percent", &["0", "100"], &["-1", "101"]),
    ("policy.busy_percent", &["1", "100"], &["0", "101"]),
    ("policy.busy_share", &["0", "100"], &["-1", "101"]),
    ("policy.relays_per_hop", &["0", "100"], &["-1", "101"]),
    ("policy.messages_per_minute", &["1", "1000000"], &["0", "1000001"]),
    ("policy.messages_at_once", &["1", "1000000"], &["0", "1000001"]),
    ("policy.telemetry_interval_s", &["0", "86400"], &["-1", "86401"]),
    ("policy.position_interval_s", &["0", "86400"], &["-1", "86401"]),
    ("policy.node_info_interval_s", &["0", "86400"], &["-1", "86401"]),
    ("policy.stream_packets_max", &["1", "100000"], &["0", "100001"]),
    ("policy.stream_large_max", &["1", "100000"], &["0", "100001"]),
    ("policy.uplink_airtime_node", &["0", "1000"], &["-1", "1001"]),
    ("policy.uplink_airtime_gateway", &["0", "1000"], &["-1", "1001"]),
    ("policy.hold_objections", &["1", "1000000"], &["0", "1000001"]),
    ("policy.model", &["'zero-hop'", "'text-only'"], &["'everything'"]),
    ("policy.model_of_island", &["['!7c5a0a01=text-only']"], &["['text-only']", "['=a']"]),
    ("policy.model_of_channel", &["['LongFast=uplink-only']"], &["'LongFast'"]),
    ("policy.pinned", &["['!7c5a0a02=!7c5a0a01']"], &["['!7c5a0a02']"]),
    ("policy.never_held", &["['!7c5a0a01']"], &["['router']"]),
    ("policy.unknown_to_all", &["true"], &["'yes'"]),
    ("policy.downlink_hold_ms", &["0", "60000"], &["-1", "60001"]),
    ("policy.downlink_verified_days", &["1", "366"], &["0", "367"]),
    ("policy.downlink_age_message_s", &["1", "86400"], &["0", "86401"]),
    ("policy.downlink_age_route_s", &["1", "86400"], &["0", "86401"]),
    ("policy.downlink_age_node_info_s", &["1", "86400"], &["0", "86401"]),
    ("policy.downlink_age_position_s", &["1", "86400"], &["0", "86401"]),
    ("policy.downlink_age_telemetry_s", &["1", "86400"], &["0", "86401"]),
    ("policy.downlink_age_other_s", &["1", "86400"], &["0", "86401"]),
    ("policy.downlink_messages_per_s", &["1", "1000"], &["0", "1001"]),
    ("policy.downlink_messages_at_once", &["1", "1000"], &["0", "1001"]),
    ("policy.downlink_bytes_per_s", &["64", "10000000"], &["63", "10000001"]),
    ("policy.downlink_in_flight_max", &["1", "1000"], &["0", "1001"]),
    ("policy.downlink_waiting_max", &["1", "1000"], &["0", "1001"]),
    ("policy.duplicate_window_s", &["1", "86400"], &["0", "86401"]),
    ("policy.downlink_packet_max_bytes", &["64", "1024"], &["63", "1025"]),
    ("policy.rules.identity", &["'off'", "'observe'", "'enforce'"], &["'on'", "false", "{}"]),
    ("policy.rules.public-key", &["'off'"], &["1"]),
    ("history.enabled", &["true", "false"], &["1", "'true'"]),
    ("history.commit_interval_ms", &["1", "10000"], &["0", "10001"]),
    ("history.batch_max", &["1", "100000"], &["0", "100001"]),
    ("history.keep_days", &["0", "36500"], &["-1", "36501"]),
    ("history.keep_connections_days", &["0", "36500"], &["-1", "36501"]),
    ("history.keep_bytes_days", &["0", "36500"], &["-1", "36501"]),
    ("history.keep_text_days", &["0", "36500"], &["-1", "36501"]),
    ("history.keep_position_days", &["0", "36500"], &["-1", "36501"]),
    ("history.keep_telemetry_days", &["0", "36500"], &["-1", "36501"]),
    ("history.keep_decisions_days", &["0", "36500"], &["-1", "36501"]),
    ("history.keep_owners_days", &["0", "36500"], &["-1", "36501"]),
    ("history.queue_max", &["100", "10000000"], &["99", "10000001"]),
    ("log.level", &["'error'", "'trace'"], &["'loud'", "3"]),
];

#[test]
fn every_key_takes_what_is_allowed_and_refuses_what_is_not() {
    for (key, good, bad) in CASES {
        for value in *good {
            // The queue must hold a packet, so the two keys move together.
            let beside = match *key {
                "mqtt.max_packet_size" => "mqtt.queue_bytes_max = 1_073_741_824",
                "tls.acme" => "tls.names = ['mesh.example.org']",
                "tls.certificate" => "tls.key = 'k'",
                "tls.key" => "tls.certificate = 'c'",
                "mqtt.queue_bytes_max" => "mqtt.max_packet_size = 1024",
                _ => "",
            };
            let text = assignment(key, value) + beside;
            assert!(problems_of(key, &text).is_none(), "{text}: {}", problems_of(key, &text).unwrap());
        }
        for value in *bad {
            let text = assignment(key, value);
            let problems = problems_of(key, &text).expect(&text);
            assert_eq!(problems.len(), 1, "{text}: {problems}");
            let shown = problems.to_string();
            let words = format!("`{}` must be ", key.strip_prefix("policy.").unwrap_or(key));
            assert!(
                shown.starts_with("test.toml:1:") && shown.contains(&words) && shown.contains("but is "),
                "{shown}"
            );
        }
    }
}

#[test]
fn every_key_of_the_schema_is_tested_here() {
    let mut in_schema = BTreeSet::new();
    for (schema, path) in [(json_schema(), ""), (policy_schema(RULES), "policy")] {
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        collect_keys(&schema, path, &mut in_schema);
    }
    let tested: BTreeSet<String> = CASES.iter().map(|(key, _, _)| (*key).to_owned()).collect();
    assert_eq!(in_schema, tested);
}

#[test]
fn an_empty_file_gives_the_documented_defaults() {
    let config = Config::default();
    assert_eq!(load("").unwrap(), config);
    assert_eq!(config.top.data, Path::new("backhaul-data"));
    assert_eq!(config.mqtt.listen.unwrap().to_string(), "0.0.0.0:1883");
    assert_eq!(config.web.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.web.public_url, None);
    assert_eq!(config.log.level, LogLevel::Info);
    assert!(config.channels.is_empty());
    let policy = PolicyFile::default(RULES);
    assert_eq!(load_policy("").unwrap(), policy);
    assert_eq!(policy.policy.hop_limit_max, 1);
    assert_eq!(policy.policy.consent_unknown, Disposition::RecordOnly);
    assert_eq!(policy.rule("identity"), Some(RuleState::Enforce));
    assert_eq!(policy.rule("nothing"), None);
}

#[test]
fn the_example_file_says_the_defaults_and_every_key() {
    let (text, policy) = (document(), policy_document(RULES));
    assert_eq!(load(&text).unwrap(), Config::default());
    assert_eq!(load_policy(&policy).unwrap(), PolicyFile::default(RULES));
    for (key, _, _) in CASES {
        let name = key.rsplit('.').next().unwrap();
        let text = if key.starts_with("policy.") { &policy } else { &text };
        assert!(text.contains(&format!("\n{name} = ")) || text.contains(&format!("\n# {name} = ")), "{key}");
    }
    assert!(text.lines().chain(policy.lines()).all(|line| line.chars().count() <= 100));
}

#[test]
fn everything_wrong_is_reported_at_once_in_the_order_of_the_file() {
    let text = "\
dta = 'x'
[mqtt]
listen = 'banana'
  max_packet_sise = 5
[web]
public_url = 7
[sky]
blue = true
[log]
colour = 'blue'
";
    check(
        text,
        "\
test.toml:1:1: unknown key `dta`: did you mean `data`?
test.toml:3:10: `mqtt.listen` must be an IP address and port, such as \"0.0.0.0:1883\" (all), \"127.0.0.1:1883\" \
(this machine only) or \"[::]:1883\", or \"none\", but is the text \"banana\"
test.toml:4:3: unknown key `mqtt.max_packet_sise`: did you mean `max_packet_size`?
test.toml:6:14: `web.public_url` must be an address such as \"https://mesh.example.org\", but is the number 7
test.toml:7:2: unknown key `sky`: allowed here are `data`, `policy`, `alerts`, `mqtt`, `tls`, `web`, `mesh`, `automation`, `history`, `log`, `channel`, `listener`, `bridge`
test.toml:10:1: unknown key `log.colour`: allowed here are `level`",
    );
}

#[test]
fn everything_wrong_with_a_policy_is_reported_at_once() {
    let text = "\
consent_no = 'refused'
hop_limt_max = 1
listen = 'x'
sky = 'blue'
[rules]
identiy = 'off'
public-key = 'enforced'
nonsense-of-a-rule = 'off'
hop_limit_max = 1
[policy.rules]
";
    let expected = "\
test.toml:1:14: `consent_no` must be one of \"accept\", \"record-only\", \"refuse\", but is the text \"refused\"; \
did you mean \"refuse\"?
test.toml:2:1: unknown key `hop_limt_max`: did you mean `hop_limit_max`?
test.toml:3:1: unknown key `listen`: `mqtt.listen` belongs to the configuration file
test.toml:4:1: unknown key `sky`: `backhaul policy docs` prints every key
test.toml:6:1: unknown rule `identiy`: did you mean `identity`?
test.toml:7:14: `rules.public-key` must be \"off\", \"observe\" or \"enforce\", but is the text \"enforced\"; \
did you mean \"enforce\"?
test.toml:8:1: unknown rule `nonsense-of-a-rule`: the rules are `identity`, `public-key`
test.toml:9:1: unknown rule `hop_limit_max`: it is a parameter and stands before the line `[rules]`
test.toml:10:2: unknown key `policy`: the keys of the policy stand in this file without a table around them";
    assert_eq!(load_policy(text).unwrap_err().to_string(), expected);
}

#[test]
fn a_policy_is_not_read_without_end() {
    let text = "#".repeat(config::POLICY_BYTES_MAX + 1);
    assert!(load_policy(&text).unwrap_err().to_string().contains("at most 1048576 bytes"));
    assert!(load_policy(&text[1..]).is_ok());
}

#[test]
fn a_key_in_the_wrong_table_is_led_home() {
    check(
        "listen = '0.0.0.0:1'",
        "test.toml:1:1: unknown key `listen`: did you mean `mqtt.listen` or `web.listen`?",
    );
    check(
        "[web]\nretained_max = 5",
        "test.toml:2:1: unknown key `web.retained_max`: did you mean `mqtt.retained_max`?",
    );
}

#[test]
fn tables_and_values_are_not_confused() {
    check("mqtt = 5", "test.toml:1:8: `mqtt` must be a table, but is the number 5");
    check(
        "[policy]\nrules = 'off'",
        "test.toml:1:1: `policy` must be the path of a file, such as \"/etc/backhaul/key.pem\", but is a table",
    );
    check("[[mesh]]\nname = 'x'", "test.toml:1:1: `mesh` must be a table, but is a list of 1");
    check("channel = 5", "test.toml:1:11: `channel` must be written as `[[channel]]`, but is the number 5");
    check("channel = [1]", "test.toml:1:12: `channel` must be a list of tables, but has the number 1");
}

#[test]
fn two_listeners_need_two_addresses() {
    check(
        "[mqtt]\nlisten = '0.0.0.0:1883'\n[web]\nlisten = '0.0.0.0:1883'",
        "test.toml:4:10: `mqtt.listen` and `web.listen` must differ, but both are 0.0.0.0:1883",
    );
    assert!(load("[mqtt]\nlisten = '0.0.0.0:0'\n[web]\nlisten = '0.0.0.0:0'").is_ok());
}

#[test]
fn listeners_have_limits_and_tls_settings_of_their_own() {
    let text = "\
[mqtt]
listen = 'none'
[[listener]]
name = 'secure'
address = '[::]:8883'
kind = 'tls'
certificate = 'chain.pem'
key = '/etc/key.pem'
max_connections = 500
connections_per_address = 3
client_certificates = 'optional'
client_ca = 'ca.pem'
certificate_is_credential = true
guests = false
[[listener]]
name = 'behind'
address = '127.0.0.1:1884'
proxy_protocol = 'any'
proxy_from = ['10.0.0.0/8', '::1']
connect_timeout_s = 3
max_packet_size = 2048
";
    let config =
        Config::load_with(Path::new("/etc/b/test.toml"), text, &KnownSecrets(BTreeMap::new())).unwrap();
    assert_eq!(config.mqtt.listen, None);
    let [secure, behind] = config.listeners.as_slice() else { panic!("two listeners") };
    assert!(secure.is_tls() && !behind.is_tls() && !secure.guests && behind.guests);
    assert_eq!(secure.certificate.as_deref(), Some(Path::new("/etc/b/chain.pem")));
    assert_eq!(secure.key.as_deref(), Some(Path::new("/etc/key.pem")));
    assert_eq!((secure.max_connections, secure.connections_per_address), (Some(500), Some(3)));
    assert_eq!((behind.max_connections, behind.connect_timeout_s), (None, Some(3)));
    assert!(behind.proxy_from[0].contains(&"10.1.2.3".parse::<std::net::IpAddr>().unwrap()));
    assert!(behind.proxy_from[1].contains(&"::1".parse::<std::net::IpAddr>().unwrap()));
}

#[test]
fn wrong_listeners_are_reported_with_their_place() {
    check(
        "\
[[listener]]
kind = 'udp'
[[listener]]
name = 'a'
address = '0.0.0.0:1883'
prox_from = []
certificate = 'x'
[[listener]]
name = 'a'
address = '[::]:1'
proxy_protocol = 'v2'
[[listener]]
name = 'b'
address = '[::]:2'
kind = 'wss'
key = 'k'
client_certificates = 'required'
max_packet_size = 1_000_000
[[listener]]
name = 'c'
address = '[::]:3'
proxy_from = ['10.0.0.0/33']
certificate_is_credential = true
",
        "\
test.toml:1:1: a listener needs `name`, but has none
test.toml:1:1: a listener needs `address`, but has none
test.toml:2:8: `listener.kind` must be one of \"tcp\", \"tls\", \"ws\", \"wss\", but is the text \"udp\"
test.toml:5:11: `mqtt.listen` and `listener.address` of `a` must differ, but both are 0.0.0.0:1883
test.toml:6:1: unknown key `listener.prox_from`: did you mean `proxy_from`?
test.toml:7:15: `listener.certificate` needs `kind` \"tls\" or \"wss\", but it is \"tcp\"
test.toml:7:15: `listener.certificate` needs `key`, but it is missing
test.toml:9:8: `listener.name` must differ from the others, but `a` appears twice
test.toml:11:18: `listener.proxy_protocol` needs `proxy_from`: whoever may send a PROXY header chooses the address \
that is believed
test.toml:16:7: `listener.key` needs `certificate`, but it is missing
test.toml:17:23: `listener.client_certificates` needs `client_ca`, but it is missing
test.toml:18:19: `listener.max_packet_size` must be at most `mqtt.max_packet_size`, but they are 1000000 and 65536
test.toml:22:14: `listener.proxy_from` must be a list of IP addresses and networks, such as [\"10.0.0.5\", \
\"fd00::/8\"], but is a list of 1
test.toml:23:29: `listener.certificate_is_credential` needs `client_certificates`, but it is \"off\"",
    );
}

#[test]
fn acme_needs_names_and_no_files() {
    check(
        "[tls]\nacme = 'http-01'\ncertificate = 'c'\nkey = 'k'",
        "test.toml:2:8: `tls.acme` needs `tls.names`, but there are none\n\
         test.toml:2:8: `tls.acme` and `tls.certificate` exclude each other, but both are there",
    );
}

#[test]
fn a_queue_holds_at_least_one_packet() {
    check(
        "[mqtt]\nmax_packet_size = 2_000_000",
        "test.toml:2:19: `mqtt.queue_bytes_max` must be at least `mqtt.max_packet_size`, but they are 1048576 and 2000000",
    );
}

#[test]
fn syntax_errors_have_a_place_and_do_not_hide_the_rest() {
    let problems = load("data = \n[mqtt]\nlisten = 'banana'\nreceive_maximum = = 5\n").unwrap_err();
    let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
    assert!(lines.contains(&1) && lines.contains(&3) && lines.contains(&4), "{problems}");
    assert!(problems.to_string().contains("test.toml:1:8: not TOML: "), "{problems}");
    assert!(problems.to_string().contains("`mqtt.listen`"), "{problems}");
}

#[test]
fn a_broken_table_line_is_reported_alone() {
    let problems = load("[mqtt\nlisten = '0.0.0.0:1'\nreceive_maximum = 5\n").unwrap_err();
    assert!(problems.iter().all(|problem| problem.message.starts_with("not TOML")), "{problems}");
}

#[test]
fn a_key_given_twice_is_an_error() {
    let problems = load("[mqtt]\nreceive_maximum = 5\nreceive_maximum = 6\n").unwrap_err();
    assert_eq!(problems.len(), 1, "{problems}");
    assert!(problems.to_string().starts_with("test.toml:3:1: not TOML: duplicate key"), "{problems}");
}

#[test]
fn columns_count_characters() {
    check("mesh = { name = 'ä', rot = 'ü' }", "test.toml:1:22: unknown key `mesh.rot`: did you mean `root`?");
}

#[test]
fn terminal_codes_in_a_file_are_not_passed_on() {
    let shown =
        load("\"a\\u001b[31m\" = \"\\u001b[0m\"\n[log]\nlevel = \"\\u001b\\n\"").unwrap_err().to_string();
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    assert_eq!(shown.lines().count(), 2, "{shown}");
}

#[test]
fn channels_take_their_key_from_text_file_or_environment() {
    let secrets =
        KnownSecrets(BTreeMap::from([("key.psk", "AQ==\n"), ("MESH_PSK", "1PG7OiApB1nwvP+rz05pAQ==")]));
    let text = "\
[[channel]]
name = 'LongFast'
psk = 'default'
public = true
[[channel]]
name = 'One'
psk_file = 'key.psk'
[[channel]]
name = 'Two'
psk_env = 'MESH_PSK'
";
    let config = Config::load_with(Path::new("test.toml"), text, &secrets).unwrap();
    let seen: Vec<_> =
        config.channels.iter().map(|c| (c.name.as_str(), c.psk.as_bytes().len(), c.public)).collect();
    assert_eq!(seen, [("LongFast", 1, true), ("One", 1, false), ("Two", 16, false)]);
    assert!(!format!("{config:?}").contains("212"), "key bytes in debug output");
}

#[test]
fn wrong_channels_are_reported_without_their_keys() {
    let text = "\
[[channel]]
name = 'LongerThanEleven'
psk = 'hunter2hunter2'
pulic = 3
[[channel]]
psk = 'default'
psk_env = 'X'
[[channel]]
name = 'a'
[[channel]]
name = 'b'
psk_file = 'missing'
[[channel]]
name = 'c'
psk_env = 'MISSING'
[[channel]]
name = 'd'
psk = 5
public = 'yes'
[[channel]]
name = 'e'
psk = 'none'
[[channel]]
name = 'e'
psk = 'none'
[[channel]]
name = 'f'
psk_env = 'WRONG'
";
    let secrets = KnownSecrets(BTreeMap::from([("WRONG", "hunter2")]));
    let shown = Config::load_with(Path::new("test.toml"), text, &secrets).unwrap_err().to_string();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(
        shown,
        "\
test.toml:2:8: `channel.name` must be 1 to 11 bytes without `/`, `+`, `#` or control character, but is the text \"LongerThanEleven\"
test.toml:3:7: `channel.psk` must be base64 of 1, 16 or 32 bytes, or `default`, `simple0` to `simple254`, or `none`, but is another text of 14 characters
test.toml:4:1: unknown key `channel.pulic`: did you mean `public`?
test.toml:5:1: `channel.name` must be 1 to 11 bytes without `/`, `+`, `#` or control character, but is missing
test.toml:7:11: a channel needs one of `psk`, `psk_file` and `psk_env`, but has more
test.toml:8:1: a channel needs one of `psk`, `psk_file` and `psk_env`, but has none
test.toml:12:12: `channel.psk_file`: `missing` cannot be read: entity not found
test.toml:15:11: `channel.psk_env`: `MISSING` is not set
test.toml:18:7: `channel.psk` must be text, but is of type integer
test.toml:19:10: `channel.public` must be `true` or `false`, but is the text \"yes\"
test.toml:24:8: `channel.name` must differ from the others, but `e` appears twice
test.toml:28:11: `channel.psk_env` (read from `WRONG`) must be base64 of 1, 16 or 32 bytes, or `default`, `simple0` to `simple254`, or `none`, but is another text of 7 characters"
    );
}

#[test]
fn a_secret_file_is_found_beside_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key.psk"), "simple3\n").unwrap();
    let text = "[[channel]]\nname = 'x'\npsk_file = 'key.psk'";
    let config = Config::load(&dir.path().join("backhaul.toml"), text).unwrap();
    assert_eq!(config.channels[0].psk.as_bytes(), [4]);
}

#[test]
fn keys_are_read_as_the_meshtastic_command_line_writes_them() {
    let bytes = |text: &str| Psk::parse(text).map(|psk| psk.as_bytes().to_vec());
    assert_eq!(bytes("default"), Some(vec![1]));
    assert_eq!(bytes("none"), Some(vec![0]));
    assert_eq!(bytes("simple0"), Some(vec![1]));
    assert_eq!(bytes("simple254"), Some(vec![255]));
    assert_eq!(bytes("AQ=="), Some(vec![1]));
    assert_eq!(bytes("AQ"), Some(vec![1]));
    assert_eq!(bytes(" base64:AQ==\n"), Some(vec![1]));
    let url_alphabet = bytes("-_-_-_-_-_-_-_-_-_-_-w==").unwrap();
    assert_eq!(Some(url_alphabet), bytes("+/+/+/+/+/+/+/+/+/+/+w=="));
    for bad in ["", "simple255", "simple", "simple-1", "random", "AQE=", "not base64!", "AQ==AQ=="] {
        assert_eq!(bytes(bad), None, "{bad}");
    }
}

#[test]
fn the_schema_closes_every_table_and_names_every_rule() {
    let policy: serde_json::Value = serde_json::from_str(&policy_schema(RULES)).unwrap();
    for path in ["", "/properties/rules"] {
        assert_eq!(policy.pointer(&format!("{path}/additionalProperties")), Some(&false.into()), "{path}");
    }
    assert!(policy.pointer("/properties/rules/properties/public-key").is_some());
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).unwrap();
    for path in [
        "",
        "/properties/mqtt",
        "/properties/channel/items",
        "/properties/listener/items",
        "/properties/bridge/items",
    ] {
        assert_eq!(schema.pointer(&format!("{path}/additionalProperties")), Some(&false.into()), "{path}");
    }
    assert_eq!(schema.pointer("/properties/mqtt/properties/retained_max/default"), Some(&10_000.into()));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_panic(text in any::<String>()) {
        check_never_panics(&text);
    }

    #[test]
    fn anything_like_toml_is_read_or_refused_without_panic(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("[mqtt]".to_owned()), Just("[[channel]]".into()), Just("[rules]".into()), Just("\n".into()),
                Just("listen".into()), Just("psk".into()), Just("name".into()), Just("identity".into()), Just("policy".into()),
                Just(" = ".into()), Just("=".into()), Just(".".into()), Just("{".into()), Just("}".into()), Just("[".into()),
                Just("]".into()), Just("'".into()), Just("\"\"\"".into()), Just("\\".into()), Just("'ü'".into()), Just(",".into()),
                Just("1979-05-27".into()), Just("0x".into()), Just("99999999999999999999999".into()), Just("-0".into()), Just("nan".into()),
                Just("true".into()), Just("#".into()), Just("\r\n".into()), Just("é".into()), any::<char>().prop_map(String::from),
            ],
            0..40,
        )
    ) {
        check_never_panics(&pieces.concat());
    }

    #[test]
    fn any_value_under_any_key_is_read_or_refused_without_panic(which in 0..CASES.len(), value in "[ -~]{0,20}") {
        check_never_panics(&assignment(CASES[which].0, &value));
        let quoted = serde_json::Value::from(value.as_str()).to_string();
        check_never_panics(&assignment(CASES[which].0, &quoted));
    }
}

fn check_never_panics(text: &str) {
    for problems in [load(text).err(), load_policy(text).err()].into_iter().flatten() {
        assert!(problems.len() > 0);
        for problem in problems.iter() {
            assert!(problem.line >= 1 && problem.line <= text.matches('\n').count() + 1);
            assert!(problem.column >= 1 && !problem.message.is_empty());
        }
        assert_eq!(problems.to_string().lines().count(), problems.len());
    }
}

#[test]
fn bridges_say_what_crosses_and_keep_their_password_to_themselves() {
    let text = "\
[[bridge]]
name = 'topeka'
host = 'mqtt.example.org'
username = 'bridge-kc'
password_file = 'topeka.password'
ca = 'ca.pem'
root_there = 'msh/US/KS'
send = 'all'
send_ports = ['1', '3']
send_area = '39.25, -94.42, 50'
send_hop_limit = 0
receive = 'off'
[[bridge]]
name = 'house'
host = '10.0.0.5'
port = 1883
tls = false
version = '3.1.1'
username = 'me'
password_env = 'HOUSE'
";
    let secrets = BTreeMap::from([("topeka.password", "hush-hush\n"), ("HOUSE", "mouse")]);
    let config = Config::load_with(Path::new("/etc/b/test.toml"), text, &KnownSecrets(secrets)).unwrap();
    let [topeka, house] = config.bridges.as_slice() else { panic!("two bridges") };
    assert_eq!(topeka.password.as_ref().unwrap().as_bytes(), b"hush-hush");
    assert_eq!(house.password.as_ref().unwrap().as_bytes(), b"mouse");
    assert_eq!(topeka.keys.ca.as_deref(), Some(Path::new("/etc/b/ca.pem")));
    assert_eq!((topeka.keys.send, topeka.keys.receive), (Crossing::All, Crossing::Off));
    assert_eq!(
        (house.keys.send, house.keys.receive, house.keys.port),
        (Crossing::Text, Crossing::Text, 1883)
    );
    let area = topeka.send_area.unwrap();
    assert_eq!((area.latitude_i, area.longitude_i, area.radius_m), (392_500_000, -944_200_000, 50_000));
    let shown = format!("{config:?}");
    assert!(!shown.contains("hush") && !shown.contains("mouse"));
}

#[test]
fn wrong_bridges_are_reported_with_their_place() {
    let text = "\
[[bridge]]
host = 'a'
send = 'off'
receive = 'off'
[[bridge]]
name = 'b'
host = 'b'
port = 0
tls = false
ca = 'x.pem'
password_env = 'NOWHERE'
send_ports = ['1']
receive_area = 'Topeka'
receive_hop_limit = 8
[[bridge]]
name = 'c'
host = 'c'
send = 'everything'
[[bridge]]
name = 'c'
host = 'd'
[[bridge]]
name = 'e'
host = 'e'
username = 'x'
password_env = 'A'
password_file = 'b'
";
    check(
        text,
        "\
test.toml:1:1: a bridge needs `name`, but has none
test.toml:8:8: `bridge.port` must be a whole number from 1 to 65535, but is the number 0
test.toml:10:6: `bridge.ca` needs `tls`, but it is off
test.toml:11:16: `bridge.password_env`: the environment variable `NOWHERE` is not set
test.toml:12:14: `bridge.send_ports` needs `send = \"all\"`, but it is \"text\"
test.toml:13:16: `bridge.receive_area` must be latitude, longitude and radius in km, such as \"39.25,-94.42,50\", but is the \
text \"Topeka\"
test.toml:14:21: `bridge.receive_hop_limit` must be a whole number from 0 to 7, but is the number 8
test.toml:18:8: `bridge.send` must be one of \"off\", \"text\", \"all\", but is the text \"everything\"
test.toml:20:8: `bridge.name` must differ from the others, but `c` appears twice
test.toml:26:16: `bridge.password_env` and `password_file` exclude each other, but both are there",
    );
}

fn check(text: &str, expected: &str) {
    assert_eq!(load(text).expect_err(text).to_string(), expected);
}

fn load(text: &str) -> Result<Config, config::Diagnostics> {
    Config::load_with(Path::new("test.toml"), text, &KnownSecrets(BTreeMap::new()))
}

/// What is wrong with the text in the file where the key belongs.
fn problems_of(key: &str, text: &str) -> Option<config::Diagnostics> {
    if key.starts_with("policy.") { load_policy(text).err() } else { load(text).err() }
}

fn load_policy(text: &str) -> Result<PolicyFile, config::Diagnostics> {
    PolicyFile::load(Path::new("test.toml"), text, RULES)
}

fn assignment(key: &str, value: &str) -> String {
    format!("{} = {value}\n", key.strip_prefix("policy.").unwrap_or(key))
}

fn collect_keys(schema: &serde_json::Value, path: &str, keys: &mut BTreeSet<String>) {
    let Some(properties) = schema.get("properties").and_then(|found| found.as_object()) else {
        // Lists have tests of their own.
        if !["channel", "listener", "bridge"].contains(&path) {
            keys.insert(path.to_owned());
        }
        return;
    };
    for (name, inner) in properties {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        collect_keys(inner, &path, keys);
    }
}

struct KnownSecrets(BTreeMap<&'static str, &'static str>);

impl Secrets for KnownSecrets {
    fn file(&self, path: &Path) -> std::io::Result<String> {
        let found = self.0.get(path.to_str().unwrap_or("")).map(|text| (*text).to_owned());
        found.ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|text| (*text).to_owned())
    }
}
