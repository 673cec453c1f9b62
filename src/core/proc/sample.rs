//! Compact samples of the node, computed from two readings, and the columns that an incident shows.

use std::time::Duration;

use jiff::Timestamp;

use super::{CpuTicks, DeviceName, Disk, Interface, Pressure, SystemReading};
use crate::core::ring::{Columns, Ring};

/// A number in a sample, or unknown. Nobody reads more than the seven digits of an `f32` off a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure(f32);

impl Figure {
    /// No number in a sample is negative, so a negative one means unknown.
    const UNKNOWN: Self = Self(-1.0);

    fn new(value: Option<f64>) -> Self {
        value.filter(|value| *value >= 0.0).map_or(Self::UNKNOWN, |value| Self(value as f32))
    }

    /// Returns the number, if it is known.
    pub fn get(self) -> Option<f64> {
        (self.0 >= 0.0).then(|| f64::from(self.0))
    }
}

/// An amount of memory, or unknown. It is stored in pages, since the kernel counts memory in pages: exact
/// up to 16 TiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(u32);

impl Amount {
    const UNKNOWN: u32 = u32::MAX;

    /// The smallest page size of Linux; larger pages are multiples of it.
    const PAGE_BYTES: u64 = 4096;

    fn new(bytes: Option<u64>) -> Self {
        let pages = |bytes| u32::try_from(bytes / Self::PAGE_BYTES).unwrap_or(u32::MAX);
        Self(bytes.map_or(Self::UNKNOWN, |bytes| pages(bytes).min(Self::UNKNOWN - 1)))
    }

    /// Returns the bytes, if they are known.
    pub fn bytes(self) -> Option<u64> {
        (self.0 != Self::UNKNOWN).then(|| u64::from(self.0) * Self::PAGE_BYTES)
    }
}

/// One row of the ring: the node at one moment, and averages since the previous sample. A value that could
/// not be read is unknown; so is a rate whose counter went backwards, and every rate of the first sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SystemSample {
    /// Percent of the time of all CPUs; see [`CpuTicks::user`].
    pub cpu_user_percent: Figure,
    /// Percent of the time of all CPUs; see [`CpuTicks::system`].
    pub cpu_system_percent: Figure,
    /// Percent of the time of all CPUs; see [`CpuTicks::iowait`].
    pub cpu_iowait_percent: Figure,
    /// Percent of the time of all CPUs; see [`CpuTicks::steal`].
    pub cpu_steal_percent: Figure,
    /// Load of the last minute; see [`SystemReading::load_1m`].
    pub load_1m: Figure,
    /// Available memory; see [`super::Memory::available_bytes`].
    pub memory_available: Amount,
    /// Unused memory; see [`super::Memory::free_bytes`].
    pub memory_free: Amount,
    /// Page cache; see [`super::Memory::cached_bytes`].
    pub memory_cached: Amount,
    /// Swap space in use; see [`super::Memory::swap_used_bytes`].
    pub swap_used: Amount,
    /// Percent of the time in which a process waited for a CPU.
    pub pressure_cpu_some_percent: Figure,
    /// Percent of the time in which a process waited for memory.
    pub pressure_memory_some_percent: Figure,
    /// Percent of the time in which all processes that had work waited for memory.
    pub pressure_memory_full_percent: Figure,
    /// Percent of the time in which a process waited for a disk.
    pub pressure_io_some_percent: Figure,
    /// Percent of the time in which all processes that had work waited for a disk.
    pub pressure_io_full_percent: Figure,
    /// Bytes read from all disks together.
    pub disk_read_bytes_per_second: Figure,
    /// Bytes written to all disks together.
    pub disk_write_bytes_per_second: Figure,
    /// Reads and writes of all disks together.
    pub disk_operations_per_second: Figure,
    /// Percent of the time in which the busiest disk had something to do. Disks that do many transfers at
    /// once (NVMe) may have capacity left at 100.
    pub disk_busy_percent: Figure,
    /// Bytes received by all interfaces together.
    pub network_receive_bytes_per_second: Figure,
    /// Bytes sent by all interfaces together.
    pub network_transmit_bytes_per_second: Figure,
    /// Packets lost to errors, both directions, all interfaces together.
    pub network_errors_per_second: Figure,
    /// Packets dropped, both directions, all interfaces together.
    pub network_drops_per_second: Figure,
}

/// A ring has up to 301 of these samples.
const _: () = assert!(size_of::<SystemSample>() <= 96);

