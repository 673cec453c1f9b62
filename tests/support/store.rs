//! The objects, their history and the one version counter: a small version of etcd and the watch caches.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use super::change::{Change, ChangeKind, Resource, object_version, watch_line};

/// The result of [`Store::wait`].
pub enum Waited {
    /// Changes after the cursor, in order.
    Changes(Vec<Arc<Change>>),
    /// The history no longer reaches back to the cursor.
    Lost,
    /// No change; the cursor may move to this version.
    Quiet(u64),
}

/// The objects of all resources.
pub struct Store {
    state: Mutex<State>,
    changed: Condvar,
    history_max: usize,
}

/// Namespace and name, sorted as in the server's lists.
type Key = (String, String);

#[derive(Default)]
struct State {
    version: u64,
    pods: Collection,
    events: Collection,
    nodes: Collection,
}

#[derive(Default)]
struct Collection {
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Arc<Change>>,
    /// The oldest version from which a new watch may start.
    horizon: u64,
    /// The newest version that was dropped because the history was full.
    dropped: u64,
}

impl Store {
    /// Creates an empty store that keeps `history_max` changes of each resource.
    pub fn new(history_max: usize) -> Self {
        let state = State { version: 1, ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new(), history_max }
    }

    /// Returns the current version.
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// Creates or replaces an object; returns its version, which is the next one.
    pub fn apply(&self, mut object: Value) -> u64 {
        let resource = Resource::of(&object);
        let mut state = self.lock();
        let version = state.version + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let exists = state.collection(resource).objects.contains_key(&key(&object));
        let kind = if exists { ChangeKind::Modified } else { ChangeKind::Added };
        let line = watch_line(kind.name(), &object);
        self.record(state, resource, kind, object, line);
        version
    }

    /// Deletes an object; returns the version of the deletion, or `None` if there was no such object.
    pub fn delete(&self, resource: Resource, namespace: &str, name: &str) -> Option<u64> {
        let mut state = self.lock();
        let version = state.version + 1;
        let key = (namespace.to_owned(), name.to_owned());
        let mut object = Value::clone(state.collection(resource).objects.get(&key)?);
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let line = watch_line(ChangeKind::Deleted.name(), &object);
        self.record(state, resource, ChangeKind::Deleted, object, line);
        Some(version)
    }

    /// Applies a recorded watch line unchanged, with its version. A BOOKMARK only advances the counter.
    pub fn apply_recorded(&self, line: &str) {
        let (kind, object) = recorded_change(line);
        let version = object_version(&object);
        let Some(kind) = kind else { return self.advance(version) };
        let state = self.lock();
        assert!(version > state.version, "{version} was recorded before {}", state.version);
        self.record(state, Resource::of(&object), kind, object, format!("{}\n", line.trim_end()));
    }

    /// Applies the change of a recorded watch line now, with the next version. A BOOKMARK changes nothing.
    pub fn repeat_recorded(&self, line: &str) {
        let (Some(kind), mut object) = recorded_change(line) else { return };
        let state = self.lock();
        object["metadata"]["resourceVersion"] = json!((state.version + 1).to_string());
        let line = watch_line(kind.name(), &object);
        self.record(state, Resource::of(&object), kind, object, line);
    }

    /// Adds objects as if they had always existed: no watch sees them being created.
    pub fn preload(&self, objects: impl IntoIterator<Item = Value>, version: u64) {
        let mut state = self.lock();
        for object in objects {
            state.collection(Resource::of(&object)).objects.insert(key(&object), Arc::new(object));
        }
        state.version = state.version.max(version);
        drop(state);
        self.compact();
    }

    /// Advances the counter to `version`, as writes to other resources do.
    pub fn advance(&self, version: u64) {
        let mut state = self.lock();
        state.version = state.version.max(version);
        self.changed.notify_all();
    }

    /// Drops all history: a new watch from an earlier version gets 410, running watches are not affected.
    pub fn compact(&self) {
        let mut state = self.lock();
        let version = state.version;
        state.collections().for_each(|collection| collection.horizon = version);
    }

