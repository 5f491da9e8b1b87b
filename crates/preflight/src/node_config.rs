//! What one node is set to, as far as the file says. A setting that a file leaves out has protobuf's default: 0, false,
//! the first name. Secrets are not in here.

use std::collections::BTreeMap;

use crate::channel_link::Channel;
use crate::setting::{Kind, Setting};

/// Where the configuration came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `meshtastic --export-config`.
    Yaml,
    /// A binary profile (`.cfg`).
    Profile,
    /// A channel link, which holds channels and radio settings only.
    ChannelLink,
}

/// The value of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A number.
    Number(i64),
    /// A text or the name of a value.
    Text(String),
    /// Something secret: set to something of the owner's, or to what the firmware ships with.
    Secret {
        /// Whether it is what every node ships with.
        is_factory: bool,
    },
    /// How many there are.
    Count(usize),
}

/// The configuration of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Where it came from.
    pub source: Source,
    /// The node's long name.
    pub owner: Option<String>,
    /// Its channels, the primary one first; `None` when the file has none.
    pub channels: Option<Vec<Channel>>,
    /// Things in the file that could not be understood, for the person who checks.
    pub remarks: Vec<String>,
    pub(crate) values: BTreeMap<String, Value>,
    /// Sections that the source can tell of.
    pub(crate) knows: Knows,
}

/// What a source can tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knows {
    Everything,
    Lora,
    Nothing,
}

impl NodeConfig {
    pub(crate) fn new(source: Source, knows: Knows) -> Self {
        let (owner, channels, remarks, values) = Default::default();
        Self { source, owner, channels, remarks, values, knows }
    }

    /// Whether the source can tell what this is set to.
    pub fn knows(&self, setting: &Setting) -> bool {
        match self.knows {
            Knows::Everything => true,
            Knows::Lora => setting.section == "lora",
            Knows::Nothing => false,
        }
    }

    /// A truth value.
    pub fn is(&self, setting: &Setting) -> bool {
        matches!(self.values.get(&setting.key()), Some(Value::Bool(true)))
    }

    /// A number.
    pub fn number(&self, setting: &Setting) -> i64 {
        match self.values.get(&setting.key()) {
            Some(Value::Number(number)) => *number,
            _ => 0,
        }
    }

    /// A text, or the name of a value.
    pub fn text(&self, setting: &Setting) -> &str {
        match (self.values.get(&setting.key()), setting.kind) {
            (Some(Value::Text(text)), _) => text,
            (_, Kind::Enum(names)) => names.first().map_or("", |(_, name)| name),
            _ => "",
        }
    }

    /// Whether a secret is set, and whether it is the one every node ships with.
    pub fn secret(&self, setting: &Setting) -> Option<bool> {
        match self.values.get(&setting.key()) {
            Some(Value::Secret { is_factory }) => Some(*is_factory),
            _ => None,
        }
    }

    /// How many there are.
    pub fn count(&self, setting: &Setting) -> usize {
        match self.values.get(&setting.key()) {
            Some(Value::Count(count)) => *count,
            _ => 0,
        }
    }

    /// Takes a value in, keeping of secrets only what may be kept.
    pub(crate) fn put(&mut self, setting: &Setting, raw: Raw<'_>) {
        let value = match (setting.kind, raw) {
            (Kind::Bool, Raw::Bool(value)) => Value::Bool(value),
            (Kind::Bool, Raw::Number(value)) => Value::Bool(value != 0),
            (Kind::Number, Raw::Number(value)) => Value::Number(value),
            // 64-bit numbers are texts in protobuf's JSON.
            (Kind::Number, Raw::Text(text)) if text.trim().parse::<i64>().is_ok() => {
                Value::Number(text.trim().parse().unwrap_or_default())
            }
            (Kind::Text, Raw::Text(text)) => Value::Text(text.to_owned()),
            // An unquoted `12` or `true` in YAML is still a text here.
            (Kind::Text, Raw::Number(number)) => Value::Text(number.to_string()),
            (Kind::Text, Raw::Bool(value)) => Value::Text(value.to_string()),
            (Kind::Enum(names), Raw::Text(text)) => match names.iter().find(|(_, name)| *name == text) {
                Some((_, name)) => Value::Text((*name).to_owned()),
                None => return self.remark(setting, "is set to a name that firmware does not have"),
            },
            (Kind::Enum(names), Raw::Number(number)) => {
                match names.iter().find(|(n, _)| i64::from(*n) == number) {
                    Some((_, name)) => Value::Text((*name).to_owned()),
                    None => Value::Text(format!("unknown ({number})")),
                }
            }
            (Kind::Secret, Raw::Text(text)) if !text.is_empty() => {
                Value::Secret { is_factory: text == FACTORY_PASSWORD }
            }
            (Kind::Secret, Raw::Number(_) | Raw::Bool(_)) => Value::Secret { is_factory: false },
            (Kind::Secret, _) => return,
            (Kind::Count, Raw::Count(count)) => Value::Count(count),
            (Kind::Count, Raw::Text(_)) => Value::Count(1),
            _ => return self.remark(setting, "does not hold what it should"),
        };
        self.values.insert(setting.key(), value);
    }

    fn remark(&mut self, setting: &Setting, what: &str) {
        if self.remarks.len() < REMARKS_MAX {
            self.remarks.push(format!("`{}` {what}, so it was taken as not set.", setting.set_name()));
        }
    }
}

/// Remarks kept at most.
const REMARKS_MAX: usize = 20;

/// The password that firmware ships with, for the project's public broker (`Default.h`).
const FACTORY_PASSWORD: &str = "large4cats";

/// A value as a file has it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Raw<'a> {
    Bool(bool),
    Number(i64),
    Text(&'a str),
    Count(usize),
    /// A list or a map where one value was expected.
    Other,
}
