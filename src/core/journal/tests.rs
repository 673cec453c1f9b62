//! Files made in memory (`writer`) and by systemd (`systemd`), whole, cut, with bits flipped, and lying (`hostile`).

mod files;
mod hostile;
mod systemd;
pub(crate) mod writer;

use super::*;
use crate::limits::{
    JOURNAL_BYTES_PER_ROUND_MAX, JOURNAL_ENTRIES_PER_ROUND_MAX, JOURNAL_NEWEST_MAX,
    JOURNAL_READS_PER_ROUND_MAX,
};
use writer::{Writer, kernel, service};

/// A file in memory that ends at `len`, has one byte changed, and counts what is read of it.
struct Memory<'a> {
    bytes: &'a [u8],
    len: usize,
    flip: (usize, u8),
    reads: u32,
    read_bytes: usize,
}

impl<'a> Memory<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, len: bytes.len(), flip: (0, 0), reads: 0, read_bytes: 0 }
    }
}

impl Source for Memory<'_> {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> usize {
        self.reads += 1;
        self.read_bytes += into.len();
        let file = &self.bytes[..self.len];
        let Some(rest) = usize::try_from(offset).ok().and_then(|at| file.get(at..)) else {
            return 0;
        };
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        let (at, mask) = self.flip;
        let place = at.checked_sub(offset as usize).filter(|place| *place < len);
        if let Some(place) = place {
            into[place] ^= mask;
        }
        len
    }
}

/// Reads a file in rounds to its end, and checks their bounds. After an error it tries once more, as the agent does.
fn read(source: &mut Memory<'_>, reader: &mut Reader) -> (Vec<Entry>, Option<JournalError>) {
    let (mut lines, mut error) = (Vec::new(), None);
    for _ in 0..8 {
        let before = lines.len();
        (source.reads, source.read_bytes) = (0, 0);
        let progress = reader.read(source, &mut lines);
        assert!(source.reads <= JOURNAL_READS_PER_ROUND_MAX);
        assert!(source.read_bytes <= JOURNAL_BYTES_PER_ROUND_MAX as usize);
        assert!(lines.len() - before <= JOURNAL_ENTRIES_PER_ROUND_MAX);
        match (progress, error) {
            (Ok(Progress::More), _) => {}
            // What could not be read in a file that is being written is passed over in the next round.
            (Ok(Progress::Done), Some(None)) => return (lines, None),
            (Ok(Progress::Done), _) => error = Some(None),
            (Err(now), Some(Some(before))) if now == before => return (lines, Some(now)),
            (Err(now), _) => error = Some(Some(now)),
        }
    }
    (lines, error.flatten())
}

fn all(bytes: &[u8]) -> Vec<Entry> {
    let (lines, error) = read(&mut Memory::new(bytes), &mut Reader::new(None, JOURNAL_NEWEST_MAX));
    assert_eq!(error, None);
    lines
}

fn texts(lines: &[Entry]) -> Vec<&str> {
    lines.iter().map(|line| &*line.message).collect()
}

#[test]
fn the_kernels_lines_are_returned_in_order_and_no_others() {
    for is_compact in [false, true] {
        let mut file = Writer::new(is_compact);
        file.add(&service("first"));
        file.add(&kernel(3, "Out of memory"));
        file.add(&service("between"));
        // User space that writes to /dev/kmsg, and user space that takes the kernel's name.
        file.add(&["_TRANSPORT=kernel", "SYSLOG_IDENTIFIER=init", "MESSAGE=no"].map(str::to_owned));
        file.add(
            &["_TRANSPORT=syslog", "SYSLOG_IDENTIFIER=kernel", "MESSAGE=no"].map(str::to_owned),
        );
        file.add(&kernel(6, "caf\u{e9}"));
        file.add(
            &["_TRANSPORT=kernel", "SYSLOG_IDENTIFIER=kernel", "PRIORITY=x"].map(str::to_owned),
        );
        file.add(
            &["_TRANSPORT=kernel", "SYSLOG_IDENTIFIER=kernel", "PRIORITY=8", "MESSAGE="]
                .map(str::to_owned),
        );
        let lines = all(&file.bytes());
        assert_eq!(texts(&lines), ["Out of memory", "caf\u{e9}", ""]);
        let Entry { seqnum, realtime_us, monotonic_us, boot_id, priority, .. } = lines[0];
        assert_eq!((seqnum, realtime_us, monotonic_us), (2, Writer::time(2), 2));
        assert_eq!((boot_id, priority), (Writer::BOOT, Some(3)));
        assert_eq!(lines[2].priority, None);
    }
}

