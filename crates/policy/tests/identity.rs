//! Marks: for each rule packets that it marks, and packets that look alike and are not marked.
#![allow(unused_must_use, reason = "most packets here are the past of the one that is looked at")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod town;

use directory::{GatewayId, WatchCommand};
use mesh::signature::NodeKey;
use policy::decision::{Decision, Verdict};
use policy::memory::mark::Mark;
use policy::rule::{RuleId, RuleState};
use policy::settings::Settings;
use proptest::prelude::*;
use town::{FIELD, LIBERTY, NORTH, SOUTH, Sent, Town, nodeinfo, offset};

fn town() -> Town {
    Town::new(Settings::default())
}

fn marks(decision: &Decision) -> Vec<Mark> {
    Mark::of(decision).collect()
}

fn says(from: u32, said: (mesh::portnum::PortNum, Vec<u8>)) -> Sent {
    Sent { from, said, ..Sent::default() }
}

const KEY: [u8; 32] = [7; 32];
const OTHER_KEY: [u8; 32] = [8; 32];

#[test]
fn one_id_with_two_keys_is_marked_and_the_first_key_stands() {
    let mut town = town();
    assert_eq!(marks(&town.send(says(FIELD, nodeinfo(FIELD, 0, &KEY)))), []);
    let second = town.send(says(FIELD, nodeinfo(FIELD, 0, &OTHER_KEY)));
    assert_eq!(marks(&second), [Mark::TwoKeys]);
    assert_eq!(second.verdict, Verdict::Accept, "a mark alone holds nothing back");
    assert_eq!(marks(&town.send(says(FIELD, nodeinfo(FIELD, 0, &KEY)))), []);
    let known = town.policy.memory.nodes.get(FIELD).unwrap();
    assert_eq!((known.key.unwrap().key, known.other_key.unwrap().key), (KEY, OTHER_KEY));
    let evidence: Vec<_> = known.evidence().collect();
    assert_eq!((evidence.len(), evidence[0].times, evidence[0].gateway), (1, 1, NORTH));
}

#[test]
fn a_key_that_was_not_seen_for_long_gives_way() {
    let mut town = town();
    town.send(says(FIELD, nodeinfo(FIELD, 0, &KEY)));
    town.wait_s(31 * 24 * 3_600);
    assert_eq!(marks(&town.send(says(FIELD, nodeinfo(FIELD, 0, &OTHER_KEY)))), []);
    assert_eq!(marks(&town.send(says(FIELD, nodeinfo(FIELD, 0, &KEY)))), [Mark::TwoKeys]);
}

#[test]
fn what_a_gateway_says_of_its_own_key_is_the_proof() {
    let mut town = town();
    // Somebody was first, over the air.
    town.send(Sent { via: SOUTH, ..says(NORTH, nodeinfo(NORTH, 0, &OTHER_KEY)) });
    let own = Sent { hops: None, ..says(NORTH, nodeinfo(NORTH, 0, &KEY)) };
    assert_eq!(marks(&town.send(own)), []);
    let again = Sent { via: SOUTH, ..says(NORTH, nodeinfo(NORTH, 0, &OTHER_KEY)) };
    assert_eq!(marks(&town.send(again)), [Mark::TwoKeys]);
}

#[test]
fn one_key_with_two_ids_is_marked() {
    let mut town = town();
    town.send(says(FIELD, nodeinfo(FIELD, 0, &KEY)));
    let copy = town.send(says(0x1234_5678, nodeinfo(0x1234_5678, 0, &KEY)));
    assert_eq!(marks(&copy), [Mark::SharedKey]);
    assert_eq!(marks(&town.send(says(FIELD, nodeinfo(FIELD, 0, &KEY)))), []);
    assert_eq!(marks(&town.send(says(0x1234_5678, nodeinfo(0x1234_5678, 0, &OTHER_KEY)))), [Mark::TwoKeys]);
}

#[test]
fn an_id_that_is_made_from_the_key_may_take_it_along() {
    let mut town = town();
    town.send(says(FIELD, nodeinfo(FIELD, 0, &KEY)));
    let derived = crc32fast::hash(&KEY);
    assert_eq!(marks(&town.send(says(derived, nodeinfo(derived, 0, &KEY)))), []);
    assert_eq!(marks(&town.send(says(FIELD, nodeinfo(FIELD, 0, &KEY)))), [Mark::SharedKey]);
}

