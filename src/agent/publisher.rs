//! The way out: hands finished incidents to the sinks.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use crate::core::case::{Case, Severity};
use crate::core::incident::recurrence::Recurrence;
use crate::core::incident::{Gathered, Incident, compose, fingerprint};
use crate::core::seen::Seen;
use crate::metrics::{IncidentClass, Metrics};
use crate::serve::recent::RecentIncidents;
use crate::sinks::state_file::SharedLedger;
use crate::sinks::{Delivery, SinkHandle};

/// Hands finished incidents to the sinks. The threads that share it wait for each other only while a line is put into the
/// queues.
#[derive(Debug)]
pub struct Publisher {
    /// The sinks.
    sinks: Mutex<Vec<SinkHandle>>,
    /// Their number.
    sinks_count: usize,
    /// The ledger for the next agent.
    ledger: Option<Arc<SharedLedger>>,
    /// `BLACKBOX_MIN_SEVERITY`.
    min_severity: Severity,
    /// The most recent incidents, for readers of the page.
    recent: Arc<RecentIncidents>,
    /// Metrics of incidents.
    metrics: Arc<Metrics>,
    /// The crashes that this node has seen, by fingerprint.
    seen: Arc<Mutex<Seen>>,
}

impl Publisher {
    /// Creates the way to these sinks.
    pub fn new(
        sinks: Vec<SinkHandle>,
        ledger: Option<Arc<SharedLedger>>,
        min_severity: Severity,
        recent: Arc<RecentIncidents>,
        metrics: Arc<Metrics>,
        seen: Arc<Mutex<Seen>>,
    ) -> Self {
        let sinks_count = sinks.len();
        Self { sinks: Mutex::new(sinks), sinks_count, ledger, min_severity, recent, metrics, seen }
    }

    /// Makes the incident of a case, and hands it to every sink.
    pub(super) fn report(&self, case: Case, mut gathered: Gathered, recurrence: Recurrence) {
        let fingerprint = fingerprint(&case, &mut gathered);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let sighting = seen.note(fingerprint, case.occurred_at, case.detected_at);
        drop(seen);
        let recurrence = Recurrence { seen: Some(sighting), ..recurrence };
        self.publish(&compose(case, gathered, recurrence), recurrence.in_crash_loop);
    }

    /// Hands an incident to every sink, unless its severity is below the minimum.
    fn publish(&self, incident: &Incident, in_crash_loop: bool) {
        if incident.severity < self.min_severity {
            if let Some(ledger) = &self.ledger {
                ledger.settle(incident.id);
            }
            return;
        }
        self.metrics.incidents.add(IncidentClass(incident.kind, incident.severity));
        self.metrics.crash_loop_incidents.fetch_add(u64::from(in_crash_loop), Ordering::Relaxed);
        self.metrics.workloads.add(incident, in_crash_loop);
        // A long line takes a while to make, so that is done before the lock is taken.
        let delivery = Arc::new(Delivery::new(incident, self.sinks_count, self.ledger.clone()));
        let line = delivery.line.clone();
        for sink in self.sinks.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            sink.send(delivery.clone());
        }
        self.recent.push(line);
    }
}
