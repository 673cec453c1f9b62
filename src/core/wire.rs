//! The few fields of the Kubernetes API that the agent reads, borrowed from the line they came in.
//!
//! Everything is optional and `null` means absent, everywhere: bookmarks carry `"containers": null`,
//! a zero time is `null` (apimachinery `meta/v1/time.go`), and a field that a later version renames
//! must cost that field, not the pod. Unknown fields are skipped, unknown values kept as text.
//! Field names and meanings: Kubernetes API, core/v1 `types.go` and meta/v1 `types.go`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits::LIST_ITEMS_MAX;

/// A string, borrowed where the JSON holds no escape; `null` is the empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl Text<'_> {
    /// The text, unless it is empty.
    pub fn some(&self) -> Option<&str> {
        (!self.is_empty()).then_some(&**self)
    }

    /// The text as an RFC 3339 time; a time that cannot be read is no time.
    pub fn time(&self) -> Option<Timestamp> {
        self.some()?.parse().ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or null")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// A list; `null` is the empty one.
#[derive(Clone, Debug)]
pub struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or null")
            }
            fn visit_unit<E>(self) -> Result<List<T>, E> {
                Ok(List::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut items = Vec::new();
                while items.len() < LIST_ITEMS_MAX {
                    let Some(item) = seq.next_element::<Option<T>>()? else {
                        return Ok(List(items));
                    };
                    items.extend(item);
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(List(items))
            }
        }
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// A number or a flag; `null` is the default.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// One line of a watch: meta/v1 `WatchEvent`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WatchLine<'a> {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK`, `ERROR`, or something newer.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// A pod, or a `Status` in an `ERROR`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub object: Pod<'a>,
}

/// A pod; also takes the bookmark's empty pod and a meta/v1 `Status`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pod<'a> {
    /// Name, UID, version, deletion.
    #[serde(borrow, deserialize_with = "nullable")]
    pub metadata: Metadata<'a>,
    /// What was asked for.
    #[serde(borrow, deserialize_with = "nullable")]
    pub spec: PodSpec<'a>,
    /// What the kubelet says.
    #[serde(borrow, deserialize_with = "object_or_text")]
    pub status: PodStatus<'a>,
    /// Of a `Status`: the HTTP code.
    #[serde(deserialize_with = "nullable")]
    pub code: u16,
    /// Of a `Status`: `Expired`, `Gone`, …
    #[serde(borrow)]
    pub reason: Text<'a>,
    /// Of a `Status`: a sentence.
    #[serde(borrow)]
    pub message: Text<'a>,
    /// Of a `Status`: how long to wait, and causes.
    #[serde(borrow, deserialize_with = "nullable")]
    pub details: StatusDetails<'a>,
}

/// A pod's status is an object, a `Status`'s status is the word `Failure`.
fn object_or_text<'de: 'a, 'a, D: Deserializer<'de>>(d: D) -> Result<PodStatus<'a>, D::Error> {
    struct Either<'a>(PhantomData<&'a ()>);
    impl<'de: 'a, 'a> Visitor<'de> for Either<'a> {
        type Value = PodStatus<'a>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a status")
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(PodStatus::default())
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(PodStatus::default())
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            PodStatus::deserialize(de::value::MapAccessDeserializer::new(map))
        }
    }
    d.deserialize_any(Either(PhantomData))
}

/// A meta/v1 `Status`, as in the body of a failed request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status<'a> {
    /// The HTTP code.
    #[serde(deserialize_with = "nullable")]
    pub code: u16,
    /// `Expired`, `Forbidden`, …
    #[serde(borrow)]
    pub reason: Text<'a>,
    /// A sentence.
    #[serde(borrow)]
    pub message: Text<'a>,
    /// How long to wait, and causes.
    #[serde(borrow, deserialize_with = "nullable")]
    pub details: StatusDetails<'a>,
}

/// meta/v1 `StatusDetails`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatusDetails<'a> {
    /// Seconds to wait before the next try.
    #[serde(rename = "retryAfterSeconds", deserialize_with = "nullable")]
    pub retry_after_seconds: u32,
    /// `ResourceVersionTooLarge` is told apart only here.
    #[serde(borrow)]
    pub causes: List<StatusCause<'a>>,
}

