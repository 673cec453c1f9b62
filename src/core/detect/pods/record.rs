//! What is known of one pod and of its containers.

use jiff::Timestamp;

use crate::core::detect::classify::Episode;
use crate::core::detect::ledger::{ContainerEntry, PodEntry};
use crate::limits::{CONTAINERS_PER_POD_MAX, ENDS_KNOWN_PER_CONTAINER, NAME_BYTES_MAX};

/// What is known of a pod.
#[derive(Debug, Default)]
pub struct PodRecord {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The API's UID.
    pub uid: Box<str>,
    /// The version last taken in.
    pub version: String,
    /// The earliest time at which its deletion was asked for.
    pub deletion: Option<Timestamp>,
    /// Its first Running was told, or lies before the agent's time.
    pub started: bool,
    /// Its end was told, or lies before the agent's time.
    pub stopped: bool,
    /// Its failure as a whole was told, or lies before the agent's time.
    pub failed: bool,
    /// What was last said of its place, by a mark.
    pub placed: u64,
    /// What the object said that the rules were last held against, by its mark.
    pub looked_at: Option<u64>,
    /// It comes from a file on the node: its mirror may go and come back.
    pub(super) is_static: bool,
    /// The last LIST that named it.
    pub(super) list: u32,
    /// It is among the table's changed ones.
    pub(super) is_changed: bool,
    pub(super) containers: Vec<ContainerRecord>,
}

/// What is known of a container.
#[derive(Debug)]
pub struct ContainerRecord {
    pub(super) name: Box<str>,
    known: [Known; ENDS_KNOWN_PER_CONTAINER],
    next: u8,
    episodes: u8,
    /// How many of its instances have ended, by the restart count; `None`: never looked at.
    pub ended_total: Option<i64>,
    /// Unseen ends that no incident has told of yet.
    pub unseen: i64,
    /// Ends that the object under way shows and that were not judged yet.
    pub unjudged: i64,
    /// An earlier agent knew it: what ended since is news, whatever its age.
    pub is_restored: bool,
}

/// Something that was told, or was nothing to tell.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Of an end, quick to make; 0 when it comes from an earlier agent, or is an episode.
    mark: u64,
    /// The incident's id, or what it would be.
    id: u64,
}

impl ContainerRecord {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            known: [Known::default(); ENDS_KNOWN_PER_CONTAINER],
            next: 0,
            episodes: 0,
            ended_total: None,
            unseen: 0,
            unjudged: 0,
            is_restored: false,
        }
    }

    pub(super) fn learn(&mut self, mark: u64, id: u64) {
        self.known[usize::from(self.next)] = Known { mark, id };
        self.next = (self.next + 1) % ENDS_KNOWN_PER_CONTAINER as u8;
    }

    pub(super) fn knows(&self, id: u64) -> bool {
        self.known.iter().any(|known| known.id == id)
    }

    /// Whether this end is known; its mark is, from now on.
    pub(super) fn knows_end(&mut self, mark: u64, id: impl Fn() -> u64) -> bool {
        if self.known.iter().any(|known| known.mark == mark) {
            return true;
        }
        let id = id();
        let Some(known) = self.known.iter_mut().find(|known| known.id == id) else {
            return false;
        };
        known.mark = mark;
        true
    }

    /// The ends that are judged and for which no incident waits to tell of them, when so many are
    /// `held` back.
    pub(super) fn counted(&self, held: i64) -> Option<i64> {
        let unaccounted = [self.unseen, self.unjudged, held];
        Some(unaccounted.into_iter().fold(self.ended_total?, i64::saturating_sub))
    }

    /// What the next agent has to know of it.
    fn entry(&self, held: i64, is_held: impl Fn(u64) -> bool) -> ContainerEntry {
        // The oldest first, as they were learned.
        let (newer, older) = self.known.split_at(usize::from(self.next));
        let ids = older.iter().chain(newer).map(|known| known.id);
        ContainerEntry {
            name: self.name.clone(),
            ended: self.counted(held),
            ids: ids.filter(|id| *id != 0 && !is_held(*id)).collect(),
        }
    }

    /// Takes over what an earlier agent knew of it.
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

    /// Whether the episode is new; it is under way from now on.
    pub fn enter(&mut self, episode: Episode) -> bool {
        let bit = 1 << episode as u8;
        let new = self.episodes & bit == 0;
        self.episodes |= bit;
        new
    }

    /// The container runs: whatever it waited for is over.
    pub fn leave_episodes(&mut self) {
        self.episodes = 0;
    }
}

impl PodRecord {
    /// The container's record, made when missing; `None` past the limit of containers, and for a name longer
    /// than any is kept.
    pub fn container(&mut self, name: &str) -> Option<&mut ContainerRecord> {
        let at = match self.containers.iter().position(|c| &*c.name == name) {
            Some(at) => at,
            None if self.containers.len() >= CONTAINERS_PER_POD_MAX => return None,
            None if name.len() > NAME_BYTES_MAX => return None,
            None => {
                // Most pods keep the containers they came with, and the records are large.
                self.containers.reserve_exact(1);
                self.containers.push(ContainerRecord::new(name));
                self.containers.len() - 1
            }
        };
        Some(&mut self.containers[at])
    }

    /// What the next agent has to know of it. `held`: for a container's name how many of its ends are
    /// held back; `is_held`: whether the incident of that id is.
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
            failed: self.failed,
            containers: containers.map(|c| c.entry(held(&c.name), &is_held)).collect(),
        }
    }

    /// Takes over what an earlier agent knew of it.
    pub(super) fn restore(&mut self, entry: &PodEntry) {
        self.namespace.clone_from(&entry.namespace);
        self.name.clone_from(&entry.name);
        self.uid.clone_from(&entry.uid);
        self.is_static = entry.is_static;
        self.failed |= entry.failed;
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
