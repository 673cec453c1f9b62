//! What the detection hears: the bytes of the answer that is being read, and messages.
//!
//! A queue of its own instead of a channel, for the sake of floods: bytes that come while the detection
//! is busy or lets them gather lie one behind the other, and are taken all at once. Neither side is
//! woken for each event, which would cost more than the event.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::reflector::{Failure, WatchEnd};
use crate::core::settle::Lookup;
use crate::limits::{
    FLOOD_NAP, INBOX_BYTES_KEPT, INBOX_BYTES_MAX, INBOX_BYTES_WAKE, INBOX_MESSAGES_MAX,
};

/// What is said beside the bytes. Of an answer's bytes and its end the bytes come first, and the bytes of
/// the next answer not before the detection has asked for it: so bytes need no place among the messages.
#[derive(Debug)]
pub enum Message {
    /// The answer came to its end.
    Ended(WatchEnd),
    /// The request failed.
    Failed(Failure),
    /// The answer to a lookup.
    Events {
        /// The key it was asked with.
        key: Box<str>,
        /// What came of it.
        lookup: Lookup,
    },
    /// The agent ends.
    Stop,
}

/// The detection has ended: nobody listens any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// What was taken: first the bytes, then the messages.
#[derive(Debug, Default)]
pub struct Batch {
    /// Of one answer.
    pub bytes: Vec<u8>,
    /// In their order.
    pub messages: VecDeque<Message>,
}

impl Batch {
    /// Nothing came.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.messages.is_empty()
    }
}

/// Between the threads that hear of the API server and the detection.
#[derive(Debug, Default)]
pub struct Inbox {
    state: Mutex<State>,
    /// There is what the detection waits for.
    news: Condvar,
    /// Something was taken.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    sleep: Sleep,
    /// Threads that wait for room.
    wait_for_room: u32,
    is_closed: bool,
}

/// What wakes the detection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sleep {
    /// It is at work.
    #[default]
    Awake,
    /// Anything.
    Light,
    /// A message, or so many bytes that they should be looked at.
    Deep,
}

impl State {
    fn wants(&self, sleep: Sleep) -> bool {
        match sleep {
            Sleep::Awake => false,
            Sleep::Light => !self.waiting.is_empty() || self.is_closed,
            Sleep::Deep => {
                self.waiting.bytes.len() >= INBOX_BYTES_WAKE
                    || !self.waiting.messages.is_empty()
                    || self.is_closed
            }
        }
    }
}

impl Inbox {
    /// Adds bytes; waits while there is no room for them.
    ///
    /// # Errors
    /// The detection has ended.
    pub fn push_bytes(&self, block: &[u8]) -> Result<(), Closed> {
        let is_full = |s: &mut State| {
            let held = s.waiting.bytes.len();
            held > 0 && held + block.len() > INBOX_BYTES_MAX && !s.is_closed
        };
        let mut state = self.wait_for_room(is_full);
        let bytes = &mut state.waiting.bytes;
        if bytes.capacity() - bytes.len() < block.len() {
            // In steps, not doubling: what is reserved is resident.
            bytes.reserve_exact(block.len().max(INBOX_BYTES_KEPT));
        }
        bytes.extend_from_slice(block);
        self.tell(state)
    }

    /// Adds a message; waits while there are too many. A [`Message::Stop`] finds room always.
    ///
    /// # Errors
    /// The detection has ended.
    pub fn push(&self, message: Message) -> Result<(), Closed> {
        let is_stop = matches!(message, Message::Stop);
        let is_full = |s: &mut State| {
            s.waiting.messages.len() >= INBOX_MESSAGES_MAX && !is_stop && !s.is_closed
        };
        let mut state = self.wait_for_room(is_full);
        state.waiting.messages.push_back(message);
        self.tell(state)
    }

    fn wait_for_room(&self, is_full: impl FnMut(&mut State) -> bool) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.wait_for_room += 1;
        let state = self.room.wait_while(state, is_full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.wait_for_room -= 1;
        state
    }

    fn tell(&self, mut state: MutexGuard<'_, State>) -> Result<(), Closed> {
        if state.is_closed {
            return Err(Closed);
        }
        if state.wants(state.sleep) {
            state.sleep = Sleep::Awake;
            drop(state);
            self.news.notify_one();
        }
        Ok(())
    }

