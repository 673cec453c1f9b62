//! The incident: its types, severities, identity and schema (`blackbox.incident/v1`).

pub mod enrich;
pub mod line;
pub mod sentence;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::core::detect::draft::Detail;
use crate::core::incident::enrich::ContainerTelemetry;
use crate::core::logs::last_words::LastWords;
use crate::core::node::NodeInfo;
use crate::core::ring::Columns;
use crate::core::sidecar::SidecarSection;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// The schema's name and version, in every line.
pub const SCHEMA: &str = "blackbox.incident/v1";

/// How bad an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, no harm done.
    Low,
    /// A crash with an ordinary cause.
    Medium,
    /// A crash or failure that keeps a workload down.
    High,
    /// The kernel took memory back by force.
    Critical,
}

impl Severity {
    /// Every severity, worst first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// The name used in the incident line, in labels and in `BLACKBOX_MIN_SEVERITY`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// What happened. `core::classify` says when each applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentType {
    /// The kernel's out-of-memory killer.
    Oom,
    /// The kubelet, after a liveness or startup probe failed.
    ProbeFailure,
    /// The kubelet, after a postStart hook failed.
    HookFailure,
    /// The container could not be created or started.
    StartError,
    /// Exit code 1.
    Error,
    /// Exit code 2.
    Misuse,
    /// Exit code 125.
    DockerError,
    /// Exit code 126.
    NotExecutable,
    /// Exit code 127.
    NotFound,
    /// Exit code 128.
    InvalidArg,
    /// Exit code 130: SIGINT.
    Interrupted,
    /// Exit code 137: SIGKILL, not by the out-of-memory killer.
    Killed,
    /// Exit code 143: SIGTERM.
    Terminated,
    /// Another exit code over 128.
    Signal,
    /// Any other exit code.
    Unknown,
    /// Exit code 0 where the container is meant to run for ever.
    Graceful,
    /// The image cannot be had.
    ImagePull,
    /// The container's configuration refers to something that is not there.
    ConfigError,
    /// The pod was evicted.
    Evicted,
    /// The pod ran past its deadline.
    Timeout,
    /// The pod made room for a more important one.
    Preempted,
    /// The node shut down.
    NodeShutdown,
    /// The kubelet refused the pod.
    AdmissionRejected,
}

impl IncidentType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 23] = [
        Self::Oom,
        Self::ProbeFailure,
        Self::HookFailure,
        Self::StartError,
        Self::Error,
        Self::Misuse,
        Self::DockerError,
        Self::NotExecutable,
        Self::NotFound,
        Self::InvalidArg,
        Self::Interrupted,
        Self::Killed,
        Self::Terminated,
        Self::Signal,
        Self::Unknown,
        Self::Graceful,
        Self::ImagePull,
        Self::ConfigError,
        Self::Evicted,
        Self::Timeout,
        Self::Preempted,
        Self::NodeShutdown,
        Self::AdmissionRejected,
    ];

    /// The name used in the incident line and in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oom => "oom",
            Self::ProbeFailure => "probe_failure",
            Self::HookFailure => "hook_failure",
            Self::StartError => "start_error",
            Self::Error => "error",
            Self::Misuse => "misuse",
            Self::DockerError => "docker_error",
            Self::NotExecutable => "not_executable",
            Self::NotFound => "not_found",
            Self::InvalidArg => "invalid_arg",
            Self::Interrupted => "interrupted",
            Self::Killed => "killed",
            Self::Terminated => "terminated",
            Self::Signal => "signal",
            Self::Unknown => "unknown",
            Self::Graceful => "graceful",
            Self::ImagePull => "image_pull",
            Self::ConfigError => "config_error",
            Self::Evicted => "evicted",
            Self::Timeout => "timeout",
            Self::Preempted => "preempted",
            Self::NodeShutdown => "node_shutdown",
            Self::AdmissionRejected => "admission_rejected",
        }
    }

    /// The severities that the type occurs with.
    pub fn severities(self) -> &'static [Severity] {
        match self {
            Self::Oom => &[Severity::Critical, Severity::High],
            Self::Signal => &[Severity::High, Severity::Medium],
            Self::ProbeFailure
            | Self::HookFailure
            | Self::StartError
            | Self::DockerError
            | Self::NotExecutable
            | Self::NotFound
            | Self::Killed
            | Self::ImagePull
            | Self::ConfigError
            | Self::Evicted
            | Self::AdmissionRejected => &[Severity::High],
            Self::Error
            | Self::Misuse
            | Self::InvalidArg
            | Self::Terminated
            | Self::Unknown
            | Self::Timeout
            | Self::Preempted
            | Self::NodeShutdown => &[Severity::Medium],
            Self::Interrupted | Self::Graceful => &[Severity::Low],
        }
    }
}

