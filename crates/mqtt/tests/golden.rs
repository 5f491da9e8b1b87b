//! Packets and their outcomes, one a line, in `packets/*.txt`: the table is the test. Knows nothing of how they are
//! decoded.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use mqtt::auth::Auth;
use mqtt::client_packet::{self, ClientPacket, Disconnect};
use mqtt::connect::Connect;
use mqtt::property::{Properties, Value};
use mqtt::publish::{Ack, Publish};
use mqtt::server_packet::{self, ServerPacket};
use mqtt::{DecodeError, Version, frame};

const PACKET_BYTES_MAX: u32 = 1 << 20;

#[test]
fn what_clients_send() {
    check_file("client.txt", |bytes, version| outcome(bytes, version, true));
}

#[test]
fn what_servers_send() {
    check_file("server.txt", |bytes, version| outcome(bytes, version, false));
}

#[test]
fn no_packet_is_found_before_its_last_byte() {
    for file in ["client.txt", "server.txt"] {
        for case in cases(file) {
            let Ok(Some(frame)) = frame::split(&case.bytes, PACKET_BYTES_MAX) else { continue };
            assert_eq!(frame.len, case.bytes.len(), "{}", case.line);
            for cut in 0..case.bytes.len() {
                assert_eq!(
                    frame::split(&case.bytes[..cut], PACKET_BYTES_MAX),
                    Ok(None),
                    "{} at {cut}",
                    case.line
                );
            }
        }
    }
}

/// A body that ends early must not be read past its end: whatever it is, it is an outcome.
#[test]
fn every_packet_cut_anywhere_has_an_outcome() {
    let mut count = 0;
    for file in ["client.txt", "server.txt"] {
        for case in cases(file) {
            let Ok(Some(frame)) = frame::split(&case.bytes, PACKET_BYTES_MAX) else { continue };
            for cut in 0..frame.body.len() {
                let short = frame::Frame { header: frame.header, body: &frame.body[..cut], len: cut + 2 };
                for version in [Version::V31, Version::V311, Version::V5] {
                    let client = client_packet::decode(&short, version).map(|p| show_client(&p));
                    let server = server_packet::decode(&short, version).map(|p| show_server(&p));
                    count += usize::from(client.is_err()) + usize::from(server.is_err());
                }
            }
        }
    }
    assert!(count > 5000, "cut packets are mostly refused: {count}");
}

/// Compares every line of a table with what the decoder says, or writes the table anew.
fn check_file(name: &str, outcome: impl Fn(&[u8], Version) -> String) {
    let mut wrong = Vec::new();
    let mut text = read(name);
    for case in cases(name) {
        let seen = outcome(&case.bytes, case.version);
        if seen != case.expected {
            let new_line = case.line.replacen(&format!(" => {}", case.expected), &format!(" => {seen}"), 1);
            text = text.replace(&format!("{}\n", case.line), &format!("{new_line}\n"));
            wrong.push(format!("{}\n    seen: {seen}", case.line));
        }
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path(name), text).expect("the table can be written");
    } else {
        assert!(wrong.is_empty(), "{} of {name}:\n{}", wrong.len(), wrong.join("\n"));
    }
}

fn outcome(bytes: &[u8], version: Version, is_client: bool) -> String {
    let frame = match frame::split(bytes, PACKET_BYTES_MAX) {
        Ok(Some(frame)) => frame,
        Ok(None) => return "incomplete".into(),
        Err(error) => return show_error(error),
    };
    let shown = match is_client {
        true => client_packet::decode(&frame, version).map(|p| show_client(&p)),
        false => server_packet::decode(&frame, version).map(|p| show_server(&p)),
    };
    shown.unwrap_or_else(show_error)
}

fn show_error(error: DecodeError) -> String {
    format!("0x{:02x} {}", error.reason.code(), error.what)
}

fn show_client(packet: &ClientPacket<'_>) -> String {
    match packet {
        ClientPacket::Connect(connect) => show_connect(connect),
        ClientPacket::Publish(publish) => show_publish(publish),
        ClientPacket::Ack(ack) => show_ack(*ack),
        ClientPacket::Subscribe(subscribe) => {
            let filters: Vec<_> = subscribe
                .filters()
                .map(|(filter, o)| {
                    let (nl, rap) = (u8::from(o.no_local), u8::from(o.retain_as_published));
                    format!("`{filter}` q{} nl{nl} rap{rap} rh{}", o.qos, o.retain_handling)
                })
                .collect();
            let properties = show_properties(subscribe.properties);
            format!("subscribe {}{properties} {}", subscribe.packet_id, filters.join(", "))
        }
        ClientPacket::Unsubscribe(unsubscribe) => {
            let filters: Vec<_> = unsubscribe.filters().map(|f| format!("`{f}`")).collect();
            format!("unsubscribe {} {}", unsubscribe.packet_id, filters.join(", "))
        }
        ClientPacket::Pingreq => "pingreq".into(),
        ClientPacket::Disconnect(disconnect) => show_disconnect(*disconnect),
        ClientPacket::Auth(auth) => describe_auth(auth),
    }
}

fn describe_auth(auth: &Auth<'_>) -> String {
    let data = auth.data.map_or("none".to_owned(), |d| format!("`{}`", String::from_utf8_lossy(d)));
    format!("auth 0x{:02x} method=`{}` data={data}", auth.reason.code(), auth.method)
}

