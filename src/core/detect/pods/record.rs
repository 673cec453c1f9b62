//! What is known of one pod and of its containers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::core::detect::classify::Episode;
use crate::core::detect::deletion::Deletion;
use crate::core::detect::ledger::{ContainerEntry, PodEntry};
use crate::limits::{
    CONTAINERS_PER_POD_MAX, EPISODES_KNOWN_PER_POD, NAME_BYTES_MAX,
    TERMINATIONS_KNOWN_PER_CONTAINER,
};

/// The room for the records of all containers of the node, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Room {
    left: Arc<AtomicUsize>,
    /// True once a container got no record.
    was_full: Arc<AtomicBool>,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(bytes)), was_full: Arc::default() }
    }

    /// Returns how many bytes are left.
    #[cfg(test)]
    pub(super) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    /// Returns true if there was no room at some time.
    pub(super) fn was_full(&self) -> bool {
        self.was_full.load(Ordering::Relaxed)
    }
}

/// A pod's part of the room, given back when the record goes. It comes from the room of its table; without one it is
/// unlimited.
#[derive(Debug, Default)]
pub(super) struct Share {
    room: Option<Room>,
    bytes: usize,
}

impl Share {
    pub(super) fn of(room: &Room) -> Self {
        Self { room: Some(room.clone()), bytes: 0 }
    }

    /// Takes so many bytes; returns false if they are not left.
    fn take(&mut self, bytes: usize) -> bool {
        if let Some(Room { left, was_full }) = &self.room {
            let less = |left: usize| left.checked_sub(bytes);
            if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
                was_full.store(true, Ordering::Relaxed);
                return false;
            }
        }
        self.bytes += bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(Room { left, .. }) = &self.room {
            left.fetch_add(self.bytes, Ordering::Relaxed);
        }
    }
}

/// The record of a pod.
#[derive(Debug, Default)]
pub struct PodRecord {
    /// The pod's namespace.
    pub namespace: Box<str>,
    /// The pod's name.
    pub name: Box<str>,
    /// The pod's UID in the API.
    pub uid: Box<str>,
    /// The resourceVersion of the newest object of the pod that was taken in.
    pub version: String,
    /// The pod's deletion, as far as its objects have shown it.
    pub deletion: Deletion,
    /// True if the pod's first phase Running was reported, or was before the agent's time.
    pub started: bool,
    /// True if the pod's completion was reported, or was before the agent's time.
    pub stopped: bool,
    /// True if the failure of the pod as a whole was reported, or was before the agent's time.
    pub failed: bool,
    /// True if the pod was seen in phase Succeeded, or in phase Failed without a reason.
    pub is_done: bool,
    /// Fingerprint of the workload in whose storm the failure of the pod waits for its line; 0 if it does not wait.
    pub waits_in_storm: u64,
    /// Fingerprint of the pod's place as it was last output.
    pub place_hash: u64,
    /// Fingerprint of the object that the rules judged last.
    pub judged_fingerprint: Option<u64>,
    /// True for a static pod, which comes from a file on the node: its mirror may be deleted and come back.
    pub(super) is_static: bool,
    /// Number of the last LIST that contained the pod.
    pub(super) list: u32,
    /// True if the record is in the table's list of changed records.
    pub(super) is_changed: bool,
    /// Ids of the reported episodes of the pod as a whole, oldest first. Most pods have none.
    pub(super) episodes: Vec<u64>,
    pub(super) containers: Vec<ContainerRecord>,
    pub(super) share: Share,
}

/// The record of a container.
#[derive(Debug)]
pub struct ContainerRecord {
    pub(super) name: Box<str>,
    /// At most [`TERMINATIONS_KNOWN_PER_CONTAINER`]. Most containers never end, so the room is taken one by one.
    known: Vec<Known>,
    /// Where the next one goes: at the end, or in the place of the oldest.
    next: u8,
    episodes: u8,
    /// How many of its instances have terminated, by the restart count; `None` before the first object was judged.
    pub ended_total: Option<i64>,
    /// Unseen terminations that no incident has reported yet.
    pub unseen: i64,
    /// Hash of the instance whose failed start was reported. It may run all the same: the runtime may have been slow.
    pub start_failed: u64,
    /// Short id of the last incident that was reported for a termination with an exit code of the program's own choice;
    /// 0 if there was none.
    pub reported_end: u64,
    /// Short id of the last incident of a termination that was shown while nothing stopped the pod; 0 if there was none.
    pub own_end: u64,
    /// True if the incident of `reported_end` was reported before it was known whether the pod goes on.
    pub is_end_open: bool,
    /// Terminations that the current object shows and that are not judged yet.
    pub unjudged: i64,
    /// True if an earlier agent knew the container: later terminations are then news, whatever their age.
    pub is_restored: bool,
}

/// The memory of a container's record without its name, with all the terminations that it may know.
const CONTAINER_RECORD_BYTES: usize =
    size_of::<ContainerRecord>() + TERMINATIONS_KNOWN_PER_CONTAINER * size_of::<Known>();

/// A termination or episode that was judged, reported or not.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Fingerprint of the termination, cheap to compute; 0 if it is known from an earlier agent, or is an episode.
    hash: u64,
    /// The id of its incident, also if none was reported.
    id: u64,
}

