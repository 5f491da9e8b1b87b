//! A filter's text cut into pieces, each with its place. Every text can be cut; what is wrong becomes a problem.

use std::ops::Range;

use crate::field;
use crate::problem::Problem;

/// One piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it stands.
    pub span: Range<usize>,
    /// What it is.
    pub what: What,
}

/// What a piece is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// `(`
    Open,
    /// `)`
    Close,
    /// A minus right before a term.
    Minus,
    /// A word without field.
    Word(Value),
    /// A field with its values.
    Field {
        /// Its name as written.
        name: Range<usize>,
        /// How the value is compared.
        sign: Sign,
        /// Where the sign stands.
        sign_span: Range<usize>,
        /// The values, at least one.
        values: Vec<Value>,
    },
}

/// A value or word as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Without quotes.
    pub text: String,
    /// Whether it stood in quotes.
    pub is_quoted: bool,
    /// Where it stands, quotes included.
    pub span: Range<usize>,
}

/// What stands between a field and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// `:` or `=`
    Is,
    /// `!=`
    IsNot,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// Cuts a text into pieces.
pub fn cut(text: &str, problems: &mut Vec<Problem>) -> Vec<Piece> {
    let mut cutter = Cutter { text, at: 0, problems };
    let mut pieces = Vec::new();
    loop {
        cutter.skip_spaces();
        let Some(c) = cutter.peek() else { return pieces };
        let start = cutter.at;
        let what = match c {
            '(' => cutter.one(What::Open),
            ')' => cutter.one(What::Close),
            '-' if cutter.is_minus() => cutter.one(What::Minus),
            ',' => {
                cutter.at += 1;
                let message = "a comma stands between the values of one field, as in port:text,position";
                cutter.problems.push(Problem::new(start..cutter.at, message));
                continue;
            }
            _ => match cutter.field() {
                Some(field) => field,
                None => What::Word(cutter.value(false)),
            },
        };
        pieces.push(Piece { span: start..cutter.at, what });
    }
}

struct Cutter<'a> {
    text: &'a str,
    at: usize,
    problems: &'a mut Vec<Problem>,
}

impl Cutter<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn one(&mut self, what: What) -> What {
        self.at += 1;
        what
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// A minus says *not* when something follows right behind it that is no number.
    fn is_minus(&self) -> bool {
        self.rest()[1..].chars().next().is_some_and(|c| !c.is_whitespace() && !c.is_ascii_digit() && c != ')')
    }

    /// A field, its sign and its values; `None` when a word without sign stands here.
    fn field(&mut self) -> Option<What> {
        let start = self.at;
        let rest = self.rest();
        let name_end = rest.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(rest.len());
        if name_end == 0 {
            return None;
        }
        let known = field::find(&rest[..name_end]);
        // Spaces before the sign are understood after names of fields only: other words may stand before anything.
        let gap = rest[name_end..].len() - rest[name_end..].trim_start().len();
        let (sign, length) = sign_of(&rest[name_end + gap..])?;
        if gap > 0 && known.is_none() {
            return None;
        }
        let name = start..start + name_end;
        self.at = name.end + gap;
        let sign_span = self.at..self.at + length;
        self.at = sign_span.end;
        let before_value = self.at;
        self.skip_spaces();
        // Behind a space may stand the next field instead.
        if !self.has_value() || (self.at > before_value && self.begins_a_field()) {
            self.at = before_value;
            let example = known.map_or("port:text", |field| field.example);
            let message = format!("a value must follow, as in `{example}`");
            self.problems.push(Problem::new(sign_span.clone(), message));
            let value = Value { text: String::new(), is_quoted: true, span: sign_span.end..sign_span.end };
            return Some(What::Field { name, sign, sign_span, values: vec![value] });
        }
        let mut values = vec![self.value(true)];
        while self.peek() == Some(',') {
            self.at += 1;
            self.skip_spaces();
            if !self.has_value() {
                let comma = self.at.saturating_sub(1)..self.at;
                self.problems.push(Problem::new(comma, "a further value must follow the comma"));
                break;
            }
            values.push(self.value(true));
        }
        Some(What::Field { name, sign, sign_span, values })
    }

    fn begins_a_field(&self) -> bool {
        let rest = self.rest();
        let name_end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        field::find(&rest[..name_end]).is_some() && sign_of(&rest[name_end..]).is_some()
    }

    fn has_value(&self) -> bool {
        self.peek().is_some_and(|c| !matches!(c, '(' | ')' | ','))
    }

    /// A word, or a text in quotes. In lists a comma ends a word.
    fn value(&mut self, is_in_list: bool) -> Value {
        let start = self.at;
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"') || (is_in_list && c == ',');
        let rest = self.rest();
        let length = rest.find(ends).unwrap_or(rest.len());
        self.at += length;
        Value { text: self.text[start..self.at].to_owned(), is_quoted: false, span: start..self.at }
    }

    fn quoted(&mut self) -> Value {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.text[start + 1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + 1 + at + 1;
                    return Value { text, is_quoted: true, span: start..self.at };
                }
                '\\' => text.extend(chars.next().map(|(_, c)| c)),
                _ => text.push(c),
            }
        }
        self.at = self.text.len();
        self.problems.push(Problem::new(start..start + 1, "this quotation mark has no second one"));
        Value { text, is_quoted: true, span: start..self.at }
    }
}

fn sign_of(text: &str) -> Option<(Sign, usize)> {
    const SIGNS: [(&str, Sign); 8] = [
        ("!=", Sign::IsNot),
        ("<=", Sign::AtMost),
        (">=", Sign::AtLeast),
        ("==", Sign::Is),
        (":", Sign::Is),
        ("=", Sign::Is),
        ("<", Sign::Less),
        (">", Sign::More),
    ];
    SIGNS.iter().find(|(sign, _)| text.starts_with(sign)).map(|(text, sign)| (*sign, text.len()))
}
