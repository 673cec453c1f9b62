//! Follows the kernel's lines in one file.
//!
//! The way to them: the header names the table of field names; its chains have the FIELD object `_TRANSPORT`; that one has
//! a list of its values, and so the DATA object `_TRANSPORT=kernel`; that one has the first of its entries, and a chain
//! of arrays of the others. All of this only ever grows, so a round that finds as many entries as before is two
//! reads.

use super::hash::jenkins;
use super::header::id_at;
use super::read::{Kind, OBJECT_HEAD_BYTES, Reads, u32_at, u64_at};
use super::{Header, Id, JournalError, Position, Source, State};
use crate::limits::{
    JOURNAL_ARRAYS_MAX, JOURNAL_ENTRIES_PER_ROUND_MAX, JOURNAL_FIELD_BYTES_MAX,
    JOURNAL_FIELD_BYTES_READ, JOURNAL_FIELD_TABLE_BYTES_MAX, JOURNAL_FIELDS_MAX, JOURNAL_ITEMS_MAX,
    JOURNAL_NEWEST_MAX, JOURNAL_TRANSPORTS_MAX,
};

const TRANSPORT: &[u8] = b"_TRANSPORT";
const KERNEL: &[u8] = b"_TRANSPORT=kernel";

/// Sizes of the fixed parts of objects, with the head.
const FIELD_BYTES: usize = 40;
const ENTRY_BYTES: usize = 64;
const ARRAY_BYTES: usize = 24;
const DATA_BYTES: usize = 64;
const COMPACT_DATA_BYTES: usize = 72;

/// The flags of an object that is compressed: with XZ, LZ4 or Zstandard.
const COMPRESSED: u8 = 1 | 2 | 4;

/// Number of a table's buckets and of an array's offsets that are read at once.
const BUCKETS: usize = 128;
const OFFSETS: usize = 64;

/// A line of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the sequence of files.
    pub seqnum: u64,
    /// When journald received it, in microseconds since 1970.
    pub realtime_us: u64,
    /// The same in microseconds since the boot.
    pub monotonic_us: u64,
    /// The boot.
    pub boot_id: Id,
    /// Its priority: 0 is the most urgent, 7 is for debugging.
    pub priority: Option<u8>,
    /// The kernel's text. What is not UTF-8 is replaced.
    pub message: String,
}

/// How far a round came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All there is was read.
    Done,
    /// There is more than one round may read.
    More,
}

/// The kernel's entries that were passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// A field of it was compressed, or was longer than [`JOURNAL_FIELD_BYTES_MAX`].
    pub compressed: u64,
    /// It could not be read, or its checksum is wrong.
    pub damaged: u64,
}

/// Follows the kernel's lines in one file, from some of its newest ones on.
#[derive(Debug)]
pub struct Reader {
    /// The file; another one at its path is not read.
    file_id: Option<Id>,
    /// Entries up to this position were read from other files.
    after: Option<Position>,
    /// Up to where this file was read, or else `after`.
    position: Option<Position>,
    /// The number of the newest entries with which reading starts.
    newest: u64,
    /// Offset of the FIELD object `_TRANSPORT`, once found.
    field: u64,
    /// Offset of the DATA object of the kernel, once found.
    data: u64,
    /// How many entries the file had when `_TRANSPORT` was not found.
    searched: u64,
    /// The next entry in the kernel's list, once reading has started.
    next: Option<u64>,
    /// Offset of the array with the next entry, and the place of its first entry in the list.
    array: (u64, u64),
    /// Entries before this place in the list were there a round ago: one that cannot be read is not just being written.
    settled: u64,
    /// Offset of the newest entry that was read. Offsets grow, so no entry is read twice.
    entry: u64,
    skipped: Skipped,
}

/// What is needed of the kernel's DATA object: its entries.
struct List {
    first: u64,
    arrays: u64,
    len: u64,
}

/// What is needed of an entry's fields.
#[derive(Default)]
struct Fields {
    hash: u64,
    is_transport: bool,
    is_identifier: bool,
    is_compressed: bool,
    priority: Option<u8>,
    message: Option<String>,
}

