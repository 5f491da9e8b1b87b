//! What an opened payload says, as a tree of named, typed values with units and their place in the bytes. For people
//! who debug, for pages and for JSON; unknown fields keep their bytes and say so.

use serde_json::{Map, Value as Json, json};

use crate::enums::name_of;
use crate::node::NodeNum;
use crate::portnum::PortNum;
use crate::schema::{DEPTH_MAX, FieldSpec, Kind, MessageSpec, Payload, payload_of};
use crate::wire::{Content, Field, Fields, packed_varints};

/// One field of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Field number.
    pub number: u32,
    /// Its name; `None` for fields that the tables do not have.
    pub name: Option<&'static str>,
    /// Its value.
    pub value: Value,
    /// Unit of the value; empty for none.
    pub unit: &'static str,
    /// Where it stands in the payload, from and to.
    pub bytes: (usize, usize),
    /// Whether the message may hold several.
    pub is_repeated: bool,
}

/// A typed value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Unsigned number.
    Uint(u64),
    /// Signed number.
    Int(i64),
    /// Float, 32 bits on the wire.
    Float(f32),
    /// Truth value.
    Bool(bool),
    /// Unix seconds.
    Time(u32),
    /// Node number.
    Node(NodeNum),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A key: there, and not shown.
    Secret,
    /// A named number; without a name when the tables do not have it.
    Enum(u32, Option<&'static str>),
    /// A message.
    Message(Vec<Entry>),
}

/// An opened payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// Text.
    Text(String),
    /// A message of the tables.
    Message(&'static str, Vec<Entry>),
    /// Bytes: not looked into, or not what the port promises.
    Bytes(Vec<u8>),
}

/// Reads a payload. What does not fit the port is kept as bytes.
pub fn read(port: PortNum, payload: &[u8]) -> Tree {
    let as_bytes = || Tree::Bytes(payload.to_vec());
    match payload_of(port) {
        Payload::Text => String::from_utf8(payload.to_vec()).map_or_else(|_| as_bytes(), Tree::Text),
        Payload::Message(spec) => read_message(spec, payload, 0, DEPTH_MAX)
            .map_or_else(as_bytes, |entries| Tree::Message(spec.name, entries)),
        Payload::Opaque => as_bytes(),
    }
}

/// Fields of one message; a payload has at most 256 bytes, so at most 128 fields.
fn read_message(spec: &MessageSpec, bytes: &[u8], offset: usize, depth: usize) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    for field in Fields::of(bytes) {
        let field = field.ok()?;
        let known = spec.fields.iter().find(|f| f.number == field.number && f.kind.fits(field.content));
        match known {
            Some(known) => read_field(known, &field, offset, depth, &mut entries)?,
            None => entries.push(unknown(&field, bytes, offset)),
        }
    }
    Some(entries)
}

fn read_field(
    known: &FieldSpec,
    field: &Field<'_>,
    offset: usize,
    depth: usize,
    entries: &mut Vec<Entry>,
) -> Option<()> {
    let is_repeated = matches!(known.kind, Kind::NodeList | Kind::IntList | Kind::List(_));
    let mut push = |value| {
        entries.push(Entry {
            number: field.number,
            name: Some(known.name),
            value,
            unit: known.unit,
            bytes: (offset + field.start, offset + field.end),
            is_repeated,
        });
    };
    match (known.kind, field.content) {
        (Kind::Message(inner) | Kind::List(inner), Content::Bytes(bytes)) => {
            if depth == 0 {
                return None;
            }
            push(Value::Message(read_message(inner, bytes, offset + field.content_start, depth - 1)?));
        }
        (Kind::NodeList, Content::Bytes(packed)) => {
            let chunks = packed.chunks_exact(4);
            if !chunks.remainder().is_empty() {
                return None;
            }
            for chunk in chunks {
                push(Value::Node(NodeNum(u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]))));
            }
        }
        (Kind::IntList, Content::Bytes(packed)) => {
            for number in packed_varints(packed) {
                push(Value::Int(i64::from(number.ok()? as i32)));
            }
        }
        (kind, content) => push(scalar(kind, content)?),
    }
    Some(())
}

