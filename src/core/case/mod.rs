//! A case: a crash or failure while it is judged.
//!
//! The rules ([`crate::core::detect`]) open a case from a pod's status, add the evidence of events and of the kernel,
//! and decide its type. Then the case becomes an [`Incident`](crate::core::incident::Incident), which is written.

pub mod container_id;
pub mod gap;
pub mod id;
pub mod pod;
pub mod verdict;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::core::Now;
use crate::core::recorder::LastMinutes;
use crate::core::text::{time, time_or_null};

pub use self::container_id::ContainerId;
pub use self::gap::{Gap, Part};
pub use self::id::IncidentId;
pub use self::pod::{
    ContainerInfo, ContainerKind, NodeIdentity, Owner, PodFacts, ResourceAnalysis, Workload,
};
pub use self::verdict::{Confidence, IncidentType, Severity};

/// The name and version of the schema of the incident line.
pub const SCHEMA: &str = "blackbox.incident/v1";

/// A crash or failure, with its verdict and the evidence.
#[derive(Clone, Debug)]
pub struct Case {
    /// The identity of the crash.
    pub id: IncidentId,
    /// The pod, as it was when the crash was detected.
    pub pod: Arc<PodFacts>,
    /// The container or pod that failed.
    pub subject: Subject,
    /// When the agent detected the crash, by the node's clock.
    pub detected_at: Timestamp,
    /// When the crash happened, by the node's clock.
    pub occurred_at: Timestamp,
    /// The type of the incident.
    pub kind: IncidentType,
    /// The severity of the incident.
    pub severity: Severity,
    /// How certain `kind` is.
    pub confidence: Confidence,
    /// The facts that `kind` rests on.
    pub evidence: Vec<String>,
    /// Why the kubelet stopped the container, if it did.
    pub stopped_for: Option<StopCause>,
    /// The restarts of the container; `None` for a pod as a whole.
    pub restarts: Option<Restarts>,
    /// The restart policy of the container, or of the pod if the container has none of its own.
    pub restart_policy: String,
    /// The pod's newest Kubernetes events that concern the subject, oldest first.
    pub events: Vec<EventInfo>,
    /// The parts that are missing so far.
    pub gaps: Vec<Gap>,
}

/// What the kubelet says about a pod that it stopped as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodStop {
    /// The kubelet's reason, one word.
    pub reason: String,
    /// The kubelet's message, a sentence.
    pub message: String,
    /// The same, for the incident's evidence.
    pub fact: String,
}

/// Why the kubelet stopped a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopCause {
    /// The kind of the cause.
    pub kind: StopKind,
    /// The failure in the words of the probe or hook, if there are any.
    pub words: String,
}

/// The kinds of causes for which the kubelet stops a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopKind {
    /// The liveness probe failed.
    LivenessProbe,
    /// The startup probe failed.
    StartupProbe,
    /// The postStart hook failed.
    Hook,
    /// The container's spec changed, and a restart applies the change.
    SpecChange,
    /// The pod's sandbox was gone or had changed, so the kubelet creates the pod's sandbox and containers again.
    Sandbox,
}

/// The container or pod that failed.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A container instance terminated.
    Termination {
        /// The container.
        container: Box<ContainerInfo>,
        /// The terminated instance.
        end: Box<Termination>,
    },
    /// A container waits and cannot be started.
    Waiting {
        /// The container.
        container: Box<ContainerInfo>,
        /// The ID of the instance that could not be started, or of the instance before; `None` if there was none.
        container_id: Option<String>,
        /// The kubelet's reason, one word.
        reason: String,
        /// The kubelet's message, a sentence.
        message: String,
    },
    /// The pod failed as a whole.
    Pod {
        /// The kubelet's reason, one word.
        reason: String,
        /// The kubelet's message, a sentence.
        message: String,
        /// How many failures of its workload's pods the case stands for, its own included; `None`: only its own.
        repeats: Option<u64>,
        /// The incidents of its containers, reported before, whose terminations were probably part of this failure.
        explains: Vec<IncidentId>,
    },
    /// A pod or a container does not get on.
    Hang {
        /// The container; `None` for the pod as a whole.
        container: Option<Box<ContainerInfo>>,
        /// The ID of the container's instance.
        container_id: Option<String>,
        /// What does not happen.
        what: Hang,
        /// For how long.
        lasted: Duration,
        /// What an event says about the cause; empty if none does.
        cause: String,
    },
    /// Instances of a container terminated, and no object of the API showed them.
    Unseen {
        /// The container.
        container: Box<ContainerInfo>,
    },
    /// The node was started again.
    Node {
        /// What the agent knows about the reboot.
        reboot: Box<Reboot>,
    },
    /// A sink lost incidents.
    Lost {
        /// What it lost.
        losses: Box<Losses>,
    },
    /// The OOM killer killed a process of a container, and the container goes on.
    Survivor {
        /// The container.
        container: Box<ContainerInfo>,
        /// The instance's ID.
        container_id: ContainerId,
    },
}

