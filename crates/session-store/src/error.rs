//! What can go wrong with the file, in words that say what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// A failure of the store.
#[derive(Debug)]
pub enum Error {
    /// The folder or the file cannot be used.
    File(PathBuf, std::io::Error),
    /// SQLite says no.
    Sqlite(PathBuf, rusqlite::Error),
    /// The file holds what this program does not write.
    Damaged(PathBuf, String),
    /// The file is a database, but not of ours.
    Foreign(PathBuf),
    /// The file was written by a newer Backhaul.
    Newer {
        /// The file.
        file: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
}

impl Error {
    pub(crate) fn sqlite(file: &Path) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let file = file.to_path_buf();
        move |error| {
            let is_misread = matches!(
                error,
                rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
            );
            if is_misread {
                Self::Damaged(file.clone(), error.to_string())
            } else {
                Self::Sqlite(file.clone(), error)
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAMAGED: &str =
            "move it away to start without kept sessions and retained messages, or restore a backup";
        match self {
            Self::File(file, error) => write!(f, "`{}` cannot be used: {error}", file.display()),
            Self::Sqlite(file, error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => write!(
                    f,
                    "the disk of `{}` is full; make room, and what waits is kept and acknowledged by itself",
                    file.display()
                ),
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                    write!(f, "`{}` is damaged or not a session store; {DAMAGED}", file.display())
                }
                _ => write!(f, "`{}`: {error}", file.display()),
            },
            Self::Damaged(file, what) => write!(f, "`{}` is damaged ({what}); {DAMAGED}", file.display()),
            Self::Foreign(file) => {
                write!(f, "`{}` is a database of another program; move it away", file.display())
            }
            Self::Newer { file, found, known } => write!(
                f,
                "`{}` was written by a newer Backhaul (schema {found}, this program knows up to {known}); \
                 use the newer program",
                file.display()
            ),
        }
    }
}

impl std::error::Error for Error {}
