//! The agent's own metrics, in the Prometheus text format 0.0.4.
//!
//! Almost all are atomics: counting never blocks, and a scrape never delays anything. Only the table of the workloads has
//! a lock, which nobody holds for longer than it takes to write its few lines into memory. Nothing is labelled by pod,
//! and no more workloads than that table holds, so the number of series is bounded. The names that begin with `k8s_`
//! come from the seed of this project. Two of them are not what the conventions of Prometheus ask for
//! (`k8s_pods_watched_total` is a gauge, and `k8s_watch_last_event_timestamp` lacks its unit). They are kept, and each
//! has a twin with a conventional name.

mod family;
pub mod health;
pub mod heartbeat;
mod labels;
pub mod process;
pub mod workloads;

use std::sync::atomic::{AtomicU64, Ordering};

pub use self::family::{Family, Histogram, Info, Label};
pub use self::labels::{
    ErrorCode, IncidentClass, LookupResult, Permission, PodEvent, PostResult, SinkName, StateWrite,
    Verb,
};
use crate::core::case::{IncidentType, Severity};
use crate::core::detect::classify::Quiet;
use crate::core::kernel::counters::Counter;
use crate::core::stream::decode::FlawKind;
use crate::core::stream::reflector::{Failure, ListReason};
use crate::metrics::heartbeat::Heartbeats;
use crate::metrics::process::ProcessStats;
use crate::metrics::workloads::Workloads;

const REQUEST_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const DELAY_SECONDS: &[f64] =
    &[0.005, 0.05, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0, 60.0, 300.0];
/// Bucket bounds. The delay is milliseconds if the agent did not wait for evidence. Otherwise it lasts until a
/// lookup or one of the deadlines for evidence.
const AGENT_DELAY_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 2.0, 5.0, 12.5, 60.0, 150.0];

