//! `backhaul config`, and that the committed example is what the program prints.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::path::Path;
use std::process::{Command, Output};

#[test]
fn the_committed_example_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/backhaul.toml");
    let committed = std::fs::read_to_string(path).unwrap();
    let printed = String::from_utf8(backhaul(&["config", "docs"]).stdout).unwrap();
    assert!(committed == printed, "run `cargo run -- config docs > docs/backhaul.toml`");
}

#[test]
fn the_printed_example_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backhaul.toml");
    let printed = backhaul(&["config", "docs"]).stdout;
    std::fs::write(&file, printed).unwrap();
    let output = backhaul(&["config", "check", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_schema_is_json() {
    let schema: serde_json::Value = serde_json::from_slice(&backhaul(&["config", "schema"]).stdout).unwrap();
    assert_eq!(schema["properties"]["mqtt"]["properties"]["listen"]["default"], "0.0.0.0:1883");
}

#[test]
fn every_mistake_is_told_with_its_place() {
    check(
        b"[mqtt]\nlistn = 1\n[log]\nlevel = 'loud'\n",
        &[
            "has 2 mistakes",
            "backhaul.toml:2:1: unknown key `mqtt.listn`: did you mean `listen`?",
            "backhaul.toml:4:9: `log.level` must be",
        ],
    );
    check(b"data = 'a'\n# \xff\n", &["backhaul.toml:2: not UTF-8 text"]);
    let output = backhaul(&["config", "check", "/nowhere/backhaul.toml"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read `/nowhere/backhaul.toml`"));
}

fn check(text: &[u8], words: &[&str]) {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let file = dir.path().join("backhaul.toml");
    std::fs::write(&file, text).expect("the file is written");
    let output = backhaul(&["config", "check", file.to_str().expect("a plain path")]);
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success() && output.stdout.is_empty());
    for word in words {
        assert!(told.contains(word), "{told}");
    }
}

fn backhaul(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_backhaul")).args(arguments).output().expect("the program runs")
}
