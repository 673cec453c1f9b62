//! Follows the files of the system journal over rotations.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::LogLine;
use crate::core::journal::{
    Entry, FileKind, Header, Id, JournalError, Position, Progress, Reader, Source, unread,
};
use crate::core::kernel::Origin;
use crate::limits::{JOURNAL_FILES_MAX, JOURNAL_NEWEST_MAX, JOURNAL_SEARCHED_EVERY};
use crate::runtime::files::{Links, file_id, open_regular};

/// A file that is open.
#[derive(Debug)]
pub(super) struct OpenFile(pub(super) File);

impl Source for OpenFile {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> usize {
        let mut len = 0;
        // Another process writes the file, so a read may end early.
        while len < into.len() {
            match self.0.read_at(&mut into[len..], offset.saturating_add(len as u64)) {
                Ok(0) | Err(_) => break,
                Ok(n) => len += n,
            }
        }
        len
    }
}

/// A file of the journal that is read.
#[derive(Debug)]
struct Current {
    path: PathBuf,
    file: OpenFile,
    reader: Reader,
}

/// The files of the journal, and how far they were read.
#[derive(Debug, Default)]
pub(super) struct JournalFiles {
    position: Option<Position>,
    current: Option<Current>,
    /// Files to be read before and after the current one, in order.
    next: VecDeque<PathBuf>,
    /// When the folders were last searched (monotonic).
    searched_at: Option<Duration>,
    /// Why a file that was found could not be read.
    why: Option<String>,
    /// Entries that were passed over in files that are read to their end.
    skipped: u64,
}

impl JournalFiles {
    /// Reads what is new, in one round. `None`: there is no journal. The error is a text for the operator.
    pub(super) fn read(
        &mut self,
        folders: &[PathBuf],
        boot_id: Option<Id>,
        now: Duration,
        lines: &mut Vec<LogLine>,
    ) -> Option<Result<Progress, String>> {
        let is_due =
            self.searched_at.is_none_or(|at| now.saturating_sub(at) >= JOURNAL_SEARCHED_EVERY);
        let is_over = self.current.as_ref().is_some_and(|current| !current.is_in_place());
        if self.next.is_empty() && (is_due || is_over) {
            // What is left in the file that was replaced comes first.
            if let Some(Ok(Progress::More)) = self.read_current(boot_id, lines) {
                return Some(Ok(Progress::More));
            }
            self.search(folders, boot_id, now);
        }
        if self.current.is_none() {
            self.open_next();
        }
        let read = self.read_current(boot_id, lines)?;
        if matches!(read, Ok(Progress::Done)) && !self.next.is_empty() {
            self.open_next();
            return Some(Ok(Progress::More));
        }
        Some(read)
    }

    /// Returns why a file that was found could not be read.
    pub(super) fn why(&self) -> Option<&String> {
        self.why.as_ref()
    }

    /// Returns how many of the kernel's entries were passed over.
    pub(super) fn skipped(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, Current::skipped);
        self.skipped.saturating_add(current)
    }

    fn read_current(
        &mut self,
        boot_id: Option<Id>,
        lines: &mut Vec<LogLine>,
    ) -> Option<Result<Progress, String>> {
        let current = self.current.as_mut()?;
        let mut entries = Vec::new();
        let read = current.reader.read(&mut current.file, &mut entries);
        self.position = current.reader.position().or(self.position);
        let is_own = |entry: &Entry| boot_id.is_none_or(|boot| boot == entry.boot_id);
        lines.extend(entries.into_iter().filter(is_own).map(|entry| LogLine {
            at_us: entry.realtime_us,
            text: entry.message,
            origin: Origin::Kernel,
        }));
        Some(match read {
            Ok(progress) => Ok(progress),
            // It is being written, or another one has its place: the next search finds that one.
            Err(JournalError::Replaced) => {
                self.close();
                Ok(Progress::Done)
            }
            Err(error) => Err(format!("{}: {error}", current.path.display())),
        })
    }

    /// Finds the files that have something new, and the one that is being written.
    fn search(&mut self, folders: &[PathBuf], boot_id: Option<Id>, now: Duration) {
        self.searched_at = Some(now);
        let found = found(folders);
        let headers: Vec<Header> =
            found.files.iter().map(|(_, _, header)| header.clone()).collect();
        let newest = found.newest(boot_id).map(|(path, _, _)| path.clone());
        self.why = found.why;
        let mut next: VecDeque<PathBuf> = match self.position {
            // At the start, the newest file has what matters.
            None => VecDeque::new(),
            Some(position) => unread(&headers, Some(&position))
                .into_iter()
                .filter_map(|n| found.files.get(n).map(|(path, _, _)| path.clone()))
                .collect(),
        };
        next.extend(newest.filter(|newest| next.back() != Some(newest)));
        let is_current = |path: &PathBuf| {
            self.current
                .as_ref()
                .is_some_and(|current| current.path == *path && current.is_in_place())
        };
        if next.len() == 1 && next.iter().all(is_current) {
            next.clear();
        } else {
            self.close();
        }
        self.next = next;
    }

    /// Opens the next file that can be opened. If there is none, the current one is kept.
    fn open_next(&mut self) {
        while let Some(path) = self.next.pop_front() {
            if let Ok(file) = open_regular(&path, Links::Refuse) {
                self.close();
                let reader = Reader::new(self.position, JOURNAL_NEWEST_MAX);
                self.current = Some(Current { path, file: OpenFile(file), reader });
                return;
            }
        }
    }

    fn close(&mut self) {
        self.skipped = self.skipped();
        self.current = None;
    }
}

