//! What a node's owner should change, told from what was heard of the node, and a friendly text to send. A pure function
//! of habits; asks nobody.

use mesh::enums::{ROLE, name_of};

use crate::habits::{Habits, Pace};
use crate::moment;
use crate::roster::Seen;
use crate::words::count;

/// One thing to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What it is about, in a few words.
    pub topic: &'static str,
    /// What was seen.
    pub evidence: String,
    /// What to change, as one would say it to a neighbour.
    pub change: String,
    /// The command that changes it; empty where there is none.
    pub command: String,
}

/// What was seen longer ago than this is not held against anybody, ms.
const LATELY_MS: i64 = 3 * 24 * 3_600_000;
/// Places finer than this tell a house (about 1.5 km is 14 bits; 16 are about 360 m).
const PRECISION_BITS_MAX: u32 = 16;
/// What to set instead: about 3 km.
const PRECISION_BITS_ADVISED: u32 = 13;
/// More hops are rarely of use, and each one is airtime of everybody in range.
const HOPS_MAX: u8 = 5;
/// What firmware comes with.
const HOPS_USUAL: u8 = 3;
/// Shorter than this between places, ms: firmware's own shortest for a smart position is 30 s, its usual one 15 min.
const PLACES_EVERY_MS: i64 = 5 * 60_000;
/// Shorter than this between measurements, ms; firmware's usual one is 30 min.
const MEASUREMENTS_EVERY_MS: i64 = 10 * 60_000;
/// Shorter than this between node informations, ms; firmware's usual one is 3 h, its shortest 1 h.
const INFOS_EVERY_MS: i64 = 30 * 60_000;

/// Roles that are carried about.
const CARRIED: [&str; 4] = ["TRACKER", "TAK", "TAK_TRACKER", "LOST_AND_FOUND"];
/// Roles that repeat everything before others do.
const REPEATING: [&str; 3] = ["ROUTER", "ROUTER_CLIENT", "REPEATER"];

