//! The alerts' file in docs/ is the one that the program prints.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::path::Path;

#[test]
fn the_documented_alerts_file_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/alerts.toml");
    let committed = std::fs::read_to_string(path).unwrap();
    let printed = config::alerts_document();
    assert!(committed == printed, "run `cargo run -- alerts docs > docs/alerts.toml`");
    let file = config::AlertsFile::load(Path::new("alerts.toml"), &printed).unwrap();
    assert_eq!(file, config::AlertsFile::load(Path::new("alerts.toml"), "").unwrap());
}
