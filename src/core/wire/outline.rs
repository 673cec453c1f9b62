//! The part of a pod that has to be read to know whether the rest contains anything new.
//!
//! Most watch events report changes that no rule reads: an annotation, a label, `managedFields`. For such
//! events the spec and the container statuses are only skipped, which costs a third less than to parse them.

use std::hash::{Hash, Hasher as _};

use crate::core::wire::fold::Fold;
use crate::core::wire::json::{Json, Object, Read, Span, Text, Wrong, members};
use crate::core::wire::object::{Metadata, Pod, PodStatus, StatusDetails};

/// A pod of which only enough was parsed to know whether the rest contains anything new. It also holds a
/// bookmark's empty pod, and a meta/v1 `Status`.
#[derive(Debug, Default)]
pub struct Outline<'a> {
    /// Names, UID, version, deletion, annotations, labels, owners.
    pub metadata: Metadata<'a>,
    spec: Span<'a>,
    status: StatusOutline<'a>,
    /// HTTP code of a `Status`.
    pub code: u16,
    /// Reason of a `Status`: `Expired`, `Gone`, …
    pub reason: Text<'a>,
    /// Message of a `Status`: a sentence.
    pub message: Text<'a>,
    /// Details of a `Status`: how long to wait, and causes.
    pub details: StatusDetails<'a>,
}

impl<'a> Outline<'a> {
    /// Returns a fingerprint of everything that the rules read from the object; it is cheap to compute. While the
    /// fingerprint stays the same, the rules give the same result. It does not cover versions, labels and
    /// `managedFields`.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = Fold::default();
        let meta = &self.metadata;
        (&meta.uid, &meta.deletion_timestamp, meta.deletion_grace_period_seconds).hash(&mut hasher);
        (&meta.annotations, &self.spec, &self.status).hash(&mut hasher);
        hasher.finish()
    }

    /// Parses the whole pod; `fingerprint` is the pod's fingerprint.
    ///
    /// # Errors
    /// A part that was skipped so far has another form.
    pub fn pod(self, fingerprint: u64) -> Result<Pod<'a>, Wrong> {
        let (spec, status) = (self.spec.get()?, self.status.get()?);
        Ok(Pod { metadata: self.metadata, spec, status, fingerprint })
    }
}

impl<'a> Read<'a> for Pod<'a> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong> {
        let mut outline = Outline::default();
        outline.read(json)?;
        let fingerprint = outline.fingerprint();
        *self = outline.pod(fingerprint)?;
        Ok(())
    }
}

impl<'a> Object<'a> for Outline<'a> {
    fn member(&mut self, name: &[u8], json: &mut Json<'a>) -> Result<(), Wrong> {
        match name {
            b"metadata" => self.metadata.read(json),
            b"spec" => self.spec.read(json),
            // A pod's status is an object; the status of a `Status` is the word `Failure`.
            b"status" if json.is_at_string() => json.skip(),
            b"status" => self.status.read(json),
            b"code" => self.code.read(json),
            b"reason" => self.reason.read(json),
            b"message" => self.message.read(json),
            b"details" => self.details.read(json),
            _ => json.skip(),
        }
    }
}

/// The fields of a core/v1 `PodStatus` that the rules read, skipped but not parsed.
#[derive(Debug, Default, Hash)]
struct StatusOutline<'a> {
    phase: Span<'a>,
    reason: Span<'a>,
    message: Span<'a>,
    qos_class: Span<'a>,
    start_time: Span<'a>,
    conditions: Span<'a>,
    pod_ips: Span<'a>,
    resources: Span<'a>,
    container_statuses: Span<'a>,
    init_container_statuses: Span<'a>,
    ephemeral_container_statuses: Span<'a>,
}

members! { StatusOutline<'a> {
    b"phase" => phase,
    b"reason" => reason,
    b"message" => message,
    b"qosClass" => qos_class,
    b"startTime" => start_time,
    b"conditions" => conditions,
    b"podIPs" => pod_ips,
    b"resources" => resources,
    b"containerStatuses" => container_statuses,
    b"initContainerStatuses" => init_container_statuses,
    b"ephemeralContainerStatuses" => ephemeral_container_statuses,
} }

