//! The kinds of value a key can have: how each is checked, described and written as JSON Schema. Knows no key.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde_json::json;
use toml::de::DeValue;

/// Longest `mqtt.root` that firmware holds (meshtastic.md § 1.1).
const TOPIC_ROOT_BYTES_MAX: usize = 31;

/// Longest name in a list, bytes.
const NAME_BYTES_MAX: usize = 63;

/// Highest port number of the mesh (`portnums.proto`).
const PORT_MAX: u16 = 511;

/// What a key's value must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number, limits included.
    Whole { min: i64, max: i64 },
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A line of text that is not blank.
    Text { bytes_max: usize },
    /// An IP address and port.
    Listen,
    /// The same, or `none`.
    ListenOrNone,
    /// A folder's path.
    Folder,
    /// A file's path.
    File,
    /// A list of IP networks.
    Networks,
    /// A list of host names and IP addresses.
    HostNames,
    /// A list of node numbers as people write them.
    Nodes,
    /// A list of names.
    Names,
    /// A list of port numbers of the mesh.
    Ports,
    /// A list of names with something that belongs to each.
    Pairs,
    /// An `http` or `https` address.
    WebAddress,
    /// The start of the mesh's topics.
    TopicRoot,
}

/// A value that its kind has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Whole(i64),
    Flag(bool),
    Texts(Vec<String>),
}

impl Kind {
    /// Accepts or refuses what the file says.
    pub(crate) fn check(self, seen: &DeValue<'_>) -> Option<Value> {
        match self {
            Kind::Flag => seen.as_bool().map(Value::Flag),
            Kind::Whole { min, max } => {
                let number = whole(seen)?;
                (min..=max).contains(&number).then_some(Value::Whole(number))
            }
            Kind::Choice(words) => {
                let word = seen.as_str()?;
                words.contains(&word).then(|| Value::Text(word.to_owned()))
            }
            Kind::Text { bytes_max } => {
                let text = seen.as_str()?;
                let fits = !text.trim().is_empty() && text.len() <= bytes_max;
                (fits && !text.chars().any(char::is_control)).then(|| Value::Text(text.to_owned()))
            }
            Kind::Listen => {
                let text = seen.as_str()?;
                text.parse::<SocketAddr>().ok().map(|_| Value::Text(text.to_owned()))
            }
            Kind::ListenOrNone => match seen.as_str()? {
                "none" => Some(Value::Text("none".to_owned())),
                _ => Kind::Listen.check(seen),
            },
            Kind::Networks => texts(seen, |text| network(text).is_some()),
            Kind::HostNames => texts(seen, is_host_name),
            Kind::Nodes => texts(seen, |text| node(text).is_some()),
            Kind::Names => texts(seen, |text| {
                !text.trim().is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
            }),
            Kind::Ports => texts(seen, |text| text.parse::<u16>().is_ok_and(|port| port <= PORT_MAX)),
            Kind::Pairs => texts(seen, |text| pair(text).is_some()),
            Kind::Folder | Kind::File => {
                let text = seen.as_str()?;
                (!text.is_empty() && !text.contains('\0')).then(|| Value::Text(text.to_owned()))
            }
            Kind::WebAddress => web_address(seen.as_str()?).map(Value::Text),
            Kind::TopicRoot => {
                let text = seen.as_str()?;
                topic_root(text).then(|| Value::Text(text.to_owned()))
            }
        }
    }

    /// Says what is allowed, for "must be …".
    pub(crate) fn allowed(self) -> String {
        match self {
            Kind::Flag => "`true` or `false`".to_owned(),
            Kind::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Choice(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", quoted.join(", "))
            }
            Kind::Text { bytes_max } => format!("a line of text of 1 to {bytes_max} bytes"),
            Kind::Listen => {
                "an IP address and port, such as \"0.0.0.0:1883\" (all), \"127.0.0.1:1883\" (this machine only) \
                 or \"[::]:1883\""
                    .to_owned()
            }
            Kind::ListenOrNone => format!("{}, or \"none\"", Kind::Listen.allowed()),
            Kind::File => "the path of a file, such as \"/etc/backhaul/key.pem\"".to_owned(),
            Kind::Networks => {
                "a list of IP addresses and networks, such as [\"10.0.0.5\", \"fd00::/8\"]".to_owned()
            }
            Kind::HostNames => {
                "a list of host names and IP addresses, such as [\"mqtt.example.org\"]".to_owned()
            }
            Kind::Nodes => "a list of nodes, such as [\"!7c5a0a01\"]".to_owned(),
            Kind::Names => "a list of names, such as [\"LongFast\"]".to_owned(),
            Kind::Ports => format!("a list of port numbers up to {PORT_MAX}, such as [\"66\"]"),
            Kind::Pairs => "a list of texts like \"name=value\"".to_owned(),
            Kind::Folder => "the path of a folder, such as \"/var/lib/backhaul\"".to_owned(),
            Kind::WebAddress => "an address such as \"https://mesh.example.org\"".to_owned(),
            Kind::TopicRoot => format!(
                "topic levels such as \"msh/US\": at most {TOPIC_ROOT_BYTES_MAX} bytes, no `+`, `#` or control \
                 character, and no `/` at either end"
            ),
        }
    }

