//! Everything that must hold before a change lands, in the order that fails soonest.

use std::path::Path;
use std::process::ExitCode;

use crate::setup::{self, run_command};

pub fn run(root: &Path) -> ExitCode {
    if let Err(error) = std::env::set_current_dir(root) {
        eprintln!("test: {}: {error}", root.display());
        return ExitCode::FAILURE;
    }
    if setup::run(root) != ExitCode::SUCCESS {
        return ExitCode::FAILURE;
    }
    let pytest = root.join("target/test-venv/bin/pytest").display().to_string();
    let steps: &[(&str, &[&str])] = &[
        ("cargo", &["fmt", "--all", "--check"]),
        ("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]),
        ("cargo", &["nextest", "run", "--workspace", "--no-fail-fast"]),
        ("cargo", &["check", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target/fuzz"]),
        ("cargo", &["build", "--quiet", "--package", "backhaul"]),
        (&pytest, &["tests", "--quiet"]),
    ];
    for (program, arguments) in steps {
        println!("\n== {program} {}", arguments.join(" "));
        if let Err(what) = run_command(program, arguments) {
            eprintln!("test: {what}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
