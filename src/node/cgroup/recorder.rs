//! Decides when and which containers are sampled, and what is kept of them.

use std::collections::HashMap;
use std::time::Duration;

use jiff::SignedDuration;

use crate::core::Now;
use crate::core::case::ContainerId;
use crate::core::cgroup::sample::{ContainerSample, columns};
use crate::core::order::sort_by;
use crate::core::ring::Columns;
use crate::limits::{
    CGROUP_SCAN_PAUSE, CONTAINERS_PER_POD_MAX, FAST_CONTAINERS_MAX, FAST_INTERVAL_MIN,
    FAST_SAMPLES_PER_INTERVAL, OOM_RISES_RECENT, PODS_MAX, RECORDED_CONTAINERS_MAX, RECORDS_KEPT,
    UNKNOWN_PODS_MAX, WINDOW_SAMPLES_MAX,
};
use crate::node::cgroup::hierarchy::CgroupVersion;
use crate::node::cgroup::record::{ContainerRecord, OomKill, OomSpan, PodRecord};
use crate::node::cgroup::tree::{CgroupTree, FoundContainer, ScanReport};

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

/// The OOM kills that may have ended a container instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomKills {
    /// Number of processes that were killed in the instance's own control group; a lower bound.
    pub own: u64,
    /// Number of processes of its pod that were killed in a control group that no record covers: its own, or that of
    /// another container of the pod. A lower bound.
    pub unnamed: u64,
    /// Number of processes of its pod that were killed before the agent knew the pod, if the time ends before that: in
    /// any control group but those of the containers that ran then.
    pub before: u64,
    /// True if no kill can have been missed.
    pub is_whole: bool,
}

/// A container that matters more than others, with its newest sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foremost {
    /// The UID of its pod, as in [`WantedPod`].
    pub pod_uid: Box<str>,
    /// Its ID, without the runtime's name.
    pub container_id: Box<str>,
    /// The lower of its limit and the pod's.
    pub limit_bytes: Option<u64>,
    /// Its newest sample.
    pub sample: ContainerSample,
}

/// Samples the containers of the wanted pods, and of those that the API does not show yet, and keeps the samples for incidents.
#[derive(Debug)]
pub struct ContainerRecorder {
    tree: CgroupTree,
    interval: Duration,
    samples_max: usize,
    pods: HashMap<Box<str>, PodRecord>,
    /// Kills for the next report.
    unreported: Vec<OomKill>,
    /// Pods and containers in the fast phase.
    fast: Vec<(Box<str>, Box<str>)>,
    regular_due: Duration,
    fast_due: Duration,
    is_scanned: bool,
    /// When a missing directory was last searched for.
    scanned_at: Option<Duration>,
    /// When the first scan was done.
    since: Option<Duration>,
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
            unreported: Vec::new(),
            fast: Vec::new(),
            regular_due: Duration::ZERO,
            fast_due: Duration::ZERO,
            is_scanned: false,
            scanned_at: None,
            since: None,
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
        self.find(now);
        let mut kills = std::mem::take(&mut self.unreported);
        let is_read = |pod: &&mut PodRecord| pod.unwanted_since.is_none() || pod.is_unknown;
        for pod in self.pods.values_mut().filter(is_read) {
            kills.extend(pod.sample(now, &mut self.tree, false));
            pod.containers.retain(|container| !container.is_sandbox());
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
        self.find_pod(pod_uid);
        let Some(pod) = self.pods.get_mut(pod_uid) else { return Vec::new() };
        let kills = pod.sample(now, &mut self.tree, true);
        let is_fast =
            |id: &str| self.fast.iter().any(|(uid, fast)| **uid == *pod_uid && **fast == *id);
        for container in pod.containers.iter_mut().filter(|container| !is_fast(&container.id)) {
            container.slow_down();
        }
        kills
    }

    /// Finds the directory of a pod that is younger than the last regular sample. Its container may have lived for less
    /// than that, and only the pod's counter can tell how it ended.
    fn find_pod(&mut self, pod_uid: &str) {
        if !self.is_scanned || self.tree.has_pod(pod_uid) || !self.has_room_for(pod_uid) {
            return;
        }
        self.pods.entry(pod_uid.into()).or_insert_with(|| PodRecord::new(pod_uid));
        let pods = &self.pods;
        self.tree.look(|uid| pods.get(uid).is_some_and(|pod| pod.unwanted_since.is_none()));
        for FoundContainer { pod_uid, container_id } in self.tree.take_found() {
            self.add_container(&pod_uid, &container_id, false);
        }
    }

