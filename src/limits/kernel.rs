//! Limits of what is read of the kernel's lines.

use std::time::Duration;

/// The longest name that is kept of what the kernel names: processes have 15 bytes, kernel threads up to 63, devices
/// and network interfaces at most 31.
pub const KERNEL_NAME_BYTES_MAX: usize = 64;

/// The longest path of a control group that is kept. The kubelet's own have about 250 bytes with the systemd driver.
pub const KERNEL_CGROUP_BYTES_MAX: usize = 1024;

/// The lines of one OOM kill belong together if they are at most this far apart. The kernel writes them at once, but
/// a slow serial console stretches the hundred lines between them to seconds.
pub const OOM_LINES_WITHIN: Duration = Duration::from_secs(10);

/// How long an OOM kill waits for the line that says that the whole control group is killed. The kernel writes it right
/// behind.
pub const OOM_GROUP_LINE_WITHIN: Duration = Duration::from_secs(1);

/// Maximum number of rises of the kernel's counters that are remembered. A sample has at most eleven kinds, and rises are
/// rare.
pub const KERNEL_RISES_MAX: usize = 64;

/// Maximum number of files with counters. A node has a few disks and file systems; storage servers have dozens.
pub const KERNEL_COUNTER_FILES_MAX: usize = 128;

/// Maximum number of entries of one folder of sysfs that are looked at for such files. Each container with an image of its
/// own may add block devices.
pub const KERNEL_COUNTER_ENTRIES_MAX: usize = 1024;

/// The counters that an incident shows are at most this old. They take some thirty small reads.
pub const KERNEL_COUNTERS_FRESH: Duration = Duration::from_secs(1);

/// How often the agent looks for counters of new devices.
pub const KERNEL_COUNTERS_SEARCHED_EVERY: Duration = Duration::from_secs(600);
