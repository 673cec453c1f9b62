//! The only module that reads the clock.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::core::Now;

/// The node's monotonic clock and its wall clock. All other code gets the time passed in.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Makes a clock whose monotonic time begins now.
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Returns the time since the start; it never jumps.
    pub fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    /// Returns the time of the node's wall clock, which may jump.
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Returns the monotonic and the wall time.
    pub fn now(&self) -> Now {
        Now { monotonic: self.monotonic(), wall: self.wall() }
    }
}
