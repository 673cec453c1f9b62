//! Records of one container, and of one pod with its containers.

use std::time::Duration;

use crate::core::cgroup::sample::{ContainerReading, ContainerSample, Counters};
use crate::core::order::sort_by;
use crate::core::ring::Ring;
use crate::limits::{
    CGROUP_SCAN_TRIES_MAX, FAST_FROM_PERCENT, FAST_SAMPLES_MAX, FIRST_PROCESS_SAMPLES,
    OOM_RISES_MAX, SANDBOX_AFTER_SAMPLES, SANDBOX_BYTES_MAX,
};
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

/// The time in which an OOM kill may have ended a container, or led to its end (monotonic).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomSpan {
    /// Kills before this time had nothing to do with the end.
    pub since: Duration,
    /// The latest time at which the container can have ended.
    pub until: Duration,
}

/// A rise of a counter of OOM kills.
#[derive(Clone, Copy, Debug)]
struct OomRise {
    /// When the counter was read before; the kills are later. `None`: they may be as old as the counter.
    after: Option<Duration>,
    /// When the rise was seen; the kills are earlier.
    at: Duration,
    kills: u64,
}

/// Follows one kernel counter of OOM kills.
#[derive(Debug)]
pub(super) struct OomCounter {
    /// Last known counter value.
    seen: Option<u64>,
    /// Counter value up to which kills have been reported.
    reported: Option<u64>,
    reported_at: Option<Duration>,
    rises: Ring<OomRise>,
}

impl OomCounter {
    fn new(reported: Option<u64>) -> Self {
        let rises = Ring::new(OOM_RISES_MAX);
        Self { seen: reported, reported, reported_at: None, rises }
    }

    /// Records the counter's current value. Counting starts from the first recorded value, and from 0 if the value
    /// is lower than before: then the directory is another of the same name.
    fn see(&mut self, kills: Option<u64>) {
        if kills.zip(self.seen).is_some_and(|(kills, seen)| kills < seen) {
            self.reported = Some(0);
        }
        self.seen = kills.or(self.seen);
        self.reported = self.reported.or(self.seen);
    }

    /// Returns by how much the counter rose since the last report.
    fn rise(&self) -> u64 {
        self.seen.zip(self.reported).map_or(0, |(seen, reported)| seen.saturating_sub(reported))
    }

    fn mark_reported(&mut self, now: Duration, kills: u64) {
        self.reported = self.seen;
        self.note(now, kills);
    }

    /// Remembers kills up to `now`.
    fn note(&mut self, now: Duration, kills: u64) {
        let after = self.reported_at.replace(now);
        if kills > 0 {
            self.rises.push(OomRise { after, at: now, kills });
        }
    }

    /// Returns true if there is a counter value from which kills are counted.
    pub(super) fn is_known(&self) -> bool {
        self.reported.is_some()
    }

    /// Returns the number of kills reported in the time `within` before `now`; a lower bound, since only the
    /// newest rises are kept.
    pub(super) fn recent(&self, now: Duration, within: Duration) -> u64 {
        self.sum(|rise| now.saturating_sub(rise.at) <= within)
    }

    /// Returns the number of kills since this time; a lower bound likewise.
    pub(super) fn since(&self, since: Duration) -> u64 {
        self.sum(|rise| rise.at >= since)
    }

    /// Returns the number of kills that may lie in this time; a lower bound likewise.
    pub(super) fn within(&self, span: OomSpan) -> u64 {
        self.sum(|rise| rise.at >= span.since && rise.after.is_none_or(|at| at <= span.until))
    }

    fn sum(&self, is_counted: impl Fn(&OomRise) -> bool) -> u64 {
        let counted = self.rises.iter().filter(|rise| is_counted(rise));
        counted.map(|rise| rise.kills).fold(0, u64::saturating_add)
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
    /// Number of regular samples before the API listed the container; `None` since it did.
    unlisted: Option<u8>,
    /// The process that was first in the container; `None`: not seen.
    pub(super) first_process: Option<u64>,
    /// When the first sample was taken.
    pub(super) sampled_since: Option<Duration>,
    pub(super) gone_since: Option<Duration>,
    /// Number of scans that did not find the container.
    tries: u8,
}

impl ContainerRecord {
    fn new(id: &str, samples_max: usize, is_newborn: bool, is_listed: bool) -> Self {
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
            is_wanted: is_listed,
            unlisted: (!is_listed).then_some(0),
            first_process: None,
            sampled_since: None,
            gone_since: None,
            tries: 0,
        }
    }

    /// Records that the API lists the container.
    pub(super) fn list(&mut self) {
        (self.is_wanted, self.unlisted) = (true, None);
    }

    /// Returns true if the API has never listed the container.
    pub(super) fn is_unlisted(&self) -> bool {
        self.unlisted.is_some()
    }

