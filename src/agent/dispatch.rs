//! The results of the detection: counts them, and passes them on to the threads that use them.
//!
//! All of it runs while the detection is locked, mostly on the thread that reads the watch. So nothing here waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use log::{info, warn};

use crate::agent::enrichment::EnrichQueue;
use crate::agent::handler::EventHandler;
use crate::agent::messages::LookupRequest;
use crate::core::Now;
use crate::core::case::{Case, InstanceRef};
use crate::core::detect::settle::Lookup;
use crate::core::detect::{Output, PodName};
use crate::core::stream::decode::{Flaw, FlawKind};
use crate::core::stream::{Note, Stream};
use crate::metrics::health::Health;
use crate::metrics::{LookupResult, Metrics, PodEvent};
use crate::node::flight::FlightRecorder;
use crate::runtime::clock::Clock;
use crate::runtime::trouble::Trouble;
use crate::sinks::state_file::SharedLedger;

/// The state of the detection, and the receivers of its results.
#[derive(Debug)]
pub struct Pipeline<H> {
    /// The core.
    pub stream: Stream,
    /// Lookups requested from the thread "lookups".
    pub requests: SyncSender<LookupRequest>,
    /// The ledger for the next agent.
    pub ledger: Option<Arc<SharedLedger>>,
    /// The flight recorder, which keeps the roster.
    pub flight: Arc<FlightRecorder>,
    /// The receiver of detected pods and crashes.
    pub handler: H,
    /// Metrics of the detection.
    pub metrics: Arc<Metrics>,
    /// The agent's health.
    pub health: Arc<Health>,
    /// The clocks.
    pub clock: Clock,
    /// Remembers which bad input was logged.
    pub log: NoteLog,
}

impl<H: EventHandler> Pipeline<H> {
    /// Passes on results and notes, and empties both lists.
    pub(super) fn pass_on(&mut self, now: Now, out: &mut Vec<Output>, notes: &mut Vec<Note>) {
        let is_listed = notes.iter().any(|note| matches!(note, Note::Listed { .. }));
        for note in notes.drain(..) {
            self.note(note, now);
        }
        self.dispatch(out);
        if let Some(ledger) = self.ledger.as_ref().filter(|_| is_listed) {
            ledger.complete();
        }
    }

    fn note(&mut self, note: Note, now: Now) {
        let log = &mut self.log;
        match note {
            Note::Line { used } => {
                self.metrics.watch_events.fetch_add(1, Ordering::Relaxed);
                if used {
                    self.heard(now);
                }
            }
            Note::WatchServed => self.heard(now),
            Note::Flaw(flaw) => {
                self.metrics.watch_malformed.add(flaw.kind);
                log.flaw(&flaw);
            }
            Note::Error(failure, text) => {
                self.metrics.watch_errors.add(failure);
                log.errors.warn(&format!("the API server ended it: {text}"));
            }
            Note::Listed { went_back } => {
                self.health.synced();
                self.health.heard(now.monotonic);
                log.errors.over("the pods were listed again");
                if went_back {
                    warn!("the API server's history went back: was its etcd restored?");
                }
                info!("{} pods of this node are listed", self.stream.detector.pods());
            }
            Note::ListFailed(why) => log.errors.warn(&format!("the list cannot be used: {why}")),
        }
    }

    /// Records that the watch works.
    fn heard(&self, now: Now) {
        let millis = now.wall.as_millisecond().try_into().unwrap_or(0);
        self.metrics.watch_last_event_millis.store(millis, Ordering::Relaxed);
        self.health.heard(now.monotonic);
    }

