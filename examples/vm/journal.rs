//! The journal of the machine, which the real journald writes, read with the agent's own reader. A row thereby tells a
//! mistake of the machine from one of the agent.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use blackbox_daemon::core::journal::{
    Ending, Entry, FileKind, Header, Id, Progress, Reader, Skipped, Source, how_it_ended,
};
use blackbox_daemon::core::kernel::{Line, OomKill, OomKills, Place, parse};
use blackbox_daemon::limits::JOURNAL_NEWEST_MAX;

use crate::support::clock::eventually;

/// The journal of a machine with a disk, and of one without.
pub(crate) const FOLDERS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// How long journald may take to make its file, and to write the first lines.
const START_MAX: Duration = Duration::from_secs(20);

/// Follows the kernel's lines from the start of the program on.
pub(crate) struct Journal {
    file: JournalFile,
    reader: Reader,
    lines: Vec<Entry>,
}

/// What the kernel said about the processes that it ended.
pub(crate) struct Deaths {
    /// The OOM kills, by the name of the process.
    pub(crate) oom_kills: HashMap<String, Vec<OomKill>>,
    /// How often the kernel named a process for what it did, by its name.
    pub(crate) faults: HashMap<String, u64>,
    /// The lines that the reader left out.
    pub(crate) skipped: Skipped,
}

struct JournalFile(File);

impl Source for JournalFile {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> usize {
        self.0.read_at(into, offset).unwrap_or(0)
    }
}

impl Journal {
    /// Opens the file that journald is writing.
    pub(crate) fn open() -> Self {
        let mut found = None;
        let is_there = eventually(START_MAX, || {
            found = files().into_iter().find(|(kind, _)| *kind == FileKind::Current);
            found.is_some()
        });
        assert!(is_there, "journald writes no file");
        let (_, path) = found.expect("the file is there");
        let file = JournalFile(File::open(path).unwrap());
        let reader = Reader::new(None, JOURNAL_NEWEST_MAX);
        let mut journal = Self { file, reader, lines: Vec::new() };
        // The reader starts with the newest lines, so it must find the first ones before there are many.
        let has_lines = eventually(START_MAX, || {
            journal.read();
            !journal.lines.is_empty()
        });
        assert!(has_lines, "journald writes no lines of the kernel");
        journal
    }

    /// Reads what is new.
    pub(crate) fn read(&mut self) {
        while self.reader.read(&mut self.file, &mut self.lines).unwrap() == Progress::More {}
    }

    /// Returns what the lines say.
    pub(crate) fn deaths(&mut self) -> Deaths {
        self.read();
        let (mut kills, mut found) = (OomKills::default(), Vec::new());
        let mut faults = HashMap::<String, u64>::new();
        for line in &self.lines {
            found.extend(kills.on_time(line.realtime_us));
            match parse(&line.message) {
                Some(Line::Oom(part)) => found.extend(kills.on_line(line.realtime_us, &part)),
                Some(Line::Fault(fault)) => *faults.entry(fault.comm.to_owned()).or_default() += 1,
                _ => {}
            }
        }
        found.extend(kills.on_time(u64::MAX));
        let mut oom_kills = HashMap::<String, Vec<OomKill>>::new();
        for kill in found {
            oom_kills.entry(kill.comm.clone()).or_default().push(kill);
        }
        Deaths { oom_kills, faults, skipped: self.reader.skipped() }
    }
}

impl Deaths {
    /// Returns what is wrong with the lines about a process that the OOM killer must have killed.
    pub(crate) fn oom_flaw(&self, name: &str, container_id: &str) -> Option<String> {
        let Some(kills) = self.oom_kills.get(name) else {
            return Some(format!("TEST: the journal has no OOM kill of {name}"));
        };
        let is_other = |place: Place| place.container_id.is_some_and(|id| id != container_id);
        let other = kills.iter().find(|kill| is_other(kill.place()))?;
        Some(format!("TEST: the journal has {other:?}, of another container"))
    }

    /// Returns what is wrong with the lines about a process that must have used an address that is not its own.
    pub(crate) fn fault_flaw(&self, name: &str) -> Option<String> {
        let count = self.faults.get(name).copied().unwrap_or(0);
        (count != 1).then(|| format!("TEST: the journal has {count} faults of {name}"))
    }
}

/// Returns how the boot before this one ended, by the files of the journal.
pub(crate) fn ending(booted_at_us: u64) -> Option<Ending> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let header = |(kind, path): (FileKind, PathBuf)| {
        let header = Header::read(&mut JournalFile(File::open(path).unwrap())).unwrap();
        (kind, header)
    };
    let headers: Vec<_> = files().into_iter().map(header).collect();
    how_it_ended(&headers, &Id::parse(&boot).unwrap(), booted_at_us)
}

/// Returns the files of the system journal. There is a folder for each machine.
fn files() -> Vec<(FileKind, PathBuf)> {
    let list = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let machines = FOLDERS.into_iter().flat_map(|folder| list(folder.into()));
    let files = machines.flat_map(|machine| list(machine.path()));
    let kind = |name: OsString| FileKind::of(name.to_str()?);
    files.filter_map(|file| Some((kind(file.file_name())?, file.path()))).collect()
}
