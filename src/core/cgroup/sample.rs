//! Readings of a container's files, and the samples computed from two readings.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::ring::Columns;

/// Names of the columns that the page and `show` draw.
pub mod column {
    /// The age of a sample at the newest one, in seconds.
    pub const AGE_SECONDS: &str = "age_seconds";
    /// The memory in use, in bytes.
    pub const MEMORY_BYTES: &str = "memory_bytes";
    /// The CPU time used since the sample before, in thousandths of a core.
    pub const CPU_MILLICORES: &str = "cpu_millicores";
    /// The part of that time in which the CPU limit held the container back, in percent.
    pub const CPU_THROTTLED_PERCENT: &str = "cpu_throttled_percent";
}

/// Values from a container's files at one time. `None`: the kernel or the runtime does not provide the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerReading {
    /// Memory in use, page cache included.
    pub memory_bytes: Option<u64>,
    /// The part of it that is page cache not used recently.
    pub inactive_file_bytes: Option<u64>,
    /// The part of it that is not backed by files.
    pub anon_bytes: Option<u64>,
    /// The part of it that is page cache.
    pub file_bytes: Option<u64>,
    /// The container's own memory limit.
    pub limit_bytes: Option<u64>,
    /// Highest memory use since the container started.
    pub peak_bytes: Option<u64>,
    /// Number of the container's processes that an OOM killer killed since it started.
    pub oom_kills: Option<u64>,
    /// Number of processes and threads.
    pub pids: Option<u64>,
    /// Values that only grow.
    pub counters: Counters,
}

impl ContainerReading {
    /// Returns the value by which the kubelet evicts pods: memory in use without inactive page cache, at least 0
    /// (cadvisor `container/libcontainer/handler.go`).
    pub fn working_set_bytes(&self) -> Option<u64> {
        Some(self.memory_bytes?.saturating_sub(self.inactive_file_bytes?))
    }

    /// Returns true if no file gave a value.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Counters since the start of a container. Rates are computed from the difference of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// CPU time.
    pub cpu_us: Option<u64>,
    /// Periods of the CPU quota in which the container ran.
    pub periods: Option<u64>,
    /// Those of these periods in which it had to wait.
    pub throttled_periods: Option<u64>,
    /// Time in which some task waited for memory.
    pub memory_pressure_us: Option<u64>,
    /// Time in which some task waited for a CPU.
    pub cpu_pressure_us: Option<u64>,
    /// Time in which some task waited for I/O.
    pub io_pressure_us: Option<u64>,
}

/// One row of a ring. It has 24 bytes, since a node has hundreds of containers with dozens of rows each. The
/// largest value of each field means "unknown".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerSample {
    /// Monotonic time in milliseconds. It wraps around after 49 days, since only differences are used.
    at_ms: u32,
    memory_kib: u32,
    working_set_kib: u32,
    cpu_millicores: u32,
    pids: u16,
    cpu_throttled_percent: u8,
    pressure_memory_percent: u8,
    pressure_cpu_percent: u8,
    pressure_io_percent: u8,
}

const _: () = assert!(size_of::<ContainerSample>() <= 32);

impl ContainerSample {
    /// Computes a sample at `at` (monotonic) from the reading of that time. Rates cover the time `elapsed` since
    /// `earlier` was read. A counter that is missing or went backwards gives no rate.
    pub fn between(
        earlier: &Counters,
        reading: &ContainerReading,
        elapsed: Duration,
        at: Duration,
    ) -> Self {
        let later = &reading.counters;
        let rate = |earlier, later, per: f64| {
            let elapsed_us = elapsed.as_micros() as f64;
            (elapsed_us > 0.0).then(|| Some(rise(earlier, later)? as f64 * per / elapsed_us))?
        };
        Self {
            at_ms: milliseconds(at),
            memory_kib: narrow_u32(reading.memory_bytes.map(|bytes| bytes / 1024)),
            working_set_kib: narrow_u32(reading.working_set_bytes().map(|bytes| bytes / 1024)),
            cpu_millicores: narrow_u32(
                rate(earlier.cpu_us, later.cpu_us, 1000.0).map(|rate| rate.round() as u64),
            ),
            pids: narrow_u16(reading.pids),
            cpu_throttled_percent: percent(throttled_percent(earlier, later)),
            pressure_memory_percent: percent(rate(
                earlier.memory_pressure_us,
                later.memory_pressure_us,
                100.0,
            )),
            pressure_cpu_percent: percent(rate(
                earlier.cpu_pressure_us,
                later.cpu_pressure_us,
                100.0,
            )),
            pressure_io_percent: percent(rate(earlier.io_pressure_us, later.io_pressure_us, 100.0)),
        }
    }