#[test]
fn reading_starts_with_the_newest_lines() {
    for (count, newest) in
        [(1_usize, 1), (5, 5), (5, 9), (300, 10), (300, 300), (9, 0), (1500, 2000)]
    {
        let mut file = Writer::new(count % 2 == 0);
        (0..count).for_each(|n| file.add(&kernel(6, &format!("line {n}"))));
        let bytes = file.bytes();
        let (lines, error) = read(&mut Memory::new(&bytes), &mut Reader::new(None, newest));
        let want: Vec<_> = (0..count)
            .skip(count.saturating_sub(newest.min(JOURNAL_NEWEST_MAX) as usize))
            .map(|n| format!("line {n}"))
            .collect();
        assert_eq!((texts(&lines), error), (want.iter().map(|l| &**l).collect(), None), "{count}");
    }
}

#[test]
fn a_file_that_grows_is_followed() {
    for is_compact in [false, true] {
        let mut file = Writer::new(is_compact);
        let mut reader = Reader::new(None, 100);
        let mut lines = Vec::new();
        for n in 0..200 {
            file.add(&if n % 3 == 2 { kernel(6, &format!("line {n}")) } else { service("no") });
            let bytes = file.bytes();
            let mut source = Memory::new(&bytes);
            assert_eq!(reader.read(&mut source, &mut lines), Ok(Progress::Done));
            assert_eq!(lines.len(), (n + 1) / 3);
            let read = source.reads;
            assert_eq!(reader.read(&mut source, &mut lines), Ok(Progress::Done));
            assert!(n < 2 || source.reads - read == 2, "nothing new is two reads");
        }
        let want: Vec<_> = (0..200).filter(|n| n % 3 == 2).map(|n| format!("line {n}")).collect();
        assert_eq!(texts(&lines), want);
        let position = reader.position().unwrap();
        assert_eq!((position.seqnum_id, position.seqnum), (Writer::SEQUENCE, 200));
    }
}

#[test]
fn an_entry_that_is_being_written_is_read_in_the_next_round() {
    let mut file = Writer::new(true);
    file.add(&kernel(6, "one"));
    file.add(&kernel(6, "two"));
    let whole = file.bytes();
    let mut torn = whole.clone();
    let at = file.entries[1] as usize;
    torn[at..at + 64].fill(0);
    let mut reader = Reader::new(None, 10);
    let mut lines = Vec::new();
    assert_eq!(reader.read(&mut Memory::new(&torn), &mut lines), Ok(Progress::Done));
    assert_eq!(texts(&lines), ["one"]);
    assert_eq!(reader.read(&mut Memory::new(&whole), &mut lines), Ok(Progress::Done));
    assert_eq!((texts(&lines), reader.skipped()), (vec!["one", "two"], Skipped::default()));

    // If it is not there in the next round either, it is damaged.
    file.add(&kernel(6, "three"));
    let mut torn = file.bytes();
    torn[at..at + 64].fill(0);
    let mut reader = Reader::new(None, 10);
    let mut lines = Vec::new();
    for want in [vec!["one"], vec!["one", "three"]] {
        assert_eq!(reader.read(&mut Memory::new(&torn), &mut lines), Ok(Progress::Done));
        assert_eq!(texts(&lines), want);
    }
    assert_eq!(reader.skipped().damaged, 1);
}

#[test]
fn what_is_compressed_or_too_long_is_counted() {
    let mut file = Writer::new(false);
    file.add(&kernel(6, "one"));
    file.add(&kernel(6, &"x".repeat(3000)));
    file.compress = true;
    file.add(&kernel(6, "two"));
    file.add(&service("of a service"));
    file.compress = false;
    file.add(&kernel(6, &"y".repeat(2000)));
    let bytes = file.bytes();
    let mut reader = Reader::new(None, 10);
    let (lines, error) = read(&mut Memory::new(&bytes), &mut reader);
    assert_eq!((texts(&lines), error), (vec!["one", &*"y".repeat(2000)], None));
    assert_eq!(reader.skipped(), Skipped { compressed: 2, damaged: 0 });
}

#[test]
fn another_file_at_the_same_path_is_refused() {
    let mut file = Writer::new(false);
    file.add(&kernel(6, "one"));
    let mut reader = Reader::new(None, 10);
    assert_eq!(read(&mut Memory::new(&file.bytes()), &mut reader).1, None);
    let mut other = file.bytes();
    other[24] ^= 1;
    assert_eq!(read(&mut Memory::new(&other), &mut reader).1, Some(JournalError::Replaced));
}

#[test]
fn ids_are_hexadecimal() {
    let id = Id(*b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef");
    for text in ["0123456789abcdef0123456789ABCDEF", "01234567-89ab-cdef-0123-456789abcdef\n"] {
        assert_eq!(Id::parse(text), Some(id));
    }
    for text in ["", "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdeff", "x"] {
        assert_eq!(Id::parse(text), None, "{text}");
    }
}
