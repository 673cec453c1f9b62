//! Opens cases: fills them from a pod's status.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::core::Now;
use crate::core::case::{
    Case, Confidence, ContainerInfo, ContainerKind, Hang, IncidentId, IncidentType, NodeIdentity,
    PodFacts, PodStop, Restarts, Severity, StopCause, StopKind, Subject, Termination,
};
use crate::core::detect::classify;
use crate::core::detect::container::{Container, containers, finished, started};
use crate::core::detect::facts::{facts, info};
use crate::core::detect::unseen;
use crate::core::text::cut;
use crate::core::wire;
use crate::limits::{
    CRASH_LOOP_RESET, NAME_BYTES_MAX, SENTENCE_QUOTE_BYTES_MAX, STATUS_MESSAGE_BYTES_MAX,
};

/// Opens the cases of one API object.
#[derive(Debug)]
pub(super) struct CaseOpener<'p, 'a> {
    /// The pod.
    pub(super) pod: &'p wire::Pod<'a>,
    /// The pod's key: its UID, or for a static pod the UID that the kubelet gave it.
    pub(super) key: &'p str,
    /// The time of detection.
    pub(super) now: Now,
    node: &'p Arc<NodeIdentity>,
    /// The description of the pod. Most objects open no case, so it is made when the first case needs it.
    facts: OnceCell<Arc<PodFacts>>,
}

impl<'p, 'a> CaseOpener<'p, 'a> {
    /// Creates an opener for the cases of this pod on this node.
    pub(super) fn new(
        pod: &'p wire::Pod<'a>,
        key: &'p str,
        node: &'p Arc<NodeIdentity>,
        now: Now,
    ) -> Self {
        Self { pod, key, now, node, facts: OnceCell::new() }
    }

    /// Returns the description of the pod.
    pub(super) fn facts(&self) -> &Arc<PodFacts> {
        let static_uid = (*self.key != *self.pod.metadata.uid).then_some(self.key);
        self.facts.get_or_init(|| Arc::new(facts(self.pod, static_uid, self.node)))
    }

    /// Opens the case of a terminated instance. `unseen`: number of earlier terminations that could not be seen.
    pub(super) fn termination(
        &self,
        container: &Container<'p, 'a>,
        end: &wire::Terminated<'_>,
        verdict: (IncidentType, Severity),
        unseen: i64,
    ) -> Case {
        let finished = finished(end);
        let mut evidence = vec![end_fact(end.exit_code, &end.reason)];
        if &*end.reason == "OOMKilled" && end.exit_code != 137 {
            let fact = "reason OOMKilled without exit code 137: a child was killed at some time";
            evidence.push(fact.to_owned());
        }
        let subject = Subject::Termination {
            container: own_info(container, 0),
            end: Box::new(Termination {
                container_id: cut(&end.container_id, NAME_BYTES_MAX),
                instance: instance(container.status, end),
                exit_code: end.exit_code,
                signal: classify::signal(end.exit_code, end.signal),
                reason: cut(&end.reason, NAME_BYTES_MAX),
                message: cut(&end.message, STATUS_MESSAGE_BYTES_MAX),
                started: started(end),
                finished,
                grace: container.grace(self.pod.spec.termination_grace_period_seconds),
                probes: container.probes(self.pod.spec.termination_grace_period_seconds),
                has_probe_or_hook: container.has_probe_or_hook(),
                may_be_a_stop: container.may_be_a_stop(end.exit_code),
                restarts: container.restarts(end.exit_code),
            }),
        };
        let id = IncidentId::of_termination(self.key, &container.status.name, &end.container_id);
        let mut case = self.of_container(container, id, subject, verdict, unseen);
        if container.hook_failed(Some(&end.container_id)) {
            let waiting = container.status.state.waiting.as_ref();
            let words =
                waiting.map_or_else(String::new, |w| cut(&w.message, STATUS_MESSAGE_BYTES_MAX));
            evidence.push("waiting: PostStartHookError".to_owned());
            case.stopped_for = Some(StopCause { kind: StopKind::Hook, words });
        }
        if let Some(restarts) = &mut case.restarts {
            restarts.crash_loop = is_backing_off(container, end);
        }
        Case { occurred_at: finished.unwrap_or(self.now.wall), evidence, ..case }
    }

