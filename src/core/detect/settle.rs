//! Holds back terminations that may still turn out to be something else, until their cause is known.
//!
//! A termination may come from the program itself, or from a stop by the kubelet: a failed probe, a failed hook, an
//! eviction, a shutdown. An exit code of 0, 137 or 143 may be a stop of any container. Any other code may be one where
//! the container has a probe or a hook, because a program chooses its own exit code after SIGTERM. The cause is shown
//! elsewhere, and later: in the pod's events, or in the pod's phase, which the kubelet does not change until no container
//! can be running (kubelet `status_manager.go`, `mergePodStatus`). So such a termination waits
//! * for the pod to move on: a restart means that only this container failed; phase Failed with a reason means that
//!   the termination was part of the pod's failure. While the kubelet shows that the pod's sandbox is up, it is not
//!   stopping the pod, and there is nothing to wait for;
//! * for an answer to one to three lookups of the pod's events;
//! * for twelve seconds at most; while the kubelet reports that it stops the pod, or has decided its last phase and does
//!   not show it yet, for the grace period plus 15 seconds, but at most 120 seconds.
//!
//! While the phase is decided and not shown, a termination with any exit code waits so ([`Awaits::Phase`]). The wait is
//! over as soon as the evidence is complete. Other terminations are never held back.
//!
//! A clean exit is no crash. It is held all the same where a stop may explain it ([`Held::Unless`]): a probe that failed,
//! or an eviction of a job that handled SIGTERM and exited with 0, whose pod then succeeds without a reason. For jobs
//! without a probe the lookups have a budget of their own.

use std::borrow::Cow;
use std::time::Duration;

use crate::core::Now;
use crate::core::case::{
    Case, Confidence, ContainerKind, EventInfo, Gap, IncidentType, Part, PodStop, Severity,
    StopCause, StopKind, Subject, bytes_together,
};
use crate::core::detect::classify::{self, Quiet};
use crate::core::detect::container::{Container, is_after_the_mains};
use crate::core::detect::evidence::{self, Cause, Instance, Judgement, PodEvent};
use crate::core::order::sort_by;
use crate::core::wire;
use crate::limits::{
    EVENT_SKEW, EVENTS_PER_INCIDENT_MAX, JOB_LOOKUP_BURST, JOB_LOOKUP_INTERVAL, OWN_CODE_LOOKUPS,
    PENDING_BYTES_MAX, PENDING_MAX, SETTLE_LOOKUPS, SETTLE_MAX, SETTLE_STOPPING_MARGIN,
    SETTLE_STOPPING_MAX,
};

/// The result of a lookup of a pod's events.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The events, possibly none.
    Found(Vec<PodEvent>),
    /// The agent may not read events; further lookups are useless.
    Denied,
    /// The lookup failed this time; the text gives the reason.
    Failed(String),
}

/// A termination that is no longer held back.
#[derive(Debug)]
pub struct Settled {
    /// The key of the pod.
    pub key: Box<str>,
    /// The verdict.
    pub outcome: Outcome,
}

/// What a termination turned out to be.
#[derive(Debug)]
pub enum Outcome {
    /// A crash.
    Report(Box<Case>),
    /// Part of the failure of the pod as a whole, which the pod's status may not name. The case is the container's.
    PodFailed((IncidentType, Severity), PodStop, Box<Case>),
    /// Not a crash: the kubelet restarted the container to apply a change of its spec, the termination is part of the
    /// pod's own failure, a static pod was removed from the node, or a sidecar terminated with its pod.
    Quiet(Quiet, Box<Case>),
}

impl Outcome {
    /// Returns the case, reported or not.
    pub fn case(&self) -> &Case {
        match self {
            Self::Report(case) | Self::PodFailed(_, _, case) | Self::Quiet(_, case) => case,
        }
    }
}

/// What becomes of a termination if no evidence says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is reported.
    Report,
    /// It is not a crash, for this reason.
    Unless(Quiet),
}

/// What decides the cause of a termination that is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// The pod's events alone.
    Events,
    /// The pod's events, as far as they are about the container: the pod was not being stopped as a whole when the end was
    /// shown.
    OwnEvents,
    /// The pod's events: it is over although the container would be restarted, so it was stopped as a whole.
    Stop,
    /// The events, and whether the pod goes on or fails as a whole.
    Pod,
    /// The pod's last phase, which the kubelet has decided and not shown yet.
    Phase {
        /// True if the events count too.
        events: bool,
    },
}

