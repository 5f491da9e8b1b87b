//! The checklist of a gateway that is connected: what the broker has seen of it, and the boxes that tick by it. A pure
//! function of facts; asks nobody.

use policy::memory::movement::Standing;

use crate::words::count;

/// What was seen of a gateway within the last day. What nobody has seen is `None` or 0.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Whether it is connected.
    pub is_connected: bool,
    /// Receptions that it uplinked.
    pub receptions: u64,
    /// Of these, packets of its own.
    pub own: u64,
    /// A topic that is not below the root that was agreed, or has an empty level.
    pub wrong_topic: Option<String>,
    /// Packets of its own that came in clear.
    pub in_clear: u64,
    /// Packets of its own by whether they agree to MQTT: yes, and no or unknown.
    pub consent: (u64, u64),
    /// Most bits of precision in a position of its own.
    pub precision_bits: Option<u32>,
    /// Its role, in the protocol's words.
    pub role: Option<&'static str>,
    /// Map reports.
    pub map_reports: u64,
    /// Whether it stays where it is.
    pub standing: Standing,
    /// Receptions whose time was wrong.
    pub wrong_time: u64,
    /// Whether it subscribes to anything.
    pub wants_downlink: bool,
    /// Whether it has proved that downlink arrives.
    pub is_verified: bool,
    /// Hours of the last seven days in which it uplinked something, and hours since it did so first.
    pub hours: (u64, u64),
    /// Battery in percent as it says; over 100 is mains.
    pub battery: Option<u64>,
}

/// How a box stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Seen to be so.
    Done,
    /// Not seen yet.
    Waiting,
    /// Seen to be otherwise.
    Wrong,
}

/// One box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// What it is about.
    pub name: &'static str,
    /// How it stands.
    pub tick: Tick,
    /// What was seen.
    pub evidence: String,
    /// What to change; empty when it is done.
    pub fix: &'static str,
}

/// Positions finer than this tell a house.
const PRECISION_BITS_MAX: u32 = 16;
/// Roles of nodes that are carried about.
const CARRIED: [&str; 4] = ["TRACKER", "TAK", "TAK_TRACKER", "LOST_AND_FOUND"];
/// Hours after which it can be said whether the internet is reliable.
const HOURS_MIN: u64 = 24;
/// Share of hours, in percent, with something from a gateway whose internet is reliable.
const HOURS_PERCENT_MIN: u64 = 95;
/// Battery in percent below which power is in doubt.
const BATTERY_PERCENT_MIN: u64 = 30;

/// What is said where only its own packets can tell.
const NOTHING_YET: &str = "Nothing to tell it by has come yet.";

