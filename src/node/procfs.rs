//! The node's recent history, sampled from its procfs.
//!
//! The free space of the file systems is left out (see [`crate::core::proc`]).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::core::kernel::counters::Rises;
use crate::core::proc::node::{parse_boot_time, parse_load};
use crate::core::proc::{
    self, CpuTicks, Memory, Pressure, SystemReading, SystemSample, disks, interfaces,
};
use crate::core::recorder::is_trouble;
use crate::core::ring::{Columns, Ring};
use crate::core::text::is_plain;
use crate::limits::{PROC_SHORT_BYTES_MAX, PROC_TABLE_BYTES_MAX, WINDOW_SAMPLES_MAX};
use crate::node::counters::KernelCounters;

/// Reads the ID and the time of the node's boot. `None` if procfs is not the node's, or cannot be read.
pub fn boot(proc_root: &Path) -> Option<(String, Timestamp)> {
    let mut buffer = Vec::new();
    let path = proc_root.join("sys/kernel/random/boot_id");
    ProcFile::new("boot_id", path, PROC_SHORT_BYTES_MAX).fill(&mut buffer).ok()?;
    let id = str::from_utf8(&buffer).ok()?.trim().to_owned();
    ProcFile::new("stat", proc_root.join("stat"), PROC_TABLE_BYTES_MAX).fill(&mut buffer).ok()?;
    Some((id, parse_boot_time(&buffer)?)).filter(|(id, _)| is_plain(id))
}

/// The node's procfs files, and one buffer for all of them.
#[derive(Debug)]
pub struct SystemSource {
    stat: ProcFile,
    loadavg: ProcFile,
    meminfo: ProcFile,
    pressure_cpu: ProcFile,
    pressure_memory: ProcFile,
    pressure_io: ProcFile,
    diskstats: ProcFile,
    net_dev: ProcFile,
    buffer: Vec<u8>,
}

impl SystemSource {
    /// Creates a source for the files below `proc_root`, the node's procfs. No file has to exist.
    ///
    /// `net/dev` is read from process 1, which is in the node's own network, if that file is readable:
    /// without a process in the path, the kernel shows the interfaces of the process that reads, and in a
    /// pod those are the pod's (Documentation/filesystems/proc.rst: `/proc/net` is a link to `self/net`).
    /// The path is chosen once, so that a difference between two readings never spans two networks.
    pub fn new(proc_root: &Path) -> Self {
        let file = |name| ProcFile::new(name, proc_root.join(name), PROC_SHORT_BYTES_MAX);
        let table = |name, path| ProcFile::new(name, path, PROC_TABLE_BYTES_MAX);
        let mut buffer = Vec::with_capacity(PROC_SHORT_BYTES_MAX);
        let mut net_dev = table("net/dev", proc_root.join("1/net/dev"));
        if net_dev.fill(&mut buffer).is_err() {
            net_dev.path = proc_root.join("net/dev");
        }
        Self {
            stat: file("stat"),
            loadavg: file("loadavg"),
            meminfo: file("meminfo"),
            pressure_cpu: file("pressure/cpu"),
            pressure_memory: file("pressure/memory"),
            pressure_io: file("pressure/io"),
            diskstats: table("diskstats", proc_root.join("diskstats")),
            net_dev,
            buffer,
        }
    }

    /// Reads all files. A file that cannot be read gives an empty value, and is [`missing`](Self::missing).
    pub fn read(&mut self) -> SystemReading {
        let buffer = &mut self.buffer;
        let pressure = |bytes: &[u8]| some(Pressure::parse(bytes));
        SystemReading {
            cpu: self.stat.read(buffer, CpuTicks::parse),
            load_1m: self.loadavg.read(buffer, parse_load),
            memory: self.meminfo.read(buffer, |b| some(Memory::parse(b))).unwrap_or_default(),
            pressure_cpu: self.pressure_cpu.read(buffer, pressure).unwrap_or_default(),
            pressure_memory: self.pressure_memory.read(buffer, pressure).unwrap_or_default(),
            pressure_io: self.pressure_io.read(buffer, pressure).unwrap_or_default(),
            disks: self.diskstats.read(buffer, |b| some(disks::parse(b))).unwrap_or_default(),
            interfaces: self
                .net_dev
                .read(buffer, |b| some(interfaces::parse(b)))
                .unwrap_or_default(),
        }
    }

    /// Returns the files, below the procfs, that the last reading could not use, each with the reason.
    pub fn missing(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            &self.stat,
            &self.loadavg,
            &self.meminfo,
            &self.pressure_cpu,
            &self.pressure_memory,
            &self.pressure_io,
            &self.diskstats,
            &self.net_dev,
        ]
        .into_iter()
        .filter_map(|file| Some((file.name, file.missing.as_deref()?)))
    }
}

/// Returns the value, or `None` if it is the default.
fn some<T: Default + PartialEq>(found: T) -> Option<T> {
    (found != T::default()).then_some(found)
}

#[derive(Debug)]
struct ProcFile {
    name: &'static str,
    path: PathBuf,
    bytes_max: usize,
    /// Why the file gives no value; the first reason since it last gave one.
    missing: Option<String>,
}

