//! Where histories are in a data folder: our own, and archives of what came from elsewhere, each of them a data folder again.

use std::path::{Path, PathBuf};

/// A name that is a folder's and nothing more.
///
/// # Errors
/// When it is not, with what a name is.
pub fn archive_name(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    match text.len() {
        1..=60 if text.chars().all(is_allowed) => Ok(text.to_owned()),
        _ => Err("a name is 1 to 60 of a-z, 0-9, - and _".to_owned()),
    }
}

/// The folder of an archive.
pub fn archive_folder(data: &Path, name: &str) -> PathBuf {
    data.join("archives").join(name)
}

/// The folder of a history: our own, or that of an archive.
pub fn history_folder(data: &Path, archive: Option<&str>) -> PathBuf {
    archive.map_or_else(|| data.to_owned(), |name| archive_folder(data, name)).join("history")
}
