//! The detection: turns bytes into incidents.
//!
//! It is a lock around [`Stream`], which makes all decisions. Every thread that has news calls [`Detection`] at once:
//! the thread "watch" for each block that it reads, the thread "events" for each answer to a lookup, and the thread
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

use crate::agent::enrichment::Tell;
use crate::agent::handler::EventHandler;
use crate::agent::messages::Wanted;
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
use crate::node::flight::Flight;
use crate::runtime::clock::Clock;
use crate::runtime::trouble::Once;
use crate::sinks::state_file::Keeper;

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
    detect: Option<Detect<H>>,
    /// True if the thread "detect" is to stop.
    is_ending: bool,
    /// Until when the thread "detect" sleeps (monotonic).
    wakes_at: Duration,
    out: Vec<Output>,
    notes: Vec<Note>,
}

impl<H: EventHandler> Detection<H> {
    /// Creates the detection, behind its lock.
    pub fn new(detect: Detect<H>) -> Self {
        let state = State {
            detect: Some(detect),
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
        if let Some(mut detect) = state.detect.take() {
            detect.stream.detector.finish(&mut state.out);
            detect.dispatch(&mut state.out);
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
        self.look(|stream, now, _, _| stream.next(now.monotonic))
    }

    /// Takes in one block of the response's body. After [`Flow::Stop`], neither more of the body nor its end is
    /// needed.
    pub fn on_block(&self, block: &[u8]) -> Flow {
        let flow = self.look(|stream, now, out, notes| stream.on_block(block, now, out, notes));
        flow.unwrap_or(Flow::Stop)
    }

    /// Takes in the end of the response's body. Returns true if it was a watch that the server ended at the requested
    /// timeout.
    pub fn on_end(&self, end: WatchEnd) -> bool {
        let is_on_time = self.look(|stream, now, out, notes| {
            stream.on_end(end, now, out, notes);
            notes.contains(&Note::WatchServed)
        });
        is_on_time.unwrap_or(false)
    }

    /// Takes in the failure of a request.
    pub fn on_failure(&self, failure: Failure) {
        self.look(|stream, now, _, _| stream.on_failure(failure, now));
    }

    /// Takes in the result of the lookup that was requested with this key.
    pub fn on_events(&self, key: &str, lookup: &Lookup) {
        self.look(|stream, _, out, _| stream.detector.on_events(key, lookup, out));
    }

    /// Locks the detection, calls `at`, and passes on the results. `None`: the detection has finished.
    fn look<T>(
        &self,
        at: impl FnOnce(&mut Stream, Now, &mut Vec<Output>, &mut Vec<Note>) -> T,
    ) -> Option<T> {
        let mut state = self.lock()?;
        let State { detect, wakes_at, out, notes, .. } = &mut *state;
        let detect = detect.as_mut()?;
        let now = detect.clock.now();
        let found = at(&mut detect.stream, now, out, notes);
        detect.tell(now, out, notes);
        if detect.stream.detector.next_deadline().is_some_and(|deadline| deadline < *wakes_at) {
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
        let Self { detect: Some(detect), out, .. } = self else { return DETECT_TICK };
        let now = detect.clock.now();
        detect.health.beat(now.monotonic);
        detect.stream.detector.on_time(now, out);
        detect.dispatch(out);
        let deadline = detect.stream.detector.next_deadline();
        let wait = deadline.map_or(DETECT_TICK, |at| at.saturating_sub(now.monotonic));
        let wait = wait.min(DETECT_TICK);
        self.wakes_at = now.monotonic + wait;
        wait
    }
}

/// The state of the detection, and the receivers of its results.
#[derive(Debug)]
pub struct Detect<H> {
    /// The core.
    pub stream: Stream,
    /// Lookups requested from the thread "events".
    pub wanted: SyncSender<Wanted>,
    /// The ledger for the next agent.
    pub keeper: Option<Arc<Keeper>>,
    /// The flight recorder, which keeps the roster.
    pub flight: Arc<Flight>,
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

impl<H: EventHandler> Detect<H> {
    /// Passes on the results, and empties both lists.
    fn tell(&mut self, now: Now, out: &mut Vec<Output>, notes: &mut Vec<Note>) {
        let is_listed = notes.iter().any(|note| matches!(note, Note::Listed { .. }));
        for note in notes.drain(..) {
            self.note(note, now);
        }
        self.dispatch(out);
        if let Some(keeper) = self.keeper.as_ref().filter(|_| is_listed) {
            keeper.complete();
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
                log.errors.say(&format!("the API server ended it: {text}"));
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
            Note::ListFailed(why) => log.errors.say(&format!("the list cannot be used: {why}")),
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
                    if let Some(keeper) = &self.keeper {
                        keeper.keep(*entry);
                    }
                }
                Output::Forgotten(key) => {
                    if let Some(keeper) = &self.keeper {
                        keeper.forget(&key);
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
                    let wanted = Wanted::Events { namespace, key: key.clone(), since };
                    if self.wanted.try_send(wanted).is_err() {
                        self.metrics.event_lookups.add(LookupResult::Skipped);
                        answers.push(key);
                    }
                }
            }
        }
        for key in answers {
            let full = Lookup::Failed("too many were wanted at once".to_owned());
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
    said: Vec<FlawKind>,
    errors: Once,
}

impl Default for NoteLog {
    fn default() -> Self {
        Self { said: Vec::new(), errors: Once::new(module_path!(), "watch of pods") }
    }
}

impl NoteLog {
    fn flaw(&mut self, flaw: &Flaw) {
        if !self.said.contains(&flaw.kind) {
            self.said.push(flaw.kind);
            let counter = "blackbox_watch_malformed_total";
            warn!("bad input ({:?}): {}; more of the kind is in {counter}", flaw.kind, flaw.text);
        }
    }
}

/// Handles the results of the live agent: counts them, and passes incidents on.
#[derive(Debug)]
pub struct Hand {
    /// The sender to the thread "enrich", which adds telemetry to incidents.
    pub tell: Tell,
    /// The ledger for the next agent.
    pub keeper: Option<Arc<Keeper>>,
    /// Metrics of pods and crashes.
    pub metrics: Arc<Metrics>,
}

impl EventHandler for Hand {
    fn on_pod_start(&mut self, _: &PodName) {
        self.metrics.pod_events.add(PodEvent::Start);
    }

    fn on_pod_crash(&mut self, case: Box<Case>) {
        self.metrics.pod_events.add(PodEvent::Crash);
        // Before the ledger receives the pod's entry: until the incident is delivered, it must not count as reported.
        if let Some(keeper) = &self.keeper {
            keeper.open(&case);
        }
        self.tell.crash(case);
    }

    fn on_held(&mut self, instance: InstanceRef) {
        self.tell.held(Box::new(instance));
    }

    fn on_pod_gone(&mut self, key: Box<str>) {
        self.tell.gone(key);
    }

    fn on_pod_stop(&mut self, _: &PodName) {
        self.metrics.pod_events.add(PodEvent::Stop);
    }
}

#[cfg(test)]
mod tests;
