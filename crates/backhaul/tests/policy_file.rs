//! `backhaul policy`: the file, what it changes, and a running broker that takes it over or leaves it.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::rule::{RULES, RuleId, RuleState};
use policy::settings::Settings;
use server::{PolicySource, Running};

#[test]
fn the_committed_policy_is_fresh_right_and_has_every_rule() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.toml");
    let committed = std::fs::read_to_string(&path).unwrap();
    let printed = String::from_utf8(backhaul(&["policy", "docs"]).stdout).unwrap();
    assert!(committed == printed, "run `cargo run -- policy docs > docs/policy.toml`");
    assert!(backhaul(&["policy", "check", path.to_str().unwrap()]).status.success());
    for rule in RULES {
        let line = format!("\n{} = \"{}\"\n", rule.name, rule.default.word());
        assert!(printed.contains(&line), "{}", rule.name);
    }
    let schema: serde_json::Value = serde_json::from_slice(&backhaul(&["policy", "schema"]).stdout).unwrap();
    assert_eq!(schema["properties"]["hop_limit_max"]["default"], 1);
}

#[test]
fn another_value_of_any_number_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("new.toml");
    let schema: serde_json::Value = serde_json::from_slice(&backhaul(&["policy", "schema"]).stdout).unwrap();
    let numbers: Vec<(&String, i64)> = schema["properties"]
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(key, about)| Some((key, about["default"].as_i64()?, about["maximum"].as_i64()?)))
        .map(|(key, default, max)| (key, if default == max { default - 1 } else { default + 1 }))
        .collect();
    let text: String = numbers.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    std::fs::write(&file, text).unwrap();
    let data = dir.path().to_str().unwrap();
    let told = backhaul(&["policy", "diff", file.to_str().unwrap(), "--data", data]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(numbers.len() > 5, "{told}");
    for (key, _) in numbers {
        let times = told.split_whitespace().filter(|word| word == key).count();
        assert_eq!(times, 1, "{key} in {told}");
    }
}

#[test]
fn mistakes_are_told_with_their_place_and_nothing_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let wrong = dir.path().join("wrong.toml");
    std::fs::write(&wrong, "hop_limit_max = 9\n[rules]\nconsnt = 'off'\n").unwrap();
    for command in ["check", "apply", "diff", "test"] {
        let mut arguments = vec!["policy", command, wrong.to_str().unwrap()];
        if command != "check" {
            arguments.extend(["--data", data]);
        }
        let told = backhaul(&arguments);
        let text = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(!told.status.success(), "{command}");
        assert!(text.contains("wrong.toml:1:17: `hop_limit_max` must be"), "{command}: {text}");
        assert!(
            text.contains("wrong.toml:3:1: unknown rule `consnt`: did you mean `consent`?"),
            "{command}: {text}"
        );
    }
    assert!(!dir.path().join("policy.toml").exists());
}

#[test]
fn a_policy_is_shown_compared_and_applied_for_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let file = dir.path().join("new.toml");
    std::fs::write(&file, "hop_limit_max = 2\n[rules]\nconsent = 'observe'\n").unwrap();
    let run = |command: &str| {
        let told = backhaul(&["policy", command, file.to_str().unwrap(), "--data", data]);
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).unwrap()
    };
    let told = run("diff");
    assert!(told.contains("rule consent: enforce → observe"), "{told}");
    assert!(told.contains("rule hop-limit: hop_limit_max 1 → 2"), "{told}");
    assert!(run("apply").contains("holds from the next start"));
    assert_eq!(run("diff"), "Nothing would change.\n");
    let shown = backhaul(&["policy", "show", "--data", data]).stdout;
    assert_eq!(shown, std::fs::read(&file).unwrap());
    let listed = String::from_utf8(backhaul(&["policy", "rules", "--data", data]).stdout).unwrap();
    assert!(listed.lines().any(|line| line.starts_with("consent") && line.contains("observe")), "{listed}");
}