impl SystemSample {
    /// Computes the sample for the reading `now`; rates cover the time `elapsed` since `previous`. For the first
    /// sample `previous` is an empty reading.
    pub fn between(previous: &SystemReading, now: &SystemReading, elapsed: Duration) -> Self {
        let [user, system, iowait, steal] = cpu_percents(previous.cpu, now.cpu);
        let waited = |of: fn(&SystemReading) -> &Pressure, kind: fn(&Pressure) -> Option<u64>| {
            percent_of_micros(risen(kind(of(previous)), kind(of(now))), elapsed)
        };
        let (some, full) = (|p: &Pressure| p.some_micros, |p: &Pressure| p.full_micros);
        let disks = |counter: fn(&Disk) -> u64| {
            let rises = rises(&previous.disks, &now.disks, |disk| disk.name, counter);
            per_second(sum(rises), elapsed)
        };
        let network = |counter: fn(&Interface) -> u64| {
            let rises = rises(&previous.interfaces, &now.interfaces, |i| i.name, counter);
            per_second(sum(rises), elapsed)
        };
        Self {
            cpu_user_percent: user,
            cpu_system_percent: system,
            cpu_iowait_percent: iowait,
            cpu_steal_percent: steal,
            load_1m: Figure::new(now.load_1m),
            memory_available: Amount::new(now.memory.available_bytes),
            memory_free: Amount::new(now.memory.free_bytes),
            memory_cached: Amount::new(now.memory.cached_bytes),
            swap_used: Amount::new(now.memory.swap_used_bytes()),
            pressure_cpu_some_percent: waited(|r| &r.pressure_cpu, some),
            pressure_memory_some_percent: waited(|r| &r.pressure_memory, some),
            pressure_memory_full_percent: waited(|r| &r.pressure_memory, full),
            pressure_io_some_percent: waited(|r| &r.pressure_io, some),
            pressure_io_full_percent: waited(|r| &r.pressure_io, full),
            disk_read_bytes_per_second: disks(|d| d.read_bytes),
            disk_write_bytes_per_second: disks(|d| d.written_bytes),
            disk_operations_per_second: disks(|d| d.operations),
            disk_busy_percent: busiest(previous, now, elapsed),
            network_receive_bytes_per_second: network(|i| i.received_bytes),
            network_transmit_bytes_per_second: network(|i| i.sent_bytes),
            network_errors_per_second: network(|i| i.errors),
            network_drops_per_second: network(|i| i.drops),
        }
    }
}

impl SystemSample {
    /// Returns the values as an incident names them.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, Option<f64>)> {
        COLUMNS.iter().map(|(name, value)| (*name, value(self)))
    }
}

/// Returns by how much a counter rose. `None` if it went backwards: it was reset, or the device is another
/// one, and the real increase is unknown.
fn risen(previous: Option<u64>, now: Option<u64>) -> Option<u64> {
    now?.checked_sub(previous?)
}

/// Returns the percentages of user, system, iowait and steal. The kernel may lower the last two
/// (Documentation/filesystems/proc.rst: "the value of iowait field may decrease in certain conditions");
/// in that case only the lowered ones are unknown.
fn cpu_percents(previous: Option<CpuTicks>, now: Option<CpuTicks>) -> [Figure; 4] {
    let rise = |of: fn(CpuTicks) -> u64| risen(previous.map(of), now.map(of));
    let parts = [rise(|c| c.user), rise(|c| c.system), rise(|c| c.iowait), rise(|c| c.steal)];
    let [Some(user), Some(system), iowait, steal] = parts else { return [Figure::UNKNOWN; 4] };
    let Some(idle) = rise(|c| c.idle) else { return [Figure::UNKNOWN; 4] };
    let all = [user, system, idle, iowait.unwrap_or(0), steal.unwrap_or(0)];
    let ticks: f64 = all.into_iter().map(|ticks| ticks as f64).sum();
    let percent = |part: u64| (ticks > 0.0).then(|| part as f64 * 100.0 / ticks);
    parts.map(|part| Figure::new(part.and_then(percent)))
}

/// Returns the share of the time. A little over 100, as when the kernel's clock and ours differ, is cut to 100.
fn percent_of_micros(micros: Option<u64>, elapsed: Duration) -> Figure {
    let elapsed_micros = elapsed.as_secs_f64() * 1e6;
    let percent = |micros: u64| (micros as f64 * 100.0 / elapsed_micros).min(100.0);
    Figure::new(micros.filter(|_| !elapsed.is_zero()).map(percent))
}

