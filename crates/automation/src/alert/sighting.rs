//! What rules may look at in one reception, opened once for all of them.

use mesh::keyring::Keyring;
use mesh::observe::{Scratch, observe};
use mesh::portnum::PortNum;
use mesh::schema::{Kind, TELEMETRY};
use mesh::tree::{self, Tree, Value};
use mesh::wire::{Content, Fields};
use record::Reception;

use crate::alert::rule::Attribute;
use crate::allowed::may_be_told;
use crate::settings::Settings;

/// A reception, opened.
#[derive(Debug, Clone, Default)]
pub struct Sighting {
    /// What somebody wrote.
    pub said: Option<String>,
    /// Measurements by name.
    pub measures: Vec<(&'static str, f64)>,
    /// Latitude and longitude, 1e-7 degrees.
    pub place: Option<(i32, i32)>,
    /// Node information: what the sender says of itself.
    pub user: Vec<(Attribute, Vec<u8>)>,
    /// Whether others than the operator may be told of it.
    pub may_be_told: bool,
}

/// Bytes kept of what a node says of itself; keys have 32, names 39.
const ATTRIBUTE_BYTES_MAX: usize = 64;
/// Characters of a text that are searched and shown; what crosses a radio is shorter.
const TEXT_CHARS_MAX: usize = 300;

const TEXT_PORTS: [PortNum; 4] =
    [PortNum::TEXT_MESSAGE, PortNum::ALERT, PortNum::DETECTION_SENSOR, PortNum::RANGE_TEST];

/// Opens a reception, as far as the keys at hand allow.
pub fn open(reception: &Reception, keyring: &Keyring, settings: &Settings) -> Sighting {
    let mut sighting = Sighting { may_be_told: may_be_told(settings, reception), ..Sighting::default() };
    let mut scratch = Scratch::default();
    let facts = observe(&reception.topic, &reception.payload, keyring, &mut scratch);
    sighting.place = facts.position.and_then(|p| Some((p.latitude_i?, p.longitude_i?)));
    let Some(data) = facts.data else { return sighting };
    match data.port {
        port if TEXT_PORTS.contains(&port) => {
            sighting.said =
                Some(String::from_utf8_lossy(data.payload).chars().take(TEXT_CHARS_MAX).collect());
        }
        PortNum::TELEMETRY => sighting.measures = measures(data.payload),
        PortNum::NODEINFO => sighting.user = user(data.payload),
        _ => {}
    }
    sighting
}

fn measures(payload: &[u8]) -> Vec<(&'static str, f64)> {
    let Tree::Message(_, entries) = tree::read(PortNum::TELEMETRY, payload) else { return Vec::new() };
    let mut measures = Vec::new();
    for entry in &entries {
        let Value::Message(metrics) = &entry.value else { continue };
        for metric in metrics {
            let value = match metric.value {
                Value::Uint(value) => value as f64,
                Value::Int(value) => value as f64,
                Value::Float(value) => f64::from(value),
                _ => continue,
            };
            if let Some(name) = metric.name.filter(|_| value.is_finite()) {
                measures.push((measure_name(entry.name, name), value));
            }
        }
    }
    measures
}

/// A node's voltage and that of its sensor are two things.
fn measure_name(kind: Option<&str>, name: &'static str) -> &'static str {
    match (kind, name) {
        (Some("environment_metrics"), "voltage") => "environment_voltage",
        (Some("environment_metrics"), "current") => "environment_current",
        (_, name) => name,
    }
}

/// Whether telemetry has a measurement of that name.
pub fn is_measure(name: &str) -> bool {
    let kinds = TELEMETRY.fields.iter().filter_map(|field| match field.kind {
        Kind::Message(spec) => Some((field.name, spec)),
        _ => None,
    });
    kinds.into_iter().any(|(kind, spec)| spec.fields.iter().any(|f| measure_name(Some(kind), f.name) == name))
}

/// `mesh.proto`, User: 2 long name, 5 hardware model, 7 role, 8 public key.
fn user(payload: &[u8]) -> Vec<(Attribute, Vec<u8>)> {
    let mut found = Vec::new();
    for field in Fields::of(payload) {
        let Ok(field) = field else { return Vec::new() };
        let attribute = match field.number {
            2 => Attribute::Name,
            5 => Attribute::Hardware,
            7 => Attribute::Role,
            8 => Attribute::Key,
            _ => continue,
        };
        let value = match field.content {
            Content::Bytes(bytes) => bytes[..bytes.len().min(ATTRIBUTE_BYTES_MAX)].to_vec(),
            Content::Varint(value) => value.to_be_bytes().to_vec(),
            _ => continue,
        };
        found.push((attribute, value));
    }
    found
}
