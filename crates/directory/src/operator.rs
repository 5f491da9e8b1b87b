//! The operator's password as a stored hash. Knows how it looks, not how it is made or verified.

use std::fmt;

/// Fewest characters that the operator's password may have. Length is the rule that helps; there is no other.
pub const OPERATOR_PASSWORD_CHARS_MIN: usize = 10;

/// The operator's password, hashed with argon2id and written as a PHC string.
///
/// Hashing takes tens of milliseconds and memory on purpose, so it is done on a thread of its own by the
/// store and never on the publish path.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorPassword(String);

impl OperatorPassword {
    /// Takes a PHC string; only argon2id is accepted.
    pub fn from_phc(text: String) -> Result<OperatorPassword, OperatorPasswordError> {
        let fields = text.split('$').count();
        if !text.starts_with("$argon2id$") || fields != 6 {
            return Err(OperatorPasswordError::NotArgon2id);
        }
        Ok(OperatorPassword(text))
    }

    /// The PHC string, for verifying and storing.
    pub fn as_phc(&self) -> &str {
        &self.0
    }

    /// Checks a password that the operator wants to set, before it is hashed.
    pub fn check_choice(password: &str) -> Result<(), OperatorPasswordError> {
        let chars = password.chars().count();
        if chars < OPERATOR_PASSWORD_CHARS_MIN {
            return Err(OperatorPasswordError::TooShort { chars });
        }
        // Bounds the work of hashing; nobody types a kilobyte.
        if password.len() > 1024 {
            return Err(OperatorPasswordError::TooLong);
        }
        Ok(())
    }
}

impl fmt::Debug for OperatorPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorPassword(***)")
    }
}

/// Why a password or its stored hash is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorPasswordError {
    /// The stored text is not an argon2id PHC string.
    NotArgon2id,
    /// The chosen password is too short.
    TooShort {
        /// Its length in characters.
        chars: usize,
    },
    /// The chosen password is over 1024 bytes.
    TooLong,
}

impl fmt::Display for OperatorPasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OperatorPasswordError::NotArgon2id => f.write_str("stored password is not an argon2id hash"),
            OperatorPasswordError::TooShort { chars } => write!(
                f,
                "password must have at least {OPERATOR_PASSWORD_CHARS_MIN} characters, but has {chars}"
            ),
            OperatorPasswordError::TooLong => f.write_str("password must be at most 1024 bytes"),
        }
    }
}

impl std::error::Error for OperatorPasswordError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_argon2id_hashes_are_taken_and_never_shown() {
        let phc = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g";
        let held = OperatorPassword::from_phc(phc.to_owned()).unwrap();
        assert_eq!(held.as_phc(), phc);
        assert_eq!(format!("{held:?}"), "OperatorPassword(***)");
        for bad in ["", "secret", "$argon2i$v=19$m=1,t=1,p=1$a$b", "$argon2id$", "$2b$10$abc"] {
            assert!(OperatorPassword::from_phc(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert_eq!(
            OperatorPassword::check_choice("123456789"),
            Err(OperatorPasswordError::TooShort { chars: 9 })
        );
        assert_eq!(OperatorPassword::check_choice("éééééééééé"), Ok(()));
        assert_eq!(OperatorPassword::check_choice(&"a".repeat(1025)), Err(OperatorPasswordError::TooLong));
    }
}
