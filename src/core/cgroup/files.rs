//! Parsers for the files of a cgroup.
//!
//! Version 2: kernel `Documentation/admin-guide/cgroup-v2.rst` and `Documentation/accounting/psi.rst`.
//! Version 1: `Documentation/admin-guide/cgroup-v1/memory.rst`, `cpuacct.rst`, `pids.rst`, and
//! `Documentation/scheduler/sched-bwc.rst` for its `cpu.stat`.
//!
//! Unknown keys are skipped, and a missing key gives `None`, since kernels differ in the keys they have.

/// A version 1 limit of at least this value means "no limit": the kernel's default is the largest count of
/// pages in a signed 64-bit number, which depends on the page size (`PAGE_COUNTER_MAX`).
const NO_LIMIT_BYTES: u64 = 1 << 62;

/// Values of `memory.stat`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStat {
    /// Memory not backed by a file: heap, stacks.
    pub anon_bytes: Option<u64>,
    /// Page cache, including tmpfs.
    pub file_bytes: Option<u64>,
    /// Page cache that was not used recently and is reclaimed first. The working set excludes it.
    pub inactive_file_bytes: Option<u64>,
}

/// Values of `memory.events`, which also counts descendants (unless the hierarchy is mounted with
/// `memory_localevents`), or of `memory.events.local`, which does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEvents {
    /// How often an allocation was about to fail at a limit. This does not mean that a process died.
    pub oom: Option<u64>,
    /// Processes killed by any kind of OOM killer, including the node's own.
    pub oom_kill: Option<u64>,
}

/// Values of `cpu.stat`. Periods are those of this cgroup's own quota: without a quota they stay 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuStat {
    /// CPU time. Version 2 only; version 1 has [`nanoseconds_as_us`] of `cpuacct.usage`.
    pub usage_us: Option<u64>,
    /// Quota periods in which something ran.
    pub periods: Option<u64>,
    /// Those of these periods in which it had to wait.
    pub throttled_periods: Option<u64>,
    /// Total waiting time, added up over CPUs.
    pub throttled_us: Option<u64>,
}

/// Parses a file with one number: `memory.current`, `memory.peak`, `pids.current`, …
pub fn number(file: &[u8]) -> Option<u64> {
    whole(file.trim_ascii())
}

/// Parses the first line of a file with a number in each line: `cgroup.procs`.
pub fn first_number(file: &[u8]) -> Option<u64> {
    number(file.split(|b| *b == b'\n').next()?)
}

/// Parses `cgroup.events`: returns true if the cgroup or one below it has a process.
pub fn is_populated(file: &[u8]) -> Option<bool> {
    let value = pairs(file).find(|(key, _)| *key == b"populated")?.1?;
    Some(value != 0)
}

/// Parses `cpuacct.usage` of version 1.
pub fn nanoseconds_as_us(file: &[u8]) -> Option<u64> {
    number(file).map(|ns| ns / 1000)
}

/// Parses `memory.max`, or `memory.limit_in_bytes` of version 1. `None`: there is no limit.
pub fn limit_bytes(file: &[u8]) -> Option<u64> {
    number(file).filter(|bytes| *bytes < NO_LIMIT_BYTES)
}

/// Parses `memory.stat` of version 2, which includes descendants.
pub fn memory_stat(file: &[u8]) -> MemoryStat {
    let mut stat = MemoryStat::default();
    for (key, value) in pairs(file) {
        match key {
            b"anon" => stat.anon_bytes = value,
            b"file" => stat.file_bytes = value,
            b"inactive_file" => stat.inactive_file_bytes = value,
            _ => {}
        }
    }
    stat
}

/// Parses `memory.stat` of version 1, where only the keys with `total_` include descendants.
pub fn memory_stat_v1(file: &[u8]) -> MemoryStat {
    let mut stat = MemoryStat::default();
    for (key, value) in pairs(file) {
        match key {
            b"total_rss" => stat.anon_bytes = value,
            b"total_cache" => stat.file_bytes = value,
            b"total_inactive_file" => stat.inactive_file_bytes = value,
            _ => {}
        }
    }
    stat
}

/// Parses `memory.events` and `memory.events.local`, and in `memory.oom_control` of version 1 the line
/// `oom_kill` (Linux 4.13 and later), which counts this cgroup's own processes only.
pub fn memory_events(file: &[u8]) -> MemoryEvents {
    let mut events = MemoryEvents::default();
    for (key, value) in pairs(file) {
        match key {
            b"oom" => events.oom = value,
            b"oom_kill" => events.oom_kill = value,
            _ => {}
        }
    }
    events
}

/// Parses `cpu.stat` of both versions.
pub fn cpu_stat(file: &[u8]) -> CpuStat {
    let mut stat = CpuStat::default();
    for (key, value) in pairs(file) {
        match key {
            b"usage_usec" => stat.usage_us = value,
            b"nr_periods" => stat.periods = value,
            b"nr_throttled" => stat.throttled_periods = value,
            b"throttled_usec" => stat.throttled_us = value,
            // The key of version 1, in nanoseconds.
            b"throttled_time" => stat.throttled_us = value.map(|ns| ns / 1000),
            _ => {}
        }
    }
    stat
}

/// Parses `memory.pressure`, `cpu.pressure` or `io.pressure`: returns for how many microseconds, since the
/// cgroup was created, at least one of its tasks had to wait.
pub fn pressure_some_us(file: &[u8]) -> Option<u64> {
    let line = file.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"some "))?;
    whole(line.split(|b| *b == b' ').find_map(|word| word.strip_prefix(b"total="))?)
}

/// Splits lines into a key and, after a space, a number. The number is `None` if it is not valid.
fn pairs(file: &[u8]) -> impl Iterator<Item = (&[u8], Option<u64>)> {
    file.split(|b| *b == b'\n').filter_map(|line| {
        let at = memchr::memchr(b' ', line)?;
        Some((&line[..at], number(&line[at..])))
    })
}

/// Parses digits and nothing else: no sign, no space. `None` if the number is too large.
fn whole(digits: &[u8]) -> Option<u64> {
    let add = |sum: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    };
    (!digits.is_empty()).then_some(())?;
    digits.iter().try_fold(0, add)
}
