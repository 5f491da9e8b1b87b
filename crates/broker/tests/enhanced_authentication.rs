//! SCRAM-SHA-256 over AUTH (§ 4.12): signing in, signing in again, and everything that does not end well.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use broker::{Limits, ListenerRules, Options, Origin};
use directory::{Command, Directory, Token, TokenKey};
use hmac::{Hmac, KeyInit, Mac};
use mqtt::auth::Auth;
use mqtt::property::{Value, id};
use mqtt::server_packet::ServerPacket;
use mqtt::{ReasonCode, Version, frame, server_packet};
use peers::{Hall, Peer, connect};
use sha2::{Digest, Sha256};

const METHOD: &str = "SCRAM-SHA-256";
const SERVICE: &str = "home";
const OTHER: &str = "other";

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// A client's side of one exchange.
struct Scram {
    bare: String,
    password: String,
}

impl Scram {
    fn new(name: &str, password: &str) -> Self {
        Self { bare: format!("n={name},r=fyko+d2lbbFgONRv9qkxdawL"), password: password.to_owned() }
    }

    fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.bare).into_bytes()
    }

    /// The last message, and what the server must answer.
    fn last(&self, server_first: &str) -> (Vec<u8>, String) {
        let field = |name: &str| server_first.split(',').find_map(|f| f.strip_prefix(name)).unwrap();
        let (mut salted, salt) = ([0; 32], STANDARD.decode(field("s=")).unwrap());
        let iterations = field("i=").parse().unwrap();
        pbkdf2::pbkdf2_hmac::<Sha256>(self.password.as_bytes(), &salt, iterations, &mut salted);
        let without_proof = format!("c=biws,r={}", field("r="));
        let message = format!("{},{server_first},{without_proof}", self.bare);
        let client_key = hmac(&salted, b"Client Key");
        let mut proof = hmac(&Sha256::digest(client_key), message.as_bytes());
        proof.iter_mut().zip(client_key).for_each(|(p, k)| *p ^= k);
        let server = hmac(&hmac(&salted, b"Server Key"), message.as_bytes());
        let last = format!("{without_proof},p={}", STANDARD.encode(proof));
        (last.into_bytes(), format!("v={}", STANDARD.encode(server)))
    }
}

/// A broker that knows two services, and the password of each.
fn hall() -> (Hall, String, String) {
    let key = TokenKey::new([5; 32]);
    let mut directory = Directory::default();
    let mut passwords = Vec::new();
    for (name, byte) in [(SERVICE, 1), (OTHER, 2)] {
        let token = Token::from_random([byte; 17]);
        passwords.push(token.reveal().to_owned());
        let (name, prefix) = (name.to_owned(), name.to_owned());
        let add = Command::AddService { name, prefix, owner: None, note: String::new(), token };
        directory = directory.apply(add, &key, 1).unwrap().directory;
    }
    let hall = Hall::with(Options {
        lab: false,
        limits: Limits::default(),
        policy: Default::default(),
        keyring: mesh::keyring::Keyring::default(),
        preset: mesh::airtime::ModemPreset::LongFast,
        directory: Arc::new(directory),
        token_key: key,
        last_seq: 0,
        acknowledge_when_durable: false,
        seed: 1,
    });
    (hall, passwords.remove(0), passwords.remove(0))
}

fn begin(hall: &mut Hall, method: &str, data: &[u8]) -> Peer {
    let peer = hall.open(Version::V5);
    let wants =
        [(id::AUTHENTICATION_METHOD, Value::Text(method)), (id::AUTHENTICATION_DATA, Value::Binary(data))];
    hall.send(peer, &connect("client", Version::V5, &wants));
    peer
}

fn auth(hall: &mut Hall, peer: Peer, reason: ReasonCode, data: &[u8]) {
    let mut out = Vec::new();
    Auth { reason, method: METHOD, data: Some(data) }.encode(&mut out);
    hall.send(peer, &out);
}

/// The AUTH that came, as its Reason Code and data.
fn asked(hall: &mut Hall, peer: Peer) -> (ReasonCode, String) {
    let packet = hall.received(peer).remove(0);
    let frame = frame::split(&packet, u32::MAX).unwrap().unwrap();
    match server_packet::decode(&frame, Version::V5).unwrap() {
        ServerPacket::Auth(auth) => {
            assert_eq!(auth.method, METHOD);
            (auth.reason, String::from_utf8(auth.data.unwrap().to_vec()).unwrap())
        }
        other => panic!("not an AUTH: {other:?}"),
    }
}

