//! A gateway that uplinks what it was sent down teaches nothing: it heard nothing, and would make one island of all.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use mesh::compose::{Closed, Content, Packet, envelope, text};
use mesh::key::ChannelKey;
use mesh::node::NodeNum;
use policy::memory::seen::PacketKey;
use policy::release::Passing;
use policy::settings::Settings;
use policy::uplink::pass_unjudged;
use town::{FIELD, NORTH, SOUTH, Town};

const HOUR_MS: u64 = 3_600_000;

fn uplink(town: &mut Town, id: u32, via: u32) {
    let packet = Packet {
        from: NodeNum(FIELD),
        to: NodeNum::BROADCAST,
        id,
        hop_limit: 1,
        hop_start: 2,
        rx_rssi: -80,
        ..Packet::default()
    };
    let (port, payload) = text("hello");
    let content = Content { port: port.0, payload, bitfield: Some(1), ..Content::default() };
    let key = ChannelKey::from_psk(&[9; 32]).unwrap();
    let payload = envelope(&packet, &content, "Ops", Closed::Encrypted(&key), NodeNum(via));
    _ = town.publish(via, &format!("msh/US/2/e/Ops/!{via:08x}"), &payload);
}

fn send_down(town: &mut Town, id: u32, receiver: u32) {
    let permit = pass_unjudged().1;
    let passing = Passing {
        permit: &permit,
        uplinked_by: Some(NORTH),
        from: FIELD,
        to: NodeNum::BROADCAST.0,
        key: Some(PacketKey { from: FIELD, id }),
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
    };
    let now = town.now();
    town.policy.charge(now, &passing, receiver, 1, &town.directory);
}

/// Twenty packets that one gateway hears and another uplinks a second later: whether they are on one island then, and
/// whether the other counts as one that hears the sender and has heard the last packet.
fn learned(is_sent_down: bool) -> [bool; 3] {
    let mut town = Town::new(Settings::default());
    for id in 1..=20 {
        town.wait_s(60);
        uplink(&mut town, id, NORTH);
        if is_sent_down {
            send_down(&mut town, id, SOUTH);
        }
        town.wait_s(1);
        uplink(&mut town, id, SOUTH);
    }
    let (memory, now_ms) = (&town.policy.memory, town.now().mono_ms);
    let islands = [NORTH, SOUTH].map(|gateway| memory.islands.island_of(gateway));
    [
        islands[0].is_some() && islands[0] == islands[1],
        memory.reach.hears(now_ms, SOUTH, FIELD, HOUR_MS),
        memory.seen.was_heard_by(PacketKey { from: FIELD, id: 20 }, SOUTH),
    ]
}

#[test]
fn what_was_sent_down_teaches_nothing_when_it_comes_up_again() {
    assert_eq!(learned(true), [false; 3]);
}

#[test]
fn the_same_uplinks_teach_all_of_it_when_the_radio_brought_them() {
    assert_eq!(learned(false), [true; 3]);
}