/// A reboot of the node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reboot {
    /// The kernel's ID of the boot.
    pub boot_id: String,
    /// When the node was booted, by its clock.
    #[serde(serialize_with = "time")]
    pub booted_at: Timestamp,
    /// The kernel's ID of the boot before; `None` if no agent left it.
    pub previous_boot_id: Option<String>,
    /// When an agent was last seen to run in the boot before; `None` if no agent left it.
    #[serde(serialize_with = "time_or_null")]
    pub last_seen_at: Option<Timestamp>,
    /// True if a shutdown was seen, false if the node's files show that there was none; `None` if that is not known.
    pub is_orderly: Option<bool>,
    /// When the node was last alive, as the recorder file or the journal shows; `None` if they do not, or if that boot was
    /// shut down.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time_or_null")]
    pub last_alive_at: Option<Timestamp>,
    /// Why the kernel gave up, in its own words; `None` if no record of a panic was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub panic: Option<String>,
    /// Number of containers that the reboot ended.
    pub containers: u64,
    /// The first of them: namespace, pod and container.
    pub names: Vec<String>,
    /// The last minutes of the boot before, which `telemetry.before_reboot` shows.
    #[serde(skip)]
    pub minutes: Option<Arc<LastMinutes>>,
}

/// Incidents that a sink lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Losses {
    /// The name of the sink.
    pub sink: &'static str,
    /// How many of each type.
    pub types: BTreeMap<&'static str, u64>,
    /// When the first of them happened, by the node's clock.
    #[serde(serialize_with = "time")]
    pub since: Timestamp,
    /// When the agent detected the last of them.
    #[serde(serialize_with = "time")]
    pub until: Timestamp,
}

impl Losses {
    /// Returns the loss of one incident.
    pub fn of_one(
        sink: &'static str,
        kind: &'static str,
        occurred_at: Timestamp,
        detected_at: Timestamp,
    ) -> Self {
        let types = BTreeMap::from([(kind, 1)]);
        Self { sink, types, since: occurred_at, until: detected_at }
    }

    /// Adds further losses.
    pub fn add(&mut self, other: Self) {
        for (kind, n) in other.types {
            let count = self.types.entry(kind).or_default();
            *count = count.saturating_add(n);
        }
        self.since = self.since.min(other.since);
        self.until = self.until.max(other.until);
    }

    /// Returns how many incidents were lost.
    pub fn total(&self) -> u64 {
        self.types.values().copied().fold(0, u64::saturating_add)
    }
}

/// What does not happen in a pod that does not get on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hang {
    /// The pod is on the node, and does not start.
    Start,
    /// The deletion of the pod was requested and its grace period is over, and it does not go.
    End,
    /// The container runs, and does not become ready.
    Ready,
}

/// The termination of a container instance, from the kubelet's record.
#[derive(Clone, Debug)]
pub struct Termination {
    /// The instance's ID in the API's form: `containerd://…`.
    pub container_id: String,
    /// The number of the instance in its container, from 0. It is the name of the instance's log file.
    pub instance: i64,
    /// The exit code; 128 + n after signal n.
    pub exit_code: i32,
    /// The number of the signal that terminated the process, if there was one.
    pub signal: Option<i32>,
    /// The runtime's reason, one word: `OOMKilled`, `Error`, …
    pub reason: String,
    /// The termination message.
    pub message: String,
    /// When the process started; `None` if it never ran.
    pub started: Option<Timestamp>,
    /// When the process terminated; `None` if the record does not contain the time.
    pub finished: Option<Timestamp>,
    /// The longest possible time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// The container's probes whose failure stops it.
    pub probes: Probes,
    /// True if the container has a probe or a hook whose failure stops it.
    pub has_probe_or_hook: bool,
    /// True if the exit code is one that a stop of the container causes by itself: 0, 137, 143, its stop signal.
    pub may_be_a_stop: bool,
    /// True if the kubelet restarts the container after this exit code.
    pub restarts: bool,
}