/// How sure the type is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// The evidence says it outright.
    #[default]
    Confirmed,
    /// The evidence fits, and something that would settle it could not be had.
    Probable,
}

/// The name of an incident: 32 hexadecimal digits, the same for the same crash in every process,
/// on every machine, in every version of the agent.
///
/// It is the 128-bit FNV-1a hash of the words that make the crash unique, each followed by a zero
/// byte: pod UID (of a static pod: `kubernetes.io/config.hash`), container, and
/// * for a container instance that ended: its `containerID` as the API gives it;
/// * for a waiting episode: the type's name, then the `containerID` of the instance before (or
///   nothing);
/// * for a pod as a whole: an empty container, then the type's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IncidentId(u128);

impl IncidentId {
    /// The id for these words.
    pub fn new(words: &[&str]) -> Self {
        const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
        Self(bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME)))
    }

    /// The id as it stands in a line.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        u128::from_str_radix(text, 16).ok().filter(|_| is_hex).map(Self)
    }

    /// Half of it, for tables.
    pub fn short(self) -> u64 {
        (self.0 >> 64) as u64 ^ self.0 as u64
    }
}

impl std::fmt::Display for IncidentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for IncidentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One incident. The field order is the order in the line.
#[derive(Clone, Debug, Serialize)]
pub struct Incident {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// Equal ids are the same crash.
    pub id: IncidentId,
    /// When the agent detected it.
    #[serde(serialize_with = "time")]
    pub timestamp: Timestamp,
    /// When it happened, by the node's clock.
    #[serde(serialize_with = "time")]
    pub occurred_at: Timestamp,
    /// How bad.
    pub severity: Severity,
    /// What.
    #[serde(rename = "type")]
    pub kind: IncidentType,
    /// One sentence.
    pub message: String,
    /// Of the pod.
    pub namespace: String,
    /// Of the pod.
    pub pod_name: String,
    /// Of the pod, as the API has it.
    pub pod_uid: String,
    /// This node.
    pub node_name: String,
    /// `None`: the pod as a whole.
    pub container: Option<String>,
    /// The instance that died, as `containerd://…`.
    pub container_id: Option<String>,
    /// All containers of the pod as they were when this was detected.
    pub containers: Vec<ContainerInfo>,
    /// Around the incident.
    pub metadata: Metadata,
    /// What the node knew.
    pub telemetry: Telemetry,
    /// What the sentence is made of.
    #[serde(skip)]
    pub detail: Option<Box<Detail>>,
}

/// What is to be looked at where a container instance ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// Of the incident.
    pub id: IncidentId,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod_name: String,
    /// The pod's UID in the kubelet's hands.
    pub pod_key: String,
    /// The container's name.
    pub container: String,
    /// The runtime's ID of the instance, without the runtime's name.
    pub container_id: String,
    /// Which instance it was, the first being 0.
    pub instance: i64,
}

impl Incident {
    /// The pod's UID in the kubelet's hands: of its cgroup and its log folder.
    pub fn pod_key(&self) -> &str {
        self.metadata.static_pod_uid.as_deref().unwrap_or(&self.pod_uid)
    }

