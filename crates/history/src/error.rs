//! What can go wrong with the files, in words that say what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// A failure of the history.
#[derive(Debug)]
pub enum Error {
    /// A file or folder cannot be used.
    Io(PathBuf, std::io::Error),
    /// SQLite says no.
    Sqlite(PathBuf, rusqlite::Error),
    /// A page of the file is damaged, with what SQLite found.
    Damaged(PathBuf, String),
    /// The file's writer keeps it locked.
    Busy(PathBuf),
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
    pub(crate) fn sqlite(file: &Path) -> impl FnOnce(rusqlite::Error) -> Self + use<> {
        let file = file.to_path_buf();
        move |error| Self::Sqlite(file, error)
    }

    /// Whether there is no room left, or the disk does not take what is written: trying again later can help.
    pub fn is_out_of_space(&self) -> bool {
        use rusqlite::ErrorCode::{DiskFull, SystemIoFailure};
        match self {
            Self::Sqlite(_, error) => matches!(error.sqlite_error_code(), Some(DiskFull | SystemIoFailure)),
            Self::Io(_, error) => error.kind() == std::io::ErrorKind::StorageFull,
            Self::Newer { .. } | Self::Foreign(_) | Self::Damaged(..) | Self::Busy(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(file, error) => write!(f, "`{}` cannot be used: {error}", file.display()),
            Self::Sqlite(file, error) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DiskFull) => {
                    write!(
                        f,
                        "the disk of `{}` is full; make room, recording goes on by itself",
                        file.display()
                    )
                }
                Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => write!(
                    f,
                    "`{}` is damaged or not a history file; move it away (nothing else is lost) and start again",
                    file.display()
                ),
                _ => write!(f, "`{}`: {error}", file.display()),
            },
            Self::Damaged(file, found) => write!(
                f,
                "`{}` is damaged ({found}); move it away (nothing else is lost) and restore it from a backup",
                file.display()
            ),
            Self::Busy(file) => write!(f, "`{}` is locked by another program; try again", file.display()),
            Self::Foreign(file) => write!(
                f,
                "`{}` is a database of another program; move it out of the history's folder",
                file.display()
            ),
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
