//! Kubernetes API objects, limited to the fields that the agent reads.

use crate::core::wire::json::{Anything, List, Raw, Text, members};

/// A pod.
#[derive(Debug, Default)]
pub struct Pod<'a> {
    /// Name, UID, version, deletion.
    pub metadata: Metadata<'a>,
    /// The desired state.
    pub spec: PodSpec<'a>,
    /// The state that the kubelet reports.
    pub status: PodStatus<'a>,
    /// The pod's fingerprint; see `Outline::fingerprint`.
    pub fingerprint: u64,
}

/// A meta/v1 `Status`, as in the body of a failed request.
#[derive(Debug, Default)]
pub struct Status<'a> {
    /// HTTP code.
    pub code: u16,
    /// Machine-readable reason: `Expired`, `Forbidden`, …
    pub reason: Text<'a>,
    /// Description in one sentence.
    pub message: Text<'a>,
    /// How long to wait, and causes.
    pub details: StatusDetails<'a>,
}

members! { Status<'a> {
    b"code" => code,
    b"reason" => reason,
    b"message" => message,
    b"details" => details,
} }

/// meta/v1 `StatusDetails`.
#[derive(Debug, Default)]
pub struct StatusDetails<'a> {
    /// Seconds to wait before the next try.
    pub retry_after_seconds: u32,
    /// Causes; only they identify `ResourceVersionTooLarge`.
    pub causes: List<StatusCause<'a>>,
}

members! { StatusDetails<'a> {
    b"retryAfterSeconds" => retry_after_seconds,
    b"causes" => causes,
} }

/// meta/v1 `StatusCause`.
#[derive(Debug, Default)]
pub struct StatusCause<'a> {
    /// Type of the cause; the API calls the field `reason`.
    pub reason: Text<'a>,
}

members! { StatusCause<'a> {
    b"reason" => reason,
} }

/// meta/v1 `ObjectMeta`.
#[derive(Debug, Default)]
pub struct Metadata<'a> {
    /// The name, unique in its namespace.
    pub name: Text<'a>,
    /// The namespace.
    pub namespace: Text<'a>,
    /// Unique for all time: a later pod of the same name has another UID.
    pub uid: Text<'a>,
    /// Version of this object, or of the whole list.
    pub resource_version: Text<'a>,
    /// When the pod was created; it never changes.
    pub creation_timestamp: Text<'a>,
    /// When the pod's grace period ends; set once deletion is requested.
    pub deletion_timestamp: Text<'a>,
    /// Grace period in seconds.
    pub deletion_grace_period_seconds: i64,
    /// What keeps a deleted object in the API server until someone removes it from here.
    pub finalizers: Raw<'a>,
    /// The two annotations that the agent reads.
    pub annotations: Annotations<'a>,
    /// Labels of the pod; parsed only when they are needed.
    pub labels: Raw<'a>,
    /// Owners of the pod, a list of [`OwnerReference`]; parsed only when they are needed.
    pub owner_references: Raw<'a>,
}

members! { Metadata<'a> {
    b"name" => name,
    b"namespace" => namespace,
    b"uid" => uid,
    b"resourceVersion" => resource_version,
    b"creationTimestamp" => creation_timestamp,
    b"deletionTimestamp" => deletion_timestamp,
    b"deletionGracePeriodSeconds" => deletion_grace_period_seconds,
    b"finalizers" => finalizers,
    b"annotations" => annotations,
    b"labels" => labels,
    b"ownerReferences" => owner_references,
} }

/// Annotations of a static pod's mirror pod (kubelet `pkg/kubelet/types/pod_update.go`).
#[derive(Debug, Default, Hash)]
pub struct Annotations<'a> {
    /// The UID that the kubelet itself uses for logs and cgroups; it survives recreations of the mirror pod.
    pub config_hash: Text<'a>,
    /// Annotation that only mirror pods have.
    pub config_mirror: Text<'a>,
}

members! { Annotations<'a> {
    b"kubernetes.io/config.hash" => config_hash,
    b"kubernetes.io/config.mirror" => config_mirror,
} }

