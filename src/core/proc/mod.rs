//! The node's load, from the files of its procfs: the values at one moment, and what happened between two
//! moments.
//!
//! The files are the kernel's interface, but are not trusted more than any other text: a line that does
//! not match the kernel's documentation is skipped, numbers saturate at the largest value, and no input
//! causes a panic. A missing file is an absent quantity, never an error.
//!
//! The free space of the file systems is left out: procfs does not have it, and neither the standard
//! library nor a crate that the agent already uses offers `statvfs(3)`.

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

/// Values of the files at one moment. Counters start at boot, or when the device was added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemReading {
    /// `/proc/stat`: CPU time.
    pub cpu: Option<CpuTicks>,
    /// `/proc/loadavg`: average number of running or waiting processes over the last minute.
    pub load_1m: Option<f64>,
    /// `/proc/meminfo`: memory and swap space.
    pub memory: Memory,
    /// `/proc/pressure/cpu`: time spent waiting for a CPU.
    pub pressure_cpu: Pressure,
    /// `/proc/pressure/memory`: time spent waiting for memory.
    pub pressure_memory: Pressure,
    /// `/proc/pressure/io`: time spent waiting for I/O.
    pub pressure_io: Pressure,
    /// `/proc/diskstats`: the whole disks, in the kernel's order.
    pub disks: Vec<Disk>,
    /// `/proc/net/dev`: the network interfaces that connect the node with other hosts, in the kernel's order.
    pub interfaces: Vec<Interface>,
}

/// The name of a disk or an interface, stored without an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeviceName([u8; DEVICE_NAME_BYTES_MAX]);

impl DeviceName {
    /// Creates a name from 1 to [`DEVICE_NAME_BYTES_MAX`] bytes, none of which is 0.
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; DEVICE_NAME_BYTES_MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        (!name.is_empty() && !name.contains(&0)).then_some(Self(bytes))
    }

    /// Returns the bytes of the name.
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
