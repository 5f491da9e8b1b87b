//! Everything wrong with one file, each with its place. Knows no keys.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One thing wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
    /// What was seen and what is allowed.
    pub message: String,
}

/// Everything wrong with a configuration file, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    path: PathBuf,
    items: Vec<Diagnostic>,
}

impl Diagnostics {
    /// How many things are wrong.
    #[expect(clippy::len_without_is_empty, reason = "there is no value without an item")]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The things that are wrong.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.items.iter()
    }
}

/// Writes one line for each thing, as `file:line:column: message`, which editors can jump to.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        for (index, item) in self.items.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{path}:{}:{}: {}", item.line, item.column, item.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Collects problems while a file is read.
pub(crate) struct Problems<'a> {
    text: &'a str,
    found: Vec<(Range<usize>, String)>,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(text: &'a str) -> Problems<'a> {
        Problems { text, found: Vec::new() }
    }

    pub(crate) fn add(&mut self, place: Range<usize>, message: String) {
        self.found.push((place, message));
    }

    /// Takes out what lies on a line of one of `syntax`'s errors: the value there is the parser's guess.
    pub(crate) fn forget_lines_of(&mut self, syntax: &Problems<'_>) {
        let text = self.text;
        let line = |offset: usize| place(text, offset).0;
        let broken: Vec<usize> = syntax.found.iter().map(|(at, _)| line(at.start)).collect();
        self.found.retain(|(at, _)| !broken.contains(&line(at.start)));
    }

    /// Tells whether an error lies on a line that opens a table: what follows would be taken for another's.
    pub(crate) fn broke_a_table_line(&self) -> bool {
        self.found.iter().any(|(at, _)| {
            let line = place(self.text, at.start).0;
            self.text.lines().nth(line - 1).is_some_and(|line| line.trim_start().starts_with('['))
        })
    }

    pub(crate) fn append(&mut self, other: Problems<'_>) {
        self.found.extend(other.found);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn into_diagnostics(mut self, path: &Path) -> Diagnostics {
        self.found.sort_by_key(|(at, _)| at.start);
        let text = self.text;
        let items = self.found.into_iter().map(|(at, message)| {
            let (line, column) = place(text, at.start);
            Diagnostic { line, column, message }
        });
        Diagnostics { path: path.to_owned(), items: items.collect() }
    }
}

/// Line and column (from 1, in characters) of a byte offset.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