    /// Opens the case of a container that waits and cannot be started.
    pub(super) fn waiting(
        &self,
        container: &Container<'p, 'a>,
        waiting: &wire::Waiting<'_>,
        id: IncidentId,
        kind: IncidentType,
        unseen: i64,
    ) -> Case {
        let reason = cut(&waiting.reason, NAME_BYTES_MAX);
        let container_id = container.status.container_id.some();
        let evidence = vec![format!("waiting: {reason}")];
        let subject = Subject::Waiting {
            container: own_info(container, STATUS_MESSAGE_BYTES_MAX),
            container_id: container_id.map(|id| cut(id, NAME_BYTES_MAX)),
            reason,
            message: cut(&waiting.message, STATUS_MESSAGE_BYTES_MAX),
        };
        let verdict = (kind, kind.severities()[0]);
        Case { evidence, ..self.of_container(container, id, subject, verdict, unseen) }
    }

    /// Opens the case of a pod that does not get on, or of one of its containers.
    pub(super) fn hang(
        &self,
        container: Option<&Container<'p, 'a>>,
        what: Hang,
        id: IncidentId,
    ) -> Case {
        let kind = match what {
            Hang::Start | Hang::End => IncidentType::Stuck,
            Hang::Ready => IncidentType::Unready,
        };
        let container_id = container.and_then(|container| container.status.container_id.some());
        let subject = Subject::Hang {
            container: container.map(|c| own_info(c, STATUS_MESSAGE_BYTES_MAX)),
            container_id: container_id.map(|id| cut(id, NAME_BYTES_MAX)),
            what,
            lasted: Duration::ZERO,
            cause: String::new(),
        };
        let verdict = (kind, kind.severities()[0]);
        let case = match container {
            Some(container) => self.of_container(container, id, subject, verdict, 0),
            None => self.case(id, subject, verdict),
        };
        Case { evidence: hang_facts(self.pod, what), ..case }
    }

    /// Opens the case of terminations that no object showed.
    pub(super) fn unseen(&self, container: &Container<'p, 'a>, unseen: i64) -> Case {
        let name = &container.status.name;
        let id = IncidentId::of_unseen(self.key, name, container.status.restart_count);
        let subject = Subject::Unseen { container: own_info(container, STATUS_MESSAGE_BYTES_MAX) };
        let verdict = (IncidentType::Unseen, unseen::severity(unseen));
        let evidence = vec![unseen::fact(container.status.restart_count)];
        Case { evidence, ..self.of_container(container, id, subject, verdict, unseen) }
    }

    /// Opens the case of a pod that failed as a whole.
    pub(super) fn pod_failure(
        &self,
        verdict: (IncidentType, Severity),
        stop: PodStop,
        occurred_at: Option<Timestamp>,
        explains: Vec<IncidentId>,
    ) -> Case {
        let PodStop { reason, message, fact } = stop;
        let id = IncidentId::of_pod(self.key, verdict.0);
        Case {
            occurred_at: occurred_at.unwrap_or(self.now.wall),
            evidence: vec![fact],
            ..self.case(id, Subject::Pod { reason, message, repeats: None, explains }, verdict)
        }
    }

    /// Returns what the status says about the failure of the pod as a whole.
    pub(super) fn pod_stop(&self) -> PodStop {
        let status = &self.pod.status;
        let reason = cut(&status.reason, NAME_BYTES_MAX);
        let fact = format!("pod phase Failed: {reason}");
        PodStop { reason, message: cut(&status.message, STATUS_MESSAGE_BYTES_MAX), fact }
    }

