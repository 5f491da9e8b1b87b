//! `[[bridge]]`: other brokers, and what must agree between the keys of one.

use std::fmt;
use std::ops::Range;

use toml::de::DeTable;

use crate::channel::Secrets;
use crate::diagnostics::Problems;
use crate::keys::{BRIDGE_LINES, Bridge, Crossing};
use crate::load::{report_unknown, section_values, tables};

/// A thread and two connections each.
const BRIDGES_MAX: usize = 50;

/// One bridge with its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeTable {
    /// What the file says.
    pub keys: Bridge,
    /// The password that it names.
    pub password: Option<Password>,
    /// What `send_area` says.
    pub send_area: Option<Circle>,
    /// What `receive_area` says.
    pub receive_area: Option<Circle>,
}

/// A password, which does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The password's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

/// A circle on the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circle {
    /// Latitude, 1e-7 degrees.
    pub latitude_i: i32,
    /// Longitude, 1e-7 degrees.
    pub longitude_i: i32,
    /// Radius, m.
    pub radius_m: u32,
}

impl Circle {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<f64> =
            text.split(',').map(|part| part.trim().parse().ok()).collect::<Option<Vec<f64>>>()?;
        let [latitude, longitude, km] = numbers.as_slice() else { return None };
        let is_right = (-90.0..=90.0).contains(latitude)
            && (-180.0..=180.0).contains(longitude)
            && (0.1..=20_000.0).contains(km);
        // In range, as was just seen.
        is_right.then(|| Self {
            latitude_i: (latitude * 1e7).round() as i32,
            longitude_i: (longitude * 1e7).round() as i32,
            radius_m: (km * 1000.0).round() as u32,
        })
    }
}

/// Reads every `[[bridge]]`; a wrong one is reported and left out.
pub(crate) fn read(
    document: &DeTable<'_>,
    secrets: &dyn Secrets,
    problems: &mut Problems<'_>,
) -> Vec<BridgeTable> {
    let mut bridges: Vec<BridgeTable> = Vec::new();
    for (table, at) in tables(document, "bridge", BRIDGES_MAX, problems) {
        let Some(bridge) = read_one(table, at.clone(), secrets, problems) else { continue };
        let name = &bridge.keys.name;
        if bridges.iter().any(|other| other.keys.name == *name) {
            let at = table.get("name").map_or(at, |name| name.span());
            problems
                .add(at, format!("`bridge.name` must differ from the others, but `{name}` appears twice"));
        } else {
            bridges.push(bridge);
        }
    }
    bridges
}

fn read_one(
    table: &DeTable<'_>,
    at: Range<usize>,
    secrets: &dyn Secrets,
    problems: &mut Problems<'_>,
) -> Option<BridgeTable> {
    report_unknown(table, &BRIDGE_LINES, None, problems);
    for key in ["name", "host"].into_iter().filter(|key| table.get(*key).is_none()) {
        problems.add(at.clone(), format!("a bridge needs `{key}`, but has none"));
    }
    let keys = Bridge::from_values(&section_values(Some(table), &BRIDGE_LINES, problems))?;
    let place = |key: &str| table.get(key).map_or(at.clone(), |seen| seen.span());
    if keys.send == Crossing::Off && keys.receive == Crossing::Off {
        let why = "a bridge needs `send` or `receive`, but both are \"off\"";
        problems.add(at.clone(), why.to_owned());
    }
    for (ports, crossing, of) in
        [(&keys.send_ports, keys.send, "send"), (&keys.receive_ports, keys.receive, "receive")]
    {
        if !ports.is_empty() && crossing != Crossing::All {
            let word = crossing.word();
            problems.add(
                place(&format!("{of}_ports")),
                format!("`bridge.{of}_ports` needs `{of} = \"all\"`, but it is \"{word}\""),
            );
        }
    }
    if keys.ca.is_some() && !keys.tls {
        problems.add(place("ca"), "`bridge.ca` needs `tls`, but it is off".to_owned());
    }
    let mut area = |key: &str, text: &Option<String>| {
        let text = text.as_deref()?;
        let circle = Circle::parse(text);
        if circle.is_none() {
            let what = "latitude, longitude and radius in km, such as \"39.25,-94.42,50\"";
            problems.add(place(key), format!("`bridge.{key}` must be {what}, but is the text \"{text}\""));
        }
        circle
    };
    let send_area = area("send_area", &keys.send_area);
    let receive_area = area("receive_area", &keys.receive_area);
    let password = password(&keys, &place, secrets, problems);
    Some(BridgeTable { keys, password, send_area, receive_area })
}

fn password(
    keys: &Bridge,
    place: &dyn Fn(&str) -> Range<usize>,
    secrets: &dyn Secrets,
    problems: &mut Problems<'_>,
) -> Option<Password> {
    let (key, found) = match (&keys.password_file, &keys.password_env) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            let why = "`bridge.password_env` and `password_file` exclude each other, but both are there";
            problems.add(place("password_env"), why.to_owned());
            return None;
        }
        (Some(file), None) => {
            let read =
                secrets.file(file).map_err(|error| format!("`{}` cannot be read: {error}", file.display()));
            ("password_file", read)
        }
        (None, Some(name)) => {
            let read = secrets.variable(name);
            ("password_env", read.ok_or_else(|| format!("the environment variable `{name}` is not set")))
        }
    };
    let text = match found {
        Ok(text) => text.trim_end_matches(['\r', '\n']).to_owned(),
        Err(why) => {
            problems.add(place(key), format!("`bridge.{key}`: {why}"));
            return None;
        }
    };
    if text.is_empty() {
        problems.add(place(key), format!("`bridge.{key}` names an empty password"));
        return None;
    }
    if keys.username.is_none() {
        problems.add(place(key), format!("`bridge.{key}` needs `username`, but it is missing"));
    }
    Some(Password(text))
}
