//! What files need beside what std has.

use std::fs::File;
use std::path::Path;

/// A new name in a folder outlives a power cut only when the folder is written through as well. Where
/// that cannot be done nothing else is better.
pub fn sync_folder(path: &Path) {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}