/// What is done with a termination whose evidence is complete.
enum Decision {
    Settle,
    Quiet(Quiet),
}

/// What is known about the pod of a termination that is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The pod as a whole may have failed.
    Open,
    /// The pod goes on or is over, without having failed as a whole so far.
    Known,
    /// The pod was stopped as a whole.
    Stopped,
    /// The pod was not being stopped as a whole: what happens to it later did not end the container.
    Apart,
}

impl Fate {
    /// Takes in that the pod goes on or is over.
    fn settle(&mut self) {
        if *self == Self::Open {
            *self = Self::Known;
        }
    }
}

/// One termination that is held back.
#[derive(Debug)]
struct Pending {
    key: Box<str>,
    case: Box<Case>,
    held: Held,
    since: Duration,
    deadline: Duration,
    lookup_at: Option<Duration>,
    lookups: usize,
    pod: Fate,
    /// True if the pod's events may name a cause.
    wants_events: bool,
    /// True if the pod is gone.
    gone: bool,
    judgement: Judgement,
    /// The newest events that concern the case, oldest first.
    events: Vec<EventInfo>,
}

/// The terminations that are held back.
#[derive(Debug, Default)]
pub struct Settling {
    pending: Vec<Pending>,
    /// When the budget of lookups for finished jobs is full again (monotonic).
    jobs_full_at: Duration,
}

impl Settling {
    /// Returns the number of terminations that are held back now.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Returns true if no termination is held back.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Returns the number of held-back terminations of a container, with the unseen terminations that they report.
    pub fn held_terminations(&self, key: &str, container: &str) -> i64 {
        let held = self.pending.iter().filter(|p| *p.key == *key).map(|p| &p.case);
        held.filter(|case| case.container_name() == Some(container))
            .map(|case| case.terminations())
            .fold(0, i64::saturating_add)
    }

    /// Returns true if a termination of that pod is held back.
    pub fn is_held(&self, key: &str) -> bool {
        self.pending.iter().any(|p| *p.key == *key)
    }

    /// Returns true if the incident with this id ([`crate::core::case::IncidentId::short`]) is held back.
    pub fn holds(&self, id: u64) -> bool {
        self.pending.iter().any(|p| p.case.id.short() == id)
    }

    /// Returns true if the events of a finished job may be looked up, and takes that lookup from the budget.
    pub fn may_look_up_job(&mut self, now: Duration) -> bool {
        let full_at = self.jobs_full_at.max(now) + JOB_LOOKUP_INTERVAL;
        let is_within = full_at <= now + JOB_LOOKUP_INTERVAL * JOB_LOOKUP_BURST;
        if is_within {
            self.jobs_full_at = full_at;
        }
        is_within
    }

    /// Holds back the case of a termination.
    pub fn hold(
        &mut self,
        key: &str,
        case: Case,
        held: Held,
        awaits: Awaits,
        now: Now,
        out: &mut Vec<Settled>,
    ) {
        while !self.pending.is_empty()
            && (self.pending.len() >= PENDING_MAX || self.bytes_with(&case) > PENDING_BYTES_MAX)
        {
            // What would not be reported goes first; else the oldest, which has waited longest and is reported with what
            // is known.
            let quiet = self.pending.iter().position(|p| p.held != Held::Report);
            let oldest = self.pending.remove(quiet.unwrap_or(0));
            out.push(oldest.settle(Some("too many terminations were held back at the same time")));
        }
        let wants_events = awaits != Awaits::Phase { events: false };
        let longest = match awaits {
            Awaits::Events | Awaits::OwnEvents | Awaits::Stop | Awaits::Pod => SETTLE_MAX,
            Awaits::Phase { .. } => {
                stopping_time(case.termination().map_or(Duration::ZERO, |end| end.grace))
            }
        };
        self.pending.push(Pending {
            key: key.into(),
            case: Box::new(case),
            held,
            since: now.monotonic,
            deadline: now.monotonic + longest,
            lookup_at: wants_events.then(|| now.monotonic + SETTLE_LOOKUPS[0]),
            lookups: 0,
            pod: match awaits {
                Awaits::Events => Fate::Known,
                Awaits::OwnEvents => Fate::Apart,
                Awaits::Stop => Fate::Stopped,
                Awaits::Pod | Awaits::Phase { .. } => Fate::Open,
            },
            wants_events,
            gone: false,
            judgement: Judgement::default(),
            events: Vec::new(),
        });
    }

