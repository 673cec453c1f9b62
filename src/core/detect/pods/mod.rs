//! What the agent remembers about the node's pods: just enough to distinguish a new termination from a known one.
//!
//! The API shows at most the two newest terminations of a container, again and again in every event, every relist,
//! every reconnect. A record knows the terminations that it has seen by their container IDs, and counts those that it
//! could not see by the restart count.

mod record;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::core::case::IncidentId;
use crate::core::detect::deletion::Deletion;
use crate::core::detect::ledger::PodEntry;
use crate::core::text::is_plain;
use crate::core::wire::{self, is_older, is_usable};
use crate::limits::{
    CONTAINER_RECORDS_BYTES_MAX, NAME_BYTES_MAX, PODS_GONE_REMEMBERED_MAX, PODS_MAX,
    STATIC_PODS_REMEMBERED_MAX, TERMINATIONS_REMEMBERED_MAX,
};

use record::{Room, Share};

pub use record::{ContainerRecord, PodRecord};

/// Returns the kubelet's own UID of a static pod (`pkg/kubelet/config/common.go`). Anyone may write these
/// annotations, and the UID goes into paths and selectors, so only the form that the kubelet writes is accepted.
pub fn static_uid<'p>(metadata: &'p wire::Metadata<'_>) -> Option<&'p str> {
    metadata.annotations.config_mirror.some()?;
    metadata.annotations.config_hash.some().filter(|uid| is_plain(uid))
}

/// A set that forgets its oldest entry above its limit.
#[derive(Debug)]
struct BoundedSet {
    set: HashSet<u64>,
    order: VecDeque<u64>,
    limit: usize,
}

impl BoundedSet {
    fn new(limit: usize) -> Self {
        Self { set: HashSet::new(), order: VecDeque::new(), limit }
    }

    /// Adds a value; returns true if it is new.
    fn insert(&mut self, value: u64) -> bool {
        let is_new = self.set.insert(value);
        if !is_new && let Some(at) = self.order.iter().position(|known| *known == value) {
            // What is still seen is not the oldest.
            self.order.remove(at);
            self.order.push_back(value);
        }
        if is_new {
            self.order.push_back(value);
            if self.order.len() > self.limit
                && let Some(oldest) = self.order.pop_front()
            {
                self.set.remove(&oldest);
            }
        }
        is_new
    }
}

/// All pods of the node, and a bounded memory of the pods that are gone.
#[derive(Debug)]
pub struct PodTable {
    pods: HashMap<Box<str>, PodRecord>,
    /// Ids of the newest terminations and waiting episodes: for pods that were deleted, for an API server whose
    /// history went back, and from an earlier agent.
    ends: BoundedSet,
    gone: BoundedSet,
    /// Records of static pods whose mirror was deleted: the mirror comes back with the same containers.
    statics: VecDeque<(Box<str>, PodRecord)>,
    list: u32,
    /// The room for the records of containers.
    room: Room,
    /// True once a pod was forgotten for want of room.
    has_forgotten: bool,
    /// Keys of the records that changed since the last call of [`PodTable::changed`].
    changed: Vec<Box<str>>,
}

impl Default for PodTable {
    fn default() -> Self {
        Self {
            pods: HashMap::new(),
            ends: BoundedSet::new(TERMINATIONS_REMEMBERED_MAX),
            gone: BoundedSet::new(PODS_GONE_REMEMBERED_MAX),
            statics: VecDeque::new(),
            list: 0,
            room: Room::new(CONTAINER_RECORDS_BYTES_MAX),
            has_forgotten: false,
            changed: Vec::new(),
        }
    }
}

/// How an object relates to what is known of its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// The pod was not seen before.
    New,
    /// A later version of the pod.
    Later,
    /// The known version, an earlier one, or a pod that was already deleted.
    Stale,
    /// The table is full, or the names are longer than allowed.
    NoRoom,
}

impl PodTable {
    /// Returns the number of known pods.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Returns true if no pod is known.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// Returns the record with this key.
    pub fn get(&mut self, key: &str) -> Option<&mut PodRecord> {
        self.pods.get_mut(key)
    }

