//! Resource usage of this node's containers, read from their cgroups: samples of the minutes before a
//! crash, and the kernel's own count of OOM kills.
//!
//! [`CgroupTree`] finds directories and reads files; [`ContainerRecorder`] decides when to read, and keeps
//! the rings of samples. [`crate::core::cgroup`] interprets names and file contents.

mod hierarchy;
mod reading;
mod record;
mod recorder;
mod tree;

pub use hierarchy::CgroupVersion;
pub use reading::PodReading;
pub use record::{OomKill, OomSpan};
pub use recorder::{ContainerHistory, ContainerRecorder, Foremost, OomKills, WantedPod};
pub use tree::{CgroupTree, ScanReport};

#[cfg(test)]
pub(in crate::node) mod tests;
