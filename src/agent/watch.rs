//! The thread "watch": carries out the requests that the reflector asks for, and passes the bytes to the detection.
//!
//! Between two reads this thread waits for nothing: the API server drops a watcher that is ten events behind, beyond
//! what the socket buffers hold. If that happens, the watch is resumed from the resourceVersion that the detection
//! has reached.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::debug;
use ureq::Timeout;

use crate::agent::detection::{Detection, Hand};
use crate::core::stream::Flow;
use crate::core::stream::reflector::{Step, WatchEnd};
use crate::kube::{Client, Error, Patience};
use crate::limits::READ_BLOCK_BYTES;
use crate::metrics::health::Health;
use crate::metrics::{Metrics, Permission, Verb};
use crate::runtime::clock::Clock;
use crate::runtime::stop::Stop;
use crate::runtime::trouble::Once;

/// The thread's state.
#[derive(Debug)]
pub struct Watch {
    /// The thread's own client.
    pub client: Client,
    /// The path of the node's pods, with the selector.
    pub path: String,
    /// `BLACKBOX_WATCH_IDLE_TIMEOUT`.
    pub idle_timeout: Duration,
    /// The detection, which takes the bytes and returns the next request.
    pub detection: Arc<Detection<Hand>>,
    /// Metrics of the requests.
    pub metrics: Arc<Metrics>,
    /// The agent's health, for readiness.
    pub health: Arc<Health>,
    /// The clocks.
    pub clock: Clock,
    /// The stop flag.
    pub stop: Stop,
}

/// Returns the path of the pods of a node. The selector is exactly the one that an authorizer which confines agents
/// to their node looks for.
pub fn pods_path(node_name: &str) -> String {
    format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node_name}")
}

/// A name that no pod can have: names of pods are in lower case.
const NO_POD: &str = "NONE";

/// How the reading of a response finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Over(WatchEnd),
    /// The detection wants no more of the response.
    Dropped,
}

impl Watch {
    /// Runs until the stop flag is set or the detection has finished.
    pub fn run(mut self) {
        let mut trouble = Once::new(module_path!(), "API server");
        // True if the last watch did not end at its requested timeout.
        let mut is_broken = false;
        let mut buffer = vec![0; READ_BLOCK_BYTES];
        while let Some(step) = self.detection.next() {
            let (verb, path, patience) = match &step {
                Step::List { resource_version, reason } => {
                    self.metrics.lists.add(*reason);
                    let path = format!("{}&resourceVersion={resource_version}", self.path);
                    (Verb::List, path, Patience::Answer)
                }
                Step::Version => {
                    let path =
                        format!("{}%2Cmetadata.name%3D{NO_POD}&resourceVersion=0", self.path);
                    (Verb::List, path, Patience::Answer)
                }
                Step::Watch { resource_version, timeout_seconds } => {
                    if std::mem::take(&mut is_broken) {
                        self.metrics.watch_reconnections.fetch_add(1, Ordering::Relaxed);
                    }
                    let path = format!(
                        "{}&watch=1&allowWatchBookmarks=true&resourceVersion={resource_version}\
                         &timeoutSeconds={timeout_seconds}",
                        self.path
                    );
                    let (timeout_seconds, idle) = (*timeout_seconds, self.idle_timeout);
                    (Verb::Watch, path, Patience::Stream { timeout_seconds, idle })
                }
                Step::Wait { until } => {
                    if self.stop.wait(until.saturating_sub(self.clock.monotonic())) {
                        return;
                    }
                    continue;
                }
            };
            debug!("{verb:?} {path}");
            let read = self.carry_out(verb, &path, patience, &mut buffer);
            if self.stop.is_set() {
                return;
            }
            match read {
                Ok(read) => {
                    trouble.over("it answers again");
                    let is_on_time = match read {
                        Read::Over(end) => self.detection.on_end(end),
                        Read::Dropped => false,
                    };
                    is_broken |= verb == Verb::Watch && !is_on_time;
                }
                Err(error) => {
                    is_broken |= verb == Verb::Watch;
                    self.count(&error);
                    trouble.say(&format!("{} of pods: {error}", verb_name(verb)));
                    self.detection.on_failure(error.failure());
                }
            }
        }
    }

    /// Sends one request and reads the body of its response. Returns `Err` if the request failed before there was a
    /// body, or if the body of a LIST broke off.
    fn carry_out(
        &mut self,
        verb: Verb,
        path: &str,
        patience: Patience,
        buffer: &mut [u8],
    ) -> Result<Read, Error> {
        self.metrics.api_requests.add(verb);
        let asked = self.clock.monotonic();
        let answer = self.client.get(path, patience);
        self.metrics.api_request_duration.observe(self.clock.monotonic().saturating_sub(asked));
        self.note_permission(verb, &answer);
        let mut body = answer?;
        let read = loop {
            match body.read(buffer) {
                Ok(0) => return Ok(Read::Over(WatchEnd::Clean)),
                Ok(len) => {
                    if self.detection.on_block(&buffer[..len]) == Flow::Stop {
                        break Ok(Read::Dropped);
                    }
                }
                Err(error) if verb == Verb::List => break Err(error),
                Err(error) => break Ok(Read::Over(self.end_of_watch(&error))),
            }
        };
        drop(body);
        // The connection may still hold the rest of the response.
        self.client.renew();
        read
    }

    /// Returns how a broken watch ended.
    fn end_of_watch(&self, error: &Error) -> WatchEnd {
        if self.stop.is_set() {
            return WatchEnd::Cut;
        }
        self.count(error);
        debug!("the watch ended: {error}");
        match error {
            Error::Timeout(Timeout::PerRead) => WatchEnd::Idle,
            // The server did not end the watch in time, but it sent data until now.
            Error::Timeout(_) => WatchEnd::Clean,
            _ => WatchEnd::Cut,
        }
    }

    fn note_permission(&self, verb: Verb, answer: &Result<crate::kube::Body, Error>) {
        let right = match verb {
            Verb::List => Permission::ListPods,
            Verb::Watch | Verb::Get => Permission::WatchPods,
        };
        match answer {
            Ok(_) => {
                self.metrics.permission.set(right, 1);
                self.health.denied(false);
            }
            Err(error) if matches!(error.code(), Some(401 | 403)) => {
                self.metrics.permission.set(right, 0);
                self.health.denied(true);
            }
            Err(_) => {}
        }
    }

    fn count(&self, error: &Error) {
        self.metrics.api_errors.add(error.into());
    }
}

fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::List => "list",
        Verb::Watch => "watch",
        Verb::Get => "get",
    }
}
