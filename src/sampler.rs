//! Samples, taken regularly, of what an incident is to tell about the minutes before; and the thread
//! "sampler" that takes them.

pub mod cgroup;
pub mod system;

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crate::clock::Clock;
use crate::enrich::Work;
use crate::flight::Flight;
use crate::metrics::Metrics;
use crate::stop::Stop;

/// Takes the samples that are due, until it is told to stop.
pub fn run(
    flight: &Arc<Flight>,
    work: &SyncSender<Work>,
    metrics: &Metrics,
    clock: Clock,
    stop: &Stop,
) {
    loop {
        let now = clock.now();
        let wanted = flight.wanted();
        let mut containers = flight.containers();
        let kills = containers.sample(now.monotonic, &wanted);
        let pause = containers.next_sample_in(clock.monotonic());
        metrics.sampled(containers.recorded(), containers.left_out());
        drop(containers);
        let mut system = flight.system();
        system.sample(now.monotonic);
        let pause = pause.min(system.next_sample_in(clock.monotonic()));
        drop(system);
        if !kills.is_empty() {
            // No room: so many incidents are under way that this one more would not be missed.
            let _ = work.try_send(Work::OomKills(kills, now.wall));
        }
        if stop.wait(pause) {
            return;
        }
    }
}
