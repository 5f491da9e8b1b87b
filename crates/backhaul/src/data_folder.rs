//! Which data folder a subcommand works on, and opening the directory in it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use config::{Config, Diagnostics, POLICY_BYTES_MAX, PairsKey, PolicyFile, RuleDoc, RuleState};
use directory_store::Store;
use mesh::node::NodeNum;
use policy::edit::Edit;

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
    /// The installation of a folder that was named, with its configuration file if there is one.
    pub fn at(data: &Path, config: Option<&Path>) -> Self {
        Self { data: Some(data.to_owned()), config: config.map(Path::to_owned) }
    }

    /// The configuration, which is all defaults without a file.
    pub fn config(&self) -> Result<Config, Box<dyn std::error::Error>> {
        match &self.config {
            Some(path) => read_config(path),
            None => Ok(Config::default()),
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
    let text = read_text(path, u64::MAX)?;
    Config::load(path, &text).map_err(|problems| all_wrong(path, &problems).into())
}

/// Where the policy's file is, whether or not it exists.
pub fn policy_path(config: &Config, data: &Path) -> PathBuf {
    config.top.policy.clone().unwrap_or_else(|| data.join("policy.toml"))
}

/// Where the broker's policy comes from.
pub fn policy_source(config: &Config, data: &Path) -> server::PolicySource {
    let file = policy_path(config, data);
    let shown = file.clone();
    server::PolicySource {
        file,
        data: data.to_owned(),
        bytes_max: POLICY_BYTES_MAX as u64,
        read: Arc::new(move |text| parse_policy(&shown, text)),
        edit: Arc::new(edited),
    }
}

/// A policy file's text with one change; `None` when a person must write that.
fn edited(text: &str, edit: Edit) -> Option<String> {
    let rules = rule_docs();
    let island_id = |number: u32| NodeNum(number).to_string();
    match edit {
        Edit::Rule(rule, state) => {
            config::with_rule_state(text, rule.name(), RuleState::from_word(state.word())?, &rules)
        }
        Edit::Pin { gateway, island } => {
            let island = island.map(island_id);
            let gateway = NodeNum(gateway).to_string();
            config::with_pair(text, PairsKey::Pinned, &gateway, island.as_deref(), &rules)
        }
        Edit::ModelOfIsland { island, model } => {
            let model = model.map(|model| model.name);
            config::with_pair(text, PairsKey::ModelOfIsland, &island_id(island), model, &rules)
        }
    }
}

/// Reads a policy file that has to exist; the error says everything that is wrong with it.
pub fn read_policy(path: &Path) -> Result<policy::settings::Settings, Box<dyn std::error::Error>> {
    Ok(parse_policy(path, &read_policy_text(path)?)?)
}

/// The text of a policy file.
pub fn read_policy_text(path: &Path) -> Result<String, Box<dyn std::error::Error>> {
    read_text(path, POLICY_BYTES_MAX as u64 + 1)
}

/// Reads the text of a policy file; the error says everything that is wrong with it.
pub fn parse_policy(path: &Path, text: &str) -> Result<policy::settings::Settings, String> {
    let file = PolicyFile::load(path, text, &rule_docs());
    file.map(|file| crate::settings::policy(&file)).map_err(|problems| all_wrong(path, &problems))
}

pub fn read_text(path: &Path, bytes_max: u64) -> Result<String, Box<dyn std::error::Error>> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(bytes_max).read_to_end(&mut bytes));
    read.map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{shown}:{line}: not UTF-8 text").into()
    })
}

pub fn all_wrong(path: &Path, problems: &Diagnostics) -> String {
    let count = problems.len();
    let things = if count == 1 { "mistake" } else { "mistakes" };
    format!("`{}` has {count} {things}\n{problems}", path.display())
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
