//! How the table of keys is written: one macro that makes a section's struct and its lines. Knows no key.

use crate::kind::{Kind, Value};

/// A table of the file, or the keys before the first table.
#[derive(Debug)]
pub(crate) struct Section {
    /// The table's name; empty for the keys before the first table.
    pub name: &'static str,
    /// One sentence for the documentation.
    pub doc: &'static str,
    pub keys: &'static [Key],
}

/// One key of a section.
#[derive(Debug)]
pub(crate) struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub default: Preset,
    /// What the key does and in which unit, in whole sentences.
    pub doc: &'static str,
}

/// A key's default.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Preset {
    Text(&'static str),
    Whole(i64),
    Flag(bool),
    List(&'static [&'static str]),
    /// No default: the key may be left out. The text is an example for the documentation.
    Absent(&'static str),
    /// The same for a number.
    AbsentWhole(i64),
}

impl Preset {
    pub(crate) fn value(self) -> Option<Value> {
        match self {
            Preset::Text(text) => Some(Value::Text(text.to_owned())),
            Preset::Whole(number) => Some(Value::Whole(number)),
            Preset::Flag(flag) => Some(Value::Flag(flag)),
            Preset::List(items) => Some(Value::Texts(items.iter().map(|&item| item.to_owned()).collect())),
            Preset::Absent(_) | Preset::AbsentWhole(_) => None,
        }
    }
}

/// The checked values of one section, by key.
pub(crate) type Values = std::collections::BTreeMap<&'static str, Value>;

/// Turns a checked value into a field's type. `None` means that the key's kind and the field's type disagree,
/// which the tests of the table rule out.
pub(crate) trait FromValue: Sized {
    fn from_value(value: Option<&Value>) -> Option<Self>;
}

impl FromValue for bool {
    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value {
            Some(Value::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }
}

impl FromValue for Option<String> {
    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value {
            None => Some(None),
            Some(Value::Text(text)) => Some(Some(text.clone())),
            Some(_) => None,
        }
    }
}

impl FromValue for Option<std::path::PathBuf> {
    fn from_value(value: Option<&Value>) -> Option<Self> {
        Option::<String>::from_value(value).map(|text| text.map(Into::into))
    }
}

impl FromValue for Option<std::net::SocketAddr> {
    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value {
            Some(Value::Text(text)) if text == "none" => Some(None),
            Some(Value::Text(text)) => text.parse().ok().map(Some),
            _ => None,
        }
    }
}

impl FromValue for Option<u32> {
    fn from_value(value: Option<&Value>) -> Option<Self> {
        value.map(|value| u32::from_value(Some(value))).map_or(Some(None), |number| number.map(Some))
    }
}

impl FromValue for Vec<String> {
    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value {
            Some(Value::Texts(texts)) => Some(texts.clone()),
            _ => None,
        }
    }
}

impl FromValue for Vec<ipnet::IpNet> {
    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value {
            Some(Value::Texts(texts)) => texts.iter().map(|text| crate::kind::network(text)).collect(),
            _ => None,
        }
    }
}

macro_rules! from_text {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            fn from_value(value: Option<&Value>) -> Option<Self> {
                match value {
                    Some(Value::Text(text)) => text.parse().ok(),
                    _ => None,
                }
            }
        }
    )*};
}
from_text!(String, std::path::PathBuf, std::net::SocketAddr);

macro_rules! from_whole {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            fn from_value(value: Option<&Value>) -> Option<Self> {
                match value {
                    Some(Value::Whole(number)) => (*number).try_into().ok(),
                    _ => None,
                }
            }
        }
    )*};
}
from_whole!(u8, u16, u32, u64);

/// Makes, for one section, the struct that code reads and the lines that everything else reads.
macro_rules! section {
    ($struct:ident, $lines:ident, $name:literal, $section_doc:literal;
     $($field:ident: $type:ty = $default:expr, $kind:expr, $doc:literal;)*) => {
        #[doc = $section_doc]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $struct {
            $(#[doc = $doc] pub $field: $type,)*
        }

        impl $struct {
            pub(crate) fn from_values(values: &crate::table::Values) -> Option<$struct> {
                Some($struct {
                    $($field: crate::table::FromValue::from_value(values.get(stringify!($field)))?,)*
                })
            }
        }

        impl $struct {
            /// Every key with its value, to compare two files by.
            pub fn told(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($field), format!("{:?}", self.$field)),)*]
            }
        }

        pub(crate) const $lines: crate::table::Section = crate::table::Section {
            name: $name,
            doc: $section_doc,
            keys: &[$(crate::table::Key {
                name: stringify!($field), kind: $kind, default: $default, doc: $doc,
            },)*],
        };
    };
}
pub(crate) use section;

/// Makes an enum whose variants are words of the file.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$meaning])* $variant,)* }

        impl $name {
            /// Every word, in the order of the documentation.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];

            /// The word in the file.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// The value of a word.
            pub fn from_word(word: &str) -> Option<$name> {
                match word { $($word => Some($name::$variant),)* _ => None }
            }
        }

        impl crate::table::FromValue for $name {
            fn from_value(value: Option<&crate::kind::Value>) -> Option<Self> {
                match value {
                    Some(crate::kind::Value::Text(text)) => $name::from_word(text),
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use words;
