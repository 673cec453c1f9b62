//! Benchmarks an event's way through the core, stage by stage, with the bytes of the recorded cluster.
//!
//! `limit/ignored` is the cost of any JSON parser that looks at each byte once: the same bytes parsed by `serde_json`
//! and discarded. Each stage checks its own result before it is measured.

mod logs;

use std::collections::HashSet;
use std::hint::black_box;
use std::time::Duration;

use blackbox_daemon::core::Now;
use blackbox_daemon::core::case::ContainerKind;
use blackbox_daemon::core::cause::{self, Cause, Source};
use blackbox_daemon::core::detect::classify::{self, TerminationFacts};
use blackbox_daemon::core::detect::{Detector, History, Output};
use blackbox_daemon::core::incident::recurrence::Recurrence;
use blackbox_daemon::core::incident::{Gathered, Incident, compose, line};
use blackbox_daemon::core::logs::mask::Mask;
use blackbox_daemon::core::stream::decode::{self, Decoded};
use blackbox_daemon::core::stream::frame::FrameSplitter;
use blackbox_daemon::core::wire::Pod;
use blackbox_daemon::limits::{CAUSE_LINE_BYTES_MAX, CAUSE_TEXT_BYTES_MAX};
use blackbox_daemon::metrics::Metrics;
use blackbox_daemon::metrics::process::ProcessStats;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use serde::de::IgnoredAny;

/// The maximum that one read of a TLS connection returns.
const BLOCK_BYTES: usize = 16 << 10;

fn recording() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/crash-zoo/pods.watch.jsonl");
    std::fs::read(path).unwrap()
}

fn split(bytes: &[u8], mut each: impl FnMut(&[u8])) {
    let mut splitter = FrameSplitter::default();
    for block in bytes.chunks(BLOCK_BYTES) {
        let mut frames = splitter.feed(block);
        while let Some(line) = frames.next() {
            each(line.unwrap());
        }
    }
}

const NOW: Now = Now { monotonic: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };

/// Returns the terminations in the container statuses, as the rules take them.
fn ends<'a>(decoded: &'a [Decoded<'_>]) -> Vec<TerminationFacts<'a>> {
    let pods = decoded.iter().filter_map(|decoded| match decoded {
        Decoded::Applied(pod) => Some(pod),
        _ => None,
    });
    let statuses = pods.flat_map(|pod| pod.status.container_statuses.iter());
    let states = statuses.flat_map(|status| [&status.state, &status.last_state]);
    let ends = states.filter_map(|state| state.terminated.as_ref());
    ends.map(|end| TerminationFacts {
        exit_code: end.exit_code,
        signal: end.signal,
        reason: &end.reason,
        kind: ContainerKind::App,
        restarts: true,
        under_deletion: false,
        teardown: false,
        hook_failed: false,
        start_failed: false,
    })
    .collect()
}

/// Returns all output of the detection for these lines.
fn detect(decoded: &[Decoded<'_>]) -> Vec<Output> {
    let (mut detector, mut out) = detector(decoded);
    detector.finish(NOW, &mut out);
    out
}

/// Returns a detector that has processed the lines, and its output.
fn detector(decoded: &[Decoded<'_>]) -> (Detector, Vec<Output>) {
    let now = NOW;
    let mut detector = Detector::new("node1", &[], History::All);
    let mut out = Vec::new();
    for decoded in decoded {
        match decoded {
            Decoded::Applied(pod) => detector.on_applied(pod, now, &mut out),
            Decoded::Deleted(pod) => detector.on_deleted(pod, now, &mut out),
            _ => {}
        }
    }
    (detector, out)
}

fn stages(criterion: &mut Criterion) {
    let bytes = recording();
    let mut lines = Vec::new();
    split(&bytes, |line| lines.push(line.to_vec()));
    assert_eq!(lines.len(), 622);

    let mut group = criterion.benchmark_group("bytes");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("limit/ignored", |b| {
        b.iter(|| {
            for line in &lines {
                black_box(serde_json::from_slice::<IgnoredAny>(black_box(line)).unwrap());
            }
        });
    });
    group.bench_function("frame", |b| {
        b.iter(|| {
            split(black_box(&bytes), |line| {
                black_box(line.len());
            });
        });
    });
    group.bench_function("parse", |b| {
        let mut scratch = String::new();
        b.iter(|| {
            for line in &lines {
                black_box(decode::line(black_box(line), &mut scratch, |_, _| false));
            }
        });
    });
    group.bench_function("parse/unchanged", |b| {
        let mut scratch = String::new();
        b.iter(|| {
            for line in &lines {
                black_box(decode::line(black_box(line), &mut scratch, |_, _| true));
            }
        });
    });
    group.finish();

    let decoded: Vec<Decoded<'_>> = lines
        .iter()
        .map(|line| decode::line(line, Box::leak(Box::default()), |_, _| false).0)
        .collect();
    let incidents: Vec<Incident> = detect(&decoded)
        .into_iter()
        .filter_map(|output| match output {
            Output::Crash(case) => Some(compose(*case, Gathered::default(), Recurrence::default())),
            _ => None,
        })
        .collect();
    // The events that name the causes of kills are missing here, so some kills are not reported.
    assert!(incidents.len() > 150, "{}", incidents.len());

    let mut group = criterion.benchmark_group("events");
    group.throughput(Throughput::Elements(lines.len() as u64));
    group.bench_function("table", |b| b.iter(|| black_box(detect(black_box(&decoded)))));
    group.finish();

    let pods: Vec<&Pod<'_>> = decoded
        .iter()
        .filter_map(|decoded| match decoded {
            Decoded::Applied(pod) => Some(pod),
            _ => None,
        })
        .collect();
    let (mut detector, mut out) = detector(&decoded);
    // Each pod's last state, which the detector already knows.
    let last: Vec<_> = pods
        .iter()
        .rev()
        .scan(HashSet::new(), |seen, pod| Some(seen.insert(&*pod.metadata.uid).then_some(*pod)))
        .flatten()
        .collect();
    let mut group = criterion.benchmark_group("events");
    group.throughput(Throughput::Elements(last.len() as u64));
    group.bench_function("table/unchanged", |b| {
        b.iter(|| last.iter().for_each(|pod| detector.on_applied(pod, NOW, &mut out)))
    });
    group.finish();

    let ends = ends(&decoded);
    assert!(ends.len() > 300, "{}", ends.len());
    let mut group = criterion.benchmark_group("ends");
    group.throughput(Throughput::Elements(ends.len() as u64));
    group.bench_function("classify", |b| {
        b.iter(|| {
            for end in &ends {
                black_box(classify::termination(black_box(end)));
            }
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("incidents");
    group.throughput(Throughput::Elements(incidents.len() as u64));
    group.bench_function("serialise", |b| {
        b.iter(|| incidents.iter().for_each(|incident| drop(black_box(line::line(incident)))));
    });
    group.finish();

    let metrics = Metrics::default();
    let process = ProcessStats::read("/proc".as_ref());
    criterion.bench_function("metrics/render", |b| {
        let mut page = String::new();
        b.iter(|| {
            page.clear();
            metrics.render(&process, &mut page);
            black_box(page.len())
        });
    });
}

/// Text that is hard to mask: everywhere something begins that does not end.
const HOSTILE: [&str; 10] = [
    "password=\"",
    "password: a b c d ",
    "password=\"must ' ",
    "token: ",
    "://",
    "a:b@://",
    "eyJ-",
    "-----BEGIN PRIVATE KEY-----",
    "a:@(",
    "curl -u a ",
];

/// Masks one line of a megabyte and of four: the time for a megabyte has to be the same.
fn hostile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    group.sample_size(10);
    for megabytes in [1, 4] {
        let bytes = megabytes << 20;
        group.throughput(Throughput::Bytes(bytes as u64));
        for piece in HOSTILE {
            let text = piece.repeat(bytes / piece.len());
            assert!(Mask::default().line(&text).len() <= 2 * text.len());
            group.bench_function(format!("{megabytes}MB/{piece}"), |b| {
                b.iter(|| black_box(Mask::default().line(black_box(&text)).len()));
            });
        }
    }
    group.finish();
}

/// Finds the cause in logs in which that is hard. None is to take more than 2 ms on an idle machine.
fn causes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cause");
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(50)).measurement_time(Duration::from_millis(200));
    for log in logs::all() {
        let lines = log.lines();
        let bytes: usize = lines.iter().map(|line| line.text.len() + 1).sum();
        assert!(bytes <= CAUSE_TEXT_BYTES_MAX && !lines.is_empty(), "{}", log.name);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(&log.name, |b| {
            b.iter(|| black_box(cause::find(black_box(&lines), 1, Source::Log)));
        });
    }
    // The signature of a message that is as long as a line.
    for piece in ["x", "x ", "1", "'", "\" "] {
        let message = piece.repeat(CAUSE_LINE_BYTES_MAX / piece.len());
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(format!("signature/{piece}"), |b| {
            b.iter(|| black_box(Cause::of_status("Error", black_box(&message))));
        });
    }
    group.finish();
}

criterion_group!(benches, stages, hostile, causes);
criterion_main!(benches);
