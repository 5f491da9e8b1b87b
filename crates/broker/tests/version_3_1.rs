//! MQTT 3.1: served as 3.1.1 is, but for what it does not know.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use broker::Limits;
use mqtt::Version;
use peers::{Hall, connect};

#[test]
fn a_session_is_kept_and_connack_does_not_say_so() {
    let mut hall = Hall::new(Limits::default());
    let long_name = "a-name-of-more-than-twenty-three-bytes";
    let peer = hall.connect(long_name, Version::V31, &[]);
    assert_eq!(hall.subscribe(peer, "a", 1), 1);
    hall.lose(peer);
    let writer = hall.connect_kept("writer");
    hall.publish(writer, "a", "while away", 1);
    let back = hall.open(Version::V31);
    hall.send(back, &connect(long_name, Version::V31, &[]));
    let packets = hall.received(back);
    assert_eq!(packets[0], [0x20, 2, 0, 0], "Session Present came with 3.1.1");
    assert_eq!(packets[1][0], 0x32, "and yet the message is there");
    let client = &hall.broker.snapshot(hall.now).clients[0];
    assert_eq!(client.version, Some("3.1"));
}

#[test]
fn what_is_sent_again_says_so() {
    let mut hall = Hall::new(Limits::default());
    let peer = hall.connect("peer", Version::V31, &[]);
    // SUBSCRIBE with DUP, PUBLISH at QoS 2, PUBREL with DUP.
    hall.send(peer, &[0x8a, 6, 0, 1, 0, 1, b'a', 2]);
    hall.send(peer, &[0x34, 6, 0, 1, b'b', 0, 2, b'x']);
    hall.send(peer, &[0x6a, 2, 0, 2]);
    let kinds: Vec<u8> = hall.received(peer).iter().map(|p| p[0]).collect();
    assert_eq!(kinds, [0x90, 0x50, 0x70]);
}

#[test]
fn a_name_is_needed() {
    let mut hall = Hall::new(Limits::default());
    let peer = hall.open(Version::V31);
    hall.send(peer, &connect("", Version::V31, &[]));
    assert_eq!(hall.received(peer), [vec![0x20, 2, 0, 2]], "Identifier Rejected");
    assert!(hall.is_closed(peer));
}