/// The CONNACK that came, as its Reason Code and Authentication Data.
fn answered(hall: &mut Hall, peer: Peer) -> (u8, Option<String>) {
    let packet = hall.received(peer).remove(0);
    let frame = frame::split(&packet, u32::MAX).unwrap().unwrap();
    match server_packet::decode(&frame, Version::V5).unwrap() {
        ServerPacket::Connack(connack) => {
            let data = connack.properties.binary(id::AUTHENTICATION_DATA);
            (connack.code, data.map(|d| String::from_utf8(d.to_vec()).unwrap()))
        }
        other => panic!("not a CONNACK: {other:?}"),
    }
}

fn signed_in(hall: &mut Hall, password: &str) -> Peer {
    let scram = Scram::new(SERVICE, password);
    let peer = begin(hall, METHOD, &scram.first());
    let (reason, server_first) = asked(hall, peer);
    assert_eq!(reason, ReasonCode::ContinueAuthentication);
    let (last, proof) = scram.last(&server_first);
    auth(hall, peer, ReasonCode::ContinueAuthentication, &last);
    assert_eq!(answered(hall, peer), (0, Some(proof)), "the server proves itself as well");
    peer
}

#[test]
fn a_client_signs_in_without_telling_its_password() {
    let (mut hall, password, _) = hall();
    let peer = signed_in(&mut hall, &password);
    assert_eq!(hall.subscribe(peer, "#", 1), 1);
    hall.publish(peer, "home/lights", "on", 1);
    assert_eq!(hall.payloads(peer), ["on"], "it may what the service may");
    hall.publish(peer, "other/lights", "on", 1);
    assert_eq!(hall.received(peer)[0][4], 0x87);
    let client = &hall.broker.snapshot(hall.now).clients[0];
    assert_eq!(client.username.as_deref(), Some(SERVICE));
}

#[test]
fn a_wrong_password_and_an_unknown_name_look_the_same() {
    for (name, password) in [(SERVICE, "wrong"), ("nobody", "wrong")] {
        let (mut hall, ..) = hall();
        let scram = Scram::new(name, password);
        let peer = begin(&mut hall, METHOD, &scram.first());
        let (_, server_first) = asked(&mut hall, peer);
        auth(&mut hall, peer, ReasonCode::ContinueAuthentication, &scram.last(&server_first).0);
        assert_eq!(answered(&mut hall, peer), (0x87, None), "{name}");
        assert!(hall.is_closed(peer));
        assert_eq!(hall.broker.snapshot(hall.now).counters.authentication_failed, 1);
    }
}

#[test]
fn other_methods_and_what_is_no_scram_are_refused() {
    for (method, data, code) in [
        ("PLAIN", "x", 0x8c),
        ("SCRAM-SHA-1", "n,,n=a,r=b", 0x8c),
        (METHOD, "hello", 0x87),
        (METHOD, "", 0x87),
    ] {
        for lab in [true, false] {
            let (named, ..) = hall();
            let mut hall = if lab { Hall::new(Limits::default()) } else { named };
            let peer = begin(&mut hall, method, data.as_bytes());
            assert_eq!(answered(&mut hall, peer).0, code, "{method} {data}");
            assert!(hall.is_closed(peer));
        }
    }
}

#[test]
fn nothing_but_auth_and_disconnect_comes_before_connack() {
    let (mut hall, password, _) = hall();
    let scram = Scram::new(SERVICE, &password);
    // PINGREQ; a second CONNECT; AUTH of another method; AUTH out of turn.
    let mut other_method = Vec::new();
    Auth { reason: ReasonCode::ContinueAuthentication, method: "PLAIN", data: None }
        .encode(&mut other_method);
    let mut again = Vec::new();
    Auth { reason: ReasonCode::ReAuthenticate, method: METHOD, data: None }.encode(&mut again);
    for packet in [vec![0xc0, 0], connect("client", Version::V5, &[]), other_method, again] {
        let peer = begin(&mut hall, METHOD, &scram.first());
        asked(&mut hall, peer);
        hall.send(peer, &packet);
        assert_eq!(answered(&mut hall, peer).0, 0x82, "{packet:x?}");
        assert!(hall.is_closed(peer));
    }
    let leaves = begin(&mut hall, METHOD, &scram.first());
    hall.send(leaves, &[0xe0, 0]);
    assert!(hall.is_closed(leaves));
    let dawdles = begin(&mut hall, METHOD, &scram.first());
    hall.wait(10_501);
    assert!(hall.is_closed(dawdles), "the time to introduce itself is over");
    assert_eq!(hall.broker.snapshot(hall.now).clients.len(), 0, "nobody has a session");
}