/// The probes of a container whose failure stops it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// The liveness probe.
    pub liveness: Option<ProbeTimes>,
    /// The startup probe.
    pub startup: Option<ProbeTimes>,
}

/// The times of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeTimes {
    /// The time between two tries.
    pub period: Duration,
    /// After how many failures in a row the probe has failed.
    pub threshold: i64,
    /// The time from SIGTERM to SIGKILL if this probe fails: its own, or else the pod's.
    pub grace: Duration,
}

impl Probes {
    /// Returns the probe whose failure is this kind of stop.
    pub fn of(&self, kind: StopKind) -> Option<ProbeTimes> {
        match kind {
            StopKind::LivenessProbe => self.liveness,
            StopKind::StartupProbe => self.startup,
            StopKind::Hook | StopKind::SpecChange | StopKind::Sandbox => None,
        }
    }
}

/// Names a terminated container instance, so that its log and its records on the node can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRef {
    /// The id of the case.
    pub id: IncidentId,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod_name: String,
    /// The UID that the kubelet uses for the pod.
    pub pod_key: String,
    /// The container's name.
    pub container: String,
    /// The instance's ID. `None` if the kubelet's record contains none that can name a control group.
    pub container_id: Option<ContainerId>,
    /// The number of the instance in its container, from 0.
    pub instance: i64,
    /// When the instance started; `None` if it never ran.
    pub started: Option<Timestamp>,
    /// When the instance terminated; `None` if it still runs, or if the kubelet's record does not contain the time.
    pub finished: Option<Timestamp>,
    /// True if the pod has no other container.
    pub is_alone: bool,
    /// The exit code; `None` if the instance still runs.
    pub exit_code: Option<i32>,
}

/// The number of OOM kills in a container's control group, by the kernel's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OomCount {
    /// The counters cannot be read, or may have missed a kill.
    #[default]
    Unknown,
    /// The kernel killed no process while the container lived.
    None,
    /// The kernel killed at least this number of processes.
    Some(u64),
    /// The kernel's log says that it killed a process in the container's control group. The counters do not tell.
    Logged,
}

/// The restarts and terminations of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Restarts {
    /// The kubelet's restart count.
    pub total: i64,
    /// Number of terminations that no object showed, and that this incident reports: the kubelet keeps two.
    pub unseen: i64,
    /// Number of terminations of the container up to this incident: reported, quiet or unseen. A restarted agent goes
    /// on from there. `None`: the number is not known.
    pub ended: Option<i64>,
    /// True if the kubelet's back-off (`CrashLoopBackOff`) applies to the next start, judged by the count of restarts and
    /// by how long the instance ran. The back-off counts from the end, so on a slow node it may be over already.
    pub crash_loop: bool,
}

/// One Kubernetes event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventInfo {
    /// The event's type: `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event's reason: `Killing`, `Unhealthy`, …
    pub reason: String,
    /// The event's message, a sentence.
    pub message: String,
    /// How often the event occurred.
    pub count: i64,
    /// When it first occurred.
    #[serde(serialize_with = "time_or_null")]
    pub first_at: Option<Timestamp>,
    /// When it last occurred.
    #[serde(serialize_with = "time_or_null")]
    pub last_at: Option<Timestamp>,
}

