//! Signing in to the pages: passwords, one-time codes that set one, and sign-ins. Knows no credentials of clients.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::{PasswordHasher, PasswordVerifier};
use directory::{GatewayId, OperatorPassword, PersonName, PersonRole, Token, TokenHash};
use rusqlite::{Connection, OptionalExtension, params};

use crate::StoreError;
use crate::audit;
use crate::secret::random_token;
use crate::store::{Store, begin_write, stored};

/// How long a one-time code that sets a password works: 24 hours, in milliseconds.
pub const SETUP_LIFETIME_MS: u64 = 24 * 60 * 60 * 1000;

/// Most sign-ins kept; the oldest goes when one more is made.
const SESSIONS_MAX: i64 = 1000;

/// Who the first admin is when the setup link sets a password.
const FIRST_ADMIN: &str = "operator";

/// Whose sign-in it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedIn {
    /// A person's, who may do this now.
    Person(PersonName, PersonRole),
    /// By the link of a gateway: its owner's.
    Owner(GatewayId),
}

/// Tells whether a password is the stored one. Takes tens of milliseconds and 19 MiB on purpose, so it runs
/// on a thread of its own.
pub fn verify_operator_password(stored: &OperatorPassword, offered: &str) -> bool {
    PasswordHash::new(stored.as_phc())
        .is_ok_and(|hash| Argon2::default().verify_password(offered.as_bytes(), &hash).is_ok())
}

impl Store {
    /// Whether anybody has a password to sign in with.
    pub fn has_password(&self) -> Result<bool, StoreError> {
        self.connection
            .query_row("SELECT EXISTS (SELECT 1 FROM person WHERE password_phc IS NOT NULL)", [], |row| {
                row.get(0)
            })
            .map_err(|source| self.during("read", source))
    }

    /// Reads a person's password hash; `None` where there is no such person or no password yet.
    pub fn password_of(&self, name: &str) -> Result<Option<OperatorPassword>, StoreError> {
        let phc: Option<Option<String>> = self
            .connection
            .query_row("SELECT password_phc FROM person WHERE name = ?1", [name], |row| row.get(0))
            .optional()
            .map_err(|source| self.during("read", source))?;
        phc.flatten()
            .map(|phc| {
                OperatorPassword::from_phc(phc)
                    .map_err(|error| StoreError::corrupt(&self.path, error.to_string()))
            })
            .transpose()
    }

    /// Makes the one-time code with which the first admin sets a password, and forgets an earlier one.
    ///
    /// It works for [`SETUP_LIFETIME_MS`]; only its hash is stored.
    pub fn create_setup_token(&mut self, now_ms: u64) -> Result<Token, StoreError> {
        let token = random_token()?;
        let hash = self.token_key().hash_setup(token.reveal().as_bytes());
        self.connection
            .execute(
                "INSERT OR REPLACE INTO setup_token (id, hash, expires_ms) VALUES (1, ?1, ?2)",
                params![hash.as_bytes(), stored(now_ms.saturating_add(SETUP_LIFETIME_MS))],
            )
            .map_err(|source| self.during("write", source))?;
        Ok(token)
    }

    /// Whose password a one-time code would set, without using it up.
    pub fn whose_code(&self, offered: &str, now_ms: u64) -> Result<Option<PersonName>, StoreError> {
        let offered = self.token_key().hash_setup(offered.as_bytes());
        whose_code(&self.connection, &offered, now_ms).map_err(|source| self.during("read", source))
    }

    /// Uses a one-time code up and sets the password that it is for: the first admin's, or that of the person who was
    /// invited. `None`: the code is wrong, used or too old. All earlier sign-ins of that person end.
    pub fn redeem_code(
        &mut self,
        offered: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<Option<PersonName>, StoreError> {
        // Hashing the password is expensive, so strangers do not get that far.
        if self.whose_code(offered, now_ms)?.is_none() {
            return Ok(None);
        }
        let phc = hash_password(password)?;
        let offered = self.token_key().hash_setup(offered.as_bytes());
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        let Some(name) = whose_code(&writing, &offered, now_ms).map_err(failed)? else { return Ok(None) };
        write_password(&writing, &name, &phc, now_ms).and_then(|()| writing.commit()).map_err(failed)?;
        Ok(Some(name))
    }

    /// Makes a sign-in that works for `lifetime_ms`; only the hash of its token is stored.
    pub fn create_session(
        &mut self,
        whose: &SignedIn,
        now_ms: u64,
        lifetime_ms: u64,
    ) -> Result<Token, StoreError> {
        let token = random_token()?;
        let hash = self.token_key().hash_session(token.reveal().as_bytes());
        let path = self.path.clone();
        let (person, gateway, actor) = match whose {
            SignedIn::Person(name, _) => (Some(name.as_str()), None, name.to_string()),
            SignedIn::Owner(gateway) => (None, Some(gateway.0), format!("owner of {gateway}")),
        };
        let writing = begin_write(&mut self.connection, &path)?;
        let write = || -> rusqlite::Result<()> {
            writing.execute("DELETE FROM sign_in WHERE expires_ms <= ?1", [stored(now_ms)])?;
            writing.execute(
                "DELETE FROM sign_in WHERE hash IN
                     (SELECT hash FROM sign_in ORDER BY created_ms DESC LIMIT -1 OFFSET ?1)",
                [SESSIONS_MAX - 1],
            )?;
            writing.execute(
                "INSERT INTO sign_in (hash, person, gateway, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    hash.as_bytes(),
                    person,
                    gateway,
                    stored(now_ms),
                    stored(now_ms.saturating_add(lifetime_ms))
                ],
            )?;
            audit::write(&writing, now_ms, &actor, "sign-in", &actor, &format!("{actor} signed in"))
        };
        write()
            .and_then(|()| writing.commit())
            .map_err(|source| StoreError::during("write", &path, source))?;
        Ok(token)
    }

