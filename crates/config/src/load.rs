//! From the file's text to a checked configuration, collecting everything that is wrong. Knows no single key.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::bridge::{self, BridgeTable};
use crate::channel::{self, Channel, Secrets, SystemSecrets};
use crate::diagnostics::{Diagnostics, Problems};
use crate::keys::{
    AUTOMATION_LINES, Automation, HISTORY_LINES, History, LOG_LINES, Listener, Log, MESH_LINES, MQTT_LINES,
    Mesh, Mqtt, SECTIONS, TLS_LINES, TOP_LINES, Tls, Top, WEB_LINES, Web,
};
use crate::kind::describe;
use crate::listener;
use crate::near_miss::near_miss;
use crate::table::{Section, Values};

/// The whole configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Keys before the first table.
    pub top: Top,
    /// Where MQTT clients connect, and their limits.
    pub mqtt: Mqtt,
    /// Further ways in, in the order of the file.
    pub listeners: Vec<Listener>,
    /// The certificate.
    pub tls: Tls,
    /// The pages.
    pub web: Web,
    /// The mesh that is served.
    pub mesh: Mesh,
    /// Channels whose keys the operator entrusts to the broker, in the order of the file.
    pub channels: Vec<Channel>,
    /// Other brokers that packets are exchanged with, in the order of the file.
    pub bridges: Vec<BridgeTable>,
    /// What home automation is told.
    pub automation: Automation,
    /// What is remembered.
    pub history: History,
    /// What the program prints.
    pub log: Log,
}

impl Config {
    /// Gives the configuration of an empty file.
    #[expect(clippy::should_implement_trait, reason = "the trait does not say that this reads the table")]
    pub fn default() -> Config {
        Config::load(Path::new("defaults"), "").expect("every default is allowed; a test holds it")
    }

    /// Reads a file's text, or says everything that is wrong with it.
    ///
    /// `path` is for messages, and relative `psk_file`s start at its folder. Secrets named by the file are read
    /// from disk and the environment.
    pub fn load(path: &Path, text: &str) -> Result<Config, Diagnostics> {
        Config::load_with(path, text, &SystemSecrets::beside(path))
    }

    /// The same with secrets from elsewhere.
    pub fn load_with(path: &Path, text: &str, secrets: &dyn Secrets) -> Result<Config, Diagnostics> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut syntax = syntax_problems(text, errors);
        let mut problems = Problems::new(text);
        let config = read(document.get_ref(), secrets, &mut problems);
        if !syntax.is_empty() {
            if !syntax.broke_a_table_line() {
                problems.forget_lines_of(&syntax);
                syntax.append(problems);
            }
            return Err(syntax.into_diagnostics(path));
        }
        match config {
            Some(mut config) if problems.is_empty() => {
                config.anchor(path.parent().unwrap_or(Path::new("")));
                Ok(config)
            }
            _ => Err(problems.into_diagnostics(path)),
        }
    }
}

/// What the parser has against a text.
pub(crate) fn syntax_problems(text: &str, errors: Vec<toml::de::Error>) -> Problems<'_> {
    let mut syntax = Problems::new(text);
    for error in errors {
        syntax.add(error.span().unwrap_or(0..0), format!("not TOML: {}", one_line(error.message())));
    }
    syntax
}

fn read(document: &DeTable<'_>, secrets: &dyn Secrets, problems: &mut Problems<'_>) -> Option<Config> {
    report_unknown(
        document,
        &TOP_LINES,
        SECTIONS.iter().map(|section| section.name).chain(["channel", "listener", "bridge"]),
        problems,
    );
    for section in SECTIONS.iter().filter(|section| !section.name.is_empty()) {
        if let Some(table) = table_of(document, section.name, section.name, problems) {
            report_unknown(table, section, None, problems);
        }
    }
    let mut values = |section: &Section| {
        let table = match section.name {
            "" => Some(document),
            name => document.get(name).and_then(|table| table.get_ref().as_table()),
        };
        section_values(table, section, problems)
    };
    let config = Config {
        top: Top::from_values(&values(&TOP_LINES))?,
        mqtt: Mqtt::from_values(&values(&MQTT_LINES))?,
        tls: Tls::from_values(&values(&TLS_LINES))?,
        web: Web::from_values(&values(&WEB_LINES))?,
        mesh: Mesh::from_values(&values(&MESH_LINES))?,
        automation: Automation::from_values(&values(&AUTOMATION_LINES))?,
        history: History::from_values(&values(&HISTORY_LINES))?,
        log: Log::from_values(&values(&LOG_LINES))?,
        listeners: listener::read(document, problems),
        channels: channel::read(document, secrets, problems),
        bridges: bridge::read(document, secrets, problems),
    };
    listener::check(document, &config, problems);
    report_small_queue(document, &config, problems);
    Some(config)
}

/// The tables of a list such as `[[listener]]`, with their places; what is none is reported.
pub(crate) fn tables<'d>(
    document: &'d DeTable<'_>,
    name: &str,
    max: usize,
    problems: &mut Problems<'_>,
) -> Vec<(&'d DeTable<'d>, Range<usize>)> {
    let Some(seen) = document.get(name) else { return Vec::new() };
    let Some(items) = seen.get_ref().as_array() else {
        let what = describe(seen.get_ref());
        problems.add(seen.span(), format!("`{name}` must be written as `[[{name}]]`, but is {what}"));
        return Vec::new();
    };
    if items.len() > max {
        let many = items.len();
        problems.add(
            seen.span(),
            format!("`{name}` must not appear more than {max} times, but there are {many}"),
        );
    }
    let mut tables = Vec::new();
    for item in items.iter() {
        match item.get_ref().as_table() {
            Some(table) => tables.push((table, item.span())),
            None => {
                let what = describe(item.get_ref());
                problems.add(item.span(), format!("`{name}` must be a list of tables, but has {what}"));
            }
        }
    }
    tables
}

