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

/// Maximum number of OOM kills, of faults, and of kinds of trouble that are remembered from the kernel's log: 40 KiB with the
/// longest names.
pub const KERNEL_LINES_KEPT_MAX: usize = 64;

/// How long they are remembered. A busy node showed the end of a container 150 s late.
pub const KERNEL_LINES_KEPT: Duration = Duration::from_secs(1800);

/// Maximum number of kinds of trouble that one incident shows, the newest ones.
pub const KERNEL_TROUBLES_SHOWN_MAX: usize = 8;

/// OOM kills of one container belong together if they are at most this far apart: the kernel kills all processes of a
/// control group one after another.
pub const OOM_GROUP_WITHIN: Duration = Duration::from_secs(2);

/// How far the time of a fault may lie from the end of the process. The API cuts times to seconds, and a core file has to
/// be written before the process is gone.
pub const FAULT_WITHIN: Duration = Duration::from_secs(2);

/// How often the agent reads the kernel's log where no incident asks for it. Followed are a few bytes of one file.
pub const KERNEL_LOG_INTERVAL: Duration = Duration::from_secs(5);

/// How long an incident waits for the newest lines. A round takes a few milliseconds, unless the disk fails.
pub const KERNEL_LOG_ASKED_MAX: Duration = Duration::from_millis(300);

/// How many rounds, each of [`super::JOURNAL_ENTRIES_PER_ROUND_MAX`] lines, are read before what they have is used.
pub const KERNEL_LOG_ROUNDS_MAX: u32 = 16;

/// How much of a plain log is read at once.
pub const PLAIN_LOG_BLOCK_BYTES: usize = 64 << 10;

/// The longest line of a plain log. rsyslog writes 8 KiB at most; the kernel's lines have one.
pub const PLAIN_LOG_LINE_BYTES_MAX: usize = 8 << 10;

/// Maximum number of records of pstore that are looked at. A record has a part of the log, and EFI keeps many small ones.
pub const PSTORE_FILES_MAX: usize = 64;

/// How much of one of them is read. systemd-pstore puts the parts of one panic together.
pub const PSTORE_FILE_BYTES_MAX: usize = 256 << 10;

/// How long after the boot systemd-pstore may move what the firmware kept.
pub const PSTORE_MOVED_WITHIN: Duration = Duration::from_secs(600);

/// How long before the boot a panic may have been, if nothing shows when the node was last alive. Most nodes start again
/// within seconds of one.
pub const PANIC_BEFORE_BOOT_MAX: Duration = Duration::from_secs(600);

/// The longest reason of a panic that an incident shows.
pub const PANIC_REASON_BYTES_MAX: usize = 256;

/// Maximum number of folders in `BLACKBOX_KERNEL_LOG`. A node has two, `/var/log` and `/run/log`.
pub const KERNEL_LOG_FOLDERS_MAX: usize = 8;
