//! The files of a control group, from bytes to numbers.
//!
//! Version 2: kernel `Documentation/admin-guide/cgroup-v2.rst` and `Documentation/accounting/psi.rst`.
//! Version 1: `Documentation/admin-guide/cgroup-v1/memory.rst`, `cpuacct.rst`, `pids.rst`, and
//! `Documentation/scheduler/sched-bwc.rst` for its `cpu.stat`.
//!
//! Keys that are not known are passed over, and what is not there is `None`: kernels add and leave out.

/// A limit of version 1 from here on is none: it starts as the largest count of pages in a signed 64-bit
/// number, which depends on the size of a page (`PAGE_COUNTER_MAX`).
const NO_LIMIT_BYTES: u64 = 1 << 62;

/// Of `memory.stat`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStat {
    /// Not backed by a file: heap, stacks.
    pub anon_bytes: Option<u64>,
    /// Page cache, with tmpfs.
    pub file_bytes: Option<u64>,
    /// Page cache that was not used lately and goes first. The working set is without it.
    pub inactive_file_bytes: Option<u64>,
}

/// Of `memory.events`, which counts the descendants' as well (unless the hierarchy is mounted with
/// `memory_localevents`), or of `memory.events.local`, which does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEvents {
    /// How often an allocation was about to fail at a limit. No process need have died.
    pub oom: Option<u64>,
    /// Processes killed by any kind of OOM killer, the node's own included.
    pub oom_kill: Option<u64>,
}

/// Of `cpu.stat`. Periods are those of the quota, of this group alone: without one they stay 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuStat {
    /// Version 2 only; version 1 has [`nanoseconds_as_us`] of `cpuacct.usage`.
    pub usage_us: Option<u64>,
    /// Periods in which something ran.
    pub periods: Option<u64>,
    /// Those of them in which it had to wait.
    pub throttled_periods: Option<u64>,
    /// For how long, added up over CPUs.
    pub throttled_us: Option<u64>,
}

/// A file of one number: `memory.current`, `memory.peak`, `pids.current`, …
pub fn number(file: &[u8]) -> Option<u64> {
    whole(file.trim_ascii())
}

/// `cpuacct.usage` of version 1.
pub fn nanoseconds_as_us(file: &[u8]) -> Option<u64> {
    number(file).map(|ns| ns / 1000)
}

/// `memory.max`, or `memory.limit_in_bytes` of version 1. `None`: there is no limit.
pub fn limit_bytes(file: &[u8]) -> Option<u64> {
    number(file).filter(|bytes| *bytes < NO_LIMIT_BYTES)
}

/// `memory.stat` of version 2. It counts descendants.
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

/// `memory.stat` of version 1, where only the keys with `total_` count descendants.
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

/// `memory.events` and `memory.events.local`, and of `memory.oom_control` of version 1 the line
/// `oom_kill` (from Linux 4.13 on), which counts this group's own processes only.
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

/// `cpu.stat` of both versions.
pub fn cpu_stat(file: &[u8]) -> CpuStat {
    let mut stat = CpuStat::default();
    for (key, value) in pairs(file) {
        match key {
            b"usage_usec" => stat.usage_us = value,
            b"nr_periods" => stat.periods = value,
            b"nr_throttled" => stat.throttled_periods = value,
            b"throttled_usec" => stat.throttled_us = value,
            // Version 1, in nanoseconds.
            b"throttled_time" => stat.throttled_us = value.map(|ns| ns / 1000),
            _ => {}
        }
    }
    stat
}

/// `memory.pressure`, `cpu.pressure`, `io.pressure`: for how many microseconds, since the group was made,
/// at least one of its tasks had to wait.
pub fn pressure_some_us(file: &[u8]) -> Option<u64> {
    let line = file.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"some "))?;
    whole(line.split(|b| *b == b' ').find_map(|word| word.strip_prefix(b"total="))?)
}

/// Lines of a key, a space, and a number. A number that is none is `None`.
fn pairs(file: &[u8]) -> impl Iterator<Item = (&[u8], Option<u64>)> {
    file.split(|b| *b == b'\n').filter_map(|line| {
        let at = memchr::memchr(b' ', line)?;
        Some((&line[..at], number(&line[at..])))
    })
}

/// Digits, and nothing else: no sign, no space.
fn whole(digits: &[u8]) -> Option<u64> {
    let add = |sum: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    };
    (!digits.is_empty()).then_some(())?;
    digits.iter().try_fold(0, add)
}
