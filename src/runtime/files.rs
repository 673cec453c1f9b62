//! File operations that std does not offer.

use std::fs::File;
use std::path::Path;

/// Syncs the folder that contains `path`: a new name in a folder survives a power cut only if the folder is
/// synced as well. Errors are ignored, since there is no better alternative.
pub fn sync_folder(path: &Path) {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}
