//! Holds back the ends that may still turn out to be something else, until that is known.
//!
//! An exit code of 0, 137 or 143 may be a program's own, or the kubelet's doing: a failed probe, a
//! failed hook, an eviction, a shutdown. What did it is told elsewhere, and later: by the pod's
//! events, or by the pod's phase, which stays behind until no container can be running
//! (kubelet `status_manager.go`, `mergePodStatus`). So such an end waits
//! * for the pod to move on: restarted means that only this container failed, Failed with a reason
//!   means that its end was part of that;
//! * for an answer to one to three lookups of the pod's events;
//! * for twelve seconds at most, or the pod's grace while the kubelet says that it stops the pod.
//!
//! It ends as soon as the evidence is complete. Everything else is never held.

use std::time::Duration;

use crate::core::Now;
use crate::core::detect::classify::Quiet;
use crate::core::detect::draft::{self, Container, Detail, Draft};
use crate::core::detect::evidence::{self, EndedBy, Judgement, PodEvent};
use crate::core::incident::sentence::{self, Course};
use crate::core::incident::{Confidence, ContainerKind, EventInfo, Incident, IncidentType};
use crate::core::wire;
use crate::limits::{
    EVENTS_PER_INCIDENT_MAX, PENDING_MAX, SETTLE_LOOKUPS, SETTLE_MAX, SETTLE_STOPPING_MARGIN,
    SETTLE_STOPPING_MAX,
};

/// What came of a lookup of a pod's events.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The events, perhaps none.
    Found(Vec<PodEvent>),
    /// The agent may not read events: asking again is of no use.
    Denied,
    /// It failed this time; the text says how.
    Failed(String),
}

/// What became of an end that was held back.
#[derive(Debug)]
pub struct Settled {
    /// Of its pod.
    pub key: Box<str>,
    /// The incident that it is, or would have been.
    pub incident: Box<Incident>,
    /// Why it is none: the kubelet restarted the container to apply a change of its spec; it is part of
    /// the pod's own failure; a static pod was taken off the node; a sidecar ended with its pod.
    pub quiet: Option<Quiet>,
}

/// One end that is held back.
#[derive(Debug)]
struct Pending {
    key: Box<str>,
    draft: Draft,
    since: Duration,
    deadline: Duration,
    lookup_at: Option<Duration>,
    lookups: usize,
    /// Whether the pod as a whole may have failed.
    wants_pod: bool,
    /// Whether the pod's events may name a cause.
    wants_events: bool,
    /// The pod is gone.
    gone: bool,
    judgement: Judgement,
    events: Vec<PodEvent>,
}

/// The ends that are held back.
#[derive(Debug, Default)]
pub struct Settling {
    pending: Vec<Pending>,
}

impl Settling {
    /// Ends now held.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Ends of a container that are held, with the unseen ones that they tell of.
    pub fn held_ends(&self, key: &str, container: &str) -> i64 {
        let held = self.pending.iter().filter(|p| *p.key == *key).map(|p| &p.draft.incident);
        held.filter(|i| i.container.as_deref() == Some(container))
            .map(Incident::ends)
            .fold(0, i64::saturating_add)
    }

    /// Whether an end of that pod is held.
    pub fn is_held(&self, key: &str) -> bool {
        self.pending.iter().any(|p| *p.key == *key)
    }

    /// Whether the incident of that id ([`crate::core::incident::IncidentId::short`]) is held.
    pub fn holds(&self, id: u64) -> bool {
        self.pending.iter().any(|p| p.draft.incident.id.short() == id)
    }

    /// Holds a draft of an end. `moved_on`: the kubelet is already at the container's next instance.
    pub fn hold(
        &mut self,
        key: &str,
        draft: Draft,
        moved_on: bool,
        now: Now,
        out: &mut Vec<Settled>,
    ) {
        if self.pending.len() >= PENDING_MAX {
            // The oldest has waited longest: it goes with what is known.
            let oldest = self.pending.remove(0);
            out.push(oldest.settle("more ends at once than are held back for evidence"));
        }
        self.pending.push(Pending {
            key: key.into(),
            draft,
            since: now.monotonic,
            deadline: now.monotonic + SETTLE_MAX,
            lookup_at: Some(now.monotonic + SETTLE_LOOKUPS[0]),
            lookups: 0,
            wants_pod: !moved_on,
            wants_events: true,
            gone: false,
            judgement: Judgement::default(),
            events: Vec::new(),
        });
    }

