//! The sending side of a sink.

use std::sync::Arc;

use crate::core::case::{NodeIdentity, Severity};
use crate::limits::{SINK_QUEUE_BYTES_MAX, SINK_QUEUE_MAX};
use crate::metrics::{Metrics, SinkName};
use crate::runtime::trouble::Trouble;
use crate::sinks::delivery::Delivery;
use crate::sinks::queue::{Limits, Pushed, Queue};

/// The sending side of a sink: its queue and its metrics.
#[derive(Debug)]
pub struct SinkHandle {
    name: SinkName,
    queue: Queue,
    metrics: Arc<Metrics>,
    overflow: Trouble,
    /// The lowest severity that the sink takes.
    min_severity: Severity,
}

impl SinkHandle {
    /// Creates the sending side of the named sink on this node.
    pub fn new(name: SinkName, node: impl Into<NodeIdentity>, metrics: Arc<Metrics>) -> Self {
        let limits = Limits { lines: SINK_QUEUE_MAX, bytes: SINK_QUEUE_BYTES_MAX };
        let queue = Queue::new(limits, node, name.name());
        Self {
            name,
            queue,
            metrics,
            overflow: Trouble::new(module_path!(), "incidents"),
            min_severity: Severity::Low,
        }
    }

    /// Lets the sink take only incidents of this severity and above.
    pub fn with_min_severity(mut self, min_severity: Severity) -> Self {
        self.min_severity = min_severity;
        self
    }

    /// Queues an incident for the sink. Never blocks: when the queue is full, the oldest incidents are dropped,
    /// counted, logged, and told in a line of their own.
    pub fn send(&mut self, delivery: Arc<Delivery>) {
        if delivery.severity < self.min_severity {
            delivery.done();
            return;
        }
        // Increment before push, decrement after pop, so the gauge can only over-count briefly and never drifts.
        self.metrics.sink_queued.add(self.name);
        let Pushed { dropped, is_first_loss } = self.queue.push(delivery);
        if is_first_loss {
            self.metrics.sink_queued.add(self.name);
            self.metrics.losses_told(true);
        }
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

/// Records that a sink lost a line that it had taken from its queue.
pub(super) fn lose(delivery: &Delivery, queue: &Queue, metrics: &Metrics, sink: SinkName) {
    let is_incident = delivery.losses.is_none();
    if is_incident {
        metrics.sink_dropped.add(sink);
    }
    if queue.lose(delivery) {
        metrics.sink_queued.add(sink);
        metrics.losses_told(is_incident);
    }
}
