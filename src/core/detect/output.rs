//! What detection gives, and how an end that is judged goes out.

use crate::core::detect::classify::Quiet;
use crate::core::detect::ledger::PodEntry;
use crate::core::detect::pods::PodTable;
use crate::core::detect::settle::{Settled, Settling};
use crate::core::incident::{Incident, Remains};
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
    Incident(Box<Incident>),
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
    Held(Box<Remains>),
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

/// Tells an incident. `later`: ends of its container that are told right after it.
pub(super) fn tell(
    table: &mut PodTable,
    settling: &Settling,
    key: &str,
    mut incident: Box<Incident>,
    later: i64,
) -> Output {
    if let (Some(container), Some(restarts)) =
        (&incident.container, &mut incident.metadata.restarts)
    {
        let held = settling.held_ends(key, container).saturating_add(later);
        restarts.ended = table.counted(key, container, held);
    }
    table.touch(key);
    Output::Incident(incident)
}

/// Tells what was settled, in its order.
pub(super) fn emit(
    table: &mut PodTable,
    settling: &Settling,
    settled: Vec<Settled>,
    out: &mut Vec<Output>,
) {
    let mut settled = settled.into_iter();
    while let Some(Settled { key, incident, quiet }) = settled.next() {
        if let Some(quiet) = quiet {
            // The unseen ends that it would have told of wait for another incident.
            let unseen = incident.metadata.restarts.map_or(0, |restarts| restarts.unseen);
            let record = table.get(&key);
            let container = incident.container.as_deref().unwrap_or_default();
            if let Some(record) = record.and_then(|record| record.container(container)) {
                record.unseen = record.unseen.saturating_add(unseen);
            }
            table.touch(&key);
            out.push(Output::Quiet(quiet));
            continue;
        }
        let same = |s: &&Settled| s.key == key && s.incident.container == incident.container;
        let later = settled.as_slice().iter().filter(same).map(|s| s.incident.ends());
        let later = later.fold(0, i64::saturating_add);
        out.push(tell(table, settling, &key, incident, later));
    }
}
