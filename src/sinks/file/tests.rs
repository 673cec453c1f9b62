use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::core::case::IncidentId;
use crate::scratch::Scratch;
use crate::sinks::SinkHandle;

/// Returns the `n`-th line; all lines have the same length.
fn line(n: usize) -> String {
    let id = IncidentId::of_test(&n.to_string());
    format!(
        r#"{{"schema":"blackbox.incident/v1","id":"{id}","namespace":"shop","pod_name":"web-{n:06}","pod_uid":"u","container":"app","metadata":{{"restarts":{{"ended":1}}}}}}"#
    ) + "\n"
}

fn delivery(n: usize) -> Arc<Delivery> {
    let id = IncidentId::of_test(&n.to_string());
    Arc::new(Delivery { id, ..Delivery::of_line(&line(n), 1) })
}

struct Bench {
    scratch: Scratch,
    metrics: Arc<Metrics>,
    file: IncidentFile,
}

impl Bench {
    fn new() -> Self {
        Self::with(Scratch::new("incidents"), 1 << 20)
    }

    fn with(scratch: Scratch, bytes_max: u64) -> Self {
        let metrics = Arc::new(Metrics::default());
        let file = IncidentFile::new(&scratch.join("incidents"), bytes_max, metrics.clone());
        Self { scratch, metrics, file }
    }

    /// Simulates the next agent, on the same file.
    fn again(self) -> Self {
        let bytes_max = self.file.bytes_max;
        Self::with(self.scratch, bytes_max)
    }

    /// Writes a batch; returns the number of lines left in it, and the result.
    fn write(&mut self, numbers: impl IntoIterator<Item = usize>) -> (usize, io::Result<()>) {
        let mut batch: VecDeque<_> = numbers.into_iter().map(delivery).collect();
        (0..batch.len()).for_each(|_| self.metrics.sink_queued.add(SinkName::File));
        let result = self.file.write(&mut batch);
        (batch.len(), result)
    }

    #[track_caller]
    fn write_all(&mut self, numbers: impl IntoIterator<Item = usize>) {
        let (left, result) = self.write(numbers);
        result.unwrap();
        assert_eq!(left, 0);
    }

    fn text_of(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.scratch.join(name)).unwrap_or_default()).into_owned()
    }

    fn text(&self) -> String {
        self.text_of("incidents")
    }

    fn torn(&self) -> u64 {
        self.metrics.incident_file_torn.load(Ordering::Relaxed)
    }
}

fn lines(numbers: impl IntoIterator<Item = usize>) -> String {
    numbers.into_iter().map(line).collect()
}

