//! Which data folder a subcommand works on, and opening the directory in it.

use std::path::{Path, PathBuf};

use clap::Args;
use config::{Config, RuleDoc, RuleState};
use directory_store::Store;

/// Options that say which installation is meant.
#[derive(Args, Clone)]
pub struct Installation {
    /// Folder of all state; wins over the configuration file
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Installation {
    /// The configuration, which is all defaults without a file.
    pub fn config(&self) -> Result<Config, Box<dyn std::error::Error>> {
        match &self.config {
            Some(path) => read_config(path),
            None => Ok(Config::default(&rule_docs())),
        }
    }

    /// Opens the directory, making the folder on first use.
    pub fn open_or_make(&self, config: &Config) -> Result<Store, Box<dyn std::error::Error>> {
        Ok(Store::open(self.folder(config))?)
    }

    /// Opens a directory that is already there. A mistyped folder is an error and not a fresh, empty directory.
    pub fn open_present(&self, config: &Config) -> Result<Store, Box<dyn std::error::Error>> {
        let folder = self.folder(config);
        if !folder.join("directory.db").exists() {
            let folder = folder.display();
            return Err(format!(
                "no directory in `{folder}`: say where it is with --data, or add a client first"
            )
            .into());
        }
        Ok(Store::open(folder)?)
    }

    /// The folder of all state.
    pub fn folder<'a>(&'a self, config: &'a Config) -> &'a Path {
        self.data.as_deref().unwrap_or(&config.top.data)
    }
}

/// Reads a configuration file; the error says everything that is wrong with it.
pub fn read_config(path: &Path) -> Result<Config, Box<dyn std::error::Error>> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{shown}:{line}: not UTF-8 text")
    })?;
    Config::load(path, &text, &rule_docs()).map_err(|problems| {
        let count = problems.len();
        let things = if count == 1 { "mistake" } else { "mistakes" };
        format!("`{shown}` has {count} {things}\n{problems}").into()
    })
}

/// The policy's rules as the configuration documents them, in the order in which they are asked.
pub fn rule_docs() -> Vec<RuleDoc> {
    use policy::rule::RuleState as State;
    let docs = policy::rule::RULES.iter().map(|rule| {
        let default = match rule.default {
            State::Off => RuleState::Off,
            State::Observe => RuleState::Observe,
            State::Enforce => RuleState::Enforce,
        };
        RuleDoc { id: rule.name, default, doc: rule.doc }
    });
    docs.collect()
}
