//! A stream of bytes from a client, to its end: every packet has an outcome and what it lends lies within it. A
//! PUBLISH in the shortest form is written again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt::client_packet::{ClientPacket, decode};
use mqtt::property::{Properties, put};
use mqtt::publish::{Publish, PublishOut};
use mqtt::{Version, frame};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, mut rest)) = bytes.split_first() else { return };
    let mut version = if first & 1 == 0 { Version::V311 } else { Version::V5 };
    while let Ok(Some(frame)) = frame::split(rest, 1 << 16) {
        assert!(frame.len <= rest.len() && frame.body.len() < frame.len);
        match decode(&frame, version) {
            Ok(ClientPacket::Connect(connect)) => {
                version = connect.version;
                assert!(connect.will.is_none_or(|w| w.qos < 3 && !w.topic.contains(['+', '#', '\0'])));
                let _ = format!("{connect:?}");
            }
            Ok(ClientPacket::Publish(publish)) => write_again(&publish, version, &rest[..frame.len]),
            Ok(ClientPacket::Subscribe(subscribe)) => {
                assert!(subscribe.filters().count() > 0);
                let lent: usize = subscribe.filters().map(|(filter, _)| filter.len() + 3).sum();
                assert!(lent < frame.len);
            }
            Ok(ClientPacket::Unsubscribe(unsubscribe)) => assert!(unsubscribe.filters().count() > 0),
            Ok(ClientPacket::Ack(ack)) => {
                let mut out = Vec::new();
                ack.encode(&mut out, version);
                let again = frame::split(&out, 1 << 16).ok().flatten().expect("our own packet");
                assert!(matches!(decode(&again, version), Ok(ClientPacket::Ack(same)) if same == ack));
            }
            Ok(ClientPacket::Auth(auth)) => {
                let mut out = Vec::new();
                auth.encode(&mut out);
                let again = frame::split(&out, 1 << 17).ok().flatten().expect("our own packet");
                assert!(matches!(decode(&again, version), Ok(ClientPacket::Auth(same)) if same == auth));
            }
            Ok(ClientPacket::Pingreq | ClientPacket::Disconnect(_)) => {}
            Err(error) => assert!(error.reason.is_error()),
        }
        rest = &rest[frame.len..];
    }
});

fn write_again(publish: &Publish<'_>, version: Version, bytes: &[u8]) {
    assert!(publish.qos < 3 && (publish.qos == 0) == (publish.packet_id == 0));
    let shared_properties = raw(publish.properties);
    let out = PublishOut {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic: publish.topic,
        alias: None,
        packet_id: publish.packet_id,
        shared_properties: &shared_properties,
        expiry_s: None,
        identifiers: &[],
        payload: publish.payload,
    };
    let mut again = Vec::new();
    out.encode(&mut again, version);
    // 3.1.1 allows a Remaining Length in more bytes than it needs; the bytes after it are the same.
    if again.len() == bytes.len() {
        assert_eq!(again, bytes);
    } else {
        assert_eq!(version, Version::V311);
    }
}

fn raw(properties: Properties<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    properties.iter().for_each(|(id, value)| put(&mut out, id, value));
    out
}
