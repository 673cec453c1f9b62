//! Parsers for the files about the node as a whole: `stat`, `loadavg`, `meminfo` and `pressure/*`.

use jiff::Timestamp;

use super::text::{Lines, number, numbers, words};

/// Time of all CPUs together since boot, in ticks. Only ratios of ticks are used, so the length of a tick
/// does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// Time in processes, including those of low priority and guests of a virtual machine.
    pub user: u64,
    /// Time in the kernel, including interrupts.
    pub system: u64,
    /// Time without anything to do.
    pub idle: u64,
    /// Idle time while a process waited for a disk. The kernel's own documentation calls it unreliable.
    pub iowait: u64,
    /// Time in which there was something to do, but the hypervisor ran another guest.
    pub steal: u64,
}

impl CpuTicks {
    /// Parses `/proc/stat`, whose first line is about all CPUs together.
    ///
    /// Source: Documentation/filesystems/proc.rst, 1.7. `user` and `nice` already contain the time of guests
    /// (`account_guest_time` in kernel/sched/cputime.c), so it is not added again.
    pub fn parse(stat: &[u8]) -> Option<Self> {
        let mut words = words(Lines(stat).find(|line| line.starts_with(b"cpu "))?);
        words.next()?;
        let [user, nice, system, idle, iowait, irq, softirq, steal] = numbers(&mut words)?;
        let user = user.saturating_add(nice);
        let system = system.saturating_add(irq).saturating_add(softirq);
        Some(Self { user, system, idle, iowait, steal })
    }
}

/// Parses `/proc/loadavg`, whose first word is the load of the last minute.
///
/// Source: fs/proc/loadavg.c; the number always has two decimals.
pub fn parse_load(loadavg: &[u8]) -> Option<f64> {
    let load = words(Lines(loadavg).next()?).next()?;
    let (whole, hundredths) = load.split_at_checked(load.len().checked_sub(3)?)?;
    let hundredths = number(hundredths.strip_prefix(b".")?)?;
    Some(number(whole)? as f64 + hundredths as f64 / 100.0)
}

/// The node's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All memory that the kernel manages.
    pub total_bytes: Option<u64>,
    /// Unused memory.
    pub free_bytes: Option<u64>,
    /// The kernel's estimate of the memory that new processes could use without swapping.
    pub available_bytes: Option<u64>,
    /// The page cache, including tmpfs and shared memory.
    pub cached_bytes: Option<u64>,
    /// Swap space.
    pub swap_total_bytes: Option<u64>,
    /// Unused swap space.
    pub swap_free_bytes: Option<u64>,
}

impl Memory {
    /// Parses `/proc/meminfo`, whose lines look like `MemTotal:       24684084 kB`.
    ///
    /// Source: Documentation/filesystems/proc.rst, "meminfo". A kB is 1,024 bytes.
    pub fn parse(meminfo: &[u8]) -> Self {
        let mut memory = Self::default();
        for line in Lines(meminfo) {
            let mut words = words(line);
            let Some(field) = words.next().and_then(|key| memory.field(key)) else { continue };
            let kilobytes = words.next().and_then(number).filter(|_| words.next() == Some(b"kB"));
            if let Some(kilobytes) = kilobytes {
                *field = Some(kilobytes.saturating_mul(1024));
            }
            if memory.is_complete() {
                break;
            }
        }
        memory
    }

    /// Returns the swap space in use, in bytes.
    pub fn swap_used_bytes(&self) -> Option<u64> {
        Some(self.swap_total_bytes?.saturating_sub(self.swap_free_bytes?))
    }

    fn field(&mut self, key: &[u8]) -> Option<&mut Option<u64>> {
        match key {
            b"MemTotal:" => Some(&mut self.total_bytes),
            b"MemFree:" => Some(&mut self.free_bytes),
            b"MemAvailable:" => Some(&mut self.available_bytes),
            b"Cached:" => Some(&mut self.cached_bytes),
            b"SwapTotal:" => Some(&mut self.swap_total_bytes),
            b"SwapFree:" => Some(&mut self.swap_free_bytes),
            _ => None,
        }
    }

    /// Returns true if all fields are known, so the rest of the file need not be read.
    fn is_complete(&self) -> bool {
        self.total_bytes.is_some()
            && self.free_bytes.is_some()
            && self.available_bytes.is_some()
            && self.cached_bytes.is_some()
            && self.swap_total_bytes.is_some()
            && self.swap_free_bytes.is_some()
    }
}

/// How long processes waited for a resource since boot, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Time in which at least one process waited.
    pub some_micros: Option<u64>,
    /// Time in which all processes that had work waited. For the CPU of a whole node it is always 0.
    pub full_micros: Option<u64>,
}

impl Pressure {
    /// Parses a file of `/proc/pressure`, whose lines look like
    /// `some avg10=0.00 avg60=0.00 avg300=0.00 total=60701`.
    ///
    /// Source: Documentation/accounting/psi.rst. The averages are ignored: the totals give averages over the
    /// recorder's own interval.
    pub fn parse(pressure: &[u8]) -> Self {
        let mut waited = Self::default();
        for line in Lines(pressure) {
            let mut words = words(line);
            let field = match words.next() {
                Some(b"some") => &mut waited.some_micros,
                Some(b"full") => &mut waited.full_micros,
                _ => continue,
            };
            let total = words.find_map(|word| word.strip_prefix(b"total="));
            if let Some(micros) = total.and_then(number) {
                *field = Some(micros);
            }
        }
        waited
    }
}
/// Parses the time of the boot in `stat`: `btime`, in seconds of the node's clock.
pub fn parse_boot_time(stat: &[u8]) -> Option<Timestamp> {
    let text = str::from_utf8(stat).ok()?;
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    Timestamp::from_second(seconds.trim().parse().ok()?).ok()
}
