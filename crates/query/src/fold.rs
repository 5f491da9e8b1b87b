//! How texts are compared: upper and lower case alike, each run of white space as one space, no control characters.

/// The text as it is searched for and searched in. Folding what is folded changes nothing.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() {
            if !folded.ends_with(' ') {
                folded.push(' ');
            }
        } else if !c.is_control() {
            // Character by character, so that a part of a text folds as it does within the whole.
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(one), None) => folded.push(one),
                _ => folded.push(c),
            }
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_and_spaces_do_not_matter() {
        assert_eq!(fold("Net  TONIGHT\n at\u{7} Ñandú"), "net tonight at ñandú");
        assert_eq!(fold("İ"), "İ", "a letter that grows is left alone");
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in any::<String>()) {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }
    }
}
