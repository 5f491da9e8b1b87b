//! What may stand at the cursor: fields, words of a field's values, names that are known.

use std::ops::Range;

use mesh::node::NodeNum;
use policy::rule::{RULES, Stage};

use crate::bind::{Island, NodeName};
use crate::condition::CopyFate;
use crate::expr::NodeRef;
use crate::field::{self, FIELDS, Field, JOINERS, Kind};
use crate::fold::fold;
use crate::parse::{consent_words, key_words, verdict_words};
use crate::values;

/// Completions given at most.
const COMPLETIONS_MAX: usize = 12;

/// Names that may be offered: only what whoever asks may know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vocabulary<'a> {
    /// Nodes with names.
    pub names: &'a [NodeName],
    /// Gateways.
    pub gateways: &'a [u32],
    /// Channels.
    pub channels: &'a [String],
    /// Islands.
    pub islands: &'a [Island],
    /// Whether fields of the operator's are offered.
    pub is_operator: bool,
}

impl Field {
    /// Whether it is of use: to whoever asks, and where it has any values.
    pub fn is_offered(&self, vocabulary: &Vocabulary<'_>) -> bool {
        (vocabulary.is_operator || !self.is_operators)
            && (self.kind != Kind::Island || !vocabulary.islands.is_empty())
    }
}

/// One thing that may stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Bytes of the text that it replaces.
    pub replaces: Range<usize>,
    /// What stands there then.
    pub text: String,
    /// What it means, for people.
    pub help: String,
}

/// What may stand at the cursor, a byte of the text, likeliest first.
pub fn complete(text: &str, cursor: usize, vocabulary: &Vocabulary<'_>) -> Vec<Completion> {
    let cursor = (0..=cursor.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..cursor];
    let Some(begun) = Begun::at_the_end_of(before) else { return Vec::new() };
    let mut found = match begun.field {
        Some(field) => of_values(field, &begun, vocabulary),
        None => of_terms(&begun, vocabulary),
    };
    // What stands there already is no help.
    found.retain(|completion| completion.text != text[completion.replaces.clone()]);
    found.truncate(COMPLETIONS_MAX);
    found
}

/// What stands before the cursor and is not finished.
struct Begun {
    field: Option<&'static Field>,
    /// The beginning of the value or word, without its opening quotation mark.
    start: String,
    replaces: Range<usize>,
}

impl Begun {
    /// `None` in a text of one's own, where nothing can be offered.
    fn at_the_end_of(before: &str) -> Option<Self> {
        let (mut is_quoted, mut quote_at, mut word_at, mut is_escaped) = (false, 0, 0, false);
        for (at, c) in before.char_indices() {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' if is_quoted => is_escaped = true,
                '"' => {
                    is_quoted = !is_quoted;
                    quote_at = at;
                }
                _ if is_quoted => {}
                _ if c.is_whitespace() || matches!(c, '(' | ')') => word_at = at + c.len_utf8(),
                _ => {}
            }
        }
        let word = &before[word_at..];
        let word_at = if word.starts_with('-') { word_at + 1 } else { word_at };
        let word = &before[word_at..];
        let letters = word.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(word.len());
        let sign = word[letters..].find(|c: char| !matches!(c, ':' | '=' | '<' | '>' | '!'));
        let value_at = word_at + letters + sign.unwrap_or(word.len() - letters);
        if value_at > word_at + letters && letters > 0 {
            let field = field::find(&word[..letters])?;
            let comma = before[value_at..].rfind(',').filter(|_| !is_quoted).map_or(0, |at| at + 1);
            let value_at = if is_quoted { quote_at } else { value_at + comma };
            let start = before[value_at..].trim_start_matches('"').to_owned();
            return Some(Self { field: Some(field), start, replaces: value_at..before.len() });
        }
        if is_quoted {
            return None;
        }
        // The word before may be one that a time follows.
        let previous = before[..word_at].trim_end().rsplit(|c: char| c.is_whitespace() || c == '(').next();
        let field = previous.and_then(field::find).filter(|f| f.kind == Kind::Time);
        Some(Self { field, start: word.to_owned(), replaces: word_at..before.len() })
    }

    fn begins(&self, word: &str) -> bool {
        fold(word).starts_with(&fold(&self.start))
    }

    fn with(&self, text: String, help: impl Into<String>) -> Completion {
        Completion { replaces: self.replaces.clone(), text, help: help.into() }
    }
}

fn of_terms(begun: &Begun, vocabulary: &Vocabulary<'_>) -> Vec<Completion> {
    let allowed = FIELDS.iter().filter(|field| field.is_offered(vocabulary));
    let fields = allowed.filter(|field| begun.begins(field.name)).map(|field| {
        let sign = match field.kind {
            Kind::Time => " ",
            Kind::Number => "<",
            _ => ":",
        };
        begun.with(format!("{}{sign}", field.name), field.doc)
    });
    let joiners = JOINERS
        .iter()
        .filter(|(word, _)| !begun.start.is_empty() && begun.begins(word))
        .map(|(word, doc)| begun.with(format!("{word} "), *doc));
    let mut found: Vec<Completion> = fields.chain(joiners).collect();
    if begun.start.chars().count() >= 2 {
        // A name or id written without its field.
        let named = vocabulary.names.iter().filter(|name| begun.is_of(name));
        found.extend(named.take(COMPLETIONS_MAX).map(|name| {
            begun.with(format!("from:{} ", NodeNum(name.node)), format!("Sent by {}.", shown_name(name)))
        }));
    }
    found
}

