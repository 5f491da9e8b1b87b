//! The policy's file: what may be passed on. A file of its own, since it is changed while the broker runs and by others
//! than those who install it. Knows no single key and no rule.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use toml::de::DeTable;

use crate::diagnostics::{Diagnostics, Problems};
use crate::document;
use crate::json_schema;
use crate::keys::{POLICY_LINES, Policy, SECTIONS};
use crate::load::{path_of, quoted, section_values, shown, syntax_problems, table_of, wrong_value};
use crate::near_miss::near_miss;
use crate::rule_state::{RuleDoc, RuleState};

/// The table of rule states.
pub(crate) const RULES_TABLE: &str = "rules";

/// Longest file taken, in bytes. The commented file with every key is a tenth of it.
pub const POLICY_BYTES_MAX: usize = 1 << 20;

/// What a policy file says, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// Parameters of the rules.
    pub policy: Policy,
    /// State of every rule that the caller knows, by id.
    pub rules: BTreeMap<&'static str, RuleState>,
}

impl PolicyFile {
    /// Gives the policy of an empty file.
    pub fn default(rules: &[RuleDoc]) -> PolicyFile {
        PolicyFile::load(Path::new("defaults"), "", rules).expect("every default is allowed; a test holds it")
    }

    /// Reads a file's text, or says everything that is wrong with it. `path` is for messages.
    pub fn load(path: &Path, text: &str, rules: &[RuleDoc]) -> Result<PolicyFile, Diagnostics> {
        if text.len() > POLICY_BYTES_MAX {
            let mut problems = Problems::new(text);
            problems.add(
                0..0,
                format!("a policy has at most {POLICY_BYTES_MAX} bytes, but here are {}", text.len()),
            );
            return Err(problems.into_diagnostics(path));
        }
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut syntax = syntax_problems(text, errors);
        let mut problems = Problems::new(text);
        let file = read(document.get_ref(), rules, &mut problems);
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

    /// The state of a rule; `None` for an id that the caller did not bring.
    pub fn rule(&self, id: &str) -> Option<RuleState> {
        self.rules.get(id).copied()
    }
}

fn read(document: &DeTable<'_>, rules: &[RuleDoc], problems: &mut Problems<'_>) -> Option<PolicyFile> {
    report_unknown(document, problems);
    Some(PolicyFile {
        policy: Policy::from_values(&section_values(Some(document), &POLICY_LINES, problems))?,
        rules: read_rules(document, rules, problems),
    })
}

fn report_unknown(document: &DeTable<'_>, problems: &mut Problems<'_>) {
    let known = || POLICY_LINES.keys.iter().map(|key| key.name).chain([RULES_TABLE]);
    for key in document.keys().filter(|key| !known().any(|name| name == key.get_ref().as_ref())) {
        let name: &str = key.get_ref();
        let hint = if let Some(meant) = near_miss(name, known()) {
            format!("did you mean `{meant}`?")
        } else if name == "policy" {
            "the keys of the policy stand in this file without a table around them".to_owned()
        } else if let Some(section) = SECTIONS
            .iter()
            .find(|section| section.name == name || section.keys.iter().any(|key| key.name == name))
        {
            let path = if section.name == name { name.to_owned() } else { path_of(section, name) };
            format!("`{path}` belongs to the configuration file")
        } else {
            "`backhaul policy docs` prints every key".to_owned()
        };
        problems.add(key.span(), format!("unknown key `{}`: {hint}", shown(name)));
    }
}

fn read_rules(
    document: &DeTable<'_>,
    rules: &[RuleDoc],
    problems: &mut Problems<'_>,
) -> BTreeMap<&'static str, RuleState> {
    let mut states: BTreeMap<_, _> = rules.iter().map(|rule| (rule.id, rule.default)).collect();
    let Some(table) = table_of(document, RULES_TABLE, RULES_TABLE, problems) else { return states };
    for (id, seen) in table {
        let Some(rule) = rules.iter().find(|rule| rule.id == id.get_ref().as_ref()) else {
            let ids = || rules.iter().map(|rule| rule.id);
            let hint = if POLICY_LINES.keys.iter().any(|key| key.name == id.get_ref().as_ref()) {
                format!("it is a parameter and stands before the line `[{RULES_TABLE}]`")
            } else {
                match near_miss(id.get_ref(), ids()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("the rules are {}", quoted(ids())),
                }
            };
            problems.add(id.span(), format!("unknown rule `{}`: {hint}", shown(id.get_ref())));
            continue;
        };
        match seen.get_ref().as_str().and_then(RuleState::from_word) {
            Some(state) => {
                states.insert(rule.id, state);
            }
            None => {
                let words = RuleState::WORDS.iter().copied();
                let meant = seen.get_ref().as_str().and_then(|word| near_miss(word, words));
                let path = format!("{RULES_TABLE}.{}", rule.id);
                let allowed = "\"off\", \"observe\" or \"enforce\"";
                problems.add(seen.span(), wrong_value(&path, allowed, seen.get_ref(), meant));
            }
        }
    }
    states
}

/// Writes the commented policy file. Reading it gives the defaults, because it says nothing else.
pub fn policy_document(rules: &[RuleDoc]) -> String {
    let mut out = String::new();
    document::comment(
        &mut out,
        "Backhaul's policy. Every key is here with its default; leave out what you do not change. A running broker takes \
         a changed file over as a whole, or not at all.",
    );
    document::comment(
        &mut out,
        "Check a file with `backhaul policy check FILE`; ask what it would have done with `backhaul policy test FILE`.",
    );
    for key in POLICY_LINES.keys {
        out.push('\n');
        document::write_key(&mut out, key);
    }
    out.push('\n');
    document::comment(
        &mut out,
        "The rules in the order in which they are asked. \"off\": not asked. \"observe\": what it would have done is \
         recorded, and nothing follows. \"enforce\": its answer stands.",
    );
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "[{RULES_TABLE}]");
    for RuleDoc { id, default, doc } in rules {
        document::comment(&mut out, doc);
        let _ = writeln!(out, "{id} = \"{}\"", default.word());
    }
    out
}

/// Describes the policy file as JSON Schema (draft 2020-12), printed with indentation.
pub fn policy_schema(rules: &[RuleDoc]) -> String {
    let keys = POLICY_LINES.keys.iter();
    let mut properties: serde_json::Map<_, _> =
        keys.map(|key| (key.name.to_owned(), json_schema::key_schema(key))).collect();
    properties.insert(RULES_TABLE.to_owned(), json_schema::rules_schema(rules));
    json_schema::file("Backhaul policy", POLICY_LINES.doc, properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parameter_has_the_name_of_the_table_of_rules() {
        assert!(POLICY_LINES.keys.iter().all(|key| key.name != RULES_TABLE));
    }
}
