//! Incidents as alerts of Alertmanager: the body of `POST /api/v2/alerts`.
//!
//! The labels identify an alert. They have low cardinality, and name no pod, node, incident or time. So the same crash on two
//! thousand nodes is one alert, and Alertmanager notifies once. All else is in the annotations, of which the newest count.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::line::ParsedLine;
use crate::core::text::time;
use crate::limits::{ALERT_LOG_BYTES_MAX, ALERT_LOG_LINES};

/// The body of a request that is being put together.
#[derive(Debug)]
pub struct Alerts {
    body: Vec<u8>,
    /// When Alertmanager considers the alerts resolved, unless they are posted again.
    ends_at: Timestamp,
}

/// One alert (`api/v2/openapi.yaml`, `postableAlert`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    #[serde(serialize_with = "time")]
    starts_at: Timestamp,
    #[serde(serialize_with = "time")]
    ends_at: Timestamp,
}

impl Alerts {
    /// Creates an empty body. An incident has no end, so the alerts end at `ends_at`.
    pub fn new(ends_at: Timestamp) -> Self {
        Self { body: Vec::new(), ends_at }
    }

    /// Adds a line. Returns false if the line is not an incident; then nothing is added.
    pub fn add(&mut self, line: &[u8]) -> bool {
        let Some(line) = ParsedLine::parse(line) else { return false };
        let Some(occurred_at) = line.time("occurred_at") else { return false };
        // The words of the alerts in deploy/monitoring, so that one route serves both.
        let severity = match line.text("severity") {
            "critical" => "critical",
            "high" => "warning",
            _ => "info",
        };
        let mut labels =
            BTreeMap::from([("alertname", "BlackboxIncident"), ("severity", severity)]);
        for name in ["type", "cluster", "namespace", "workload", "container", "fingerprint"] {
            labels.insert(name, line.text(name));
        }
        let logs = line.last_lines(ALERT_LOG_LINES, ALERT_LOG_BYTES_MAX);
        let mut annotations = BTreeMap::from([
            ("logs", &*logs),
            ("cause", line.at(&["cause"]).text("message")),
            ("runbook", "docs/incident.md#types"),
        ]);
        for (name, member) in [
            ("summary", "message"),
            ("incident_id", "id"),
            ("pod", "pod_name"),
            ("node", "node_name"),
            ("image", "image"),
            ("occurred_at", "occurred_at"),
        ] {
            annotations.insert(name, line.text(member));
        }
        for map in [&mut labels, &mut annotations] {
            map.retain(|_, value| !value.is_empty());
        }
        // A node's clock that was set back must not make an alert that ends before it starts, which is refused.
        let starts_at = occurred_at.min(self.ends_at);
        let alert = Alert { labels, annotations, starts_at, ends_at: self.ends_at };
        self.body.push(if self.body.is_empty() { b'[' } else { b',' });
        // Serializing strings to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.body, &alert);
        true
    }

    /// Returns the body; `None` if there is no alert in it.
    pub fn into_body(mut self) -> Option<Vec<u8>> {
        if self.body.is_empty() {
            return None;
        }
        self.body.push(b']');
        Some(self.body)
    }
}

#[cfg(test)]
mod tests;
