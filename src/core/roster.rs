//! The roster: the pods that are on the node now, their running containers and their addresses.
//!
//! The detection updates it at every change. The sampler looks up in it which containers to sample. The HTTP server
//! looks up which pod sent a post.

// From Rust's `core::net`, because `std::net` also has sockets, which the pure core must not use.
use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::core::case::{ContainerId, PodFacts};

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

/// A container that runs.
#[derive(Clone, Debug)]
pub struct RunningContainer {
    /// The container's name.
    pub name: Box<str>,
    /// The ID of the instance that runs.
    pub id: ContainerId,
    /// The number of the instance in its container, from 0.
    pub instance: i64,
    /// When the instance started.
    pub started: Option<Timestamp>,
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
}

impl Roster {
    /// Adds a pod, or replaces what is known about it.
    pub fn place(&mut self, place: PodOnNode) {
        self.places.insert(place.key.clone(), place);
    }

    /// Removes the pod with this key.
    pub fn remove(&mut self, key: &str) {
        self.places.remove(key);
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
