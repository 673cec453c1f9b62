//! Reads the description of a pod in an incident from the API object.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::case::{ContainerInfo, NodeIdentity, Owner, PodFacts, ResourceAnalysis};
use crate::core::detect::classify;
use crate::core::detect::container::{Container, containers, finished, started};
use crate::core::detect::workload::{RevisionLabels, workload};
use crate::core::text::cut;
use crate::core::wire;
use crate::core::wire::json::{Json, List, Object, Read, Text, Wrong};
use crate::core::wire::quantity;
use crate::limits::{
    LABEL_BYTES_MAX, LABELS_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX, OTHER_MESSAGE_BYTES_MAX,
    OWNERS_BYTES_MAX, POD_FACTS_BYTES_MAX,
};

/// Describes a pod. `static_uid` is a static pod's UID as the kubelet has it.
pub(super) fn facts(
    pod: &wire::Pod<'_>,
    static_uid: Option<&str>,
    node: &Arc<NodeIdentity>,
) -> PodFacts {
    let meta = &pod.metadata;
    let (containers, containers_left_out) = described(pod);
    let (name, owner) = (cut(&meta.name, NAME_BYTES_MAX), owner(meta));
    let revision_labels = RevisionLabels::of(meta);
    let policy = pod.spec.restart_policy.some().unwrap_or("Always");
    let in_force = pod.status.resources.as_ref().unwrap_or(&pod.spec.resources);
    PodFacts {
        namespace: cut(&meta.namespace, NAME_BYTES_MAX),
        workload: workload(&name, owner.as_ref(), &revision_labels),
        name,
        uid: cut(&meta.uid, NAME_BYTES_MAX),
        static_uid: static_uid.map(|uid| cut(uid, NAME_BYTES_MAX)),
        node: node.clone(),
        owner,
        revision: revision_labels.revision().map(str::to_owned),
        created_at: meta.creation_timestamp.time(),
        labels: labels(meta),
        qos_class: pod.status.qos_class.some().map(|q| cut(q, NAME_BYTES_MAX)),
        restart_policy: cut(policy, NAME_BYTES_MAX),
        memory_limit_bytes: quantity::whole(&in_force.limits.memory),
        containers,
        containers_left_out,
    }
}

fn owner(meta: &wire::Metadata<'_>) -> Option<Owner> {
    let owners: List<wire::OwnerReference<'_>> = meta.owner_references.get(OWNERS_BYTES_MAX);
    let owner = owners.iter().find(|o| o.controller).or_else(|| owners.first())?;
    Some(Owner { kind: cut(&owner.kind, NAME_BYTES_MAX), name: cut(&owner.name, NAME_BYTES_MAX) })
}

/// Labels, sorted by name.
#[derive(Default)]
struct Labels<'a>(BTreeMap<String, Text<'a>>);

impl<'a> Object<'a> for Labels<'a> {
    fn member(&mut self, name: &[u8], json: &mut Json<'a>) -> Result<(), Wrong> {
        let name = String::from_utf8_lossy(name).into_owned();
        self.0.entry(name).or_default().read(json)
    }
}

/// Returns the first few labels.
fn labels(meta: &wire::Metadata<'_>) -> BTreeMap<String, String> {
    let Labels(all) = meta.labels.get(LABELS_BYTES_MAX);
    let mut first = BTreeMap::new();
    for (key, value) in all.iter().take(LABELS_MAX) {
        first.insert(cut(key, LABEL_BYTES_MAX), cut(value, LABEL_BYTES_MAX));
    }
    first
}

/// Describes the containers, as far as there is room; returns also how many there is no room for. Their messages are cut
/// short: a case has the whole message of its own container.
fn described(pod: &wire::Pod<'_>) -> (Vec<ContainerInfo>, usize) {
    let mut bytes_left = POD_FACTS_BYTES_MAX;
    let (mut described, mut left_out) = (Vec::new(), 0);
    for container in containers(pod) {
        let info = match left_out {
            0 => Some(info(&container, OTHER_MESSAGE_BYTES_MAX)),
            _ => None,
        };
        let room = info.as_ref().and_then(|info| bytes_left.checked_sub(info.bytes()));
        match info.zip(room) {
            Some((info, room)) => {
                bytes_left = room;
                described.push(info);
            }
            None => left_out += 1,
        }
    }
    // The description lives as long as the pod.
    described.shrink_to_fit();
    (described, left_out)
}