/// Every box, in the order of the checklist.
pub fn points(seen: &Seen) -> Vec<Point> {
    let point = |name, tick, evidence: String, fix| Point {
        name,
        tick,
        evidence,
        fix: if tick == Tick::Done { "" } else { fix },
    };
    let once = |is_so: bool| if is_so { Tick::Done } else { Tick::Waiting };
    let unless = |is_seen: bool, is_wrong: bool| match (is_seen, is_wrong) {
        (_, true) => Tick::Wrong,
        (true, false) => Tick::Done,
        (false, false) => Tick::Waiting,
    };
    let (agreed, not_agreed) = seen.consent;
    let (hours, hours_of) = seen.hours;
    let percent = (hours * 100).checked_div(hours_of).unwrap_or(0);
    vec![
        point(
            "Connected",
            once(seen.is_connected),
            if seen.is_connected { "It is connected." } else { "It is not connected." }.to_owned(),
            "Check server, user name and password of the MQTT module, and its internet.",
        ),
        point(
            "Packets arrive",
            once(seen.receptions > 0),
            format!("{} within a day.", count(seen.receptions, "reception")),
            "Turn uplink on for its primary channel.",
        ),
        point(
            "Own packets arrive",
            once(seen.own > 0),
            format!("{} of its own within a day.", seen.own),
            "It sends node information within a few hours; restarting it is quicker.",
        ),
        point(
            "Root topic",
            unless(seen.receptions > 0, seen.wrong_topic.is_some()),
            match &seen.wrong_topic {
                Some(topic) => format!("It publishes to {topic}."),
                None if seen.receptions == 0 => NOTHING_YET.to_owned(),
                None => "Every topic is below the agreed root.".to_owned(),
            },
            "Set the root topic as agreed, without a slash at its end.",
        ),
        point(
            "Encryption",
            unless(seen.own > 0, seen.in_clear > 0),
            match (seen.own, seen.in_clear) {
                (0, _) => NOTHING_YET.to_owned(),
                (own, in_clear) => format!("{in_clear} of {own} packets of its own came in clear."),
            },
            "Turn encryption on in the MQTT module.",
        ),
        point(
            "Consent",
            unless(agreed > 0, not_agreed > agreed),
            match agreed + not_agreed {
                0 => NOTHING_YET.to_owned(),
                own => format!("{agreed} of {own} packets of its own agree to MQTT."),
            },
            "Turn “OK to MQTT” on in the LoRa settings; else its own packets are passed on to nobody.",
        ),
        point(
            "Precision",
            unless(
                seen.precision_bits.is_some(),
                seen.precision_bits.is_some_and(|bits| bits > PRECISION_BITS_MAX),
            ),
            seen.precision_bits.map_or("It has sent no position.".to_owned(), |bits| {
                format!("Its positions have up to {bits} bits.")
            }),
            "Lower the precision of positions on its primary channel: 13 to 15 bits tell a quarter, not a house.",
        ),
        point(
            "Role",
            unless(seen.role.is_some(), seen.role.is_some_and(|role| CARRIED.contains(&role))),
            seen.role.map_or("It has not told its role.".to_owned(), |role| format!("Its role is {role}.")),
            "Gateways stay where they are: use CLIENT, or ROUTER on a high place that was agreed.",
        ),
        point(
            "Map report",
            once(seen.map_reports > 0),
            format!("{} within a day.", count(seen.map_reports, "map report")),
            "Map reporting is optional; turn it on in the MQTT module to show on public maps.",
        ),
        point(
            "Does not move",
            match seen.standing {
                Standing::Stationary => Tick::Done,
                Standing::Unknown => Tick::Waiting,
                Standing::Moved(_) => Tick::Wrong,
            },
            match seen.standing {
                Standing::Stationary => "It stays where it is.",
                Standing::Unknown => "It has not told where it is for long enough.",
                Standing::Moved(_) => {
                    "It is not where it was, and gets no downlink until an operator looks at it."
                }
            }
            .to_owned(),
            "Set a fixed position, and tell the operators when it was moved for good.",
        ),
        point(
            "Clock",
            unless(seen.receptions > 0, seen.wrong_time > 0),
            format!("{} with a wrong time.", count(seen.wrong_time, "reception")),
            "Give it time by GPS, by the app, or by NTP on its network.",
        ),
        point(
            "Downlink",
            match (seen.wants_downlink, seen.is_verified) {
                (false, _) | (true, true) => Tick::Done,
                (true, false) => Tick::Waiting,
            },
            match (seen.wants_downlink, seen.is_verified) {
                (false, _) => "It is off.",
                (true, true) => "It is on, and proved to arrive.",
                (true, false) => "It is on, and not proved to arrive.",
            }
            .to_owned(),
            "Its node has to answer a traceroute of the broker’s; nothing to do but wait, or turn downlink off.",
        ),
        point(
            "Reliable internet",
            unless(hours_of >= HOURS_MIN, hours_of >= HOURS_MIN && percent < HOURS_PERCENT_MIN),
            format!("Something came in {hours} of {hours_of} hours ({percent} %)."),
            "A gateway is to be on all the time; at first it only takes a day until this is known.",
        ),
        point(
            "Power",
            unless(seen.battery.is_some(), seen.battery.is_some_and(|percent| percent < BATTERY_PERCENT_MIN)),
            match seen.battery {
                None => "It has told nothing of its power.".to_owned(),
                Some(101..) => "It is on mains power.".to_owned(),
                Some(percent) => format!("Its battery is at {percent} %."),
            },
            "Give it mains power, or a battery that outlasts a few dark days.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Seen {
        Seen {
            is_connected: false,
            receptions: 0,
            own: 0,
            wrong_topic: None,
            in_clear: 0,
            consent: (0, 0),
            precision_bits: None,
            role: None,
            map_reports: 0,
            standing: Standing::Unknown,
            wrong_time: 0,
            wants_downlink: false,
            is_verified: false,
            hours: (0, 0),
            battery: None,
        }
    }

    fn good() -> Seen {
        Seen {
            is_connected: true,
            receptions: 900,
            own: 40,
            consent: (40, 0),
            precision_bits: Some(14),
            role: Some("CLIENT"),
            map_reports: 3,
            standing: Standing::Stationary,
            wants_downlink: true,
            is_verified: true,
            hours: (167, 168),
            battery: Some(101),
            ..nothing()
        }
    }

    #[test]
    fn a_good_gateway_ticks_every_box_and_an_unseen_one_is_wrong_in_none() {
        assert!(points(&good()).iter().all(|point| point.tick == Tick::Done && point.fix.is_empty()));
        let unseen = points(&nothing());
        assert!(unseen.iter().all(|point| point.tick != Tick::Wrong), "{unseen:?}");
        assert!(unseen.iter().filter(|point| point.tick == Tick::Done).map(|p| p.name).eq(["Downlink"]));
    }

    #[test]
    fn each_fault_unticks_its_own_box() {
        let check = |seen: Seen, name: &str, tick| {
            let points = points(&seen);
            let not_done: Vec<_> =
                points.iter().filter(|p| p.tick != Tick::Done).map(|p| (p.name, p.tick)).collect();
            assert_eq!(not_done, [(name, tick)]);
        };
        check(Seen { is_connected: false, ..good() }, "Connected", Tick::Waiting);
        check(
            Seen { wrong_topic: Some("msh/US//2/e/LongFast/!7c5a0a01".into()), ..good() },
            "Root topic",
            Tick::Wrong,
        );
        check(Seen { in_clear: 1, ..good() }, "Encryption", Tick::Wrong);
        check(Seen { consent: (3, 4), ..good() }, "Consent", Tick::Wrong);
        check(Seen { precision_bits: Some(32), ..good() }, "Precision", Tick::Wrong);
        check(Seen { role: Some("TRACKER"), ..good() }, "Role", Tick::Wrong);
        check(Seen { map_reports: 0, ..good() }, "Map report", Tick::Waiting);
        check(Seen { wrong_time: 2, ..good() }, "Clock", Tick::Wrong);
        check(Seen { is_verified: false, ..good() }, "Downlink", Tick::Waiting);
        check(Seen { hours: (100, 168), ..good() }, "Reliable internet", Tick::Wrong);
        check(Seen { hours: (10, 12), ..good() }, "Reliable internet", Tick::Waiting);
        check(Seen { battery: Some(12), ..good() }, "Power", Tick::Wrong);
    }
}
