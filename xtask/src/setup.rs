//! Installs what the tests need and a fresh Debian does not have: mosquitto's clients, Python packages, Chromium.

use std::path::Path;
use std::process::{Command, ExitCode};

const DEBIAN_PACKAGES: &[&str] = &[
    "mosquitto",
    "mosquitto-clients",
    "chromium",
    "chromium-driver",
    "python3",
    "pebble",
    "python3-venv",
    "fonts-dejavu-core",
];

pub fn run(root: &Path) -> ExitCode {
    match debian_packages().and_then(|()| test_runner()).and_then(|()| python_packages(root)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("setup: {what}");
            ExitCode::FAILURE
        }
    }
}

fn debian_packages() -> Result<(), String> {
    let installed = |package: &&str| {
        Command::new("dpkg-query")
            .args(["--show", "--showformat=${Status}", package])
            .output()
            .is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("install ok installed"))
    };
    let missing: Vec<&str> = DEBIAN_PACKAGES.iter().copied().filter(|p| !installed(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    as_root(&["apt-get", "update", "--quiet"])?;
    let mut install = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--quiet"];
    install.push("--no-install-recommends");
    install.extend(missing);
    as_root(&install)?;
    // The package starts a broker on port 1883, which is where ours listens.
    let stopped = Command::new("sh").args(["-c", "pkill --exact mosquitto; exit 0"]).status();
    stopped.map(drop).map_err(|e| format!("the mosquitto service could not be stopped: {e}"))
}

fn test_runner() -> Result<(), String> {
    let is_there =
        Command::new("cargo").args(["nextest", "--version"]).output().is_ok_and(|o| o.status.success());
    if is_there { Ok(()) } else { run_command("cargo", &["install", "--locked", "cargo-nextest"]) }
}

/// The virtual environment lies in `target`, so that `cargo clean` takes it away.
fn python_packages(root: &Path) -> Result<(), String> {
    let venv = root.join("target/test-venv");
    let wanted = root.join("tests/requirements.txt");
    let stamp = venv.join("requirements.txt");
    let text = std::fs::read_to_string(&wanted).map_err(|e| format!("{}: {e}", wanted.display()))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|done| done == text) {
        return Ok(());
    }
    let venv_text = venv.display().to_string();
    run_command("python3", &["-m", "venv", &venv_text])?;
    let pip = venv.join("bin/pip").display().to_string();
    run_command(&pip, &["install", "--quiet", "--requirement", &wanted.display().to_string()])?;
    std::fs::write(&stamp, text).map_err(|e| format!("{}: {e}", stamp.display()))
}

fn as_root(words: &[&str]) -> Result<(), String> {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0"));
    if is_root { run_command(words[0], &words[1..]) } else { run_command("sudo", words) }
}

/// Runs a command with its output shown.
pub fn run_command(program: &str, arguments: &[&str]) -> Result<(), String> {
    match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{program} {}` ended with {status}", arguments.join(" "))),
        Err(error) => Err(format!("`{program}` could not be run: {error}")),
    }
}
