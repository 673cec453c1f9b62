//! From pods to incidents: what every object of the LIST and the WATCH passes through.
//!
//! ```text
//! object ─▶ PodTable: new, later or stale? ─▶ each end, known or new? ─▶ rules ─▶ Draft
//!                                              each waiting reason                  │
//!                                              the pod's own failure          may it still be
//!                                                                             something else?
//! Output ◀── sentence ◀──────────────── no ◀──────────────────────────────── yes ─▶ Settling
//! ```
//!
//! The key of a crash is (pod UID, container, containerID); of an end that no object shows there is
//! only the count.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::Now;
use crate::core::classify::{self, End, Episode, Quiet, Verdict};
use crate::core::draft::{Container, Draft, Drafter, containers};
use crate::core::incident::{ContainerKind, Incident, IncidentId, IncidentType};
use crate::core::pods::{ContainerRecord, PodTable, Sighting};
use crate::core::settle::{self, Lookup, PodState, Settled, Settling};
use crate::core::wire;

/// What the first LIST counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// What it shows is past, whatever its age: the replay of a recording.
    All,
    /// What ended longer than this before the agent's start is past.
    Before(Duration),
}

/// What detection gives.
#[derive(Debug)]
pub enum Output {
    /// A pod runs for the first time.
    Started(PodName),
    /// A pod was deleted or has completed.
    Stopped(PodName),
    /// A crash or failure.
    Incident(Box<Incident>),
    /// An end that is nobody's crash.
    Quiet(Quiet),
    /// So many ends of a container could not be seen.
    Unseen(i64),
    /// The pod's events are wanted: answer through [`Detector::on_events`].
    LookUp {
        /// Of the pod.
        namespace: Box<str>,
        /// The key to answer with; the events' `involvedObject.uid`.
        key: Box<str>,
    },
    /// The table is full: this pod is not watched.
    NoRoom(PodName),
}

/// A pod by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodName {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

impl std::fmt::Display for PodName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Where an object comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Watch,
    FirstList,
    Relist { went_back: bool },
}

/// The detection of one node.
#[derive(Debug)]
pub struct Detector {
    node_name: String,
    ignored_namespaces: Vec<String>,
    history: History,
    table: PodTable,
    settling: Settling,
    listed: bool,
    origin: Origin,
}

impl Detector {
    /// A detector that has seen nothing.
    pub fn new(node_name: &str, ignored_namespaces: &[String], history: History) -> Self {
        Self {
            node_name: node_name.to_owned(),
            ignored_namespaces: ignored_namespaces.to_vec(),
            history,
            table: PodTable::default(),
            settling: Settling::default(),
            listed: false,
            origin: Origin::Watch,
        }
    }

    /// Pods now known.
    pub fn pods(&self) -> usize {
        self.table.len()
    }

    /// Ends that are held back now.
    pub fn held(&self) -> usize {
        self.settling.len()
    }

    /// A LIST begins. `went_back`: its version lies behind one that was seen before.
    pub fn begin_list(&mut self, went_back: bool) {
        self.table.begin_list();
        self.origin = if self.listed { Origin::Relist { went_back } } else { Origin::FirstList };
    }

    /// A pod of the LIST.
    pub fn on_listed(&mut self, pod: &wire::Pod<'_>, now: Now, out: &mut Vec<Output>) {
        self.observe(pod, self.origin, now, out);
    }

    /// The LIST came to its end: the pods that it did not name are gone.
    pub fn end_list(&mut self, out: &mut Vec<Output>) {
        for key in self.table.unlisted() {
            self.forget(&key, out);
        }
        self.listed = true;
        self.origin = Origin::Watch;
    }

    /// The LIST broke off: nothing is said of the pods that it did not name.
    pub fn abort_list(&mut self) {
        self.origin = Origin::Watch;
    }

    /// An `ADDED` or `MODIFIED`.
    pub fn on_applied(&mut self, pod: &wire::Pod<'_>, now: Now, out: &mut Vec<Output>) {
        self.observe(pod, Origin::Watch, now, out);
    }

