//! What the node sends by itself, and what must not leave it.

use super::{Answer, Check, fail, pass, span, warn};
use crate::report::Topic;
use crate::setting::{
    ADMIN_CHANNEL as ADMIN, AIR_QUALITY, AIR_QUALITY_SECS, AUDIO, DEBUG_LOG_API, DETECTION_SENSOR,
    DEVICE_TELEMETRY, DEVICE_TELEMETRY_SECS, ENVIRONMENT, ENVIRONMENT_SECS, HEALTH, HEALTH_SECS,
    NEIGHBOR_INFO as NEIGHBORS, NEIGHBOR_LORA, NEIGHBOR_SECS, NODE_INFO_SECS, PAXCOUNTER, POSITION_SECS,
    POWER_METRICS, POWER_SECS, PROTOCOLS, RANGE_TEST as RANGE, RANGE_TEST_SENDER, RSYSLOG, SERIAL,
    SMART_MIN_SECS, SMART_POSITION, STORE_FORWARD, Setting,
};

/// Seconds between things of one kind that need no agreement.
const ORDINARY_SECS: i64 = 1800;

/// Whether an interval is what it should be; 0 is firmware's default, which is.
const fn is_too_often(seconds: i64, least: i64) -> bool {
    seconds != 0 && seconds < least
}

pub(super) static POSITION: Check = Check {
    id: "position-interval",
    topic: Topic::Telemetry,
    why: "A gateway stays where it is: its position is news once in some hours at most.",
    settings: &[&POSITION_SECS, &SMART_POSITION, &SMART_MIN_SECS],
    needs_channels: false,
    ask: |s| {
        let (seconds, smart) = (s.config.number(&POSITION_SECS), s.config.number(&SMART_MIN_SECS));
        let mut answers = Vec::new();
        if is_too_often(seconds, 3600) {
            answers
                .push(warn(format!("It sends its position {}.", span(seconds))).set(&POSITION_SECS, "3600"));
        }
        if s.config.is(&SMART_POSITION) && is_too_often(smart, 300) {
            answers
                .push(warn(format!("Smart position may send {}.", span(smart))).set(&SMART_MIN_SECS, "300"));
        }
        if answers.is_empty() { pass("It sends its position rarely.") } else { answers }
    },
};

pub(super) static NODE_INFO: Check = Check {
    id: "node-info-interval",
    topic: Topic::Telemetry,
    why: "Names and keys change rarely; every three hours is enough for newcomers.",
    settings: &[&NODE_INFO_SECS],
    needs_channels: false,
    ask: |s| match s.config.number(&NODE_INFO_SECS) {
        seconds if is_too_often(seconds, 10_800) => {
            vec![warn(format!("It sends its name {}.", span(seconds))).set(&NODE_INFO_SECS, "10800")]
        }
        _ => pass("It sends its name rarely."),
    },
};

pub(super) static DEVICE_METRICS: Check = Check {
    id: "device-metrics",
    topic: Topic::Telemetry,
    why: "Battery and utilisation help to run a mesh; more often than every half hour they cost more than they tell.",
    settings: &[&DEVICE_TELEMETRY, &DEVICE_TELEMETRY_SECS],
    needs_channels: false,
    ask: |s| {
        let seconds = s.config.number(&DEVICE_TELEMETRY_SECS);
        if !s.config.is(&DEVICE_TELEMETRY)
            || !is_too_often(seconds, ORDINARY_SECS)
            || s.expected.has_telemetry_grant
        {
            return pass("Device metrics are within what needs no agreement.");
        }
        vec![fail(format!("It sends device metrics {}.", span(seconds))).set(&DEVICE_TELEMETRY_SECS, "3600")]
    },
};

/// Sensors: what turns them on, how often they send, and what people call them.
const SENSOR_KINDS: [(&Setting, &Setting, &str); 4] = [
    (&ENVIRONMENT, &ENVIRONMENT_SECS, "environment"),
    (&AIR_QUALITY, &AIR_QUALITY_SECS, "air quality"),
    (&POWER_METRICS, &POWER_SECS, "power"),
    (&HEALTH, &HEALTH_SECS, "health"),
];

pub(super) static SENSORS: Check = Check {
    id: "sensors",
    topic: Topic::Telemetry,
    why: "Coordinate before uploading lots of sensor data: without an agreement the broker holds back what comes more \
          often than every half hour.",
    settings: &[&ENVIRONMENT, &AIR_QUALITY, &POWER_METRICS, &HEALTH],
    needs_channels: false,
    ask: |s| {
        let too_often = SENSOR_KINDS.iter().filter(|(on, interval, _)| {
            s.config.is(on) && is_too_often(s.config.number(interval), ORDINARY_SECS)
        });
        let answers: Vec<Answer> = too_often
            .map(|(_, interval, what)| {
                let text = format!("It sends {what} readings {}.", span(s.config.number(interval)));
                let answer = if s.expected.has_telemetry_grant { warn(text) } else { fail(text) };
                answer.set(interval, "3600")
            })
            .collect();
        if answers.is_empty() { pass("Sensors are off or within what needs no agreement.") } else { answers }
    },
};

