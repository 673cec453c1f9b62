//! The node by its `/proc`: what the kernel counts, and what that makes for the time between two looks.
//!
//! Formats: kernel `Documentation/filesystems/proc.rst`, `admin-guide/iostats.rst`,
//! `accounting/psi.rst`. A line that cannot be read says nothing; a counter that goes back (it wrapped,
//! a device went) says nothing for that time.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::ring::{Columns, Ring};

/// What the files said at one moment. `None`: the kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SystemReading {
    /// `stat`: ticks of all CPUs.
    pub cpu: Option<CpuTicks>,
    /// `loadavg`: of the last minute.
    pub load_1m: Option<f32>,
    /// `meminfo`.
    pub memory: Option<MemoryKib>,
    /// `pressure/cpu`, `pressure/memory`, `pressure/io`.
    pub pressure: [Option<PressureMicros>; 3],
    /// `diskstats`: all disks.
    pub disks: Option<DiskCounters>,
    /// `net/dev`: the host's interfaces.
    pub network: Option<NetworkCounters>,
}

/// Ticks of all CPUs, by what they did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// Programs, niced ones included.
    pub user: u64,
    /// The kernel, interrupts included.
    pub system: u64,
    /// Nothing, while a disk had something to do.
    pub iowait: u64,
    /// Nothing, since the hypervisor gave the CPU to another machine.
    pub steal: u64,
    /// All of it, idle time included.
    pub total: u64,
}

/// Memory in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryKib {
    /// What programs can have without swapping.
    pub available: u64,
    /// Unused.
    pub free: u64,
    /// The page cache and buffers.
    pub cached: u64,
    /// Swapped out.
    pub swap_used: u64,
}

/// Time in which somebody, or everybody, waited for a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PressureMicros {
    /// At least one task.
    pub some: u64,
    /// All tasks; of the CPU that is never told before Linux 5.13.
    pub full: Option<u64>,
}

/// All disks together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCounters {
    /// Sectors of 512 bytes.
    pub read_sectors: u64,
    /// Sectors of 512 bytes.
    pub written_sectors: u64,
    /// Reads and writes.
    pub operations: u64,
    /// Milliseconds in which the disk had something to do; of several disks the sum.
    pub busy_millis: u64,
}

/// The host's interfaces together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkCounters {
    /// Received.
    pub received_bytes: u64,
    /// Sent.
    pub sent_bytes: u64,
    /// Errors, both ways.
    pub errors: u64,
    /// Dropped packets, both ways.
    pub drops: u64,
}

fn lines(text: &[u8]) -> impl Iterator<Item = &str> {
    text.split(|byte| *byte == b'\n').filter_map(|line| str::from_utf8(line).ok())
}

fn number(word: Option<&str>) -> Option<u64> {
    word?.parse().ok()
}

impl CpuTicks {
    /// Reads `stat`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let line = lines(text).find_map(|line| line.strip_prefix("cpu "))?;
        let mut ticks = [0_u64; 8];
        let mut words = line.split_ascii_whitespace();
        for (n, tick) in ticks.iter_mut().enumerate() {
            // The first four were always there; steal came with Linux 2.6.11.
            *tick = match words.next() {
                None if n >= 4 => 0,
                word => number(word)?,
            };
        }
        let [user, nice, system, _, iowait, irq, softirq, steal] = ticks;
        let sum = |ticks: &[u64]| ticks.iter().fold(0, |sum: u64, n| sum.saturating_add(*n));
        Some(Self {
            user: sum(&[user, nice]),
            system: sum(&[system, irq, softirq]),
            iowait,
            steal,
            total: sum(&ticks),
        })
    }
}

/// Reads `loadavg`.
pub fn parse_load(text: &[u8]) -> Option<f32> {
    let load: f32 = lines(text).next()?.split(' ').next()?.parse().ok()?;
    load.is_finite().then_some(load)
}

impl MemoryKib {
    /// Reads `meminfo`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut memory = Self::default();
        let (mut total, mut swap_free, mut available) = (None, 0, None);
        for line in lines(text) {
            let Some((name, value)) = line.split_once(':') else { continue };
            let Some(value) = number(value.split_ascii_whitespace().next()) else { continue };
            match name {
                "MemTotal" => total = Some(value),
                "MemAvailable" => available = Some(value),
                "MemFree" => memory.free = value,
                "Buffers" | "Cached" => memory.cached = memory.cached.saturating_add(value),
                "SwapTotal" => memory.swap_used = value,
                "SwapFree" => swap_free = value,
                _ => {}
            }
        }
        total?;
        memory.swap_used = memory.swap_used.saturating_sub(swap_free);
        // Before Linux 3.14.
        memory.available = available.unwrap_or_else(|| memory.free.saturating_add(memory.cached));
        Some(memory)
    }
}