impl Case {
    /// Turns the case of a terminated container into the case of its pod, which the kubelet stopped as a whole.
    pub fn into_pod_failure(self, verdict: (IncidentType, Severity), stop: PodStop) -> Self {
        let PodStop { reason, message, fact } = stop;
        Self {
            id: IncidentId::of_pod(self.pod.key(), verdict.0),
            subject: Subject::Pod { reason, message, repeats: None, explains: Vec::new() },
            kind: verdict.0,
            severity: verdict.1,
            confidence: Confidence::Confirmed,
            evidence: vec![fact],
            stopped_for: None,
            restarts: None,
            restart_policy: self.pod.restart_policy.clone(),
            ..self
        }
    }

    /// Opens the case of a reboot. `node` are the facts about the node, in the form of a pod without a name.
    pub fn reboot(
        node: Arc<PodFacts>,
        reboot: Reboot,
        severity: Severity,
        evidence: Vec<String>,
        now: Now,
    ) -> Self {
        Self {
            id: IncidentId::of_boot(&node.node.name, &reboot.boot_id),
            restart_policy: String::new(),
            pod: node,
            detected_at: now.wall,
            occurred_at: reboot.booted_at,
            subject: Subject::Node { reboot: Box::new(reboot) },
            kind: IncidentType::NodeReboot,
            severity,
            confidence: Confidence::Confirmed,
            evidence,
            stopped_for: None,
            restarts: None,
            events: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Opens the case of a sink that lost incidents. `node` are the facts about the node, in the form of a pod without a
    /// name.
    pub fn lost(node: Arc<PodFacts>, losses: Losses) -> Self {
        let sink = losses.sink;
        Self {
            id: IncidentId::of_losses(
                &node.node.name,
                sink,
                losses.since,
                losses.until,
                losses.total(),
            ),
            restart_policy: String::new(),
            pod: node,
            detected_at: losses.until,
            occurred_at: losses.since,
            subject: Subject::Lost { losses: Box::new(losses) },
            kind: IncidentType::Lost,
            severity: Severity::High,
            confidence: Confidence::Confirmed,
            evidence: vec![format!("the agent dropped them from the queue of the sink {sink}")],
            stopped_for: None,
            restarts: None,
            events: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Opens the case of an OOM kill in a container that goes on.
    pub fn survivor(
        pod: &Arc<PodFacts>,
        container: ContainerInfo,
        container_id: &ContainerId,
        now: Now,
        at: Timestamp,
    ) -> Self {
        let id = IncidentId::of_survivor(pod.key(), &container.name, container_id.as_str(), at);
        Self {
            id,
            pod: pod.clone(),
            subject: Subject::Survivor {
                container: Box::new(container),
                container_id: container_id.clone(),
            },
            detected_at: now.wall,
            occurred_at: at,
            kind: IncidentType::Oom,
            severity: Severity::High,
            confidence: Confidence::Confirmed,
            evidence: vec![
                "the kernel counted an OOM kill in its cgroup".to_owned(),
                "its cgroup still has processes".to_owned(),
            ],
            stopped_for: None,
            restarts: None,
            restart_policy: pod.restart_policy.clone(),
            events: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Returns the container that failed; `None` for a pod as a whole.
    pub fn container(&self) -> Option<&ContainerInfo> {
        match &self.subject {
            Subject::Termination { container, .. }
            | Subject::Waiting { container, .. }
            | Subject::Unseen { container }
            | Subject::Survivor { container, .. } => Some(container),
            Subject::Hang { container, .. } => container.as_deref(),
            Subject::Pod { .. } | Subject::Node { .. } | Subject::Lost { .. } => None,
        }
    }

    /// Returns the name of that container.
    pub fn container_name(&self) -> Option<&str> {
        self.container().map(|container| &*container.name)
    }

    /// Returns the ID of the instance that failed, if there is one.
    pub fn container_id(&self) -> Option<&str> {
        match &self.subject {
            Subject::Termination { end, .. } => Some(&end.container_id),
            Subject::Waiting { container_id, .. } | Subject::Hang { container_id, .. } => {
                container_id.as_deref()
            }
            Subject::Survivor { container_id, .. } => Some(container_id.in_api()),
            Subject::Pod { .. }
            | Subject::Unseen { .. }
            | Subject::Node { .. }
            | Subject::Lost { .. } => None,
        }
    }

    /// Returns the reason for the failure, one word of the kubelet or of the runtime; `None` if they gave none.
    pub fn reason(&self) -> Option<&str> {
        let reason = match &self.subject {
            Subject::Termination { end, .. } => &end.reason,
            Subject::Waiting { reason, .. } | Subject::Pod { reason, .. } => reason,
            Subject::Hang { .. }
            | Subject::Unseen { .. }
            | Subject::Survivor { .. }
            | Subject::Node { .. }
            | Subject::Lost { .. } => return None,
        };
        Some(&**reason).filter(|reason| !reason.is_empty())
    }

    /// Returns the terminated instance; `None` if none terminated.
    pub fn termination(&self) -> Option<&Termination> {
        match &self.subject {
            Subject::Termination { end, .. } => Some(end),
            _ => None,
        }
    }

    /// Returns the reference by which the terminated instance is found on the node; `None` if none terminated.
    pub fn instance(&self) -> Option<InstanceRef> {
        let end = self.termination()?;
        Some(InstanceRef {
            id: self.id,
            namespace: self.pod.namespace.clone(),
            pod_name: self.pod.name.clone(),
            pod_key: self.pod.key().to_owned(),
            container: self.container_name()?.to_owned(),
            container_id: ContainerId::parse(&end.container_id),
            instance: end.instance,
            started: end.started,
            finished: end.finished,
            is_alone: self.pod.has_one_container(),
            exit_code: Some(end.exit_code),
        })
    }

    /// Returns how many refusals of its workload's pods the case stands for; `None`: only its own.
    pub fn repeats(&self) -> Option<u64> {
        match self.subject {
            Subject::Pod { repeats, .. } => repeats,
            _ => None,
        }
    }

    /// Returns the incidents, reported before, that this failure of the pod probably explains.
    pub fn explains(&self) -> &[IncidentId] {
        match &self.subject {
            Subject::Pod { explains, .. } => explains,
            _ => &[],
        }
    }

    /// Returns the number of terminations that the case accounts for: its own, if it is one, and the unseen ones before
    /// it.
    pub fn terminations(&self) -> i64 {
        let unseen = self.restarts.map_or(0, |restarts| restarts.unseen);
        unseen.saturating_add(i64::from(self.termination().is_some()))
    }

    /// Returns about how much memory the case takes, with the description of its pod, in bytes.
    pub fn bytes(&self) -> usize {
        self.own_bytes() + self.pod.bytes()
    }

    /// Returns about how much memory the case takes without the description of its pod, in bytes.
    pub fn own_bytes(&self) -> usize {
        let texts: usize = match &self.subject {
            Subject::Termination { end, .. } => {
                size_of::<Termination>()
                    + end.container_id.len()
                    + end.reason.len()
                    + end.message.len()
            }
            Subject::Waiting { reason, message, .. } | Subject::Pod { reason, message, .. } => {
                reason.len() + message.len()
            }
            Subject::Hang { cause, .. } => cause.len(),
            Subject::Node { reboot } => {
                let minutes = reboot.minutes.as_ref().map_or(0, |minutes| minutes.bytes());
                minutes + reboot.names.iter().map(String::len).sum::<usize>()
            }
            Subject::Unseen { .. } | Subject::Survivor { .. } | Subject::Lost { .. } => 0,
        };
        let events = self.events.iter().map(EventInfo::bytes).sum::<usize>();
        let evidence = self.evidence.iter().map(|fact| size_of::<String>() + fact.len());
        size_of::<Self>()
            + self.container().map_or(0, ContainerInfo::bytes)
            + texts
            + events
            + evidence.sum::<usize>()
    }
}

/// Returns about how much memory cases take together, in bytes: those of one object share the description of their pod.
/// Each is given with that description, what it takes without it, and what the description takes.
pub fn bytes_together<'c>(cases: impl Iterator<Item = (&'c Arc<PodFacts>, usize, usize)>) -> usize {
    let mut pods = HashSet::new();
    let of = |(pod, own_bytes, pod_bytes): (&Arc<PodFacts>, usize, usize)| {
        own_bytes + if pods.insert(Arc::as_ptr(pod)) { pod_bytes } else { 0 }
    };
    cases.map(of).sum()
}

impl EventInfo {
    /// Returns about how much memory the event takes, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.kind.len() + self.reason.len() + self.message.len()
    }
}