impl Reader {
    /// Creates a reader that starts with the `newest` lines of the file (at most [`JOURNAL_NEWEST_MAX`]), as far as they
    /// come after the position. In a file that is followed from its start, that is all of them.
    pub fn new(after: Option<Position>, newest: u64) -> Self {
        Self {
            file_id: None,
            after,
            position: after,
            newest: newest.min(JOURNAL_NEWEST_MAX),
            field: 0,
            data: 0,
            searched: 0,
            next: None,
            array: (0, 1),
            settled: 0,
            entry: 0,
            skipped: Skipped::default(),
        }
    }

    /// Returns how far was read: the start of the next file's reader.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// Returns what was passed over so far.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Reads what is new, and adds at most [`JOURNAL_ENTRIES_PER_ROUND_MAX`] lines. After an error, the lines that were
    /// added are right, and the next round goes on behind them.
    pub fn read(
        &mut self,
        source: &mut dyn Source,
        lines: &mut Vec<Entry>,
    ) -> Result<Progress, JournalError> {
        let mut reads = Reads::new(source);
        let header = Header::read_in(&mut reads)?;
        if *self.file_id.get_or_insert(header.file_id) != header.file_id {
            return Err(JournalError::Replaced);
        }
        if !self.find(&mut reads, &header)? {
            self.pass(&header);
            return Ok(Progress::Done);
        }
        let list = self.list(&mut reads, &header)?;
        let mut next = self.next.unwrap_or_else(|| list.len.saturating_sub(self.newest));
        let until = list.len.min(next.saturating_add(JOURNAL_ENTRIES_PER_ROUND_MAX as u64));
        while next < until {
            self.next = Some(next);
            let mut offsets = [0; OFFSETS];
            let count = self.offsets(&mut reads, &header, &list, until, &mut offsets)?;
            for offset in offsets.iter().take(count) {
                match self.entry(&mut reads, &header, *offset) {
                    Ok(line) => lines.extend(line),
                    Err(JournalError::Damaged)
                        if next >= self.settled && header.state == State::Online =>
                    {
                        self.settled = list.len;
                        return Ok(Progress::Done);
                    }
                    Err(JournalError::Damaged) => self.skipped.damaged += 1,
                    Err(error) => return Err(error),
                }
                next += 1;
                self.next = Some(next);
            }
        }
        self.next = Some(next);
        self.settled = next;
        if until < list.len {
            return Ok(Progress::More);
        }
        self.pass(&header);
        Ok(Progress::Done)
    }

    /// Notes that the file was read up to the newest entry of its header, which mostly is another program's.
    fn pass(&mut self, header: &Header) {
        let Header { seqnum_id, tail_seqnum: seqnum, tail_realtime_us: realtime_us, .. } = *header;
        if self.position.is_none_or(|position| position.is_before(seqnum_id, seqnum, realtime_us)) {
            self.position = Some(Position { seqnum_id, seqnum, realtime_us });
        }
    }

    /// Finds the kernel's DATA object. It is not there before the kernel's first line in the file.
    fn find(&mut self, reads: &mut Reads<'_>, header: &Header) -> Result<bool, JournalError> {
        if self.field == 0 {
            if self.searched == header.entries {
                return Ok(false);
            }
            self.field = find_field(reads, header)?;
            if self.field == 0 {
                self.searched = header.entries;
            }
        }
        if self.data == 0 && self.field != 0 {
            self.data = find_data(reads, header, self.field)?;
        }
        Ok(self.data != 0)
    }

    fn list(&self, reads: &mut Reads<'_>, header: &Header) -> Result<List, JournalError> {
        let mut data = [0; DATA_BYTES];
        let data = reads.object(header, self.data, Kind::Data, DATA_BYTES, &mut data)?.bytes;
        let (first, arrays, len) = (u64_at(data, 40), u64_at(data, 48), u64_at(data, 56));
        Ok(List { first, arrays, len: len.min(header.entries) })
    }

