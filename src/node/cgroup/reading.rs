//! Reads the files in the cgroup directory of a pod or a container.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::core::cgroup::sample::{ContainerReading, Counters};
use crate::core::cgroup::{files, names};
use crate::limits::{CGROUP_FILE_BYTES_MAX, LIMIT_READ_EVERY};
use crate::node::cgroup::hierarchy::{CgroupVersion, Hierarchy};

/// Values from the files of a pod's own directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodReading {
    /// The pod's own memory limit. The kubelet sets it if every container has one.
    pub limit_bytes: Option<u64>,
    /// Number of processes that an OOM killer killed. In version 2 it covers all containers the pod ever had.
    /// In version 1 a directory counts its own processes only, and a pod's directory has none, so the counts
    /// of its containers have to be added up.
    pub oom_kills: Option<u64>,
}

/// A memory limit. It seldom changes, so only every [`LIMIT_READ_EVERY`]th reading reads the file.
#[derive(Debug, Default)]
pub(super) struct Limit {
    bytes: Option<u64>,
    /// Number of readings until the file is read again.
    due_in: u8,
}

impl Limit {
    fn is_due(&self) -> bool {
        self.due_in == 0
    }

    /// Returns the limit after a reading; `read` is used only if the limit was due.
    fn after(&mut self, read: Option<u64>) -> Option<u64> {
        if self.is_due() {
            *self = Self { bytes: read, due_in: LIMIT_READ_EVERY };
        }
        self.due_in -= 1;
        self.bytes
    }
}

