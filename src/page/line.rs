//! What the page shows of an incident, read back from its line. What is not there or not known is
//! left out: the page also shows lines of which a later version takes parts away.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

/// An incident line.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) timestamp: Text,
    pub(super) occurred_at: Text,
    pub(super) severity: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) namespace: String,
    pub(super) pod_name: String,
    pub(super) container: Text,
    pub(super) container_id: Text,
    pub(super) containers: Vec<Container>,
    pub(super) metadata: Metadata,
    pub(super) telemetry: Telemetry,
}

/// A text, where there may be none.
pub(super) type Text = Option<String>;
/// A column.
pub(super) type Values = Vec<Option<f64>>;

#[derive(Debug, Deserialize)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) image: String,
    pub(super) state: String,
    pub(super) restart_count: i64,
    pub(super) exit_code: Option<i64>,
    pub(super) reason: Text,
    pub(super) started_at: Text,
    pub(super) finished_at: Text,
    pub(super) message: Text,
    pub(super) resources: Resources,
}

#[derive(Debug, Deserialize)]
pub(super) struct Resources {
    pub(super) memory_limit_bytes: Option<i64>,
    pub(super) cpu_limit_millicores: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) owner: Option<Owner>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    pub(super) qos_class: Text,
    pub(super) confidence: String,
    pub(super) evidence: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Telemetry {
    pub(super) container: Option<Samples>,
    pub(super) logs: Option<Logs>,
    pub(super) events: Vec<Event>,
    pub(super) gaps: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Samples {
    pub(super) age_seconds: Values,
    pub(super) memory_bytes: Values,
    pub(super) cpu_millicores: Values,
    pub(super) cpu_throttled_percent: Values,
    pub(super) memory_limit_bytes: Option<f64>,
    pub(super) memory_peak_bytes: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Logs {
    pub(super) lines: Vec<LogLine>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LogLine {
    pub(super) time: Text,
    pub(super) stream: String,
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) count: i64,
    pub(super) last_at: Text,
}

/// A time of the line.
pub(super) fn time(text: &Text) -> Option<Timestamp> {
    text.as_deref()?.parse().ok()
}
