//! The API objects of the pods, as the kubelet writes them.

use jiff::Timestamp;
use serde_json::{Value, json};

/// The namespace of all pods.
pub(crate) const NAMESPACE: &str = "shop";

/// What does not change in a pod.
#[derive(Clone)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// The names of the app containers.
    pub(crate) apps: Vec<&'static str>,
    /// The name of the init container, if there is one.
    pub(crate) init: Option<&'static str>,
    pub(crate) restart_policy: &'static str,
    /// `resources.limits.memory` of each container, in MiB.
    pub(crate) limit_mib: Option<u64>,
    /// The same of the pod as a whole.
    pub(crate) pod_limit_mib: Option<u64>,
}

/// One container as the kubelet reports it.
pub(crate) struct Status {
    pub(crate) name: &'static str,
    pub(crate) id: String,
    pub(crate) restarts: u32,
    pub(crate) state: Value,
    pub(crate) last_state: Value,
}

impl Pod {
    /// Returns a pod with one container, `app`.
    pub(crate) fn new(name: &str, number: u32) -> Self {
        Self {
            name: name.to_owned(),
            uid: format!("{number:08x}-7d2b-4a5e-9f8e-2f6c2c9d1b0e"),
            apps: vec!["app"],
            init: None,
            restart_policy: "Always",
            limit_mib: None,
            pod_limit_mib: None,
        }
    }

    /// Returns the object with these containers in its status. A container of the spec that has no status waits.
    pub(crate) fn object(&self, phase: &str, statuses: &[Status]) -> Value {
        let init: Vec<&str> = self.init.into_iter().collect();
        let listed = |names: &[&str]| -> Vec<Value> {
            names.iter().map(|name| self.status(name, statuses)).collect()
        };
        // The kubelet has not written any status yet.
        let status = match statuses {
            [] => json!({"phase": phase, "qosClass": "Burstable"}),
            _ => {
                json!({"phase": phase, "qosClass": "Burstable", "conditions": conditions(phase, statuses),
                "initContainerStatuses": listed(&init), "containerStatuses": listed(&self.apps)})
            }
        };
        let resources = self.pod_limit_mib.map_or_else(|| json!({}), memory);
        json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": self.name, "namespace": NAMESPACE, "uid": self.uid},
            "spec": {"nodeName": "node1", "restartPolicy": self.restart_policy, "resources": resources,
                "initContainers": self.containers(&init), "containers": self.containers(&self.apps)},
            "status": status,
        })
    }

    fn containers(&self, names: &[&str]) -> Vec<Value> {
        let resources = self.limit_mib.map_or_else(|| json!({}), memory);
        let container = |name: &&str| json!({"name": name, "image": "registry.example/web:1", "resources": resources});
        names.iter().map(container).collect()
    }

    fn status(&self, name: &str, statuses: &[Status]) -> Value {
        let Some(status) = statuses.iter().find(|status| status.name == name) else {
            let reason = if self.init.is_some() { "PodInitializing" } else { "ContainerCreating" };
            return json!({"name": name, "image": "registry.example/web:1", "restartCount": 0,
                "ready": false, "state": {"waiting": {"reason": reason}}, "lastState": {}});
        };
        json!({"name": name, "image": "registry.example/web:1", "restartCount": status.restarts,
            "ready": status.state["running"].is_object(), "state": status.state,
            "lastState": status.last_state, "containerID": format!("containerd://{}", status.id)})
    }
}

/// Returns the conditions that say whether the sandbox is up, and why the containers are not ready.
fn conditions(phase: &str, statuses: &[Status]) -> Value {
    // The sandbox is not up any more when the pod is over, nor when the runtime lost the container.
    let is_lost = |status: &Status| status.state["terminated"]["reason"] == "Unknown";
    let is_sandbox_up = phase != "Failed" && !statuses.iter().any(is_lost);
    let is_ready = statuses.iter().all(|status| status.state["running"].is_object());
    let reason = match (phase, is_ready) {
        ("Failed", _) => "PodFailed",
        (_, true) => "",
        (_, false) => "ContainersNotReady",
    };
    let word = |is_so| if is_so { "True" } else { "False" };
    json!([{"type": "PodReadyToStartContainers", "status": word(is_sandbox_up)},
        {"type": "ContainersReady", "status": word(is_ready), "reason": reason}])
}

/// Returns the state of a running container.
pub(crate) fn running(started: Timestamp) -> Value {
    json!({"running": {"startedAt": second(started)}})
}

/// Returns the state of a container that terminated.
pub(crate) fn terminated(
    id: &str,
    (exit_code, reason): (i32, &str),
    (started, finished): (Timestamp, Timestamp),
) -> Value {
    json!({"terminated": {"exitCode": exit_code, "reason": reason,
        "startedAt": second(started), "finishedAt": second(finished),
        "containerID": format!("containerd://{id}")}})
}

fn memory(mib: u64) -> Value {
    json!({"limits": {"memory": format!("{mib}Mi")}, "requests": {"memory": format!("{mib}Mi")}})
}

/// Formats a time in whole seconds, as Kubernetes does.
fn second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap().to_string()
}
