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
use crate::core::classify::Quiet;
use crate::core::draft::{Drafter, containers, has_more_containers};
use crate::core::incident::Incident;
use crate::core::pods::{PodTable, Sighting};
use crate::core::settle::{Lookup, PodState, Settled, Settling};
use crate::core::view::View;
use crate::core::wire;
use crate::limits::CLOCK_JUMP_MAX;

/// What the first LIST counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// What it shows is past, whatever its age: the replay of a recording.
    All,
    /// What ended longer than this before the agent's start is past.
    Before {
        /// The start, by the wall clock of that moment.
        started: Timestamp,
        /// `BLACKBOX_LOOKBACK`.
        lookback: Duration,
    },
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
    /// The table is full, or this pod has more containers than are watched.
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

impl PodName {
    fn of(metadata: &wire::Metadata<'_>) -> Self {
        Self { namespace: Box::from(&*metadata.namespace), name: Box::from(&*metadata.name) }
    }
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

    /// A pod of the LIST of which no more than its metadata can be read: it is there.
    pub fn on_unreadable(&mut self, metadata: &wire::Metadata<'_>) {
        let key = self.table.key(metadata);
        self.table.mark_listed(key);
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
            self.table.bury(key);
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
                out.push(Output::NoRoom(PodName::of(meta)));
                return;
            }
            Sighting::New => true,
            Sighting::Later => false,
        };
        if has_more_containers(pod) {
            out.push(Output::NoRoom(PodName::of(meta)));
        }
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
            Self::Before { started, lookback } => {
                // The wall clock may have been set since the start. By how much it was wrong before
                // is known; by which of the two the kubelet wrote a time is not. Of two that are near
                // each other the earlier one loses nothing; a node without a clock of its own begins
                // in 1970, and everything would be news.
                let by_now = now.wall.saturating_sub(now.monotonic).unwrap_or(Timestamp::MIN);
                let is_jump = by_now.duration_since(started).unsigned_abs() <= CLOCK_JUMP_MAX;
                let start = if is_jump { by_now.min(started) } else { by_now };
                start.saturating_sub(lookback).unwrap_or(Timestamp::MIN)
            }
        }
    }
}

pub(super) fn emit(settled: Vec<Settled>, out: &mut Vec<Output>) {
    out.extend(settled.into_iter().map(|s| match s {
        Settled::Incident(incident) => Output::Incident(incident),
        Settled::SpecChange => Output::Quiet(Quiet::SpecChange),
        Settled::PodFailure => Output::Quiet(Quiet::PodFailure),
        Settled::Deletion => Output::Quiet(Quiet::Deletion),
        Settled::SidecarTeardown => Output::Quiet(Quiet::SidecarTeardown),
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

#[cfg(test)]
#[path = "detector/tests.rs"]
mod tests;