#[test]
fn a_running_broker_takes_a_changed_file_over_and_leaves_a_wrong_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.toml");
    let data = dir.path().to_str().unwrap();
    let running = start(dir.path());
    let in_force = || std::fs::read_to_string(PolicySource::copy_in_force(dir.path())).unwrap_or_default();
    assert_eq!(in_force(), "");

    let new = dir.path().join("new.toml");
    std::fs::write(&new, "hop_limit_max = 2\n[rules]\npublic-key = 'off'\n").unwrap();
    let told = backhaul(&["policy", "apply", new.to_str().unwrap(), "--data", data]);
    assert!(String::from_utf8_lossy(&told.stdout).contains("In force."), "{told:?}");
    assert_eq!(in_force(), std::fs::read_to_string(&new).unwrap());

    // A wrong file changes nothing; a right one after it does.
    std::fs::write(&file, "hop_limit_max = 'two'\n").unwrap();
    running.reload_policy();
    assert_eq!(in_force(), std::fs::read_to_string(&new).unwrap());
    std::fs::write(&file, "hop_limit_max = 3\n").unwrap();
    running.reload_policy();
    assert_eq!(in_force(), "hop_limit_max = 3\n");
    // Taken out, every default holds; nobody says so but the file, which is looked at again and again.
    std::fs::remove_file(&file).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while !in_force().is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(in_force(), "");
    running.stop();

    let told = String::from_utf8(backhaul(&["policy", "history", "--data", data]).stdout).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 8, "{told}");
    assert!(
        lines[0].contains("policy.toml was changed") && lines[1].contains("hop_limit_max 3 → 1"),
        "{told}"
    );
    assert!(lines[2].contains("policy.toml was changed"), "{told}");
    assert!(told.contains("rule public-key: off → observe"), "{told}");
    assert!(lines[5].contains("on the command line"), "{told}");
    assert!(
        lines[6].contains("public-key: observe → off") && lines[7].contains("hop_limit_max 1 → 2"),
        "{told}"
    );
}

#[test]
fn a_start_with_a_wrong_file_goes_on_with_what_was_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.toml");
    std::fs::write(&file, "hop_limit_max = 8\n").unwrap();
    let refused = source(dir.path()).start().err().unwrap();
    assert!(refused.contains("hop_limit_max"), "nothing was in force before: {refused}");
    std::fs::write(PolicySource::copy_in_force(dir.path()), "[rules]\nconsent = 'off'\n").unwrap();
    let started = source(dir.path()).start().unwrap();
    assert_eq!(started.settings.state(RuleId::Consent), RuleState::Off);
    let running = start(dir.path());
    running.stop();
    assert_eq!(
        std::fs::read_to_string(PolicySource::copy_in_force(dir.path())).unwrap(),
        "[rules]\nconsent = 'off'\n"
    );
}

fn source(data: &Path) -> PolicySource {
    let read = |text: &str| {
        let docs: Vec<config::RuleDoc> = RULES
            .iter()
            .map(|rule| config::RuleDoc {
                id: rule.name,
                default: config::RuleState::from_word(rule.default.word()).unwrap(),
                doc: rule.doc,
            })
            .collect();
        let file =
            config::PolicyFile::load(Path::new("policy.toml"), text, &docs).map_err(|e| e.to_string())?;
        let mut settings = Settings::default();
        settings.downlink.hop_limit_max = file.policy.hop_limit_max;
        for rule in RULES {
            let state = file.rule(rule.name).and_then(|state| RuleState::from_word(state.word()));
            settings.set_state(rule.id, state.unwrap_or(rule.default));
        }
        Ok(settings)
    };
    PolicySource {
        file: data.join("policy.toml"),
        data: data.to_owned(),
        bytes_max: config::POLICY_BYTES_MAX as u64,
        read: Arc::new(read),
        edit: Arc::new(|_, _| None),
    }
}

fn start(data: &Path) -> Running {
    let limits = broker::Limits::default();
    let rules = broker::ListenerRules::of(&limits, "mqtt");
    server::start(server::Settings {
        data: data.to_owned(),
        listeners: vec![server::ListenerSettings::tcp("127.0.0.1:0".parse().unwrap(), rules)],
        inherited: Vec::new(),
        stop_grace: Duration::ZERO,
        lab: false,
        limits,
        policy: source(data),
        keyring: mesh::keyring::Keyring::default(),
        node_name: "Backhaul".to_owned(),
        automation: Default::default(),
        alerts: None,
        mesh_name: "Test".to_owned(),
        bridges: Vec::new(),
        keep: Default::default(),
        preset: mesh::airtime::ModemPreset::LongFast,
        recorder: Some(history::RecorderOptions::default()),
        persistence: false,
        pages: None,
    })
    .unwrap()
}

fn backhaul(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_backhaul")).args(arguments).output().expect("the program runs")
}
