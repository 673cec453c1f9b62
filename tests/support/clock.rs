//! The only place of the fake that reads a clock, and waits that a stopping server interrupts.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Returns the current time.
#[expect(clippy::disallowed_methods, reason = "a server for real sockets lives in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Returns the seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "ages in tables are told by the wall clock")]
pub fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Signals all threads of one server run to stop.
#[derive(Default)]
pub struct Stopper {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stopper {
    /// Stops the run.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap() = true;
        self.changed.notify_all();
    }

    /// Returns true if the run has been stopped.
    pub fn is_stopped(&self) -> bool {
        *self.stopped.lock().unwrap()
    }

    /// Sleeps; returns true if the run was stopped meanwhile.
    pub fn wait(&self, duration: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap();
        *self.changed.wait_timeout_while(stopped, duration, |stopped| !*stopped).unwrap().0
    }
}

/// Polls `condition` until it holds or `patience` is over; returns whether it held.
pub fn eventually(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = now() + patience;
    let never = Stopper::default();
    while !condition() {
        if now() >= deadline {
            return false;
        }
        never.wait(Duration::from_millis(5));
    }
    true
}
