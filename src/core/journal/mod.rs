//! The kernel's lines in the files of the node's system journal.
//!
//! The format: `docs/JOURNAL_FILE_FORMAT.md` and `src/libsystemd/sd-journal/journal-def.h` of systemd. A file is a set of
//! objects that name each other by their offsets. A DATA object is one field, `NAME=value`, and has a list of the entries
//! with that field. So the list of `_TRANSPORT=kernel` has all lines of the kernel and no others, and a file of a
//! hundred thousand lines is read in a few hundred reads ([`Reader`]).
//!
//! The files are written by another process, are cut by power failures, and may hold anything. Whatever an offset or a
//! size says, a round makes a bounded number of reads. An entry has a checksum over its fields, and a line is returned only
//! if that is right. So a damaged file gives fewer lines, or an error, but no line that nobody wrote. (Time, boot and
//! number of an entry are outside of the checksum.)
//!
//! Only entries with both `_TRANSPORT=kernel`, which no process can set, and `SYSLOG_IDENTIFIER=kernel`, which a process that
//! writes to `/dev/kmsg` does not get, are returned. journald compresses fields of 512 bytes and more; such a line is
//! counted and left out. The entries of `systemd-coredump` are not read: their text is always compressed, and every
//! process may write such entries.

mod ending;
mod files;
mod hash;
mod header;
mod read;
mod reader;

pub use ending::{Ending, LastAlive, how_it_ended};
pub use files::{FileKind, Position, unread};
pub use header::{Header, State};
pub use reader::{Entry, Progress, Reader, Skipped};

use std::fmt;

/// The bytes of a file. The caller implements it, because the core opens nothing.
pub trait Source {
    /// Reads from `offset` on into `into`, and returns how many bytes were read: fewer at the end of the file, none if it
    /// cannot be read.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> usize;
}

/// A 128-bit ID of systemd: of a boot, a machine, a file or a sequence of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// Parses 32 hexadecimal digits, with or without dashes, as in `/proc/sys/kernel/random/boot_id`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut digits = text.trim_ascii().bytes().filter(|byte| *byte != b'-');
        let mut id = [0; 16];
        for byte in &mut id {
            for _ in 0..2 {
                let digit = char::from(digits.next()?).to_digit(16)?;
                *byte = *byte << 4 | u8::try_from(digit).ok()?;
            }
        }
        digits.next().is_none().then_some(Self(id))
    }
}

/// Why a journal file could not be read, or not further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// It is no journal file.
    NotAJournal,
    /// It uses features that this reader does not know: the bits of the header.
    Unknown(u32),
    /// An offset, a size or a type in it is wrong. If it is being written, the next round may read it.
    Damaged,
    /// It is another file than in the last round.
    Replaced,
    /// It would take more reads than a round may have.
    TooManyReads,
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAJournal => f.write_str("it is no journal file"),
            Self::Unknown(bits) => write!(f, "its features {bits:#x} are not known"),
            Self::Damaged => f.write_str("it is damaged, or was not completely written"),
            Self::Replaced => f.write_str("it was replaced by another file"),
            Self::TooManyReads => f.write_str("it takes more reads than are allowed"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
