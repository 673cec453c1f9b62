//! The near end of a sink.

use std::sync::Arc;

use crate::limits::{SINK_QUEUE_BYTES_MAX, SINK_QUEUE_MAX};
use crate::metrics::{Metrics, SinkName};
use crate::runtime::trouble::Once;
use crate::sinks::delivery::Delivery;
use crate::sinks::queue::{Limits, Queue};

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
        if !dropped.is_empty() {
            let name = self.name.name();
            self.overflow
                .say(&format!("{name} does not keep up: the oldest incidents are dropped"));
        } else if self.queue.has_room() {
            // Not as soon as one fits in: at the limit every other one does.
            self.overflow.over("they are written again");
        }
    }

    /// Of the sink.
    pub fn name(&self) -> SinkName {
        self.name
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
