//! The thread "watch": carries out the requests that the reflector asks for, and passes the bytes to the detection.
//!
//! Between two reads this thread waits for nothing: the API server drops a watcher that is ten events behind, beyond
//! what the socket buffers hold. If that happens, the watch is resumed from the resourceVersion that the detection
//! has reached.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::debug;
use memchr::memrchr;
use ureq::Timeout;

use crate::agent::detection::Detection;
use crate::agent::handler::EventHandler;
use crate::core::stream::Flow;
use crate::core::stream::reflector::{Step, WatchEnd};
use crate::kube::api::{Answer, ApiClient, ApiError};
use crate::limits::READ_BLOCK_BYTES;
use crate::metrics::Metrics;
use crate::metrics::health::Health;
use crate::metrics::heartbeat::Worker;
use crate::runtime::clock::Clock;
use crate::runtime::stop::Stop;
use crate::runtime::trouble::Trouble;

/// The thread's state.
#[derive(Debug)]
pub struct Watch<H> {
    /// The thread's own client.
    pub client: ApiClient,
    /// `BLACKBOX_WATCH_IDLE_TIMEOUT`.
    pub idle_timeout: Duration,
    /// The detection, which takes the bytes and returns the next request.
    pub detection: Arc<Detection<H>>,
    /// Metrics of the requests.
    pub metrics: Arc<Metrics>,
    /// The agent's health, for readiness.
    pub health: Arc<Health>,
    /// The clocks.
    pub clock: Clock,
    /// The stop flag.
    pub stop: Stop,
}

/// How the reading of a response finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Over(WatchEnd),
    /// The detection wants no more of the response.
    Dropped,
}

impl<H: EventHandler> Watch<H> {
    /// Runs until the stop flag is set or the detection has finished.
    pub fn run(mut self) {
        let mut trouble = Trouble::new(module_path!(), "API server");
        // True if the last watch did not end at its requested timeout.
        let mut is_broken = false;
        let mut buffer = vec![0; READ_BLOCK_BYTES];
        while let Some(step) = self.detection.next() {
            let metrics = self.metrics.clone();
            let busy = metrics.heartbeats.busy(Worker::Watch);
            let answer = match &step {
                Step::List { resource_version, reason } => {
                    self.metrics.lists.add(*reason);
                    let answer = self.client.list_pods(resource_version);
                    self.note_permission(&answer);
                    answer
                }
                Step::Version => self.client.pods_version(),
                Step::Watch { resource_version, timeout_seconds } => {
                    if std::mem::take(&mut is_broken) {
                        self.metrics.watch_reconnections.fetch_add(1, Ordering::Relaxed);
                    }
                    let idle = self.idle_timeout;
                    let answer = self.client.watch_pods(resource_version, *timeout_seconds, idle);
                    self.note_permission(&answer);
                    answer
                }
                Step::Wait { until } => {
                    drop(busy);
                    if self.stop.wait(until.saturating_sub(self.clock.monotonic())) {
                        return;
                    }
                    continue;
                }
            };
            drop(busy);
            let is_watch = matches!(step, Step::Watch { .. });
            let read = answer.and_then(|answer| self.read(answer, is_watch, &mut buffer));
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
                    is_broken |= is_watch && !is_on_time;
                }
                Err(error) => {
                    is_broken |= is_watch;
                    let verb = if is_watch { "watch" } else { "list" };
                    trouble.warn(&format!("{verb} of pods: {error}"));
                    self.detection.on_failure(error.failure());
                }
            }
        }
    }

    /// Passes the body of an answer to the detection. Returns `Err` if the body of a LIST broke off.
    fn read(
        &mut self,
        mut answer: Answer,
        is_watch: bool,
        buffer: &mut [u8],
    ) -> Result<Read, ApiError> {
        // Since when no line has ended.
        let mut inside_since = None;
        let read = loop {
            match answer.read(buffer) {
                Ok(0) => return Ok(Read::Over(WatchEnd::Clean)),
                Ok(len) => {
                    let block = &buffer[..len];
                    if self.detection.on_block(block) == Flow::Stop {
                        break Ok(Read::Dropped);
                    }
                    // Single bytes show that somebody sends, not that the watch works. A line mostly ends where the
                    // block does, because the server flushes after each.
                    if memrchr(b'\n', block).is_some() {
                        inside_since = None;
                        continue;
                    }
                    let now = self.clock.monotonic();
                    let since = *inside_since.get_or_insert(now);
                    if is_watch && now.saturating_sub(since) > self.idle_timeout {
                        break Ok(Read::Over(WatchEnd::Idle));
                    }
                }
                Err(error) if is_watch => break Ok(Read::Over(self.end_of_watch(&error))),
                Err(error) => break Err(error),
            }
        };
        drop(answer);
        // The connection may still hold the rest of the response.
        self.client.renew();
        read
    }

    /// Returns how a broken watch ended.
    fn end_of_watch(&self, error: &ApiError) -> WatchEnd {
        if self.stop.is_set() {
            return WatchEnd::Cut;
        }
        debug!("the watch ended: {error}");
        match error.timeout() {
            Some(Timeout::PerRead) => WatchEnd::Idle,
            // The server did not end the watch in time, but it sent data until now.
            Some(_) => WatchEnd::Clean,
            None => WatchEnd::Cut,
        }
    }

    /// Records for readiness whether the API server lets the agent list and watch pods.
    fn note_permission(&self, answer: &Result<Answer, ApiError>) {
        match answer {
            Ok(_) => self.health.denied(false),
            Err(error) if error.is_denied() => self.health.denied(true),
            Err(_) => {}
        }
    }
}
