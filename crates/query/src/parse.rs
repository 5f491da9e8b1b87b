//! Pieces into a query. Everything that is wrong is found, not only the first.

use std::ops::Range;

use mesh::node::NodeNum;
use policy::decision::Verdict;
use policy::rule::{RULES, RuleId};
use record::{Consent, KeyClass};

use crate::condition::{Compare, CopyFate, Measure};
use crate::expr::{Expr, NodeRef, Query, Role, Term};
use crate::field::{self, Field, Kind};
use crate::moment::{self, Moment, When};
use crate::near::near;
use crate::pieces::{self, Piece, Sign, Value, What};
use crate::problem::Problem;
use crate::{DEPTH_MAX, TERMS_MAX, TEXT_BYTES_MAX, values};

impl Query {
    /// Reads a filter. An empty text asks for everything.
    ///
    /// # Errors
    /// Everything that was not understood, in the order of the text; at least one problem.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        if text.len() > TEXT_BYTES_MAX {
            let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let message = format!("the filter is longer than {TEXT_BYTES_MAX} bytes");
            return Err(vec![Problem::new(end..text.len(), message)]);
        }
        let mut problems = Vec::new();
        let pieces = pieces::cut(text, &mut problems);
        let mut parser =
            Parser { text, pieces: &pieces, at: 0, depth: 0, terms: 0, problems, places: Vec::new() };
        let mut expr = parser.any();
        while let Some(piece) = parser.peek() {
            // Only a `)` without `(` ends an expression before the end.
            let span = piece.span.clone();
            parser.at += 1;
            parser.problem(Problem::new(span, "this parenthesis was never opened"));
            expr = Expr::all(vec![expr, parser.any()]);
        }
        if parser.terms > TERMS_MAX {
            parser.problem(Problem::new(0..text.len(), format!("a filter has at most {TERMS_MAX} terms")));
        }
        if parser.problems.is_empty() {
            return Ok(Self { expr, places: parser.places });
        }
        let mut problems = parser.problems;
        problems.sort_by_key(|problem| problem.span.start);
        Err(problems)
    }
}

struct Parser<'a> {
    text: &'a str,
    pieces: &'a [Piece],
    at: usize,
    depth: usize,
    terms: usize,
    problems: Vec<Problem>,
    places: Vec<(String, Range<usize>)>,
}

