//! Everything known about the node and its pods, shared by the threads that collect and report it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::core::Now;
use crate::core::case::{
    Case, Confidence, ContainerId, ContainerKind, Gap, InstanceRef, OomCount, Part,
};
use crate::core::cause::{Source, find_in};
use crate::core::detect::reboot::BootEnd;
use crate::core::incident::{ContainerTelemetry, Gathered};
use crate::core::kernel::{Ended, KernelWords};
use crate::core::node::NodeInfo;
use crate::core::recorder::{ContainerName, Sample, Usage};
use crate::core::roster::{PodOnNode, Roster, RunningContainer};
use crate::core::sidecar::Sidecars;
use crate::limits::{
    API_TIME_STEP, NODE_FRESH, OOM_RISES_RECENT, RECORDER_CONTAINERS, RECORDER_LOCK_MAX,
    RECORDER_LOCK_POLL, RECORDS_KEPT,
};
use crate::node::cgroup::{ContainerRecorder, Foremost, OomKill, OomKills, OomSpan, WantedPod};
use crate::node::kernel_log::KernelLog;
use crate::node::logs::PodLogs;
use crate::node::procfs::SystemRecorder;
use crate::runtime::stop::Stop;

/// All recorded data.
#[derive(Debug)]
pub struct FlightRecorder {
    roster: Arc<Mutex<Roster>>,
    sidecars: Arc<Mutex<Sidecars>>,
    containers: Mutex<ContainerRecorder>,
    system: Mutex<SystemRecorder>,
    node: Mutex<Node>,
    logs: Option<PodLogs>,
    kernel_log: Option<FollowedLog>,
}

/// The kernel's log, and how much of its past an incident shows.
#[derive(Debug)]
struct FollowedLog {
    log: Arc<KernelLog>,
    window: Duration,
}

/// The API server's last answer about the node.
#[derive(Debug, Default)]
struct Node {
    info: Option<Arc<NodeInfo>>,
    trouble: Option<String>,
    asked: Option<Duration>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FlightRecorder {
    /// Creates a flight recorder without any data yet.
    pub fn new(
        containers: ContainerRecorder,
        system: SystemRecorder,
        logs: Option<PodLogs>,
    ) -> Self {
        Self {
            roster: Arc::default(),
            sidecars: Arc::default(),
            containers: Mutex::new(containers),
            system: Mutex::new(system),
            node: Mutex::default(),
            logs,
            kernel_log: None,
        }
    }

    /// Adds the kernel's log. An incident shows the trouble of the node in the `window` before it.
    #[must_use]
    pub fn with_kernel_log(mut self, log: Arc<KernelLog>, window: Duration) -> Self {
        self.kernel_log = Some(FollowedLog { log, window });
        self
    }

    /// Returns how the boot before this one ended. `None` if that is not looked for, or was not found out yet.
    pub fn boot_end(&self) -> Option<BootEnd> {
        self.kernel_log.as_ref()?.log.boot_end()
    }

    /// Records the pod's current place.
    pub fn place(&self, place: PodOnNode) {
        lock(&self.roster).place(place);
    }

    /// Removes the pod with this key from the roster.
    pub fn gone(&self, key: &str) {
        lock(&self.roster).remove(key);
    }

    /// Returns the roster, which lists the pods of the node.
    pub fn roster(&self) -> Arc<Mutex<Roster>> {
        self.roster.clone()
    }

    /// Returns the numbers that pods posted about themselves. A thread that locks both locks the roster first.
    pub fn sidecars(&self) -> Arc<Mutex<Sidecars>> {
        self.sidecars.clone()
    }

    /// Forgets the posts of a pod that is gone and whose incidents have all been reported.
    pub fn forget(&self, key: &str) {
        lock(&self.sidecars).forget(key);
    }

    /// Returns the pods whose containers are to be sampled.
    pub fn wanted(&self) -> Vec<WantedPod> {
        let wanted = |place: &PodOnNode| WantedPod {
            uid: place.key.clone(),
            container_ids: place.running.iter().map(|running| running.id.clone()).collect(),
        };
        lock(&self.roster).iter().map(wanted).collect()
    }

    /// Locks the recorder of the containers; the caller holds the lock for one round.
    pub fn containers(&self) -> MutexGuard<'_, ContainerRecorder> {
        lock(&self.containers)
    }

