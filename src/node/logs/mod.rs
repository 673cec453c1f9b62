//! Reads the last log lines of a terminated container from the kubelet's log folder.
//!
//! The paths are the kubelet's: `<root>/<namespace>_<pod>_<uid>/<container>/<restart count>.log`
//! (pkg/kubelet/kuberuntime/helpers.go, `BuildPodLogsDirectory`, `BuildContainerLogsDirectory`,
//! `buildContainerLogsPath`). At 10 MiB the kubelet renames the file to `<restart count>.log.<timestamp>` and
//! compresses the files rotated before (pkg/kubelet/logs/container_log_manager.go, `rotateLatestLog`,
//! `compressLog`). The file of a terminated instance is kept until the next instance terminates, so the
//! agent must read it at once.
//!
//! The agent may read everything on the node, so nobody must be able to redirect it to another file: below
//! the root no folder and no file may be a link, and the opened file must be the one that was inspected.
//! The root itself may be a link, since the operator chose it. The agent inspects the path before and after
//! it opens the file, without following a link and without waiting for one that writes. So this does not stop an attacker who can swap folders below the root
//! twice within microseconds; only root of the node can do that.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::core::logs::last_words::{LastWords, LogEnd, Tail, Truncation};
use crate::limits::{
    LOG_FOLDER_ENTRIES_MAX, LOG_NAME_BYTES_MAX, LOG_OPEN_TRIES_MAX, LOG_TAIL_BYTES_MAX,
};
use crate::runtime::files::{FileId, Links, file_id, open_regular};

mod gap;
pub use self::gap::Gap;

/// What was read of a log.
#[derive(Debug)]
pub struct LogRead {
    /// The end of the log, in which the cause of the container's end may stand.
    pub end: LogEnd,
    /// The last lines of it, for the incident.
    pub words: LastWords,
}

/// The kubelet's log folder, and how much to read from it.
#[derive(Clone, Debug)]
pub struct PodLogs {
    root: PathBuf,
    lines_max: usize,
    is_masked: bool,
}

impl PodLogs {
    /// Creates a reader for the folder `root` (`BLACKBOX_POD_LOGS`) that returns at most `lines_max` lines of an
    /// instance (`BLACKBOX_LOG_LINES`), with credentials masked or not (`BLACKBOX_LOG_MASK`). Opens nothing.
    pub fn new(root: &Path, lines_max: usize, is_masked: bool) -> Self {
        Self { root: root.to_owned(), lines_max, is_masked }
    }

    /// Returns the last log lines of the container instance with that restart count. `pod_uid` is the UID that
    /// the kubelet uses, for a static pod the annotation `kubernetes.io/config.hash`. If `lines_max` is 0,
    /// nothing is read.
    ///
    /// Reads at most two files, and at most [`LOG_TAIL_BYTES_MAX`] bytes of each. A file that is still being
    /// written is read up to its current end.
    ///
    /// # Errors
    /// The reason why there are no lines, and what to do about it: a sentence for the incident's gaps.
    pub fn last_words(
        &self,
        namespace: &str,
        pod_name: &str,
        pod_uid: &str,
        container: &str,
        restart_count: i64,
    ) -> Result<LastWords, Gap> {
        self.read(namespace, pod_name, pod_uid, container, restart_count).map(|read| read.words)
    }

    /// The same, with the lines before them in which the cause may stand.
    ///
    /// # Errors
    /// The same as for [`PodLogs::last_words`].
    pub fn read(
        &self,
        namespace: &str,
        pod_name: &str,
        pod_uid: &str,
        container: &str,
        restart_count: i64,
    ) -> Result<LogRead, Gap> {
        if self.lines_max == 0 {
            let (end, words) = (LogEnd::read(&[], self.is_masked), LastWords::default());
            return Ok(LogRead { end, words });
        }
        for name in [namespace, pod_name, pod_uid, container] {
            check_name(name)?;
        }
        let restart_count = u32::try_from(restart_count).map_err(|_| Gap::Name)?;
        let pod = format!("{namespace}_{pod_name}_{pod_uid}");
        let folder = Folder::look(&self.root, &pod, container)?;
        self.read_in(&folder, container, &format!("{restart_count}.log"))
    }

