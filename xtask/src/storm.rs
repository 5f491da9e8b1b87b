//! Storms around the broker value, for as long as you like: `cargo xtask storm --seeds N | --minutes N [--seed X]`.

use std::path::Path;
use std::process::{Command, ExitCode};

pub fn run(root: &Path) -> ExitCode {
    let status = Command::new("cargo")
        .current_dir(root)
        .args(["run", "--quiet", "--release", "--package", "storm", "--example", "storm", "--"])
        .args(std::env::args().skip(2))
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("storm: cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