    /// Passes on the results, and empties the list.
    pub(super) fn dispatch(&mut self, out: &mut Vec<Output>) {
        let mut answers = Vec::new();
        for output in out.drain(..) {
            match output {
                Output::Started(pod) => self.handler.on_pod_start(&pod),
                Output::Stopped(pod) => self.handler.on_pod_stop(&pod),
                Output::Crash(case) => self.handler.on_pod_crash(case),
                Output::Kept(entry) => {
                    if let Some(ledger) = &self.ledger {
                        ledger.keep(*entry);
                    }
                }
                Output::Forgotten(key) => {
                    if let Some(ledger) = &self.ledger {
                        ledger.forget(&key);
                    }
                }
                Output::Overfull => {
                    if let Some(ledger) = &self.ledger {
                        ledger.set_partial();
                    }
                }
                Output::Placed(place) => self.flight.place(*place),
                Output::Gone(key) => {
                    self.flight.gone(&key);
                    self.handler.on_pod_gone(key);
                }
                Output::Held(instance) => self.handler.on_held(*instance),
                Output::Quiet(quiet) => self.metrics.quiet_ends.add(quiet),
                Output::Unseen(n) => {
                    let n = u64::try_from(n).unwrap_or(0);
                    self.metrics.unseen_ends.fetch_add(n, Ordering::Relaxed);
                }
                Output::Folded => {
                    self.metrics.incidents_folded.fetch_add(1, Ordering::Relaxed);
                }
                Output::NoRoom(pod) => {
                    if self.metrics.pods_refused.fetch_add(1, Ordering::Relaxed) == 0 {
                        warn!(
                            "over the limits of pods, containers and names: not all of {pod} is watched, nor of others"
                        );
                    }
                }
                Output::LookUp { namespace, key } => {
                    let since = self.clock.monotonic();
                    let request = LookupRequest::Events { namespace, key: key.clone(), since };
                    if self.requests.try_send(request).is_err() {
                        self.metrics.event_lookups.add(LookupResult::Skipped);
                        answers.push(key);
                    }
                }
            }
        }
        for key in answers {
            let full = Lookup::Failed("too many were requested at once".to_owned());
            self.stream.detector.on_events(&key, &full, out);
        }
        let gauge = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.metrics.pods_watched.store(gauge(self.stream.detector.pods()), Ordering::Relaxed);
        self.metrics.incidents_held.store(gauge(self.stream.detector.held()), Ordering::Relaxed);
        if !out.is_empty() {
            // Only results of refused lookups are left; these request no lookups themselves.
            self.dispatch(out);
        }
    }
}

/// Logs bad input once for each kind, with the text of the first occurrence.
#[derive(Debug)]
pub struct NoteLog {
    warned: Vec<FlawKind>,
    errors: Trouble,
}

impl Default for NoteLog {
    fn default() -> Self {
        Self { warned: Vec::new(), errors: Trouble::new(module_path!(), "watch of pods") }
    }
}

impl NoteLog {
    fn flaw(&mut self, flaw: &Flaw) {
        if !self.warned.contains(&flaw.kind) {
            self.warned.push(flaw.kind);
            let counter = "blackbox_watch_malformed_total";
            warn!("bad input ({:?}): {}; more of the kind is in {counter}", flaw.kind, flaw.text);
        }
    }
}

/// Handles the results of the live agent: counts them, and passes incidents on.
#[derive(Debug)]
pub struct LiveHandler {
    /// The sender to the thread "enrich", which adds telemetry to incidents.
    pub queue: EnrichQueue,
    /// The ledger for the next agent.
    pub ledger: Option<Arc<SharedLedger>>,
    /// Metrics of pods and crashes.
    pub metrics: Arc<Metrics>,
}

impl EventHandler for LiveHandler {
    fn on_pod_start(&mut self, _: &PodName) {
        self.metrics.pod_events.add(PodEvent::Start);
    }

    fn on_pod_crash(&mut self, case: Box<Case>) {
        self.metrics.pod_events.add(PodEvent::Crash);
        // Before the ledger receives the pod's entry: until the incident is delivered, it must not count as reported.
        if let Some(ledger) = &self.ledger {
            ledger.open(&case);
        }
        self.queue.crash(case);
    }

    fn on_held(&mut self, instance: InstanceRef) {
        self.queue.held(Box::new(instance));
    }

    fn on_pod_gone(&mut self, key: Box<str>) {
        self.queue.gone(key);
    }

    fn on_tick(&mut self) {
        self.queue.rescue();
    }

    fn on_pod_stop(&mut self, _: &PodName) {
        self.metrics.pod_events.add(PodEvent::Stop);
    }
}
