//! The operator's login: password, one-time setup link and sessions of the pages. Knows no credentials.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::{PasswordHasher, PasswordVerifier};
use directory::{OperatorPassword, Token, TokenHash};
use rusqlite::{Connection, OptionalExtension, params};

use crate::StoreError;
use crate::audit;
use crate::secret::random_token;
use crate::store::{Store, begin_write, stored};

/// How long a setup link works: 24 hours, in milliseconds.
pub const SETUP_LIFETIME_MS: u64 = 24 * 60 * 60 * 1000;

/// Most logins kept; the oldest goes when one more is made.
const SESSIONS_MAX: i64 = 100;

/// Tells whether a password is the operator's. Takes tens of milliseconds and 19 MiB on purpose, so it runs
/// on a thread of its own.
pub fn verify_operator_password(stored: &OperatorPassword, offered: &str) -> bool {
    PasswordHash::new(stored.as_phc())
        .is_ok_and(|hash| Argon2::default().verify_password(offered.as_bytes(), &hash).is_ok())
}

impl Store {
    /// Reads the operator's password hash; `None` until one is set.
    pub fn operator_password(&self) -> Result<Option<OperatorPassword>, StoreError> {
        let phc: Option<String> = self
            .connection
            .query_row("SELECT password_phc FROM operator", [], |row| row.get(0))
            .optional()
            .map_err(|source| self.during("read", source))?;
        phc.map(|phc| {
            OperatorPassword::from_phc(phc)
                .map_err(|error| StoreError::corrupt(&self.path, error.to_string()))
        })
        .transpose()
    }

    /// Sets the operator's password, ends all logins and any setup link.
    pub fn set_operator_password(
        &mut self,
        password: &str,
        actor: &str,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let phc = hash_password(password)?;
        let path = self.path.clone();
        let writing = begin_write(&mut self.connection, &path)?;
        write_password(&writing, &phc, actor, now_ms)
            .and_then(|()| writing.commit())
            .map_err(|source| StoreError::during("write", &path, source))
    }

    /// Makes the one-time token with which the operator sets a password, and forgets an earlier one.
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

    /// Tells whether a setup token would be taken, without using it up: for showing the form.
    pub fn setup_token_works(&self, offered: &str, now_ms: u64) -> Result<bool, StoreError> {
        let offered = self.token_key().hash_setup(offered.as_bytes());
        setup_hash_works(&self.connection, &offered, now_ms).map_err(|source| self.during("read", source))
    }

    /// Uses a setup token up and sets the operator's password. `false`: the token is wrong, used or too old.
    pub fn redeem_setup_token(
        &mut self,
        offered: &str,
        password: &str,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        // Hashing the password is expensive, so strangers do not get that far.
        if !self.setup_token_works(offered, now_ms)? {
            return Ok(false);
        }
        let phc = hash_password(password)?;
        let offered = self.token_key().hash_setup(offered.as_bytes());
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        if !setup_hash_works(&writing, &offered, now_ms).map_err(failed)? {
            return Ok(false);
        }
        write_password(&writing, &phc, "setup link", now_ms)
            .and_then(|()| writing.commit())
            .map_err(failed)?;
        Ok(true)
    }

    /// Makes a login of the pages that works for `lifetime_ms`; only the hash of its token is stored.
    pub fn create_session(&mut self, now_ms: u64, lifetime_ms: u64) -> Result<Token, StoreError> {
        let token = random_token()?;
        let hash = self.token_key().hash_session(token.reveal().as_bytes());
        let path = self.path.clone();
        let writing = begin_write(&mut self.connection, &path)?;
        let write = || -> rusqlite::Result<()> {
            writing.execute("DELETE FROM session WHERE expires_ms <= ?1", [stored(now_ms)])?;
            writing.execute(
                "DELETE FROM session WHERE hash IN
                     (SELECT hash FROM session ORDER BY created_ms DESC LIMIT -1 OFFSET ?1)",
                [SESSIONS_MAX - 1],
            )?;
            writing.execute(
                "INSERT INTO session (hash, created_ms, expires_ms) VALUES (?1, ?2, ?3)",
                params![hash.as_bytes(), stored(now_ms), stored(now_ms.saturating_add(lifetime_ms))],
            )?;
            audit::write(&writing, now_ms, "operator", "sign-in", "operator", "operator signed in")
        };
        write()
            .and_then(|()| writing.commit())
            .map_err(|source| StoreError::during("write", &path, source))?;
        Ok(token)
    }

    /// Looks a login up: until when it works (milliseconds since 1970 UTC), or `None` if it does not.
    pub fn session_expires_ms(&self, offered: &str, now_ms: u64) -> Result<Option<u64>, StoreError> {
        let hash = self.token_key().hash_session(offered.as_bytes());
        let expires: Option<i64> = self
            .connection
            .query_row(
                "SELECT expires_ms FROM session WHERE hash = ?1 AND expires_ms > ?2",
                params![hash.as_bytes(), stored(now_ms)],
                |row| row.get(0),
            )
            .optional()
            .map_err(|source| self.during("read", source))?;
        Ok(expires.and_then(|ms| u64::try_from(ms).ok()))
    }

    /// Ends a login. An unknown one is as good as ended.
    pub fn delete_session(&mut self, offered: &str) -> Result<(), StoreError> {
        let hash = self.token_key().hash_session(offered.as_bytes());
        self.connection
            .execute("DELETE FROM session WHERE hash = ?1", [hash.as_bytes()])
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
    phc: &OperatorPassword,
    actor: &str,
    now_ms: u64,
) -> rusqlite::Result<()> {
    writing.execute(
        "INSERT OR REPLACE INTO operator (id, password_phc, changed_ms) VALUES (1, ?1, ?2)",
        params![phc.as_phc(), stored(now_ms)],
    )?;
    writing.execute("DELETE FROM setup_token", [])?;
    writing.execute("DELETE FROM session", [])?;
    audit::write(writing, now_ms, actor, "set-password", "operator", "set the operator's password")
}

fn setup_hash_works(connection: &Connection, offered: &TokenHash, now_ms: u64) -> rusqlite::Result<bool> {
    let kept: Option<[u8; 32]> = connection
        .query_row("SELECT hash FROM setup_token WHERE expires_ms > ?1", [stored(now_ms)], |row| row.get(0))
        .optional()?;
    Ok(kept.is_some_and(|kept| TokenHash::new(kept) == *offered))
}
