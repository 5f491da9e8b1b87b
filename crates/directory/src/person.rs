//! People who sign in to the pages, and what each may do there. Knows no passwords: those are the store's.

use std::fmt;
use std::str::FromStr;

/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 40;
/// Most people.
const PEOPLE_MAX: usize = 200;

/// What a person may do on the pages; each may also do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonRole {
    /// Sees everything that is kept and changes nothing.
    Observer,
    /// Runs the mesh: policy, gateways, requests.
    Operator,
    /// Says who the people are, too.
    Admin,
}

impl PersonRole {
    /// All of them, the least first.
    pub const ALL: &[Self] = &[Self::Observer, Self::Operator, Self::Admin];

    /// Its word on the command line, on pages and on disk.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// What it is for, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Observer => "sees everything that is kept and changes nothing",
            Self::Operator => "runs the mesh: policy, gateways, requests",
            Self::Admin => "does what an operator does, and says who may sign in",
        }
    }
}

impl FromStr for PersonRole {
    type Err = PersonRefused;

    fn from_str(text: &str) -> Result<Self, PersonRefused> {
        Self::ALL.iter().copied().find(|role| role.word() == text).ok_or(PersonRefused::Role)
    }
}

impl fmt::Display for PersonRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A name to sign in with: 1 to 40 characters of `a-z 0-9 . _ -`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonName(String);

impl PersonName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonName {
    type Err = PersonRefused;

    fn from_str(text: &str) -> Result<Self, PersonRefused> {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let starts_well = text.bytes().next().is_some_and(is_plain);
        if !starts_well
            || text.len() > NAME_BYTES_MAX
            || !text.bytes().all(|b| is_plain(b) || b"._-".contains(&b))
        {
            return Err(PersonRefused::Name);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// What they sign in as.
    pub name: PersonName,
    /// What they may do.
    pub role: PersonRole,
    /// Since when they are known, Unix ms.
    pub since_ms: i64,
    /// Whether they have set a password.
    pub has_password: bool,
    /// Until when an invitation of theirs works, Unix ms; none if it was used or none was made.
    pub invited_until_ms: Option<i64>,
}

/// What an admin wants about people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersonCommand {
    /// Somebody may set a password and sign in.
    Add(PersonName, PersonRole),
    /// They may do more or less from the next page on.
    SetRole(PersonName, PersonRole),
    /// Their password and their sign-ins are void; they may set another one.
    Reset(PersonName),
    /// They may no longer sign in.
    Remove(PersonName),
}

impl PersonCommand {
    /// Whom it is about.
    pub const fn name(&self) -> &PersonName {
        match self {
            Self::Add(name, _) | Self::SetRole(name, _) | Self::Reset(name) | Self::Remove(name) => name,
        }
    }

    /// Its word in the audit.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Add(..) => "add-person",
            Self::SetRole(..) => "set-role",
            Self::Reset(_) => "reset-password",
            Self::Remove(_) => "remove-person",
        }
    }

    /// What happened, in words, for the audit.
    pub fn event(&self) -> String {
        match self {
            Self::Add(name, role) => format!("added {name} as {role}"),
            Self::SetRole(name, role) => format!("made {name} {role}"),
            Self::Reset(name) => format!("reset the password of {name}"),
            Self::Remove(name) => format!("removed {name}"),
        }
    }

    /// Judges the command against the people there are.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(&self, people: &[Person]) -> Result<(), PersonRefused> {
        let found = people.iter().find(|person| person.name == *self.name());
        let is_last_admin = found.is_some_and(|person| {
            person.role == PersonRole::Admin
                && !people.iter().any(|other| {
                    other.name != person.name && other.role == PersonRole::Admin && other.has_password
                })
        });
        match (self, found) {
            (Self::Add(..), Some(_)) => Err(PersonRefused::Known),
            (Self::Add(..), None) if people.len() >= PEOPLE_MAX => Err(PersonRefused::TooMany),
            (Self::Add(..), None) => Ok(()),
            (Self::SetRole(..) | Self::Reset(_) | Self::Remove(_), None) => Err(PersonRefused::Unknown),
            (Self::SetRole(_, role), Some(_)) if is_last_admin && *role != PersonRole::Admin => {
                Err(PersonRefused::LastAdmin)
            }
            (Self::Remove(_), Some(_)) if is_last_admin => Err(PersonRefused::LastAdmin),
            (Self::SetRole(..) | Self::Reset(_) | Self::Remove(_), Some(_)) => Ok(()),
        }
    }
}

/// Why a command about people is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonRefused {
    /// The text is no name.
    Name,
    /// The text is no role.
    Role,
    /// Somebody has this name.
    Known,
    /// Nobody has this name.
    Unknown,
    /// Nobody would be left who can say who may sign in.
    LastAdmin,
    /// There are too many.
    TooMany,
}

impl fmt::Display for PersonRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(
                f,
                "name must be 1 to {NAME_BYTES_MAX} characters of `a-z 0-9 . _ -`, the first a letter or digit"
            ),
            Self::Role => f.write_str("role must be `observer`, `operator` or `admin`"),
            Self::Known => f.write_str("somebody has this name already"),
            Self::Unknown => f.write_str("nobody has this name"),
            Self::LastAdmin => {
                f.write_str("this is the last admin with a password: make somebody else admin first")
            }
            Self::TooMany => write!(f, "at most {PEOPLE_MAX} people can be known"),
        }
    }
}

impl std::error::Error for PersonRefused {}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, role: PersonRole, has_password: bool) -> Person {
        Person { name: name.parse().unwrap(), role, since_ms: 0, has_password, invited_until_ms: None }
    }

    #[test]
    fn somebody_can_always_say_who_may_sign_in() {
        let name = |text: &str| text.parse::<PersonName>().unwrap();
        let mut people = vec![person("ada", PersonRole::Admin, true), person("bo", PersonRole::Admin, false)];
        for command in
            [PersonCommand::Remove(name("ada")), PersonCommand::SetRole(name("ada"), PersonRole::Observer)]
        {
            assert_eq!(command.check(&people), Err(PersonRefused::LastAdmin), "bo cannot sign in yet");
        }
        people[1].has_password = true;
        assert_eq!(PersonCommand::Remove(name("ada")).check(&people), Ok(()));
        assert_eq!(PersonCommand::Reset(name("cy")).check(&people), Err(PersonRefused::Unknown));
        let again = PersonCommand::Add(name("bo"), PersonRole::Observer);
        assert_eq!(again.check(&people), Err(PersonRefused::Known));
    }

    #[test]
    fn names_and_roles_are_plain_words() {
        for bad in ["", "Ada", "-a", "a b", "ä", &"a".repeat(41)] {
            assert!(bad.parse::<PersonName>().is_err(), "{bad}");
        }
        assert!("ada.l-1_x".parse::<PersonName>().is_ok());
        for role in PersonRole::ALL {
            assert_eq!(role.word().parse(), Ok(*role));
        }
        assert!(PersonRole::Observer < PersonRole::Operator && PersonRole::Operator < PersonRole::Admin);
    }
}
