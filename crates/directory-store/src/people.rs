//! People who sign in, on disk. Knows no sign-ins but to end them.

use directory::{Person, PersonCommand, PersonName, PersonRefused, Token};
use rusqlite::{Connection, params};

use crate::StoreError;
use crate::audit;
use crate::login::SETUP_LIFETIME_MS;
use crate::secret::random_token;
use crate::store::{Store, begin_write, stored};

impl Store {
    /// Everybody who may sign in, by name.
    pub fn people(&self) -> Result<Vec<Person>, StoreError> {
        read(&self.connection).map_err(|source| self.during("read", source))
    }

    /// Judges a command about people and makes it durable, with a line in the audit. Whoever is added or reset gets a
    /// one-time code, with which they set a password within a day; only its hash is stored.
    ///
    /// `actor` is who asked, in words for the audit; `now_ms` is Unix milliseconds.
    ///
    /// # Errors
    /// When the command is refused, or the file cannot be written.
    pub fn apply_person(
        &mut self,
        command: &PersonCommand,
        actor: &str,
        now_ms: u64,
    ) -> Result<Option<Token>, StoreError> {
        let code = match command {
            PersonCommand::Add(..) | PersonCommand::Reset(_) => Some(random_token()?),
            PersonCommand::SetRole(..) | PersonCommand::Remove(_) => None,
        };
        let hash = code.as_ref().map(|code| self.token_key().hash_setup(code.reveal().as_bytes()));
        let invite = hash.as_ref().map(|hash| hash.as_bytes());
        let until_ms = stored(now_ms.saturating_add(SETUP_LIFETIME_MS));
        let path = self.path.clone();
        let failed = |source| StoreError::during("write", &path, source);
        let writing = begin_write(&mut self.connection, &path)?;
        command.check(&read(&writing).map_err(failed)?).map_err(StoreError::Person)?;
        let name = command.name().as_str();
        let end_sign_ins = || writing.execute("DELETE FROM sign_in WHERE person = ?1", [name]);
        let write = || -> rusqlite::Result<()> {
            match command {
                PersonCommand::Add(_, role) => writing.execute(
                    "INSERT INTO person (name, role, since_ms, invite, invite_expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![name, role.word(), stored(now_ms), invite, until_ms],
                )?,
                PersonCommand::SetRole(_, role) => writing
                    .execute("UPDATE person SET role = ?2 WHERE name = ?1", params![name, role.word()])?,
                PersonCommand::Reset(_) => {
                    end_sign_ins()?;
                    writing.execute(
                        "UPDATE person SET password_phc = NULL, invite = ?2, invite_expires_ms = ?3 WHERE name = ?1",
                        params![name, invite, until_ms],
                    )?
                }
                PersonCommand::Remove(_) => {
                    end_sign_ins()?;
                    writing.execute("DELETE FROM person WHERE name = ?1", [name])?
                }
            };
            audit::write(&writing, now_ms, actor, command.action(), name, &command.event())
        };
        write().and_then(|()| writing.commit()).map_err(failed)?;
        Ok(code)
    }
}

fn read(connection: &Connection) -> rusqlite::Result<Vec<Person>> {
    let mut people = connection.prepare(
        "SELECT name, role, since_ms, password_phc IS NOT NULL, invite_expires_ms FROM person ORDER BY name",
    )?;
    let rows = people.query_map([], |row| {
        let unreadable = |column: usize, error: PersonRefused| {
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
        };
        let name: PersonName = row.get::<_, String>(0)?.parse().map_err(|e| unreadable(0, e))?;
        Ok(Person {
            name,
            role: row.get::<_, String>(1)?.parse().map_err(|e| unreadable(1, e))?,
            since_ms: row.get(2)?,
            has_password: row.get(3)?,
            invited_until_ms: row.get(4)?,
        })
    })?;
    rows.collect()
}
