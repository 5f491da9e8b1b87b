//! Opening the store, reading the directory and applying commands. Knows no logins.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use directory::{
    Applied, Command, Credential, Directory, Edit, GatewayId, Owner, Role, ScramVerifier, TokenHash,
    TokenKey, Username,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::StoreError;
use crate::{audit, downlink, erasures, grant, schema, secret, sending, watch};

/// How long an edit waits for another process's edit to end.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The open directory of one data folder.
///
/// A store is one SQLite connection: it can be handed to another thread, not shared. Opening a second one
/// is cheap.
#[derive(Debug)]
pub struct Store {
    pub(crate) path: PathBuf,
    pub(crate) connection: Connection,
    key: TokenKey,
}

impl Store {
    /// Opens `<data_dir>/directory.db` and `<data_dir>/secret.key`, making the folder and both on first use.
    ///
    /// Files are readable by their owner only. A database from a newer program, a damaged one, and a secret
    /// key that does not belong to the stored credentials are errors, and nothing is changed then.
    pub fn open(data_dir: &Path) -> Result<Store, StoreError> {
        let folder_error = |source| StoreError::Folder { path: data_dir.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(folder_error)?;
        let path = data_dir.join("directory.db");
        make_private_file(&path)?;
        let mut connection =
            Connection::open(&path).map_err(|source| StoreError::during("open", &path, source))?;
        connection
            .busy_timeout(BUSY_TIMEOUT)
            .map_err(|source| StoreError::during("set up", &path, source))?;
        schema::prepare(&mut connection, &path)?;
        let key = secret::load_or_make_key(data_dir, &mut connection, &path)?;
        Ok(Store { path, connection, key })
    }

    /// The key under which this installation's tokens are hashed, for [`Directory::authenticate`].
    pub fn token_key(&self) -> &TokenKey {
        &self.key
    }

    /// Reads the whole directory as it is at this moment.
    pub fn load(&self) -> Result<Directory, StoreError> {
        let reading =
            self.connection.unchecked_transaction().map_err(|source| self.during("read", source))?;
        read_directory(&reading, &self.path)
    }

    /// Judges a command against the present state and makes it durable, with a line in the audit.
    ///
    /// `actor` is who asked, in words for the audit (`command line`, `operator`); `now_ms` is milliseconds
    /// since 1970 UTC.
    pub fn apply(&mut self, command: Command, actor: &str, now_ms: u64) -> Result<Applied, StoreError> {
        let path = self.path.clone();
        let writing = begin_write(&mut self.connection, &path)?;
        let before = read_directory(&writing, &path)?;
        let applied = before.apply(command, &self.key, now_ms).map_err(StoreError::Command)?;
        write_change(&writing, &applied)
            .and_then(|()| {
                let subject = applied.username.as_str();
                audit::write(&writing, now_ms, actor, applied.edit.word(), subject, &applied.event)
            })
            .and_then(|()| writing.commit())
            .map_err(|source| StoreError::during("write", &path, source))?;
        Ok(applied)
    }

    /// A number that differs from the last call's if another connection has written since.
    ///
    /// It costs a few microseconds, so a server can ask several times a second whether to [`Store::load`]
    /// again. Edits through this same store do not count.
    pub fn data_version(&self) -> Result<i64, StoreError> {
        self.connection
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .map_err(|source| self.during("read", source))
    }

    pub(crate) fn during(&self, doing: &'static str, source: rusqlite::Error) -> StoreError {
        StoreError::during(doing, &self.path, source)
    }
}

/// Starts a transaction that other writers wait for, so that what is read in it is still true when it writes.
pub(crate) fn begin_write<'a>(
    connection: &'a mut Connection,
    path: &Path,
) -> Result<Transaction<'a>, StoreError> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|source| StoreError::during("write", path, source))
}

/// Makes the file before SQLite does, so that it is never readable by others; SQLite gives the files of its
/// write-ahead log the same mode.
fn make_private_file(path: &Path) -> Result<(), StoreError> {
    let error = |source| StoreError::File { path: path.to_owned(), source };
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(error)?;
    let mode = file.metadata().map_err(error)?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(error)?;
    }
    Ok(())
}

pub(crate) fn read_directory(connection: &Connection, path: &Path) -> Result<Directory, StoreError> {
    let failed = |source| StoreError::during("read", path, source);
    let last_generation: Option<i64> = connection
        .query_row("SELECT last_generation FROM state", [], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    let mut statement = connection
        .prepare(
            "SELECT name, role, gateway, prefix, owner_name, owner_contact, token, created_ms, disabled_ms,
                    note, generation, scram
             FROM credential ORDER BY name",
        )
        .map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut credentials = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        credentials.push(read_credential(row, path)?);
    }
    let last_generation = last_generation.and_then(|n| u64::try_from(n).ok());
    let last_generation =
        last_generation.ok_or_else(|| StoreError::corrupt(path, "the generation counter is missing"))?;
    let directory = Directory::from_parts(credentials, last_generation)
        .map_err(|error| StoreError::corrupt(path, error.to_string()))?;
    let directory = directory.with_downlink(downlink::read(connection).map_err(failed)?);
    let directory = directory.with_grants(grant::read(connection).map_err(failed)?);
    let directory = directory.with_watch(watch::read(connection).map_err(failed)?);
    let directory = directory.with_sendings(sending::read(connection).map_err(failed)?);
    Ok(directory.with_tombstones(erasures::tombstones(connection).map_err(failed)?))
}

