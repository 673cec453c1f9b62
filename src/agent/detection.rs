//! The detection: turns bytes into incidents.
//!
//! A lock around [`Stream`], which decides everything. Whoever hears something looks at it at once, with
//! [`Detection`]: the thread that reads the watch at each block, the thread that looks up events at its
//! answers, and the thread "detect", whose clock it is, at each deadline. What comes of it is handed to
//! the [`EventHandler`], and to channels that are never waited for.
//!
//! No queue lies between: to give an event's bytes to a thread on another core cost more than to look at
//! them ("Cost" in the README). The queue is the socket's, whose buffer holds more than the API server's own.

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

/// The detection, for all who hear something.
#[derive(Debug)]
pub struct Detection<H> {
    state: Mutex<State<H>>,
    /// A deadline came nearer than the one that is waited for, or the agent ends.
    news: Condvar,
}

#[derive(Debug)]
struct State<H> {
    /// `None`: it has ended.
    detect: Option<Detect<H>>,
    /// The thread is to end.
    is_ending: bool,
    /// What the thread waits for (monotonic).
    wakes_at: Duration,
    out: Vec<Output>,
    notes: Vec<Note>,
}

impl<H: EventHandler> Detection<H> {
    /// Behind its lock.
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

    /// The thread "detect": looks at the clock until it is told to end; then tells everything that is held
    /// back, and lets go of all channels, so that those behind them end as well.
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

    /// Tells the thread to end.
    pub fn end(&self) {
        if let Some(mut state) = self.lock() {
            state.is_ending = true;
            self.news.notify_one();
        }
    }

    /// What to ask the API server next, when nothing is being read. `None`: it has ended.
    pub fn next(&self) -> Option<Step> {
        self.look(|stream, now, _, _| stream.next(now.monotonic))
    }

    /// A block of the answer's body. After [`Flow::Stop`] neither more of it nor its end is of interest.
    pub fn on_block(&self, block: &[u8]) -> Flow {
        let flow = self.look(|stream, now, out, notes| stream.on_block(block, now, out, notes));
        flow.unwrap_or(Flow::Stop)
    }

    /// The answer's body came to its end. Returns whether it was a watch that the server ended on time.
    pub fn on_end(&self, end: WatchEnd) -> bool {
        let is_on_time = self.look(|stream, now, out, notes| {
            stream.on_end(end, now, out, notes);
            notes.contains(&Note::WatchServed)
        });
        is_on_time.unwrap_or(false)
    }

    /// The request failed.
    pub fn on_failure(&self, failure: Failure) {
        self.look(|stream, now, _, _| stream.on_failure(failure, now));
    }

    /// What came of the lookup that was wanted with this key.
    pub fn on_events(&self, key: &str, lookup: &Lookup) {
        self.look(|stream, _, out, _| stream.detector.on_events(key, lookup, out));
    }

    /// `None`: it has ended.
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

    /// `None`: somebody panicked under it, which ends the agent.
    fn lock(&self) -> Option<MutexGuard<'_, State<H>>> {
        self.state.lock().ok()
    }
}

impl<H: EventHandler> State<H> {
    /// Does what is due; how long nothing will be.
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

/// What the detection knows, and whom it tells.
#[derive(Debug)]
pub struct Detect<H> {
    /// The core.
    pub stream: Stream,
    /// What the events thread is to look up.
    pub wanted: SyncSender<Wanted>,
    /// What the next agent is to know.
    pub keeper: Option<Arc<Keeper>>,
    /// What the node knows.
    pub flight: Arc<Flight>,
    /// What happens next.
    pub handler: H,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// What health is told.
    pub health: Arc<Health>,
    /// The clocks.
    pub clock: Clock,
    /// What was said.
    pub log: NoteLog,
}

impl<H: EventHandler> Detect<H> {
    /// Tells what was found, and empties the lists of it.
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

    /// The watch works.
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
            // Only what the refused lookups settled: it wants no lookups itself.
            self.dispatch(out);
        }
    }
}

/// What was said of bad input: once a kind, with the first one's words.
#[derive(Debug)]
pub struct NoteLog {
    said: Vec<FlawKind>,
    errors: Once,
}

impl Default for NoteLog {
    fn default() -> Self {
        Self { said: Vec::new(), errors: Once::new("watch of pods") }
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

/// What happens to the finds of the live agent: they are counted, and incidents go on.
#[derive(Debug)]
pub struct Hand {
    /// To the thread that puts telemetry around them.
    pub tell: Tell,
    /// What the next agent is to know.
    pub keeper: Option<Arc<Keeper>>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

impl EventHandler for Hand {
    fn on_pod_start(&mut self, _: &PodName) {
        self.metrics.pod_events.add(PodEvent::Start);
    }

    fn on_pod_crash(&mut self, case: Box<Case>) {
        self.metrics.pod_events.add(PodEvent::Crash);
        // Before the ledger hears of the pod: until it is delivered it does not count as told.
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
