//! The words of a watch: resources, kinds of change, and their lines.

use std::sync::Arc;

use serde_json::Value;

/// The resources that are stored.
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
    /// It is new.
    Added,
    /// It is gone; the change holds its last state.
    Deleted,
    /// It is different.
    Modified,
}

/// One step of a resource's history.
#[derive(Debug)]
pub struct Change {
    /// The version it made.
    pub version: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// The object afterwards; for a deletion its last state with the version of the deletion.
    pub object: Arc<Value>,
    /// The object before, if there was one.
    pub previous: Option<Arc<Value>>,
    /// The watch line, newline included.
    pub line: Arc<str>,
}

impl Resource {
    /// As in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }

    /// As in objects.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Events => "Event",
            Self::Nodes => "Node",
            Self::Pods => "Pod",
        }
    }

    /// The resource of that path name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Events, Self::Nodes, Self::Pods].into_iter().find(|r| r.name() == name)
    }

    /// The resource an object belongs to.
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
    /// As in a watch line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Deleted => "DELETED",
            Self::Modified => "MODIFIED",
        }
    }
}

/// The line of a watch event, newline included.
pub fn watch_line(kind: &str, object: &Value) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// The version in an object's metadata.
pub fn object_version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}
