//! Which channels go up and down, how public they are, and what is shared on them.

use super::{Answer, Check, Level, fail, pass, warn};
use crate::channel_link::Channel;
use crate::report::Topic;
use crate::setting::{
    IGNORE_MQTT as IGNORE, MAP_PRECISION, MAP_REPORTING, MAP_SECS, MQTT_ENCRYPTION, MQTT_JSON,
    OK_TO_MQTT as OK,
};

pub(super) static UPLINK: Check = Check {
    id: "uplink",
    topic: Topic::Channels,
    why: "Only what other gateways and people need should leave the radio. Uplink on every channel shares what somebody \
          took for a private channel.",
    settings: &[],
    needs_channels: true,
    ask: |s| {
        let channels = s.config.channels.as_deref().unwrap_or_default();
        let up: Vec<&Channel> = channels.iter().filter(|c| c.uplink).collect();
        if up.is_empty() {
            return match s.config.is(&MAP_REPORTING) {
                true => vec![warn("No channel has uplink; only map reports are sent.")],
                false => {
                    vec![
                        fail("No channel has uplink and map reports are off, so it sends nothing.")
                            .set_channel(0, "uplink_enabled", "true", "Uplink enabled"),
                    ]
                }
            };
        }
        let names = up.iter().map(|c| c.shown_name(s.preset())).collect::<Vec<_>>().join(", ");
        if up.len() == channels.len() && channels.len() > 1 {
            let answer = warn(format!("Every channel has uplink: {names}."));
            return vec![off(answer, &up[1..], "uplink_enabled", "Uplink enabled")];
        }
        pass(format!("Uplink is on for {names}."))
    },
};

pub(super) static DOWNLINK: Check = Check {
    id: "downlink",
    topic: Topic::Channels,
    why: "What comes down is transmitted, on about a kilobit per second that everybody in reach shares. Downlink needs an \
          agreement with the operator, and on a channel that anyone can write to it is an open door to the radio.",
    settings: &[],
    needs_channels: true,
    ask: |s| {
        let channels = s.config.channels.as_deref().unwrap_or_default();
        let down: Vec<&Channel> = channels.iter().filter(|c| c.downlink).collect();
        let names =
            |of: &[&Channel]| of.iter().map(|c| c.shown_name(s.preset())).collect::<Vec<_>>().join(", ");
        let public: Vec<&Channel> = down.iter().copied().filter(|c| c.is_public()).collect();
        if down.is_empty() {
            return pass("Downlink is off.");
        }
        let mut answers = Vec::new();
        if !public.is_empty() {
            let text = format!("Downlink is on for channels with a public key: {}.", names(&public));
            let answer = if s.expected.has_downlink_grant { warn(text) } else { fail(text) };
            answers.push(off(answer, &public, "downlink_enabled", "Downlink enabled"));
        }
        if down.len() == channels.len() && channels.len() > 1 {
            let answer = warn(format!("Every channel has downlink: {}.", names(&down)));
            answers.push(off(answer, &down[1..], "downlink_enabled", "Downlink enabled"));
        } else if !s.expected.has_downlink_grant {
            let answer = warn(format!("Downlink is on for {}; has the operator agreed?", names(&down)));
            answers.push(off(answer, &down, "downlink_enabled", "Downlink enabled"));
        }
        if answers.is_empty() {
            pass(format!("Downlink is on for {}, as agreed.", names(&down)))
        } else {
            answers
        }
    },
};

fn off(mut answer: Answer, channels: &[&Channel], name: &str, label: &str) -> Answer {
    for channel in channels {
        answer = answer.set_channel(channel.index, name, "false", label);
    }
    answer
}

pub(super) static IGNORE_MQTT: Check = Check {
    id: "ignore-mqtt",
    topic: Topic::Channels,
    why: "A node that ignores MQTT throws away what comes down. Firmware turns this on by itself in regions with a duty \
          cycle.",
    settings: &[&IGNORE],
    needs_channels: true,
    ask: |s| match (s.config.is(&IGNORE), s.has_downlink()) {
        (true, true) => vec![fail("Downlink is on, but the node ignores MQTT.").set(&IGNORE, "false")],
        (true, false) => pass("It ignores MQTT, and has no downlink."),
        (false, _) => pass("It does not ignore MQTT."),
    },
};