    /// Locks the recorder of the node; the caller holds the lock for one round.
    pub fn system(&self) -> MutexGuard<'_, SystemRecorder> {
        lock(&self.system)
    }

    /// Returns what the recorder file keeps of the newest samples; `None` if there are none.
    pub fn recorded(&self, now: Now) -> Option<Sample> {
        let (system, is_trouble) = {
            let recorder = lock(&self.system);
            let (sample, is_trouble) = recorder.newest_sample()?;
            (*sample, is_trouble)
        };
        let foremost = lock(&self.containers).foremost(RECORDER_CONTAINERS);
        let roster = lock(&self.roster);
        let named = |found: Foremost| {
            let place = roster.get(&found.pod_uid)?;
            let is_it = |running: &&RunningContainer| running.id.as_str() == &*found.container_id;
            let name = ContainerName {
                namespace: place.pod.namespace.clone(),
                pod_name: place.pod.name.clone(),
                container: place.running.iter().find(is_it)?.name.to_string(),
                limit_bytes: found.limit_bytes,
            };
            let memory = found.sample.memory_bytes();
            let usage = Usage {
                memory_kib: memory.and_then(|bytes| u32::try_from(bytes >> 10).ok()),
                cpu_millicores: found.sample.cpu_millicores(),
            };
            Some((name, usage))
        };
        let containers = foremost.into_iter().filter_map(named).collect();
        Some(Sample::new(now.wall, &system, containers, is_trouble))
    }

    /// Gathers the data about a terminated container: last log lines, posted numbers, samples, OOM kills.
    pub fn read_instance(&self, instance: &InstanceRef, now: Now) -> Gathered {
        self.read(instance, instance.finished.unwrap_or(now.wall), now)
    }

    /// The same, also of a container that lost a process at that time and runs.
    fn read(&self, instance: &InstanceRef, at: Timestamp, now: Now) -> Gathered {
        let mut gathered = Gathered::default();
        if let Some(FollowedLog { log, window }) = &self.kernel_log {
            let (words, gap) = log.words(&ended(instance, at), *window);
            gathered.words = words;
            gathered.gaps.extend(gap);
        }
        if let Some(logs) = &self.logs {
            let InstanceRef {
                namespace, pod_name, pod_key, container, instance, exit_code, ..
            } = instance;
            match logs.read(namespace, pod_name, pod_key, container, *instance) {
                Ok(read) => {
                    gathered.cause =
                        exit_code.and_then(|code| find_in(&read.end, code, Source::Log));
                    gathered.logs = Some(read.words);
                }
                Err(gap) => gathered.gaps.push(Gap::new(Part::Logs, gap.to_string())),
            }
        }
        gathered.sidecar = lock(&self.sidecars).section(&instance.pod_key, now.monotonic);
        self.read_container(instance, now, &mut gathered);
        let victim = gathered.words.oom_kill.as_ref();
        let is_logged = victim.is_some_and(|victim| victim.confidence == Confidence::Confirmed);
        if is_logged && !matches!(gathered.oom, OomCount::Some(_)) {
            gathered.oom = OomCount::Logged;
        }
        gathered
    }

    /// Reads the samples and the last counters of a container.
    fn read_container(&self, instance: &InstanceRef, now: Now, gathered: &mut Gathered) {
        let (place, is_left_out) = {
            let roster = lock(&self.roster);
            let place = roster.get(&instance.pod_key).cloned();
            let is_left_out = place.is_none() && roster.is_partial();
            (place, is_left_out)
        };
        let Some(mut containers) = within(&self.containers) else {
            let why = "the thread that reads the cgroups hangs";
            gathered.gaps.push(Gap::new(Part::Container, why));
            return;
        };
        // The counters exist only for a short time after the container, so read them now.
        let id = instance.container_id.as_ref();
        let found = containers.check_pod(now.monotonic, &instance.pod_key);
        // Other containers of the pod may live on.
        let is_others = |kill: &OomKill| {
            kill.container_id
                .as_deref()
                .is_some_and(|killed| id.is_none_or(|id| id.as_str() != killed))
        };
        containers.report_later(found.into_iter().filter(is_others));
        let span = oom_span(instance, now);
        let mut kills = containers.oom_kills(&instance.pod_key, id, span);
        if kills.unnamed > 0 && is_only_suspect(instance, place.as_ref(), &containers, span) {
            kills.own = kills.own.saturating_add(std::mem::take(&mut kills.unnamed));
        }
        if kills.own == 0 && is_first_end(instance, place.as_ref()) {
            kills.own = kills.before;
        }
        gathered.oom = match kills {
            OomKills { own: 0, unnamed: 0, is_whole: true, .. } => OomCount::None,
            OomKills { own: 0, .. } => OomCount::Unknown,
            OomKills { own, .. } => OomCount::Some(own),
        };
        match id.and_then(|id| containers.history(&instance.pod_key, id, now)) {
            Some(history) => {
                gathered.container = Some(ContainerTelemetry {
                    samples: history.samples,
                    memory_limit_bytes: history.limit_bytes,
                    memory_peak_bytes: history.peak_bytes,
                    oom_kills: kills.own,
                });
            }
            None => {
                let why = match is_left_out {
                    true => TOO_MANY,
                    false => why_not_sampled(instance, &containers, now),
                };
                gathered.gaps.push(Gap::new(Part::Container, why));
            }
        }
    }

    /// Adds the data about the node: its samples, its gaps, and the API server's information.
    pub fn add_node(&self, mut gathered: Gathered, now: Now) -> Gathered {
        let Some(mut system) = within(&self.system) else {
            gathered.gaps.push(Gap::new(Part::System, "the thread that reads /proc hangs"));
            return gathered;
        };
        if let Some((at, _)) = system.newest() {
            let age = now.monotonic.saturating_sub(at);
            gathered.system =
                Some(system.columns(now.wall.saturating_sub(age).unwrap_or(now.wall)));
        }
        gathered.kernel = system.kernel(now.monotonic);
        if let Some(FollowedLog { log, window }) = &self.kernel_log
            && gathered.words == KernelWords::default()
        {
            gathered.words.troubles = log.troubles(now.wall, *window);
        }
        // Some kernels have no pressure accounting and some nodes no disks, but all have these two files.
        let needed = |name: &str| matches!(name, "stat" | "meminfo");
        for (name, why) in system.missing().filter(|(name, _)| needed(name)) {
            let why = format!("no {name} below BLACKBOX_PROC: {why}");
            gathered.gaps.push(Gap::new(Part::System, why));
        }
        drop(system);
        let node = lock(&self.node);
        gathered.node.clone_from(&node.info);
        if let Some(trouble) = &node.trouble {
            gathered.gaps.push(Gap::new(Part::Node, trouble.clone()));
        }
        gathered
    }

    /// Returns true if the last request for the node is at least [`NODE_FRESH`] old, and then records `now`
    /// as the time of the new request.
    pub fn claim_node_refresh(&self, now: Duration) -> bool {
        let mut node = lock(&self.node);
        let wants = node.asked.is_none_or(|asked| now.saturating_sub(asked) >= NODE_FRESH);
        if wants {
            node.asked = Some(now);
        }
        wants
    }

    /// Returns true if the node's information is not older than this, or if it could not be had since.
    pub fn has_node_since(&self, at: Timestamp) -> bool {
        let node = lock(&self.node);
        node.trouble.is_some() || node.info.as_ref().is_some_and(|info| info.read_at >= at)
    }

    /// Forgets that the node was asked for a short while ago, so that it is asked for again.
    pub fn expire_node(&self) {
        let mut node = lock(&self.node);
        (node.asked, node.trouble) = (None, None);
    }

    /// Records the API server's answer about the node.
    pub fn set_node(&self, answer: Result<Arc<NodeInfo>, String>) {
        let mut node = lock(&self.node);
        match answer {
            // The previous information is kept: it is better than none, and it carries its own time.
            Err(trouble) => node.trouble = Some(trouble),
            Ok(info) => (node.info, node.trouble) = (Some(info), None),
        }
    }

    /// Returns the case of an OOM kill in a container that goes on, with what was gathered about it. `None` if the
    /// container does not run any more, or if that cannot be seen: only the node can tell, since the API may show a
    /// termination minutes late.
    pub fn survived(&self, kill: &OomKill, now: Now, at: Timestamp) -> Option<(Case, Gathered)> {
        let id = kill.container_id.as_deref()?;
        let place = lock(&self.roster).get(&kill.pod_uid).cloned()?;
        let running = place.running.iter().find(|running| running.id.as_str() == id)?;
        if !self.is_running(&kill.pod_uid, id) {
            return None;
        }
        let case = Case::survivor(&place.pod, running.info(&place.pod), &running.id, now, at);
        let instance = InstanceRef {
            id: case.id,
            namespace: place.pod.namespace.clone(),
            pod_name: place.pod.name.clone(),
            pod_key: place.pod.key().to_owned(),
            container: running.name.to_string(),
            container_id: Some(running.id.clone()),
            instance: running.instance,
            started: running.started,
            finished: None,
            is_alone: place.pod.has_one_container(),
            exit_code: None,
        };
        // The API may have shown the container only minutes later.
        Some((case, self.read(&instance, at, now)))
    }

    /// Returns true if the container that lost a process runs, and the API does not list it yet.
    pub fn is_running_unlisted(&self, kill: &OomKill) -> bool {
        let Some(id) = kill.container_id.as_deref() else { return false };
        let is_listed = |place: &PodOnNode| place.running.iter().any(|c| c.id.as_str() == id);
        let is_unlisted =
            lock(&self.roster).get(&kill.pod_uid).is_some_and(|place| !is_listed(place));
        is_unlisted && self.is_running(&kill.pod_uid, id)
    }

    /// Returns true if the node shows that the container runs.
    fn is_running(&self, pod_uid: &str, id: &str) -> bool {
        within(&self.containers)
            .is_some_and(|mut containers| containers.is_running(pod_uid, id) == Some(true))
    }
}

