//! Records of one container, and of one pod with its containers.

use std::cmp::Reverse;
use std::time::Duration;

use crate::core::cgroup::sample::{ContainerReading, ContainerSample, Counters};
use crate::core::ring::Ring;
use crate::limits::{CGROUP_SCAN_TRIES_MAX, FAST_FROM_PERCENT, FAST_SAMPLES_MAX, OOM_RISES_MAX};
use crate::node::cgroup::hierarchy::CgroupVersion;
use crate::node::cgroup::tree::CgroupTree;

/// Processes of a pod that an OOM killer killed since the last report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomKill {
    /// The pod's UID, as in [`WantedPod`](super::WantedPod).
    pub pod_uid: Box<str>,
    /// The container's ID without the runtime's name. `None`: the container was never seen, or several
    /// containers disappeared and the kill may belong to any of them.
    pub container_id: Option<Box<str>>,
    /// Number of processes.
    pub kills: u64,
}

/// Follows one kernel counter of OOM kills.
#[derive(Debug)]
pub(super) struct OomCounter {
    /// Last known counter value.
    seen: Option<u64>,
    /// Counter value up to which kills have been reported.
    reported: Option<u64>,
    rises: Ring<(Duration, u64)>,
}

impl OomCounter {
    fn new(reported: Option<u64>) -> Self {
        Self { seen: reported, reported, rises: Ring::new(OOM_RISES_MAX) }
    }

    /// Records the counter's current value. Counting starts from the first recorded value.
    fn see(&mut self, kills: Option<u64>) {
        self.seen = kills.or(self.seen);
        self.reported = self.reported.or(self.seen);
    }

    /// Returns by how much the counter rose since the last report.
    fn rise(&self) -> u64 {
        self.seen.zip(self.reported).map_or(0, |(seen, reported)| seen.saturating_sub(reported))
    }

    fn mark_reported(&mut self, now: Duration, kills: u64) {
        self.reported = self.seen;
        if kills > 0 {
            self.rises.push((now, kills));
        }
    }

    /// Returns true if there is a counter value from which kills are counted.
    pub(super) fn is_known(&self) -> bool {
        self.reported.is_some()
    }

    /// Returns the number of kills reported in the time `within` before `now`; a lower bound, since only the
    /// newest rises are kept.
    pub(super) fn recent(&self, now: Duration, within: Duration) -> u64 {
        let is_recent = |(at, _): &&(Duration, u64)| now.saturating_sub(*at) <= within;
        self.rises.iter().filter(is_recent).map(|(_, kills)| *kills).fold(0, u64::saturating_add)
    }
}

#[derive(Debug)]
struct Earlier {
    at: Duration,
    counters: Counters,
}

/// Samples and OOM counter of one container.
#[derive(Debug)]
pub(super) struct ContainerRecord {
    pub(super) id: Box<str>,
    regular: Ring<ContainerSample>,
    fast: Ring<ContainerSample>,
    earlier: Option<Earlier>,
    /// Last reading of the fast phase; `None` outside of it.
    earlier_fast: Option<Box<Earlier>>,
    pub(super) limit_bytes: Option<u64>,
    pub(super) peak_bytes: Option<u64>,
    working_set_bytes: Option<u64>,
    pub(super) oom: OomCounter,
    /// The container joined a pod that was already followed, and was never counted: all its kills are new.
    is_newborn: bool,
    pub(super) is_wanted: bool,
    pub(super) gone_since: Option<Duration>,
    /// Number of scans that did not find the container.
    tries: u8,
}

impl ContainerRecord {
    fn new(id: &str, samples_max: usize, is_newborn: bool) -> Self {
        Self {
            id: id.into(),
            regular: Ring::new(samples_max),
            fast: Ring::new(FAST_SAMPLES_MAX),
            earlier: None,
            earlier_fast: None,
            limit_bytes: None,
            peak_bytes: None,
            working_set_bytes: None,
            oom: OomCounter::new(is_newborn.then_some(0)),
            is_newborn,
            is_wanted: true,
            gone_since: None,
            tries: 0,
        }
    }

    fn take(&mut self, now: Duration, reading: &ContainerReading, is_fast: bool) {
        let earlier = self.earlier_fast.as_deref().filter(|_| is_fast).or(self.earlier.as_ref());
        let sample = match earlier {
            Some(earlier) => {
                let elapsed = now.saturating_sub(earlier.at);
                ContainerSample::between(&earlier.counters, reading, elapsed, now)
            }
            None => ContainerSample::between(&Counters::default(), reading, Duration::ZERO, now),
        };
        let latest = || Earlier { at: now, counters: reading.counters };
        if is_fast || self.earlier_fast.is_some() {
            self.earlier_fast = Some(Box::new(latest()));
        }
        if is_fast {
            self.fast.push(sample);
        } else {
            self.regular.push(sample);
            self.earlier = Some(latest());
        }
        self.limit_bytes = reading.limit_bytes;
        self.peak_bytes = reading.peak_bytes.or(self.peak_bytes);
        self.working_set_bytes = reading.working_set_bytes();
        self.oom.see(reading.oom_kills);
    }

