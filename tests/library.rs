//! The agent inside another program: a handler of that program's own gets what was detected.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use blackbox_daemon::agent::handler::EventHandler;
use blackbox_daemon::agent::{self, Error};
use blackbox_daemon::config::Config;
use blackbox_daemon::core::case::Case;
use blackbox_daemon::core::detect::PodName;
use blackbox_daemon::runtime::log_queue::LogQueue;

use support::crash::{crash, pod};
use support::{FakeApi, Options, PATIENCE, Scratch};

/// Passes on each call. At a crash, it waits for a word of the test; without one, it panics.
struct Relay {
    calls: Sender<String>,
    words: Receiver<()>,
}

impl EventHandler for Relay {
    fn on_pod_start(&mut self, pod: &PodName) {
        self.calls.send(format!("start {}", pod.name)).unwrap();
    }

    fn on_pod_crash(&mut self, case: Box<Case>) {
        self.calls.send(format!("crash {} {}", case.pod.name, case.id)).unwrap();
        // An error: the test wants a panic.
        self.words.recv().unwrap();
    }

    fn on_pod_stop(&mut self, pod: &PodName) {
        self.calls.send(format!("stop {}", pod.name)).unwrap();
    }
}

#[test]
fn a_handler_may_block_without_holding_up_the_agent_and_ends_it_by_a_panic() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("library"));
    let (kubeconfig, file) = (scratch.join("kubeconfig"), scratch.join("incidents.jsonl"));
    api.write_kubeconfig(&kubeconfig);
    let path = |path: &std::path::Path| path.to_owned().into_os_string();
    let config = Config::from_env([
        ("NODE_NAME".into(), "node1".into()),
        ("KUBECONFIG".into(), path(&kubeconfig)),
        ("BLACKBOX_LISTEN".into(), "127.0.0.1:0".into()),
        ("BLACKBOX_INCIDENT_FILE".into(), path(&file)),
    ]);
    let config = config.unwrap();
    let (calls, received) = mpsc::channel();
    let (word, words) = mpsc::channel();
    let relay = Relay { calls, words };
    let builder = thread::Builder::new();
    let agent = builder
        .spawn(move || agent::run_with(&config, &LogQueue::default(), Box::new(relay)))
        .unwrap();
    assert!(support::clock::eventually(PATIENCE, || api.open_watches() == 1));
    let next = || received.recv_timeout(PATIENCE).unwrap();

    crash(&api, "first");
    assert_eq!(next(), "start first");
    let call = next();
    let id = call.strip_prefix("crash first ").unwrap();
    // The handler waits now, and the agent goes on: it writes both lines.
    crash(&api, "second");
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    assert!(support::clock::eventually(PATIENCE, || lines().lines().count() == 2), "{}", lines());
    assert!(lines().lines().next().unwrap().contains(id), "the line has the id of the call");
    assert!(received.try_recv().is_err(), "the calls come one after the other");

    word.send(()).unwrap();
    assert_eq!(next(), "start second");
    assert!(next().starts_with("crash second "));
    drop(word);
    let ended = agent.join().unwrap();
    assert!(matches!(ended, Err(Error::Ended("handler"))), "{ended:?}");
    // What was queued after the panic has no receiver.
    api.apply(pod("third", 0));
    assert!(received.recv().is_err());
}
