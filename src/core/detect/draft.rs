//! An incident in the making: the schema filled from a pod, and the facts that its sentence needs.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::core::Now;
use crate::core::detect::classify;
use crate::core::detect::evidence::Instance;
use crate::core::incident::sentence;
use crate::core::incident::{
    Confidence, ContainerInfo, ContainerKind, Incident, IncidentId, IncidentType, Metadata, Owner,
    ResourceAnalysis, Restarts, SCHEMA, Severity, Telemetry, cut,
};
use crate::core::wire;
use crate::core::wire::json::{Json, List, Object, Read, Text, Wrong};
use crate::core::wire::quantity;
use crate::limits::{
    CONTAINERS_PER_POD_MAX, GRACE_MAX, LABEL_BYTES_MAX, LABELS_BYTES_MAX, LABELS_MAX,
    NAME_BYTES_MAX, OWNERS_BYTES_MAX, STATUS_MESSAGE_BYTES_MAX,
};

/// One container of a pod as the API shows it.
#[derive(Clone, Copy, Debug)]
pub struct Container<'p, 'a> {
    /// Which list it stands in.
    pub kind: ContainerKind,
    /// What the kubelet says.
    pub status: &'p wire::ContainerStatus<'a>,
    /// What was asked for.
    pub spec: Option<&'p wire::ContainerSpec<'a>>,
    pod_policy: &'p str,
}

impl<'p> Container<'p, '_> {
    /// Its own restart policy, or the pod's.
    pub fn restart_policy(&self) -> &'p str {
        self.spec.and_then(|s| s.restart_policy.some()).unwrap_or(self.pod_policy)
    }

    /// Whether the kubelet restarts it whatever its exit code.
    pub fn restarts_always(&self) -> bool {
        self.restart_policy() == "Always"
    }

    /// The longest period of its liveness and startup probes; `None`: it has none.
    fn probe_period(&self) -> Option<Duration> {
        let spec = self.spec?;
        let probes = [spec.liveness_probe, spec.startup_probe];
        probes.into_iter().flatten().map(|p| seconds(p.period_seconds)).max()
    }

    /// The longest time between SIGTERM and SIGKILL that may have been given to it.
    fn grace(&self, pod_grace: Option<i64>) -> Duration {
        let probes = self.spec.into_iter().flat_map(|s| [s.liveness_probe, s.startup_probe]);
        let probes = probes.flatten().filter_map(|p| p.termination_grace_period_seconds);
        probes.chain(pod_grace.or(Some(30))).map(seconds).max().unwrap_or_default()
    }

    /// Whether a probe or a hook may end it.
    fn has_probe_or_hook(&self) -> bool {
        self.probe_period().is_some() || self.spec.is_some_and(|s| s.lifecycle.post_start.is_some())
    }
}

fn seconds(n: i64) -> Duration {
    Duration::from_secs(n.try_into().unwrap_or(0)).min(GRACE_MAX)
}

/// All containers of a pod that have a status: init containers and sidecars first.
pub fn containers<'p, 'a>(pod: &'p wire::Pod<'a>) -> impl Iterator<Item = Container<'p, 'a>> {
    let pod_policy = pod.spec.restart_policy.some().unwrap_or("Always");
    let init = pod.status.init_container_statuses.iter().map(move |status| {
        let spec = named(&pod.spec.init_containers, &status.name);
        let sidecar = spec.is_some_and(|s| &*s.restart_policy == "Always");
        let kind = if sidecar { ContainerKind::Sidecar } else { ContainerKind::Init };
        Container { kind, status, spec, pod_policy }
    });
    let app = pod.status.container_statuses.iter().map(move |status| {
        let spec = named(&pod.spec.containers, &status.name);
        Container { kind: ContainerKind::App, status, spec, pod_policy }
    });
    // Ephemeral containers have neither probes nor resources nor restarts: no need of their spec.
    let ephemeral = pod.status.ephemeral_container_statuses.iter().map(move |status| Container {
        kind: ContainerKind::Ephemeral,
        status,
        spec: None,
        pod_policy: "Never",
    });
    init.chain(app).chain(ephemeral).take(CONTAINERS_PER_POD_MAX)
}

/// Whether the pod has more containers than [`containers`] gives.
pub fn has_more_containers(pod: &wire::Pod<'_>) -> bool {
    let status = &pod.status;
    let main = status.init_container_statuses.len() + status.container_statuses.len();
    main + status.ephemeral_container_statuses.len() > CONTAINERS_PER_POD_MAX
}

fn named<'p, 'a>(
    specs: &'p [wire::ContainerSpec<'a>],
    name: &str,
) -> Option<&'p wire::ContainerSpec<'a>> {
    specs.iter().find(|spec| &*spec.name == name)
}

