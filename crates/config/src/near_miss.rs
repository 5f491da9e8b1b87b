//! "Did you mean": the word that a typing mistake was probably meant to be. Knows no configuration.

/// Finds the candidate nearest to `seen`, if it is near enough to be a slip: a third of its letters, at most three.
pub(crate) fn near_miss<'a>(seen: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let normal = |text: &str| text.to_lowercase().replace('-', "_");
    // A long text is no slip of a word, and comparing it would cost the square of its length.
    if seen.chars().count() > 64 {
        return None;
    }
    let seen = normal(seen);
    candidates
        .into_iter()
        .map(|candidate| (distance(&seen, &normal(candidate)), candidate))
        .filter(|(far, candidate)| *far <= (candidate.chars().count().max(3) / 3).min(3))
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// Edit distance in which swapping two neighbouring letters is one slip (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for row in 1..=left.len() {
        let mut next = vec![row; right.len() + 1];
        for column in 1..=right.len() {
            let same = left[row - 1] == right[column - 1];
            next[column] =
                (last[column] + 1).min(next[column - 1] + 1).min(last[column - 1] + usize::from(!same));
            let swapped = row > 1
                && column > 1
                && left[row - 1] == right[column - 2]
                && left[row - 2] == right[column - 1];
            if swapped {
                next[column] = next[column].min(before_last[column - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, next);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let words = ["listen", "max_packet_size", "off", "observe", "enforce"];
        let check =
            |seen: &str, expected: Option<&str>| assert_eq!(near_miss(seen, words), expected, "{seen}");
        check("listn", Some("listen"));
        check("litsen", Some("listen"));
        check("max-packet-size", Some("max_packet_size"));
        check("Enforce", Some("enforce"));
        check("of", Some("off"));
        check("enforced", Some("enforce"));
        check("banana", None);
        check("", None);
        check(&"x".repeat(10_000), None);
    }
}
