//! The containers of a pod, as the API shows them.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::case::{ContainerKind, ProbeTimes, Probes};
use crate::core::detect::classify;
use crate::core::wire;
use crate::limits::{CONTAINERS_PER_POD_MAX, GRACE_MAX};

/// One container of a pod as the API shows it.
#[derive(Clone, Copy, Debug)]
pub struct Container<'p, 'a> {
    /// The list of the pod's spec that names the container.
    pub kind: ContainerKind,
    /// The container's status, which the kubelet reports.
    pub status: &'p wire::ContainerStatus<'a>,
    /// The container's spec.
    pub spec: Option<&'p wire::ContainerSpec<'a>>,
    pod_policy: &'p str,
}

impl<'p> Container<'p, '_> {
    /// Returns the container's own restart policy, or else the pod's.
    pub fn restart_policy(&self) -> &'p str {
        self.spec.and_then(|s| s.restart_policy.some()).unwrap_or(self.pod_policy)
    }

    /// Returns true if the kubelet restarts the container after this exit code. The container's rules come first, then
    /// its policy (kubelet `kuberuntime_container.go`, `shouldRestart`; KEP-5307).
    pub fn restarts(&self, exit_code: i32) -> bool {
        let rules = self.spec.into_iter().flat_map(|spec| spec.restart_policy_rules.iter());
        let matches = |rule: &&wire::RestartRule<'_>| {
            let is_listed = rule.exit_codes.values.contains(&exit_code);
            match &*rule.exit_codes.operator {
                "In" => is_listed,
                "NotIn" => !is_listed,
                _ => false,
            }
        };
        if let Some(rule) = rules.into_iter().find(matches) {
            return rule.action.starts_with("Restart");
        }
        match self.restart_policy() {
            "Never" => false,
            "OnFailure" => exit_code != 0,
            _ => true,
        }
    }

    /// Returns true for exit codes that a stop by the kubelet may cause: the usual ones, and death by the container's
    /// own stop signal (KEP-4960).
    pub(super) fn may_be_a_stop(&self, exit_code: i32) -> bool {
        let signal = self.spec.and_then(|spec| spec.lifecycle.stop_signal.some());
        classify::may_be_a_stop(exit_code)
            || signal.and_then(classify::signal_number).is_some_and(|n| exit_code == 128 + n)
    }

    /// Returns the container's probes whose failure stops it.
    pub(super) fn probes(&self, pod_grace: Option<i64>) -> Probes {
        let times = |probe: wire::Probe| ProbeTimes {
            period: seconds(probe.period_seconds),
            threshold: probe.failure_threshold.unwrap_or(1).max(1),
            grace: seconds(probe.termination_grace_period_seconds.or(pod_grace).unwrap_or(30)),
        };
        let spec = self.spec;
        Probes {
            liveness: spec.and_then(|spec| spec.liveness_probe).map(times),
            startup: spec.and_then(|spec| spec.startup_probe).map(times),
        }
    }

    /// Returns the longest time that the container may have been given between SIGTERM and SIGKILL.
    pub(super) fn grace(&self, pod_grace: Option<i64>) -> Duration {
        let Probes { liveness, startup } = self.probes(pod_grace);
        let probes = [liveness, startup].into_iter().flatten().map(|probe| probe.grace);
        probes.max().unwrap_or_default().max(seconds(pod_grace.unwrap_or(30)))
    }

    /// Returns true if the container has a probe whose failure stops it.
    pub(super) fn has_probe(&self) -> bool {
        self.spec.is_some_and(|s| s.liveness_probe.is_some() || s.startup_probe.is_some())
    }

    /// Returns true if a failed probe or hook may terminate the container.
    pub(super) fn has_probe_or_hook(&self) -> bool {
        self.has_probe() || self.spec.is_some_and(|s| s.lifecycle.post_start.is_some())
    }
}

impl Container<'_, '_> {
    /// Returns true if the kubelet reports a failed postStart hook for this instance.
    pub(super) fn hook_failed(&self, container_id: Option<&str>) -> bool {
        let status = self.status;
        let waits =
            status.state.waiting.as_ref().is_some_and(|w| &*w.reason == "PostStartHookError");
        let last = status.last_state.terminated.as_ref();
        waits && last.is_some_and(|t| Some(&*t.container_id) == container_id)
    }

    /// Returns true if the kubelet reports that this instance could not be started. The record of CRI-O has the reason
    /// Error: it shows the failed start by an exit code that no process has, and by an end in the second of the start.
    /// False for an instance that ran.
    pub(super) fn start_failed(&self, end: &wire::Terminated<'_>) -> bool {
        if end.exit_code == -1 && started(end).is_some() && started(end) == finished(end) {
            return true;
        }
        let status = self.status;
        let waits =
            status.state.waiting.as_ref().is_some_and(|w| &*w.reason == "RunContainerError");
        let last = status.last_state.terminated.as_ref();
        let is_last = last.is_some_and(|l| *l.container_id == *end.container_id);
        waits && is_last && *status.container_id == *end.container_id && !ran(end)
    }
}

