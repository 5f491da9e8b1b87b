//! What can go wrong with the store, in the operator's words. Names files, never secrets.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use directory::{
    ApiTokenRefused, CommandError, DownlinkRefused, ErasureRefused, GrantRefused, IncidentRefused,
    OperatorPasswordError, PersonRefused, ReplayRefused, RequestRefused, SendingRefused, SilenceRefused,
    WatchRefused,
};
use rusqlite::ErrorCode;

/// Why the store could not do what it was asked.
#[derive(Debug)]
pub enum StoreError {
    /// The data folder cannot be made.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the store cannot be made, read or protected.
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database was written by a newer program.
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// The database is damaged or not ours.
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The database failed in another way: disk full, locked for too long, read-only.
    Database {
        /// What was being done: `open`, `read`, `write`.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The secret key is gone, and the stored credentials cannot be checked without it.
    KeyMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The secret key is not the one that the stored credentials were made with.
    KeyForeign {
        /// The key file.
        path: PathBuf,
    },
    /// The secret key file does not hold 32 bytes.
    KeyLength {
        /// The key file.
        path: PathBuf,
    },
    /// The operating system gave no random bytes.
    Random(getrandom::Error),
    /// The directory refused the command.
    Command(CommandError),
    /// The directory refused the command about downlink.
    Downlink(DownlinkRefused),
    /// The directory refused the command about grants and holds.
    Grant(GrantRefused),
    /// The directory refused the command about quarantine or a review.
    Watch(WatchRefused),
    /// The directory refused the command about what services may have sent.
    Sending(SendingRefused),
    /// What was wanted of a request is refused.
    Request(RequestRefused),
    /// What was said about an incident makes no sense.
    Incident(IncidentRefused),
    /// What was said to a replay makes no sense.
    Replay(ReplayRefused),
    /// Nothing was done about a silence of alerts.
    Silence(SilenceRefused),
    /// Nothing was done about a token of the API.
    ApiToken(ApiTokenRefused),
    /// What was wanted of an erasure is refused.
    Erasure(ErasureRefused),
    /// The command about people is refused.
    Person(PersonRefused),
    /// The chosen password is not taken.
    Password(OperatorPasswordError),
    /// The password could not be hashed.
    Hashing {
        /// Why.
        why: String,
    },
}

impl StoreError {
    /// Sorts an SQLite error: damage is told apart from trouble.
    pub(crate) fn during(doing: &'static str, path: &Path, source: rusqlite::Error) -> StoreError {
        let path = path.to_owned();
        let damaged =
            matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase));
        let misread = matches!(
            source,
            rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
        );
        if damaged || misread {
            return StoreError::Corrupt { path, why: source.to_string() };
        }
        StoreError::Database { doing, path, source }
    }

    pub(crate) fn corrupt(path: &Path, why: impl Into<String>) -> StoreError {
        StoreError::Corrupt { path: path.to_owned(), why: why.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Folder { path, .. } => write!(f, "cannot make data folder `{}`", path.display()),
            StoreError::File { path, .. } => write!(f, "cannot make or read `{}`", path.display()),
            StoreError::Newer { path, found, known } => write!(
                f,
                "`{}` has schema version {found}, but this program knows versions up to {known}: \
                 start the newer program that wrote it, or restore a backup",
                path.display()
            ),
            StoreError::Corrupt { path, why } => write!(
                f,
                "`{}` is damaged or not a directory database ({why}): move it away or restore a backup",
                path.display()
            ),
            StoreError::Database { doing, path, .. } => write!(f, "cannot {doing} `{}`", path.display()),
            StoreError::KeyMissing { path } => write!(
                f,
                "`{}` is missing, but the stored passwords were made with it: restore it from a backup, \
                 or move `directory.db` away and add every client again",
                path.display()
            ),
            StoreError::KeyForeign { path } => write!(
                f,
                "`{}` is not the key that the stored passwords were made with: restore the right one, \
                 or move `directory.db` away and add every client again",
                path.display()
            ),
            StoreError::KeyLength { path } => write!(f, "`{}` must hold exactly 32 bytes", path.display()),
            StoreError::Random(_) => f.write_str("operating system gave no random bytes"),
            StoreError::Command(error) => error.fmt(f),
            StoreError::Downlink(error) => error.fmt(f),
            StoreError::Grant(error) => error.fmt(f),
            StoreError::Watch(error) => error.fmt(f),
            StoreError::Sending(error) => error.fmt(f),
            StoreError::Request(error) => error.fmt(f),
            StoreError::Incident(error) => error.fmt(f),
            StoreError::Replay(error) => error.fmt(f),
            StoreError::ApiToken(error) => error.fmt(f),
            StoreError::Silence(error) => error.fmt(f),
            StoreError::Erasure(error) => error.fmt(f),
            StoreError::Person(error) => error.fmt(f),
            StoreError::Password(error) => error.fmt(f),
            StoreError::Hashing { why } => write!(f, "cannot hash password: {why}"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StoreError::Folder { source, .. } | StoreError::File { source, .. } => Some(source),
            StoreError::Database { source, .. } => Some(source),
            StoreError::Random(source) => Some(source),
            StoreError::Newer { .. }
            | StoreError::Corrupt { .. }
            | StoreError::KeyMissing { .. }
            | StoreError::KeyForeign { .. }
            | StoreError::KeyLength { .. }
            | StoreError::Command(_)
            | StoreError::Downlink(_)
            | StoreError::Grant(_)
            | StoreError::Watch(_)
            | StoreError::Sending(_)
            | StoreError::Request(_)
            | StoreError::Incident(_)
            | StoreError::Replay(_)
            | StoreError::ApiToken(_)
            | StoreError::Silence(_)
            | StoreError::Erasure(_)
            | StoreError::Person(_)
            | StoreError::Password(_)
            | StoreError::Hashing { .. } => None,
        }
    }
}