pub(super) static PUBLIC_KEY: Check = Check {
    id: "public-key",
    topic: Topic::Keys,
    why: "The default key and the one-byte keys are printed in the source code: what is sent with them can be read by \
          anyone, on the air and on the broker.",
    settings: &[],
    needs_channels: true,
    ask: |s| {
        let channels = s.config.channels.as_deref().unwrap_or_default();
        let public: Vec<&Channel> =
            channels.iter().filter(|c| c.is_public() && (c.uplink || c.downlink)).collect();
        if public.is_empty() {
            return pass("No channel with a public key goes over MQTT.");
        }
        let answer = |c: &Channel| {
            let name = c.shown_name(s.preset());
            let named = !c.name.is_empty();
            // The preset's own channel is public on purpose; a channel with a name of its own rarely is.
            let what =
                if named { "has a name of its own and yet a public key" } else { "has the public key" };
            let text = format!("Channel {} ({name}) {what}: treat it like shouting on the street.", c.index);
            let app_path = format!("Channels › channel {} › Key", c.index);
            let mut answer = Answer::new(Level::Warn, text);
            if named {
                let command = Some(format!("meshtastic --ch-index {} --ch-set psk random", c.index));
                answer.fixes.push(crate::report::Fix { command, app_path });
            }
            answer
        };
        public.into_iter().map(answer).collect()
    },
};

/// Finest precision that the public broker and this one pass for public channels, bits.
const PUBLIC_PRECISION_BITS_MAX: u32 = 15;

pub(super) static PRECISION: Check = Check {
    id: "position-precision",
    topic: Topic::Privacy,
    why: "On a channel that anyone can read, an exact position is somebody's front door. 13 bits are about 3 km, 15 bits \
          about 700 m.",
    settings: &[],
    needs_channels: true,
    ask: |s| {
        let channels = s.config.channels.iter().flatten();
        let too_fine = channels.filter(|c| {
            c.is_public() && c.precision_bits.is_some_and(|bits| bits > PUBLIC_PRECISION_BITS_MAX)
        });
        let answers: Vec<Answer> = too_fine
            .map(|c| {
                let (name, bits) = (c.shown_name(s.preset()), c.precision_bits.unwrap_or_default());
                let text = match bits {
                    32.. => format!("Channel {} ({name}) is public and sends exact positions.", c.index),
                    _ => format!(
                        "Channel {} ({name}) is public and sends positions with {bits} bits.",
                        c.index
                    ),
                };
                fail(text).set_channel(
                    c.index,
                    "module_settings.position_precision",
                    "13",
                    "Precision of the position",
                )
            })
            .collect();
        if answers.is_empty() { pass("No public channel carries precise positions.") } else { answers }
    },
};

pub(super) static ENCRYPTION: Check = Check {
    id: "mqtt-encryption",
    topic: Topic::Privacy,
    why: "With encryption off, everything the gateway hears on its channels goes to the broker in clear, direct messages \
          to the gateway itself among it.",
    settings: &[&MQTT_ENCRYPTION],
    needs_channels: false,
    ask: |s| match s.config.is(&MQTT_ENCRYPTION) {
        true => pass("Packets go to the broker as they were on the air, encrypted."),
        false => vec![fail("Packets go to the broker decrypted.").set(&MQTT_ENCRYPTION, "true")],
    },
};

pub(super) static OK_TO_MQTT: Check = Check {
    id: "ok-to-mqtt",
    topic: Topic::Privacy,
    why: "This is the consent of a node's owner. Without it other gateways and this broker do not pass on what the node \
          sends; with it the node may appear on maps.",
    settings: &[&OK],
    needs_channels: false,
    ask: |s| match s.config.is(&OK) {
        true => pass("It agrees to MQTT."),
        false => vec![warn("It does not agree to MQTT.").set(&OK, "true")],
    },
};

pub(super) static JSON: Check = Check {
    id: "json",
    topic: Topic::Privacy,
    why: "Firmware's JSON carries decoded text without the sender's consent, costs memory, and is gone from firmware 2.8; \
          the broker makes JSON from the packets itself.",
    settings: &[&MQTT_JSON],
    needs_channels: false,
    ask: |s| match s.config.is(&MQTT_JSON) {
        false => pass("The node's own JSON is off."),
        true => vec![warn("The node's own JSON is on.").set(&MQTT_JSON, "false")],
    },
};

pub(super) static MAP_REPORT: Check = Check {
    id: "map-report",
    topic: Topic::Privacy,
    why: "Map reports tell position, firmware and preset to whoever reads the broker. Firmware takes 12 to 15 bits of \
          precision and at least an hour between reports, and uses its defaults for anything else.",
    settings: &[&MAP_REPORTING, &MAP_SECS, &MAP_PRECISION],
    needs_channels: false,
    ask: |s| {
        if !s.config.is(&MAP_REPORTING) {
            return pass("Map reports are off.");
        }
        let (precision, seconds) = (s.config.number(&MAP_PRECISION), s.config.number(&MAP_SECS));
        let mut answers = Vec::new();
        if precision != 0 && !(12..=15).contains(&precision) {
            answers.push(
                warn(format!("Map reports ask for {precision} bits of precision.")).set(&MAP_PRECISION, "14"),
            );
        }
        if seconds != 0 && seconds < 3600 {
            answers
                .push(warn(format!("Map reports ask for {}.", super::span(seconds))).set(&MAP_SECS, "3600"));
        }
        if answers.is_empty() { pass("Map reports are on, coarse and rare.") } else { answers }
    },
};
