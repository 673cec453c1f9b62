//! Reads incident lines: what a program in Rust needs to use the lines of any agent.
//!
//! These types are not those that the agent writes with ([`crate::core::incident`]). A reader lives longer than the agent
//! of one version and gets lines of all of them: members that it does not know are ignored, members that a line does not
//! have are empty, and what is one word of a list today (a type, a state) is a text, because tomorrow's list is longer.
//! `docs/incident.md` describes the members.
//!
//! ```
//! # let line = include_str!("../../fixtures/incidents.jsonl").lines().next().unwrap_or_default();
//! let incident = blackbox_daemon::core::reader::Incident::parse(line.as_bytes())?;
//! println!("{} {}: {}", incident.occurred_at, incident.kind, incident.message);
//! # Ok::<(), blackbox_daemon::core::reader::Error>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::core::case::SCHEMA;

/// Why a line cannot be read.
#[derive(Debug)]
pub enum Error {
    /// It is no JSON, or a member that every incident has is missing or has another form.
    Form(serde_json::Error),
    /// It has another schema, whose name this is.
    Schema(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(e) => write!(f, "not an incident line: {e}"),
            Self::Schema(name) => write!(f, "the schema is {name:?}, not {SCHEMA:?}"),
        }
    }
}

impl std::error::Error for Error {}

/// One incident.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[non_exhaustive]
pub struct Incident {
    /// The name and version of the schema.
    pub schema: String,
    /// The identity of the crash: lines with equal ids report the same crash.
    pub id: String,
    /// When the agent detected it.
    #[serde(with = "time")]
    pub timestamp: Timestamp,
    /// When it happened, by the node's clock.
    #[serde(with = "time")]
    pub occurred_at: Timestamp,
    /// `critical`, `high`, `medium` or `low`.
    pub severity: String,
    /// The type: what happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, in one sentence.
    pub message: String,
    /// Lines with equal fingerprints report the same kind of crash; empty in lines of versions that had none.
    #[serde(default)]
    pub fingerprint: String,
    /// Why it happened, in the words of the application, its runtime or the kubelet.
    pub cause: Option<Cause>,
    /// The cluster, as the operator named it.
    pub cluster: Option<String>,
    /// The pod's namespace; empty in incidents of the node and of a sink, as the next two.
    #[serde(default)]
    pub namespace: String,
    /// The pod's name.
    #[serde(default)]
    pub pod_name: String,
    /// The pod's UID.
    #[serde(default)]
    pub pod_uid: String,
    /// What the pod belongs to, as `Deployment/api`.
    pub workload: Option<String>,
    /// The node that runs the pod.
    #[serde(default)]
    pub node_name: String,
    /// The container's name; `None` where the pod failed as a whole.
    pub container: Option<String>,
    /// The instance that terminated, as `containerd://…`.
    pub container_id: Option<String>,
    /// That container's image.
    pub image: Option<String>,
    /// The exit code of the instance that terminated.
    pub exit_code: Option<i32>,
    /// The number of the signal that terminated it.
    pub signal: Option<i32>,
    /// The reason of the runtime or of the kubelet, one word.
    pub reason: Option<String>,
    /// The containers of the pod, as they were when the crash was detected.
    #[serde(default)]
    pub containers: Vec<Container>,
    /// Facts about the pod and the verdict.
    #[serde(default)]
    pub metadata: Metadata,
    /// What the node recorded before the crash.
    #[serde(default)]
    pub telemetry: Telemetry,
}

impl Incident {
    /// Reads one line, with or without its newline.
    ///
    /// # Errors
    /// The line is no incident, or one of another schema than [`SCHEMA`].
    pub fn parse(line: &[u8]) -> Result<Self, Error> {
        /// Read first: the members of another schema may have any form.
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let head: Head = serde_json::from_slice(line).map_err(Error::Form)?;
        if head.schema != SCHEMA {
            return Err(Error::Schema(head.schema));
        }
        serde_json::from_slice(line).map_err(Error::Form)
    }
}

/// Declares types whose members may all be missing.
macro_rules! parts {
    ($(#[doc = $about:literal] $name:ident {
        $($(#[$meta:meta])+ $field:ident: $kind:ty,)+
    })+) => {$(
        #[doc = $about]
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[cfg_attr(test, derive(serde::Serialize))]
        #[serde(default)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$meta])+ pub $field: $kind,)+
        }
    )+};
}

