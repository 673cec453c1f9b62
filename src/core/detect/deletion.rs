//! The deletion of a pod: where a rollout, a scale-down or a drain is made silent.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::detect::classify::may_be_a_stop;
use crate::core::wire;
use crate::limits::CLOCK_SKEW;

/// The deletion of a pod: a rollout, a scale-down, a drain. Whether it silences a termination, an episode of waiting
/// or a failure of the pod is decided here. SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV are reported all the same: they
/// are faults of the program.
///
/// The mirror of a static pod is deleted only after its containers terminated, so
/// `Pending::settle` (`settle.rs`) silences a static pod that is gone and whose events show a stop, unless the pod was
/// failing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// The earliest time at which the deletion was requested; `None` if it was not.
    requested: Option<Timestamp>,
    /// Whether an earlier object of the pod already showed the deletion.
    is_known_before: bool,
}

impl Deletion {
    /// Adds what an object of the pod shows. `is_new`: no earlier object of the pod was seen.
    ///
    /// `deletionTimestamp` is the time of the request plus the grace period (apiserver `registry/rest/delete.go`), and
    /// it is moved when the grace period is shortened. The kubelet's last deletion has a grace period of 0; if no
    /// earlier object was seen, the agent assumes that the pod's own grace period has passed.
    pub fn seen(self, pod: &wire::Pod<'_>, is_new: bool) -> Self {
        let requested = || {
            let at = pod.metadata.deletion_timestamp.time()?;
            let grace = match pod.metadata.deletion_grace_period_seconds {
                0 if is_new => pod.spec.termination_grace_period_seconds.unwrap_or(30),
                grace => grace,
            };
            at.saturating_sub(Duration::from_secs(grace.try_into().unwrap_or(0))).ok()
        };
        let requested = match (self.requested, requested()) {
            (Some(known), Some(requested)) => Some(known.min(requested)),
            (known, requested) => known.or(requested),
        };
        Self { requested, ..self }
    }

    /// Returns this deletion for the pod's next objects, which see it as already known.
    pub fn seen_before(self) -> Self {
        Self { is_known_before: self.requested.is_some(), ..self }
    }

    /// Returns true if the container terminated after the deletion was requested. The clocks of the node and of the API
    /// server may disagree, so if the agent already knew the deletion: also if it terminated very shortly before, or if
    /// the exit code may come from a stop.
    pub fn silences_termination(self, finished: Option<Timestamp>, exit_code: i32) -> bool {
        let requested = self.requested;
        let skew = if self.is_known_before { CLOCK_SKEW } else { Duration::ZERO };
        let is_after = |requested: Timestamp| {
            finished.is_none_or(|at| at.saturating_add(skew).is_ok_and(|at| at >= requested))
        };
        requested.is_some_and(is_after) || self.is_known_before && may_be_a_stop(exit_code)
    }

    /// Returns true if the deletion was requested. The kubelet then stops the pod for it, and no other reason is to come.
    pub fn is_requested(self) -> bool {
        self.requested.is_some()
    }

    /// Returns true if a container that waits does so in a pod that is being deleted.
    pub fn silences_waiting(self) -> bool {
        self.requested.is_some()
    }

    /// Returns true if the failure of the pod is the outcome of its deletion.
    pub fn silences_pod_failure(self) -> bool {
        self.is_known_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_silences_by_the_clocks_and_what_looks_like_a_stop_by_the_order() {
        let at = |second: i64| Some(Timestamp::from_second(1_800_000_000 + second).unwrap());
        let none = Deletion::default();
        let first = Deletion { requested: at(10), is_known_before: false };
        let later = first.seen_before();
        for (deletion, finished, exit_code, is_silenced) in [
            (none, at(20), 143, false),
            (none, None, 143, false),
            (first, at(9), 143, false),
            (first, at(10), 1, true),
            (first, None, 1, true),
            // The clocks of node and API server disagree.
            (later, at(9), 143, true),
            (later, at(9), 137, true),
            (later, at(7), 0, true),
            (later, at(8), 1, true),
            (later, at(7), 1, false),
        ] {
            let silenced = deletion.silences_termination(finished, exit_code);
            assert_eq!(silenced, is_silenced, "{deletion:?} {finished:?} {exit_code}");
        }
        let others = |d: Deletion| (d.silences_waiting(), d.silences_pod_failure());
        assert_eq!(others(none.seen_before()), (false, false));
        assert_eq!(others(first), (true, false));
        assert_eq!(others(later), (true, true));
    }
}
