//! The recorder file: the node's last minutes, in a form that survives a power cut, a panic and a hang.
//!
//! The file has a fixed size: a head, and slots of [`RECORDER_SLOT_BYTES`]. Samples gather in a batch. Each write
//! puts the whole batch into one of two slots in turn, so the last good copy is never overwritten. When the batch fills a
//! slot, the next batch begins, in the slot that is not the good copy. Each slot has a checksum; what does not fit to it
//! was torn, or is not the agent's, and is left out.

mod codec;
mod minutes;
mod reader;
mod writer;

pub use self::codec::{Head, Slot, key};
pub use self::minutes::{BeforeReboot, ContainerMinutes, LastMinutes};
pub use self::reader::SlotIndex;
pub use self::writer::Recorder;

use jiff::Timestamp;

use crate::core::proc::SystemSample;
use crate::limits::{
    RECORDER_SLOT_BYTES, TROUBLE_AVAILABLE_PERCENT, TROUBLE_FALL_BELOW_PERCENT,
    TROUBLE_FALL_PERCENT, TROUBLE_IO_FULL_PERCENT, TROUBLE_MEMORY_FULL_PERCENT,
    TROUBLE_MEMORY_SOME_PERCENT,
};

/// A slot, or the head of the file.
pub type Block = [u8; RECORDER_SLOT_BYTES];

/// The columns of the node that are recorded, as `telemetry.system` names them. Another list needs another version of
/// the format.
pub const COLUMNS: [&str; 16] = [
    "cpu_user_percent",
    "cpu_system_percent",
    "cpu_iowait_percent",
    "cpu_steal_percent",
    "load_1m",
    "memory_available_bytes",
    "memory_cached_bytes",
    "swap_used_bytes",
    "pressure_cpu_some_percent",
    "pressure_memory_some_percent",
    "pressure_memory_full_percent",
    "pressure_io_some_percent",
    "pressure_io_full_percent",
    "disk_read_bytes_per_second",
    "disk_write_bytes_per_second",
    "disk_busy_percent",
];

// Where in [`COLUMNS`] the sentence looks: the available memory, and the time in which processes waited.
const AVAILABLE: usize = 5;
const MEMORY_SOME: usize = 9;
const IO_FULL: usize = 12;

/// A number as the file has it: the bits of an `f32`, which are below zero if it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(u32);

impl Number {
    fn new(value: Option<f64>) -> Self {
        Self(value.map_or(-1.0, |value| value as f32).to_bits())
    }

    /// Returns the number, if it is known.
    pub fn get(self) -> Option<f64> {
        // No node has more of anything than this; a hostile file may.
        let value = f32::from_bits(self.0);
        (0.0..1e15).contains(&value).then(|| f64::from(value))
    }
}

/// A container, as the file names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerName {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod_name: String,
    /// The container's name.
    pub container: String,
    /// The lower of the memory limits of the container and its pod.
    pub limit_bytes: Option<u64>,
}

/// What a container used at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The memory in use, in KiB.
    pub memory_kib: Option<u32>,
    /// The CPU time since the sample before, in thousandths of a core.
    pub cpu_millicores: Option<u32>,
}

/// The node at one time, and the containers that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was taken, by the node's clock, in milliseconds of Unix time.
    pub at_ms: i64,
    /// The values of [`COLUMNS`].
    pub node: [Number; COLUMNS.len()],
    /// The containers; those beyond [`RECORDER_CONTAINERS`](crate::limits::RECORDER_CONTAINERS) are left out.
    pub containers: Vec<(ContainerName, Usage)>,
    /// True if there is a sign of trouble, so that this sample should be written at once.
    pub is_trouble: bool,
}

impl Sample {
    /// Returns what is recorded of a sample of the node.
    pub fn new(
        at: Timestamp,
        system: &SystemSample,
        containers: Vec<(ContainerName, Usage)>,
        is_trouble: bool,
    ) -> Self {
        let mut node = [Number::new(None); COLUMNS.len()];
        for (name, value) in system.values() {
            if let Some(at) = COLUMNS.iter().position(|column| *column == name) {
                node[at] = Number::new(value);
            }
        }
        Self { at_ms: at.as_millisecond(), node, containers, is_trouble }
    }
}

/// Returns true if a sample shows a sign of trouble: memory nearly gone or falling fast, or processes that wait for
/// memory or a disk. `before` is the sample before, if there is one.
pub fn is_trouble(
    before: Option<&SystemSample>,
    now: &SystemSample,
    total_bytes: Option<u64>,
) -> bool {
    let part = |percent: u64| total_bytes.map(|total| total / 100 * percent);
    let is_below =
        |bytes: Option<u64>, percent| bytes.zip(part(percent)).is_some_and(|(b, p)| b < p);
    let left = now.memory_available.bytes();
    let fall = before.and_then(|before| before.memory_available.bytes());
    let fall = fall.zip(left).map(|(before, left)| before.saturating_sub(left));
    let falls = fall.zip(part(TROUBLE_FALL_PERCENT)).is_some_and(|(fall, part)| fall > part);
    let is_over = |value: Option<f64>, most: f64| value.is_some_and(|value| value >= most);
    is_below(left, TROUBLE_AVAILABLE_PERCENT)
        || falls && is_below(left, TROUBLE_FALL_BELOW_PERCENT)
        || is_over(now.pressure_memory_full_percent.get(), TROUBLE_MEMORY_FULL_PERCENT)
        || is_over(now.pressure_memory_some_percent.get(), TROUBLE_MEMORY_SOME_PERCENT)
        || is_over(now.pressure_io_full_percent.get(), TROUBLE_IO_FULL_PERCENT)
}

#[cfg(test)]
mod tests;
