//! What the agent remembers of the node's pods: just enough to tell a new end from a known one.
//!
//! The API shows at most the two newest ends of a container, again and again in every event, every
//! relist, every reconnect. A record knows the ends it has seen by their container IDs, and counts
//! those it could not see by the restart count.

mod record;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::core::case::IncidentId;
use crate::core::detect::ledger::PodEntry;
use crate::core::wire::{self, is_older};
use crate::limits::{
    ENDS_REMEMBERED_MAX, NAME_BYTES_MAX, PLAIN_WORD_BYTES_MAX, PODS_GONE_REMEMBERED_MAX, PODS_MAX,
    STATIC_PODS_REMEMBERED_MAX, VERSION_BYTES_MAX,
};

pub use record::{ContainerRecord, PodRecord};

/// The kubelet's own UID of a static pod (`pkg/kubelet/config/common.go`). Anyone may write these
/// annotations, and the UID goes into paths and selectors: only what the kubelet writes is taken.
pub fn static_uid<'p>(metadata: &'p wire::Metadata<'_>) -> Option<&'p str> {
    metadata.annotations.config_mirror.some()?;
    metadata.annotations.config_hash.some().filter(|uid| is_plain(uid))
}

/// Letters, digits and dashes: UIDs, hashes, names of namespaces. Nothing else may become a part of a
/// request or a path.
pub fn is_plain(text: &str) -> bool {
    (1..=PLAIN_WORD_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A set that forgets the oldest past its limit.
#[derive(Debug)]
struct Recent {
    set: HashSet<u64>,
    order: VecDeque<u64>,
    limit: usize,
}

impl Recent {
    fn new(limit: usize) -> Self {
        Self { set: HashSet::new(), order: VecDeque::new(), limit }
    }

    /// Whether it is new.
    fn insert(&mut self, value: u64) -> bool {
        let is_new = self.set.insert(value);
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

/// All pods of the node, and a bounded memory of those that went.
#[derive(Debug)]
pub struct PodTable {
    pods: HashMap<Box<str>, PodRecord>,
    /// Ends of pods that went, and of histories that went back.
    ends: Recent,
    gone: Recent,
    /// Records of static pods whose mirror went: it comes back with the same containers.
    statics: VecDeque<(Box<str>, PodRecord)>,
    list: u32,
    /// Keys of records that changed since [`PodTable::changed`] was asked.
    changed: Vec<Box<str>>,
}

impl Default for PodTable {
    fn default() -> Self {
        Self {
            pods: HashMap::new(),
            ends: Recent::new(ENDS_REMEMBERED_MAX),
            gone: Recent::new(PODS_GONE_REMEMBERED_MAX),
            statics: VecDeque::new(),
            list: 0,
            changed: Vec::new(),
        }
    }
}

/// How an object stands to what is known of its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Not seen before.
    New,
    /// A later version.
    Later,
    /// This version, an earlier one, or a pod that was deleted already.
    Stale,
    /// The table is full, or the names are longer than any is kept.
    NoRoom,
}

impl PodTable {
    /// Pods now known.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether no pod is known.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// The record of that key.
    pub fn get(&mut self, key: &str) -> Option<&mut PodRecord> {
        self.pods.get_mut(key)
    }

    /// A pod's key: its UID; of a static pod the UID that the kubelet uses, which outlives its mirror.
    /// A pod that only claims another's has its own.
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

    /// Compares an object with what is known and makes room for it when it is new.
    /// `went_back`: the server's history did, so that an older version may be the newest there is.
    pub fn sight(&mut self, metadata: &wire::Metadata<'_>, went_back: bool) -> Sighting {
        let key = self.key(metadata);
        if !can_be_kept(metadata) {
            return Sighting::NoRoom;
        }
        let version = &*metadata.resource_version;
        if let Some(record) = self.pods.get_mut(key) {
            record.list = self.list;
            // An earlier agent's.
            let is_first = record.version.is_empty();
            if *record.uid != *metadata.uid {
                if is_older(version, &record.version) && !went_back {
                    return Sighting::Stale;
                }
                // A static pod's mirror, made again.
                record.uid = Box::from(&*metadata.uid);
                record.deletion = None;
                record.stopped = false;
            } else if !version.is_empty() {
                let old = version == record.version || is_older(version, &record.version);
                if old && !(went_back && version != record.version) {
                    return Sighting::Stale;
                }
            }
            version.clone_into(&mut record.version);
            return if is_first { Sighting::New } else { Sighting::Later };
        }
        if self.gone.set.contains(&mark(key, &metadata.uid)) && !went_back {
            return Sighting::Stale;
        }
        if self.pods.len() >= PODS_MAX {
            return Sighting::NoRoom;
        }
        let revived = self.statics.iter().position(|(k, _)| **k == *key);
        let known = revived.and_then(|at| self.statics.remove(at)).map(|(_, record)| record);
        let sighting = if known.is_some() { Sighting::Later } else { Sighting::New };
        // This much outlives a mirror; the rest is of the object.
        let PodRecord { started, failed, containers, .. } = known.unwrap_or_default();
        let record = PodRecord {
            namespace: Box::from(&*metadata.namespace),
            name: Box::from(&*metadata.name),
            uid: Box::from(&*metadata.uid),
            version: version.to_owned(),
            is_static: static_uid(metadata).is_some(),
            list: self.list,
            started,
            failed,
            containers,
            ..PodRecord::default()
        };
        self.pods.insert(key.into(), record);
        self.touch(key);
        sighting
    }

    /// Whether this end of that container was seen before; it has been from now on. An end is known
    /// by its container ID.
    pub fn learn_end(&mut self, key: &str, container: &str, container_id: &str) -> bool {
        let words = [key, container, container_id];
        let (mark, id) = (hash(&words), || id(&words));
        let Some(record) = self.pods.get_mut(key).and_then(|pod| pod.container(container)) else {
            return true;
        };
        if record.knows_end(mark, id) {
            return true;
        }
        let id = id();
        record.learn(mark, id);
        self.touch(key);
        !self.ends.insert(id)
    }

    /// Whether this end of that container was seen before.
    pub fn knows_end(&mut self, key: &str, container: &str, container_id: &str) -> bool {
        let words = [key, container, container_id];
        let id = || id(&words);
        let record = self.pods.get_mut(key).and_then(|pod| pod.container(container));
        record.is_some_and(|record| record.knows_end(hash(&words), id))
            || self.ends.set.contains(&id())
    }

    /// Whether this waiting episode was seen before; it has been from now on.
    pub fn learn_episode(&mut self, key: &str, container: &str, id: IncidentId) -> bool {
        let id = id.short();
        let Some(record) = self.pods.get_mut(key).and_then(|pod| pod.container(container)) else {
            return true;
        };
        if record.knows(id) {
            return true;
        }
        record.learn(0, id);
        self.touch(key);
        !self.ends.insert(id)
    }

    /// The pod's record changes in what the next agent has to know.
    pub fn touch(&mut self, key: &str) {
        if let Some(record) = self.pods.get_mut(key)
            && !std::mem::replace(&mut record.is_changed, true)
        {
            self.changed.push(key.into());
        }
    }

    /// The mark of what the pod's object said that the rules were last held against.
    pub fn looked_at(&self, key: &str) -> Option<u64> {
        self.pods.get(key)?.looked_at
    }

    /// Forgets which objects were looked at.
    #[cfg(test)]
    pub(super) fn look_again(&mut self) {
        self.pods.values_mut().for_each(|record| record.looked_at = None);
    }

    /// Records that changed since this was asked for the last time.
    pub fn changed(&mut self) -> Vec<Box<str>> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.retain(|key| {
            let record = self.pods.get_mut(key);
            record.is_some_and(|record| std::mem::take(&mut record.is_changed))
        });
        changed
    }

    /// How many ends of a container the incident that is told now and those before it account for,
    /// when so many are `held` back.
    pub fn counted(&self, key: &str, container: &str, held: i64) -> Option<i64> {
        let containers = &self.pods.get(key)?.containers;
        containers.iter().find(|c| &*c.name == container)?.counted(held)
    }

    /// What the next agent has to know of a pod. `held`: for a container's name how many of its ends are
    /// held back; `is_held`: whether the incident of that id is.
    pub fn entry(
        &self,
        key: &str,
        held: impl Fn(&str) -> i64,
        is_held: impl Fn(u64) -> bool,
    ) -> Option<PodEntry> {
        Some(self.pods.get(key)?.entry(key, held, is_held))
    }

    /// Takes over what an earlier agent knew of a pod.
    pub fn restore(&mut self, entry: &PodEntry) {
        if self.pods.len() >= PODS_MAX && !self.pods.contains_key(&entry.key) {
            return;
        }
        let record = self.pods.entry(entry.key.clone()).or_default();
        record.restore(entry);
        for id in entry.containers.iter().flat_map(|known| &known.ids).filter(|id| **id != 0) {
            self.ends.insert(*id);
        }
        self.touch(&entry.key);
    }

    /// The pod was deleted: what comes later of it is late. (A LIST that does not name a pod is not
    /// so sure: what comes after it is news.)
    pub fn bury(&mut self, key: &str) {
        if let Some(record) = self.pods.get(key) {
            self.gone.insert(mark(key, &record.uid));
        }
    }

    /// The LIST names a pod, but nothing more of it can be read.
    pub fn mark_listed(&mut self, key: &str) {
        if let Some(record) = self.pods.get_mut(key) {
            record.list = self.list;
        }
    }

    /// Forgets a pod that is gone; returns the key of the record that is forgotten for good.
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

    /// A LIST begins: what it does not name is gone at its end.
    pub fn begin_list(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// Keys of the pods that the LIST which ends now did not name.
    pub fn unlisted(&self) -> Vec<Box<str>> {
        self.pods.iter().filter(|(_, r)| r.list != self.list).map(|(k, _)| k.clone()).collect()
    }
}

/// Whether names and version are no longer than is kept. Kubernetes has shorter ones; they are kept for as
/// long as the pod is, and another server may send anything.
fn can_be_kept(metadata: &wire::Metadata<'_>) -> bool {
    let wire::Metadata { namespace, name, uid, resource_version, .. } = metadata;
    [namespace, name, uid].iter().all(|text| text.len() <= NAME_BYTES_MAX)
        && resource_version.len() <= VERSION_BYTES_MAX
}

/// A mirror pod that comes back has the same key and another UID.
fn mark(key: &str, uid: &str) -> u64 {
    hash(&[key, uid])
}

/// For this process's tables only, and for every event: quicker than an incident's id.
fn hash(words: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    words.hash(&mut hasher);
    hasher.finish()
}

/// The id of a termination, in short.
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
            assert_eq!(table.sight(&metadata("u", version), went_back), want, "{version}");
        }
    }

    #[test]
    fn an_event_after_the_deletion_is_stale() {
        let mut table = PodTable::default();
        table.sight(&metadata("u", "1"), false);
        table.bury("u");
        assert_eq!(table.remove("u").as_deref(), Some("u"));
        assert!(table.remove("u").is_none());
        assert_eq!(table.sight(&metadata("u", "2"), false), Sighting::Stale);
        assert_eq!(table.sight(&metadata("u", "2"), true), Sighting::New);
    }

    #[test]
    fn ends_are_learned_once_also_over_the_pods_deletion() {
        let mut table = PodTable::default();
        table.sight(&metadata("u", "1"), false);
        let end = "containerd://1";
        assert!(!table.knows_end("u", "app", end));
        assert!(!table.learn_end("u", "app", end));
        assert!(table.learn_end("u", "app", end));
        table.remove("u");
        table.sight(&metadata("u", "2"), true);
        assert!(table.learn_end("u", "app", end));
    }

    #[test]
    fn a_static_pod_outlives_its_mirror() {
        let mut table = PodTable::default();
        assert_eq!(table.sight(&mirror("u1", "1"), false), Sighting::New);
        table.get("hash").unwrap().container("app").unwrap().ended_total = Some(5);
        table.bury("hash");
        table.remove("hash");
        assert_eq!(table.sight(&mirror("u1", "2"), false), Sighting::Stale);
        assert_eq!(table.sight(&mirror("u2", "3"), false), Sighting::Later);
        let record = table.get("hash").unwrap();
        assert_eq!(record.container("app").unwrap().ended_total, Some(5));
        assert_eq!(&*record.uid, "u2");
        assert_eq!(table.sight(&mirror("u1", "2"), false), Sighting::Stale, "an old one, late");
        assert_eq!(table.sight(&mirror("u3", "4"), false), Sighting::Later, "made again unseen");
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
        table.sight(&metadata("victim", "1"), false);
        table.sight(&mirror("u1", "2"), false);
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
            assert_eq!(table.sight(&metadata(&uid, "1"), false), want);
        }
        for n in 0..2 * ENDS_REMEMBERED_MAX {
            table.learn_end("0", "app", &n.to_string());
        }
        assert_eq!(table.ends.set.len(), ENDS_REMEMBERED_MAX);
        assert_eq!(table.ends.order.len(), ENDS_REMEMBERED_MAX);
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
    fn names_that_kubernetes_forbids_are_not_kept() {
        let mut table = PodTable::default();
        let (long, longest) = ("u".repeat(NAME_BYTES_MAX + 1), "u".repeat(NAME_BYTES_MAX));
        assert_eq!(table.sight(&metadata(&long, "1"), false), Sighting::NoRoom);
        assert_eq!(table.sight(&mirror(&long, "1"), false), Sighting::NoRoom);
        let version = "1".repeat(VERSION_BYTES_MAX + 1);
        assert_eq!(table.sight(&metadata("u", &version), false), Sighting::NoRoom);
        let named = wire::Metadata { name: long.as_str().into(), ..metadata("u", "1") };
        assert_eq!(table.sight(&named, false), Sighting::NoRoom);
        assert!(table.is_empty());
        assert_eq!(table.sight(&metadata(&longest, "1"), false), Sighting::New);
        assert!(table.get(&longest).unwrap().container(&long).is_none());
        assert!(table.get(&longest).unwrap().container(&longest).is_some());
    }

    #[test]
    fn a_list_finds_the_pods_that_went() {
        let mut table = PodTable::default();
        for uid in ["a", "b", "c"] {
            table.sight(&metadata(uid, "1"), false);
        }
        table.begin_list();
        table.sight(&metadata("b", "1"), false);
        let mut gone = table.unlisted();
        gone.sort();
        assert_eq!(gone, [Box::from("a"), Box::from("c")]);
    }
}
