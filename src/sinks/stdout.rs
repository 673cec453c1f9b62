//! The stdout sink: one write and one flush per incident line.

use std::io::Write;
use std::time::Duration;

use crate::metrics::heartbeat::Worker;
use crate::metrics::{Metrics, SinkName};
use crate::runtime::clock::Clock;
use crate::runtime::trouble::Trouble;
use crate::sinks::handle::lose;
use crate::sinks::queue::Queue;

/// Writes queued lines until the queue is closed and empty.
pub fn run(queue: &Queue, mut out: impl Write, metrics: &Metrics, clock: Clock) {
    let mut trouble = Trouble::new(module_path!(), "stdout");
    while let Some(delivery) = queue.pop() {
        // One write for the whole line, so that a reader does not see a partial line for long.
        let busy = metrics.heartbeats.busy(Worker::Stdout);
        match out.write_all(&delivery.line).and_then(|()| out.flush()) {
            Ok(()) => {
                metrics.sink_written.add(SinkName::Stdout);
                let now = clock.wall();
                // The delay counts as 0 if the clock was set back in the meantime.
                let since = |at| Duration::try_from(now.duration_since(at)).unwrap_or_default();
                // A line about losses is no incident.
                if delivery.losses.is_none() {
                    metrics.incident_delay.observe(since(delivery.occurred_at));
                    metrics.incident_agent_delay.observe(since(delivery.detected_at));
                }
                trouble.over("incidents are written again");
            }
            Err(error) => {
                lose(&delivery, queue, metrics, SinkName::Stdout);
                trouble.warn(&format!("cannot write ({error}): the agent drops incidents"));
            }
        }
        drop(busy);
        delivery.done();
        // Decrement only after the write: a line whose write hangs still counts as queued.
        metrics.sink_queued.take(SinkName::Stdout);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::process::ProcessStats;
    use crate::sinks::queue::Limits;
    use crate::sinks::{Delivery, SinkHandle};

    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn queue() -> Queue {
        let queue = Queue::new(Limits { lines: 8, bytes: 100 }, "node1", "stdout");
        for line in ["{1}\n", "{2}\n"] {
            queue.push(Arc::new(Delivery::of_line(line, 1)));
        }
        queue.close();
        queue
    }

    #[test]
    fn lines_are_written_whole_and_counted() {
        let (mut out, metrics) = (Vec::new(), Metrics::default());
        run(&queue(), &mut out, &metrics, Clock::start());
        assert_eq!(out, b"{1}\n{2}\n");
        assert_eq!(metrics.sink_written.get(SinkName::Stdout), 2);
    }

    #[test]
    fn the_delay_is_told_from_the_end_and_from_its_detection() {
        let (mut line, clock) = (Delivery::of_line("{}\n", 1), Clock::start());
        line.occurred_at = clock.wall() - Duration::from_secs(20);
        line.detected_at = clock.wall() - Duration::from_secs(3);
        let (queue, metrics) =
            (Queue::new(Limits { lines: 8, bytes: 100 }, "node1", "stdout"), Metrics::default());
        queue.push(Arc::new(line));
        queue.close();
        run(&queue, std::io::sink(), &metrics, clock);
        let mut text = String::new();
        metrics.render(&ProcessStats::default(), &mut text);
        for within in [
            "blackbox_incident_delay_seconds_bucket{le=\"15\"} 0\n",
            "blackbox_incident_delay_seconds_bucket{le=\"60\"} 1\n",
            "blackbox_incident_agent_delay_seconds_bucket{le=\"2\"} 0\n",
            "blackbox_incident_agent_delay_seconds_bucket{le=\"12.5\"} 1\n",
        ] {
            assert!(text.contains(within), "{within}{text}");
        }
    }

    #[test]
    fn a_closed_pipe_costs_the_lines_and_nothing_else() {
        let metrics = Metrics::default();
        run(&queue(), Broken, &metrics, Clock::start());
        assert_eq!(metrics.sink_dropped.get(SinkName::Stdout), 2);
    }

    #[test]
    fn nothing_waits_once_all_is_written_whoever_was_faster() {
        let metrics = Arc::new(Metrics::default());
        for _ in 0..2000 {
            let mut sink = SinkHandle::new(SinkName::Stdout, "node1", metrics.clone());
            let queue = sink.queue();
            std::thread::scope(|scope| {
                scope.spawn(|| run(&queue, std::io::sink(), &metrics, Clock::start()));
                sink.send(Arc::new(Delivery::of_line("{1}\n", 1)));
                sink.send(Arc::new(Delivery::of_line("{2}\n", 1)));
                drop(sink);
            });
            assert_eq!(metrics.sink_queued.get(SinkName::Stdout), 0);
        }
    }

    #[test]
    fn a_line_on_which_the_write_hangs_still_waits() {
        struct Asked<'a>(&'a Metrics, u64);
        impl Write for Asked<'_> {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.1 = self.0.sink_queued.get(SinkName::Stdout);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let metrics = Arc::new(Metrics::default());
        let mut sink = SinkHandle::new(SinkName::Stdout, "node1", metrics.clone());
        sink.send(Arc::new(Delivery::of_line("{}\n", 1)));
        let queue = sink.queue();
        drop(sink);
        let mut out = Asked(&metrics, 0);
        run(&queue, &mut out, &metrics, Clock::start());
        assert_eq!((out.1, metrics.sink_queued.get(SinkName::Stdout)), (1, 0));
    }
}
