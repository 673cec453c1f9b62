//! `/proc/diskstats`: the node's disks.
//!
//! Every transfer should be counted once, at the disk that does it. So partitions are left out (their disk
//! counts them too), and devices that only pass transfers on to others (`STACKED`), and memory that looks
//! like a disk. Disks over the network (`nbd`, `rbd`) count: no other line has their transfers.

use super::DeviceName;
use super::text::{Lines, numbers, words};
use crate::limits::DISKS_MAX;

/// Prefixes of the names of devices that are not disks, or whose transfers another line has: loop devices,
/// RAM disks and compressed memory, device mapper, software RAID, DRBD, bcache, ZFS volumes, optical and
/// floppy drives. Source: Documentation/admin-guide/devices.txt.
const STACKED: [&[u8]; 10] =
    [b"loop", b"ram", b"zram", b"dm-", b"md", b"drbd", b"bcache", b"zd", b"sr", b"fd"];

/// Bytes of a sector in this file, whatever the disk's own sector size.
/// Source: Documentation/ABI/testing/sysfs-block, "stat" ("standard UNIX 512-byte sectors").
const SECTOR_BYTES: u64 = 512;

/// One whole disk, with its counters since it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The name as in `/dev`.
    pub name: DeviceName,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Completed reads and writes, after merging.
    pub operations: u64,
    /// Time with at least one transfer in progress, in milliseconds. The kernel's counter has 32 bits and
    /// wraps around after 49 busy days.
    pub busy_millis: u64,
}

/// Parses `/proc/diskstats`. Disks after the first [`DISKS_MAX`] are left out.
///
/// Source: Documentation/admin-guide/iostats.rst; fields 1, 3, 5, 7 and 10 after the name.
pub fn parse(diskstats: &[u8]) -> Vec<Disk> {
    let mut disks = Vec::new();
    for line in Lines(diskstats) {
        if disks.len() == DISKS_MAX {
            break;
        }
        disks.extend(disk(line, &disks));
    }
    drop_multipath_heads(&mut disks);
    disks
}

/// Parses the line of a whole disk. `before` suffices to detect partitions: the kernel lists a disk first.
fn disk(line: &[u8], before: &[Disk]) -> Option<Disk> {
    let mut words = words(line);
    let name = words.nth(2)?;
    if STACKED.iter().any(|stacked| name.starts_with(stacked)) || is_partition(name, before) {
        return None;
    }
    let [reads, _, sectors_read, _, writes, _, sectors_written, _, _, busy_millis] =
        numbers(&mut words)?;
    Some(Disk {
        name: DeviceName::new(name)?,
        read_bytes: sectors_read.saturating_mul(SECTOR_BYTES),
        written_bytes: sectors_written.saturating_mul(SECTOR_BYTES),
        operations: reads.saturating_add(writes),
        busy_millis,
    })
}

/// Returns true if the name is that of a known disk, followed by a number. Source: block/partitions/core.c
/// (`add_partition`), which puts a `p` between them if the disk's name ends with a digit. So `sda1` is part
/// of `sda`, and `nvme0n1p1` of `nvme0n1`; but `xvda1` is a disk if there is no `xvda`.
fn is_partition(name: &[u8], disks: &[Disk]) -> bool {
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let stem = &name[..name.len() - digits];
    let whole = match stem {
        [whole @ .., b'p'] if whole.last().is_some_and(u8::is_ascii_digit) => whole,
        _ => stem,
    };
    // The search starts at the end, since it is mostly the last disk.
    digits > 0 && disks.iter().rev().any(|disk| disk.name.as_bytes() == whole)
}

/// Drops the line of each NVMe disk that also has lines for its paths. A disk with several paths has a line
/// for itself (`nvme0n1`) and one for each path (`nvme0c0n1`). All kernels count transfers at the paths, but
/// only newer ones also count them at the disk. Source: drivers/nvme/host/multipath.c.
fn drop_multipath_heads(disks: &mut Vec<Disk>) {
    let heads: Vec<_> = disks.iter().filter_map(|disk| head_of_path(&disk.name)).collect();
    if !heads.is_empty() {
        disks.retain(|disk| !heads.contains(&disk.name));
    }
}

