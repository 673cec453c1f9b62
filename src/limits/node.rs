//! Limits of what is read from the node and kept.

use std::time::Duration;

use crate::limits::agent::PROC_FILE_BYTES_MAX;

/// Maximum number of samples in a window, and so in every ring: five minutes at one a second. There is a ring
/// for each quantity of each container, and an incident line thins its columns far below this anyway.
pub const WINDOW_SAMPLES_MAX: u32 = 300;

/// Number of samples for which a ring allocates memory at once: those of the default window.
pub const RING_STEP: usize = 60;

/// How deep below the root of the cgroup hierarchy the kubelet's own root (`--cgroup-root`) may be. kind
/// without its own cgroup namespace has three levels (`docker/<id>/kubelet`); the kubelet itself nests no
/// deeper.
pub const CGROUP_DEPTH_MAX: usize = 6;

/// Maximum number of pod directories read in one scan: one for each pod, and a few above them. A full node has
/// [`PODS_MAX`](crate::limits::PODS_MAX).
pub const CGROUP_DIRECTORIES_MAX: usize = 2048;

/// Maximum number of directories searched for the root of the pods' cgroups, upper levels first. A node has
/// some hundred directories of system services and user sessions.
pub const CGROUP_SEARCH_DIRECTORIES_MAX: usize = 2048;

/// Maximum number of entries read from one directory in a scan: 500 pods, and up to a hundred files.
pub const CGROUP_ENTRIES_MAX: usize = 4096;

/// Maximum number of pod roots that a scan keeps. A node has one; several kind nodes that see each other have
/// more.
pub const CGROUP_ROOTS_MAX: usize = 16;

/// Maximum number of containers whose directories a scan remembers, including sandboxes. Each takes about 250
/// bytes.
pub const CGROUP_CONTAINERS_MAX: usize = 4096;

/// Maximum size read of a cgroup file. `memory.stat` is the longest, with 1.5 to 4 kB.
pub const CGROUP_FILE_BYTES_MAX: usize = 8 << 10;

/// Maximum number of containers with samples at the same time, including containers that are gone. A full node
/// has a few hundred. Each takes about 2.4 kB when a window of 60 samples is full.
pub const RECORDED_CONTAINERS_MAX: usize = 1024;

/// Fast samples that a container keeps in addition to its regular ones, 8 s at the default interval: they show
/// how steep the last rise was. They have their own ring; otherwise a container that runs near its limit would
/// lose the samples of the minutes before.
pub const FAST_SAMPLES_MAX: usize = 16;

/// The memory limit of a container or a pod is read once in this many readings. It changes when a pod is
/// resized in place.
pub const LIMIT_READ_EVERY: u8 = 6;

/// Maximum number of containers sampled fast at the same time, those nearest to their limits. Sampling 8 of
/// them twice a second costs less than sampling 100 every five seconds.
pub const FAST_CONTAINERS_MAX: usize = 8;

/// A container is sampled fast when its working set reaches this percentage of its limit.
pub const FAST_FROM_PERCENT: u64 = 90;

/// How many fast samples fit into one regular interval.
pub const FAST_SAMPLES_PER_INTERVAL: u32 = 10;

/// The shortest interval between fast samples, whatever [`FAST_SAMPLES_PER_INTERVAL`] gives.
pub const FAST_INTERVAL_MIN: Duration = Duration::from_millis(500);

/// How long the samples of a container that is gone are kept. The API reports a termination within seconds, and on a
/// busy node up to 150 s after it; the incident may then wait for
/// [`SETTLE_STOPPING_MAX`](crate::limits::SETTLE_STOPPING_MAX). [`RECORDED_CONTAINERS_MAX`] bounds the memory.
pub const RECORDS_KEPT: Duration = Duration::from_secs(300);

/// Maximum number of pods that are followed although the API has not shown them: only their OOM counter is read, and
/// for [`RECORDS_KEPT`] at most. The kubelet learns of a pod from the API, so there are seldom any; the pods of another
/// kubelet on the same machine look the same.
pub const UNKNOWN_PODS_MAX: usize = 64;

/// A container that the API has not listed after this many samples, a minute at the default interval, is the pod's
/// sandbox if it is tiny. Until then it is sampled, since the API lists some containers a minute or two late.
pub const SANDBOX_AFTER_SAMPLES: u8 = 12;

/// The most memory of a sandbox: its only process has less than 1 MiB, and its pages of the executable count as well.
pub const SANDBOX_BYTES_MAX: u64 = 4 << 20;

/// The first process of a container is read with this many of its first samples. At the first it may still be a
/// process of the runtime, which makes the container.
pub const FIRST_PROCESS_SAMPLES: u8 = 2;

/// The shortest pause between two scans, however many containers are missing.
pub const CGROUP_SCAN_PAUSE: Duration = Duration::from_secs(3);

/// After this many scans that did not find a container, it is not looked for again: it has terminated, or the
/// runtime names its directory differently.
pub const CGROUP_SCAN_TRIES_MAX: u8 = 5;

/// How many times of OOM counter increases are remembered for each container and pod. A child process that is
/// killed over and over adds one in each sample; above this limit the oldest is dropped.
pub const OOM_RISES_MAX: usize = 8;

/// How long before a container's end an OOM counter may have risen to be related to it. A container whose process
/// was killed terminates within its grace period, 30 s by default.
pub const OOM_RISES_RECENT: Duration = Duration::from_secs(60);

/// The API cuts the times of a container's start and end to whole seconds.
pub const API_TIME_STEP: Duration = Duration::from_secs(1);

/// Maximum size read of a procfs file with known, short content: `loadavg`, `meminfo` and `pressure/*` have at
/// most 2 kB. `stat` grows with CPUs and interrupts, but only its first line is used.
pub const PROC_SHORT_BYTES_MAX: usize = 4 << 10;

/// Maximum size read of a procfs table, `diskstats` or `net/dev`. Each disk, partition and interface, including
/// the pods' interfaces, takes some 130 bytes; there is room for about two thousand.
pub const PROC_TABLE_BYTES_MAX: usize = PROC_FILE_BYTES_MAX as usize;

/// Maximum number of whole disks of a node. Storage servers have about a hundred; so do nodes with many volumes
/// from a storage network.
pub const DISKS_MAX: usize = 128;

/// Maximum number of a node's external interfaces, without those of its pods. Large servers have a dozen.
pub const INTERFACES_MAX: usize = 64;

/// The longest name of a disk or an interface: `DISK_NAME_LEN` of include/linux/blkdev.h. Interface names have
/// half of that (`IFNAMSIZ`).
pub const DEVICE_NAME_BYTES_MAX: usize = 32;
