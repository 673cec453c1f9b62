//! A bounded queue that never makes the sender wait: past its limit the oldest goes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// One end for all: clones share the queue.
#[derive(Debug)]
pub struct Queue<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    limit: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Queue<T> {
    /// An empty queue for `limit` items.
    pub fn new(limit: usize) -> Self {
        let state = Mutex::new(State { items: VecDeque::new(), closed: false });
        Self(Arc::new(Shared { state, changed: Condvar::new(), limit }))
    }

    /// Appends an item; returns the oldest one if that had to go.
    pub fn push(&self, item: T) -> Option<T> {
        let mut state = self.lock();
        let dropped =
            if state.items.len() >= self.0.limit { state.items.pop_front() } else { None };
        state.items.push_back(item);
        self.0.changed.notify_one();
        dropped
    }

    /// Takes the oldest item, waiting for one. `None`: the queue was closed and is empty.
    pub fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_all();
    }

    /// Items now waiting.
    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_the_queue_is_full() {
        let queue = Queue::new(2);
        assert_eq!([1, 2, 3, 4].map(|n| queue.push(n)), [None, None, Some(1), Some(2)]);
        queue.close();
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(3), Some(4), None]);
    }

    #[test]
    fn a_waiting_receiver_gets_what_comes_and_then_the_end() {
        let queue = Queue::new(2);
        let receiver = queue.clone();
        std::thread::scope(|scope| {
            let got =
                scope.spawn(move || std::iter::from_fn(|| receiver.pop()).collect::<Vec<_>>());
            queue.push("a");
            queue.push("b");
            queue.close();
            assert_eq!(got.join().unwrap(), ["a", "b"]);
        });
    }
}
