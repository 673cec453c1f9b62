//! The agent's own process, for the `process_*` metrics.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::limits::PROC_FILE_BYTES_MAX;

/// Clock ticks per second in `/proc`: USER_HZ, which is 100 in the Linux ABI whatever the kernel's own HZ is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Values from `/proc/self`. A value that cannot be read is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessStats {
    /// User and system CPU time.
    pub cpu_seconds: f64,
    /// VmRSS.
    pub resident_memory_bytes: u64,
    /// VmSize.
    pub virtual_memory_bytes: u64,
    /// Number of entries in `fd`.
    pub open_fds: u64,
    /// The soft limit of open files.
    pub max_fds: u64,
    /// Number of threads.
    pub threads: u64,
    /// Start of the process, as Unix time.
    pub start_time_seconds: f64,
}

impl ProcessStats {
    /// Reads the values below `proc`.
    pub fn read(proc: &Path) -> Self {
        let own = proc.join("self");
        let mut stats = Self::default();
        let boot = boot_seconds(&read(&proc.join("stat")));
        stats.take_stat(&read(&own.join("stat")), boot);
        stats.take_status(&read(&own.join("status")));
        stats.max_fds = max_fds(&read(&own.join("limits")));
        // One of the entries is the directory that is being read.
        let open = fs::read_dir(own.join("fd")).map_or(0, |entries| entries.count());
        stats.open_fds = u64::try_from(open.saturating_sub(1)).unwrap_or(0);
        stats
    }

    /// Parses proc_pid_stat(5). The process name in parentheses may contain any character.
    fn take_stat(&mut self, text: &str, boot: u64) {
        let Some((_, rest)) = text.rsplit_once(')') else { return };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // Fields 14, 15 and 22 of the manual page; the first field here is its third. They are parsed as whole
        // numbers, because a float would also accept "nan" and "inf".
        let seconds = |n: usize| {
            let ticks = fields.get(n - 3).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
            ticks as f64 / TICKS_PER_SECOND
        };
        self.cpu_seconds = seconds(14) + seconds(15);
        if boot > 0 {
            self.start_time_seconds = boot as f64 + seconds(22);
        }
    }

    /// Parses proc_pid_status(5), which is in kB.
    fn take_status(&mut self, text: &str) {
        let number = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        self.resident_memory_bytes = number("VmRSS:").unwrap_or(0).saturating_mul(1024);
        self.virtual_memory_bytes = number("VmSize:").unwrap_or(0).saturating_mul(1024);
        self.threads = number("Threads:").unwrap_or(0);
    }
}

fn boot_seconds(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

fn max_fds(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // The bytes that were read before an error are still valid.
        let _ = file.take(PROC_FILE_BYTES_MAX).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let mut stats = ProcessStats::default();
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 200 0 0 0 150 50 0 0 20 0 5 0 12345 900 80";
        stats.take_stat(stat, boot_seconds("cpu 1 2\nbtime 1700000000\nprocesses 3\n"));
        assert_eq!(stats.cpu_seconds, 2.0);
        assert_eq!(stats.start_time_seconds, 1_700_000_123.45);
        stats.take_status("Name:\tx\nVmSize:\t   2048 kB\nVmRSS:\t  1024 kB\nThreads:\t5\n");
        assert_eq!(stats.resident_memory_bytes, 1 << 20);
        assert_eq!((stats.virtual_memory_bytes, stats.threads), (2 << 20, 5));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  4096  files\n";
        assert_eq!(max_fds(limits), 1024);
    }

    #[test]
    fn garbage_and_missing_files_are_zeros() {
        for text in [
            "",
            ")",
            "1 (x) S a b c",
            "VmRSS:\nThreads: many\nbtime x",
            "Max open files",
            "btime inf",
            "btime nan",
            "btime -1",
            "1 (x) S 1 7 7 0 -1 4 2 0 0 0 nan inf 0 0 20 0 5 0 -1 9 8",
        ] {
            let mut stats = ProcessStats::default();
            stats.take_stat(text, boot_seconds(text));
            stats.take_status(text);
            assert_eq!(stats, ProcessStats::default(), "{text}");
            assert_eq!((max_fds(text), boot_seconds(text)), (0, 0), "{text}");
        }
        assert_eq!(ProcessStats::read("/nowhere".as_ref()), ProcessStats::default());
    }

    #[test]
    fn a_missing_file_costs_only_its_own_fields() {
        let name = format!("blackbox-process-{}", std::process::id());
        let proc = std::env::temp_dir().join(name);
        fs::create_dir_all(proc.join("self")).unwrap();
        fs::write(proc.join("self/status"), "VmRSS:\t4 kB\nThreads:\t3\n").unwrap();
        let stats = ProcessStats::read(&proc);
        fs::remove_dir_all(&proc).unwrap();
        let want = ProcessStats { resident_memory_bytes: 4096, threads: 3, ..Default::default() };
        assert_eq!(stats, want);
    }

    #[test]
    fn a_file_without_end_is_read_to_the_limit() {
        let limit = usize::try_from(PROC_FILE_BYTES_MAX).unwrap();
        assert_eq!(read("/dev/zero".as_ref()).len(), limit);
    }

    #[test]
    fn this_process_has_memory_threads_and_files() {
        let stats = ProcessStats::read("/proc".as_ref());
        assert!(stats.resident_memory_bytes > 0 && stats.threads > 0 && stats.max_fds > 0);
        assert!(stats.start_time_seconds > 1e9 && stats.open_fds > 0);
    }
}