/// Stands for what was not understood; the problem is told, so nobody asks it.
const NOTHING: Expr = Expr::All(Vec::new());

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Piece> {
        self.pieces.get(self.at)
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The word of a keyword that stands here.
    fn keyword(&self) -> Option<(&'static str, Range<usize>)> {
        const KEYWORDS: [&str; 7] = ["or", "and", "not", "last", "since", "until", "on"];
        let Piece { span, what: What::Word(word) } = self.peek()? else { return None };
        if word.is_quoted {
            return None;
        }
        let found = KEYWORDS.iter().find(|keyword| keyword.eq_ignore_ascii_case(&word.text))?;
        Some((found, span.clone()))
    }

    fn any(&mut self) -> Expr {
        let mut parts = vec![self.all()];
        while let Some(("or", span)) = self.keyword() {
            self.at += 1;
            if !self.has_operand() {
                self.problem(Problem::new(
                    span,
                    "`or` needs something after it; to look for the word, write \"or\"",
                ));
            }
            parts.push(self.all());
        }
        Expr::any(parts)
    }

    fn all(&mut self) -> Expr {
        let mut parts = Vec::new();
        if let Some(("or", span)) = self.keyword() {
            self.problem(Problem::new(
                span,
                "`or` needs something before it; to look for the word, write \"or\"",
            ));
        }
        while self.has_operand() {
            if let Some(("and", span)) = self.keyword() {
                self.at += 1;
                if parts.is_empty() || !self.has_operand() {
                    let message = "`and` needs something on both sides; to look for the word, write \"and\"";
                    self.problem(Problem::new(span, message));
                }
                continue;
            }
            parts.push(self.one());
        }
        Expr::all(parts)
    }

    fn has_operand(&self) -> bool {
        match self.peek().map(|piece| &piece.what) {
            None | Some(What::Close) => false,
            Some(_) => !matches!(self.keyword(), Some(("or", _))),
        }
    }

    fn one(&mut self) -> Expr {
        let Some(piece) = self.peek() else { return NOTHING };
        let is_not = matches!(self.keyword(), Some(("not", _)));
        if is_not || piece.what == What::Minus {
            self.at += 1;
            if !self.has_operand() {
                let message = "something must follow that is not to be; to look for the word, write \"not\"";
                self.problem(Problem::new(piece.span.clone(), message));
                return NOTHING;
            }
            return self.deeper(&piece.span, |parser| Expr::Not(Box::new(parser.one())));
        }
        self.at += 1;
        match &piece.what {
            What::Open => self.deeper(&piece.span, |parser| parser.parenthesis(&piece.span)),
            What::Field { name, sign, sign_span, values } => {
                self.field(name.clone(), *sign, sign_span.clone(), values)
            }
            What::Word(word) => self.word(word),
            // `has_operand` and the branch above leave neither of them.
            What::Close | What::Minus => NOTHING,
        }
    }

    fn parenthesis(&mut self, open: &Range<usize>) -> Expr {
        let inner = self.any();
        match self.peek() {
            Some(Piece { what: What::Close, span }) => {
                if inner == NOTHING && self.problems.is_empty() {
                    self.problem(Problem::new(open.start..span.end, "there is nothing in these parentheses"));
                }
                self.at += 1;
            }
            _ => self.problem(Problem::new(open.clone(), "this parenthesis is never closed")),
        }
        inner
    }

    fn deeper(&mut self, span: &Range<usize>, read: impl FnOnce(&mut Self) -> Expr) -> Expr {
        if self.depth == DEPTH_MAX {
            let message = format!("parentheses and `not` stand within each other at most {DEPTH_MAX} deep");
            self.problem(Problem::new(span.clone(), message));
            self.at = self.pieces.len();
            return NOTHING;
        }
        self.depth += 1;
        let expr = read(self);
        self.depth -= 1;
        expr
    }

    fn word(&mut self, word: &Value) -> Expr {
        let keyword = if word.is_quoted { "" } else { &*word.text.to_ascii_lowercase() };
        self.terms += 1;
        match keyword {
            "last" | "since" | "until" | "on" => match self.when(keyword, &word.span) {
                Some(when) => Expr::Term(Term::When(when)),
                None => NOTHING,
            },
            _ => self.plain_word(word),
        }
    }

    fn plain_word(&mut self, word: &Value) -> Expr {
        if !word.is_quoted
            && let Some(number) = word.text.strip_prefix('!').and_then(|_| values::node(&word.text))
        {
            return Expr::Term(Term::Node(Role::Node, NodeRef::Id(number)));
        }
        if !word.is_quoted && word.text.starts_with('!') {
            let message =
                "a node id is `!` and eight hexadecimal digits; `!` does not negate, write `not` or `-`";
            self.problem(Problem::new(word.span.clone(), message));
            return NOTHING;
        }
        if word.text.trim().is_empty() {
            self.problem(Problem::new(word.span.clone(), "there is nothing in these quotation marks"));
            return NOTHING;
        }
        self.places.push((word.text.clone(), word.span.clone()));
        Expr::Term(Term::Word(word.text.clone()))
    }

    /// The moment or age after `last`, `since`, `until` or `on`, which may be of two words: `2 days`, or a date and a time.
    fn when(&mut self, keyword: &str, at: &Range<usize>) -> Option<When> {
        let Some((mut text, mut span)) = self.next_word() else {
            let example = field::find(keyword).map_or("last 6h", |field| field.example);
            self.problem(Problem::new(at.clone(), format!("a time must follow, as in `{example}`")));
            return None;
        };
        self.at += 1;
        if let Some((next, next_span)) = self.next_word() {
            let is_count = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            if is_count && moment::unit_seconds(&next).is_some() {
                text = format!("{text}{next}");
            } else if moment::is_date(&text) && Moment::parse(&format!("{text}T{next}")).is_some() {
                text = format!("{text}T{next}");
            } else {
                return self.time(keyword, &text, span);
            }
            span.end = next_span.end;
            self.at += 1;
        }
        self.time(keyword, &text, span)
    }

    fn next_word(&self) -> Option<(String, Range<usize>)> {
        match self.peek() {
            Some(Piece { what: What::Word(word), .. }) => Some((word.text.clone(), word.span.clone())),
            _ => None,
        }
    }

    fn time(&mut self, keyword: &str, text: &str, span: Range<usize>) -> Option<When> {
        let text = text.trim();
        let when = match keyword {
            "last" => moment::age(text).map(When::Last),
            "since" => Moment::parse(text).map(When::Since),
            "until" => Moment::parse(text).map(When::Until),
            _ => Moment::parse(text).map(When::On),
        };
        if when.is_none() {
            let allowed = match keyword {
                "last" => "write an age: 90s, 15m, 6h, 7d or 2w",
                _ => "write 2026-11-23, 2026-11-23T20:15 (UTC), today, yesterday or an age: 15m, 6h, 7d",
            };
            let what = if keyword == "last" { "an age" } else { "a time" };
            self.problem(Problem::new(span, format!("`{}` is not {what}; {allowed}", shown(text))));
        }
        when
    }

    fn field(&mut self, name: Range<usize>, sign: Sign, sign_span: Range<usize>, values: &[Value]) -> Expr {
        let written = &self.text[name.clone()];
        let Some(field) = field::find(written) else {
            let whole = name.start..values.last().map_or(name.end, |value| value.span.end);
            let message = format!(
                "there is no field `{}`; to look for it in texts, put it in quotes: \"{}\"",
                shown(written),
                shown(&self.text[whole])
            );
            let instead = near(written, field::names());
            self.problem(Problem::new(name, message).or(instead));
            return NOTHING;
        };
        self.terms += values.len();
        let is_compared = matches!(sign, Sign::Less | Sign::AtMost | Sign::More | Sign::AtLeast);
        if is_compared && field.kind != Kind::Number {
            let message = format!("`{}` has no more and no less; write `{}`", field.name, field.example);
            self.problem(Problem::new(sign_span, message).or(vec![":".to_owned()]));
            return NOTHING;
        }
        let parts: Vec<Expr> = values.iter().filter_map(|value| self.value(field, sign, value)).collect();
        let any = Expr::any(parts);
        if sign == Sign::IsNot { Expr::Not(Box::new(any)) } else { any }
    }

    fn value(&mut self, field: &'static Field, sign: Sign, value: &Value) -> Option<Expr> {
        if value.text.trim().is_empty() {
            // Where nothing stands, that was told already.
            if !value.span.is_empty() {
                self.problem(Problem::new(value.span.clone(), "there is nothing in these quotation marks"));
            }
            return None;
        }
        let text = value.text.as_str();
        let word = text.to_ascii_lowercase();
        let term = match field.kind {
            Kind::Node | Kind::Island => return self.node(field, value),
            Kind::Channel => Term::Channel(text.to_owned()),
            Kind::Text => Term::Text(text.to_owned()),
            Kind::Name => {
                self.places.push((text.to_owned(), value.span.clone()));
                match field.name {
                    "topic" => Term::Topic(text.to_owned()),
                    "client" => Term::Client(text.to_owned()),
                    _ => Term::User(text.to_owned()),
                }
            }
            Kind::Port => match values::port(text) {
                Some(port) => Term::Port(port),
                None => return self.unknown(field, value, "port", values::port_words(), " or a number"),
            },
            Kind::Verdict => match Verdict::from_word(&word).map(Term::Verdict) {
                Some(term) => term,
                None => match CopyFate::from_word(&word) {
                    Some(fate) => Term::Copy(fate),
                    None => return self.unknown(field, value, "verdict", verdict_words(), ""),
                },
            },
            Kind::Copy => match CopyFate::from_word(&word) {
                Some(fate) => Term::Copy(fate),
                None => {
                    let fates = CopyFate::ALL.map(|fate| fate.word().to_owned()).to_vec();
                    return self.unknown(field, value, "copy's fate", fates, "");
                }
            },
            Kind::Rule => match RuleId::from_name(&word) {
                Some(rule) if field.name == "would" => Term::Would(rule),
                Some(rule) => Term::Rule(rule),
                None => {
                    let names = RULES.iter().map(|rule| rule.name.to_owned()).collect();
                    return self.unknown(field, value, "rule", names, "");
                }
            },
            Kind::Consent => match Consent::from_word(&word) {
                Some(consent) => Term::Consent(consent),
                None => return self.unknown(field, value, "consent", consent_words(), ""),
            },
            Kind::Key => match KeyClass::ALL.iter().find(|key| key.word().eq_ignore_ascii_case(&word)) {
                Some(class) => Term::Key(*class),
                None => return self.unknown(field, value, "key class", key_words(), ""),
            },
            Kind::Flag => match values::flag(&word) {
                Some(bit) => Term::Flag(bit),
                None => {
                    let names = values::flag_words().map(str::to_owned).collect();
                    return self.unknown(field, value, "flag", names, "");
                }
            },
            Kind::Packet => match values::packet(text) {
                Some(id) => Term::Packet(id),
                None => {
                    let message =
                        format!("`{}` is not a packet id; write 439041101 or 0x1a2b3c4d", shown(text));
                    self.problem(Problem::new(value.span.clone(), message));
                    return None;
                }
            },
            Kind::Number => return self.number(field, sign, value),
            Kind::Time => {
                return self.time(field.name, text, value.span.clone()).map(|w| Expr::Term(Term::When(w)));
            }
        };
        Some(Expr::Term(term))
    }

    fn node(&mut self, field: &Field, value: &Value) -> Option<Expr> {
        let role = match field.name {
            "from" => Role::From,
            "to" => Role::To,
            "node" => Role::Node,
            "island" => Role::Island,
            _ => Role::Gateway,
        };
        let node = match values::node(&value.text).filter(|_| !value.is_quoted) {
            Some(number) => {
                if role == Role::Island {
                    self.places.push((NodeNum(number).to_string(), value.span.clone()));
                }
                NodeRef::Id(number)
            }
            None if value.text.starts_with('!') && !value.is_quoted => {
                let message = format!(
                    "`{}` is not a node id; write ! and eight hexadecimal digits, such as !7c5a0a01, or a name",
                    shown(&value.text)
                );
                self.problem(Problem::new(value.span.clone(), message));
                return None;
            }
            None => {
                self.places.push((value.text.clone(), value.span.clone()));
                NodeRef::Name(value.text.clone())
            }
        };
        Some(Expr::Term(Term::Node(role, node)))
    }

    fn number(&mut self, field: &Field, sign: Sign, value: &Value) -> Option<Expr> {
        let measure = Measure::from_word(field.name).expect("every field of numbers is a measure");
        let read = |text: &str| values::thousandths(text, measure.units());
        let term = |compare, number| Expr::Term(Term::Measure(measure, compare, number));
        let compare = match sign {
            Sign::Is | Sign::IsNot => Compare::Equal,
            Sign::Less => Compare::Less,
            Sign::AtMost => Compare::AtMost,
            Sign::More => Compare::More,
            Sign::AtLeast => Compare::AtLeast,
        };
        if compare == Compare::Equal
            && let Some((low, high)) = value.text.split_once("..")
            && let (Some(low), Some(high)) = (read(low), read(high))
        {
            return Some(Expr::all(vec![term(Compare::AtLeast, low), term(Compare::AtMost, high)]));
        }
        let number = read(&value.text);
        if number.is_none() {
            let message = format!(
                "`{}` is not a number; write `{}`, or two with dots between: {}:1..3",
                shown(&value.text),
                field.example,
                field.name
            );
            self.problem(Problem::new(value.span.clone(), message));
        }
        number.map(|number| term(compare, number))
    }

    fn unknown(
        &mut self,
        field: &Field,
        value: &Value,
        thing: &str,
        known: Vec<String>,
        or_else: &str,
    ) -> Option<Expr> {
        let instead = near(&value.text, known.iter().map(String::as_str));
        // A long list helps only whom nothing else helps.
        let message = if instead.is_empty() {
            format!("`{}` is no {thing}; there are {}{or_else}", shown(&value.text), known.join(", "))
        } else {
            format!("`{}` is no {thing} that `{}:` knows", shown(&value.text), field.name)
        };
        self.problem(Problem::new(value.span.clone(), message).or(instead));
        None
    }
}

pub fn verdict_words() -> Vec<String> {
    let verdicts = Verdict::ALL.into_iter().map(|verdict| verdict.word().replace(' ', "-"));
    verdicts.chain(CopyFate::ALL.map(|fate| fate.word().to_owned())).collect()
}

pub fn consent_words() -> Vec<String> {
    Consent::ALL.iter().map(|consent| consent.word().to_owned()).collect()
}

pub fn key_words() -> Vec<String> {
    KeyClass::ALL.iter().map(|class| class.word().to_owned()).collect()
}

/// Characters of somebody's word that a message repeats.
const SHOWN_CHARS_MAX: usize = 40;

/// A word as a message repeats it: short, in one line.
pub fn shown(word: &str) -> String {
    let mut shown: String = word.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect();
    if word.chars().count() > SHOWN_CHARS_MAX {
        shown.push('…');
    }
    shown
}
