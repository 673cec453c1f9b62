//! What the containers of this node used, from their control groups: samples of the minutes before a
//! crash, and the kernel's own count of OOM kills.
//!
//! [`CgroupTree`] finds directories and reads files, [`ContainerRecorder`] decides when, and keeps the
//! rings. What names and files mean is in [`crate::core::cgroup`].

mod hierarchy;
mod reading;
mod record;
mod recorder;
mod tree;

pub use hierarchy::CgroupVersion;
pub use reading::PodReading;
pub use record::OomKill;
pub use recorder::{ContainerHistory, ContainerRecorder, WantedPod};
pub use tree::{CgroupTree, ScanReport};

#[cfg(test)]
mod tests;