/// Returns the disk's name for the name of a path: `nvme0n1` for `nvme0c3n1`.
fn head_of_path(name: &DeviceName) -> Option<DeviceName> {
    let name = name.as_bytes();
    let rest = name.strip_prefix(b"nvme")?;
    let controller = rest.iter().position(|byte| *byte == b'c')?;
    let namespace = rest.iter().position(|byte| *byte == b'n').filter(|at| *at > controller)?;
    DeviceName::new(&[b"nvme", &rest[..controller], &rest[namespace..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes one line for each name; the first has 1 sector read, the second 2, and so on.
    fn table(names: &[&str]) -> String {
        let line = |(n, name)| format!("   8      16 {name} 7 0 {} 0 5 0 0 0 0 3 0\n", n + 1);
        names.iter().enumerate().map(line).collect()
    }

    fn names(disks: &[Disk]) -> Vec<&str> {
        disks.iter().map(|disk| std::str::from_utf8(disk.name.as_bytes()).unwrap()).collect()
    }

    fn kept(lines: &[&str]) -> Vec<String> {
        names(&parse(table(lines).as_bytes())).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_transfer_is_counted_once() {
        assert_eq!(kept(&["sda", "sda1", "sda15", "sdb", "dm-0", "dm-1", "sda16"]), ["sda", "sdb"]);
        assert_eq!(kept(&["nvme0n1", "nvme0n1p1", "nvme0n1p2", "nvme1n1"]), ["nvme0n1", "nvme1n1"]);
        assert_eq!(kept(&["mmcblk0", "mmcblk0p1", "mmcblk0boot0"]), ["mmcblk0", "mmcblk0boot0"]);
        assert_eq!(kept(&["vda", "vda1", "loop0", "ram0", "zram0", "md127", "md127p1"]), ["vda"]);
        assert_eq!(kept(&["nbd0", "nbd0p1", "rbd0", "rbd0p1", "sr0", "fd0"]), ["nbd0", "rbd0"]);
        assert_eq!(kept(&["sdp", "sdp1", "dasda", "dasda1"]), ["sdp", "dasda"]);
    }

    #[test]
    fn a_partition_without_its_disk_is_a_disk() {
        assert_eq!(kept(&["xvda1", "xvda2"]), ["xvda1", "xvda2"]);
    }

    #[test]
    fn of_an_nvme_disk_with_paths_the_paths_count() {
        let lines = ["nvme0c0n1", "nvme0c1n1", "nvme0n1", "nvme0n1p1", "nvme1n1"];
        assert_eq!(kept(&lines), ["nvme0c0n1", "nvme0c1n1", "nvme1n1"]);
    }

    #[test]
    fn counters_have_units() {
        let disks = parse(table(&["sda", "sdb"]).as_bytes());
        assert_eq!((disks[1].read_bytes, disks[1].written_bytes), (1024, 0));
        assert_eq!((disks[1].operations, disks[1].busy_millis), (12, 3));
        let huge = b"8 0 sda 1 0 99999999999999999999 0 18446744073709551615 0 9 0 0 1\n";
        let disks = parse(huge);
        assert_eq!((disks[0].read_bytes, disks[0].operations), (u64::MAX, u64::MAX));
    }

    #[test]
    fn there_are_so_many_disks_at_most() {
        let all: Vec<_> = (0..2 * DISKS_MAX).map(|n| format!("nvme{n}n1")).collect();
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        assert_eq!(kept(&all), all[..DISKS_MAX]);
    }

    #[test]
    fn bad_lines_are_skipped() {
        let long = "x".repeat(33);
        let text = format!(
            "\n8 0\n8 0 sda\n8 0 sdb 1 2 3\n8 0 sdc 1 0 1 0 1 0 1 0 0 -1\n8 0 {long} 1 0 1 0 1 0 1 0 0 1\n{}",
            table(&["sdd"])
        );
        assert_eq!(names(&parse(text.as_bytes())), ["sdd"]);
    }
}
