//! What detection gives, and how an end that is judged goes out.

use crate::core::case::{Case, InstanceRef};
use crate::core::detect::classify::Quiet;
use crate::core::detect::ledger::PodEntry;
use crate::core::detect::pods::PodTable;
use crate::core::detect::settle::{Outcome, Settled, Settling};
use crate::core::roster::Place;
use crate::core::wire;

/// What detection gives.
#[derive(Debug)]
pub enum Output {
    /// A pod runs for the first time.
    Started(PodName),
    /// A pod was deleted or has completed.
    Stopped(PodName),
    /// A crash or failure.
    Crash(Box<Case>),
    /// An end that is nobody's crash.
    Quiet(Quiet),
    /// So many ends of a container could not be seen.
    Unseen(i64),
    /// The pod's events are wanted: answer through `Detector::on_events`.
    LookUp {
        /// Of the pod.
        namespace: Box<str>,
        /// The key to answer with; the events' `involvedObject.uid`.
        key: Box<str>,
    },
    /// The table is full, this pod has more containers than are watched, or its names are longer than any is
    /// kept.
    NoRoom(PodName),
    /// What the next agent has to know of a pod has changed. It comes behind the incidents that it
    /// counts in.
    Kept(Box<PodEntry>),
    /// The next agent need not know the pod of that key.
    Forgotten(Box<str>),
    /// A pod is on the node, or has other containers or addresses than before.
    Placed(Box<Place>),
    /// The pod of that key is no longer on the node.
    Gone(Box<str>),
    /// A container ended, and what it was is told later: now is the time to look at what it left.
    Held(Box<InstanceRef>),
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
    pub(super) fn of(metadata: &wire::Metadata<'_>) -> Self {
        Self { namespace: Box::from(&*metadata.namespace), name: Box::from(&*metadata.name) }
    }
}

impl std::fmt::Display for PodName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Reports a case. `later`: terminations of its container that are reported right after it.
pub(super) fn report(
    table: &mut PodTable,
    settling: &Settling,
    key: &str,
    mut case: Box<Case>,
    later: i64,
) -> Output {
    if let (Some(container), Some(mut restarts)) = (case.container_name(), case.restarts) {
        let held = settling.held_ends(key, container).saturating_add(later);
        restarts.ended = table.counted(key, container, held);
        case.restarts = Some(restarts);
    }
    table.touch(key);
    Output::Crash(case)
}

/// Reports what was settled, in its order.
pub(super) fn emit(
    table: &mut PodTable,
    settling: &Settling,
    settled: Vec<Settled>,
    out: &mut Vec<Output>,
) {
    let mut settled = settled.into_iter();
    while let Some(Settled { key, outcome }) = settled.next() {
        match outcome {
            Outcome::Quiet(quiet, case) => {
                // The unseen terminations that it would have reported wait for another case.
                let unseen = case.restarts.map_or(0, |restarts| restarts.unseen);
                let record = table.get(&key);
                let container = case.container_name().unwrap_or_default();
                if let Some(record) = record.and_then(|record| record.container(container)) {
                    record.unseen = record.unseen.saturating_add(unseen);
                }
                table.touch(&key);
                out.push(Output::Quiet(quiet));
            }
            Outcome::Report(case) => {
                let container = case.container_name();
                let later = settled.as_slice().iter().filter(|other| {
                    other.key == key && other.outcome.case().container_name() == container
                });
                let later = later.map(|other| other.outcome.case().terminations());
                let later = later.fold(0, i64::saturating_add);
                out.push(report(table, settling, &key, case, later));
            }
        }
    }
}
