//! The alerts' file: what to watch for and who is told. A file of its own, since it is changed while the broker runs.
//! Knows no filter language and no measurement: whoever reads the rules does.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use crate::alert_keys::{
    ALERT_RULE_LINES, ALERT_TARGET_LINES, ALERTS_LINES, AlertRule, AlertTarget, Alerts, TargetKind, When,
};
use crate::bridge::Circle;
use crate::channel::{Secrets, SystemSecrets};
use crate::diagnostics::{Diagnostics, Problems};
use crate::document;
use crate::json_schema;
use crate::load::{report_unknown, section_values, syntax_problems, tables};

/// Longest file taken, in bytes.
pub const ALERTS_BYTES_MAX: usize = 1 << 20;
/// Each is asked of every packet.
const RULES_MAX: usize = 200;
/// A thread each.
const TARGETS_MAX: usize = 50;

/// What an alerts' file says, checked as far as that is possible without the filter language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertsFile {
    /// What holds for all.
    pub alerts: Alerts,
    /// The rules, in the order of the file.
    pub rules: Vec<RuleTable>,
    /// The targets, in the order of the file.
    pub targets: Vec<TargetTable>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTable {
    /// What the file says.
    pub keys: AlertRule,
    /// The line that it begins in.
    pub line: usize,
    /// `within`, ms.
    pub within_ms: i64,
    /// `lasting`, ms; 0 if not said.
    pub lasting_ms: i64,
    /// `over_after`, ms.
    pub over_after_ms: i64,
    /// `area`.
    pub area: Option<Circle>,
}

/// One target with its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetTable {
    /// What the file says.
    pub keys: AlertTarget,
    /// The address, from wherever it stands.
    pub url: Option<Hidden>,
    /// The secret.
    pub secret: Option<Hidden>,
}

/// A text that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(***)")
    }
}

impl AlertsFile {
    /// Reads a file's text, or says everything that is wrong with it. `path` is for messages, and relative names of files
    /// with secrets start at its folder.
    pub fn load(path: &Path, text: &str) -> Result<Self, Diagnostics> {
        Self::load_with(path, text, &SystemSecrets::beside(path))
    }

    /// The same with secrets from elsewhere.
    pub fn load_with(path: &Path, text: &str, secrets: &dyn Secrets) -> Result<Self, Diagnostics> {
        let mut problems = Problems::new(text);
        if text.len() > ALERTS_BYTES_MAX {
            let bytes = text.len();
            problems
                .add(0..0, format!("the file has at most {ALERTS_BYTES_MAX} bytes, but here are {bytes}"));
            return Err(problems.into_diagnostics(path));
        }
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut syntax = syntax_problems(text, errors);
        let file = read(document.get_ref(), text, secrets, &mut problems);
        if !syntax.is_empty() {
            if !syntax.broke_a_table_line() {
                problems.forget_lines_of(&syntax);
                syntax.append(problems);
            }
            return Err(syntax.into_diagnostics(path));
        }
        match file {
            Some(file) if problems.is_empty() => Ok(file),
            _ => Err(problems.into_diagnostics(path)),
        }
    }
}

fn read(
    document: &DeTable<'_>,
    text: &str,
    secrets: &dyn Secrets,
    problems: &mut Problems<'_>,
) -> Option<AlertsFile> {
    report_unknown(document, &ALERTS_LINES, ["rule", "target"], problems);
    let alerts = Alerts::from_values(&section_values(Some(document), &ALERTS_LINES, problems))?;
    let mut targets: Vec<TargetTable> = Vec::new();
    for (table, at) in tables(document, "target", TARGETS_MAX, problems) {
        let Some(target) = read_target(table, at.clone(), secrets, problems) else { continue };
        let name = &target.keys.name;
        if targets.iter().any(|other| other.keys.name == *name) {
            problems
                .add(at, format!("`target.name` must differ from the others, but `{name}` appears twice"));
        } else {
            targets.push(target);
        }
    }
    let mut rules: Vec<RuleTable> = Vec::new();
    let at_top = document.get("targets").map_or(0..0, |seen| seen.span());
    let mut named = vec![(alerts.targets.clone(), at_top)];
    for (table, at) in tables(document, "rule", RULES_MAX, problems) {
        let line = text.get(..at.start).unwrap_or_default().matches('\n').count() + 1;
        let Some(rule) = read_rule(table, at.clone(), line, problems) else { continue };
        named.push((rule.keys.targets.clone(), at.clone()));
        let name = &rule.keys.name;
        if rules.iter().any(|other| other.keys.name == *name) {
            problems.add(at, format!("`rule.name` must differ from the others, but `{name}` appears twice"));
        } else {
            rules.push(rule);
        }
    }
    for (names, at) in named {
        for name in names.iter().filter(|name| !targets.iter().any(|target| target.keys.name == **name)) {
            problems.add(at.clone(), format!("there is no `[[target]]` with the name `{name}`"));
        }
    }
    Some(AlertsFile { alerts, rules, targets })
}

