//! The thread's files: journals that rotate, plain logs that rotate, and what is none of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use super::*;
use crate::core::journal::tests::writer::{Writer, kernel, service};
use crate::core::kernel::LimitOf;

/// A folder of logs that is removed at the end.
struct Logs(PathBuf);

impl Logs {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("blackbox-log-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("journal/machine")).unwrap();
        Self(root)
    }

    fn journal(&self, name: &str, file: &Writer) {
        self.write(&format!("journal/machine/{name}"), file.bytes());
    }

    /// Writes in place, as journald and rsyslog do.
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.0.join(from), self.0.join(to)).unwrap();
    }

    fn source(&self) -> KernelLogSource {
        let boot_id = Some(Writer::BOOT);
        KernelLogSource { folders: vec![self.0.clone()], pstore: None, boot_id, last_boot: None }
    }

    fn follower(&self) -> Follower {
        Follower::new(self.source())
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads rounds until nothing is left, and returns the texts.
fn read(follower: &mut Follower, second: u64) -> Vec<String> {
    let mut lines = Vec::new();
    let wall = Timestamp::from_second(1_764_000_000).unwrap();
    while follower.read(Duration::from_secs(second), wall, &mut lines).unwrap() == Progress::More {}
    lines.into_iter().map(|line| line.text).collect()
}

#[test]
fn the_kernels_lines_of_the_journal_are_followed_over_rotations() {
    let logs = Logs::new("rotation");
    let mut first = Writer::new(true);
    first.add(&service("no line of the kernel"));
    first.add(&kernel(4, "one"));
    logs.journal("system.journal", &first);
    // Other machines' and users' files, and what is no journal, change nothing.
    logs.journal("user-1000.journal", &first);
    logs.write("journal/machine/system@broken.journal", "x");
    symlink("system.journal", logs.0.join("journal/machine/system@link.journal")).unwrap();
    let mut follower = logs.follower();
    assert_eq!(read(&mut follower, 0), ["one"]);
    assert_eq!(read(&mut follower, 5), [""; 0]);
    first.add(&kernel(4, "two"));
    logs.journal("system.journal", &first);
    assert_eq!(read(&mut follower, 10), ["two"]);
    // What was written just before the rotation is read from the old file.
    first.add(&kernel(4, "three"));
    logs.journal("system.journal", &first);
    logs.rename("journal/machine/system.journal", "journal/machine/system@1.journal");
    let mut second = Writer::following(4);
    second.add(&kernel(4, "four"));
    logs.journal("system.journal", &second);
    assert_eq!(read(&mut follower, 15), ["three", "four"]);
    // Two rotations between two rounds.
    second.add(&kernel(4, "five"));
    logs.journal("system.journal", &second);
    logs.rename("journal/machine/system.journal", "journal/machine/system@2.journal");
    let mut third = Writer::following(6);
    third.add(&kernel(4, "six"));
    logs.journal("system@3.journal", &third);
    let mut fourth = Writer::following(7);
    fourth.add(&service("nothing of the kernel yet"));
    logs.journal("system.journal", &fourth);
    assert_eq!(read(&mut follower, 20), ["five", "six"]);
    fourth.add(&kernel(4, "seven"));
    logs.journal("system.journal", &fourth);
    assert_eq!(read(&mut follower, 25), ["seven"]);
    assert_eq!(read(&mut follower, 1000), [""; 0]);
}

#[test]
fn the_file_that_is_written_is_found_among_those_of_many_users_and_machines() {
    let logs = Logs::new("many");
    let mut file = Writer::new(true);
    file.add(&kernel(4, "one"));
    for n in 0..600 {
        logs.write(&format!("journal/machine/user-{n}.journal"), "");
    }
    logs.journal("system.journal", &file);
    // An image that was cloned brings the journal of its first machine, of an earlier boot, and with a later time.
    let mut cloned = Writer::new(true);
    cloned.later_us = 1 << 40;
    cloned.add(&kernel(4, "cloned"));
    cloned.put(56, 7);
    fs::create_dir(logs.0.join("journal/cloned")).unwrap();
    logs.write("journal/cloned/system.journal", cloned.bytes());
    assert_eq!(read(&mut logs.follower(), 0), ["one"]);
}

#[test]
fn lines_of_another_boot_are_left_out() {
    let logs = Logs::new("boot");
    let mut file = Writer::new(false);
    file.add(&kernel(4, "one"));
    logs.journal("system.journal", &file);
    let mut source = logs.source();
    source.boot_id = Some(Id([1; 16]));
    assert_eq!(read(&mut Follower::new(source.clone()), 0), [""; 0]);
    source.boot_id = None;
    assert_eq!(read(&mut Follower::new(source), 0), ["one"]);
}

#[test]
fn a_plain_log_is_followed_where_there_is_no_journal() {
    let logs = Logs::new("plain");
    logs.write("syslog", "Nov 26 17:58:27 n kernel: of syslog\n");
    logs.write(
        "messages",
        "Nov 26 17:58:27 n kernel: old, its time is not known\n2026-11-26T17:58:27Z n kernel: one\nNov 26 17:58:27 n sshd: x\n",
    );
    let mut follower = logs.follower();
    assert_eq!(read(&mut follower, 0), ["one"]);
    let append = |text: &str| {
        let old = fs::read(logs.0.join("messages")).unwrap();
        logs.write("messages", [&old, text.as_bytes()].concat());
    };
    append("Nov 26 17:58:28 n kernel: [1.0] t");
    assert_eq!(read(&mut follower, 5), [""; 0]);
    append("wo\n");
    assert_eq!(read(&mut follower, 10), ["two"]);
    append("Nov 26 17:58:29 n kernel: three\n");
    logs.rename("messages", "messages.1");
    logs.write("messages", "Nov 26 17:58:30 n kernel: four\n");
    assert_eq!(read(&mut follower, 15), ["three"]);
    assert_eq!(read(&mut follower, 20), ["four"]);
    // It is emptied in place.
    logs.write("messages", "");
    assert_eq!(read(&mut follower, 25), [""; 0]);
    append("Nov 26 17:58:31 n kernel: five\n");
    assert_eq!(read(&mut follower, 30), ["five"]);
    // journald was started.
    let mut file = Writer::new(true);
    file.add(&kernel(4, "six"));
    logs.journal("system.journal", &file);
    assert_eq!(read(&mut follower, 95), ["six"]);
}

#[test]
fn what_is_missing_is_named() {
    let logs = Logs::new("missing");
    let mut lines = Vec::new();
    let mut read = || logs.follower().read(Duration::ZERO, Timestamp::UNIX_EPOCH, &mut lines);
    let why = read().unwrap_err();
    assert!(why.starts_with("no journal, kern.log, messages or syslog in /"), "{why}");
    fs::create_dir(logs.0.join("kern.log")).unwrap();
    let why = read().unwrap_err();
    assert!(why.ends_with("kern.log: it is a directory"), "{why}");
    // A journal that cannot be read says more.
    logs.write("journal/machine/system.journal", "no journal");
    let why = read().unwrap_err();
    assert!(why.ends_with("machine/system.journal: it is no journal file"), "{why}");
}

#[test]
fn an_incident_gets_the_line_that_was_written_a_moment_ago() {
    let logs = Logs::new("asked");
    let id = "4f0f3e1f".repeat(8);
    let (now, mut file) = (Clock::start().wall(), Writer::new(true));
    file.later_us = micros(now) - Writer::time(3);
    file.add(&kernel(4, "an old line"));
    logs.journal("system.journal", &file);
    let (log, source) = (Arc::new(KernelLog::default()), logs.source());
    let (shared, metrics) = (log.clone(), Metrics::default());
    let thread = std::thread::Builder::new().name("kernel".to_owned());
    thread.spawn(move || run(&shared, &source, &metrics, Clock::start())).unwrap();
    let ended = Ended {
        pod_key: "u",
        container_id: Some(&id),
        is_alone: false,
        started: None,
        at: now,
        signal: Some(9),
    };
    let window = Duration::from_secs(300);
    // Until the thread's first round is over, there is nothing to wait for longer than a moment.
    while log.words(&ended, window).1.is_some() {}
    assert_eq!(log.words(&ended, window), (KernelWords::default(), None));
    file.add(&kernel(
        6,
        &format!("Memory cgroup stats for /kubepods.slice/cri-containerd-{id}.scope:"),
    ));
    let killed = "Memory cgroup out of memory: Killed process 4312 (java) total-vm:9kB, anon-rss:509952kB, file-rss:0kB, shmem-rss:0kB";
    file.add(&kernel(3, killed));
    logs.journal("system.journal", &file);
    let (words, gap) = log.words(&ended, window);
    assert_eq!(gap, None);
    let victim = words.oom_kill.unwrap();
    assert_eq!((&*victim.process, victim.pid, victim.resident_bytes), ("java", 4312, 498 << 20));
    assert_eq!(victim.limit_of, Some(LimitOf::Container));
    // A thread that hangs is waited for once.
    let hanging = KernelLog::default();
    for _ in 0..1000 {
        let (words, gap) = hanging.words(&ended, window);
        assert_eq!(words, KernelWords::default());
        assert_eq!(gap.unwrap().why, "its files could not be read in time");
    }
    // Not waited for: nobody follows the log.
    let off = KernelLog::default();
    off.lock().is_off = true;
    assert_eq!(off.words(&ended, window), (KernelWords::default(), None));
}
