//! What must hold for the kernel's lines, whatever a journal file or a line says.

use blackbox_daemon::core::journal::{
    Entry, Header, JournalError, Progress, Reader, Source, unread,
};
use blackbox_daemon::core::kernel::{self, Line, OomKill, OomKills, plain};
use blackbox_daemon::core::text::is_harmful;
use blackbox_daemon::limits::{
    JOURNAL_BYTES_PER_ROUND_MAX, JOURNAL_ENTRIES_PER_ROUND_MAX, JOURNAL_FIELD_BYTES_MAX,
    JOURNAL_NEWEST_MAX, JOURNAL_READS_PER_ROUND_MAX, KERNEL_CGROUP_BYTES_MAX,
    KERNEL_NAME_BYTES_MAX,
};

/// A file in memory, which counts what is read of it.
struct Counted<'a> {
    bytes: &'a [u8],
    reads: u32,
    read_bytes: usize,
}

impl Source for Counted<'_> {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> usize {
        self.reads += 1;
        self.read_bytes += into.len();
        let rest = usize::try_from(offset).ok().and_then(|at| self.bytes.get(at..)).unwrap_or(&[]);
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        len
    }
}

/// One round, of which the bounds are checked.
fn round(
    bytes: &[u8],
    reader: &mut Reader,
    lines: &mut Vec<Entry>,
) -> Result<Progress, JournalError> {
    let mut source = Counted { bytes, reads: 0, read_bytes: 0 };
    let before = lines.len();
    let progress = reader.read(&mut source, lines);
    assert!(source.reads <= JOURNAL_READS_PER_ROUND_MAX);
    assert!(source.read_bytes <= JOURNAL_BYTES_PER_ROUND_MAX as usize);
    assert!(lines.len() - before <= JOURNAL_ENTRIES_PER_ROUND_MAX);
    progress
}

/// Rounds until two bring nothing new.
fn rounds(bytes: &[u8], reader: &mut Reader, lines: &mut Vec<Entry>) {
    let mut idle = 0;
    while idle < 2 {
        let before = (lines.len(), reader.skipped());
        let progress = round(bytes, reader, lines);
        let is_idle = progress != Ok(Progress::More) && before == (lines.len(), reader.skipped());
        idle = if is_idle { idle + 1 } else { 0 };
    }
}

/// Every line is one whose text is in the file, also if only a half of it was there at first.
pub fn journal(data: &[u8]) {
    let mut reader = Reader::new(None, JOURNAL_NEWEST_MAX);
    let mut lines = Vec::new();
    rounds(data, &mut reader, &mut lines);
    texts(data, &lines);
    assert!(lines.is_empty() || reader.position().is_some());
    let Ok(header) = Header::read(&mut Counted { bytes: data, reads: 0, read_bytes: 0 }) else {
        assert_eq!(lines, []);
        return;
    };
    assert!(unread(&[header.clone(), header], None).len() <= 1, "the same file twice");
    let mut reader = Reader::new(None, JOURNAL_NEWEST_MAX);
    let mut followed = Vec::new();
    rounds(&data[..data.len() / 2], &mut reader, &mut followed);
    rounds(data, &mut reader, &mut followed);
    texts(data, &followed);
}

fn texts(data: &[u8], lines: &[Entry]) {
    for line in lines {
        assert!(line.message.len() <= 3 * JOURNAL_FIELD_BYTES_MAX);
        assert!(line.priority.is_none_or(|priority| priority < 8));
        let text = format!("MESSAGE={}", line.message);
        let is_there = data.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(is_there || text.contains('\u{fffd}'), "{line:?}");
    }
}

/// The first byte says how much time passes between the lines. Every kill is that of a line, and has its bounds.
pub fn kernel(data: &[u8]) {
    let Some((step, rest)) = data.split_first() else { return };
    let (mut kills, mut at_us, mut killed) = (OomKills::default(), 0, 0);
    let mut found = Vec::new();
    for text in String::from_utf8_lossy(rest).split('\n') {
        at_us += u64::from(*step) * 100_000;
        let text = plain::parse(text).map_or(text, |line| line.text);
        match kernel::parse(text) {
            Some(Line::Oom(line)) => {
                killed += usize::from(text.contains("Killed process "));
                found.extend(kills.on_line(at_us, &line));
            }
            Some(Line::Fault(fault)) => {
                assert!(fault.comm.len() <= KERNEL_NAME_BYTES_MAX && text.contains(fault.comm));
                assert!(fault.file.is_none_or(|file| text.contains(file)));
            }
            Some(Line::Trouble(trouble)) => {
                assert!(trouble.subject.is_none_or(|of| of.len() <= KERNEL_NAME_BYTES_MAX));
            }
            None => {}
        }
        found.extend(kills.on_time(at_us));
    }
    found.extend(kills.on_time(u64::MAX));
    assert!(found.len() <= killed, "{found:?}");
    for OomKill { comm, cgroup, limit, asked_by, .. } in &found {
        assert!(comm.len() <= KERNEL_NAME_BYTES_MAX && !comm.contains(is_harmful));
        for path in [cgroup, limit].into_iter().flatten() {
            assert!(path.len() <= KERNEL_CGROUP_BYTES_MAX, "{path}");
        }
        assert!(asked_by.as_ref().is_none_or(|name| name.len() <= KERNEL_NAME_BYTES_MAX));
    }
}
