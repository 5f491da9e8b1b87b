//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side: what is stored for a password, and one exchange.
//!
//! The password never crosses the wire and the server never learns it. Knows no MQTT; messages are bytes.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{AuthRefusal, Credential, Directory, TokenKey};

/// How often the hash is iterated: RFC 7677's least, since tokens have 130 random bits and need no stretching.
const ITERATIONS: u32 = 4096;
const SALT_BYTES: usize = 16;
/// Longest message taken from a client, in bytes: names, nonces and a proof fit many times over.
const MESSAGE_BYTES_MAX: usize = 1024;

/// What is stored to check a password by SCRAM: it proves who knows it, and cannot be used to sign in.
#[derive(Clone)]
pub struct ScramVerifier {
    iterations: u32,
    salt: [u8; SALT_BYTES],
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

impl ScramVerifier {
    /// Makes the verifier of a user's password. Takes milliseconds, on purpose.
    ///
    /// The salt comes from the name and this installation's key, so that a name without a credential has one too, the same
    /// at every question: nobody can tell which names exist.
    pub fn new(key: &TokenKey, username: &str, password: &[u8]) -> ScramVerifier {
        let salt = key.scram_salt(username);
        let mut salted_password = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, ITERATIONS, &mut salted_password);
        let client_key = hmac(&salted_password, b"Client Key");
        let stored_key = Sha256::digest(client_key).into();
        ScramVerifier {
            iterations: ITERATIONS,
            salt,
            stored_key,
            server_key: hmac(&salted_password, b"Server Key"),
        }
    }

    /// One that no password fits.
    fn of_nobody(key: &TokenKey, username: &str) -> ScramVerifier {
        let salt = key.scram_salt(username);
        ScramVerifier { iterations: ITERATIONS, salt, stored_key: [0; 32], server_key: [0; 32] }
    }

    /// The stored form, as PostgreSQL writes it: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`.
    pub fn to_text(&self) -> String {
        let (salt, stored) = (STANDARD.encode(self.salt), STANDARD.encode(self.stored_key));
        format!("SCRAM-SHA-256${}:{salt}${stored}:{}", self.iterations, STANDARD.encode(self.server_key))
    }
}

impl FromStr for ScramVerifier {
    type Err = ScramError;

    fn from_str(text: &str) -> Result<ScramVerifier, ScramError> {
        let parse = || {
            let (head, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
            let (iterations, salt) = head.split_once(':')?;
            let (stored, server) = keys.split_once(':')?;
            Some(ScramVerifier {
                iterations: iterations.parse().ok().filter(|i| *i >= ITERATIONS)?,
                salt: decoded(salt)?,
                stored_key: decoded(stored)?,
                server_key: decoded(server)?,
            })
        };
        parse().ok_or(ScramError("the stored verifier is unreadable"))
    }
}

impl PartialEq for ScramVerifier {
    fn eq(&self, other: &ScramVerifier) -> bool {
        let public = (self.iterations, self.salt) == (other.iterations, other.salt);
        public
            && bool::from(self.stored_key.ct_eq(&other.stored_key) & self.server_key.ct_eq(&other.server_key))
    }
}

impl Eq for ScramVerifier {}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramVerifier(***)")
    }
}

/// A message that is no SCRAM-SHA-256, or asks for what there is not. What it says is fixed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScramError(pub &'static str);

impl fmt::Display for ScramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ScramError {}

/// An exchange whose first half is done: it waits for the client's proof.
pub struct ScramExchange {
    username: String,
    verifier: ScramVerifier,
    /// Whether there is anybody to sign in as: a name without a verifier goes through the same motions.
    is_somebody: bool,
    nonce: String,
    /// Channel binding that the client must repeat.
    binding: String,
    /// `client-first-message-bare,server-first-message,`.
    auth_message: String,
}

impl fmt::Debug for ScramExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramExchange").field("username", &self.username).finish_non_exhaustive()
    }
}

