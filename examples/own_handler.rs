//! Runs the agent inside another program, which does something of its own at each crash. It needs the agent's settings
//! in the environment: at least `NODE_NAME`, and `KUBECONFIG` outside of a cluster.
//!
//! ```text
//! NODE_NAME=node1 KUBECONFIG=~/.kube/config cargo run --example own_handler >incidents.jsonl
//! ```

#![allow(clippy::print_stderr, reason = "that is what this handler does")]

use std::process::ExitCode;

use blackbox_daemon::agent::{self, handler::EventHandler};
use blackbox_daemon::config::Config;
use blackbox_daemon::core::case::Case;
use blackbox_daemon::core::detect::PodName;
use blackbox_daemon::runtime::log_queue::LogQueue;

/// Counts the pods that run, and says which one crashed.
#[derive(Default)]
struct Counter {
    running: u64,
}

impl EventHandler for Counter {
    fn on_pod_start(&mut self, _: &PodName) {
        self.running += 1;
    }

    fn on_pod_crash(&mut self, case: Box<Case>) {
        // It may take its time: the agent does not wait for it.
        let (namespace, name) = (&case.pod.namespace, &case.pod.name);
        eprintln!("{namespace}/{name}: {}, {} pods were started", case.kind.name(), self.running);
    }

    fn on_pod_stop(&mut self, _: &PodName) {
        self.running = self.running.saturating_sub(1);
    }

    fn on_missed(&mut self, calls: u64) {
        eprintln!("{calls} calls were lost: this handler is too slow");
    }
}

fn main() -> ExitCode {
    let config = match Config::from_env(std::env::vars_os()) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(2);
        }
    };
    // Incident lines go to standard output, as in the agent's own program.
    match agent::run_with(&config, &LogQueue::default(), Box::new(Counter::default())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
