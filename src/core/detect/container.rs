//! The containers of a pod, as the API shows them.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::case::ContainerKind;
use crate::core::wire;
use crate::limits::{CONTAINERS_PER_POD_MAX, GRACE_MAX};

/// One container of a pod as the API shows it.
#[derive(Clone, Copy, Debug)]
pub struct Container<'p, 'a> {
    /// The place of the container among those that [`containers`] gives.
    pub index: usize,
    /// The list of the pod's spec that names the container.
    pub kind: ContainerKind,
    /// What the kubelet says.
    pub status: &'p wire::ContainerStatus<'a>,
    /// What was asked for.
    pub spec: Option<&'p wire::ContainerSpec<'a>>,
    pod_policy: &'p str,
}

impl<'p> Container<'p, '_> {
    /// Its own restart policy, or the pod's.
    pub fn restart_policy(&self) -> &'p str {
        self.spec.and_then(|s| s.restart_policy.some()).unwrap_or(self.pod_policy)
    }

    /// Whether the kubelet restarts it whatever its exit code.
    pub fn restarts_always(&self) -> bool {
        self.restart_policy() == "Always"
    }

    /// The longest period of its liveness and startup probes; `None`: it has none.
    pub(super) fn probe_period(&self) -> Option<Duration> {
        let spec = self.spec?;
        let probes = [spec.liveness_probe, spec.startup_probe];
        probes.into_iter().flatten().map(|p| seconds(p.period_seconds)).max()
    }

    /// The longest time between SIGTERM and SIGKILL that may have been given to it.
    pub(super) fn grace(&self, pod_grace: Option<i64>) -> Duration {
        let probes = self.spec.into_iter().flat_map(|s| [s.liveness_probe, s.startup_probe]);
        let probes = probes.flatten().filter_map(|p| p.termination_grace_period_seconds);
        probes.chain(pod_grace.or(Some(30))).map(seconds).max().unwrap_or_default()
    }

    /// Whether a probe or a hook may end it.
    pub(super) fn has_probe_or_hook(&self) -> bool {
        self.probe_period().is_some() || self.spec.is_some_and(|s| s.lifecycle.post_start.is_some())
    }
}

fn seconds(n: i64) -> Duration {
    Duration::from_secs(n.try_into().unwrap_or(0)).min(GRACE_MAX)
}

/// All containers of a pod that have a status: init containers and sidecars first.
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
    // Ephemeral containers have neither probes nor resources nor restarts: no need of their spec.
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

/// Whether the pod has more containers than [`containers`] gives.
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

/// When a terminated record's process began: the epoch means never (containerd, StartError).
pub(super) fn started(end: &wire::Terminated<'_>) -> Option<Timestamp> {
    end.started_at.time().filter(|at| *at > Timestamp::UNIX_EPOCH)
}
