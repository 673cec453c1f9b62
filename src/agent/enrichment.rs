//! The thread "enrich": adds to each incident what the node knows, and hands the incident to the sinks.
//!
//! It does the work that may take time: it reads the terminated container's log and its last counters. Data that it
//! cannot get in time is left out and listed in the incident's `gaps`. The detection never waits for this thread and
//! gets nothing back from it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use jiff::Timestamp;

use crate::agent::messages::{LookupRequest, Work};
use crate::agent::publisher::Publisher;
use crate::agent::work_queue::{Next, WorkReceiver, WorkSender};
use crate::core::case::{Case, Gap, IncidentId, IncidentType, InstanceRef, Part};
use crate::core::detect::{oom, reboot};
use crate::core::incident::Gathered;
use crate::core::incident::recurrence::{Recurrence, Recurrences};
use crate::limits::{
    ENRICH_IDLE, ENRICH_QUEUE_AGE_MAX, GATHERED_KEPT_MAX, NODE_AWAITED, NODE_AWAITED_MAX,
    NODE_POLL, SURVIVED_AFTER, SURVIVED_TRIES_MAX, SURVIVED_WAITING_MAX,
};
use crate::metrics::Metrics;
use crate::metrics::heartbeat::Worker;
use crate::node::cgroup::OomKill;
use crate::node::flight::FlightRecorder;
use crate::runtime::clock::Clock;

/// The sending side: hands incidents over, and never waits.
#[derive(Clone, Debug)]
pub struct EnrichQueue {
    /// The queue to the thread "enrich".
    pub work: WorkSender,
    /// The clocks.
    pub clock: Clock,
    /// Delivery past the thread, in case it hangs in a read from a failing disk.
    pub publisher: Arc<Publisher>,
}

impl EnrichQueue {
    /// Hands a case over. If the queue has no room, or if the thread hangs, the case is reported at once without
    /// telemetry.
    pub fn crash(&self, case: Box<Case>) {
        let bytes = case.bytes();
        let now = self.clock.monotonic();
        let work = Work::Crash { case, bytes, since: now };
        let Err(Work::Crash { case, .. }) = self.work.send(work, now) else { return };
        if self.work.hangs(now) {
            // What waits behind the thread is older.
            self.rescue();
            self.publish(*case, hung());
        } else {
            self.publish(*case, rushed());
        }
    }

    /// If the thread hangs, reports what it has in its hands, and what waits behind it.
    pub fn rescue(&self) {
        for case in self.work.take_from_a_thread_that_hangs(self.clock.monotonic()) {
            self.publish(case, hung());
        }
    }

    fn publish(&self, case: Case, gathered: Gathered) {
        self.publisher.report(case, gathered, Recurrence::default());
    }

    /// Sends the message that a pod is gone.
    pub fn gone(&self, key: Box<str>) {
        // If this message is lost, the table of posted telemetry drops the pod once it needs the room.
        let _ = self.work.send(Work::Gone(key), self.clock.monotonic());
    }

    /// Sends the message that a container terminated and that its verdict follows later.
    pub fn held(&self, instance: Box<InstanceRef>) {
        // If this message is lost, the incident has less telemetry later.
        let _ = self.work.send(Work::Held(instance), self.clock.monotonic());
    }
}

/// Returns what is known about a case while the thread hangs.
fn hung() -> Gathered {
    let gap = Gap::new(Part::Telemetry, "left out, a read on the node hangs");
    Gathered { gaps: vec![gap], ..Gathered::default() }
}

/// Returns what is known about a case for which there is no time to gather telemetry.
fn rushed() -> Gathered {
    let gap = Gap::new(Part::Telemetry, "left out, there were too many incidents at once");
    Gathered { gaps: vec![gap], is_rushed: true, ..Gathered::default() }
}

/// The thread's state.
#[derive(Debug)]
pub struct Enricher {
    /// The queue of messages to this thread.
    pub work: WorkReceiver,
    /// The flight recorder.
    pub flight: Arc<FlightRecorder>,
    /// The way to the sinks.
    pub publisher: Arc<Publisher>,
    /// Requests a lookup of the node, for the next incident.
    pub requests: SyncSender<LookupRequest>,
    /// The agent's metrics, with the heartbeat of this thread.
    pub metrics: Arc<Metrics>,
    /// The clocks.
    pub clock: Clock,
}

