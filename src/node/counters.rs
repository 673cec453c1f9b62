//! The kernel's counters, read from the node's procfs and from sysfs.

use std::fs::{self, File};
use std::io::Read;
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::kernel::counters::{Counter, RecentRises, Rises};
use crate::limits::{
    KERNEL_COUNTER_ENTRIES_MAX, KERNEL_COUNTER_FILES_MAX, KERNEL_COUNTERS_FRESH,
    KERNEL_COUNTERS_SEARCHED_EVERY, PROC_SHORT_BYTES_MAX, PROC_TABLE_BYTES_MAX,
};

/// Follows the counters.
#[derive(Debug)]
pub struct KernelCounters {
    proc: PathBuf,
    sys: PathBuf,
    files: Vec<CounterFile>,
    /// When the folders of the devices were searched last.
    searched: Option<Duration>,
    /// When the files were read last.
    read: Option<Duration>,
    recent: RecentRises,
    /// What rose since the last sample.
    pending: Rises,
    buffer: Vec<u8>,
}

/// A file with one counter.
#[derive(Debug)]
struct CounterFile {
    counter: Counter,
    path: PathBuf,
    /// `None` until it was read. What a counter says when it is seen first happened before.
    value: Option<u64>,
}

impl KernelCounters {
    /// Creates a reader of the node's procfs and of sysfs. No file has to exist.
    pub fn new(proc: &Path, sys: &Path) -> Self {
        Self {
            proc: proc.to_owned(),
            sys: sys.to_owned(),
            files: Vec::new(),
            searched: None,
            read: None,
            recent: RecentRises::default(),
            pending: Rises::default(),
            buffer: Vec::new(),
        }
    }

    /// Reads all counters at this monotonic time, and returns what rose since the last sample.
    pub fn sample(&mut self, now: Duration) -> Rises {
        self.read(now);
        mem::take(&mut self.pending)
    }

    /// Returns what rose since this monotonic time. A crash may be told before the next sample is due, so the counters are
    /// read again if they are older than [`KERNEL_COUNTERS_FRESH`].
    pub fn since(&mut self, since: Duration, now: Duration) -> Rises {
        if self.read.is_some_and(|at| now.saturating_sub(at) >= KERNEL_COUNTERS_FRESH) {
            self.read(now);
        }
        self.recent.since(since)
    }

    fn read(&mut self, now: Duration) {
        self.read = Some(now);
        let is_due = |at: Duration| now.saturating_sub(at) >= KERNEL_COUNTERS_SEARCHED_EVERY;
        if self.searched.is_none_or(is_due) {
            self.searched = Some(now);
            self.search();
        }
        let mut rises = Rises::default();
        for file in &mut self.files {
            let Some(value) = value(&file.path, file.counter, &mut self.buffer) else { continue };
            let by = file.value.map_or(0, |before| value.saturating_sub(before));
            file.value = Some(value);
            if by > 0 {
                rises.add(file.counter, by);
            }
        }
        for (counter, by) in rises.iter() {
            self.recent.push(now, counter, by);
            self.pending.add(counter, by);
        }
    }

    /// Returns the counters that this node has, each once.
    pub fn names(&self) -> Vec<&'static str> {
        let is_there = |counter: &Counter| {
            self.files.iter().any(|file| file.counter == *counter && file.value.is_some())
        };
        Counter::ALL.into_iter().filter(is_there).map(Counter::name).collect()
    }

    /// Looks for files that are new, and forgets those that are gone.
    fn search(&mut self) {
        let found = found(&self.proc, &self.sys);
        self.files.retain(|file| found.iter().any(|(_, path)| *path == file.path));
        for (counter, path) in found {
            let is_known = |file: &CounterFile| file.path == path && file.counter == counter;
            if !self.files.iter().any(is_known) {
                self.files.push(CounterFile { counter, path, value: None });
            }
        }
    }
}

/// Returns the files with counters, at most [`KERNEL_COUNTER_FILES_MAX`].
fn found(proc: &Path, sys: &Path) -> Vec<(Counter, PathBuf)> {
    let tainted = proc.join("sys/kernel/tainted");
    let mut found = vec![
        (Counter::OomKills, proc.join("vmstat")),
        (Counter::HungTasks, proc.join("sys/kernel/hung_task_detect_count")),
        (Counter::Lockups, tainted.clone()),
        (Counter::MachineChecks, tainted),
        (Counter::Oopses, sys.join("kernel/oops_count")),
        (Counter::Warnings, sys.join("kernel/warn_count")),
    ];
    for (folder, file, counter) in [
        ("fs/ext4", "errors_count", Counter::FileSystemErrors),
        ("block", "device/ioerr_cnt", Counter::DiskErrors),
        ("devices/system/edac/mc", "ce_count", Counter::CorrectedMemoryErrors),
        ("devices/system/edac/mc", "ue_count", Counter::UncorrectedMemoryErrors),
        ("class/hwmon", "in0_lcrit_alarm", Counter::Undervoltages),
    ] {
        let Ok(entries) = fs::read_dir(sys.join(folder)) else { continue };
        let paths = entries.take(KERNEL_COUNTER_ENTRIES_MAX).flatten();
        let paths = paths.map(|entry| entry.path().join(file)).filter(|path| path.exists());
        // The folder of sensors has those of every kind.
        let is_pis = |path: &PathBuf| {
            let name = path.with_file_name("name");
            fs::read(name).is_ok_and(|name| name.trim_ascii() == b"rpi_volt")
        };
        found.extend(
            paths
                .filter(|path| counter != Counter::Undervoltages || is_pis(path))
                .map(|path| (counter, path)),
        );
    }
    found.retain(|(_, path)| path.exists());
    found.truncate(KERNEL_COUNTER_FILES_MAX);
    found
}

fn value(path: &Path, counter: Counter, buffer: &mut Vec<u8>) -> Option<u64> {
    let bytes_max = match counter {
        Counter::OomKills => PROC_TABLE_BYTES_MAX,
        _ => PROC_SHORT_BYTES_MAX,
    };
    buffer.clear();
    File::open(path).ok()?.take(bytes_max as u64).read_to_end(buffer).ok()?;
    counter.parse(buffer)
}

#[cfg(test)]
mod tests;