    /// Reads the offsets of the next entries, as many as one array has and `offsets` has room for; at least one.
    fn offsets(
        &mut self,
        reads: &mut Reads<'_>,
        header: &Header,
        list: &List,
        until: u64,
        offsets: &mut [u64; OFFSETS],
    ) -> Result<usize, JournalError> {
        let next = self.next.unwrap_or(0);
        if next == 0 {
            offsets[0] = list.first;
            return Ok(1);
        }
        if self.array.0 == 0 {
            self.array = (list.arrays, 1);
        }
        let width = if header.is_compact { 4 } else { 8 };
        for _ in 0..JOURNAL_ARRAYS_MAX {
            let (array, first) = self.array;
            let mut head = [0; ARRAY_BYTES];
            let head = reads.object(header, array, Kind::EntryArray, ARRAY_BYTES, &mut head)?;
            let end = first.saturating_add((head.size - ARRAY_BYTES as u64) / width);
            if next < end {
                let count = (end.min(until) - next).min(OFFSETS as u64);
                let from = array + ARRAY_BYTES as u64 + (next - first) * width;
                return numbers(reads, header.is_compact, from, count as usize, offsets);
            }
            let following = u64_at(head.bytes, OBJECT_HEAD_BYTES);
            if following <= array {
                return Err(JournalError::Damaged);
            }
            self.array = (following, end);
        }
        Err(JournalError::Damaged)
    }

    /// Reads an entry. `None` if it is no line of the kernel, was read before, or is passed over.
    fn entry(
        &mut self,
        reads: &mut Reads<'_>,
        header: &Header,
        offset: u64,
    ) -> Result<Option<Entry>, JournalError> {
        if offset <= self.entry {
            return Err(JournalError::Damaged);
        }
        let mut bytes = [0; ENTRY_BYTES + JOURNAL_ITEMS_MAX * 16];
        let entry = reads.object(header, offset, Kind::Entry, ENTRY_BYTES, &mut bytes)?;
        let (seqnum, realtime_us) = (u64_at(entry.bytes, 16), u64_at(entry.bytes, 24));
        let is_known = (header.head_seqnum..=header.tail_seqnum).contains(&seqnum);
        let (head, items) = entry.bytes.split_at(ENTRY_BYTES);
        if !is_known || entry.size != entry.bytes.len() as u64 {
            return Err(JournalError::Damaged);
        }
        if let Some(after) = self.after
            && !after.is_before(header.seqnum_id, seqnum, realtime_us)
        {
            return Ok(None);
        }
        let mut fields = Fields::default();
        for item in items.chunks_exact(if header.is_compact { 4 } else { 16 }) {
            let at = if header.is_compact { u32_at(item, 0).into() } else { u64_at(item, 0) };
            fields.add(reads, header, at)?;
        }
        let is_kernel = fields.is_transport && fields.is_identifier;
        if fields.is_compressed {
            // Without the text of that field there is no checksum. Nothing of the entry is used.
            self.skipped.compressed += u64::from(is_kernel);
            return Ok(None);
        }
        if fields.hash != u64_at(head, 56) {
            return Err(JournalError::Damaged);
        }
        self.entry = offset;
        self.position = Some(Position { seqnum_id: header.seqnum_id, seqnum, realtime_us });
        Ok(fields.message.filter(|_| is_kernel).map(|message| Entry {
            seqnum,
            realtime_us,
            monotonic_us: u64_at(head, 32),
            boot_id: id_at(head, 40),
            priority: fields.priority,
            message,
        }))
    }
}

impl Fields {
    /// Reads the DATA object of a field.
    fn add(
        &mut self,
        reads: &mut Reads<'_>,
        header: &Header,
        offset: u64,
    ) -> Result<(), JournalError> {
        let start = if header.is_compact { COMPACT_DATA_BYTES } else { DATA_BYTES };
        let mut bytes = [0; COMPACT_DATA_BYTES + JOURNAL_FIELD_BYTES_MAX];
        let begin = &mut bytes[..JOURNAL_FIELD_BYTES_READ];
        let data = reads.object(header, offset, Kind::Data, start, begin)?;
        let (size, read) = (data.size, data.bytes.len());
        if data.flags & COMPRESSED != 0 || size > (start + JOURNAL_FIELD_BYTES_MAX) as u64 {
            self.is_compressed = true;
            return Ok(());
        }
        let whole = bytes.get_mut(..size as usize).ok_or(JournalError::Damaged)?;
        if let Some(rest) = whole.get_mut(read..).filter(|rest| !rest.is_empty()) {
            reads.all(offset + read as u64, rest)?;
        }
        self.take(&whole[start..]);
        Ok(())
    }

