//! What the containers of this node used, from their control groups: samples of the minutes before a
//! crash, and the kernel's own count of OOM kills.
//!
//! [`CgroupTree`] finds directories and reads files, [`ContainerRecorder`] decides when, and keeps the
//! rings. What names and files mean is in [`crate::core::cgroup`].

mod reading;
mod record;
mod recorder;
mod tree;

pub use reading::PodReading;
pub use recorder::{ContainerHistory, ContainerRecorder, OomKill, WantedPod};
pub use tree::{CgroupTree, CgroupVersion, ScanReport};

#[cfg(test)]
mod tests;
