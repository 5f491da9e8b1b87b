//! docs/limits.md tells the truth: every limit with its default, every counter, every configuration key, and tests that
//! exist.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/limits.md")).unwrap()
}

/// The limits and their defaults, as the program has them.
fn limits() -> BTreeMap<String, String> {
    let debug = format!("{:?}", broker::Limits::default());
    let fields = debug.trim_start_matches("Limits {").trim_end_matches('}');
    let pairs = fields.split(',').map(|field| field.split_once(':').unwrap());
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

fn words_in_backticks(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Rows of the first table: limit, default, counter, key, what happens, tests.
fn rows(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).filter(|row: &Vec<String>| row.len() == 6).collect()
}

#[test]
fn every_limit_is_listed_with_its_default() {
    let (text, limits) = (document(), limits());
    let listed: BTreeMap<String, String> =
        rows(&text).into_iter().map(|row| (words_in_backticks(&row[0]).remove(0), row[1].clone())).collect();
    assert_eq!(listed, limits);
}

#[test]
fn every_counter_is_listed_and_every_key_exists() {
    let text = document();
    let counted: Vec<String> = rows(&text).iter().flat_map(|row| words_in_backticks(&row[2])).collect();
    for reached in broker::Reached::ALL {
        assert!(counted.iter().any(|name| name == reached.name()), "{} is not listed", reached.name());
    }
    for name in counted {
        assert!(broker::Reached::ALL.iter().any(|r| r.name() == name), "`{name}` is no counter");
    }
    let keys = std::fs::read_to_string(root().join("docs/backhaul.toml")).unwrap();
    for key in rows(&text).iter().flat_map(|row| words_in_backticks(&row[3])) {
        assert!(keys.contains(&format!("\n{key} = ")) || keys.contains(&format!("\n# {key} = ")), "{key}");
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let text = document();
    let mut sources = String::new();
    read_all(&root().join("crates"), &mut sources);
    let vulnerabilities = text.split("## Classes of past vulnerabilities").nth(1).unwrap();
    let in_rows = rows(&text).into_iter().flat_map(|row| words_in_backticks(&row[5]));
    let in_classes = vulnerabilities
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| line.split(" | ").nth(1))
        .flat_map(words_in_backticks);
    let named: Vec<String> = in_rows.chain(in_classes).collect();
    assert!(named.len() > 40, "the tables were not found");
    for name in named {
        assert!(sources.contains(&format!("fn {name}(")), "there is no test `{name}`");
    }
}

fn read_all(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            *into += &std::fs::read_to_string(path).unwrap();
        }
    }
}
