//! Whether a gateway has moved: wander, coarse positions, drives, roles, what it hears, and the operator's review.
#![allow(unused_must_use, reason = "most packets here are the past of the one that is looked at")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use directory::{GatewayId, WatchCommand};
use policy::decision::Outcome;
use policy::memory::movement::{Standing, Why};
use policy::rule::{RuleId, RuleState};
use policy::settings::Settings;
use proptest::prelude::*;
use town::{FIELD, LIBERTY, NORTH, SOUTH, Sent, Town, nodeinfo, offset};

fn town() -> Town {
    let mut town = Town::new(Settings::default());
    town.add_gateway(NORTH);
    town
}

fn why(town: &Town) -> Option<Why> {
    town.policy.memory.movement.may_have_downlink(&town.directory, NORTH).err().map(|moved| moved.why)
}

fn hour_at(town: &mut Town, place: (i32, i32), bits: u32) {
    town.tell_place(NORTH, place, bits);
    town.wait_s(3_600);
}

#[test]
fn a_move_suspends_downlink_until_the_review_and_never_uplink() {
    let mut town = town();
    hour_at(&mut town, LIBERTY, 32);
    assert_eq!(town.copy_toward(NORTH), Outcome::Delivered);
    let away = offset(LIBERTY, 900.0, 900.0);
    hour_at(&mut town, away, 32);
    assert_eq!(town.copy_toward(NORTH), Outcome::Delivered, "one fix may be a glitch");
    hour_at(&mut town, away, 32);
    assert_eq!(town.copy_toward(NORTH), Outcome::Withheld(RuleId::Moved));
    assert_eq!(town.copy_toward(SOUTH), Outcome::Delivered);
    assert_eq!(town.send(Sent::default()).rule, None, "what it hears is passed on");
    assert!(matches!(why(&town), Some(Why::Position { metres: 1_200..1_300 })), "{:?}", why(&town));
    assert_eq!(town.policy.memory.movement.take_news().len(), 1);
    town.decide(WatchCommand::Review(GatewayId(NORTH)));
    assert_eq!(town.copy_toward(NORTH), Outcome::Delivered);
    // Where it is now is where it belongs.
    hour_at(&mut town, away, 32);
    hour_at(&mut town, away, 32);
    assert_eq!(why(&town), None);
    hour_at(&mut town, LIBERTY, 32);
    hour_at(&mut town, LIBERTY, 32);
    assert!(why(&town).is_some(), "and back is a move again");
}

#[test]
fn a_rule_that_only_watches_says_what_it_would_have_done() {
    let mut settings = Settings::default();
    settings.set_state(RuleId::Moved, RuleState::Observe);
    let mut town = Town::new(settings);
    for place in [LIBERTY, offset(LIBERTY, 9_000.0, 0.0), offset(LIBERTY, 9_000.0, 0.0)] {
        hour_at(&mut town, place, 32);
    }
    assert_eq!(town.copy_toward(NORTH), Outcome::Delivered);
    assert!(why(&town).is_some());
}

#[test]
fn a_glitch_is_no_move() {
    let mut town = town();
    for _ in 0..5 {
        hour_at(&mut town, LIBERTY, 32);
        town.tell_place(NORTH, offset(LIBERTY, 40_000.0, 0.0), 32);
        town.wait_s(5);
        town.tell_place(NORTH, offset(LIBERTY, 40_000.0, 10.0), 32);
        town.wait_s(600);
    }
    assert_eq!(why(&town), None);
}

#[test]
fn others_cannot_move_a_gateway_over_the_air() {
    let mut town = town();
    hour_at(&mut town, LIBERTY, 32);
    for _ in 0..5 {
        town.place_of(NORTH, SOUTH, Some(0), offset(LIBERTY, 90_000.0, 0.0), 32);
        // Not even through itself: what it heard over the air it did not say.
        town.place_of(NORTH, NORTH, Some(0), offset(LIBERTY, 90_000.0, 0.0), 32);
        town.send(Sent { from: NORTH, via: SOUTH, said: nodeinfo(NORTH, 5, &[7; 32]), ..Sent::default() });
        town.wait_s(3_600);
    }
    assert_eq!(why(&town), None);
}

#[test]
fn a_tracker_is_no_gateway_until_the_operator_says_so() {
    let mut town = town();
    let says =
        |role| Sent { from: NORTH, hops: None, said: nodeinfo(NORTH, role, &[7; 32]), ..Sent::default() };
    town.send(says(2));
    assert_eq!(why(&town), None);
    town.send(says(5));
    assert_eq!(why(&town), Some(Why::Role(5)));
    assert_eq!(town.copy_toward(NORTH), Outcome::Withheld(RuleId::Moved));
    town.wait_s(1);
    town.decide(WatchCommand::Review(GatewayId(NORTH)));
    town.send(says(5));
    assert_eq!(why(&town), None, "it was looked at with this role");
    town.wait_s(1);
    town.send(says(10));
    assert_eq!(why(&town), Some(Why::Role(10)));
}