/// meta/v1 `OwnerReference`.
#[derive(Debug, Default)]
pub struct OwnerReference<'a> {
    /// Kind of the owner: `ReplicaSet`, `Job`, …
    pub kind: Text<'a>,
    /// Name of the owner.
    pub name: Text<'a>,
    /// True for the owner that manages the pod.
    pub controller: bool,
}

members! { OwnerReference<'a> {
    b"kind" => kind,
    b"name" => name,
    b"controller" => controller,
} }

/// core/v1 `PodSpec`.
#[derive(Debug, Default)]
pub struct PodSpec<'a> {
    /// Restart policy: `Always`, `OnFailure`, `Never`.
    pub restart_policy: Text<'a>,
    /// Seconds between SIGTERM and SIGKILL.
    pub termination_grace_period_seconds: Option<i64>,
    /// The regular containers.
    pub containers: List<ContainerSpec<'a>>,
    /// Containers that run before the regular ones, or beside them as sidecars.
    pub init_containers: List<ContainerSpec<'a>>,
    /// True if the pod shares the node's network.
    pub host_network: bool,
    /// Limits and requests of the pod as a whole (KEP-2837).
    pub resources: Resources<'a>,
}

members! { PodSpec<'a> {
    b"restartPolicy" => restart_policy,
    b"terminationGracePeriodSeconds" => termination_grace_period_seconds,
    b"containers" => containers,
    b"initContainers" => init_containers,
    b"hostNetwork" => host_network,
    b"resources" => resources,
} }

/// core/v1 `Container`.
#[derive(Debug, Default)]
pub struct ContainerSpec<'a> {
    /// The name, unique in its pod.
    pub name: Text<'a>,
    /// Overrides the pod's policy; `Always` on an init container makes it a sidecar.
    pub restart_policy: Text<'a>,
    /// Rules that override the policy for some exit codes (KEP-5307); the first that matches counts.
    pub restart_policy_rules: List<RestartRule<'a>>,
    /// Limits and requests.
    pub resources: Resources<'a>,
    /// Liveness probe; if it fails, the kubelet terminates the container.
    pub liveness_probe: Option<Probe>,
    /// Startup probe; if it fails, the kubelet terminates the container as well.
    pub startup_probe: Option<Probe>,
    /// Readiness probe; only its presence is read.
    pub readiness_probe: Option<Anything>,
    /// Lifecycle hooks, of which postStart is read, and the stop signal.
    pub lifecycle: Lifecycle<'a>,
}

members! { ContainerSpec<'a> {
    b"name" => name,
    b"restartPolicy" => restart_policy,
    b"restartPolicyRules" => restart_policy_rules,
    b"resources" => resources,
    b"livenessProbe" => liveness_probe,
    b"startupProbe" => startup_probe,
    b"readinessProbe" => readiness_probe,
    b"lifecycle" => lifecycle,
} }

/// core/v1 `ContainerRestartRule`.
#[derive(Debug, Default)]
pub struct RestartRule<'a> {
    /// What happens: `Restart`, or `RestartAllContainers`.
    pub action: Text<'a>,
    /// The exit codes to which the rule applies.
    pub exit_codes: ExitCodes<'a>,
}

members! { RestartRule<'a> {
    b"action" => action,
    b"exitCodes" => exit_codes,
} }

/// core/v1 `ContainerRestartRuleOnExitCodes`.
#[derive(Debug, Default)]
pub struct ExitCodes<'a> {
    /// `In` or `NotIn`.
    pub operator: Text<'a>,
    /// The exit codes.
    pub values: List<i32>,
}

members! { ExitCodes<'a> {
    b"operator" => operator,
    b"values" => values,
} }

/// core/v1 `Probe`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe {
    /// Seconds between two tries.
    pub period_seconds: i64,
    /// After how many failures in a row the probe has failed; the API server sets 3 where it is not given.
    pub failure_threshold: Option<i64>,
    /// Overrides the pod's grace period if this probe fails.
    pub termination_grace_period_seconds: Option<i64>,
}

members! { Probe {
    b"periodSeconds" => period_seconds,
    b"failureThreshold" => failure_threshold,
    b"terminationGracePeriodSeconds" => termination_grace_period_seconds,
} }