    fn read_in(&self, folder: &Folder, container: &str, name: &str) -> Result<LogRead, Gap> {
        let mut tries = 0;
        loop {
            tries += 1;
            let newest = folder.tail(name)?;
            if let Some(newest) = &newest {
                let mut read = self.words(&[newest]);
                if read.words.lines.len() >= self.lines_max || read.words.truncated.is_some() {
                    read.words.file = format!("{container}/{name}");
                    return Ok(read);
                }
            }
            // More lines are needed, or the file was rotated a moment ago, or it is gone.
            let before = folder.before(name, newest.is_some())?;
            let is_settled = folder.is_still(name, newest.as_ref());
            if is_settled || tries == LOG_OPEN_TRIES_MAX {
                // If the file was rotated in the meantime, the rotated file is not older than `newest`.
                let old = before.end.as_ref().filter(|_| is_settled || newest.is_none());
                let ends: Vec<_> = old.into_iter().chain(&newest).collect();
                let mut read = self.words(&ends);
                let words = &mut read.words;
                words.file = match (&newest, before.name) {
                    (Some(_), _) => format!("{container}/{name}"),
                    (None, Some(rotated)) if old.is_some() => format!("{container}/{rotated}"),
                    (None, _) => return Err(Gap::NoFile(folder.path().join(name))),
                };
                let has_more = before.others > usize::from(old.is_some());
                if has_more && words.truncated.is_none() && words.lines.len() < self.lines_max {
                    words.truncated = Some(Truncation::Rotated);
                }
                return Ok(read);
            }
        }
    }

    /// Returns the last lines of these file ends, which are given the oldest first.
    fn words(&self, ends: &[&End]) -> LogRead {
        let tails: Vec<_> =
            ends.iter().map(|end| Tail { bytes: &end.bytes, is_cut: end.is_cut }).collect();
        let end = LogEnd::read(&tails, self.is_masked);
        let words = end.last_words(self.lines_max);
        LogRead { end, words }
    }
}

/// Checks that a name leads to one entry of one folder, whatever the API server sends. Kubernetes allows far
/// fewer names.
fn check_name(name: &str) -> Result<(), Gap> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    let is_bounded = (1..=LOG_NAME_BYTES_MAX).contains(&name.len());
    if is_plain && is_bounded && name != "." && name != ".." { Ok(()) } else { Err(Gap::Name) }
}

/// The end of a log file.
struct End {
    bytes: Vec<u8>,
    is_cut: bool,
    /// Kept open: while the file is open, no other file can get its inode.
    file: File,
}

/// The rotated log files of one instance.
#[derive(Default)]
struct Before {
    /// The name of the newest rotated file that is not compressed.
    name: Option<String>,
    /// The end of that file, if it could be read.
    end: Option<End>,
    /// Number of all rotated files, compressed ones included.
    others: usize,
}

/// The log folder of one container.
struct Folder {
    /// The pod's folder and the container's, with their identities at the first look.
    parts: [(PathBuf, FileId); 2],
}

impl Folder {
    /// Inspects the folders of the pod and the container.
    fn look(root: &Path, pod: &str, container: &str) -> Result<Self, Gap> {
        let pod = root.join(pod);
        let container = pod.join(container);
        let look = |path: PathBuf| match folder_id(&path)? {
            Some(id) => Ok((path, id)),
            None if fs::metadata(root).is_ok_and(|root| root.is_dir()) => Err(Gap::NoFolder(path)),
            None => Err(Gap::NoRoot(root.to_owned())),
        };
        Ok(Self { parts: [look(pod)?, look(container)?] })
    }

    fn path(&self) -> &Path {
        &self.parts[1].0
    }

    /// Checks that both folders are still the ones that were inspected.
    fn check(&self) -> Result<(), Gap> {
        for (path, id) in &self.parts {
            match folder_id(path)? {
                Some(now) if now == *id => {}
                Some(_) => return Err(Gap::Replaced(path.clone())),
                None => return Err(Gap::NoFolder(path.clone())),
            }
        }
        Ok(())
    }

