//! Everything known about the node and its pods, shared by the threads that collect and report it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::core::Now;
use crate::core::case::{Case, Gap, InstanceRef, OomCount, Part};
use crate::core::incident::{ContainerTelemetry, Gathered};
use crate::core::node::NodeInfo;
use crate::core::roster::{PodOnNode, Roster};
use crate::core::sidecar::Sidecars;
use crate::limits::{NODE_FRESH, OOM_RISES_RECENT};
use crate::node::cgroup::{ContainerRecorder, OomKill, WantedPod};
use crate::node::logs::PodLogs;
use crate::node::procfs::SystemRecorder;

/// All recorded data.
#[derive(Debug)]
pub struct FlightRecorder {
    roster: Arc<Mutex<Roster>>,
    sidecars: Arc<Mutex<Sidecars>>,
    containers: Mutex<ContainerRecorder>,
    system: Mutex<SystemRecorder>,
    node: Mutex<Node>,
    logs: Option<PodLogs>,
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
        }
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
            container_ids: place.running.iter().map(|(_, id)| id.clone()).collect(),
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

    /// Gathers the data about a terminated container: last log lines, posted numbers, samples, OOM kills.
    pub fn read_instance(&self, instance: &InstanceRef, now: Now) -> Gathered {
        let mut gathered = Gathered::default();
        if let Some(logs) = &self.logs {
            let InstanceRef { namespace, pod_name, pod_key, container, instance, .. } = instance;
            match logs.last_words(namespace, pod_name, pod_key, container, *instance) {
                Ok(words) => gathered.logs = Some(words),
                Err(gap) => gathered.gaps.push(Gap::new(Part::Logs, gap.to_string())),
            }
        }
        gathered.sidecar = lock(&self.sidecars).section(&instance.pod_key, now.monotonic);
        let is_alone = lock(&self.roster)
            .get(&instance.pod_key)
            .is_some_and(|place| place.pod.containers.len() == 1);
        let mut containers = self.containers();
        // The counters exist only for a short time after the container, so read them now.
        containers.check_pod(now.monotonic, &instance.pod_key);
        let id = instance.container_id.as_ref();
        match id.and_then(|id| containers.history(&instance.pod_key, id, now)) {
            Some(history) => {
                // In a pod with several containers, the pod's kills may belong to another container.
                let of_pod = if is_alone { history.pod_oom_kills } else { 0 };
                gathered.oom = match history.oom_kills.max(of_pod) {
                    0 if history.is_oom_count_whole && history.pod_oom_kills == 0 => OomCount::None,
                    0 => OomCount::Unknown,
                    kills => OomCount::Some(kills),
                };
                gathered.container = Some(ContainerTelemetry {
                    samples: history.samples,
                    memory_limit_bytes: history.limit_bytes,
                    memory_peak_bytes: history.peak_bytes,
                    oom_kills: history.oom_kills,
                });
            }
            None => {
                // The container started and terminated between two samples; the pod's counter may show its kills.
                let within = OOM_RISES_RECENT;
                let kills = containers.pod_oom_kills(&instance.pod_key, now.monotonic, within);
                if kills > 0 && is_alone {
                    gathered.oom = OomCount::Some(kills);
                }
                let why = self.why_not_sampled(&containers);
                gathered.gaps.push(Gap::new(Part::Container, why));
            }
        }
        gathered
    }

    fn why_not_sampled(&self, containers: &ContainerRecorder) -> &'static str {
        let scan = containers.last_scan();
        if scan.pods == 0 {
            return "no cgroup of any pod was found below BLACKBOX_CGROUP";
        }
        if scan.is_cut {
            return "the node has more cgroups than the agent reads";
        }
        "it did not live for a sample"
    }

    /// Adds the data about the node: its samples, its gaps, and the API server's information.
    pub fn add_node(&self, mut gathered: Gathered, now: Now) -> Gathered {
        let system = self.system();
        if let Some((at, _)) = system.newest() {
            let age = now.monotonic.saturating_sub(at);
            gathered.system =
                Some(system.columns(now.wall.saturating_sub(age).unwrap_or(now.wall)));
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

    /// Records the API server's answer about the node.
    pub fn set_node(&self, answer: Result<Arc<NodeInfo>, String>) {
        let mut node = lock(&self.node);
        match answer {
            // The previous information is kept: it is better than none, and it carries its own time.
            Err(trouble) => node.trouble = Some(trouble),
            Ok(info) => (node.info, node.trouble) = (Some(info), None),
        }
    }

    /// Returns the incident for an OOM kill after which no container of the pod terminated. `None`: the pod or
    /// the container is not known to be running.
    pub fn survived(&self, kill: &OomKill, now: Now, at: Timestamp) -> Option<Case> {
        let roster = lock(&self.roster);
        let place = roster.get(&kill.pod_uid)?;
        let id = kill.container_id.as_deref()?;
        let (name, id) = place.running.iter().find(|(_, running)| running.as_str() == id)?;
        Case::survivor(&place.pod, name, id, now, at)
    }
}