/// core/v1 `Lifecycle`.
#[derive(Debug, Default)]
pub struct Lifecycle<'a> {
    /// The postStart hook; only its presence is read.
    pub post_start: Option<Anything>,
    /// The signal that stops the container (KEP-4960): `SIGUSR1`; empty for SIGTERM, or the image's own signal.
    pub stop_signal: Text<'a>,
}

members! { Lifecycle<'a> {
    b"postStart" => post_start,
    b"stopSignal" => stop_signal,
} }

/// core/v1 `ResourceRequirements`.
#[derive(Debug, Default)]
pub struct Resources<'a> {
    /// Upper limits.
    pub limits: ResourceList<'a>,
    /// Requested amounts.
    pub requests: ResourceList<'a>,
}

members! { Resources<'a> {
    b"limits" => limits,
    b"requests" => requests,
} }

/// core/v1 `ResourceList`, with the two resources that the agent reads; values are quantities.
#[derive(Debug, Default)]
pub struct ResourceList<'a> {
    /// CPU in cores.
    pub cpu: Text<'a>,
    /// Memory in bytes.
    pub memory: Text<'a>,
}

members! { ResourceList<'a> {
    b"cpu" => cpu,
    b"memory" => memory,
} }

/// core/v1 `PodStatus`.
#[derive(Debug, Default)]
pub struct PodStatus<'a> {
    /// Phase of the pod: `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub phase: Text<'a>,
    /// Why the pod as a whole failed: `Evicted`, …
    pub reason: Text<'a>,
    /// Description of the reason in one sentence.
    pub message: Text<'a>,
    /// QoS class: `Guaranteed`, `Burstable`, `BestEffort`.
    pub qos_class: Text<'a>,
    /// When the kubelet accepted the pod.
    pub start_time: Text<'a>,
    /// The conditions of the pod: `Ready`, `DisruptionTarget`, `PodReadyToStartContainers`, …
    pub conditions: List<PodCondition<'a>>,
    /// The pod's addresses, one for each IP family.
    pub pod_ips: List<PodIp<'a>>,
    /// The resources that the pod as a whole really has; they differ from the spec while a resize is not done (KEP-5419).
    pub resources: Option<Resources<'a>>,
    /// Statuses of the regular containers.
    pub container_statuses: List<ContainerStatus<'a>>,
    /// Statuses of init containers and sidecars.
    pub init_container_statuses: List<ContainerStatus<'a>>,
    /// Statuses of ephemeral containers for debugging.
    pub ephemeral_container_statuses: List<ContainerStatus<'a>>,
}

impl<'a> PodStatus<'a> {
    /// Returns the pod's condition of this type, if it has one.
    pub fn condition(&self, kind: &str) -> Option<&PodCondition<'a>> {
        self.conditions.iter().find(|condition| &*condition.kind == kind)
    }
}

/// core/v1 `PodCondition`.
#[derive(Debug, Default)]
pub struct PodCondition<'a> {
    /// The condition's type: `DisruptionTarget`, `PodReadyToStartContainers`, `Ready`, …
    pub kind: Text<'a>,
    /// `True`, `False`, `Unknown`.
    pub status: Text<'a>,
    /// Reason in one word: `TerminationByKubelet`, `EvictionByEvictionAPI`, …
    pub reason: Text<'a>,
    /// Description in one sentence.
    pub message: Text<'a>,
    /// Since when the status has been what it is, with a resolution of one second.
    pub last_transition_time: Text<'a>,
}

members! { PodCondition<'a> {
    b"type" => kind,
    b"status" => status,
    b"reason" => reason,
    b"message" => message,
    b"lastTransitionTime" => last_transition_time,
} }

/// core/v1 `PodIP`.
#[derive(Debug, Default)]
pub struct PodIp<'a> {
    /// One IP address of the pod.
    pub ip: Text<'a>,
}

members! { PodIp<'a> {
    b"ip" => ip,
} }