impl PressureMicros {
    /// Reads a file of `pressure`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let total = |name: &str| {
            let line = lines(text).find_map(|line| line.strip_prefix(name))?;
            let mut words = line.split_ascii_whitespace();
            number(words.find_map(|word| word.strip_prefix("total=")))
        };
        Some(Self { some: total("some ")?, full: total("full ") })
    }
}

impl DiskCounters {
    /// Reads `diskstats`. Only whole disks count, once: no partitions, and none of the devices that are
    /// made of other ones (loop, ram, dm, md, zram, floppies, CD drives).
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut all = Self::default();
        let mut is_some = false;
        for line in lines(text) {
            let mut words = line.split_ascii_whitespace().skip(2);
            if !words.next().is_some_and(is_whole_disk) {
                continue;
            }
            let mut values = [0_u64; 10];
            let read = values.iter_mut().try_for_each(|value| {
                *value = number(words.next())?;
                Some(())
            });
            let ([reads, _, read, _, writes, _, written, _, _, busy], Some(())) = (values, read)
            else {
                continue;
            };
            is_some = true;
            all.read_sectors = all.read_sectors.saturating_add(read);
            all.written_sectors = all.written_sectors.saturating_add(written);
            all.operations = all.operations.saturating_add(reads).saturating_add(writes);
            all.busy_millis = all.busy_millis.saturating_add(busy);
        }
        is_some.then_some(all)
    }
}

/// Whether a block device is a disk of its own, by its name (kernel `admin-guide/devices.txt`).
fn is_whole_disk(name: &str) -> bool {
    let ends_in_digit = name.ends_with(|c: char| c.is_ascii_digit());
    // sda, vda, xvda, hda; their partitions end in a digit.
    let by_letter = ["sd", "vd", "xvd", "hd"].iter().any(|p| name.starts_with(p)) && !ends_in_digit;
    // nvme0n1 and mmcblk0; their partitions have a `p` in between.
    let by_number = ["nvme", "mmcblk", "nbd", "rbd"].iter().any(|p| name.starts_with(p))
        && ends_in_digit
        && !name.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with('p');
    by_letter || by_number
}

impl NetworkCounters {
    /// Reads `net/dev`. The host's own interfaces count: not the loop, and none that pods, bridges and
    /// tunnels are made of, whose traffic passes the host's as well.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut all = Self::default();
        let mut is_some = false;
        for line in lines(text) {
            let Some((name, values)) = line.split_once(':') else { continue };
            // A dot is a VLAN's, whose frames its interface counts.
            let name = name.trim();
            if name.contains('.') || VIRTUAL_INTERFACES.iter().any(|p| name.starts_with(p)) {
                continue;
            }
            let mut words = values.split_ascii_whitespace();
            let mut values = [0_u64; 12];
            let read = values.iter_mut().try_for_each(|value| {
                *value = number(words.next())?;
                Some(())
            });
            let (
                [received, _, in_errors, in_drops, _, _, _, _, sent, _, out_errors, out_drops],
                Some(()),
            ) = (values, read)
            else {
                continue;
            };
            is_some = true;
            all.received_bytes = all.received_bytes.saturating_add(received);
            all.sent_bytes = all.sent_bytes.saturating_add(sent);
            all.errors = all.errors.saturating_add(in_errors).saturating_add(out_errors);
            all.drops = all.drops.saturating_add(in_drops).saturating_add(out_drops);
        }
        is_some.then_some(all)
    }
}

/// Interfaces that carry what the host's own carry, too, or nothing real, by how the kernel and network
/// plugins name them. Of a bond the parts count.
const VIRTUAL_INTERFACES: [&str; 30] = [
    "lo",
    "veth",
    "cali",
    "cni",
    "flannel",
    "docker",
    "podman",
    "br-",
    "virbr",
    "bond",
    "team",
    "lxc",
    "cilium",
    "kube-",
    "nodelocaldns",
    "tunl",
    "vxlan",
    "genev",
    "gre",
    "ip6tnl",
    "sit",
    "dummy",
    "ifb",
    "ovs",
    "antrea",
    "weave",
    "azv",
    "eni",
    "tap",
    "wg",
];