    /// Returns a pod's key: its UID, or for a static pod the UID that the kubelet uses, which outlives the mirror
    /// pod. A pod that only claims the UID of another pod gets its own UID as key.
    pub fn key<'p>(&self, metadata: &'p wire::Metadata<'_>) -> &'p str {
        static_uid(metadata)
            .filter(|uid| {
                let gone = || self.statics.iter().find(|(key, _)| **key == **uid).map(|(_, r)| r);
                let known = self.pods.get(*uid).or_else(gone);
                known.is_none_or(|record| {
                    *record.namespace == *metadata.namespace && *record.name == *metadata.name
                })
            })
            .unwrap_or(&metadata.uid)
    }

    /// Compares an object with what is known of its pod, and creates a record if the pod is new. `went_back`: the
    /// server's history went back, so an older version may be the newest that exists.
    pub fn admit(&mut self, metadata: &wire::Metadata<'_>, went_back: bool) -> Sighting {
        let key = self.key(metadata);
        if !can_be_kept(metadata) {
            return Sighting::NoRoom;
        }
        // What is no version tells nothing about the order of the objects.
        let version = Some(&*metadata.resource_version).filter(|version| is_usable(version));
        let version = version.unwrap_or_default();
        if let Some(record) = self.pods.get_mut(key) {
            record.list = self.list;
            // The record comes from an earlier agent.
            let is_first = record.version.is_empty();
            if *record.uid != *metadata.uid {
                if is_older(version, &record.version) && !went_back {
                    return Sighting::Stale;
                }
                // The mirror of a static pod was created again.
                record.uid = Box::from(&*metadata.uid);
                record.deletion = Deletion::default();
                record.stopped = false;
            } else if !version.is_empty() {
                let old = version == record.version || is_older(version, &record.version);
                if old && !(went_back && version != record.version) {
                    return Sighting::Stale;
                }
            }
            if !version.is_empty() {
                version.clone_into(&mut record.version);
            }
            return if is_first { Sighting::New } else { Sighting::Later };
        }
        if self.gone.set.contains(&deleted_hash(key, &metadata.uid)) && !went_back {
            return Sighting::Stale;
        }
        if self.pods.len() >= PODS_MAX {
            return Sighting::NoRoom;
        }
        // Only a mirror comes back: a pod may have a UID that another pod claimed.
        let is_mirror = static_uid(metadata).is_some();
        let revived = self.statics.iter().position(|(k, _)| is_mirror && **k == *key);
        let known = revived.and_then(|at| self.statics.remove(at)).map(|(_, record)| record);
        let sighting = if known.is_some() { Sighting::Later } else { Sighting::New };
        // These fields outlive a mirror; the others belong to the object.
        let known = known.unwrap_or_else(|| self.new_record());
        let PodRecord { started, failed, episodes, containers, share, .. } = known;
        let record = PodRecord {
            namespace: Box::from(&*metadata.namespace),
            name: Box::from(&*metadata.name),
            uid: Box::from(&*metadata.uid),
            version: version.to_owned(),
            is_static: static_uid(metadata).is_some(),
            list: self.list,
            started,
            failed,
            episodes,
            containers,
            share,
            ..PodRecord::default()
        };
        self.pods.insert(key.into(), record);
        self.touch(key);
        sighting
    }

    /// Learns a termination of a container by its container ID. Returns true if it was known before. Where there is no
    /// room for a record of the container, the set of the last terminations of the node decides.
    pub fn learn_termination(&mut self, key: &str, container: &str, container_id: &str) -> bool {
        let words = [key, container, container_id];
        let (hash, id) = (hash(&words), || id(&words));
        let Some(pod) = self.pods.get_mut(key) else { return true };
        let Some(record) = pod.container(container) else {
            return !self.ends.insert(id());
        };
        if record.knows_termination(hash, id) {
            return true;
        }
        let id = id();
        record.learn(hash, id);
        self.touch(key);
        !self.ends.insert(id)
    }

