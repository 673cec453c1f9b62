//! Exponential backoff with jitter; the caller passes in the clock and the seed.

use std::time::Duration;

use crate::limits::{BACKOFF_QUIET, BACKOFF_START_MAX, BACKOFF_STEPS_CAP, RECONNECT_PARTS};

/// A small generator of jitter (xorshift64*). Its only purpose is to keep two thousand agents from retrying at
/// the same moment.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// Creates a generator with that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Returns a number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        bits as f64 / (1_u64 << 53) as f64
    }

    /// Returns a duration in [`from`, `to`).
    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        from + to.saturating_sub(from).mul_f64(self.unit())
    }
}

/// Delays that double from `start` to `cap`, each lengthened at random by up to its own length. After two
/// minutes without a failure they start again from `start`. client-go's reflector does the same
/// (`tools/cache/reflector.go`).
///
/// The longest delay is twelve retry intervals, 60 s by default. If the server asks for more, it is that time (at most
/// `RETRY_AFTER_MAX`, 120 s; a collector at most `RECEIVER_RETRY_AFTER_MAX`, 60 s) and up to one such delay.
#[derive(Clone, Debug)]
pub struct Backoff {
    start: Duration,
    cap: Duration,
    next: Duration,
    last: Option<Duration>,
    /// Shortest delay before another attempt to connect.
    reconnect: Duration,
}

impl Backoff {
    /// Creates the backoff for `BLACKBOX_K8S_RETRY_INTERVAL`: from 0.8 s (or the interval, if that is shorter) up
    /// to six times the interval.
    pub fn new(retry_interval: Duration) -> Self {
        let start = retry_interval.min(BACKOFF_START_MAX);
        let cap = retry_interval * BACKOFF_STEPS_CAP;
        let reconnect = retry_interval * RECONNECT_PARTS.0 / RECONNECT_PARTS.1;
        Self { start, cap, next: start, last: None, reconnect }
    }

    /// Returns the delay before the next attempt to connect after a refused connection. It does not grow.
    pub fn reconnect(&self, jitter: &mut Jitter) -> Duration {
        jitter.between(self.reconnect, self.reconnect * 2)
    }

    /// Returns the delay before the next try; the delay begins at `now` (monotonic). `asked` is how long the server
    /// asks to wait, as far as the caller obeys it. All clients are asked for the same, so the jitter is added to it.
    pub fn delay(
        &mut self,
        now: Duration,
        jitter: &mut Jitter,
        asked: Option<Duration>,
    ) -> Duration {
        let step = self.step(now, jitter);
        match asked {
            Some(asked) if asked > step => jitter.between(asked, asked + step),
            _ => step,
        }
    }

    fn step(&mut self, now: Duration, jitter: &mut Jitter) -> Duration {
        if self.last.is_some_and(|last| now.saturating_sub(last) > BACKOFF_QUIET) {
            self.next = self.start;
        }
        let base = self.next;
        self.next = (base * 2).min(self.cap);
        let delay = jitter.between(base, base * 2);
        // Quiet time counts from the end of the delay.
        self.last = Some(now + delay);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn delays_double_to_the_cap_and_jitter_stays_below_twice() {
        let mut jitter = Jitter::new(42);
        let mut backoff = Backoff::new(5 * SECOND);
        let mut now = Duration::ZERO;
        for base in [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0, 30.0] {
            let delay = backoff.step(now, &mut jitter);
            now += delay;
            assert!(delay.as_secs_f64() >= base && delay.as_secs_f64() < 2.0 * base, "{delay:?}");
        }
    }

    #[test]
    fn two_quiet_minutes_reset_it() {
        let mut jitter = Jitter::new(1);
        let mut backoff = Backoff::new(5 * SECOND);
        let mut now = Duration::ZERO;
        for _ in 0..9 {
            now += backoff.step(now, &mut jitter);
        }
        assert!(backoff.step(now + 119 * SECOND, &mut jitter) >= 30 * SECOND);
        let mut backoff = Backoff { last: Some(now), ..backoff };
        assert!(backoff.step(now + 121 * SECOND, &mut jitter) < 2 * SECOND);
    }

    #[test]
    fn a_short_retry_interval_shortens_start_and_cap() {
        let mut jitter = Jitter::new(9);
        let mut backoff = Backoff::new(Duration::from_millis(100));
        for _ in 0..20 {
            assert!(backoff.step(Duration::ZERO, &mut jitter) < Duration::from_millis(1200));
        }
    }

    #[test]
    fn a_refused_connection_is_tried_again_within_three_seconds_however_long_that_goes_on() {
        let mut jitter = Jitter::new(3);
        let backoff = Backoff::new(5 * SECOND);
        let delays: Vec<f64> =
            (0..1000).map(|_| backoff.reconnect(&mut jitter).as_secs_f64()).collect();
        assert!(delays.iter().all(|delay| (1.5..3.0).contains(delay)));
        // 2,000 nodes reconnect spread over one and a half seconds, not all at once.
        let early = delays.iter().filter(|delay| **delay < 1.65).count();
        assert!((50..150).contains(&early), "{early} of 1000 in the first tenth");
    }

    #[test]
    fn a_server_that_asks_for_more_time_gets_it_with_jitter_and_never_less() {
        let mut jitter = Jitter::new(7);
        for asked in [None, Some(0), Some(1), Some(30), Some(3600)] {
            let mut backoff = Backoff::new(5 * SECOND);
            for _ in 0..20 {
                let asked = asked.map(Duration::from_secs);
                let delay = backoff.delay(Duration::ZERO, &mut jitter, asked);
                let least = asked.unwrap_or_default().max(Duration::from_millis(800));
                assert!(delay >= least && delay <= least + 60 * SECOND, "{asked:?}: {delay:?}");
            }
        }
    }

    #[test]
    fn jitter_covers_its_range_and_differs_by_seed() {
        let draws = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..1000).map(move |_| jitter.unit()).collect::<Vec<_>>()
        };
        let some = draws(5);
        assert!(some.iter().all(|x| (0.0..1.0).contains(x)));
        assert!(some.iter().any(|x| *x < 0.05) && some.iter().any(|x| *x > 0.95));
        assert_ne!(some, draws(7));
    }
}
