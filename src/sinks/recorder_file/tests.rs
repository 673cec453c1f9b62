use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use super::*;
use crate::core::proc::{Memory, SystemReading, SystemSample};
use crate::scratch::Scratch;

const SIZE: u64 = 64 << 10;

fn sample(n: i64) -> Sample {
    let reading = SystemReading {
        memory: Memory { available_bytes: Some(1 << 30), ..Memory::default() },
        ..SystemReading::default()
    };
    let system = SystemSample::between(&SystemReading::default(), &reading, Duration::ZERO);
    let at = jiff::Timestamp::from_second(1_795_404_700 + n).unwrap();
    Sample::new(at, &system, Vec::new(), true)
}

fn file(path: &Path, bytes: u64, boot: &str) -> RecorderFile {
    RecorderFile::new(path, bytes, "node1", boot, Arc::default())
}

/// Runs an agent of this boot that takes these samples. `between` runs after each. Returns how many samples of the boot
/// before the agent found, and its metrics.
fn agent(
    mut file: RecorderFile,
    samples: std::ops::Range<i64>,
    mut between: impl FnMut(i64, &Metrics),
) -> (usize, Arc<Metrics>) {
    let (clock, metrics) = (Clock::start(), file.metrics.clone());
    let (recorder, minutes) = file.start(clock);
    let queue = SampleQueue::default();
    thread::scope(|scope| {
        scope.spawn(|| run(&queue, file, recorder, clock));
        for n in samples {
            let before = written(&metrics) + errors(&metrics);
            assert!(queue.push(sample(n)));
            // Each of these samples is written at once, or an error is counted.
            while written(&metrics) + errors(&metrics) == before {
                thread::yield_now();
            }
            between(n, &metrics);
        }
        queue.close();
    });
    (minutes.map_or(0, |minutes| minutes.shown.samples.len()), metrics)
}

fn written(metrics: &Metrics) -> u64 {
    metrics.recorder_bytes.load(Ordering::Relaxed)
}

fn errors(metrics: &Metrics) -> u64 {
    metrics.recorder_errors.load(Ordering::Relaxed)
}

#[test]
fn the_next_boot_reads_what_the_boot_before_wrote_in_place() {
    let scratch = Scratch::new("recorder");
    let path = scratch.join("recorder");
    let (before, metrics) = agent(file(&path, SIZE, "a"), 0..5, |_, _| {});
    assert_eq!((before, written(&metrics)), (0, SIZE + 6 * SLOT));
    let made = fs::metadata(&path).unwrap();
    assert_eq!((made.len(), made.permissions().mode() & 0o777), (SIZE, 0o600));
    // The same boot again, then the next one, twice: the first may die before it reports.
    for (boot, want) in [("a", 0), ("b", 7), ("b", 7), ("c", 4)] {
        let start = if boot == "a" { 5 } else { 100 };
        assert_eq!(agent(file(&path, SIZE, boot), start..start + 2, |_, _| {}).0, want, "{boot}");
        let now = fs::metadata(&path).unwrap();
        assert_eq!((now.ino(), now.len()), (made.ino(), SIZE));
    }
}

#[test]
fn a_file_of_another_node_or_format_is_written_anew_and_one_of_another_size_is_read_first() {
    let scratch = Scratch::new("recorder-foreign");
    let path = scratch.join("recorder");
    fs::write(&path, "something else").unwrap();
    assert_eq!(agent(file(&path, SIZE, "a"), 0..3, |_, _| {}).0, 0);
    assert_eq!(agent(file(&path, 2 * SIZE + 17, "b"), 9..9, |_, _| {}).0, 3);
    assert_eq!(fs::metadata(&path).unwrap().len(), 2 * SIZE);
    agent(file(&path, SIZE, "a"), 0..3, |_, _| {});
    let other = RecorderFile::new(&path, SIZE, "node2", "b", Arc::default());
    assert_eq!(agent(other, 3..6, |_, _| {}).0, 0);
    assert_eq!(agent(file(&path, SIZE, "c"), 6..7, |_, _| {}).0, 0, "it was node2's");
}

#[test]
fn a_path_that_is_no_file_is_counted_and_tried_again() {
    let scratch = Scratch::new("recorder-no-file");
    for kind in ["folder", "link", "missing folder"] {
        let path = scratch.join(&format!("{kind}/recorder"));
        let folder = path.parent().unwrap();
        match kind {
            "folder" => fs::create_dir_all(&path).unwrap(),
            "link" => {
                fs::create_dir_all(folder).unwrap();
                fs::write(folder.join("to"), "").unwrap();
                std::os::unix::fs::symlink("to", &path).unwrap();
            }
            _ => {}
        }
        let (_, metrics) = agent(file(&path, SIZE, "a"), 0..6, |n, metrics| {
            if n == 3 {
                assert!(errors(metrics) >= 3 && written(metrics) == 0, "{kind}");
                let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
                fs::create_dir_all(folder).unwrap();
            }
        });
        assert!(written(&metrics) > SIZE, "{kind}");
        assert_eq!(agent(file(&path, SIZE, "b"), 6..6, |_, _| {}).0, 6, "{kind}: nothing is lost");
    }
}

#[test]
fn a_file_that_is_removed_or_emptied_is_made_again() {
    let scratch = Scratch::new("recorder-removed");
    let path = scratch.join("recorder");
    agent(file(&path, SIZE, "a"), 0..6, |n, _| match n {
        2 => fs::remove_file(&path).unwrap(),
        4 => File::create(&path).map(drop).unwrap(),
        _ => {}
    });
    assert_eq!(agent(file(&path, SIZE, "b"), 6..6, |_, _| {}).0, 6);
}

#[test]
fn a_disk_that_hangs_holds_up_nobody_and_costs_bounded_memory() {
    let queue = SampleQueue::default();
    let taken = (0..100).filter(|n| queue.push(sample(*n))).count();
    assert_eq!(taken, RECORDER_QUEUE_MAX);
    queue.close();
    assert!((0..).map_while(|_| queue.next()).count() == RECORDER_QUEUE_MAX);
}