    /// Sets the counter back and drops all history, as a restore of etcd from a backup does.
    pub fn roll_back(&self, version: u64) {
        let mut state = self.lock();
        state.version = version;
        for collection in state.collections() {
            collection.history.clear();
            collection.horizon = version;
            collection.dropped = 0;
            for object in collection.objects.values_mut() {
                if object_version(object) > version {
                    Arc::make_mut(object)["metadata"]["resourceVersion"] =
                        json!(version.to_string());
                }
            }
        }
        self.changed.notify_all();
    }

    /// Returns all objects of a resource, and the current version.
    pub fn snapshot(&self, resource: Resource) -> (Vec<Arc<Value>>, u64) {
        let mut state = self.lock();
        let version = state.version;
        (state.collection(resource).objects.values().cloned().collect(), version)
    }

    /// Returns one object.
    pub fn object(&self, resource: Resource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = (namespace.to_owned(), name.to_owned());
        self.lock().collection(resource).objects.get(&key).cloned()
    }

    /// Returns the oldest version from which a new watch of the resource may start.
    pub fn horizon(&self, resource: Resource) -> u64 {
        self.lock().collection(resource).horizon
    }

    /// Returns the changes after `cursor`; waits for up to `patience` if there are none.
    pub fn wait(&self, resource: Resource, cursor: u64, patience: Duration) -> Waited {
        let mut state = self.lock();
        if state.collection(resource).is_quiet_after(cursor) {
            state = self.changed.wait_timeout(state, patience).unwrap().0;
        }
        let version = state.version;
        let collection = state.collection(resource);
        if collection.dropped > cursor {
            Waited::Lost
        } else if collection.is_quiet_after(cursor) {
            Waited::Quiet(version)
        } else {
            let first = collection.history.partition_point(|change| change.version <= cursor);
            Waited::Changes(collection.history.range(first..).cloned().collect())
        }
    }

    /// Waits until the counter has reached `version`; returns the counter.
    pub fn wait_for_version(&self, version: u64, patience: Duration) -> u64 {
        let state = self.lock();
        let behind = |state: &mut State| state.version < version;
        self.changed.wait_timeout_while(state, patience, behind).unwrap().0.version
    }

    /// Wakes every waiting watch, so that it checks whether it has to end.
    pub fn wake(&self) {
        // Hold the lock, so that no watch is between its check and its wait.
        let _state = self.lock();
        self.changed.notify_all();
    }

    fn record(
        &self,
        mut state: MutexGuard<'_, State>,
        resource: Resource,
        kind: ChangeKind,
        object: Value,
        line: String,
    ) {
        let version = object_version(&object);
        let (key, object) = (key(&object), Arc::new(object));
        let history_max = self.history_max;
        let collection = state.collection(resource);
        let previous = match kind {
            ChangeKind::Deleted => collection.objects.remove(&key),
            _ => collection.objects.insert(key, Arc::clone(&object)),
        };
        let change = Change { version, kind, object, previous, line: line.into() };
        collection.history.push_back(Arc::new(change));
        if collection.history.len() > history_max
            && let Some(oldest) = collection.history.pop_front()
        {
            collection.dropped = oldest.version;
            collection.horizon = collection.horizon.max(oldest.version);
        }
        state.version = version;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn collection(&mut self, resource: Resource) -> &mut Collection {
        match resource {
            Resource::Events => &mut self.events,
            Resource::Nodes => &mut self.nodes,
            Resource::Pods => &mut self.pods,
        }
    }

    fn collections(&mut self) -> impl Iterator<Item = &mut Collection> {
        [&mut self.events, &mut self.nodes, &mut self.pods].into_iter()
    }
}

impl Collection {
    fn is_quiet_after(&self, cursor: u64) -> bool {
        self.history.back().is_none_or(|newest| newest.version <= cursor)
    }
}

/// Returns the change in a recorded watch line; `None` for a BOOKMARK, which has only a version.
fn recorded_change(line: &str) -> (Option<ChangeKind>, Value) {
    let mut event: Value = serde_json::from_str(line).unwrap();
    let kind = match event["type"].as_str() {
        Some("ADDED") => Some(ChangeKind::Added),
        Some("MODIFIED") => Some(ChangeKind::Modified),
        Some("DELETED") => Some(ChangeKind::Deleted),
        Some("BOOKMARK") => None,
        other => panic!("a recording holds no {other:?}"),
    };
    (kind, event["object"].take())
}

fn key(object: &Value) -> Key {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}
