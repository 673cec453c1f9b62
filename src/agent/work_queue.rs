//! The queue to the thread "enrich", and what that thread has in its hands.
//!
//! The thread reads files of the node, and a read may wait for ever: on a disk that hangs, or for a lock of a thread that
//! does. The queue knows since when, and still has every case that the thread took. So whoever notices can report those
//! cases without the thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::agent::messages::Work;
use crate::core::case::{Case, IncidentId};
use crate::limits::{ENRICH_QUEUE_BYTES_MAX, ENRICH_QUEUE_MAX, ENRICH_STALL_MAX};
use crate::runtime::clock::Clock;

/// The sending end; the queue is closed when all its clones are gone.
#[derive(Debug)]
pub struct WorkSender(Arc<Shared>);

/// The receiving end, of the thread "enrich".
#[derive(Debug)]
pub struct WorkReceiver(Arc<Shared>);

/// The result of [`WorkReceiver::next`].
#[derive(Debug)]
pub enum Next {
    /// A message.
    Work(Work),
    /// No message came in time.
    Timeout,
    /// No message will come any more.
    Closed,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    clock: Clock,
}

#[derive(Debug)]
struct State {
    items: VecDeque<Work>,
    /// What the cases in `items` take in memory.
    bytes: usize,
    /// The cases that the thread took and has not reported yet.
    in_hand: Vec<Case>,
    /// Since when the thread works on something (monotonic); `None` while it waits for a message.
    busy_since: Option<Duration>,
    senders: usize,
}

/// Creates a queue.
pub fn queue(clock: Clock) -> (WorkSender, WorkReceiver) {
    let state = State {
        items: VecDeque::new(),
        bytes: 0,
        in_hand: Vec::new(),
        busy_since: None,
        senders: 1,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), clock });
    (WorkSender(shared.clone()), WorkReceiver(shared))
}

impl WorkSender {
    /// Appends a message. `now` is monotonic.
    ///
    /// # Errors
    /// Returns it if there is no room for it, or if the thread hangs.
    pub fn send(&self, work: Work, now: Duration) -> Result<(), Work> {
        let bytes = bytes(&work);
        let mut state = self.0.lock();
        let is_full =
            state.items.len() >= ENRICH_QUEUE_MAX || state.bytes + bytes > ENRICH_QUEUE_BYTES_MAX;
        // The rise of a counter is seen once, so it waits for the thread.
        let may_wait = matches!(work, Work::OomKills(..)) || !state.hangs(now);
        if is_full || !may_wait {
            return Err(work);
        }
        state.bytes += bytes;
        state.items.push_back(work);
        self.0.changed.notify_one();
        Ok(())
    }

    /// Returns true if the thread hangs. `now` is monotonic.
    pub fn hangs(&self, now: Duration) -> bool {
        self.0.lock().hangs(now)
    }

    /// If the thread hangs, takes all cases from it and from the queue. `now` is monotonic.
    pub fn take_from_a_thread_that_hangs(&self, now: Duration) -> Vec<Case> {
        let mut state = self.0.lock();
        if !state.hangs(now) {
            return Vec::new();
        }
        let mut cases = std::mem::take(&mut state.in_hand);
        state.bytes = 0;
        for work in std::mem::take(&mut state.items) {
            match work {
                Work::Crash { case, .. } => cases.push(*case),
                Work::OomKills(..) => state.items.push_back(work),
                // Less telemetry for a later incident.
                Work::Held(_) | Work::Gone(_) => {}
            }
        }
        cases
    }
}

impl Clone for WorkSender {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(self.0.clone())
    }
}

impl Drop for WorkSender {
    fn drop(&mut self) {
        self.0.lock().senders -= 1;
        self.0.changed.notify_one();
    }
}

impl WorkReceiver {
    /// Waits for a message, but not longer than this.
    pub fn next(&self, longest: Duration) -> Next {
        let mut state = self.0.lock();
        state.busy_since = None;
        let is_waiting = |state: &mut State| state.items.is_empty() && state.senders > 0;
        let waited = self.0.changed.wait_timeout_while(state, longest, is_waiting);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.busy_since = Some(self.0.clock.monotonic());
        let Some(work) = state.items.pop_front() else {
            return if state.senders == 0 { Next::Closed } else { Next::Timeout };
        };
        state.bytes -= bytes(&work);
        if let Work::Crash { case, .. } = &work {
            state.in_hand.push((**case).clone());
        }
        Next::Work(work)
    }

