//! Samples, taken regularly, of what an incident is to tell about the minutes before; and the thread
//! "sampler" that takes them.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Now;
use crate::metrics::Metrics;
use crate::node::cgroup::OomKill;
use crate::node::flight::Flight;
use crate::runtime::clock::Clock;
use crate::runtime::stop::Stop;

/// Takes the samples that are due, until it is told to stop; those of the node each `interval`.
pub fn run(
    flight: &Arc<Flight>,
    mut on_kills: impl FnMut(Vec<OomKill>, Now),
    metrics: &Metrics,
    clock: Clock,
    (interval, stop): (Duration, &Stop),
) {
    let mut system_due = Duration::ZERO;
    loop {
        let now = clock.now();
        if now.monotonic >= system_due {
            flight.system().sample(now.monotonic);
            // A late round makes the next ones no later, unless it was later than they are.
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
        if stop.wait(pause.min(system_due.saturating_sub(clock.monotonic()))) {
            return;
        }
    }
}
