//! The secret key file and random tokens. Knows nothing of who they are for.

use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use directory::{TOKEN_RANDOM_BYTES, Token, TokenHash, TokenKey};
use rusqlite::{Connection, OptionalExtension};

use crate::StoreError;
use crate::store::begin_write;

const KEY_BYTES: usize = 32;

/// Makes a token from the operating system's random source.
pub fn random_token() -> Result<Token, StoreError> {
    Ok(Token::from_random(random_bytes::<TOKEN_RANDOM_BYTES>()?))
}

/// A random key of 256 bits for a channel. It is kept nowhere.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn random_channel_key() -> Result<[u8; 32], StoreError> {
    random_bytes()
}

fn random_bytes<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StoreError::Random)?;
    Ok(bytes)
}

/// Reads `secret.key`, or makes one if no stored credential depends on an older one.
pub(crate) fn load_or_make_key(
    data_dir: &Path,
    connection: &mut Connection,
    db_path: &Path,
) -> Result<TokenKey, StoreError> {
    let path = data_dir.join("secret.key");
    // The write transaction makes a second process that starts at the same time wait for the key to be there.
    let writing = begin_write(connection, db_path)?;
    let failed = |source| StoreError::during("read", db_path, source);
    let check: Option<[u8; 32]> = writing
        .query_row("SELECT key_check FROM state", [], |row| row.get(0))
        .optional()
        .map_err(failed)?
        .flatten();
    let depended_on: bool = writing
        .query_row("SELECT EXISTS (SELECT 1 FROM credential)", [], |row| row.get(0))
        .map_err(failed)?;
    let key = match read_key(&path)? {
        Some(key) => key,
        None if depended_on => return Err(StoreError::KeyMissing { path }),
        None => make_key(&path)?,
    };
    let fits = check.is_some_and(|check| TokenHash::new(check) == check_value(&key));
    if !fits && depended_on {
        return Err(StoreError::KeyForeign { path });
    }
    if !fits {
        let value = check_value(&key);
        writing.execute("UPDATE state SET key_check = ?1", [value.as_bytes()]).map_err(failed)?;
    }
    writing.commit().map_err(failed)?;
    Ok(key)
}

fn check_value(key: &TokenKey) -> TokenHash {
    key.hash_credential("", b"key check")
}

fn read_key(path: &Path) -> Result<Option<TokenKey>, StoreError> {
    let error = |source| StoreError::File { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(other) => return Err(error(other)),
    };
    if file.metadata().map_err(error)?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(error)?;
    }
    let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(error)?;
    match <[u8; KEY_BYTES]>::try_from(bytes.as_slice()) {
        Ok(key) => Ok(Some(TokenKey::new(key))),
        Err(_) => Err(StoreError::KeyLength { path: path.to_owned() }),
    }
}

/// Writes the key under another name first: a crash never leaves half a key under the real one.
fn make_key(path: &Path) -> Result<TokenKey, StoreError> {
    let error = |source| StoreError::File { path: path.to_owned(), source };
    let bytes = random_bytes::<KEY_BYTES>()?;
    let unfinished = path.with_extension("key.unfinished");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(error)?;
    file.write_all(&bytes).map_err(error)?;
    file.sync_all().map_err(error)?;
    std::fs::rename(&unfinished, path).map_err(error)?;
    // The name must be on disk before the first password that depends on it.
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(error)?;
    Ok(TokenKey::new(bytes))
}
