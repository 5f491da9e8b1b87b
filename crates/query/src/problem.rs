//! What is wrong with a filter: which word, why, and what may have been meant.

use std::fmt;
use std::ops::Range;

/// One thing that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Bytes of the filter's text that it is about; empty where something is missing.
    pub span: Range<usize>,
    /// What was wrong and what is allowed, without a full stop.
    pub message: String,
    /// What may stand in place of the span, likeliest first.
    pub instead: Vec<String>,
}

impl Problem {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), instead: Vec::new() }
    }

    pub(crate) fn or(mut self, instead: Vec<String>) -> Self {
        self.instead = instead;
        self
    }

    /// The text with the span replaced by one of `instead`.
    pub fn corrected(&self, text: &str, instead: &str) -> String {
        let before = text.get(..self.span.start).unwrap_or(text);
        let after = text.get(self.span.end..).unwrap_or_default();
        format!("{before}{instead}{after}")
    }

    /// The text with the word underlined and the message below, for a terminal of fixed-width letters.
    pub fn pointed_at(&self, text: &str) -> String {
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let columns = |bytes: Option<&str>| bytes.map_or(0, |part| part.chars().count());
        let before = columns(text.get(..self.span.start));
        let marked = columns(text.get(self.span.clone())).max(1);
        format!("  {line}\n  {}{}\n{self}", " ".repeat(before), "^".repeat(marked))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.instead[..] {
            [] => Ok(()),
            [one] => write!(f, "; did you mean `{one}`?"),
            [rest @ .., last] => {
                let rest: Vec<String> = rest.iter().map(|r| format!("`{r}`")).collect();
                write!(f, "; did you mean {} or `{last}`?", rest.join(", "))
            }
        }
    }
}

impl std::error::Error for Problem {}
