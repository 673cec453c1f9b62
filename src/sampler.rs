//! Samples, taken regularly, of what an incident is to tell about the minutes before.

pub mod cgroup;
