//! Edits of the directory: each is judged against the present state and gives the next one. Knows no storage.

use std::fmt;
use std::sync::Arc;

use crate::{
    Credential, Directory, GatewayId, Owner, PrefixError, Role, ScramVerifier, Token, TokenKey, TopicPrefix,
    Username, UsernameError,
};

/// Longest owner's name in bytes.
const OWNER_NAME_BYTES_MAX: usize = 100;
/// Longest owner's contact in bytes.
const CONTACT_BYTES_MAX: usize = 200;
/// Longest note in bytes.
const NOTE_BYTES_MAX: usize = 500;

/// What the operator wants changed. Tokens are made by the caller, who also shows them.
#[derive(Clone, Debug)]
pub enum Command {
    /// Lets a gateway connect.
    AddGateway {
        /// Its node number.
        id: GatewayId,
        /// The person answerable for it.
        owner: Option<Owner>,
        /// The operator's words about it; may be empty.
        note: String,
        /// Its password.
        token: Token,
    },
    /// Lets a client read.
    AddObserver {
        /// Its username, not starting with `gw-`.
        name: String,
        /// The person answerable for it.
        owner: Option<Owner>,
        /// The operator's words about it; may be empty.
        note: String,
        /// Its password.
        token: Token,
    },
    /// Lets a client read, and publish under a prefix.
    AddService {
        /// Its username, not starting with `gw-`.
        name: String,
        /// The topic prefix it may publish under.
        prefix: String,
        /// The person answerable for it.
        owner: Option<Owner>,
        /// The operator's words about it; may be empty.
        note: String,
        /// Its password.
        token: Token,
    },
    /// Lets another broker bring packets and take what may leave the community.
    AddBridge {
        /// Its username, not starting with `gw-`.
        name: String,
        /// The person answerable for it.
        owner: Option<Owner>,
        /// The operator's words about it; may be empty.
        note: String,
        /// Its password.
        token: Token,
    },
    /// Switches a credential off.
    Disable {
        /// Whose.
        username: String,
    },
    /// Switches a credential on again.
    Enable {
        /// Whose.
        username: String,
    },
    /// Gives a credential another password.
    Rotate {
        /// Whose.
        username: String,
        /// The next password.
        token: Token,
    },
    /// Forgets a credential.
    Remove {
        /// Whose.
        username: String,
    },
}

/// What an accepted command leads to.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The next state.
    pub directory: Directory,
    /// The one credential that differs.
    pub username: Username,
    /// What happened to it.
    pub edit: Edit,
    /// What happened, in words and without secrets or a person's data, for the audit.
    pub event: String,
}

/// The kind of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edit {
    /// A credential was made.
    Added,
    /// It was switched off.
    Disabled,
    /// It was switched on.
    Enabled,
    /// It got another password.
    Rotated,
    /// It was forgotten.
    Removed,
}

impl Edit {
    /// The edit's word in the audit: `add`, `disable`, `enable`, `rotate` or `remove`.
    pub fn word(self) -> &'static str {
        match self {
            Edit::Added => "add",
            Edit::Disabled => "disable",
            Edit::Enabled => "enable",
            Edit::Rotated => "rotate",
            Edit::Removed => "remove",
        }
    }
}

