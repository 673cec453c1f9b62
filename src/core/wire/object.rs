//! Objects of the API, as far as they are read.

use crate::core::wire::json::{Anything, List, Raw, Text, members};

/// A pod.
#[derive(Debug, Default)]
pub struct Pod<'a> {
    /// Name, UID, version, deletion.
    pub metadata: Metadata<'a>,
    /// What was asked for.
    pub spec: PodSpec<'a>,
    /// What the kubelet says.
    pub status: PodStatus<'a>,
    /// See `Outline::mark`.
    pub mark: u64,
}

/// A meta/v1 `Status`, as in the body of a failed request.
#[derive(Debug, Default)]
pub struct Status<'a> {
    /// The HTTP code.
    pub code: u16,
    /// `Expired`, `Forbidden`, …
    pub reason: Text<'a>,
    /// A sentence.
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
    /// `ResourceVersionTooLarge` is told apart only here.
    pub causes: List<StatusCause<'a>>,
}

members! { StatusDetails<'a> {
    b"retryAfterSeconds" => retry_after_seconds,
    b"causes" => causes,
} }

/// meta/v1 `StatusCause`.
#[derive(Debug, Default)]
pub struct StatusCause<'a> {
    /// The cause's type, in a field called reason.
    pub reason: Text<'a>,
}

members! { StatusCause<'a> {
    b"reason" => reason,
} }

/// meta/v1 `ObjectMeta`.
#[derive(Debug, Default)]
pub struct Metadata<'a> {
    /// Name in its namespace.
    pub name: Text<'a>,
    /// Namespace.
    pub namespace: Text<'a>,
    /// Unique for all time; another pod of the same name has another one.
    pub uid: Text<'a>,
    /// Version of this object, or of the whole list.
    pub resource_version: Text<'a>,
    /// When the pod's grace ends, once its deletion is asked for.
    pub deletion_timestamp: Text<'a>,
    /// The grace in seconds.
    pub deletion_grace_period_seconds: i64,
    /// Two of them matter.
    pub annotations: Annotations<'a>,
    /// Names and values that the pod's maker gave it, not looked into before they are wanted.
    pub labels: Raw<'a>,
    /// Who made the pod, a list of [`OwnerReference`], neither.
    pub owner_references: Raw<'a>,
}

members! { Metadata<'a> {
    b"name" => name,
    b"namespace" => namespace,
    b"uid" => uid,
    b"resourceVersion" => resource_version,
    b"deletionTimestamp" => deletion_timestamp,
    b"deletionGracePeriodSeconds" => deletion_grace_period_seconds,
    b"annotations" => annotations,
    b"labels" => labels,
    b"ownerReferences" => owner_references,
} }

/// The annotations of a static pod's mirror (kubelet `pkg/kubelet/types/pod_update.go`).
#[derive(Debug, Default, Hash)]
pub struct Annotations<'a> {
    /// The UID that the kubelet itself uses: for logs, for cgroups, over recreations of the mirror.
    pub config_hash: Text<'a>,
    /// Present on mirror pods only.
    pub config_mirror: Text<'a>,
}

members! { Annotations<'a> {
    b"kubernetes.io/config.hash" => config_hash,
    b"kubernetes.io/config.mirror" => config_mirror,
} }

/// meta/v1 `OwnerReference`.
#[derive(Debug, Default)]
pub struct OwnerReference<'a> {
    /// `ReplicaSet`, `Job`, …
    pub kind: Text<'a>,
    /// Its name.
    pub name: Text<'a>,
    /// Whether it is the managing one.
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
    /// `Always`, `OnFailure`, `Never`.
    pub restart_policy: Text<'a>,
    /// Between SIGTERM and SIGKILL.
    pub termination_grace_period_seconds: Option<i64>,
    /// The containers proper.
    pub containers: List<ContainerSpec<'a>>,
    /// Run before them, or beside them as sidecars.
    pub init_containers: List<ContainerSpec<'a>>,
    /// Whether it shares the node's network.
    pub host_network: bool,
}

members! { PodSpec<'a> {
    b"restartPolicy" => restart_policy,
    b"terminationGracePeriodSeconds" => termination_grace_period_seconds,
    b"containers" => containers,
    b"initContainers" => init_containers,
    b"hostNetwork" => host_network,
} }

/// core/v1 `Container`.
#[derive(Debug, Default)]
pub struct ContainerSpec<'a> {
    /// Unique in its pod.
    pub name: Text<'a>,
    /// Overrides the pod's; `Always` on an init container makes it a sidecar.
    pub restart_policy: Text<'a>,
    /// Limits and requests.
    pub resources: Resources<'a>,
    /// A failed one ends the container.
    pub liveness_probe: Option<Probe>,
    /// A failed one ends the container, too.
    pub startup_probe: Option<Probe>,
    /// Holds the postStart hook.
    pub lifecycle: Lifecycle,
}

members! { ContainerSpec<'a> {
    b"name" => name,
    b"restartPolicy" => restart_policy,
    b"resources" => resources,
    b"livenessProbe" => liveness_probe,
    b"startupProbe" => startup_probe,
    b"lifecycle" => lifecycle,
} }

/// core/v1 `Probe`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe {
    /// Between two tries.
    pub period_seconds: i64,
    /// Overrides the pod's grace when this probe fails.
    pub termination_grace_period_seconds: Option<i64>,
}

members! { Probe {
    b"periodSeconds" => period_seconds,
    b"terminationGracePeriodSeconds" => termination_grace_period_seconds,
} }

/// core/v1 `Lifecycle`.
#[derive(Debug, Default)]
pub struct Lifecycle {
    /// Its presence is enough.
    pub post_start: Option<Anything>,
}

