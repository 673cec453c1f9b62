//! Where incidents go. Each sink has a thread and a bounded queue of its own: one that hangs or
//! fails holds up neither the watch nor the others.

pub mod queue;
pub mod stdout;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use self::queue::{Limits, Queue};
use crate::core::incident::{Incident, IncidentId};
use crate::core::report;
use crate::limits::{SINK_QUEUE_BYTES_MAX, SINK_QUEUE_MAX};
use crate::metrics::{Metrics, SinkName};
use crate::once::Once;

/// An incident on its way out.
#[derive(Debug)]
pub struct Delivery {
    /// The line, with its newline.
    pub line: Vec<u8>,
    /// The incident's.
    pub id: IncidentId,
    /// When it happened, for the delay.
    pub occurred_at: Timestamp,
    /// Sinks that have neither written nor dropped it yet.
    open: AtomicUsize,
}

impl Delivery {
    /// The incident as a line, for so many sinks.
    pub fn new(incident: &Incident, sinks: usize) -> Self {
        Self {
            line: report::line(incident),
            id: incident.id,
            occurred_at: incident.occurred_at,
            open: AtomicUsize::new(sinks),
        }
    }

    /// To be called once by each sink: it has written the line, or counted its loss. What a sink still
    /// holds at the agent's end is not done, and is told again by the next agent.
    pub fn done(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    #[cfg(test)]
    fn of_line(line: &str, sinks: usize) -> Self {
        Self {
            line: line.as_bytes().to_vec(),
            id: IncidentId::new(&[line]),
            occurred_at: Timestamp::UNIX_EPOCH,
            open: AtomicUsize::new(sinks),
        }
    }
}

/// The near end of a sink: its queue and its numbers.
#[derive(Debug)]
pub struct Outlet {
    name: SinkName,
    queue: Queue,
    metrics: Arc<Metrics>,
    overflow: Once,
}

impl Outlet {
    /// The near end of the sink of that name.
    pub fn new(name: SinkName, metrics: Arc<Metrics>) -> Self {
        let queue = Queue::new(Limits { lines: SINK_QUEUE_MAX, bytes: SINK_QUEUE_BYTES_MAX });
        Self { name, queue, metrics, overflow: Once::new("incidents") }
    }

    /// Hands an incident over. Never waits: past the queue's limits the oldest are dropped, counted
    /// and said.
    pub fn send(&mut self, delivery: Arc<Delivery>) {
        // Up before it is in, down after it is out: so the number never lags behind for ever.
        self.metrics.sink_queued.add(self.name);
        let dropped = self.queue.push(delivery);
        for delivery in &dropped {
            self.metrics.sink_queued.take(self.name);
            self.metrics.sink_dropped.add(self.name);
            delivery.done();
        }
        if dropped.is_empty() {
            self.overflow.over("they are written again");
        } else {
            let name = self.name.name();
            self.overflow
                .say(&format!("{name} does not keep up: the oldest incidents are dropped"));
        }
    }

    /// The far end's queue.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.queue.close();
    }
}
