//! The incident as it is written: the schema `blackbox.incident/v1`. The fields have the same order as in the line.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::core::case::{
    Confidence, ContainerInfo, EventInfo, Gap, IncidentId, IncidentType, Losses, Owner, Reboot,
    Restarts, Severity, Workload,
};
use crate::core::cause::Cause;
use crate::core::fingerprint::Fingerprint;
use crate::core::kernel::counters::Rises;
use crate::core::kernel::{FaultOf, OomVictim, TroubleOf};
use crate::core::logs::last_words::LastWords;
use crate::core::node::NodeInfo;
use crate::core::recorder::BeforeReboot;
use crate::core::ring::Columns;
use crate::core::seen::Sighting;
use crate::core::sidecar::SidecarSection;
use crate::core::text::{time, time_or_null};

/// One incident.
#[derive(Clone, Debug, Serialize)]
pub struct Incident {
    /// Always [`SCHEMA`](crate::core::case::SCHEMA).
    pub schema: &'static str,
    /// The identity of the crash: lines with equal ids report the same crash.
    pub id: IncidentId,
    /// When the agent detected it.
    #[serde(serialize_with = "time")]
    pub timestamp: Timestamp,
    /// When it happened, by the node's clock.
    #[serde(serialize_with = "time")]
    pub occurred_at: Timestamp,
    /// The severity.
    pub severity: Severity,
    /// The type: what happened.
    #[serde(rename = "type")]
    pub kind: IncidentType,
    /// What happened, in one sentence.
    pub message: String,
    /// The fingerprint: lines with equal fingerprints report the same kind of crash.
    pub fingerprint: Fingerprint,
    /// Why it happened, in the words of the application, its runtime or the kubelet; `None` if they do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The cluster, as the operator named it.
    pub cluster: Option<String>,
    /// The pod's namespace.
    pub namespace: String,
    /// What the pod belongs to, as `Deployment/api`; `None` in incidents of the node and of a sink.
    pub workload: Option<String>,
    /// The pod's name.
    pub pod_name: String,
    /// The pod's UID, as the API has it.
    pub pod_uid: String,
    /// The node that runs the pod.
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
    /// The reason of the runtime or of the kubelet, one word; for a pod as a whole, the pod's.
    pub reason: Option<String>,
    /// All containers of the pod, as they were when the crash was detected.
    pub containers: Vec<ContainerInfo>,
    /// Facts about the pod and the verdict.
    pub metadata: Metadata,
    /// What the node recorded before the crash.
    pub telemetry: Telemetry,
}

/// Facts about the pod and the verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Metadata {
    /// The cluster, as the operator named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The workload that the pod belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// The revision of the workload that the pod was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When the pod was created.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time_or_null")]
    pub pod_created_at: Option<Timestamp>,
    /// The controller that made the pod.
    pub owner: Option<Owner>,
    /// The pod's first labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `Guaranteed`, `Burstable`, `BestEffort`.
    pub qos_class: Option<String>,
    /// `Always`, `OnFailure`, `Never`; the container's own where it has one.
    pub restart_policy: Option<String>,
    /// How sure the type is.
    pub confidence: Confidence,
    /// Short facts that the type rests on.
    pub evidence: Vec<String>,
    /// How often the container was restarted.
    pub restarts: Option<Restarts>,
    /// A static pod's UID as the kubelet has it: the one of its log folder and its control group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub static_pod_uid: Option<String>,
    /// How many pods of the workload were refused since the line before; this line stands for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<u64>,
    /// How often crashes with this fingerprint were seen on this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Sighting>,
    /// What a sink lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Box<Losses>>,
    /// The ids of earlier lines, whose terminations were probably part of this failure of the pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub explains: Vec<IncidentId>,
    /// The version of the agent that wrote the line.
    pub agent_version: &'static str,
    /// True if only a process of the container was killed, and the container goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub survived: bool,
    /// What is known about a reboot of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot: Option<Box<Reboot>>,
}

/// What the node recorded before the crash.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Telemetry {
    /// True if this telemetry is shorter than usual: from the sixth crash with a fingerprint, or of a container, within an hour on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub brief: bool,
    /// The samples of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerTelemetry>,
    /// The samples of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<Columns>,
    /// The last minutes of the boot before, from the recorder file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_reboot: Option<BeforeReboot>,
    /// What the node's kernel says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelTelemetry>,
    /// The last lines that the container wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<LastWords>,
    /// What the pod posted about itself (`POST /v1/telemetry`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<SidecarSection>,
    /// The node as the API server has it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shared")]
    pub node: Option<Arc<NodeInfo>>,
    /// The pod's Kubernetes events, where they were looked up.
    pub events: Vec<EventInfo>,
    /// What is missing or cut short, and why.
    pub gaps: Vec<Gap>,
}

/// What the node's kernel says about the crash, and about the minutes before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct KernelTelemetry {
    /// Which of its counters rose, and by how much.
    #[serde(skip_serializing_if = "Rises::is_empty")]
    pub counters: Rises,
    /// The process that it killed for want of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kill: Option<OomVictim>,
    /// The fault that probably ended the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultOf>,
    /// Trouble of the node, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<TroubleOf>,
}

/// The samples of the container from the minutes before the crash.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContainerTelemetry {
    /// The samples, one column for each quantity.
    #[serde(flatten)]
    pub samples: Columns,
    /// The lower of the memory limits of the container and its pod, in bytes.
    pub memory_limit_bytes: Option<u64>,
    /// Highest memory use since the container started, in bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Number of the container's processes that were OOM-killed recently.
    pub oom_kills: u64,
}

fn shared<S: Serializer>(node: &Option<Arc<NodeInfo>>, serializer: S) -> Result<S::Ok, S::Error> {
    node.as_deref().serialize(serializer)
}
