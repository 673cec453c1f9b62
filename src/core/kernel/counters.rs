//! The kernel's own counters of kills, faults and errors, which it shows to everybody: no log has to be read for them.
//!
//! A counter tells that something happened, and how often, but not to whom.

use std::collections::VecDeque;
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::limits::KERNEL_RISES_MAX;

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Processes that the OOM killer killed, in containers and outside (`oom_kill` in `/proc/vmstat`, since 4.13).
    OomKills,
    /// Processes that waited for minutes without a signal being able to end them
    /// (`/proc/sys/kernel/hung_task_detect_count`, since 6.13).
    HungTasks,
    /// Faults of the kernel itself (`/sys/kernel/oops_count`, since 6.2).
    Oopses,
    /// Warnings with which the kernel reports a fault of its own (`/sys/kernel/warn_count`, since 6.2).
    Warnings,
    /// Times that a CPU stood still for seconds, or once if it did so since the boot (bit 14 of
    /// `/proc/sys/kernel/tainted`).
    Lockups,
    /// The same of errors that the processor reported (bit 4 of `tainted`).
    MachineChecks,
    /// Errors of ext4 file systems (`/sys/fs/ext4/*/errors_count`).
    FileSystemErrors,
    /// Requests that a SCSI or SATA disk ended with an error (`/sys/block/*/device/ioerr_cnt`).
    DiskErrors,
    /// Errors in memory that the hardware corrected (`/sys/devices/system/edac/mc/mc*/ce_count`).
    CorrectedMemoryErrors,
    /// Errors in memory that it could not correct (`ue_count`).
    UncorrectedMemoryErrors,
    /// Times that a Raspberry Pi's supply became too weak (`in0_lcrit_alarm` of the sensor `rpi_volt`).
    Undervoltages,
}

impl Counter {
    /// All counters, in the order in which lines show them.
    pub const ALL: [Self; 11] = [
        Self::OomKills,
        Self::HungTasks,
        Self::Oopses,
        Self::Warnings,
        Self::Lockups,
        Self::MachineChecks,
        Self::FileSystemErrors,
        Self::DiskErrors,
        Self::CorrectedMemoryErrors,
        Self::UncorrectedMemoryErrors,
        Self::Undervoltages,
    ];

    /// Returns the name, as in an incident line and in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::OomKills => "oom_kills",
            Self::HungTasks => "hung_tasks",
            Self::Oopses => "oopses",
            Self::Warnings => "warnings",
            Self::Lockups => "lockups",
            Self::MachineChecks => "machine_checks",
            Self::FileSystemErrors => "file_system_errors",
            Self::DiskErrors => "disk_errors",
            Self::CorrectedMemoryErrors => "corrected_memory_errors",
            Self::UncorrectedMemoryErrors => "uncorrected_memory_errors",
            Self::Undervoltages => "undervoltages",
        }
    }

    /// Returns the counter's value in the text of its file. `None` if it is not there.
    pub fn parse(self, text: &[u8]) -> Option<u64> {
        let text = str::from_utf8(text).ok()?;
        match self {
            Self::OomKills => {
                let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
                line.trim().parse().ok()
            }
            Self::Lockups => bit(text, 14),
            Self::MachineChecks => bit(text, 4),
            // The SCSI layer writes `0x1f`.
            Self::DiskErrors => u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok(),
            _ => text.trim().parse().ok(),
        }
    }
}

/// Returns whether a bit of the kernel's taint is set, as a counter up to 1.
fn bit(text: &str, bit: u32) -> Option<u64> {
    Some(text.trim().parse::<u64>().ok()? >> bit & 1)
}

/// By how much each counter rose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rises([u64; Counter::ALL.len()]);

impl Rises {
    /// Adds to one counter.
    pub fn add(&mut self, counter: Counter, by: u64) {
        let sum = &mut self.0[counter as usize];
        *sum = sum.saturating_add(by);
    }

