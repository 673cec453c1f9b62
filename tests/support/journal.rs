//! Files of the system journal, as systemd's own writer made them (`fixtures/journal/make`).

use std::fs;
use std::path::Path;

use super::fixture;

/// Writes the file with that name to a path. A fixture leaves out the zeros of a file.
pub fn write_journal(name: &str, path: &Path) {
    let stored = fs::read(fixture(&format!("journal/{name}.runs"))).unwrap();
    let (size, mut rest) = stored.split_first_chunk().unwrap();
    let mut bytes = vec![0; u64::from_le_bytes(*size) as usize];
    while let Some((offset, after)) = rest.split_first_chunk() {
        let (len, after) = after.split_first_chunk().unwrap();
        let (run, after) = after.split_at(u32::from_le_bytes(*len) as usize);
        bytes[u64::from_le_bytes(*offset) as usize..][..run.len()].copy_from_slice(run);
        rest = after;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
