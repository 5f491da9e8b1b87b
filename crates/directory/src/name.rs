//! Names that clients show: usernames and the topic prefixes of services. Knows no credentials.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use crate::GatewayId;

/// Longest username in bytes: what the firmware's `mqtt.username` holds (meshtastic.md § 8.2).
pub const USERNAME_BYTES_MAX: usize = 63;

/// Longest topic prefix in bytes, so that a service has room for levels below it.
const PREFIX_BYTES_MAX: usize = 128;

/// Start of every gateway's username; nobody else's may start with it.
const GATEWAY_START: &str = "gw-";

/// What a client says as MQTT user name: 1 to 63 characters of `a-z 0-9 . _ -`, the first a letter or digit.
///
/// A gateway's is `gw-` and its node number in hex, so that a gateway has one credential and it can be found
/// by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username(String);

impl Username {
    /// Gives the username of a gateway, for example `gw-7c5a0a01`.
    pub fn of_gateway(id: GatewayId) -> Username {
        Username(format!("{GATEWAY_START}{:08x}", id.0))
    }

    /// The username as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether the name lies in the space kept for gateways.
    pub fn is_a_gateways(&self) -> bool {
        self.0.starts_with(GATEWAY_START)
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Username {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Username {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = UsernameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > USERNAME_BYTES_MAX {
            return Err(UsernameError::TooLong { bytes: text.len() });
        }
        let first_ok = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        if !first_ok || !text.bytes().all(allowed) {
            return Err(UsernameError::Characters { seen: text.to_owned() });
        }
        Ok(Username(text.to_owned()))
    }
}

/// Text that cannot be a username.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsernameError {
    /// Longer than [`USERNAME_BYTES_MAX`].
    TooLong {
        /// How long it is, in bytes.
        bytes: usize,
    },
    /// Empty, or with a character outside the alphabet.
    Characters {
        /// What was seen.
        seen: String,
    },
}

impl fmt::Display for UsernameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsernameError::TooLong { bytes } => {
                write!(f, "name must be at most {USERNAME_BYTES_MAX} bytes, but is {bytes}")
            }
            UsernameError::Characters { seen } => write!(
                f,
                "name must be made of `a-z 0-9 . _ -` and start with a letter or digit, but is `{}`",
                seen.escape_debug()
            ),
        }
    }
}

impl std::error::Error for UsernameError {}

/// The part of the topic tree that a service may publish under: levels without wildcards, no `/` at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPrefix(String);

impl TopicPrefix {
    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether a topic is the prefix itself or lies below it; `home` covers `home/a` but not `homes`.
    pub fn covers(&self, topic: &str) -> bool {
        topic.strip_prefix(self.0.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for TopicPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TopicPrefix {
    type Err = PrefixError;

    /// Reads a prefix; one `/` at the end is taken off, because people write it both ways.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let prefix = text.strip_suffix('/').unwrap_or(text);
        let refuse = |why| Err(PrefixError { seen: text.chars().take(PREFIX_BYTES_MAX).collect(), why });
        if prefix.is_empty() {
            return refuse("has no level");
        }
        if prefix.len() > PREFIX_BYTES_MAX {
            return refuse("is longer than 128 bytes");
        }
        if prefix.contains(['+', '#']) {
            return refuse("has a wildcard");
        }
        if prefix.chars().any(char::is_control) {
            return refuse("has a control character");
        }
        // Topics that start with `$` are the server's own (MQTT 5 § 4.7.2).
        if prefix.starts_with('$') {
            return refuse("starts with `$`");
        }
        if prefix.split('/').any(str::is_empty) {
            return refuse("has an empty level");
        }
        Ok(TopicPrefix(prefix.to_owned()))
    }
}

/// Text that cannot be a topic prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixError {
    /// What was seen, cut.
    pub seen: String,
    /// What is wrong with it, for "topic prefix … has a wildcard".
    pub why: &'static str,
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic prefix `{}` {}", self.seen.escape_debug(), self.why)
    }
}

impl std::error::Error for PrefixError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usernames_fit_the_firmware() {
        assert!("a".repeat(63).parse::<Username>().is_ok());
        assert_eq!("a".repeat(64).parse::<Username>(), Err(UsernameError::TooLong { bytes: 64 }));
        assert_eq!(Username::of_gateway(GatewayId(0x7c5a_0a01)).as_str(), "gw-7c5a0a01");
    }

    #[test]
    fn usernames_have_one_case_and_no_spaces() {
        for bad in ["", "Home", "-a", ".a", "a b", "a/b", "é", "a\0"] {
            assert!(bad.parse::<Username>().is_err(), "{bad:?}");
        }
        for good in ["home", "0", "home-assistant_1.kc"] {
            assert!(good.parse::<Username>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn prefixes_are_plain_levels() {
        for bad in ["", "/", "a/+", "#", "$SYS", "a//b", "/a", "a\0b", "a\n"] {
            assert!(bad.parse::<TopicPrefix>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(129).parse::<TopicPrefix>().is_err());
        assert_eq!("home/kc/".parse::<TopicPrefix>().unwrap().as_str(), "home/kc");
    }

    #[test]
    fn a_prefix_covers_whole_levels_only() {
        let prefix: TopicPrefix = "home".parse().unwrap();
        assert!(prefix.covers("home") && prefix.covers("home/") && prefix.covers("home/a/b"));
        assert!(
            !prefix.covers("homes") && !prefix.covers("hom") && !prefix.covers("/home") && !prefix.covers("")
        );
    }

    proptest! {
        #[test]
        fn every_gateways_name_is_a_valid_username(number: u32) {
            let name = Username::of_gateway(GatewayId(number));
            prop_assert_eq!(name.as_str().parse::<Username>(), Ok(name.clone()));
            prop_assert!(name.is_a_gateways());
        }

        #[test]
        fn prefixes_never_panic_and_cover_themselves(text: String, below: String) {
            if let Ok(prefix) = text.parse::<TopicPrefix>() {
                let topic = format!("{prefix}/{below}");
                prop_assert!(prefix.covers(prefix.as_str()));
                prop_assert!(prefix.covers(&topic));
            }
        }
    }
}