/// Locks a recorder. `None`: the sampler has held it for so long that it hangs in a read.
fn within<T>(recorder: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let never = Stop::default();
    let tries = RECORDER_LOCK_MAX.as_millis() / RECORDER_LOCK_POLL.as_millis();
    for _ in 0..tries {
        match recorder.try_lock() {
            Ok(locked) => return Some(locked),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => never.wait(RECORDER_LOCK_POLL),
        };
    }
    None
}

/// Returns what the kernel's log is searched for.
fn ended(instance: &InstanceRef, at: Timestamp) -> Ended<'_> {
    Ended {
        pod_key: &instance.pod_key,
        container_id: instance.container_id.as_ref().map(ContainerId::as_str),
        is_alone: instance.is_alone,
        started: instance.started,
        at,
        signal: instance.exit_code.map(|code| code - 128).filter(|signal| *signal > 0),
    }
}

/// Returns when this time was on the monotonic clock: 0 if it was before that clock's start, and now if it is yet to
/// come. A step of the wall clock in between shifts it.
fn monotonic(at: Timestamp, now: Now) -> Duration {
    let ago = Duration::try_from(now.wall.duration_since(at)).unwrap_or_default();
    now.monotonic.saturating_sub(ago)
}

/// Returns the time in which an OOM kill may have ended the instance: while it lived, and not long before its end. It is
/// measured from the end itself, since the API may show it minutes later.
fn oom_span(instance: &InstanceRef, now: Now) -> OomSpan {
    let started = instance.started.map_or(Duration::ZERO, |at| monotonic(at, now));
    let finished = instance.finished.map_or(now.monotonic, |at| monotonic(at, now));
    OomSpan {
        since: finished.saturating_sub(OOM_RISES_RECENT).max(started),
        until: finished.saturating_add(API_TIME_STEP),
    }
}