/// Describes a container. `message_bytes`: how much of its message is kept.
pub(super) fn info(container: &Container<'_, '_>, message_bytes: usize) -> ContainerInfo {
    let status = container.status;
    let state = &status.state;
    let end = state.terminated.as_ref().or(status.last_state.terminated.as_ref());
    let waiting = state.waiting.as_ref();
    let running = state.running.as_ref();
    let text = |t: &str, bytes| Some(cut(t, bytes)).filter(|t| !t.is_empty());
    let reason = end.map(|e| &e.reason).or_else(|| waiting.map(|w| &w.reason));
    let message = end.map(|e| &e.message).or_else(|| waiting.map(|w| &w.message));
    ContainerInfo {
        name: cut(&status.name, NAME_BYTES_MAX),
        kind: container.kind,
        image: cut(&status.image, NAME_BYTES_MAX),
        image_id: status.image_id.some().map(|id| cut(id, NAME_BYTES_MAX).into()),
        state: match state {
            wire::State { terminated: Some(_), .. } => "terminated",
            wire::State { running: Some(_), .. } => "running",
            wire::State { waiting: Some(_), .. } => "waiting",
            _ => "unknown",
        },
        restart_count: status.restart_count,
        exit_code: end.map(|e| e.exit_code),
        signal: end.and_then(|e| classify::signal(e.exit_code, e.signal)),
        exit_class: end.map(|e| classify::exit_code(e.exit_code).0.name()),
        reason: reason.and_then(|r| text(r, NAME_BYTES_MAX)),
        started_at: match end {
            Some(end) => started(end),
            None => running.and_then(|r| r.started_at.time()),
        },
        finished_at: end.and_then(finished),
        message: message.and_then(|m| text(m, message_bytes)),
        resources: resources(container),
    }
}

