//! What was asked, as it was read, and back into text: reading what `Display` wrote gives the same again.

use std::fmt::{self, Write};
use std::ops::Range;

use mesh::node::NodeNum;
use policy::decision::Verdict;
use policy::rule::RuleId;
use record::{Consent, KeyClass};

use crate::condition::{Compare, CopyFate, Measure};
use crate::moment::When;
use crate::values;

/// A filter that was understood.
#[derive(Debug, Clone)]
pub struct Query {
    /// What is asked.
    pub expr: Expr,
    /// Words whose meaning depends on who asks and what is known, with their place in the text that was read.
    pub(crate) places: Vec<(String, Range<usize>)>,
}

/// What is asked, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// All of these; none of them is `All` itself. Empty asks nothing.
    All(Vec<Expr>),
    /// One of these at least; at least two, none of which is `Any` itself.
    Any(Vec<Expr>),
    /// Not this.
    Not(Box<Expr>),
    /// One condition.
    Term(Term),
}

/// One condition as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// `from:`, `to:`, `node:`, `gw:`, `island:`
    Node(Role, NodeRef),
    /// `channel:`
    Channel(String),
    /// `id:`
    Packet(u32),
    /// `port:`; `None` for packets that could not be opened.
    Port(Option<u32>),
    /// `verdict:`
    Verdict(Verdict),
    /// `rule:`
    Rule(RuleId),
    /// `would:`
    Would(RuleId),
    /// `copy:`
    Copy(CopyFate),
    /// `consent:`
    Consent(Consent),
    /// `key:`
    Key(KeyClass),
    /// `flag:` as the bit of `mesh`'s flag set.
    Flag(u64),
    /// `hops<2` and its like; the number in thousandths.
    Measure(Measure, Compare, i64),
    /// `text:`
    Text(String),
    /// `topic:`
    Topic(String),
    /// `client:`
    Client(String),
    /// `user:`
    User(String),
    /// `last`, `since`, `until`, `on`
    When(When),
    /// A word by itself: in what was said, or in the sender's name.
    Word(String),
}

/// What a node is to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Its sender.
    From,
    /// Its destination.
    To,
    /// Either.
    Node,
    /// The gateway that heard it.
    Gateway,
    /// Any gateway on the island of this one.
    Island,
}

/// A node as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeRef {
    /// By number; `0xffff_ffff` is everyone.
    Id(u32),
    /// By name, or a part of it.
    Name(String),
}

impl Role {
    /// The field's name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
            Self::Node => "node",
            Self::Gateway => "gw",
            Self::Island => "island",
        }
    }
}

impl Expr {
    /// All of these, without `All` within `All`.
    pub fn all(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        one_or(flat, Self::All)
    }

    /// One of these, without `Any` within `Any`. Nothing to choose from asks nothing.
    pub fn any(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Any(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.is_empty() { Self::All(flat) } else { one_or(flat, Self::Any) }
    }

    /// Shows every term.
    pub fn each_term<'a>(&'a self, visit: &mut impl FnMut(&'a Term)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.each_term(visit)),
            Self::Not(inner) => inner.each_term(visit),
            Self::Term(term) => visit(term),
        }
    }
}

fn one_or(mut flat: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match flat.pop() {
        Some(only) if flat.is_empty() => only,
        Some(last) => {
            flat.push(last);
            many(flat)
        }
        None => many(flat),
    }
}

impl Query {
    /// Asks for everything.
    pub const fn everything() -> Self {
        Self { expr: Expr::All(Vec::new()), places: Vec::new() }
    }

    /// A query made by a program.
    pub const fn of(expr: Expr) -> Self {
        Self { expr, places: Vec::new() }
    }

    /// A query for one term.
    pub const fn term(term: Term) -> Self {
        Self::of(Expr::Term(term))
    }

    /// Both must hold.
    pub fn and(self, other: Self) -> Self {
        Self { expr: Expr::all(vec![self.expr, other.expr]), places: Vec::new() }
    }

    /// Whether it asks nothing.
    pub fn is_empty(&self) -> bool {
        matches!(&self.expr, Expr::All(parts) if parts.is_empty())
    }

    /// The conditions that must all hold, each as a query of its own.
    pub fn conjuncts(&self) -> Vec<Self> {
        let parts = match &self.expr {
            Expr::All(parts) => parts.clone(),
            other => vec![other.clone()],
        };
        parts.into_iter().map(|expr| Self { expr, places: Vec::new() }).collect()
    }

