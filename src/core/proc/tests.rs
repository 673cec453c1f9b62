use super::*;
use crate::core::backoff::Jitter;

/// As a node with two CPUs said them (Linux 6.1), cut to the lines that matter and some others.
const STAT: &str = "cpu  1124185 410532 218554 5875749 38901 0 7643 2813 0 0\n\
    cpu0 481693 182297 101456 3057766 10780 0 2842 1454 0 0\nintr 1 2\n";
const LOAD: &str = "1.52 0.98 0.77 2/345 12345\n";
const MEMORY: &str = "MemTotal:        8131648 kB\nMemFree:          512000 kB\nMemAvailable:    4096000 kB\n\
    Buffers:          102400 kB\nCached:          2048000 kB\nSwapCached:            0 kB\n\
    SwapTotal:       1048576 kB\nSwapFree:         524288 kB\nHugePages_Total:       0\n";
const PRESSURE: &str = "some avg10=0.12 avg60=0.34 avg300=0.56 total=1000000\n\
    full avg10=0.00 avg60=0.00 avg300=0.00 total=400000\n";
const DISKS: &str = "   7       0 loop0 9 9 9 9 9 9 9 9 9 9 9\n\
   8       0 sda 100 0 2000 5 50 0 1000 7 0 4000 12 0 0 0 0\n\
   8       1 sda1 100 0 2000 5 50 0 1000 7 0 4000 12 0 0 0 0\n\
 259       0 nvme0n1 10 0 20 5 5 0 10 7 0 40 12\n\
 259       1 nvme0n1p1 10 0 20 5 5 0 10 7 0 40 12\n\
 253       0 dm-0 100 0 2000 5 50 0 1000 7 0 4000 12\n";
const NETWORK: &str = "Inter-|   Receive                  |  Transmit\n\
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n\
    lo: 99999 9 9 9 0 0 0 0 99999 9 9 9 0 0 0 0\n\
  eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\n\
eth0.7: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\n\
vethab: 500 10 1 2 0 0 0 0 500 20 3 4 0 0 0 0\n";

fn reading(stat: &str, pressure: &str, disks: &str, network: &str) -> SystemReading {
    SystemReading {
        cpu: CpuTicks::parse(stat.as_bytes()),
        load_1m: parse_load(LOAD.as_bytes()),
        memory: MemoryKib::parse(MEMORY.as_bytes()),
        pressure: [PressureMicros::parse(pressure.as_bytes()); 3],
        disks: DiskCounters::parse(disks.as_bytes()),
        network: NetworkCounters::parse(network.as_bytes()),
    }
}

#[test]
fn the_kernels_files_are_read() {
    let read = reading(STAT, PRESSURE, DISKS, NETWORK);
    let cpu = read.cpu.unwrap();
    assert_eq!((cpu.user, cpu.system), (1_534_717, 226_197));
    assert_eq!((cpu.iowait, cpu.steal, cpu.total), (38901, 2813, 7_678_377));
    assert_eq!(read.load_1m, Some(1.52));
    let memory =
        MemoryKib { available: 4_096_000, free: 512_000, cached: 2_150_400, swap_used: 524_288 };
    assert_eq!(read.memory, Some(memory));
    assert_eq!(read.pressure[0], Some(PressureMicros { some: 1_000_000, full: Some(400_000) }));
    let disks = DiskCounters {
        read_sectors: 2020,
        written_sectors: 1010,
        operations: 165,
        busy_millis: 4040,
    };
    assert_eq!(read.disks, Some(disks));
    let network = NetworkCounters { received_bytes: 1000, sent_bytes: 2000, errors: 4, drops: 6 };
    assert_eq!(read.network, Some(network));
}

