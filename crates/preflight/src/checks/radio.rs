//! Whether the node hears the same mesh, and stands still.

use super::{Check, fail, pass, warn};
use crate::report::Topic;
use crate::setting::{
    FIXED_POSITION, GPS, HOP_LIMIT as HOPS, OVERRIDE_DUTY_CYCLE, PRESET as MODEM_PRESET,
    REGION as LORA_REGION, ROLE as DEVICE_ROLE, TX_ENABLED, USE_PRESET,
};

pub(super) static REGION: Check = Check {
    id: "region",
    topic: Topic::Radio,
    why: "The region decides frequencies and power. A node without one neither sends nor receives.",
    settings: &[&LORA_REGION],
    needs_channels: false,
    ask: |s| {
        let region = s.config.text(&LORA_REGION);
        match s.expected.region.as_deref() {
            _ if region == "UNSET" => {
                let answer = fail("No region is set, so the radio is silent.");
                vec![match &s.expected.region {
                    Some(wanted) => answer.set(&LORA_REGION, wanted),
                    None => answer.choose(&LORA_REGION),
                }]
            }
            Some(wanted) if wanted != region => {
                vec![fail(format!("The region is {region} and not {wanted}.")).set(&LORA_REGION, wanted)]
            }
            _ => pass(format!("The region is {region}.")),
        }
    },
};

pub(super) static PRESET: Check = Check {
    id: "preset",
    topic: Topic::Radio,
    why: "Nodes with different modem presets do not hear each other at all.",
    settings: &[&USE_PRESET, &MODEM_PRESET],
    needs_channels: false,
    ask: |s| {
        let preset = s.config.text(&MODEM_PRESET);
        match s.expected.preset.as_deref() {
            _ if !s.config.is(&USE_PRESET) => {
                vec![warn("It uses modem settings of its own in place of a preset.").set(&USE_PRESET, "true")]
            }
            Some(wanted) if wanted != preset => {
                vec![fail(format!("The preset is {preset} and not {wanted}.")).set(&MODEM_PRESET, wanted)]
            }
            _ => pass(format!("The preset is {preset}.")),
        }
    },
};

pub(super) static HOP_LIMIT: Check = Check {
    id: "hop-limit",
    topic: Topic::Radio,
    why: "Every hop more is transmitted again by every node in reach: the hop limit multiplies the airtime of whatever \
          this node sends.",
    settings: &[&HOPS],
    needs_channels: false,
    ask: |s| {
        let (hops, most) = (s.config.number(&HOPS), i64::from(s.expected.hop_limit_max));
        match hops {
            // 0 in the file is what firmware takes for its default of 3.
            0 => pass("The hop limit is firmware's default, 3."),
            _ if hops > 7 => {
                vec![fail(format!("The hop limit is {hops}; 7 is the most there is.")).set(&HOPS, "3")]
            }
            _ if hops > most => vec![
                warn(format!("The hop limit is {hops}; {} asks for at most {most}.", s.expected.mesh))
                    .set(&HOPS, &most.to_string()),
            ],
            _ => pass(format!("The hop limit is {hops}.")),
        }
    },
};

pub(super) static TRANSMIT: Check = Check {
    id: "transmit",
    topic: Topic::Radio,
    why: "A node that does not transmit can listen for the broker, but nothing comes through it to the mesh, and nobody \
          can ask it anything.",
    settings: &[&TX_ENABLED],
    needs_channels: false,
    ask: |s| match (s.config.is(&TX_ENABLED), s.has_downlink()) {
        (true, _) => pass("The radio transmits."),
        (false, true) => vec![fail("Downlink is on and the transmitter off.").set(&TX_ENABLED, "true")],
        (false, false) => vec![warn("The transmitter is off.").set(&TX_ENABLED, "true")],
    },
};

pub(super) static DUTY_CYCLE: Check = Check {
    id: "duty-cycle",
    topic: Topic::Radio,
    why: "The duty cycle is the law in many regions, and what keeps a channel usable for others everywhere.",
    settings: &[&OVERRIDE_DUTY_CYCLE],
    needs_channels: false,
    ask: |s| match s.config.is(&OVERRIDE_DUTY_CYCLE) {
        false => pass("The duty cycle is kept."),
        true => vec![fail("The duty cycle is overridden.").set(&OVERRIDE_DUTY_CYCLE, "false")],
    },
};

pub(super) static ROLE: Check = Check {
    id: "role",
    topic: Topic::Stationary,
    why: "Roles for things that move make a poor gateway, and routers at places that are not high above all others make a \
          mesh worse: they always rebroadcast.",
    settings: &[&DEVICE_ROLE],
    needs_channels: false,
    ask: |s| match s.config.text(&DEVICE_ROLE) {
        role @ ("CLIENT" | "CLIENT_MUTE" | "CLIENT_BASE") => pass(format!("The role is {role}.")),
        role @ ("TRACKER" | "TAK_TRACKER" | "LOST_AND_FOUND" | "TAK") => {
            vec![fail(format!("The role {role} is for things that move.")).set(&DEVICE_ROLE, "CLIENT")]
        }
        role @ ("ROUTER" | "ROUTER_LATE" | "ROUTER_CLIENT" | "REPEATER") => vec![
            warn(format!("The role {role} is for the few highest sites of a mesh; talk to your operator."))
                .set(&DEVICE_ROLE, "CLIENT"),
        ],
        role => vec![warn(format!("The role {role} is unusual for a gateway.")).set(&DEVICE_ROLE, "CLIENT")],
    },
};

pub(super) static FIXED: Check = Check {
    id: "fixed-position",
    topic: Topic::Stationary,
    why: "MQTT belongs on infrastructure that stays where it is. A fixed position says so, and costs no GPS.",
    settings: &[&FIXED_POSITION, &GPS],
    needs_channels: false,
    ask: |s| match (s.config.is(&FIXED_POSITION), s.config.text(&GPS)) {
        (true, _) => pass("It has a fixed position."),
        (false, "ENABLED") => {
            vec![warn("It takes its position from GPS, as nodes that move do.").set(&FIXED_POSITION, "true")]
        }
        (false, _) => vec![warn("It has no fixed position.").set(&FIXED_POSITION, "true")],
    },
};