    /// What it left; `None`: nothing ended.
    pub fn remains(&self) -> Option<Remains> {
        if !self.metadata.is_end {
            return None;
        }
        let container_id = self.container_id.as_deref()?;
        Some(Remains {
            id: self.id,
            namespace: self.namespace.clone(),
            pod_name: self.pod_name.clone(),
            pod_key: self.pod_key().to_owned(),
            container: self.container.clone()?,
            container_id: container_id.rsplit('/').next().unwrap_or_default().to_owned(),
            instance: self.metadata.instance,
        })
    }

    /// How many ends of its container it tells of: its own, if it is of one, and the unseen ones before it.
    pub fn ends(&self) -> i64 {
        let unseen = self.metadata.restarts.map_or(0, |restarts| restarts.unseen);
        unseen.saturating_add(i64::from(self.metadata.is_end))
    }
}

fn shared<S: Serializer>(node: &Option<Arc<NodeInfo>>, serializer: S) -> Result<S::Ok, S::Error> {
    node.as_deref().serialize(serializer)
}

/// A time as the line has it: RFC 3339, UTC, whole seconds where it has no more.
pub(super) fn time<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// The same, where there may be none.
pub(super) fn time_or_null<S: Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}

/// What sort of container it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerKind {
    /// From `spec.containers`.
    App,
    /// From `spec.initContainers`: runs once, before the others.
    Init,
    /// From `spec.initContainers` with `restartPolicy: Always`: runs beside the others.
    Sidecar,
    /// From `spec.ephemeralContainers`: a debugging session.
    Ephemeral,
}

/// One container of the pod.
#[derive(Clone, Debug, Serialize)]
pub struct ContainerInfo {
    /// Its name.
    pub name: String,
    /// Its sort.
    pub kind: ContainerKind,
    /// Its image.
    pub image: String,
    /// `running`, `waiting`, `terminated`, or `unknown` before the kubelet says anything.
    pub state: &'static str,
    /// As the kubelet counts.
    pub restart_count: i64,
    /// Of the instance that ended last; in the container of the incident: of the one that died.
    /// So are the fields down to `message`.
    pub exit_code: Option<i32>,
    /// The signal's number.
    pub signal: Option<i32>,
    /// The seed's table on the exit code.
    pub exit_class: Option<&'static str>,
    /// The runtime's or the kubelet's word.
    pub reason: Option<String>,
    /// When that instance began; of a container that never ended: when it began.
    #[serde(serialize_with = "time_or_null")]
    pub started_at: Option<Timestamp>,
    /// When that instance ended.
    #[serde(serialize_with = "time_or_null")]
    pub finished_at: Option<Timestamp>,
    /// Its termination message, or why it waits.
    pub message: Option<String>,
    /// Limits and requests.
    pub resources: ResourceAnalysis,
}

/// The seed's resource analysis, of one container. `None`: not set, or not readable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResourceAnalysis {
    /// Bytes.
    pub memory_limit_bytes: Option<i64>,
    /// Thousandths of a core.
    pub cpu_limit_millicores: Option<i64>,
    /// Bytes.
    pub memory_request_bytes: Option<i64>,
    /// Thousandths of a core.
    pub cpu_request_millicores: Option<i64>,
}

/// Around the incident.
#[derive(Clone, Debug, Serialize)]
pub struct Metadata {
    /// Who made the pod.
    pub owner: Option<Owner>,
    /// Of the pod; the first few.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `Guaranteed`, `Burstable`, `BestEffort`.
    pub qos_class: Option<String>,
    /// `Always`, `OnFailure`, `Never`; of the container where it has one of its own.
    pub restart_policy: Option<String>,
    /// How sure the type is.
    pub confidence: Confidence,
    /// Short facts that the type rests on.
    pub evidence: Vec<String>,
    /// Of the container.
    pub restarts: Option<Restarts>,
    /// A static pod's UID in the kubelet's own hands: of its log folder and its cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub static_pod_uid: Option<String>,
    /// Of the agent that wrote this.
    pub agent_version: &'static str,
    /// A process of the container was killed, and the container lives on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub survived: bool,
    /// Whether an instance of the container ended.
    #[serde(skip)]
    pub is_end: bool,
    /// Which instance of the container that was, the first being 0: its log's name.
    #[serde(skip)]
    pub instance: i64,
}