    /// Records that an instance was created and could not be started, as its waiting reason says. Returns true if its
    /// end was known before. If the instance runs all the same, its real end is new:
    /// [`PodTable::learn_real_termination`].
    pub fn learn_failed_start(&mut self, key: &str, container: &str, container_id: &str) -> bool {
        if self.learn_termination(key, container, container_id) {
            return true;
        }
        let hash = hash(&[key, container, container_id]);
        if let Some(record) = self.pods.get_mut(key).and_then(|pod| pod.container(container)) {
            record.start_failed = hash;
        }
        false
    }

    /// Learns the end of an instance that ran although its start was reported as failed. Returns the id of its incident
    /// if that end is new; the id of the instance itself is taken by the failed start.
    pub fn learn_real_termination(
        &mut self,
        key: &str,
        container: &str,
        container_id: &str,
    ) -> Option<IncidentId> {
        let hash = hash(&[key, container, container_id]);
        let record = self.pods.get_mut(key)?.container(container)?;
        if record.start_failed != hash {
            return None;
        }
        let id = IncidentId::of_late_start(key, container, container_id);
        (!self.learn_episode(key, Some(container), id)).then_some(id)
    }

    /// Returns true if [`PodTable::learn_real_termination`] would find a new end.
    pub fn awaits_real_termination(&mut self, key: &str, container: &str, id: &str) -> bool {
        let hash = hash(&[key, container, id]);
        let late = IncidentId::of_late_start(key, container, id).short();
        let record = self.pods.get_mut(key).and_then(|pod| pod.container(container));
        record.is_some_and(|record| record.start_failed == hash && !record.knows(late))
    }

    /// Returns true if this termination of the container is known.
    pub fn knows_termination(&mut self, key: &str, container: &str, container_id: &str) -> bool {
        let words = [key, container, container_id];
        let id = || id(&words);
        let record = self.pods.get_mut(key).and_then(|pod| pod.container(container));
        record.is_some_and(|record| record.knows_termination(hash(&words), id))
            || self.ends.set.contains(&id())
    }

    /// Learns an episode of a container, or of the pod as a whole. Returns true if it was known before.
    pub fn learn_episode(&mut self, key: &str, container: Option<&str>, id: IncidentId) -> bool {
        let id = id.short();
        let Some(pod) = self.pods.get_mut(key) else {
            return true;
        };
        match container {
            None if pod.knows(id) => return true,
            None => pod.learn(id),
            Some(container) => {
                let Some(record) = pod.container(container) else {
                    return !self.ends.insert(id);
                };
                if record.knows(id) {
                    return true;
                }
                record.learn(0, id);
            }
        }
        self.touch(key);
        !self.ends.insert(id)
    }

    /// Returns a pod to forget, if the table has no room for this pod: one that has completed. Nothing more happens to it,
    /// and what it reported stays among the last terminations of the node. Anybody who may create pods can fill a node's
    /// list with refused ones.
    pub fn pod_to_forget(
        &mut self,
        metadata: &wire::Metadata<'_>,
        is_held: impl Fn(&str) -> bool,
    ) -> Option<Box<str>> {
        let key = self.key(metadata);
        if self.pods.len() < PODS_MAX
            || self.pods.contains_key(key)
            || !can_be_kept(metadata)
            || self.gone.set.contains(&deleted_hash(key, &metadata.uid))
        {
            return None;
        }
        let found = self
            .pods
            .iter()
            .find(|(key, record)| record.stopped && record.waits_in_storm == 0 && !is_held(key));
        let found = found.map(|(key, _)| key.clone());
        self.has_forgotten |= found.is_some();
        found
    }

    /// Returns true if a pod was forgotten, or a container got no record, for want of room. What is then seen for the
    /// first time may have been seen before, so its restart count tells nothing about terminations that nobody saw.
    pub fn was_full(&self) -> bool {
        self.has_forgotten || self.room.was_full()
    }

    fn new_record(&self) -> PodRecord {
        PodRecord { share: Share::of(&self.room), ..PodRecord::default() }
    }