    /// Returns true if the container is a pod's sandbox, as far as its samples tell: it stays tiny, has one process,
    /// loses none to the OOM killer, and the API does not list it.
    pub(super) fn is_sandbox(&self) -> bool {
        let is_tiny = !self.regular.is_empty()
            && self.regular.iter().all(|sample| {
                sample.pids().is_none_or(|pids| pids <= 1)
                    && sample.memory_bytes().is_some_and(|bytes| bytes <= SANDBOX_BYTES_MAX)
            });
        self.unlisted.is_some_and(|samples| samples >= SANDBOX_AFTER_SAMPLES)
            && self.gone_since.is_none()
            && self.oom.since(Duration::ZERO) == 0
            && is_tiny
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
        self.sampled_since = self.sampled_since.or(Some(now));
        let latest = || Earlier { at: now, counters: reading.counters };
        if is_fast || self.earlier_fast.is_some() {
            self.earlier_fast = Some(Box::new(latest()));
        }
        if is_fast {
            self.fast.push(sample);
        } else {
            self.regular.push(sample);
            self.earlier = Some(latest());
            self.unlisted = self.unlisted.map(|samples| samples.saturating_add(1));
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
        sort_by(&mut samples, |a, b| b.age(now).cmp(&a.age(now)));
        samples
    }

    /// Returns the newest regular sample of a container that is still there.
    pub(super) fn newest(&self) -> Option<&ContainerSample> {
        self.regular.last().filter(|_| self.gone_since.is_none())
    }

    pub(super) fn is_missing(&self, tree: &CgroupTree) -> bool {
        self.is_wanted
            && self.gone_since.is_none()
            && self.tries < CGROUP_SCAN_TRIES_MAX
            && !tree.has_container(&self.id)
    }

    /// Returns the working set in thousandths of the limit, which is 0 for a container that may use no memory.
    pub(super) fn permille(&self, limit_bytes: Option<u64>) -> u64 {
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
    /// Those that no container's record has.
    unnamed: OomCounter,
    /// Those that went to the record of the only container that disappeared meanwhile, as its counter is gone.
    guessed: OomCounter,
    /// Kills before the pod was followed that none of its containers at that time accounts for.
    before: u64,
    /// When the pod's counter was first read; `None`: not yet, or it has been followed from 0 on.
    counted_since: Option<Duration>,
    /// The API has not shown the pod yet.
    pub(super) is_unknown: bool,
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
            unnamed: OomCounter::new(None),
            guessed: OomCounter::new(None),
            before: 0,
            counted_since: None,
            is_unknown: false,
            limit_bytes: None,
            unwanted_since: None,
            tries: 0,
        }
    }

    pub(super) fn container(&mut self, id: &str) -> Option<&mut ContainerRecord> {
        self.containers.iter_mut().find(|container| *container.id == *id)
    }

    pub(super) fn add(&mut self, id: &str, samples_max: usize, is_listed: bool) {
        // Most pods keep the containers they started with, and records are large, so no spare room is taken.
        self.containers.reserve_exact(1);
        let is_newborn = self.oom.is_known();
        self.containers.push(ContainerRecord::new(id, samples_max, is_newborn, is_listed));
    }

    /// Counts from 0 on if the pod's directory was made under the agent's eyes.
    fn begin_at_birth(&mut self, tree: &CgroupTree) {
        if self.oom.is_known() || !tree.is_new_pod(&self.uid) {
            return;
        }
        self.oom = OomCounter::new(Some(0));
        for container in self.containers.iter_mut().filter(|container| !container.oom.is_known()) {
            (container.oom, container.is_newborn) = (OomCounter::new(Some(0)), true);
        }
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
        self.begin_at_birth(tree);
        for container in &mut self.containers {
            read(container, now, tree, |container, reading| container.take(now, reading, is_fast));
            // While the runtime makes a container, a process of its own is the first one.
            if !is_fast && container.regular.len() <= usize::from(FIRST_PROCESS_SAMPLES) {
                container.first_process =
                    tree.first_process(&container.id).or(container.first_process);
            }
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
        self.read_own(now, tree);
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
        let rest = (left > 0).then(|| self.report_rest(now, left));
        let counted = kills.iter().map(|kill| kill.kills).fold(left, u64::saturating_add);
        let is_unnamed = rest.as_ref().is_some_and(|rest| rest.container_id.is_none());
        self.rises.note(now, counted);
        self.unnamed.note(now, if is_unnamed { left } else { 0 });
        self.guessed.note(now, if is_unnamed { 0 } else { left });
        kills.extend(rest);
        kills
    }

    fn read_own(&mut self, now: Duration, tree: &mut CgroupTree) {
        match tree.read_pod(&self.uid) {
            Some(reading) => {
                self.limit_bytes = reading.limit_bytes;
                let kills = reading.oom_kills.unwrap_or_default();
                if !self.oom.is_known() && kills > 0 {
                    let counted = self.containers.iter().filter_map(|container| container.oom.seen);
                    self.before = kills.saturating_sub(counted.fold(0, u64::saturating_add));
                    self.counted_since = Some(now);
                }
                self.oom.see(reading.oom_kills);
            }
            None if tree.has_pod(&self.uid) => {
                tree.forget_pod(&self.uid);
                for container in &mut self.containers {
                    container.gone_since = container.gone_since.or(Some(now));
                    container.slow_down();
                }
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
        sort_by(&mut self.containers, |a, b| a.is_newborn.cmp(&b.is_newborn));
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

    /// Returns how many kills lie in this time that no container's record has; a lower bound.
    pub(super) fn unnamed_kills(&self, span: OomSpan) -> u64 {
        self.unnamed.within(span)
    }

    /// Returns true if kills in this time went to the record of a container that may not have been the victim.
    pub(super) fn has_guessed(&self, span: OomSpan) -> bool {
        self.guessed.within(span) > 0
    }

    /// Returns the kills before the pod was followed that none of its containers at that time accounts for, if the time
    /// ends before.
    pub(super) fn kills_before(&self, until: Duration) -> u64 {
        self.counted_since.filter(|since| until <= *since).map_or(0, |_| self.before)
    }

    /// Returns true if the pod's counter has all kills up to this time.
    pub(super) fn is_counted(&self, until: Duration) -> bool {
        self.oom.is_known() && self.counted_since.is_none_or(|since| since <= until)
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
