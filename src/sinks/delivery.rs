//! An incident on its way to the sinks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use crate::core::case::{IncidentId, IncidentType, Losses, Severity};
use crate::core::incident::{Incident, line};
use crate::sinks::state_file::SharedLedger;

/// An incident on its way to the sinks.
#[derive(Debug)]
pub struct Delivery {
    /// The JSON line, including its newline. It is shared with the ring of recent incidents.
    pub line: Arc<[u8]>,
    /// The incident's id.
    pub id: IncidentId,
    /// The incident's type.
    pub kind: IncidentType,
    /// The incident's severity.
    pub severity: Severity,
    /// When the incident happened, for the delay metric.
    pub occurred_at: Timestamp,
    /// When the agent detected it, for the metric of the agent's part of the delay.
    pub detected_at: Timestamp,
    /// Number of sinks that have neither written nor dropped it yet.
    pub(super) open: AtomicUsize,
    /// Notified when all sinks are done with it.
    pub(super) ledger: Option<Arc<SharedLedger>>,
    /// In a line that tells what the sink lost: just that.
    pub(super) losses: Option<Box<Losses>>,
}

impl Delivery {
    /// Renders the incident as a line for this many sinks.
    pub fn new(incident: &Incident, sinks: usize, ledger: Option<Arc<SharedLedger>>) -> Self {
        // The line stays in memory for a while, in queues and in the ring of recent incidents. It is copied, because a
        // buffer that is cut to size leaves a hole behind it, which no other line fits into.
        let line = Arc::from(line::line(incident).as_slice());
        // The delay of a line about an episode is meant: it begins when the time of the episode is over.
        let is_of_episode = matches!(incident.kind, IncidentType::Stuck | IncidentType::Unready)
            || incident.metadata.repeats.is_some();
        Self {
            line,
            id: incident.id,
            kind: incident.kind,
            severity: incident.severity,
            occurred_at: if is_of_episode { incident.timestamp } else { incident.occurred_at },
            detected_at: incident.timestamp,
            open: AtomicUsize::new(sinks),
            ledger,
            losses: None,
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
            line: line.as_bytes().into(),
            id: IncidentId::of_test(line),
            kind: IncidentType::Error,
            severity: Severity::Low,
            occurred_at: Timestamp::UNIX_EPOCH,
            detected_at: Timestamp::UNIX_EPOCH,
            open: AtomicUsize::new(sinks),
            ledger: None,
            losses: None,
        }
    }
}
