//! A pod of the demo: its object at the API server, and the log that the kubelet would keep.

use std::fs;
use std::io::Write;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::FakeApi;

pub(crate) const NAMESPACE: &str = "shop";
/// The container of every pod.
pub(crate) const CONTAINER: &str = "app";
const GRACE_SECONDS: i64 = 30;

pub(crate) struct Actor {
    name: String,
    pub(crate) uid: String,
    number: u32,
    image: String,
    /// The Deployment and its revision; `None` for a pod that nobody owns.
    deployment: Option<(&'static str, &'static str)>,
    /// The members of the container's spec that not all have.
    pub(crate) spec: Value,
    pub(crate) restarts: u32,
    started: Timestamp,
    last: Value,
}

impl Actor {
    pub(crate) fn new(number: u32, name: &str, image: &str, now: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            uid: format!("4c1b0b1e-0000-4000-8000-{number:012x}"),
            number,
            image: format!("registry.example/{image}"),
            deployment: None,
            spec: json!({}),
            restarts: 0,
            started: now,
            last: json!({}),
        }
    }

    /// Makes it a pod of a Deployment.
    pub(crate) fn of(mut self, name: &'static str, revision: &'static str) -> Self {
        self.deployment = Some((name, revision));
        self
    }

    /// Returns the container's ID.
    pub(crate) fn id(&self) -> String {
        format!("{:056x}{:08x}", self.number, self.restarts)
    }

    /// Shows the pod with its container running.
    pub(crate) fn run(&self, api: &FakeApi) {
        api.apply(self.object(json!({"running": {"startedAt": second(self.started)}})));
    }

    /// Shows the pod while its container waits to be started again.
    pub(crate) fn wait(&self, api: &FakeApi) {
        let why = format!("back-off 10s restarting failed container={CONTAINER} pod={}", self.name);
        api.apply(self.object(json!({"waiting": {"reason": "CrashLoopBackOff", "message": why}})));
    }

    /// The back-off is over.
    pub(crate) fn restart(&mut self, api: &FakeApi, now: Timestamp) {
        self.started = now;
        self.run(api);
    }

    /// The container terminates, and another one takes its place.
    pub(crate) fn end(&mut self, exit_code: i32, reason: &str, now: Timestamp) {
        self.last = self.terminated(exit_code, reason, now);
        self.restarts += 1;
        self.started = now;
    }

    /// The runtime finds the container dead after a boot, and starts another one.
    pub(crate) fn lose(&mut self, api: &FakeApi, now: Timestamp) {
        self.end(255, "Unknown", now);
        self.run(api);
    }

    fn terminated(&self, exit_code: i32, reason: &str, now: Timestamp) -> Value {
        json!({"terminated": {"exitCode": exit_code, "reason": reason,
            "containerID": format!("containerd://{}", self.id()),
            "startedAt": second(self.started), "finishedAt": second(now)}})
    }

    /// Somebody deletes the pod, and the kubelet stops it: SIGTERM, and the object goes.
    pub(crate) fn stop(&self, api: &FakeApi, now: Timestamp) {
        let mut object = self.object(json!({"running": {"startedAt": second(self.started)}}));
        let until = now + SignedDuration::from_secs(GRACE_SECONDS);
        object["metadata"]["deletionTimestamp"] = second(until).into();
        object["metadata"]["deletionGracePeriodSeconds"] = GRACE_SECONDS.into();
        api.apply(object.clone());
        object["status"]["containerStatuses"][0]["state"] = self.terminated(143, "Error", now);
        api.apply(object);
        api.delete_pod(NAMESPACE, &self.name);
    }

    /// The kubelet says something about the container.
    pub(crate) fn event(&self, api: &FakeApi, reason: &str, message: &str, now: Timestamp) {
        let kind = if reason == "Unhealthy" { "Warning" } else { "Normal" };
        let name = format!("{}.{}", self.name, reason.to_lowercase());
        api.apply(json!({
            "kind": "Event", "apiVersion": "v1", "type": kind, "reason": reason, "message": message,
            "metadata": {"name": name, "namespace": NAMESPACE, "uid": format!("{}-{reason}", self.uid)},
            "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": self.name,
                "uid": self.uid, "fieldPath": format!("spec.containers{{{CONTAINER}}}")},
            "count": 1, "firstTimestamp": second(now), "lastTimestamp": second(now)
        }));
    }

    /// The container writes a line.
    pub(crate) fn log(&self, folder: &Path, stream: &str, now: Timestamp, text: &str) {
        let pod = format!("pods/{NAMESPACE}_{}_{}", self.name, self.uid);
        let path = folder.join(pod).join(format!("{CONTAINER}/{}.log", self.restarts));
        fs::create_dir_all(path.parent().expect("it has one")).expect("the demo's own folder");
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{now} {stream} F {text}"))
            .expect("the demo's own folder");
    }

    fn object(&self, state: Value) -> Value {
        let mut container = json!({"name": CONTAINER, "image": self.image});
        for (name, value) in self.spec.as_object().into_iter().flatten() {
            container[name] = value.clone();
        }
        let mut metadata = json!({"name": self.name, "namespace": NAMESPACE, "uid": self.uid,
            "labels": {"app.kubernetes.io/name": self.name}});
        if let Some((name, revision)) = self.deployment {
            metadata["labels"] =
                json!({"app.kubernetes.io/name": name, "pod-template-hash": revision});
            metadata["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "name": format!("{name}-{revision}"), "uid": "9a1e", "controller": true}]);
        }
        json!({
            "kind": "Pod", "apiVersion": "v1", "metadata": metadata,
            "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [container],
                "terminationGracePeriodSeconds": GRACE_SECONDS},
            "status": {"phase": "Running", "podIPs": [{"ip": "127.0.0.1"}], "qosClass": "Burstable",
                "containerStatuses": [{"name": CONTAINER, "image": self.image,
                    "restartCount": self.restarts, "containerID": format!("containerd://{}", self.id()),
                    "state": state, "lastState": self.last}]}
        })
    }
}

/// Formats a time in whole seconds, as Kubernetes does.
fn second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// Replaces a file: a reader sees the old content or the new one.
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("it has one")).expect("the demo's own folder");
    let next = path.with_extension("next");
    fs::write(&next, text).and_then(|()| fs::rename(&next, path)).expect("the demo's own folder");
}
