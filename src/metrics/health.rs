//! Liveness and readiness of the agent.
//!
//! `/healthz` reports on the agent's own threads only: an unreachable API server is no reason to restart two
//! thousand agents. `/readyz` reports on the watch.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::limits::{FRESH_MARGIN, HEARTBEAT_MAX};
use crate::metrics::heartbeat::{Heartbeats, Worker};

/// The heartbeat of the detection thread and the state of the watch. Times are monotonic.
#[derive(Debug, Default)]
pub struct Health {
    beat_millis: AtomicU64,
    heard_millis: AtomicU64,
    synced: AtomicBool,
    denied: AtomicBool,
}

/// Why the agent is not alive, or not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unhealthy {
    /// This thread hangs, for this long.
    Stuck(&'static str, Duration),
    /// No LIST has completed yet.
    NotSynced,
    /// The API server denies list or watch of pods.
    Denied,
    /// The watch has been silent for this long.
    Silent(Duration),
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuck(thread, age) => {
                write!(f, "the thread {thread} has made no progress for {} s", age.as_secs())
            }
            Self::NotSynced => write!(f, "the agent has not listed the node's pods yet"),
            Self::Denied => write!(f, "the API server denies the right to list or watch pods"),
            Self::Silent(age) => {
                write!(f, "the watch has received nothing for {} s", age.as_secs())
            }
        }
    }
}

impl Health {
    /// Records that the detection thread is working.
    pub fn beat(&self, now: Duration) {
        self.beat_millis.store(millis(now), Ordering::Relaxed);
    }

    /// Records a sign of life: the watch sent something or closed on time, or a LIST completed.
    pub fn heard(&self, now: Duration) {
        self.heard_millis.store(millis(now), Ordering::Relaxed);
    }

    /// Records that a LIST completed.
    pub fn synced(&self) {
        self.synced.store(true, Ordering::Relaxed);
    }

    /// Records whether the API server denies a permission that the agent needs.
    pub fn denied(&self, denied: bool) {
        self.denied.store(denied, Ordering::Relaxed);
    }

    /// Checks that the threads work without which the agent sees nothing. Returns the first of the others that hangs: a
    /// restart would not help it, since the next agent would meet the same disk.
    ///
    /// # Errors
    /// What is wrong.
    pub fn alive(
        &self,
        now: Duration,
        heartbeats: &Heartbeats,
    ) -> Result<Option<Unhealthy>, Unhealthy> {
        let age = since(&self.beat_millis, now);
        if age > HEARTBEAT_MAX {
            return Err(Unhealthy::Stuck("detect", age));
        }
        let hanging = heartbeats.hanging();
        let stuck = |(worker, age): &(Worker, Duration)| Unhealthy::Stuck(worker.name(), *age);
        match hanging.iter().find(|(worker, _)| worker.is_vital()) {
            Some(vital) => Err(stuck(vital)),
            None => Ok(hanging.first().map(stuck)),
        }
    }

    /// Checks that the agent would see a crash now, and write all of it. `idle_timeout` is the silence after which a watch is opened
    /// again. In a quiet cluster a watch closes on time before that.
    ///
    /// # Errors
    /// What is wrong.
    pub fn ready(
        &self,
        now: Duration,
        idle_timeout: Duration,
        heartbeats: &Heartbeats,
    ) -> Result<(), Unhealthy> {
        if self.denied.load(Ordering::Relaxed) {
            return Err(Unhealthy::Denied);
        }
        if !self.synced.load(Ordering::Relaxed) {
            return Err(Unhealthy::NotSynced);
        }
        let age = since(&self.heard_millis, now);
        if age > idle_timeout + FRESH_MARGIN {
            return Err(Unhealthy::Silent(age));
        }
        match heartbeats.hanging().first() {
            Some((worker, age)) => Err(Unhealthy::Stuck(worker.name(), *age)),
            None => Ok(()),
        }
    }
}

fn millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

fn since(at: &AtomicU64, now: Duration) -> Duration {
    now.saturating_sub(Duration::from_millis(at.load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_api_server_never_makes_the_agent_unhealthy() {
        let health = Health::default();
        for minute in 0..600 {
            let now = minute * 60 * SECOND;
            health.beat(now);
            assert_eq!(health.alive(now + 30 * SECOND, &Heartbeats::default()), Ok(None));
        }
        assert_eq!(
            health.ready(SECOND, 90 * SECOND, &Heartbeats::default()),
            Err(Unhealthy::NotSynced)
        );
    }

    #[test]
    fn a_detection_that_hangs_does() {
        let health = Health::default();
        health.beat(10 * SECOND);
        let heartbeats = Heartbeats::default();
        assert_eq!(health.alive(10 * SECOND + HEARTBEAT_MAX, &heartbeats), Ok(None));
        let late = 11 * SECOND + HEARTBEAT_MAX;
        let stuck = Unhealthy::Stuck("detect", HEARTBEAT_MAX + SECOND);
        assert_eq!(health.alive(late, &heartbeats), Err(stuck));
    }

    #[test]
    fn readiness_follows_the_watch() {
        let health = Health::default();
        let idle = 90 * SECOND;
        health.synced();
        health.heard(100 * SECOND);
        assert_eq!(health.ready(101 * SECOND, idle, &Heartbeats::default()), Ok(()));
        assert_eq!(
            health.ready(100 * SECOND + idle + FRESH_MARGIN, idle, &Heartbeats::default()),
            Ok(())
        );
        let late = 101 * SECOND + idle + FRESH_MARGIN;
        assert!(matches!(
            health.ready(late, idle, &Heartbeats::default()),
            Err(Unhealthy::Silent(_))
        ));
        health.denied(true);
        assert_eq!(
            health.ready(101 * SECOND, idle, &Heartbeats::default()),
            Err(Unhealthy::Denied)
        );
        health.denied(false);
        assert_eq!(health.ready(101 * SECOND, idle, &Heartbeats::default()), Ok(()));
    }
}
