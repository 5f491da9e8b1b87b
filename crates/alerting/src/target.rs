//! Who is told, and how. Addresses and secrets do not show themselves: that of a Discord webhook is one.

use std::fmt;

use automation::alert::outlet::OutletSettings;
use automation::alert::rule::Rule;

/// Everything that the alerts' file says, understood.
#[derive(Debug, Clone)]
pub struct AlertSettings {
    /// The rules.
    pub rules: Vec<Rule>,
    /// The targets.
    pub targets: Vec<Target>,
    /// How much is told, and when.
    pub outlet: OutletSettings,
    /// Time zone of the quiet hours, by its name in the zone database.
    pub time_zone: String,
}

/// One target.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name.
    pub name: Box<str>,
    /// How it is told.
    pub way: Way,
}

/// How a target is told.
#[derive(Debug, Clone)]
pub enum Way {
    /// HTTP POST.
    Webhook {
        /// Where to.
        url: Secret,
        /// Body; the letter's JSON if not said.
        template: Option<Box<str>>,
        /// Its content type.
        content_type: Box<str>,
        /// Key of the signature.
        key: Option<Secret>,
    },
    /// A topic of an ntfy server.
    Ntfy {
        /// The topic's address.
        url: Secret,
        /// Access token.
        token: Option<Secret>,
    },
    /// A webhook as Discord takes it.
    Discord {
        /// Where to.
        url: Secret,
    },
    /// A mail.
    Mail(Mail),
    /// A message on this broker.
    Mqtt {
        /// Topic Name.
        topic: Box<str>,
    },
}

impl Way {
    /// The word in the file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Ntfy { .. } => "ntfy",
            Self::Discord { .. } => "discord",
            Self::Mail(_) => "email",
            Self::Mqtt { .. } => "mqtt",
        }
    }
}

/// How a mail is sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Mail server.
    pub server: Box<str>,
    /// Its port.
    pub port: u16,
    /// How the way to it is secured.
    pub security: Security,
    /// User name and password there.
    pub credentials: Option<(Box<str>, Secret)>,
    /// Sender.
    pub from: Box<str>,
    /// Receivers.
    pub to: Vec<Box<str>>,
}

/// How the way to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the beginning.
    Tls,
    /// TLS after a greeting in clear, or not at all.
    StartTls,
    /// In clear.
    None,
}

/// A text that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Hides a text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}