/// All metrics of the agent.
#[derive(Debug)]
pub struct Metrics {
    /// Number of pods watched now.
    pub pods_watched: AtomicU64,
    /// Starts, stops and crashes of pods.
    pub pod_events: Family<PodEvent>,
    /// Requests sent to the API server.
    pub api_requests: Family<Verb>,
    /// Time until the head of the API server's answer arrived.
    pub api_request_duration: Histogram,
    /// Requests and streams that failed.
    pub api_errors: Family<ErrorCode>,
    /// Watches opened after one that broke, was cut short or failed.
    pub watch_reconnections: AtomicU64,
    /// Lines received on the watch, including bookmarks.
    pub watch_events: AtomicU64,
    /// Time of the watch's last sign of life (a line, or closing on time), as Unix time in milliseconds.
    pub watch_last_event_millis: AtomicU64,
    /// Lines and list items that were wholly or partly unusable.
    pub watch_malformed: Family<FlawKind>,
    /// `ERROR` events received on the watch.
    pub watch_errors: Family<Failure>,
    /// LIST requests for the node's pods that were started.
    pub lists: Family<ListReason>,
    /// Incidents by type and severity.
    pub incidents: Family<IncidentClass>,
    /// Refusals of pods that a later incident counts.
    pub incidents_folded: AtomicU64,
    /// Incidents of containers in a crash loop.
    pub crash_loop_incidents: AtomicU64,
    /// Incidents by workload.
    pub workloads: Workloads,
    /// Time from the termination of the container to its incident line.
    pub incident_delay: Histogram,
    /// The agent's own part of [`Metrics::incident_delay`], counted from the API server's event.
    pub incident_agent_delay: Histogram,
    /// Terminations that are not crashes, by reason.
    pub quiet_ends: Family<Quiet>,
    /// Terminations known only from the restart count.
    pub unseen_ends: AtomicU64,
    /// Pod objects that were not watched completely because a limit was exceeded.
    pub pods_refused: AtomicU64,
    /// Terminations held back until the evidence shows what they were.
    pub incidents_held: AtomicU64,
    /// Sampling rounds.
    pub samples: AtomicU64,
    /// Containers with samples.
    pub containers_sampled: AtomicU64,
    /// Pods and containers for which the sampler has no room.
    pub containers_left_out: AtomicU64,
    /// Incident lines written.
    pub sink_written: Family<SinkName>,
    /// Incident lines dropped.
    pub sink_dropped: Family<SinkName>,
    /// Incident lines queued.
    pub sink_queued: Family<SinkName>,
    /// Failed tries to write incident lines.
    pub sink_errors: Family<SinkName>,
    /// Incomplete lines found at the end of the incident file.
    pub incident_file_torn: AtomicU64,
    /// Rotations of the incident file.
    pub incident_file_rotations: AtomicU64,
    /// Writes of the state file, by result.
    pub state_writes: Family<StateWrite>,
    /// Bytes written to the recorder file.
    pub recorder_bytes: AtomicU64,
    /// Failed tries to open or write the recorder file.
    pub recorder_errors: AtomicU64,
    /// Samples that the thread "recorder" could not take, because the disk hangs.
    pub recorder_dropped: AtomicU64,
    /// Rises of the kernel's own counters.
    pub kernel_events: Family<Counter>,
    /// Lines of the kernel's log that could not be read.
    pub kernel_log_skipped: AtomicU64,
    /// The heartbeats of the threads, for `/healthz`.
    pub heartbeats: Heartbeats,
    /// Lines of the log that were dropped.
    pub log_dropped: AtomicU64,
    /// Lookups of pods' events, by result.
    pub event_lookups: Family<LookupResult>,
    /// Telemetry posts by pods, by result.
    pub telemetry_posts: Family<PostResult>,
    /// Permissions, as the API server last answered.
    pub permission: Family<Permission>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            pods_watched: AtomicU64::default(),
            pod_events: Family::default(),
            api_requests: Family::default(),
            api_request_duration: Histogram::new(REQUEST_SECONDS),
            api_errors: Family::default(),
            watch_reconnections: AtomicU64::default(),
            watch_events: AtomicU64::default(),
            watch_last_event_millis: AtomicU64::default(),
            watch_malformed: Family::default(),
            watch_errors: Family::default(),
            lists: Family::default(),
            incidents: Family::default(),
            incidents_folded: AtomicU64::default(),
            crash_loop_incidents: AtomicU64::default(),
            workloads: Workloads::default(),
            incident_delay: Histogram::new(DELAY_SECONDS),
            incident_agent_delay: Histogram::new(AGENT_DELAY_SECONDS),
            quiet_ends: Family::default(),
            unseen_ends: AtomicU64::default(),
            pods_refused: AtomicU64::default(),
            incidents_held: AtomicU64::default(),
            samples: AtomicU64::default(),
            containers_sampled: AtomicU64::default(),
            containers_left_out: AtomicU64::default(),
            sink_written: Family::default(),
            sink_dropped: Family::default(),
            sink_queued: Family::default(),
            sink_errors: Family::default(),
            incident_file_torn: AtomicU64::default(),
            incident_file_rotations: AtomicU64::default(),
            state_writes: Family::default(),
            recorder_bytes: AtomicU64::default(),
            recorder_errors: AtomicU64::default(),
            recorder_dropped: AtomicU64::default(),
            kernel_events: Family::default(),
            kernel_log_skipped: AtomicU64::default(),
            heartbeats: Heartbeats::default(),
            log_dropped: AtomicU64::default(),
            event_lookups: Family::default(),
            telemetry_posts: Family::default(),
            permission: Family::default(),
        }
    }
}

macro_rules! families {
    ($($id:ident $kind:literal $name:literal $help:literal;)+) => {
        $(const $id: Info = Info { name: $name, kind: $kind, help: $help };)+
        /// Every family, in the order of the output.
        pub const FAMILIES: &[Info] = &[$($id),+];
    };
}

