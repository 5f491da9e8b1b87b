//! The report as Markdown, for a community's wiki or a chat.

use std::fmt::Write as _;

use crate::report::{Finding, Level, Report, Topic};

/// The report with everything that was looked at. Holds nothing that the report does not.
pub fn to_markdown(report: &Report) -> String {
    // Writing to a String cannot fail.
    let mut text = String::new();
    let whose = report.owner.as_deref().map(|owner| format!(": {}", escaped(owner))).unwrap_or_default();
    let _ = writeln!(text, "# Preflight check{whose}\n\n**{}**", report.sentence());
    for remark in &report.remarks {
        let _ = writeln!(text, "\n- not understood: {}", escaped(remark));
    }
    for topic in Topic::ALL {
        let of_topic: Vec<&Finding> = report.findings.iter().filter(|f| f.topic == topic).collect();
        if of_topic.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n## {}\n", topic.heading());
        let mut explained = "";
        for finding in of_topic {
            let _ = writeln!(text, "- **{}**: {}", finding.level.word(), escaped(&finding.evidence));
            if finding.level <= Level::Warn && explained != finding.id {
                explained = finding.id;
                let _ = writeln!(text, "  {}", escaped(finding.why));
            }
            for fix in &finding.fixes {
                let _ = writeln!(text, "  - in the app: {}", escaped(&fix.app_path));
            }
        }
    }
    let commands = report.commands();
    if !commands.is_empty() {
        text.push_str("\n## Commands\n\n");
        // Indented code needs no fence that a command could end.
        commands.iter().for_each(|command| {
            let _ = writeln!(text, "    {}", command.replace(['\n', '\r'], " "));
        });
    }
    text
}

/// Text that means itself in Markdown, whatever a node is called.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\n' | '\r' => out.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '!' => out.extend(['\\', c]),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_config::Source;
    use crate::report::Fix;

    #[test]
    fn names_cannot_become_markup() {
        let fix = Fix { command: Some("meshtastic --set a\n# b".to_owned()), app_path: "A › B".to_owned() };
        let report = Report {
            source: Source::ChannelLink,
            owner: Some("[x](http://evil)\n# <b>".to_owned()),
            findings: vec![Finding {
                id: "a",
                topic: Topic::Keys,
                level: Level::Fail,
                evidence: "Channel *x*".to_owned(),
                why: "Because.",
                fixes: vec![fix],
            }],
            remarks: Vec::new(),
        };
        let text = to_markdown(&report);
        assert!(text.starts_with("# Preflight check: \\[x\\](http://evil) \\# \\<b\\>\n"), "{text}");
        assert!(text.contains("- **fail**: Channel \\*x\\*\n  Because.\n  - in the app: A › B\n"), "{text}");
        assert!(text.ends_with("    meshtastic --set a # b\n"), "{text}");
    }
}