    /// Returns what the held-back terminations take in memory together with this one. Those of one object share the
    /// description of their pod.
    fn bytes_with(&self, case: &Case) -> usize {
        let held = self.pending.iter();
        let held = held.map(|p| (&p.case.pod, p.own_bytes(), p.case.pod.bytes()));
        bytes_together(held.chain([(&case.pod, case.own_bytes(), case.pod.bytes())]))
    }

    /// Takes in a container of a pod that was seen again, with the pod and its state. `is_deleted`: the deletion of the pod
    /// was requested.
    pub fn on_container(
        &mut self,
        key: &str,
        container: &Container<'_, '_>,
        object: &wire::Pod<'_>,
        pod: PodState,
        is_deleted: bool,
        out: &mut Vec<Settled>,
    ) {
        self.update(key, out, |p| {
            if p.case.container_name() != Some(&*container.status.name) {
                return None;
            }
            let id = p.case.container_id();
            let state = &container.status.state;
            let is_current =
                state.terminated.as_ref().is_some_and(|t| Some(&*t.container_id) == id);
            if is_current && pod == PodState::Failed && p.pod != Fate::Apart {
                return Some(Decision::Quiet(Quiet::PodFailure));
            }
            let finished = p.case.termination().and_then(|end| end.finished);
            if is_current
                && pod == PodState::Ended
                && container.kind == ContainerKind::Sidecar
                && p.pod != Fate::Apart
                && is_after_the_mains(object, finished)
            {
                return Some(Decision::Quiet(Quiet::SidecarTeardown));
            }
            if !is_current || pod == PodState::Ended {
                p.pod.settle();
            }
            let is_stopped = is_current && pod == PodState::Ended && !is_deleted;
            if is_stopped
                && p.pod == Fate::Known
                && p.case.termination().is_some_and(|end| end.restarts)
            {
                p.pod = Fate::Stopped;
            }
            if container.hook_failed(id) {
                return Some(p.blame_hook());
            }
            if is_current && pod == PodState::Ended && p.judgement.pod_failure.is_some() {
                return Some(Decision::Settle);
            }
            p.settle_if_complete()
        });
    }

    /// Takes in that the pod is gone: its status will not change any more.
    pub fn on_gone(&mut self, key: &str, out: &mut Vec<Settled>) {
        self.update(key, out, |p| {
            p.pod.settle();
            p.gone = true;
            p.settle_if_complete()
        });
    }

    /// Takes in the answer to a lookup of the pod's events.
    pub fn on_events(&mut self, key: &str, lookup: &Lookup, out: &mut Vec<Settled>) {
        self.update(key, out, |p| {
            p.take(lookup);
            p.settle_if_complete()
        });
    }

    /// Settles what is overdue, and returns the keys of the pods whose events are to be looked up now.
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
        for overdue in self.pending.extract_if(.., |p| p.deadline <= now) {
            let gap = overdue.lacks_events().then_some("no answer in time");
            out.push(overdue.settle(gap));
        }
        lookups
    }

    /// Settles everything with what is known, because the agent terminates.
    pub fn finish(&mut self, out: &mut Vec<Settled>) {
        for p in self.pending.drain(..) {
            let gap = "the agent was stopped before they could be asked for";
            let gap = p.lacks_events().then_some(gap);
            out.push(p.settle(gap));
        }
    }

    /// Returns the namespace of a pod, if a termination of it is held back.
    pub fn namespace(&self, key: &str) -> Option<&str> {
        let held = self.pending.iter().find(|p| *p.key == *key)?;
        Some(&held.case.pod.namespace)
    }

    /// Returns when [`Settling::on_time`] has something to do.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.pending.iter().map(|p| p.lookup_at.unwrap_or(p.deadline).min(p.deadline)).min()
    }

    fn update(
        &mut self,
        key: &str,
        out: &mut Vec<Settled>,
        mut decide: impl FnMut(&mut Pending) -> Option<Decision>,
    ) {
        let mut at = 0;
        while let Some(pending) = self.pending.get_mut(at) {
            let decision = if *pending.key == *key { decide(pending) } else { None };
            let Some(decision) = decision else {
                at += 1;
                continue;
            };
            let pending = self.pending.remove(at);
            out.push(match decision {
                Decision::Settle => pending.settle(None),
                Decision::Quiet(why) => pending.quiet(why),
            });
        }
    }
}

/// The state of the pod whose termination is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState {
    /// The pod goes on.
    Alive,
    /// The pod is in phase Succeeded or Failed, but did not fail for a reason of its own.
    Ended,
    /// The pod failed as a whole.
    Failed,
}

