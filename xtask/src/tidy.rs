//! The shape of the tree, checked: which crate may import which, what pure crates must not mention, what every file
//! begins with. Runs as a test with all the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A crate may depend on crates of lower layers only. `pure` crates have no clock, socket, file, thread or randomness.
struct Layer {
    name: &'static str,
    layer: u8,
    pure: bool,
}

const fn pure(name: &'static str, layer: u8) -> Layer {
    Layer { name, layer, pure: true }
}

const fn edge(name: &'static str, layer: u8) -> Layer {
    Layer { name, layer, pure: false }
}

const LAYERS: &[Layer] = &[
    pure("mqtt", 1),
    pure("mesh", 1),
    pure("directory", 1),
    pure("doorway", 1),
    pure("policy", 2),
    pure("city", 2),
    pure("preflight", 2),
    pure("record", 3),
    edge("config", 3),
    edge("directory-store", 3),
    pure("broker", 4),
    pure("bridge", 3),
    pure("automation", 5),
    pure("query", 4),
    pure("insight", 4),
    edge("history", 5),
    pure("storm", 5),
    pure("backtest", 4),
    pure("trial", 5),
    edge("session-store", 5),
    edge("alerting", 6),
    edge("exports", 6),
    edge("web", 7),
    edge("server", 8),
    edge("backhaul", 9),
    edge("versus", 9),
    edge("bench", 9),
];

/// `mqtt` does not know Meshtastic, `mesh` does not know MQTT: layer 1 crates depend on nothing of ours, which the
/// layer rule already says. What pure crates may take from outside is listed, because each is a promise.
const PURE_MAY_USE: &[&str] = &[
    "aes",
    "base64",
    "bytes",
    "ccm",
    "crc32fast",
    "ctr",
    "curve25519-dalek",
    "ed25519-dalek",
    "fastrand",
    "foldhash",
    "h3o",
    "hashbrown",
    "hmac",
    "ipnet",
    "jiff",
    "pbkdf2",
    "postcard",
    "serde",
    "serde-saphyr",
    "serde_json",
    "sha2",
    "slab",
    "smallvec",
    "subtle",
    "tungstenite",
    "zeroize",
];

const PURE_MUST_NOT_SAY: &[(&str, &str)] = &[
    ("std::fs", "bytes are given and returned; a crate at the edge reads files"),
    ("std::thread", "the caller decides what runs where"),
    ("std::net::Tcp", "sockets live in `server`"),
    ("std::net::Udp", "sockets live in `server`"),
    ("Instant::now", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("RandomState", "randomness is an argument; seed the hasher"),
    ("std::env", "settings are arguments"),
    ("tokio", "pure code has no runtime"),
    ("println!", "return text; the binary prints"),
];

const LINES_ASKED_ABOUT: usize = 700;

pub fn run(root: &Path) -> ExitCode {
    let mut complaints = complaints(root);
    complaints.extend(crate::licences::check(root));
    complaints.iter().for_each(|c| eprintln!("{c}"));
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn complaints(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let by_name: BTreeMap<&str, &Layer> = LAYERS.iter().map(|l| (l.name, l)).collect();
    for folder in crate_folders(root) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(layer) = by_name.get(name.as_str()) else {
            found.push(format!("crates/{name}: has no line in the layer table of xtask/src/tidy.rs"));
            continue;
        };
        check_imports(&folder, layer, &by_name, &mut found);
        for file in rust_files(&folder.join("src")) {
            check_file(root, &file, layer, &mut found);
        }
    }
    found
}

fn check_imports(folder: &Path, layer: &Layer, all: &BTreeMap<&str, &Layer>, found: &mut Vec<String>) {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    let Ok(manifest) = manifest.parse::<toml::Table>() else {
        found.push(format!("crates/{}/Cargo.toml: not TOML", layer.name));
        return;
    };
    let Some(dependencies) = manifest.get("dependencies").and_then(toml::Value::as_table) else { return };
    for dependency in dependencies.keys() {
        match all.get(dependency.as_str()) {
            Some(other) if other.layer >= layer.layer => found.push(format!(
                "crates/{}: imports `{dependency}` of layer {}, but is itself of layer {}; imports go down only",
                layer.name, other.layer, layer.layer
            )),
            Some(other) if layer.pure && !other.pure => found
                .push(format!("crates/{}: is pure and imports `{dependency}`, which is not", layer.name)),
            None if layer.pure && !PURE_MAY_USE.contains(&dependency.as_str()) => found.push(format!(
                "crates/{}: is pure and uses `{dependency}`, which is not in the list of xtask/src/tidy.rs",
                layer.name
            )),
            _ => {}
        }
    }
}

fn check_file(root: &Path, file: &Path, layer: &Layer, found: &mut Vec<String>) {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let shown = file.strip_prefix(root).unwrap_or(file).display().to_string();
    if !text.starts_with("//!") {
        found.push(format!("{shown}:1: begins without a `//!` line that says its subject"));
    }
    let code_lines = text.lines().take_while(|l| !l.trim_start().starts_with("mod tests"));
    if code_lines.count() > LINES_ASKED_ABOUT && !text.lines().take(12).any(|l| l.contains("one table")) {
        found.push(format!("{shown}: over {LINES_ASKED_ABOUT} lines; does it still have one subject?"));
    }
    if !layer.pure {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("mod tests") {
            break;
        }
        let code = line.split("//").next().unwrap_or_default();
        for (word, instead) in PURE_MUST_NOT_SAY {
            if code.contains(word) {
                found.push(format!("{shown}:{}: `{word}` in a pure crate; {instead}", number + 1));
            }
        }
    }
}

fn crate_folders(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> = std::fs::read_dir(root.join("crates"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("Cargo.toml").exists())
        .collect();
    folders.sort();
    folders
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let complaints = complaints(&crate::root());
        assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    }

    #[test]
    fn an_import_upward_and_a_clock_in_a_pure_crate_are_noticed() {
        let dir = std::env::temp_dir().join(format!("backhaul-tidy-{}", std::process::id()));
        let source = dir.join("crates/mqtt/src");
        std::fs::create_dir_all(&source).unwrap();
        std::fs::write(dir.join("crates/mqtt/Cargo.toml"), "[dependencies]\nbroker = \"1\"\ntokio = \"1\"\n")
            .unwrap();
        std::fs::write(source.join("lib.rs"), "fn f() { std::time::Instant::now(); }\n").unwrap();
        let complaints = complaints(&dir);
        std::fs::remove_dir_all(&dir).unwrap();
        for part in ["imports `broker`", "uses `tokio`", "`Instant::now`", "begins without"] {
            assert!(complaints.iter().any(|c| c.contains(part)), "{part} not in {complaints:?}");
        }
    }
}
