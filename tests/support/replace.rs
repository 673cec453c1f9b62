//! Files that change as the kernel's do.

use std::fs;
use std::path::Path;

/// Replaces a file atomically, as the kernel's files change: no reader sees half of it.
pub fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let beside = path.with_extension("beside");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}
