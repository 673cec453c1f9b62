//! The way out: hands finished incidents to the sinks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::core::case::Severity;
use crate::core::incident::Incident;
use crate::metrics::{IncidentClass, Metrics};
use crate::serve::recent::RecentIncidents;
use crate::sinks::state_file::SharedLedger;
use crate::sinks::{Delivery, SinkHandle};

/// Hands finished incidents to the sinks.
#[derive(Debug)]
pub struct Publisher {
    /// The sinks.
    pub sinks: Vec<SinkHandle>,
    /// The ledger for the next agent.
    pub ledger: Option<Arc<SharedLedger>>,
    /// `BLACKBOX_MIN_SEVERITY`.
    pub min_severity: Severity,
    /// The most recent incidents, for readers of the page.
    pub recent: Arc<RecentIncidents>,
    /// Metrics of incidents.
    pub metrics: Arc<Metrics>,
}

impl Publisher {
    /// Hands an incident to every sink, unless its severity is below the minimum.
    pub(super) fn publish(&mut self, incident: &Incident, in_crash_loop: bool) {
        if incident.severity < self.min_severity {
            if let Some(ledger) = &self.ledger {
                ledger.settle(incident.id);
            }
            return;
        }
        self.metrics.incidents.add(IncidentClass(incident.kind, incident.severity));
        self.metrics.crash_loop_incidents.fetch_add(u64::from(in_crash_loop), Ordering::Relaxed);
        let sinks = self.sinks.len();
        let delivery = Arc::new(Delivery::new(incident, sinks, self.ledger.clone()));
        for sink in &mut self.sinks {
            sink.send(delivery.clone());
        }
        self.recent.push(delivery);
    }
}