#[test]
fn signatures_are_checked_against_the_key_that_the_node_showed() {
    let mut town = town();
    let (own, foreign) = (NodeKey::from_bytes([3; 32]), NodeKey::from_bytes([4; 32]));
    let unknown = town.send(Sent { sign: Some(foreign.clone()), ..Sent::default() });
    assert_eq!(marks(&unknown), [], "without a key nothing is known");
    town.send(says(FIELD, nodeinfo(FIELD, 0, &own.public_key())));
    assert_eq!(marks(&town.send(Sent::default())), [], "it has signed nothing yet");
    assert_eq!(marks(&town.send(Sent { sign: Some(own.clone()), ..Sent::default() })), []);
    let forged = town.send(Sent { sign: Some(foreign), ..Sent::default() });
    assert_eq!(marks(&forged), [Mark::Signature]);
    assert_eq!(marks(&town.send(Sent { malformed: true, ..Sent::default() })), [Mark::Signature]);
    // From now on what is not signed is remarkable, unless it is for one node or has no room.
    assert_eq!(marks(&town.send(Sent::default())), [Mark::Signature]);
    assert_eq!(marks(&town.send(Sent { to: NORTH, ..Sent::default() })), []);
    let long = mesh::compose::text(&"x".repeat(180));
    assert_eq!(marks(&town.send(Sent { said: long, ..Sent::default() })), []);
    town.wait_s(8 * 24 * 3_600);
    assert_eq!(marks(&town.send(Sent::default())), [], "it may have gone back to older firmware");
}

#[test]
fn a_signature_by_the_other_key_shows_two_keys() {
    let mut town = town();
    let (own, other) = (NodeKey::from_bytes([3; 32]), NodeKey::from_bytes([4; 32]));
    town.send(says(FIELD, nodeinfo(FIELD, 0, &own.public_key())));
    town.send(says(FIELD, nodeinfo(FIELD, 0, &other.public_key())));
    assert_eq!(marks(&town.send(Sent { sign: Some(other), ..Sent::default() })), [Mark::TwoKeys]);
}

#[test]
fn only_so_many_signatures_are_checked_in_a_second() {
    let mut town = town();
    let (own, foreign) = (NodeKey::from_bytes([3; 32]), NodeKey::from_bytes([4; 32]));
    town.send(says(FIELD, nodeinfo(FIELD, 0, &own.public_key())));
    let forge =
        |town: &mut Town| marks(&town.send(Sent { sign: Some(foreign.clone()), ..Sent::default() })).len();
    let marked: usize = (0..130).map(|_| forge(&mut town)).sum();
    assert_eq!((marked, town.policy.memory.signatures.left_unchecked), (100, 30));
    town.wait_s(1);
    assert_eq!(forge(&mut town), 1);
}

#[test]
fn a_gateway_that_hears_its_own_id_is_marked() {
    let mut town = town();
    assert_eq!(marks(&town.send(Sent { from: NORTH, hops: None, ..Sent::default() })), []);
    assert_eq!(marks(&town.send(Sent { from: NORTH, hops: Some(0), ..Sent::default() })), [Mark::OwnIdHeard]);
    assert_eq!(marks(&town.send(Sent { from: NORTH, via: SOUTH, ..Sent::default() })), []);
}

#[test]
fn nobody_travels_300_km_in_a_minute_and_who_tries_is_marked() {
    let mut town = town();
    let far = offset(LIBERTY, 300_000.0, 0.0);
    assert_eq!(marks(&town.place_of(FIELD, NORTH, Some(1), LIBERTY, 32)), []);
    town.wait_s(60);
    let jumped = town.place_of(FIELD, NORTH, Some(1), far, 13);
    assert_eq!(marks(&jumped), [Mark::ImpossibleTravel]);
    // The place before still counts, so its owner is not marked when it speaks again.
    assert_eq!(marks(&town.place_of(FIELD, NORTH, Some(1), LIBERTY, 32)), []);
    town.wait_s(1_800);
    assert_eq!(marks(&town.place_of(FIELD, NORTH, Some(1), far, 13)), [], "by air it can be there");
}

#[test]
fn a_node_heard_directly_on_two_distant_islands_at_once_is_marked() {
    let mut town = town();
    town.tell_place(NORTH, LIBERTY, 13);
    town.tell_place(SOUTH, offset(LIBERTY, -400_000.0, 0.0), 13);
    town.send(Sent::default());
    town.wait_s(300);
    let relayed = town.send(Sent { via: SOUTH, hops: Some(1), ..Sent::default() });
    assert_eq!(marks(&relayed), [], "a relay may have carried it far");
    let heard = town.send(Sent { via: SOUTH, ..Sent::default() });
    assert_eq!(marks(&heard), [Mark::TwoIslands]);
    town.wait_s(700);
    assert_eq!(marks(&town.send(Sent::default())), [], "in that time it may have been carried");
}

