//! A town in which everything has happened that must not be seen, each with a mark to look for.

#![allow(dead_code, reason = "shared by tests, each of which uses a part")]

use std::net::IpAddr;

use super::{
    ANA, Copy, HERMIT, ROUTER_1, ROUTER_2, STRANGERS, Town, WORKS, node_info, position, telemetry, waypoint,
};

/// Things that only the operator may read, each with a mark of its own.
pub const MARKS: [&str; 12] = [
    "mark-contact@example.org",
    "mark-client-id",
    "198.51.100.",
    "mark-observer",
    "gw-7c5a0a01",
    "mark-not-agreed",
    "mark-private-channel",
    "mark-hermit-name",
    "39.2468",
    "94.4191",
    "392468123",
    "mark-waypoint",
];

/// A town in which everything that must not be seen has happened, beside things that may be.
pub fn town_with_secrets() -> Town {
    let mut town = Town::new();
    let address = |last| IpAddr::from([198, 51, 100, last]);
    let one = town.gateway(ROUTER_1, "mark-contact@example.org", "mark-client-id-1", address(1));
    let two = town.gateway(ROUTER_2, "mark-contact@example.org", "mark-client-id-2", address(2));
    town.observer("mark-observer", address(3));
    let mut hear = |copy: Copy| {
        town.hear(one, &copy);
        town.wait_ms(120);
        town.hear(two, &copy.clone().after(1, -104, -3.5, 0xbb));
        town.wait_ms(1000);
    };
    hear(node_info(ANA, 10, "Ana hiking", "ANA"));
    hear(Copy::text(ANA, 11, "public hello"));
    hear(position(ANA, 12, 392_468_123, -944_191_457, 32));
    hear(telemetry(ANA, 13));
    hear(waypoint(ANA, 14, 392_468_123, -944_191_457, "mark-waypoint"));
    hear(Copy::text(ANA, 15, "mark-not-agreed").opted_out());
    hear(Copy::text(ANA, 16, "mark-private-channel").on(WORKS));
    hear(Copy::text(ANA, 17, "closed").on(STRANGERS));
    hear(node_info(HERMIT, 18, "mark-hermit-name", "HERM").opted_out());
    // A public packet to somebody who is not: the number may be seen, the name may not.
    hear(Copy { to: HERMIT, ..Copy::text(ANA, 9, "to the hermit") });
    hear(position(HERMIT, 19, 392_468_123, -944_191_457, 32).opted_out());
    town.publish(one, "msh/US/MO/KC/2/e/LongFast/!7c5a0a01", b"mark-not-agreed junk");
    town
}
