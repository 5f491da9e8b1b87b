//! The decision on one CONNECT: who a client is, or why it is turned away.

use std::fmt;
use std::sync::Arc;

use directory::{AuthRefusal, Credential, Directory, Role, TokenKey};

use crate::principal::{Principal, gateway_named_by};

/// What a CONNECT offers. The password never shows itself.
#[derive(Clone, Copy)]
pub struct Offer<'a> {
    /// Client Identifier; may be empty.
    pub client_id: &'a str,
    /// User Name; firmware sends an empty one when none is set.
    pub username: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// Whether the connection comes from this machine through a listener that takes guests.
    pub may_be_guest: bool,
    /// Common name of a checked client certificate, where the listener takes it for a credential.
    pub certificate_name: Option<&'a str>,
}

impl fmt::Debug for Offer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// Why a client is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It offers no credential, and one is needed.
    NoCredential,
    /// Its certificate names somebody else than its User Name.
    OtherName,
    /// User name or password is wrong, or the credential is disabled.
    Credential(AuthRefusal),
}

impl Refusal {
    /// The reason for the operator's log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoCredential => "no credential offered",
            Self::OtherName => "the certificate names another user",
            Self::Credential(AuthRefusal::UnknownUser) => "unknown user name",
            Self::Credential(AuthRefusal::WrongPassword) => "wrong password",
            Self::Credential(AuthRefusal::Disabled) => "credential disabled",
        }
    }
}

impl Refusal {
    /// What the client is told. It does not say which of name and password was wrong.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoCredential => {
                "This server needs a user name and a password; its operator hands them out."
            }
            Self::OtherName => "The client certificate names another user than the user name does.",
            Self::Credential(_) => {
                "User name or password is wrong, or the operator has switched this credential off."
            }
        }
    }
}

/// Decides who a client is. Until the first credential exists, everyone on this machine is a guest, whatever user name
/// the client has in its settings; from then on nobody is.
pub fn admit(directory: &Directory, key: &TokenKey, offer: Offer<'_>) -> Result<Principal, Refusal> {
    if !directory.has_credentials() && offer.may_be_guest {
        return Ok(Principal::Guest { gateway: gateway_named_by(offer.client_id) });
    }
    let username = offer.username.filter(|name| !name.is_empty());
    let credential = match offer.certificate_name {
        Some(name) => named_by_certificate(directory, name, username)?,
        None => {
            let (username, password) =
                (username.ok_or(Refusal::NoCredential)?, offer.password.unwrap_or_default());
            directory.authenticate(username, password, key).map_err(Refusal::Credential)?
        }
    };
    Ok(principal_of(credential))
}

/// Who a client is that has proven to have this credential.
pub fn principal_of(credential: &Credential) -> Principal {
    let username: Arc<str> = credential.name.as_str().into();
    match &credential.role {
        Role::Gateway(id) => Principal::Gateway { username, gateway: id.0 },
        Role::Observer => Principal::Observer { username },
        Role::Bridge => Principal::Bridge { username },
        Role::Service { prefix } => Principal::Service { username, prefix: prefix.as_str().into() },
    }
}

/// The credential of a client that proved its name with a certificate. A User Name that says otherwise is a mistake of
/// the client, and none that should pass silently.
fn named_by_certificate<'d>(
    directory: &'d Directory,
    name: &str,
    username: Option<&str>,
) -> Result<&'d Arc<directory::Credential>, Refusal> {
    if username.is_some_and(|username| username != name) {
        return Err(Refusal::OtherName);
    }
    let credential = directory.credential(name).ok_or(Refusal::Credential(AuthRefusal::UnknownUser))?;
    if !credential.is_enabled() {
        return Err(Refusal::Credential(AuthRefusal::Disabled));
    }
    Ok(credential)
}

/// Whether a client that signed in under `old` may stay under `new`.
pub fn may_stay(principal: &Principal, old: &Directory, new: &Directory) -> bool {
    match principal {
        Principal::Lab => true,
        Principal::Bridge { .. } if principal.is_our_own() => true,
        Principal::Guest { .. } => !new.has_credentials(),
        Principal::Gateway { username, .. }
        | Principal::Observer { username }
        | Principal::Service { username, .. }
        | Principal::Bridge { username } => {
            let generation = |directory: &Directory| directory.credential(username).map(|c| c.generation);
            generation(new).is_some() && generation(new) == generation(old)
        }
    }
}