    /// Returns the memory in use, to the KiB.
    pub fn memory_bytes(&self) -> Option<u64> {
        (self.memory_kib != u32::MAX).then(|| u64::from(self.memory_kib) * 1024)
    }

    /// Returns the CPU time used since the sample before, in thousandths of a core.
    pub fn cpu_millicores(&self) -> Option<u32> {
        (self.cpu_millicores != u32::MAX).then_some(self.cpu_millicores)
    }

    /// Returns the number of processes and threads.
    pub fn pids(&self) -> Option<u16> {
        (self.pids != u16::MAX).then_some(self.pids)
    }

    /// Returns how long before `now` (monotonic) the sample was taken; correct up to 49 days.
    pub fn age(&self, now: Duration) -> Duration {
        Duration::from_millis(u64::from(milliseconds(now).wrapping_sub(self.at_ms)))
    }

    /// Returns how long before a later sample this one was taken.
    fn seconds_before(&self, later: &Self) -> f64 {
        f64::from(later.at_ms.wrapping_sub(self.at_ms)) / 1000.0
    }
}

/// Returns the columns of samples, which are given the oldest first; the newest was taken at `ends_at`. Samples
/// are not always regular, so `age_seconds` gives each sample's distance to the newest one.
pub fn columns<'s>(
    samples: impl IntoIterator<Item = &'s ContainerSample>,
    interval: Duration,
    ends_at: Timestamp,
) -> Columns {
    let samples: Vec<_> = samples.into_iter().collect();
    let newest = samples.last().copied();
    let column = |value: &dyn Fn(&ContainerSample) -> Option<f64>| {
        samples.iter().map(|sample| value(sample)).collect::<Vec<_>>()
    };
    let columns = vec![
        (column::AGE_SECONDS, column(&|s| Some(s.seconds_before(newest?)))),
        (column::MEMORY_BYTES, column(&|s| known_u32(s.memory_kib).map(|kib| kib * 1024.0))),
        ("working_set_bytes", column(&|s| known_u32(s.working_set_kib).map(|kib| kib * 1024.0))),
        (column::CPU_MILLICORES, column(&|s| known_u32(s.cpu_millicores))),
        (column::CPU_THROTTLED_PERCENT, column(&|s| known_u8(s.cpu_throttled_percent))),
        ("pids", column(&|s| (s.pids != u16::MAX).then(|| f64::from(s.pids)))),
        ("pressure_memory_some_percent", column(&|s| known_u8(s.pressure_memory_percent))),
        ("pressure_cpu_some_percent", column(&|s| known_u8(s.pressure_cpu_percent))),
        ("pressure_io_some_percent", column(&|s| known_u8(s.pressure_io_percent))),
    ];
    Columns { interval_seconds: interval.as_secs_f64(), ends_at, columns }
}

/// Returns by how much a counter rose. `None` if a value is missing, or if the counter went backwards and so
/// must be another one.
fn rise(earlier: Option<u64>, later: Option<u64>) -> Option<u64> {
    later?.checked_sub(earlier?)
}

/// Returns the percentage of periods in which the container had to wait. If no period passed, it is 0. Without
/// a quota periods are not counted, and the result is `None`.
fn throttled_percent(earlier: &Counters, later: &Counters) -> Option<f64> {
    let periods = rise(earlier.periods, later.periods)?;
    let throttled = rise(earlier.throttled_periods, later.throttled_periods)?;
    later.periods.filter(|periods| *periods > 0)?;
    Some(if periods == 0 { 0.0 } else { throttled as f64 * 100.0 / periods as f64 })
}

#[allow(clippy::cast_possible_truncation, reason = "starts over after 49 days, as its field says")]
fn milliseconds(time: Duration) -> u32 {
    time.as_millis() as u32
}

fn narrow_u32(value: Option<u64>) -> u32 {
    let narrow = |value| u32::try_from(value).unwrap_or(u32::MAX).min(u32::MAX - 1);
    value.map_or(u32::MAX, narrow)
}

fn narrow_u16(value: Option<u64>) -> u16 {
    let narrow = |value| u16::try_from(value).unwrap_or(u16::MAX).min(u16::MAX - 1);
    value.map_or(u16::MAX, narrow)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped just before")]
fn percent(value: Option<f64>) -> u8 {
    value.map_or(u8::MAX, |value| value.round().clamp(0.0, 100.0) as u8)
}

fn known_u32(value: u32) -> Option<f64> {
    (value != u32::MAX).then(|| f64::from(value))
}

fn known_u8(value: u8) -> Option<f64> {
    (value != u8::MAX).then(|| f64::from(value))
}
