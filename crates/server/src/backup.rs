//! A data folder copied while it is in use, and made again from the copy.
//!
//! Databases are copied as they are at one moment each, the directory and the sessions before the history: so the history
//! of a backup has at least what its sessions promise. The list of files with their hashes is written last: a folder
//! without it is no backup, and what does not fit it is told before anything is restored.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

/// The list of files, in the folder of a backup.
const LIST: &str = "backup.json";
/// Version of the list.
const VERSION: u64 = 1;
/// What belongs to a running server and not to what it keeps.
const LEFT_OUT: [&str; 5] = [".db-wal", ".db-shm", ".db-journal", ".lock", ".unfinished"];

/// Why there is no backup, or nothing was restored.
#[derive(Debug)]
pub enum BackupError {
    /// There is nothing to back up.
    NoData(PathBuf),
    /// The folder to write has something in it.
    NotEmpty(PathBuf),
    /// The folder has no list of files.
    NoBackup(PathBuf),
    /// The list is of a newer program, or nonsense.
    UnknownList(PathBuf),
    /// A file is not what the list says.
    Damaged(PathBuf),
    /// A file cannot be read or written.
    Io(PathBuf, io::Error),
    /// A database cannot be copied, or is of a newer program.
    Database(history::Error),
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoData(folder) => write!(
                f,
                "there is no data folder `{}`; say where it is with --data or --config",
                folder.display()
            ),
            Self::NotEmpty(folder) => {
                write!(f, "`{}` is not empty; name a folder that does not exist yet", folder.display())
            }
            Self::NoBackup(folder) => write!(
                f,
                "`{}` is no backup, or one that was not finished: it has no `{LIST}`",
                folder.display()
            ),
            Self::UnknownList(file) => {
                write!(f, "`{}` is of a newer Backhaul or damaged; use the newer program", file.display())
            }
            Self::Damaged(file) => {
                write!(f, "`{}` is not as it was when it was backed up; nothing was restored", file.display())
            }
            Self::Io(file, error) => write!(f, "`{}`: {error}", file.display()),
            Self::Database(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for BackupError {}

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Copies a data folder, also while a server works on it, to a folder that is made or empty.
///
/// # Errors
/// When something cannot be copied; what stands in the target then is no backup, since its list is missing.
pub fn back_up(data: &Path, target: &Path, now_ms: i64) -> Result<Copied, BackupError> {
    if !data.is_dir() {
        return Err(BackupError::NoData(data.to_path_buf()));
    }
    make_empty(target)?;
    let target_within = target.canonicalize().map_err(at(target))?;
    let mut files = Vec::new();
    // A backup inside of what is backed up does not contain itself.
    list_files(data, Path::new(""), &target_within, &mut files)?;
    files.sort_by_key(|file| (file.starts_with("history"), file.clone()));
    let mut listed = Vec::new();
    let mut bytes = 0;
    for file in files {
        let (from, to) = (data.join(&file), target.join(&file));
        make_parent(&to)?;
        if file.extension().is_some_and(|extension| extension == "db") {
            // The history may have deleted an old day meanwhile.
            match history::snapshot::take(&from, &to) {
                Err(_) if !from.exists() => continue,
                taken => taken.map_err(BackupError::Database)?,
            }
            copy_permissions(&from, &to)?;
        } else {
            std::fs::copy(&from, &to).map_err(at(&from))?;
        }
        let (size, hash) = size_and_hash(&to)?;
        bytes += size;
        listed.push(json!({ "path": file.to_string_lossy(), "bytes": size, "sha256": hash }));
    }
    let list = json!({
        "v": VERSION, "program": env!("CARGO_PKG_VERSION"), "at_ms": now_ms, "files": listed,
    });
    let list_file = target.join(LIST);
    crate::private_file::write(&list_file, format!("{list:#}\n").as_bytes(), 0o600)
        .map_err(at(&list_file))?;
    Ok(Copied { files: listed.len(), bytes })
}

/// Makes a data folder of a backup. Everything is checked first, and put in place at once.
///
/// # Errors
/// When the backup is not whole or not known, or the data folder is there already; nothing is restored then.
pub fn restore(backup: &Path, data: &Path) -> Result<Copied, BackupError> {
    let files = read_list(backup)?;
    for (path, bytes, hash) in &files {
        let file = backup.join(path);
        let found = size_and_hash(&file).map_err(|_| BackupError::Damaged(file.clone()))?;
        if found != (*bytes, hash.clone()) {
            return Err(BackupError::Damaged(file));
        }
    }
    make_empty(data)?;
    let unfinished = data.with_extension("restoring");
    make_empty(&unfinished)?;
    let done = copy_all(backup, &files, &unfinished).and_then(|copied| {
        // Over an empty folder, at once: a data folder is there as a whole or not at all.
        std::fs::rename(&unfinished, data).map_err(at(data))?;
        Ok(copied)
    });
    if done.is_err() {
        // What cannot be tidied up is in nobody's way: the next attempt names it.
        let _ = std::fs::remove_dir_all(&unfinished);
    }
    done
}

fn copy_all(backup: &Path, files: &[(PathBuf, u64, String)], data: &Path) -> Result<Copied, BackupError> {
    let mut copied = Copied { files: 0, bytes: 0 };
    for (path, bytes, _) in files {
        let (from, to) = (backup.join(path), data.join(path));
        make_parent(&to)?;
        std::fs::copy(&from, &to).map_err(at(&to))?;
        std::fs::File::open(&to).and_then(|file| file.sync_all()).map_err(at(&to))?;
        copied = Copied { files: copied.files + 1, bytes: copied.bytes + bytes };
    }
    // A history of a newer program is told here and not by a server that does not start.
    history::Reader::open(&data.join("history")).map_err(BackupError::Database)?;
    Ok(copied)
}

fn read_list(backup: &Path) -> Result<Vec<(PathBuf, u64, String)>, BackupError> {
    let file = backup.join(LIST);
    let unknown = || BackupError::UnknownList(file.clone());
    let text = std::fs::read_to_string(&file).map_err(|_| BackupError::NoBackup(backup.to_path_buf()))?;
    let list: Json = serde_json::from_str(&text).map_err(|_| unknown())?;
    if list["v"].as_u64() != Some(VERSION) {
        return Err(unknown());
    }
    let files = list["files"].as_array().ok_or_else(unknown)?;
    let read = |entry: &Json| {
        let path = PathBuf::from(entry["path"].as_str()?);
        // Nothing outside of the data folder is written, whoever made the list.
        let is_within = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let entry = (path, entry["bytes"].as_u64()?, entry["sha256"].as_str()?.to_owned());
        is_within.then_some(entry)
    };
    files.iter().map(|entry| read(entry).ok_or_else(unknown)).collect()
}

fn list_files(
    data: &Path,
    below: &Path,
    left_out: &Path,
    files: &mut Vec<PathBuf>,
) -> Result<(), BackupError> {
    let folder = data.join(below);
    for entry in std::fs::read_dir(&folder).map_err(at(&folder))? {
        let entry = entry.map_err(at(&folder))?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type().map_err(at(&entry.path()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() && entry.path().canonicalize().is_ok_and(|folder| folder != left_out) {
            list_files(data, &path, left_out, files)?;
        } else if kind.is_file() && !LEFT_OUT.iter().any(|end| name.ends_with(end)) {
            files.push(path);
        }
    }
    Ok(())
}

fn make_empty(folder: &Path) -> Result<(), BackupError> {
    let is_new = !folder.exists();
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    if std::fs::read_dir(folder).map_err(at(folder))?.next().is_some() {
        return Err(BackupError::NotEmpty(folder.to_path_buf()));
    }
    // It holds the secret key: nobody else's business.
    if is_new {
        use std::os::unix::fs::PermissionsExt;
        let owner_only = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder, owner_only).map_err(at(folder))?;
    }
    Ok(())
}

fn make_parent(file: &Path) -> Result<(), BackupError> {
    match file.parent() {
        Some(parent) => std::fs::create_dir_all(parent).map_err(at(parent)),
        None => Ok(()),
    }
}

fn copy_permissions(from: &Path, to: &Path) -> Result<(), BackupError> {
    let permissions = std::fs::metadata(from).map_err(at(from))?.permissions();
    std::fs::set_permissions(to, permissions).map_err(at(to))
}

fn size_and_hash(file: &Path) -> Result<(u64, String), BackupError> {
    let mut opened = std::fs::File::open(file).map_err(at(file))?;
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = io::Read::read(&mut opened, &mut buffer).map_err(at(file))?;
        if count == 0 {
            return Ok((bytes, hex::encode(hasher.finalize())));
        }
        hasher.update(&buffer[..count]);
        bytes += count as u64;
    }
}

fn at(file: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let file = file.to_path_buf();
    move |error| BackupError::Io(file, error)
}
