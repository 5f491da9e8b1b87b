//! The order of receptions does not matter, and no place comes out finer than it went in.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use insight::coverage::{Wanted, hexagons};
use insight::survey::Traced;
use insight::traceroute::{Hop, Route};
use insight::{Hearing, LinkKey, Place, Source, Survey, compare};
use mesh::position::PositionFacts;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Told {
    Nothing,
    Place(i32, i32),
    Neighbour(u32, i32),
    Route(u32, i32),
}

fn told() -> impl Strategy<Value = (Hearing, Told)> {
    let what = prop_oneof![
        Just(Told::Nothing),
        (0i32..4, 0i32..4)
            .prop_map(|(a, b)| Told::Place(391_000_000 + a * 300_000, -945_000_000 + b * 300_000)),
        (10u32..16, -40i32..40).prop_map(|(n, snr)| Told::Neighbour(n, snr)),
        (10u32..16, -40i32..40).prop_map(|(n, snr)| Told::Route(n, snr)),
    ];
    let hearing =
        (0i64..1000, 10u32..16, 14u32..18, 1u32..9, proptest::option::of(0u8..3), any::<bool>(), -60i32..40)
            .prop_map(|(at_ms, from, gateway, packet, hops, is_via_mqtt, snr)| Hearing {
                at_ms,
                from,
                gateway,
                packet,
                hops,
                is_via_mqtt,
                snr_quarters: Some(snr),
            });
    (hearing, what)
}

fn position(latitude_i: i32, longitude_i: i32) -> PositionFacts {
    PositionFacts {
        latitude_i: Some(latitude_i),
        longitude_i: Some(longitude_i),
        altitude_m: None,
        precision_bits: 32,
    }
}

fn survey(all: &[(Hearing, Told)], bits: u32) -> Survey {
    let mut survey = Survey::default();
    for (hearing, told) in all {
        survey.hear(hearing);
        let hop = |to: &u32, snr: &i32| Hop { from: hearing.from, to: *to, snr_quarters: Some(*snr) };
        match told {
            Told::Nothing => {}
            Told::Place(lat, lon) => {
                survey.place(hearing, Place::of(&position(*lat, *lon).coarsened(bits)).unwrap());
            }
            Told::Neighbour(to, snr) => survey.neighbours(hearing.at_ms, &[hop(to, snr)]),
            Told::Route(to, snr) => survey.trace(
                hearing.from,
                hearing.packet,
                Traced {
                    at_ms: hearing.at_ms,
                    asked: hearing.from,
                    wanted: 9,
                    route: Route { there: vec![hop(to, snr)], back: vec![] },
                    is_answer: false,
                },
            ),
        }
    }
    survey
}

proptest! {
    #[test]
    fn any_order_gives_the_same(
        (all, shuffled) in proptest::collection::vec(told(), 0..40)
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
    ) {
        prop_assert_eq!(survey(&all, 32), survey(&shuffled, 32));
        let gateways = |all: &[(Hearing, Told)]| {
            let mut gateways = compare::Gateways::new(16, 17);
            all.iter().for_each(|(hearing, _)| gateways.hear(hearing));
            gateways.sums()
        };
        prop_assert_eq!(gateways(&all), gateways(&shuffled));
    }

    #[test]
    fn links_and_hexagons_agree_with_a_plain_count(all in proptest::collection::vec(told(), 0..40)) {
        let survey = survey(&all, 32);
        let links = survey.links();
        for (key, link) in links.iter().filter(|(key, _)| key.source == Source::Direct) {
            let direct = all.iter().filter(|(h, _)| h.from == key.from && h.gateway == key.to && h.is_direct());
            let best = direct.clone().filter_map(|(h, _)| h.snr_quarters).max();
            prop_assert_eq!((link.count, link.best_quarters), (direct.count() as u64, best));
        }
        for hexagon in hexagons(&survey, Wanted { resolution: 7, gateway: None, node: None }).values() {
            for gateway in &hexagon.gateways {
                let is_linked = |node: &u32| links.contains_key(&LinkKey { from: *node, to: *gateway, source: Source::Direct });
                prop_assert!(hexagon.nodes.iter().any(is_linked));
            }
        }
    }

    #[test]
    fn places_that_are_alike_once_cut_give_the_same_survey(lat in 0i32..200_000, lon in 0i32..200_000) {
        // Both in one cell of 14 bits: nobody can tell them apart afterwards.
        let corner = |v: i32| (v as u32 & (u32::MAX << 18)) as i32;
        let hearing = Hearing { at_ms: 1, from: 10, gateway: 17, packet: 1, hops: Some(0), is_via_mqtt: false, snr_quarters: Some(8) };
        let at = |lat, lon| survey(&[(hearing, Told::Place(corner(391_000_000) + lat, corner(-945_000_000) + lon))], 14);
        prop_assert_eq!(at(lat, lon), at(0, 0));
        let wanted = Wanted { resolution: 9, gateway: None, node: None };
        prop_assert_eq!(hexagons(&at(lat, lon), wanted), hexagons(&at(0, 0), wanted));
    }
}

fn heard(from: u32, gateway: u32, packet: u32, snr: i32) -> Hearing {
    Hearing {
        at_ms: i64::from(packet),
        from,
        gateway,
        packet,
        hops: Some(0),
        is_via_mqtt: false,
        snr_quarters: Some(snr),
    }
}

#[test]
fn two_gateways_are_compared_by_packets_that_both_could_hear() {
    let mut gateways = compare::Gateways::new(1, 2);
    for hearing in [
        heard(10, 1, 100, 20),
        heard(10, 2, 100, 12),
        heard(10, 1, 101, 4),
        heard(11, 2, 102, 4),
        heard(1, 2, 103, 4),
        heard(10, 3, 104, 4),
    ] {
        gateways.hear(&hearing);
    }
    let (all, by_node) = gateways.sums();
    assert_eq!((all.both, all.only_a, all.only_b, all.difference_db()), (1, 1, 1, Some(2.0)));
    assert_eq!(by_node.keys().collect::<Vec<_>>(), [&10, &11]);
}

#[test]
fn between_windows_links_come_go_and_change_and_nodes_are_orphaned() {
    let window = |all: &[Hearing]| {
        let mut survey = Survey::default();
        all.iter().for_each(|hearing| survey.hear(hearing));
        survey
    };
    let earlier = window(&[heard(10, 1, 1, 20), heard(11, 1, 2, 4), heard(12, 1, 3, 8)]);
    let later = window(&[heard(10, 1, 4, 10), heard(12, 2, 5, 8)]);
    let key = |from, to| LinkKey { from, to, source: Source::Direct };
    let change = compare::windows(&earlier, &later);
    assert_eq!(change.gained, [key(12, 2)]);
    assert_eq!(change.lost, [key(11, 1), key(12, 1)]);
    assert_eq!(change.margin, [(key(10, 1), -2.5)]);
    assert_eq!(change.orphaned, [11]);
}
