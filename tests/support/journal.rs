//! Files of the system journal, as systemd's own writer made them (`fixtures/journal/make`).

use std::fs;
use std::path::Path;

use super::{fixture, runs};

/// Writes the file with that name to a path.
pub fn write_journal(name: &str, path: &Path) {
    let stored = fs::read(fixture(&format!("journal/{name}.runs"))).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, runs::expanded(&stored)).unwrap();
}