    /// The pod was seen again: `failed` as a whole, `ended` in any way, or going on.
    pub fn on_container(
        &mut self,
        key: &str,
        container: &Container<'_, '_>,
        pod: PodState,
        out: &mut Vec<Settled>,
    ) {
        self.update(key, out, |p| {
            let incident = &mut p.draft.incident;
            if incident.container.as_deref() != Some(&*container.status.name) {
                return None;
            }
            let id = incident.container_id.as_deref();
            let state = &container.status.state;
            let is_current =
                state.terminated.as_ref().is_some_and(|t| Some(&*t.container_id) == id);
            if is_current && pod == PodState::Failed {
                return Some(p.take_out().quiet(Quiet::PodFailure));
            }
            if is_current && pod == PodState::Ended && container.kind == ContainerKind::Sidecar {
                return Some(p.take_out().quiet(Quiet::SidecarTeardown));
            }
            if !is_current || pod == PodState::Ended {
                p.wants_pod = false;
            }
            if hook_failed(container, id) {
                let fact = "waiting: PostStartHookError";
                return Some(p.blame(EndedBy::Hook, Confidence::Confirmed, fact.to_owned()));
            }
            p.settle_if_complete()
        });
    }

    /// The pod is gone: nothing more will be said of it.
    pub fn on_gone(&mut self, key: &str, out: &mut Vec<Settled>) {
        self.update(key, out, |p| {
            p.wants_pod = false;
            p.gone = true;
            p.settle_if_complete()
        });
    }

    /// The answer to a lookup of the pod's events.
    pub fn on_events(&mut self, key: &str, lookup: &Lookup, out: &mut Vec<Settled>) {
        self.update(key, out, |p| {
            p.take(lookup);
            p.settle_if_complete()
        });
    }

    /// Settles what is overdue, and names the pods whose events are to be looked up now.
    pub fn on_time(&mut self, now: Duration, out: &mut Vec<Settled>) -> Vec<Box<str>> {
        let mut lookups: Vec<Box<str>> = Vec::new();
        for p in &mut self.pending {
            if p.lookup_at.is_some_and(|at| at <= now) {
                p.lookup_at = None;
                if !lookups.contains(&p.key) {
                    lookups.push(p.key.clone());
                }
            }
        }
        self.pending.retain_mut(|p| {
            if now < p.deadline {
                return true;
            }
            let unanswered = p.lookups == 0;
            let gap = "no answer in time";
            out.push(p.take_out().settle(if unanswered { gap } else { "" }));
            false
        });
        lookups
    }

    /// Settles everything with what is known, at the agent's end.
    pub fn finish(&mut self, out: &mut Vec<Settled>) {
        for p in self.pending.drain(..) {
            let gap = "the agent was stopped before they could be asked for";
            let asked = p.lookups > 0;
            out.push(p.settle(if asked { "" } else { gap }));
        }
    }

    /// The namespace of a pod of which an end is held.
    pub fn namespace(&self, key: &str) -> Option<&str> {
        let held = self.pending.iter().find(|p| *p.key == *key)?;
        Some(&held.draft.incident.namespace)
    }

    /// When [`Settling::on_time`] has something to do.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.pending.iter().map(|p| p.lookup_at.unwrap_or(p.deadline).min(p.deadline)).min()
    }

    fn update(
        &mut self,
        key: &str,
        out: &mut Vec<Settled>,
        mut f: impl FnMut(&mut Pending) -> Option<Settled>,
    ) {
        if self.pending.is_empty() {
            return;
        }
        self.pending.retain_mut(|p| {
            if *p.key != *key {
                return true;
            }
            match f(p) {
                Some(settled) => {
                    out.push(settled);
                    false
                }
                None => true,
            }
        });
    }
}

/// How the pod of a held end stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState {
    /// It goes on.
    Alive,
    /// Its containers are done; it failed for no reason of its own.
    Ended,
    /// It failed as a whole.
    Failed,
}

/// Whether the kubelet names the failed postStart hook beside this instance.
pub fn hook_failed(container: &Container<'_, '_>, container_id: Option<&str>) -> bool {
    let status = container.status;
    let waits = status.state.waiting.as_ref().is_some_and(|w| &*w.reason == "PostStartHookError");
    let last = status.last_state.terminated.as_ref();
    waits && last.is_some_and(|t| Some(&*t.container_id) == container_id)
}

/// Whether the kubelet says of this instance that it could not be started. Not every runtime's record
/// says so (CRI-O's reason is Error); what ran is not meant.
pub fn start_failed(container: &Container<'_, '_>, end: &wire::Terminated<'_>) -> bool {
    let status = container.status;
    let waits = status.state.waiting.as_ref().is_some_and(|w| &*w.reason == "RunContainerError");
    let last = status.last_state.terminated.as_ref();
    let is_last = last.is_some_and(|l| *l.container_id == *end.container_id);
    let never_ran = draft::started(end).is_none_or(|at| end.finished_at.time() <= Some(at));
    waits && is_last && *status.container_id == *end.container_id && never_ran
}

