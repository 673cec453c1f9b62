//! The thread "watch": carries out what the reflector wants, and hands on the bytes.
//!
//! It does nothing else. The API server drops a watcher that is ten events behind, so the thread
//! that reads the socket must not parse, classify or wait for a sink; past the bound of the channel
//! it waits for the detection, and the server ends the watch: that is resumed where the detection
//! got to.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use log::debug;
use ureq::Timeout;

use crate::clock::Clock;
use crate::core::reflector::{Step, WatchEnd};
use crate::health::Health;
use crate::inbox::{Inbox, Message};
use crate::kube::{Client, Error, Patience};
use crate::limits::READ_BLOCK_BYTES;
use crate::metrics::{ErrorCode, Metrics, Permission, Verb};
use crate::once::Once;
use crate::stop::Stop;

/// The thread's state.
#[derive(Debug)]
pub struct Watch {
    /// Its own client.
    pub client: Client,
    /// The path of the node's pods, with the selector.
    pub path: String,
    /// `BLACKBOX_WATCH_IDLE_TIMEOUT`.
    pub idle_timeout: Duration,
    /// What the detection wants next.
    pub steps: Receiver<Step>,
    /// Where the bytes go.
    pub inbox: Arc<Inbox>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// What readiness is told.
    pub health: Arc<Health>,
    /// The clocks.
    pub clock: Clock,
    /// The word to stop.
    pub stop: Stop,
}

/// The path of the pods of a node. The selector is exactly what an authorizer that confines agents
/// to their node looks for.
pub fn pods_path(node_name: &str) -> String {
    format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node_name}")
}

impl Watch {
    /// Runs until it is stopped or the detection is gone.
    pub fn run(mut self) {
        let mut trouble = Once::new("API server");
        let mut watched = false;
        let mut buffer = vec![0; READ_BLOCK_BYTES];
        while let Ok(step) = self.steps.recv() {
            let (verb, path, patience) = match &step {
                Step::List { resource_version, reason } => {
                    self.metrics.lists.add(*reason);
                    let path = format!("{}&resourceVersion={resource_version}", self.path);
                    (Verb::List, path, Patience::Answer)
                }
                Step::Watch { resource_version, timeout_seconds } => {
                    if std::mem::replace(&mut watched, true) {
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
                Step::Wait { .. } => continue,
            };
            debug!("{verb:?} {path}");
            let message = match self.carry_out(verb, &path, patience, &mut buffer) {
                Ok(end) => {
                    trouble.over("it answers again");
                    Message::Ended(end)
                }
                Err(_) if self.stop.is_set() => return,
                Err(error) => {
                    self.count(&error);
                    trouble.say(&format!("{} of pods: {error}", verb_name(verb)));
                    Message::Failed(error.failure())
                }
            };
            if self.inbox.push(message).is_err() {
                return;
            }
        }
    }

    /// One request, to the end of its body. `Err`: it failed before there was one, or a LIST in it.
    fn carry_out(
        &mut self,
        verb: Verb,
        path: &str,
        patience: Patience,
        buffer: &mut [u8],
    ) -> Result<WatchEnd, Error> {
        self.metrics.api_requests.add(verb);
        let asked = self.clock.monotonic();
        let answer = self.client.get(path, patience);
        self.metrics.api_request_duration.observe(self.clock.monotonic().saturating_sub(asked));
        self.note_permission(verb, &answer);
        let mut body = answer?;
        loop {
            match body.read(buffer) {
                Ok(0) => return Ok(WatchEnd::Clean),
                Ok(len) => {
                    if self.inbox.push_bytes(&buffer[..len]).is_err() {
                        return Ok(WatchEnd::Clean);
                    }
                }
                Err(error) => {
                    drop(body);
                    let unwanted = self.client.is_interrupted();
                    self.client.renew();
                    if unwanted {
                        // The detection had enough of it, or the agent ends: no failure of anybody.
                        return Ok(WatchEnd::Cut);
                    }
                    if verb == Verb::List {
                        return Err(error);
                    }
                    self.count(&error);
                    debug!("the watch ended: {error}");
                    return Ok(match error {
                        Error::Timeout(Timeout::PerRead) => WatchEnd::Idle,
                        // The server forgot to end it; it was heard meanwhile.
                        Error::Timeout(_) => WatchEnd::Clean,
                        _ => WatchEnd::Cut,
                    });
                }
            }
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
        self.metrics.api_errors.add(error_code(error));
    }
}

/// The label of a failure.
pub fn error_code(error: &Error) -> ErrorCode {
    match error {
        Error::Status { code, .. } => ErrorCode::http(*code),
        Error::Timeout(_) => ErrorCode::Timeout,
        Error::Connect(_) => ErrorCode::Connect,
        Error::Tls(_) => ErrorCode::Tls,
        Error::Io(_) => ErrorCode::Io,
        Error::Protocol(_) => ErrorCode::Protocol,
    }
}

fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::List => "list",
        Verb::Watch => "watch",
        Verb::Get => "get",
    }
}
