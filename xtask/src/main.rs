//! Chores of this repository: `cargo xtask tidy` checks the shape of the tree, `cargo xtask setup` installs what the
//! tests need, `cargo xtask test` runs everything that CI runs, `cargo xtask storm` runs simulated storms for as long as
//! you like, `cargo xtask conformance` runs suites that were not written here,
//! `cargo xtask licences` lists the crates inside the program.

mod conformance;
mod licences;
mod setup;
mod statements;
mod storm;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let word = std::env::args().nth(1).unwrap_or_default();
    let root = root();
    match word.as_str() {
        "tidy" => tidy::run(&root),
        "setup" => setup::run(&root),
        "test" => test::run(&root),
        "conformance" => conformance::run(&root),
        "storm" => storm::run(&root),
        "licences" => licences::run(&root),
        _ => {
            eprintln!("usage: cargo xtask tidy | setup | test | storm | conformance | licences");
            ExitCode::from(2)
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}
