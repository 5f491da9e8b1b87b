//! Which known word a mistyped one is near to.

/// Suggestions at most.
const SUGGESTIONS_MAX: usize = 3;
/// Longer words are not compared: nobody mistypes that much.
const WORD_CHARS_MAX: usize = 40;

/// The known words nearest to what was written, best first; none when nothing is near.
pub fn near<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let written = written.to_lowercase();
    let count = written.chars().count();
    if count == 0 || count > WORD_CHARS_MAX {
        return Vec::new();
    }
    let allowed = match count {
        0..=4 => 1,
        5..=7 => 2,
        _ => 3,
    };
    let mut found: Vec<(usize, &str)> = Vec::new();
    for word in known {
        let lower = word.to_lowercase();
        if lower.chars().count() > WORD_CHARS_MAX {
            continue;
        }
        let is_beginning = count >= 2 && lower.starts_with(&written);
        let distance = if is_beginning { 0 } else { distance(&written, &lower) };
        // A word of which every letter would change is another word.
        if distance <= allowed && distance < count.max(2) && !found.iter().any(|(_, w)| *w == word) {
            found.push((distance, word));
        }
    }
    found.sort_by_key(|(distance, word)| (*distance, word.len()));
    let best = found.first().map_or(0, |f| f.0);
    let near = found.into_iter().filter(|(distance, _)| *distance == best);
    near.take(SUGGESTIONS_MAX).map(|(_, word)| word.to_owned()).collect()
}

/// Letters put in, left out, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut least = (above[j] + 1).min(row[j - 1] + 1);
            least = least.min(above[j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_seen_through_and_other_words_are_not() {
        let known = ["port", "packet", "verdict", "position", "hops"];
        for (written, expected) in [
            ("prot", &["port"][..]),
            ("verdcit", &["verdict"]),
            ("pos", &["position", "port"][..1]),
            ("HOP", &["hops"]),
            ("zebra", &[]),
            ("", &[]),
        ] {
            assert_eq!(
                near(written, known).first().map(String::as_str),
                expected.first().copied(),
                "{written}"
            );
        }
    }
}