    /// A `DELETED`, which carries the pod's last state.
    pub fn on_deleted(&mut self, pod: &wire::Pod<'_>, now: Now, out: &mut Vec<Output>) {
        self.observe(pod, Origin::Watch, now, out);
        let key = self.table.key(&pod.metadata);
        // The mirror of a static pod may be made again before the old one's DELETED comes.
        if self.table.get(key).is_some_and(|record| *record.uid == *pod.metadata.uid) {
            self.forget(key, out);
        }
    }

    /// The answer to an [`Output::LookUp`].
    pub fn on_events(&mut self, key: &str, lookup: &Lookup, out: &mut Vec<Output>) {
        let mut settled = Vec::new();
        self.settling.on_events(key, lookup, &mut settled);
        emit(settled, out);
    }

    /// To be called at [`Detector::next_deadline`], and may be at any time.
    pub fn on_time(&mut self, now: Now, out: &mut Vec<Output>) {
        let mut settled = Vec::new();
        for key in self.settling.on_time(now.monotonic, &mut settled) {
            if let Some(namespace) = self.settling.namespace(&key).map(Box::from) {
                out.push(Output::LookUp { namespace, key });
            }
        }
        emit(settled, out);
    }

    /// When [`Detector::on_time`] has something to do (monotonic).
    pub fn next_deadline(&self) -> Option<Duration> {
        self.settling.next_deadline()
    }

    /// The agent ends: what is held back goes out with what is known.
    pub fn finish(&mut self, out: &mut Vec<Output>) {
        let mut settled = Vec::new();
        self.settling.finish(&mut settled);
        emit(settled, out);
    }

    fn forget(&mut self, key: &str, out: &mut Vec<Output>) {
        let mut settled = Vec::new();
        self.settling.on_gone(key, &mut settled);
        emit(settled, out);
        let stopped = self.table.get(key).is_some_and(|record| record.stopped);
        if let Some((namespace, name)) = self.table.remove(key)
            && !stopped
        {
            out.push(Output::Stopped(PodName { namespace, name }));
        }
    }

    fn observe(&mut self, pod: &wire::Pod<'_>, origin: Origin, now: Now, out: &mut Vec<Output>) {
        let meta = &pod.metadata;
        if self.ignored_namespaces.iter().any(|ns| **ns == *meta.namespace) {
            return;
        }
        let went_back = matches!(origin, Origin::Relist { went_back: true });
        let fresh = match self.table.sight(meta, went_back) {
            Sighting::Stale => return,
            Sighting::NoRoom => {
                out.push(Output::NoRoom(PodName {
                    namespace: Box::from(&*meta.namespace),
                    name: Box::from(&*meta.name),
                }));
                return;
            }
            Sighting::New => true,
            Sighting::Later => false,
        };
        let key = self.table.key(meta);
        let Some(record) = self.table.get(key) else {
            return;
        };
        let deletion_known = record.deletion.is_some();
        let asked = deletion_asked(pod, fresh);
        record.deletion = match (record.deletion, asked) {
            (Some(known), Some(asked)) => Some(known.min(asked)),
            (known, asked) => known.or(asked),
        };
        let deletion = record.deletion;
        let past = match origin {
            Origin::FirstList => Some(self.history.cut_off(now)),
            Origin::Watch | Origin::Relist { .. } => None,
        };
        let mut view = View {
            key,
            drafter: Drafter {
                pod,
                static_uid: (*key != *meta.uid).then_some(key),
                node_name: &self.node_name,
                now,
            },
            table: &mut self.table,
            settling: &mut self.settling,
            past,
            deletion,
            deletion_known,
            pod_state: PodState::Alive,
        };
        view.lifecycle(out);
        view.pod_failure(out);
        for container in containers(pod) {
            view.container(&container, out);
        }
    }
}

