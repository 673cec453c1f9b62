//! How the boot before this one ended, by the headers of the journal's files.
//!
//! journald sets a file offline when it stops in order, and whenever it has synced it, five minutes after a line
//! (`SyncIntervalSec`), until the next line comes. If it finds one online that it did not open itself, it renames
//! it to `….journal~` and begins another one (`journal_file_open_reliably` in `journal-file.c`).

use super::{FileKind, Header, Id, State};
use crate::limits::BOOT_TIME_MARGIN;

/// When the journal was written last in an earlier boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAlive {
    /// That boot.
    pub boot_id: Id,
    /// The time of the newest entry, in microseconds since 1970.
    pub realtime_us: u64,
    /// The same in microseconds since that boot.
    pub monotonic_us: u64,
}

/// How the boot before this one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// journald had closed its file: in a shutdown, or because it had synced the file and nothing was logged since.
    Closed,
    /// journald had no time to do so: a panic, a reset, a power failure, or a hang.
    CutOff(LastAlive),
}

impl Header {
    /// Returns the time of the newest entry if the file was left open by a boot other than this one.
    pub fn cut_off(&self, kind: FileKind, boot_now: &Id) -> Option<LastAlive> {
        let is_open = kind == FileKind::Discarded || self.state == State::Online;
        let is_cut_off = is_open && self.entries > 0 && self.boot_id != *boot_now;
        is_cut_off.then_some(LastAlive {
            boot_id: self.boot_id,
            realtime_us: self.tail_realtime_us,
            monotonic_us: self.tail_monotonic_us,
        })
    }
}

/// Returns how the boot before this one ended. `None` if the files do not show it.
///
/// A file in which this boot continues one of an earlier boot had been closed. Otherwise the newest file of earlier
/// boots decides. The time of this boot, in microseconds since 1970, tells whether a file is older.
pub fn how_it_ended(
    files: &[(FileKind, Header)],
    boot_now: &Id,
    booted_at_us: u64,
) -> Option<Ending> {
    let margin = u64::try_from(BOOT_TIME_MARGIN.as_micros()).unwrap_or(u64::MAX);
    let before = booted_at_us.saturating_sub(margin);
    let is_continued = |(_, header): &(FileKind, Header)| {
        header.boot_id == *boot_now && header.entries > 0 && header.head_realtime_us < before
    };
    if files.iter().any(is_continued) {
        return Some(Ending::Closed);
    }
    let earlier = files.iter().filter(|(_, h)| h.boot_id != *boot_now && h.entries > 0);
    let (kind, header) = earlier.max_by_key(|(_, header)| header.tail_realtime_us)?;
    Some(header.cut_off(*kind, boot_now).map_or(Ending::Closed, Ending::CutOff))
}
