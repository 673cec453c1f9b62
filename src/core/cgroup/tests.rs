//! Tests of files and samples.

use std::time::Duration;

use super::files::*;
use super::sample::*;

const EVENTS: &[u8] = b"low 0\nhigh 0\nmax 741\noom 3\noom_kill 2\noom_group_kill 1\n";
const OOM_CONTROL: &[u8] = b"oom_kill_disable 0\nunder_oom 0\noom_kill 7\n";
const STAT: &[u8] =
    b"anon 1000\nfile 4096\nkernel 12\ninactive_anon 5\ninactive_file 96\nactive_file 1\n";
const STAT_V1: &[u8] = b"cache 1\nrss 2\ninactive_file 3\nhierarchical_memory_limit 33554432\n\
    total_cache 32141312\ntotal_rss 10\ntotal_inactive_file 32141311\n";
const CPU: &[u8] =
    b"usage_usec 5000000\nuser_usec 1\nsystem_usec 2\nnr_periods 100\nnr_throttled 25\n\
    throttled_usec 123\n";
const CPU_V1: &[u8] =
    b"nr_periods 9\nnr_throttled 4\nthrottled_time 5000\nnr_bursts 0\nburst_time 0\n";
const PRESSURE: &[u8] = b"some avg10=0.00 avg60=1.50 avg300=0.31 total=9876543\n\
    full avg10=0.00 avg60=0.00 avg300=0.00 total=123\n";

#[test]
fn numbers_are_digits_and_nothing_else() {
    for (file, want) in [
        (&b"0\n"[..], Some(0)),
        (b"33554432\n", Some(33_554_432)),
        (b"12", Some(12)),
        (b"18446744073709551615\n", Some(u64::MAX)),
        (b"18446744073709551616\n", None),
        (b"max\n", None),
        (b"-1\n", None),
        (b"+1\n", None),
        (b"1 2\n", None),
        (b"", None),
        (b"\n", None),
    ] {
        assert_eq!(number(file), want, "{file:?}");
    }
    assert_eq!(nanoseconds_as_us(b"1999\n"), Some(1));
}

#[test]
fn a_huge_limit_is_none() {
    for (file, want) in [
        (&b"max\n"[..], None),
        // The default limit of version 1, with pages of 4 KiB and of 64 KiB.
        (b"9223372036854771712\n", None),
        (b"9223372036854710272\n", None),
        (b"536870912\n", Some(536_870_912)),
        (b"0\n", Some(0)),
    ] {
        assert_eq!(limit_bytes(file), want, "{file:?}");
    }
}

#[test]
fn files_of_both_versions_are_read() {
    let memory = |anon, file, inactive| MemoryStat {
        anon_bytes: Some(anon),
        file_bytes: Some(file),
        inactive_file_bytes: Some(inactive),
    };
    assert_eq!(memory_stat(STAT), memory(1000, 4096, 96));
    assert_eq!(memory_stat_v1(STAT_V1), memory(10, 32_141_312, 32_141_311));
    assert_eq!(memory_events(EVENTS), MemoryEvents { oom: Some(3), oom_kill: Some(2) });
    assert_eq!(memory_events(OOM_CONTROL), MemoryEvents { oom: None, oom_kill: Some(7) });
    // The file before Linux 4.13.
    assert_eq!(memory_events(b"oom_kill_disable 0\nunder_oom 0\n"), MemoryEvents::default());
    let cpu = CpuStat {
        usage_us: Some(5_000_000),
        periods: Some(100),
        throttled_periods: Some(25),
        throttled_us: Some(123),
    };
    assert_eq!(cpu_stat(CPU), cpu);
    let cpu = CpuStat {
        usage_us: None,
        periods: Some(9),
        throttled_periods: Some(4),
        throttled_us: Some(5),
    };
    assert_eq!(cpu_stat(CPU_V1), cpu);
    assert_eq!(pressure_some_us(PRESSURE), Some(9_876_543));
    assert_eq!(pressure_some_us(b"full avg10=0.00 total=123\n"), None);
}

/// A small seeded generator (xorshift), so that a failure can be reproduced.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap()
    }
}

fn read_as_everything(bytes: &[u8]) {
    let _ = (number(bytes), nanoseconds_as_us(bytes), limit_bytes(bytes));
    let _ = (memory_stat(bytes), memory_stat_v1(bytes), memory_events(bytes), cpu_stat(bytes));
    let _ = pressure_some_us(bytes);
}

#[test]
fn no_bytes_make_a_parser_panic() {
    let mut random = Seeded(0x5eed);
    for file in [EVENTS, OOM_CONTROL, STAT, STAT_V1, CPU, CPU_V1, PRESSURE, b"max\n", b"123\n", b""]
    {
        for end in 0..=file.len() {
            read_as_everything(&file[..end]);
        }
        for _ in 0..5_000 {
            let mut bytes = file.to_vec();
            for _ in 0..=random.next() % 4 {
                let at = random.next() % (bytes.len() + 1);
                match random.next() % 3 {
                    0 => bytes.insert(at, (random.next() & 0xff) as u8),
                    1 if at < bytes.len() => bytes[at] = b"\0\n 9-\xff="[random.next() % 7],
                    _ => bytes.truncate(at),
                }
            }
            read_as_everything(&bytes);
        }
    }
}