families! {
    PODS_WATCHED "gauge" "k8s_pods_watched_total" "Pods of this node that the agent watches now.";
    PODS_WATCHED_TWIN "gauge" "blackbox_pods_watched" "The same as k8s_pods_watched_total, with the name that a gauge should have.";
    POD_EVENTS "counter" "k8s_pod_events_total" "Starts, stops, crashes and failures of pods.";
    API_REQUESTS "counter" "k8s_api_requests_total" "Requests sent to the API server.";
    API_DURATION "histogram" "k8s_api_request_duration_seconds" "Time until the response headers of the API server arrived.";
    API_ERRORS "counter" "k8s_api_errors_total" "Requests and streams that failed, by HTTP status code or by kind of failure.";
    RECONNECTIONS "counter" "k8s_watch_reconnections_total" "Watches opened after a watch that broke, was cut short or failed.";
    WATCH_EVENTS "counter" "k8s_watch_events_total" "Lines received on the watch, including bookmarks.";
    LAST_EVENT "gauge" "k8s_watch_last_event_timestamp" "Unix time of the last sign of life on the watch: an event, a bookmark, or, if nothing happens, the end of the watch on time.";
    LAST_EVENT_TWIN "gauge" "blackbox_watch_last_event_timestamp_seconds" "The same as k8s_watch_last_event_timestamp, with its unit in the name.";
    MALFORMED "counter" "blackbox_watch_malformed_total" "Lines and list items from the API server that the agent could not use, or only in part.";
    WATCH_ERRORS "counter" "blackbox_watch_errors_total" "Watches that the API server ended with an ERROR event.";
    LISTS "counter" "blackbox_lists_total" "Lists of the node's pods that the agent started, by reason.";
    INCIDENTS "counter" "blackbox_incidents_total" "Incidents reported.";
    FOLDED "counter" "blackbox_incidents_folded_total" "Refusals of pods without an incident of their own: a later incident of the same workload counts them.";
    CRASH_LOOPS "counter" "blackbox_crash_loop_incidents_total" "Incidents of containers in a crash loop: the third incident within half an hour, and each one after it.";
    WORKLOADS "counter" "blackbox_workload_incidents_total" "Incidents of pods by namespace, workload and type.";
    WORKLOAD_LOOPS "counter" "blackbox_workload_crash_loop_incidents_total" "Incidents of containers in a crash loop by namespace, workload and type.";
    DELAY "histogram" "blackbox_incident_delay_seconds" "Time from the termination of a container to its incident line.";
    AGENT_DELAY "histogram" "blackbox_incident_agent_delay_seconds" "The agent's own part of the incident delay: time from the API server's event to the incident line, including any wait for evidence.";
    QUIET "counter" "blackbox_quiet_ends_total" "Terminations of containers that are not crashes, by reason.";
    UNSEEN "counter" "blackbox_unseen_ends_total" "Terminations of containers that the agent knows only from the restart count.";
    REFUSED "counter" "blackbox_pods_refused_total" "Times that the agent received a pod and did not watch it, or not all of its containers, because of a limit (1024 pods, 128 containers per pod, names of 384 bytes).";
    HELD "gauge" "blackbox_incidents_held" "Terminations that the agent holds back until it knows their cause.";
    SAMPLES "counter" "blackbox_samples_total" "Sampling rounds, in which the agent reads the containers' cgroups.";
    SAMPLED "gauge" "blackbox_containers_sampled" "Containers for which the agent keeps samples.";
    LEFT_OUT "gauge" "blackbox_containers_left_out" "Pods and containers for which the sampler has no room.";
    SINK_WRITTEN "counter" "blackbox_sink_written_total" "Incident lines written.";
    SINK_DROPPED "counter" "blackbox_sink_dropped_total" "Incident lines dropped.";
    SINK_QUEUED "gauge" "blackbox_sink_queued" "Incident lines in the queue of a sink.";
    SINK_ERRORS "counter" "blackbox_sink_errors_total" "Failed attempts to write incident lines; the agent retries most of them.";
    TORN "counter" "blackbox_incident_file_torn_lines_total" "Incomplete lines found at the end of the incident file, for example after a power failure.";
    ROTATIONS "counter" "blackbox_incident_file_rotations_total" "Rotations of the incident file.";
    STATE_WRITES "counter" "blackbox_state_writes_total" "Writes of the state file, by result.";
    RECORDER_BYTES "counter" "blackbox_recorder_bytes_total" "Bytes written to the recorder file.";
    RECORDER_ERRORS "counter" "blackbox_recorder_errors_total" "Failed attempts to open or write the recorder file.";
    RECORDER_DROPPED "counter" "blackbox_recorder_dropped_total" "Samples that were not recorded, because the disk of the recorder file hangs.";
    KERNEL_EVENTS "counter" "blackbox_kernel_events_total" "Rises of the node kernel's own counters of kills, faults and errors since the agent started, by counter.";
    KERNEL_SKIPPED "counter" "blackbox_kernel_log_lines_skipped_total" "Lines of the node kernel's log that the agent passed over: compressed by the journal, or damaged.";
    LOG_DROPPED "counter" "blackbox_log_lines_dropped_total" "Lines of the agent's own log that were dropped: nobody read standard error.";
    LOOKUPS "counter" "blackbox_event_lookups_total" "Lookups of a pod's Kubernetes events, by result.";
    POSTS "counter" "blackbox_telemetry_posts_total" "Telemetry posts by pods of this node, by result.";
    PERMISSION "gauge" "blackbox_permission" "1 if the API server last granted this right; 0 if it denied the right or the agent has not asked yet.";
    BUILD "gauge" "blackbox_build_info" "The agent's version; always 1.";
    CPU "counter" "process_cpu_seconds_total" "CPU time of the agent.";
    RESIDENT "gauge" "process_resident_memory_bytes" "Resident memory of the agent.";
    VIRTUAL "gauge" "process_virtual_memory_bytes" "Virtual memory of the agent.";
    OPEN_FDS "gauge" "process_open_fds" "Open file descriptors of the agent.";
    MAX_FDS "gauge" "process_max_fds" "Maximum number of open file descriptors of the agent.";
    START "gauge" "process_start_time_seconds" "Unix time at which the agent started.";
    THREADS "gauge" "process_threads" "Threads of the agent.";
}