fn scalar(kind: Kind, content: Content<'_>) -> Option<Value> {
    let number = content.as_u32();
    Some(match (kind, content) {
        (Kind::Uint, Content::Varint(v)) => Value::Uint(v),
        (Kind::Int | Kind::IntList, Content::Varint(v)) => Value::Int(i64::from(v as i32)),
        (Kind::Sint, Content::Varint(v)) => Value::Int(i64::from((v >> 1) as i32 ^ -((v & 1) as i32))),
        (Kind::Bool, Content::Varint(v)) => Value::Bool(v != 0),
        (Kind::Fixed32, Content::Fixed32(v)) => Value::Uint(u64::from(v)),
        (Kind::Sfixed32, Content::Fixed32(v)) => Value::Int(i64::from(v as i32)),
        (Kind::Float, Content::Fixed32(v)) => Value::Float(f32::from_bits(v)),
        (Kind::Time, _) => Value::Time(number?),
        (Kind::Node | Kind::NodeList, _) => Value::Node(NodeNum(number?)),
        (Kind::Enum(names), Content::Varint(v)) => Value::Enum(v as u32, name_of(names, v as u32)),
        (Kind::Text, Content::Bytes(v)) => std::str::from_utf8(v)
            .map_or_else(|_| Value::Bytes(v.to_vec()), |text| Value::Text(text.to_owned())),
        (Kind::Bytes, Content::Bytes(v)) => Value::Bytes(v.to_vec()),
        (Kind::Secret, Content::Bytes(_)) => Value::Secret,
        _ => return None,
    })
}

fn unknown(field: &Field<'_>, message: &[u8], offset: usize) -> Entry {
    Entry {
        number: field.number,
        name: None,
        value: Value::Bytes(message[field.start..field.end].to_vec()),
        unit: "",
        bytes: (offset + field.start, offset + field.end),
        is_repeated: true,
    }
}

impl Tree {
    /// The tree as JSON with the protocol's names: numbers as numbers, enums by name (number when unknown), bytes in
    /// hex, unknown fields under `unknown`.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => json!({ "text": text }),
            Self::Message(_, entries) => message_to_json(entries),
            Self::Bytes(bytes) => json!({ "bytes": to_hex(bytes) }),
        }
    }
}

fn message_to_json(entries: &[Entry]) -> Json {
    let mut object = Map::new();
    for entry in entries {
        let value = entry.value.to_json();
        let Some(name) = entry.name else {
            let list = object.entry("unknown").or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(json!({ "field": entry.number, "bytes": value }));
            }
            continue;
        };
        if entry.is_repeated {
            if let Some(list) = object.entry(name).or_insert_with(|| json!([])).as_array_mut() {
                list.push(value);
            }
        } else {
            object.insert(name.to_owned(), value);
        }
    }
    Json::Object(object)
}

impl Value {
    /// The value as JSON.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Uint(v) => json!(v),
            Self::Int(v) => json!(v),
            Self::Float(v) => float_to_json(*v),
            Self::Bool(v) => json!(v),
            Self::Time(v) => json!(v),
            Self::Node(v) => json!(v.0),
            Self::Text(v) => json!(v),
            Self::Bytes(v) => json!(to_hex(v)),
            Self::Secret => json!("***"),
            Self::Enum(number, name) => name.map_or_else(|| json!(number), |name| json!(name)),
            Self::Message(entries) => message_to_json(entries),
        }
    }

    /// The value as text for people, without its unit.
    pub fn to_text(&self) -> String {
        match self {
            Self::Uint(v) => v.to_string(),
            Self::Int(v) => v.to_string(),
            Self::Float(v) => v.to_string(),
            Self::Bool(v) => if *v { "yes" } else { "no" }.to_owned(),
            Self::Time(v) => v.to_string(),
            Self::Node(v) => v.to_string(),
            Self::Text(v) => v.clone(),
            Self::Bytes(v) => to_hex(v),
            Self::Secret => "***".to_owned(),
            Self::Enum(number, name) => name.map_or_else(|| format!("unknown ({number})"), str::to_owned),
            Self::Message(_) => String::new(),
        }
    }
}

/// A 32-bit float as the shortest decimal that means it; what JSON cannot say is null.
pub fn float_to_json(value: f32) -> Json {
    value
        .to_string()
        .parse::<f64>()
        .ok()
        .and_then(serde_json::Number::from_f64)
        .map_or(Json::Null, Json::Number)
}

/// Bytes from hexadecimal; `None` when it is none.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.remainder().is_empty().then_some(())?;
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Bytes in lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
