//! Data that the agent reads on the node itself: cgroups, procfs, sysfs, logs.

pub mod cgroup;
pub mod counters;
pub mod flight;
pub mod kernel_log;
pub mod logs;
pub mod procfs;
pub mod sampler;