    /// Ends the fast phase.
    pub(super) fn slow_down(&mut self) {
        self.earlier_fast = None;
    }

    /// Drops the samples, and stops the search for the container.
    pub(super) fn empty(&mut self) {
        self.regular = Ring::new(0);
        self.fast = Ring::new(0);
        self.tries = CGROUP_SCAN_TRIES_MAX;
    }

    /// Returns all samples, the oldest first. Fast samples older than the oldest regular one are left out.
    pub(super) fn samples(&self, now: Duration) -> Vec<&ContainerSample> {
        let oldest = self.regular.iter().next().map(|sample| sample.age(now));
        let is_within =
            |sample: &&ContainerSample| oldest.is_none_or(|oldest| sample.age(now) <= oldest);
        let mut samples: Vec<_> =
            self.regular.iter().chain(self.fast.iter().filter(is_within)).collect();
        samples.sort_by_key(|sample| Reverse(sample.age(now)));
        samples
    }

    pub(super) fn is_missing(&self, tree: &CgroupTree) -> bool {
        self.is_wanted
            && self.gone_since.is_none()
            && self.tries < CGROUP_SCAN_TRIES_MAX
            && !tree.has_container(&self.id)
    }

    /// Returns the working set in thousandths of the limit, which is 0 for a container that may use no memory.
    fn permille(&self, limit_bytes: Option<u64>) -> u64 {
        permille(self.working_set_bytes.filter(|_| self.gone_since.is_none()), limit_bytes)
    }
}

fn permille(used: Option<u64>, limit: Option<u64>) -> u64 {
    used.zip(limit).map_or(0, |(used, limit)| used.saturating_mul(1000) / limit.max(1))
}

/// Containers and OOM counters of one pod.
#[derive(Debug)]
pub(super) struct PodRecord {
    uid: Box<str>,
    pub(super) containers: Vec<ContainerRecord>,
    pub(super) oom: OomCounter,
    /// Kills that were reported for a container but are not yet included in the pod's counter.
    ahead: u64,
    /// All reported kills of the pod, those of its containers included.
    rises: OomCounter,
    pub(super) limit_bytes: Option<u64>,
    pub(super) unwanted_since: Option<Duration>,
    /// Number of scans that did not find the pod.
    tries: u8,
}

impl PodRecord {
    pub(super) fn new(uid: &str) -> Self {
        Self {
            uid: uid.into(),
            containers: Vec::new(),
            oom: OomCounter::new(None),
            ahead: 0,
            rises: OomCounter::new(None),
            limit_bytes: None,
            unwanted_since: None,
            tries: 0,
        }
    }

    pub(super) fn container(&mut self, id: &str) -> Option<&mut ContainerRecord> {
        self.containers.iter_mut().find(|container| *container.id == *id)
    }

    pub(super) fn add(&mut self, id: &str, samples_max: usize) {
        // Most pods keep the containers they started with, and records are large, so no spare room is taken.
        self.containers.reserve_exact(1);
        self.containers.push(ContainerRecord::new(id, samples_max, self.oom.is_known()));
    }

    pub(super) fn is_missing(&self, tree: &CgroupTree) -> bool {
        let is_looked_for = self.unwanted_since.is_none() && self.tries < CGROUP_SCAN_TRIES_MAX;
        (is_looked_for && !tree.has_pod(&self.uid))
            || self.containers.iter().any(|container| container.is_missing(tree))
    }

    /// Counts a finished scan for the pod and each container that it did not find.
    pub(super) fn note_scan(&mut self, tree: &CgroupTree) {
        if !tree.has_pod(&self.uid) {
            self.tries = self.tries.saturating_add(1);
        }
        for container in &mut self.containers {
            if container.is_missing(tree) {
                container.tries += 1;
            }
        }
    }

    /// Takes a sample of each container of the pod, and returns its new OOM kills.
    pub(super) fn sample(
        &mut self,
        now: Duration,
        tree: &mut CgroupTree,
        is_fast: bool,
    ) -> Vec<OomKill> {
        for container in &mut self.containers {
            read(container, now, tree, |container, reading| container.take(now, reading, is_fast));
        }
        self.count_kills(now, tree)
    }

    /// Takes a fast sample of one container.
    pub(super) fn sample_fast(&mut self, now: Duration, tree: &mut CgroupTree, id: &str) {
        if let Some(container) = self.container(id) {
            read(container, now, tree, |container, reading| container.take(now, reading, true));
        }
    }

