//! The detection: turns bytes into incidents.
//!
//! It is a lock around [`Stream`], which makes all decisions. Every thread that has news calls [`Detection`] at once:
//! the thread "watch" for each block that it reads, the thread "lookups" for each answer to a lookup, and the thread
//! "detect", its clock, at each deadline. The results go to the [`EventHandler`], and to channels on which nothing
//! ever waits.
//!
//! There is no queue in front of it: passing the bytes of an event to a thread on another core cost more than looking
//! at them (`docs/cost.md`). The queue is the socket, whose buffer holds more than the API server's own.

use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use log::{info, warn};

use crate::agent::enrichment::EnrichQueue;
use crate::agent::handler::EventHandler;
use crate::agent::messages::LookupRequest;
use crate::core::Now;
use crate::core::case::{Case, InstanceRef};
use crate::core::detect::settle::Lookup;
use crate::core::detect::{Output, PodName};
use crate::core::stream::decode::{Flaw, FlawKind};
use crate::core::stream::reflector::{Failure, Step, WatchEnd};
use crate::core::stream::{Flow, Note, Stream};
use crate::limits::DETECT_TICK;
use crate::metrics::health::Health;
use crate::metrics::{LookupResult, Metrics, PodEvent};
use crate::node::flight::FlightRecorder;
use crate::runtime::clock::Clock;
use crate::runtime::trouble::Trouble;
use crate::sinks::state_file::SharedLedger;

/// The detection, shared by all threads that have news for it.
#[derive(Debug)]
pub struct Detection<H> {
    state: Mutex<State<H>>,
    /// Notified when a deadline is nearer than the one that the thread "detect" waits for, or when the agent stops.
    news: Condvar,
}

#[derive(Debug)]
struct State<H> {
    /// `None` after the detection has finished.
    pipeline: Option<Pipeline<H>>,
    /// True if the thread "detect" is to stop.
    is_ending: bool,
    /// Until when the thread "detect" sleeps (monotonic).
    wakes_at: Duration,
    out: Vec<Output>,
    notes: Vec<Note>,
}

impl<H: EventHandler> Detection<H> {
    /// Creates the detection, behind its lock.
    pub fn new(pipeline: Pipeline<H>) -> Self {
        let state = State {
            pipeline: Some(pipeline),
            is_ending: false,
            wakes_at: Duration::ZERO,
            out: Vec::new(),
            notes: Vec::new(),
        };
        Self { state: Mutex::new(state), news: Condvar::new() }
    }

    /// Runs the thread "detect": handles deadlines until [`Detection::end`] is called. Then it reports every
    /// termination that is still held back and drops all channels, so that the threads behind them finish as well.
    pub fn run(&self) {
        let Some(mut state) = self.lock() else { return };
        while !state.is_ending {
            let wait = state.on_time();
            let Ok((locked, _)) = self.news.wait_timeout(state, wait) else { return };
            state = locked;
        }
        if let Some(mut pipeline) = state.pipeline.take() {
            pipeline.stream.detector.finish(&mut state.out);
            pipeline.dispatch(&mut state.out);
        }
    }

    /// Asks the thread "detect" to stop.
    pub fn end(&self) {
        if let Some(mut state) = self.lock() {
            state.is_ending = true;
            self.news.notify_one();
        }
    }

    /// Returns the next request to the API server. Call it only when no response is being read. `None`: the detection
    /// has finished.
    pub fn next(&self) -> Option<Step> {
        self.with_stream(|stream, now, _, _| stream.next(now.monotonic))
    }

    /// Takes in one block of the response's body. After [`Flow::Stop`], neither more of the body nor its end is
    /// needed.
    pub fn on_block(&self, block: &[u8]) -> Flow {
        let flow =
            self.with_stream(|stream, now, out, notes| stream.on_block(block, now, out, notes));
        flow.unwrap_or(Flow::Stop)
    }

    /// Takes in the end of the response's body. Returns true if it was a watch that the server ended at the requested
    /// timeout.
    pub fn on_end(&self, end: WatchEnd) -> bool {
        let is_on_time = self.with_stream(|stream, now, out, notes| {
            stream.on_end(end, now, out, notes);
            notes.contains(&Note::WatchServed)
        });
        is_on_time.unwrap_or(false)
    }

    /// Takes in the failure of a request.
    pub fn on_failure(&self, failure: Failure) {
        self.with_stream(|stream, now, _, _| stream.on_failure(failure, now));
    }

    /// Takes in the result of the lookup that was requested with this key.
    pub fn on_events(&self, key: &str, lookup: &Lookup) {
        self.with_stream(|stream, _, out, _| stream.detector.on_events(key, lookup, out));
    }

    /// Locks the detection, calls `f`, and passes on the results. `None`: the detection has finished.
    fn with_stream<T>(
        &self,
        f: impl FnOnce(&mut Stream, Now, &mut Vec<Output>, &mut Vec<Note>) -> T,
    ) -> Option<T> {
        let mut state = self.lock()?;
        let State { pipeline, wakes_at, out, notes, .. } = &mut *state;
        let pipeline = pipeline.as_mut()?;
        let now = pipeline.clock.now();
        let found = f(&mut pipeline.stream, now, out, notes);
        pipeline.pass_on(now, out, notes);
        if pipeline.stream.detector.next_deadline().is_some_and(|deadline| deadline < *wakes_at) {
            *wakes_at = Duration::ZERO;
            self.news.notify_one();
        }
        Some(found)
    }

    /// `None`: a thread panicked while it held the lock, which terminates the agent.
    fn lock(&self) -> Option<MutexGuard<'_, State<H>>> {
        self.state.lock().ok()
    }
}

impl<H: EventHandler> State<H> {
    /// Does what is due; returns the time until the next deadline.
    fn on_time(&mut self) -> Duration {
        let Self { pipeline: Some(pipeline), out, .. } = self else { return DETECT_TICK };
        let now = pipeline.clock.now();
        pipeline.health.beat(now.monotonic);
        pipeline.stream.detector.on_time(now, out);
        pipeline.dispatch(out);
        let deadline = pipeline.stream.detector.next_deadline();
        let wait = deadline.map_or(DETECT_TICK, |at| at.saturating_sub(now.monotonic));
        let wait = wait.min(DETECT_TICK);
        self.wakes_at = now.monotonic + wait;
        wait
    }
}

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
    /// Passes on the results, and empties both lists.
    fn pass_on(&mut self, now: Now, out: &mut Vec<Output>, notes: &mut Vec<Note>) {
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

    fn dispatch(&mut self, out: &mut Vec<Output>) {
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

    fn on_pod_stop(&mut self, _: &PodName) {
        self.metrics.pod_events.add(PodEvent::Stop);
    }
}

#[cfg(test)]
mod tests;
