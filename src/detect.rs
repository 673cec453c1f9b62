//! The thread "detect": turns the bytes that the watch thread reads into incidents.
//!
//! A loop around [`Stream`], which decides everything: it is told the time, fed what came in, and
//! its outputs are handed to the [`EventHandler`]. Whatever it sends it sends without waiting.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use log::{info, warn};

use crate::clock::Clock;
use crate::core::Now;
use crate::core::decode::{Flaw, FlawKind};
use crate::core::detector::{Output, PodName};
use crate::core::incident::{Incident, Remains};
use crate::core::reflector::Step;
use crate::core::settle::Lookup;
use crate::core::stream::{Flow, Note, Stream};
use crate::enrich::Tell;
use crate::events::Wanted;
use crate::flight::Flight;
use crate::handler::EventHandler;
use crate::health::Health;
use crate::inbox::{Batch, Inbox, Message};
use crate::kube::Interrupt;
use crate::limits::{DETECT_TICK, FLOOD_GAP};
use crate::metrics::{LookupResult, Metrics, PodEvent};
use crate::once::Once;
use crate::state::Keeper;
use crate::stop::Stop;

/// The thread's state.
#[derive(Debug)]
pub struct Detect<H> {
    /// The core.
    pub stream: Stream,
    /// What it hears.
    pub inbox: Arc<Inbox>,
    /// What the watch thread is to do next.
    pub steps: SyncSender<Step>,
    /// Ends an answer that is of no more use.
    pub interrupt: Interrupt,
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
    /// The word to stop.
    pub stop: Stop,
}

/// What the reading thread is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Idle,
    Busy,
    /// Told to drop its answer; what still comes of it is ignored.
    Dropping,
}

impl<H: EventHandler> Detect<H> {
    /// Runs until it is told to stop; then tells everything that it holds back.
    pub fn run(mut self) {
        let inbox = self.inbox.clone();
        let _closing = inbox.closing();
        let mut reader = Reader::Idle;
        let mut log = NoteLog::default();
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let mut batch = Batch::default();
        let mut heard = None;
        loop {
            let now = self.clock.now();
            self.health.beat(now.monotonic);
            self.stream.detector.on_time(now, &mut out);
            let wait = self.next_step(now, &mut reader);
            self.dispatch(&mut out);
            // Bytes so soon after bytes are a flood.
            let in_flood = heard.is_some_and(|at| now.monotonic.saturating_sub(at) < FLOOD_GAP);
            inbox.take(wait, in_flood, &mut batch);
            if batch.is_empty() {
                continue;
            }
            let now = self.clock.now();
            heard = (!batch.bytes.is_empty()).then_some(now.monotonic);
            let stopped = self.take(&mut batch, now, &mut reader, &mut out, &mut notes);
            let is_listed = notes.iter().any(|note| matches!(note, Note::Listed { .. }));
            for note in notes.drain(..) {
                self.note(note, now, &mut log);
            }
            self.dispatch(&mut out);
            if let Some(keeper) = self.keeper.as_ref().filter(|_| is_listed) {
                keeper.complete();
            }
            if stopped {
                break;
            }
        }
        self.stream.detector.finish(&mut out);
        self.dispatch(&mut out);
    }

    /// Gives an idle reader its next step; how long to wait for a message at most.
    fn next_step(&mut self, now: Now, reader: &mut Reader) -> Duration {
        let mut wait = DETECT_TICK;
        if *reader == Reader::Idle {
            match self.stream.next(now.monotonic) {
                Step::Wait { until } => wait = wait.min(until.saturating_sub(now.monotonic)),
                // The channel has room for one, and the reader waits for it.
                step => {
                    if self.steps.try_send(step).is_ok() {
                        *reader = Reader::Busy;
                    }
                }
            }
        }
        match self.stream.detector.next_deadline() {
            Some(deadline) => wait.min(deadline.saturating_sub(now.monotonic)),
            None => wait,
        }
    }

    /// Whether the agent ends.
    fn take(
        &mut self,
        batch: &mut Batch,
        now: Now,
        reader: &mut Reader,
        out: &mut Vec<Output>,
        notes: &mut Vec<Note>,
    ) -> bool {
        if *reader == Reader::Busy
            && !batch.bytes.is_empty()
            && self.stream.on_block(&batch.bytes, now, out, notes) == Flow::Stop
        {
            *reader = Reader::Dropping;
            self.interrupt.interrupt();
        }
        for message in batch.messages.drain(..) {
            match message {
                Message::Ended(end) => {
                    if *reader == Reader::Busy {
                        self.stream.on_end(end, now, out, notes);
                    }
                    *reader = Reader::Idle;
                }
                Message::Failed(failure) => {
                    if *reader == Reader::Busy {
                        self.stream.on_failure(failure, now);
                    }
                    *reader = Reader::Idle;
                }
                Message::Events { key, lookup } => {
                    self.stream.detector.on_events(&key, &lookup, out);
                }
                Message::Stop => return true,
            }
        }
        false
    }

    fn note(&self, note: Note, now: Now, log: &mut NoteLog) {
        match note {
            Note::Line { used } => {
                self.metrics.watch_events.fetch_add(1, Ordering::Relaxed);
                if !used {
                    return;
                }
                let millis = now.wall.as_millisecond().try_into().unwrap_or(0);
                self.metrics.watch_last_event_millis.store(millis, Ordering::Relaxed);
                self.health.heard(now.monotonic);
            }
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

    fn dispatch(&mut self, out: &mut Vec<Output>) {
        let mut answers = Vec::new();
        for output in out.drain(..) {
            match output {
                Output::Started(pod) => self.handler.on_pod_start(&pod),
                Output::Stopped(pod) => self.handler.on_pod_stop(&pod),
                Output::Incident(incident) => self.handler.on_pod_crash(incident),
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
                Output::Held(remains) => self.handler.on_held(*remains),
                Output::Quiet(quiet) => self.metrics.quiet_ends.add(quiet),
                Output::Unseen(n) => {
                    let n = u64::try_from(n).unwrap_or(0);
                    self.metrics.unseen_ends.fetch_add(n, Ordering::Relaxed);
                }
                Output::NoRoom(pod) => {
                    if self.metrics.pods_refused.fetch_add(1, Ordering::Relaxed) == 0 {
                        warn!(
                            "over the limits of pods and containers: not all of {pod} is watched, nor of others"
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
        let full = Lookup::Failed("too many were wanted at once".to_owned());
        for key in answers {
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
struct NoteLog {
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

    fn on_pod_crash(&mut self, incident: Box<Incident>) {
        self.metrics.pod_events.add(PodEvent::Crash);
        // Before the ledger hears of the pod: until it is delivered it does not count as told.
        if let Some(keeper) = &self.keeper {
            keeper.open(&incident);
        }
        self.tell.incident(incident);
    }

    fn on_held(&mut self, remains: Remains) {
        self.tell.held(Box::new(remains));
    }

    fn on_pod_gone(&mut self, key: Box<str>) {
        self.tell.gone(key);
    }

    fn on_pod_stop(&mut self, _: &PodName) {
        self.metrics.pod_events.add(PodEvent::Stop);
    }
}
