//! Finds the workload of a pod: what was deployed, and keeps its name while its pods come and go.
//!
//! An API object names only its direct owner. A Deployment owns its pods through a ReplicaSet, and a CronJob through a
//! Job; both put what they add to their own name where it can be taken off again. So nothing has to be requested.

use crate::core::case::{Owner, Workload};
use crate::core::wire;
use crate::core::wire::json::{Text, members};
use crate::limits::{LABEL_BYTES_MAX, LABELS_BYTES_MAX, SCHEDULE_DIGITS_MAX, SCHEDULE_DIGITS_MIN};

/// The labels by which the controllers tell the pods of one revision of a workload from those of another.
#[derive(Debug, Default)]
pub(super) struct RevisionLabels<'a> {
    /// The Deployment controller's.
    pod_template_hash: Text<'a>,
    /// That of the controllers of StatefulSets and DaemonSets.
    controller_revision_hash: Text<'a>,
}

members! { RevisionLabels<'a> {
    b"pod-template-hash" => pod_template_hash,
    b"controller-revision-hash" => controller_revision_hash,
} }

impl<'a> RevisionLabels<'a> {
    /// Reads them from the labels of a pod, wherever they stand among these.
    pub(super) fn of(meta: &wire::Metadata<'a>) -> Self {
        meta.labels.get(LABELS_BYTES_MAX)
    }

    fn template_hash(&self) -> Option<&str> {
        short(&self.pod_template_hash)
    }

    /// Returns the revision of the workload that the pod was made from.
    pub(super) fn revision(&self) -> Option<&str> {
        self.template_hash().or_else(|| short(&self.controller_revision_hash))
    }
}

/// Returns the value of a label, unless it is empty or longer than a line shows it: a part of it is not what the
/// controller wrote.
fn short<'t>(value: &'t Text<'_>) -> Option<&'t str> {
    value.some().filter(|value| value.len() <= LABEL_BYTES_MAX)
}

/// Returns the workload of the pod with this name, which its owner and these labels show.
pub(super) fn workload(
    pod_name: &str,
    owner: Option<&Owner>,
    labels: &RevisionLabels<'_>,
) -> Workload {
    let Some(Owner { kind, name }) = owner else { return Workload::new("Pod", pod_name) };
    let (kind, name) = match kind.as_str() {
        // The owner of other ReplicaSets is not known: somebody made them, or a controller that is not of Kubernetes.
        "ReplicaSet" => match labels.template_hash().and_then(|hash| without(name, hash)) {
            Some(deployment) => ("Deployment", deployment),
            None => ("ReplicaSet", name.as_str()),
        },
        "Job" => match of_schedule(name) {
            Some(cron_job) => ("CronJob", cron_job),
            None => ("Job", name.as_str()),
        },
        // A static pod's mirror, which the node owns. The kubelet adds the node's name to that in the file on the node.
        "Node" => ("Pod", without(pod_name, name).unwrap_or(pod_name)),
        kind => (kind, name.as_str()),
    };
    Workload::new(kind, name)
}

/// Returns the name without a hyphen and this at its end.
fn without<'n>(name: &'n str, end: &str) -> Option<&'n str> {
    name.strip_suffix(end)?.strip_suffix('-').filter(|rest| !rest.is_empty())
}

