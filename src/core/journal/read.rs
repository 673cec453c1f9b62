//! Bounded reads, and objects whose place, type and size are checked.

use super::{Header, JournalError, Source};
use crate::limits::{JOURNAL_BYTES_PER_ROUND_MAX, JOURNAL_READS_PER_ROUND_MAX};

/// Size of the head that all objects have: type, flags, size.
pub(super) const OBJECT_HEAD_BYTES: usize = 16;

/// The types of objects that are read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// One field, `NAME=value`, and the list of its entries.
    Data = 1,
    /// The name of fields, and the list of their values.
    Field = 2,
    /// The time and the fields of one record.
    Entry = 3,
    /// A part of a list of entries.
    EntryArray = 6,
}

/// The reads of one round.
pub(super) struct Reads<'a> {
    source: &'a mut dyn Source,
    reads_left: u32,
    bytes_left: u32,
}

impl<'a> Reads<'a> {
    /// Starts a round.
    pub(super) fn new(source: &'a mut dyn Source) -> Self {
        Self {
            source,
            reads_left: JOURNAL_READS_PER_ROUND_MAX,
            bytes_left: JOURNAL_BYTES_PER_ROUND_MAX,
        }
    }

    /// Reads as many bytes as there are.
    pub(super) fn some<'b>(
        &mut self,
        offset: u64,
        into: &'b mut [u8],
    ) -> Result<&'b [u8], JournalError> {
        let reads = self.reads_left.checked_sub(1);
        let bytes = u32::try_from(into.len()).ok().and_then(|n| self.bytes_left.checked_sub(n));
        let (Some(reads), Some(bytes)) = (reads, bytes) else {
            return Err(JournalError::TooManyReads);
        };
        (self.reads_left, self.bytes_left) = (reads, bytes);
        let read = self.source.read_at(offset, into);
        Ok(into.get(..read).unwrap_or(into))
    }

    /// Fills `into`.
    pub(super) fn all(&mut self, offset: u64, into: &mut [u8]) -> Result<(), JournalError> {
        let wanted = into.len();
        if self.some(offset, into)?.len() < wanted { Err(JournalError::Damaged) } else { Ok(()) }
    }

    /// Reads an object, at least its first `least` bytes, and as much of it as `into` has room for.
    pub(super) fn object<'b>(
        &mut self,
        header: &Header,
        offset: u64,
        kind: Kind,
        least: usize,
        into: &'b mut [u8],
    ) -> Result<Object<'b>, JournalError> {
        if !offset.is_multiple_of(8) || offset < header.bytes || offset >= header.end {
            return Err(JournalError::Damaged);
        }
        let bytes = self.some(offset, into)?;
        let size = u64_at(bytes, 8);
        let is_inside = offset.checked_add(size).is_some_and(|end| end <= header.end);
        let bytes = bytes.get(..usize::try_from(size).unwrap_or(usize::MAX)).unwrap_or(bytes);
        match *bytes {
            [of_kind, flags, ..] if of_kind == kind as u8 && is_inside && bytes.len() >= least => {
                Ok(Object { flags, size, bytes })
            }
            _ => Err(JournalError::Damaged),
        }
    }
}

/// An object, or its beginning. The whole of it lies inside the file's used part.
pub(super) struct Object<'b> {
    /// The flags: how it is compressed.
    pub(super) flags: u8,
    /// Its size with the head.
    pub(super) size: u64,
    /// What was read of it.
    pub(super) bytes: &'b [u8],
}

/// Returns the number at that place; 0, which stands for nothing in this format, where there is none.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let number = bytes.get(at..).and_then(<[u8]>::first_chunk);
    number.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The same of a number of 32 bits.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let number = bytes.get(at..).and_then(<[u8]>::first_chunk);
    number.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
