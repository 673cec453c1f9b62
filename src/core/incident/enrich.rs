//! What was gathered around an incident goes into it, and may change what it is called.
//!
//! The kernel's own count of OOM kills stands above the runtime's word: a runtime that asks too late
//! whether there was one says `Error` (containerd and runc read the counter when the process is gone
//! already), and one says `OOMKilled` of a container that merely lost a child.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::core::Now;
use crate::core::detect::draft::Detail;
use crate::core::incident::sentence::{self, Course};
use crate::core::incident::{Confidence, Incident, IncidentId, IncidentType, Severity};
use crate::core::logs::last_words::LastWords;
use crate::core::node::NodeInfo;
use crate::core::ring::Columns;
use crate::core::roster::Place;
use crate::core::sidecar::SidecarSection;
use crate::limits::{
    BRIEF_AFTER, BRIEF_LOG_LINES, BRIEF_SAMPLES, BRIEF_WITHIN, CRASH_LOOP_AFTER, CRASH_LOOP_WITHIN,
    GROWTH_MIN_BYTES_PER_SECOND, GROWTH_WITHIN, RECURRENCE_TIMES_MAX, RECURRENCES_MAX,
    RESTARTS_TOLD_WITHIN,
};

/// What the node's own counters say of OOM kills in a container's cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OomCount {
    /// They cannot be read, or may have missed one.
    #[default]
    Unknown,
    /// There was none while the container lived.
    None,
    /// So many processes, at the least.
    Some(u64),
}

/// The minutes before, of a container.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContainerTelemetry {
    /// The samples.
    #[serde(flatten)]
    pub samples: Columns,
    /// The lower one of the container's limit and its pod's.
    pub memory_limit_bytes: Option<u64>,
    /// The most that was in use since the container began.
    pub memory_peak_bytes: Option<u64>,
    /// Processes that were OOM-killed in it lately.
    pub oom_kills: u64,
}

/// What could be had.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Of the container.
    pub container: Option<ContainerTelemetry>,
    /// Of the node.
    pub system: Option<Columns>,
    /// Of the node, by the API server.
    pub node: Option<Arc<NodeInfo>>,
    /// Its last lines.
    pub logs: Option<LastWords>,
    /// What its pod said of itself.
    pub sidecar: Option<SidecarSection>,
    /// Of the kernel.
    pub oom: OomCount,
    /// What could not be had, and why.
    pub gaps: Vec<String>,
}

/// Puts it all into the incident, whose type, confidence and sentence it may change.
pub fn complete(incident: &mut Incident, gathered: Gathered, recurrence: Recurrence) {
    let Gathered { container, system, node, logs, sidecar, oom, gaps } = gathered;
    judge(incident, oom);
    let growth = container.as_ref().and_then(|c| memory_growth(&c.samples));
    let course = Course {
        memory_growth_bytes_per_second: growth.filter(|_| incident.kind == IncidentType::Oom),
        recent_ends: recurrence.recent,
        recent_within: RESTARTS_TOLD_WITHIN,
    };
    if let Some(detail) = &incident.detail {
        incident.message = sentence::sentence(incident, detail, &course);
    }
    let telemetry = &mut incident.telemetry;
    telemetry.container = container;
    telemetry.system = system;
    telemetry.node = node;
    telemetry.logs = logs;
    telemetry.sidecar = sidecar;
    telemetry.gaps.extend(gaps);
    telemetry.brief = recurrence.within_hour >= BRIEF_AFTER;
    if telemetry.brief {
        (telemetry.system, telemetry.node) = (None, None);
        if let Some(container) = &mut telemetry.container {
            container.samples.keep_newest(BRIEF_SAMPLES);
        }
        if let Some(sidecar) = &mut telemetry.sidecar {
            sidecar.keep_newest(BRIEF_SAMPLES);
        }
        if let Some(logs) = &mut telemetry.logs {
            logs.keep_newest(BRIEF_LOG_LINES);
        }
    }
}

/// Holds the type against the kernel's count.
fn judge(incident: &mut Incident, oom: OomCount) {
    let Some(Detail::End(end)) = incident.detail.as_deref() else {
        return;
    };
    let metadata = &mut incident.metadata;
    match (incident.kind, oom) {
        (_, OomCount::Unknown) => {}
        (IncidentType::Oom, OomCount::Some(n)) => {
            metadata.confidence = Confidence::Confirmed;
            metadata.evidence.push(counted(n));
        }
        (IncidentType::Oom, OomCount::None) => {
            metadata.confidence = Confidence::Probable;
            metadata.evidence.push("the kernel counted no OOM kill in its cgroup".to_owned());
        }
        (IncidentType::Killed, OomCount::Some(n)) if end.exit_code == 137 => {
            incident.kind = IncidentType::Oom;
            incident.severity = Severity::Critical;
            metadata.confidence = Confidence::Confirmed;
            metadata.evidence.push(format!("{}, though the runtime calls it Error", counted(n)));
        }
        (_, OomCount::Some(n)) => metadata.evidence.push(counted(n)),
        (_, OomCount::None) => {}
    }
}

