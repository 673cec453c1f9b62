//! Where incidents go. Each sink has a thread and a bounded queue of its own: one that hangs or
//! fails holds up neither the watch nor the others.

pub mod file;
pub mod queue;
pub mod state_file;
pub mod stdout;
pub mod webhook;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use self::queue::{Limits, Queue};
use crate::core::incident::line;
use crate::core::incident::{Incident, IncidentId};
use crate::limits::{SINK_QUEUE_BYTES_MAX, SINK_QUEUE_MAX};
use crate::metrics::{Metrics, SinkName};
use crate::runtime::trouble::Once;
use crate::sinks::state_file::Keeper;

/// An incident on its way out.
#[derive(Debug)]
pub struct Delivery {
    /// The line, with its newline.
    pub line: Vec<u8>,
    /// The incident's.
    pub id: IncidentId,
    /// When it happened, for the delay.
    pub occurred_at: Timestamp,
    /// When the agent heard of it, for its part of that.
    pub detected_at: Timestamp,
    /// Sinks that have neither written nor dropped it yet.
    open: AtomicUsize,
    /// Who is told when all of them have.
    keeper: Option<Arc<Keeper>>,
}

impl Delivery {
    /// The incident as a line, for so many sinks.
    pub fn new(incident: &Incident, sinks: usize, keeper: Option<Arc<Keeper>>) -> Self {
        let mut line = line::line(incident);
        // It is kept for a while: in queues and among the last ones.
        line.shrink_to_fit();
        Self {
            line,
            id: incident.id,
            occurred_at: incident.occurred_at,
            detected_at: incident.timestamp,
            open: AtomicUsize::new(sinks),
            keeper,
        }
    }

    /// To be called once by each sink: it has written the line, or counted its loss. What a sink still
    /// holds at the agent's end is not done, and is told again by the next agent.
    pub fn done(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(keeper) = &self.keeper
        {
            keeper.settle(self.id);
        }
    }

    #[cfg(test)]
    pub(crate) fn of_line(line: &str, sinks: usize) -> Self {
        Self {
            line: line.as_bytes().to_vec(),
            id: IncidentId::new(&[line]),
            occurred_at: Timestamp::UNIX_EPOCH,
            detected_at: Timestamp::UNIX_EPOCH,
            open: AtomicUsize::new(sinks),
            keeper: None,
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