fn read_rule(
    table: &DeTable<'_>,
    at: Range<usize>,
    line: usize,
    problems: &mut Problems<'_>,
) -> Option<RuleTable> {
    report_unknown(table, &ALERT_RULE_LINES, None, problems);
    if table.get("name").is_none() {
        problems.add(at.clone(), "a rule needs `name`, but has none".to_owned());
    }
    let keys = AlertRule::from_values(&section_values(Some(table), &ALERT_RULE_LINES, problems))?;
    let place = |key: &str| table.get(key).map_or(at.clone(), |seen| seen.span());
    let is_number = matches!(keys.when, When::Above | When::Below);
    let needed: &[&str] = match keys.when {
        When::Match | When::Change => &[],
        When::Absent => &["lasting"],
        When::Above | When::Below => &["value", "limit"],
        When::Enter | When::Leave => &["area"],
    };
    for key in needed.iter().filter(|key| table.get(**key).is_none()) {
        problems.add(at.clone(), format!("a rule with `when = \"{}\"` needs `{key}`", keys.when.word()));
    }
    let mut span = |key: &str, text: &str| {
        let ms = span_ms(text);
        if ms.is_none() {
            problems.add(
                place(key),
                format!("`rule.{key}` must be a time such as 30s, 10m, 2h or 1d, but is the text \"{text}\""),
            );
        }
        ms.unwrap_or(0)
    };
    let within_ms = span("within", &keys.within);
    let over_after_ms = span("over_after", &keys.over_after);
    let lasting_ms = keys.lasting.as_deref().map_or(0, |text| span("lasting", text));
    for (key, text) in [("limit", &keys.limit), ("clear", &keys.clear)] {
        let is_wrong = |text: &String| text.parse::<f64>().ok().is_none_or(|n| !n.is_finite());
        if is_number && let Some(text) = text.as_ref().filter(|text| is_wrong(text)) {
            problems.add(place(key), format!("`rule.{key}` must be a number, but is the text \"{text}\""));
        }
    }
    let area = keys.area.as_deref().map(|text| (text, Circle::parse(text)));
    if let Some((text, None)) = area {
        let what = "latitude, longitude and radius in km, such as \"39.25,-94.42,50\"";
        problems.add(place("area"), format!("`rule.area` must be {what}, but is the text \"{text}\""));
    }
    let area = area.and_then(|(_, circle)| circle);
    Some(RuleTable { keys, line, within_ms, lasting_ms, over_after_ms, area })
}

fn read_target(
    table: &DeTable<'_>,
    at: Range<usize>,
    secrets: &dyn Secrets,
    problems: &mut Problems<'_>,
) -> Option<TargetTable> {
    report_unknown(table, &ALERT_TARGET_LINES, None, problems);
    if table.get("name").is_none() {
        problems.add(at.clone(), "a target needs `name`, but has none".to_owned());
    }
    let keys = AlertTarget::from_values(&section_values(Some(table), &ALERT_TARGET_LINES, problems))?;
    let place = |key: &str| table.get(key).map_or(at.clone(), |seen| seen.span());
    let url = hidden(
        "url",
        keys.url.as_deref(),
        (keys.url_file.as_deref(), keys.url_env.as_deref()),
        &place,
        secrets,
        problems,
    );
    let secret = hidden(
        "secret",
        None,
        (keys.secret_file.as_deref(), keys.secret_env.as_deref()),
        &place,
        secrets,
        problems,
    );
    if let Some(url) = &url
        && !(url.0.starts_with("http://") || url.0.starts_with("https://"))
    {
        problems.add(at.clone(), "the address of a target must begin with https:// or http://".to_owned());
    }
    let is_written = |key: &str| table.get(key).is_some();
    let missing = match keys.kind {
        TargetKind::Webhook | TargetKind::Ntfy | TargetKind::Discord => {
            let is_there = ["url", "url_file", "url_env"].into_iter().any(is_written);
            if is_there { Vec::new() } else { vec!["url"] }
        }
        TargetKind::Email => ["server", "from", "to"].into_iter().filter(|key| !is_written(key)).collect(),
        TargetKind::Mqtt => ["topic"].into_iter().filter(|key| !is_written(key)).collect(),
    };
    for key in missing {
        problems.add(at.clone(), format!("a target of kind \"{}\" needs `{key}`", keys.kind.word()));
    }
    if let Some(topic) = keys.topic.as_deref()
        && topic.contains(['+', '#'])
    {
        problems.add(place("topic"), "`target.topic` must not have `+` or `#`".to_owned());
    }
    Some(TargetTable { keys, url, secret })
}

