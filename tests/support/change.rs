//! The vocabulary of a watch: resources, kinds of change, and watch lines.

use std::sync::Arc;

use serde_json::Value;

/// The resources that the fake stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Core events.
    Events,
    /// Nodes.
    Nodes,
    /// Pods.
    Pods,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was created.
    Added,
    /// It was deleted; the change holds its last state.
    Deleted,
    /// It was changed.
    Modified,
}

/// One entry of a resource's history.
#[derive(Debug)]
pub struct Change {
    /// The resourceVersion of the change.
    pub version: u64,
    /// The kind of change.
    pub kind: ChangeKind,
    /// The object after the change; for a deletion its last state with the version of the deletion.
    pub object: Arc<Value>,
    /// The object before the change, if it existed.
    pub previous: Option<Arc<Value>>,
    /// The watch line, including its newline.
    pub line: Arc<str>,
}

impl Resource {
    /// Returns the name used in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }

    /// Returns the `kind` used in objects.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Events => "Event",
            Self::Nodes => "Node",
            Self::Pods => "Pod",
        }
    }

    /// Returns the resource with this path name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Events, Self::Nodes, Self::Pods].into_iter().find(|r| r.name() == name)
    }

    /// Returns the resource that an object belongs to.
    pub fn of(object: &Value) -> Self {
        match object["kind"].as_str() {
            Some("Pod") => Self::Pods,
            Some("Event") => Self::Events,
            Some("Node") => Self::Nodes,
            other => panic!("the fake stores no {other:?}"),
        }
    }
}

impl ChangeKind {
    /// Returns the event type used in a watch line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Deleted => "DELETED",
            Self::Modified => "MODIFIED",
        }
    }
}

/// Formats the line of a watch event, including its newline.
pub fn watch_line(kind: &str, object: &Value) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// Returns the resourceVersion in an object's metadata.
pub fn object_version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}
