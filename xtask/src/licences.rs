//! `cargo xtask licences`: the list of crates inside the program, with versions and licences, that the page about the
//! program shows. `tidy` says when it is stale.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::Value;

/// What the program is built for where it counts; crates of other systems are not inside.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Writes the list.
pub fn run(root: &Path) -> ExitCode {
    let written =
        list(root).and_then(|list| std::fs::write(file(root), list).map_err(|error| error.to_string()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// What is wrong with the list.
pub fn check(root: &Path) -> Option<String> {
    match list(root) {
        Err(why) => Some(why),
        Ok(list) => {
            let found = std::fs::read_to_string(file(root)).unwrap_or_default();
            (found != list).then(|| {
                "crates/web/assets/licences.txt: is stale; `cargo xtask licences` writes it".to_owned()
            })
        }
    }
}

fn file(root: &Path) -> PathBuf {
    root.join("crates/web/assets/licences.txt")
}

/// One crate in a line, by name: name, version, licence.
fn list(root: &Path) -> Result<String, String> {
    let arguments =
        ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", PLATFORM];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root).output();
    let output = output.map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let inside = inside(&metadata).ok_or("cargo metadata: not as expected")?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata: no packages")?;
    // Our own come from no registry.
    let others = packages.iter().filter(|package| !package["source"].is_null());
    let mut lines: BTreeSet<String> = BTreeSet::new();
    for package in others.filter(|package| package["id"].as_str().is_some_and(|id| inside.contains(id))) {
        let text = |key: &str| package[key].as_str().unwrap_or("unknown");
        lines.insert(format!("{}\t{}\t{}\n", text("name"), text("version"), licence(text("license"))));
    }
    Ok(lines.into_iter().collect())
}

/// A licence as SPDX writes it today: older manifests have a slash.
fn licence(text: &str) -> String {
    text.replace('/', " OR ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Ids of what the program is linked from: its dependencies and theirs, those for building and for tests aside.
fn inside(metadata: &Value) -> Option<BTreeSet<String>> {
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()?
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let packages = metadata["packages"].as_array()?;
    let program = packages.iter().find(|package| package["name"] == "backhaul")?["id"].as_str()?;
    let (mut found, mut ahead) = (BTreeSet::new(), vec![program]);
    while let Some(id) = ahead.pop() {
        if !found.insert(id.to_owned()) {
            continue;
        }
        for dependency in nodes.get(id)?["deps"].as_array()? {
            let is_linked = dependency["dep_kinds"].as_array()?.iter().any(|kind| kind["kind"].is_null());
            if is_linked {
                ahead.push(dependency["pkg"].as_str()?);
            }
        }
    }
    Some(found)
}
