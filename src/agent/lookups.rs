//! The thread "lookups": looks up the Kubernetes events of a pod when the detection needs them, and the node when an
//! incident needs it.
//!
//! The API server has no watch cache for events: every list of events reads etcd, and a watch of them would never
//! receive a bookmark. So events are requested only where they decide something, in the pod's own namespace, by its
//! UID, and at a bounded rate.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::agent::detection::Detection;
use crate::agent::handler::EventHandler;
use crate::agent::messages::LookupRequest;
use crate::core::backoff::Jitter;
use crate::core::detect::evidence::PodEvent;
use crate::core::detect::settle::Lookup;
use crate::core::stream::reflector::Failure;
use crate::core::text::is_plain;
use crate::kube::api::{ApiClient, ApiError};
use crate::limits::{
    EVENT_LOOKUP_BURST, EVENT_LOOKUP_DENIED_PAUSE, EVENT_LOOKUP_INTERVAL, EVENT_LOOKUP_JITTER,
    NODE_FRESH, RETRY_AFTER_MAX, SETTLE_MAX,
};
use crate::metrics::heartbeat::Worker;
use crate::metrics::{LookupResult, Metrics};
use crate::node::flight::FlightRecorder;
use crate::runtime::clock::Clock;
use crate::runtime::stop::Stop;
use crate::runtime::trouble::Trouble;

/// The thread's state.
#[derive(Debug)]
pub struct Lookups<H> {
    /// The thread's own client.
    pub client: ApiClient,
    /// The requested lookups.
    pub requests: Receiver<LookupRequest>,
    /// The detection, which receives the events.
    pub detection: Arc<Detection<H>>,
    /// The flight recorder, which receives the node.
    pub flight: Arc<FlightRecorder>,
    /// Random delays, so that nodes do not send their requests together.
    pub jitter: Jitter,
    /// Metrics of requests and lookups.
    pub metrics: Arc<Metrics>,
    /// The clocks.
    pub clock: Clock,
    /// The stop flag.
    pub stop: Stop,
}

impl<H: EventHandler> Lookups<H> {
    /// Runs until the stop flag is set or until all senders of lookups are gone.
    pub fn run(mut self) {
        let mut trouble = Trouble::new(module_path!(), "events of pods");
        let mut pace = Pace::default();
        let mut silent_until = Duration::ZERO;
        let mut denied = false;
        let mut node = NodeLookup {
            trouble: Trouble::new(module_path!(), "the node"),
            silent_until: Duration::ZERO,
        };
        while let Ok(request) = self.requests.recv() {
            let now = self.clock.monotonic();
            let LookupRequest::Events { namespace, key, since } = request else {
                let metrics = self.metrics.clone();
                let _busy = metrics.heartbeats.busy(Worker::Lookups);
                self.look_at_node(&mut node, now);
                continue;
            };
            let lookup = if !(is_plain(&namespace) && is_plain(&key)) {
                self.metrics.event_lookups.add(LookupResult::Skipped);
                Lookup::Failed("the pod's namespace or UID is not valid".to_owned())
            } else if now > since + SETTLE_MAX {
                // The termination was already reported without events. The lookups behind this one must not be
                // delayed as well.
                self.metrics.event_lookups.add(LookupResult::Skipped);
                Lookup::Failed("the lookups before it took too long".to_owned())
            } else if now < silent_until && denied {
                self.metrics.event_lookups.add(LookupResult::Denied);
                Lookup::Denied
            } else if now < silent_until {
                self.metrics.event_lookups.add(LookupResult::Skipped);
                Lookup::Failed("the API server asked the agent to wait".to_owned())
            } else {
                let jitter = self.jitter.between(Duration::ZERO, EVENT_LOOKUP_JITTER);
                if self.stop.wait(pace.wait(now) + jitter) {
                    return;
                }
                let metrics = self.metrics.clone();
                let busy = metrics.heartbeats.busy(Worker::Lookups);
                let asked = self.look_up(&namespace, &key);
                drop(busy);
                denied = matches!(&asked, Err(error) if error.code() == Some(403));
                match asked {
                    Ok(events) => {
                        trouble.over("they can be listed again");
                        Lookup::Found(events)
                    }
                    Err(_) if self.stop.is_set() => return,
                    Err(error) => {
                        silent_until = self.clock.monotonic() + pause(&error);
                        trouble.warn(&error.to_string());
                        if denied { Lookup::Denied } else { Lookup::Failed(error.to_string()) }
                    }
                }
            };
            self.detection.on_events(&key, &lookup);
        }
    }

    /// Requests the node, unless such a request failed a short while ago.
    fn look_at_node(&mut self, lookup: &mut NodeLookup, now: Duration) {
        if now < lookup.silent_until {
            return;
        }
        match self.client.get_node() {
            Ok(node) => {
                lookup.trouble.over("it can be read again");
                self.flight.set_node(Ok(Arc::new(node)));
            }
            Err(error) => {
                lookup.silent_until = self.clock.monotonic() + pause(&error).max(NODE_FRESH);
                lookup.trouble.warn(&error.to_string());
                self.flight.set_node(Err(error.to_string()));
            }
        }
    }

    fn look_up(&mut self, namespace: &str, key: &str) -> Result<Vec<PodEvent>, ApiError> {
        let read = self.client.list_events(namespace, key);
        let result = match &read {
            Ok(_) => LookupResult::Ok,
            Err(error) if error.code() == Some(403) => LookupResult::Denied,
            Err(_) => LookupResult::Error,
        };
        self.metrics.event_lookups.add(result);
        read
    }
}

/// State of the lookups of the node.
#[derive(Debug)]
struct NodeLookup {
    trouble: Trouble,
    silent_until: Duration,
}

/// Returns how long to send no lookups after this error.
fn pause(error: &ApiError) -> Duration {
    match error.failure() {
        _ if error.code() == Some(403) => EVENT_LOOKUP_DENIED_PAUSE,
        Failure::Throttled(Some(after)) => after.min(RETRY_AFTER_MAX),
        _ => EVENT_LOOKUP_INTERVAL,
    }
}

/// A token bucket.
#[derive(Debug, Default)]
struct Pace {
    /// When the bucket will be full again.
    full_at: Duration,
}

impl Pace {
    /// Takes a token and returns how long to wait for it.
    fn wait(&mut self, now: Duration) -> Duration {
        self.full_at = self.full_at.max(now) + EVENT_LOOKUP_INTERVAL;
        self.full_at.saturating_sub(now + EVENT_LOOKUP_INTERVAL * EVENT_LOOKUP_BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_come_in_a_burst_and_then_at_their_rate() {
        let mut pace = Pace::default();
        let mut now = Duration::from_secs(100);
        for _ in 0..EVENT_LOOKUP_BURST {
            assert_eq!(pace.wait(now), Duration::ZERO);
        }
        for _ in 0..10 {
            let wait = pace.wait(now);
            assert_eq!(wait, EVENT_LOOKUP_INTERVAL);
            now += wait;
        }
        now += EVENT_LOOKUP_INTERVAL * EVENT_LOOKUP_BURST * 3;
        for _ in 0..EVENT_LOOKUP_BURST {
            assert_eq!(pace.wait(now), Duration::ZERO);
        }
        assert!(pace.wait(now) > Duration::ZERO);
    }
}