#[test]
fn a_client_signs_in_again_while_its_messages_flow() {
    let (mut hall, password, other_password) = hall();
    let peer = signed_in(&mut hall, &password);
    hall.subscribe(peer, "#", 0);
    let scram = Scram::new(SERVICE, &password);
    auth(&mut hall, peer, ReasonCode::ReAuthenticate, &scram.first());
    let (_, server_first) = asked(&mut hall, peer);
    hall.publish(peer, "home/a", "meanwhile", 0);
    assert_eq!(hall.payloads(peer), ["meanwhile"]);
    let (last, proof) = scram.last(&server_first);
    auth(&mut hall, peer, ReasonCode::ContinueAuthentication, &last);
    assert_eq!(asked(&mut hall, peer), (ReasonCode::Success, proof));
    // An old proof is none.
    auth(&mut hall, peer, ReasonCode::ReAuthenticate, &scram.first());
    asked(&mut hall, peer);
    auth(&mut hall, peer, ReasonCode::ContinueAuthentication, &last);
    assert_eq!(hall.received(peer)[0][2], 0x87);
    assert!(hall.is_closed(peer));
    // Nor may it become somebody else.
    let peer = signed_in(&mut hall, &password);
    let other = Scram::new(OTHER, &other_password);
    auth(&mut hall, peer, ReasonCode::ReAuthenticate, &other.first());
    let (_, server_first) = asked(&mut hall, peer);
    auth(&mut hall, peer, ReasonCode::ContinueAuthentication, &other.last(&server_first).0);
    assert_eq!(hall.received(peer)[0][2], 0x87);
    assert!(hall.is_closed(peer));
    // Nor take for ever.
    let peer = signed_in(&mut hall, &password);
    auth(&mut hall, peer, ReasonCode::ReAuthenticate, &scram.first());
    asked(&mut hall, peer);
    hall.wait(10_501);
    assert_eq!(hall.received(peer)[0][2], 0x87);
    assert!(hall.is_closed(peer));
}

#[test]
fn auth_without_an_agreed_method_is_a_protocol_error() {
    let mut hall = Hall::new(Limits::default());
    let peer = hall.connect_kept("peer");
    auth(&mut hall, peer, ReasonCode::ReAuthenticate, b"n,,n=a,r=b");
    assert_eq!(hall.received(peer)[0][2], 0x82, "[MQTT-4.12.0-7]");
    assert!(hall.is_closed(peer));
}

#[test]
fn guessing_by_scram_makes_wait_as_guessing_by_password_does() {
    let (mut hall, ..) = hall();
    let scram = Scram::new(SERVICE, "wrong");
    let mut codes = Vec::new();
    for _ in 0..30 {
        let peer = begin(&mut hall, METHOD, &scram.first());
        let packet = hall.received(peer).remove(0);
        if packet[0] == 0x20 {
            codes.push(packet[3]);
            break;
        }
        let frame = frame::split(&packet, u32::MAX).unwrap().unwrap();
        let ServerPacket::Auth(asked) = server_packet::decode(&frame, Version::V5).unwrap() else {
            unreachable!()
        };
        let server_first = String::from_utf8(asked.data.unwrap().to_vec()).unwrap();
        auth(&mut hall, peer, ReasonCode::ContinueAuthentication, &scram.last(&server_first).0);
        codes.push(answered(&mut hall, peer).0);
    }
    assert_eq!((codes[0], *codes.last().unwrap()), (0x87, 0x9f), "{codes:x?}");
}

#[test]
fn a_certificate_and_a_proof_name_the_same_user() {
    for (certificate, code) in [(SERVICE, 0), (OTHER, 0x87)] {
        let (mut hall, password, _) = hall();
        let rules =
            ListenerRules { certificate_is_credential: true, ..ListenerRules::of(&Limits::default(), "tls") };
        hall.broker = hall.broker.with_listeners(vec![rules]);
        let address = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        let origin =
            Origin { address, listener: 0, certificate_name: Some(certificate.into()), bridge: None };
        let id = hall.broker.open(hall.now, origin).unwrap();
        let peer = Peer { id, version: Version::V5 };
        let scram = Scram::new(SERVICE, &password);
        let wants = [
            (id::AUTHENTICATION_METHOD, Value::Text(METHOD)),
            (id::AUTHENTICATION_DATA, Value::Binary(&scram.first())),
        ];
        hall.send(peer, &connect("client", Version::V5, &wants));
        let (_, server_first) = asked(&mut hall, peer);
        auth(&mut hall, peer, ReasonCode::ContinueAuthentication, &scram.last(&server_first).0);
        assert_eq!(answered(&mut hall, peer).0, code, "{certificate}");
    }
}
