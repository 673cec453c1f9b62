//! Decides when and which containers are sampled, and what is kept of them.

use std::collections::HashMap;
use std::time::Duration;

use jiff::SignedDuration;

use crate::core::Now;
use crate::core::case::ContainerId;
use crate::core::cgroup::sample::columns;
use crate::core::ring::Columns;
use crate::limits::{
    CGROUP_SCAN_PAUSE, CONTAINERS_PER_POD_MAX, FAST_CONTAINERS_MAX, FAST_INTERVAL_MIN,
    FAST_SAMPLES_PER_INTERVAL, OOM_RISES_RECENT, PODS_MAX, RECORDED_CONTAINERS_MAX, RECORDS_KEPT,
    WINDOW_SAMPLES_MAX,
};
use crate::node::cgroup::hierarchy::CgroupVersion;
use crate::node::cgroup::record::{ContainerRecord, OomKill, PodRecord};
use crate::node::cgroup::tree::{CgroupTree, ScanReport};

/// A pod that is to be sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedPod {
    /// The UID in the name of the pod's directory: for a static pod, the `kubernetes.io/config.hash`.
    pub uid: Box<str>,
    /// IDs of its containers. IDs of terminated containers do no harm: after a few scans that do not find a
    /// container, the search for it stops.
    pub container_ids: Vec<ContainerId>,
}

/// The data about a container that an incident shows.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerHistory {
    /// The container's samples.
    pub samples: Columns,
    /// The lower of the container's limit and the pod's.
    pub limit_bytes: Option<u64>,
    /// Highest memory use since the container started, as the kernel counts it. It equals the limit if the
    /// limit was reached.
    pub peak_bytes: Option<u64>,
    /// Number of its processes that an OOM killer killed recently ([`OOM_RISES_RECENT`]); a lower bound.
    pub oom_kills: u64,
    /// The same number for the whole pod.
    pub pod_oom_kills: u64,
    /// True if no kill can have been missed, so that a count of 0 is evidence against an OOM kill. False once
    /// the directory that counts is gone: in version 2 the pod's, in version 1 the container's.
    pub is_oom_count_whole: bool,
}

/// Samples the containers of the wanted pods, and keeps the samples for incidents.
#[derive(Debug)]
pub struct ContainerRecorder {
    tree: CgroupTree,
    interval: Duration,
    samples_max: usize,
    pods: HashMap<Box<str>, PodRecord>,
    /// Pods and containers in the fast phase.
    fast: Vec<(Box<str>, Box<str>)>,
    regular_due: Duration,
    fast_due: Duration,
    scanned_at: Option<Duration>,
    last_scan: ScanReport,
    left_out: usize,
}

impl ContainerRecorder {
    /// Creates a recorder that samples every `interval` and keeps the samples of a `window`.
    pub fn new(tree: CgroupTree, interval: Duration, window: Duration) -> Self {
        let samples = window.as_millis() / interval.as_millis().max(1);
        let samples = usize::try_from(samples).unwrap_or(usize::MAX);
        Self {
            tree,
            interval,
            samples_max: samples.clamp(1, WINDOW_SAMPLES_MAX as usize),
            pods: HashMap::new(),
            fast: Vec::new(),
            regular_due: Duration::ZERO,
            fast_due: Duration::ZERO,
            scanned_at: None,
            last_scan: ScanReport::default(),
            left_out: 0,
        }
    }

    /// Takes the samples that are due at `now` (monotonic) and returns the OOM kills since the last report.
    /// Between regular samples it reads only the containers near their limit, and ignores `wanted`.
    pub fn sample(&mut self, now: Duration, wanted: &[WantedPod]) -> Vec<OomKill> {
        if now < self.regular_due {
            return if now < self.fast_due { Vec::new() } else { self.sample_fast(now) };
        }
        self.take_wanted(now, wanted);
        self.forget_old(now);
        self.scan_when_missing(now);
        let mut kills = Vec::new();
        for pod in self.pods.values_mut().filter(|pod| pod.unwanted_since.is_none()) {
            kills.extend(pod.sample(now, &mut self.tree, false));
        }
        self.choose_fast();
        self.regular_due = now + self.interval;
        self.fast_due = now + self.fast_interval();
        kills
    }

    /// Returns the time until the next sample is due: the interval, or a tenth of it (but at least
    /// [`FAST_INTERVAL_MIN`]) while a container is near its limit.
    pub fn next_sample_in(&self, now: Duration) -> Duration {
        let due = match self.fast.is_empty() {
            true => self.regular_due,
            false => self.regular_due.min(self.fast_due),
        };
        due.saturating_sub(now)
    }

