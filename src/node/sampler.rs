//! The thread "sampler": regularly takes the samples from which an incident shows the minutes before it.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Now;
use crate::metrics::Metrics;
use crate::metrics::heartbeat::Worker;
use crate::node::cgroup::OomKill;
use crate::node::flight::FlightRecorder;
use crate::runtime::clock::Clock;
use crate::runtime::stop::Stop;

/// Takes the samples that are due until `stop` is set; samples of the node are due every `interval`,
/// and `on_sample` is called after each of them.
pub fn run(
    flight: &Arc<FlightRecorder>,
    mut on_kills: impl FnMut(Vec<OomKill>, Now),
    mut on_sample: impl FnMut(Now),
    metrics: &Metrics,
    clock: Clock,
    interval: Duration,
    stop: &Stop,
) {
    let mut system_due = Duration::ZERO;
    loop {
        let busy = metrics.heartbeats.busy(Worker::Sampler);
        let now = clock.now();
        let is_due = now.monotonic >= system_due;
        if is_due {
            let rises = flight.system().sample(now.monotonic);
            for (counter, by) in rises.iter() {
                metrics.kernel_events.add_many(counter, by);
            }
            // A late round does not shift the following ones, unless it was late by more than an interval.
            system_due = (system_due + interval).max(now.monotonic);
        }
        let wanted = flight.wanted();
        let mut containers = flight.containers();
        let kills = containers.sample(now.monotonic, &wanted);
        let pause = containers.next_sample_in(clock.monotonic());
        metrics.sampled(containers.recorded(), containers.left_out());
        drop(containers);
        if !kills.is_empty() {
            on_kills(kills, now);
        }
        if is_due {
            on_sample(now);
        }
        drop(busy);
        if stop.wait(pause.min(system_due.saturating_sub(clock.monotonic()))) {
            return;
        }
    }
}
