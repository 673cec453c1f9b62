//! A memory cgroup with a limit, as the manifest gives the agent one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const ROOT: &str = "/sys/fs/cgroup/memory";

/// A memory cgroup of version 1, removed when dropped.
pub struct MemoryCgroup {
    path: PathBuf,
}

impl MemoryCgroup {
    /// Makes a cgroup with this limit. `None`: that is not possible here.
    pub fn make(limit_bytes: u64) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let n = MADE.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(ROOT).join(format!("blackbox-memory-{}-{n}", std::process::id()));
        fs::create_dir(&path).ok()?;
        let made = Self { path };
        fs::write(made.path.join("memory.limit_in_bytes"), limit_bytes.to_string()).ok()?;
        // With free swap there would be no OOM kill.
        let _ = fs::write(made.path.join("memory.memsw.limit_in_bytes"), limit_bytes.to_string());
        Some(made)
    }

    /// Returns the file that a process writes its ID to, to enter.
    pub fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Returns the most memory that its processes had at one time, in KiB. Pages of files are included.
    pub fn peak_kib(&self) -> u64 {
        let text = fs::read_to_string(self.path.join("memory.max_usage_in_bytes")).unwrap();
        text.trim().parse::<u64>().unwrap() >> 10
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}