/// Whether a session may be taken up again that a client made before a restart, signed in with a credential of that
/// generation.
pub fn may_return(principal: &Principal, generation: Option<u64>, directory: &Directory) -> bool {
    match principal {
        Principal::Lab => true,
        // It signs in anew whenever the server starts, and nothing waits for it.
        Principal::Bridge { .. } if principal.is_our_own() => false,
        Principal::Guest { .. } => !directory.has_credentials(),
        Principal::Gateway { username, .. }
        | Principal::Observer { username }
        | Principal::Service { username, .. }
        | Principal::Bridge { username } => {
            let credential = directory.credential(username);
            credential.is_some_and(|c| Some(c.generation) == generation)
        }
    }
}

#[cfg(test)]
mod tests {
    use directory::{Command, GatewayId, Token};

    use super::*;

    const LOCAL_GUEST: Offer<'static> = Offer {
        client_id: "!7c5a0a01",
        username: Some("meshdev"),
        password: Some(b"large4cats"),
        may_be_guest: true,
        certificate_name: None,
    };

    fn with_gateway() -> (Directory, TokenKey, Token) {
        let (key, token) = (TokenKey::new([7; 32]), Token::from_random([9; 17]));
        let id = GatewayId(0x7c5a_0a01);
        let command = Command::AddGateway { id, owner: None, note: String::new(), token: token.clone() };
        (Directory::default().apply(command, &key, 1).unwrap().directory, key, token)
    }

    #[test]
    fn guests_come_from_this_machine_until_the_first_credential() {
        let (directory, key, _) = with_gateway();
        let guest = Principal::Guest { gateway: Some(0x7c5a_0a01) };
        assert_eq!(admit(&Directory::default(), &key, LOCAL_GUEST), Ok(guest.clone()));
        let from_elsewhere = Offer { may_be_guest: false, ..LOCAL_GUEST };
        assert!(admit(&Directory::default(), &key, from_elsewhere).is_err());
        assert!(admit(&directory, &key, LOCAL_GUEST).is_err());
        assert!(!may_stay(&guest, &Directory::default(), &directory));
    }

    #[test]
    fn a_credential_lets_in_until_it_is_disabled() {
        let (directory, key, token) = with_gateway();
        let offer = Offer {
            client_id: "anything",
            username: Some("gw-7c5a0a01"),
            password: Some(token.reveal().as_bytes()),
            may_be_guest: false,
            certificate_name: None,
        };
        let principal = admit(&directory, &key, offer).unwrap();
        assert_eq!(principal.gateway(), Some(0x7c5a_0a01));
        assert!(may_stay(&principal, &directory, &directory));
        let generation = directory.credential("gw-7c5a0a01").map(|c| c.generation);
        assert!(may_return(&principal, generation, &directory));
        assert!(!may_return(&principal, None, &directory));
        assert_eq!(
            admit(&directory, &key, Offer { password: Some(b"wrong"), ..offer }),
            Err(Refusal::Credential(AuthRefusal::WrongPassword))
        );
        assert_eq!(
            admit(&directory, &key, Offer { username: Some(""), ..offer }),
            Err(Refusal::NoCredential)
        );
        let disable = Command::Disable { username: "gw-7c5a0a01".into() };
        let disabled = directory.apply(disable, &key, 2).unwrap().directory;
        assert!(admit(&disabled, &key, offer).is_err() && !may_stay(&principal, &directory, &disabled));
    }

    #[test]
    fn a_certificate_stands_for_user_name_and_password() {
        let (directory, key, _) = with_gateway();
        let offer = Offer {
            client_id: "anything",
            username: None,
            password: None,
            may_be_guest: false,
            certificate_name: Some("gw-7c5a0a01"),
        };
        assert_eq!(admit(&directory, &key, offer).unwrap().gateway(), Some(0x7c5a_0a01));
        let same = Offer { username: Some("gw-7c5a0a01"), ..offer };
        assert!(admit(&directory, &key, same).is_ok());
        let other = Offer { username: Some("gw-00000001"), ..offer };
        assert_eq!(admit(&directory, &key, other), Err(Refusal::OtherName));
        let stranger = Offer { certificate_name: Some("nobody"), ..offer };
        assert_eq!(admit(&directory, &key, stranger), Err(Refusal::Credential(AuthRefusal::UnknownUser)));
        let disable = Command::Disable { username: "gw-7c5a0a01".into() };
        let disabled = directory.apply(disable, &key, 2).unwrap().directory;
        assert_eq!(admit(&disabled, &key, offer), Err(Refusal::Credential(AuthRefusal::Disabled)));
    }
}
