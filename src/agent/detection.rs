//! The detection: turns bytes into incidents.
//!
//! It is a lock around [`Stream`], which makes all decisions. Every thread that has news calls [`Detection`] at once:
//! the thread "watch" for each block that it reads, the thread "lookups" for each answer to a lookup, and the thread
//! "detect", its clock, at each deadline. The results go to the [`EventHandler`], and to channels on which nothing
//! ever waits.
//!
//! There is no queue in front of it: passing the bytes of an event to a thread on another core cost more than looking
//! at them (`docs/cost.md`). The queue is the socket, whose buffer holds more than the API server's own.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::agent::dispatch::Pipeline;
use crate::agent::handler::EventHandler;
use crate::core::Now;
use crate::core::detect::Output;
use crate::core::detect::settle::Lookup;
use crate::core::stream::reflector::{Failure, Step, WatchEnd};
use crate::core::stream::{Flow, Note, Stream};
use crate::limits::DETECT_TICK;

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
            let now = pipeline.clock.now();
            pipeline.stream.detector.finish(now, &mut state.out);
            pipeline.dispatch(&mut state.out);
            pipeline.handler.on_tick();
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
        pipeline.handler.on_tick();
        pipeline.stream.detector.on_time(now, out);
        pipeline.dispatch(out);
        let deadline = pipeline.stream.detector.next_deadline();
        let wait = deadline.map_or(DETECT_TICK, |at| at.saturating_sub(now.monotonic));
        let wait = wait.min(DETECT_TICK);
        self.wakes_at = now.monotonic + wait;
        wait
    }
}

#[cfg(test)]
mod tests;