#[test]
fn a_client_mute_is_called_moved_a_position_sooner() {
    let mut town = town();
    town.send(Sent { from: NORTH, hops: None, said: nodeinfo(NORTH, 1, &[7; 32]), ..Sent::default() });
    hour_at(&mut town, LIBERTY, 32);
    hour_at(&mut town, offset(LIBERTY, 5_000.0, 0.0), 32);
    assert!(matches!(why(&town), Some(Why::Position { .. })));
}

/// For so many hours it hears these nodes directly.
fn hears(town: &mut Town, hours: i64, nodes: std::ops::Range<u32>) {
    for _ in 0..hours {
        for node in nodes.clone() {
            town.send(Sent { from: 0x1000_0000 + node, ..Sent::default() });
        }
        town.wait_s(3_600);
    }
}

#[test]
fn who_hears_quite_other_nodes_is_elsewhere() {
    let mut town = town();
    hears(&mut town, 24, 0..20);
    assert_eq!(town.policy.memory.movement.standing(&town.directory, NORTH), Standing::Stationary);
    hears(&mut town, 24, 500..520);
    assert!(matches!(why(&town), Some(Why::Hearing { known: 0, of: 20 })), "{:?}", why(&town));
    town.decide(WatchCommand::Review(GatewayId(NORTH)));
    hears(&mut town, 48, 500..520);
    assert_eq!(why(&town), None);
}

#[test]
fn strangers_who_pass_by_do_not_move_it() {
    let mut town = town();
    hears(&mut town, 24, 0..20);
    for day in 1..6 {
        hears(&mut town, 12, 0..15);
        // A convoy, or somebody who makes up ids.
        hears(&mut town, 6, day * 1_000..day * 1_000 + 300);
        hears(&mut town, 6, 0..20);
    }
    assert_eq!(why(&town), None);
}

#[test]
fn a_quiet_night_does_not_move_it() {
    let mut town = town();
    hears(&mut town, 24, 0..20);
    hears(&mut town, 24, 0..1);
    hears(&mut town, 24, 500..503);
    assert_eq!(why(&town), None);
}

#[test]
fn what_a_gateway_said_is_there_for_other_rules() {
    let mut town = town();
    town.tell_place(NORTH, LIBERTY, 13);
    let said = mesh::compose::device_telemetry(1, 101, 4.1, 27.5, 3.25, 900);
    town.send(Sent { from: NORTH, hops: None, said, ..Sent::default() });
    let profile = town.policy.memory.profiles.get(NORTH).unwrap();
    assert_eq!(profile.utilisation.map(|(channel, own, _)| (channel, own)), Some((27.5, 3.25)));
    assert_eq!((profile.hop_limit, profile.preset()), (Some(1), None));
    assert_eq!(profile.place.unwrap().place.bits, 13);
    assert!(town.policy.memory.profiles.get(FIELD).is_none(), "only gateways have one");
}

#[test]
fn whereabouts_survive_being_written_down() {
    let mut town = town();
    for place in [LIBERTY, offset(LIBERTY, 9_000.0, 0.0), offset(LIBERTY, 9_000.0, 0.0)] {
        hour_at(&mut town, place, 32);
    }
    let text = serde_json::to_string(&town.policy.memory.movement).unwrap();
    town.policy.memory.movement = serde_json::from_str(&text).unwrap();
    assert_eq!(town.copy_toward(NORTH), Outcome::Withheld(RuleId::Moved));
}

/// Precisions as firmware offers them, and none at all.
fn precision() -> impl Strategy<Value = u32> {
    prop_oneof![10u32..=19, Just(32u32)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// GPS wander is no move, however coarse the positions and wherever the borders of their cells lie.
    #[test]
    fn wander_within_the_precision_is_never_a_move(
        north in -900_000.0f64..900_000.0, east in -900_000.0f64..900_000.0, is_mute: bool,
        fixes in prop::collection::vec((-120.0f64..120.0, -120.0f64..120.0, precision(), 1i64..7_200), 1..60),
    ) {
        let mut town = town();
        if is_mute {
            town.send(Sent { from: NORTH, hops: None, said: nodeinfo(NORTH, 1, &[7; 32]), ..Sent::default() });
        }
        let home = offset(LIBERTY, north, east);
        for (north_m, east_m, bits, wait_s) in fixes {
            town.tell_place(NORTH, offset(home, north_m, east_m), bits);
            town.wait_s(wait_s);
            prop_assert_eq!(why(&town), None);
        }
    }

    /// A drive of 20 km is a move, at every precision that tells one city from the next.
    #[test]
    fn a_drive_of_20_km_is_a_move(
        north in -900_000.0f64..900_000.0, east in -900_000.0f64..900_000.0, course in 0.0f64..6.3,
        bits in prop_oneof![13u32..=19, Just(32u32)],
    ) {
        let mut town = town();
        let home = offset(LIBERTY, north, east);
        for _ in 0..3 {
            hour_at(&mut town, home, bits);
        }
        for km in [5.0, 10.0, 15.0, 20.0, 20.0, 20.0] {
            let metres = km * 1000.0;
            hour_at(&mut town, offset(home, metres * f64::cos(course), metres * f64::sin(course)), bits);
        }
        let is_seen = matches!(why(&town), Some(Why::Position { .. }));
        prop_assert!(is_seen);
        prop_assert_eq!(town.copy_toward(NORTH), Outcome::Withheld(RuleId::Moved));
    }
}
