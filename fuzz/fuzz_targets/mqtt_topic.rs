//! A Topic Filter and a Topic Name, one per line: matching never panics and agrees with what is valid.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt::topic::{is_valid_filter, is_valid_name, matches};

const LEVELS_MAX: usize = 32;

fuzz_target!(|text: &str| {
    let (filter, name) = text.split_once('\n').unwrap_or((text, text));
    let _ = matches(filter, name);
    if !is_valid_name(name, LEVELS_MAX) {
        return;
    }
    assert!(is_valid_filter(name, LEVELS_MAX), "a name is a filter without wildcards");
    assert!(matches(name, name), "a name matches itself");
    assert_eq!(matches("#", name), !name.starts_with('$'));
    if is_valid_filter(filter, LEVELS_MAX) && !filter.contains(['+', '#']) {
        assert_eq!(matches(filter, name), filter == name);
    }
});
