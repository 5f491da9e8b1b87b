//! Topic Names and Topic Filters (§ 4.7): what is valid, and what matches.

/// Whether this is a valid Topic Name: not empty, no wildcards, not too deep. [MQTT-4.7.1-1] [MQTT-4.7.3-1]
pub fn is_valid_name(name: &str, levels_max: usize) -> bool {
    !name.is_empty()
        && name.len() <= usize::from(u16::MAX)
        && !name.contains(['+', '#', '\0'])
        && name.split('/').count() <= levels_max
}

/// Whether this is a valid Topic Filter: wildcards fill whole levels, `#` comes last. [MQTT-4.7.1-1] [MQTT-4.7.1-2]
pub fn is_valid_filter(filter: &str, levels_max: usize) -> bool {
    if filter.is_empty() || filter.len() > usize::from(u16::MAX) || filter.contains('\0') {
        return false;
    }
    let mut levels = filter.split('/').peekable();
    let mut count = 0;
    while let Some(level) = levels.next() {
        count += 1;
        let is_last = levels.peek().is_none();
        let is_good = match level {
            "#" => is_last,
            "+" => true,
            _ => !level.contains(['+', '#']),
        };
        if !is_good {
            return false;
        }
    }
    count <= levels_max
}

/// Whether the filter asks for a Shared Subscription (§ 4.8.2).
pub fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}

/// The share name and the filter of a Shared Subscription, `$share/{name}/{filter}`; `None` when it is none or the name
/// is empty, holds a wildcard, or nothing follows it. [MQTT-4.8.2-1] [MQTT-4.8.2-2]
pub fn split_shared(filter: &str) -> Option<(&str, &str)> {
    let (name, filter) = filter.strip_prefix("$share/")?.split_once('/')?;
    let is_good = !name.is_empty() && !name.contains(['+', '#']) && !filter.is_empty();
    is_good.then_some((name, filter))
}

/// Whether a valid filter matches a valid name. Wildcards at the start match no name that begins with `$`.
/// [MQTT-4.7.2-1]
pub fn matches(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = name.split('/');
    let mut filters = filter.split('/');
    loop {
        match (filters.next(), names.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(f), Some(n)) if f == n => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_the_specification() {
        for (filter, valid) in [
            ("sport/tennis/#", true),
            ("#", true),
            ("+", true),
            ("+/tennis/#", true),
            ("/+", true),
            ("sport/tennis#", false),
            ("sport/tennis/#/ranking", false),
            ("sport+", false),
            ("", false),
            ("a/b/c/d/e", false),
        ] {
            assert_eq!(is_valid_filter(filter, 4), valid, "{filter}");
        }
        assert!(is_valid_name("a//b", 4) && !is_valid_name("a/+", 4) && !is_valid_name("", 4));
    }

    #[test]
    fn a_shared_subscription_has_a_name_and_a_filter() {
        for (filter, expected) in [
            ("$share/consumer/sport/#", Some(("consumer", "sport/#"))),
            ("$share/consumer//finance", Some(("consumer", "/finance"))),
            ("$share/consumer/$SYS/#", Some(("consumer", "$SYS/#"))),
            ("$share/consumer", None),
            ("$share/consumer/", None),
            ("$share//sport", None),
            ("$share/con+/sport", None),
            ("$share/#/sport", None),
            ("share/consumer/sport", None),
            ("$SHARE/consumer/sport", None),
        ] {
            assert_eq!(split_shared(filter), expected, "{filter}");
        }
    }

    #[test]
    fn a_hash_matches_its_parent() {
        assert!(
            matches("sport/#", "sport") && matches("sport/+/#", "sport/a") && !matches("sport/+", "sport")
        );
        assert!(!matches("#", "$SYS/a") && matches("$SYS/#", "$SYS/a"));
    }
}
