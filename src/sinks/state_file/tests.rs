use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread;

use super::*;
use crate::core::detect::ledger::STATE_SCHEMA;
use crate::scratch::Scratch;

fn entry(key: &str) -> PodEntry {
    PodEntry { key: key.into(), uid: key.into(), ..PodEntry::default() }
}

/// Runs a ledger with these pods, as an agent does from its first LIST to its shutdown.
fn keep(path: &Path, keys: &[&str]) -> Metrics {
    let (ledger, metrics) = (
        Arc::new(SharedLedger::new(Ledger::new("node1", None), Arc::default())),
        Metrics::default(),
    );
    thread::scope(|scope| {
        scope.spawn(|| run(&ledger, path, &metrics, Clock::start()));
        keys.iter().for_each(|key| ledger.keep(entry(key)));
        ledger.complete();
        ledger.close();
    });
    metrics
}

fn keys(left: Option<PreviousState>) -> Option<Vec<String>> {
    left.map(|left| left.pods.iter().map(|pod| pod.key.to_string()).collect())
}

#[test]
fn what_was_kept_at_the_end_is_there_at_the_next_start() {
    let scratch = Scratch::new("state");
    let path = scratch.join("state");
    assert_eq!(read(&path, "node1"), None, "nothing yet, and no word about it");
    for pods in [&["a", "b"][..], &["c"]] {
        let metrics = keep(&path, pods);
        assert!(metrics.state_writes.get(StateWrite::Ok) >= 1);
        assert_eq!(keys(read(&path, "node1")).unwrap(), pods);
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1, "nothing beside it");
}

#[test]
fn before_everything_was_seen_once_the_old_page_stays() {
    let scratch = Scratch::new("state");
    let path = scratch.join("state");
    keep(&path, &["a"]);
    let (ledger, metrics) =
        (SharedLedger::new(Ledger::new("node1", None), Arc::default()), Metrics::default());
    ledger.keep(entry("b"));
    ledger.close();
    run(&ledger, &path, &metrics, Clock::start());
    assert_eq!(keys(read(&path, "node1")).unwrap(), ["a"]);
}

#[test]
fn a_file_of_no_use_is_set_aside() {
    let scratch = Scratch::new("state");
    let (path, aside) = (scratch.join("state"), scratch.join("state.unusable"));
    keep(&path, &["a"]);
    let good = fs::read(&path).unwrap();
    let newer = String::from_utf8(good.clone()).unwrap().replace(STATE_SCHEMA, "blackbox.state/v9");
    let enormous = vec![b' '; usize::try_from(STATE_FILE_BYTES_MAX).unwrap() + 1];
    for (bytes, node) in [
        (&good[..good.len() - 1], "node1"),
        (&good[..], "node2"),
        (newer.as_bytes(), "node1"),
        (&enormous[..], "node1"),
        (b"", "node1"),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path, node), None);
        assert!(!path.exists());
        assert_eq!(fs::read(&aside).unwrap(), bytes);
    }
    fs::create_dir(&path).unwrap();
    assert_eq!(read(&path, "node1"), None);
    assert!(path.is_dir(), "what is no file is not ours to move");
}

#[test]
fn a_page_that_cannot_be_written_is_tried_again() {
    let scratch = Scratch::new("state");
    let folder = scratch.join("folder");
    let path = folder.join("state");
    let metrics = keep(&path, &["a"]);
    assert_eq!(metrics.state_writes.get(StateWrite::Error), 1);

    let (ledger, clock) =
        (SharedLedger::new(Ledger::new("node1", None), Arc::default()), Clock::start());
    ledger.complete();
    thread::scope(|scope| {
        scope.spawn(|| run(&ledger, &path, &metrics, clock));
        while metrics.state_writes.get(StateWrite::Error) < 2 {
            thread::yield_now();
        }
        fs::create_dir(&folder).unwrap();
        // Closing does not wait for the next retry, and writes once more.
        ledger.close();
    });
    assert_eq!(keys(read(&path, "node1")).unwrap(), [""; 0]);
}
