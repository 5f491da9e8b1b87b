//! JSON commands of firmware 2.7 (`src/mqtt/MQTT.cpp`, meshtastic.md § 7): what a service asks a node to send. What that
//! firmware ignores in silence is refused with a reason.

use serde_json::Value as Json;

use crate::node::NodeNum;

/// Bytes of a text that fit a packet.
pub const TEXT_BYTES_MAX: usize = 233;
/// Hops where nothing sensible is asked for.
const HOPS_USUAL: u8 = 3;
const HOPS_MAX: f64 = 7.0;
/// Bytes of a command; a text of any kind needs less.
const COMMAND_BYTES_MAX: usize = 4_096;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonCommand {
    /// Destination.
    pub to: NodeNum,
    /// Index of the channel; 0 where none, or none of eight, is named.
    pub channel: usize,
    /// Hops, 0–7.
    pub hop_limit: u8,
    /// What to send.
    pub what: Asked,
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A text, 1 to [`TEXT_BYTES_MAX`] bytes.
    Text(String),
    /// A position.
    Position {
        /// Latitude, 1e-7 degrees.
        latitude_i: i32,
        /// Longitude, 1e-7 degrees.
        longitude_i: i32,
        /// Altitude, m.
        altitude_m: i32,
        /// Unix seconds; 0 not said.
        time: u32,
    },
}

/// Understands a command to `node`.
///
/// # Errors
/// Why it is none, in a sentence for whoever wrote it.
pub fn parse(payload: &[u8], node: NodeNum) -> Result<JsonCommand, &'static str> {
    if payload.len() > COMMAND_BYTES_MAX {
        return Err("The command is too long.");
    }
    let Ok(Json::Object(command)) = serde_json::from_slice(payload) else {
        return Err("The command is not a JSON object.");
    };
    let number = |key: &str, wrong: &'static str| match command.get(key) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(wrong),
    };
    let from = number("from", "`from` must be a number, not a text.")?
        .ok_or("`from` is missing: it is the node number of the broker's own node.")?;
    if from != f64::from(node.0) {
        return Err("`from` is not the number of the broker's own node.");
    }
    if command.get("sender").and_then(Json::as_str) == Some(node.to_string().as_str()) {
        return Err("`sender` is the broker's own node: it does not command itself.");
    }
    let to = number("to", "`to` must be a node number.")?.map_or(Some(NodeNum::BROADCAST), node_number);
    let to = to.ok_or("`to` must be a node number.")?;
    let channel = number("channel", "`channel` must be a number.")?.unwrap_or(0.0);
    let channel = if (0.0..8.0).contains(&channel) { channel as usize } else { 0 };
    let hops = number("hopLimit", "`hopLimit` must be a number.")?.unwrap_or(f64::from(HOPS_USUAL));
    let hop_limit = if (0.0..=HOPS_MAX).contains(&hops) { hops as u8 } else { HOPS_USUAL };
    let kind = command.get("type").and_then(Json::as_str).ok_or("`type` is missing.")?;
    let payload = command.get("payload").ok_or("`payload` is missing.")?;
    let what = match kind {
        "sendtext" => text(payload)?,
        "sendposition" => position(payload)?,
        _ => return Err("`type` must be `sendtext` or `sendposition`."),
    };
    Ok(JsonCommand { to, channel, hop_limit, what })
}

fn node_number(number: f64) -> Option<NodeNum> {
    let is_one = number.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&number);
    is_one.then_some(NodeNum(number as u32))
}

fn text(payload: &Json) -> Result<Asked, &'static str> {
    let text = payload.as_str().ok_or("The payload of `sendtext` is a text.")?;
    match text.len() {
        0 => Err("The text is empty."),
        1..=TEXT_BYTES_MAX => Ok(Asked::Text(text.to_owned())),
        _ => Err("The text has more than 233 bytes, which no packet holds."),
    }
}

fn position(payload: &Json) -> Result<Asked, &'static str> {
    const WRONG: &str = "The payload of `sendposition` is an object with the numbers latitude_i, longitude_i, altitude and time.";
    let payload = payload.as_object().ok_or(WRONG)?;
    let whole = |key: &str, usual: Option<i64>, limits: std::ops::RangeInclusive<i64>| match payload.get(key)
    {
        None => usual.ok_or(WRONG),
        Some(value) => value.as_i64().filter(|value| limits.contains(value)).ok_or(WRONG),
    };
    let degrees = |degrees: i64| -degrees * 10_000_000..=degrees * 10_000_000;
    let latitude = whole("latitude_i", None, degrees(90))?;
    let longitude = whole("longitude_i", None, degrees(180))?;
    let altitude = whole("altitude", Some(0), -12_000..=100_000)?;
    let time = whole("time", Some(0), 0..=i64::from(u32::MAX))?;
    // All in range, as was just seen.
    Ok(Asked::Position {
        latitude_i: latitude as i32,
        longitude_i: longitude as i32,
        altitude_m: altitude as i32,
        time: time as u32,
    })
}