fn counted(kills: u64) -> String {
    let s = if kills == 1 { "" } else { "s" };
    format!("the kernel counted {kills} OOM kill{s} in its cgroup")
}

/// How fast the memory grew before the end, in bytes a second, where that is worth a word.
fn memory_growth(samples: &Columns) -> Option<f64> {
    let column =
        |name: &str| samples.columns.iter().find(|(n, _)| *n == name).map(|(_, values)| values);
    let (memory, age) = (column("memory_bytes")?, column("age_seconds")?);
    let mut points: Vec<(f64, f64)> = memory
        .iter()
        .zip(age)
        .filter_map(|(memory, age)| Some(((*age)?, (*memory)?)))
        .filter(|(age, _)| *age <= GROWTH_WITHIN.as_secs_f64())
        .collect();
    // A sample may have been taken of what was left when the process was gone.
    while let [.., before, last] = points[..]
        && last.1 < before.1 / 2.0
    {
        points.pop();
    }
    // From the lowest point on: a container that was emptied in between grew since then.
    let lowest = points.iter().copied().reduce(|a, b| if b.1 <= a.1 { b } else { a })?;
    let newest = points.last()?;
    let seconds = lowest.0 - newest.0;
    let growth = (newest.1 - lowest.1) / seconds;
    (seconds >= 0.5 && growth >= GROWTH_MIN_BYTES_PER_SECOND).then_some(growth)
}

/// An OOM kill that no container's end shows: a child was killed, and the container lives on.
///
pub fn survived(
    place: &Place,
    container: &str,
    container_id: &str,
    now: Now,
    at: Timestamp,
) -> Box<Incident> {
    let mut incident = place.template.clone();
    let second = at.as_second().to_string();
    incident.id = IncidentId::new(&[&place.key, container, container_id, "survived", &second]);
    incident.kind = IncidentType::Oom;
    incident.severity = Severity::High;
    (incident.timestamp, incident.occurred_at) = (now.wall, at);
    incident.container = Some(container.to_owned());
    incident.container_id = Some(container_id.to_owned());
    incident.metadata.survived = true;
    incident.metadata.evidence = vec![
        "the kernel counted an OOM kill in its cgroup".to_owned(),
        "no container of the pod ended".to_owned(),
    ];
    let pod = format!("{}/{}", incident.namespace, incident.pod_name);
    incident.message =
        format!("container {container} of {pod} lost a process to the OOM killer and lives on");
    incident
}

/// How often a container ended lately, this time included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recurrence {
    /// Within [`RESTARTS_TOLD_WITHIN`].
    pub recent: usize,
    /// Within [`BRIEF_WITHIN`], up to what is remembered.
    pub within_hour: usize,
    /// Whether that is a crash loop: [`CRASH_LOOP_AFTER`] within [`CRASH_LOOP_WITHIN`]. Not the kubelet's
    /// `CrashLoopBackOff`, which begins when the crash is told already.
    pub in_crash_loop: bool,
}

/// When the incidents of each container were, the newest few.
#[derive(Debug, Default)]
pub struct Recurrences {
    by_container: HashMap<u64, Vec<Duration>>,
}

impl Recurrences {
    /// Takes in an incident of that container at `now` (monotonic).
    pub fn note(&mut self, pod_key: &str, container: &str, now: Duration) -> Recurrence {
        let key = IncidentId::new(&[pod_key, container]).short();
        if self.by_container.len() >= RECURRENCES_MAX && !self.by_container.contains_key(&key) {
            self.by_container.retain(|_, times| is_within(times, now, BRIEF_WITHIN));
            if self.by_container.len() >= RECURRENCES_MAX {
                // Thousands of containers crash at once: nobody's line is brief for that.
                self.by_container.clear();
            }
        }
        let times = self.by_container.entry(key).or_default();
        let excess = (times.len() + 1).saturating_sub(RECURRENCE_TIMES_MAX);
        times.drain(..excess);
        times.push(now);
        let count = |within| times.iter().filter(|at| now.saturating_sub(**at) <= within).count();
        Recurrence {
            recent: count(RESTARTS_TOLD_WITHIN),
            within_hour: count(BRIEF_WITHIN),
            in_crash_loop: count(CRASH_LOOP_WITHIN) >= CRASH_LOOP_AFTER,
        }
    }
}

fn is_within(times: &[Duration], now: Duration, within: Duration) -> bool {
    times.last().is_some_and(|at| now.saturating_sub(*at) <= within)
}

#[cfg(test)]
mod tests;