impl History {
    /// Ends before this time are past.
    fn cut_off(self, now: Now) -> Timestamp {
        match self {
            Self::All => Timestamp::MAX,
            // Measured back from now: the wall clock may have been set since the start.
            Self::Before(lookback) => {
                let back = now.monotonic.saturating_add(lookback);
                now.wall.saturating_sub(back).unwrap_or(Timestamp::MIN)
            }
        }
    }
}

fn emit(settled: Vec<Settled>, out: &mut Vec<Output>) {
    out.extend(settled.into_iter().map(|s| match s {
        Settled::Incident(incident) => Output::Incident(incident),
        Settled::SpecChange => Output::Quiet(Quiet::SpecChange),
        Settled::PodFailure => Output::Quiet(Quiet::PodFailure),
    }));
}

/// When the pod's deletion was asked for: `deletionTimestamp` is that plus the grace
/// (apiserver `registry/rest/delete.go`), and is moved when the grace is shortened. The kubelet's
/// last deletion has a grace of 0; where that is all that was ever seen of it, the pod's own grace
/// is taken to have passed.
fn deletion_asked(pod: &wire::Pod<'_>, fresh: bool) -> Option<Timestamp> {
    let at = pod.metadata.deletion_timestamp.time()?;
    let grace = match pod.metadata.deletion_grace_period_seconds {
        0 if fresh => pod.spec.termination_grace_period_seconds.unwrap_or(30),
        grace => grace,
    };
    at.saturating_sub(Duration::from_secs(grace.try_into().unwrap_or(0))).ok()
}

/// When the last of the pod's main containers was done, if they all are and none is restarted.
fn mains_done(pod: &wire::Pod<'_>) -> Option<Timestamp> {
    let mains: Vec<_> = containers(pod).filter(|c| c.kind == ContainerKind::App).collect();
    if mains.is_empty() || mains.len() < pod.spec.containers.len() {
        return None;
    }
    let mut last = Timestamp::MIN;
    for main in mains {
        let end = main.status.state.terminated.as_ref()?;
        let done = match main.restart_policy() {
            "Never" => true,
            "OnFailure" => end.exit_code == 0,
            _ => false,
        };
        last = last.max(end.finished_at.time().filter(|_| done)?);
    }
    Some(last)
}

/// One object on its way through the rules.
struct View<'d, 'p, 'a> {
    key: &'p str,
    drafter: Drafter<'p, 'a>,
    table: &'d mut PodTable,
    settling: &'d mut Settling,
    /// In the first LIST: what happened before this is history.
    past: Option<Timestamp>,
    deletion: Option<Timestamp>,
    /// An earlier object had said so already.
    deletion_known: bool,
    pod_state: PodState,
}