/// An OOM kill that may have hit a child process only.
#[derive(Debug)]
struct Survivor {
    kill: OomKill,
    at: Timestamp,
    due: Duration,
    /// How often the API did not list the running container yet.
    tries: u8,
}

/// A case that waits for what the API server says about the node.
#[derive(Debug)]
struct Waiting {
    case: Case,
    gathered: Gathered,
    /// The node's information must be from then or later.
    since: Timestamp,
    /// Until when the case waits (monotonic).
    due: Duration,
}

impl Enricher {
    /// Runs until the detection and the sampler have dropped their senders and all messages are handled.
    pub fn run(self) {
        let mut state = EnrichState::default();
        loop {
            let wait = state
                .next_due(self.clock.monotonic())
                .map_or(ENRICH_IDLE, |due| due.saturating_sub(self.clock.monotonic()));
            let work = match self.work.next(wait) {
                Next::Work(work) => Some(work),
                Next::Timeout => None,
                Next::Closed => {
                    self.finish_waiting(&mut state, |_| true);
                    return;
                }
            };
            let _busy = self.metrics.heartbeats.busy(Worker::Enrich);
            let now = self.clock.now();
            match work {
                Some(Work::Held(instance)) => {
                    let gathered = self.flight.read_instance(&instance, now);
                    state.put(instance.id, gathered);
                    state.explain(&instance);
                }
                Some(Work::Crash { case, since, .. }) => {
                    let is_late = now.monotonic.saturating_sub(since) > ENRICH_QUEUE_AGE_MAX;
                    self.crash(*case, is_late, &mut state);
                }
                Some(Work::Gone(key)) => self.flight.forget(&key),
                Some(Work::OomKills(kills, at)) => state.hold_unexplained(kills, at, now.monotonic),
                None => {}
            }
            self.finish_waiting(&mut state, |waiting| {
                waiting.due <= now.monotonic || self.flight.has_node_since(waiting.since)
            });
            for survivor in state.due(now.monotonic) {
                let Survivor { kill, at, .. } = &survivor;
                if let Some((case, gathered)) = self.flight.survived(kill, now, *at) {
                    let gathered = self.flight.add_node(gathered, now);
                    self.finish(case, gathered, &mut state);
                } else if self.flight.is_running_unlisted(kill) {
                    state.hold_again(survivor, now.monotonic);
                }
            }
        }
    }

    /// `is_late`: other incidents wait behind this one, so there is no time to gather telemetry.
    fn crash(&self, case: Case, is_late: bool, state: &mut EnrichState) {
        let instance = case.instance();
        if let Some(instance) = &instance {
            state.explain(instance);
        }
        let gathered = match (state.take(case.id), instance) {
            (Some(known), _) => known,
            (None, Some(instance)) if !is_late => {
                self.flight.read_instance(&instance, self.clock.now())
            }
            (None, Some(_)) => rushed(),
            (None, None) => Gathered::default(),
        };
        let now = self.clock.now();
        if case.kind == IncidentType::Evicted && !is_late && state.waiting.len() < NODE_AWAITED_MAX
        {
            // The verdict rests on the node's conditions, and what was read before the eviction contradicts it.
            self.flight.expire_node();
            self.request_node(now.monotonic);
            let (since, due) = (now.wall, now.monotonic + NODE_AWAITED);
            state.waiting.push(Waiting { case, gathered, since, due });
            return;
        }
        let gathered = self.flight.add_node(gathered, now);
        self.finish_own(case, gathered, state);
    }

    /// Reports the cases that wait for the node and for which this is true.
    fn finish_waiting(&self, state: &mut EnrichState, is_over: impl Fn(&Waiting) -> bool) {
        let over: Vec<Waiting> = state.waiting.extract_if(.., |waiting| is_over(waiting)).collect();
        for Waiting { case, gathered, .. } in over {
            let gathered = self.flight.add_node(gathered, self.clock.now());
            self.finish_own(case, gathered, state);
        }
    }