/// Makes an incident of a draft whose type stands.
pub fn complete(mut draft: Draft) -> Box<Incident> {
    draft.incident.message = sentence::sentence(&draft.incident, &draft.detail, &Course::default());
    draft.incident.detail = Some(Box::new(draft.detail));
    Box::new(draft.incident)
}

impl Pending {
    fn take(&mut self, lookup: &Lookup) {
        self.lookups += 1;
        match lookup {
            Lookup::Found(events) => {
                self.events.clone_from(events);
                let Detail::End(end) = &self.draft.detail else {
                    return;
                };
                let container = self.draft.incident.container.as_deref().unwrap_or_default();
                let Some(instance) = end.instance(container) else {
                    self.wants_events = false;
                    return;
                };
                self.judgement = evidence::judge(events, &instance);
                self.wants_events = end.has_probe_or_hook;
                if self.judgement.restarting {
                    self.wants_pod = false;
                } else if self.judgement.stopping_pod {
                    let wait = (end.grace() + SETTLE_STOPPING_MARGIN).min(SETTLE_STOPPING_MAX);
                    self.deadline = self.deadline.max(self.since + wait);
                }
            }
            Lookup::Denied => {
                self.gap("no right to list them");
                self.wants_events = false;
                return;
            }
            Lookup::Failed(why) => self.gap(why),
        }
        match SETTLE_LOOKUPS.get(self.lookups) {
            Some(after) => self.lookup_at = Some(self.since + *after),
            None => self.wants_events = false,
        }
    }

    fn gap(&mut self, why: &str) {
        let gap = format!("events: {why}");
        let gaps = &mut self.draft.incident.telemetry.gaps;
        if !gaps.contains(&gap) {
            gaps.push(gap);
        }
    }

    fn settle_if_complete(&mut self) -> Option<Settled> {
        let complete = self.judgement.cause.is_some() || !(self.wants_pod || self.wants_events);
        complete.then(|| self.take_out().settle(""))
    }

    /// Moves the content out of an entry that `retain_mut` is about to drop.
    fn take_out(&mut self) -> Self {
        Self {
            key: std::mem::take(&mut self.key),
            draft: self.draft.clone(),
            judgement: std::mem::take(&mut self.judgement),
            events: std::mem::take(&mut self.events),
            ..*self
        }
    }

    fn blame(&mut self, by: EndedBy, confidence: Confidence, fact: String) -> Settled {
        self.judgement.cause = Some(evidence::Cause { by, confidence, fact });
        self.take_out().settle("")
    }

    /// `gap`: why the events are missing, when they are.
    fn settle(mut self, gap: &str) -> Settled {
        if !gap.is_empty() {
            self.gap(gap);
        }
        let incident = &mut self.draft.incident;
        let telemetry = &mut incident.telemetry;
        telemetry.events = newest(&self.events, incident.container.as_deref());
        if let Some(cause) = self.judgement.cause.take() {
            incident.kind = match cause.by {
                EndedBy::Probe => IncidentType::ProbeFailure,
                EndedBy::Hook => IncidentType::HookFailure,
                EndedBy::SpecChange => return self.quiet(Quiet::SpecChange),
            };
            incident.severity = incident.kind.severities()[0];
            incident.metadata.confidence = cause.confidence;
            incident.metadata.evidence.push(cause.fact);
        } else if self.gone && self.judgement.stopping_pod && !self.judgement.failing_pod {
            // Of other pods the deletion is known before their ends; a mirror is deleted after them.
            return self.quiet(Quiet::Deletion);
        } else if !telemetry.gaps.is_empty() || self.wants_events || self.wants_pod {
            // Something that would have told was not to be had, or has not been said yet.
            incident.metadata.confidence = Confidence::Probable;
        }
        Settled { key: self.key, incident: complete(self.draft), quiet: None }
    }

    fn quiet(self, why: Quiet) -> Settled {
        Settled { key: self.key, incident: Box::new(self.draft.incident), quiet: Some(why) }
    }
}

/// The newest events that concern the container or the pod as a whole, oldest first.
fn newest(events: &[PodEvent], container: Option<&str>) -> Vec<EventInfo> {
    let mut own: Vec<&EventInfo> = events
        .iter()
        .filter(|e| e.container.is_none() || e.container.as_deref() == container)
        .map(|e| &e.info)
        .collect();
    own.sort_by_key(|e| e.last_at);
    let skip = own.len().saturating_sub(EVENTS_PER_INCIDENT_MAX);
    own.into_iter().skip(skip).cloned().collect()
}