impl<'p, 'a> View<'_, 'p, 'a> {
    /// The pod's first Running, and its completion.
    fn lifecycle(&mut self, out: &mut Vec<Output>) {
        let Some(record) = self.table.get(self.key) else {
            return;
        };
        let name = || PodName { namespace: record.namespace.clone(), name: record.name.clone() };
        match &*self.drafter.pod.status.phase {
            "Running" if !record.started => {
                if self.past.is_none() {
                    out.push(Output::Started(name()));
                }
                record.started = true;
            }
            "Succeeded" | "Failed" => {
                self.pod_state = PodState::Ended;
                if !record.stopped && self.past.is_none() {
                    out.push(Output::Stopped(name()));
                }
                record.stopped = true;
            }
            _ => {}
        }
    }

    /// The pod as a whole failed, for a reason of its own.
    fn pod_failure(&mut self, out: &mut Vec<Output>) {
        let status = &self.drafter.pod.status;
        if &*status.phase != "Failed" {
            return;
        }
        let Some(verdict) = classify::pod_failure(&status.reason) else {
            return;
        };
        if self.deletion_known {
            return;
        }
        self.pod_state = PodState::Failed;
        let Some(record) = self.table.get(self.key) else {
            return;
        };
        if std::mem::replace(&mut record.failed, true) {
            return;
        }
        let ends = containers(self.drafter.pod).filter_map(|c| c.status.state.terminated.as_ref());
        let at =
            ends.filter_map(|t| t.finished_at.time()).max().or_else(|| status.start_time.time());
        if self.is_past(at) {
            out.push(Output::Quiet(Quiet::History));
            return;
        }
        let id = IncidentId::new(&[self.key, "", verdict.0.name()]);
        let draft = self.drafter.pod(id, verdict, at);
        out.push(Output::Incident(settle::complete(draft)));
    }

    fn container(&mut self, container: &Container<'p, 'a>, out: &mut Vec<Output>) {
        let mut settled = Vec::new();
        self.settling.on_container(self.key, container, self.pod_state, &mut settled);
        emit(settled, out);
        self.count_unseen(container, out);
        self.ends(container, out);
        self.waits(container, out);
    }

    /// Ends since the last look that no object shows, kept until an incident tells of them.
    fn count_unseen(&mut self, container: &Container<'p, 'a>, out: &mut Vec<Output>) {
        let status = container.status;
        let mut shown = 0;
        let mut current_ended = status.state.terminated.is_some();
        for end in [&status.last_state.terminated, &status.state.terminated].into_iter().flatten() {
            if classify::is_synthetic(&end.reason, &end.container_id) {
                shown += i64::from(status.state.terminated.is_none());
                continue;
            }
            shown += i64::from(!self.table.knows_end(self.key, &status.name, &end.container_id));
            let waits = status.state.waiting.is_some();
            current_ended |= waits && *end.container_id == *status.container_id;
        }
        if status.state.waiting.is_some() && !current_ended && !status.container_id.is_empty() {
            // Told of by its waiting reason alone.
            current_ended = self.table.knows_end(self.key, &status.name, &status.container_id);
        }
        let past = self.past.is_some();
        let Some(record) = self.record(&status.name) else { return };
        let total = status.restart_count.saturating_add(i64::from(current_ended));
        let before = record.ended_total.replace(total);
        let ended = match before {
            Some(before) => total.saturating_sub(before),
            None if past => 0,
            None => total,
        };
        let unseen = ended.saturating_sub(shown).max(0);
        if unseen > 0 {
            out.push(Output::Unseen(unseen));
            record.unseen = record.unseen.saturating_add(unseen);
        }
    }

    /// The ends that the object shows, the older one first.
    fn ends(&mut self, container: &Container<'p, 'a>, out: &mut Vec<Output>) {
        let status = container.status;
        let last = status.last_state.terminated.as_ref().map(|end| (end, false));
        let current = status.state.terminated.as_ref().map(|end| (end, true));
        for (end, is_current) in last.into_iter().chain(current) {
            if classify::is_synthetic(&end.reason, &end.container_id) {
                continue;
            }
            if self.table.learn_end(self.key, &status.name, &end.container_id) {
                continue;
            }
            match self.judge(container, end, is_current) {
                Verdict::Quiet(quiet) => out.push(Output::Quiet(quiet)),
                Verdict::Incident(kind, severity) => {
                    let verdict = (kind, severity);
                    let id = self.end_id(status, &end.container_id);
                    let unseen = self.take_unseen(&status.name);
                    let draft = self.drafter.end(container, end, id, verdict, unseen);
                    self.release(draft, end.exit_code, is_current, out);
                }
            }
        }
    }

    fn judge(
        &self,
        container: &Container<'p, 'a>,
        end: &wire::Terminated<'_>,
        is_current: bool,
    ) -> Verdict {
        let finished = end.finished_at.time();
        if self.is_past(finished) {
            return Verdict::Quiet(Quiet::History);
        }
        if is_current && self.pod_state == PodState::Failed {
            return Verdict::Quiet(Quiet::PodFailure);
        }
        // By the clocks; and where they disagree, an end that looks like a stop and came after the
        // deletion was known is taken for one.
        let by_clock = self.deletion.is_some_and(|asked| finished.is_none_or(|at| at >= asked));
        let by_order = self.deletion_known && classify::may_be_a_stop(end.exit_code);
        classify::end(&End {
            exit_code: end.exit_code,
            signal: end.signal,
            reason: &end.reason,
            kind: container.kind,
            restarts_always: container.restarts_always(),
            under_deletion: by_clock || by_order,
            teardown: container.kind == ContainerKind::Sidecar
                && mains_done(self.drafter.pod)
                    .is_some_and(|done| finished.is_none_or(|at| at >= done)),
            hook_failed: settle::hook_failed(container, Some(&end.container_id)),
        })
    }

    /// Out with it, unless it may still turn out to be something else.
    fn release(&mut self, draft: Draft, exit_code: i32, is_current: bool, out: &mut Vec<Output>) {
        let settled_type = matches!(
            draft.incident.kind,
            IncidentType::Oom | IncidentType::HookFailure | IncidentType::StartError
        );
        if settled_type || !classify::may_be_a_stop(exit_code) {
            out.push(Output::Incident(settle::complete(draft)));
            return;
        }
        let moved_on = !is_current || self.pod_state == PodState::Ended;
        let mut settled = Vec::new();
        self.settling.hold(self.key, draft, moved_on, self.drafter.now, &mut settled);
        emit(settled, out);
    }

    /// A waiting reason that is an incident by itself.
    fn waits(&mut self, container: &Container<'p, 'a>, out: &mut Vec<Output>) {
        let status = container.status;
        if status.state.running.is_some() {
            if let Some(record) = self.record(&status.name) {
                record.leave_episodes();
            }
            return;
        }
        let Some(waiting) = &status.state.waiting else {
            return;
        };
        let Some(episode) = classify::waiting(&waiting.reason) else {
            return;
        };
        let last = status.last_state.terminated.as_ref();
        let told_by_end = last.is_some_and(|end| {
            *end.container_id == *status.container_id && classify::is_start_reason(&end.reason)
        });
        if episode == Episode::StartError && told_by_end {
            return;
        }
        // An instance was made and never ran: it is told by its own key, so that a terminated record
        // of it which comes later is known.
        let unknown_instance = episode == Episode::StartError
            && !status.container_id.is_empty()
            && !self.table.learn_end(self.key, &status.name, &status.container_id);
        if unknown_instance {
            if let Some(record) = self.record(&status.name) {
                record.ended_total = record.ended_total.map(|total| total.saturating_add(1));
            }
            let id = self.end_id(status, &status.container_id);
            self.wait_in_vain(container, waiting, id, episode, out);
            return;
        }
        if self.record(&status.name).is_some_and(|record| record.enter(episode)) {
            let words = [self.key, &status.name, episode.kind().name(), &status.container_id];
            self.wait_in_vain(container, waiting, IncidentId::new(&words), episode, out);
        }
    }

    fn wait_in_vain(
        &mut self,
        container: &Container<'p, 'a>,
        waiting: &wire::Waiting<'_>,
        id: IncidentId,
        episode: Episode,
        out: &mut Vec<Output>,
    ) {
        if self.past == Some(Timestamp::MAX) || self.deletion.is_some() {
            return;
        }
        let unseen = self.take_unseen(&container.status.name);
        let draft = self.drafter.waiting(container, waiting, id, episode.kind(), unseen);
        out.push(Output::Incident(settle::complete(draft)));
    }

    fn record(&mut self, container: &str) -> Option<&mut ContainerRecord> {
        self.table.get(self.key)?.container(container)
    }

    /// The unseen ends that the next incident tells of.
    fn take_unseen(&mut self, container: &str) -> i64 {
        self.record(container).map_or(0, |record| std::mem::take(&mut record.unseen))
    }

    fn end_id(&self, status: &wire::ContainerStatus<'_>, container_id: &str) -> IncidentId {
        IncidentId::new(&[self.key, &status.name, container_id])
    }

    /// An end without a time is past when anything is.
    fn is_past(&self, at: Option<Timestamp>) -> bool {
        self.past.is_some_and(|cut_off| at.is_none_or(|at| at < cut_off))
    }
}

#[cfg(test)]
#[path = "detector/tests.rs"]
mod tests;
