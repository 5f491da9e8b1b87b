//! What of the log is wanted: read from an address, written back into one, and asked of a reception.
//!
//! The address holds the whole view, so that a link shows somebody else the same rows.

use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use policy::decision::Verdict;
use policy::rule::{RULES, RuleId};
use record::Reception;

use crate::moment;

/// Characters of a search text.
const TEXT_CHARS_MAX: usize = 100;

/// A view of the log. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Sender or destination.
    pub node: Option<NodeNum>,
    /// Gateway that uplinked it.
    pub gateway: Option<NodeNum>,
    /// Channel name.
    pub channel: Option<String>,
    /// Port.
    pub port: Option<PortNum>,
    /// Verdict.
    pub verdict: Option<Verdict>,
    /// Rule that decided.
    pub rule: Option<RuleId>,
    /// From this moment on.
    pub since: Option<Moment>,
    /// Before this moment.
    pub until: Option<Moment>,
    /// In what was said.
    pub text: Option<String>,
    /// Receptions of one packet in one row.
    pub is_grouped: bool,
    /// Only receptions with a lower number: the next page.
    pub before: Option<u64>,
}

/// A moment as it was written, which may be an age, and as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// As written.
    pub text: String,
    /// Unix ms.
    pub at_ms: i64,
}

/// One thing in the address that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which field.
    pub field: &'static str,
    /// As it was written.
    pub seen: String,
    /// What was seen and what is allowed.
    pub message: String,
}

/// The fields of a filter that people fill in, in the order of the form.
pub const FIELDS: [&str; 9] =
    ["node", "gateway", "channel", "port", "verdict", "rule", "since", "until", "text"];

impl Filter {
    /// Reads a query string. What was not understood is left out and told.
    pub fn parse(query: &str, now_ms: i64) -> (Self, Vec<Problem>) {
        let mut filter = Self::default();
        let mut problems = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            let Some(field) = FIELDS.iter().find(|f| **f == name) else {
                match &*name {
                    "group" => filter.is_grouped = value == "packet",
                    "before" => filter.before = value.parse().ok(),
                    _ => {}
                }
                continue;
            };
            if let Err(message) = filter.set(field, value, now_ms) {
                let seen = value.chars().take(TEXT_CHARS_MAX).collect();
                problems.push(Problem { field, seen, message });
            }
        }
        (filter, problems)
    }

    fn set(&mut self, field: &str, value: &str, now_ms: i64) -> Result<(), String> {
        let seen = crate::reading::printable(value, 40);
        let node = || {
            let id = value.to_ascii_lowercase();
            NodeNum::parse(&id).or_else(|| NodeNum::parse(&format!("!{id}"))).ok_or_else(|| {
                format!("“{seen}” is not a node id. Write ! and eight hexadecimal digits, such as !7c5a0a01.")
            })
        };
        let moment = || {
            let at_ms = moment::parse(value, now_ms).ok_or_else(|| {
                format!(
                    "“{seen}” is not a time. Write 2026-08-20, 2026-08-20T13:45 (UTC) or an age: 30m, 6h, 7d."
                )
            })?;
            Ok::<_, String>(Moment { text: value.to_owned(), at_ms })
        };
        match field {
            "node" => self.node = Some(node()?),
            "gateway" => self.gateway = Some(node()?),
            "channel" => self.channel = Some(value.chars().take(TEXT_CHARS_MAX).collect()),
            "port" => {
                let port = PortNum::from_word(value);
                self.port = Some(port.ok_or_else(|| {
                    let words: Vec<_> = PortNum::words().map(|(_, word)| word).collect();
                    format!("“{seen}” is not a port. Write a number or one of: {}.", words.join(", "))
                })?);
            }
            "verdict" => {
                self.verdict = Some(Verdict::from_word(value).ok_or_else(|| {
                    let words = Verdict::ALL.map(verdict_value);
                    format!("“{seen}” is not a verdict. Allowed: {}.", words.join(", "))
                })?);
            }
            "rule" => {
                self.rule = Some(RuleId::from_name(value).ok_or_else(|| {
                    let names: Vec<_> = RULES.iter().map(|r| r.name).collect();
                    format!("“{seen}” is not a rule. Allowed: {}.", names.join(", "))
                })?);
            }
            "since" => self.since = Some(moment()?),
            "until" => self.until = Some(moment()?),
            "text" => self.text = Some(value.chars().take(TEXT_CHARS_MAX).collect()),
            _ => {}
        }
        Ok(())
    }

    /// The value of a field as it stands in an address; `None` when it is not set.
    pub fn value(&self, field: &str) -> Option<String> {
        match field {
            "node" => self.node.map(|n| n.to_string()),
            "gateway" => self.gateway.map(|n| n.to_string()),
            "channel" => self.channel.clone(),
            "port" => {
                self.port.map(|p| p.word().strip_prefix("port ").map_or(p.word().into_owned(), str::to_owned))
            }
            "verdict" => self.verdict.map(verdict_value),
            "rule" => self.rule.map(|r| r.name().to_owned()),
            "since" => self.since.as_ref().map(|m| m.text.clone()),
            "until" => self.until.as_ref().map(|m| m.text.clone()),
            "text" => self.text.clone(),
            "group" => self.is_grouped.then(|| "packet".to_owned()),
            "before" => self.before.map(|b| b.to_string()),
            _ => None,
        }
    }

    /// The address of this view below a path.
    pub fn address(&self, path: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for field in FIELDS.iter().chain(&["group", "before"]) {
            if let Some(value) = self.value(field) {
                query.append_pair(field, &value);
            }
        }
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// The same view without one field, from its first page.
    pub fn without(&self, field: &str) -> Self {
        let mut other = Self { before: None, ..self.clone() };
        match field {
            "node" => other.node = None,
            "gateway" => other.gateway = None,
            "channel" => other.channel = None,
            "port" => other.port = None,
            "verdict" => other.verdict = None,
            "rule" => other.rule = None,
            "since" => other.since = None,
            "until" => other.until = None,
            "text" => other.text = None,
            _ => {}
        }
        other
    }

    /// Whether anything narrows the view.
    pub fn is_narrowed(&self) -> bool {
        FIELDS.iter().any(|f| self.value(f).is_some())
    }

    /// Whether a reception is in the view, its text aside: that needs the packet opened.
    pub fn takes(&self, reception: &Reception) -> bool {
        let packet = reception.packet;
        let is_of_node = |n: NodeNum| packet.is_some_and(|p| p.from == n.0 || p.to == n.0);
        self.node.is_none_or(is_of_node)
            && self.gateway.is_none_or(|g| reception.gateway == Some(g.0))
            && self.channel.as_deref().is_none_or(|c| reception.channel.as_deref() == Some(c))
            && self.port.is_none_or(|p| reception.port == Some(p.0))
            && self.verdict.is_none_or(|v| reception.decision.verdict == v)
            && self.rule.is_none_or(|r| reception.decision.rule == Some(r))
            && self.since.as_ref().is_none_or(|s| reception.at_ms >= s.at_ms)
            && self.until.as_ref().is_none_or(|u| reception.at_ms < u.at_ms)
            && self.before.is_none_or(|b| reception.seq < b)
    }

    /// Whether what was said contains the wanted text, upper and lower case alike.
    pub fn takes_text(&self, said: Option<&str>) -> bool {
        let Some(wanted) = &self.text else { return true };
        said.is_some_and(|said| said.to_lowercase().contains(&wanted.to_lowercase()))
    }
}

