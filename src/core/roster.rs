//! The roster: the pods that are on the node now, their running containers and their addresses.
//!
//! The detection updates it at every change. The sampler looks up in it which containers to sample. The HTTP server
//! looks up which pod sent a post.

// From Rust's `core::net`, because `std::net` also has sockets, which the pure core must not use.
use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::core::case::{ContainerId, ContainerInfo, ContainerKind, PodFacts, ResourceAnalysis};
use crate::limits::ROSTER_BYTES_MAX;

/// A pod on the node: its containers, addresses and description.
#[derive(Clone, Debug)]
pub struct PodOnNode {
    /// The pod's key: its UID, or for a static pod the kubelet's own UID, which appears in the names of its cgroup
    /// and log folder.
    pub key: Box<str>,
    /// The pod's addresses. A pod on the host's network has the node's addresses.
    pub addresses: Vec<IpAddr>,
    /// True if the pod is on the host's network, where it shares its addresses with the node and with other pods.
    pub is_host_network: bool,
    /// The containers that run now.
    pub running: Vec<RunningContainer>,
    /// The description of the pod; its incidents share it.
    pub pod: Arc<PodFacts>,
}

impl PodOnNode {
    /// Returns about how much memory the pod takes, in bytes.
    fn bytes(&self) -> usize {
        let running = self.running.iter().map(|running| {
            size_of::<RunningContainer>() + running.name.len() + running.id.as_str().len()
        });
        size_of::<Self>()
            + 2 * self.key.len()
            + self.addresses.len() * size_of::<IpAddr>()
            + running.sum::<usize>()
            + self.pod.bytes()
    }
}

/// A container that runs.
#[derive(Clone, Debug)]
pub struct RunningContainer {
    /// The container's name.
    pub name: Box<str>,
    /// The list of the pod's spec that contains it.
    pub kind: ContainerKind,
    /// The ID of the instance that runs.
    pub id: ContainerId,
    /// The number of the instance in its container, from 0.
    pub instance: i64,
    /// When the instance started.
    pub started: Option<Timestamp>,
}

impl RunningContainer {
    /// Returns the description of the container in its pod's; a minimal one if there was no room for it.
    pub fn info(&self, pod: &PodFacts) -> ContainerInfo {
        let known = pod.containers.iter().find(|info| *info.name == *self.name);
        known.cloned().unwrap_or_else(|| ContainerInfo {
            name: self.name.to_string(),
            kind: self.kind,
            image: String::new(),
            image_id: None,
            state: "running",
            restart_count: self.instance,
            exit_code: None,
            signal: None,
            exit_class: None,
            reason: None,
            started_at: self.started,
            finished_at: None,
            message: None,
            resources: ResourceAnalysis::default(),
        })
    }
}

/// The sender of a request, as far as its address shows it.
#[derive(Clone, Copy, Debug)]
pub enum Sender<'r> {
    /// The only pod that has this address.
    Pod(&'r PodOnNode),
    /// The node, or any pod on the host's network.
    Host,
    /// More than one running pod claims this address for itself.
    Several,
    /// The address belongs to no known pod.
    Nobody,
}

/// All pods of the node that the detection knows. The detection bounds their number.
#[derive(Debug, Default)]
pub struct Roster {
    places: HashMap<Box<str>, PodOnNode>,
    /// What they take in memory.
    bytes: usize,
    /// True if a pod was left out for want of room.
    is_partial: bool,
}

impl Roster {
    /// Adds a pod, or replaces what is known about it. Above [`ROSTER_BYTES_MAX`] the largest pod is left out, so that a
    /// pod with very many containers costs no other pod its samples.
    pub fn place(&mut self, place: PodOnNode) {
        self.remove(&place.key);
        self.bytes += place.bytes();
        self.places.insert(place.key.clone(), place);
        while self.bytes > ROSTER_BYTES_MAX {
            let Some(largest) = self.places.values().max_by_key(|place| place.bytes()) else {
                break;
            };
            let key = largest.key.clone();
            self.remove(&key);
            self.is_partial = true;
        }
    }

    /// Returns true if a pod was left out for want of room.
    pub fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Removes the pod with this key.
    pub fn remove(&mut self, key: &str) {
        if let Some(place) = self.places.remove(key) {
            self.bytes -= place.bytes();
        }
    }

    /// Returns the pod with this key.
    pub fn get(&self, key: &str) -> Option<&PodOnNode> {
        self.places.get(key)
    }

    /// Returns all pods.
    pub fn iter(&self) -> impl Iterator<Item = &PodOnNode> {
        self.places.values()
    }

    /// Returns the sender that has this address. A pod without a running container cannot send: addresses are reused,
    /// and the status of a completed pod still shows its old address.
    pub fn sender(&self, address: IpAddr) -> Sender<'_> {
        let address = address.to_canonical();
        let has =
            |place: &&PodOnNode| place.addresses.iter().any(|own| own.to_canonical() == address);
        let own =
            |place: &&PodOnNode| !place.is_host_network && !place.running.is_empty() && has(place);
        let mut found = self.places.values().filter(own);
        match (found.next(), found.next()) {
            (Some(place), None) => Sender::Pod(place),
            (Some(_), Some(_)) => Sender::Several,
            (None, _) => {
                // The addresses of pods on the host's network are the node's own.
                let is_host = |place: &PodOnNode| place.is_host_network && has(&place);
                let is_host = address.is_loopback() || self.places.values().any(is_host);
                if is_host { Sender::Host } else { Sender::Nobody }
            }
        }
    }

    /// Returns the pod with this name if it is on the host's network.
    pub fn on_host_network(&self, namespace: &str, name: &str) -> Option<&PodOnNode> {
        self.places.values().find(|place| {
            place.is_host_network && place.pod.namespace == namespace && place.pod.name == name
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(key: &str, containers: usize) -> PodOnNode {
        let running = |n: usize| RunningContainer {
            name: format!("c{n}").into(),
            kind: ContainerKind::App,
            id: ContainerId::parse(&format!("containerd://{n:064}")).unwrap(),
            instance: 0,
            started: None,
        };
        PodOnNode {
            key: key.into(),
            addresses: Vec::new(),
            is_host_network: false,
            running: (0..containers).map(running).collect(),
            pod: Arc::new(PodFacts::of_node(Arc::new("node1".into()))),
        }
    }

    #[test]
    fn above_the_limit_the_largest_pods_are_left_out() {
        let mut roster = Roster::default();
        (0..500).for_each(|n| roster.place(place(&format!("small{n}"), 2)));
        assert!(!roster.is_partial());
        (0..500).for_each(|n| roster.place(place(&format!("large{n}"), 128)));
        assert!(roster.is_partial());
        let large = roster.places.len() - 500;
        assert!((10..200).contains(&large), "{large}");
        assert!(roster.bytes <= ROSTER_BYTES_MAX);
        assert!((0..500).all(|n| roster.get(&format!("small{n}")).is_some()));
        roster.place(place("small0", 2));
        for key in roster.places.keys().cloned().collect::<Vec<_>>() {
            roster.remove(&key);
        }
        assert_eq!(roster.bytes, 0);
    }

    #[test]
    fn a_running_container_without_a_description_has_a_minimal_one() {
        let place = place("u1", 1);
        let info = place.running[0].info(&place.pod);
        assert_eq!((&*info.name, info.state, info.kind), ("c0", "running", ContainerKind::App));
    }
}
