//! The outputs of the detection, and how a judged termination becomes an output.

use crate::core::case::{Case, IncidentId, IncidentType, InstanceRef, Part};
use crate::core::detect::classify::{Episode, Quiet};
use crate::core::detect::hang::Over;
use crate::core::detect::ledger::PodEntry;
use crate::core::detect::pods::PodTable;
use crate::core::detect::settle::{Outcome, Settled, Settling};
use crate::core::detect::storm::Folded;
use crate::core::detect::unseen;
use crate::core::roster::PodOnNode;
use crate::core::wire;

/// An output of the detection.
#[derive(Debug)]
pub enum Output {
    /// A pod runs for the first time.
    Started(PodName),
    /// A pod was deleted or has completed.
    Stopped(PodName),
    /// A crash or failure.
    Crash(Box<Case>),
    /// A termination that is not a crash.
    Quiet(Quiet),
    /// This number of terminations of a container could not be seen.
    Unseen(i64),
    /// A refusal of a pod that has no line of its own; the line of a later one counts it.
    Folded,
    /// A request for the pod's events. The answer goes to `Detector::on_events`.
    LookUp {
        /// The pod's namespace.
        namespace: Box<str>,
        /// The key for the answer; it is also the events' `involvedObject.uid`.
        key: Box<str>,
    },
    /// The table is full, the pod has more containers than are watched, or its names are longer than allowed.
    NoRoom(PodName),
    /// The pod's record for the next agent has changed. This output follows the incidents that the record counts.
    Kept(Box<PodEntry>),
    /// The next agent does not need the record of the pod with this key.
    Forgotten(Box<str>),
    /// The tables had no room for everything: the records for the next agent do not tell of all pods.
    Overfull,
    /// A pod is on the node, or its containers or addresses have changed.
    Placed(Box<PodOnNode>),
    /// The pod with this key is no longer on the node.
    Gone(Box<str>),
    /// A container terminated and its verdict follows later. What it left on the node must be read now.
    Held(Box<InstanceRef>),
}

impl Output {
    /// Returns the output of a case that needs no account of a container's terminations.
    pub(super) fn crash(case: Case) -> Self {
        Self::Crash(Box::new(case))
    }
}

/// A pod's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodName {
    /// The pod's namespace.
    pub namespace: Box<str>,
    /// The pod's name.
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

/// Reports a case. `later`: number of terminations of its container that are reported right after it.
pub(super) fn report(
    table: &mut PodTable,
    settling: &Settling,
    key: &str,
    mut case: Box<Case>,
    later: i64,
) -> Output {
    if let (Some(container), Some(mut restarts)) = (case.container_name(), case.restarts) {
        let held = settling.held_terminations(key, container).saturating_add(later);
        restarts.ended = table.counted(key, container, held);
        case.restarts = Some(restarts);
    }
    remember_end(table, key, &case);
    table.touch(key);
    Output::Crash(case)
}

/// Remembers the end of a container that the failure of its pod may explain later: one with an exit code of its own, or
/// one that waited in vain for the pod's phase. A SIGKILL may be an OOM kill as well, so it is not among them.
fn remember_end(table: &mut PodTable, key: &str, case: &Case) {
    let (Some(container), Some(end)) = (case.container_name(), case.termination()) else { return };
    let is_open = case.gaps.iter().any(|gap| gap.part == Part::Pod);
    let may_be_explained = end.signal.is_none() || is_open && case.kind != IncidentType::Killed;
    if may_be_explained
        && case.stopped_for.is_none()
        && let Some(record) = table.get(key).and_then(|pod| pod.container(container))
    {
        record.reported_end = case.id.short();
        record.is_end_open = is_open;
    }
}

/// Reports a case of unseen terminations. `later`: number of terminations of the container that are reported right
/// after it.
pub(super) fn report_unseen(
    table: &mut PodTable,
    settling: &Settling,
    key: &str,
    mut case: Case,
    later: i64,
) -> Output {
    if let (Some(container), Some(restarts)) = (case.container_name(), case.restarts) {
        let held = settling.held_terminations(key, container).saturating_add(later);
        let ended = table.counted(key, container, held).unwrap_or(restarts.total);
        case.id = IncidentId::of_unseen(key, container, ended);
    }
    report(table, settling, key, Box::new(case), later)
}

/// Reports the refusals that were folded into one line.
pub(super) fn report_folded(
    table: &mut PodTable,
    settling: &Settling,
    Folded { workload, key, case }: Folded,
    out: &mut Vec<Output>,
) {
    table.end_storm(workload);
    out.push(report(table, settling, &key, case, 0));
}

/// Reports an episode whose time is over, unless an earlier agent reported it.
pub(super) fn report_over(
    table: &mut PodTable,
    settling: &Settling,
    Over { key, case }: Over,
    out: &mut Vec<Output>,
) {
    let container = case.container_name();
    if case.kind == IncidentType::ConfigError {
        let record = table.get(&key).and_then(|pod| pod.container(container.unwrap_or_default()));
        record.map(|record| record.enter(Episode::ConfigError));
    }
    if !table.learn_episode(&key, container, case.id) {
        out.push(report(table, settling, &key, case, 0));
    }
}

/// Reports the settled terminations, in their order.
pub(super) fn emit(
    table: &mut PodTable,
    settling: &Settling,
    settled: Vec<Settled>,
    out: &mut Vec<Output>,
) {
    let mut settled = settled.into_iter();
    while let Some(Settled { key, outcome }) = settled.next() {
        let container = outcome.case().container_name();
        let later = settled
            .as_slice()
            .iter()
            .filter(|other| other.key == key && other.outcome.case().container_name() == container);
        let later = later.map(|other| other.outcome.case().terminations());
        let later = later.fold(0, i64::saturating_add);
        match outcome {
            Outcome::Quiet(quiet, case) => {
                table.touch(&key);
                out.push(Output::Quiet(quiet));
                // This case would have reported some unseen terminations. They get a line of their own.
                if let Some(case) = unseen::left_by(&case) {
                    out.push(report_unseen(table, settling, &key, case, later));
                }
            }
            Outcome::PodFailed(verdict, stop, case) => {
                out.push(Output::Quiet(Quiet::PodFailure));
                if let Some(unseen) = unseen::left_by(&case) {
                    out.push(report_unseen(table, settling, &key, unseen, later));
                }
                let case = Box::new(case.into_pod_failure(verdict, stop));
                let is_first = table.learn_pod_failure(&key, case.id);
                table.touch(&key);
                if is_first {
                    out.push(report(table, settling, &key, case, 0));
                }
            }
            Outcome::Report(case) => out.push(report(table, settling, &key, case, later)),
        }
    }
}
