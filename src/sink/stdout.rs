//! Incidents to standard output: one write and one flush a line.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use super::Delivery;
use super::queue::Queue;
use crate::clock::Clock;
use crate::metrics::{Metrics, SinkName};
use crate::once::Once;

/// Writes what comes until the queue is closed and empty.
pub fn run(queue: &Queue<Arc<Delivery>>, mut out: impl Write, metrics: &Metrics, clock: Clock) {
    let mut trouble = Once::new("stdout");
    while let Some(delivery) = queue.pop() {
        metrics.sink_queued.set(SinkName::Stdout, queue.len() as u64);
        // The line goes out in one piece, so that readers never see a part of one for long.
        match out.write_all(&delivery.line).and_then(|()| out.flush()) {
            Ok(()) => {
                metrics.sink_written.add(SinkName::Stdout);
                let delay = clock.wall().duration_since(delivery.occurred_at);
                metrics.incident_delay.observe(Duration::try_from(delay).unwrap_or_default());
                trouble.over("incidents are written again");
            }
            Err(error) => {
                metrics.sink_dropped.add(SinkName::Stdout);
                trouble.say(&format!("cannot write ({error}): incidents are lost"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn queue() -> Queue<Arc<Delivery>> {
        let queue = Queue::new(8);
        for line in [&b"{1}\n"[..], b"{2}\n"] {
            let occurred_at = Timestamp::UNIX_EPOCH;
            queue.push(Arc::new(Delivery { line: line.to_vec(), occurred_at }));
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
    fn a_closed_pipe_costs_the_lines_and_nothing_else() {
        let metrics = Metrics::default();
        run(&queue(), Broken, &metrics, Clock::start());
        assert_eq!(metrics.sink_dropped.get(SinkName::Stdout), 2);
    }
}