    /// Returns the counters that rose, and by how much.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> {
        Counter::ALL.into_iter().zip(self.0).filter(|(_, by)| *by > 0)
    }

    /// Returns true if no counter rose.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Serialize for Rises {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (counter, by) in self.iter() {
            map.serialize_entry(counter.name(), &by)?;
        }
        map.end()
    }
}

/// The rises of the last minutes.
#[derive(Debug, Default)]
pub struct RecentRises {
    rises: VecDeque<(Duration, Counter, u64)>,
}

impl RecentRises {
    /// Records a rise that was seen at this monotonic time. The oldest of [`KERNEL_RISES_MAX`] makes room.
    pub fn push(&mut self, at: Duration, counter: Counter, by: u64) {
        if self.rises.len() >= KERNEL_RISES_MAX {
            self.rises.pop_front();
        }
        self.rises.push_back((at, counter, by));
    }

    /// Returns what rose since this monotonic time.
    pub fn since(&self, since: Duration) -> Rises {
        let mut sum = Rises::default();
        for (_, counter, by) in self.rises.iter().filter(|(at, ..)| *at >= since) {
            sum.add(*counter, *by);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_is_read_as_the_kernel_writes_it() {
        let vmstat = b"nr_free_pages 12\noom_kill 7\noom_kill_x 9\n".as_slice();
        for (counter, text, want) in [
            (Counter::OomKills, vmstat, Some(7)),
            (Counter::OomKills, b"nr_free_pages 12\n", None),
            (Counter::HungTasks, b"3\n", Some(3)),
            (Counter::Oopses, b"0\n", Some(0)),
            (Counter::Warnings, b"", None),
            (Counter::Warnings, b"-1\n", None),
            (Counter::Warnings, b"99999999999999999999\n", None),
            (Counter::DiskErrors, b"0x1f\n", Some(31)),
            (Counter::DiskErrors, b"12\n", None),
            // Bits 9 (warning), 12 (module from outside) and 14 (lockup).
            (Counter::Lockups, b"20992\n", Some(1)),
            (Counter::Lockups, b"4608\n", Some(0)),
            (Counter::MachineChecks, b"20992\n", Some(0)),
            (Counter::MachineChecks, b"16\n", Some(1)),
            (Counter::Undervoltages, b"1\n", Some(1)),
            (Counter::FileSystemErrors, b"\xff\n", None),
        ] {
            assert_eq!(counter.parse(text), want, "{counter:?} {text:?}");
        }
    }

    #[test]
    fn names_are_in_the_order_of_the_counters() {
        let mut rises = Rises::default();
        assert!(rises.is_empty());
        for (n, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, n);
            rises.add(counter, 1 + n as u64);
        }
        let json = serde_json::to_value(rises).unwrap();
        assert_eq!(json["oom_kills"], 1);
        assert_eq!(json["undervoltages"], 11);
        assert_eq!(json.as_object().unwrap().len(), Counter::ALL.len());
        let mut one = Rises::default();
        one.add(Counter::DiskErrors, u64::MAX);
        one.add(Counter::DiskErrors, 1);
        assert_eq!(
            serde_json::to_string(&one).unwrap(),
            format!("{{\"disk_errors\":{}}}", u64::MAX)
        );
    }

    #[test]
    fn only_recent_rises_count_and_their_number_is_bounded() {
        let mut recent = RecentRises::default();
        let at = Duration::from_secs;
        recent.push(at(10), Counter::OomKills, 2);
        recent.push(at(20), Counter::OomKills, 3);
        recent.push(at(20), Counter::Oopses, 1);
        let all: Vec<_> = recent.since(at(10)).iter().collect();
        assert_eq!(all, [(Counter::OomKills, 5), (Counter::Oopses, 1)]);
        assert_eq!(recent.since(at(11)).iter().next(), Some((Counter::OomKills, 3)));
        assert!(recent.since(at(21)).is_empty());
        for n in 0..10 * KERNEL_RISES_MAX {
            recent.push(at(30), Counter::Warnings, n as u64);
        }
        assert_eq!(recent.rises.len(), KERNEL_RISES_MAX);
    }
}