impl Directory {
    /// Judges a command at `now_ms` (milliseconds since 1970 UTC) and gives the next state. `self` stays as it is.
    pub fn apply(&self, command: Command, key: &TokenKey, now_ms: u64) -> Result<Applied, CommandError> {
        match command {
            Command::AddGateway { id, owner, note, token } => {
                if !id.is_a_device() {
                    return Err(CommandError::NotADevice { id });
                }
                self.add(Username::of_gateway(id), Role::Gateway(id), owner, note, &token, key, now_ms)
            }
            Command::AddObserver { name, owner, note, token } => {
                self.add(own_name(&name)?, Role::Observer, owner, note, &token, key, now_ms)
            }
            Command::AddService { name, prefix, owner, note, token } => {
                let prefix: TopicPrefix = prefix.parse().map_err(CommandError::Prefix)?;
                self.add(own_name(&name)?, Role::Service { prefix }, owner, note, &token, key, now_ms)
            }
            Command::AddBridge { name, owner, note, token } => {
                self.add(own_name(&name)?, Role::Bridge, owner, note, &token, key, now_ms)
            }
            Command::Disable { username } => {
                let mut credential = self.existing(&username)?;
                if !credential.is_enabled() {
                    return Err(CommandError::AlreadyDisabled { username: credential.name });
                }
                credential.disabled_ms = Some(now_ms);
                Ok(self.with(credential, Edit::Disabled))
            }
            Command::Enable { username } => {
                let mut credential = self.existing(&username)?;
                if credential.is_enabled() {
                    return Err(CommandError::AlreadyEnabled { username: credential.name });
                }
                credential.disabled_ms = None;
                Ok(self.with(credential, Edit::Enabled))
            }
            Command::Rotate { username, token } => {
                let mut credential = self.existing(&username)?;
                credential.token = key.hash_credential(&username, token.reveal().as_bytes());
                credential.scram = Some(ScramVerifier::new(key, &username, token.reveal().as_bytes()));
                Ok(self.with(credential, Edit::Rotated))
            }
            Command::Remove { username } => {
                let credential = self.existing(&username)?;
                let mut directory = self.clone();
                directory.credentials.remove(&credential.name);
                let event = event_text(&credential, Edit::Removed);
                Ok(Applied { directory, username: credential.name, edit: Edit::Removed, event })
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "every part of a credential, each of its own type")]
    fn add(
        &self,
        name: Username,
        role: Role,
        owner: Option<Owner>,
        note: String,
        token: &Token,
        key: &TokenKey,
        now_ms: u64,
    ) -> Result<Applied, CommandError> {
        if let Some(owner) = &owner {
            check_text("owner's name", &owner.name, OWNER_NAME_BYTES_MAX)?;
            if owner.name.trim().is_empty() {
                return Err(CommandError::NoOwnerName);
            }
            check_text("owner's contact", owner.contact.as_deref().unwrap_or(""), CONTACT_BYTES_MAX)?;
        }
        check_text("note", &note, NOTE_BYTES_MAX)?;
        if let Some(present) = self.credentials.get(&name) {
            return Err(CommandError::Duplicate { username: name, role: present.role.word() });
        }
        let scram = Some(ScramVerifier::new(key, name.as_str(), token.reveal().as_bytes()));
        let token = key.hash_credential(name.as_str(), token.reveal().as_bytes());
        let credential = Credential {
            name,
            role,
            owner,
            token,
            scram,
            created_ms: now_ms,
            disabled_ms: None,
            note,
            generation: 0,
        };
        Ok(self.with(credential, Edit::Added))
    }

    fn existing(&self, username: &str) -> Result<Credential, CommandError> {
        match self.credentials.get(username) {
            Some(credential) => Ok(Credential::clone(credential)),
            None => Err(CommandError::Unknown { username: username.chars().take(80).collect() }),
        }
    }

    fn with(&self, mut credential: Credential, edit: Edit) -> Applied {
        let mut directory = self.clone();
        directory.last_generation += 1;
        credential.generation = directory.last_generation;
        let event = event_text(&credential, edit);
        let username = credential.name.clone();
        directory.credentials.insert(username.clone(), Arc::new(credential));
        Applied { directory, username, edit, event }
    }
}

fn own_name(text: &str) -> Result<Username, CommandError> {
    let name: Username = text.parse().map_err(CommandError::Name)?;
    if name.is_a_gateways() { Err(CommandError::GatewaysName { username: name }) } else { Ok(name) }
}

fn check_text(what: &'static str, text: &str, bytes_max: usize) -> Result<(), CommandError> {
    if text.len() > bytes_max {
        return Err(CommandError::TextTooLong { what, bytes: text.len(), bytes_max });
    }
    if text.chars().any(char::is_control) {
        return Err(CommandError::TextControl { what });
    }
    Ok(())
}

fn event_text(credential: &Credential, edit: Edit) -> String {
    let past = match edit {
        Edit::Added => "added",
        Edit::Disabled => "disabled",
        Edit::Enabled => "enabled",
        Edit::Rotated => "rotated the password of",
        Edit::Removed => "removed",
    };
    let name = &credential.name;
    match &credential.role {
        Role::Gateway(id) => format!("{past} gateway {id} ({name})"),
        Role::Observer => format!("{past} observer {name}"),
        Role::Service { prefix } => format!("{past} service {name} (prefix {prefix})"),
        Role::Bridge => format!("{past} bridge {name}"),
    }
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The node number is nobody's or everybody's.
    NotADevice {
        /// The number.
        id: GatewayId,
    },
    /// The name cannot be a username.
    Name(UsernameError),
    /// The name lies in the space of gateways' names.
    GatewaysName {
        /// The name.
        username: Username,
    },
    /// The prefix cannot be a topic prefix.
    Prefix(PrefixError),
    /// The username is taken.
    Duplicate {
        /// The username.
        username: Username,
        /// The role of who has it.
        role: &'static str,
    },
    /// No credential has the username.
    Unknown {
        /// The username, cut to 80 characters.
        username: String,
    },
    /// Disabling what is disabled.
    AlreadyDisabled {
        /// The username.
        username: Username,
    },
    /// Enabling what is enabled.
    AlreadyEnabled {
        /// The username.
        username: Username,
    },
    /// An owner without a name.
    NoOwnerName,
    /// A text is too long.
    TextTooLong {
        /// Which text.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The longest allowed.
        bytes_max: usize,
    },
    /// A text has a control character.
    TextControl {
        /// Which text.
        what: &'static str,
    },
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::NotADevice { id } => {
                write!(f, "`{id}` is reserved and cannot be a gateway's node id")
            }
            CommandError::Name(error) => error.fmt(f),
            CommandError::GatewaysName { username } => {
                write!(f, "names that start with `gw-` are kept for gateways, but name is `{username}`")
            }
            CommandError::Prefix(error) => error.fmt(f),
            CommandError::Duplicate { username, role } => {
                write!(f, "a credential of this name exists already: {role} `{username}`")
            }
            CommandError::Unknown { username } => {
                write!(f, "no credential is named `{}`", username.escape_debug())
            }
            CommandError::AlreadyDisabled { username } => {
                write!(f, "credential is already disabled: `{username}`")
            }
            CommandError::AlreadyEnabled { username } => {
                write!(f, "credential is already enabled: `{username}`")
            }
            CommandError::NoOwnerName => f.write_str("owner's name must not be empty"),
            CommandError::TextTooLong { what, bytes, bytes_max } => {
                write!(f, "{what} must be at most {bytes_max} bytes, but is {bytes}")
            }
            CommandError::TextControl { what } => {
                write!(f, "{what} must not have line breaks or other control characters")
            }
        }
    }
}

impl std::error::Error for CommandError {}
