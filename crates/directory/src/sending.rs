//! Which services may have the broker's own node send something, on which channels and how often. Knows no rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{Directory, Role};

/// Channels that JSON commands can name.
pub const SENDING_CHANNELS_MAX: usize = 8;
/// Packets within an hour that one service can be allowed.
pub const SENDING_PER_HOUR_MAX: u32 = 1_000;
const CHANNEL_BYTES_MAX: usize = 40;

/// What one service may have sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Channels, in the order of the index that commands name.
    pub channels: Vec<String>,
    /// Packets within an hour.
    pub per_hour: u32,
    /// Since when, in milliseconds since 1970 UTC.
    pub since_ms: u64,
}

/// What all services may have sent, by user name.
pub type Sendings = BTreeMap<String, Sending>;

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendingCommand {
    /// The service may from now on, in place of what it was allowed before.
    Allow {
        /// Its user name.
        service: String,
        /// Channels, in the order of the index that commands name; at least one.
        channels: Vec<String>,
        /// Packets within an hour.
        per_hour: u32,
    },
    /// It may not any more.
    Deny {
        /// Its user name.
        service: String,
    },
}

/// What an accepted command leads to.
#[derive(Clone, Debug)]
pub struct SendingApplied {
    /// The next state.
    pub directory: Directory,
    /// The word in the audit: `allow-sending` or `deny-sending`.
    pub action: &'static str,
    /// The service.
    pub subject: String,
    /// What happened, in words, for the audit.
    pub event: String,
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendingRefused {
    /// No service has this name.
    NotAService(String),
    /// It was not allowed.
    NotAllowed(String),
    /// No channel, too many, or one that cannot be.
    Channels,
    /// The number is 0 or too high.
    PerHour,
}

impl fmt::Display for SendingRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAService(name) => {
                write!(f, "no service is called `{name}`; `backhaul service list` shows them")
            }
            Self::NotAllowed(name) => write!(f, "service `{name}` was not allowed to send"),
            Self::Channels => write!(f, "name 1 to {SENDING_CHANNELS_MAX} channels, each once"),
            Self::PerHour => write!(f, "packets within an hour must be 1 to {SENDING_PER_HOUR_MAX}"),
        }
    }
}

impl std::error::Error for SendingRefused {}

impl Directory {
    /// What services may have sent.
    pub fn sendings(&self) -> &Sendings {
        &self.sendings
    }

    /// What a service may have sent; `None` when it may nothing, or is no service any more.
    pub fn sending(&self, username: &str) -> Option<&Sending> {
        let sending = self.sendings.get(username)?;
        let credential = self.credential(username)?;
        // A new service of an old name does not take over what the old one was allowed.
        let is_the_same = credential.created_ms <= sending.since_ms;
        (is_the_same && matches!(credential.role, Role::Service { .. })).then_some(sending)
    }

    /// The same directory with others, as a store has read them.
    pub fn with_sendings(mut self, sendings: Sendings) -> Directory {
        self.sendings = sendings.into();
        self
    }

    fn is_service(&self, username: &str) -> bool {
        self.credential(username).is_some_and(|credential| matches!(credential.role, Role::Service { .. }))
    }

    /// Judges a command at `now_ms` (milliseconds since 1970 UTC) and gives the next state. `self` stays as it is.
    ///
    /// # Errors
    /// When the command names no service, or what cannot be.
    pub fn apply_sending(
        &self,
        command: SendingCommand,
        now_ms: u64,
    ) -> Result<SendingApplied, SendingRefused> {
        let mut sendings = Sendings::clone(&self.sendings);
        sendings.retain(|name, _| self.sending(name).is_some());
        let (action, subject, event) = match command {
            SendingCommand::Allow { service, channels, per_hour } => {
                if !self.is_service(&service) {
                    return Err(SendingRefused::NotAService(service));
                }
                let is_name = |name: &String| {
                    !name.is_empty() && name.len() <= CHANNEL_BYTES_MAX && !name.contains(['+', '#', '\0'])
                };
                let distinct: BTreeSet<_> = channels.iter().collect();
                let count_fits = (1..=SENDING_CHANNELS_MAX).contains(&channels.len());
                if !count_fits || distinct.len() != channels.len() || !channels.iter().all(is_name) {
                    return Err(SendingRefused::Channels);
                }
                if !(1..=SENDING_PER_HOUR_MAX).contains(&per_hour) {
                    return Err(SendingRefused::PerHour);
                }
                let listed = channels.join(", ");
                let event =
                    format!("allowed service {service} to send {per_hour} packets an hour on {listed}");
                sendings.insert(service.clone(), Sending { channels, per_hour, since_ms: now_ms });
                ("allow-sending", service, event)
            }
            SendingCommand::Deny { service } => {
                if sendings.remove(&service).is_none() {
                    return Err(SendingRefused::NotAllowed(service));
                }
                let event = format!("no longer allowed service {service} to send");
                ("deny-sending", service, event)
            }
        };
        Ok(SendingApplied { directory: self.clone().with_sendings(sendings), action, subject, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, Token, TokenKey};

    fn with_service(created_ms: u64) -> Directory {
        let token = Token::from_random([7; crate::TOKEN_RANDOM_BYTES]);
        let (name, prefix) = ("home".to_owned(), "home".to_owned());
        let add = Command::AddService { name, prefix, owner: None, note: String::new(), token };
        let added = Directory::default().apply(add, &TokenKey::new([1; 32]), created_ms);
        added.expect("is accepted").directory
    }

    fn allow(service: &str, channels: &[&str], per_hour: u32) -> SendingCommand {
        let channels = channels.iter().map(|name| (*name).to_owned()).collect();
        SendingCommand::Allow { service: service.to_owned(), channels, per_hour }
    }

    #[test]
    fn a_service_may_from_allow_to_deny_and_its_namesake_may_not() {
        let before = with_service(5);
        let allowed =
            before.apply_sending(allow("home", &["LongFast"], 3), 7).expect("is accepted").directory;
        assert_eq!(allowed.sending("home").map(|sending| sending.per_hour), Some(3));
        assert_eq!(allowed.sending("else"), None);
        let denied = allowed.apply_sending(SendingCommand::Deny { service: "home".to_owned() }, 8);
        assert_eq!(denied.expect("is accepted").directory, before);
        let namesake = with_service(9).with_sendings(allowed.sendings().clone());
        assert_eq!(namesake.sending("home"), None, "another service of that name");
        assert_eq!(Directory::default().with_sendings(allowed.sendings().clone()).sending("home"), None);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |command| with_service(5).apply_sending(command, 7).expect_err("is refused");
        assert_eq!(refused(allow("nobody", &["A"], 1)), SendingRefused::NotAService("nobody".to_owned()));
        for channels in
            [&[][..], &["A", "A"], &["a+b"], &[""], &["1", "2", "3", "4", "5", "6", "7", "8", "9"]]
        {
            assert_eq!(refused(allow("home", channels, 1)), SendingRefused::Channels, "{channels:?}");
        }
        for per_hour in [0, SENDING_PER_HOUR_MAX + 1] {
            assert_eq!(refused(allow("home", &["A"], per_hour)), SendingRefused::PerHour);
        }
        let deny = SendingCommand::Deny { service: "home".to_owned() };
        assert_eq!(refused(deny), SendingRefused::NotAllowed("home".to_owned()));
    }
}
