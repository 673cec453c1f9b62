//! From pods to incidents: the rules that every object of the LIST and the WATCH passes through.
//!
//! ```text
//! object ─▶ PodTable: new, later or stale? ─▶ each termination: known or new? ─▶ rules ─▶ Case
//!              │                               each waiting reason                          │
//!              └▶ later, and its fingerprint   the pod's own failure            may it still be
//!                 is unchanged: done                                            something else?
//! Output ◀───────────────────────────────── no ◀──────────────────────────────── yes ─▶ Settling
//! ```
//!
//! The key of a crash is (pod UID, container, containerID). Terminations that no object shows are
//! counted, and their number is reported.

pub mod classify;
mod conditions;
mod container;
pub mod deletion;
pub mod evidence;
mod facts;
mod hang;
pub mod ledger;
mod observe;
pub mod oom;
mod open;
mod output;
pub mod pods;
pub mod reboot;
pub mod settle;
mod storm;
mod unseen;
mod workload;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use self::container::{containers, has_more_containers};
use self::hang::Hangs;
use self::observe::Observation;
use self::open::CaseOpener;
use self::output::{emit, report_folded, report_over};
use self::storm::Storms;
use crate::core::Now;
use crate::core::case::{ContainerId, NodeIdentity};
use crate::core::detect::ledger::PodEntry;
use crate::core::detect::pods::{PodTable, Sighting};
use crate::core::detect::reboot::{Boot, Reboots};
use crate::core::detect::settle::{Lookup, PodState, Settling};
use crate::core::roster::{PodOnNode, RunningContainer};
use crate::core::text::cut;
use crate::core::wire;
use crate::limits::{ADDRESSES_PER_POD_MAX, CLOCK_JUMP_MAX, NAME_BYTES_MAX};

pub use self::hang::Patience;
pub use self::output::{Output, PodName};

/// Which terminations in the first LIST are history, and not reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// Everything that the first LIST shows, whatever its age: for the replay of a recording.
    All,
    /// Terminations longer than `lookback` before the agent's start.
    Before {
        /// The agent's start, by the wall clock of that moment.
        started: Timestamp,
        /// `BLACKBOX_LOOKBACK`.
        lookback: Duration,
    },
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
    node: Arc<NodeIdentity>,
    ignored_namespaces: Vec<String>,
    history: History,
    table: PodTable,
    settling: Settling,
    reboots: Reboots,
    hangs: Hangs,
    storms: Storms,
    listed: bool,
    origin: Origin,
    /// True if an earlier agent's list of all pods was restored: a pod that is not in the table was then created
    /// after that.
    knows_all: bool,
    /// True if [`Output::Overfull`] was output.
    told_overfull: bool,
}

impl Detector {
    /// Creates a detector of this node that has seen nothing.
    pub fn new(
        node: impl Into<NodeIdentity>,
        ignored_namespaces: &[String],
        history: History,
    ) -> Self {
        Self {
            node: Arc::new(node.into()),
            ignored_namespaces: ignored_namespaces.to_vec(),
            history,
            table: PodTable::default(),
            settling: Settling::default(),
            reboots: Reboots::default(),
            hangs: Hangs::default(),
            storms: Storms::default(),
            listed: false,
            origin: Origin::Watch,
            knows_all: false,
            told_overfull: false,
        }
    }

    /// Sets the boots of the node that are known, the oldest first; call it before the first object.
    pub fn set_boots(&mut self, boots: Vec<Boot>) {
        self.reboots = Reboots::new(boots);
    }