/// Checks a section's values. A wrong one is reported and its default stands in, so that reading goes on.
pub(crate) fn section_values(
    table: Option<&DeTable<'_>>,
    section: &Section,
    problems: &mut Problems<'_>,
) -> Values {
    let mut values = Values::new();
    for key in section.keys {
        let seen = table.and_then(|table| table.get(key.name));
        let checked = seen.and_then(|seen| {
            let value = key.kind.check(seen.get_ref());
            if value.is_none() {
                let path = path_of(section, key.name);
                let meant = seen
                    .get_ref()
                    .as_str()
                    .and_then(|word| near_miss(word, key.kind.words().iter().copied()));
                problems.add(seen.span(), wrong_value(&path, &key.kind.allowed(), seen.get_ref(), meant));
            }
            value
        });
        if let Some(value) = checked.or_else(|| key.default.value()) {
            values.insert(key.name, value);
        }
    }
    values
}

/// A message that fits no queue would be taken from its sender and silently lost for every receiver.
fn report_small_queue(document: &DeTable<'_>, config: &Config, problems: &mut Problems<'_>) {
    let (queue, packet) = (config.mqtt.queue_bytes_max, config.mqtt.max_packet_size);
    if queue >= packet {
        return;
    }
    let place = |key: &str| place_of(document, "mqtt", key);
    let at = place("queue_bytes_max").or_else(|| place("max_packet_size")).unwrap_or(0..0);
    problems.add(
        at,
        format!("`mqtt.queue_bytes_max` must be at least `mqtt.max_packet_size`, but they are {queue} and {packet}"),
    );
}

pub(crate) fn place_of(document: &DeTable<'_>, section: &str, key: &str) -> Option<std::ops::Range<usize>> {
    Some(document.get(section)?.get_ref().as_table()?.get(key)?.span())
}

/// Finds a table; anything else under its name is reported.
pub(crate) fn table_of<'a, 'i>(
    outer: &'a DeTable<'i>,
    name: &str,
    path: &str,
    problems: &mut Problems<'_>,
) -> Option<&'a DeTable<'i>> {
    let seen = outer.get(name)?;
    let table = seen.get_ref().as_table();
    if table.is_none() {
        problems.add(seen.span(), format!("`{path}` must be a table, but is {}", describe(seen.get_ref())));
    }
    table
}

pub(crate) fn report_unknown<'n>(
    table: &DeTable<'_>,
    section: &Section,
    tables: impl IntoIterator<Item = &'n str>,
    problems: &mut Problems<'_>,
) {
    let known: Vec<&str> =
        section.keys.iter().map(|key| key.name).chain(tables).filter(|name| !name.is_empty()).collect();
    for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
        let hint = hint_for(key.get_ref(), &known);
        let path = path_of(section, &shown(key.get_ref()));
        problems.add(key.span(), format!("unknown key `{path}`: {hint}"));
    }
}

/// The same key in another table first, then a slip of a neighbour, then everything allowed here.
fn hint_for(seen: &str, known: &[&str]) -> String {
    let elsewhere: Vec<String> = SECTIONS
        .iter()
        .filter(|section| section.keys.iter().any(|key| key.name == seen))
        .map(|section| format!("`{}`", path_of(section, seen)))
        .collect();
    if !elsewhere.is_empty() {
        return format!("did you mean {}?", elsewhere.join(" or "));
    }
    if let Some(meant) = near_miss(seen, known.iter().copied()) {
        return format!("did you mean `{meant}`?");
    }
    format!("allowed here are {}", quoted(known.iter().copied()))
}

pub(crate) fn wrong_value(path: &str, allowed: &str, seen: &DeValue<'_>, meant: Option<&str>) -> String {
    let hint = meant.map_or(String::new(), |meant| format!("; did you mean \"{meant}\"?"));
    format!("`{path}` must be {allowed}, but is {}{hint}", describe(seen))
}

/// A key as it may be shown: cut, and without line breaks or terminal codes.
pub(crate) fn shown(key: &str) -> String {
    key.chars().take(60).flat_map(char::escape_debug).collect()
}

pub(crate) fn quoted<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

pub(crate) fn path_of(section: &Section, key: &str) -> String {
    match section.name {
        "" => key.to_owned(),
        name => format!("{name}.{key}"),
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One value of the file with its place.
pub(crate) type Seen<'a, 'i> = &'a Spanned<DeValue<'i>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Preset;

    #[test]
    fn every_default_passes_its_own_check() {
        for section in SECTIONS.iter().chain([&&crate::keys::LISTENER_LINES, &&crate::keys::POLICY_LINES]) {
            for key in section.keys {
                let text = match key.default {
                    Preset::Text(text) | Preset::Absent(text) => format!("\"{text}\""),
                    Preset::Whole(number) | Preset::AbsentWhole(number) => number.to_string(),
                    Preset::Flag(flag) => flag.to_string(),
                    Preset::List(items) => format!("{items:?}"),
                };
                let value = DeValue::parse(&text).unwrap();
                assert!(key.kind.check(value.get_ref()).is_some(), "{}.{}", section.name, key.name);
            }
        }
        assert_eq!(Config::default().mqtt.listen.map(|a| a.port()), Some(1883));
    }
}