/// meta/v1 `StatusCause`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatusCause<'a> {
    /// The cause's type, in a field called reason.
    #[serde(borrow)]
    pub reason: Text<'a>,
}

/// meta/v1 `ObjectMeta`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// Name in its namespace.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Namespace.
    #[serde(borrow)]
    pub namespace: Text<'a>,
    /// Unique for all time; another pod of the same name has another one.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// Version of this object, or of the whole list.
    #[serde(borrow)]
    pub resource_version: Text<'a>,
    /// When the pod's grace ends, once its deletion is asked for.
    #[serde(borrow)]
    pub deletion_timestamp: Text<'a>,
    /// The grace in seconds.
    #[serde(deserialize_with = "nullable")]
    pub deletion_grace_period_seconds: i64,
    /// Two of them matter.
    #[serde(borrow, deserialize_with = "nullable")]
    pub annotations: Annotations<'a>,
    /// Names and values that the pod's maker gave it, not looked into before they are wanted.
    #[serde(borrow)]
    pub labels: Option<&'a RawValue>,
    /// Who made the pod.
    #[serde(borrow)]
    pub owner_references: List<OwnerReference<'a>>,
}

/// The annotations of a static pod's mirror (kubelet `pkg/kubelet/types/pod_update.go`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Annotations<'a> {
    /// The UID that the kubelet itself uses: for logs, for cgroups, over recreations of the mirror.
    #[serde(borrow, rename = "kubernetes.io/config.hash")]
    pub config_hash: Text<'a>,
    /// Present on mirror pods only.
    #[serde(borrow, rename = "kubernetes.io/config.mirror")]
    pub config_mirror: Text<'a>,
}

/// meta/v1 `OwnerReference`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct OwnerReference<'a> {
    /// `ReplicaSet`, `Job`, …
    #[serde(borrow)]
    pub kind: Text<'a>,
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Whether it is the managing one.
    #[serde(deserialize_with = "nullable")]
    pub controller: bool,
}

/// core/v1 `PodSpec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec<'a> {
    /// `Always`, `OnFailure`, `Never`.
    #[serde(borrow)]
    pub restart_policy: Text<'a>,
    /// Between SIGTERM and SIGKILL.
    #[serde(deserialize_with = "nullable")]
    pub termination_grace_period_seconds: Option<i64>,
    /// The containers proper.
    #[serde(borrow)]
    pub containers: List<ContainerSpec<'a>>,
    /// Run before them, or beside them as sidecars.
    #[serde(borrow)]
    pub init_containers: List<ContainerSpec<'a>>,
    /// Whether it shares the node's network.
    #[serde(deserialize_with = "nullable")]
    pub host_network: bool,
}

/// core/v1 `Container`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerSpec<'a> {
    /// Unique in its pod.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Overrides the pod's; `Always` on an init container makes it a sidecar.
    #[serde(borrow)]
    pub restart_policy: Text<'a>,
    /// Limits and requests.
    #[serde(borrow, deserialize_with = "nullable")]
    pub resources: Resources<'a>,
    /// A failed one ends the container.
    #[serde(deserialize_with = "nullable")]
    pub liveness_probe: Option<Probe>,
    /// A failed one ends the container, too.
    #[serde(deserialize_with = "nullable")]
    pub startup_probe: Option<Probe>,
    /// Holds the postStart hook.
    #[serde(deserialize_with = "nullable")]
    pub lifecycle: Lifecycle,
}

/// core/v1 `Probe`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Probe {
    /// Between two tries.
    #[serde(deserialize_with = "nullable")]
    pub period_seconds: i64,
    /// Overrides the pod's grace when this probe fails.
    #[serde(deserialize_with = "nullable")]
    pub termination_grace_period_seconds: Option<i64>,
}

/// core/v1 `Lifecycle`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Lifecycle {
    /// Its presence is enough.
    pub post_start: Option<IgnoredAny>,
}

/// core/v1 `ResourceRequirements`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Resources<'a> {
    /// At most.
    #[serde(borrow, deserialize_with = "nullable")]
    pub limits: ResourceList<'a>,
    /// At least.
    #[serde(borrow, deserialize_with = "nullable")]
    pub requests: ResourceList<'a>,
}