/// Returns true if no other container of the pod can have lost a process in this time without its own counter.
fn is_only_suspect(
    instance: &InstanceRef,
    place: Option<&PodOnNode>,
    containers: &ContainerRecorder,
    span: OomSpan,
) -> bool {
    use ContainerKind::{App, Init};
    if instance.is_alone {
        return true;
    }
    let Some(place) = place.filter(|place| place.pod.containers_left_out == 0) else {
        return false;
    };
    let all = &place.pod.containers;
    let kind = all.iter().find(|info| info.name == instance.container).map(|info| info.kind);
    all.iter().filter(|other| other.name != instance.container).all(|other| {
        // Init containers run one after another, and before the others.
        if matches!((kind, other.kind), (Some(Init), Init | App) | (Some(App), Init)) {
            return true;
        }
        let mut running = place.running.iter().filter(|running| *running.name == *other.name);
        running.next().is_some_and(|running| {
            let since = containers.sampled_since(&instance.pod_key, &running.id);
            // If it began later, another instance of it may have ended in this time.
            since.is_some_and(|since| since <= span.since || running.instance == 0)
        })
    })
}

/// Returns true if no container of the pod has ended but this instance.
fn is_first_end(instance: &InstanceRef, place: Option<&PodOnNode>) -> bool {
    let is_early = |place: &PodOnNode| place.running.iter().all(|running| running.instance <= 1);
    instance.is_alone && instance.instance == 0 && place.is_some_and(is_early)
}

const TOO_MANY: &str = "the node has more containers than the agent samples";

/// Returns why there are no samples of the instance.
fn why_not_sampled(
    instance: &InstanceRef,
    containers: &ContainerRecorder,
    now: Now,
) -> &'static str {
    let Some(since) = containers.since() else {
        return match containers.is_scanned() {
            true => "no cgroup of any pod was found below BLACKBOX_CGROUP",
            false => "the agent had not looked for cgroups yet",
        };
    };
    let finished = instance.finished.map(|at| monotonic(at, now));
    let lived = instance.started.zip(instance.finished);
    let lived = lived.map(|(started, finished)| finished.duration_since(started));
    let is_shorter = |lived: SignedDuration| {
        Duration::try_from(lived)
            .is_ok_and(|lived| lived.saturating_add(API_TIME_STEP) <= containers.interval())
    };
    if instance.started.is_none() {
        "it never ran"
    } else if finished.is_some_and(|at| at <= since) {
        "it ended before the agent's first sample"
    } else if finished.is_some_and(|at| now.monotonic.saturating_sub(at) >= RECORDS_KEPT) {
        "its end was shown when its samples were no longer kept"
    } else if containers.last_scan().is_cut {
        "the node has more cgroups than the agent reads"
    } else if containers.left_out() > 0 {
        TOO_MANY
    } else if lived.is_some_and(is_shorter) {
        "it did not live for a sample"
    } else {
        "its cgroup was not found before it was gone"
    }
}

#[cfg(test)]
mod tests;
