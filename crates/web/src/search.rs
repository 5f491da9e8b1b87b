//! The search field of the log: one line in the filter language, what is wrong with it, and what can be asked. Works
//! without JavaScript; with it, completions come as one types.

use maud::{Markup, html};
use query::{FIELDS, Field, Problem, Vocabulary};

use crate::filter::View;
use crate::site::Visit;

/// Filters to begin with, each with what it finds.
const EXAMPLES: [(&str, &str); 5] = [
    ("port:text last 24h", "what people wrote today"),
    ("hops=0 last 1h", "what gateways heard directly in the last hour"),
    ("verdict:withheld", "packets of which some copy was held back, and why"),
    ("port:position,nodeinfo -gw:!7c5a0a01", "positions and names that another gateway heard"),
    ("text:\"net tonight\" since yesterday", "a text, by a part of it"),
];

/// The form of a view, with what is wrong with it.
pub fn form(visit: &Visit, view: &View, problems: &[Problem]) -> Markup {
    let is_wrong = !problems.is_empty();
    html! {
        form.search role="search" method="get" action="/log" {
            label for="q" { "Filter" }
            div.ask {
                input #q type="search" name="q" value=(view.text) placeholder="from:KCDR port:text hops<2 last 6h"
                    aria-invalid=[is_wrong.then_some("true")] aria-describedby=[is_wrong.then_some("q-problems")]
                    autocomplete="off" autocapitalize="none" autocorrect="off" spellcheck="false"
                    maxlength=(query::TEXT_BYTES_MAX) enterkeyhint="search" data-complete="/api/v1/complete";
                button.button { "Search" }
            }
            @if is_wrong { (wrong(view, problems)) }
            div.under {
                label.check {
                    input type="checkbox" name="group" value="packet" checked[view.is_grouped] data-submits;
                    "One row for each packet"
                }
                @if view.is_narrowed() || is_wrong { a.button.plain href="/log" { "Clear" } }
            }
        }
        @if !is_wrong { (conditions(view)) }
        // Where a word may be meant, that is help enough.
        (help(visit, is_wrong && problems.iter().all(|problem| problem.instead.is_empty())))
    }
}

/// Each mistake: the filter with the word marked, what is wrong, what may have been meant.
fn wrong(view: &View, problems: &[Problem]) -> Markup {
    html! {
        div #q-problems .mistakes role="alert" {
            @for problem in problems {
                div.mistake {
                    p.mono { (marked(&view.text, problem)) }
                    p { (sentence(&problem.message)) }
                    @if !problem.instead.is_empty() {
                        p { "Did you mean "
                            @for (index, instead) in problem.instead.iter().enumerate() {
                                @if index > 0 { " or " }
                                a.mono href=(view.with_text(problem.corrected(&view.text, instead)).address("/log")) { (instead) }
                            }
                            "?"
                        }
                    }
                }
            }
        }
    }
}

/// A message as a sentence, with what stands in backticks as code.
fn sentence(message: &str) -> Markup {
    let mut letters = message.chars();
    let message: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    html! {
        @for (index, part) in message.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
        "."
    }
}

fn marked(text: &str, problem: &Problem) -> Markup {
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let (start, end) = (problem.span.start.min(text.len()), problem.span.end.min(text.len()));
    html! {
        (part(0..start))
        mark { @if start == end { "…" } @else { (part(start..end)) } }
        (part(end..text.len()))
    }
}

/// The conditions in force, each a link to the view without it. One alone needs no link: there is “Clear”.
fn conditions(view: &View) -> Markup {
    let conditions = view.conditions();
    html! {
        @if conditions.len() > 1 {
            ul.picked aria-label="Conditions; follow one to take it away" {
                @for (condition, without) in conditions {
                    li { a href=(without.address("/log")) { span.mono { bdi { (condition) } " ×" } } }
                }
            }
        }
    }
}

fn help(visit: &Visit, is_open: bool) -> Markup {
    let vocabulary = Vocabulary { is_operator: visit.sight.is_operator(), ..Vocabulary::default() };
    let is_shown = |field: &&Field| field.is_offered(&vocabulary);
    let link = |text: &str| View { text: text.to_owned(), ..View::everything() }.address("/log");
    html! {
        details.filter.card open[is_open] {
            summary { "What can be asked" }
            p { "Conditions stand side by side and must all hold. " code { "or" } ", " code { "not" } ", a minus and "
                "parentheses do the rest; a word by itself is looked for in texts and names. For example:" }
            ul.examples { @for (text, what) in EXAMPLES {
                li { a.mono href=(link(text)) { (text) } " " span.soft { (what) } }
            } }
            dl.fields { @for field in FIELDS.iter().filter(is_shown) {
                dt { a.mono href=(link(field.example)) { (field.example) } }
                dd { (field.doc) }
            } }
        }
    }
}
