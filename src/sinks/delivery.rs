//! An incident on its way to the sinks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use crate::core::case::IncidentId;
use crate::core::incident::{Incident, line};
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
    pub(super) open: AtomicUsize,
    /// Who is told when all of them have.
    pub(super) keeper: Option<Arc<Keeper>>,
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
            id: IncidentId::of_test(line),
            occurred_at: Timestamp::UNIX_EPOCH,
            detected_at: Timestamp::UNIX_EPOCH,
            open: AtomicUsize::new(sinks),
            keeper: None,
        }
    }
}
