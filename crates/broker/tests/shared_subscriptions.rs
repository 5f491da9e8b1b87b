//! Shared Subscriptions (§ 4.8.2): who of a group gets what, and what becomes of it when that one leaves.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use broker::Limits;
use mqtt::property::{Value, id};
use mqtt::publish::{Ack, AckKind};
use mqtt::subscribe::{Options as Wanted, encode_subscribe};
use mqtt::{ReasonCode, Version};
use peers::{Hall, Peer};

const FILTER: &str = "$share/workers/jobs/+";

fn members(hall: &mut Hall, names: &[&str], qos: u8) -> Vec<Peer> {
    let members: Vec<Peer> = names.iter().map(|name| hall.connect_kept(name)).collect();
    members.iter().for_each(|m| assert_eq!(hall.subscribe(*m, FILTER, qos), qos));
    members
}

#[test]
fn each_message_goes_to_one_member_in_turn() {
    for version in [Version::V311, Version::V5] {
        let mut hall = Hall::new(Limits::default());
        let group: Vec<Peer> = ["a", "b", "c"].iter().map(|name| hall.connect(name, version, &[])).collect();
        group.iter().for_each(|m| assert_eq!(hall.subscribe(*m, FILTER, 0), 0));
        let plain = hall.connect("plain", version, &[]);
        hall.subscribe(plain, "jobs/#", 0);
        for number in 0..6 {
            hall.publish(plain, "jobs/x", &number.to_string(), 0);
        }
        let shares: Vec<_> = group.iter().map(|m| hall.payloads(*m)).collect();
        assert_eq!(shares, [["0", "3"], ["1", "4"], ["2", "5"]], "{version:?}");
        assert_eq!(hall.payloads(plain).len(), 6, "a plain subscription gets them all");
        hall.unsubscribe(group[0], FILTER);
        hall.publish(plain, "jobs/x", "6", 0);
        hall.publish(plain, "jobs/x", "7", 0);
        assert!(hall.payloads(group[0]).is_empty());
        assert_eq!(hall.payloads(group[1]).len() + hall.payloads(group[2]).len(), 2);
    }
}

#[test]
fn groups_with_other_names_or_filters_get_their_own_copy() {
    let mut hall = Hall::new(Limits::default());
    let (one, other, writer) =
        (hall.connect_kept("one"), hall.connect_kept("other"), hall.connect_kept("writer"));
    hall.subscribe(one, "$share/x/jobs/+", 0);
    hall.subscribe(other, "$share/y/jobs/+", 0);
    hall.subscribe(other, "$share/x/jobs/#", 0);
    hall.publish(writer, "jobs/a", "1", 0);
    assert_eq!((hall.payloads(one).len(), hall.payloads(other).len()), (1, 2));
}

#[test]
fn what_a_member_did_not_get_goes_to_those_who_are_there() {
    let mut hall = Hall::new(Limits { receive_maximum: 1, ..Limits::default() });
    let group = members(&mut hall, &["a", "b"], 1);
    let writer = hall.connect_kept("writer");
    for number in 0..4 {
        hall.publish(writer, "jobs/x", &number.to_string(), 1);
    }
    // One in flight each; 2 and 3 wait.
    assert_eq!((hall.payloads(group[0]), hall.payloads(group[1])), (vec!["0".into()], vec!["1".into()]));
    hall.lose(group[0]);
    let first = hall.broker.snapshot(hall.now);
    let queued = |name: &str| first.clients.iter().find(|c| &*c.client_id == name).unwrap().queued;
    assert_eq!((queued("a"), queued("b")), (1, 3), "what was sent stays, what waited moved");
    hall.acknowledge(group[1], AckKind::Puback, 1);
    assert_eq!(hall.payloads(group[1]), ["3"]);
    hall.acknowledge(group[1], AckKind::Puback, 2);
    assert_eq!(hall.payloads(group[1]), ["2"]);
    let back = hall.connect_kept("a");
    let again = hall.got(back);
    assert_eq!((again[0].payload.as_str(), again[0].dup), ("0", true));
}

#[test]
fn a_session_that_ends_leaves_its_qos_1_messages_to_the_group_and_its_qos_2_messages_to_nobody() {
    for (qos, left) in [(1, vec!["0"]), (2, vec![])] {
        let mut hall = Hall::new(Limits::default());
        let group = members(&mut hall, &["a", "b"], qos);
        let writer = hall.connect_kept("writer");
        hall.publish(writer, "jobs/x", "0", qos);
        assert_eq!(hall.payloads(group[0]), ["0"]);
        hall.lose(group[0]);
        assert!(hall.payloads(group[1]).is_empty(), "in flight, so it stays with the session");
        // Keeps the other one alive past the first one's expiry.
        for _ in 0..40 {
            hall.wait(20_000);
            hall.send(group[1], &[0xc0, 0]);
        }
        assert_eq!(hall.payloads(group[1]), left, "QoS {qos}");
    }
}