#[test]
fn two_gateways_of_one_city_hear_the_same_node() {
    let mut town = town();
    town.tell_place(NORTH, LIBERTY, 13);
    town.tell_place(SOUTH, offset(LIBERTY, -40_000.0, 0.0), 13);
    town.send(Sent::default());
    assert_eq!(marks(&town.send(Sent { via: SOUTH, ..Sent::default() })), []);
}

#[test]
fn quarantine_records_only_and_ends_with_release() {
    let mut town = town();
    let node = GatewayId(FIELD);
    town.decide(WatchCommand::Quarantine { node, reason: "two keys".into() });
    let inside = town.send(Sent::default());
    assert_eq!((inside.rule, inside.verdict), (Some(RuleId::Quarantined), Verdict::RecordOnly));
    assert_eq!(town.send(Sent { from: 0x1234_5678, ..Sent::default() }).rule, None);
    town.decide(WatchCommand::Release(node));
    assert_eq!(town.send(Sent::default()).rule, None);
}

#[test]
fn an_enforced_mark_is_recorded_only_with_a_sentence_and_one_that_is_off_is_not_found() {
    for mark in Mark::ALL {
        let mut settings = Settings::default();
        settings.set_state(mark.rule(), RuleState::Enforce);
        let decision = provoke(&mut Town::new(settings.clone()), mark);
        assert_eq!((decision.rule, decision.verdict), (Some(mark.rule()), Verdict::RecordOnly));
        assert!(decision.sentence.len() > 20 && decision.sentence.ends_with('.'), "{}", decision.sentence);
        settings.set_state(mark.rule(), RuleState::Off);
        let mut town = Town::new(settings);
        assert_eq!(provoke(&mut town, mark).rule, None);
        assert!(town.policy.memory.nodes.iter().all(|(_, _, node)| node.evidence().count() == 0), "{mark:?}");
    }
}

/// A packet with just that mark.
fn provoke(town: &mut Town, mark: Mark) -> Decision {
    let far = offset(LIBERTY, 400_000.0, 0.0);
    match mark {
        Mark::TwoKeys => {
            town.send(says(FIELD, nodeinfo(FIELD, 0, &KEY)));
            town.send(says(FIELD, nodeinfo(FIELD, 0, &OTHER_KEY)))
        }
        Mark::SharedKey => {
            town.send(says(0x1234_5678, nodeinfo(0x1234_5678, 0, &KEY)));
            town.send(says(FIELD, nodeinfo(FIELD, 0, &KEY)))
        }
        Mark::Signature => town.send(Sent { malformed: true, ..Sent::default() }),
        Mark::OwnIdHeard => town.send(Sent { from: NORTH, ..Sent::default() }),
        Mark::ImpossibleTravel => {
            town.place_of(FIELD, NORTH, Some(1), LIBERTY, 32);
            town.place_of(FIELD, NORTH, Some(1), far, 32)
        }
        Mark::TwoIslands => {
            town.tell_place(NORTH, LIBERTY, 32);
            town.tell_place(SOUTH, far, 32);
            town.send(Sent::default());
            town.send(Sent { via: SOUTH, ..Sent::default() })
        }
    }
}

#[test]
fn what_is_remembered_of_nodes_survives_being_written_down() {
    let mut town = town();
    town.send(says(FIELD, nodeinfo(FIELD, 0, &KEY)));
    town.send(says(FIELD, nodeinfo(FIELD, 0, &OTHER_KEY)));
    let text = serde_json::to_string(&town.policy.memory.nodes).unwrap();
    town.policy.memory.nodes = serde_json::from_str(&text).unwrap();
    assert_eq!(marks(&town.send(says(FIELD, nodeinfo(FIELD, 0, &OTHER_KEY)))), [Mark::TwoKeys]);
    let copy = says(0x1234_5678, nodeinfo(0x1234_5678, 0, &KEY));
    assert_eq!(marks(&town.send(copy)), [Mark::SharedKey], "whose key it is is found again");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A car with a node in it, told as coarsely as one likes and heard late, is never in two places at once.
    #[test]
    fn nobody_who_drives_is_marked(
        bits in 10u32..=32, kmh in 0.0f64..130.0, every_s in 1i64..3_600, course in 0.0f64..6.2, late_s in 0i64..300,
    ) {
        let mut town = town();
        for report in 0..20 {
            // The place is that of some seconds ago; how many changes from one report to the next.
            let driven_s = (report * every_s - if report % 2 == 0 { late_s } else { 0 }).max(0);
            let metres = kmh / 3.6 * driven_s as f64;
            let place = offset(LIBERTY, metres * course.cos(), metres * course.sin());
            let decision = town.place_of(FIELD, NORTH, Some(1), place, bits);
            prop_assert_eq!(marks(&decision), []);
            town.wait_s(every_s);
        }
    }
}