/// What one interval was like: a value for each of [`COLUMNS`]; `NAN`: not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SystemSample([f32; COLUMNS.len()]);

/// Of a sample. Percent of the CPU are of all CPUs together; of disks 100 is one disk that is always busy.
pub const COLUMNS: [&str; 22] = [
    "cpu_user_percent",
    "cpu_system_percent",
    "cpu_iowait_percent",
    "cpu_steal_percent",
    "load_1m",
    "memory_available_mib",
    "memory_free_mib",
    "memory_cached_mib",
    "swap_used_mib",
    "pressure_cpu_some_percent",
    "pressure_memory_some_percent",
    "pressure_memory_full_percent",
    "pressure_io_some_percent",
    "pressure_io_full_percent",
    "disk_read_kib_per_second",
    "disk_write_kib_per_second",
    "disk_operations_per_second",
    "disk_busy_percent",
    "network_receive_kib_per_second",
    "network_transmit_kib_per_second",
    "network_errors_per_second",
    "network_drops_per_second",
];

impl SystemSample {
    /// What the time between two readings was like.
    pub fn between(before: &SystemReading, now: &SystemReading, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64();
        let rate = |pair: Option<(u64, u64)>, unit: f64| match pair {
            Some((before, now)) if now >= before && seconds > 0.0 => {
                Some((now - before) as f64 / unit / seconds)
            }
            _ => None,
        };
        let both = before.cpu.zip(now.cpu);
        let ticks = both.map(|(b, n)| (b.total, n.total)).filter(|(b, n)| n > b);
        let cpu = |of: fn(&CpuTicks) -> u64| {
            let (before, now) = both.map(|(b, n)| (of(&b), of(&n)))?;
            let (total_before, total) = ticks?;
            Some(now.checked_sub(before)? as f64 * 100.0 / (total - total_before) as f64)
        };
        let mib = |of: fn(&MemoryKib) -> u64| now.memory.map(|memory| of(&memory) as f64 / 1024.0);
        let stall = |n: usize, of: fn(&PressureMicros) -> Option<u64>| {
            let (before, now) = before.pressure[n].zip(now.pressure[n])?;
            rate(of(&before).zip(of(&now)), 1e4)
        };
        let disk = |of: fn(&DiskCounters) -> u64, unit| {
            rate(before.disks.zip(now.disks).map(|(b, n)| (of(&b), of(&n))), unit)
        };
        let network = |of: fn(&NetworkCounters) -> u64, unit| {
            rate(before.network.zip(now.network).map(|(b, n)| (of(&b), of(&n))), unit)
        };
        let values = [
            cpu(|c| c.user),
            cpu(|c| c.system),
            cpu(|c| c.iowait),
            cpu(|c| c.steal),
            now.load_1m.map(f64::from),
            mib(|m| m.available),
            mib(|m| m.free),
            mib(|m| m.cached),
            mib(|m| m.swap_used),
            stall(0, |p| Some(p.some)),
            stall(1, |p| Some(p.some)),
            stall(1, |p| p.full),
            stall(2, |p| Some(p.some)),
            stall(2, |p| p.full),
            // Sectors, two to a KiB.
            disk(|d| d.read_sectors, 2.0),
            disk(|d| d.written_sectors, 2.0),
            disk(|d| d.operations, 1.0),
            // Milliseconds a second, in percent.
            disk(|d| d.busy_millis, 10.0),
            network(|n| n.received_bytes, 1024.0),
            network(|n| n.sent_bytes, 1024.0),
            network(|n| n.errors, 1.0),
            network(|n| n.drops, 1.0),
        ];
        // Four bytes are precise enough for a curve.
        Self(values.map(|value| value.map_or(f32::NAN, |value| value as f32)))
    }
}

/// The samples as an incident shows them.
pub fn columns(samples: &Ring<SystemSample>, interval: Duration, ends_at: Timestamp) -> Columns {
    let column = |n: usize| {
        let values = samples.iter().map(|sample| sample.0[n]);
        values.map(|value| (!value.is_nan()).then_some(f64::from(value))).collect()
    };
    Columns {
        interval_seconds: interval.as_secs_f64(),
        ends_at,
        columns: COLUMNS.iter().enumerate().map(|(n, name)| (*name, column(n))).collect(),
    }
}

#[cfg(test)]
#[path = "proc/tests.rs"]
mod tests;