    /// Records that the thread reports a case. Returns false if it was taken from it: then it is reported already.
    pub fn let_go(&self, id: IncidentId) -> bool {
        let mut state = self.0.lock();
        let at = state.in_hand.iter().position(|case| case.id == id);
        at.map(|at| state.in_hand.remove(at)).is_some()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hangs(&self, now: Duration) -> bool {
        self.busy_since.is_some_and(|since| now.saturating_sub(since) >= ENRICH_STALL_MAX)
    }
}

fn bytes(work: &Work) -> usize {
    match work {
        Work::Crash { bytes, .. } => *bytes,
        Work::Held(_) | Work::Gone(_) | Work::OomKills(..) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::case::{Losses, PodFacts};

    fn crash(name: &str) -> Work {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let losses = Losses::of_one("stdout", "error", at, at);
        let mut case = Case::lost(Arc::new(PodFacts::of_node(Arc::new("node1".into()))), losses);
        case.id = IncidentId::of_test(name);
        Work::Crash { bytes: case.bytes(), case: Box::new(case), since: Duration::ZERO }
    }

    fn ids(cases: &[Case]) -> Vec<IncidentId> {
        cases.iter().map(|case| case.id).collect()
    }

    #[test]
    fn what_a_thread_that_hangs_has_is_reported_once_and_without_it() {
        let (sender, receiver) = queue(Clock::start());
        let now = receiver.0.clock.monotonic();
        for name in ["a", "b", "c"] {
            sender.send(crash(name), now).unwrap();
        }
        sender.send(Work::Gone("u1".into()), now).unwrap();
        let kills = || Work::OomKills(Vec::new(), jiff::Timestamp::UNIX_EPOCH);
        sender.send(kills(), now).unwrap();
        assert!(matches!(receiver.next(Duration::ZERO), Next::Work(Work::Crash { .. })));
        assert!(receiver.let_go(IncidentId::of_test("a")), "reported in time");
        assert!(matches!(receiver.next(Duration::ZERO), Next::Work(Work::Crash { .. })));
        let later = receiver.0.clock.monotonic() + ENRICH_STALL_MAX / 2;
        assert!(sender.take_from_a_thread_that_hangs(later).is_empty(), "it works");
        let late = later + ENRICH_STALL_MAX;
        assert!(sender.send(crash("d"), late).is_err(), "nothing waits behind it");
        let of = |names: &[&str]| names.iter().map(|n| IncidentId::of_test(n)).collect::<Vec<_>>();
        assert_eq!(ids(&sender.take_from_a_thread_that_hangs(late)), of(&["b", "c"]));
        assert!(!receiver.let_go(IncidentId::of_test("b")), "it is back, and too late");
        assert!(sender.send(kills(), late).is_ok(), "it waits for the thread");
        for _ in 0..2 {
            let next = receiver.next(Duration::ZERO);
            assert!(matches!(next, Next::Work(Work::OomKills(..))), "{next:?}");
        }
        assert!(matches!(receiver.next(Duration::ZERO), Next::Timeout));
        receiver.0.lock().busy_since = None;
        assert!(sender.send(crash("e"), late).is_ok(), "it waits for work");
        assert!(matches!(receiver.next(Duration::ZERO), Next::Work(Work::Crash { .. })));
        drop(sender);
        assert!(matches!(receiver.next(Duration::ZERO), Next::Closed));
    }

    #[test]
    fn the_queue_has_limits_in_number_and_in_bytes() {
        let (sender, receiver) = queue(Clock::start());
        let now = receiver.0.clock.monotonic();
        let sent =
            (0..2 * ENRICH_QUEUE_MAX).filter(|n| sender.send(crash(&n.to_string()), now).is_ok());
        assert_eq!(sent.count(), ENRICH_QUEUE_MAX);
        while let Next::Work(_) = receiver.next(Duration::ZERO) {}
        assert_eq!(receiver.0.lock().bytes, 0);
        let large = |n: usize| match crash(&n.to_string()) {
            Work::Crash { case, since, .. } => {
                Work::Crash { case, since, bytes: ENRICH_QUEUE_BYTES_MAX / 4 }
            }
            other => other,
        };
        assert_eq!((0..10).filter(|n| sender.send(large(*n), now).is_ok()).count(), 4);
    }
}