/// Everything to change, what weighs most first.
pub fn advice(seen: &Seen, habits: &Habits, now_ms: i64) -> Vec<Advice> {
    let lately = |at_ms: Option<i64>| at_ms.filter(|at_ms| now_ms - at_ms < LATELY_MS);
    let role = seen.role.and_then(|role| name_of(ROLE, role)).unwrap_or_default();
    let mut found = Vec::new();
    if lately(habits.double_slash_ms).is_some() {
        found.push(simple(
            "Root topic",
            "It publishes to a topic with two slashes in a row.",
            "Your MQTT root topic ends in a slash. Take the slash off, else nobody finds what your gateway sends.",
            "",
        ));
    }
    if lately(habits.in_clear_ms).is_some() {
        found.push(simple(
            "Encryption off",
            "It uplinks packets decoded, for everybody on the way to read.",
            "Turn “Encryption enabled” on in the MQTT module, so that what others said over the radio does not go over the internet in clear.",
            "--set mqtt.encryption_enabled true",
        ));
    }
    if habits.declined_ms > habits.agreed_ms && lately(habits.declined_ms).is_some() && seen.is_gateway {
        found.push(simple(
            "Consent off on a gateway",
            "It uplinks, while its own packets that others heard do not agree to MQTT.",
            "Turn “OK to MQTT” on in the LoRa settings: your gateway carries what others say, and its own packets are passed on to nobody.",
            "--set lora.config_ok_to_mqtt true",
        ));
    }
    if let Some((bits, _)) =
        habits.precise.filter(|(bits, at)| *bits > PRECISION_BITS_MAX && lately(Some(*at)).is_some())
    {
        found.push(Advice {
            topic: "Place too exact",
            evidence: format!("It tells its place to {bits} bits on a channel that anyone can read."),
            change: "Your node tells everybody where it is to within a few steps. Unless you want that, lower the precision of the position on your primary channel; about 3 km is what most of us use."
                .to_owned(),
            command: format!("--ch-index 0 --ch-set module_settings.position_precision {PRECISION_BITS_ADVISED}"),
        });
    }
    if let Some(hops) = habits.hop_start.filter(|hops| *hops > HOPS_MAX) {
        found.push(Advice {
            topic: "Hop limit too high",
            evidence: format!("Its packets start with {}.", count(hops.into(), "hop")),
            change: format!(
                "Your hop limit is {hops}. {HOPS_USUAL} reach nearly everybody; each further one makes all nodes in range repeat you once more."
            ),
            command: format!("--set lora.hop_limit {HOPS_USUAL}"),
        });
    }
    if CARRIED.contains(&role) && seen.is_gateway {
        found.push(Advice {
            topic: "A carried node uplinks",
            evidence: format!("Its role is {role}, and it connects to the broker."),
            change: "Gateways stay in one place, so that we know which part of the mesh they hear. Please turn MQTT off on this node, or give a node at home that task."
                .to_owned(),
            command: "--set mqtt.enabled false".to_owned(),
        });
    }
    if REPEATING.contains(&role) && seen.battery_percent.is_some_and(|percent| percent < 20) {
        found.push(Advice {
            topic: "Router with an empty battery",
            evidence: format!(
                "Its role is {role}, and its battery is at {} %.",
                seen.battery_percent.unwrap_or_default()
            ),
            change: "A router repeats for all of us, so it wants power that lasts. If it is no node on a tower or hill, CLIENT or CLIENT_BASE serves everybody better."
                .to_owned(),
            command: "--set device.role CLIENT".to_owned(),
        });
    }
    if role == "ROUTER_CLIENT" || role == "REPEATER" {
        found.push(Advice {
            topic: "Role out of use",
            evidence: format!("Its role is {role}."),
            change: format!("The role {role} is not used any more. ROUTER is for towers and hills, CLIENT for everything else."),
            command: "--set device.role CLIENT".to_owned(),
        });
    }
    for (pace, shortest_ms, topic, what, command) in [
        (
            &habits.places,
            PLACES_EVERY_MS,
            "Places too often",
            "its place",
            "--set position.position_broadcast_secs 3600",
        ),
        (
            &habits.measurements,
            MEASUREMENTS_EVERY_MS,
            "Measurements too often",
            "measurements",
            "--set telemetry.device_update_interval 3600",
        ),
        (
            &habits.infos,
            INFOS_EVERY_MS,
            "Node information too often",
            "its names",
            "--set device.node_info_broadcast_secs 10800",
        ),
    ] {
        found.extend(too_often(pace, shortest_ms, now_ms).map(|every_ms| Advice {
            topic,
            evidence: format!("It sends {what} every {}.", moment::duration(every_ms)),
            change: format!(
                "Your node sends {what} every {}. All of us share one channel: once an hour is plenty for a node that stays where it is.",
                moment::duration(every_ms)
            ),
            command: command.to_owned(),
        }));
    }
    if lately(habits.wrong_time_ms).is_some() {
        found.push(simple(
            "Clock wrong",
            "The times in what it uplinks are wrong.",
            "The clock of your gateway is off. With internet it sets itself; without GPS and phone it needs an NTP server in its network settings.",
            "--set network.ntp_server pool.ntp.org",
        ));
    }
    found
}

fn simple(topic: &'static str, evidence: &str, change: &str, command: &str) -> Advice {
    Advice { topic, evidence: evidence.to_owned(), change: change.to_owned(), command: command.to_owned() }
}

fn too_often(pace: &Pace, shortest_ms: i64, now_ms: i64) -> Option<i64> {
    let is_lately = pace.newest_ms().is_some_and(|newest| now_ms - newest < LATELY_MS);
    pace.every_ms().filter(|every_ms| is_lately && *every_ms < shortest_ms)
}