fn show_server(packet: &ServerPacket<'_>) -> String {
    match packet {
        ServerPacket::Connack(c) => {
            let properties = show_properties(c.properties);
            format!("connack present={} 0x{:02x}{properties}", u8::from(c.session_present), c.code)
        }
        ServerPacket::Publish(publish) => show_publish(publish),
        ServerPacket::Ack(ack) => show_ack(*ack),
        ServerPacket::Suback(id, codes) => format!("suback {id} {}", hex(codes)),
        ServerPacket::Unsuback(id, codes) => format!("unsuback {id} {}", hex(codes)).trim_end().into(),
        ServerPacket::Pingresp => "pingresp".into(),
        ServerPacket::Disconnect(disconnect) => show_disconnect(*disconnect),
        ServerPacket::Auth(auth) => describe_auth(auth),
    }
}

fn show_connect(c: &Connect<'_>) -> String {
    let mut text =
        format!("connect {:?} clean={} keep={}", c.version, u8::from(c.clean_start), c.keep_alive_s);
    text += &format!("{} id=`{}`", show_properties(c.properties), c.client_id);
    if let Some(w) = &c.will {
        let flags = format!("q{} retain={}", w.qos, u8::from(w.retain));
        text += &format!(" will({flags}{} `{}` {})", show_properties(w.properties), w.topic, hex(w.payload));
    }
    c.username.iter().for_each(|name| text += &format!(" username=`{name}`"));
    c.password.iter().for_each(|password| text += &format!(" password={}", hex(password)));
    text
}

fn show_publish(p: &Publish<'_>) -> String {
    let flags = format!("q{} dup={} retain={}", p.qos, u8::from(p.dup), u8::from(p.retain));
    let properties = show_properties(p.properties);
    format!("publish {flags} {} `{}`{properties} {}", p.packet_id, p.topic, hex(p.payload)).trim_end().into()
}

fn show_ack(ack: Ack) -> String {
    format!("{:?} {} 0x{:02x}", ack.kind, ack.packet_id, ack.reason.code()).to_lowercase()
}

fn show_disconnect(d: Disconnect) -> String {
    let expiry = d.session_expiry_s.map(|s| format!(" expiry={s}")).unwrap_or_default();
    format!("disconnect 0x{:02x}{expiry}", d.reason.code())
}

fn show_properties(properties: Properties<'_>) -> String {
    if properties.is_empty() {
        return String::new();
    }
    let shown: Vec<_> = properties
        .iter()
        .map(|(id, value)| match value {
            Value::Byte(v) => format!("{id:02x}={v}"),
            Value::TwoBytes(v) => format!("{id:02x}={v}"),
            Value::FourBytes(v) | Value::Variable(v) => format!("{id:02x}={v}"),
            Value::Text(v) => format!("{id:02x}=`{v}`"),
            Value::Binary(v) => format!("{id:02x}={}", hex(v)),
            Value::Pair(k, v) => format!("{id:02x}=`{k}`:`{v}`"),
        })
        .collect();
    format!(" [{}]", shown.join(" "))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

struct Case {
    line: String,
    version: Version,
    bytes: Vec<u8>,
    expected: String,
}

fn cases(name: &str) -> Vec<Case> {
    let text = read(name);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let cases: Vec<_> = lines.map(case).collect();
    assert!(cases.len() > 50, "{name} is a table");
    cases
}

fn case(line: &str) -> Case {
    let (left, right) = line.split_once(" => ").unwrap_or_else(|| panic!("no `=>`: {line}"));
    let expected = right.split("  //").next().unwrap_or_default().trim_end();
    let (version, packet) = left.split_once(' ').unwrap_or_else(|| panic!("no version: {line}"));
    let version = match version {
        "3" => Version::V31,
        "4" => Version::V311,
        "5" => Version::V5,
        _ => panic!("version is 4 or 5: {line}"),
    };
    let mut rest = packet;
    let bytes = parse_group(&mut rest);
    assert!(rest.is_empty(), "a }} too many: {line}");
    Case { line: line.into(), version, bytes, expected: expected.into() }
}

/// Reads to the closing brace of the group, or to the end.
fn parse_group(rest: &mut &str) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        *rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('{') {
            *rest = after;
            let group = parse_group(rest);
            *rest = rest.trim_start().strip_prefix('}').expect("a group is closed");
            mqtt::wire::put_variable(&mut out, group.len());
            out.extend(group);
        } else if let Some(after) = rest.strip_prefix("s\"") {
            let (text, after) = after.split_once('"').expect("a string is closed");
            *rest = after;
            mqtt::wire::put_binary(&mut out, text.as_bytes());
        } else if let Some(after) = rest.strip_prefix('"') {
            let (text, after) = after.split_once('"').expect("a string is closed");
            *rest = after;
            out.extend_from_slice(text.as_bytes());
        } else if rest.is_empty() || rest.starts_with('}') {
            return out;
        } else {
            let byte = u8::from_str_radix(&rest[..2], 16).unwrap_or_else(|_| panic!("not hex: {rest}"));
            *rest = &rest[2..];
            out.push(byte);
        }
    }
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).expect("the table is there")
}

fn path(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packets").join(name)
}
