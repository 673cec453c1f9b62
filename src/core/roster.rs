//! Who is on the node now: which containers run, and which pod has which address.
//!
//! The detection says it whenever it changes; the sampler takes from it what to sample, and whoever
//! posts telemetry is known by it.

// Of `core`, where there are addresses and no sockets.
use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::Arc;

use crate::core::case::PodFacts;

/// A pod in its place.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its key: the UID, of a static pod the kubelet's own, which its cgroup and its log folder carry.
    pub key: Box<str>,
    /// Its addresses; of a pod on the host's network: the node's.
    pub addresses: Vec<IpAddr>,
    /// Whether it is on the host's network, and shares its addresses with the node and others.
    pub is_host_network: bool,
    /// Containers that run now: name, and ID without the runtime's name.
    pub running: Vec<(Box<str>, Box<str>)>,
    /// The description of the pod, which its incidents share.
    pub pod: Arc<PodFacts>,
}

/// Who may ask from an address.
#[derive(Clone, Copy, Debug)]
pub enum Speaker<'r> {
    /// The pod that has it for itself.
    Pod(&'r Place),
    /// The node, and all pods on its network.
    Host,
    /// More than one running pod is said to have it for itself.
    Several,
    /// Nobody that is known.
    Nobody,
}

/// All pods of the node that the detection knows; as many as it knows at most.
#[derive(Debug, Default)]
pub struct Roster {
    places: HashMap<Box<str>, Place>,
}

impl Roster {
    /// A pod is as it says now.
    pub fn place(&mut self, place: Place) {
        self.places.insert(place.key.clone(), place);
    }

    /// The pod of that key is gone.
    pub fn remove(&mut self, key: &str) {
        self.places.remove(key);
    }

    /// The pod of that key.
    pub fn get(&self, key: &str) -> Option<&Place> {
        self.places.get(key)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.places.values()
    }

    /// Who asks from this address. A pod of which nothing runs does not ask: addresses are used again,
    /// and a pod that has ended keeps its own on the record.
    pub fn speaker(&self, address: IpAddr) -> Speaker<'_> {
        let address = address.to_canonical();
        let has = |place: &&Place| place.addresses.iter().any(|own| own.to_canonical() == address);
        let own =
            |place: &&Place| !place.is_host_network && !place.running.is_empty() && has(place);
        let mut found = self.places.values().filter(own);
        match (found.next(), found.next()) {
            (Some(place), None) => Speaker::Pod(place),
            (Some(_), Some(_)) => Speaker::Several,
            (None, _) => {
                // The addresses of pods on the host's network are the node's.
                let is_host = |place: &Place| place.is_host_network && has(&place);
                let is_host = address.is_loopback() || self.places.values().any(is_host);
                if is_host { Speaker::Host } else { Speaker::Nobody }
            }
        }
    }

    /// The pod of that name, if it is on the host's network.
    pub fn on_host_network(&self, namespace: &str, name: &str) -> Option<&Place> {
        self.places.values().find(|place| {
            place.is_host_network && place.pod.namespace == namespace && place.pod.name == name
        })
    }
}
