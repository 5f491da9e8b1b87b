//! Whether the node reaches the broker, and stays there.

use super::{Answer, Check, Level, Subject, fail, pass, warn};
use crate::report::Topic;
use crate::setting::{
    ETH_ENABLED, MQTT_ADDRESS, MQTT_ENABLED, MQTT_PASSWORD, MQTT_PROXY, MQTT_ROOT, MQTT_TLS, MQTT_USERNAME,
    POWER_SAVING as POWER, REGION, WIFI_ENABLED,
};

pub(super) static ENABLED: Check = Check {
    id: "mqtt-enabled",
    topic: Topic::Connection,
    why: "Without the MQTT module nothing of what the node hears leaves it.",
    settings: &[&MQTT_ENABLED],
    needs_channels: false,
    ask: |s| match s.config.is(&MQTT_ENABLED) {
        true => pass("MQTT is on."),
        false => vec![fail("MQTT is off.").set(&MQTT_ENABLED, "true")],
    },
};

/// Where firmware goes when no server is set (`Default.h`).
const PUBLIC_BROKER: &str = "mqtt.meshtastic.org";

pub(super) static SERVER: Check = Check {
    id: "mqtt-server",
    topic: Topic::Connection,
    why: "An empty address means the project's public broker, where everybody in the world can read along and nothing \
          comes back to this mesh.",
    settings: &[&MQTT_ADDRESS],
    needs_channels: false,
    ask: |s| {
        let address = s.config.text(&MQTT_ADDRESS);
        let host =
            if address.is_empty() { PUBLIC_BROKER } else { address.split(':').next().unwrap_or(address) };
        if address.contains(['@', '/']) {
            // Not shown: it may hold a password.
            let answer = fail("The server address is more than `host` or `host:port`.");
            return vec![match &s.expected.server {
                Some(server) => answer.set(&MQTT_ADDRESS, server),
                None => answer.choose(&MQTT_ADDRESS),
            }];
        }
        match &s.expected.server {
            Some(server) if host.eq_ignore_ascii_case(server) => pass(format!("It connects to {server}.")),
            Some(server) => {
                vec![fail(format!("It connects to {host} and not to {server}.")).set(&MQTT_ADDRESS, server)]
            }
            None if host == PUBLIC_BROKER => {
                vec![fail(format!("It connects to the public broker {PUBLIC_BROKER}.")).choose(&MQTT_ADDRESS)]
            }
            None => pass(format!("It connects to {host}.")),
        }
    },
};

pub(super) static CREDENTIAL: Check = Check {
    id: "mqtt-credential",
    topic: Topic::Connection,
    why: "Every gateway has a user name and a password of its own; with those of the public broker, or none, it is \
          turned away.",
    settings: &[&MQTT_USERNAME, &MQTT_PASSWORD],
    needs_channels: false,
    ask: |s| {
        let change = |answer: Answer| vec![answer.choose(&MQTT_USERNAME).choose(&MQTT_PASSWORD)];
        match (s.config.text(&MQTT_USERNAME), s.config.secret(&MQTT_PASSWORD)) {
            ("" | "meshdev", _) | (_, Some(true)) => {
                change(fail("User name or password is the one that every node ships with."))
            }
            (_, None) => change(fail("A user name is set, and no password.")),
            _ => pass("It has a user name and a password of its own."),
        }
    },
};

/// Longest root that firmware takes, in bytes (`module_config.options`).
const ROOT_BYTES_MAX: usize = 31;

pub(super) static ROOT: Check = Check {
    id: "mqtt-root",
    topic: Topic::Connection,
    why: "The root topic decides where packets land. A slash at its end makes an empty level, and firmware overwrites a \
          root that starts with `msh` when the region is changed, so set the region first.",
    settings: &[&MQTT_ROOT, &REGION],
    needs_channels: false,
    ask: |s| {
        let set = s.config.text(&MQTT_ROOT);
        let root = if set.is_empty() { "msh" } else { set };
        let wanted = s.expected.root.as_deref();
        let change = |answer: Answer| match wanted {
            Some(wanted) => vec![answer.set(&MQTT_ROOT, wanted)],
            None => vec![answer.choose(&MQTT_ROOT)],
        };
        if root.len() > ROOT_BYTES_MAX {
            change(fail(format!(
                "The root topic has {} characters; firmware keeps {ROOT_BYTES_MAX}.",
                root.len()
            )))
        } else if root.starts_with('/') || root.ends_with('/') || root.contains("//") {
            change(fail(format!("The root topic `{root}` has a slash too many, which makes an empty level.")))
        } else if root.contains(['+', '#']) {
            change(fail("The root topic has a wildcard in it; a node cannot publish there."))
        } else if wanted.is_some_and(|wanted| wanted != root) {
            change(fail(format!("The root topic is `{root}` and not `{}`.", wanted.unwrap_or_default())))
        } else {
            pass(format!("The root topic is `{root}`."))
        }
    },
};

pub(super) static TLS: Check = Check {
    id: "mqtt-tls",
    topic: Topic::Connection,
    why: "Without TLS the password crosses the internet in clear. Only ESP32 nodes can do TLS, and none of them checks \
          the certificate.",
    settings: &[&MQTT_TLS],
    needs_channels: false,
    ask: |s| match s.config.is(&MQTT_TLS) {
        true => pass("TLS is on."),
        false => vec![warn("TLS is off.").set(&MQTT_TLS, "true")],
    },
};

pub(super) static INTERNET: Check = Check {
    id: "internet",
    topic: Topic::Reliability,
    why: "A gateway needs a way to the internet of its own: WiFi or Ethernet.",
    settings: &[&WIFI_ENABLED, &ETH_ENABLED, &MQTT_PROXY],
    needs_channels: false,
    ask: |s| {
        let (wifi, ethernet) = (s.config.is(&WIFI_ENABLED), s.config.is(&ETH_ENABLED));
        match (wifi, ethernet, s.config.is(&MQTT_PROXY)) {
            (_, true, _) => pass("Ethernet is on."),
            (true, false, _) => pass("WiFi is on."),
            (false, false, true) => {
                vec![warn("Neither WiFi nor Ethernet is on; it relies on a phone.").choose(&WIFI_ENABLED)]
            }
            (false, false, false) => {
                vec![fail("Neither WiFi nor Ethernet is on.").set(&WIFI_ENABLED, "true").choose(&ETH_ENABLED)]
            }
        }
    },
};

pub(super) static PROXY: Check = Check {
    id: "phone-proxy",
    topic: Topic::Reliability,
    why: "Through a phone the gateway is there only while the phone is near, and packets over 435 bytes are cut off.",
    settings: &[&MQTT_PROXY],
    needs_channels: false,
    ask: |s| match s.config.is(&MQTT_PROXY) {
        false => pass("It speaks to the broker itself."),
        true => vec![warn("It speaks to the broker through a phone.").set(&MQTT_PROXY, "false")],
    },
};

pub(super) static POWER_SAVING: Check = Check {
    id: "power-saving",
    topic: Topic::Reliability,
    why: "A node that sleeps loses its connection to the broker; infrastructure stays awake.",
    settings: &[&POWER],
    needs_channels: false,
    ask: |s: &Subject<'_>| match s.config.is(&POWER) {
        false => pass("Power saving is off."),
        true => vec![Answer::new(Level::Warn, "Power saving is on.").set(&POWER, "false")],
    },
};