impl<'a> StatusOutline<'a> {
    fn get(&self) -> Result<PodStatus<'a>, Wrong> {
        Ok(PodStatus {
            phase: self.phase.get()?,
            reason: self.reason.get()?,
            message: self.message.get()?,
            qos_class: self.qos_class.get()?,
            start_time: self.start_time.get()?,
            conditions: self.conditions.get()?,
            pod_ips: self.pod_ips.get()?,
            resources: self.resources.get()?,
            container_statuses: self.container_statuses.get()?,
            init_container_statuses: self.init_container_statuses.get()?,
            ephemeral_container_statuses: self.ephemeral_container_statuses.get()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::wire::json::from_slice;

    fn fingerprint(pod: &Value) -> u64 {
        let text = pod.to_string();
        let outline: Outline<'_> = from_slice(text.as_bytes()).unwrap();
        let fingerprint = outline.fingerprint();
        assert_eq!(
            outline.pod(fingerprint).unwrap().fingerprint,
            from_slice::<Pod<'_>>(text.as_bytes()).unwrap().fingerprint
        );
        fingerprint
    }

    /// Changes each of these members of a pod, one at a time.
    #[test]
    fn whatever_the_rules_read_is_in_the_fingerprint_and_what_changes_each_minute_is_not() {
        let read = [
            "/metadata/uid",
            "/metadata/deletionTimestamp",
            "/metadata/deletionGracePeriodSeconds",
            "/metadata/annotations/kubernetes.io~1config.hash",
            "/spec/restartPolicy",
            "/spec/containers/0/resources/limits/memory",
            "/spec/initContainers",
            "/status/phase",
            "/status/reason",
            "/status/message",
            "/status/qosClass",
            "/status/startTime",
            "/status/conditions",
            "/status/podIPs",
            "/status/resources/limits/memory",
            "/status/containerStatuses/0/restartCount",
            "/status/containerStatuses/0/imageID",
            "/status/containerStatuses/0/lastState/terminated/exitCode",
            "/status/initContainerStatuses",
            "/status/ephemeralContainerStatuses",
        ];
        let passed_over = [
            "/metadata/resourceVersion",
            // The UID, which is read, changes whenever this does.
            "/metadata/creationTimestamp",
            "/metadata/labels",
            "/metadata/managedFields",
            "/metadata/annotations/other",
            "/status/observedGeneration",
        ];
        let pod = json!({
            "metadata": {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-11-23T03:31:40Z", "labels": {}, "managedFields": [],
                "deletionTimestamp": "2026-11-23T03:31:43Z", "deletionGracePeriodSeconds": 3,
                "annotations": {"kubernetes.io/config.hash": "h", "other": ""}},
            "spec": {"restartPolicy": "Always", "initContainers": [],
                "containers": [{"name": "app", "resources": {"limits": {"memory": "1Gi"}}}]},
            "status": {"phase": "Failed", "reason": "Evicted", "message": "m", "qosClass": "BestEffort",
                "startTime": "2026-11-23T03:31:43Z", "podIPs": [], "conditions": [],
                "resources": {"limits": {"memory": "1Gi"}},
                "observedGeneration": 1, "initContainerStatuses": [],
                "ephemeralContainerStatuses": [],
                "containerStatuses": [{"restartCount": 1, "imageID": "sha256:1",
                    "lastState": {"terminated": {"exitCode": 1}}}]},
        });
        for (path, is_read) in
            read.iter().map(|path| (path, true)).chain(passed_over.iter().map(|path| (path, false)))
        {
            let mut other = pod.clone();
            let member = other.pointer_mut(path).unwrap();
            *member = match member {
                Value::Number(number) => json!(number.as_i64().unwrap() + 1),
                Value::String(text) => json!(format!("{text}x")),
                Value::Array(_) => json!([{}]),
                _ => json!({"other": "x"}),
            };
            assert_eq!(fingerprint(&other) != fingerprint(&pod), is_read, "{path}");
        }
    }

    #[test]
    fn what_is_passed_over_says_where_it_is_wrong_when_it_is_read() {
        let text = br#"{"metadata":{}, "spec":{"containers":[{"name":7}]}}"#;
        let outline: Outline<'_> = from_slice(text).unwrap();
        let wrong = Wrong::Form { at: 46, wanted: "a string" };
        assert_eq!(outline.pod(0).unwrap_err(), wrong);
        assert_eq!(&text[46..47], b"7");
    }
}