impl Current {
    /// Returns true if the file still has its name.
    fn is_in_place(&self) -> bool {
        let (opened, named) = (self.file.0.metadata(), fs::symlink_metadata(&self.path));
        opened.is_ok_and(|opened| named.is_ok_and(|named| file_id(&opened) == file_id(&named)))
    }

    fn skipped(&self) -> u64 {
        let skipped = self.reader.skipped();
        skipped.compressed.saturating_add(skipped.damaged)
    }
}

/// The files of the system journal in some folders.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Their paths, kinds and headers.
    pub(super) files: Vec<(PathBuf, FileKind, Header)>,
    /// Why the first one that is not among them could not be read.
    why: Option<String>,
}

/// Finds the files of the system journal. A folder may be that of all logs, that of the journal, or that of one machine in
/// it.
pub(super) fn found(folders: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for folder in folders {
        for machine in
            entries(&folder.join("journal")).chain(entries(folder)).chain([folder.clone()])
        {
            // The file that is being written must not be lost among those of many users.
            let current = machine.join("system.journal");
            found.add(&current);
            entries(&machine).filter(|path| *path != current).for_each(|path| found.add(&path));
        }
    }
    found
}

impl Found {
    fn add(&mut self, path: &Path) {
        let kind = path.file_name().and_then(|name| FileKind::of(name.to_str()?));
        let Some(kind) = kind.filter(|_| self.files.len() < JOURNAL_FILES_MAX) else { return };
        let why = match open_regular(path, Links::Refuse) {
            Ok(file) => match Header::read(&mut OpenFile(file)) {
                Ok(header) => return self.files.push((path.to_owned(), kind, header)),
                Err(error) => error.to_string(),
            },
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return;
            }
            Err(error) => error.to_string(),
        };
        self.why.get_or_insert_with(|| format!("{}: {why}", path.display()));
    }

    /// Returns the file that is being written: that of this boot, if there are several.
    fn newest(&self, boot_id: Option<Id>) -> Option<&(PathBuf, FileKind, Header)> {
        let current = self.files.iter().filter(|(_, kind, _)| *kind == FileKind::Current);
        current
            .max_by_key(|(_, _, header)| (boot_id == Some(header.boot_id), header.tail_realtime_us))
    }
}

/// Returns the entries of a folder, at most twice as many as a journal may have files; of a link or of what is no folder
/// none.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let is_folder = fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir());
    let entries = is_folder.then(|| fs::read_dir(folder).ok()).flatten();
    entries.into_iter().flatten().flatten().take(2 * JOURNAL_FILES_MAX).map(|entry| entry.path())
}

/// Returns the path of the file that is being written, and when its newest entry was written in microseconds since 1970.
///
/// # Errors
/// There is none. If one could not be read: why, a text for the operator.
pub fn newest(folders: &[PathBuf]) -> Result<(PathBuf, u64), Option<String>> {
    let found = found(folders);
    let newest =
        found.newest(None).map(|(path, _, header)| (path.clone(), header.tail_realtime_us));
    newest.ok_or(found.why)
}