fn reading(memory: u64, inactive: u64, cpu_us: u64) -> ContainerReading {
    ContainerReading {
        memory_bytes: Some(memory),
        inactive_file_bytes: Some(inactive),
        pids: Some(7),
        counters: Counters {
            cpu_us: Some(cpu_us),
            periods: Some(100),
            throttled_periods: Some(10),
            memory_pressure_us: Some(cpu_us),
            ..Counters::default()
        },
        ..ContainerReading::default()
    }
}

fn shown(samples: &[ContainerSample]) -> serde_json::Value {
    let ends_at = "2026-11-23T03:31:41Z".parse().unwrap();
    serde_json::to_value(columns(samples, Duration::from_secs(5), ends_at)).unwrap()
}

#[test]
fn the_working_set_is_without_inactive_page_cache_and_never_below_zero() {
    assert_eq!(reading(4096, 96, 0).working_set_bytes(), Some(4000));
    assert_eq!(reading(4096, 8000, 0).working_set_bytes(), Some(0));
    let unknown = ContainerReading { inactive_file_bytes: None, ..reading(1, 0, 0) };
    assert_eq!(unknown.working_set_bytes(), None);
}

#[test]
fn rates_are_those_between_two_readings() {
    let (first, mut second) =
        (reading(1 << 20, 0, 1_000_000), reading(2 << 20, 1 << 20, 3_500_000));
    second.counters.periods = Some(150);
    second.counters.throttled_periods = Some(35);
    let at = Duration::from_secs;
    let samples = [
        ContainerSample::between(&Counters::default(), &first, Duration::ZERO, at(10)),
        ContainerSample::between(&first.counters, &second, at(5), at(15)),
    ];
    let shown = shown(&samples);
    let want = serde_json::json!({
        "interval_seconds": 5,
        "ends_at": "2026-11-23T03:31:41Z",
        "age_seconds": [5, 0],
        "memory_bytes": [1_048_576, 2_097_152],
        "working_set_bytes": [1_048_576, 1_048_576],
        "cpu_millicores": [null, 500],
        "cpu_throttled_percent": [null, 50],
        "pids": [7, 7],
        "pressure_memory_some_percent": [null, 50],
    });
    assert_eq!(shown, want);
}

#[test]
fn a_counter_that_went_back_gives_no_rate() {
    let (first, second) = (reading(0, 0, 2_000_000), reading(0, 0, 1_000_000));
    let elapsed = Duration::from_secs(5);
    let sample = ContainerSample::between(&first.counters, &second, elapsed, elapsed);
    let shown = shown(&[sample]);
    assert_eq!(shown.get("cpu_millicores"), None);
    assert_eq!(shown["cpu_throttled_percent"], serde_json::json!([0]));
}

#[test]
fn no_number_is_too_large_for_a_sample() {
    let most = Some(u64::MAX);
    let counters = Counters {
        cpu_us: most,
        periods: most,
        throttled_periods: most,
        memory_pressure_us: most,
        cpu_pressure_us: most,
        io_pressure_us: most,
    };
    let reading = ContainerReading {
        memory_bytes: most,
        inactive_file_bytes: Some(0),
        pids: most,
        counters,
        ..ContainerReading::default()
    };
    let zero = Counters {
        cpu_us: Some(0),
        periods: Some(0),
        throttled_periods: Some(0),
        memory_pressure_us: Some(0),
        cpu_pressure_us: Some(0),
        io_pressure_us: Some(0),
    };
    for elapsed in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let sample = ContainerSample::between(&zero, &reading, elapsed, Duration::MAX);
        let shown = shown(&[sample]);
        assert_eq!(shown["pids"], serde_json::json!([65_534]));
        assert_eq!(shown["cpu_throttled_percent"], serde_json::json!([100]));
    }
}

#[test]
fn ages_are_right_when_the_milliseconds_start_over() {
    let days_49 = Duration::from_millis(u64::from(u32::MAX) - 999);
    let empty = ContainerReading::default();
    let take = |at| ContainerSample::between(&Counters::default(), &empty, Duration::ZERO, at);
    let samples = [take(days_49), take(days_49 + Duration::from_secs(3))];
    assert_eq!(shown(&samples)["age_seconds"], serde_json::json!([3, 0]));
    assert_eq!(samples[0].age(days_49 + Duration::from_secs(9)), Duration::from_secs(9));
}

#[test]
fn no_samples_make_no_columns() {
    assert!(columns([], Duration::from_secs(5), jiff::Timestamp::UNIX_EPOCH).is_empty());
}
