//! Tokens of programs on disk. Only their hashes are kept.

use directory::{
    API_TOKENS_MAX, ApiScope, ApiToken, ApiTokenForm, ApiTokenRefused, PersonName, PersonRole, Token,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::StoreError;
use crate::audit;
use crate::secret::random_token;
use crate::store::{Store, begin_write, since_1970};

const COLUMNS: &str = "number, name, scope, made_ms, made_by, until_ms, used_ms";
/// How exactly it is kept when a token was used: each time would be a write.
const USED_EVERY_MS: i64 = 10 * 60_000;

impl Store {
    /// Makes a token and gives its secret, which is kept nowhere. `person` is who made it, if it was one: when they may do
    /// less, so may the token.
    ///
    /// # Errors
    /// When it makes no sense, there are too many, or the file cannot be written.
    pub fn make_api_token(
        &mut self,
        form: ApiTokenForm,
        person: Option<&PersonName>,
        actor: &str,
        now_ms: i64,
    ) -> Result<Token, StoreError> {
        let form = form.checked(now_ms).map_err(StoreError::ApiToken)?;
        let token = random_token()?;
        let hash = self.token_key().hash_api(token.reveal().as_bytes());
        self.write_api_token(actor, now_ms, "make-api-token", |writing| {
            let count: usize = writing.query_row("SELECT count(*) FROM api_token", [], |row| row.get(0))?;
            if count >= API_TOKENS_MAX {
                return Ok(Err(ApiTokenRefused::TooMany));
            }
            writing.execute(
                "INSERT INTO api_token (name, scope, hash, made_ms, made_by, person, until_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    form.name,
                    form.scope.word(),
                    hash.as_bytes(),
                    now_ms,
                    actor,
                    person.map(PersonName::as_str),
                    form.until_ms
                ],
            )?;
            let words = format!("made an API token for {} that may {}", form.name, form.scope);
            Ok(Ok((writing.last_insert_rowid(), words)))
        })?;
        Ok(token)
    }

    /// Revokes a token: it ends at once.
    ///
    /// # Errors
    /// When none has this number, or the file cannot be written.
    pub fn revoke_api_token(&mut self, number: i64, actor: &str, now_ms: i64) -> Result<(), StoreError> {
        self.write_api_token(actor, now_ms, "revoke-api-token", |writing| {
            let name: Option<String> = writing
                .query_row("SELECT name FROM api_token WHERE number = ?1", [number], |row| row.get(0))
                .optional()?;
            let Some(name) = name else { return Ok(Err(ApiTokenRefused::Unknown(number))) };
            writing.execute("DELETE FROM api_token WHERE number = ?1", [number])?;
            Ok(Ok((number, format!("revoked the API token of {name}"))))
        })
    }

    /// All tokens, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn api_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let read = || -> rusqlite::Result<Vec<ApiToken>> {
            let all = format!("SELECT {COLUMNS} FROM api_token ORDER BY number DESC");
            self.connection.prepare(&all)?.query_map([], read_token)?.collect()
        };
        read().map_err(|source| self.during("read", source))
    }

    /// The token with this secret, if it works at this moment; notes that it was used.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn use_api_token(&mut self, offered: &str, now_ms: i64) -> Result<Option<ApiToken>, StoreError> {
        let hash = self.token_key().hash_api(offered.as_bytes());
        let found = self
            .connection
            .query_row(
                &format!(
                    "SELECT {COLUMNS}, person, (SELECT role FROM person p WHERE p.name = api_token.person)
                     FROM api_token WHERE hash = ?1 AND (until_ms IS NULL OR until_ms > ?2)"
                ),
                params![hash.as_bytes(), now_ms],
                |row| {
                    Ok((read_token(row)?, row.get::<_, Option<String>>(7)?, row.get::<_, Option<String>>(8)?))
                },
            )
            .optional()
            .map_err(|source| self.during("read", source))?;
        let Some((token, person, role)) = found else { return Ok(None) };
        let role = role.and_then(|role| role.parse::<PersonRole>().ok());
        if person.is_some() && role.is_none_or(|role| role < token.scope.needs()) {
            return Ok(None);
        }
        if token.used_ms.is_none_or(|used| now_ms - used >= USED_EVERY_MS) {
            self.connection
                .execute("UPDATE api_token SET used_ms = ?2 WHERE number = ?1", params![token.number, now_ms])
                .map_err(|source| self.during("write", source))?;
        }
        Ok(Some(token))
    }

    fn write_api_token(
        &mut self,
        actor: &str,
        now_ms: i64,
        action: &str,
        change: impl FnOnce(&Connection) -> rusqlite::Result<Result<(i64, String), ApiTokenRefused>>,
    ) -> Result<(), StoreError> {
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        let (number, words) = change(&writing).map_err(failed)?.map_err(StoreError::ApiToken)?;
        audit::write(&writing, since_1970(now_ms), actor, action, &number.to_string(), &words)
            .and_then(|()| writing.commit())
            .map_err(failed)
    }
}

fn read_token(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    let scope: String = row.get(2)?;
    Ok(ApiToken {
        number: row.get(0)?,
        name: row.get(1)?,
        // What a newer program calls otherwise may do the least here.
        scope: scope.parse().unwrap_or(ApiScope::Read),
        made_ms: row.get(3)?,
        made_by: row.get(4)?,
        until_ms: row.get(5)?,
        used_ms: row.get(6)?,
    })
}