    /// Removes the record of a pod that claims the UID of this pod as its static UID. Returns true if there was one. A
    /// real UID beats a claimed one.
    pub fn unmask(&mut self, metadata: &wire::Metadata<'_>) -> bool {
        let uid = &*metadata.uid;
        let is_claimed = |record: &PodRecord| record.is_static && *record.uid != *uid;
        self.pods.get(uid).is_some_and(is_claimed)
            && self.key(metadata) == uid
            && self.pods.remove(uid).is_some()
    }

    /// Records that the failure of the pod as a whole is reported. Returns true if it was not reported before.
    pub fn learn_pod_failure(&mut self, key: &str, id: IncidentId) -> bool {
        match self.pods.get_mut(key) {
            Some(record) => {
                let is_new = self.ends.insert(id.short());
                !std::mem::replace(&mut record.failed, true) && is_new
            }
            None => self.ends.insert(id.short()),
        }
    }

    /// Returns true if this episode of a container, or of the pod as a whole, is known.
    pub fn knows_episode(&self, key: &str, container: Option<&str>, id: IncidentId) -> bool {
        let id = id.short();
        let is_known = |pod: &PodRecord| match container {
            None => pod.knows(id),
            Some(name) => pod.containers.iter().any(|c| *c.name == *name && c.knows(id)),
        };
        self.pods.get(key).is_some_and(is_known) || self.ends.set.contains(&id)
    }

    /// Records that the storm of this workload is reported: for the next agent, its pods count as reported from now on.
    pub fn end_storm(&mut self, workload: u64) {
        let waits = |record: &PodRecord| record.waits_in_storm == workload;
        let keys = self.pods.iter().filter(|(_, record)| waits(record));
        for key in keys.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            if let Some(record) = self.pods.get_mut(&key) {
                record.waits_in_storm = 0;
            }
            self.touch(&key);
        }
    }

    /// Marks the pod's record as changed for the next agent.
    pub fn touch(&mut self, key: &str) {
        if let Some(record) = self.pods.get_mut(key)
            && !std::mem::replace(&mut record.is_changed, true)
        {
            self.changed.push(key.into());
        }
    }

    /// Returns the fingerprint of the object of this pod that the rules judged last.
    pub fn judged_fingerprint(&self, key: &str) -> Option<u64> {
        self.pods.get(key)?.judged_fingerprint
    }

    /// Forgets these fingerprints, so that the rules judge every object again.
    #[cfg(test)]
    pub(super) fn judge_all_again(&mut self) {
        self.pods.values_mut().for_each(|record| record.judged_fingerprint = None);
    }

    /// Returns the keys of the records that changed since the last call.
    pub fn changed(&mut self) -> Vec<Box<str>> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.retain(|key| {
            let record = self.pods.get_mut(key);
            record.is_some_and(|record| std::mem::take(&mut record.is_changed))
        });
        changed
    }

    /// Returns the number of terminations of a container that the incident being reported and the incidents before it
    /// account for, while `held` terminations are held back.
    pub fn counted(&self, key: &str, container: &str, held: i64) -> Option<i64> {
        let containers = &self.pods.get(key)?.containers;
        containers.iter().find(|c| &*c.name == container)?.counted(held)
    }

    /// Returns what the next agent has to know of a pod. `held` returns how many terminations of the container with
    /// that name are held back; `is_held` returns true if the incident with that id is held back.
    pub fn entry(
        &self,
        key: &str,
        held: impl Fn(&str) -> i64,
        is_held: impl Fn(u64) -> bool,
    ) -> Option<PodEntry> {
        Some(self.pods.get(key)?.entry(key, held, is_held))
    }

    /// Restores what an earlier agent knew of a pod.
    pub fn restore(&mut self, entry: &PodEntry) {
        if entry.key.is_empty() {
            // The line of an incident of the node, which names no pod.
            return;
        }
        if self.pods.len() >= PODS_MAX && !self.pods.contains_key(&entry.key) {
            return;
        }
        let share = Share::of(&self.room);
        let record = self.pods.entry(entry.key.clone());
        let record = record.or_insert_with(|| PodRecord { share, ..PodRecord::default() });
        record.restore(entry);
        let of_containers = entry.containers.iter().flat_map(|known| &known.ids);
        for id in of_containers.chain(&entry.ids).filter(|id| **id != 0) {
            self.ends.insert(*id);
        }
        self.touch(&entry.key);
    }

    /// Records that the pod was deleted: objects of it that arrive later are stale. (A LIST that does not contain a
    /// pod is less certain evidence: an object that arrives after it is new.)
    pub fn mark_deleted(&mut self, key: &str) {
        if let Some(record) = self.pods.get(key) {
            self.gone.insert(deleted_hash(key, &record.uid));
        }
    }

    /// Records that the LIST contains a pod of which only the metadata can be read.
    pub fn mark_listed(&mut self, key: &str) {
        if let Some(record) = self.pods.get_mut(key) {
            record.list = self.list;
        }
    }

    /// Removes a pod that is gone. Returns the key of the record that is now forgotten for good: this one, or the
    /// oldest record of a static pod, if there are too many of them.
    pub fn remove(&mut self, key: &str) -> Option<Box<str>> {
        let (key, record) = self.pods.remove_entry(key)?;
        if !record.is_static {
            return Some(key);
        }
        self.statics.push_back((key, record));
        if self.statics.len() <= STATIC_PODS_REMEMBERED_MAX {
            return None;
        }
        self.statics.pop_front().map(|(key, _)| key)
    }

    /// Takes in the start of a LIST: pods that it does not contain are gone at its end.
    pub fn begin_list(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// Returns the keys of the pods that the current LIST did not contain.
    pub fn unlisted(&self) -> Vec<Box<str>> {
        self.pods.iter().filter(|(_, r)| r.list != self.list).map(|(k, _)| k.clone()).collect()
    }
}

