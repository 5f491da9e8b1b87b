//! Copies of SQLite files as they are at one moment, also while another process writes them, and whether a file is whole.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::error::Error;

/// How long a file may be locked by its writer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Copies a database as it is at one moment. What its writer commits meanwhile is not in the copy, and its writer does
/// not wait. `copy` must not exist.
///
/// # Errors
/// When the file cannot be read, the copy not be written, or what was copied is damaged.
pub fn take(file: &Path, copy: &Path) -> Result<(), Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(file, flags).map_err(Error::sqlite(file))?;
    source.busy_timeout(PATIENCE).map_err(Error::sqlite(file))?;
    let mut target = Connection::open(copy).map_err(Error::sqlite(copy))?;
    let copied = || -> rusqlite::Result<StepResult> {
        let backup = Backup::new(&source, &mut target)?;
        let began = std::time::Instant::now();
        loop {
            // All pages in one step are one reading transaction.
            match backup.step(-1)? {
                StepResult::Busy | StepResult::Locked if began.elapsed() < PATIENCE => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                done => return Ok(done),
            }
        }
    };
    match { copied }() {
        Ok(StepResult::Done) => {}
        Ok(_) => return Err(Error::Busy(file.to_path_buf())),
        Err(error) => return Err(Error::sqlite(file)(error)),
    }
    drop(target);
    check(copy)
}

/// Reads a database from end to end.
///
/// # Errors
/// When a page is damaged or the file is not whole.
pub fn check(file: &Path) -> Result<(), Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(Error::sqlite(file))?;
    connection.busy_timeout(PATIENCE).map_err(Error::sqlite(file))?;
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(Error::sqlite(file))?;
    if found == "ok" { Ok(()) } else { Err(Error::Damaged(file.to_path_buf(), found)) }
}
