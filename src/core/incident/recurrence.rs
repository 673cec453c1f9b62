//! Counts how often a container crashed recently.

use std::collections::HashMap;
use std::time::Duration;

use crate::core::case::id;
use crate::core::seen::Sighting;
use crate::limits::{
    BRIEF_WITHIN, CRASH_LOOP_AFTER, CRASH_LOOP_WITHIN, RECENT_CRASHES_WITHIN, RECURRENCE_TIMES_MAX,
    RECURRENCES_MAX,
};

/// How often a container crashed recently, this time included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recurrence {
    /// Number of crashes within [`RECENT_CRASHES_WITHIN`].
    pub recent: usize,
    /// Number of crashes within [`BRIEF_WITHIN`], as far as they are remembered.
    pub within_hour: usize,
    /// True if that is a crash loop: [`CRASH_LOOP_AFTER`] crashes within [`CRASH_LOOP_WITHIN`]. This is not the
    /// kubelet's `CrashLoopBackOff`, which begins when the crash is already reported.
    pub in_crash_loop: bool,
    /// The crashes of the same kind on this node; `None` where they are not counted.
    pub seen: Option<Sighting>,
}

/// The times of the newest few incidents of each container.
#[derive(Debug, Default)]
pub struct Recurrences {
    by_container: HashMap<u64, Vec<Duration>>,
}

impl Recurrences {
    /// Records an incident of that container at `now` (monotonic).
    pub fn note(&mut self, pod_key: &str, container: &str, now: Duration) -> Recurrence {
        let key = id::fold(id::fnv128(&[pod_key, container]));
        if self.by_container.len() >= RECURRENCES_MAX && !self.by_container.contains_key(&key) {
            self.by_container.retain(|_, times| is_within(times, now, BRIEF_WITHIN));
            if self.by_container.len() >= RECURRENCES_MAX {
                // Thousands of containers crash at once. All counts are dropped, so no line is brief because of them.
                self.by_container.clear();
            }
        }
        let times = self.by_container.entry(key).or_default();
        let excess = (times.len() + 1).saturating_sub(RECURRENCE_TIMES_MAX);
        times.drain(..excess);
        times.push(now);
        let count = |within| times.iter().filter(|at| now.saturating_sub(**at) <= within).count();
        Recurrence {
            recent: count(RECENT_CRASHES_WITHIN),
            within_hour: count(BRIEF_WITHIN),
            in_crash_loop: count(CRASH_LOOP_WITHIN) >= CRASH_LOOP_AFTER,
            seen: None,
        }
    }
}

fn is_within(times: &[Duration], now: Duration, within: Duration) -> bool {
    times.last().is_some_and(|at| now.saturating_sub(*at) <= within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_loop_begins_with_the_third_crash_of_one_container_in_half_an_hour() {
        let looping = |seconds: &[u64]| {
            let mut recurrences = Recurrences::default();
            let note =
                |s: &u64| recurrences.note("u1", "app", Duration::from_secs(*s)).in_crash_loop;
            seconds.iter().map(note).collect::<Vec<_>>()
        };
        assert_eq!(looping(&[0, 10, 30, 70]), [false, false, true, true]);
        // The slowest loop that the kubelet delays: ten minutes of running, five of backoff.
        assert_eq!(looping(&[0, 900, 1800, 2700]), [false, false, true, true]);
        // A container that crashes every twenty minutes is not in a loop, and a container that was fixed is no longer
        // in one.
        assert_eq!(looping(&[0, 1200, 2400, 3600]), [false; 4]);
        assert_eq!(looping(&[0, 10, 30, 3600, 3610]), [false, false, true, false, false]);
        // Three containers crash once each.
        let mut recurrences = Recurrences::default();
        for name in ["a", "b", "c"] {
            assert!(!recurrences.note("u1", name, Duration::ZERO).in_crash_loop);
        }
    }

    #[test]
    fn recurrences_are_bounded() {
        let mut recurrences = Recurrences::default();
        for n in 0..3 * RECURRENCES_MAX as u64 {
            recurrences.note("u1", &n.to_string(), Duration::from_secs(n));
            assert!(recurrences.by_container.len() <= RECURRENCES_MAX);
        }
        for n in 0..100 {
            recurrences.note("u2", "app", Duration::from_secs(n));
        }
        assert!(recurrences.by_container.values().all(|times| times.len() <= RECURRENCE_TIMES_MAX));
    }
}