fn read_credential(row: &Row<'_>, path: &Path) -> Result<Credential, StoreError> {
    let failed = |source| StoreError::during("read", path, source);
    let number = |column: &str| -> Result<u64, StoreError> {
        let value: i64 = row.get(column).map_err(failed)?;
        u64::try_from(value).map_err(|_| StoreError::corrupt(path, format!("`{column}` is negative")))
    };
    let name: String = row.get("name").map_err(failed)?;
    let name: Username = name.parse().map_err(|error| StoreError::corrupt(path, format!("{error}")))?;
    let wrong_role = || StoreError::corrupt(path, format!("role of credential `{name}` is unreadable"));
    let role: String = row.get("role").map_err(failed)?;
    let gateway: Option<u32> = row.get("gateway").map_err(failed)?;
    let prefix: Option<String> = row.get("prefix").map_err(failed)?;
    let role = match (role.as_str(), gateway, prefix) {
        ("gateway", Some(number), None) => Role::Gateway(GatewayId(number)),
        ("observer", None, None) => Role::Observer,
        ("bridge", None, None) => Role::Bridge,
        ("service", None, Some(text)) => Role::Service { prefix: text.parse().map_err(|_| wrong_role())? },
        _ => return Err(wrong_role()),
    };
    let owner_name: Option<String> = row.get("owner_name").map_err(failed)?;
    let contact: Option<String> = row.get("owner_contact").map_err(failed)?;
    let disabled_ms: Option<i64> = row.get("disabled_ms").map_err(failed)?;
    let scram: Option<String> = row.get("scram").map_err(failed)?;
    let scram = scram.map(|text| text.parse::<ScramVerifier>()).transpose();
    let scram = scram.map_err(|error| StoreError::corrupt(path, format!("credential `{name}`: {error}")))?;
    Ok(Credential {
        role,
        owner: owner_name.map(|name| Owner { name, contact }),
        token: TokenHash::new(row.get("token").map_err(failed)?),
        scram,
        created_ms: number("created_ms")?,
        disabled_ms: match disabled_ms {
            Some(_) => Some(number("disabled_ms")?),
            None => None,
        },
        note: row.get("note").map_err(failed)?,
        generation: number("generation")?,
        name,
    })
}

pub(crate) fn write_change(writing: &Transaction<'_>, applied: &Applied) -> rusqlite::Result<()> {
    writing
        .execute("UPDATE state SET last_generation = ?1", [stored(applied.directory.last_generation())])?;
    let name = applied.username.as_str();
    match (applied.edit, applied.directory.credential(name)) {
        (Edit::Added | Edit::Disabled | Edit::Enabled | Edit::Rotated, Some(credential)) => {
            write_credential(writing, credential)
        }
        (Edit::Removed, _) | (_, None) => {
            writing.execute("DELETE FROM credential WHERE name = ?1", [name]).map(|_| ())
        }
    }
}

fn write_credential(writing: &Transaction<'_>, credential: &Credential) -> rusqlite::Result<()> {
    let prefix = match &credential.role {
        Role::Service { prefix } => Some(prefix.as_str()),
        Role::Gateway(_) | Role::Observer | Role::Bridge => None,
    };
    let owner = credential.owner.as_ref();
    writing.execute(
        "INSERT OR REPLACE INTO credential
             (name, role, gateway, prefix, owner_name, owner_contact, token, created_ms, disabled_ms, note,
              generation, scram)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            credential.name.as_str(),
            credential.role.word(),
            credential.role.gateway_id().map(|id| id.0),
            prefix,
            owner.map(|owner| &owner.name),
            owner.and_then(|owner| owner.contact.as_ref()),
            credential.token.as_bytes(),
            stored(credential.created_ms),
            credential.disabled_ms.map(stored),
            credential.note,
            stored(credential.generation),
            credential.scram.as_ref().map(ScramVerifier::to_text),
        ],
    )?;
    Ok(())
}

/// SQLite's integers are signed; times and counters stay far below their limit.
/// A moment for the audit; before 1970 there was none.
pub(crate) fn since_1970(at_ms: i64) -> u64 {
    u64::try_from(at_ms).unwrap_or(0)
}

pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