#[test]
fn each_line_is_written_once_for_its_owner_alone() {
    let mut b = Bench::new();
    b.write_all([1, 2]);
    b.write_all([3]);
    assert_eq!(b.text(), lines([1, 2, 3]));
    let mode = fs::metadata(b.scratch.join("incidents")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(b.metrics.sink_written.get(SinkName::File), 3);
    assert_eq!(b.metrics.sink_queued.get(SinkName::File), 0);

    // The next agent knows the lines in the file, so it does not write them twice.
    let mut b = b.again();
    b.write_all([2, 4, 3]);
    assert_eq!(b.text(), lines([1, 2, 3, 4]));
    assert_eq!(b.metrics.sink_written.get(SinkName::File), 1);
}

#[test]
fn what_the_file_says_is_read_back_in_its_order_over_all_its_parts() {
    let three = 3 * line(0).len() as u64;
    let mut b = Bench::with(Scratch::new("incidents"), three);
    b.write_all(0..10);
    let mut b = b.again();
    let mut read = Vec::new();
    b.file.read_back(|reported| read.push(reported.entry.name.to_string())).unwrap();
    let want: Vec<_> = (0..10).map(|n| format!("web-{n:06}")).collect();
    assert_eq!(read, want);
    assert!(b.file.holds(IncidentId::of_test("9").short()));
    assert!(!b.file.holds(IncidentId::of_test("10").short()));
}

#[test]
fn a_line_about_the_node_is_in_the_file_though_it_says_nothing_of_a_pod() {
    let b = Bench::new();
    let pod = line(1);
    let node = line(2).replace("web-000002", "").replace(r#""u""#, r#""""#);
    fs::write(b.scratch.join("incidents"), pod + &node + "{}\n").unwrap();
    let mut b = b.again();
    let mut pods = 0;
    b.file.read_back(|_| pods += 1).unwrap();
    assert_eq!(pods, 1);
    for n in ["1", "2"] {
        assert!(b.file.holds(IncidentId::of_test(n).short()), "{n}");
    }
}

#[test]
fn it_is_rotated_before_it_exceeds_its_size_and_the_oldest_part_goes() {
    let two = 2 * line(0).len() as u64 + 7;
    let mut b = Bench::with(Scratch::new("incidents"), two);
    b.write_all(0..11);
    let parts = ["incidents.3", "incidents.2", "incidents.1", "incidents"].map(|n| b.text_of(n));
    assert_eq!(parts, [lines([4, 5]), lines([6, 7]), lines([8, 9]), lines([10])]);
    assert_eq!(fs::read_dir(b.scratch.path()).unwrap().count(), INCIDENT_FILES_MAX);
    assert_eq!(b.metrics.incident_file_rotations.load(Ordering::Relaxed), 5);

    // A line longer than the size limit of a file gets a file of its own.
    let mut b = Bench::with(Scratch::new("incidents"), 10);
    b.write_all(0..2);
    assert_eq!((b.text(), b.text_of("incidents.1")), (line(1), line(0)));
}

#[test]
fn a_torn_line_is_cut_off_wherever_it_breaks_off() {
    for len in 1..line(2).len() {
        for zeros in [0, 100] {
            let mut b = Bench::new();
            let torn = [line(1).as_bytes(), &line(2).as_bytes()[..len], &vec![0; zeros]].concat();
            fs::write(b.scratch.join("incidents"), torn).unwrap();
            b.write_all([1, 2]);
            assert_eq!((b.text(), b.torn()), (lines([1, 2]), 1), "{len}");
            assert!(b.file.was_torn());
        }
    }
    // Many more zero bytes than one repair step reads.
    let mut b = Bench::new();
    let torn = [line(1).as_bytes(), &vec![0; 5 * INCIDENT_REPAIR_BYTES]].concat();
    fs::write(b.scratch.join("incidents"), torn).unwrap();
    b.write_all([2]);
    assert_eq!(b.text(), lines([1, 2]));
}

#[test]
fn other_words_at_the_end_are_left_and_the_next_line_begins_on_its_own() {
    let mut b = Bench::new();
    fs::write(b.scratch.join("incidents"), "hello").unwrap();
    b.write_all([1]);
    assert_eq!(b.text(), format!("hello\n{}", line(1)));
    let long = "x".repeat(INCIDENT_REPAIR_BYTES + 1);
    fs::write(b.scratch.join("incidents"), &long).unwrap();
    let mut b = b.again();
    b.write_all([2]);
    assert_eq!(b.text(), format!("{long}\n{}", line(2)));
}

#[test]
fn a_file_that_another_tool_took_away_or_emptied_is_made_anew() {
    let mut b = Bench::new();
    b.write_all([1]);
    fs::remove_file(b.scratch.join("incidents")).unwrap();
    b.write_all([2]);
    assert_eq!(b.text(), line(2));
    fs::rename(b.scratch.join("incidents"), b.scratch.join("elsewhere")).unwrap();
    b.write_all([3]);
    assert_eq!((b.text(), b.text_of("elsewhere")), (line(3), line(2)));
    // Truncated in place, as logrotate's `copytruncate` does.
    fs::write(b.scratch.join("incidents"), "").unwrap();
    b.write_all([4]);
    assert_eq!(b.text(), line(4));
}

#[test]
fn what_cannot_be_written_stays_in_its_order() {
    let mut b = Bench::new();
    let path = b.scratch.join("incidents");
    fs::create_dir(&path).unwrap();
    let (left, result) = b.write(0..3);
    assert_eq!(left, 3);
    assert!(result.unwrap_err().to_string().contains("directory"));
    fs::remove_dir(&path).unwrap();
    // Opening a pipe would block the agent until a reader opens it.
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(b.write([3]).0, 1);
    fs::remove_file(&path).unwrap();
    fs::remove_dir(b.scratch.path()).unwrap();
    let (left, result) = b.write([3]);
    assert_eq!((left, result.unwrap_err().kind()), (1, io::ErrorKind::NotFound));
    fs::create_dir(b.scratch.path()).unwrap();
    b.write_all([4]);
    assert_eq!(b.text(), line(4));
}

#[test]
fn a_folder_with_the_name_of_a_rotated_file_is_named_and_left_where_it_is() {
    let two = 2 * line(0).len() as u64 + 7;
    for name in ["incidents.1", "incidents.2", "incidents.3"] {
        let b = Bench::with(Scratch::new("incidents"), two);
        let folder = b.scratch.join(name);
        fs::create_dir_all(folder.join("of another")).unwrap();
        let mut b = b.again();
        // As long as nothing is to be rotated, the folder is in nobody's way.
        b.write_all(0..2);
        let (left, result) = b.write(2..4);
        assert_eq!(left, 2);
        let want = format!("{} is not a regular file", folder.display());
        assert_eq!(result.unwrap_err().to_string(), want);
        assert!(folder.join("of another").is_dir());
        fs::remove_dir_all(&folder).unwrap();
        b.write_all(2..4);
        assert_eq!((b.text(), b.text_of("incidents.1")), (lines([2, 3]), lines([0, 1])));
    }
}

#[test]
fn a_full_disk_takes_what_fits_and_the_rest_later_whole() {
    // /dev/full accepts no byte; the files beside it are never touched.
    let mut b = Bench::new();
    b.write_all([1]);
    let whole = b.file.open.take().unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    b.file.open = Some(Open { file: full, ..whole });
    let result = b.file.write_line(line(2).as_bytes());
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    b.file.open = None;
    b.write_all([2]);
    assert_eq!(b.text(), lines([1, 2]));
}

#[test]
fn at_the_agents_end_all_is_written_and_a_broken_disk_is_not_waited_for() {
    for is_broken in [false, true] {
        let Bench { scratch, metrics, file } = Bench::new();
        let mut sink = SinkHandle::new(SinkName::File, "node1", metrics.clone());
        let queue = sink.queue();
        (0..200).for_each(|n| sink.send(delivery(n)));
        drop(sink);
        if is_broken {
            fs::create_dir(scratch.join("incidents")).unwrap();
        }
        run(&queue, file);
        let (queued, written) = if is_broken { (200, 0) } else { (0, 200) };
        assert_eq!(metrics.sink_queued.get(SinkName::File), queued);
        assert_eq!(metrics.sink_written.get(SinkName::File), written);
        assert_eq!(metrics.sink_errors.get(SinkName::File), queued / 200);
    }
}