/// Returns true if the names are within the limits. They are kept as long as the pod is. Kubernetes has
/// shorter ones, but another server may send anything.
fn can_be_kept(metadata: &wire::Metadata<'_>) -> bool {
    let wire::Metadata { namespace, name, uid, .. } = metadata;
    [namespace, name, uid].iter().all(|text| text.len() <= NAME_BYTES_MAX)
}

/// Returns a fingerprint of a deleted pod. A mirror pod that comes back has the same key and another UID.
fn deleted_hash(key: &str, uid: &str) -> u64 {
    hash(&[key, uid])
}

/// Returns a hash for tables of this process only. It is computed for every event, and is cheaper than an incident's
/// id.
fn hash(words: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    words.hash(&mut hasher);
    hasher.finish()
}

/// Returns the short id of a termination.
fn id([key, container, container_id]: &[&str; 3]) -> u64 {
    IncidentId::of_termination(key, container, container_id).short()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::wire::json::Text;
    use crate::limits::CONTAINERS_PER_POD_MAX;

    fn metadata<'a>(uid: &'a str, version: &'a str) -> wire::Metadata<'a> {
        wire::Metadata { uid: uid.into(), resource_version: version.into(), ..Default::default() }
    }

    fn mirror<'a>(uid: &'a str, version: &'a str) -> wire::Metadata<'a> {
        let annotations =
            wire::Annotations { config_hash: "hash".into(), config_mirror: "hash".into() };
        wire::Metadata { annotations, ..metadata(uid, version) }
    }

    #[test]
    fn duplicates_and_older_versions_are_stale() {
        let mut table = PodTable::default();
        for (version, went_back, want) in [
            ("10", false, Sighting::New),
            ("10", false, Sighting::Stale),
            ("9", false, Sighting::Stale),
            ("12", false, Sighting::Later),
            ("11", false, Sighting::Stale),
            ("5", true, Sighting::Later),
            ("5", true, Sighting::Stale),
            ("6", false, Sighting::Later),
            ("", false, Sighting::Later),
        ] {
            assert_eq!(table.admit(&metadata("u", version), went_back), want, "{version}");
        }
    }

    #[test]
    fn an_event_after_the_deletion_is_stale() {
        let mut table = PodTable::default();
        table.admit(&metadata("u", "1"), false);
        table.mark_deleted("u");
        assert_eq!(table.remove("u").as_deref(), Some("u"));
        assert!(table.remove("u").is_none());
        assert_eq!(table.admit(&metadata("u", "2"), false), Sighting::Stale);
        assert_eq!(table.admit(&metadata("u", "2"), true), Sighting::New);
    }

    #[test]
    fn ends_are_learned_once_also_over_the_pods_deletion() {
        let mut table = PodTable::default();
        table.admit(&metadata("u", "1"), false);
        let end = "containerd://1";
        assert!(!table.knows_termination("u", "app", end));
        assert!(!table.learn_termination("u", "app", end));
        assert!(table.learn_termination("u", "app", end));
        table.remove("u");
        table.admit(&metadata("u", "2"), true);
        assert!(table.learn_termination("u", "app", end));
    }

    #[test]
    fn a_static_pod_outlives_its_mirror() {
        let mut table = PodTable::default();
        assert_eq!(table.admit(&mirror("u1", "1"), false), Sighting::New);
        table.get("hash").unwrap().container("app").unwrap().ended_total = Some(5);
        table.mark_deleted("hash");
        table.remove("hash");
        assert_eq!(table.admit(&mirror("u1", "2"), false), Sighting::Stale);
        assert_eq!(table.admit(&mirror("u2", "3"), false), Sighting::Later);
        let record = table.get("hash").unwrap();
        assert_eq!(record.container("app").unwrap().ended_total, Some(5));
        assert_eq!(&*record.uid, "u2");
        assert_eq!(table.admit(&mirror("u1", "2"), false), Sighting::Stale, "an old one, late");
        assert_eq!(table.admit(&mirror("u3", "4"), false), Sighting::Later, "made again unseen");
    }

    #[test]
    fn a_pod_that_claims_anothers_uid_keeps_its_own() {
        let mut table = PodTable::default();
        let claim = |namespace, hash: Text<'static>| {
            let (config_hash, config_mirror) = (Text::clone(&hash), hash);
            let annotations = wire::Annotations { config_hash, config_mirror };
            let pod = metadata("own", "5");
            wire::Metadata { namespace, annotations, ..pod }
        };
        table.admit(&metadata("victim", "1"), false);
        table.admit(&mirror("u1", "2"), false);
        for hash in ["victim", "hash"] {
            assert_eq!(table.key(&claim("evil".into(), hash.into())), "own", "{hash}");
        }
        for hash in ["../../secrets", "a&limit=1", "a,b", ""] {
            assert_eq!(table.key(&claim("".into(), hash.into())), "own", "{hash}");
        }
    }

    #[test]
    fn nothing_grows_past_its_limit() {
        let mut table = PodTable::default();
        for n in 0..PODS_MAX + 10 {
            let uid = n.to_string();
            let want = if n < PODS_MAX { Sighting::New } else { Sighting::NoRoom };
            assert_eq!(table.admit(&metadata(&uid, "1"), false), want);
        }
        table.get("7").unwrap().stopped = true;
        let free = |_: &str| false;
        assert_eq!(table.pod_to_forget(&metadata("7", "2"), free), None, "it has its place");
        assert_eq!(table.pod_to_forget(&metadata("new", "1"), |_| true), None, "it is held");
        assert_eq!(table.pod_to_forget(&metadata(&"u".repeat(999), "1"), free), None);
        assert!(!table.was_full());
        assert_eq!(table.pod_to_forget(&metadata("new", "1"), free).as_deref(), Some("7"));
        assert!(table.was_full());
        table.get("7").unwrap().stopped = false;
        assert_eq!(table.pod_to_forget(&metadata("new", "1"), free), None);
        for n in 0..2 * TERMINATIONS_REMEMBERED_MAX {
            table.learn_termination("0", "app", &n.to_string());
        }
        assert_eq!(table.ends.set.len(), TERMINATIONS_REMEMBERED_MAX);
        assert_eq!(table.ends.order.len(), TERMINATIONS_REMEMBERED_MAX);
        let record = table.get("0").unwrap();
        for n in 0..2 * CONTAINERS_PER_POD_MAX {
            record.container(&n.to_string());
        }
        assert_eq!(record.containers.len(), CONTAINERS_PER_POD_MAX);
        for n in 0..3 * STATIC_PODS_REMEMBERED_MAX {
            table.remove(&n.to_string());
        }
        assert!(table.statics.len() <= STATIC_PODS_REMEMBERED_MAX);
    }

    #[test]
    fn a_container_without_room_for_a_record_ends_once_all_the_same() {
        let mut table = PodTable { room: Room::new(1000), ..PodTable::default() };
        table.admit(&metadata("u", "1"), false);
        table.admit(&metadata("other", "1"), false);
        let pod = table.get("u").unwrap();
        let kept = (0..CONTAINERS_PER_POD_MAX).filter(|n| pod.container(&n.to_string()).is_some());
        let kept = kept.count();
        assert!((1..10).contains(&kept), "{kept}");
        assert!(table.room.left() < 300);
        for n in 0..CONTAINERS_PER_POD_MAX {
            let name = n.to_string();
            assert!(!table.learn_termination("u", &name, "c1"), "{name}");
            assert!(table.learn_termination("u", &name, "c1"), "{name}");
            assert!(table.knows_termination("u", &name, "c1"), "{name}");
            let episode = IncidentId::of_test(&name);
            assert!(!table.learn_episode("u", Some(&name), episode), "{name}");
            assert!(table.learn_episode("u", Some(&name), episode), "{name}");
        }
        assert!(table.get("other").unwrap().container("app").is_none());
        table.remove("u");
        assert_eq!(table.room.left(), 1000, "the pod that went gives its room back");
        assert!(table.get("other").unwrap().container("app").is_some());
    }

    #[test]
    fn a_real_uid_beats_one_that_was_claimed_before() {
        let mut table = PodTable::default();
        let claim = mirror("claimant", "5");
        assert_eq!(table.admit(&claim, false), Sighting::New);
        let victim = wire::Metadata { name: "victim".into(), ..metadata("hash", "3") };
        assert!(table.unmask(&victim));
        assert!(!table.unmask(&victim));
        assert_eq!(table.admit(&victim, false), Sighting::New, "whatever the versions are");
        assert_eq!(table.key(&claim), "claimant");
        assert!(!table.unmask(&claim));
        table.remove("hash");
        table.admit(&mirror("m1", "7"), false);
        table.remove("hash");
        assert_eq!(table.admit(&victim, false), Sighting::New, "a static pod's record is not its");
    }

    #[test]
    fn names_that_kubernetes_forbids_are_not_kept() {
        let mut table = PodTable::default();
        let (long, longest) = ("u".repeat(NAME_BYTES_MAX + 1), "u".repeat(NAME_BYTES_MAX));
        assert_eq!(table.admit(&metadata(&long, "1"), false), Sighting::NoRoom);
        assert_eq!(table.admit(&mirror(&long, "1"), false), Sighting::NoRoom);
        let named = wire::Metadata { name: long.as_str().into(), ..metadata("u", "1") };
        assert_eq!(table.admit(&named, false), Sighting::NoRoom);
        assert!(table.is_empty());
        assert_eq!(table.admit(&metadata(&longest, "1"), false), Sighting::New);
        assert!(table.get(&longest).unwrap().container(&long).is_none());
        assert!(table.get(&longest).unwrap().container(&longest).is_some());
    }

    #[test]
    fn a_list_finds_the_pods_that_went() {
        let mut table = PodTable::default();
        for uid in ["a", "b", "c"] {
            table.admit(&metadata(uid, "1"), false);
        }
        table.begin_list();
        table.admit(&metadata("b", "1"), false);
        let mut gone = table.unlisted();
        gone.sort();
        assert_eq!(gone, [Box::from("a"), Box::from("c")]);
    }
}