#[test]
fn older_kernels_say_less() {
    assert_eq!(CpuTicks::parse(b"cpu  1 2 3 4\n").unwrap().total, 10);
    assert_eq!(CpuTicks::parse(b"cpu  1 2 3\n"), None);
    let old = MemoryKib::parse(b"MemTotal: 10 kB\nMemFree: 3 kB\nCached: 4 kB\n").unwrap();
    assert_eq!(old.available, 7);
    let cpu = PressureMicros::parse(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
    assert_eq!(cpu, Some(PressureMicros { some: 7, full: None }));
    assert_eq!(PressureMicros::parse(b""), None);
    assert_eq!(
        DiskCounters::parse(b"  7 0 loop0 1 1 1 1 1 1 1 1 1 1 1\n"),
        None,
        "no disk of its own"
    );
}

#[test]
fn whole_disks_are_told_from_their_parts() {
    for name in
        ["sda", "sdaa", "vdb", "xvda", "hda", "nvme0n1", "nvme11n2", "mmcblk0", "nbd0", "rbd3"]
    {
        assert!(is_whole_disk(name), "{name}");
    }
    let parts =
        ["sda1", "xvda12", "nvme0n1p1", "mmcblk0p2", "mmcblk0boot0p1", "dm-0", "md127", "loop3"];
    for name in parts.into_iter().chain(["ram0", "zram0", "sr0", "fd0", ""]) {
        assert!(!is_whole_disk(name), "{name}");
    }
}

/// The named column of one sample.
fn value(sample: SystemSample, name: &str) -> Option<f64> {
    let mut ring = Ring::new(2);
    ring.push(sample);
    let columns = columns(&ring, Duration::from_secs(5), Timestamp::UNIX_EPOCH);
    columns.columns.iter().find(|(known, _)| *known == name).unwrap().1[0]
}

#[test]
fn a_sample_is_what_happened_in_between() {
    let before = reading(STAT, PRESSURE, DISKS, NETWORK);
    let stat = "cpu  1124385 410532 218604 5876449 38951 0 7643 2813 0 0\n";
    let pressure = PRESSURE.replace("1000000", "1500000").replace("400000", "450000");
    let disks = DISKS
        .replace("sda 100 0 2000 5 50 0 1000 7 0 4000", "sda 150 0 12240 5 50 0 3048 7 0 6500");
    let network = NETWORK.replace("eth0: 1000 10 1 2", "eth0: 11240 10 1 12");
    let now = reading(stat, &pressure, &disks, &network);
    let sample = SystemSample::between(&before, &now, Duration::from_secs(5));
    for (name, want) in [
        ("cpu_user_percent", 20.0),
        ("cpu_system_percent", 5.0),
        ("cpu_iowait_percent", 5.0),
        ("cpu_steal_percent", 0.0),
        ("memory_available_mib", 4000.0),
        ("swap_used_mib", 512.0),
        ("pressure_cpu_some_percent", 10.0),
        ("pressure_memory_full_percent", 1.0),
        ("disk_read_kib_per_second", 1024.0),
        ("disk_write_kib_per_second", 204.8),
        ("disk_operations_per_second", 10.0),
        ("disk_busy_percent", 50.0),
        ("network_receive_kib_per_second", 2.0),
        ("network_transmit_kib_per_second", 0.0),
        ("network_drops_per_second", 2.0),
    ] {
        let got = value(sample, name).unwrap();
        assert!((got - want).abs() < 0.001 * want.max(1.0), "{name}: {got}");
    }
}

#[test]
fn counters_that_go_back_or_are_missing_say_nothing() {
    let (before, now) = (reading(STAT, PRESSURE, DISKS, NETWORK), SystemReading::default());
    let second = Duration::from_secs(1);
    let none = SystemSample::between(&before, &now, second);
    assert!(COLUMNS.iter().all(|name| value(none, name).is_none()));
    let less = DISKS.replace("sda 100 0 2000", "sda 100 0 1");
    let back = reading("cpu 1 1 1 1 1 1 1 1\n", PRESSURE, &less, NETWORK);
    let sample = SystemSample::between(&before, &back, second);
    assert_eq!(value(sample, "cpu_user_percent"), None);
    assert_eq!(value(sample, "disk_read_kib_per_second"), None);
    assert_eq!(value(sample, "disk_write_kib_per_second"), Some(0.0));
    let at_once = SystemSample::between(&before, &before, Duration::ZERO);
    assert_eq!(value(at_once, "network_drops_per_second"), None);
}

#[test]
fn no_bytes_are_a_panic() {
    let mut dice = Jitter::new(5);
    let files = [STAT, LOAD, MEMORY, PRESSURE, DISKS, NETWORK];
    let all = |bytes: &[u8]| {
        let memory = MemoryKib::parse(bytes);
        let reading = SystemReading {
            cpu: CpuTicks::parse(bytes),
            load_1m: parse_load(bytes),
            memory,
            pressure: [PressureMicros::parse(bytes); 3],
            disks: DiskCounters::parse(bytes),
            network: NetworkCounters::parse(bytes),
        };
        let before = reading_of_files();
        SystemSample::between(&before, &reading, Duration::from_secs(5));
        SystemSample::between(&reading, &before, Duration::from_secs(5));
    };
    for file in files {
        (0..file.len()).for_each(|len| all(&file.as_bytes()[..len]));
        for _ in 0..300 {
            let mut bytes = file.as_bytes().to_vec();
            for _ in 0..4 {
                let at = (dice.unit() * bytes.len() as f64) as usize;
                bytes[at] = (dice.unit() * 256.0) as u8;
            }
            all(&bytes);
        }
        all(file.replace(|c: char| c.is_ascii_digit(), "99999999999").as_bytes());
    }
}

fn reading_of_files() -> SystemReading {
    reading(STAT, PRESSURE, DISKS, NETWORK)
}