impl Pending {
    /// Returns what it takes in memory without the description of its pod.
    fn own_bytes(&self) -> usize {
        self.case.own_bytes() + self.events.iter().map(EventInfo::bytes).sum::<usize>()
    }

    /// Returns true if no lookup of the events that count has been answered.
    fn lacks_events(&self) -> bool {
        self.wants_events && self.lookups == 0
    }

    fn take(&mut self, lookup: &Lookup) {
        self.lookups += 1;
        match lookup {
            Lookup::Found(events) => {
                self.events = newest(events, self.case.container_name());
                let Some(end) = self.case.termination() else {
                    self.wants_events = false;
                    self.name_cause_of_waiting(events);
                    return;
                };
                let container = self.case.container_name().unwrap_or_default();
                let instance = Instance::of(container, end).map(|instance| Instance {
                    // What would not be reported needs more than a probe that failed at its end.
                    is_probe_enough: instance.is_probe_enough && self.held == Held::Report,
                    ..instance
                });
                let Some(instance) = instance else {
                    self.wants_events = false;
                    return;
                };
                let earlier = std::mem::take(&mut self.judgement).cause;
                self.judgement = evidence::judge(events, &instance);
                // The next instance's events replace the times of this one's, so a cause that was seen may be gone. A stop of
                // the whole pod takes it back.
                if self.judgement.cause.is_none() && !self.judgement.stopping_pod {
                    self.judgement.cause = earlier;
                }
                if self.case.kind == IncidentType::Oom
                    && self
                        .judgement
                        .cause
                        .as_ref()
                        .is_some_and(|cause| !outlasted(cause, &instance))
                {
                    self.judgement.cause = None;
                }
                // The kubelet sends the event of a kill before it kills. A program that chose its own exit code rarely did
                // so for a probe, so its line does not wait for the last lookup.
                let is_last = self.lookups >= OWN_CODE_LOOKUPS && !end.may_be_a_stop;
                self.wants_events = end.has_probe_or_hook && !is_last;
                if self.judgement.restarting {
                    self.pod.settle();
                } else if self.judgement.stopping_pod {
                    self.deadline = self.deadline.max(self.since + stopping_time(end.grace));
                }
            }
            Lookup::Denied => {
                self.gap("no right to list them");
                self.wants_events = false;
                return;
            }
            Lookup::Failed(why) => self.gap(why.clone()),
        }
        match SETTLE_LOOKUPS.get(self.lookups) {
            Some(after) => self.lookup_at = Some(self.since + *after),
            None => self.wants_events = false,
        }
    }

    /// Takes the cause of a waiting container from the event of the kubelet's last try.
    fn name_cause_of_waiting(&mut self, events: &[PodEvent]) {
        let name = self.case.container_name().map(str::to_owned);
        let own = events.iter().filter(|event| event.container == name).map(|e| &e.info);
        let failed = own
            .filter(|info| {
                info.reason == "Failed" && info.message.starts_with("Failed to pull image")
            })
            .max_by_key(|info| info.last_at);
        if let (Some(info), Subject::Waiting { message, .. }) = (failed, &mut self.case.subject) {
            message.clone_from(&info.message);
            self.case.evidence.push(format!("kubelet event Failed: {}", info.message.trim_end()));
        }
    }

    fn gap(&mut self, why: impl Into<Cow<'static, str>>) {
        Gap::new(Part::Events, why).add_to(&mut self.case.gaps);
    }

    fn settle_if_complete(&self) -> Option<Decision> {
        // A cause that is only probable does not end the wait: the pod may fail as a whole.
        let is_proven =
            self.judgement.cause.as_ref().is_some_and(|c| c.confidence == Confidence::Confirmed);
        let complete = is_proven || !(self.pod == Fate::Open || self.wants_events);
        complete.then_some(Decision::Settle)
    }

    fn blame_hook(&mut self) -> Decision {
        self.judgement.cause = Some(Cause {
            kind: StopKind::Hook,
            confidence: Confidence::Confirmed,
            at: None,
            fact: "waiting: PostStartHookError".to_owned(),
            words: String::new(),
        });
        Decision::Settle
    }