    /// Returns the kills since the last report. The caller has just read the containers.
    ///
    /// In version 2 the pod's own counter is decisive: it has the kills of all its containers, including those
    /// whose directories are gone. Kills that no container's counter accounts for are attributed to the
    /// container that disappeared since the last report, if there is exactly one.
    ///
    /// In version 1 only the containers' counters are usable. Each rise is reported when it is seen, so no kill
    /// is lost in a container that keeps running; but the last kill in a container whose main process was the
    /// victim is mostly lost, since its directory is removed within a tenth of a second.
    pub(super) fn count_kills(&mut self, now: Duration, tree: &mut CgroupTree) -> Vec<OomKill> {
        self.read_own(tree);
        let mut left = self.oom.rise();
        let reported = self.containers.iter().map(|container| container.oom.rise());
        if left > reported.fold(self.ahead, u64::saturating_add) {
            // A kill may have happened after the containers were read and before the pod was: read them again.
            for container in &mut self.containers {
                read(container, now, tree, |container, reading| {
                    container.oom.see(reading.oom_kills)
                });
            }
        }
        self.oom.mark_reported(now, 0);
        (left, self.ahead) = (left.saturating_sub(self.ahead), self.ahead.saturating_sub(left));
        let mut kills = self.report_containers(now, &mut left, tree.version());
        if left > 0 {
            kills.push(self.report_rest(now, left));
        }
        for kill in &kills {
            self.rises.mark_reported(now, kill.kills);
        }
        kills
    }

    fn read_own(&mut self, tree: &mut CgroupTree) {
        match tree.read_pod(&self.uid) {
            Some(reading) => {
                self.limit_bytes = reading.limit_bytes;
                self.oom.see(reading.oom_kills);
            }
            None if tree.has_pod(&self.uid) => {
                tree.forget_pod(&self.uid);
                // The directory comes back only with a new container, and a new container is searched for.
                self.tries = CGROUP_SCAN_TRIES_MAX;
            }
            None => {}
        }
    }

    fn report_containers(
        &mut self,
        now: Duration,
        left: &mut u64,
        version: Option<CgroupVersion>,
    ) -> Vec<OomKill> {
        let mut kills = Vec::new();
        // Containers that were already followed come first: the kills then left may be the new ones'.
        self.containers.sort_by_key(|container| container.is_newborn);
        for container in self.containers.iter_mut().filter(|container| container.oom.is_known()) {
            let mut rise = container.oom.rise();
            if container.is_newborn && version == Some(CgroupVersion::V2) {
                // The other kills were reported before the container was known.
                rise = rise.min(*left);
            }
            container.is_newborn &= container.earlier.is_none();
            container.oom.mark_reported(now, rise);
            (*left, self.ahead) =
                (left.saturating_sub(rise), self.ahead.saturating_add(rise.saturating_sub(*left)));
            if rise > 0 {
                kills.push(OomKill {
                    pod_uid: self.uid.clone(),
                    container_id: Some(container.id.clone()),
                    kills: rise,
                });
            }
        }
        kills
    }

    fn report_rest(&mut self, now: Duration, kills: u64) -> OomKill {
        let went = |container: &&mut ContainerRecord| {
            container.gone_since == Some(now) && container.earlier.is_some()
        };
        let mut went = self.containers.iter_mut().filter(went);
        let container_id = match (went.next(), went.next()) {
            (Some(container), None) => {
                container.oom.mark_reported(now, kills);
                Some(container.id.clone())
            }
            _ => None,
        };
        OomKill { pod_uid: self.uid.clone(), container_id, kills }
    }

    /// Returns how many kills of the pod were reported in the time `within` before `now`.
    pub(super) fn recent_kills(&self, now: Duration, within: Duration) -> u64 {
        self.rises.recent(now, within)
    }

    /// Returns the containers close to their limit or in a pod close to its own, each with its thousandths.
    pub(super) fn near_limit(&self) -> impl Iterator<Item = (u64, &ContainerRecord)> {
        let is_here = |container: &&ContainerRecord| container.gone_since.is_none();
        let used = self.containers.iter().filter(is_here);
        let used = used.filter_map(|container| container.working_set_bytes);
        let pod = permille(Some(used.fold(0, u64::saturating_add)), self.limit_bytes);
        let nearness =
            move |container: &ContainerRecord| pod.max(container.permille(container.limit_bytes));
        let containers = self.containers.iter().filter(is_here);
        containers
            .filter(|container| container.earlier.is_some())
            .map(move |container| (nearness(container), container))
            .filter(|(permille, _)| *permille >= 10 * FAST_FROM_PERCENT)
    }
}

/// Reads a container unless it is gone; if its directory has been removed, records that it is gone.
fn read(
    container: &mut ContainerRecord,
    now: Duration,
    tree: &mut CgroupTree,
    take: impl FnOnce(&mut ContainerRecord, &ContainerReading),
) {
    if container.gone_since.is_some() || !tree.has_container(&container.id) {
        return;
    }
    match tree.read_container(&container.id) {
        Some(reading) => take(container, &reading),
        None => {
            tree.forget_container(&container.id);
            container.gone_since = Some(now);
            container.slow_down();
        }
    }
}