impl Metrics {
    /// Records that a line will tell what a sink lost. `is_new`: it is not one that was lost itself.
    pub fn losses_told(&self, is_new: bool) {
        if is_new {
            self.incidents.add(IncidentClass(IncidentType::Lost, Severity::High));
        }
    }

    /// Records one round of the sampler: the number of containers with samples, and the number for which there
    /// was no room.
    pub fn sampled(&self, kept: usize, left_out: usize) {
        let gauge = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.samples.fetch_add(1, Ordering::Relaxed);
        self.containers_sampled.store(gauge(kept), Ordering::Relaxed);
        self.containers_left_out.store(gauge(left_out), Ordering::Relaxed);
    }

    /// Writes all families.
    pub fn render(&self, process: &ProcessStats, out: &mut String) {
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        for info in [PODS_WATCHED, PODS_WATCHED_TWIN] {
            info.single(out, get(&self.pods_watched));
        }
        self.pod_events.render(&POD_EVENTS, out);
        self.api_requests.render(&API_REQUESTS, out);
        self.api_request_duration.render(&API_DURATION, out);
        self.api_errors.render(&API_ERRORS, out);
        RECONNECTIONS.single(out, get(&self.watch_reconnections));
        WATCH_EVENTS.single(out, get(&self.watch_events));
        for info in [LAST_EVENT, LAST_EVENT_TWIN] {
            info.single(out, get(&self.watch_last_event_millis) as f64 / 1e3);
        }
        self.watch_malformed.render(&MALFORMED, out);
        self.watch_errors.render(&WATCH_ERRORS, out);
        self.lists.render(&LISTS, out);
        self.incidents.render(&INCIDENTS, out);
        FOLDED.single(out, get(&self.incidents_folded));
        CRASH_LOOPS.single(out, get(&self.crash_loop_incidents));
        self.workloads.render(&WORKLOADS, &WORKLOAD_LOOPS, out);
        self.incident_delay.render(&DELAY, out);
        self.incident_agent_delay.render(&AGENT_DELAY, out);
        self.quiet_ends.render(&QUIET, out);
        UNSEEN.single(out, get(&self.unseen_ends));
        REFUSED.single(out, get(&self.pods_refused));
        HELD.single(out, get(&self.incidents_held));
        SAMPLES.single(out, get(&self.samples));
        SAMPLED.single(out, get(&self.containers_sampled));
        LEFT_OUT.single(out, get(&self.containers_left_out));
        self.sink_written.render(&SINK_WRITTEN, out);
        self.sink_dropped.render(&SINK_DROPPED, out);
        self.sink_queued.render(&SINK_QUEUED, out);
        self.sink_errors.render(&SINK_ERRORS, out);
        TORN.single(out, get(&self.incident_file_torn));
        ROTATIONS.single(out, get(&self.incident_file_rotations));
        self.state_writes.render(&STATE_WRITES, out);
        RECORDER_BYTES.single(out, get(&self.recorder_bytes));
        RECORDER_ERRORS.single(out, get(&self.recorder_errors));
        RECORDER_DROPPED.single(out, get(&self.recorder_dropped));
        self.kernel_events.render(&KERNEL_EVENTS, out);
        KERNEL_SKIPPED.single(out, get(&self.kernel_log_skipped));
        LOG_DROPPED.single(out, get(&self.log_dropped));
        self.event_lookups.render(&LOOKUPS, out);
        self.telemetry_posts.render(&POSTS, out);
        self.permission.render(&PERMISSION, out);
        BUILD.head(out);
        out.push_str(concat!(
            "blackbox_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1\n"
        ));
        CPU.single(out, process.cpu_seconds);
        RESIDENT.single(out, process.resident_memory_bytes);
        VIRTUAL.single(out, process.virtual_memory_bytes);
        OPEN_FDS.single(out, process.open_fds);
        MAX_FDS.single(out, process.max_fds);
        START.single(out, process.start_time_seconds);
        THREADS.single(out, process.threads);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(metrics: &Metrics) -> String {
        let mut out = String::new();
        metrics.render(&ProcessStats::default(), &mut out);
        out
    }

    #[test]
    fn every_family_is_written_once_and_in_order() {
        let text = rendered(&Metrics::default());
        let types: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
        let want: Vec<String> = FAMILIES.iter().map(|i| format!("{} {}", i.name, i.kind)).collect();
        assert_eq!(types, want);
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = FAMILIES.iter().any(|i| {
                let rest = name.strip_prefix(i.name);
                rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
            });
            assert!(family, "{line}");
        }
    }