/// An incident that lacks its last verdict and its sentence.
#[derive(Clone, Debug)]
pub struct Draft {
    /// All of it but `message`.
    pub incident: Incident,
    /// What the sentence needs, and what may still change the verdict.
    pub detail: Detail,
}

/// What sort of incident it is.
#[derive(Clone, Debug)]
pub enum Detail {
    /// A container instance ended.
    End(EndDetail),
    /// A container waits in vain.
    Waiting {
        /// The kubelet's word.
        reason: String,
        /// The kubelet's sentence.
        message: String,
        /// What it waits for.
        image: String,
    },
    /// The pod as a whole failed.
    Pod {
        /// The kubelet's word.
        reason: String,
        /// The kubelet's sentence.
        message: String,
    },
}

/// The end of a container instance.
#[derive(Clone, Debug)]
pub struct EndDetail {
    /// 128 + n after signal n.
    pub exit_code: i32,
    /// The signal's number.
    pub signal: Option<i32>,
    /// The runtime's word.
    pub reason: String,
    /// The termination message.
    pub message: String,
    /// When it began; absent where the process never ran.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Of the container.
    pub memory_limit_bytes: Option<i64>,
    grace: Duration,
    probe_period: Option<Duration>,
    /// Whether a probe or a hook may have ended it.
    pub has_probe_or_hook: bool,
}

impl EndDetail {
    /// The instance as the events are held against it; `None` without a time of its end.
    pub fn instance<'d>(&self, container: &'d str) -> Option<Instance<'d>> {
        Some(Instance {
            container,
            started: self.started,
            finished: self.finished?,
            grace: self.grace,
            probe_period: self.probe_period,
        })
    }

    /// The longest time between SIGTERM and SIGKILL that may have been given to it.
    pub fn grace(&self) -> Duration {
        self.grace
    }
}

/// When a terminated record's process began: the epoch means never (containerd, StartError).
pub fn started(end: &wire::Terminated<'_>) -> Option<Timestamp> {
    end.started_at.time().filter(|at| *at > Timestamp::UNIX_EPOCH)
}

/// The parts that every draft of a pod shares.
#[derive(Clone, Copy, Debug)]
pub struct Drafter<'p, 'a> {
    /// The pod.
    pub pod: &'p wire::Pod<'a>,
    /// Of a static pod: the kubelet's own UID.
    pub static_uid: Option<&'p str>,
    /// This node.
    pub node_name: &'p str,
    /// The time of detection.
    pub now: Now,
}

impl<'p, 'a> Drafter<'p, 'a> {
    /// A draft for the end of an instance.
    pub fn end(
        &self,
        container: &Container<'p, 'a>,
        end: &'p wire::Terminated<'a>,
        id: IncidentId,
        verdict: (IncidentType, Severity),
        unseen: i64,
    ) -> Draft {
        let finished = end.finished_at.time();
        let mut incident = self.incident(Some((container, Some(end))), id, verdict, unseen);
        incident.occurred_at = finished.unwrap_or(self.now.wall);
        incident.metadata.is_end = true;
        incident.metadata.instance = instance(container.status, end);
        incident.container_id = Some(cut(&end.container_id, NAME_BYTES_MAX));
        incident.metadata.evidence.push(sentence::end_fact(end.exit_code, &end.reason));
        if end.reason.as_bytes() == b"OOMKilled" && verdict.0 != IncidentType::Oom {
            let fact = "reason OOMKilled without exit code 137: a child was killed at some time";
            incident.metadata.evidence.push(fact.to_owned());
        }
        let detail = Detail::End(EndDetail {
            exit_code: end.exit_code,
            signal: classify::signal(end.exit_code, end.signal),
            reason: cut(&end.reason, NAME_BYTES_MAX),
            message: cut(&end.message, STATUS_MESSAGE_BYTES_MAX),
            started: started(end),
            finished,
            memory_limit_bytes: resources(container.spec).memory_limit_bytes,
            grace: container.grace(self.pod.spec.termination_grace_period_seconds),
            probe_period: container.probe_period(),
            has_probe_or_hook: container.has_probe_or_hook(),
        });
        Draft { incident, detail }
    }

    /// A draft for a container that waits in vain.
    pub fn waiting(
        &self,
        container: &Container<'p, 'a>,
        waiting: &wire::Waiting<'_>,
        id: IncidentId,
        kind: IncidentType,
        unseen: i64,
    ) -> Draft {
        let verdict = (kind, kind.severities()[0]);
        let mut incident = self.incident(Some((container, None)), id, verdict, unseen);
        incident.container_id =
            container.status.container_id.some().map(|c| cut(c, NAME_BYTES_MAX));
        incident
            .metadata
            .evidence
            .push(format!("waiting: {}", cut(&waiting.reason, NAME_BYTES_MAX)));
        let detail = Detail::Waiting {
            reason: cut(&waiting.reason, NAME_BYTES_MAX),
            message: cut(&waiting.message, STATUS_MESSAGE_BYTES_MAX),
            image: cut(&container.status.image, NAME_BYTES_MAX),
        };
        Draft { incident, detail }
    }

