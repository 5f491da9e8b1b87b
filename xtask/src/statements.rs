//! The manifests of normative statements in `docs/conformance`, held as a test: every statement is there, what is kept is
//! shown by a test that exists, and gaps only become fewer.

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    /// Statements that no test shows; the number may only become lower.
    const GAPS_MAX: usize = 0;

    /// File and number of statements in the specification.
    const MANIFESTS: [(&str, usize); 2] = [("mqtt5.tsv", 251), ("mqtt311.tsv", 141)];

    struct Statement {
        id: String,
        kept: String,
        words: String,
        tests: Vec<String>,
    }

    fn read(name: &str) -> Vec<Statement> {
        let path = crate::root().join("docs/conformance").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
                [id, kept, words, tests] => Statement {
                    id: id.to_owned(),
                    kept: kept.to_owned(),
                    words: words.to_owned(),
                    tests: tests.split_whitespace().map(str::to_owned).collect(),
                },
                _ => panic!("{name}: not four columns: {line}"),
            })
            .collect()
    }

    /// The names of all tests: functions of Rust and of Python.
    fn test_names(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in
            std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).flatten()
        {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                test_names(&path, names);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "py") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                for line in text.lines().map(str::trim_start) {
                    let rest = line.strip_prefix("fn ").or(line.strip_prefix("def "));
                    names.extend(rest.and_then(|r| r.split('(').next()).map(str::to_owned));
                }
            }
        }
    }

    #[test]
    fn every_statement_is_there_and_what_is_kept_is_shown() {
        let mut known = BTreeSet::new();
        for folder in ["crates", "tests"] {
            test_names(&crate::root().join(folder), &mut known);
        }
        let (mut gaps, mut wrong) = (0, Vec::new());
        for (name, count) in MANIFESTS {
            let statements = read(name);
            let ids: BTreeSet<_> = statements.iter().map(|s| s.id.as_str()).collect();
            assert_eq!((ids.len(), statements.len()), (count, count), "{name}: each statement once");
            for Statement { id, kept, words, tests } in &statements {
                let needs_test = match kept.as_str() {
                    "decoder" | "broker" | "shell" => true,
                    "client" | "optional" => false,
                    "gap" => {
                        gaps += 1;
                        false
                    }
                    other => panic!("{name}: {id} is kept by `{other}`"),
                };
                if words.is_empty() || (needs_test && tests.is_empty()) {
                    wrong.push(format!("{name}: {id} has no words or no test"));
                }
                let missing = tests.iter().filter(|test| !known.contains(*test));
                wrong.extend(
                    missing.map(|test| format!("{name}: {id} names a test that is not there: {test}")),
                );
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(
            gaps, GAPS_MAX,
            "statements that are not shown: a new one must not be, and one less lowers the number"
        );
    }

    #[test]
    fn statements_of_a_section_are_numbered_without_holes() {
        for (name, _) in MANIFESTS {
            let mut sections: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
            for statement in read(name) {
                let Some((section, number)) = statement.id.rsplit_once('-') else {
                    panic!("{}", statement.id)
                };
                let number = number.parse().unwrap_or_else(|_| panic!("{}", statement.id));
                sections.entry(section.to_owned()).or_default().insert(number);
            }
            for (section, numbers) in sections {
                let last = numbers.last().copied().unwrap_or_default();
                // The specification of 5.0 itself has no MQTT-2.2.1-1.
                let first = if section == "MQTT-2.2.1" { 2 } else { 1 };
                assert!((first..=last).all(|n| numbers.contains(&n)), "{name}: {section} has holes");
            }
        }
    }
}
