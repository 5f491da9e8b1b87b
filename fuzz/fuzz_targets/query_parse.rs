//! Any text: read or refused with its place, written back the same, completed anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;
use query::{NodeName, Query, Surroundings, TEXT_BYTES_MAX, Vocabulary, complete};

fuzz_target!(|text: &str| {
    let names = [NodeName { node: 0x7c5a_0a01, long: "Liberty Water Tower".into(), short: "LIB1".into() }];
    match Query::parse(text) {
        Ok(query) => {
            let written = query.to_string();
            // Quotes make a text longer, and one that is too long is refused.
            if written.len() <= TEXT_BYTES_MAX {
                assert_eq!(Query::parse(&written).as_ref(), Ok(&query), "{written}");
            }
            let _ = query.bind(&Surroundings { now_ms: 1_795_435_200_000, names: &names, islands: &[] });
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(text.get(problem.span.clone()).is_some());
                problem.pointed_at(text);
            }
        }
    }
    let at = text.len() / 2;
    for completion in complete(text, at, &Vocabulary { names: &names, ..Vocabulary::default() }) {
        assert!(text.get(completion.replaces).is_some());
    }
});
