//! The recorder file in memory: what is written, what a cut or a hostile hand leaves of it, and what is read of that.

use std::time::Duration;

use super::codec::{PAYLOAD_BYTES, ROW_BYTES, SLOT_MAGIC, put, seal};
use super::*;
use crate::core::proc::{Memory, Pressure, SystemReading};
use crate::limits::{
    RECORDER_CONTAINERS, RECORDER_DAY_BYTES_MAX, RECORDER_ROWS_READ_MAX, RECORDER_ROWS_SHOWN_MAX,
    RECORDER_SEQUENCE_MAX, RECORDER_SHOWN,
};

/// 2026-11-23T03:31:40Z.
const BASE_MS: i64 = 1_795_404_700_000;
const MIB: f64 = (1_u32 << 20) as f64;
const OLD: u64 = 1;
const PRESENT: u64 = 2;

fn name(n: usize) -> ContainerName {
    ContainerName {
        namespace: "shop".to_owned(),
        pod_name: format!("web-7c9f8d6b54-x{n:04}"),
        container: "app".to_owned(),
        limit_bytes: (n != 1).then_some(64 << 20),
    }
}

/// The n-th sample, which has its number as the available memory.
fn sample(n: u32, is_trouble: bool) -> Sample {
    let mut node = [Number::new(Some(1.5)); COLUMNS.len()];
    node[AVAILABLE] = Number::new(Some(f64::from(n)));
    node[0] = Number::new(None);
    let usage = |m: usize| Usage { memory_kib: Some(n), cpu_millicores: (m > 0).then_some(7) };
    let containers = (0..3).map(|m| (name(m), usage(m))).collect();
    Sample { at_ms: BASE_MS + i64::from(n) * 5000, node, containers, is_trouble }
}

/// The slots of a file.
#[derive(Clone)]
struct Disk(Vec<Box<Block>>);

impl Disk {
    fn new(slots: usize) -> Self {
        Self(vec![Box::new([0; RECORDER_SLOT_BYTES]); slots])
    }

    fn index(&self) -> SlotIndex {
        let mut index = SlotIndex::default();
        for (place, block) in self.0.iter().enumerate() {
            index.note(place as u32, block);
        }
        index
    }

    fn recorder(&self, boot: u64, now: Duration) -> Recorder {
        Recorder::new(boot, self.0.len() as u32, &self.index(), now)
    }

    fn minutes(&self, present: u64) -> Option<LastMinutes> {
        self.index().last_minutes(present, |place| self.0.get(place as usize).cloned())
    }

    /// The numbers of the samples that are read, the oldest first.
    fn numbers(&self, present: u64) -> Vec<u32> {
        let mut read = |place: u32| self.0.get(place as usize).cloned();
        let Some((_, rows)) = self.index().last_rows(present, &mut read) else {
            return Vec::new();
        };
        assert!(rows.len() <= RECORDER_ROWS_READ_MAX);
        rows.iter().rev().map(|row| row.row.node[AVAILABLE].get().unwrap_or(-1.0) as u32).collect()
    }
}

fn at(n: u32) -> Duration {
    Duration::from_secs(u64::from(n) * 5)
}

/// Records these samples; each is written at once if `is_trouble`. Returns the writes.
fn record(disk: &mut Disk, numbers: std::ops::Range<u32>, is_trouble: bool) -> Vec<(u32, Block)> {
    let mut recorder = disk.recorder(OLD, at(numbers.start));
    let mut writes = Vec::new();
    for n in numbers {
        recorder.take(&sample(n, is_trouble), at(n), &mut |place, block| {
            writes.push((place, *block));
            *disk.0[place as usize] = *block;
            true
        });
    }
    writes
}

