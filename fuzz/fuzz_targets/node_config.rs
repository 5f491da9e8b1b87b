//! Configurations of nodes, in whichever format: every file gets an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use preflight::checks::check;
use preflight::expected::Expected;
use preflight::read::read;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = read(bytes) {
        let report = check(&config, &Expected::default());
        assert!(report.findings.len() >= preflight::checks::CHECKS.len(), "every check answers");
    }
});