impl ContainerRecord {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            known: Vec::new(),
            next: 0,
            episodes: 0,
            ended_total: None,
            unseen: 0,
            start_failed: 0,
            reported_end: 0,
            own_end: 0,
            is_end_open: false,
            unjudged: 0,
            is_restored: false,
        }
    }

    pub(super) fn learn(&mut self, hash: u64, id: u64) {
        let known = Known { hash, id };
        match self.known.get_mut(usize::from(self.next)) {
            Some(oldest) => *oldest = known,
            None => {
                self.known.reserve_exact(1);
                self.known.push(known);
            }
        }
        self.next = (self.next + 1) % TERMINATIONS_KNOWN_PER_CONTAINER as u8;
    }

    pub(super) fn knows(&self, id: u64) -> bool {
        self.known.iter().any(|known| known.id == id)
    }

    /// Returns true if this termination is known, and remembers its fingerprint.
    pub(super) fn knows_termination(&mut self, hash: u64, id: impl Fn() -> u64) -> bool {
        if self.known.iter().any(|known| known.hash == hash) {
            return true;
        }
        let id = id();
        let Some(known) = self.known.iter_mut().find(|known| known.id == id) else {
            return false;
        };
        known.hash = hash;
        true
    }

    /// Returns the number of terminations that are judged and that no later incident will report, while `held`
    /// terminations are held back.
    pub(super) fn counted(&self, held: i64) -> Option<i64> {
        let unaccounted = [self.unseen, self.unjudged, held];
        Some(unaccounted.into_iter().fold(self.ended_total?, i64::saturating_sub))
    }

    /// Returns what the next agent has to know of the container.
    fn entry(&self, held: i64, is_held: impl Fn(u64) -> bool) -> ContainerEntry {
        // Oldest first, in the order in which they were learned.
        let (newer, older) = self.known.split_at(usize::from(self.next));
        let ids = older.iter().chain(newer).map(|known| known.id);
        ContainerEntry {
            name: self.name.clone(),
            ended: self.counted(held),
            ids: ids.filter(|id| *id != 0 && !is_held(*id)).collect(),
        }
    }

    /// Restores what an earlier agent knew of the container.
    fn restore(&mut self, entry: &ContainerEntry) {
        self.is_restored = true;
        // The incident file may know more than the state file.
        self.ended_total = self.ended_total.max(entry.ended);
        for id in entry.ids.iter().filter(|id| **id != 0) {
            if !self.knows(*id) {
                self.learn(0, *id);
            }
        }
    }

    /// Starts an episode; returns true if it was not in progress already.
    pub fn enter(&mut self, episode: Episode) -> bool {
        let bit = 1 << episode as u8;
        let new = self.episodes & bit == 0;
        self.episodes |= bit;
        new
    }

    /// Returns true if the episode is in progress.
    pub fn is_in(&self, episode: Episode) -> bool {
        self.episodes & (1 << episode as u8) != 0
    }

    /// Finishes all waiting episodes, because an instance was created or runs.
    pub fn leave_episodes(&mut self) {
        self.episodes = 0;
    }
}

impl PodRecord {
    /// Returns the record of a container, and creates it if necessary. `None`: there is no room for one, or the name is
    /// longer than allowed.
    pub fn container(&mut self, name: &str) -> Option<&mut ContainerRecord> {
        let at = match self.containers.iter().position(|c| &*c.name == name) {
            Some(at) => at,
            None if self.containers.len() >= CONTAINERS_PER_POD_MAX => return None,
            None if name.len() > NAME_BYTES_MAX => return None,
            None if !self.share.take(CONTAINER_RECORD_BYTES + name.len()) => return None,
            None => {
                // Most pods keep the containers that they started with, and the records are large, so no spare room
                // is taken.
                self.containers.reserve_exact(1);
                self.containers.push(ContainerRecord::new(name));
                self.containers.len() - 1
            }
        };
        Some(&mut self.containers[at])
    }

    pub(super) fn knows(&self, episode: u64) -> bool {
        self.episodes.contains(&episode)
    }

    pub(super) fn learn(&mut self, episode: u64) {
        if self.episodes.len() >= EPISODES_KNOWN_PER_POD {
            self.episodes.remove(0);
        }
        self.episodes.push(episode);
    }

    /// Returns what the next agent has to know of the pod. `held` returns how many terminations of the container with
    /// that name are held back; `is_held` returns true if the incident with that id is held back.
    pub(super) fn entry(
        &self,
        key: &str,
        held: impl Fn(&str) -> i64,
        is_held: impl Fn(u64) -> bool,
    ) -> PodEntry {
        let containers = self.containers.iter();
        PodEntry {
            key: key.into(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            is_static: self.is_static,
            failed: self.failed && self.waits_in_storm == 0,
            ids: self.episodes.clone(),
            containers: containers.map(|c| c.entry(held(&c.name), &is_held)).collect(),
        }
    }

    /// Restores what an earlier agent knew of the pod.
    pub(super) fn restore(&mut self, entry: &PodEntry) {
        self.namespace.clone_from(&entry.namespace);
        self.name.clone_from(&entry.name);
        self.uid.clone_from(&entry.uid);
        self.is_static = entry.is_static;
        self.failed |= entry.failed;
        for id in entry.ids.iter().filter(|id| **id != 0) {
            if !self.knows(*id) {
                self.learn(*id);
            }
        }
        for known in &entry.containers {
            if let Some(container) = self.container(&known.name) {
                container.restore(known);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_is_new_until_the_container_runs() {
        let mut record = ContainerRecord::new("app");
        assert!(record.enter(Episode::ImagePull));
        assert!(!record.enter(Episode::ImagePull));
        assert!(record.enter(Episode::ConfigError));
        assert!(!record.enter(Episode::ImagePull));
        record.leave_episodes();
        assert!(record.enter(Episode::ImagePull));
    }
}
