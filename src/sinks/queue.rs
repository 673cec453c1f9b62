//! A bounded queue that never blocks the sender: when it is full, the oldest items are dropped, and a line in their place
//! tells how many.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::case::NodeIdentity;
use crate::sinks::delivery::Delivery;
use crate::sinks::losses::Untold;

/// A handle to the queue; clones share it.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    limits: Limits,
    node: Arc<NodeIdentity>,
    sink: &'static str,
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
    untold: Untold,
}

/// What a receiver found in the queue.
#[derive(Debug)]
pub enum Popped {
    /// The oldest item.
    Item(Arc<Delivery>),
    /// Nothing came in time.
    Nothing,
    /// The queue is closed and empty.
    Closed,
}

/// What became of a queue when a line was added to it.
#[derive(Debug, Default)]
pub struct Pushed {
    /// The oldest lines, which were dropped to make room.
    pub dropped: Vec<Arc<Delivery>>,
    /// True if a line that tells losses is now in the queue and was not before.
    pub is_first_loss: bool,
}

impl Queue {
    /// Creates the empty queue of this sink, on this node.
    pub fn new(limits: Limits, node: impl Into<NodeIdentity>, sink: &'static str) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        let node = Arc::new(node.into());
        Self(Arc::new(Shared { state, changed, limits, node, sink }))
    }

    /// Appends an item, and drops the oldest if there is no room for it.
    pub fn push(&self, item: Arc<Delivery>) -> Pushed {
        let mut state = self.lock();
        state.bytes += item.line.len();
        state.items.push_back(item);
        let mut pushed = Pushed::default();
        while state.items.len() > 1 && state.exceeds(self.0.limits) {
            if let Some(oldest) = state.take_item() {
                pushed.is_first_loss |= state.untold.add(&oldest, self.0.sink);
                pushed.dropped.push(oldest);
            }
        }
        self.0.changed.notify_one();
        pushed
    }

    /// Records that the sink lost a line that it had taken from the queue. Returns true if a line that tells losses is now
    /// in the queue and was not before.
    pub fn lose(&self, item: &Delivery) -> bool {
        self.lock().untold.add(item, self.0.sink)
    }

    /// Returns true if the queue is at most half full, in lines and in bytes.
    pub fn has_room(&self) -> bool {
        let Limits { lines, bytes } = self.0.limits;
        !self.lock().exceeds(Limits { lines: lines / 2, bytes: bytes / 2 })
    }

    /// Removes and returns the oldest item, waiting for one. Returns `None` once the queue is closed and empty.
    pub fn pop(&self) -> Option<Arc<Delivery>> {
        match self.pop_within(None) {
            Popped::Item(item) => Some(item),
            Popped::Nothing | Popped::Closed => None,
        }
    }

    /// Removes the oldest item, waiting for one, at most for this time if there is a limit.
    pub fn pop_within(&self, within: Option<Duration>) -> Popped {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.take(&self.0) {
                return Popped::Item(item);
            }
            if state.closed {
                return Popped::Closed;
            }
            state = match within {
                None => self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(within) => {
                    let waited = self.0.changed.wait_timeout(state, within);
                    let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                    if waited.timed_out() {
                        return Popped::Nothing;
                    }
                    state
                }
            };
        }
    }

    /// Removes and returns the oldest item, if there is one, without waiting.
    pub fn try_pop(&self) -> Option<Arc<Delivery>> {
        self.lock().take(&self.0)
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
    /// Takes the line that tells losses, or else the oldest item.
    fn take(&mut self, shared: &Shared) -> Option<Arc<Delivery>> {
        if let Some(told) = self.untold.take(&shared.node) {
            return Some(told);
        }
        let item = self.take_item();
        if item.is_some() {
            self.untold.go_on();
        }
        item
    }

    fn take_item(&mut self) -> Option<Arc<Delivery>> {
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
        let dropped = queue.push(Arc::new(Delivery::of_line(line, 1))).dropped;
        dropped.iter().map(|d| text(d)).collect()
    }

    fn text(delivery: &Delivery) -> String {
        String::from_utf8(delivery.line.to_vec()).unwrap()
    }

    fn lost(told: &Delivery) -> Option<u64> {
        told.losses.as_ref().map(|losses| losses.total())
    }

    #[test]
    fn a_line_about_losses_that_is_lost_waits_for_another_line_and_forgets_nothing() {
        let queue = Queue::new(LIMITS, "node1", "stdout");
        push(&queue, "1");
        let first = queue.pop().unwrap();
        assert!(queue.lose(&first));
        let told = queue.pop().unwrap();
        assert_eq!(lost(&told), Some(1));
        assert!(queue.lose(&told), "a line tells it again");
        assert!(queue.try_pop().is_none(), "but not at once: the sink may be broken for good");
        push(&queue, "2");
        let second = queue.pop().unwrap();
        assert_eq!(text(&second), "2");
        assert!(!queue.lose(&second), "the same line tells it");
        assert_eq!(queue.pop().and_then(|told| lost(&told)), Some(2));
        assert!(queue.try_pop().is_none());
    }

    #[test]
    fn the_oldest_goes_when_the_queue_is_full() {
        let queue = Queue::new(LIMITS, "node1", "stdout");
        let dropped = ["1", "2", "3", "4"].map(|n| push(&queue, n));
        assert_eq!(dropped, [vec![], vec![], vec!["1".to_owned()], vec!["2".to_owned()]]);
        queue.close();
        let mut left = std::iter::from_fn(|| queue.pop());
        assert_eq!(
            left.next().and_then(|told| lost(&told)),
            Some(2),
            "before the lines after them"
        );
        assert_eq!(left.map(|d| text(&d)).collect::<Vec<_>>(), ["3", "4"]);
    }

    #[test]
    fn large_items_push_out_many_and_the_largest_has_the_queue_for_itself() {
        let queue = Queue::new(LIMITS, "node1", "stdout");
        push(&queue, "1234");
        push(&queue, "1235");
        assert_eq!(push(&queue, "123456789"), ["1234", "1235"]);
        assert_eq!(push(&queue, "12345678901234"), ["123456789"]);
        assert_eq!(queue.try_pop().and_then(|told| lost(&told)), Some(3));
        assert_eq!(queue.try_pop().map(|d| text(&d)).as_deref(), Some("12345678901234"));
        assert!(queue.try_pop().is_none());
        assert!(!queue.wait_closed(Duration::from_millis(1)));
        queue.close();
        assert!(queue.wait_closed(Duration::from_secs(60)));
    }

    #[test]
    fn a_waiting_receiver_gets_what_comes_and_then_the_end() {
        let queue = Queue::new(LIMITS, "node1", "stdout");
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
