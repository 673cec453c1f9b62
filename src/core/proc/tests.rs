use std::time::Duration;

use super::node::parse_load;
use super::*;
use crate::core::backoff::Jitter;
use crate::core::ring::Ring;
use crate::limits::{PROC_SHORT_BYTES_MAX, WINDOW_SAMPLES_MAX};

// Copied from a virtual machine with Linux 6.18; the long tables were shortened.

const STAT: &str = "\
cpu  1119372 389507 216865 5863762 38722 0 7622 2808 0 0
cpu0 480229 171817 100834 3050546 10714 0 2840 1451 0 0
cpu1 639142 217689 116030 2813216 28008 0 4782 1356 0 0
intr 20046005 0 0 0 0 0 0 0 7668 3143 0 636 1 1393663
ctxt 38391972
btime 1795373626
processes 28632
procs_running 1
procs_blocked 0
softirq 9123456 0 1 2 3 4 5 6 7 8 9
";

const LOADAVG: &str = "1.52 1.21 1.86 4/116 28632\n";

const MEMINFO: &str = "\
MemTotal:       24684084 kB
MemFree:        21739672 kB
MemAvailable:   23675684 kB
Buffers:            6092 kB
Cached:          1809436 kB
SwapCached:            0 kB
Active:           606108 kB
Active(anon):       6096 kB
SwapTotal:       2097148 kB
SwapFree:        2097000 kB
Dirty:            188512 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
";

const PRESSURE: &str = "\
some avg10=0.89 avg60=0.91 avg300=0.94 total=364929667
full avg10=0.69 avg60=0.83 avg300=0.68 total=255835389
";

/// The file before Linux 5.13, which had no second line for the CPU.
const PRESSURE_CPU: &str = "some avg10=20.15 avg60=9.14 avg300=8.29 total=2403732769\n";

const DISKSTATS: &str = "\
   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
   7       1 loop1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 254       0 vda 1503786 139088 227746106 6027941 742040 346689 218620096 897851 0 617588 7048445 295604 61 128677384 101835 154468 20816
 254       1 vda1 1503700 139088 227746000 6027940 742040 346689 218620096 897851 0 617580 7048445 295604 61 128677384 101835 0 0
 254      16 vdb 100 0 800 20 200 0 1600 40 0 60 60
 253       0 zram0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
";

const NET_DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 74058327422 6961111    0    0    0     0          0         0 74058327422 6961111    0    0    0     0       0          0
  ifb0:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0: 255756009   11423    1    2    0     0          0         0   723940    7383    3    4    0     0       0          0
  eth1: 1000   10    0    0    0     0          0         0   2000    20    0    0    0     0       0          0
";

struct Files<'a> {
    stat: &'a [u8],
    loadavg: &'a [u8],
    meminfo: &'a [u8],
    pressure_cpu: &'a [u8],
    pressure: &'a [u8],
    diskstats: &'a [u8],
    net_dev: &'a [u8],
}

fn read(files: &Files<'_>) -> SystemReading {
    SystemReading {
        cpu: CpuTicks::parse(files.stat),
        load_1m: parse_load(files.loadavg),
        memory: Memory::parse(files.meminfo),
        pressure_cpu: Pressure::parse(files.pressure_cpu),
        pressure_memory: Pressure::parse(files.pressure),
        pressure_io: Pressure::parse(files.pressure),
        disks: disks::parse(files.diskstats),
        interfaces: interfaces::parse(files.net_dev),
    }
}

/// Reads all files, each changed by the function.
fn reading(mut change: impl FnMut(&str) -> Vec<u8>) -> SystemReading {
    read(&Files {
        stat: &change(STAT),
        loadavg: &change(LOADAVG),
        meminfo: &change(MEMINFO),
        pressure_cpu: &change(PRESSURE_CPU),
        pressure: &change(PRESSURE),
        diskstats: &change(DISKSTATS),
        net_dev: &change(NET_DEV),
    })
}

