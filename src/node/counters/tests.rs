use super::*;

/// A node's folders in a folder of its own.
struct Node {
    root: PathBuf,
}

impl Node {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("counters-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        Self { root }
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn counters(&self) -> KernelCounters {
        KernelCounters::new(&self.root.join("proc"), &self.root.join("sys"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn told(rises: Rises) -> Vec<(&'static str, u64)> {
    rises.iter().map(|(counter, by)| (counter.name(), by)).collect()
}

#[test]
fn every_counter_that_rises_is_told_once() {
    let node = Node::new("all");
    let files = [
        (
            "proc/vmstat",
            "nr_free_pages 9\noom_kill 4\n",
            "nr_free_pages 9\noom_kill 6\n",
            "oom_kills",
            2,
        ),
        ("proc/sys/kernel/hung_task_detect_count", "0\n", "1\n", "hung_tasks", 1),
        ("sys/kernel/oops_count", "0\n", "1\n", "oopses", 1),
        ("sys/kernel/warn_count", "7\n", "9\n", "warnings", 2),
        ("sys/fs/ext4/sda1/errors_count", "0\n", "3\n", "file_system_errors", 3),
        ("sys/block/sda/device/ioerr_cnt", "0x2\n", "0x11\n", "disk_errors", 15),
        ("sys/devices/system/edac/mc/mc0/ce_count", "1\n", "2\n", "corrected_memory_errors", 1),
        ("sys/devices/system/edac/mc/mc0/ue_count", "0\n", "1\n", "uncorrected_memory_errors", 1),
        ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n", "1\n", "undervoltages", 1),
    ];
    for (file, before, ..) in files {
        node.write(file, before);
    }
    node.write("sys/class/hwmon/hwmon1/name", "rpi_volt\n");
    node.write("proc/sys/kernel/tainted", "4096\n");
    let mut counters = node.counters();
    // What happened before the agent started is no news.
    assert!(counters.sample(SECOND).is_empty());
    assert!(counters.sample(2 * SECOND).is_empty());
    for (file, _, after, ..) in files {
        node.write(file, after);
    }
    assert_eq!(counters.names().len(), Counter::ALL.len());
    // Bits 4 and 14.
    node.write("proc/sys/kernel/tainted", "20496\n");
    let mut want: Vec<_> = files.iter().map(|(.., name, by)| (*name, *by)).collect();
    want.extend([("lockups", 1), ("machine_checks", 1)]);
    want.sort_unstable();
    let mut rises = told(counters.sample(3 * SECOND));
    rises.sort_unstable();
    assert_eq!(rises, want);
    assert!(counters.sample(4 * SECOND).is_empty());
    assert_eq!(counters.since(3 * SECOND, 4 * SECOND).iter().count(), want.len());
    assert!(counters.since(4 * SECOND, 4 * SECOND).is_empty());
}

#[test]
fn a_crash_that_is_told_before_the_next_sample_has_what_rose_since_the_last_one() {
    let node = Node::new("fresh");
    node.write("proc/vmstat", "oom_kill 4\n");
    let mut counters = node.counters();
    // Nothing is read before the first sample: the sampler may not have begun.
    assert!(counters.since(Duration::ZERO, SECOND).is_empty());
    counters.sample(SECOND);
    node.write("proc/vmstat", "oom_kill 5\n");
    assert!(counters.since(Duration::ZERO, SECOND + KERNEL_COUNTERS_FRESH / 2).is_empty());
    let now = SECOND + KERNEL_COUNTERS_FRESH;
    assert_eq!(told(counters.since(Duration::ZERO, now)), [("oom_kills", 1)]);
    // The metrics get it with the next sample, once.
    assert_eq!(told(counters.sample(now + SECOND)), [("oom_kills", 1)]);
    assert!(counters.sample(now + 2 * SECOND).is_empty());
}

#[test]
fn devices_come_and_go_and_their_old_errors_are_no_rise() {
    let node = Node::new("devices");
    node.write("sys/block/sda/device/ioerr_cnt", "0x1\n");
    let mut counters = node.counters();
    assert!(counters.sample(SECOND).is_empty());
    node.write("sys/block/sdb/device/ioerr_cnt", "0x9\n");
    let later = SECOND + KERNEL_COUNTERS_SEARCHED_EVERY;
    assert!(counters.sample(later).is_empty());
    node.write("sys/block/sdb/device/ioerr_cnt", "0xa\n");
    assert_eq!(told(counters.sample(later + SECOND)), [("disk_errors", 1)]);
    fs::remove_dir_all(node.root.join("sys/block/sdb")).unwrap();
    assert!(counters.sample(later + 2 * SECOND).is_empty());
    assert!(counters.sample(2 * later).is_empty());
    // A sensor of another kind has the same file.
    node.write("sys/class/hwmon/hwmon0/name", "coretemp\n");
    node.write("sys/class/hwmon/hwmon0/in0_lcrit_alarm", "0\n");
    assert!(counters.sample(3 * later).is_empty());
    node.write("sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1\n");
    assert!(counters.sample(3 * later + SECOND).is_empty());
}

#[test]
fn a_counter_that_falls_or_holds_anything_is_no_rise() {
    let node = Node::new("hostile");
    node.write("sys/kernel/oops_count", "5\n");
    let mut counters = node.counters();
    let mut now = SECOND;
    counters.sample(now);
    for (text, want) in [
        ("4\n", 0),
        ("x\n", 0),
        ("", 0),
        ("-9\n", 0),
        ("18446744073709551616\n", 0),
        ("6\n", 2),
        ("18446744073709551615\n", u64::MAX - 6),
    ] {
        node.write("sys/kernel/oops_count", text);
        now += SECOND;
        let rises = counters.sample(now);
        assert_eq!(rises.iter().map(|(_, by)| by).sum::<u64>(), want, "{text:?}");
    }
    // A folder of the name, and files without end.
    fs::remove_file(node.root.join("sys/kernel/oops_count")).unwrap();
    fs::create_dir(node.root.join("sys/kernel/oops_count")).unwrap();
    assert!(counters.sample(now + SECOND).is_empty());
    let nowhere = KernelCounters::new(Path::new("/nowhere"), Path::new("/nowhere")).sample(now);
    assert!(nowhere.is_empty());
    assert_eq!(node.counters().names(), [""; 0]);
}

#[test]
fn the_number_of_files_is_bounded() {
    let node = Node::new("many");
    for n in 0..KERNEL_COUNTER_FILES_MAX + 20 {
        node.write(&format!("sys/block/sd{n}/device/ioerr_cnt"), "0x0\n");
    }
    let mut counters = node.counters();
    counters.sample(SECOND);
    assert_eq!(counters.files.len(), KERNEL_COUNTER_FILES_MAX);
}
