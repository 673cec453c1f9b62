//! The containers of a pod, as the API shows them.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::case::ContainerKind;
use crate::core::wire;
use crate::limits::{CONTAINERS_PER_POD_MAX, GRACE_MAX};

/// One container of a pod as the API shows it.
#[derive(Clone, Copy, Debug)]
pub struct Container<'p, 'a> {
    /// The index of the container in what [`containers`] returns.
    pub index: usize,
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

    /// Returns true if the kubelet restarts the container whatever its exit code.
    pub fn restarts_always(&self) -> bool {
        self.restart_policy() == "Always"
    }

    /// Returns the longest period of the container's liveness and startup probes; `None` if it has none.
    pub(super) fn probe_period(&self) -> Option<Duration> {
        let spec = self.spec?;
        let probes = [spec.liveness_probe, spec.startup_probe];
        probes.into_iter().flatten().map(|p| seconds(p.period_seconds)).max()
    }

    /// Returns the longest time that the container may have been given between SIGTERM and SIGKILL.
    pub(super) fn grace(&self, pod_grace: Option<i64>) -> Duration {
        let probes = self.spec.into_iter().flat_map(|s| [s.liveness_probe, s.startup_probe]);
        let probes = probes.flatten().filter_map(|p| p.termination_grace_period_seconds);
        probes.chain(pod_grace.or(Some(30))).map(seconds).max().unwrap_or_default()
    }

    /// Returns true if a failed probe or hook may terminate the container.
    pub(super) fn has_probe_or_hook(&self) -> bool {
        self.probe_period().is_some() || self.spec.is_some_and(|s| s.lifecycle.post_start.is_some())
    }
}

fn seconds(n: i64) -> Duration {
    Duration::from_secs(n.try_into().unwrap_or(0)).min(GRACE_MAX)
}

/// Returns all containers of a pod that have a status: init containers and sidecars first.
pub(super) fn containers<'p, 'a>(
    pod: &'p wire::Pod<'a>,
) -> impl Iterator<Item = Container<'p, 'a>> {
    let pod_policy = pod.spec.restart_policy.some().unwrap_or("Always");
    let init = pod.status.init_container_statuses.iter().map(move |status| {
        let spec = named(&pod.spec.init_containers, &status.name);
        let sidecar = spec.is_some_and(|s| &*s.restart_policy == "Always");
        let kind = if sidecar { ContainerKind::Sidecar } else { ContainerKind::Init };
        Container { index: 0, kind, status, spec, pod_policy }
    });
    let app = pod.status.container_statuses.iter().map(move |status| {
        let spec = named(&pod.spec.containers, &status.name);
        Container { index: 0, kind: ContainerKind::App, status, spec, pod_policy }
    });
    // Ephemeral containers have no probes, resources or restarts, so their spec is not needed.
    let ephemeral = pod.status.ephemeral_container_statuses.iter().map(move |status| Container {
        index: 0,
        kind: ContainerKind::Ephemeral,
        status,
        spec: None,
        pod_policy: "Never",
    });
    let all = init.chain(app).chain(ephemeral).take(CONTAINERS_PER_POD_MAX);
    all.enumerate().map(|(index, container)| Container { index, ..container })
}

/// Returns true if the pod has more containers than [`containers`] returns.
pub(super) fn has_more_containers(pod: &wire::Pod<'_>) -> bool {
    let status = &pod.status;
    let main = status.init_container_statuses.len() + status.container_statuses.len();
    main + status.ephemeral_container_statuses.len() > CONTAINERS_PER_POD_MAX
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