    /// Samples one pod now, because one of its containers has terminated: the last sample may be an interval
    /// old, and in version 2 the pod's counter outlives its containers. The returned kills are not reported again.
    pub fn check_pod(&mut self, now: Duration, pod_uid: &str) -> Vec<OomKill> {
        let Some(pod) = self.pods.get_mut(pod_uid) else { return Vec::new() };
        let kills = pod.sample(now, &mut self.tree, true);
        let is_fast =
            |id: &str| self.fast.iter().any(|(uid, fast)| **uid == *pod_uid && **fast == *id);
        for container in pod.containers.iter_mut().filter(|container| !is_fast(&container.id)) {
            container.slow_down();
        }
        kills
    }

    /// Returns the data about a container. `None`: the container was never sampled, or disappeared longer ago
    /// than [`RECORDS_KEPT`].
    pub fn history(&self, pod_uid: &str, id: &ContainerId, now: Now) -> Option<ContainerHistory> {
        let pod = self.pods.get(pod_uid)?;
        let container = pod.containers.iter().find(|container| *container.id == *id.as_str())?;
        let samples = container.samples(now.monotonic);
        let age = SignedDuration::try_from(samples.last()?.age(now.monotonic)).ok()?;
        let ends_at = now.wall.checked_sub(age).unwrap_or(now.wall);
        Some(ContainerHistory {
            samples: columns(samples, self.interval, ends_at),
            limit_bytes: lowest(container.limit_bytes, pod.limit_bytes),
            peak_bytes: container.peak_bytes,
            oom_kills: container.oom.recent(now.monotonic, OOM_RISES_RECENT),
            pod_oom_kills: pod.recent_kills(now.monotonic, OOM_RISES_RECENT),
            is_oom_count_whole: self.is_oom_count_whole(pod_uid, pod, container),
        })
    }

    /// Returns how many kills by an OOM killer were reported for a pod in the time `within` before `now`
    /// (monotonic); a lower bound. Used for a container that started and terminated between two samples.
    pub fn pod_oom_kills(&self, pod_uid: &str, now: Duration, within: Duration) -> u64 {
        self.pods.get(pod_uid).map_or(0, |pod| pod.recent_kills(now, within))
    }

    /// Returns the number of containers that have a record.
    pub fn recorded(&self) -> usize {
        self.pods.values().map(|pod| pod.containers.len()).sum()
    }

    /// Returns the number of pods and containers for which the last regular sample had no room.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Returns the report of the last scan.
    pub fn last_scan(&self) -> ScanReport {
        self.last_scan
    }

    fn is_oom_count_whole(
        &self,
        pod_uid: &str,
        pod: &PodRecord,
        container: &ContainerRecord,
    ) -> bool {
        match self.tree.version() {
            Some(CgroupVersion::V2) => pod.oom.is_known() && self.tree.has_pod(pod_uid),
            Some(CgroupVersion::V1) => container.oom.is_known() && container.gone_since.is_none(),
            None => false,
        }
    }

    fn fast_interval(&self) -> Duration {
        (self.interval / FAST_SAMPLES_PER_INTERVAL).max(FAST_INTERVAL_MIN).min(self.interval)
    }

    fn sample_fast(&mut self, now: Duration) -> Vec<OomKill> {
        self.fast_due = now + self.fast_interval();
        let mut kills = Vec::new();
        for (uid, id) in &self.fast {
            if let Some(pod) = self.pods.get_mut(uid) {
                pod.sample_fast(now, &mut self.tree, id);
                kills.extend(pod.count_kills(now, &mut self.tree));
            }
        }
        let pods = &self.pods;
        self.fast.retain(|(uid, id)| {
            let mut containers = pods.get(uid).into_iter().flat_map(|pod| &pod.containers);
            containers.any(|container| container.id == *id && container.gone_since.is_none())
        });
        kills
    }

    fn choose_fast(&mut self) {
        let mut near: Vec<_> = self
            .pods
            .iter()
            .filter(|(_, pod)| pod.unwanted_since.is_none())
            .flat_map(|(uid, pod)| {
                pod.near_limit().map(move |(permille, c)| (permille, uid, &c.id))
            })
            .collect();
        near.sort_by(|a, b| b.cmp(a));
        near.truncate(FAST_CONTAINERS_MAX);
        let chosen = near.into_iter().map(|(_, uid, id)| (uid.clone(), id.clone())).collect();
        for (uid, id) in std::mem::replace(&mut self.fast, chosen) {
            let is_chosen = self.fast.iter().any(|(_, fast)| *fast == id);
            let container = self.pods.get_mut(&uid).and_then(|pod| pod.container(&id));
            if let Some(container) = container.filter(|_| !is_chosen) {
                container.slow_down();
            }
        }
    }

