//! The header of a journal file.

use super::read::{Reads, u32_at, u64_at};
use super::{Id, JournalError, Source};
use crate::limits::JOURNAL_HEADER_BYTES_MAX;

/// What is read: the header of the oldest version. Newer ones only add to it.
const HEADER_BYTES: usize = 208;

/// The features that change how a file is read: compressed with XZ, LZ4 or Zstandard, keyed hashes, compact offsets.
const KNOWN: u32 = 1 | 2 | 4 | 8 | COMPACT;
const COMPACT: u32 = 16;

/// Whether a file is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was closed, or all of it was written to the disk.
    Offline,
    /// It is being written, or was when the node went down.
    Online,
    /// It was closed, and another one is written instead.
    Archived,
}

/// What the header of a journal file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether it is being written.
    pub state: State,
    /// The file's own ID.
    pub file_id: Id,
    /// The machine's ID.
    pub machine_id: Id,
    /// The boot of the newest entry. Before version 254 of systemd: the boot in which the file was last opened for writing.
    pub boot_id: Id,
    /// The ID of the sequence of files in which an entry has its number.
    pub seqnum_id: Id,
    /// The number of the oldest entry.
    pub head_seqnum: u64,
    /// The number of the newest entry.
    pub tail_seqnum: u64,
    /// When the oldest entry was written, in microseconds since 1970.
    pub head_realtime_us: u64,
    /// When the newest entry was written, in microseconds since 1970.
    pub tail_realtime_us: u64,
    /// When the newest entry was written, in microseconds since the boot.
    pub tail_monotonic_us: u64,
    /// The number of entries.
    pub entries: u64,
    /// The size of the header; the first object follows.
    pub(super) bytes: u64,
    /// Where the used part of the file ends.
    pub(super) end: u64,
    /// Offset and size of the table of field names.
    pub(super) fields: (u64, u64),
    /// Offsets have 32 bits, and an entry has no hashes of its fields.
    pub(super) is_compact: bool,
}

impl Header {
    /// Reads the header of a file, in one read.
    pub fn read(source: &mut dyn Source) -> Result<Self, JournalError> {
        Self::read_in(&mut Reads::new(source))
    }

    /// The same as a part of a round.
    pub(super) fn read_in(reads: &mut Reads<'_>) -> Result<Self, JournalError> {
        let mut header = [0; HEADER_BYTES];
        let header = reads.some(0, &mut header)?;
        if !header.starts_with(b"LPKSHHRH") {
            return Err(JournalError::NotAJournal);
        }
        let features = u32_at(header, 12);
        if features & !KNOWN != 0 {
            return Err(JournalError::Unknown(features & !KNOWN));
        }
        let state = match header.get(16) {
            Some(0) => State::Offline,
            Some(1) => State::Online,
            Some(2) => State::Archived,
            _ => return Err(JournalError::Damaged),
        };
        let bytes = u64_at(header, 88);
        let is_sound = header.len() == HEADER_BYTES
            && bytes.is_multiple_of(8)
            && (HEADER_BYTES as u64..=JOURNAL_HEADER_BYTES_MAX).contains(&bytes);
        let end = bytes.checked_add(u64_at(header, 96)).filter(|_| is_sound);
        Ok(Self {
            state,
            file_id: id_at(header, 24),
            machine_id: id_at(header, 40),
            boot_id: id_at(header, 56),
            seqnum_id: id_at(header, 72),
            head_seqnum: u64_at(header, 168),
            tail_seqnum: u64_at(header, 160),
            head_realtime_us: u64_at(header, 184),
            tail_realtime_us: u64_at(header, 192),
            tail_monotonic_us: u64_at(header, 200),
            entries: u64_at(header, 152),
            bytes,
            end: end.ok_or(JournalError::Damaged)?,
            fields: (u64_at(header, 120), u64_at(header, 128)),
            is_compact: features & COMPACT != 0,
        })
    }
}

/// Returns the ID at that place.
pub(super) fn id_at(bytes: &[u8], at: usize) -> Id {
    Id(bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default())
}