parts! {
    /// Why it happened.
    Cause {
        /// The class of the error, as `KeyError`.
        error_type: Option<String>,
        /// What it says.
        message: String,
        /// What the program did, as it says itself.
        context: Option<String>,
        /// Where it happened, as `settings.py:12`.
        location: Option<String>,
        /// Who says so: `log`, `termination_message` or `status`.
        source: String,
        /// The line that says it.
        line: String,
    }

    /// A container of the pod.
    Container {
        /// Its name.
        name: String,
        /// `app`, `init`, `sidecar` or `ephemeral`.
        kind: String,
        /// Its image, as the pod names it.
        image: String,
        /// The image that the runtime resolved it to.
        image_id: Option<String>,
        /// `running`, `waiting`, `terminated` or `unknown`.
        state: String,
        /// How often it was restarted.
        restart_count: i64,
        /// The exit code of its last instance.
        exit_code: Option<i32>,
        /// The signal that terminated its last instance.
        signal: Option<i32>,
        /// What the exit code means.
        exit_class: Option<String>,
        /// The reason of its state, one word.
        reason: Option<String>,
        /// When its instance started.
        #[serde(with = "time_or_null")]
        started_at: Option<Timestamp>,
        /// When it terminated.
        #[serde(with = "time_or_null")]
        finished_at: Option<Timestamp>,
        /// What the kubelet or the container said.
        message: Option<String>,
        /// Its limits and requests.
        resources: Resources,
    }

    /// The limits and requests of a container, as the pod has them.
    Resources {
        /// The memory limit.
        memory_limit_bytes: Option<i64>,
        /// The CPU limit.
        cpu_limit_millicores: Option<i64>,
        /// The memory request.
        memory_request_bytes: Option<i64>,
        /// The CPU request.
        cpu_request_millicores: Option<i64>,
    }

    /// The kind and name of a Kubernetes object.
    Object {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    }

    /// Facts about the pod and the verdict.
    Metadata {
        /// The cluster, as the operator named it.
        cluster: Option<String>,
        /// The workload that the pod belongs to.
        workload: Option<Object>,
        /// The revision of the workload that the pod was made from.
        revision: Option<String>,
        /// When the pod was created.
        #[serde(with = "time_or_null")]
        pod_created_at: Option<Timestamp>,
        /// The controller that made the pod.
        owner: Option<Object>,
        /// The pod's first labels.
        labels: BTreeMap<String, String>,
        /// `Guaranteed`, `Burstable` or `BestEffort`.
        qos_class: Option<String>,
        /// `Always`, `OnFailure` or `Never`.
        restart_policy: Option<String>,
        /// How sure the type is: `confirmed` or `probable`.
        confidence: String,
        /// Short facts that the type rests on.
        evidence: Vec<String>,
        /// How often the container was restarted.
        restarts: Option<Restarts>,
        /// A static pod's UID, as the kubelet has it.
        static_pod_uid: Option<String>,
        /// How many refused pods the line stands for.
        repeats: Option<u64>,
        /// How often crashes with this fingerprint were seen on this node.
        seen: Option<Sighting>,
        /// What a sink lost.
        lost: Option<Losses>,
        /// The ids of earlier lines that were probably part of this failure.
        explains: Vec<String>,
        /// The version of the agent that wrote the line.
        agent_version: String,
        /// True if only a process of the container was killed, and the container goes on.
        survived: bool,
        /// What is known about a reboot of the node.
        reboot: Option<Reboot>,
    }

    /// How often a container was restarted.
    Restarts {
        /// Since the pod exists.
        total: i64,
        /// Terminations that no object of the API showed.
        unseen: i64,
        /// The terminations that were known when the line was written.
        ended: Option<i64>,
        /// True if the kubelet waits before it restarts the container.
        crash_loop: bool,
    }

    /// How often crashes with a fingerprint were seen on a node.
    Sighting {
        /// Their number.
        count: u64,
        /// When the first of them happened.
        #[serde(with = "time_or_null")]
        first_at: Option<Timestamp>,
    }

    /// Incidents that a sink lost.
    Losses {
        /// The sink.
        sink: String,
        /// How many of each type.
        types: BTreeMap<String, u64>,
        /// When the first of them happened.
        #[serde(with = "time_or_null")]
        since: Option<Timestamp>,
        /// When the last of them was detected.
        #[serde(with = "time_or_null")]
        until: Option<Timestamp>,
    }

    /// A reboot of the node.
    Reboot {
        /// The kernel's ID of the boot.
        boot_id: String,
        /// When the node was booted.
        #[serde(with = "time_or_null")]
        booted_at: Option<Timestamp>,
        /// The kernel's ID of the boot before.
        previous_boot_id: Option<String>,
        /// When an agent was last seen to run in the boot before.
        #[serde(with = "time_or_null")]
        last_seen_at: Option<Timestamp>,
        /// Whether there was a shutdown, if that is known.
        is_orderly: Option<bool>,
        /// When the node was last alive.
        #[serde(with = "time_or_null")]
        last_alive_at: Option<Timestamp>,
        /// Why the kernel gave up, in its own words.
        panic: Option<String>,
        /// Number of containers that the reboot ended.
        containers: u64,
        /// The first of them: namespace, pod and container.
        names: Vec<String>,
    }

    /// What the node recorded before the crash.
    Telemetry {
        /// True if this telemetry is shorter than usual.
        brief: bool,
        /// The samples of the container.
        container: Option<ContainerSamples>,
        /// The samples of the node.
        system: Option<Samples>,
        /// The last minutes of the boot before.
        before_reboot: Option<BeforeReboot>,
        /// What the node's kernel says.
        kernel: Option<Kernel>,
        /// The last lines that the container wrote.
        logs: Option<Logs>,
        /// What the pod posted about itself, by name.
        sidecar: BTreeMap<String, Series>,
        /// The node as the API server has it.
        node: Option<Node>,
        /// The pod's Kubernetes events.
        events: Vec<Event>,
        /// What is missing or cut short, and why.
        gaps: Vec<String>,
    }

    /// Samples, one column for each quantity, the newest value last.
    Samples {
        /// The time between two samples.
        interval_seconds: f64,
        /// When the newest sample was taken.
        #[serde(with = "time_or_null")]
        ends_at: Option<Timestamp>,
        /// The columns by name, which ends with the unit. A value that could not be read is `None`.
        #[serde(flatten, deserialize_with = "columns")]
        columns: BTreeMap<String, Vec<Option<f64>>>,
    }

    /// The samples of a container.
    ContainerSamples {
        /// The time between two samples.
        interval_seconds: f64,
        /// When the newest sample was taken.
        #[serde(with = "time_or_null")]
        ends_at: Option<Timestamp>,
        /// The lower of the memory limits of the container and its pod.
        memory_limit_bytes: Option<u64>,
        /// Highest memory use since the container started.
        memory_peak_bytes: Option<u64>,
        /// Number of the container's processes that were OOM-killed recently.
        oom_kills: u64,
        /// The columns, as in [`Samples`].
        #[serde(flatten, deserialize_with = "columns")]
        columns: BTreeMap<String, Vec<Option<f64>>>,
    }

    /// The last minutes of the boot before.
    BeforeReboot {
        /// The time between two samples.
        interval_seconds: f64,
        /// When the newest sample was taken.
        #[serde(with = "time_or_null")]
        ends_at: Option<Timestamp>,
        /// The containers that mattered.
        containers: Vec<ContainerMinutes>,
        /// The columns of the node, as in [`Samples`].
        #[serde(flatten, deserialize_with = "columns")]
        columns: BTreeMap<String, Vec<Option<f64>>>,
    }

    /// What a container used in the last minutes of the boot before.
    ContainerMinutes {
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        pod_name: String,
        /// The container's name.
        container: String,
        /// The lower of the memory limits of the container and its pod.
        memory_limit_bytes: Option<u64>,
        /// The memory in use.
        memory_bytes: Vec<Option<f64>>,
        /// The CPU time used.
        cpu_millicores: Vec<Option<f64>>,
    }

    /// What the node's kernel says about the crash, and about the minutes before it.
    Kernel {
        /// Which of its counters rose, and by how much.
        counters: BTreeMap<String, u64>,
        /// The process that it killed for want of memory.
        oom_kill: Option<OomKill>,
        /// The fault that probably ended the container.
        fault: Option<Fault>,
        /// Trouble of the node, the newest last.
        troubles: Vec<Trouble>,
    }

    /// A process that the kernel killed for want of memory.
    OomKill {
        /// When.
        #[serde(with = "time_or_null")]
        at: Option<Timestamp>,
        /// The name of the process.
        process: String,
        /// Its number.
        pid: u64,
        /// The memory that it had.
        resident_bytes: u64,
        /// Whose limit was reached.
        limit_of: Option<String>,
        /// The process that asked for memory.
        asked_by: Option<String>,
        /// How many processes were killed.
        processes: u64,
        /// How sure it is that the process was the container's.
        confidence: String,
    }

    /// A fault of a process.
    Fault {
        /// When.
        #[serde(with = "time_or_null")]
        at: Option<Timestamp>,
        /// Its kind, as `segfault`.
        kind: String,
        /// The name of the process.
        process: String,
        /// Its number.
        pid: u64,
        /// The file whose code it ran.
        file: Option<String>,
        /// Where in that file.
        offset: Option<String>,
        /// How sure it is that the process was the container's.
        confidence: String,
    }

    /// What the kernel's log said about the node.
    Trouble {
        /// Its kind, as `io_error`.
        kind: String,
        /// The device or file system.
        subject: Option<String>,
        /// When it was said first.
        #[serde(with = "time_or_null")]
        first_at: Option<Timestamp>,
        /// When it was said last.
        #[serde(with = "time_or_null")]
        last_at: Option<Timestamp>,
        /// How often.
        count: u64,
    }

    /// The last lines that a container wrote.
    Logs {
        /// The lines, the newest last.
        lines: Vec<LogLine>,
        /// The file that they are from.
        file: String,
        /// How many lines were left out.
        skipped: Option<u64>,
        /// Why the first lines may be missing: `bytes`, `tail` or `rotated`.
        truncated: Option<String>,
    }

    /// A line that a container wrote.
    LogLine {
        /// When.
        #[serde(with = "time_or_null")]
        at: Option<Timestamp>,
        /// `stdout` or `stderr`.
        stream: String,
        /// The line.
        text: String,
    }

    /// The values that a pod posted under one name.
    Series {
        /// How long before the incident each value was posted.
        age_seconds: Vec<Option<f64>>,
        /// The values.
        values: Vec<Option<f64>>,
    }

    /// The node as the API server has it.
    Node {
        /// When the agent read it.
        #[serde(with = "time_or_null")]
        read_at: Option<Timestamp>,
        /// Its conditions.
        conditions: Vec<Condition>,
        /// What pods can use of it.
        allocatable: Allocatable,
        /// The version of the kubelet.
        kubelet_version: Option<String>,
        /// The version of the container runtime.
        container_runtime_version: Option<String>,
        /// The version of the kernel.
        kernel_version: Option<String>,
    }

    /// A condition of the node.
    Condition {
        /// Its type, as `Ready`.
        #[serde(rename = "type")]
        kind: String,
        /// `True`, `False` or `Unknown`.
        status: String,
        /// Since when.
        #[serde(with = "time_or_null")]
        since: Option<Timestamp>,
    }

    /// What pods can use of a node.
    Allocatable {
        /// CPU time.
        cpu_millicores: Option<i64>,
        /// Memory.
        memory_bytes: Option<i64>,
        /// Number of pods.
        pods: Option<i64>,
    }

    /// A Kubernetes event of the pod.
    Event {
        /// `Normal` or `Warning`.
        #[serde(rename = "type")]
        kind: String,
        /// Its reason, one word.
        reason: String,
        /// What it says.
        message: String,
        /// How often it happened.
        count: i64,
        /// When it happened first.
        #[serde(with = "time_or_null")]
        first_at: Option<Timestamp>,
        /// When it happened last.
        #[serde(with = "time_or_null")]
        last_at: Option<Timestamp>,
    }
}

mod time {
    use super::{Deserialize, Deserializer, Timestamp};
    use serde::de::Error;

    #[cfg(test)]
    pub(super) use crate::core::text::time as serialize;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

mod time_or_null {
    use super::{Deserialize, Deserializer, Timestamp};
    use serde::de::Error;

    #[cfg(test)]
    pub(super) use crate::core::text::time_or_null as serialize;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// Reads the members that are columns. Others are those of a later version.
fn columns<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Vec<Option<f64>>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Member {
        Column(Vec<Option<f64>>),
        Unknown(IgnoredAny),
    }
    let members = BTreeMap::<String, Member>::deserialize(deserializer)?;
    let columns = members.into_iter().filter_map(|(name, member)| match member {
        Member::Column(values) => Some((name, values)),
        Member::Unknown(_) => None,
    });
    Ok(columns.collect())
}

#[cfg(test)]
mod tests;
