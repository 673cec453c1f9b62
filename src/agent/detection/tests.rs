//! Feeds the recorded cluster to the detection from several threads, as the agent does.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;

use jiff::Timestamp;

use super::*;
use crate::agent::dispatch::NoteLog;
use crate::agent::messages::LookupRequest;
use crate::core::case::Case;
use crate::core::detect::PodName;
use crate::core::detect::{Detector, History};
use crate::core::stream::reflector::Reflector;
use crate::limits::READ_BLOCK_BYTES;
use crate::node::cgroup::{CgroupTree, ContainerRecorder};
use crate::node::counters::KernelCounters;
use crate::node::flight::FlightRecorder;
use crate::node::procfs::{SystemRecorder, SystemSource};
use crate::runtime::clock::Clock;

/// Sends on the cases that the detection reports.
#[derive(Debug)]
struct Sender(mpsc::Sender<Box<Case>>);

impl EventHandler for Sender {
    fn on_pod_start(&mut self, _: &PodName) {}
    fn on_pod_stop(&mut self, _: &PodName) {}
    fn on_pod_crash(&mut self, case: Box<Case>) {
        self.0.send(case).unwrap();
    }
}

fn detection() -> (Detection<Sender>, Receiver<LookupRequest>, Receiver<Box<Case>>) {
    let started: Timestamp = "2026-11-23T03:31:00Z".parse().unwrap();
    let history = History::Before { started, lookback: Duration::ZERO };
    let second = Duration::from_secs(1);
    let nowhere = "/nowhere".as_ref();
    let containers = ContainerRecorder::new(CgroupTree::new(nowhere), second, second);
    let system = SystemRecorder::new(
        SystemSource::new(nowhere),
        KernelCounters::new(nowhere, nowhere),
        second,
        second,
    );
    let (wanted, looked_up) = mpsc::sync_channel(64);
    let (sender, incidents) = mpsc::channel();
    let detect = Pipeline {
        stream: Stream::new(
            Reflector::new(second, 90 * second, 7),
            Detector::new("node1", &[], history),
        ),
        requests: wanted,
        ledger: None,
        flight: Arc::new(FlightRecorder::new(containers, system, None)),
        handler: Sender(sender),
        metrics: Arc::default(),
        health: Arc::default(),
        clock: Clock::start(),
        log: NoteLog::default(),
    };
    (Detection::new(detect), looked_up, incidents)
}

/// Stops the detection when the test ends, also when it fails: the scope waits for the detection's thread.
struct Ending<'d>(&'d Detection<Sender>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Reads the recording as the thread "watch" reads responses.
fn read_recording(detection: &Detection<Sender>) {
    for (name, end) in [("pods.list.json", Some(WatchEnd::Clean)), ("pods.watch.jsonl", None)] {
        let path = format!("{}/fixtures/crash-zoo/{name}", env!("CARGO_MANIFEST_DIR"));
        assert!(!matches!(detection.next(), None | Some(Step::Wait { .. })));
        for block in std::fs::read(path).unwrap().chunks(READ_BLOCK_BYTES) {
            assert_eq!(detection.on_block(block), Flow::Continue);
        }
        if let Some(end) = end {
            detection.on_end(end);
        }
    }
}

#[test]
fn what_several_threads_hear_is_told_and_what_is_held_back_is_looked_at_in_time() {
    let (detection, wanted, incidents) = detection();
    thread::scope(|scope| {
        scope.spawn(|| detection.run());
        let _ending = Ending(&detection);
        // Wait until the thread sleeps. Nothing is due before its next tick.
        while detection.lock().unwrap().wakes_at.is_zero() {
            thread::yield_now();
        }
        read_recording(&detection);
        let mut answered = 0;
        loop {
            // The first lookups are due a second after a termination, long before the tick.
            match wanted.recv_timeout(if answered == 0 { DETECT_TICK / 2 } else { Duration::ZERO })
            {
                Ok(LookupRequest::Events { key, .. }) => {
                    detection.on_events(&key, &Lookup::Found(Vec::new()));
                    answered += 1;
                }
                Ok(LookupRequest::Node) => unreachable!("the enrich thread asks for it"),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => unreachable!("it has not ended"),
            }
        }
        assert!(answered > 0);
    });
    assert_eq!(incidents.iter().count(), 197);
}

#[test]
fn after_its_end_it_hears_nobody_and_has_let_go_of_all_channels() {
    let (detection, wanted, incidents) = detection();
    read_recording(&detection);
    detection.end();
    detection.run();
    assert_eq!(detection.next(), None);
    assert_eq!(detection.on_block(b"{}\n"), Flow::Stop);
    detection.on_end(WatchEnd::Clean);
    detection.on_failure(Failure::Unavailable);
    detection.on_events("key", &Lookup::Denied);
    assert!(matches!(wanted.try_recv(), Err(TryRecvError::Disconnected)));
    assert_eq!(incidents.iter().count(), 197);
}
