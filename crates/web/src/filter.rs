//! A view of the log: read from an address and written back into one, so that a link shows somebody else the same rows.

use history::Cursor;
use query::{Expr, Moment, Problem, Query, Term, When};

/// A view of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The filter as it was written.
    pub text: String,
    /// The filter as it was understood; asks for everything when it was not.
    pub query: Query,
    /// Receptions of one packet in one row.
    pub is_grouped: bool,
    /// Where an earlier page stopped.
    pub before: Option<Cursor>,
}

/// Parameters of addresses from before there was a language, each a field of it.
const EARLIER: [(&str, &str); 9] = [
    ("node", "node:"),
    ("gateway", "gw:"),
    ("channel", "channel:"),
    ("port", "port:"),
    ("verdict", "verdict:"),
    ("rule", "rule:"),
    ("since", "since "),
    ("until", "until "),
    ("text", "text:"),
];

impl View {
    /// Everything, one row for each reception.
    pub fn everything() -> Self {
        Self::of(Query::everything())
    }

    /// What a query asks for.
    pub fn of(query: Query) -> Self {
        Self { text: query.to_string(), query, is_grouped: false, before: None }
    }

    /// What one term asks for.
    pub fn term(term: Term) -> Self {
        Self::of(Query::term(term))
    }

    /// Reads a query string. What was not understood is told; the view then asks for everything.
    pub fn parse(query: &str) -> (Self, Vec<Problem>) {
        let mut view = Self::everything();
        let mut terms: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            match &*name {
                "q" if !value.is_empty() => terms.insert(0, value.to_owned()),
                "group" => view.is_grouped = value == "packet",
                "before" => view.before = value.parse().ok(),
                name => {
                    let earlier = EARLIER.iter().find(|(known, _)| *known == name && !value.is_empty());
                    terms.extend(earlier.map(|(_, field)| format!("{field}{}", quoted_if_need_be(value))));
                }
            }
        }
        view.text = terms.join(" ");
        match Query::parse(&view.text) {
            Ok(query) => {
                view.query = query;
                (view, Vec::new())
            }
            Err(problems) => (view, problems),
        }
    }

    /// The address of this view below a path.
    pub fn address(&self, path: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.text.is_empty() {
            query.append_pair("q", &self.text);
        }
        if self.is_grouped {
            query.append_pair("group", "packet");
        }
        if let Some(before) = self.before {
            query.append_pair("before", &before.to_string());
        }
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// The same view with other words, from its first page.
    pub fn with_text(&self, text: String) -> Self {
        Self { text, before: None, ..self.clone() }
    }

    /// The same view between two moments (Unix ms) instead of whatever times it named.
    pub fn between(&self, since_ms: i64, until_ms: i64) -> Self {
        let is_time = |query: &Query| matches!(query.expr, Expr::Term(Term::When(_)));
        let others = self.query.conjuncts().into_iter().filter(|part| !is_time(part)).map(|part| part.expr);
        let times = [When::Since(Moment::At(since_ms)), When::Until(Moment::At(until_ms))];
        let times = times.map(|when| Expr::Term(Term::When(when)));
        self.with_text(Query::of(Expr::all(others.chain(times).collect())).to_string())
    }

    /// The same view from its first page.
    pub fn first_page(&self) -> Self {
        Self { before: None, ..self.clone() }
    }

    /// The conditions that must all hold, each with the view without it.
    pub fn conditions(&self) -> Vec<(String, Self)> {
        let parts = self.query.conjuncts().into_iter().enumerate();
        parts
            .map(|(index, part)| (part.to_string(), self.with_text(self.query.without(index).to_string())))
            .collect()
    }

    /// Whether anything narrows the view.
    pub fn is_narrowed(&self) -> bool {
        !self.query.is_empty()
    }
}

/// A value of an earlier address as a value of the language.
fn quoted_if_need_be(value: &str) -> String {
    let is_plain = value.chars().all(|c| c.is_alphanumeric() || matches!(c, '!' | '-' | '_' | ':' | '.'));
    if is_plain {
        value.to_owned()
    } else {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_survives_its_address() {
        for query in [
            "",
            "q=from%3A%217c5a0a01+port%3Atext",
            "q=channel%3A%22Liberty+%26+Co%3F%22&group=packet&before=2026-08-20.17",
            "q=text%3A%22%3Cb%3E%26%5C%22%22",
        ] {
            let (view, problems) = View::parse(query);
            assert_eq!(problems, [], "{query}");
            let address = view.address("/log");
            assert_eq!(address, if query.is_empty() { "/log".into() } else { format!("/log?{query}") });
        }
    }

    #[test]
    fn addresses_from_before_there_was_a_language_still_mean_the_same() {
        for (earlier, text) in [
            ("node=%217c5a0a01&port=text", "node:!7c5a0a01 port:text"),
            ("gateway=!7c5a0a01&channel=Liberty+%26+Co%3F", "gw:!7c5a0a01 channel:\"Liberty & Co?\""),
            ("verdict=record-only&rule=consent&since=6h", "verdict:record-only rule:consent since 6h"),
            ("until=2026-08-20T13%3A45&text=%3Cb%3E%22", "until 2026-08-20T13:45 text:\"<b>\\\"\""),
            ("port=range+test&nonsense=7&q=hops%3C2", "hops<2 port:\"range test\""),
        ] {
            let (view, problems) = View::parse(earlier);
            assert_eq!((view.text.as_str(), problems), (text, Vec::new()), "{earlier}");
        }
    }

    #[test]
    fn taking_one_condition_out_keeps_the_others() {
        let (view, _) = View::parse("q=port:text+rule:consent+last+6h&before=2026-08-20.9&group=packet");
        let conditions = view.conditions();
        let shown: Vec<&str> = conditions.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(shown, ["port:text", "rule:consent", "last 6h"]);
        assert_eq!(conditions[0].1.address("/log"), "/log?q=rule%3Aconsent+last+6h&group=packet");
    }
}
