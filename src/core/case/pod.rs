//! What is known of a pod: the part of a case that every incident of the pod shares.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::core::text::time_or_null;

/// Describes a pod as the API showed it at one moment. Cases and the roster share one such description.
#[derive(Clone, Debug)]
pub struct PodFacts {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's UID, as the API has it.
    pub uid: String,
    /// A static pod's UID as the kubelet has it: the one of its log folder and its control group.
    pub static_uid: Option<String>,
    /// The node that runs the pod.
    pub node_name: String,
    /// The controller that made the pod.
    pub owner: Option<Owner>,
    /// The pod's first labels.
    pub labels: BTreeMap<String, String>,
    /// `Guaranteed`, `Burstable`, `BestEffort`.
    pub qos_class: Option<String>,
    /// `Always`, `OnFailure`, `Never`.
    pub restart_policy: String,
    /// All containers that have a status, init containers first.
    pub containers: Vec<ContainerInfo>,
}

impl PodFacts {
    /// The pod's UID as the kubelet has it: the one of its log folder and its control group.
    pub fn key(&self) -> &str {
        self.static_uid.as_deref().unwrap_or(&self.uid)
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

/// The controller of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// `ReplicaSet`, `Job`, …
    pub kind: String,
    /// Its name.
    pub name: String,
}