    /// What it says about when, without everything else.
    pub fn times(&self) -> Self {
        let parts = self.conjuncts().into_iter();
        let times = parts.filter(|part| matches!(part.expr, Expr::Term(Term::When(_))));
        times.fold(Self::everything(), Self::and)
    }

    /// The same without one of its `conjuncts`.
    pub fn without(&self, index: usize) -> Self {
        let mut parts = self.conjuncts();
        if index < parts.len() {
            parts.remove(index);
        }
        Self { expr: Expr::all(parts.into_iter().map(|part| part.expr).collect()), places: Vec::new() }
    }

    /// The name of a field that only the operator may ask for, with its place if it is known.
    pub fn operators_field(&self) -> Option<(&'static str, Option<Range<usize>>)> {
        let mut found = None;
        self.expr.each_term(&mut |term| {
            let (field, word) = match term {
                Term::Topic(word) => ("topic", word),
                Term::Client(word) => ("client", word),
                Term::User(word) => ("user", word),
                _ => return,
            };
            found = found.take().or(Some((field, self.place_of(word))));
        });
        found
    }

    pub(crate) fn place_of(&self, word: &str) -> Option<Range<usize>> {
        self.places.iter().find(|(at, _)| at == word).map(|(_, span)| span.clone())
    }
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.expr == other.expr
    }
}

impl Eq for Query {}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => joined(f, parts, " "),
            Self::Any(parts) => joined(f, parts, " or "),
            Self::Not(inner) => {
                f.write_str("not ")?;
                within(f, inner)
            }
            Self::Term(term) => term.fmt(f),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[Expr], between: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        within(f, part)?;
    }
    Ok(())
}

fn within(f: &mut fmt::Formatter<'_>, part: &Expr) -> fmt::Result {
    match part {
        Expr::All(_) | Expr::Any(_) => write!(f, "({part})"),
        Expr::Not(_) | Expr::Term(_) => write!(f, "{part}"),
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(role, node) => write!(f, "{}:{node}", role.word()),
            Self::Channel(name) => worded(f, "channel", name),
            Self::Packet(id) => write!(f, "id:{id}"),
            Self::Port(port) => write!(f, "port:{}", values::port_word(*port)),
            Self::Verdict(verdict) => write!(f, "verdict:{}", verdict.word().replace(' ', "-")),
            Self::Rule(rule) => write!(f, "rule:{}", rule.name()),
            Self::Would(rule) => write!(f, "would:{}", rule.name()),
            Self::Copy(fate) => write!(f, "copy:{}", fate.word()),
            Self::Consent(consent) => write!(f, "consent:{}", consent.word()),
            Self::Key(class) => write!(f, "key:{}", class.word()),
            Self::Flag(bit) => write!(f, "flag:{}", values::flag_word(*bit).unwrap_or_default()),
            Self::Measure(measure, compare, thousandths) => {
                write!(f, "{}{}", measure.word(), compare.sign())?;
                values::write_thousandths(f, *thousandths)
            }
            Self::Text(text) => {
                f.write_str("text:")?;
                quoted(f, text)
            }
            Self::Topic(name) => worded(f, "topic", name),
            Self::Client(name) => worded(f, "client", name),
            Self::User(name) => worded(f, "user", name),
            Self::When(when) => when.fmt(f),
            Self::Word(word) => quoted(f, word),
        }
    }
}

impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(u32::MAX) => f.write_str("all"),
            Self::Id(number) => NodeNum(*number).fmt(f),
            // What looks like an id and is none would be a mistake without quotes.
            Self::Name(name) if values::node(name).is_none() && !name.starts_with('!') && is_plain(name) => {
                f.write_str(name)
            }
            Self::Name(name) => quoted(f, name),
        }
    }
}

fn worded(f: &mut fmt::Formatter<'_>, field: &str, word: &str) -> fmt::Result {
    write!(f, "{field}:")?;
    if is_plain(word) { f.write_str(word) } else { quoted(f, word) }
}

/// Whether a value can stand without quotes.
fn is_plain(word: &str) -> bool {
    let is_allowed =
        |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '*' | '.' | '!' | '#' | '+');
    !word.is_empty() && word.chars().all(is_allowed)
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}
