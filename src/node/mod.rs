//! What the node knows: control groups, procfs, logs.

pub mod cgroup;
pub mod flight;
pub mod logs;
pub mod procfs;
pub mod sampler;