fn whole() -> SystemReading {
    reading(|text| text.as_bytes().to_vec())
}

/// Returns the figures of a sample, to look up by the names of their columns.
fn figures(previous: &SystemReading, now: &SystemReading, seconds: f64) -> Figures {
    let mut ring = Ring::new(1);
    ring.push(SystemSample::between(previous, now, Duration::from_secs_f64(seconds)));
    let columns = columns(&ring, seconds, jiff::Timestamp::UNIX_EPOCH);
    Figures(columns.columns.into_iter().map(|(name, values)| (name, values[0])).collect())
}

struct Figures(Vec<(&'static str, Option<f64>)>);

impl Figures {
    /// Returns the figure rounded to the one decimal that is shown.
    fn get(&self, name: &str) -> Option<f64> {
        let (_, value) = self.0.iter().find(|(column, _)| *column == name).unwrap();
        value.map(|value| (value * 10.0).round() / 10.0)
    }
}

#[test]
fn the_kernels_files_are_read() {
    let reading = whole();
    let cpu =
        CpuTicks { user: 1_508_879, system: 224_487, idle: 5_863_762, iowait: 38_722, steal: 2808 };
    assert_eq!(reading.cpu, Some(cpu));
    assert_eq!(reading.load_1m, Some(1.52));
    let memory = Memory {
        total_bytes: Some(24_684_084 << 10),
        free_bytes: Some(21_739_672 << 10),
        available_bytes: Some(23_675_684 << 10),
        cached_bytes: Some(1_809_436 << 10),
        swap_total_bytes: Some(2_097_148 << 10),
        swap_free_bytes: Some(2_097_000 << 10),
    };
    assert_eq!(reading.memory, memory);
    assert_eq!(
        reading.pressure_cpu,
        Pressure { some_micros: Some(2_403_732_769), full_micros: None }
    );
    let pressure = Pressure { some_micros: Some(364_929_667), full_micros: Some(255_835_389) };
    assert_eq!((reading.pressure_memory, reading.pressure_io), (pressure, pressure));
    let vda = Disk {
        name: DeviceName::new(b"vda").unwrap(),
        read_bytes: 227_746_106 * 512,
        written_bytes: 218_620_096 * 512,
        operations: 1_503_786 + 742_040,
        busy_millis: 617_588,
    };
    assert_eq!(reading.disks.len(), 2);
    assert_eq!(reading.disks[0], vda);
    let eth0 = Interface {
        name: DeviceName::new(b"eth0").unwrap(),
        received_bytes: 255_756_009,
        sent_bytes: 723_940,
        errors: 4,
        drops: 6,
    };
    assert_eq!(reading.interfaces.len(), 2);
    assert_eq!(reading.interfaces[0], eth0);
}

#[test]
fn a_stat_of_64_cpus_is_read_from_its_first_line() {
    let mut stat = "cpu  64 64 64 640 64 0 0 0 0 0\n".to_owned();
    for cpu in 0..64 {
        stat += &format!("cpu{cpu} 480229 171817 100834 3050546 10714 0 2840 1451 0 0\n");
    }
    stat += &format!("intr 9{}\n", " 0".repeat(20_000));
    let cpu = CpuTicks::parse(&stat.as_bytes()[..PROC_SHORT_BYTES_MAX]);
    assert_eq!(cpu, Some(CpuTicks { user: 128, system: 64, idle: 640, iowait: 64, steal: 0 }));
    assert_eq!(cpu, CpuTicks::parse(stat.as_bytes()));
    assert_eq!(CpuTicks::parse(b"cpu0 1 2 3 4 5 6 7 8 9 10\n"), None);
    assert_eq!(CpuTicks::parse(b"cpu  1 2 3 4 5 6 7\n"), None);
}

#[test]
fn a_load_is_a_number_with_two_decimals() {
    for (text, want) in [
        ("0.00 0.01 0.05 1/2 3\n", Some(0.0)),
        ("1234.56 0.01 0.05 1/2 3\n", Some(1234.56)),
        ("1,52 1\n", None),
        ("1.5 1\n", None),
        (".52 1\n", None),
        ("-1.52 1\n", None),
        ("nan 1\n", None),
        ("1.52", None),
        ("\n", None),
    ] {
        assert_eq!(parse_load(text.as_bytes()), want, "{text:?}");
    }
}

#[test]
fn a_sample_is_what_happened_between_two_readings() {
    let before = whole();
    let mut now = before.clone();
    let cpu = now.cpu.as_mut().unwrap();
    (cpu.user, cpu.system, cpu.idle) = (cpu.user + 250, cpu.system + 100, cpu.idle + 550);
    (cpu.iowait, cpu.steal) = (cpu.iowait + 75, cpu.steal + 25);
    now.pressure_cpu.some_micros = Some(2_403_732_769 + 500_000);
    now.pressure_memory.some_micros = Some(364_929_667 + 6_000_000);
    now.pressure_io.full_micros = Some(255_835_389 + 5000);
    now.disks[0].read_bytes += 1 << 20;
    now.disks[1].read_bytes += 1 << 20;
    now.disks[0].written_bytes += 5;
    now.disks[1].operations += 7;
    now.disks[0].busy_millis += 100;
    now.disks[1].busy_millis += 4000;
    now.interfaces[0].received_bytes += 1000;
    now.interfaces[1].received_bytes += 500;
    now.interfaces[1].sent_bytes += 50;
    now.interfaces[0].errors += 1;
    now.interfaces[0].drops += 10;
    let figures = figures(&before, &now, 5.0);
    for (name, want) in [
        ("cpu_user_percent", 25.0),
        ("cpu_system_percent", 10.0),
        ("cpu_iowait_percent", 7.5),
        ("cpu_steal_percent", 2.5),
        ("load_1m", 1.5),
        ("memory_available_bytes", 23_675_684.0 * 1024.0),
        ("memory_free_bytes", 21_739_672.0 * 1024.0),
        ("memory_cached_bytes", 1_809_436.0 * 1024.0),
        ("swap_used_bytes", 148.0 * 1024.0),
        ("pressure_cpu_some_percent", 10.0),
        ("pressure_memory_some_percent", 100.0),
        ("pressure_memory_full_percent", 0.0),
        ("pressure_io_some_percent", 0.0),
        ("pressure_io_full_percent", 0.1),
        ("disk_read_bytes_per_second", f64::from(1 << 21) / 5.0),
        ("disk_write_bytes_per_second", 1.0),
        ("disk_operations_per_second", 1.4),
        ("disk_busy_percent", 80.0),
        ("network_receive_bytes_per_second", 300.0),
        ("network_transmit_bytes_per_second", 10.0),
        ("network_errors_per_second", 0.2),
        ("network_drops_per_second", 2.0),
    ] {
        let want = Some(want)
            .map(|want| if name.ends_with("bytes_per_second") { want.round() } else { want });
        assert_eq!(figures.get(name), want, "{name}");
    }
    assert_eq!(figures.0.len(), 22);
}

#[test]
fn the_first_sample_has_amounts_but_no_rates() {
    let figures = figures(&SystemReading::default(), &whole(), 0.0);
    let known = figures.0.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name);
    let amounts = ["load_1m", "memory_available_bytes", "memory_free_bytes", "memory_cached_bytes"];
    assert_eq!(known.collect::<Vec<_>>(), [amounts.as_slice(), &["swap_used_bytes"]].concat());
}

#[test]
fn no_time_between_two_readings_gives_no_rates() {
    let reading = whole();
    let figures = figures(&reading, &reading, 0.0);
    for (name, value) in &figures.0 {
        let rate = name.ends_with("_percent") || name.ends_with("_per_second");
        assert_eq!(value.is_none(), rate, "{name}");
    }
}

#[test]
fn a_kernel_without_pressure_files_has_no_such_columns() {
    let mut without = whole();
    without.pressure_cpu = Pressure::default();
    without.pressure_memory = Pressure::default();
    without.pressure_io = Pressure::default();
    let mut ring = Ring::new(2);
    for _ in 0..2 {
        ring.push(SystemSample::between(&without, &without, Duration::from_secs(5)));
    }
    let columns = columns(&ring, 5.0, jiff::Timestamp::UNIX_EPOCH);
    let shown = serde_json::to_string(&columns).unwrap();
    assert!(
        !shown.contains("pressure") && shown.contains(r#""disk_busy_percent":[0,0]"#),
        "{shown}"
    );
}

#[test]
fn a_counter_that_went_back_is_not_known_for_that_interval() {
    let before = whole();
    let mut now = before.clone();
    now.disks[1].read_bytes = 0;
    now.disks[0].busy_millis = 0;
    now.disks[1].busy_millis += 10;
    now.interfaces[0].received_bytes = 3;
    now.pressure_cpu.some_micros = Some(0);
    let figures = figures(&before, &now, 5.0);
    for name in [
        "disk_read_bytes_per_second",
        "disk_busy_percent",
        "network_receive_bytes_per_second",
        "pressure_cpu_some_percent",
    ] {
        assert_eq!(figures.get(name), None, "{name}");
    }
    for name in ["disk_write_bytes_per_second", "network_transmit_bytes_per_second"] {
        assert_eq!(figures.get(name), Some(0.0), "{name}");
    }
}

#[test]
fn time_that_the_kernel_takes_back_from_iowait_costs_iowait_only() {
    let before = whole();
    let mut now = before.clone();
    let cpu = now.cpu.as_mut().unwrap();
    (cpu.user, cpu.idle, cpu.iowait) = (cpu.user + 25, cpu.idle + 75, cpu.iowait - 1);
    let partly = figures(&before, &now, 5.0);
    assert_eq!(partly.get("cpu_user_percent"), Some(25.0));
    assert_eq!(partly.get("cpu_iowait_percent"), None);
    now.cpu.as_mut().unwrap().idle = 0;
    let none = figures(&before, &now, 5.0);
    assert_eq!(none.get("cpu_user_percent"), None);
}

#[test]
fn a_disk_that_comes_counts_from_the_next_interval_and_one_that_goes_takes_nothing_along() {
    let vda = |more: u64| {
        let line = format!("254 0 vda 0 0 {} 0 0 0 0 0 0 0 0\n", 1000 + more);
        disks::parse(line.as_bytes())
    };
    let sdb = disks::parse(b"8 16 sdb 1 0 999999 0 1 0 999999 0 0 777 0\n");
    let with = |disks: &[&[Disk]]| SystemReading { disks: disks.concat(), ..Default::default() };
    let read = |before: &SystemReading, now: &SystemReading| {
        figures(before, now, 1.0).get("disk_read_bytes_per_second")
    };
    let alone = with(&[&vda(0)]);
    // The new disk comes first, so that the old one has another index than before.
    let both = with(&[&sdb, &vda(2)]);
    assert_eq!(read(&alone, &both), Some(1024.0));
    let mut later = with(&[&sdb, &vda(2)]);
    later.disks[0].read_bytes += 512;
    assert_eq!(read(&both, &later), Some(512.0));
    assert_eq!(read(&later, &with(&[&vda(3)])), Some(512.0));
    // No disk is in both readings.
    assert_eq!(read(&alone, &with(&[&sdb])), None);
    assert_eq!(read(&alone, &with(&[])), None);
    assert_eq!(read(&with(&[]), &alone), None);
}

#[test]
fn memory_is_exact_and_ends_at_sixteen_tebibytes() {
    let shown = |kilobytes: u64| {
        let memory = Memory { free_bytes: Some(kilobytes << 10), ..Default::default() };
        let now = SystemReading { memory, ..Default::default() };
        figures(&now, &now, 1.0).get("memory_free_bytes")
    };
    assert_eq!(shown(0), Some(0.0));
    assert_eq!(shown((1 << 32) + 4), Some(((1_u64 << 42) + 4096) as f64));
    let most = f64::from(u32::MAX - 1) * 4096.0;
    assert_eq!(shown(1 << 34), Some(most));
    assert_eq!(shown(u64::MAX >> 10), Some(most));
    // The memory of a window's samples, without the few words of the ring itself.
    assert!(size_of::<SystemSample>() * WINDOW_SAMPLES_MAX as usize <= 28_800);
}

/// Checks that a value is either `None` or the same as from the whole files.
fn assert_part<T: PartialEq + std::fmt::Debug>(part: Option<T>, whole: Option<T>) {
    assert!(part.is_none() || part == whole, "{part:?} of {whole:?}");
}

#[test]
fn a_file_cut_at_any_byte_says_nothing_wrong() {
    let whole = whole();
    for at in 0..=NET_DEV.len().max(DISKSTATS.len()).max(STAT.len()).max(MEMINFO.len()) {
        let part = reading(|text| text.as_bytes()[..at.min(text.len())].to_vec());
        assert_part(part.cpu, whole.cpu);
        assert_part(part.load_1m, whole.load_1m);
        assert_part(part.pressure_cpu.some_micros, whole.pressure_cpu.some_micros);
        assert_part(part.pressure_io.some_micros, whole.pressure_io.some_micros);
        assert_part(part.pressure_io.full_micros, whole.pressure_io.full_micros);
        assert_part(part.memory.free_bytes, whole.memory.free_bytes);
        assert_part(part.memory.available_bytes, whole.memory.available_bytes);
        assert_part(part.memory.cached_bytes, whole.memory.cached_bytes);
        assert_part(part.memory.swap_used_bytes(), whole.memory.swap_used_bytes());
        assert!(whole.disks.starts_with(&part.disks), "{at}");
        assert!(whole.interfaces.starts_with(&part.interfaces), "{at}");
    }
}

/// Changes, removes, inserts and repeats bytes at random.
fn mutate(text: &str, random: &mut Jitter) -> Vec<u8> {
    let mut below = |end: usize| (random.unit() * end as f64) as usize;
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..below(12) {
        let at = below(bytes.len() + 1).min(bytes.len());
        let to = (at + below(40)).min(bytes.len());
        match below(5) {
            0 if at < bytes.len() => bytes[at] = below(256) as u8,
            1 => drop(bytes.drain(at..to)),
            2 => bytes.insert(at, b" \n:9p-.0"[below(8)]),
            3 => {
                let again = bytes[at..to].to_vec();
                bytes.splice(at..at, again);
            }
            _ => bytes.truncate(bytes.len() - below(3).min(bytes.len())),
        }
    }
    bytes
}

#[test]
fn no_bytes_make_it_panic_or_show_what_is_no_number() {
    let mut random = Jitter::new(20_261_123);
    let mut before = whole();
    for round in 0..5000 {
        let now = if round % 10 == 0 { whole() } else { reading(|text| mutate(text, &mut random)) };
        let sample = figures(&before, &now, random.unit() * 10.0);
        for (name, value) in &sample.0 {
            assert!(value.is_none_or(|v| v.is_finite() && v >= 0.0), "{name} {value:?}");
            assert!(!name.ends_with("_percent") || value.is_none_or(|v| v <= 100.0), "{name}");
        }
        before = now;
    }
}

#[test]
fn names_are_kept_in_place() {
    assert_eq!(DeviceName::new(b"nvme0n1").unwrap().as_bytes(), b"nvme0n1");
    assert_eq!(DeviceName::new(&[b'x'; 32]).unwrap().as_bytes(), [b'x'; 32]);
    assert_eq!(format!("{:?}", DeviceName::new(b"a\xff").unwrap()), "\"a\u{fffd}\"");
    for name in [b"".as_slice(), &[b'x'; 33], b"a\0b"] {
        assert_eq!(DeviceName::new(name), None);
    }
}
