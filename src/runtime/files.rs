//! File operations that std does not offer, and the names of the incident file.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
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

/// Whether a link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// It is, as Kubernetes' own volumes need it.
    Follow,
    /// It is an error: whoever can write to the folder must not choose another file.
    Refuse,
}

impl Links {
    /// Returns the flags for `open` with which opening a pipe or a device does not wait.
    fn flags(self) -> i32 {
        match self {
            Self::Follow => libc::O_NONBLOCK,
            Self::Refuse => libc::O_NONBLOCK | libc::O_NOFOLLOW,
        }
    }
}

/// Opens a regular file for reading. Opening anything else could wait for ever, and so could reading it; what was opened
/// is judged, and not what the path names.
///
/// # Errors
/// The file cannot be opened, or is no regular file.
pub fn open_regular(path: &Path, links: Links) -> io::Result<File> {
    let options = OpenOptions::new().read(true).to_owned();
    open_regular_with(options, path, links)
}

/// Opens a regular file with these options; see [`open_regular`].
///
/// # Errors
/// The file cannot be opened, or is no regular file.
pub fn open_regular_with(mut options: OpenOptions, path: &Path, links: Links) -> io::Result<File> {
    let file = options.custom_flags(links.flags()).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// Identifies a file, whatever its name: the device and the inode.
pub type FileId = (u64, u64);

/// Returns what identifies the file.
pub fn file_id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_nothing_waits() {
        let folder = std::env::temp_dir().join(format!("blackbox-open-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let at = |name: &str| folder.join(name);
        fs::write(at("file"), "text").unwrap();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        for (link, to) in [("link", "file"), ("link-to-pipe", "pipe")] {
            std::os::unix::fs::symlink(at(to), at(link)).unwrap();
        }
        for (name, follow, refuse) in [
            ("file", true, true),
            ("link", true, false),
            ("pipe", false, false),
            ("link-to-pipe", false, false),
            ("", false, false),
            ("nothing", false, false),
        ] {
            assert_eq!(open_regular(&at(name), Links::Follow).is_ok(), follow, "{name}");
            assert_eq!(open_regular(&at(name), Links::Refuse).is_ok(), refuse, "{name}");
            let writes = OpenOptions::new().append(true).to_owned();
            let opened = open_regular_with(writes, &at(name), Links::Refuse);
            assert_eq!(opened.is_ok(), refuse, "{name}");
        }
        assert!(open_regular(Path::new("/dev/zero"), Links::Follow).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