/// A text that stands in the file, in a file of its own, or in the environment.
fn hidden(
    what: &str,
    written: Option<&str>,
    (file, variable): (Option<&Path>, Option<&str>),
    place: &dyn Fn(&str) -> Range<usize>,
    secrets: &dyn Secrets,
    problems: &mut Problems<'_>,
) -> Option<Hidden> {
    let (key, found) = match (written, file, variable) {
        (None, None, None) => return None,
        (Some(text), None, None) => return Some(Hidden(text.to_owned())),
        (None, Some(file), None) => {
            let read = secrets.file(file);
            let key = format!("{what}_file");
            (key, read.map_err(|error| format!("`{}` cannot be read: {error}", file.display())))
        }
        (None, None, Some(name)) => {
            let read = secrets.variable(name);
            let key = format!("{what}_env");
            (key, read.ok_or_else(|| format!("the environment variable `{name}` is not set")))
        }
        _ => {
            let why = format!("`target.{what}_file`, `{what}_env` and `{what}` exclude each other");
            problems.add(place(&format!("{what}_file")), why);
            return None;
        }
    };
    let text = found.map(|text| text.trim().to_owned());
    match text {
        Ok(text) if !text.is_empty() => Some(Hidden(text)),
        Ok(_) => {
            problems.add(place(&key), format!("`target.{key}` names an empty text"));
            None
        }
        Err(why) => {
            problems.add(place(&key), format!("`target.{key}`: {why}"));
            None
        }
    }
}

/// A length of time as people write it, in ms: 1 s to 90 days.
fn span_ms(text: &str) -> Option<i64> {
    const LONGEST_S: i64 = 90 * 86_400;
    let text = text.trim();
    let unit = text.chars().last()?;
    let number: i64 = text.strip_suffix(unit)?.trim().parse().ok()?;
    let unit_s = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let seconds = number.checked_mul(unit_s)?;
    (1..=LONGEST_S).contains(&seconds).then_some(seconds * 1000)
}

/// Writes the commented alerts' file. Reading it gives the defaults, because it says nothing else.
pub fn alerts_document() -> String {
    let mut out = String::new();
    document::comment(
        &mut out,
        "Backhaul's alerts. Every key is here with its default or an example; leave out what you do not change. A running \
         broker takes a changed file over as a whole, or not at all.",
    );
    document::comment(
        &mut out,
        "Check a file with `backhaul alerts check`; ask what a rule would have said with `backhaul alerts try`.",
    );
    for key in ALERTS_LINES.keys {
        out.push('\n');
        document::write_key(&mut out, key);
    }
    document::write_list(&mut out, &ALERT_RULE_LINES);
    document::write_list(&mut out, &ALERT_TARGET_LINES);
    out
}

/// Describes the alerts' file as JSON Schema (draft 2020-12), printed with indentation.
pub fn alerts_schema() -> String {
    let keys = ALERTS_LINES.keys.iter();
    let mut properties: serde_json::Map<_, _> =
        keys.map(|key| (key.name.to_owned(), json_schema::key_schema(key))).collect();
    properties.insert("rule".to_owned(), json_schema::list_schema(&ALERT_RULE_LINES, &["name"]));
    properties.insert("target".to_owned(), json_schema::list_schema(&ALERT_TARGET_LINES, &["name"]));
    json_schema::file("Backhaul alerts", "Backhaul's alerts.", properties)
}
