//! Tokens of programs that ask the API: what each may do, until when. Knows no secrets: those are the store's.

use std::fmt;
use std::str::FromStr;

use crate::PersonRole;

/// Longest name, in characters.
pub const API_TOKEN_NAME_CHARS_MAX: usize = 60;
/// Most tokens.
pub const API_TOKENS_MAX: usize = 200;

/// What a token may do; each may also do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiScope {
    /// Reads what an observer sees.
    Read,
    /// Marks incidents, orders replays, stops and starts downlink, too.
    Operate,
}

impl ApiScope {
    /// All of them, the least first.
    pub const ALL: &[Self] = &[Self::Read, Self::Operate];

    /// Its word on the command line, on pages and on disk.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }

    /// What it is for, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Read => "reads everything that is kept and changes nothing",
            Self::Operate => "reads, marks incidents, puts the past back, stops and starts downlink",
        }
    }

    /// What a person must be allowed to make such a token, and to keep it working.
    pub const fn needs(self) -> PersonRole {
        match self {
            Self::Read => PersonRole::Observer,
            Self::Operate => PersonRole::Operator,
        }
    }
}

impl FromStr for ApiScope {
    type Err = ApiTokenRefused;

    fn from_str(text: &str) -> Result<Self, ApiTokenRefused> {
        Self::ALL.iter().copied().find(|scope| scope.word() == text).ok_or(ApiTokenRefused::Scope)
    }
}

impl fmt::Display for ApiScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its number, from 1.
    pub number: i64,
    /// The program that has it.
    pub name: String,
    /// What it may do.
    pub scope: ApiScope,
    /// When it was made, Unix ms.
    pub made_ms: i64,
    /// Who made it.
    pub made_by: String,
    /// Until when it works, Unix ms; `None` until it is revoked.
    pub until_ms: Option<i64>,
    /// When it was used last, Unix ms, to ten minutes; `None` never.
    pub used_ms: Option<i64>,
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiTokenForm {
    /// The program that gets it.
    pub name: String,
    /// What it may do.
    pub scope: ApiScope,
    /// Until when it works, Unix ms; `None` until it is revoked.
    pub until_ms: Option<i64>,
}

/// Why nothing was done about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiTokenRefused {
    /// It has no name, or one that is too long or has control characters.
    Name,
    /// It is none of the scopes.
    Scope,
    /// It would have ended before it began.
    Past,
    /// There are too many.
    TooMany,
    /// None has this number.
    Unknown(i64),
}

impl fmt::Display for ApiTokenRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => {
                write!(f, "say which program it is for, in 1 to {API_TOKEN_NAME_CHARS_MAX} characters")
            }
            Self::Scope => f.write_str("a token may `read` or `operate`"),
            Self::Past => f.write_str("it would end before it begins"),
            Self::TooMany => write!(f, "at most {API_TOKENS_MAX} tokens are kept; revoke some first"),
            Self::Unknown(number) => write!(f, "there is no token {number}"),
        }
    }
}

impl std::error::Error for ApiTokenRefused {}

impl ApiTokenForm {
    /// The same without what is around its name, if it makes sense.
    ///
    /// # Errors
    /// When it does not.
    pub fn checked(mut self, now_ms: i64) -> Result<Self, ApiTokenRefused> {
        self.name = self.name.trim().to_owned();
        let is_named = (1..=API_TOKEN_NAME_CHARS_MAX).contains(&self.name.chars().count());
        if !is_named || self.name.chars().any(char::is_control) {
            return Err(ApiTokenRefused::Name);
        }
        if self.until_ms.is_some_and(|until| until <= now_ms) { Err(ApiTokenRefused::Past) } else { Ok(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let form =
            |name: &str, until_ms| ApiTokenForm { name: name.to_owned(), scope: ApiScope::Read, until_ms };
        assert_eq!(form(" grafana ", Some(6)).checked(5).unwrap().name, "grafana");
        assert_eq!(form(" ", None).checked(5), Err(ApiTokenRefused::Name));
        assert_eq!(form(&"x".repeat(61), None).checked(5), Err(ApiTokenRefused::Name));
        assert_eq!(form("a\u{7}", None).checked(5), Err(ApiTokenRefused::Name));
        assert_eq!(form("a", Some(5)).checked(5), Err(ApiTokenRefused::Past));
        assert_eq!("admin".parse::<ApiScope>(), Err(ApiTokenRefused::Scope));
    }
}
