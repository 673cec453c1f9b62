//! What is read and kept of the node.

use std::time::Duration;

use crate::limits::agent::PROC_FILE_BYTES_MAX;

/// Most samples in a window, so in every ring: five minutes of seconds. A ring exists for each
/// quantity of each container, and an incident line thins its columns far below this anyway.
pub const WINDOW_SAMPLES_MAX: u32 = 300;

/// Samples that a ring takes memory for at once: those of the default window.
pub const RING_STEP: usize = 60;

/// How far below the hierarchy's root the kubelet's own root (`--cgroup-root`) may lie. kind without a
/// cgroup namespace of its own has three levels (`docker/<id>/kubelet`), the kubelet nests no deeper by
/// itself.
pub const CGROUP_DEPTH_MAX: usize = 6;

/// Directories that one scan reads of the pods: one for each, and a few above. A full node has
/// [`PODS_MAX`].
pub const CGROUP_DIRECTORIES_MAX: usize = 2048;

/// Directories in which the pods' own root is looked for, the upper ones first. A node has some hundred
/// of the system's and of its users.
pub const CGROUP_SEARCH_DIRECTORIES_MAX: usize = 2048;

/// Entries of one directory that a scan looks at: 500 pods, and up to a hundred files.
pub const CGROUP_ENTRIES_MAX: usize = 4096;

/// Roots of pods that a scan keeps. A node has one; several kind nodes that see each other have more.
pub const CGROUP_ROOTS_MAX: usize = 16;

/// Containers whose directories a scan remembers, sandboxes included: about 250 bytes each.
pub const CGROUP_CONTAINERS_MAX: usize = 4096;

/// What is read of a file of a control group. `memory.stat` is the longest, with 1.5 to 4 kB.
pub const CGROUP_FILE_BYTES_MAX: usize = 8 << 10;

/// Containers that have samples at the same time, those that are gone included. A full node has a few
/// hundred; each takes about 2.4 kB with a window of 60 samples, when it is full.
pub const RECORDED_CONTAINERS_MAX: usize = 1024;

/// Samples of the fast phase that a container keeps besides its regular ones, 8 s at the default
/// interval: how steep the last rise was. They have a ring of their own, or a container that lives near
/// its limit would lose the minutes before.
pub const FAST_SAMPLES_MAX: usize = 16;

/// The limit of a container or a pod is read each so many readings: it changes when a pod is resized in place.
pub const LIMIT_READ_EVERY: u8 = 6;

/// Containers that are sampled fast at the same time, those nearest to their limits: 8 of them twice a
/// second cost less than 100 each five seconds.
pub const FAST_CONTAINERS_MAX: usize = 8;

/// A container whose working set takes so much of its limit is sampled fast.
pub const FAST_FROM_PERCENT: u64 = 90;

/// How many fast samples fit into the interval of regular ones.
pub const FAST_SAMPLES_PER_INTERVAL: u32 = 10;

/// But no more often than this.
pub const FAST_INTERVAL_MIN: Duration = Duration::from_millis(500);

/// How long the samples of a container that is gone are kept: the API tells of an end within seconds,
/// after a partition within a minute or two, and the incident may wait for [`SETTLE_STOPPING_MAX`].
pub const RECORDS_KEPT: Duration = Duration::from_secs(120);

/// The pause between two scans, however many containers are looked for.
pub const CGROUP_SCAN_PAUSE: Duration = Duration::from_secs(3);

/// So many scans without a container, and it is not looked for any more: it has ended, or the runtime
/// calls its directory something else.
pub const CGROUP_SCAN_TRIES_MAX: u8 = 5;

/// Times at which an OOM counter rose that are remembered, of each container and pod. A child that is
/// killed over and over brings one a sample; past this the oldest is forgotten.
pub const OOM_RISES_MAX: usize = 8;

/// How long before an incident an OOM counter may have risen to have to do with it: a killed process's
/// container ends within its grace, 30 s by default, and the API may tell of it some seconds later.
pub const OOM_RISES_RECENT: Duration = Duration::from_secs(60);

/// A file of the node's procfs with a known, short content: `loadavg`, `meminfo` and `pressure/*` have
/// 2 kB at most; of `stat`, which grows with CPUs and interrupts, the first line is all that is used.
pub const PROC_SHORT_BYTES_MAX: usize = 4 << 10;

/// A table of the node's procfs, `diskstats` and `net/dev`: some 130 bytes for each disk, partition
/// and interface, the pods' interfaces too. Room for about two thousand.
pub const PROC_TABLE_BYTES_MAX: usize = PROC_FILE_BYTES_MAX as usize;

/// Whole disks of a node. Storage servers have about a hundred; so do nodes with many volumes from a
/// storage network.
pub const DISKS_MAX: usize = 128;

/// Interfaces of a node that lead outside, without those of its pods. Large servers have a dozen.
pub const INTERFACES_MAX: usize = 64;

/// The name of a disk or an interface: `DISK_NAME_LEN` of include/linux/blkdev.h; interfaces have half
/// of that (`IFNAMSIZ`).
pub const DEVICE_NAME_BYTES_MAX: usize = 32;
