//! A bounded queue that never blocks the sender: when it is full, the oldest items are dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::sinks::delivery::Delivery;

/// A handle to the queue; clones share it.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    limits: Limits,
}

/// The maximum content of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of lines.
    pub lines: usize,
    /// Maximum total bytes. A single line larger than this is still accepted, as the only item.
    pub bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Arc<Delivery>>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// Creates an empty queue.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), limits }))
    }

    /// Appends an item; returns the oldest items that were dropped to make room.
    pub fn push(&self, item: Arc<Delivery>) -> Vec<Arc<Delivery>> {
        let mut state = self.lock();
        state.bytes += item.line.len();
        state.items.push_back(item);
        let mut dropped = Vec::new();
        while state.items.len() > 1 && state.exceeds(self.0.limits) {
            dropped.extend(state.take());
        }
        self.0.changed.notify_one();
        dropped
    }

    /// Returns true if the queue is at most half full, in lines and in bytes.
    pub fn has_room(&self) -> bool {
        let Limits { lines, bytes } = self.0.limits;
        !self.lock().exceeds(Limits { lines: lines / 2, bytes: bytes / 2 })
    }

    /// Removes and returns the oldest item, waiting for one. Returns `None` once the queue is closed and empty.
    pub fn pop(&self) -> Option<Arc<Delivery>> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.take() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Removes and returns the oldest item, if there is one, without waiting.
    pub fn try_pop(&self) -> Option<Arc<Delivery>> {
        self.lock().take()
    }

    /// Waits for this duration, or until the queue is closed; returns true if it is closed.
    pub fn wait_closed(&self, duration: Duration) -> bool {
        let state = self.lock();
        let waited = self.0.changed.wait_timeout_while(state, duration, |state| !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Closes the queue: no more items will be pushed.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<Arc<Delivery>> {
        let item = self.items.pop_front()?;
        self.bytes -= item.line.len();
        Some(item)
    }

    fn exceeds(&self, limits: Limits) -> bool {
        self.items.len() > limits.lines || self.bytes > limits.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { lines: 2, bytes: 10 };

    fn push(queue: &Queue, line: &str) -> Vec<String> {
        let dropped = queue.push(Arc::new(Delivery::of_line(line, 1)));
        dropped.iter().map(|d| text(d)).collect()
    }

    fn text(delivery: &Delivery) -> String {
        String::from_utf8(delivery.line.clone()).unwrap()
    }

    #[test]
    fn the_oldest_goes_when_the_queue_is_full() {
        let queue = Queue::new(LIMITS);
        let dropped = ["1", "2", "3", "4"].map(|n| push(&queue, n));
        assert_eq!(dropped, [vec![], vec![], vec!["1".to_owned()], vec!["2".to_owned()]]);
        queue.close();
        let left: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|d| text(&d)).collect();
        assert_eq!(left, ["3", "4"]);
    }

    #[test]
    fn large_items_push_out_many_and_the_largest_has_the_queue_for_itself() {
        let queue = Queue::new(LIMITS);
        push(&queue, "1234");
        push(&queue, "1235");
        assert_eq!(push(&queue, "123456789"), ["1234", "1235"]);
        assert_eq!(push(&queue, "12345678901234"), ["123456789"]);
        assert_eq!(queue.try_pop().map(|d| text(&d)).as_deref(), Some("12345678901234"));
        assert!(queue.try_pop().is_none());
        assert!(!queue.wait_closed(Duration::from_millis(1)));
        queue.close();
        assert!(queue.wait_closed(Duration::from_secs(60)));
    }

    #[test]
    fn a_waiting_receiver_gets_what_comes_and_then_the_end() {
        let queue = Queue::new(LIMITS);
        let receiver = queue.clone();
        std::thread::scope(|scope| {
            let got = scope.spawn(move || std::iter::from_fn(|| receiver.pop()).count());
            push(&queue, "a");
            push(&queue, "b");
            queue.close();
            assert_eq!(got.join().unwrap(), 2);
        });
    }
}
