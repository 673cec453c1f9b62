//! The stop flag, which threads can wait for.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Set when the agent is asked to stop. All threads share it; once set, it is never cleared.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Sets the flag and wakes all waiting threads.
    pub fn set(&self) {
        let (stopped, changed) = &*self.0;
        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Returns true if the flag is set.
    pub fn is_set(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `duration`, or until the flag is set. Returns true if it is set.
    pub fn wait(&self, duration: Duration) -> bool {
        let (stopped, changed) = &*self.0;
        let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let (guard, _) = changed
            .wait_timeout_while(guard, duration, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        *guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_told() {
        let stop = Stop::default();
        assert!(!stop.wait(Duration::from_millis(1)));
        let told = stop.clone();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || told.wait(Duration::from_secs(60)));
            stop.set();
            assert!(waiting.join().unwrap());
        });
        assert!(stop.is_set());
    }
}