fn per_second(amount: Option<u64>, elapsed: Duration) -> Figure {
    let rate = |amount: u64| amount as f64 / elapsed.as_secs_f64();
    Figure::new(amount.filter(|_| !elapsed.is_zero()).map(rate))
}

/// Returns the sum; unknown if one device's part is unknown, or if there is no device.
fn sum(mut rises: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    let first = rises.next()??;
    rises.try_fold(first, |all, one| Some(all.saturating_add(one?)))
}

/// Returns the share of the time in which the busiest disk worked; unknown if one disk's counter went
/// backwards, since that disk may have been the busiest.
fn busiest(previous: &SystemReading, now: &SystemReading, elapsed: Duration) -> Figure {
    let mut rises = rises(&previous.disks, &now.disks, |disk| disk.name, |disk| disk.busy_millis);
    let millis = rises.next().flatten();
    let millis = millis.and_then(|first| rises.try_fold(first, |most, one| Some(most.max(one?))));
    percent_of_micros(millis.map(|millis| millis.saturating_mul(1000)), elapsed)
}

/// Returns by how much a counter rose for each device that is in both readings. A new device counts from the
/// next interval on; the last transfers of a removed device are unknown. Neither makes the other devices
/// unknown, since nodes attach and detach their pods' volumes all the time.
fn rises<'a, D>(
    previous: &'a [D],
    now: &'a [D],
    name: fn(&D) -> DeviceName,
    counter: fn(&D) -> u64,
) -> impl Iterator<Item = Option<u64>> + 'a {
    now.iter().enumerate().filter_map(move |(at, device)| {
        let same = |other: &&D| name(other) == name(device);
        // Devices are mostly at the same index, since they seldom come or go.
        let before = previous.get(at).filter(same).or_else(|| previous.iter().find(same))?;
        Some(counter(device).checked_sub(counter(before)))
    })
}

type Column = (&'static str, fn(&SystemSample) -> Option<f64>);

/// The columns, in the order in which an incident shows them.
const COLUMNS: [Column; 22] = [
    ("cpu_user_percent", |s| s.cpu_user_percent.get()),
    ("cpu_system_percent", |s| s.cpu_system_percent.get()),
    ("cpu_iowait_percent", |s| s.cpu_iowait_percent.get()),
    ("cpu_steal_percent", |s| s.cpu_steal_percent.get()),
    ("load_1m", |s| s.load_1m.get()),
    ("memory_available_bytes", |s| bytes(s.memory_available)),
    ("memory_free_bytes", |s| bytes(s.memory_free)),
    ("memory_cached_bytes", |s| bytes(s.memory_cached)),
    ("swap_used_bytes", |s| bytes(s.swap_used)),
    ("pressure_cpu_some_percent", |s| s.pressure_cpu_some_percent.get()),
    ("pressure_memory_some_percent", |s| s.pressure_memory_some_percent.get()),
    ("pressure_memory_full_percent", |s| s.pressure_memory_full_percent.get()),
    ("pressure_io_some_percent", |s| s.pressure_io_some_percent.get()),
    ("pressure_io_full_percent", |s| s.pressure_io_full_percent.get()),
    ("disk_read_bytes_per_second", |s| whole(s.disk_read_bytes_per_second)),
    ("disk_write_bytes_per_second", |s| whole(s.disk_write_bytes_per_second)),
    ("disk_operations_per_second", |s| s.disk_operations_per_second.get()),
    ("disk_busy_percent", |s| s.disk_busy_percent.get()),
    ("network_receive_bytes_per_second", |s| whole(s.network_receive_bytes_per_second)),
    ("network_transmit_bytes_per_second", |s| whole(s.network_transmit_bytes_per_second)),
    ("network_errors_per_second", |s| s.network_errors_per_second.get()),
    ("network_drops_per_second", |s| s.network_drops_per_second.get()),
];

fn bytes(amount: Amount) -> Option<f64> {
    amount.bytes().map(|bytes| bytes as f64)
}

/// Rounds to whole numbers: tenths of a byte only make the line longer.
fn whole(figure: Figure) -> Option<f64> {
    figure.get().map(f64::round)
}

/// Returns the samples as an incident shows them. `ends_at` is the time of the newest sample.
pub fn columns(samples: &Ring<SystemSample>, interval_seconds: f64, ends_at: Timestamp) -> Columns {
    let column = |(name, value): Column| (name, samples.iter().map(value).collect());
    Columns { interval_seconds, ends_at, columns: COLUMNS.into_iter().map(column).collect() }
}
