//! The same keys as JSON Schema, for editors that check and complete while typing. Knows no single key.

use serde_json::{Map, Value, json};

use crate::channel::CHANNEL_KEYS;
use crate::keys::{BRIDGE_LINES, LISTENER_LINES, SECTIONS};
use crate::rule_state::{RuleDoc, RuleState};
use crate::table::{Key, Preset, Section};

/// Describes the file as JSON Schema (draft 2020-12), printed with indentation.
pub fn json_schema() -> String {
    let mut properties = Map::new();
    for section in SECTIONS {
        let mut keys: Map<String, Value> =
            section.keys.iter().map(|key| (key.name.to_owned(), key_schema(key))).collect();
        if section.name.is_empty() {
            properties.append(&mut keys);
        } else {
            properties.insert(section.name.to_owned(), closed_object(section.doc, keys));
        }
    }
    properties.insert("listener".to_owned(), list_schema(&LISTENER_LINES, &["name", "address"]));
    properties.insert("bridge".to_owned(), list_schema(&BRIDGE_LINES, &["name", "host"]));
    properties.insert("channel".to_owned(), channels_schema());
    file("Backhaul configuration", "Backhaul's configuration file.", properties)
}

/// The schema of a whole file, as text.
pub(crate) fn file(title: &str, doc: &str, properties: Map<String, Value>) -> String {
    let mut schema = closed_object(doc, properties);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(title);
    let mut text = format!("{schema:#}");
    text.push('\n');
    text
}

pub(crate) fn key_schema(key: &Key) -> Value {
    let mut schema = key.kind.schema();
    schema["description"] = json!(key.doc);
    match key.default {
        Preset::Text(text) => schema["default"] = json!(text),
        Preset::Whole(number) => schema["default"] = json!(number),
        Preset::Flag(flag) => schema["default"] = json!(flag),
        Preset::List(items) => schema["default"] = json!(items),
        Preset::Absent(example) => schema["examples"] = json!([example]),
        Preset::AbsentWhole(example) => schema["examples"] = json!([example]),
    }
    schema
}

pub(crate) fn rules_schema(rules: &[RuleDoc]) -> Value {
    let keys = rules.iter().map(|rule| {
        let schema =
            json!({ "enum": RuleState::WORDS, "default": rule.default.word(), "description": rule.doc });
        (rule.id.to_owned(), schema)
    });
    closed_object("The state of each rule.", keys.collect())
}

pub(crate) fn list_schema(section: &Section, required: &[&str]) -> Value {
    let keys = section.keys.iter().map(|key| (key.name.to_owned(), key_schema(key)));
    let mut item = closed_object(section.doc, keys.collect());
    item["required"] = json!(required);
    json!({ "type": "array", "items": item })
}

fn channels_schema() -> Value {
    let keys = CHANNEL_KEYS.iter().map(|(name, doc)| {
        let kind = if *name == "public" { "boolean" } else { "string" };
        ((*name).to_owned(), json!({ "type": kind, "description": doc }))
    });
    let mut item = closed_object("A channel whose key is entrusted to the broker.", keys.collect());
    item["required"] = json!(["name"]);
    item["oneOf"] =
        json!([{ "required": ["psk"] }, { "required": ["psk_file"] }, { "required": ["psk_env"] }]);
    json!({ "type": "array", "items": item })
}

fn closed_object(doc: &str, properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "description": doc, "additionalProperties": false, "properties": properties })
}
