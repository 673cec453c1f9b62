//! The node's load, from the files of its procfs: what they say at one moment, and what happened
//! between two.
//!
//! The files are the kernel's interface and are not to be trusted more than any other text: a line
//! that is not as the kernel documents it is skipped, numbers stop at the largest there is, and no
//! bytes whatever make it panic. A file that is not there is an absent quantity, never an error.
//!
//! Not here: the free space of the file systems. procfs does not tell it, and `statvfs(3)` is to be
//! had neither from the standard library nor from a crate that the agent has already.

pub mod disks;
pub mod interfaces;
pub mod node;
pub mod sample;
mod text;

pub use disks::Disk;
pub use interfaces::Interface;
pub use node::{CpuTicks, Memory, Pressure};
pub use sample::{SystemSample, columns};

use crate::limits::DEVICE_NAME_BYTES_MAX;

/// What the files said at one moment. Counters are since boot, or since the device came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemReading {
    /// `/proc/stat`.
    pub cpu: Option<CpuTicks>,
    /// `/proc/loadavg`: processes that run or wait, on average over a minute.
    pub load_1m: Option<f64>,
    /// `/proc/meminfo`.
    pub memory: Memory,
    /// `/proc/pressure/cpu`.
    pub pressure_cpu: Pressure,
    /// `/proc/pressure/memory`.
    pub pressure_memory: Pressure,
    /// `/proc/pressure/io`.
    pub pressure_io: Pressure,
    /// `/proc/diskstats`: the whole disks, in the kernel's order.
    pub disks: Vec<Disk>,
    /// `/proc/net/dev`: the interfaces by which the node talks to others, in the kernel's order.
    pub interfaces: Vec<Interface>,
}

/// The name of a disk or an interface, in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeviceName([u8; DEVICE_NAME_BYTES_MAX]);

impl DeviceName {
    /// A name of 1 to [`DEVICE_NAME_BYTES_MAX`] bytes, none of which is 0.
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; DEVICE_NAME_BYTES_MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        (!name.is_empty() && !name.contains(&0)).then_some(Self(bytes))
    }

    /// The name.
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        &self.0[..end]
    }
}

impl std::fmt::Debug for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests;
