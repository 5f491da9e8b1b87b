//! Which filters match which names (§ 4.7): the specification's examples, and what must hold for all.

use mqtt::topic::{is_valid_filter, is_valid_name, matches};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn filters_match_as_the_specification_says() {
    for (filter, name, expected) in [
        // § 4.7.1.2
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/tennis/player1/#", "sport/tennis/player2", false),
        ("sport/tennis/player1/#", "sport/tennis/player11", false),
        ("sport/#", "sport", true),
        ("sport/#", "sports", false),
        ("sport/#", "", false),
        ("#", "a", true),
        ("#", "/", true),
        ("#", "a/b/c", true),
        // § 4.7.1.3
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player2", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+", "a", true),
        ("+", "/a", false),
        ("+", "", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("+/tennis/#", "sport/tennis", true),
        ("+/tennis/#", "/tennis/a/b", true),
        ("+/tennis/#", "tennis/a", false),
        ("+/+/+", "a/b", false),
        ("+/+/#", "a/b", true),
        ("+/+/#", "a", false),
        // § 4.7.2
        ("#", "$SYS/uptime", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("+", "$SYS", false),
        ("+/#", "$SYS/a", false),
        ("$SYS/#", "$SYS/uptime", true),
        ("$SYS/#", "$SYS", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("a/+", "a/$b", true),
        ("a/#", "a/$b", true),
        // § 4.7.3: case, empty levels and the last slash matter
        ("ACCOUNTS", "Accounts", false),
        ("/finance", "finance", false),
        ("finance", "/finance", false),
        ("a/", "a", false),
        ("a", "a/", false),
        ("a//b", "a//b", true),
        ("a/+/b", "a//b", true),
        ("a/b", "a/b", true),
        ("a b", "a b", true),
        ("é", "é", true),
        // What gateways use.
        ("msh/2/e/LongFast/+", "msh/2/e/LongFast/!7c5a0a01", true),
        ("msh/+/2/e/#", "msh/US/2/e/LongFast/!7c5a0a01", true),
        ("msh/2/e/PKI/+", "msh/2/e/LongFast/!7c5a0a01", false),
    ] {
        assert_eq!(matches(filter, name), expected, "{filter} and {name}");
    }
}

#[test]
fn names_and_filters_have_limits() {
    for (name, is_name, is_filter) in [
        ("", false, false),
        ("/", true, true),
        ("a\0b", false, false),
        ("a/+", false, true),
        ("a/+b", false, false),
        ("a/b+", false, false),
        ("+a", false, false),
        ("++", false, false),
        ("#", false, true),
        ("#/a", false, false),
        ("##", false, false),
        ("a/#", false, true),
        ("a#", false, false),
        ("a/#b", false, false),
        ("a/#/", false, false),
        ("+/+/+/+", false, true),
        ("a/b/c/d", true, true),
        ("a/b/c/d/", false, false),
        ("////", false, false),
    ] {
        assert_eq!((is_valid_name(name, 4), is_valid_filter(name, 4)), (is_name, is_filter), "{name:?}");
    }
    let longest = "a".repeat(65_535);
    assert!(is_valid_name(&longest, 1) && is_valid_filter(&longest, 1));
    let longer = "a".repeat(65_536);
    assert!(!is_valid_name(&longer, 1) && !is_valid_filter(&longer, 1));
}

proptest! {
    #[test]
    fn a_filter_made_of_a_name_matches_it(levels in levels(), wild in vec(any::<bool>(), 9), hash_at in 0usize..9) {
        let name = levels.join("/");
        prop_assume!(!name.starts_with('$') && is_valid_name(&name, 9));
        let mut filter: Vec<&str> = levels.iter().zip(&wild).map(|(l, w)| if *w { "+" } else { l.as_str() }).collect();
        prop_assert!(matches(&filter.join("/"), &name));
        if hash_at <= filter.len() {
            filter.truncate(hash_at);
            filter.push("#");
            prop_assert!(is_valid_filter(&filter.join("/"), 10));
            prop_assert!(matches(&filter.join("/"), &name));
        }
    }

    #[test]
    fn a_filter_with_another_level_does_not(levels in levels(), at in any::<prop::sample::Index>()) {
        let name = levels.join("/");
        let mut filter = levels.clone();
        let at = at.index(filter.len());
        filter[at].push('x');
        prop_assert!(!matches(&filter.join("/"), &name));
        filter[at] = "+".into();
        filter.push("+".into());
        prop_assert!(!matches(&filter.join("/"), &name), "a level more");
    }

    #[test]
    fn it_is_what_level_by_level_comparison_says(filter in wild_levels(), name in levels()) {
        prop_assume!(is_valid_filter(&filter.join("/"), 9));
        let is_hidden = name[0].starts_with('$') && matches!(filter[0].as_str(), "+" | "#");
        let expected = !is_hidden && by_levels(&filter, &name);
        prop_assert_eq!(matches(&filter.join("/"), &name.join("/")), expected);
    }
}

/// The rule without cleverness.
fn by_levels(filter: &[String], name: &[String]) -> bool {
    match (filter.split_first(), name.split_first()) {
        (Some((first, _)), _) if first == "#" => true,
        (Some((f, filter)), Some((n, name))) => (f == "+" || f == n) && by_levels(filter, name),
        (None, None) => true,
        _ => false,
    }
}

fn levels() -> impl Strategy<Value = Vec<String>> {
    vec("[ab$]{0,2}", 1..5)
}

fn wild_levels() -> impl Strategy<Value = Vec<String>> {
    vec(prop_oneof![Just("+".to_string()), Just("#".to_string()), "[ab$]{0,2}"], 1..5)
}
