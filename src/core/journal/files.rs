//! The files of one journal: which belong to it, and which of them have something new.

use super::{Header, Id};
use crate::limits::JOURNAL_FILES_MAX;

/// What the name of a file of the system journal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `system.journal`: entries are added to it.
    Current,
    /// `system@….journal`: it was full or old, and was closed.
    Archived,
    /// `system@….journal~`: journald did not trust it and began another one, mostly because it had not been closed.
    Discarded,
}

impl FileKind {
    /// Returns what a name says; `None` if it is not of the system journal. Users' journals have no lines of the kernel.
    pub fn of(name: &str) -> Option<Self> {
        match name.strip_prefix("system")? {
            ".journal" => Some(Self::Current),
            rest if !rest.starts_with('@') => None,
            rest if rest.ends_with(".journal") => Some(Self::Archived),
            rest if rest.ends_with(".journal~") => Some(Self::Discarded),
            _ => None,
        }
    }
}

/// How far a journal was read, over all its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The ID of the sequence of files.
    pub seqnum_id: Id,
    /// The number of the last entry in it.
    pub seqnum: u64,
    /// When that entry was written, in microseconds since 1970. It decides between sequences.
    pub realtime_us: u64,
}

impl Position {
    /// Returns true if an entry comes after this position.
    pub(super) fn is_before(&self, seqnum_id: Id, seqnum: u64, realtime_us: u64) -> bool {
        match self.seqnum_id == seqnum_id {
            true => seqnum > self.seqnum,
            false => realtime_us > self.realtime_us,
        }
    }
}

/// Returns the files that have entries after the position, by their places in the list, in the order in which they are to
/// be read. A file that is there twice is returned once. Only the first [`JOURNAL_FILES_MAX`] files count.
///
/// Files of one sequence are in the order of their numbers, also if the clock was set. A sequence begins anew only if
/// journald found no file to continue; then the clock decides.
pub fn unread(headers: &[Header], after: Option<&Position>) -> Vec<usize> {
    let headers = headers.get(..JOURNAL_FILES_MAX).unwrap_or(headers);
    let start = |id: Id| {
        let all = headers.iter().filter(|header| header.seqnum_id == id);
        all.map(|header| header.head_realtime_us).min()
    };
    let mut files = Vec::new();
    for (n, header) in headers.iter().enumerate() {
        let Header { seqnum_id, tail_seqnum, tail_realtime_us, .. } = *header;
        let is_new = |at: &Position| at.is_before(seqnum_id, tail_seqnum, tail_realtime_us);
        if header.entries == 0 || !after.is_none_or(is_new) {
            continue;
        }
        let place = (start(seqnum_id), seqnum_id, header.head_seqnum, header.file_id);
        // Few files are new, so inserting them is cheap.
        if let Err(at) = files.binary_search_by(|(other, _)| place.cmp(other)) {
            files.insert(at, (place, n));
        }
    }
    files.into_iter().rev().map(|(_, n)| n).collect()
}
