//! The directory as one immutable value: who a client is, and whose credential changed. Knows no commands.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{
    Credential, Downlink, GatewayId, Grants, Role, Sendings, TokenHash, TokenKey, Tombstones, Username, Watch,
};

/// All credentials at one moment. Cloning shares the credentials.
///
/// Invariants:
/// - a gateway's credential is named [`Username::of_gateway`], and no other credential has such a name;
/// - no credential's generation is above `last_generation`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    pub(crate) credentials: BTreeMap<Username, Arc<Credential>>,
    pub(crate) last_generation: u64,
    pub(crate) downlink: Arc<Downlink>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) sendings: Arc<Sendings>,
    pub(crate) tombstones: Arc<Tombstones>,
}

impl Directory {
    /// Puts a stored directory together again, checking its invariants.
    pub fn from_parts(
        credentials: impl IntoIterator<Item = Credential>,
        last_generation: u64,
    ) -> Result<Directory, InconsistentDirectory> {
        let mut directory =
            Directory { credentials: BTreeMap::new(), last_generation, ..Directory::default() };
        for credential in credentials {
            let name = credential.name.clone();
            let name_fits_role = match credential.role {
                Role::Gateway(id) => name == Username::of_gateway(id),
                Role::Observer | Role::Service { .. } | Role::Bridge => !name.is_a_gateways(),
            };
            if !name_fits_role {
                return Err(InconsistentDirectory { name, why: "is not named after its role" });
            }
            if credential.generation > last_generation {
                return Err(InconsistentDirectory { name, why: "has a generation from the future" });
            }
            if directory.credentials.insert(name.clone(), Arc::new(credential)).is_some() {
                return Err(InconsistentDirectory { name, why: "appears twice" });
            }
        }
        Ok(directory)
    }

    /// The same with nodes that are kept out.
    #[must_use]
    pub fn with_tombstones(self, tombstones: Tombstones) -> Directory {
        Directory { tombstones: Arc::new(tombstones), ..self }
    }

    /// The nodes that are kept out.
    pub fn tombstones(&self) -> &Tombstones {
        &self.tombstones
    }

    /// Decides who a client is by what its CONNECT says.
    ///
    /// An unknown user costs the same hash as a known one, and that somebody is disabled is told only to
    /// those who know the password.
    pub fn authenticate(
        &self,
        username: &str,
        password: &[u8],
        key: &TokenKey,
    ) -> Result<&Arc<Credential>, AuthRefusal> {
        let offered = key.hash_credential(username, password);
        let Some(credential) = self.credentials.get(username) else {
            let _same_work = offered == TokenHash::new([0; 32]);
            return Err(AuthRefusal::UnknownUser);
        };
        if offered != credential.token {
            return Err(AuthRefusal::WrongPassword);
        }
        if !credential.is_enabled() {
            return Err(AuthRefusal::Disabled);
        }
        Ok(credential)
    }

    /// Finds a credential by username.
    pub fn credential(&self, username: &str) -> Option<&Arc<Credential>> {
        self.credentials.get(username)
    }

    /// Finds a gateway's credential by its node number.
    pub fn gateway(&self, id: GatewayId) -> Option<&Arc<Credential>> {
        self.credentials.get(&Username::of_gateway(id))
    }

    /// All credentials in the order of their usernames.
    pub fn credentials(&self) -> impl ExactSizeIterator<Item = &Arc<Credential>> {
        self.credentials.values()
    }

    /// Tells whether any credential exists, disabled ones included: from then on nobody is anonymous.
    pub fn has_credentials(&self) -> bool {
        !self.credentials.is_empty()
    }

    /// The highest generation handed out so far, kept by the store beside the credentials.
    pub fn last_generation(&self) -> u64 {
        self.last_generation
    }

    /// Usernames whose connections must end: rotated, disabled, enabled, removed or added since `old`.
    pub fn changed_since<'a>(&'a self, old: &'a Directory) -> impl Iterator<Item = &'a Username> {
        let generation_in = |directory: &'a Directory, name: &Username| {
            directory.credentials.get(name).map(|credential| credential.generation)
        };
        let gone = old.credentials.keys().filter(|name| !self.credentials.contains_key(*name));
        let differs = self.credentials.iter().filter_map(move |(name, credential)| {
            (generation_in(old, name) != Some(credential.generation)).then_some(name)
        });
        gone.chain(differs)
    }
}

/// Why a client is not let in. Which one it was is for the operator's log; the client learns only "not authorised".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthRefusal {
    /// No credential has this username.
    UnknownUser,
    /// The password is not this user's.
    WrongPassword,
    /// The password is right, but the credential is switched off.
    Disabled,
}

impl AuthRefusal {
    /// The refusal's name in metrics and records.
    pub fn id(self) -> &'static str {
        match self {
            AuthRefusal::UnknownUser => "unknown-user",
            AuthRefusal::WrongPassword => "wrong-password",
            AuthRefusal::Disabled => "disabled",
        }
    }
}

impl fmt::Display for AuthRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthRefusal::UnknownUser => "no credential has this username",
            AuthRefusal::WrongPassword => "password is wrong",
            AuthRefusal::Disabled => "credential is disabled",
        })
    }
}

impl std::error::Error for AuthRefusal {}

/// A stored directory that breaks an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InconsistentDirectory {
    /// The credential at fault.
    pub name: Username,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for InconsistentDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "credential `{}` {}", self.name, self.why)
    }
}

impl std::error::Error for InconsistentDirectory {}
