//! The node's own samples: read from its `/proc`, kept in a ring.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::Now;
use crate::core::proc::{
    CpuTicks, DiskCounters, MemoryKib, NetworkCounters, PressureMicros, SystemReading,
    SystemSample, columns, parse_load,
};
use crate::core::ring::{Columns, Ring};
use crate::limits::PROC_FILE_BYTES_MAX;

/// Reads and keeps the node's samples.
#[derive(Debug)]
pub struct SystemRecorder {
    root: PathBuf,
    /// Kept for the next read.
    buffer: Vec<u8>,
    before: Option<(SystemReading, Duration)>,
    samples: Ring<SystemSample>,
    interval: Duration,
    due: Duration,
    trouble: Option<String>,
}

impl SystemRecorder {
    /// A recorder of the procfs at `root`, which keeps the samples of a `window`.
    pub fn new(root: &Path, interval: Duration, window: Duration) -> Self {
        let samples = window.as_nanos() / interval.as_nanos().max(1) + 1;
        Self {
            root: root.to_owned(),
            buffer: Vec::new(),
            before: None,
            samples: Ring::new(usize::try_from(samples).unwrap_or(1)),
            interval,
            due: Duration::ZERO,
            trouble: None,
        }
    }

    /// Takes a sample, if one is due at `now` (monotonic).
    pub fn sample(&mut self, now: Duration) {
        if now < self.due {
            return;
        }
        // Not from when it was taken: a late round makes the next ones no later.
        self.due = if now < self.due + self.interval {
            self.due + self.interval
        } else {
            now + self.interval
        };
        let reading = self.read();
        if let Some((before, at)) = &self.before {
            self.samples.push(SystemSample::between(before, &reading, now.saturating_sub(*at)));
        }
        self.before = Some((reading, now));
    }

    /// How long until the next one is due.
    pub fn next_sample_in(&self, now: Duration) -> Duration {
        self.due.saturating_sub(now)
    }

    /// The samples for an incident.
    ///
    /// # Errors
    /// Why there is none, as a gap says it.
    pub fn columns(&self, now: Now) -> Result<Columns, String> {
        let Some((_, at)) = self.before.filter(|_| !self.samples.is_empty()) else {
            return Err("system: the agent has not been here for two samples yet".to_owned());
        };
        if let Some(trouble) = &self.trouble {
            return Err(format!("system: {trouble}"));
        }
        let age = now.monotonic.saturating_sub(at);
        let ends_at = now.wall.saturating_sub(age).unwrap_or(now.wall);
        Ok(columns(&self.samples, self.interval, ends_at))
    }

    fn read(&mut self) -> SystemReading {
        let reading = SystemReading {
            cpu: self.file("stat").ok().and_then(CpuTicks::parse),
            load_1m: self.file("loadavg").ok().and_then(parse_load),
            memory: self.file("meminfo").ok().and_then(MemoryKib::parse),
            pressure: ["pressure/cpu", "pressure/memory", "pressure/io"]
                .map(|name| self.file(name).ok().and_then(PressureMicros::parse)),
            disks: self.file("diskstats").ok().and_then(DiskCounters::parse),
            network: self.network(),
        };
        // What every kernel has.
        self.trouble = None;
        if reading.cpu.is_none() {
            let why = match self.file("stat") {
                Err(error) => error.to_string(),
                Ok(_) => "it makes no sense".to_owned(),
            };
            self.trouble = Some(format!("cannot read stat below BLACKBOX_PROC: {why}"));
        }
        reading
    }

    /// `net` is a link to the reader's own network; the host's is that of its first process.
    fn network(&mut self) -> Option<NetworkCounters> {
        let of_host = self.file("1/net/dev").ok().and_then(NetworkCounters::parse);
        of_host.or_else(|| self.file("net/dev").ok().and_then(NetworkCounters::parse))
    }

    fn file(&mut self, name: &str) -> io::Result<&[u8]> {
        self.buffer.clear();
        let file = File::open(self.root.join(name))?;
        file.take(PROC_FILE_BYTES_MAX).read_to_end(&mut self.buffer)?;
        Ok(&self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::scratch::Scratch;

    fn now(seconds: u64) -> Now {
        let monotonic = Duration::from_secs(seconds);
        Now { monotonic, wall: jiff::Timestamp::from_second(1_795_000_000).unwrap() }
    }

    fn write(scratch: &Scratch, name: &str, text: &str) {
        let path = scratch.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn recorder(scratch: &Scratch) -> SystemRecorder {
        SystemRecorder::new(scratch.path(), Duration::from_secs(5), Duration::from_secs(60))
    }

    fn column(columns: &Columns, name: &str) -> Vec<Option<f64>> {
        columns.columns.iter().find(|(known, _)| *known == name).unwrap().1.clone()
    }

    #[test]
    fn samples_are_taken_when_they_are_due_and_the_newest_are_kept() {
        let scratch = Scratch::new("proc");
        let mut recorder = recorder(&scratch);
        assert!(recorder.columns(now(0)).is_err());
        for second in 0..200 {
            write(&scratch, "stat", &format!("cpu  {second}00 0 0 {second}00\n"));
            recorder.sample(Duration::from_secs(second));
        }
        assert_eq!(recorder.next_sample_in(Duration::from_secs(199)), Duration::from_secs(1));
        let columns = recorder.columns(now(199)).unwrap();
        assert_eq!((columns.len(), columns.interval_seconds), (13, 5.0));
        assert_eq!(column(&columns, "cpu_user_percent"), [Some(50.0); 13]);
        assert_eq!(columns.ends_at.as_second(), 1_795_000_000 - 4);
        assert_eq!(column(&columns, "memory_free_mib"), [None; 13], "a file that is missing");
    }

    #[test]
    fn the_hosts_network_is_that_of_its_first_process() {
        let scratch = Scratch::new("proc");
        let mut recorder = recorder(&scratch);
        let line = |bytes: u64| format!("eth0: {bytes} 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0\n");
        for (second, bytes) in [(0, 0), (5, 10_240)] {
            write(&scratch, "stat", "cpu 1 1 1 1\n");
            write(&scratch, "1/net/dev", &line(bytes));
            write(&scratch, "net/dev", &line(bytes * 100));
            recorder.sample(Duration::from_secs(second));
        }
        let columns = recorder.columns(now(5)).unwrap();
        assert_eq!(column(&columns, "network_receive_kib_per_second"), [Some(2.0)]);
    }

    #[test]
    fn a_procfs_that_is_not_there_is_a_gap() {
        let scratch = Scratch::new("proc");
        let mut recorder = recorder(&scratch);
        for second in [0, 5, 10] {
            recorder.sample(Duration::from_secs(second));
        }
        let gap = recorder.columns(now(10)).unwrap_err();
        assert!(gap.contains("BLACKBOX_PROC: No such file"), "{gap}");
    }

    #[test]
    fn this_machines_own_procfs_is_read() {
        let mut recorder =
            SystemRecorder::new("/proc".as_ref(), Duration::from_secs(5), Duration::from_secs(60));
        recorder.sample(Duration::from_secs(0));
        recorder.sample(Duration::from_secs(5));
        let columns = recorder.columns(now(5)).unwrap();
        assert!(column(&columns, "memory_available_mib")[0].is_some());
        assert!(column(&columns, "load_1m")[0].is_some());
    }
}