impl ProcFile {
    fn new(name: &'static str, path: PathBuf, bytes_max: usize) -> Self {
        Self { name, path, bytes_max, missing: None }
    }

    fn read<T>(&mut self, buffer: &mut Vec<u8>, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let filled = self.fill(buffer).map_err(|error| error.to_string());
        let found =
            filled.and_then(|()| parse(buffer).ok_or_else(|| "nothing usable in it".into()));
        match found {
            Ok(found) => {
                self.missing = None;
                Some(found)
            }
            Err(reason) => {
                self.missing.get_or_insert(reason);
                None
            }
        }
    }

    /// Reads the file into the buffer. A kernel without pressure accounting (`psi=0`) fails at the read, not
    /// at the open. Bytes read before an error are not used.
    fn fill(&self, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        let file = File::open(&self.path)?;
        file.take(self.bytes_max as u64).read_to_end(buffer)?;
        Ok(())
    }
}

/// Keeps the node's samples of the last window.
#[derive(Debug)]
pub struct SystemRecorder {
    source: SystemSource,
    kernel: KernelCounters,
    ring: Ring<SystemSample>,
    previous: Option<(Duration, SystemReading)>,
    interval: Duration,
    window: Duration,
}

impl SystemRecorder {
    /// Creates a recorder that samples every `interval` and keeps the samples of a `window`: one sample more
    /// than intervals, since both ends of the window count.
    pub fn new(
        source: SystemSource,
        kernel: KernelCounters,
        window: Duration,
        interval: Duration,
    ) -> Self {
        let intervals = window.as_nanos() / interval.as_nanos().max(1);
        let intervals = intervals.min(u128::from(WINDOW_SAMPLES_MAX)) as usize;
        let ring = Ring::new(intervals + 1);
        Self { source, kernel, ring, previous: None, interval, window }
    }

    /// Takes a sample, and returns which of the kernel's counters rose. `now` is monotonic. Rates are computed over the
    /// time that really passed since the previous sample; the first sample has none.
    pub fn sample(&mut self, now: Duration) -> Rises {
        let reading = self.source.read();
        let sample = match &self.previous {
            Some((at, previous)) => {
                SystemSample::between(previous, &reading, now.saturating_sub(*at))
            }
            None => SystemSample::between(&SystemReading::default(), &reading, Duration::ZERO),
        };
        self.ring.push(sample);
        self.previous = Some((now, reading));
        self.kernel.sample(now)
    }

    /// Returns which of the kernel's counters rose within the window.
    pub fn kernel(&mut self, now: Duration) -> Rises {
        self.kernel.since(now.saturating_sub(self.window), now)
    }

    /// Returns the samples as an incident shows them. `ends_at` is the wall-clock time of the newest sample.
    pub fn columns(&self, ends_at: Timestamp) -> Columns {
        proc::columns(&self.ring, self.interval.as_secs_f64(), ends_at)
    }

    /// Returns the newest reading and its monotonic time.
    pub fn newest(&self) -> Option<(Duration, &SystemReading)> {
        self.previous.as_ref().map(|(at, reading)| (*at, reading))
    }

    /// Returns the newest sample, and whether it shows a sign of trouble.
    pub fn newest_sample(&self) -> Option<(&SystemSample, bool)> {
        let mut newest = self.ring.iter().rev();
        let sample = newest.next()?;
        let (_, reading) = self.previous.as_ref()?;
        Some((sample, is_trouble(newest.next(), sample, reading.memory.total_bytes)))
    }

