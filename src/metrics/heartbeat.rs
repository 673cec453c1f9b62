//! The heartbeats of the agent's threads: since when each works on one thing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::limits::{HEARTBEAT_MAX, HEARTBEAT_NETWORK_MAX};
use crate::runtime::clock::Clock;

/// A thread whose work takes moments, and which may hang all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worker {
    /// Lists and watches the pods.
    Watch,
    /// Looks up events and the node.
    Lookups,
    /// Takes samples.
    Sampler,
    /// Adds telemetry to incidents.
    Enrich,
    /// Writes standard output.
    Stdout,
    /// Writes the incident file.
    File,
    /// Posts to the collector.
    Webhook,
    /// Posts to the OpenTelemetry receiver.
    Otlp,
    /// Posts to Alertmanager.
    Alertmanager,
    /// Writes the state file.
    State,
    /// Reads the kernel's log.
    Kernel,
    /// Writes the recorder file.
    Recorder,
}

impl Worker {
    /// Every worker.
    pub const ALL: [Self; 12] = [
        Self::Watch,
        Self::Lookups,
        Self::Sampler,
        Self::Enrich,
        Self::Stdout,
        Self::File,
        Self::Webhook,
        Self::Otlp,
        Self::Alertmanager,
        Self::State,
        Self::Kernel,
        Self::Recorder,
    ];

    /// Returns the name of the thread.
    pub fn name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Lookups => "lookups",
            Self::Sampler => "sampler",
            Self::Enrich => "enrich",
            Self::Stdout => "stdout",
            Self::File => "file",
            Self::Webhook => "webhook",
            Self::Otlp => "otlp",
            Self::Alertmanager => "alertmanager",
            Self::State => "state",
            Self::Kernel => "kernel",
            Self::Recorder => "recorder",
        }
    }

    /// Returns true if the agent sees no crashes without this worker. Only then is a restart better than going on: without
    /// the others, incidents are still written, by other sinks or without telemetry.
    pub fn is_vital(self) -> bool {
        self == Self::Watch
    }

    /// Returns how long one piece of its work may take.
    fn limit(self) -> Duration {
        match self {
            Self::Watch | Self::Lookups | Self::Webhook | Self::Otlp | Self::Alertmanager => {
                HEARTBEAT_NETWORK_MAX
            }
            _ => HEARTBEAT_MAX,
        }
    }
}

/// The heartbeats of all workers.
#[derive(Debug)]
pub struct Heartbeats {
    clock: Clock,
    /// For each worker, when it began what it does now, in milliseconds and one more; 0 if it waits for work.
    busy_since: [AtomicU64; Worker::ALL.len()],
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self { clock: Clock::start(), busy_since: Default::default() }
    }
}

impl Heartbeats {
    /// Records that the worker begins something; it is over when the result is dropped.
    pub fn busy(&self, worker: Worker) -> Busy<'_> {
        let now = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX - 1);
        let since = &self.busy_since[worker as usize];
        since.store(now + 1, Ordering::Relaxed);
        Busy(since)
    }

    /// Returns the workers that hang, and for how long.
    pub fn hanging(&self) -> Vec<(Worker, Duration)> {
        let now = self.clock.monotonic();
        self.hanging_at(now)
    }

    fn hanging_at(&self, now: Duration) -> Vec<(Worker, Duration)> {
        let age = |worker: Worker| {
            let since = self.busy_since[worker as usize].load(Ordering::Relaxed).checked_sub(1)?;
            let age = now.saturating_sub(Duration::from_millis(since));
            (age > worker.limit()).then_some((worker, age))
        };
        Worker::ALL.into_iter().filter_map(age).collect()
    }
}

/// A piece of work that is in progress.
#[derive(Debug)]
pub struct Busy<'h>(&'h AtomicU64);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_hangs_when_one_thing_takes_too_long_and_not_when_it_waits() {
        let heartbeats = Heartbeats::default();
        for worker in Worker::ALL {
            assert_eq!(Worker::ALL[worker as usize], worker);
            let late = heartbeats.clock.monotonic() + worker.limit() + Duration::from_secs(2);
            assert_eq!(heartbeats.hanging_at(late), []);
            let busy = heartbeats.busy(worker);
            assert_eq!(heartbeats.hanging_at(late - Duration::from_secs(3)), []);
            let hanging = heartbeats.hanging_at(late);
            assert_eq!(hanging.iter().map(|(worker, _)| *worker).collect::<Vec<_>>(), [worker]);
            drop(busy);
            assert_eq!(heartbeats.hanging_at(late), []);
        }
    }
}
