//! Single changes of a policy file's text that leave everything else as somebody wrote it, comments included.

use std::path::Path;

use toml::de::DeTable;

use crate::keys::Policy;
use crate::policy_file::{PolicyFile, RULES_TABLE};
use crate::rule_state::{RuleDoc, RuleState};

/// A policy file's text with one rule in another state, everything else as it was, comments included. `None` when the
/// text is wrong, or written in a way in which this cannot be done; then a person must.
pub fn with_rule_state(text: &str, rule: &str, state: RuleState, rules: &[RuleDoc]) -> Option<String> {
    let before = PolicyFile::load(Path::new(""), text, rules).ok()?;
    if before.rule(rule)? == state {
        return Some(text.to_owned());
    }
    let document = DeTable::parse(text).ok()?;
    let line = format!("{rule} = \"{}\"", state.word());
    let mut changed = text.to_owned();
    match document.get_ref().get_key_value(RULES_TABLE) {
        Some((header, table)) => match table.get_ref().as_table()?.get(rule) {
            Some(seen) => changed.replace_range(seen.span(), &format!("\"{}\"", state.word())),
            None => {
                let after_header = header.span().end;
                let end_of_line = text[after_header..].find('\n').map_or(text.len(), |at| after_header + at);
                changed.insert_str(end_of_line, &format!("\n{line}"));
            }
        },
        None => {
            let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            changed.push_str(&format!("{gap}[{RULES_TABLE}]\n{line}\n"));
        }
    }
    // Dotted keys and inline tables are right TOML too, and what was written into them may not be.
    let mut wanted = before;
    *wanted.rules.get_mut(rule)? = state;
    let is_right = PolicyFile::load(Path::new(""), &changed, rules).is_ok_and(|after| after == wanted);
    is_right.then_some(changed)
}

/// A parameter whose values are pairs, written `left=right`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairsKey {
    /// Gateways whose island the operator knows better.
    Pinned,
    /// Models of single islands.
    ModelOfIsland,
}

impl PairsKey {
    const fn name(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::ModelOfIsland => "model_of_island",
        }
    }

    const fn of(self, policy: &mut Policy) -> &mut Vec<String> {
        match self {
            Self::Pinned => &mut policy.pinned,
            Self::ModelOfIsland => &mut policy.model_of_island,
        }
    }
}

/// A policy file's text with another value on the right of a pair, or without that pair, everything else as it was. `None`
/// when the text is wrong, or written in a way in which this cannot be done; then a person must.
pub fn with_pair(
    text: &str,
    key: PairsKey,
    left: &str,
    right: Option<&str>,
    rules: &[RuleDoc],
) -> Option<String> {
    let mut wanted = PolicyFile::load(Path::new(""), text, rules).ok()?;
    let pairs = key.of(&mut wanted.policy);
    let is_of_left = |pair: &String| pair.split_once('=').is_some_and(|(known, _)| known.trim() == left);
    let place = pairs.iter().position(is_of_left);
    match (place, right) {
        (Some(place), Some(right)) => pairs[place] = format!("{left}={right}"),
        (Some(place), None) => drop(pairs.remove(place)),
        (None, Some(right)) => pairs.push(format!("{left}={right}")),
        (None, None) => return Some(text.to_owned()),
    }
    let list: Vec<String> = pairs.iter().map(|pair| toml::Value::from(pair.as_str()).to_string()).collect();
    let list = format!("[{}]", list.join(", "));
    let document = DeTable::parse(text).ok()?;
    let changed = match document.get_ref().get(key.name()) {
        Some(seen) => [&text[..seen.span().start], &list, &text[seen.span().end..]].concat(),
        // What stands before the first table belongs to none.
        None => format!("{} = {list}\n{text}", key.name()),
    };
    let is_right = PolicyFile::load(Path::new(""), &changed, rules).is_ok_and(|after| after == wanted);
    is_right.then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &[RuleDoc] = &[
        RuleDoc { id: "identity", default: RuleState::Enforce, doc: "The gateway must be itself." },
        RuleDoc { id: "public-key", default: RuleState::Observe, doc: "Anyone can read it." },
    ];

    #[test]
    fn one_rule_is_switched_and_the_rest_of_the_text_stays() {
        let check = |text: &str, expected: Option<&str>| {
            let switched = with_rule_state(text, "identity", RuleState::Off, RULES);
            assert_eq!(switched.as_deref(), expected, "{text}");
        };
        check("", Some("[rules]\nidentity = \"off\"\n"));
        check("hop_limit_max = 2", Some("hop_limit_max = 2\n[rules]\nidentity = \"off\"\n"));
        check(
            "# why\n[rules] # states\n\"identity\" = 'observe' # for now\npublic-key = 'off'\n",
            Some("# why\n[rules] # states\n\"identity\" = \"off\" # for now\npublic-key = 'off'\n"),
        );
        check("[rules]\npublic-key = 'off'", Some("[rules]\nidentity = \"off\"\npublic-key = 'off'"));
        check("[rules]", Some("[rules]\nidentity = \"off\""));
        check("rules.identity = 'enforce'", Some("rules.identity = \"off\""));
        check("rules = { identity = 'enforce' }", Some("rules = { identity = \"off\" }"));
        check("[rules]\nidentity = 'off'\n", Some("[rules]\nidentity = 'off'\n"));
        // What cannot be done safely is left to a person.
        check("rules = { public-key = 'off' }", None);
        check("rules.public-key = 'off'", None);
        check("[rules]\nidentity = 'no'", None);
        assert_eq!(with_rule_state("", "nonsense", RuleState::Off, RULES), None);
    }

    #[test]
    fn one_pair_is_changed_and_the_rest_of_the_text_stays() {
        let check = |text: &str, right: Option<&str>, expected: Option<&str>| {
            let changed = with_pair(text, PairsKey::Pinned, "!7c5a0a02", right, RULES);
            assert_eq!(changed.as_deref(), expected, "{text}");
        };
        let (east, pinned) = (Some("!7c5a0a01"), "pinned = [\"!7c5a0a02=!7c5a0a01\"]");
        check("", east, Some(&format!("{pinned}\n")));
        check("# why\n[rules]\n", east, Some(&format!("{pinned}\n# why\n[rules]\n")));
        check("pinned = ['!7c5a0a02=!7c5a0a09'] # seen\n", east, Some(&format!("{pinned} # seen\n")));
        let both = "pinned = [\n  \"!7c5a0a03=!7c5a0a01\", # north\n  \"!7c5a0a02=!7c5a0a01\",\n]\n";
        check(both, None, Some("pinned = [\"!7c5a0a03=!7c5a0a01\"]\n"));
        check("hop_limit_max = 2\n", None, Some("hop_limit_max = 2\n"));
        check("hop_limit_max = 99\n", east, None);
        let model = with_pair("", PairsKey::ModelOfIsland, "!7c5a0a01", Some("text-only"), RULES);
        assert_eq!(model.as_deref(), Some("model_of_island = [\"!7c5a0a01=text-only\"]\n"));
    }
}