/// core/v1 `ResourceList`, the two that matter; values are quantities.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResourceList<'a> {
    /// Cores.
    #[serde(borrow)]
    pub cpu: Text<'a>,
    /// Bytes.
    #[serde(borrow)]
    pub memory: Text<'a>,
}

/// core/v1 `PodStatus`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus<'a> {
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    #[serde(borrow)]
    pub phase: Text<'a>,
    /// Why the pod as a whole failed: `Evicted`, …
    #[serde(borrow)]
    pub reason: Text<'a>,
    /// A sentence to it.
    #[serde(borrow)]
    pub message: Text<'a>,
    /// `Guaranteed`, `Burstable`, `BestEffort`.
    #[serde(borrow)]
    pub qos_class: Text<'a>,
    /// When the kubelet took the pod.
    #[serde(borrow)]
    pub start_time: Text<'a>,
    /// Its addresses, one of each family.
    #[serde(borrow, rename = "podIPs")]
    pub pod_ips: List<PodIp<'a>>,
    /// Of the containers proper.
    #[serde(borrow)]
    pub container_statuses: List<ContainerStatus<'a>>,
    /// Of init containers and sidecars.
    #[serde(borrow)]
    pub init_container_statuses: List<ContainerStatus<'a>>,
    /// Of debugging sessions.
    #[serde(borrow)]
    pub ephemeral_container_statuses: List<ContainerStatus<'a>>,
}

/// core/v1 `PodIP`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodIp<'a> {
    /// The address.
    #[serde(borrow)]
    pub ip: Text<'a>,
}

/// core/v1 `ContainerStatus`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus<'a> {
    /// Unique in its pod.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Fixed when an instance is made: the first has 0.
    #[serde(deserialize_with = "nullable")]
    pub restart_count: i64,
    /// As the runtime names it.
    #[serde(borrow)]
    pub image: Text<'a>,
    /// `containerd://…` of the newest instance.
    #[serde(borrow, rename = "containerID")]
    pub container_id: Text<'a>,
    /// Of the newest instance.
    #[serde(borrow, deserialize_with = "nullable")]
    pub state: State<'a>,
    /// Of the one before; of the newest one while it waits to be restarted.
    #[serde(borrow, deserialize_with = "nullable")]
    pub last_state: State<'a>,
}

/// core/v1 `ContainerState`: at most one of the three.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct State<'a> {
    /// Not yet, or not again.
    #[serde(borrow)]
    pub waiting: Option<Waiting<'a>>,
    /// Now.
    #[serde(borrow)]
    pub running: Option<Running<'a>>,
    /// No more.
    #[serde(borrow)]
    pub terminated: Option<Terminated<'a>>,
}

/// core/v1 `ContainerStateWaiting`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Waiting<'a> {
    /// `CrashLoopBackOff`, `ErrImagePull`, …
    #[serde(borrow)]
    pub reason: Text<'a>,
    /// A sentence to it.
    #[serde(borrow)]
    pub message: Text<'a>,
}

/// core/v1 `ContainerStateRunning`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Running<'a> {
    /// Since when; one second's resolution.
    #[serde(borrow)]
    pub started_at: Text<'a>,
}

/// core/v1 `ContainerStateTerminated`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated<'a> {
    /// 128 + n after signal n.
    #[serde(deserialize_with = "nullable")]
    pub exit_code: i32,
    /// Rarely set by today's runtimes.
    #[serde(deserialize_with = "nullable")]
    pub signal: i32,
    /// `OOMKilled`, `Error`, `Completed`, …
    #[serde(borrow)]
    pub reason: Text<'a>,
    /// From the termination message file, or the last log lines.
    #[serde(borrow)]
    pub message: Text<'a>,
    /// One second's resolution; the epoch where the process never ran.
    #[serde(borrow)]
    pub started_at: Text<'a>,
    /// One second's resolution; `null` in records that the kubelet makes up.
    #[serde(borrow)]
    pub finished_at: Text<'a>,
    /// `containerd://…`; absent in records that the kubelet makes up.
    #[serde(borrow, rename = "containerID")]
    pub container_id: Text<'a>,
}

