//! Who gets a message: overlapping subscriptions, No Local, and changes between two messages of one topic.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use broker::Limits;
use mqtt::Version;
use mqtt::subscribe::{Options as Wanted, encode_subscribe};
use peers::{Hall, Peer};

fn subscribe_to_others(hall: &mut Hall, peer: Peer, filter: &str) {
    let mut out = Vec::new();
    let wanted = Wanted { qos: 1, no_local: true, ..Wanted::default() };
    encode_subscribe(&mut out, peer.version, 9, &[(filter, wanted)], &[]);
    hall.send(peer, &out);
    hall.received(peer);
}

#[test]
fn every_change_of_a_subscription_counts_from_the_next_message_on() {
    let mut hall = Hall::new(Limits::default());
    let speaker = hall.connect("speaker", Version::V5, &[]);
    let listener = hall.connect("listener", Version::V5, &[]);
    let heard = |hall: &mut Hall| {
        hall.publish(speaker, "a/b", "x", 0);
        hall.payloads(listener).len()
    };
    assert_eq!(heard(&mut hall), 0);
    hall.subscribe(listener, "a/+", 0);
    assert_eq!(heard(&mut hall), 1);
    hall.subscribe(listener, "#", 0);
    assert_eq!(heard(&mut hall), 1, "overlapping subscriptions give one copy");
    hall.unsubscribe(listener, "a/+");
    assert_eq!(heard(&mut hall), 1);
    hall.unsubscribe(listener, "#");
    assert_eq!(heard(&mut hall), 0);
    hall.subscribe(listener, "a/b", 0);
    assert_eq!(heard(&mut hall), 1);
    hall.lose(listener);
    let other = hall.connect("other", Version::V5, &[]);
    assert_eq!(other.id, listener.id, "the number is used again");
    hall.publish(speaker, "a/b", "x", 0);
    assert!(hall.payloads(other).is_empty());
}

#[test]
fn no_local_holds_back_only_what_came_from_oneself() {
    let mut hall = Hall::new(Limits::default());
    let (one, two) = (hall.connect("one", Version::V5, &[]), hall.connect("two", Version::V5, &[]));
    subscribe_to_others(&mut hall, one, "a/+");
    subscribe_to_others(&mut hall, two, "a/+");
    for _ in 0..2 {
        hall.publish(one, "a/b", "x", 0);
        assert_eq!((hall.payloads(one).len(), hall.payloads(two).len()), (0, 1));
    }
    hall.publish(two, "a/b", "x", 0);
    assert_eq!((hall.payloads(one).len(), hall.payloads(two).len()), (1, 0));
}

#[test]
fn an_overlapping_subscription_without_no_local_brings_ones_own_messages() {
    let mut hall = Hall::new(Limits::default());
    let (one, two) = (hall.connect("one", Version::V5, &[]), hall.connect("two", Version::V5, &[]));
    subscribe_to_others(&mut hall, one, "a/+");
    hall.subscribe(one, "a/b", 0);
    for _ in 0..2 {
        hall.publish(one, "a/b", "x", 1);
        let own = hall.got(one);
        assert_eq!((own.len(), own[0].qos), (1, 0), "by the subscription that wants it");
        hall.publish(two, "a/b", "x", 1);
        let others = hall.got(one);
        assert_eq!((others.len(), others[0].qos), (1, 1), "by the higher QoS of both");
    }
}
