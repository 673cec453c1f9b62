//! Who is on the node now: which containers run, and which pod has which address.
//!
//! The detection says it whenever it changes; the sampler takes from it what to sample, and whoever
//! posts telemetry is known by it.

use ::core::net::IpAddr;
use std::collections::HashMap;

use crate::core::incident::Incident;

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
    /// What an incident of the pod begins with.
    pub template: Box<Incident>,
}

/// All pods of the node that the detection knows; as many as it knows at most.
#[derive(Debug, Default)]
pub struct Roster {
    places: HashMap<Box<str>, Place>,
    changes: u64,
}

impl Roster {
    /// A pod is as it says now.
    pub fn place(&mut self, place: Place) {
        self.changes += 1;
        self.places.insert(place.key.clone(), place);
    }

    /// The pod of that key is gone.
    pub fn remove(&mut self, key: &str) {
        self.changes += 1;
        self.places.remove(key);
    }

    /// A number that rises with every change.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The pod of that key.
    pub fn get(&self, key: &str) -> Option<&Place> {
        self.places.get(key)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.places.values()
    }

    /// The pod that has this address for itself. `None` as well when two claim it: addresses are used
    /// again, and a pod that has ended keeps its own on the record.
    pub fn by_address(&self, address: IpAddr) -> Option<&Place> {
        let address = address.to_canonical();
        let own = |place: &&Place| !place.is_host_network && place.addresses.contains(&address);
        let mut found = self.places.values().filter(own);
        found.next().filter(|_| found.next().is_none())
    }

    /// The pod of that name, if it is on the host's network.
    pub fn on_host_network(&self, namespace: &str, name: &str) -> Option<&Place> {
        self.places.values().find(|place| {
            place.is_host_network
                && place.template.namespace == namespace
                && place.template.pod_name == name
        })
    }
}