    /// Returns the files that the last sample could not use; see [`SystemSource::missing`].
    pub fn missing(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.source.missing()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A procfs that is removed when the test ends.
    struct Procfs(PathBuf);

    impl Procfs {
        fn new(name: &str) -> Self {
            let name = format!("blackbox-system-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// Writes the files of a node that received `bytes`, without pressure accounting and disks.
        fn write_all(&self, net_dev: &str, interface: &str, bytes: u64) {
            self.write("stat", "cpu  1 2 3 4 5 6 7 8 9 10\n");
            self.write("loadavg", "0.25 0.10 0.05 1/100 200\n");
            self.write("meminfo", "MemTotal: 8 kB\nMemFree: 4 kB\n");
            self.write("diskstats", "7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n");
            let line = format!("{interface}: {bytes} 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
            self.write(net_dev, &line);
        }
    }

    impl Drop for Procfs {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn names(source: &SystemSource) -> Vec<&'static str> {
        source.missing().map(|(name, _)| name).collect()
    }

    fn column(columns: &Columns, name: &str) -> Vec<Option<f64>> {
        columns.columns.iter().find(|(column, _)| *column == name).unwrap().1.clone()
    }

    #[test]
    fn this_machine_has_a_cpu_and_memory() {
        let mut source = SystemSource::new(Path::new("/proc"));
        let reading = source.read();
        assert!(reading.cpu.is_some() && reading.load_1m.is_some());
        assert!(reading.memory.total_bytes > reading.memory.free_bytes);
    }

    #[test]
    fn a_missing_file_is_named_until_it_is_there() {
        let procfs = Procfs::new("missing");
        procfs.write_all("net/dev", "eth0", 5);
        let mut source = SystemSource::new(&procfs.0);
        let reading = source.read();
        assert_eq!(reading.load_1m, Some(0.25));
        assert_eq!(reading.memory.free_bytes, Some(4096));
        let pressure = ["pressure/cpu", "pressure/memory", "pressure/io"];
        assert_eq!(names(&source), [pressure.as_slice(), &["diskstats"]].concat());
        let reasons: Vec<_> = source.missing().map(|(_, reason)| reason.to_owned()).collect();
        assert!(reasons[0].contains("No such file"), "{reasons:?}");
        assert_eq!(reasons[3], "nothing usable in it");
        procfs.write("pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
        procfs.write("diskstats", "8 0 sda 0 0 0 0 0 0 0 0 0 0 0\n");
        fs::remove_file(procfs.0.join("stat")).unwrap();
        let reading = source.read();
        assert_eq!(reading.pressure_cpu.some_micros, Some(7));
        assert_eq!((reading.disks.len(), reading.cpu), (1, None));
        assert_eq!(names(&source), ["stat", "pressure/memory", "pressure/io"]);
    }

    #[test]
    fn a_procfs_that_is_not_there_is_empty() {
        let mut source = SystemSource::new(Path::new("/nowhere"));
        assert_eq!(source.read(), SystemReading::default());
        assert_eq!(source.missing().count(), 8);
    }

    #[test]
    fn a_file_without_end_is_read_to_its_limit() {
        let mut source = SystemSource::new(Path::new("/nowhere"));
        source.net_dev.path = "/dev/zero".into();
        source.stat.path = "/dev/zero".into();
        assert_eq!(source.read(), SystemReading::default());
        assert_eq!(source.buffer.len(), PROC_TABLE_BYTES_MAX);
        source.stat.fill(&mut source.buffer).unwrap();
        assert_eq!(source.buffer.len(), PROC_SHORT_BYTES_MAX);
    }

    #[test]
    fn the_interfaces_are_those_of_the_node_where_it_shows_them() {
        let procfs = Procfs::new("net");
        procfs.write_all("net/dev", "eth0", 5);
        let name = |source: &mut SystemSource| source.read().interfaces.first().map(|i| i.name);
        let mut early = SystemSource::new(&procfs.0);
        let pods = name(&mut early);
        assert!(pods.is_some());
        procfs.write_all("1/net/dev", "ens5", 7);
        let node = name(&mut SystemSource::new(&procfs.0));
        assert!(node.is_some() && node != pods);
        // A difference between two readings must never span two networks.
        assert_eq!(name(&mut early), pods);
        let mut late = SystemSource::new(&procfs.0);
        fs::remove_file(procfs.0.join("1/net/dev")).unwrap();
        assert_eq!(name(&mut late), None);
    }

    fn no_counters() -> KernelCounters {
        KernelCounters::new(Path::new("/nowhere"), Path::new("/nowhere"))
    }

    #[test]
    fn a_recorder_keeps_a_window_and_rates_are_over_the_time_that_went_by() {
        let procfs = Procfs::new("recorder");
        procfs.write_all("1/net/dev", "eth0", 0);
        let source = SystemSource::new(&procfs.0);
        let mut recorder = SystemRecorder::new(source, no_counters(), 10 * SECOND, 5 * SECOND);
        let ends_at = "2026-11-23T03:31:41Z".parse().unwrap();
        assert!(recorder.columns(ends_at).is_empty() && recorder.newest().is_none());
        let received = |recorder: &SystemRecorder| {
            column(&recorder.columns(ends_at), "network_receive_bytes_per_second")
        };
        recorder.sample(100 * SECOND);
        assert_eq!(received(&recorder), [None]);
        for (now, bytes) in [(105, 1000), (115, 2000), (120, 500)] {
            procfs.write_all("1/net/dev", "eth0", bytes);
            recorder.sample(now * SECOND);
        }
        assert_eq!(received(&recorder), [Some(200.0), Some(100.0), None]);
        let columns = recorder.columns(ends_at);
        assert_eq!((columns.len(), columns.interval_seconds), (3, 5.0));
        assert_eq!(column(&columns, "memory_free_bytes"), [Some(4096.0); 3]);
        let (at, reading) = recorder.newest().unwrap();
        assert_eq!((at, reading.memory.total_bytes), (120 * SECOND, Some(8192)));
        assert_eq!(recorder.missing().count(), 4);
    }

    #[test]
    fn windows_have_their_limits() {
        for (window, interval, want) in [
            (300 * SECOND, 5 * SECOND, 61),
            (SECOND, SECOND, 2),
            (9 * SECOND, 5 * SECOND, 2),
            (300 * SECOND, SECOND, 301),
            (Duration::MAX, Duration::ZERO, 301),
        ] {
            let source = SystemSource::new(Path::new("/nowhere"));
            let mut recorder = SystemRecorder::new(source, no_counters(), window, interval);
            for second in 0..400 {
                recorder.sample(second * SECOND);
            }
            assert_eq!(recorder.ring.len(), want);
        }
    }
}