members! { Lifecycle {
    b"postStart" => post_start,
} }

/// core/v1 `ResourceRequirements`.
#[derive(Debug, Default)]
pub struct Resources<'a> {
    /// At most.
    pub limits: ResourceList<'a>,
    /// At least.
    pub requests: ResourceList<'a>,
}

members! { Resources<'a> {
    b"limits" => limits,
    b"requests" => requests,
} }

/// core/v1 `ResourceList`, the two that matter; values are quantities.
#[derive(Debug, Default)]
pub struct ResourceList<'a> {
    /// Cores.
    pub cpu: Text<'a>,
    /// Bytes.
    pub memory: Text<'a>,
}

members! { ResourceList<'a> {
    b"cpu" => cpu,
    b"memory" => memory,
} }

/// core/v1 `PodStatus`.
#[derive(Debug, Default)]
pub struct PodStatus<'a> {
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub phase: Text<'a>,
    /// Why the pod as a whole failed: `Evicted`, …
    pub reason: Text<'a>,
    /// A sentence to it.
    pub message: Text<'a>,
    /// `Guaranteed`, `Burstable`, `BestEffort`.
    pub qos_class: Text<'a>,
    /// When the kubelet took the pod.
    pub start_time: Text<'a>,
    /// Its addresses, one of each family.
    pub pod_ips: List<PodIp<'a>>,
    /// Of the containers proper.
    pub container_statuses: List<ContainerStatus<'a>>,
    /// Of init containers and sidecars.
    pub init_container_statuses: List<ContainerStatus<'a>>,
    /// Of debugging sessions.
    pub ephemeral_container_statuses: List<ContainerStatus<'a>>,
}

/// core/v1 `PodIP`.
#[derive(Debug, Default)]
pub struct PodIp<'a> {
    /// The address.
    pub ip: Text<'a>,
}

members! { PodIp<'a> {
    b"ip" => ip,
} }

/// core/v1 `ContainerStatus`.
#[derive(Debug, Default)]
pub struct ContainerStatus<'a> {
    /// Unique in its pod.
    pub name: Text<'a>,
    /// Fixed when an instance is made: the first has 0.
    pub restart_count: i64,
    /// As the runtime names it.
    pub image: Text<'a>,
    /// `containerd://…` of the newest instance.
    pub container_id: Text<'a>,
    /// Of the newest instance.
    pub state: State<'a>,
    /// Of the one before; of the newest one while it waits to be restarted.
    pub last_state: State<'a>,
}

members! { ContainerStatus<'a> {
    b"name" => name,
    b"restartCount" => restart_count,
    b"image" => image,
    b"containerID" => container_id,
    b"state" => state,
    b"lastState" => last_state,
} }

/// core/v1 `ContainerState`: at most one of the three.
#[derive(Debug, Default)]
pub struct State<'a> {
    /// Not yet, or not again.
    pub waiting: Option<Waiting<'a>>,
    /// Now.
    pub running: Option<Running<'a>>,
    /// No more.
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
    /// `CrashLoopBackOff`, `ErrImagePull`, …
    pub reason: Text<'a>,
    /// A sentence to it.
    pub message: Text<'a>,
}

members! { Waiting<'a> {
    b"reason" => reason,
    b"message" => message,
} }

/// core/v1 `ContainerStateRunning`.
#[derive(Debug, Default)]
pub struct Running<'a> {
    /// Since when; one second's resolution.
    pub started_at: Text<'a>,
}

members! { Running<'a> {
    b"startedAt" => started_at,
} }

/// core/v1 `ContainerStateTerminated`.
#[derive(Debug, Default)]
pub struct Terminated<'a> {
    /// 128 + n after signal n.
    pub exit_code: i32,
    /// Rarely set by today's runtimes.
    pub signal: i32,
    /// `OOMKilled`, `Error`, `Completed`, …
    pub reason: Text<'a>,
    /// From the termination message file, or the last log lines.
    pub message: Text<'a>,
    /// One second's resolution; the epoch where the process never ran.
    pub started_at: Text<'a>,
    /// One second's resolution; `null` in records that the kubelet makes up.
    pub finished_at: Text<'a>,
    /// `containerd://…`; absent in records that the kubelet makes up.
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

/// A core/v1 `Event`, as the kubelet writes them.
#[derive(Debug, Default)]
pub struct Event<'a> {
    /// Name, UID, version.
    pub metadata: Metadata<'a>,
    /// Whose event it is.
    pub involved_object: ObjectReference<'a>,
    /// `Killing`, `Unhealthy`, …
    pub reason: Text<'a>,
    /// A sentence.
    pub message: Text<'a>,
    /// `Normal` or `Warning`.
    pub kind: Text<'a>,
    /// How often.
    pub count: i64,
    /// The first time; one second's resolution.
    pub first_timestamp: Text<'a>,
    /// The last time; one second's resolution.
    pub last_timestamp: Text<'a>,
    /// Set instead of the two above by events.k8s.io/v1 clients.
    pub event_time: Text<'a>,
}

members! { Event<'a> {
    b"metadata" => metadata,
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
    /// Of the pod.
    pub uid: Text<'a>,
    /// `spec.containers{app}`.
    pub field_path: Text<'a>,
}

members! { ObjectReference<'a> {
    b"uid" => uid,
    b"fieldPath" => field_path,
} }

/// Just enough of a line to say whose it was and to go on behind it, for lines that are otherwise
/// unreadable.
#[derive(Debug, Default)]
pub struct Salvage<'a> {
    /// The line's type.
    pub kind: Text<'a>,
    /// Its object's metadata.
    pub object: SalvageObject<'a>,
}

members! { Salvage<'a> {
    b"type" => kind,
    b"object" => object,
} }

/// See [`Salvage`].
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
