//! The files about the node as a whole: `stat`, `loadavg`, `meminfo` and `pressure/*`.

use super::text::{Lines, number, numbers, words};

/// Time of all CPUs together since boot, in ticks. Only their ratio is used, so the tick's length
/// does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// In processes, with those of low priority and with guests of a virtual machine.
    pub user: u64,
    /// In the kernel, with its interrupts.
    pub system: u64,
    /// Nothing to do.
    pub idle: u64,
    /// Nothing to do, and a process waits for a disk. The kernel itself does not trust it much.
    pub iowait: u64,
    /// There was something to do, and the hypervisor ran somebody else.
    pub steal: u64,
}

impl CpuTicks {
    /// Reads `/proc/stat`, of which the first line is about all CPUs together.
    ///
    /// Source: Documentation/filesystems/proc.rst, 1.7. Guests' time is contained in `user` and
    /// `nice` already (`account_guest_time` in kernel/sched/cputime.c), so it is not added again.
    pub fn parse(stat: &[u8]) -> Option<Self> {
        let mut words = words(Lines(stat).find(|line| line.starts_with(b"cpu "))?);
        words.next()?;
        let [user, nice, system, idle, iowait, irq, softirq, steal] = numbers(&mut words)?;
        let user = user.saturating_add(nice);
        let system = system.saturating_add(irq).saturating_add(softirq);
        Some(Self { user, system, idle, iowait, steal })
    }
}

/// Reads `/proc/loadavg`, of which the first word is the load of the last minute.
///
/// Source: fs/proc/loadavg.c; the number has two decimals, always.
pub fn parse_load(loadavg: &[u8]) -> Option<f64> {
    let load = words(Lines(loadavg).next()?).next()?;
    let (whole, hundredths) = load.split_at_checked(load.len().checked_sub(3)?)?;
    let hundredths = number(hundredths.strip_prefix(b".")?)?;
    Some(number(whole)? as f64 + hundredths as f64 / 100.0)
}

/// The node's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that the kernel manages.
    pub total_bytes: Option<u64>,
    /// Unused.
    pub free_bytes: Option<u64>,
    /// The kernel's estimate of what new processes could have without swapping.
    pub available_bytes: Option<u64>,
    /// The page cache, with tmpfs and shared memory.
    pub cached_bytes: Option<u64>,
    /// Swap space.
    pub swap_total_bytes: Option<u64>,
    /// Unused swap space.
    pub swap_free_bytes: Option<u64>,
}

impl Memory {
    /// Reads `/proc/meminfo`, where a line is `MemTotal:       24684084 kB`.
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

    /// Swap space in use, in bytes.
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

    /// Nothing further down the file is used.
    fn is_complete(&self) -> bool {
        self.total_bytes.is_some()
            && self.free_bytes.is_some()
            && self.available_bytes.is_some()
            && self.cached_bytes.is_some()
            && self.swap_total_bytes.is_some()
            && self.swap_free_bytes.is_some()
    }
}

/// For how long processes waited for a resource since boot, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// At least one process waited.
    pub some_micros: Option<u64>,
    /// All processes that had something to do waited. For the CPU of a whole node that is always 0.
    pub full_micros: Option<u64>,
}

impl Pressure {
    /// Reads a file of `/proc/pressure`, where a line is
    /// `some avg10=0.00 avg60=0.00 avg300=0.00 total=60701`.
    ///
    /// Source: Documentation/accounting/psi.rst. The averages are left alone: the totals give those
    /// of the recorder's own interval.
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
