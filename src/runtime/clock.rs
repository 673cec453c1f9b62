//! The only place that asks what time it is.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::core::Now;

/// The node's clocks. Everything else is told the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins now.
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Time since the start; never jumps.
    pub fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    /// The node's wall clock, which may jump.
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Both.
    pub fn now(&self) -> Now {
        Now { monotonic: self.monotonic(), wall: self.wall() }
    }
}