/// Returns true if the record shows that the process ran.
pub(super) fn ran(end: &wire::Terminated<'_>) -> bool {
    started(end).is_some_and(|at| finished(end) > Some(at))
}

/// Returns when the process of a terminated record ended. Where CRI-O does not know it, it writes a time in 1754 (cri-o
/// `server/container_status.go`: the nanoseconds of Go's zero time).
pub(super) fn finished(end: &wire::Terminated<'_>) -> Option<Timestamp> {
    end.finished_at.time().filter(|at| *at > Timestamp::UNIX_EPOCH)
}

fn seconds(n: i64) -> Duration {
    Duration::from_secs(n.try_into().unwrap_or(0)).min(GRACE_MAX)
}

/// Returns the containers of a pod that have a status, at most [`CONTAINERS_PER_POD_MAX`] of each list: init containers
/// and sidecars first.
pub(super) fn containers<'p, 'a>(
    pod: &'p wire::Pod<'a>,
) -> impl Iterator<Item = Container<'p, 'a>> {
    let pod_policy = pod.spec.restart_policy.some().unwrap_or("Always");
    let init = first(&pod.status.init_container_statuses).map(move |status| {
        let spec = named(&pod.spec.init_containers, &status.name);
        let sidecar = spec.is_some_and(|s| &*s.restart_policy == "Always");
        let kind = if sidecar { ContainerKind::Sidecar } else { ContainerKind::Init };
        Container { kind, status, spec, pod_policy }
    });
    let app = first(&pod.status.container_statuses).map(move |status| {
        let spec = named(&pod.spec.containers, &status.name);
        Container { kind: ContainerKind::App, status, spec, pod_policy }
    });
    // Ephemeral containers have no probes, resources or restarts, so their spec is not needed.
    let ephemeral = first(&pod.status.ephemeral_container_statuses).map(move |status| Container {
        kind: ContainerKind::Ephemeral,
        status,
        spec: None,
        pod_policy: "Never",
    });
    init.chain(app).chain(ephemeral)
}

/// Returns true if the pod has more containers than [`containers`] returns.
pub(super) fn has_more_containers(pod: &wire::Pod<'_>) -> bool {
    let status = &pod.status;
    let lists = [
        &status.init_container_statuses,
        &status.container_statuses,
        &status.ephemeral_container_statuses,
    ];
    lists.iter().any(|list| list.len() > CONTAINERS_PER_POD_MAX)
}

fn first<T>(list: &[T]) -> impl Iterator<Item = &T> {
    list.iter().take(CONTAINERS_PER_POD_MAX)
}

fn named<'p, 'a>(
    specs: &'p [wire::ContainerSpec<'a>],
    name: &str,
) -> Option<&'p wire::ContainerSpec<'a>> {
    specs.iter().find(|spec| &*spec.name == name)
}

/// Returns when the process of a terminated record started. A start at the epoch means that it never ran (containerd,
/// StartError).
pub(super) fn started(end: &wire::Terminated<'_>) -> Option<Timestamp> {
    end.started_at.time().filter(|at| *at > Timestamp::UNIX_EPOCH)
}

/// Returns true if a sidecar of a pod that is over ended then, or may have: not before the last of the main containers, as
/// far as their ends are shown. The kubelet stops the sidecars after those.
pub(super) fn is_after_the_mains(pod: &wire::Pod<'_>, ended: Option<Timestamp>) -> bool {
    let mains = containers(pod).filter(|c| c.kind == ContainerKind::App);
    let ends = mains.filter_map(|main| main.status.state.terminated.as_ref());
    let last = ends.filter_map(finished).max();
    last.is_none_or(|last| ended.is_none_or(|at| at >= last))
}

/// Returns when the last of the pod's main containers was done, if all are done and none is restarted.
pub(super) fn mains_done(pod: &wire::Pod<'_>) -> Option<Timestamp> {
    let mains: Vec<_> = containers(pod).filter(|c| c.kind == ContainerKind::App).collect();
    if mains.is_empty() || mains.len() < pod.spec.containers.len() {
        return None;
    }
    let mut last = Timestamp::MIN;
    for main in mains {
        let end = main.status.state.terminated.as_ref()?;
        let is_done = !main.restarts(end.exit_code);
        last = last.max(finished(end).filter(|_| is_done)?);
    }
    Some(last)
}
