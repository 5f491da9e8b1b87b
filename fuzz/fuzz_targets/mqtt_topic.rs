//! A filter and a name, a line each: matching agrees with a comparison level by level.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt::topic::{is_valid_filter, is_valid_name, matches, split_shared};

const LEVELS_MAX: usize = 64;

fuzz_target!(|text: &str| {
    let Some((filter, name)) = text.split_once('\n') else { return };
    if let Some((share, inner)) = split_shared(filter) {
        assert!(!share.is_empty() && !inner.is_empty());
        assert!(!is_valid_filter(inner, LEVELS_MAX) || is_valid_filter(filter, LEVELS_MAX + 2));
    }
    if !is_valid_filter(filter, LEVELS_MAX) || !is_valid_name(name, LEVELS_MAX) {
        return;
    }
    let (filters, names): (Vec<_>, Vec<_>) = (filter.split('/').collect(), name.split('/').collect());
    let is_hidden = name.starts_with('$') && matches!(filters[0], "+" | "#");
    assert_eq!(matches(filter, name), !is_hidden && by_levels(&filters, &names));
    assert!(is_valid_filter(name, LEVELS_MAX) && matches(name, name), "a name is a filter without wildcards");
});

fn by_levels(filter: &[&str], name: &[&str]) -> bool {
    match (filter.split_first(), name.split_first()) {
        (Some((&"#", _)), _) => true,
        (Some((f, filter)), Some((n, name))) => (*f == "+" || f == n) && by_levels(filter, name),
        (None, None) => true,
        _ => false,
    }
}