    /// A draft for the pod as a whole.
    pub fn pod(
        &self,
        id: IncidentId,
        verdict: (IncidentType, Severity),
        occurred_at: Option<Timestamp>,
    ) -> Draft {
        let status = &self.pod.status;
        let mut incident = self.incident(None, id, verdict, 0);
        incident.occurred_at = occurred_at.unwrap_or(self.now.wall);
        let reason = cut(&status.reason, NAME_BYTES_MAX);
        incident.metadata.evidence.push(format!("pod phase Failed: {reason}"));
        let message = cut(&status.message, STATUS_MESSAGE_BYTES_MAX);
        Draft { incident, detail: Detail::Pod { reason, message } }
    }

    /// What every incident of the pod begins with.
    pub fn template(&self) -> Incident {
        let verdict = (IncidentType::Oom, Severity::High);
        self.incident(None, IncidentId::new(&[]), verdict, 0)
    }

    fn incident(
        &self,
        subject: Option<(&Container<'p, 'a>, Option<&'p wire::Terminated<'a>>)>,
        id: IncidentId,
        (kind, severity): (IncidentType, Severity),
        unseen: i64,
    ) -> Incident {
        let meta = &self.pod.metadata;
        let policy = subject.map_or_else(
            || self.pod.spec.restart_policy.some().unwrap_or("Always"),
            |(container, _)| container.restart_policy(),
        );
        Incident {
            schema: SCHEMA,
            id,
            timestamp: self.now.wall,
            occurred_at: self.now.wall,
            severity,
            kind,
            message: String::new(),
            namespace: cut(&meta.namespace, NAME_BYTES_MAX),
            pod_name: cut(&meta.name, NAME_BYTES_MAX),
            pod_uid: cut(&meta.uid, NAME_BYTES_MAX),
            node_name: self.node_name.to_owned(),
            container: subject.map(|(c, _)| cut(&c.status.name, NAME_BYTES_MAX)),
            container_id: None,
            containers: containers(self.pod)
                .map(|c| {
                    let own = subject.filter(|(s, _)| std::ptr::eq(s.status, c.status));
                    info(&c, own.and_then(|(_, end)| end))
                })
                .collect(),
            metadata: Metadata {
                owner: owner(meta),
                labels: labels(meta),
                qos_class: self.pod.status.qos_class.some().map(|q| cut(q, NAME_BYTES_MAX)),
                restart_policy: Some(cut(policy, NAME_BYTES_MAX)),
                confidence: Confidence::Confirmed,
                evidence: Vec::new(),
                restarts: subject.map(|(c, _)| Restarts {
                    total: c.status.restart_count,
                    unseen,
                    ended: None,
                    crash_loop: is_waiting_for(c.status, "CrashLoopBackOff"),
                }),
                static_pod_uid: self.static_uid.map(|uid| cut(uid, NAME_BYTES_MAX)),
                agent_version: env!("CARGO_PKG_VERSION"),
                survived: false,
                is_end: false,
                instance: 0,
            },
            telemetry: Telemetry::default(),
            detail: None,
        }
    }
}

fn is_waiting_for(status: &wire::ContainerStatus<'_>, reason: &str) -> bool {
    status.state.waiting.as_ref().is_some_and(|w| &*w.reason == reason)
}

fn owner(meta: &wire::Metadata<'_>) -> Option<Owner> {
    let owners: List<wire::OwnerReference<'_>> = meta.owner_references.get(OWNERS_BYTES_MAX);
    let owner = owners.iter().find(|o| o.controller).or_else(|| owners.first())?;
    Some(Owner { kind: cut(&owner.kind, NAME_BYTES_MAX), name: cut(&owner.name, NAME_BYTES_MAX) })
}

/// In the order of their names.
#[derive(Default)]
struct Labels<'a>(BTreeMap<String, Text<'a>>);

impl<'a> Object<'a> for Labels<'a> {
    fn member(&mut self, name: &[u8], json: &mut Json<'a>) -> Result<(), Wrong> {
        let name = String::from_utf8_lossy(name).into_owned();
        self.0.entry(name).or_default().read(json)
    }
}

/// The first few labels.
fn labels(meta: &wire::Metadata<'_>) -> BTreeMap<String, String> {
    let Labels(all) = meta.labels.get(LABELS_BYTES_MAX);
    let short = |(key, value): (String, Text<'_>)| {
        (cut(&key, LABEL_BYTES_MAX), cut(&value, LABEL_BYTES_MAX))
    };
    all.into_iter().take(LABELS_MAX).map(short).collect()
}

