//! Where incidents go. Each sink has a thread and a bounded queue of its own: one that hangs or
//! fails holds up neither the watch nor the others.

pub mod queue;
pub mod stdout;

use std::sync::Arc;

use jiff::Timestamp;

use self::queue::Queue;
use crate::core::incident::Incident;
use crate::core::report;
use crate::limits::SINK_QUEUE_MAX;
use crate::metrics::{Metrics, SinkName};
use crate::once::Once;

/// An incident on its way out.
#[derive(Debug)]
pub struct Delivery {
    /// The line, with its newline.
    pub line: Vec<u8>,
    /// When it happened, for the delay.
    pub occurred_at: Timestamp,
}

impl Delivery {
    /// The incident as a line.
    pub fn new(incident: &Incident) -> Self {
        Self { line: report::line(incident), occurred_at: incident.occurred_at }
    }
}

/// The near end of a sink: its queue and its numbers.
#[derive(Debug)]
pub struct Outlet {
    name: SinkName,
    queue: Queue<Arc<Delivery>>,
    metrics: Arc<Metrics>,
    overflow: Once,
}

impl Outlet {
    /// The near end of the sink of that name.
    pub fn new(name: SinkName, metrics: Arc<Metrics>) -> Self {
        Self { name, queue: Queue::new(SINK_QUEUE_MAX), metrics, overflow: Once::new("incidents") }
    }

    /// Hands an incident over. Never waits: past the queue's limit the oldest is dropped, counted
    /// and said.
    pub fn send(&mut self, delivery: Arc<Delivery>) {
        // Up before it is in, down after it is out: so the number never lags behind for ever.
        self.metrics.sink_queued.add(self.name);
        match self.queue.push(delivery) {
            Some(_) => {
                self.metrics.sink_queued.take(self.name);
                self.metrics.sink_dropped.add(self.name);
                let name = self.name.name();
                self.overflow.say(&format!("{name} is not read: the oldest incidents are dropped"));
            }
            None => self.overflow.over("they are written again"),
        }
    }

    /// The far end's queue.
    pub fn queue(&self) -> Queue<Arc<Delivery>> {
        self.queue.clone()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.queue.close();
    }
}
