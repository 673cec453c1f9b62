//! The node as the API server knows it: its conditions, and the resources it offers to pods.

use jiff::Timestamp;
use serde::Serialize;

use crate::core::text::{cut, time, time_or_null};
use crate::core::wire::json::{self, List, Text, members};
use crate::core::wire::quantity;
use crate::limits::{NODE_CONDITIONS_MAX, NODE_WORD_BYTES_MAX};

/// The data about the node that an incident shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeInfo {
    /// When the API server was asked. The kubelet reports changes to the API server at once, and otherwise reports
    /// every five minutes.
    #[serde(serialize_with = "time")]
    pub read_at: Timestamp,
    /// The node's conditions: `Ready`, `MemoryPressure`, …
    pub conditions: Vec<NodeCondition>,
    /// Resources that pods may use.
    pub allocatable: Allocatable,
    /// The kubelet's version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kubelet_version: String,
    /// The container runtime and its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container_runtime_version: String,
    /// The kernel's version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kernel_version: String,
}

/// A condition of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeCondition {
    /// Type of the condition: `Ready`, `MemoryPressure`, `DiskPressure`, `PIDPressure`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Status of the condition: `True`, `False`, `Unknown`.
    pub status: String,
    /// Since when the condition has had this status.
    #[serde(serialize_with = "time_or_null")]
    pub since: Option<Timestamp>,
}

/// Returns true for a condition that is not in its healthy state. A good node has the condition Ready, and no other;
/// `Unknown` is neither.
pub fn is_bad_condition(kind: &str, status: &str) -> bool {
    status != if kind == "Ready" { "True" } else { "False" }
}

/// The node's resources for pods. `None`: the value is absent, or cannot be parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Allocatable {
    /// CPU in thousandths of a core.
    pub cpu_millicores: Option<i64>,
    /// Memory in bytes.
    pub memory_bytes: Option<i64>,
    /// Number of pods.
    pub pods: Option<i64>,
}

/// Parses a core/v1 `Node`. `None`: the text is not a node.
pub fn parse(json: &[u8], read_at: Timestamp) -> Option<NodeInfo> {
    let node: Node<'_> = json::from_slice(json).ok()?;
    let Status { conditions, allocatable, node_info } = node.status?;
    let word = |text: &Text<'_>| cut(text, NODE_WORD_BYTES_MAX);
    let condition = |c: &Condition<'_>| NodeCondition {
        kind: word(&c.kind),
        status: word(&c.status),
        since: c.last_transition_time.time(),
    };
    Some(NodeInfo {
        read_at,
        conditions: conditions.iter().take(NODE_CONDITIONS_MAX).map(condition).collect(),
        allocatable: Allocatable {
            cpu_millicores: allocatable.cpu.some().and_then(quantity::milli),
            memory_bytes: allocatable.memory.some().and_then(quantity::whole),
            pods: allocatable.pods.some().and_then(quantity::whole),
        },
        kubelet_version: word(&node_info.kubelet_version),
        container_runtime_version: word(&node_info.container_runtime_version),
        kernel_version: word(&node_info.kernel_version),
    })
}

#[derive(Default)]
struct Node<'a> {
    status: Option<Status<'a>>,
}

members! { Node<'a> {
    b"status" => status,
} }

#[derive(Default)]
struct Status<'a> {
    conditions: List<Condition<'a>>,
    allocatable: Resources<'a>,
    node_info: Info<'a>,
}

members! { Status<'a> {
    b"conditions" => conditions,
    b"allocatable" => allocatable,
    b"nodeInfo" => node_info,
} }

#[derive(Default)]
struct Condition<'a> {
    kind: Text<'a>,
    status: Text<'a>,
    last_transition_time: Text<'a>,
}

members! { Condition<'a> {
    b"type" => kind,
    b"status" => status,
    b"lastTransitionTime" => last_transition_time,
} }

#[derive(Default)]
struct Resources<'a> {
    cpu: Text<'a>,
    memory: Text<'a>,
    pods: Text<'a>,
}

members! { Resources<'a> {
    b"cpu" => cpu,
    b"memory" => memory,
    b"pods" => pods,
} }

#[derive(Default)]
struct Info<'a> {
    kubelet_version: Text<'a>,
    container_runtime_version: Text<'a>,
    kernel_version: Text<'a>,
}

members! { Info<'a> {
    b"kubeletVersion" => kubelet_version,
    b"containerRuntimeVersion" => container_runtime_version,
    b"kernelVersion" => kernel_version,
} }

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn conditions_and_allocatable_are_read() {
        let json = br#"{"kind":"Node","metadata":{"name":"n"},"status":{
            "allocatable":{"cpu":"3800m","memory":"7910Mi","pods":"110","ephemeral-storage":"1Gi"},
            "conditions":[{"type":"MemoryPressure","status":"False","lastTransitionTime":"2026-11-20T00:00:00Z"},
                          {"type":"Ready","status":"True","lastTransitionTime":null}, null],
            "images":[{"names":["a"]}],
            "nodeInfo":{"kubeletVersion":"v1.36.0","containerRuntimeVersion":"containerd://2.2.0","kernelVersion":"6.1"}}}"#;
        let node = parse(json, at("2026-11-23T00:00:00Z")).unwrap();
        let kinds: Vec<_> = node.conditions.iter().map(|c| (&*c.kind, &*c.status)).collect();
        assert_eq!(kinds, [("MemoryPressure", "False"), ("Ready", "True")]);
        assert_eq!(node.conditions[0].since, Some(at("2026-11-20T00:00:00Z")));
        let want = Allocatable {
            cpu_millicores: Some(3800),
            memory_bytes: Some(7910 << 20),
            pods: Some(110),
        };
        assert_eq!(node.allocatable, want);
        assert_eq!(node.kubelet_version, "v1.36.0");
    }

    #[test]
    fn what_is_no_node_says_nothing_and_what_is_long_is_cut() {
        let now = at("2026-11-23T00:00:00Z");
        for json in
            ["", "{", "null", "[]", r#"{"status":3}"#, r#"{"kind":"Status","status":"Failure"}"#]
        {
            assert_eq!(parse(json.as_bytes(), now), None, "{json}");
        }
        let empty = parse(br#"{"status":{"allocatable":{"cpu":"x"}}}"#, now).unwrap();
        assert_eq!((empty.conditions.len(), empty.allocatable), (0, Allocatable::default()));
        let condition = format!(r#"{{"type":"{}"}}"#, "t".repeat(999));
        let many = vec![condition; 99].join(",");
        let node =
            parse(format!(r#"{{"status":{{"conditions":[{many}]}}}}"#).as_bytes(), now).unwrap();
        assert_eq!(node.conditions.len(), NODE_CONDITIONS_MAX);
        assert!(node.conditions[0].kind.len() <= NODE_WORD_BYTES_MAX);
    }
}