/// core/v1 `ContainerStatus`.
#[derive(Debug, Default)]
pub struct ContainerStatus<'a> {
    /// Name of the container, unique in its pod.
    pub name: Text<'a>,
    /// Fixed when an instance is created; the first instance has 0.
    pub restart_count: i64,
    /// The image as the runtime names it.
    pub image: Text<'a>,
    /// The image that the runtime resolved it to, with its digest; empty before it has one.
    pub image_id: Text<'a>,
    /// ID of the newest instance: `containerd://…`.
    pub container_id: Text<'a>,
    /// True if the container passes its readiness probe, or has none and runs.
    pub ready: bool,
    /// True if the container runs and passed its startup probe, or has none.
    pub started: bool,
    /// The resources that the running instance really has; they differ from the spec while a resize is not done.
    pub resources: Option<Resources<'a>>,
    /// State of the newest instance.
    pub state: State<'a>,
    /// State of the instance before it; of the newest instance while the container waits for a restart.
    pub last_state: State<'a>,
}

members! { ContainerStatus<'a> {
    b"name" => name,
    b"restartCount" => restart_count,
    b"image" => image,
    b"imageID" => image_id,
    b"containerID" => container_id,
    b"ready" => ready,
    b"started" => started,
    b"resources" => resources,
    b"state" => state,
    b"lastState" => last_state,
} }

/// core/v1 `ContainerState`: at most one of the three fields is set.
#[derive(Debug, Default)]
pub struct State<'a> {
    /// Set if the container does not run yet, or waits for a restart.
    pub waiting: Option<Waiting<'a>>,
    /// Set if the container runs.
    pub running: Option<Running<'a>>,
    /// Set if the container has terminated.
    pub terminated: Option<Terminated<'a>>,
}

members! { State<'a> {
    b"waiting" => waiting,
    b"running" => running,
    b"terminated" => terminated,
} }

/// core/v1 `ContainerStateWaiting`.
#[derive(Debug, Default)]
pub struct Waiting<'a> {
    /// Why the container waits: `CrashLoopBackOff`, `ErrImagePull`, …
    pub reason: Text<'a>,
    /// Description of the reason in one sentence.
    pub message: Text<'a>,
}

members! { Waiting<'a> {
    b"reason" => reason,
    b"message" => message,
} }

/// core/v1 `ContainerStateRunning`.
#[derive(Debug, Default)]
pub struct Running<'a> {
    /// Start time, with a resolution of one second.
    pub started_at: Text<'a>,
}

members! { Running<'a> {
    b"startedAt" => started_at,
} }

/// core/v1 `ContainerStateTerminated`.
#[derive(Debug, Default)]
pub struct Terminated<'a> {
    /// Exit code; 128 + n after signal n.
    pub exit_code: i32,
    /// Signal number; today's runtimes rarely set it.
    pub signal: i32,
    /// Why the container terminated: `OOMKilled`, `Error`, `Completed`, …
    pub reason: Text<'a>,
    /// Content of the termination message file, or the last log lines.
    pub message: Text<'a>,
    /// Start time, with a resolution of one second; the epoch if the process never ran.
    pub started_at: Text<'a>,
    /// End time, with a resolution of one second; `null` in records that the kubelet makes up.
    pub finished_at: Text<'a>,
    /// ID of the instance, `containerd://…`; absent in records that the kubelet makes up.
    pub container_id: Text<'a>,
}

members! { Terminated<'a> {
    b"exitCode" => exit_code,
    b"signal" => signal,
    b"reason" => reason,
    b"message" => message,
    b"startedAt" => started_at,
    b"finishedAt" => finished_at,
    b"containerID" => container_id,
} }

/// A core/v1 `Event`, as the kubelet writes it.
#[derive(Debug, Default)]
pub struct Event<'a> {
    /// The object that the event is about.
    pub involved_object: ObjectReference<'a>,
    /// Reason of the event: `Killing`, `Unhealthy`, …
    pub reason: Text<'a>,
    /// Description in one sentence.
    pub message: Text<'a>,
    /// Type of the event: `Normal` or `Warning`.
    pub kind: Text<'a>,
    /// How often the event occurred.
    pub count: i64,
    /// Time of the first occurrence, with a resolution of one second.
    pub first_timestamp: Text<'a>,
    /// Time of the last occurrence, with a resolution of one second.
    pub last_timestamp: Text<'a>,
    /// Set by clients of events.k8s.io/v1 instead of the two fields above.
    pub event_time: Text<'a>,
}