impl ScramExchange {
    /// Answers a client-first-message. `nonce` is the server's: never used before, and nobody can guess it.
    pub fn start(
        directory: &Directory,
        key: &TokenKey,
        nonce: &str,
        client_first: &[u8],
    ) -> Result<(ScramExchange, String), ScramError> {
        let text = message(client_first)?;
        let (header_len, bare) = after_gs2_header(text)?;
        let mut fields = bare.split(',');
        let username = match fields.next().and_then(|field| field.strip_prefix("n=")) {
            Some(name) => unescaped(name)?,
            None => return Err(ScramError("the first message does not begin with a user name")),
        };
        let client_nonce = match fields.next().and_then(|field| field.strip_prefix("r=")) {
            Some(nonce) if is_nonce(nonce) => nonce,
            _ => return Err(ScramError("the first message has no nonce")),
        };
        let credential = directory.credential(&username);
        let verifier = credential.and_then(|credential| credential.scram.clone());
        let is_somebody = verifier.is_some();
        let verifier = verifier.unwrap_or_else(|| ScramVerifier::of_nobody(key, &username));
        let nonce = format!("{client_nonce}{nonce}");
        let salt = STANDARD.encode(verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
        let auth_message = format!("{bare},{server_first},");
        let binding = STANDARD.encode(&text[..header_len]);
        let exchange = ScramExchange { username, verifier, is_somebody, nonce, binding, auth_message };
        Ok((exchange, server_first))
    }

    /// The name that the client wants to sign in as.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Checks a client-final-message against the directory as it is at this moment. Gives the credential and the
    /// server-final-message, which proves to the client that this server knows its password's verifier.
    ///
    /// # Errors
    /// As for a wrong password, also when the message is not well formed; that somebody is disabled is told only to those
    /// who know the password.
    pub fn finish<'d>(
        &self,
        directory: &'d Directory,
        client_final: &[u8],
    ) -> Result<(&'d Credential, String), AuthRefusal> {
        let proof = self.proof(client_final).unwrap_or(None);
        let Some((without_proof, proof)) = proof else { return Err(AuthRefusal::WrongPassword) };
        let auth_message = format!("{}{without_proof}", self.auth_message);
        let signature = hmac(&self.verifier.stored_key, auth_message.as_bytes());
        let mut client_key = proof;
        client_key.iter_mut().zip(signature).for_each(|(key, byte)| *key ^= byte);
        let offered: [u8; 32] = Sha256::digest(client_key).into();
        let is_proven = bool::from(offered.ct_eq(&self.verifier.stored_key)) & self.is_somebody;
        let credential = directory.credential(&self.username).ok_or(AuthRefusal::UnknownUser)?;
        // It may have been rotated between both halves.
        if !is_proven || credential.scram.as_ref() != Some(&self.verifier) {
            return Err(AuthRefusal::WrongPassword);
        }
        if !credential.is_enabled() {
            return Err(AuthRefusal::Disabled);
        }
        let signature = hmac(&self.verifier.server_key, auth_message.as_bytes());
        Ok((credential, format!("v={}", STANDARD.encode(signature))))
    }

    /// The client-final-message without its proof, and the proof; `None` when it does not continue this exchange.
    fn proof<'a>(&self, client_final: &'a [u8]) -> Result<Option<(&'a str, [u8; 32])>, ScramError> {
        let text = message(client_final)?;
        let Some((without_proof, proof)) = text.rsplit_once(",p=") else { return Ok(None) };
        let mut fields = without_proof.split(',');
        let binding = fields.next().and_then(|field| field.strip_prefix("c="));
        let nonce = fields.next().and_then(|field| field.strip_prefix("r="));
        let continues = binding == Some(self.binding.as_str()) && nonce == Some(self.nonce.as_str());
        Ok(decoded(proof).filter(|_| continues).map(|proof| (without_proof, proof)))
    }
}

impl TokenKey {
    /// The salt of a user name, whether it exists or not.
    fn scram_salt(&self, username: &str) -> [u8; SALT_BYTES] {
        let hash = self.derive(b"scram salt", username.as_bytes(), b"");
        let mut salt = [0; SALT_BYTES];
        salt.copy_from_slice(&hash[..SALT_BYTES]);
        salt
    }

