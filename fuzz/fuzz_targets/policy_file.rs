//! Whatever a policy file or a configuration says: it is understood, or every mistake has a place.
#![no_main]

use std::path::Path;

use config::{Config, PolicyFile, RuleDoc, RuleState, Secrets};
use libfuzzer_sys::fuzz_target;

const RULES: &[RuleDoc] = &[RuleDoc { id: "consent", default: RuleState::Enforce, doc: "Asks the sender." }];

struct NoSecrets;

impl Secrets for NoSecrets {
    fn file(&self, _: &Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

fuzz_target!(|text: &str| {
    let path = Path::new("fuzz.toml");
    let wrong = [
        PolicyFile::load(path, text, RULES).err(),
        Config::load_with(path, text, &NoSecrets).err(),
    ];
    for problems in wrong.into_iter().flatten() {
        assert!(!problems.to_string().is_empty());
    }
});