    #[test]
    fn every_label_value_exists_at_zero_and_counts_by_itself() {
        let metrics = Metrics::default();
        let before = rendered(&metrics);
        for line in before.lines().filter(|l| l.contains('{') && !l.contains("build_info")) {
            assert!(line.ends_with(" 0"), "{line}");
        }
        for class in IncidentClass::all() {
            metrics.incidents.add(class);
            assert_eq!(metrics.incidents.get(class), 1);
        }
        metrics.api_errors.add(ErrorCode::http(403));
        metrics.api_errors.add(ErrorCode::http(418));
        metrics.watch_errors.add(Failure::Expired);
        let after = rendered(&metrics);
        assert_eq!(after.lines().count(), before.lines().count());
        for want in [
            "blackbox_incidents_total{type=\"oom\",severity=\"critical\"} 1",
            "k8s_api_errors_total{code=\"403\"} 1",
            "k8s_api_errors_total{code=\"other\"} 1",
            "blackbox_watch_errors_total{reason=\"expired\"} 1",
        ] {
            assert!(after.lines().any(|l| l == want), "{want}");
        }
    }

    /// Compares the page with a file, so that a change of what operators build alerts on is deliberate.
    /// `UPDATE_GOLDEN=1 cargo test` writes the file again.
    #[test]
    fn the_page_at_the_start_is_as_documented() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/metrics/start.txt");
        let text = rendered(&Metrics::default()).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(path).unwrap());
    }
}