#[test]
fn what_is_written_is_read_again_with_its_containers() {
    let mut disk = Disk::new(15);
    record(&mut disk, 0..7, true);
    assert_eq!(disk.numbers(PRESENT), [0, 1, 2, 3, 4, 5, 6]);
    assert!(disk.minutes(OLD).is_none(), "of the present boot nothing is read");
    let minutes = disk.minutes(PRESENT).unwrap();
    assert_eq!((minutes.boot, minutes.shown.samples.len()), (OLD, 7));
    let before = serde_json::to_value(&minutes.shown).unwrap();
    assert_eq!(before["ends_at"], "2026-11-23T03:32:10Z");
    assert_eq!(before["interval_seconds"], 5);
    assert_eq!(before["age_seconds"], serde_json::json!([30, 25, 20, 15, 10, 5, 0]));
    assert_eq!(before["memory_available_bytes"], serde_json::json!([0, 1, 2, 3, 4, 5, 6]));
    assert_eq!(before["load_1m"], serde_json::json!([1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]));
    assert!(before["cpu_user_percent"].is_null(), "it was never known");
    let containers = before["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 3);
    assert_eq!(containers[0]["pod_name"], "web-7c9f8d6b54-x0000");
    assert_eq!(containers[0]["memory_limit_bytes"], 64 << 20);
    assert!(containers[1]["memory_limit_bytes"].is_null());
    assert_eq!(containers[0]["memory_bytes"][6], 6 << 10);
    assert!(containers[0]["cpu_millicores"][6].is_null());
    assert_eq!(containers[2]["cpu_millicores"][6], 7);
}

#[test]
fn the_columns_are_those_of_the_node() {
    let reading = SystemReading::default();
    let sample = SystemSample::between(&reading, &reading, Duration::ZERO);
    let known: Vec<_> = sample.values().map(|(name, _)| name).collect();
    assert!(COLUMNS.iter().all(|name| known.contains(name)));
    assert_eq!(COLUMNS[AVAILABLE], "memory_available_bytes");
    assert_eq!(COLUMNS[MEMORY_SOME], "pressure_memory_some_percent");
    assert_eq!(COLUMNS[IO_FULL], "pressure_io_full_percent");
    // Another list needs another version of the format.
    assert_eq!(key(&COLUMNS.concat()), 0xb657_86b4_3358_4071);
}

#[test]
fn a_write_that_is_cut_at_any_byte_costs_no_sample_that_was_written_before() {
    let mut disk = Disk::new(4);
    let writes = record(&mut disk, 0..40, true);
    let mut disk = Disk::new(4);
    for (n, (place, block)) in writes.iter().enumerate() {
        let before = disk.numbers(PRESENT);
        // Every write is cut somewhere, and three of them everywhere.
        let step = if [1, 20, writes.len() - 1].contains(&n) { 1 } else { 509 };
        for cut in (0..RECORDER_SLOT_BYTES).step_by(step) {
            let mut torn = disk.clone();
            torn.0[*place as usize][..cut].copy_from_slice(&block[..cut]);
            let read = torn.numbers(PRESENT);
            // The end of a block may be zeros, as it was.
            assert!(
                read == before || read.len() > before.len(),
                "write {n} cut at {cut}: {read:?}"
            );
        }
        *disk.0[*place as usize] = *block;
    }
}

#[test]
fn a_byte_that_changes_costs_its_slot_and_gives_no_wrong_sample() {
    let mut disk = Disk::new(3);
    record(&mut disk, 0..30, true);
    let whole = disk.numbers(PRESENT);
    assert!(whole.len() > 20);
    for slot in 0..disk.0.len() {
        for byte in 0..RECORDER_SLOT_BYTES {
            let kept = disk.0[slot][byte];
            disk.0[slot][byte] ^= 1 << (byte % 8);
            assert!(Slot::decode(&disk.0[slot]).is_none(), "slot {slot} byte {byte}");
            disk.0[slot][byte] = kept;
        }
        let mut without = disk.clone();
        without.0[slot].fill(0xff);
        let read = without.numbers(PRESENT);
        assert!(read.iter().all(|n| whole.contains(n)), "{read:?}");
    }
    assert_eq!(disk.numbers(PRESENT), whole);
}

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

#[test]
fn hostile_slots_are_data() {
    let mut dice = Dice(20_261_127);
    let mut disk = Disk::new(3);
    record(&mut disk, 0..30, true);
    for round in 0..3000 {
        let mut bad = disk.clone();
        for block in &mut bad.0 {
            for _ in 0..dice.roll(40) {
                // Mostly the lengths, the numbers and the names.
                let at = [48, 52, 60, 4096][dice.roll(4) as usize];
                block[dice.roll(at) as usize] = dice.roll(256) as u8;
            }
            if round % 10 > 0 {
                seal(block, SLOT_MAGIC);
            }
        }
        let index = bad.index();
        assert!(index.iter().all(|(_, s)| s.sequence.max(s.batch) < RECORDER_SEQUENCE_MAX));
        bad.numbers(PRESENT);
        let Some(minutes) = bad.minutes(PRESENT) else { continue };
        assert!((1..=RECORDER_ROWS_SHOWN_MAX).contains(&minutes.shown.samples.len()));
        let before = &minutes.shown;
        assert!(before.containers.len() <= RECORDER_CONTAINERS);
        assert!(serde_json::to_string(before).unwrap().len() < 64 << 10);
        minutes.tell(&mut String::new());
    }
    for _ in 0..50 {
        let mut block: Block = [0; RECORDER_SLOT_BYTES];
        block.fill_with(|| dice.roll(256) as u8);
        assert_eq!((Slot::decode(&block), Head::decode(&block)), (None, None));
    }
}

#[test]
fn a_slot_that_lies_about_its_lengths_has_no_samples() {
    let mut disk = Disk::new(1);
    disk = Disk(vec![
        disk.0.remove(0),
        Box::new([0; RECORDER_SLOT_BYTES]),
        Box::new([0; RECORDER_SLOT_BYTES]),
    ]);
    record(&mut disk, 0..1, true);
    assert_eq!(disk.numbers(PRESENT), [0]);
    for (at, lie) in [(48, u16::MAX), (48, 30), (50, u16::MAX), (50, 1), (50, 4000)] {
        let mut bad = disk.clone();
        for block in &mut bad.0 {
            put(&mut block[..], at, &lie.to_le_bytes());
            seal(block, SLOT_MAGIC);
        }
        assert_eq!(bad.numbers(PRESENT), [0_u32; 0], "{at} {lie}");
    }
    // The last numbers there are: a writer has none left, and takes the file for a foreign one.
    for at in [24, 32] {
        let mut bad = disk.clone();
        for block in &mut bad.0 {
            put(&mut block[..], at, &(RECORDER_SEQUENCE_MAX - 1).to_le_bytes());
            seal(block, SLOT_MAGIC);
        }
        assert!(bad.index().is_exhausted() && !disk.index().is_exhausted());
    }
}

/// A file of four boots, compared with a list of what was written.
#[test]
fn a_random_history_reads_as_a_list_of_what_was_written() {
    let mut dice = Dice(7);
    for _ in 0..60 {
        let mut disk = Disk::new(15);
        // What is on the disk, by boot.
        let mut model: Vec<Vec<u32>> = Vec::new();
        let mut n = 0;
        for boot in 0..4 {
            let mut on_disk = Vec::new();
            for _ in 0..=dice.roll(2) {
                // An agent starts, also again in the same boot, and is killed.
                let mut recorder = disk.recorder(boot, at(n));
                let mut pending: Vec<u32> = Vec::new();
                for _ in 0..dice.roll(120) {
                    pending.push(n);
                    let is_broken = dice.roll(10) == 0;
                    let mut written = false;
                    let is_trouble = dice.roll(8) == 0;
                    recorder.take(&sample(n, is_trouble), at(n), &mut |place, block| {
                        let slot = &mut disk.0[place as usize];
                        if is_broken {
                            slot[2000..].fill(0xee);
                            return false;
                        }
                        **slot = *block;
                        written = true;
                        true
                    });
                    if written {
                        // A batch that was full is written before this sample is added to the next.
                        let last = disk.numbers(boot + 100).last().copied();
                        let whole = pending.iter().filter(|n| Some(**n) <= last).count();
                        on_disk.extend(pending.drain(..whole));
                    }
                    n += 1;
                }
            }
            model.push(on_disk);
            let want = model.iter().rev().find(|of_boot| !of_boot.is_empty());
            let newest = want.and_then(|want| want.last()).copied().unwrap_or(0);
            let shown = (RECORDER_SHOWN.as_secs() / 5) as u32;
            let want: Vec<u32> = want.into_iter().flatten().copied().collect();
            let want: Vec<u32> = want.into_iter().filter(|n| newest - n <= shown).collect();
            assert_eq!(disk.numbers(100), want);
        }
    }
}

/// Records a day and returns the bytes written.
fn day(interval_seconds: u64, is_trouble: bool, names: usize) -> u64 {
    let mut disk = Disk::new(127);
    let mut recorder = disk.recorder(OLD, Duration::ZERO);
    let (mut bytes, mut taken) = (0, 0);
    for n in 0..86_400 / interval_seconds {
        let now = Duration::from_secs(n * interval_seconds);
        let mut sample = sample(0, is_trouble);
        sample.at_ms = BASE_MS + now.as_millis() as i64;
        let long =
            |m: usize| ContainerName { pod_name: format!("{m}-{}", "p".repeat(240)), ..name(m) };
        if names > 0 {
            let usage = sample.containers[0].1;
            sample.containers = (0..names).map(|m| (long(m + n as usize % 5), usage)).collect();
        }
        recorder.take(&sample, now, &mut |place, block| {
            bytes += RECORDER_SLOT_BYTES as u64;
            // What the last slots say is looked at below.
            *disk.0[place as usize] = *block;
            taken += 1;
            true
        });
    }
    let read = disk.numbers(PRESENT).len();
    println!(
        "{interval_seconds} s, trouble {is_trouble}, {names} names: {bytes} bytes, {taken} writes, {read} samples in ten minutes"
    );
    assert!(read > 8);
    bytes
}

#[test]
fn a_day_writes_at_most_its_budget_whatever_happens() {
    println!("a sample has {ROW_BYTES} bytes of {PAYLOAD_BYTES}");
    let idle = day(5, false, 0);
    assert!((11_000_000..13_000_000).contains(&idle), "{idle}");
    for (interval_seconds, is_trouble, names) in
        [(5, true, 0), (1, true, 0), (1, false, 8), (1, true, 8), (60, true, 8)]
    {
        let bytes = day(interval_seconds, is_trouble, names);
        assert!(bytes <= RECORDER_DAY_BYTES_MAX, "{bytes}");
    }
}

#[test]
fn half_a_megabyte_holds_hours() {
    let mut disk = Disk::new(127);
    record(&mut disk, 0..17_280, false);
    let mut oldest = i64::MAX;
    let mut newest = 0;
    for block in &disk.0 {
        let slot = Slot::decode(block).unwrap();
        (oldest, newest) = (oldest.min(slot.base_ms), newest.max(slot.base_ms));
    }
    let minutes = (newest - oldest) / 60_000;
    println!("512 KiB hold {minutes} minutes");
    assert!(minutes > 200, "{minutes}");
}

#[test]
fn the_newest_sample_is_kept_when_nothing_may_be_written_for_long() {
    let mut disk = Disk::new(15);
    let mut recorder = disk.recorder(OLD, Duration::ZERO);
    // A disk that fails for an hour, and then works.
    for n in 0..720 {
        recorder.take(&sample(n, false), at(n), &mut |_, _| false);
    }
    recorder.end(at(2000), &mut |place, block| {
        *disk.0[place as usize] = *block;
        true
    });
    let read = disk.numbers(PRESENT);
    assert!(read.len() > 5 && read.last() == Some(&719), "{read:?}");
}

#[test]
fn a_recorder_goes_on_behind_what_is_there() {
    let mut disk = Disk::new(15);
    record(&mut disk, 0..10, true);
    // A new boot, a first write, another agent in it, and a clock that was set back.
    for start in [100, 50] {
        let mut recorder = disk.recorder(PRESENT, at(start));
        recorder.take(&sample(start, true), at(start), &mut |place, block| {
            *disk.0[place as usize] = *block;
            true
        });
        assert_eq!(disk.numbers(PRESENT), (0..10).collect::<Vec<_>>());
    }
    assert_eq!(disk.numbers(3), [50], "what is later than the last sample is left out");
}

#[test]
fn signs_of_trouble_are_little_memory_a_fast_fall_and_pressure() {
    let reading = |available_mib: u64| SystemReading {
        memory: Memory {
            total_bytes: Some(1000 << 20),
            available_bytes: Some(available_mib << 20),
            ..Memory::default()
        },
        ..SystemReading::default()
    };
    let five = Duration::from_secs(5);
    let of = |mib| SystemSample::between(&reading(mib), &reading(mib), five);
    for (before, now, want) in [
        (500, 500, false),
        (500, 60, true),
        (61, 60, false),
        (50, 49, true),
        (900, 300, false),
        (280, 230, false),
        (300, 230, true),
    ] {
        assert_eq!(
            is_trouble(Some(&of(before)), &of(now), Some(1000 << 20)),
            want,
            "{before} {now}"
        );
    }
    assert!(!is_trouble(None, &of(1), None), "a node whose memory is not known");
    let pressed = |some, full| Pressure { some_micros: Some(some), full_micros: Some(full) };
    for (memory, io, want) in [
        ((0, 0), (0, 0), false),
        ((1_100_000, 0), (0, 0), true),
        ((300_000, 300_000), (0, 0), true),
        ((0, 0), (5_000_000, 2_000_000), false),
        ((0, 0), (5_000_000, 4_000_000), true),
    ] {
        let (mut first, mut second) = (reading(500), reading(500));
        (first.pressure_memory, first.pressure_io) = (pressed(0, 0), pressed(0, 0));
        (second.pressure_memory, second.pressure_io) =
            (pressed(memory.0, memory.1), pressed(io.0, io.1));
        let sample = SystemSample::between(&first, &second, five);
        assert_eq!(is_trouble(None, &sample, None), want, "{memory:?} {io:?}");
    }
}

/// What the sentence says of a node with this available memory, in MiB, the newest last.
fn told(available_mib: &[f64]) -> String {
    let mut disk = Disk::new(15);
    let mut recorder = disk.recorder(OLD, Duration::ZERO);
    for (n, mib) in (0..).zip(available_mib) {
        let mut sample = sample(n, true);
        sample.node[AVAILABLE] = Number::new(Some(mib * MIB));
        recorder.take(&sample, at(n), &mut |place, block| {
            *disk.0[place as usize] = *block;
            true
        });
    }
    let mut text = String::new();
    disk.minutes(PRESENT).unwrap().tell(&mut text);
    text
}

#[test]
fn the_sentence_says_how_the_memory_fell() {
    let mut falls = vec![412.0; 5];
    falls.extend((0..24).map(|n| 390.0 - 15.875 * f64::from(n)));
    falls.push(9.0);
    assert_eq!(told(&falls), "; memory available had fallen from 374.1 MiB to 9 MiB in 115 s");
    assert_eq!(told(&[412.0, 9.0]), "; memory available had fallen from 412 MiB to 9 MiB in 5 s");
    for steady in [&[412.0, 400.0][..], &[412.0, 300.0], &[40.0, 1.0], &[9.0, 412.0], &[5.0]] {
        assert_eq!(told(steady), "", "{steady:?}");
    }
}

#[test]
fn the_sentence_says_what_processes_waited_for_at_the_end() {
    for (memory, io, want) in [
        (19.0, 59.0, ""),
        (86.6, 0.0, "; processes waited for memory 87 % of the time"),
        (0.0, 100.0, "; all processes waited for disks 100 % of the time"),
        (1e9, 0.0, "; processes waited for memory 100 % of the time"),
    ] {
        let mut disk = Disk::new(15);
        let mut sample = sample(0, true);
        sample.node[MEMORY_SOME] = Number::new(Some(memory));
        sample.node[IO_FULL] = Number::new(Some(io));
        disk.recorder(OLD, Duration::ZERO).take(&sample, Duration::ZERO, &mut |place, block| {
            *disk.0[place as usize] = *block;
            true
        });
        let minutes = disk.minutes(PRESENT).unwrap();
        let mut text = String::new();
        minutes.tell(&mut text);
        assert!(text.ends_with(want), "{text}");
    }
}

#[test]
fn a_file_belongs_to_a_node() {
    let mut block: Block = [7; RECORDER_SLOT_BYTES];
    let head = Head { node: key("node1") };
    head.encode(&mut block);
    assert_eq!(Head::decode(&block), Some(head));
    assert_eq!(Slot::decode(&block), None);
    block[16] ^= 1;
    assert_eq!(Head::decode(&block), None);
}
