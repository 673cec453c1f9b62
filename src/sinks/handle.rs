//! The sending side of a sink.

use std::sync::Arc;

use crate::limits::{SINK_QUEUE_BYTES_MAX, SINK_QUEUE_MAX};
use crate::metrics::{Metrics, SinkName};
use crate::runtime::trouble::Trouble;
use crate::sinks::delivery::Delivery;
use crate::sinks::queue::{Limits, Queue};

/// The sending side of a sink: its queue and its metrics.
#[derive(Debug)]
pub struct SinkHandle {
    name: SinkName,
    queue: Queue,
    metrics: Arc<Metrics>,
    overflow: Trouble,
}

impl SinkHandle {
    /// Creates the sending side of the named sink.
    pub fn new(name: SinkName, metrics: Arc<Metrics>) -> Self {
        let queue = Queue::new(Limits { lines: SINK_QUEUE_MAX, bytes: SINK_QUEUE_BYTES_MAX });
        Self { name, queue, metrics, overflow: Trouble::new(module_path!(), "incidents") }
    }

    /// Queues an incident for the sink. Never blocks: when the queue is full, the oldest incidents are dropped,
    /// counted and logged.
    pub fn send(&mut self, delivery: Arc<Delivery>) {
        // Increment before push, decrement after pop, so the gauge can only over-count briefly and never drifts.
        self.metrics.sink_queued.add(self.name);
        let dropped = self.queue.push(delivery);
        for delivery in &dropped {
            self.metrics.sink_queued.take(self.name);
            self.metrics.sink_dropped.add(self.name);
            delivery.done();
        }
        if !dropped.is_empty() {
            let name = self.name.name();
            self.overflow.warn(&format!(
                "the sink {name} cannot keep up: the agent drops the oldest incidents of its queue"
            ));
        } else if self.queue.has_room() {
            // Wait for a half-empty queue: at the limit, every other incident fits, and each would log a recovery.
            self.overflow.over("the sink keeps up again, and the agent drops no more incidents");
        }
    }

    /// Returns the sink's name.
    pub fn name(&self) -> SinkName {
        self.name
    }

    /// Returns a handle to the queue, for the sink's thread.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }
}

impl Drop for SinkHandle {
    fn drop(&mut self) {
        self.queue.close();
    }
}