    /// Flags the wanted pods and containers, and makes room for new ones.
    fn take_wanted(&mut self, now: Duration, wanted: &[WantedPod]) {
        for pod in self.pods.values_mut() {
            pod.unwanted_since = pod.unwanted_since.or(Some(now));
            pod.containers.iter_mut().for_each(|container| container.is_wanted = false);
        }
        self.left_out = 0;
        let mut new = Vec::new();
        for pod in wanted {
            if !self.has_room_for(&pod.uid) {
                self.left_out += 1;
                continue;
            }
            let record =
                self.pods.entry(pod.uid.clone()).or_insert_with(|| PodRecord::new(&pod.uid));
            record.unwanted_since = None;
            for id in pod.container_ids.iter().map(ContainerId::as_str) {
                match record.container(id) {
                    Some(container) => container.is_wanted = true,
                    None => new.push((&*pod.uid, id)),
                }
            }
        }
        for (uid, id) in new {
            self.add_container(uid, id);
        }
    }

    fn has_room_for(&mut self, pod_uid: &str) -> bool {
        if self.pods.len() >= PODS_MAX && !self.pods.contains_key(pod_uid) {
            let unwanted =
                self.pods.iter().filter_map(|(uid, pod)| Some((pod.unwanted_since?, uid)));
            let Some((_, uid)) = unwanted.min() else { return false };
            let uid = uid.clone();
            self.pods.remove(&uid);
        }
        true
    }

    fn add_container(&mut self, pod_uid: &str, id: &str) {
        if self.recorded() >= RECORDED_CONTAINERS_MAX {
            self.forget_oldest();
        }
        let has_room = self.recorded() < RECORDED_CONTAINERS_MAX;
        let Some(pod) = self.pods.get_mut(pod_uid) else { return };
        if pod.container(id).is_some() {
            // The ID was listed twice.
        } else if has_room && pod.containers.len() < CONTAINERS_PER_POD_MAX {
            pod.add(id, self.samples_max);
        } else {
            self.left_out += 1;
        }
    }

    /// Forgets the container that disappeared first, among those that are gone and not wanted.
    fn forget_oldest(&mut self) {
        let gone = self.pods.values_mut().flat_map(|pod| {
            let gone = |c: &ContainerRecord| c.gone_since.filter(|_| !c.is_wanted);
            let oldest = pod.containers.iter().enumerate().filter_map(|(n, c)| Some((gone(c)?, n)));
            oldest.min().map(|(since, n)| (since, n, pod))
        });
        if let Some((_, n, pod)) = gone.min_by_key(|(since, ..)| *since) {
            pod.containers.remove(n);
        }
    }

    /// Forgets pods and containers that disappeared longer ago than [`RECORDS_KEPT`].
    fn forget_old(&mut self, now: Duration) {
        let is_old = |since: Duration| now.saturating_sub(since) >= RECORDS_KEPT;
        let tree = &self.tree;
        self.pods.retain(|_, pod| {
            let is_pod_wanted = pod.unwanted_since.is_none();
            pod.containers.retain_mut(|container| {
                let is_there = is_pod_wanted && tree.has_container(&container.id);
                container.gone_since = match container.gone_since {
                    // The pod was not wanted for a while, and is wanted again.
                    Some(_) if is_there && container.is_wanted => None,
                    None if !is_there && !container.is_wanted => Some(now),
                    since => since,
                };
                let is_over = container.gone_since.is_some_and(is_old);
                if is_over && container.is_wanted {
                    // The empty record stays; without it the container would be searched for again.
                    container.empty();
                }
                !is_over || container.is_wanted
            });
            !pod.containers.is_empty() || !pod.unwanted_since.is_some_and(is_old)
        });
    }

    fn scan_when_missing(&mut self, now: Duration) {
        let is_pausing =
            self.scanned_at.is_some_and(|at| now.saturating_sub(at) < CGROUP_SCAN_PAUSE);
        if is_pausing || !self.pods.values().any(|pod| pod.is_missing(&self.tree)) {
            return;
        }
        let pods = &self.pods;
        let is_wanted = |uid: &str| pods.get(uid).is_some_and(|pod| pod.unwanted_since.is_none());
        self.last_scan = self.tree.scan(is_wanted);
        self.scanned_at = Some(now);
        for pod in self.pods.values_mut() {
            pod.note_scan(&self.tree);
        }
    }
}

fn lowest(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}
