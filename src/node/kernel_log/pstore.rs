//! What the firmware or the memory kept of a kernel that panicked (pstore), as the kernel shows it
//! (`/sys/fs/pstore/dmesg-…`), or as systemd-pstore archives it (`/var/lib/systemd/pstore/…/dmesg.txt`).

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;

use super::journal::OpenFile;
use crate::core::journal::Source;
use crate::core::kernel::panic::{PanicRecord, is_record};
use crate::limits::{PSTORE_FILE_BYTES_MAX, PSTORE_FILES_MAX};
use crate::runtime::files::{Links, open_regular};

/// Returns the records below the folder: their times and what they say. systemd-pstore makes folders in folders.
pub(super) fn records(folder: &Path) -> Vec<PanicRecord> {
    let (mut folders, mut records, mut looked_at) = (vec![(folder.to_owned(), 0)], Vec::new(), 0);
    while let Some((folder, depth)) = folders.pop() {
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            looked_at += 1;
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if looked_at > 8 * PSTORE_FILES_MAX || records.len() >= PSTORE_FILES_MAX {
                return records;
            }
            if metadata.is_dir() && depth < 2 {
                folders.push((path, depth + 1));
            } else if metadata.is_file()
                && path.file_name().and_then(|name| name.to_str()).is_some_and(is_record)
            {
                records.extend(read(&path, &metadata));
            }
        }
    }
    records
}

fn read(path: &Path, metadata: &Metadata) -> Option<PanicRecord> {
    let mut file = OpenFile(open_regular(path, Links::Refuse).ok()?);
    // The newest lines are at the end. What is compressed in a way that the kernel cannot undo ends in `.enc.z`.
    let mut text = vec![0; PSTORE_FILE_BYTES_MAX];
    let from = metadata.len().saturating_sub(PSTORE_FILE_BYTES_MAX as u64);
    let len = file.read_at(from, &mut text);
    text.truncate(len);
    let text = String::from_utf8_lossy(&text);
    let time = |at: std::io::Result<SystemTime>| Timestamp::try_from(at.ok()?).ok();
    let changed_at = Timestamp::from_second(metadata.ctime()).ok();
    PanicRecord::read(time(metadata.modified()), changed_at, &text)
}
