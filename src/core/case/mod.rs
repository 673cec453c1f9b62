//! A case: a crash or failure while it is judged.
//!
//! The rules ([`crate::core::detect`]) open a case from a pod's status, add what events and the kernel say, and
//! decide what it is called. Only then it becomes an [`Incident`](crate::core::incident::Incident), which is what
//! is written.

pub mod gap;
pub mod id;
pub mod pod;
pub mod verdict;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::core::Now;
use crate::core::text::time_or_null;

pub use self::gap::{Gap, Part};
pub use self::id::IncidentId;
pub use self::pod::{ContainerInfo, ContainerKind, Owner, PodFacts, ResourceAnalysis};
pub use self::verdict::{Confidence, IncidentType, Severity};

/// The name and version of the schema of the incident line.
pub const SCHEMA: &str = "blackbox.incident/v1";

/// A crash or failure, and everything that its verdict rests on.
#[derive(Clone, Debug)]
pub struct Case {
    /// The identity of the crash.
    pub id: IncidentId,
    /// The pod, as it was when the crash was detected.
    pub pod: Arc<PodFacts>,
    /// What failed.
    pub subject: Subject,
    /// When the agent detected it, by the node's clock.
    pub detected_at: Timestamp,
    /// When it happened, by the node's clock.
    pub occurred_at: Timestamp,
    /// What it is called.
    pub kind: IncidentType,
    /// How bad it is.
    pub severity: Severity,
    /// How sure `kind` is.
    pub confidence: Confidence,
    /// The facts that `kind` rests on.
    pub evidence: Vec<String>,
    /// How often the container was restarted; `None` for a pod as a whole.
    pub restarts: Option<Restarts>,
    /// The restart policy of the container, or of the pod where the container has none of its own.
    pub restart_policy: String,
    /// The pod's newest Kubernetes events that concern the subject, oldest first.
    pub events: Vec<EventInfo>,
    /// What could not be had so far.
    pub gaps: Vec<Gap>,
}

/// What failed.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A container instance terminated.
    Termination {
        /// The place of the container among [`PodFacts::containers`].
        container: usize,
        /// The terminated instance.
        end: Box<Termination>,
    },
    /// A container waits and cannot be started.
    Waiting {
        /// The place of the container among [`PodFacts::containers`].
        container: usize,
        /// The instance that could not be started, or the one before; `None` if there was none.
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
    },
    /// A container lost a process to the OOM killer and goes on.
    Survivor {
        /// The place of the container among [`PodFacts::containers`].
        container: usize,
        /// The runtime's ID of the instance, without the runtime's name.
        container_id: String,
    },
}

/// The termination of a container instance, as the kubelet's record has it.
#[derive(Clone, Debug)]
pub struct Termination {
    /// The instance's ID as the API has it: `containerd://…`.
    pub container_id: String,
    /// The number of the instance in its container; the first one is 0. Its log file has this name.
    pub instance: i64,
    /// The exit code; 128 + n after signal n.
    pub exit_code: i32,
    /// The signal's number, if a signal ended the process.
    pub signal: Option<i32>,
    /// The runtime's reason, one word.
    pub reason: String,
    /// The termination message.
    pub message: String,
    /// When the process began; `None` where it never ran.
    pub started: Option<Timestamp>,
    /// When it terminated; `None` where the record does not say.
    pub finished: Option<Timestamp>,
    /// The longest time between SIGTERM and SIGKILL that the instance may have been given.
    pub grace: Duration,
    /// The longest period of the container's liveness and startup probes; `None` if it has none.
    pub probe_period: Option<Duration>,
    /// Whether a probe or a hook may have ended it.
    pub has_probe_or_hook: bool,
}

/// Names a terminated container instance, so that what it left on the node can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRef {
    /// The id of the case.
    pub id: IncidentId,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod_name: String,
    /// The pod's UID as the kubelet has it.
    pub pod_key: String,
    /// The container's name.
    pub container: String,
    /// The runtime's ID of the instance, without the runtime's name.
    pub container_id: String,
    /// The number of the instance in its container; the first one is 0.
    pub instance: i64,
}

/// What the kernel's counters say of OOM kills in a container's control group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OomCount {
    /// The counters cannot be read, or may have missed a kill.
    #[default]
    Unknown,
    /// There was no OOM kill while the container lived.
    None,
    /// At least so many processes were killed.
    Some(u64),
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

impl Case {
    /// An OOM kill in a container of the pod that lives on. `None` if the pod has no such container.
    pub fn survivor(
        pod: &Arc<PodFacts>,
        container: &str,
        container_id: &str,
        now: Now,
        at: Timestamp,
    ) -> Option<Self> {
        let index = pod.containers.iter().position(|info| info.name == container)?;
        Some(Self {
            id: IncidentId::of_survivor(pod.key(), container, container_id, at),
            pod: pod.clone(),
            subject: Subject::Survivor { container: index, container_id: container_id.to_owned() },
            detected_at: now.wall,
            occurred_at: at,
            kind: IncidentType::Oom,
            severity: Severity::High,
            confidence: Confidence::Confirmed,
            evidence: vec![
                "the kernel counted an OOM kill in its cgroup".to_owned(),
                "no container of the pod ended".to_owned(),
            ],
            restarts: None,
            restart_policy: pod.restart_policy.clone(),
            events: Vec::new(),
            gaps: Vec::new(),
        })
    }

    /// The container that failed; `None` for a pod as a whole.
    pub fn container(&self) -> Option<&ContainerInfo> {
        self.container_index().and_then(|index| self.pod.containers.get(index))
    }

    /// The place of that container among [`PodFacts::containers`].
    pub fn container_index(&self) -> Option<usize> {
        match &self.subject {
            Subject::Termination { container, .. }
            | Subject::Waiting { container, .. }
            | Subject::Survivor { container, .. } => Some(*container),
            Subject::Pod { .. } => None,
        }
    }

    /// The name of that container.
    pub fn container_name(&self) -> Option<&str> {
        self.container().map(|container| &*container.name)
    }

    /// The ID of the instance that failed, as far as there is one.
    pub fn container_id(&self) -> Option<&str> {
        match &self.subject {
            Subject::Termination { end, .. } => Some(&end.container_id),
            Subject::Waiting { container_id, .. } => container_id.as_deref(),
            Subject::Survivor { container_id, .. } => Some(container_id),
            Subject::Pod { .. } => None,
        }
    }

    /// The terminated instance; `None` if nothing terminated.
    pub fn termination(&self) -> Option<&Termination> {
        match &self.subject {
            Subject::Termination { end, .. } => Some(end),
            _ => None,
        }
    }

    /// The name by which the terminated instance is found on the node; `None` if nothing terminated.
    pub fn instance(&self) -> Option<InstanceRef> {
        let end = self.termination()?;
        Some(InstanceRef {
            id: self.id,
            namespace: self.pod.namespace.clone(),
            pod_name: self.pod.name.clone(),
            pod_key: self.pod.key().to_owned(),
            container: self.container_name()?.to_owned(),
            container_id: end.container_id.rsplit('/').next().unwrap_or_default().to_owned(),
            instance: end.instance,
        })
    }

    /// The number of terminations of its container that the case accounts for: its own, if it is one, and those
    /// before it that could not be seen.
    pub fn terminations(&self) -> i64 {
        let unseen = self.restarts.map_or(0, |restarts| restarts.unseen);
        unseen.saturating_add(i64::from(self.termination().is_some()))
    }
}