/// The word of a verdict as it stands in an address.
pub fn verdict_value(verdict: Verdict) -> String {
    verdict.word().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_787_233_509_000;

    #[test]
    fn a_view_survives_its_address() {
        for query in [
            "",
            "node=%217c5a0a01",
            "gateway=%217c5a0a01&channel=Liberty+%26+Co%3F&port=text",
            "port=300&verdict=record-only&rule=consent",
            "since=6h&until=2026-08-20T13%3A45&text=%3Cb%3E%26%22&group=packet&before=17",
        ] {
            let (filter, problems) = Filter::parse(query, NOW);
            assert_eq!(problems, [], "{query}");
            let address = filter.address("/log");
            assert_eq!(address, if query.is_empty() { "/log".into() } else { format!("/log?{query}") });
            assert_eq!(Filter::parse(address.split_once('?').map_or("", |a| a.1), NOW).0, filter);
        }
    }

    #[test]
    fn what_is_not_understood_is_told_with_what_is_allowed() {
        for (query, field, allowed) in [
            ("node=bob", "node", "!7c5a0a01"),
            ("port=smoke+signals", "port", "telemetry"),
            ("verdict=maybe", "verdict", "record-only"),
            ("rule=golden", "rule", "consent"),
            ("since=soon", "since", "6h"),
        ] {
            let (filter, problems) = Filter::parse(query, NOW);
            assert_eq!(filter, Filter::default());
            assert!(problems.len() == 1 && problems[0].field == field, "{problems:?}");
            assert!(problems[0].message.contains(allowed), "{problems:?}");
        }
    }

    #[test]
    fn an_id_is_understood_without_its_mark_and_in_capitals() {
        assert_eq!(Filter::parse("node=7C5A0A01", NOW).0.node, Some(NodeNum(0x7c5a_0a01)));
    }

    #[test]
    fn taking_one_field_out_keeps_the_others() {
        let (filter, _) = Filter::parse("port=text&rule=consent&before=9", NOW);
        assert_eq!(filter.without("port").address("/log"), "/log?rule=consent");
    }
}
