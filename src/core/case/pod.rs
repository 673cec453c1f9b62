//! The facts about a pod that all its cases share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::core::text::time_or_null;

/// A pod as the API showed it at one moment. Cases and the roster share one such description.
#[derive(Clone, Debug)]
pub struct PodFacts {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's UID in the API.
    pub uid: String,
    /// The UID that the kubelet gave a static pod: it is in the names of its log folder and its control group.
    pub static_uid: Option<String>,
    /// The node that runs the pod.
    pub node: Arc<NodeIdentity>,
    /// The controller that created the pod.
    pub owner: Option<Owner>,
    /// The workload that the pod belongs to; empty in the facts about a node.
    pub workload: Workload,
    /// The revision of the workload that the pod was made from, as its controller calls it.
    pub revision: Option<String>,
    /// When the pod was created.
    pub created_at: Option<Timestamp>,
    /// The pod's first labels.
    pub labels: BTreeMap<String, String>,
    /// `Guaranteed`, `Burstable`, `BestEffort`.
    pub qos_class: Option<String>,
    /// `Always`, `OnFailure`, `Never`.
    pub restart_policy: String,
    /// The memory limit of the pod as a whole, in bytes.
    pub memory_limit_bytes: Option<i64>,
    /// The containers that have a status, init containers first. Their messages are cut short.
    pub containers: Vec<ContainerInfo>,
    /// Number of further containers, which [`POD_FACTS_BYTES_MAX`](crate::limits::POD_FACTS_BYTES_MAX) has no room for.
    pub containers_left_out: usize,
}

impl PodFacts {
    /// Returns facts that name a node and no pod, for an incident of the node.
    pub fn of_node(node: Arc<NodeIdentity>) -> Self {
        Self {
            namespace: String::new(),
            name: String::new(),
            uid: String::new(),
            static_uid: None,
            node,
            owner: None,
            workload: Workload::default(),
            revision: None,
            created_at: None,
            labels: BTreeMap::new(),
            qos_class: None,
            restart_policy: String::new(),
            memory_limit_bytes: None,
            containers: Vec::new(),
            containers_left_out: 0,
        }
    }

    /// Returns the UID that the kubelet uses: it is in the names of the pod's log folder and its control group.
    pub fn key(&self) -> &str {
        self.static_uid.as_deref().unwrap_or(&self.uid)
    }

    /// Returns true if the pod has a single container.
    pub fn has_one_container(&self) -> bool {
        self.containers.len() + self.containers_left_out == 1
    }

    /// Returns about how much memory the description takes, in bytes.
    pub fn bytes(&self) -> usize {
        let names = [
            &self.namespace,
            &self.name,
            &self.uid,
            &self.restart_policy,
            &self.workload.kind,
            &self.workload.name,
        ];
        let labels = self
            .labels
            .iter()
            .map(|(name, value)| 2 * size_of::<String>() + name.len() + value.len());
        size_of::<Self>()
            + names.into_iter().map(String::len).sum::<usize>()
            + self.revision.as_ref().map_or(0, String::len)
            + self.owner.as_ref().map_or(0, |owner| owner.kind.len() + owner.name.len())
            + labels.sum::<usize>()
            + self.containers.iter().map(ContainerInfo::bytes).sum::<usize>()
    }
}

/// The list of the pod's spec that contains a container.
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
    /// The container's name.
    pub name: String,
    /// The list of the spec that contains it.
    pub kind: ContainerKind,
    /// The container's image.
    pub image: String,
    /// The image that the runtime resolved it to, with its digest; `None` before it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<Box<str>>,
    /// `running`, `waiting`, `terminated`, or `unknown` before the kubelet has reported a state.
    pub state: &'static str,
    /// The kubelet's restart count.
    pub restart_count: i64,
    /// The exit code of the instance that terminated last; in the container of the incident, of the instance that the
    /// incident is about. The fields down to `message` describe the same instance.
    pub exit_code: Option<i32>,
    /// The number of the signal that terminated it.
    pub signal: Option<i32>,
    /// The type that the exit code alone gives.
    pub exit_class: Option<&'static str>,
    /// The reason, one word of the runtime or of the kubelet.
    pub reason: Option<String>,
    /// When that instance started. For a container that never terminated: when the running instance started.
    #[serde(serialize_with = "time_or_null")]
    pub started_at: Option<Timestamp>,
    /// When that instance terminated.
    #[serde(serialize_with = "time_or_null")]
    pub finished_at: Option<Timestamp>,
    /// The termination message, or the reason why the container waits.
    pub message: Option<String>,
    /// The container's limits and requests.
    pub resources: ResourceAnalysis,
}

impl ContainerInfo {
    /// Returns about how much memory the container takes, in bytes.
    pub fn bytes(&self) -> usize {
        let texts = self.reason.iter().chain(&self.message).map(String::len);
        let image_id = self.image_id.as_ref().map_or(0, |id| id.len());
        size_of::<Self>() + self.name.len() + self.image.len() + image_id + texts.sum::<usize>()
    }
}

/// The limits and requests of one container: the values in force, which differ from the spec's
/// while a resize is not done. `None`: the value is not set, or cannot be parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResourceAnalysis {
    /// The memory limit in bytes.
    pub memory_limit_bytes: Option<i64>,
    /// The CPU limit in thousandths of a core.
    pub cpu_limit_millicores: Option<i64>,
    /// The memory request in bytes.
    pub memory_request_bytes: Option<i64>,
    /// The CPU request in thousandths of a core.
    pub cpu_request_millicores: Option<i64>,
}

/// The controller of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// The controller's kind: `ReplicaSet`, `Job`, …
    pub kind: String,
    /// The controller's name.
    pub name: String,
}

/// What was deployed, and keeps its name while its pods come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Workload {
    /// The workload's kind: `Deployment`, `CronJob`, …; `Pod` if no controller made the pod, and for a static pod.
    pub kind: String,
    /// The workload's name, the same in all its pods.
    pub name: String,
}

impl Workload {
    /// Creates the workload with this kind and name.
    pub fn new(kind: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// The node that the agent watches, and its cluster: what all lines of an agent have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeIdentity {
    /// The node's name.
    pub name: String,
    /// The cluster's name, as the operator gave it: Kubernetes has none.
    pub cluster: Option<String>,
}

impl From<&str> for NodeIdentity {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), cluster: None }
    }
}
