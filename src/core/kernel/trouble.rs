//! Trouble of the node: the kernel itself, disks, file systems, network, memory, power and heat.

use super::parts;
use crate::limits::KERNEL_NAME_BYTES_MAX;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// The kernel gives up. The subject is the reason.
    Panic,
    /// The kernel did what it must not, and goes on without the process.
    Oops,
    /// A CPU or all of them stand still.
    Lockup,
    /// A process has waited for minutes, mostly for a disk. The subject is its name and number.
    HungTask,
    /// The hardware reports an error of its own.
    MachineCheck,
    /// A disk could not read or write.
    IoError,
    /// A disk does not answer.
    DiskTimeout,
    /// A file system is damaged.
    FileSystem,
    /// A file system is now read-only.
    ReadOnly,
    /// A network interface does not send.
    NetworkTimeout,
    /// The supply of power is too weak.
    Undervoltage,
    /// The CPU is slowed down because it is too hot.
    Throttled,
}

impl TroubleKind {
    /// Returns the name, as in an incident line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Oops => "oops",
            Self::Lockup => "lockup",
            Self::HungTask => "hung_task",
            Self::MachineCheck => "machine_check",
            Self::IoError => "io_error",
            Self::DiskTimeout => "disk_timeout",
            Self::FileSystem => "file_system",
            Self::ReadOnly => "read_only",
            Self::NetworkTimeout => "network_timeout",
            Self::Undervoltage => "undervoltage",
            Self::Throttled => "throttled",
        }
    }
}

/// A line about trouble of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble<'a> {
    /// What is wrong.
    pub kind: TroubleKind,
    /// With what: a device, an interface, a process, a CPU. Of a panic, the beginning of the reason.
    pub subject: Option<&'a str>,
}

/// The kind of a line, and its form as in [`parts`], of which the first part is the subject. A form without one has no subject.
type Form = (TroubleKind, &'static str);

use TroubleKind::{
    DiskTimeout, FileSystem, HungTask, IoError, Lockup, MachineCheck, NetworkTimeout, Oops, Panic,
    ReadOnly, Throttled, Undervoltage,
};

/// The forms; the first one that a line has decides. Those with names that a user chooses are before those that such a
/// name could look like.
const FORMS: [Form; 35] = [
    // kernel/panic.c
    (Panic, "Kernel panic - not syncing: *"),
    // fs/ext4/super.c, fs/btrfs/messages.c, fs/jbd2/journal.c, fs/xfs/xfs_fsops.c
    (ReadOnly, "~EXT4-fs (*)~Remounting filesystem read-only"),
    (ReadOnly, "~BTRFS info (device *)~forced readonly"),
    (ReadOnly, "~Remounting filesystem read-only"),
    (FileSystem, "~EXT4-fs error (device *)"),
    (FileSystem, "~BTRFS error (device *)"),
    (FileSystem, "~BTRFS critical (device *)"),
    (FileSystem, "~BTRFS: error (device *)"),
    (FileSystem, "~Aborting journal on device *."),
    (FileSystem, "~XFS (*)~hutting down filesystem"),
    (FileSystem, "~XFS (*)~has been shut down"),
    (FileSystem, "~XFS (*)~orruption"),
    // fs/buffer.c, block/blk-core.c (`blk_status_to_str`), drivers/nvme/host/pci.c
    (IoError, "~Buffer I/O error on dev *,"),
    (IoError, "~Buffer I/O error on device *,"),
    (IoError, "~ error, dev *,~sector"),
    (DiskTimeout, "~nvme *:~controller is down"),
    (DiskTimeout, "~nvme *:~timeout, "),
    // kernel/hung_task.c
    (HungTask, "~INFO: task * blocked for more than "),
    // kernel/watchdog.c, kernel/watchdog_perf.c, kernel/rcu/tree_stall.h
    (Lockup, "~soft lockup - * stuck for "),
    (Lockup, "~hard LOCKUP on *"),
    (Lockup, "~INFO: rcu_~detected stall"),
    // arch/x86/mm/fault.c, arch/arm64/mm/fault.c, lib/bug.c, arch/*/kernel/traps.c
    (Oops, "~BUG: kernel NULL pointer dereference"),
    (Oops, "~BUG: unable to handle "),
    (Oops, "~Unable to handle kernel "),
    (Oops, "~kernel BUG at *!"),
    (Oops, "~general protection fault, probably for"),
    (Oops, "~Oops: "),
    // net/sched/sch_generic.c, in its newer and its older form
    (NetworkTimeout, "%: NETDEV WATCHDOG: CPU: "),
    (NetworkTimeout, "~NETDEV WATCHDOG: * (~timed out"),
    // drivers/hwmon/raspberrypi-hwmon.c
    (Undervoltage, "~ndervoltage detected"),
    (Undervoltage, "~nder-voltage detected"),
    // drivers/thermal/intel/therm_throt.c
    (Throttled, "~above threshold, cpu clock~throttled"),
    // arch/x86/kernel/cpu/mce/core.c, drivers/edac/edac_mc.c, drivers/firmware/efi/cper.c
    (MachineCheck, "~EDAC *:~ UE "),
    (MachineCheck, "~[Hardware Error]: event severity: *"),
    (MachineCheck, "~mce: [Hardware Error]"),
];

/// Parses a line about trouble of the node.
pub(super) fn parse(text: &str) -> Option<Trouble<'_>> {
    let (kind, [subject, ..]) =
        FORMS.iter().find_map(|(kind, form)| Some((*kind, parts(text, form)?)))?;
    // A file system is named with its state behind it, and an interface with its driver and its device before it.
    let subject = match kind {
        FileSystem => subject.split(' ').next(),
        NetworkTimeout => subject.rsplit(' ').next(),
        _ => Some(subject),
    };
    Some(Trouble { kind, subject: subject.filter(|text| !text.is_empty()).map(bounded) })
}

/// Cuts a name that is longer than those of the kernel; of the reason of a panic, the beginning is enough.
fn bounded(name: &str) -> &str {
    name.get(..name.floor_char_boundary(KERNEL_NAME_BYTES_MAX)).unwrap_or(name)
}