    /// Adds kills that [`ContainerRecorder::check_pod`] returned to the next report.
    pub fn report_later(&mut self, kills: impl Iterator<Item = OomKill>) {
        let room = RECORDED_CONTAINERS_MAX.saturating_sub(self.unreported.len());
        self.unreported.extend(kills.take(room));
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

    /// Returns the OOM kills that may have ended an instance in this time. `None` for its ID: it has none.
    pub fn oom_kills(&self, pod_uid: &str, id: Option<&ContainerId>, span: OomSpan) -> OomKills {
        let Some(pod) = self.pods.get(pod_uid) else { return OomKills::default() };
        let container = id.and_then(|id| pod.containers.iter().find(|c| *c.id == *id.as_str()));
        let is_whole = match container {
            Some(container) => self.is_oom_count_whole(pod_uid, pod, container),
            None => {
                let is_v2 = self.tree.version() == Some(CgroupVersion::V2);
                let is_counted = pod.is_counted(span.until) && !pod.has_guessed(span);
                is_v2 && self.tree.has_pod(pod_uid) && is_counted
            }
        };
        OomKills {
            // The counter of an instance ends with it, so every rise is before its end.
            own: container.map_or(0, |container| container.oom.since(span.since)),
            unnamed: pod.unnamed_kills(span),
            before: pod.kills_before(span.until),
            is_whole,
        }
    }

    /// Returns since when (monotonic) a container that is still there has been sampled.
    pub fn sampled_since(&self, pod_uid: &str, id: &ContainerId) -> Option<Duration> {
        let pod = self.pods.get(pod_uid)?;
        let container = pod.containers.iter().find(|container| *container.id == *id.as_str())?;
        container.sampled_since.filter(|_| container.gone_since.is_none())
    }

    /// Returns true if a container still runs: its control group has processes, and the first of them is the one that
    /// was the first before, if the agent can see that. `None`: it cannot be seen.
    ///
    /// The numbers of the processes are those of the agent's PID namespace. If that is not the node's, the first process
    /// is not seen. Mostly that does not matter: with the first process of its own PID namespace, a container has lost
    /// all.
    pub fn is_running(&mut self, pod_uid: &str, container_id: &str) -> Option<bool> {
        let container = self.pods.get_mut(pod_uid)?.container(container_id)?;
        if container.gone_since.is_some() {
            return Some(false);
        }
        let is_populated = self.tree.is_populated(container_id)?;
        let first = self.tree.first_process(container_id);
        let has_its_first = first.zip(container.first_process).is_none_or(|(a, b)| a == b);
        Some(is_populated && has_its_first)
    }

    /// Returns the containers that matter most: by the last sample, half of `most` are those nearest to their limits,
    /// and the others the busiest.
    pub fn foremost(&self, most: usize) -> Vec<Foremost> {
        let all = self.pods.iter().flat_map(|(uid, pod)| {
            pod.containers.iter().filter_map(move |c| Some((uid, pod.limit_bytes, c, c.newest()?)))
        });
        let mut left: Vec<_> = all
            .map(|(uid, pod_limit, container, sample)| {
                let limit_bytes = lowest(container.limit_bytes, pod_limit);
                let cpu = u64::from(sample.cpu_millicores().unwrap_or(0));
                ((container.permille(limit_bytes), cpu), uid, limit_bytes, container, sample)
            })
            .collect();
        let mut foremost = Vec::new();
        while foremost.len() < most {
            let is_by_limit = foremost.len() < most / 2;
            let rank = |(permille, cpu): (u64, u64)| match is_by_limit {
                true => (permille, cpu),
                false => (cpu, permille),
            };
            let first = left.iter().enumerate().max_by_key(|(_, (ranks, ..))| rank(*ranks));
            let Some(at) = first.map(|(at, _)| at) else { break };
            let (_, uid, limit_bytes, container, sample) = left.swap_remove(at);
            foremost.push(Foremost {
                pod_uid: uid.clone(),
                container_id: container.id.clone(),
                limit_bytes,
                sample: *sample,
            });
        }
        foremost
    }

    /// Returns the time between two regular samples.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns when (monotonic) the agent first knew a control group of a pod; `None`: it does not yet.
    pub fn since(&self) -> Option<Duration> {
        self.since
    }

    /// Returns true if the agent has looked for control groups.
    pub fn is_scanned(&self) -> bool {
        self.is_scanned
    }

    /// Returns the number of containers that have a record.
    pub fn recorded(&self) -> usize {
        self.pods.values().map(|pod| pod.containers.len()).sum()
    }

    /// Returns the number of pods that have a record.
    #[cfg(test)]
    pub(super) fn pods(&self) -> usize {
        self.pods.len()
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
        sort_by(&mut near, |a, b| b.cmp(a));
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
            (record.unwanted_since, record.is_unknown) = (None, false);
            for id in pod.container_ids.iter().map(ContainerId::as_str) {
                match record.container(id) {
                    Some(container) => container.list(),
                    None => new.push((&*pod.uid, id)),
                }
            }
        }
        for (uid, id) in new {
            self.add_container(uid, id, true);
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

    /// `is_listed`: the API shows the container; else only its directory does.
    fn add_container(&mut self, pod_uid: &str, id: &str, is_listed: bool) {
        if self.recorded() >= RECORDED_CONTAINERS_MAX {
            self.forget_oldest(is_listed);
        }
        let has_room = self.recorded() < RECORDED_CONTAINERS_MAX;
        let Some(pod) = self.pods.get_mut(pod_uid) else { return };
        if pod.container(id).is_some() {
            // The ID was listed twice.
        } else if has_room && pod.containers.len() < CONTAINERS_PER_POD_MAX {
            pod.add(id, self.samples_max, is_listed);
        } else if is_listed {
            self.left_out += 1;
        }
    }

    /// Forgets the container that disappeared first, among those that are gone and not wanted. If there is none, it
    /// forgets one that the API never listed, where `with_unlisted` is true.
    fn forget_oldest(&mut self, with_unlisted: bool) {
        let dispensable = self.pods.values_mut().flat_map(|pod| {
            let order = |c: &ContainerRecord| match c.gone_since.filter(|_| !c.is_wanted) {
                Some(since) => Some((false, since)),
                None => (with_unlisted && c.is_unlisted()).then_some((true, Duration::ZERO)),
            };
            let first = pod.containers.iter().enumerate().filter_map(|(n, c)| Some((order(c)?, n)));
            first.min().map(|(order, n)| (order, n, pod))
        });
        if let Some((_, n, pod)) = dispensable.min_by_key(|(order, ..)| *order) {
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

    /// Finds the directories of pods and containers.
    fn find(&mut self, now: Duration) {
        let pods = &self.pods;
        let is_wanted = |uid: &str| pods.get(uid).is_some_and(|pod| pod.unwanted_since.is_none());
        self.tree.look(is_wanted);
        let is_pausing =
            self.scanned_at.is_some_and(|at| now.saturating_sub(at) < CGROUP_SCAN_PAUSE);
        let is_missing = !is_pausing && pods.values().any(|pod| pod.is_missing(&self.tree));
        // The first scan does not wait for a wanted pod: what comes after it is known to be new.
        if !self.is_scanned || is_missing {
            self.last_scan = self.tree.scan(is_wanted);
            self.is_scanned = true;
        }
        if is_missing {
            self.scanned_at = Some(now);
            for pod in self.pods.values_mut() {
                pod.note_scan(&self.tree);
            }
        }
        self.since = self.since.or_else(|| self.tree.has_pods().then_some(now));
        for FoundContainer { pod_uid, container_id } in self.tree.take_found() {
            self.add_container(&pod_uid, &container_id, false);
        }
        self.follow_unknown(now);
    }

    /// Begins to count the OOM kills of new pods that the API does not show yet.
    fn follow_unknown(&mut self, now: Duration) {
        let mut left = {
            let unknown = self.pods.values().filter(|pod| pod.is_unknown).count();
            UNKNOWN_PODS_MAX.saturating_sub(unknown).min(PODS_MAX.saturating_sub(self.pods.len()))
        };
        for uid in self.tree.take_new_pods() {
            if left == 0 {
                break;
            }
            self.pods.entry(uid).or_insert_with_key(|uid| {
                left -= 1;
                let mut pod = PodRecord::new(uid);
                (pod.unwanted_since, pod.is_unknown) = (Some(now), true);
                pod
            });
        }
    }
}

fn lowest(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}
