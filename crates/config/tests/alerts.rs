//! The alerts' file: everything wrong is said with its place, and nothing secret is.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::path::Path;

use config::alert_keys::{TargetKind, When};
use config::{AlertsFile, Secrets, alerts_schema};
use proptest::prelude::*;

struct Vault;

impl Secrets for Vault {
    fn file(&self, path: &Path) -> std::io::Result<String> {
        match path.to_str() {
            Some("hook.secret") => Ok("hunter2\n".to_owned()),
            Some("hook.url") => Ok("https://example.org/hunter3\n".to_owned()),
            Some("empty") => Ok("\n".to_owned()),
            _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "TOKEN").then(|| "hunter4".to_owned())
    }
}

fn load(text: &str) -> Result<AlertsFile, String> {
    AlertsFile::load_with(Path::new("alerts.toml"), text, &Vault).map_err(|problems| problems.to_string())
}

#[test]
fn rules_and_targets_are_read_with_their_times_and_secrets() {
    let file = load(
        "targets = ['hook']\n[[rule]]\nname = 'r'\nwhen = 'absent'\nlasting = '2h'\n[[target]]\nname = 'hook'\n\
         url_file = 'hook.url'\nsecret_file = 'hook.secret'\n[[target]]\nname = 'n'\nkind = 'ntfy'\nurl = 'https://a.b/c'\n\
         secret_env = 'TOKEN'\n",
    )
    .unwrap();
    let rule = &file.rules[0];
    assert_eq!(
        (rule.keys.when, rule.lasting_ms, rule.within_ms, rule.line),
        (When::Absent, 7_200_000, 600_000, 2)
    );
    let [hook, ntfy] = &file.targets[..] else { panic!("two targets") };
    assert_eq!(hook.url.as_ref().unwrap().reveal(), "https://example.org/hunter3");
    assert_eq!(hook.secret.as_ref().unwrap().reveal(), "hunter2");
    assert_eq!((ntfy.keys.kind, ntfy.secret.as_ref().unwrap().reveal()), (TargetKind::Ntfy, "hunter4"));
    assert!(!format!("{file:?}").contains("hunter"), "secrets do not show");
}

#[test]
fn what_is_wrong_is_said_where_it_is() {
    let check = |text: &str, place: &str, wanted: &str| {
        let problems = load(text).unwrap_err();
        assert!(problems.contains(place) && problems.contains(wanted), "{text}: {problems}");
        assert!(!problems.contains("hunter"), "{problems}");
    };
    let target = |rest: &str| format!("[[target]]\nname = 't'\n{rest}\n");
    check("taget = 1", "alerts.toml:1:1", "unknown key");
    check("[[rule]]\nname = 'r'\nwhen = 'abset'", "alerts.toml:3:8", "did you mean \"absent\"?");
    check("[[rule]]\nwhen = 'match'", "alerts.toml:1", "needs `name`");
    check("[[rule]]\nname = 'r'\n[[rule]]\nname = 'r'", "alerts.toml:3", "appears twice");
    check(
        "[[rule]]\nname = 'r'\nwhen = 'above'\nvalue = 'x'\nlimit = 'high'",
        "alerts.toml:5:9",
        "must be a number",
    );
    check("[[rule]]\nname = 'r'\nover_after = '91d'", "alerts.toml:3:14", "such as 30s");
    check(&target("url = 'ftp://a'"), "alerts.toml:3:7", "address");
    check(&target("url_file = 'hook.secret'"), "alerts.toml:1", "must begin with https://");
    check(&target("url_file = 'none'"), "alerts.toml:3:12", "cannot be read");
    check(&target("url = 'https://a.b/c'\nurl_file = 'hook.url'"), "alerts.toml:4:12", "exclude");
    check(&target("url = 'https://a.b/c'\nsecret_file = 'empty'"), "alerts.toml:4:15", "empty");
    check(&target("kind = 'mqtt'"), "alerts.toml:1", "needs `topic`");
    check(&target("kind = 'mqtt'\ntopic = 'a/#'"), "alerts.toml:4:9", "must not have");
}

#[test]
fn the_schema_names_every_table() {
    let schema: serde_json::Value = serde_json::from_str(&alerts_schema()).unwrap();
    for key in ["targets", "quiet_hours", "rule", "target"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\[\\[(rule|target)\\]\\]|name|kind|url|area|within|=|'|\"|\n|[a-z0-9., ]){0,60}") {
        drop(load(&text));
    }
}