    fn of_container(
        &self,
        container: &Container<'p, 'a>,
        id: IncidentId,
        subject: Subject,
        verdict: (IncidentType, Severity),
        unseen: i64,
    ) -> Case {
        Case {
            restarts: Some(Restarts {
                total: container.status.restart_count,
                unseen,
                ended: None,
                crash_loop: false,
            }),
            restart_policy: cut(container.restart_policy(), NAME_BYTES_MAX),
            ..self.case(id, subject, verdict)
        }
    }

    fn case(
        &self,
        id: IncidentId,
        subject: Subject,
        (kind, severity): (IncidentType, Severity),
    ) -> Case {
        let pod = self.facts().clone();
        Case {
            id,
            restart_policy: pod.restart_policy.clone(),
            pod,
            subject,
            detected_at: self.now.wall,
            occurred_at: self.now.wall,
            kind,
            severity,
            confidence: Confidence::Confirmed,
            evidence: Vec::new(),
            stopped_for: None,
            restarts: None,
            events: Vec::new(),
            gaps: Vec::new(),
        }
    }
}

/// Describes the container that a case is about.
fn own_info(container: &Container<'_, '_>, message_bytes: usize) -> Box<ContainerInfo> {
    Box::new(info(container, message_bytes))
}

/// Returns the fact that the verdict on a termination rests on, for the evidence.
fn end_fact(exit_code: i32, reason: &str) -> String {
    if reason.is_empty() {
        return format!("exit code {exit_code}");
    }
    format!("exit code {exit_code}, reason {}", cut(reason, SENTENCE_QUOTE_BYTES_MAX))
}

/// Returns true if the kubelet will delay the next start of the container (`CrashLoopBackOff`). It starts the second
/// instance at once, and delays each later one, unless the instance before ran for ten minutes (kubelet
/// `kuberuntime_manager.go`, `doBackOff`; client-go `util/flowcontrol/backoff.go`, twice the longest delay).
fn is_backing_off(container: &Container<'_, '_>, end: &wire::Terminated<'_>) -> bool {
    let ran = started(end).zip(finished(end)).map(|(from, to)| to.duration_since(from));
    let is_short = ran.is_none_or(|ran| ran.unsigned_abs() < CRASH_LOOP_RESET);
    let kind = container.kind;
    kind != ContainerKind::Ephemeral
        && container.restarts(end.exit_code)
        && instance(container.status, end) > 0
        && is_short
}

/// Returns what an object shows about the episode, for the evidence.
fn hang_facts(pod: &wire::Pod<'_>, hang: Hang) -> Vec<String> {
    let names = |is_one: &dyn Fn(&wire::ContainerStatus<'_>) -> bool| {
        let named = containers(pod).filter(|c| is_one(c.status)).map(|c| c.status.name.to_string());
        named.collect::<Vec<_>>().join(", ")
    };
    match hang {
        Hang::Start => {
            let waits = names(&|status| status.state.waiting.is_some());
            let phase = cut(&pod.status.phase, NAME_BYTES_MAX);
            let fact = match waits.is_empty() {
                true => format!("phase {phase}, and the kubelet has reported no container"),
                false => format!("phase {phase}, waiting containers: {waits}"),
            };
            vec![fact]
        }
        Hang::End => {
            let run = names(&|status| status.state.running.is_some());
            let fact = match run.is_empty() {
                true => "deletionTimestamp has passed, and no container runs".to_owned(),
                false => format!("deletionTimestamp has passed, running containers: {run}"),
            };
            vec![fact]
        }
        Hang::Ready => vec!["the container runs, and its status says ready: false".to_owned()],
    }
}

/// Returns the number of the terminated instance in its container. The kubelet increments the restart count when it
/// creates the next instance (kubelet `convertToAPIContainerStatuses`).
fn instance(status: &wire::ContainerStatus<'_>, end: &wire::Terminated<'_>) -> i64 {
    let is_newest = *end.container_id == *status.container_id
        || status.state.terminated.as_ref().is_some_and(|t| t.container_id == end.container_id);
    status.restart_count.saturating_sub(i64::from(!is_newest)).max(0)
}
