//! File operations that std does not offer, and the names of the incident file.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::limits::INCIDENT_FILES_MAX;

/// Returns the names of the incident file at `path` and of its rotated predecessors (`.1`, `.2`, …), newest first.
pub fn rotated_names(path: &Path) -> impl DoubleEndedIterator<Item = PathBuf> + ExactSizeIterator {
    (0..INCIDENT_FILES_MAX).map(|n| rotated_name(path, n))
}

/// Returns the name of the incident file at `path` after it was rotated `n` times.
pub fn rotated_name(path: &Path, n: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if n > 0 {
        name.push(format!(".{n}"));
    }
    name.into()
}

/// Syncs the folder that contains `path`: a new name in a folder survives a power cut only if the folder is
/// synced as well. Errors are ignored, since there is no better alternative.
pub fn sync_folder(path: &Path) {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}