/// Reads small files of one directory after another into one buffer.
pub(super) struct Files {
    path: PathBuf,
    buffer: Box<[u8]>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Files {
    pub(super) fn new() -> Self {
        Self { path: PathBuf::new(), buffer: vec![0; CGROUP_FILE_BYTES_MAX].into() }
    }

    /// Sets the directory from which the next files are read.
    fn enter(&mut self, parts: &[&Path]) {
        self.path.clear();
        self.path.extend(parts);
    }

    /// Reads a container; `directory` holds the pod's path and the container's name below it. `None`: no file
    /// could be read.
    pub(super) fn container(
        &mut self,
        hierarchy: &Hierarchy,
        directory: [&Path; 2],
        is_nested: bool,
        limit: &mut Limit,
    ) -> Option<ContainerReading> {
        let mut reading = match hierarchy.version {
            CgroupVersion::V1 => self.container_v1(hierarchy, directory, limit.is_due()),
            CgroupVersion::V2 => self.container_v2(hierarchy, directory, is_nested, limit.is_due()),
        };
        if reading.is_empty() {
            return None;
        }
        reading.limit_bytes = limit.after(reading.limit_bytes);
        Some(reading)
    }

    /// Reads a pod. `None`: no file could be read.
    pub(super) fn pod(
        &mut self,
        hierarchy: &Hierarchy,
        directory: &Path,
        limit: &mut Limit,
    ) -> Option<PodReading> {
        self.enter(&[&hierarchy.memory, directory]);
        let oom_kills = self.oom_kills(hierarchy.version);
        // Without a count (Linux before 4.13) only the limit shows whether the directory has any files.
        let with_limit = limit.is_due() || oom_kills.is_none();
        let read = with_limit.then(|| self.limit_bytes(hierarchy.version)).flatten();
        if oom_kills.is_none() && read.is_none() {
            return None;
        }
        Some(PodReading { limit_bytes: limit.after(read), oom_kills })
    }

    /// Returns true if a container has processes. `None`: that cannot be seen.
    ///
    /// In version 1 the list of processes leaves out those that the agent's PID namespace does not have, and the
    /// agent runs in its own; the count of the tasks has all of them.
    pub(super) fn is_populated(
        &mut self,
        hierarchy: &Hierarchy,
        [pod, name]: [&Path; 2],
    ) -> Option<bool> {
        self.enter(&[&hierarchy.memory, pod, name]);
        match hierarchy.version {
            CgroupVersion::V2 => self.read("cgroup.events").and_then(files::is_populated),
            CgroupVersion::V1 => {
                let is_listed = self.read("cgroup.procs").is_some_and(|file| !file.is_empty());
                self.enter(&[&hierarchy.pids, pod, name]);
                let tasks = self.read("pids.current").and_then(files::number);
                if is_listed { Some(true) } else { tasks.map(|tasks| tasks > 0) }
            }
        }
    }

    /// Returns the process that has been in the container for longest, if the agent's PID namespace has it.
    ///
    /// `None` in version 1, which lists the processes by number: after the numbers have started over, a child comes
    /// before its parent.
    pub(super) fn first_process(
        &mut self,
        hierarchy: &Hierarchy,
        [pod, name]: [&Path; 2],
    ) -> Option<u64> {
        if hierarchy.version == CgroupVersion::V1 {
            return None;
        }
        self.enter(&[&hierarchy.memory, pod, name]);
        self.read("cgroup.procs").and_then(files::first_number).filter(|pid| *pid > 0)
    }

    fn container_v1(
        &mut self,
        hierarchy: &Hierarchy,
        [pod, name]: [&Path; 2],
        with_limit: bool,
    ) -> ContainerReading {
        let version = hierarchy.version;
        let path = |controller| [controller, pod, name];
        self.enter(&path(&hierarchy.memory));
        let stat = self.read("memory.stat").map(files::memory_stat_v1).unwrap_or_default();
        let mut reading = ContainerReading {
            memory_bytes: self.read("memory.usage_in_bytes").and_then(files::number),
            inactive_file_bytes: stat.inactive_file_bytes,
            anon_bytes: stat.anon_bytes,
            file_bytes: stat.file_bytes,
            limit_bytes: with_limit.then(|| self.limit_bytes(version)).flatten(),
            peak_bytes: self.read("memory.max_usage_in_bytes").and_then(files::number),
            oom_kills: self.oom_kills(version),
            ..ContainerReading::default()
        };
        self.enter(&path(&hierarchy.cpu));
        let cpu = self.read("cpu.stat").map(files::cpu_stat).unwrap_or_default();
        self.enter(&path(&hierarchy.cpuacct));
        reading.counters = Counters {
            cpu_us: self.read("cpuacct.usage").and_then(files::nanoseconds_as_us),
            periods: cpu.periods,
            throttled_periods: cpu.throttled_periods,
            ..Counters::default()
        };
        self.enter(&path(&hierarchy.pids));
        reading.pids = self.read("pids.current").and_then(files::number);
        reading
    }

    fn container_v2(
        &mut self,
        hierarchy: &Hierarchy,
        [pod, name]: [&Path; 2],
        is_nested: bool,
        with_limit: bool,
    ) -> ContainerReading {
        let version = hierarchy.version;
        let path = [&*hierarchy.memory, pod, name];
        self.enter(&path);
        let stat = self.read("memory.stat").map(files::memory_stat).unwrap_or_default();
        let cpu = self.read("cpu.stat").map(files::cpu_stat).unwrap_or_default();
        let mut reading = ContainerReading {
            memory_bytes: self.read("memory.current").and_then(files::number),
            inactive_file_bytes: stat.inactive_file_bytes,
            anon_bytes: stat.anon_bytes,
            file_bytes: stat.file_bytes,
            limit_bytes: with_limit.then(|| self.limit_bytes(version)).flatten(),
            // `memory.peak` is newer than version 2 itself; older kernels do not have it.
            peak_bytes: self.read("memory.peak").and_then(files::number),
            oom_kills: self.oom_kills(version),
            pids: self.read("pids.current").and_then(files::number),
            counters: Counters {
                cpu_us: cpu.usage_us,
                periods: cpu.periods,
                throttled_periods: cpu.throttled_periods,
                memory_pressure_us: self.read("memory.pressure").and_then(files::pressure_some_us),
                cpu_pressure_us: self.read("cpu.pressure").and_then(files::pressure_some_us),
                io_pressure_us: self.read("io.pressure").and_then(files::pressure_some_us),
            },
        };
        if is_nested && with_limit && reading.limit_bytes.is_none() && !reading.is_empty() {
            self.enter(&[path[0], path[1], path[2], Path::new(names::NESTED)]);
            reading.limit_bytes = self.limit_bytes(version);
        }
        reading
    }

    fn limit_bytes(&mut self, version: CgroupVersion) -> Option<u64> {
        let name = match version {
            CgroupVersion::V1 => "memory.limit_in_bytes",
            CgroupVersion::V2 => "memory.max",
        };
        self.read(name).and_then(files::limit_bytes)
    }

    fn oom_kills(&mut self, version: CgroupVersion) -> Option<u64> {
        let name = match version {
            CgroupVersion::V1 => "memory.oom_control",
            CgroupVersion::V2 => "memory.events",
        };
        self.read(name).and_then(|file| files::memory_events(file).oom_kill)
    }

    /// Returns the content of a file. Content that does not fit into the buffer is cut after its last whole
    /// line. `None`: the file does not exist, or disappeared during the read (`ENODEV`).
    fn read(&mut self, name: &str) -> Option<&[u8]> {
        self.path.push(name);
        let length = read_into(&self.path, &mut self.buffer);
        self.path.pop();
        let length = length?;
        let is_cut = length == self.buffer.len();
        let bytes = self.buffer.get(..length)?;
        if !is_cut {
            return Some(bytes);
        }
        memchr::memrchr(b'\n', bytes).and_then(|end| bytes.get(..end))
    }
}

fn read_into(path: &Path, buffer: &mut [u8]) -> Option<usize> {
    let mut file = File::open(path).ok()?;
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => {
                length += read;
                // The kernel returns such a file in one piece (kernfs shows it as one record), and a read to
                // check for more would cost a quarter of the whole.
                if length < buffer.len() && buffer[length - 1] == b'\n' {
                    break;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(length)
}