    /// Requests the node, unless that was done a short while ago.
    fn request_node(&self, now: Duration) {
        if self.flight.claim_node_refresh(now) {
            // If the queue is full, the next incident requests the node again.
            let _ = self.requests.try_send(LookupRequest::Node);
        }
    }

    /// Reports a case from the queue, unless that was done while this thread hung.
    fn finish_own(&self, case: Case, gathered: Gathered, state: &mut EnrichState) {
        if self.work.let_go(case.id) {
            self.finish(case, gathered, state);
        }
    }

    /// Reports a case with everything that was gathered about it.
    fn finish(&self, mut case: Case, gathered: Gathered, state: &mut EnrichState) {
        let now = self.clock.now();
        let recurrence = match case.container_name().filter(|_| case.termination().is_some()) {
            Some(container) => state.recurrences.note(case.pod.key(), container, now.monotonic),
            None => Recurrence::default(),
        };
        self.request_node(now.monotonic);
        oom::weigh_oom_count(&mut case, gathered.oom);
        if case.kind == IncidentType::NodeReboot
            && let Some(end) = self.flight.boot_end()
        {
            reboot::weigh_boot_end(&mut case, end);
        }
        self.publisher.report(case, gathered, recurrence);
    }
}

/// What the thread keeps between messages.
#[derive(Debug, Default)]
struct EnrichState {
    gathered: VecDeque<(IncidentId, Gathered)>,
    survivors: VecDeque<Survivor>,
    waiting: Vec<Waiting>,
    recurrences: Recurrences,
}

impl EnrichState {
    /// Keeps gathered telemetry until the incident is reported.
    fn put(&mut self, id: IncidentId, gathered: Gathered) {
        if self.gathered.len() >= GATHERED_KEPT_MAX {
            self.gathered.pop_front();
        }
        self.gathered.push_back((id, gathered));
    }

    fn take(&mut self, id: IncidentId) -> Option<Gathered> {
        let at = self.gathered.iter().position(|(known, _)| *known == id)?;
        self.gathered.remove(at).map(|(_, gathered)| gathered)
    }

    /// Keeps OOM kills that no termination explains yet.
    fn hold_unexplained(&mut self, kills: Vec<OomKill>, at: Timestamp, now: Duration) {
        for kill in kills {
            if self.survivors.len() < SURVIVED_WAITING_MAX {
                self.survivors.push_back(Survivor {
                    kill,
                    at,
                    due: now + SURVIVED_AFTER,
                    tries: 0,
                });
            }
        }
    }

    /// Keeps the OOM kill of a container whose name the API has not shown yet.
    fn hold_again(&mut self, survivor: Survivor, now: Duration) {
        let tries = survivor.tries.saturating_add(1);
        if tries < SURVIVED_TRIES_MAX && self.survivors.len() < SURVIVED_WAITING_MAX {
            let due = now + SURVIVED_AFTER;
            self.survivors.push_back(Survivor { due, tries, ..survivor });
        }
    }

    /// Drops the kills that the termination of this instance explains: its own, and those of its pod that may be.
    fn explain(&mut self, instance: &InstanceRef) {
        self.survivors.retain(|Survivor { kill, .. }| {
            let ids = kill.container_id.as_deref().zip(instance.container_id.as_ref());
            let is_others = ids.is_some_and(|(killed, ended)| killed != ended.as_str());
            *kill.pod_uid != *instance.pod_key || is_others
        });
    }

    /// Returns when there is something to do. While a case waits for the node, that is soon: the answer comes without a
    /// message.
    fn next_due(&self, now: Duration) -> Option<Duration> {
        let poll = (!self.waiting.is_empty()).then(|| now + NODE_POLL);
        self.survivors.front().map(|survivor| survivor.due).into_iter().chain(poll).min()
    }

    /// Removes and returns the kills that no termination explained in time. Whether the container lives on is then seen
    /// on the node.
    fn due(&mut self, now: Duration) -> Vec<Survivor> {
        let due = self.survivors.iter().take_while(|survivor| survivor.due <= now).count();
        self.survivors.drain(..due).collect()
    }
}

#[cfg(test)]
mod tests;