    /// Takes all there is, in exchange for an emptied batch, once there is something or `wait` is over.
    /// In a flood (`gather`) it lets more come first, for [`FLOOD_NAP`] at most.
    pub fn take(&self, wait: Duration, gather: bool, batch: &mut Batch) {
        batch.messages.clear();
        let used = batch.bytes.len();
        batch.bytes.clear();
        if used < INBOX_BYTES_KEPT && !gather {
            batch.bytes.shrink_to(INBOX_BYTES_KEPT);
        }
        let mut state = self.lock();
        if gather {
            state = self.sleep(state, Sleep::Deep, FLOOD_NAP.min(wait));
        }
        state = self.sleep(state, Sleep::Light, wait);
        std::mem::swap(&mut state.waiting, batch);
        // To wake nobody is a call of the kernel as well.
        let is_awaited = state.wait_for_room > 0;
        drop(state);
        if is_awaited {
            self.room.notify_all();
        }
    }

    fn sleep<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        sleep: Sleep,
        wait: Duration,
    ) -> MutexGuard<'s, State> {
        state.sleep = sleep;
        let waited = self.news.wait_timeout_while(state, wait, |s| !s.wants(sleep));
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.sleep = Sleep::Awake;
        state
    }

    /// Closes it when dropped, in whatever way the detection ends: nobody is to wait for it any more.
    pub fn closing(&self) -> Closing<'_> {
        Closing(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Inbox::closing`].
#[derive(Debug)]
pub struct Closing<'i>(&'i Inbox);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn bytes_and_messages_are_taken_together_and_in_order() {
        let inbox = Inbox::default();
        let mut batch = Batch::default();
        inbox.take(Duration::ZERO, true, &mut batch);
        assert!(batch.is_empty());
        inbox.push_bytes(b"ab").unwrap();
        inbox.push(Message::Failed(Failure::Transient)).unwrap();
        inbox.push_bytes(b"c").unwrap();
        inbox.push(Message::Stop).unwrap();
        inbox.take(LONG, false, &mut batch);
        assert_eq!(batch.bytes, b"abc");
        assert!(matches!(batch.messages.pop_front(), Some(Message::Failed(_))));
        assert!(matches!(batch.messages.pop_front(), Some(Message::Stop)));
        inbox.take(Duration::ZERO, false, &mut batch);
        assert!(batch.is_empty());
    }

    #[test]
    fn every_byte_comes_through_once_and_never_more_than_its_room_is_held() {
        let inbox = Inbox::default();
        let block = |n: u32| [n.to_be_bytes()[3]; 7000];
        let (mut batch, mut all) = (Batch::default(), Vec::new());
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..400).for_each(|n| inbox.push_bytes(&block(n)).unwrap());
                inbox.push(Message::Stop).unwrap();
            });
            while !matches!(batch.messages.back(), Some(Message::Stop)) {
                inbox.take(LONG, all.len() % 2 == 0, &mut batch);
                assert!(batch.bytes.len() <= INBOX_BYTES_MAX);
                assert!(batch.bytes.capacity() <= INBOX_BYTES_MAX + INBOX_BYTES_KEPT);
                all.extend_from_slice(&batch.bytes);
            }
        });
        let want: Vec<u8> = (0..400).flat_map(block).collect();
        assert!(all == want);
    }

    #[test]
    fn who_waits_for_room_is_let_go_when_the_detection_ends() {
        let inbox = Inbox::default();
        thread::scope(|scope| {
            scope.spawn(|| while inbox.push_bytes(&[0; 16 << 10]).is_ok() {});
            drop(inbox.closing());
        });
        assert_eq!(inbox.push(Message::Stop), Err(Closed));
    }

    #[test]
    fn a_message_ends_a_nap() {
        let inbox = Inbox::default();
        let mut batch = Batch::default();
        thread::scope(|scope| {
            scope.spawn(|| inbox.push(Message::Stop).unwrap());
            inbox.take(LONG, true, &mut batch);
        });
        assert_eq!(batch.messages.len(), 1);
    }

    #[test]
    fn a_buffer_that_a_flood_has_grown_shrinks_when_it_is_over() {
        let inbox = Inbox::default();
        let mut batch = Batch::default();
        for _ in 0..8 {
            inbox.push_bytes(&[0; 30 << 10]).unwrap();
        }
        for _ in 0..4 {
            inbox.take(Duration::ZERO, false, &mut batch);
            inbox.push_bytes(b"x").unwrap();
        }
        assert!(batch.bytes.capacity() <= INBOX_BYTES_KEPT);
    }
}