    /// Describes the values as JSON Schema.
    pub(crate) fn schema(self) -> serde_json::Value {
        match self {
            Kind::Flag => json!({ "type": "boolean" }),
            Kind::Whole { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Kind::Choice(words) => json!({ "enum": words }),
            Kind::Text { bytes_max } => json!({ "type": "string", "minLength": 1, "maxLength": bytes_max }),
            Kind::Listen => json!({ "type": "string", "pattern": "^.+:[0-9]{1,5}$" }),
            Kind::ListenOrNone => json!({ "type": "string", "pattern": "^(none|.+:[0-9]{1,5})$" }),
            Kind::Networks | Kind::HostNames | Kind::Nodes | Kind::Names | Kind::Ports | Kind::Pairs => {
                json!({ "type": "array", "items": { "type": "string", "minLength": 1 } })
            }
            Kind::Folder | Kind::File => json!({ "type": "string", "minLength": 1 }),
            Kind::WebAddress => json!({ "type": "string", "format": "uri", "pattern": "^https?://" }),
            Kind::TopicRoot => json!({
                "type": "string", "minLength": 1, "maxLength": TOPIC_ROOT_BYTES_MAX,
                "pattern": "^[^+#/$][^+#]*$",
            }),
        }
    }

    /// The words that a near miss is looked for in.
    pub(crate) fn words(self) -> &'static [&'static str] {
        match self {
            Kind::Choice(words) => words,
            Kind::Flag
            | Kind::Whole { .. }
            | Kind::Text { .. }
            | Kind::Listen
            | Kind::ListenOrNone
            | Kind::File
            | Kind::Networks
            | Kind::HostNames
            | Kind::Nodes
            | Kind::Names
            | Kind::Ports
            | Kind::Pairs
            | Kind::Folder
            | Kind::WebAddress
            | Kind::TopicRoot => &[],
        }
    }
}

/// Describes a value of the file for "but is …": its type, and what it says if that is short.
pub(crate) fn describe(seen: &DeValue<'_>) -> String {
    let short = |text: &str| -> String {
        let start: String = text.chars().take(60).collect();
        if start.len() < text.len() { format!("{start}…") } else { start }
    };
    match seen {
        DeValue::String(text) => format!("the text \"{}\"", short(text).escape_debug()),
        DeValue::Integer(_) => match whole(seen) {
            Some(number) => format!("the number {number}"),
            None => "a number too large to read".to_owned(),
        },
        DeValue::Float(number) => format!("the number {}", short(number.as_str())),
        DeValue::Boolean(flag) => format!("`{flag}`"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(items) => format!("a list of {}", items.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn whole(seen: &DeValue<'_>) -> Option<i64> {
    let integer = seen.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Accepts an `http` or `https` address without user, query or fragment, and takes `/` off its end, because
/// links are made by appending a path.
fn web_address(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let host = rest.split('/').next().unwrap_or("");
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !"@?#\"'<>\\".contains(c));
    (!host.is_empty() && plain).then(|| text.trim_end_matches('/').to_owned())
}

fn texts(seen: &DeValue<'_>, is_right: impl Fn(&str) -> bool) -> Option<Value> {
    let texts = seen
        .as_array()?
        .iter()
        .map(|item| item.get_ref().as_str().filter(|text| is_right(text)).map(str::to_owned));
    texts.collect::<Option<Vec<_>>>().map(Value::Texts)
}

/// An IP network; an address alone is a network of one.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// A name and what belongs to it.
pub fn pair(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.rsplit_once('=')?;
    let is_right = |part: &str| !part.trim().is_empty() && !part.chars().any(char::is_control);
    (is_right(name) && is_right(value)).then_some((name, value))
}

/// A node number as people write it: `!` and eight hexadecimal digits.
pub fn node(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('!').filter(|digits| digits.len() == 8)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// A name that may stand in a certificate: labels of letters, digits and hyphens, a leading `*.` allowed; or an
/// IP address.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let name = text.strip_prefix("*.").unwrap_or(text);
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && name.split('.').all(label))
}

fn topic_root(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= TOPIC_ROOT_BYTES_MAX
        && !text.starts_with(['/', '$'])
        && !text.ends_with('/')
        && !text.contains(['+', '#'])
        && !text.chars().any(char::is_control)
}