    /// A nonce that nobody without this key can guess, new for every `serial` that is.
    pub fn scram_nonce(&self, seed: u64, serial: u64) -> String {
        STANDARD.encode(self.derive(b"scram nonce", &seed.to_be_bytes(), &serial.to_be_bytes()))
    }
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

fn message(bytes: &[u8]) -> Result<&str, ScramError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(ScramError("the message is too long"));
    }
    std::str::from_utf8(bytes).map_err(|_| ScramError("the message is not text"))
}

/// Length of the gs2 header, and what follows it. No channel binding is offered, and nobody acts for another.
fn after_gs2_header(text: &str) -> Result<(usize, &str), ScramError> {
    let mut fields = text.splitn(3, ',');
    match fields.next() {
        Some("n" | "y") => {}
        Some(binding) if binding.starts_with("p=") => {
            return Err(ScramError("there is no channel binding here"));
        }
        _ => return Err(ScramError("the first message is not SCRAM")),
    }
    match fields.next() {
        Some("") => {}
        Some(other) if other.starts_with("a=") => {
            return Err(ScramError("nobody signs in to act as somebody else"));
        }
        _ => return Err(ScramError("the first message is not SCRAM")),
    }
    let bare = fields.next().ok_or(ScramError("the first message is not SCRAM"))?;
    Ok((text.len() - bare.len(), bare))
}

/// A name as it is, `=2C` for a comma and `=3D` for an equals sign.
fn unescaped(name: &str) -> Result<String, ScramError> {
    let mut parts = name.split('=');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(ScramError("the user name is not escaped as it must be")),
        };
        out.push(sign);
        out.push_str(rest);
    }
    Ok(out)
}

fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, 0x21..=0x2b | 0x2d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, Token};

    const KEY: [u8; 32] = [3; 32];

    /// The client's side, for a server-first-message.
    fn client_final(bare: &str, server_first: &str, password: &[u8]) -> (String, String) {
        let field = |name: &str| server_first.split(',').find_map(|f| f.strip_prefix(name)).unwrap();
        let mut salted = [0; 32];
        let salt = STANDARD.decode(field("s=")).unwrap();
        pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, field("i=").parse().unwrap(), &mut salted);
        let without_proof = format!("c=biws,r={}", field("r="));
        let auth_message = format!("{bare},{server_first},{without_proof}");
        let client_key = hmac(&salted, b"Client Key");
        let stored: [u8; 32] = Sha256::digest(client_key).into();
        let mut proof = hmac(&stored, auth_message.as_bytes());
        proof.iter_mut().zip(client_key).for_each(|(p, k)| *p ^= k);
        let server = hmac(&hmac(&salted, b"Server Key"), auth_message.as_bytes());
        (format!("{without_proof},p={}", STANDARD.encode(proof)), format!("v={}", STANDARD.encode(server)))
    }

    fn with_observer() -> (Directory, TokenKey, Token) {
        let (key, token) = (TokenKey::new(KEY), Token::from_random([9; 17]));
        let add = Command::AddObserver {
            name: "reader".into(),
            owner: None,
            note: String::new(),
            token: token.clone(),
        };
        (Directory::default().apply(add, &key, 1).unwrap().directory, key, token)
    }

    /// RFC 7677 § 3, with the verifier and both nonces as there.
    #[test]
    fn the_exchange_of_the_rfc() {
        let salt = decoded("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(b"pencil", &salt, 4096, &mut salted);
        let client_key = hmac(&salted, b"Client Key");
        let verifier = ScramVerifier {
            iterations: 4096,
            salt,
            stored_key: Sha256::digest(client_key).into(),
            server_key: hmac(&salted, b"Server Key"),
        };
        let (mut directory, key, _) = with_observer();
        let mut user = Credential::clone(directory.credential("reader").unwrap());
        (user.name, user.scram) = ("user".parse().unwrap(), Some(verifier));
        directory = Directory::from_parts([user], 1).unwrap();
        let (exchange, server_first) = ScramExchange::start(
            &directory,
            &key,
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        )
        .unwrap();
        assert_eq!(
            server_first,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                     p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let (credential, server_final) = exchange.finish(&directory, last).unwrap();
        assert_eq!(credential.name.as_str(), "user");
        assert_eq!(server_final, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn a_token_signs_in_and_nothing_else_does() {
        let (directory, key, token) = with_observer();
        let bare = "n=reader,r=abc";
        let begin = |nonce: &str| {
            ScramExchange::start(&directory, &key, nonce, format!("n,,{bare}").as_bytes()).unwrap()
        };
        let (exchange, server_first) = begin("xyz");
        let (right, server) = client_final(bare, &server_first, token.reveal().as_bytes());
        assert_eq!(exchange.finish(&directory, right.as_bytes()).unwrap().1, server);
        let (wrong, _) = client_final(bare, &server_first, b"wrong");
        assert_eq!(exchange.finish(&directory, wrong.as_bytes()), Err(AuthRefusal::WrongPassword));
        let (other, _) = begin("uvw");
        assert_eq!(
            other.finish(&directory, right.as_bytes()),
            Err(AuthRefusal::WrongPassword),
            "an old proof"
        );
        let unbound = right.replace("c=biws", "c=eSws");
        assert_eq!(exchange.finish(&directory, unbound.as_bytes()), Err(AuthRefusal::WrongPassword));
        for cut in 0..right.len() {
            assert!(exchange.finish(&directory, &right.as_bytes()[..cut]).is_err());
        }
        let disable = Command::Disable { username: "reader".into() };
        let disabled = directory.apply(disable, &key, 2).unwrap().directory;
        assert_eq!(exchange.finish(&disabled, right.as_bytes()), Err(AuthRefusal::Disabled));
        assert_eq!(exchange.finish(&disabled, wrong.as_bytes()), Err(AuthRefusal::WrongPassword));
        let rotate = Command::Rotate { username: "reader".into(), token: Token::from_random([1; 17]) };
        let rotated = directory.apply(rotate, &key, 2).unwrap().directory;
        assert_eq!(exchange.finish(&rotated, right.as_bytes()), Err(AuthRefusal::WrongPassword));
    }

    #[test]
    fn a_name_that_nobody_has_looks_like_any_other() {
        let (directory, key, token) = with_observer();
        let start = |name: &str| {
            ScramExchange::start(&directory, &key, "xyz", format!("n,,n={name},r=abc").as_bytes()).unwrap()
        };
        let (exchange, first) = start("nobody");
        assert_eq!(first, start("nobody").1, "the same salt every time");
        assert_ne!(first, start("someone").1);
        assert_eq!(first.len(), start("reader").1.len());
        let (last, _) = client_final("n=nobody,r=abc", &first, token.reveal().as_bytes());
        assert!(exchange.finish(&directory, last.as_bytes()).is_err());
        // A proof for the key of nobody, all zeros, opens nothing either.
        let zero = format!("c=biws,r=abcxyz,p={}", STANDARD.encode([0; 32]));
        assert!(exchange.finish(&directory, zero.as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_scram_is_refused() {
        let (directory, key, _) = with_observer();
        for bad in [
            "",
            "n",
            "n,,",
            "n,,n=",
            "x,,n=a,r=b",
            "p=tls-unique,,n=a,r=b",
            "n,a=b,n=a,r=b",
            "n,,r=b",
            "n,,n=a",
            "n,,n=a,r=",
            "n,,n=a=b,r=c",
            "n,,m=x,n=a,r=b",
            "n,,n=a,r=\u{e4}",
        ] {
            assert!(ScramExchange::start(&directory, &key, "x", bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(ScramExchange::start(&directory, &key, "x", &[b'n'; 2000]).is_err());
        assert!(ScramExchange::start(&directory, &key, "x", b"n,,n=\xff,r=a").is_err());
        let (exchange, _) = ScramExchange::start(&directory, &key, "x", b"y,,n=a=2Cb=3D,r=b,ext=1").unwrap();
        assert_eq!(exchange.username(), "a,b=");
    }

    #[test]
    fn a_verifier_is_stored_as_text_and_shows_nothing() {
        let verifier = ScramVerifier::new(&TokenKey::new(KEY), "a", b"secret");
        assert_eq!(verifier.to_text().parse(), Ok(verifier.clone()));
        assert_eq!(format!("{verifier:?}"), "ScramVerifier(***)");
        for bad in ["", "SCRAM-SHA-256$1:AAAA$AAAA:AAAA", "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA"] {
            assert!(bad.parse::<ScramVerifier>().is_err(), "{bad}");
        }
    }
}