    /// Sets how long pods and containers may hang before they are reported.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.hangs.set_patience(patience);
        self
    }

    /// Restores what an earlier agent knew; call it before the first object. `is_all`: the earlier agent had seen no
    /// pods except these.
    pub fn restore<'e>(&mut self, entries: impl IntoIterator<Item = &'e PodEntry>, is_all: bool) {
        for entry in entries {
            self.table.restore(entry);
        }
        self.knows_all |= is_all;
    }

    /// Returns the number of known pods.
    pub fn pods(&self) -> usize {
        self.table.len()
    }

    /// Returns the number of terminations that are held back now.
    pub fn held(&self) -> usize {
        self.settling.len()
    }

    /// Takes in the start of a LIST. `went_back`: the list's resourceVersion is older than one that was seen before.
    pub fn begin_list(&mut self, went_back: bool) {
        self.table.begin_list();
        self.origin = if self.listed { Origin::Relist { went_back } } else { Origin::FirstList };
    }

    /// Takes in a pod of the LIST.
    pub fn on_listed(&mut self, pod: &wire::Pod<'_>, now: Now, out: &mut Vec<Output>) {
        self.observe(pod, self.origin, now, out);
    }

    /// Takes in a pod of the LIST of which only the metadata can be read: the pod exists.
    pub fn on_unreadable(&mut self, metadata: &wire::Metadata<'_>) {
        let key = self.table.key(metadata);
        self.table.mark_listed(key);
    }

    /// Takes in the end of the LIST: pods that it did not contain are gone.
    pub fn end_list(&mut self, out: &mut Vec<Output>) {
        for key in self.table.unlisted() {
            self.forget(&key, out);
        }
        self.listed = true;
        self.origin = Origin::Watch;
    }

    /// Takes in that the LIST broke off: it proves nothing about the pods that it did not contain.
    pub fn abort_list(&mut self) {
        self.origin = Origin::Watch;
    }

    /// Takes in an `ADDED` or `MODIFIED` event.
    pub fn on_applied(&mut self, pod: &wire::Pod<'_>, now: Now, out: &mut Vec<Output>) {
        self.observe(pod, Origin::Watch, now, out);
    }

    /// Returns true if the rules have already judged an object of this pod with this fingerprint, so that they would
    /// find nothing new. False while a termination of the pod is held back: the unchanged object may still settle it.
    pub fn knows(&self, metadata: &wire::Metadata<'_>, fingerprint: u64) -> bool {
        if self.ignores(metadata) {
            return true;
        }
        let key = self.table.key(metadata);
        self.table.judged_fingerprint(key) == Some(fingerprint) && !self.settling.is_held(key)
    }

    /// Takes in an `ADDED` or `MODIFIED` event for which [`Detector::knows`] returned true.
    pub fn on_known(&mut self, metadata: &wire::Metadata<'_>) {
        if !self.ignores(metadata) {
            self.table.admit(metadata, false);
        }
    }

    fn ignores(&self, metadata: &wire::Metadata<'_>) -> bool {
        self.ignored_namespaces.iter().any(|ns| **ns == *metadata.namespace)
    }

    /// Takes in a `DELETED` event, which carries the pod's last state.
    pub fn on_deleted(&mut self, pod: &wire::Pod<'_>, now: Now, out: &mut Vec<Output>) {
        self.observe(pod, Origin::Watch, now, out);
        let key = self.table.key(&pod.metadata);
        // The mirror of a static pod may be created again before the DELETED event of the old one arrives.
        if self.table.get(key).is_some_and(|record| *record.uid == *pod.metadata.uid) {
            self.table.mark_deleted(key);
            self.forget(key, out);
        }
    }

    /// Takes in the answer to an [`Output::LookUp`].
    pub fn on_events(&mut self, key: &str, lookup: &Lookup, out: &mut Vec<Output>) {
        let mut settled = Vec::new();
        self.settling.on_events(key, lookup, &mut settled);
        emit(&mut self.table, &self.settling, settled, out);
        let mut over = Vec::new();
        self.hangs.on_events(key, lookup, &mut over);
        self.report_over(over, out);
        self.keep(out);
    }

    /// Does what is due. Call it at [`Detector::next_deadline`]; any other time is allowed as well.
    pub fn on_time(&mut self, now: Now, out: &mut Vec<Output>) {
        let mut settled = Vec::new();
        for key in self.settling.on_time(now.monotonic, &mut settled) {
            if let Some(namespace) = self.settling.namespace(&key).map(Box::from) {
                out.push(Output::LookUp { namespace, key });
            }
        }
        emit(&mut self.table, &self.settling, settled, out);
        out.extend(self.reboots.due(&self.node, now).into_iter().map(Output::crash));
        let mut over = Vec::new();
        let lookups = self.hangs.on_time(now, &mut over).into_iter();
        out.extend(lookups.map(|(namespace, key)| Output::LookUp { namespace, key }));
        self.report_over(over, out);
        let mut folded = Vec::new();
        self.storms.on_time(now, &mut folded);
        self.report_folded(folded, out);
        self.keep(out);
    }

    /// Returns when [`Detector::on_time`] has something to do (monotonic).
    pub fn next_deadline(&self) -> Option<Duration> {
        let waits =
            [self.hangs.next_deadline(), self.storms.next_deadline(), self.reboots.next_deadline()];
        self.settling.next_deadline().into_iter().chain(waits.into_iter().flatten()).min()
    }

    /// Takes in that a recording is over: no more time passes for what hangs and for storms. Only evidence is still
    /// waited for.
    pub fn end_waits(&mut self, out: &mut Vec<Output>) {
        self.hangs.end_waits();
        let mut folded = Vec::new();
        self.storms.finish(&mut folded);
        self.report_folded(folded, out);
        self.keep(out);
    }

    /// Reports what is held back, with what is known: the agent terminates.
    pub fn finish(&mut self, now: Now, out: &mut Vec<Output>) {
        let mut settled = Vec::new();
        self.settling.finish(&mut settled);
        emit(&mut self.table, &self.settling, settled, out);
        out.extend(self.reboots.finish(&self.node, now).into_iter().map(Output::crash));
        let mut over = Vec::new();
        self.hangs.finish(&mut over);
        self.report_over(over, out);
        let mut folded = Vec::new();
        self.storms.finish(&mut folded);
        self.report_folded(folded, out);
        self.keep(out);
    }

    fn report_over(&mut self, over: Vec<hang::Over>, out: &mut Vec<Output>) {
        for episode in over {
            report_over(&mut self.table, &self.settling, episode, out);
        }
    }

    fn report_folded(&mut self, folded: Vec<storm::Folded>, out: &mut Vec<Output>) {
        for line in folded {
            report_folded(&mut self.table, &self.settling, line, out);
        }
    }

    /// Outputs the changed records for the next agent.
    fn keep(&mut self, out: &mut Vec<Output>) {
        for key in self.table.changed() {
            let held = |container: &str| self.settling.held_terminations(&key, container);
            let entry = self.table.entry(&key, held, |id| self.settling.holds(id));
            out.extend(entry.map(|entry| Output::Kept(Box::new(entry))));
        }
    }

    fn forget(&mut self, key: &str, out: &mut Vec<Output>) {
        let mut settled = Vec::new();
        self.settling.on_gone(key, &mut settled);
        self.hangs.on_gone(key);
        emit(&mut self.table, &self.settling, settled, out);
        // A pod that disappeared while no agent was running did not stop just now.
        if let Some(record) = self.table.get(key).filter(|record| !record.stopped && self.listed) {
            let (namespace, name) = (record.namespace.clone(), record.name.clone());
            out.push(Output::Stopped(PodName { namespace, name }));
        }
        out.push(Output::Gone(key.into()));
        out.extend(self.table.remove(key).map(Output::Forgotten));
    }

    /// Forgets what is in the way of this pod: a pod that claims its UID, and, if the table is full, a completed one.
    fn make_way(&mut self, meta: &wire::Metadata<'_>, out: &mut Vec<Output>) {
        if self.table.unmask(meta) {
            // What was held back and placed under this key is the claimant's.
            let mut settled = Vec::new();
            self.settling.on_gone(&meta.uid, &mut settled);
            self.hangs.on_gone(&meta.uid);
            emit(&mut self.table, &self.settling, settled, out);
            out.push(Output::Gone(Box::from(&*meta.uid)));
        }
        if let Some(key) = self.table.pod_to_forget(meta, |key| self.settling.is_held(key)) {
            self.forget(&key, out);
        }
    }

    fn observe(&mut self, pod: &wire::Pod<'_>, origin: Origin, now: Now, out: &mut Vec<Output>) {
        let meta = &pod.metadata;
        if self.ignores(meta) {
            return;
        }
        let went_back = matches!(origin, Origin::Relist { went_back: true });
        self.make_way(meta, out);
        let fresh = match self.table.admit(meta, went_back) {
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
        if self.knows(meta, pod.fingerprint) {
            return;
        }
        self.reboots.on_object(now);
        let key = self.table.key(meta);
        let Some(record) = self.table.get(key) else {
            return;
        };
        record.judged_fingerprint = Some(pod.fingerprint);
        let deletion = record.deletion.seen(pod, fresh);
        record.deletion = deletion.seen_before();
        let past = match origin {
            Origin::FirstList if !self.knows_all => {
                // A pod that started after the cut-off has no history.
                let cut_off = self.history.cut_off(now);
                let is_young = pod.status.start_time.time().is_some_and(|at| at >= cut_off);
                (!is_young).then_some(cut_off)
            }
            Origin::FirstList | Origin::Watch | Origin::Relist { .. } => None,
        };
        let opener = CaseOpener::new(pod, key, &self.node, now);
        let hash = place_hash(pod);
        if std::mem::replace(&mut record.place_hash, hash) != hash {
            out.push(Output::Placed(Box::new(place(&opener))));
        }
        let mut observation = Observation {
            key,
            opener,
            table: &mut self.table,
            settling: &mut self.settling,
            reboots: &mut self.reboots,
            hangs: &mut self.hangs,
            storms: &mut self.storms,
            past,
            is_baseline: origin == Origin::FirstList,
            deletion,
            pod_state: PodState::Alive,
        };
        observation.lifecycle(out);
        observation.pod_failure(out);
        observation.hangs(fresh, out);
        for container in containers(pod) {
            observation.container(&container, out);
        }
        if self.table.was_full() && !std::mem::replace(&mut self.told_overfull, true) {
            out.push(Output::Overfull);
        }
        self.keep(out);
    }
}

