//! One server for one data folder: two would each overwrite what the other has promised to keep.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// The right to serve from a data folder, until it is dropped or the process ends in any way.
#[derive(Debug)]
pub(crate) struct FolderLock(#[allow(dead_code, reason = "open for as long as the lock is held")] File);

impl FolderLock {
    /// Takes it. `None` when another process has it.
    pub fn take(folder: &Path) -> io::Result<Option<Self>> {
        let file =
            File::options().write(true).create(true).truncate(false).open(folder.join("serving.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            // A file system without locks, such as some network shares, must not keep anybody from serving.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Some(Self(file)))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_served_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap().unwrap();
        assert!(FolderLock::take(folder.path()).unwrap().is_none());
        drop(first);
        assert!(FolderLock::take(folder.path()).unwrap().is_some());
    }
}
