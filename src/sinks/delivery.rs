//! An incident on its way to the sinks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use crate::core::case::{IncidentId, IncidentType};
use crate::core::incident::{Incident, line};
use crate::sinks::state_file::SharedLedger;

/// An incident on its way to the sinks.
#[derive(Debug)]
pub struct Delivery {
    /// The JSON line, including its newline.
    pub line: Vec<u8>,
    /// The incident's id.
    pub id: IncidentId,
    /// When the incident happened, for the delay metric.
    pub occurred_at: Timestamp,
    /// When the agent detected it, for the metric of the agent's part of the delay.
    pub detected_at: Timestamp,
    /// Number of sinks that have neither written nor dropped it yet.
    pub(super) open: AtomicUsize,
    /// Notified when all sinks are done with it.
    pub(super) ledger: Option<Arc<SharedLedger>>,
}

impl Delivery {
    /// Renders the incident as a line for this many sinks.
    pub fn new(incident: &Incident, sinks: usize, ledger: Option<Arc<SharedLedger>>) -> Self {
        let mut line = line::line(incident);
        // The line stays in memory for a while, in queues and in the ring of recent incidents.
        line.shrink_to_fit();
        // The delay of a line about an episode is meant: it begins when the time of the episode is over.
        let is_of_episode = matches!(incident.kind, IncidentType::Stuck | IncidentType::Unready)
            || incident.metadata.repeats.is_some();
        Self {
            line,
            id: incident.id,
            occurred_at: if is_of_episode { incident.timestamp } else { incident.occurred_at },
            detected_at: incident.timestamp,
            open: AtomicUsize::new(sinks),
            ledger,
        }
    }

    /// Must be called once by each sink, after it has written the line or counted its loss. An incident that a sink
    /// still holds when the agent terminates is not done, and the next agent reports it again.
    pub fn done(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(ledger) = &self.ledger
        {
            ledger.settle(self.id);
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
            ledger: None,
        }
    }
}