    /// Reads the end of a file. `None`: the file does not exist.
    fn tail(&self, name: &str) -> Result<Option<End>, Gap> {
        let path = self.path().join(name);
        for _ in 0..LOG_OPEN_TRIES_MAX {
            let Some(named) = found(&path, fs::symlink_metadata(&path))? else {
                return Ok(None);
            };
            check_file(&path, &named)?;
            let Some(file) = found(&path, open_regular(&path, Links::Refuse))? else {
                return Ok(None);
            };
            let held = found(&path, file.metadata())?;
            let Some(held) = held.filter(|held| file_id(held) == file_id(&named)) else {
                // Most likely the file was rotated between the two calls.
                continue;
            };
            check_file(&path, &held)?;
            self.check()?;
            let end = read_end(file, held.len()).map_err(|error| Gap::from_io(&path, &error))?;
            return Ok(Some(end));
        }
        Err(Gap::Replaced(path))
    }

    /// Returns true if the name still leads to that file, or, without a file, still does not exist.
    fn is_still(&self, name: &str, end: Option<&End>) -> bool {
        let named = fs::symlink_metadata(self.path().join(name));
        match (end.map(|end| end.file.metadata()), named) {
            (Some(Ok(held)), Ok(named)) => file_id(&held) == file_id(&named),
            (None, Err(error)) => error.kind() == ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Reads the end of the newest file rotated before the file `name`. If `name` exists, an error in a rotated
    /// file is ignored, so that the lines of `name` are not lost.
    fn before(&self, name: &str, is_there: bool) -> Result<Before, Gap> {
        let mut before = self.rotated(name)?;
        if let Some(rotated) = &before.name {
            before.end = match self.tail(rotated) {
                Err(_) if is_there => None,
                end => end?,
            };
        }
        Ok(before)
    }

    /// Lists the rotated files of that name.
    fn rotated(&self, name: &str) -> Result<Before, Gap> {
        let path = self.path();
        let entries = fs::read_dir(path).map_err(|error| Gap::from_io(path, &error))?;
        self.check()?;
        let mut rotated = Before::default();
        for entry in entries.take(LOG_FOLDER_ENTRIES_MAX) {
            let Ok(entry) = entry else { break };
            let Ok(entry) = entry.file_name().into_string() else { continue };
            let Some(suffix) = entry.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'))
            else {
                continue;
            };
            rotated.others += 1;
            if is_timestamp(suffix) && rotated.name.as_ref().is_none_or(|newest| entry > *newest) {
                rotated.name = Some(entry);
            }
        }
        Ok(rotated)
    }
}

/// Returns true if the suffix is a rotation time in the kubelet's form, `20060102-150405`, which sorts as text
/// in the order of time. Compressed files have `.gz` after it, and `.tmp` while they are being compressed.
fn is_timestamp(suffix: &str) -> bool {
    let form = "20060102-150405";
    let fits = |(byte, form): (u8, u8)| {
        if form == b'-' { byte == form } else { byte.is_ascii_digit() }
    };
    suffix.len() == form.len() && suffix.bytes().zip(form.bytes()).all(fits)
}

/// Returns the folder's identity; links are not followed. `None`: the folder does not exist.
fn folder_id(path: &Path) -> Result<Option<FileId>, Gap> {
    let Some(metadata) = found(path, fs::symlink_metadata(path))? else {
        return Ok(None);
    };
    if metadata.is_symlink() {
        Err(Gap::Link(path.to_owned()))
    } else if metadata.is_dir() {
        Ok(Some(file_id(&metadata)))
    } else {
        Err(Gap::NotPlain(path.to_owned()))
    }
}

/// Checks that the path is a plain file with only this name. Opening a pipe would block forever, and a file
/// with another name (a hard link) may belong to anyone.
fn check_file(path: &Path, metadata: &Metadata) -> Result<(), Gap> {
    if metadata.is_symlink() || (metadata.is_file() && metadata.nlink() > 1) {
        Err(Gap::Link(path.to_owned()))
    } else if metadata.is_file() {
        Ok(())
    } else {
        Err(Gap::NotPlain(path.to_owned()))
    }
}

/// Maps "not found" to `None`, and other errors to a gap.
fn found<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>, Gap> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Gap::from_io(path, &error)),
    }
}

/// Reads the end of a file whose length was `len` a moment ago.
fn read_end(mut file: File, len: u64) -> io::Result<End> {
    let start = len.saturating_sub(LOG_TAIL_BYTES_MAX as u64);
    if start > 0 {
        file.seek(SeekFrom::Start(start))?;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(len - start).unwrap_or(0));
    (&file).take(LOG_TAIL_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(End { bytes, is_cut: start > 0, file })
}

#[cfg(test)]
mod tests;