members! { Event<'a> {
    b"involvedObject" => involved_object,
    b"reason" => reason,
    b"message" => message,
    b"type" => kind,
    b"count" => count,
    b"firstTimestamp" => first_timestamp,
    b"lastTimestamp" => last_timestamp,
    b"eventTime" => event_time,
} }

/// One line of a watch of events.
#[derive(Debug, Default)]
pub struct EventLine<'a> {
    /// The event.
    pub object: Event<'a>,
}

members! { EventLine<'a> {
    b"object" => object,
} }

/// core/v1 `ObjectReference`.
#[derive(Debug, Default)]
pub struct ObjectReference<'a> {
    /// UID of the pod.
    pub uid: Text<'a>,
    /// The container in the pod: `spec.containers{app}`.
    pub field_path: Text<'a>,
}

members! { ObjectReference<'a> {
    b"uid" => uid,
    b"fieldPath" => field_path,
} }

/// The minimum of a watch line that is needed to identify its object and to continue after it, for lines that
/// cannot be parsed otherwise.
#[derive(Debug, Default)]
pub struct Salvage<'a> {
    /// The object, of which only the metadata is read.
    pub object: SalvageObject<'a>,
}

members! { Salvage<'a> {
    b"object" => object,
} }

/// The object of a [`Salvage`].
#[derive(Debug, Default)]
pub struct SalvageObject<'a> {
    /// Name, UID, version.
    pub metadata: Metadata<'a>,
}

members! { SalvageObject<'a> {
    b"metadata" => metadata,
} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::wire::WatchLine;
    use crate::core::wire::json;
    use crate::limits::LIST_ITEMS_MAX;

    #[test]
    fn null_is_absent_everywhere() {
        let line: WatchLine<'_> = json::from_slice(
            br#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"1335",
            "annotations":null,"ownerReferences":null,"deletionGracePeriodSeconds":null},
            "spec":{"containers":null,"initContainers":[null]},
            "status":{"phase":null,"containerStatuses":[{"name":null,"restartCount":null,
            "state":null,"lastState":{"terminated":null}}]}}}"#,
        )
        .unwrap();
        let pod = line.object.pod(0).unwrap();
        assert_eq!(&*pod.metadata.resource_version, "1335");
        assert_eq!(pod.spec.containers.len(), 0);
        assert_eq!(pod.spec.init_containers.len(), 0);
        assert_eq!(pod.status.container_statuses.len(), 1);
        for text in ["{}", r#"{"type":null,"object":null}"#] {
            json::from_slice::<WatchLine<'_>>(text.as_bytes()).unwrap();
        }
    }

    #[test]
    fn a_status_in_an_error_event_is_read() {
        let line: WatchLine<'_> = json::from_slice(
            br#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},
            "status":"Failure","message":"too old resource version: 1 (2280)","reason":"Expired",
            "details":{"retryAfterSeconds":1,"causes":[{"reason":"ResourceVersionTooLarge"}]},
            "code":410}}"#,
        )
        .unwrap();
        assert_eq!((line.object.code, &*line.object.reason), (410, "Expired"));
        assert_eq!(line.object.details.retry_after_seconds, 1);
        assert_eq!(&*line.object.details.causes[0].reason, "ResourceVersionTooLarge");
    }

    /// A line of 16 MiB has room for five million of these; each would take half a kilobyte.
    #[test]
    fn a_list_of_nothings_does_not_fill_the_memory() {
        let nothings = vec!["{}"; 100_000].join(",");
        let text = format!(r#"{{"status":{{"containerStatuses":[{nothings}]}}}}"#);
        let pod: Pod<'_> = json::from_slice(text.as_bytes()).unwrap();
        assert_eq!(pod.status.container_statuses.len(), LIST_ITEMS_MAX);
    }
}