/// A text to send to the owner.
pub fn letter(node: &str, mesh_name: &str, advice: &[Advice]) -> String {
    let mut text =
        format!("Hi! This is about your node {node} on {mesh_name}. It is good to have it with us.\n");
    match advice {
        [one] => text.push_str(&format!("One setting would help everybody: {}\n", one.change)),
        many => {
            text.push_str("A few settings would help everybody:\n");
            many.iter().for_each(|one| text.push_str(&format!("- {}\n", one.change)));
        }
    }
    let commands: Vec<_> = advice.iter().map(|one| one.command.as_str()).filter(|c| !c.is_empty()).collect();
    if !commands.is_empty() {
        text.push_str("With the command line that is:\n");
        commands.iter().for_each(|command| text.push_str(&format!("meshtastic {command}\n")));
    }
    text.push_str("Thank you! If something looks wrong here, tell us.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_787_233_509_000;

    fn topics(seen: &Seen, habits: &Habits) -> Vec<&'static str> {
        advice(seen, habits, NOW).into_iter().map(|one| one.topic).collect()
    }

    fn gateway(role: u32) -> Seen {
        Seen { is_gateway: true, role: Some(role), ..Seen::default() }
    }

    fn every(step_ms: i64) -> Pace {
        let mut pace = Pace::default();
        (0..8).for_each(|n| pace.take(n as u32 + 1, NOW - (8 - n) * step_ms));
        pace
    }

    #[test]
    fn a_node_that_behaves_gets_no_advice() {
        let habits = Habits {
            agreed_ms: Some(NOW),
            precise: Some((13, NOW)),
            hop_start: Some(3),
            places: every(3_600_000),
            ..Habits::default()
        };
        assert_eq!(topics(&gateway(0), &habits), [""; 0]);
    }

    #[test]
    fn each_habit_has_its_advice() {
        let table = [
            (Habits { double_slash_ms: Some(NOW), ..Habits::default() }, "Root topic"),
            (Habits { in_clear_ms: Some(NOW), ..Habits::default() }, "Encryption off"),
            (Habits { declined_ms: Some(NOW), ..Habits::default() }, "Consent off on a gateway"),
            (Habits { precise: Some((32, NOW)), ..Habits::default() }, "Place too exact"),
            (Habits { hop_start: Some(7), ..Habits::default() }, "Hop limit too high"),
            (Habits { places: every(60_000), ..Habits::default() }, "Places too often"),
            (Habits { measurements: every(60_000), ..Habits::default() }, "Measurements too often"),
            (Habits { infos: every(60_000), ..Habits::default() }, "Node information too often"),
            (Habits { wrong_time_ms: Some(NOW), ..Habits::default() }, "Clock wrong"),
        ];
        for (habits, topic) in table {
            assert_eq!(topics(&gateway(0), &habits), [topic]);
        }
        assert_eq!(topics(&gateway(5), &Habits::default()), ["A carried node uplinks"]);
        assert_eq!(topics(&gateway(3), &Habits::default()), ["Role out of use"]);
        let empty = Seen { role: Some(2), battery_percent: Some(9), ..Seen::default() };
        assert_eq!(topics(&empty, &Habits::default()), ["Router with an empty battery"]);
    }

    #[test]
    fn what_ended_days_ago_is_not_held_against_anybody() {
        let long_ago = Some(NOW - LATELY_MS);
        let habits = Habits {
            double_slash_ms: long_ago,
            in_clear_ms: long_ago,
            declined_ms: long_ago,
            wrong_time_ms: long_ago,
            precise: long_ago.map(|at| (32, at)),
            ..Habits::default()
        };
        assert_eq!(topics(&gateway(0), &habits), [""; 0]);
        // A node that agreed since has changed its mind.
        let habits = Habits { declined_ms: Some(NOW - 10), agreed_ms: Some(NOW), ..Habits::default() };
        assert_eq!(topics(&gateway(0), &habits), [""; 0]);
    }

    #[test]
    fn a_letter_names_the_node_and_says_what_to_type() {
        let habits = Habits { hop_start: Some(7), in_clear_ms: Some(NOW), ..Habits::default() };
        let text = letter("Barn !7c5a0a01", "Town", &advice(&gateway(0), &habits, NOW));
        assert!(text.contains("Barn !7c5a0a01 on Town"), "{text}");
        assert!(text.contains("meshtastic --set lora.hop_limit 3\n"), "{text}");
        assert!(text.contains("meshtastic --set mqtt.encryption_enabled true\n"), "{text}");
    }
}
