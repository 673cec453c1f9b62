//! The node of the story: this machine's own procfs, except for the boot, which the story repeats.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::actor::write;

/// What the agent reads of procfs besides the boot.
const FILES: [&str; 6] = ["1", "diskstats", "loadavg", "meminfo", "net", "pressure"];

pub(crate) struct Machine {
    proc: PathBuf,
    boots: u32,
    booted_at: Timestamp,
}

impl Machine {
    pub(crate) fn boot(folder: &Path, at: Timestamp) -> Self {
        let proc = folder.join("proc");
        fs::create_dir_all(&proc).expect("the demo's own folder");
        for file in FILES {
            symlink(Path::new("/proc").join(file), proc.join(file)).expect("the demo's own folder");
        }
        let mut machine = Self { proc, boots: 0, booted_at: at };
        machine.reboot(at);
        machine
    }

    pub(crate) fn reboot(&mut self, at: Timestamp) {
        self.boots += 1;
        self.booted_at = at;
        let id = format!("{:08x}-0000-4000-8000-00000000b007\n", self.boots);
        write(&self.proc.join("sys/kernel/random/boot_id"), &id);
        self.step();
    }

    /// Copies this machine's CPU times, with the time of the story's boot.
    pub(crate) fn step(&self) {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let others: String = stat
            .lines()
            .filter(|line| !line.starts_with("btime "))
            .flat_map(|line| [line, "\n"])
            .collect();
        let boot = self.booted_at.as_second();
        write(&self.proc.join("stat"), &format!("{others}btime {boot}\n"));
    }
}
