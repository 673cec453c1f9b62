//! Small test objects, and functions to inspect responses.

use serde_json::{Value, json};

/// Returns a pod in namespace `shop` whose UID is its name.
pub fn pod(name: &str, node: &str, phase: &str) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"nodeName": node}, "status": {"phase": phase},
    })
}

/// Returns the names in a list.
pub fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

/// Returns the resourceVersion of an object or a list.
pub fn version(value: &Value) -> u64 {
    value["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}