    /// `gap`: why the events are missing, if they are.
    fn settle(mut self, gap: Option<&'static str>) -> Settled {
        if let Some(gap) = gap {
            self.gap(gap);
        }
        let case = &mut self.case;
        case.events = std::mem::take(&mut self.events);
        let is_fault = case
            .termination()
            .is_some_and(|end| classify::is_fault(end.exit_code, end.signal.unwrap_or_default()));
        let is_stopped_with_pod = self.judgement.pod_failure.is_some()
            && !self.judgement.restarting
            && self.pod != Fate::Apart;
        let cause = self.judgement.cause.take();
        // What is only probable does not stand against what the kubelet says about the pod.
        let cause = cause.filter(|c| c.confidence == Confidence::Confirmed || !is_stopped_with_pod);
        if let Some(cause) = cause {
            match cause.kind {
                StopKind::LivenessProbe | StopKind::StartupProbe => {
                    case.kind = IncidentType::ProbeFailure;
                }
                StopKind::Hook => case.kind = IncidentType::HookFailure,
                StopKind::SpecChange => return self.quiet(Quiet::SpecChange),
                // The exit code still names it; the sentence says why.
                StopKind::Sandbox => {}
            }
            if cause.kind != StopKind::Sandbox {
                case.severity = case.kind.severities()[0];
            }
            case.confidence = cause.confidence;
            case.evidence.push(cause.fact);
            case.stopped_for = Some(StopCause { kind: cause.kind, words: cause.words });
        } else if let Some((verdict, stop)) =
            self.judgement.pod_failure.take().filter(|_| is_stopped_with_pod)
        {
            return Settled {
                key: self.key,
                outcome: Outcome::PodFailed(verdict, stop, self.case),
            };
        } else if let Held::Unless(quiet) = self.held {
            return self.quiet(quiet);
        } else if self.gone && self.judgement.stopping_pod && !is_fault {
            // Of other pods the deletion is known before their terminations, but the mirror of a static pod is
            // deleted after them. A fault of the program is one all the same.
            return self.quiet(Quiet::Deletion);
        } else if case.termination().is_some() {
            let why = match self.pod {
                Fate::Open => Some("whether it goes on or fails as a whole was not shown"),
                Fate::Stopped => Some("it was stopped as a whole, and nothing says for what"),
                Fate::Known | Fate::Apart => None,
            };
            if let Some(why) = why {
                Gap::new(Part::Pod, why).add_to(&mut case.gaps);
            }
            // Anybody may send SIGKILL; the kernel is asked for its OOM kills later. Of all others, evidence that would have
            // decided could not be had, or is not there yet. The reason of a waiting container is certain; the events only
            // add its cause.
            let lacks = |part| case.gaps.iter().any(|gap| gap.part == part);
            if case.kind == IncidentType::Killed
                || self.wants_events
                || lacks(Part::Events)
                || lacks(Part::Pod)
            {
                case.confidence = Confidence::Probable;
            }
        }
        Settled { key: self.key, outcome: Outcome::Report(self.case) }
    }

    fn quiet(self, why: Quiet) -> Settled {
        Settled { key: self.key, outcome: Outcome::Quiet(why, self.case) }
    }
}

/// Returns how long the kubelet may take to stop a pod with this grace period and to show that it failed.
pub fn stopping_time(grace: Duration) -> Duration {
    (grace + SETTLE_STOPPING_MARGIN).min(SETTLE_STOPPING_MAX)
}

/// Returns true if the instance ended a grace period after the kubelet began to stop it, that is by the kubelet's
/// SIGKILL. The runtime's reason OOMKilled then comes from an earlier kill of a child: containerd keeps it until the
/// end (internal/cri/server/events.go). An end before that is the OOM kill itself.
fn outlasted(cause: &Cause, instance: &Instance<'_>) -> bool {
    let grace = instance.probes.of(cause.kind).map_or(instance.grace, |probe| probe.grace);
    let killed_at = cause.at.and_then(|at| at.checked_add(grace).ok());
    killed_at
        .is_some_and(|at| instance.finished.saturating_add(EVENT_SKEW).is_ok_and(|end| end >= at))
}

/// Returns the newest events about the container or the pod as a whole, oldest first.
fn newest(events: &[PodEvent], container: Option<&str>) -> Vec<EventInfo> {
    let mut own: Vec<&EventInfo> = events
        .iter()
        .filter(|e| e.container.is_none() || e.container.as_deref() == container)
        .map(|e| &e.info)
        .collect();
    sort_by(&mut own, |a, b| a.last_at.cmp(&b.last_at));
    let skip = own.len().saturating_sub(EVENTS_PER_INCIDENT_MAX);
    own.into_iter().skip(skip).cloned().collect()
}