fn of_values(field: &'static Field, begun: &Begun, vocabulary: &Vocabulary<'_>) -> Vec<Completion> {
    let words = |words: Vec<String>| -> Vec<Completion> {
        let fitting = words.into_iter().filter(|word| begun.begins(word));
        fitting.map(|word| begun.with(format!("{word} "), "")).collect()
    };
    let rules = |wants: fn(Stage) -> bool| -> Vec<Completion> {
        let fitting = RULES.iter().filter(|rule| wants(rule.stage) && begun.begins(rule.name));
        fitting.map(|rule| begun.with(format!("{} ", rule.name), rule.doc)).collect()
    };
    match field.kind {
        Kind::Node => nodes(field, begun, vocabulary),
        Kind::Island => islands(begun, vocabulary),
        Kind::Channel => words(vocabulary.channels.iter().map(|name| quoted_if_need_be(name)).collect()),
        Kind::Port => words(values::port_words()),
        Kind::Verdict => words(verdict_words()),
        Kind::Copy => words(CopyFate::ALL.map(|fate| fate.word().to_owned()).to_vec()),
        Kind::Rule if field.name == "would" => rules(|stage| stage == Stage::Uplink),
        Kind::Rule => rules(|_| true),
        Kind::Consent => words(consent_words()),
        Kind::Key => words(key_words()),
        Kind::Flag => words(values::flag_words().map(str::to_owned).collect()),
        Kind::Time => {
            let mut times = vec!["1h", "6h", "24h", "7d", "30d"];
            if field.name != "last" {
                times.extend(["today", "yesterday"]);
            }
            if field.name == "on" {
                times.retain(|time| time.ends_with("day"));
            }
            words(times.into_iter().map(str::to_owned).collect())
        }
        Kind::Number | Kind::Text | Kind::Name | Kind::Packet => Vec::new(),
    }
}

fn nodes(field: &Field, begun: &Begun, vocabulary: &Vocabulary<'_>) -> Vec<Completion> {
    let is_gateway = |node: u32| vocabulary.gateways.contains(&node);
    let wants = |node: u32| field.name != "gw" || is_gateway(node);
    let mut found = Vec::new();
    if field.name == "to" && begun.begins("all") {
        found.push(begun.with("all ".to_owned(), "Meant for everyone."));
    }
    let named = vocabulary.names.iter().filter(|name| wants(name.node) && begun.is_of(name));
    found.extend(
        named
            .take(COMPLETIONS_MAX)
            .map(|name| begun.with(format!("{} ", NodeNum(name.node)), shown_name(name))),
    );
    if field.name == "gw" {
        let unnamed = vocabulary.gateways.iter().filter(|g| !vocabulary.names.iter().any(|n| n.node == **g));
        let fitting =
            unnamed.map(|g| NodeNum(*g).to_string()).filter(|id| begun.begins(id) || begun.begins(&id[1..]));
        found.extend(fitting.take(COMPLETIONS_MAX).map(|id| begun.with(format!("{id} "), "")));
    }
    found
}

/// Each island by the gateway that it began with, or by the one of its gateways that is being written.
fn islands(begun: &Begun, vocabulary: &Vocabulary<'_>) -> Vec<Completion> {
    let help = |island: &Island| {
        let named = vocabulary.names.iter().find(|name| name.node == island.number);
        let name = named.map_or_else(|| NodeNum(island.number).to_string(), shown_name);
        let gateways = match island.gateways.len() {
            1 => "1 gateway".to_owned(),
            count => format!("{count} gateways"),
        };
        format!("The island of {name}: {gateways}.")
    };
    let fits = |node: u32| {
        let name = vocabulary.names.iter().find(|name| name.node == node);
        let id = NodeNum(node).to_string();
        begun.begins(&id) || begun.begins(&id[1..]) || name.is_some_and(|name| begun.is_of(name))
    };
    let fitting = vocabulary.islands.iter().filter_map(|island| {
        let gateways = std::iter::once(island.number).chain(island.gateways.iter().copied());
        gateways.into_iter().find(|node| fits(*node)).map(|node| (node, island))
    });
    fitting.map(|(node, island)| begun.with(format!("{} ", NodeNum(node)), help(island))).collect()
}

impl Begun {
    /// Whether a node's id begins so, or a word of its name.
    fn is_of(&self, name: &NodeName) -> bool {
        let start = fold(&self.start);
        let id = NodeNum(name.node).to_string();
        let begins_a_word = |text: &str| {
            let text = fold(text);
            text.starts_with(&start) || text.split(' ').any(|word| word.starts_with(&start))
        };
        id.starts_with(&start)
            || id[1..].starts_with(&start)
            || begins_a_word(&name.long)
            || begins_a_word(&name.short)
    }
}

fn shown_name(name: &NodeName) -> String {
    match (name.long.as_str(), name.short.as_str()) {
        ("", short) => short.to_owned(),
        (long, "") => long.to_owned(),
        (long, short) => format!("{long} ({short})"),
    }
}

fn quoted_if_need_be(name: &str) -> String {
    NodeRef::Name(name.to_owned()).to_string()
}
