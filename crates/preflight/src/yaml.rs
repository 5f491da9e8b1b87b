//! `meshtastic --export-config`: a YAML map, keys in camelCase or snake_case.

use serde_json::Value as Json;

use crate::channel_link;
use crate::node_config::{Knows, NodeConfig, Raw, Source};
use crate::read::Unreadable;
use crate::setting::{SETTINGS, Setting, normal};

/// Reads an export. `None` when the text is no YAML map.
pub(crate) fn read(text: &str) -> Option<Result<NodeConfig, Unreadable>> {
    let Json::Object(top) = serde_saphyr::from_str::<Json>(text).ok()? else { return None };
    let find = |name: &str| top.iter().find(|(key, _)| normal(key) == name).map(|(_, value)| value);
    let sections = [("config", false), ("moduleconfig", true)];
    let mut config = NodeConfig::new(Source::Yaml, Knows::Everything);
    config.owner = find("owner").and_then(Json::as_str).map(str::to_owned);
    let mut has_any = false;
    for (name, is_module) in sections {
        let Some(Json::Object(section)) = find(name) else { continue };
        has_any = true;
        for setting in SETTINGS.iter().filter(|s| s.is_module == is_module) {
            if let Some(value) = value_of(section, setting) {
                config.put(setting, raw(value));
            }
        }
    }
    if let Some(link) = find("channelurl").and_then(Json::as_str) {
        has_any = true;
        if let Err(error) = channel_link::take(&mut config, link) {
            config.remarks.push(error.to_string());
        }
    }
    Some(if has_any { Ok(config) } else { Err(Unreadable::NoNodeConfig) })
}

fn value_of<'a>(section: &'a serde_json::Map<String, Json>, setting: &Setting) -> Option<&'a Json> {
    let mut levels = std::iter::once(setting.section).chain(setting.name.split('.')).map(normal);
    let first = levels.next()?;
    let mut value = section.iter().find(|(key, _)| normal(key) == first)?.1;
    for level in levels {
        value = value.as_object()?.iter().find(|(key, _)| normal(key) == level)?.1;
    }
    Some(value)
}

fn raw(value: &Json) -> Raw<'_> {
    match value {
        Json::Bool(value) => Raw::Bool(*value),
        Json::Number(number) => number.as_i64().map_or(Raw::Other, Raw::Number),
        Json::String(text) => Raw::Text(text),
        Json::Array(list) => Raw::Count(list.len()),
        Json::Null | Json::Object(_) => Raw::Other,
    }
}
