//! The subcommands that say who may connect, run as people run them.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::path::Path;
use std::process::{Command, Output};

use directory::{AuthRefusal, Role};
use directory_store::Store;
use tempfile::TempDir;

#[test]
fn an_added_gateway_can_sign_in_with_what_was_printed() {
    let dir = folder();
    let out = stdout(&run(
        &dir,
        &["gateway", "add", "!7c5a0a01", "--owner", "Ada", "--address", "mesh.example.org"],
    ));
    let password = field(&out, "password");
    assert_eq!(field(&out, "username"), "gw-7c5a0a01");
    assert_eq!(password.len(), 26);
    let store = Store::open(dir.path()).unwrap();
    let directory = store.load().unwrap();
    let credential = directory.authenticate("gw-7c5a0a01", password.as_bytes(), store.token_key()).unwrap();
    assert_eq!(credential.role.gateway_id().unwrap().to_string(), "!7c5a0a01");
    assert_eq!(credential.owner.as_ref().unwrap().name, "Ada");
}

/// The pasted lines are run by a real shell, with a `meshtastic` that tells what it was given.
#[test]
fn the_printed_commands_survive_a_shell() {
    let dir = folder();
    let config = dir.path().join("backhaul.toml");
    std::fs::write(&config, "[mesh]\nroot = \"O'Hara/$HOME `x`\"\n").unwrap();
    let config = config.to_str().unwrap();
    let out = stdout(&run(
        &dir,
        &["gateway", "add", "!7c5a0a01", "--owner", "Ada", "--address", "10.0.0.1:1884", "--config", config],
    ));
    let password = field(&out, "password");
    let lines: Vec<&str> = out.lines().filter(|line| line.starts_with("meshtastic ")).collect();
    let script = format!("meshtastic() {{ printf '%s\\n' \"$@\"; }}\n{}", lines.join("\n"));
    let told = Command::new("sh").args(["-c", &script]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let expected = [
        "--set",
        "mqtt.address",
        "10.0.0.1:1884",
        "--set",
        "mqtt.username",
        "gw-7c5a0a01",
        "--set",
        "mqtt.password",
        password,
        "--set",
        "mqtt.root",
        "O'Hara/$HOME `x`",
        "--set",
        "mqtt.encryption_enabled",
        "true",
        "--set",
        "mqtt.enabled",
        "true",
        "--ch-index",
        "0",
        "--ch-set",
        "uplink_enabled",
        "true",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn an_address_made_from_this_machine_says_so_and_keeps_the_port() {
    let dir = folder();
    let config = dir.path().join("backhaul.toml");
    std::fs::write(&config, "[mqtt]\nlisten = '0.0.0.0:2883'\n").unwrap();
    let out = stdout(&run(
        &dir,
        &["gateway", "add", "!7c5a0a01", "--owner", "Ada", "--config", config.to_str().unwrap()],
    ));
    assert!(out.contains(":2883' --set mqtt.username"), "{out}");
    assert!(out.contains("is this machine's name"), "{out}");
}

#[test]
fn a_node_is_told_to_speak_tls_where_other_machines_can_only_do_that() {
    let secure = "[[listener]]\nname = 's'\naddress = '[::]:8884'\nkind = 'tls'\n";
    for (text, is_tls, port) in [
        ("[mqtt]\nlisten = '127.0.0.1:1883'\n", true, ":8884"),
        ("[mqtt]\nlisten = 'none'\n", true, ":8884"),
        ("[mqtt]\nlisten = '0.0.0.0:1885'\n", false, ":1885"),
    ] {
        let dir = folder();
        let config = dir.path().join("backhaul.toml");
        std::fs::write(&config, format!("{text}{secure}")).unwrap();
        let out = stdout(&run(
            &dir,
            &["gateway", "add", "!7c5a0a01", "--owner", "Ada", "--config", config.to_str().unwrap()],
        ));
        assert_eq!(out.contains("--set mqtt.tls_enabled true"), is_tls, "{out}");
        assert!(out.contains(&format!("{port}'")), "{out}");
    }
}

#[test]
fn rotate_replaces_the_password_and_prints_the_next() {
    let dir = folder();
    let first = add_gateway(&dir);
    let out = stdout(&run(&dir, &["gateway", "rotate", "!7c5a0a01"]));
    let second = field(&out, "password").to_owned();
    assert_ne!(first, second);
    assert!(
        out.contains(&format!("meshtastic --set mqtt.username 'gw-7c5a0a01' --set mqtt.password '{second}'")),
        "{out}"
    );
    assert_eq!(sign_in(dir.path(), "gw-7c5a0a01", &first), Err(AuthRefusal::WrongPassword));
    assert_eq!(sign_in(dir.path(), "gw-7c5a0a01", &second), Ok(()));
}

#[test]
fn disable_enable_and_remove_do_what_they_say() {
    let dir = folder();
    let password = add_gateway(&dir);
    let check = |word: &str, expected: Result<(), AuthRefusal>| {
        // By node id or by username, as one likes.
        stdout(&run(&dir, &["gateway", word, if word == "enable" { "gw-7c5a0a01" } else { "!7c5a0a01" }]));
        assert_eq!(sign_in(dir.path(), "gw-7c5a0a01", &password), expected, "{word}");
    };
    check("disable", Err(AuthRefusal::Disabled));
    check("enable", Ok(()));
    check("remove", Err(AuthRefusal::UnknownUser));
}

#[test]
fn observers_and_services_are_added_with_their_rights() {
    let dir = folder();
    let observer = stdout(&run(&dir, &["observer", "add", "wall"]));
    let service =
        stdout(&run(&dir, &["service", "add", "home", "--prefix", "homeassistant/", "--owner", "Bob"]));
    assert_eq!(sign_in(dir.path(), "wall", field(&observer, "password")), Ok(()));
    assert_eq!(sign_in(dir.path(), "home", field(&service, "password")), Ok(()));
    assert!(!observer.contains("meshtastic"), "{observer}");
    let directory = Store::open(dir.path()).unwrap().load().unwrap();
    assert_eq!(directory.credential("wall").unwrap().role, Role::Observer);
    assert!(
        matches!(&directory.credential("home").unwrap().role, Role::Service { prefix } if prefix.covers("homeassistant/x"))
    );
}

#[test]
fn list_and_show_tell_all_but_secrets() {
    let dir = folder();
    let password = add_gateway(&dir);
    stdout(&run(&dir, &["observer", "add", "wall"]));
    stdout(&run(&dir, &["gateway", "disable", "!7c5a0a01"]));
    let table = stdout(&run(&dir, &["gateway", "list"]));
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains("gateway !7c5a0a01  disabled 20") && table.contains("Ada"), "{table}");
    let json = stdout(&run(&dir, &["gateway", "list", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["gateway"], "!7c5a0a01");
    assert_eq!(json[0]["contact"], "ada@example.org");
    assert!(json[0]["disabled_ms"].is_u64());
    assert_eq!(json.as_array().unwrap().len(), 1);
    let shown = stdout(&run(&dir, &["gateway", "show", "!7c5a0a01"]));
    assert!(shown.contains("contact   ada@example.org") && shown.contains("note      roof"), "{shown}");
    for text in [table, json.to_string(), shown] {
        assert!(!text.contains(&password));
    }
    let none = stdout(&run(&dir, &["service", "list"]));
    assert!(none.starts_with("No service yet"), "{none}");
}

#[test]
fn mistakes_are_told_in_words_and_change_nothing() {
    let dir = folder();
    add_gateway(&dir);
    let check = |arguments: &[&str], words: &str| {
        let output = run(&dir, arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(words), "{arguments:?}: {told}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    };
    check(
        &["gateway", "add", "!7c5a0a01", "--owner", "Bob"],
        "a credential of this name exists already: gateway `gw-7c5a0a01`",
    );
    check(
        &["gateway", "add", "7C5A0A02", "--owner", "Bob"],
        "node id must be `!` and 8 lower-case hex digits",
    );
    check(&["gateway", "add", "!7c5a0a02"], "--owner <NAME>");
    check(
        &["gateway", "add", "!7c5a0a02", "--owner", "Bob", "--address", "mqtt://x"],
        "address must be a host name",
    );
    check(&["gateway", "disable", "!00000009"], "no gateway is named `!00000009`");
    check(&["gateway", "show", "!9"], "node id must be");
    check(&["observer", "disable", "gw-7c5a0a01"], "`gw-7c5a0a01` is a gateway: use `backhaul gateway`");
    check(&["observer", "add", "gw-x"], "names that start with `gw-` are kept for gateways");
    check(&["service", "add", "home", "--prefix", "a/#"], "topic prefix `a/#` has a wildcard");
    let directory = Store::open(dir.path()).unwrap().load().unwrap();
    assert_eq!(directory.credentials().len(), 1);
}

#[test]
fn a_mistyped_folder_is_an_error_and_is_not_made() {
    let dir = folder();
    let wrong = dir.path().join("wrong");
    let output = backhaul(&["gateway", "list", "--data", wrong.to_str().unwrap()]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("no directory in"), "{told}");
    assert!(!wrong.exists());
}

#[test]
fn edits_from_the_command_line_are_in_the_audit() {
    let dir = folder();
    add_gateway(&dir);
    let lines = Store::open(dir.path()).unwrap().audit(5).unwrap();
    assert_eq!(
        (lines[0].actor.as_str(), lines[0].words.as_str()),
        ("command line", "added gateway !7c5a0a01 (gw-7c5a0a01)")
    );
}

#[test]
fn people_are_invited_by_a_link_that_sets_their_password() {
    let dir = folder();
    let out = stdout(&run(&dir, &["people", "add", "ada", "admin"]));
    let code = out.trim_end().rsplit("/setup#").next().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let whose = store.redeem_code(code, "correct horse battery", 0).unwrap();
    assert_eq!(whose.unwrap().as_str(), "ada");
    assert!(
        stdout(&run(&dir, &["people", "list"]))
            .starts_with("ada                      admin     has a password")
    );
    let refused = run(&dir, &["people", "remove", "ada"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("last admin"));
    let refused = run(&dir, &["people", "role", "ada", "king"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`observer`, `operator` or `admin`"));
}

fn add_gateway(dir: &TempDir) -> String {
    let arguments = [
        "gateway",
        "add",
        "!7c5a0a01",
        "--owner",
        "Ada",
        "--contact",
        "ada@example.org",
        "--note",
        "roof",
        "--json",
        "--address",
        "mesh.example.org",
    ];
    let printed: serde_json::Value = serde_json::from_str(&stdout(&run(dir, &arguments))).expect("JSON");
    printed["password"].as_str().expect("a password").to_owned()
}

fn sign_in(data: &Path, username: &str, password: &str) -> Result<(), AuthRefusal> {
    let store = Store::open(data).expect("the store opens");
    let directory = store.load().expect("the directory loads");
    directory.authenticate(username, password.as_bytes(), store.token_key()).map(|_| ())
}

fn run(dir: &TempDir, arguments: &[&str]) -> Output {
    let data = dir.path().to_str().expect("a plain path");
    backhaul(&[arguments, &["--data", data]].concat())
}

fn backhaul(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_backhaul")).args(arguments).output().expect("the program runs")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
    line.expect("the field is printed").trim()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}