pub(super) static NEIGHBOR_INFO: Check = Check {
    id: "neighbor-info",
    topic: Topic::Telemetry,
    why: "Lists of neighbours are large. To the broker they go without radio; over the radio they take the airtime of \
          several texts.",
    settings: &[&NEIGHBORS, &NEIGHBOR_LORA, &NEIGHBOR_SECS],
    needs_channels: false,
    ask: |s| {
        if !s.config.is(&NEIGHBORS) {
            return pass("Neighbor info is off.");
        }
        let seconds = s.config.number(&NEIGHBOR_SECS);
        let mut answers = Vec::new();
        if s.config.is(&NEIGHBOR_LORA) {
            answers.push(warn("Neighbor info is transmitted over LoRa.").set(&NEIGHBOR_LORA, "false"));
        }
        if is_too_often(seconds, 14_400) {
            answers
                .push(warn(format!("Neighbor info is sent {}.", span(seconds))).set(&NEIGHBOR_SECS, "21600"));
        }
        if answers.is_empty() { pass("Neighbor info goes to MQTT only, and rarely.") } else { answers }
    },
};

pub(super) static RANGE_TEST: Check = Check {
    id: "range-test",
    topic: Topic::Telemetry,
    why: "A range test transmits again and again; it belongs to an afternoon with somebody in a car, not to a gateway.",
    settings: &[&RANGE, &RANGE_TEST_SENDER],
    needs_channels: false,
    ask: |s| match (s.config.is(&RANGE), s.config.number(&RANGE_TEST_SENDER)) {
        (false, _) => pass("Range test is off."),
        (true, 0) => vec![warn("Range test is on, without sending.").set(&RANGE, "false")],
        (true, seconds) => vec![fail(format!("Range test sends {}.", span(seconds))).set(&RANGE, "false")],
    },
};

pub(super) static OTHER_MODULES: Check = Check {
    id: "other-modules",
    topic: Topic::Telemetry,
    why: "Serial, store and forward, detection sensor, paxcounter and audio each bring traffic of their own that the \
          broker does not pass on without an agreement.",
    settings: &[&SERIAL, &STORE_FORWARD, &DETECTION_SENSOR, &PAXCOUNTER, &AUDIO],
    needs_channels: false,
    ask: |s| {
        let on = [&SERIAL, &STORE_FORWARD, &DETECTION_SENSOR, &PAXCOUNTER, &AUDIO].into_iter();
        let answers: Vec<Answer> = on
            .filter(|setting| s.config.is(setting))
            .map(|setting| {
                warn(format!("{} is on.", setting.label.trim_end_matches(" enabled"))).set(setting, "false")
            })
            .collect();
        if answers.is_empty() { pass("No other module adds traffic.") } else { answers }
    },
};

pub(super) static SYSLOG: Check = Check {
    id: "syslog",
    topic: Topic::Debug,
    why: "The node sends every line of its log to that address, in clear.",
    settings: &[&RSYSLOG],
    needs_channels: false,
    ask: |s| match s.config.text(&RSYSLOG) {
        "" => pass("No log goes to a syslog server."),
        _ => vec![fail("Its log goes to a syslog server.").set(&RSYSLOG, "")],
    },
};

pub(super) static DEBUG_LOG: Check = Check {
    id: "debug-log",
    topic: Topic::Debug,
    why: "Debug logs are for whoever is looking for a fault, for as long as they look.",
    settings: &[&DEBUG_LOG_API],
    needs_channels: false,
    ask: |s| match s.config.is(&DEBUG_LOG_API) {
        false => pass("The debug log is off."),
        true => vec![fail("The debug log is on.").set(&DEBUG_LOG_API, "false")],
    },
};

pub(super) static ADMIN_CHANNEL: Check = Check {
    id: "admin-channel",
    topic: Topic::Debug,
    why: "Whoever has the key of a channel named `admin` can change everything on the node. Admin keys replaced it.",
    settings: &[&ADMIN],
    needs_channels: false,
    ask: |s| match s.config.is(&ADMIN) {
        false => pass("The legacy admin channel is off."),
        true => vec![fail("The legacy admin channel is on.").set(&ADMIN, "false")],
    },
};

pub(super) static UDP: Check = Check {
    id: "udp-mesh",
    topic: Topic::Debug,
    why: "Mesh via UDP joins nodes on the same network: a second bridge beside the broker, through which packets can come \
          back.",
    settings: &[&PROTOCOLS],
    needs_channels: false,
    ask: |s| match s.config.number(&PROTOCOLS) & 1 {
        0 => pass("Mesh via UDP is off."),
        _ => vec![warn("Mesh via UDP is on.").set(&PROTOCOLS, "0")],
    },
};