/// A core/v1 `Event`, as the kubelet writes them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Event<'a> {
    /// Name, UID, version.
    #[serde(borrow, deserialize_with = "nullable")]
    pub metadata: Metadata<'a>,
    /// Whose event it is.
    #[serde(borrow, deserialize_with = "nullable")]
    pub involved_object: ObjectReference<'a>,
    /// `Killing`, `Unhealthy`, …
    #[serde(borrow)]
    pub reason: Text<'a>,
    /// A sentence.
    #[serde(borrow)]
    pub message: Text<'a>,
    /// `Normal` or `Warning`.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// How often.
    #[serde(deserialize_with = "nullable")]
    pub count: i64,
    /// The first time; one second's resolution.
    #[serde(borrow)]
    pub first_timestamp: Text<'a>,
    /// The last time; one second's resolution.
    #[serde(borrow)]
    pub last_timestamp: Text<'a>,
    /// Set instead of the two above by events.k8s.io/v1 clients.
    #[serde(borrow)]
    pub event_time: Text<'a>,
}

/// core/v1 `ObjectReference`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectReference<'a> {
    /// Of the pod.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// `spec.containers{app}`.
    #[serde(borrow)]
    pub field_path: Text<'a>,
}

/// Just enough of a line to say whose it was and to go on behind it, for lines that are otherwise
/// unreadable.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Salvage<'a> {
    /// The line's type.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// Its object's metadata.
    #[serde(borrow, deserialize_with = "nullable")]
    pub object: SalvageObject<'a>,
}

/// See [`Salvage`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SalvageObject<'a> {
    /// Name, UID, version.
    #[serde(borrow, deserialize_with = "nullable")]
    pub metadata: Metadata<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_absent_everywhere() {
        let line: WatchLine<'_> = serde_json::from_str(
            r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"1335",
            "annotations":null,"ownerReferences":null,"deletionGracePeriodSeconds":null},
            "spec":{"containers":null,"initContainers":[null]},
            "status":{"phase":null,"containerStatuses":[{"name":null,"restartCount":null,
            "state":null,"lastState":{"terminated":null}}]}}}"#,
        )
        .unwrap();
        assert_eq!(&*line.object.metadata.resource_version, "1335");
        assert_eq!(line.object.spec.containers.len(), 0);
        assert_eq!(line.object.spec.init_containers.len(), 0);
        assert_eq!(line.object.status.container_statuses.len(), 1);
        for text in ["{}", r#"{"type":null,"object":null}"#] {
            serde_json::from_str::<WatchLine<'_>>(text).unwrap();
        }
    }

    #[test]
    fn a_status_in_an_error_event_is_read() {
        let line: WatchLine<'_> = serde_json::from_str(
            r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},
            "status":"Failure","message":"too old resource version: 1 (2280)","reason":"Expired",
            "details":{"retryAfterSeconds":1,"causes":[{"reason":"ResourceVersionTooLarge"}]},
            "code":410}}"#,
        )
        .unwrap();
        assert_eq!((line.object.code, &*line.object.reason), (410, "Expired"));
        assert_eq!(line.object.details.retry_after_seconds, 1);
        assert_eq!(&*line.object.details.causes[0].reason, "ResourceVersionTooLarge");
    }

    #[test]
    fn strings_are_borrowed_unless_escaped() {
        let text = r#"{"name":"app","image":"a\u003cb"}"#;
        let status: ContainerStatus<'_> = serde_json::from_str(text).unwrap();
        assert!(matches!(status.name, Text(Cow::Borrowed("app"))));
        assert!(matches!(&status.image, Text(Cow::Owned(image)) if image == "a<b"));
    }

    #[test]
    fn a_time_that_cannot_be_read_is_no_time() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z"] {
            assert_eq!(Text::from(text).time(), None, "{text}");
        }
        assert_eq!(Text::from("1970-01-01T00:00:00Z").time(), Some(Timestamp::UNIX_EPOCH));
    }

    /// A line of 16 MiB has room for five million of these; each would take half a kilobyte.
    #[test]
    fn a_list_of_nothings_does_not_fill_the_memory() {
        let nothings = vec!["{}"; 100_000].join(",");
        let text = format!(r#"{{"status":{{"containerStatuses":[{nothings}]}}}}"#);
        let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(pod.status.container_statuses.len(), LIST_ITEMS_MAX);
    }
}