/// Which instance of its container ended there: the restart count is raised when the next one is made
/// (kubelet `convertToAPIContainerStatuses`).
fn instance(status: &wire::ContainerStatus<'_>, end: &wire::Terminated<'_>) -> i64 {
    let is_newest = *end.container_id == *status.container_id
        || status.state.terminated.as_ref().is_some_and(|t| t.container_id == end.container_id);
    status.restart_count.saturating_sub(i64::from(!is_newest)).max(0)
}

/// `end`: the instance of the incident, where it is this container's.
fn info(container: &Container<'_, '_>, end: Option<&wire::Terminated<'_>>) -> ContainerInfo {
    let status = container.status;
    let state = &status.state;
    let end = end.or(state.terminated.as_ref()).or(status.last_state.terminated.as_ref());
    let waiting = state.waiting.as_ref();
    let running = state.running.as_ref();
    let text = |t: &str, bytes| Some(cut(t, bytes)).filter(|t| !t.is_empty());
    let reason = end.map(|e| &e.reason).or_else(|| waiting.map(|w| &w.reason));
    let message = end.map(|e| &e.message).or_else(|| waiting.map(|w| &w.message));
    ContainerInfo {
        name: cut(&status.name, NAME_BYTES_MAX),
        kind: container.kind,
        image: cut(&status.image, NAME_BYTES_MAX),
        state: match state {
            wire::State { terminated: Some(_), .. } => "terminated",
            wire::State { running: Some(_), .. } => "running",
            wire::State { waiting: Some(_), .. } => "waiting",
            _ => "unknown",
        },
        restart_count: status.restart_count,
        exit_code: end.map(|e| e.exit_code),
        signal: end.and_then(|e| classify::signal(e.exit_code, e.signal)),
        exit_class: end.map(|e| classify::exit_code(e.exit_code).0.name()),
        reason: reason.and_then(|r| text(r, NAME_BYTES_MAX)),
        started_at: match end {
            Some(end) => started(end),
            None => running.and_then(|r| r.started_at.time()),
        },
        finished_at: end.and_then(|e| e.finished_at.time()),
        message: message.and_then(|m| text(m, STATUS_MESSAGE_BYTES_MAX)),
        resources: resources(container.spec),
    }
}

/// The seed's resource analysis. A quantity that cannot be read is left out.
fn resources(spec: Option<&wire::ContainerSpec<'_>>) -> ResourceAnalysis {
    let Some(resources) = spec.map(|s| &s.resources) else {
        return ResourceAnalysis::default();
    };
    ResourceAnalysis {
        memory_limit_bytes: quantity::whole(&resources.limits.memory),
        cpu_limit_millicores: quantity::milli(&resources.limits.cpu),
        memory_request_bytes: quantity::whole(&resources.requests.memory),
        cpu_request_millicores: quantity::milli(&resources.requests.cpu),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::wire::json;

    fn metadata<T>(members: &Value, of: impl FnOnce(&wire::Metadata<'_>) -> T) -> T {
        let text = members.to_string();
        of(&json::from_slice(text.as_bytes()).unwrap())
    }

    #[test]
    fn the_controller_owns_a_pod_or_else_the_first_that_is_named() {
        let named = |kind: &str, controller: bool| json!({"kind": kind, "name": "n", "controller": controller});
        let long = "o".repeat(OWNERS_BYTES_MAX);
        for (owners, want) in [
            (json!([named("Job", false), named("ReplicaSet", true)]), Some("ReplicaSet")),
            (json!([named("Job", false), named("Node", false)]), Some("Job")),
            (json!([]), None),
            (json!(null), None),
            (json!("no list"), None),
            (json!([named("Job", true), 7]), None),
            (json!([named("Job", true), named(&long, false)]), None),
        ] {
            let meta = json!({"name": "web", "ownerReferences": owners});
            let owner = metadata(&meta, owner);
            let kind = owner.map(|owner| owner.kind);
            assert_eq!(kind.as_deref(), want, "{:.80}", owners.to_string());
        }
    }

    #[test]
    fn the_first_labels_are_kept_and_cut() {
        let long = "l".repeat(2 * LABEL_BYTES_MAX);
        let many: serde_json::Map<String, Value> =
            (0..2 * LABELS_MAX).map(|n| (format!("{n:03}"), json!(long))).collect();
        let kept = metadata(&json!({"labels": many}), labels);
        assert_eq!(kept.len(), LABELS_MAX);
        assert!(kept.values().all(|value| value.len() <= LABEL_BYTES_MAX));
        assert_eq!(kept.keys().next().map(String::as_str), Some("000"));
        for none in
            [json!(null), json!({}), json!([1]), json!({"app": "l".repeat(LABELS_BYTES_MAX)})]
        {
            assert!(metadata(&json!({"labels": none}), labels).is_empty());
        }
    }
}