impl History {
    /// Returns the time before which terminations are history.
    fn cut_off(self, now: Now) -> Timestamp {
        match self {
            Self::All => Timestamp::MAX,
            Self::Before { started, lookback } => {
                // The wall clock may have been set since the agent's start. The size of that correction is known, but
                // not whether the kubelet wrote a time before or after it. If both candidates for the start are near
                // each other, the earlier one is used, so that no termination is lost. If they are far apart, the old
                // clock was never right: a node without a battery-backed clock starts in 1970, and with that start
                // every termination would be news.
                let by_now = now.wall.saturating_sub(now.monotonic).unwrap_or(Timestamp::MIN);
                let is_jump = by_now.duration_since(started).unsigned_abs() <= CLOCK_JUMP_MAX;
                let start = if is_jump { by_now.min(started) } else { by_now };
                let cut_off = start.saturating_sub(lookback).unwrap_or(Timestamp::MIN);
                // Times in the API are cut to whole seconds.
                Timestamp::from_second(cut_off.as_second()).unwrap_or(cut_off)
            }
        }
    }
}

/// Returns a fingerprint of what [`place`] returns. It is cheap to compute, and changes with about one event in a
/// hundred.
fn place_hash(pod: &wire::Pod<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    pod.metadata.uid.hash(&mut hasher);
    pod.spec.host_network.hash(&mut hasher);
    pod.status.pod_ips.iter().for_each(|ip| ip.ip.hash(&mut hasher));
    for status in containers(pod).map(|container| container.status) {
        (&*status.name, &*status.container_id, status.restart_count).hash(&mut hasher);
        status.state.running.is_some().hash(&mut hasher);
    }
    hasher.finish()
}

/// Returns the pod's place, as the API shows it.
fn place(opener: &CaseOpener<'_, '_>) -> PodOnNode {
    let pod = opener.pod;
    let running = containers(pod).filter_map(|container| {
        let status = container.status;
        let running = status.state.running.as_ref()?;
        Some(RunningContainer {
            name: cut(&status.name, NAME_BYTES_MAX).into(),
            kind: container.kind,
            id: ContainerId::parse(&status.container_id)?,
            instance: status.restart_count,
            started: running.started_at.time(),
        })
    });
    let addresses = pod.status.pod_ips.iter().take(ADDRESSES_PER_POD_MAX);
    PodOnNode {
        key: opener.key.into(),
        addresses: addresses.filter_map(|ip| ip.ip.parse().ok()).collect(),
        is_host_network: pod.spec.host_network,
        running: running.collect(),
        pod: opener.facts().clone(),
    }
}

#[cfg(test)]
mod tests;
