//! What is written to a target: words, JSON, and templates. Nothing in it is private: whoever reads it is outside.

use serde_json::{Value as Json, json};

use crate::alert::engine::{Happening, span};
use crate::alert::outlet::Gathered;
use crate::alert::rule::{Severity, Subject};

/// A letter, ready to be put into the form that a target wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The highest severity in it.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// Lines.
    pub text: String,
    /// The same for programs: the schema is in docs/alerts.md.
    pub json: String,
    /// Whether it only tells of ends.
    pub is_end: bool,
}

/// Says what a subject is called.
pub type NameOf<'a> = &'a dyn Fn(u32) -> Option<String>;

/// Writes the letter.
pub fn letter(mesh: &str, gathered: &Gathered, name_of: NameOf<'_>) -> Letter {
    let happened = &gathered.happened;
    let severity = happened.iter().map(|h| h.rule.severity).max().unwrap_or(Severity::Info);
    let is_end = happened.iter().all(|h| h.is_end);
    let title = match happened.as_slice() {
        [one] => one_line(&format!("{mesh}: {}", headline(one, name_of))),
        several => format!("{mesh}: {} alerts", several.len()),
    };
    let mut lines = Vec::new();
    for happening in happened {
        lines.push(one_line(&headline(happening, name_of)));
        if !happening.is_end && !happening.rule.about.is_empty() {
            lines.push(format!("  {}", happening.rule.about));
        }
    }
    if gathered.left_out > 0 {
        lines.push(format!("{} more were left out, because there were too many", gathered.left_out));
    }
    let alerts: Vec<Json> = happened.iter().map(|h| one(h, name_of)).collect();
    let json = json!({
        "version": 1,
        "mesh": mesh,
        "title": title,
        "severity": severity.word(),
        "alerts": alerts,
        "left_out": gathered.left_out,
    });
    Letter { severity, title, text: lines.join("\n"), json: json.to_string(), is_end }
}

/// What is said on the mesh begins no line and no header of its own.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A letter that only shows that letters arrive.
pub fn trial(mesh: &str) -> Letter {
    let title = format!("{mesh}: a test of Backhaul's alerts");
    let text = "If you can read this, alerts reach you here. Nothing has happened.".to_owned();
    let json = json!({
        "version": 1, "mesh": mesh, "title": title, "severity": "info", "alerts": [], "left_out": 0, "test": true,
    });
    Letter { severity: Severity::Info, title, text, json: json.to_string(), is_end: false }
}

/// What outsiders read in place of somebody who has not agreed to be named.
const UNNAMED: &str = "a node that has not agreed to be named";

fn headline(happening: &Happening, name_of: NameOf<'_>) -> String {
    let Happening { rule, subject, .. } = happening;
    let about = match subject_words(happening, name_of) {
        Some(words) => format!("{}: {words}", rule.name),
        None => rule.name.to_string(),
    };
    match happening.is_end {
        true => format!("over: {about} (after {})", span(happening.at_ms - happening.since_ms)),
        false if !happening.may_be_told && !matches!(subject, Subject::Mesh) => about,
        false if !happening.may_be_told => format!("{about}: see the alerts page"),
        false => format!("{about}: {}", happening.detail),
    }
}

fn subject_words(happening: &Happening, name_of: NameOf<'_>) -> Option<String> {
    match &happening.subject {
        Subject::Mesh => None,
        _ if !happening.may_be_told => Some(UNNAMED.to_owned()),
        subject => Some(named(subject, name_of)),
    }
}

/// A subject by name and number.
pub fn named(subject: &Subject, name_of: NameOf<'_>) -> String {
    match subject.node().and_then(name_of) {
        Some(name) => format!("{name}, {subject}"),
        None => subject.to_string(),
    }
}

fn one(happening: &Happening, name_of: NameOf<'_>) -> Json {
    let is_open = happening.may_be_told;
    let node = happening.subject.node().filter(|_| is_open);
    json!({
        "rule": happening.rule.name,
        "severity": happening.rule.severity.word(),
        "state": if happening.is_end { "over" } else { "firing" },
        "subject": if is_open { happening.subject.to_string() } else { "withheld".to_owned() },
        "name": node.and_then(name_of),
        "detail": is_open.then_some(&*happening.detail),
        "about": happening.rule.about,
        "since": happening.since_ms / 1000,
        "at": happening.at_ms / 1000,
    })
}

/// Fills a template: `{title}`, `{text}`, `{severity}` and `{json}`. In a template that is JSON, texts are written as JSON
/// does inside of quotes, so that nothing anybody says can end the text.
pub fn fill(template: &str, letter: &Letter, is_json: bool) -> String {
    let quoted = |text: &str| {
        let quoted = Json::from(text).to_string();
        if is_json { quoted[1..quoted.len() - 1].to_owned() } else { text.to_owned() }
    };
    let mut filled = String::with_capacity(template.len() + letter.text.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = [
            ("{title}", quoted(&letter.title)),
            ("{text}", quoted(&letter.text)),
            ("{severity}", letter.severity.word().to_owned()),
            ("{json}", letter.json.clone()),
        ];
        match known.iter().find(|(word, _)| rest.starts_with(word)) {
            Some((word, value)) => {
                filled.push_str(value);
                rest = &rest[word.len()..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}
