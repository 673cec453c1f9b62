//! Pods that crash, for tests that check that crashes are still detected.

use serde_json::{Value, json};

use super::FakeApi;

/// Returns a pod of node1 whose container `app` has terminated `ends` times with code 1 and is running again.
pub fn pod(name: &str, ends: u32) -> Value {
    let at = |n: u32| format!("2026-11-23T04:{:02}:{:02}Z", n / 60 % 60, n % 60);
    let last = match ends {
        0 => json!({}),
        n => json!({"terminated": {"exitCode": 1, "reason": "Error", "startedAt": at(n - 1),
            "finishedAt": at(n), "containerID": format!("containerd://{name}-{}", n - 1)}}),
    };
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}")},
        "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [{"name": "app"}]},
        "status": {"phase": "Running", "containerStatuses": [{
            "name": "app", "restartCount": ends, "containerID": format!("containerd://{name}-{ends}"),
            "state": {"running": {"startedAt": at(ends)}}, "lastState": last}]}
    })
}

/// Creates a pod with this name and makes it crash once.
pub fn crash(api: &FakeApi, name: &str) {
    api.apply(pod(name, 0));
    api.apply(pod(name, 1));
}