/// Returns the name of the CronJob that made the Job with this name. Its controller adds the time of the schedule, in
/// minutes since 1970 (`getJobName`); before Kubernetes 1.21 in seconds.
fn of_schedule(job: &str) -> Option<&str> {
    let (_, digits) = job.rsplit_once('-')?;
    let is_time = (SCHEDULE_DIGITS_MIN..=SCHEDULE_DIGITS_MAX).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_time { without(job, digits) } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::wire::json::from_slice;
    use crate::limits::LABELS_MAX;

    /// Returns the workload and the revision of a pod.
    fn shown(name: &str, owner: Option<(&str, &str)>, labels: &Value) -> (String, Option<String>) {
        let owner =
            owner.map(|(kind, name)| Owner { kind: kind.to_owned(), name: name.to_owned() });
        let text = json!({ "labels": labels }).to_string();
        let meta: wire::Metadata<'_> = from_slice(text.as_bytes()).unwrap();
        let labels = RevisionLabels::of(&meta);
        let workload = workload(name, owner.as_ref(), &labels);
        (workload.to_string(), labels.revision().map(str::to_owned))
    }

    #[test]
    fn a_replica_sets_pod_belongs_to_its_deployment() {
        let hash = |hash: &str| json!({"app": "web", "pod-template-hash": hash});
        for (replica_set, labels, want) in [
            ("web-75c47cf76d", hash("75c47cf76d"), "Deployment/web"),
            ("web-75c47cf76d-75c47cf76d", hash("75c47cf76d"), "Deployment/web-75c47cf76d"),
            ("web-75c47cf76d", hash("6988cfd45b"), "ReplicaSet/web-75c47cf76d"),
            ("web75c47cf76d", hash("75c47cf76d"), "ReplicaSet/web75c47cf76d"),
            ("-75c47cf76d", hash("75c47cf76d"), "ReplicaSet/-75c47cf76d"),
            ("75c47cf76d", hash("75c47cf76d"), "ReplicaSet/75c47cf76d"),
            ("web-", hash(""), "ReplicaSet/web-"),
            ("web-5", json!({}), "ReplicaSet/web-5"),
            ("web-5", json!(null), "ReplicaSet/web-5"),
            ("web-5", json!({"pod-template-hash": 5}), "ReplicaSet/web-5"),
        ] {
            let owner = Some(("ReplicaSet", replica_set));
            assert_eq!(shown("web-5-x", owner, &labels).0, want, "{replica_set} {labels}");
        }
    }

    #[test]
    fn a_scheduled_jobs_pod_belongs_to_its_cron_job() {
        for (job, want) in [
            ("cron-29928581", "CronJob/cron"),
            ("nightly-2-29928581", "CronJob/nightly-2"),
            ("old-1606780800", "CronJob/old"),
            ("cron-299285819", "CronJob/cron"),
            ("cron-2992858", "Job/cron-2992858"),
            ("cron-16067808000", "Job/cron-16067808000"),
            ("cron-2992858a", "Job/cron-2992858a"),
            ("cron-٢٩٩٢", "Job/cron-٢٩٩٢"),
            ("-29928581", "Job/-29928581"),
            ("29928581", "Job/29928581"),
            ("nightly", "Job/nightly"),
            ("", "Job/"),
        ] {
            assert_eq!(shown("pod", Some(("Job", job)), &json!({})).0, want, "{job}");
        }
    }

    #[test]
    fn a_static_pod_is_the_same_workload_on_every_node() {
        for (pod, node, want) in [
            ("kube-apiserver-node1", "node1", "Pod/kube-apiserver"),
            ("etcd-ip-10-0-0-1.ec2.internal", "ip-10-0-0-1.ec2.internal", "Pod/etcd"),
            ("etcd-node1", "node2", "Pod/etcd-node1"),
            ("-node1", "node1", "Pod/-node1"),
            ("node1", "node1", "Pod/node1"),
        ] {
            assert_eq!(shown(pod, Some(("Node", node)), &json!({})).0, want, "{pod} {node}");
        }
    }

    #[test]
    fn every_other_pod_belongs_to_its_owner_or_to_itself() {
        let labels = json!({"pod-template-hash": "5", "controller-revision-hash": "7"});
        for (owner, want) in [
            (None, "Pod/db-5"),
            (Some(("StatefulSet", "db-5")), "StatefulSet/db-5"),
            (Some(("DaemonSet", "cni-29928581")), "DaemonSet/cni-29928581"),
            (Some(("ReplicationController", "web-5")), "ReplicationController/web-5"),
            (Some(("Workflow", "ci-5")), "Workflow/ci-5"),
        ] {
            assert_eq!(shown("db-5", owner, &labels).0, want, "{owner:?}");
        }
    }

    #[test]
    fn the_revision_is_a_label_of_the_controller() {
        let longest = "h".repeat(LABEL_BYTES_MAX);
        let too_long = "h".repeat(LABEL_BYTES_MAX + 1);
        for (labels, want) in [
            (json!({"pod-template-hash": "5", "controller-revision-hash": "7"}), Some("5")),
            (json!({"controller-revision-hash": "web-7"}), Some("web-7")),
            (json!({"pod-template-hash": "", "controller-revision-hash": "7"}), Some("7")),
            (json!({"pod-template-hash": too_long, "controller-revision-hash": "7"}), Some("7")),
            (json!({ "pod-template-hash": longest }), Some(&*longest)),
            (json!({ "pod-template-hash": too_long }), None),
            (json!({"pod-template-hash": "5", "pad": "l".repeat(LABELS_BYTES_MAX)}), None),
            (json!({"app": "web"}), None),
            (json!(["pod-template-hash"]), None),
        ] {
            let shown = shown("pod", None, &labels).1;
            assert_eq!(shown.as_deref(), want, "{:.90}", labels.to_string());
        }
    }

    #[test]
    fn the_labels_of_the_controllers_are_found_behind_the_first_that_a_line_has() {
        let mut labels: serde_json::Map<String, Value> =
            (0..2 * LABELS_MAX).map(|n| (format!("a{n:03}"), json!("x"))).collect();
        labels.insert("pod-template-hash".to_owned(), json!("75c47cf76d"));
        let owner = Some(("ReplicaSet", "web-75c47cf76d"));
        let (workload, revision) = shown("web-75c47cf76d-5b28z", owner, &Value::Object(labels));
        assert_eq!((&*workload, revision.as_deref()), ("Deployment/web", Some("75c47cf76d")));
    }
}