/// The controller of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// `ReplicaSet`, `Job`, …
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// How often the container was restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Restarts {
    /// As the kubelet counts.
    pub total: i64,
    /// Ends of this container since the last incident that nobody could see: the kubelet keeps two.
    pub unseen: i64,
    /// Ends of this container that were told, quiet or counted as unseen, up to this incident: where a
    /// restarted agent goes on. `None`: it cannot be known.
    pub ended: Option<i64>,
    /// Whether the kubelet holds it back (`CrashLoopBackOff`).
    pub crash_loop: bool,
}

/// What the node knew.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Telemetry {
    /// In a crash loop, from the sixth incident of a container within an hour on: there is less here
    /// than in those before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub brief: bool,
    /// The container's minutes before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerTelemetry>,
    /// The node's minutes before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<Columns>,
    /// The last lines that the container wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<LastWords>,
    /// What the pod said of itself (`POST /v1/telemetry`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<SidecarSection>,
    /// The node as the API server knows it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shared")]
    pub node: Option<Arc<NodeInfo>>,
    /// The pod's Kubernetes events, where they were asked for.
    pub events: Vec<EventInfo>,
    /// What could not be had, or did not fit, and why.
    pub gaps: Vec<String>,
}

/// One Kubernetes event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventInfo {
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `Killing`, `Unhealthy`, …
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// How often.
    pub count: i64,
    /// The first time.
    #[serde(serialize_with = "time_or_null")]
    pub first_at: Option<Timestamp>,
    /// The last time.
    #[serde(serialize_with = "time_or_null")]
    pub last_at: Option<Timestamp>,
}

/// `text` cut to at most `bytes` bytes at a character's border, with an ellipsis where it was cut.
pub fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let ellipsis = '…';
    let end = text.floor_char_boundary(bytes.saturating_sub(ellipsis.len_utf8()));
    let mut out = String::with_capacity(bytes);
    let _ = write!(out, "{}{ellipsis}", &text[..end]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Consumers drop repeats by id, across versions: this value never changes.
    #[test]
    fn the_id_of_a_crash_is_pinned() {
        let id = IncidentId::new(&[
            "932d79d9-35cd-457c-8907-9540d6815cde",
            "app",
            "containerd://9e4a3c1e8bfb53c4322fad6d1da1b4e3ca2fc53461e64f22d5677afc07e841e0",
        ]);
        assert_eq!(id.to_string(), PINNED);
        assert_eq!(IncidentId::new(&[]).to_string(), "6c62272e07bb014262b821756295c58d");
    }

    const PINNED: &str = "7b39adb8045d5de132921e21fed1a0d5";

    #[test]
    fn words_do_not_run_into_each_other() {
        assert_ne!(IncidentId::new(&["ab", "c"]), IncidentId::new(&["a", "bc"]));
        assert_ne!(IncidentId::new(&["a", ""]), IncidentId::new(&["a"]));
    }

    #[test]
    fn names_are_those_of_the_line() {
        for kind in IncidentType::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.name()));
            assert!(!kind.severities().is_empty());
        }
        for severity in Severity::ALL {
            assert_eq!(
                serde_json::to_string(&severity).unwrap(),
                format!("\"{}\"", severity.name())
            );
            assert_eq!(Severity::from_name(severity.name()), Some(severity));
        }
        assert_eq!(Severity::from_name("High"), None);
    }

    #[test]
    fn text_is_cut_at_characters() {
        for (text, bytes, want) in
            [("abc", 3, "abc"), ("abcdef", 5, "ab…"), ("äöü", 5, "ä…"), ("ä", 1, "…"), ("", 0, "")]
        {
            assert_eq!(cut(text, bytes), want, "{text} {bytes}");
        }
    }
}