    /// Looks a sign-in up: whose it is and what they may do at this moment, or `None` if it does not hold. An owner's
    /// ends when the gateway is removed, also if it is added again for somebody else.
    pub fn signed_in(&self, offered: &str, now_ms: u64) -> Result<Option<SignedIn>, StoreError> {
        let hash = self.token_key().hash_session(offered.as_bytes());
        let found: Option<(Option<String>, Option<String>, Option<u32>)> = self
            .connection
            .query_row(
                "SELECT person.name, person.role, sign_in.gateway FROM sign_in
                 LEFT JOIN person ON person.name = sign_in.person
                 WHERE hash = ?1 AND expires_ms > ?2 AND (sign_in.gateway IS NULL OR EXISTS (
                     SELECT 1 FROM credential c WHERE c.gateway = sign_in.gateway AND c.created_ms <= sign_in.created_ms))",
                params![hash.as_bytes(), stored(now_ms)],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()
            .map_err(|source| self.during("read", source))?;
        match found {
            Some((Some(name), Some(role), _)) => {
                let corrupt =
                    |error: directory::PersonRefused| StoreError::corrupt(&self.path, error.to_string());
                Ok(Some(SignedIn::Person(name.parse().map_err(corrupt)?, role.parse().map_err(corrupt)?)))
            }
            Some((_, _, Some(gateway))) => Ok(Some(SignedIn::Owner(GatewayId(gateway)))),
            _ => Ok(None),
        }
    }

    /// Ends a sign-in. An unknown one is as good as ended.
    pub fn delete_session(&mut self, offered: &str) -> Result<(), StoreError> {
        let hash = self.token_key().hash_session(offered.as_bytes());
        self.connection
            .execute("DELETE FROM sign_in WHERE hash = ?1", [hash.as_bytes()])
            .map(|_| ())
            .map_err(|source| self.during("write", source))
    }
}

fn hash_password(password: &str) -> Result<OperatorPassword, StoreError> {
    OperatorPassword::check_choice(password).map_err(StoreError::Password)?;
    // The library's defaults are argon2id with OWASP's parameters: 19 MiB, 2 passes, 1 lane.
    let phc = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| StoreError::Hashing { why: error.to_string() })?;
    OperatorPassword::from_phc(phc.to_string()).map_err(StoreError::Password)
}

fn write_password(
    writing: &Connection,
    name: &PersonName,
    phc: &OperatorPassword,
    now_ms: u64,
) -> rusqlite::Result<()> {
    writing.execute(
        "INSERT INTO person (name, role, password_phc, since_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET password_phc = ?3, invite = NULL, invite_expires_ms = NULL",
        params![name.as_str(), PersonRole::Admin.word(), phc.as_phc(), stored(now_ms)],
    )?;
    writing.execute("DELETE FROM setup_token", [])?;
    writing.execute("DELETE FROM sign_in WHERE person = ?1", [name.as_str()])?;
    let words = format!("set the password of {name}");
    audit::write(writing, now_ms, "one-time link", "set-password", name.as_str(), &words)
}

fn whose_code(
    connection: &Connection,
    offered: &TokenHash,
    now_ms: u64,
) -> rusqlite::Result<Option<PersonName>> {
    let is_offered = |kept: [u8; 32]| TokenHash::new(kept) == *offered;
    let setup: Option<[u8; 32]> = connection
        .query_row("SELECT hash FROM setup_token WHERE expires_ms > ?1", [stored(now_ms)], |row| row.get(0))
        .optional()?;
    if setup.is_some_and(is_offered) {
        return Ok(FIRST_ADMIN.parse().ok());
    }
    let mut invited = connection
        .prepare("SELECT name, invite FROM person WHERE invite_expires_ms > ?1 AND invite IS NOT NULL")?;
    let mut rows = invited.query([stored(now_ms)])?;
    while let Some(row) = rows.next()? {
        if is_offered(row.get(1)?) {
            return Ok(row.get::<_, String>(0)?.parse().ok());
        }
    }
    Ok(None)
}