/// Returns the container's requests and limits in force. The status has what the running instance was given; before
/// Kubernetes 1.33 it has nothing, and the spec counts. A quantity that cannot be parsed is left out.
fn resources(container: &Container<'_, '_>) -> ResourceAnalysis {
    let actual = container.status.resources.as_ref();
    let Some(resources) = actual.or_else(|| container.spec.map(|spec| &spec.resources)) else {
        return ResourceAnalysis::default();
    };
    ResourceAnalysis {
        memory_limit_bytes: quantity::whole(&resources.limits.memory),
        cpu_limit_millicores: quantity::milli(&resources.limits.cpu),
        memory_request_bytes: quantity::whole(&resources.requests.memory),
        cpu_request_millicores: quantity::milli(&resources.requests.cpu),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::case::Workload;
    use crate::core::wire::json;

    #[test]
    fn a_description_has_room_for_an_ordinary_pod_and_tells_how_many_there_is_no_room_for() {
        for (containers, image, is_whole) in [(20, 60, true), (128, 60, false), (20, 5000, false)] {
            let status = |n| {
                json!({"name": format!("c{n}"), "image": "i".repeat(image),
                "state": {"terminated": {"exitCode": 1, "message": "m".repeat(5000)}}})
            };
            let statuses: Vec<Value> = (0..containers).map(status).collect();
            let text = json!({"status": {"containerStatuses": statuses}}).to_string();
            let pod: wire::Pod<'_> = json::from_slice(text.as_bytes()).unwrap();
            let facts = facts(&pod, None, &Arc::new("node1".into()));
            assert_eq!(facts.containers.len() + facts.containers_left_out, containers);
            assert_eq!(facts.containers_left_out == 0, is_whole, "{}", facts.containers.len());
            let bytes: usize = facts.containers.iter().map(ContainerInfo::bytes).sum();
            assert!(bytes <= POD_FACTS_BYTES_MAX && bytes + 1000 < facts.bytes() + 2000);
            for info in &facts.containers {
                assert!(info.message.as_ref().unwrap().len() <= OTHER_MESSAGE_BYTES_MAX);
            }
        }
    }

    #[test]
    fn a_description_names_the_workload_the_revision_and_the_images() {
        let long = "sha256:".to_owned() + &"5".repeat(2 * NAME_BYTES_MAX);
        let digest = "docker.io/library/nginx@sha256:ccb2f7be392f0db7995f1ee84f7fabdbe507a6a7e2";
        let text = json!({
            "metadata": {"namespace": "shop", "name": "web-75c47cf76d-5b28z", "uid": "u1",
                "creationTimestamp": "2026-11-26T17:44:00Z",
                "labels": {"app": "web", "pod-template-hash": "75c47cf76d"},
                "ownerReferences": [
                    {"kind": "ReplicaSet", "name": "web-75c47cf76d", "controller": true}]},
            "status": {"containerStatuses": [
                {"name": "app", "imageID": digest}, {"name": "waits", "imageID": ""},
                {"name": "bare"}, {"name": "long", "imageID": long}]},
        })
        .to_string();
        let pod: wire::Pod<'_> = json::from_slice(text.as_bytes()).unwrap();
        let facts = facts(&pod, None, &Arc::new("node1".into()));
        assert_eq!(facts.workload, Workload::new("Deployment", "web"));
        assert_eq!(facts.revision.as_deref(), Some("75c47cf76d"));
        assert_eq!(facts.created_at.unwrap().to_string(), "2026-11-26T17:44:00Z");
        let ids: Vec<_> = facts.containers.iter().map(|info| info.image_id.as_deref()).collect();
        assert_eq!(ids[..3], [Some(digest), None, None]);
        assert!(ids[3].unwrap().len() <= NAME_BYTES_MAX);
    }

    #[test]
    fn a_pod_that_does_not_say_when_it_was_created_has_no_time() {
        for created in [json!(null), json!(""), json!("yesterday")] {
            let text =
                json!({"metadata": {"name": "web", "creationTimestamp": created}}).to_string();
            let pod: wire::Pod<'_> = json::from_slice(text.as_bytes()).unwrap();
            let facts = facts(&pod, None, &Arc::new("node1".into()));
            assert_eq!((facts.created_at, facts.revision), (None, None), "{created}");
            assert_eq!(facts.workload, Workload::new("Pod", "web"));
        }
    }

    fn metadata<T>(members: &Value, of: impl FnOnce(&wire::Metadata<'_>) -> T) -> T {
        let text = members.to_string();
        of(&json::from_slice(text.as_bytes()).unwrap())
    }

    #[test]
    fn the_controller_owns_a_pod_or_else_the_first_that_is_named() {
        let named = |kind: &str, controller: bool| json!({"kind": kind, "name": "n", "controller": controller});
        let long = "o".repeat(OWNERS_BYTES_MAX);
        for (owners, want) in [
            (json!([named("Job", false), named("ReplicaSet", true)]), Some("ReplicaSet")),
            (json!([named("Job", false), named("Node", false)]), Some("Job")),
            (json!([]), None),
            (json!(null), None),
            (json!("no list"), None),
            (json!([named("Job", true), 7]), None),
            (json!([named("Job", true), named(&long, false)]), None),
        ] {
            let meta = json!({"name": "web", "ownerReferences": owners});
            let owner = metadata(&meta, owner);
            let kind = owner.map(|owner| owner.kind);
            assert_eq!(kind.as_deref(), want, "{:.80}", owners.to_string());
        }
    }

    #[test]
    fn the_first_labels_are_kept_and_cut() {
        let long = "l".repeat(2 * LABEL_BYTES_MAX);
        let many: serde_json::Map<String, Value> =
            (0..2 * LABELS_MAX).map(|n| (format!("{n:03}"), json!(long))).collect();
        let kept = metadata(&json!({"labels": many}), labels);
        assert_eq!(kept.len(), LABELS_MAX);
        assert!(kept.values().all(|value| value.len() <= LABEL_BYTES_MAX));
        assert_eq!(kept.keys().next().map(String::as_str), Some("000"));
        for none in
            [json!(null), json!({}), json!([1]), json!({"app": "l".repeat(LABELS_BYTES_MAX)})]
        {
            assert!(metadata(&json!({"labels": none}), labels).is_empty());
        }
    }
}
