//! Folds storms: many pods of one workload that the node refuses for the same reason, as when a DaemonSet creates its
//! pod again and again on a node without room for it.
//!
//! The first refusal is reported at once. Those that follow within ten minutes are reported together by the newest of
//! them, when the ten minutes are over or the agent terminates; its line carries their number. Then the next ten
//! minutes begin.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::core::Now;
use crate::core::case::{Case, IncidentType, Subject};
use crate::core::order::sort_by;
use crate::limits::{STORM_WITHIN, STORMS_MAX};

/// A workload whose pods are refused.
#[derive(Debug)]
struct Storm {
    /// Fingerprint of namespace, owner and reason; never 0.
    workload: u64,
    /// When the refusals since the last line are reported (monotonic).
    until: Duration,
    /// Refusals since the last line.
    refusals: u64,
    /// The newest of them, with the key of its pod.
    newest: Option<(Box<str>, Box<Case>)>,
}

/// A line about refusals that were folded.
#[derive(Debug)]
pub(super) struct Folded {
    /// Fingerprint of the workload.
    pub(super) workload: u64,
    /// The key of the pod.
    pub(super) key: Box<str>,
    pub(super) case: Box<Case>,
}

/// What happens to the case of a pod that failed.
#[derive(Debug)]
pub(super) enum Fold {
    /// It is reported at once.
    Report(Box<Case>),
    /// It waits, as a part of this workload's storm. `replaces`: an earlier refusal will have no line of its own.
    Wait { workload: u64, replaces: bool },
}

/// The workloads whose pods were refused within the last ten minutes.
#[derive(Debug, Default)]
pub(super) struct Storms {
    storms: Vec<Storm>,
}

impl Storms {
    /// Takes in the case of a pod that failed. `lines`: a line that has to be written early, for want of room.
    pub(super) fn take(
        &mut self,
        key: &str,
        case: Case,
        now: Now,
        lines: &mut Vec<Folded>,
    ) -> Fold {
        let Some(workload) = workload(&case) else {
            return Fold::Report(Box::new(case));
        };
        if let Some(storm) = self.storms.iter_mut().find(|storm| storm.workload == workload) {
            storm.refusals += 1;
            let replaced = storm.newest.replace((key.into(), Box::new(case)));
            return Fold::Wait { workload, replaces: replaced.is_some() };
        }
        if self.storms.len() >= STORMS_MAX {
            // The oldest is over first.
            lines.extend(self.storms.remove(0).line());
        }
        let until = now.monotonic + STORM_WITHIN;
        self.storms.push(Storm { workload, until, refusals: 0, newest: None });
        Fold::Report(Box::new(case))
    }

    /// Returns the lines that are due. A storm without refusals since its last line is over.
    pub(super) fn on_time(&mut self, now: Now, lines: &mut Vec<Folded>) {
        self.storms.retain_mut(|storm| {
            if storm.until > now.monotonic {
                return true;
            }
            storm.until = now.monotonic + STORM_WITHIN;
            let line = storm.line();
            let goes_on = line.is_some();
            lines.extend(line.map(|mut line| {
                line.case.detected_at = now.wall;
                line
            }));
            goes_on
        });
        // The one that is over first comes first.
        sort_by(&mut self.storms, |a, b| a.until.cmp(&b.until));
    }

    /// Returns the lines of all storms, because the agent terminates or a recording is over.
    pub(super) fn finish(&mut self, lines: &mut Vec<Folded>) {
        lines.extend(self.storms.drain(..).filter_map(|mut storm| storm.line()));
    }

    /// Returns when [`Storms::on_time`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.storms.iter().map(|storm| storm.until).min()
    }
}

impl Storm {
    /// Returns the line about the refusals since the last line.
    fn line(&mut self) -> Option<Folded> {
        let (key, mut case) = self.newest.take()?;
        if let Subject::Pod { repeats, .. } = &mut case.subject {
            *repeats = Some(self.refusals);
        }
        self.refusals = 0;
        Some(Folded { workload: self.workload, key, case })
    }
}

/// Returns a fingerprint of the workload whose pod was refused, and of the reason. `None`: the case is no refusal, or
/// nothing owns the pod. The node owns the mirrors of its static pods, which are different workloads.
fn workload(case: &Case) -> Option<u64> {
    let Subject::Pod { reason, .. } = &case.subject else {
        return None;
    };
    let owner = case.pod.owner.as_ref().filter(|owner| owner.kind != "Node")?;
    if case.kind != IncidentType::AdmissionRejected {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    (&case.pod.namespace, &owner.kind, &owner.name, reason).hash(&mut hasher);
    Some(hasher.finish().max(1))
}