#[test]
fn those_who_are_away_get_it_only_when_nobody_is_there() {
    let mut hall = Hall::new(Limits::default());
    let group = members(&mut hall, &["a", "b"], 1);
    let writer = hall.connect_kept("writer");
    hall.lose(group[0]);
    hall.publish(writer, "jobs/x", "0", 1);
    hall.publish(writer, "jobs/x", "1", 1);
    assert_eq!(hall.payloads(group[1]), ["0", "1"]);
    hall.lose(group[1]);
    hall.publish(writer, "jobs/x", "2", 1);
    hall.publish(writer, "jobs/x", "3", 1);
    let mut got = Vec::new();
    for name in ["a", "b"] {
        let back = hall.connect_kept(name);
        got.extend(hall.got(back).into_iter().filter(|g| !g.dup).map(|g| g.payload));
    }
    got.sort();
    assert_eq!(got, ["2", "3"]);
}

#[test]
fn no_retained_message_comes_and_no_local_is_a_protocol_error() {
    let mut hall = Hall::new(Limits::default());
    let writer = hall.connect_kept("writer");
    // QoS 0, RETAIN.
    hall.send(writer, &[0x31, 9, 0, 6, b'j', b'o', b'b', b's', b'/', b'x', 0]);
    hall.publish(writer, "jobs/x", "not retained", 0);
    let member = hall.connect_kept("member");
    hall.subscribe(member, FILTER, 1);
    assert!(hall.got(member).is_empty(), "§ 4.8.2: no retained messages");
    let mut out = Vec::new();
    let options = Wanted { no_local: true, ..Wanted::default() };
    encode_subscribe(&mut out, Version::V5, 3, &[(FILTER, options)], &[]);
    hall.send(member, &out);
    assert_eq!(hall.received(member)[0][..3], [0xe0, hall_disconnect_len(), 0x82], "[MQTT-3.8.3-4]");
    assert!(hall.is_closed(member));
}

/// Remaining Length of the DISCONNECT that says why: code, property length, identifier, length and text.
fn hall_disconnect_len() -> u8 {
    u8::try_from(1 + 1 + 1 + 2 + "No Local on a Shared Subscription".len()).unwrap()
}

#[test]
fn ill_formed_share_names_are_refused() {
    let mut hall = Hall::new(Limits::default());
    let member = hall.connect_kept("member");
    for filter in ["$share/x", "$share//a", "$share/+/a", "$share/x/a/#/b", "$share/x/"] {
        assert_eq!(hall.subscribe(member, filter, 0), 0x8f, "{filter}");
    }
}

#[test]
fn a_member_whose_packets_must_be_small_counts_as_served() {
    let mut hall = Hall::new(Limits::default());
    let small = hall.connect("small", Version::V5, &[(id::MAXIMUM_PACKET_SIZE, Value::FourBytes(20))]);
    hall.subscribe(small, FILTER, 1);
    let writer = hall.connect_kept("writer");
    hall.publish(writer, "jobs/x", &"long".repeat(20), 1);
    hall.publish(writer, "jobs/x", "short", 1);
    assert_eq!(hall.payloads(small), ["short"]);
}

#[test]
fn a_message_that_a_member_refused_goes_to_nobody_else() {
    for (qos, kind) in [(1, AckKind::Puback), (2, AckKind::Pubrec)] {
        let mut hall = Hall::new(Limits::default());
        let group = members(&mut hall, &["a", "b"], qos);
        let writer = hall.connect_kept("writer");
        hall.publish(writer, "jobs/x", "0", qos);
        let packet_id = hall.got(group[0])[0].packet_id;
        let mut out = Vec::new();
        Ack { kind, packet_id, reason: ReasonCode::QuotaExceeded }.encode(&mut out, Version::V5);
        hall.send(group[0], &out);
        hall.lose(group[0]);
        hall.wait(1_000_000);
        assert!(hall.payloads(group[1]).is_empty(), "QoS {qos}");
        let back = hall.connect_kept("a");
        assert!(hall.got(back).is_empty(), "nor to itself again");
    }
}