    fn take(&mut self, field: &[u8]) {
        self.hash ^= jenkins(field);
        if let Some(message) = field.strip_prefix(b"MESSAGE=") {
            self.message = Some(String::from_utf8_lossy(message).into_owned());
        } else if let Some([digit @ b'0'..=b'7']) = field.strip_prefix(b"PRIORITY=") {
            self.priority = Some(digit - b'0');
        }
        self.is_transport |= field == KERNEL;
        self.is_identifier |= field == b"SYSLOG_IDENTIFIER=kernel";
    }
}

/// Returns the offset of the FIELD object `_TRANSPORT`, or 0. Its bucket is not computed, because newer files have a
/// keyed hash; there are a few hundred names at most.
fn find_field(reads: &mut Reads<'_>, header: &Header) -> Result<u64, JournalError> {
    let (table, size) = header.fields;
    let is_inside = table.checked_add(size).is_some_and(|end| end <= header.end);
    if table < header.bytes || !is_inside || size > JOURNAL_FIELD_TABLE_BYTES_MAX {
        return Err(JournalError::Damaged);
    }
    let mut steps = 0;
    for block in (0..size).step_by(BUCKETS * 16) {
        let mut buckets = [0; BUCKETS * 16];
        let wanted = (size - block).min(buckets.len() as u64) as usize;
        let buckets = &mut buckets[..wanted];
        reads.all(table + block, buckets)?;
        for bucket in buckets.chunks_exact(16) {
            let mut field = u64_at(bucket, 0);
            while field != 0 {
                steps += 1;
                if steps > JOURNAL_FIELDS_MAX {
                    return Err(JournalError::TooManyReads);
                }
                let mut bytes = [0; FIELD_BYTES + TRANSPORT.len()];
                let found = reads.object(header, field, Kind::Field, FIELD_BYTES, &mut bytes);
                // A damaged chain may be of any other name.
                let found = match found {
                    Err(JournalError::Damaged) => break,
                    found => found?,
                };
                let is_whole = found.size == (FIELD_BYTES + TRANSPORT.len()) as u64;
                if is_whole && found.bytes.ends_with(TRANSPORT) {
                    return Ok(field);
                }
                field = u64_at(found.bytes, 24);
            }
        }
    }
    Ok(0)
}

/// Returns the offset of the DATA object `_TRANSPORT=kernel`, or 0.
fn find_data(reads: &mut Reads<'_>, header: &Header, field: u64) -> Result<u64, JournalError> {
    let mut bytes = [0; FIELD_BYTES];
    let field = reads.object(header, field, Kind::Field, FIELD_BYTES, &mut bytes)?;
    let mut data = u64_at(field.bytes, 32);
    let start = if header.is_compact { COMPACT_DATA_BYTES } else { DATA_BYTES };
    for _ in 0..JOURNAL_TRANSPORTS_MAX {
        if data == 0 {
            break;
        }
        let mut bytes = [0; COMPACT_DATA_BYTES + KERNEL.len()];
        let found = reads.object(header, data, Kind::Data, start, &mut bytes)?;
        let is_whole = found.size == (start + KERNEL.len()) as u64 && found.flags & COMPRESSED == 0;
        if is_whole && found.bytes.ends_with(KERNEL) {
            return Ok(data);
        }
        data = u64_at(found.bytes, 32);
    }
    Ok(0)
}

/// Reads `count` offsets of an array. Returns how many there are.
fn numbers(
    reads: &mut Reads<'_>,
    is_compact: bool,
    from: u64,
    count: usize,
    into: &mut [u64; OFFSETS],
) -> Result<usize, JournalError> {
    let width = if is_compact { 4 } else { 8 };
    let mut bytes = [0; OFFSETS * 8];
    let bytes = bytes.get_mut(..count * width).ok_or(JournalError::Damaged)?;
    reads.all(from, bytes)?;
    for (number, bytes) in into.iter_mut().zip(bytes.chunks_exact(width)) {
        *number = if is_compact { u32_at(bytes, 0).into() } else { u64_at(bytes, 0) };
    }
    Ok(count)
}
