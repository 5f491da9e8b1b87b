//! One line of input: a JSON object, or an envelope in hex or base64. Knows nothing of what an envelope holds.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value as Json;

use super::LINE_BYTES_MAX;

/// A publish as a line tells it.
pub struct Line {
    /// Given back with the answer.
    pub name: Option<String>,
    /// Topic Name; lines of bare bytes have none.
    pub topic: Option<String>,
    /// Payload of the publish.
    pub payload: Vec<u8>,
    /// Channel key for this line alone, in base64 as settings have it.
    pub key_base64: Option<String>,
}

/// Reads a line that is not blank.
///
/// # Errors
/// What is wrong with it, without its content: it may hold a key.
pub fn parse(line: &[u8]) -> Result<Line, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("line is longer than {LINE_BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(line).map_err(|_| "line is not UTF-8")?.trim();
    if text.starts_with('{') {
        return parse_object(text);
    }
    let payload = hex::decode(text).ok().or_else(|| from_base64(text));
    let payload = payload.ok_or("line is neither a JSON object nor hex nor base64")?;
    Ok(Line { name: None, topic: None, payload, key_base64: None })
}

fn parse_object(text: &str) -> Result<Line, String> {
    let object: Json = serde_json::from_str(text)
        .map_err(|error| format!("line is not JSON: at column {} it stops making sense", error.column()))?;
    let member = |name: &str| match object.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("`{name}` is not text")),
    };
    let (name, topic, key_base64) = (member("name")?, member("topic")?, member("key_b64")?);
    let member_name = if object.get("envelope_hex").is_some() { "envelope_hex" } else { "payload_hex" };
    let hex = member(member_name)?.ok_or("`envelope_hex` is missing")?;
    let topic = Some(topic.ok_or("`topic` is missing")?);
    let payload = hex::decode(hex).map_err(|error| format!("`{member_name}` is not hex: {error}"))?;
    Ok(Line { name, topic, payload, key_base64 })
}

/// Reads base64 with or without padding.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet::STANDARD, CONFIG).decode(text).ok()
}
