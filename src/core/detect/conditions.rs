//! What the conditions of a pod say, apart from its phase.

use jiff::Timestamp;

use crate::core::case::{IncidentType, PodStop, Severity};
use crate::core::detect::classify;
use crate::core::text::cut;
use crate::core::wire;
use crate::limits::{EVENT_MESSAGE_BYTES_MAX, NAME_BYTES_MAX, STATUS_MESSAGE_BYTES_MAX};

/// Returns what the condition `DisruptionTarget` says, if the kubelet terminated the pod as a whole. The pod's own reason is
/// lost where the phase changed with it (kubelet `generateAPIPodStatus`).
pub(super) fn disruption(
    status: &wire::PodStatus<'_>,
) -> Option<((IncidentType, Severity), PodStop)> {
    let condition = status.condition("DisruptionTarget").filter(|c| &*c.status == "True")?;
    let verdict = classify::disruption(&condition.reason, &condition.message)?;
    let fact = format!("condition DisruptionTarget, reason {}", condition.reason);
    let stop = PodStop {
        reason: cut(&condition.reason, NAME_BYTES_MAX),
        message: cut(&condition.message, STATUS_MESSAGE_BYTES_MAX),
        fact: cut(&fact, EVENT_MESSAGE_BYTES_MAX),
    };
    Some((verdict, stop))
}

/// Returns true if the kubelet has decided the pod's last phase. It holds back the phase and its reason while it stops the
/// pod (kubelet `status_manager.go`, `mergePodStatus`), but not the reason that it gives to `ContainersReady`.
pub(super) fn is_phase_decided(status: &wire::PodStatus<'_>) -> bool {
    let condition = status.condition("ContainersReady");
    condition.is_some_and(|c| matches!(&*c.reason, "PodFailed" | "PodCompleted"))
}

/// Returns whether the pod's sandbox is up, if the kubelet shows that (since Kubernetes 1.29). It is down if the pod is being
/// stopped, after its containers (kubelet `kuberuntime_manager.go`, `killPodWithSyncResult`), or if it was lost: then the
/// kubelet stops the containers as well, and starts them in a new one.
pub(super) fn sandbox(status: &wire::PodStatus<'_>) -> Option<bool> {
    match &*status.condition("PodReadyToStartContainers")?.status {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

/// Returns since when the pod's sandbox is down.
pub(super) fn sandbox_down_at(status: &wire::PodStatus<'_>) -> Option<Timestamp> {
    let condition = status.condition("PodReadyToStartContainers");
    condition.filter(|c| &*c.status == "False")?.last_transition_time.time()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::wire::json;

    #[test]
    fn the_conditions_say_what_the_phase_does_not() {
        for (kind, status, reason, decided, up) in [
            ("ContainersReady", "False", "PodFailed", true, None),
            ("ContainersReady", "False", "PodCompleted", true, None),
            ("ContainersReady", "False", "ContainersNotReady", false, None),
            ("ContainersReady", "True", "", false, None),
            ("Ready", "False", "PodFailed", false, None),
            ("PodReadyToStartContainers", "True", "", false, Some(true)),
            ("PodReadyToStartContainers", "False", "", false, Some(false)),
            ("PodReadyToStartContainers", "Unknown", "", false, None),
        ] {
            let text = format!(
                r#"{{"status":{{"conditions":[{{"type":"{kind}","status":"{status}","reason":"{reason}"}}]}}}}"#
            );
            let pod: wire::Pod<'_> = json::from_slice(text.as_bytes()).unwrap();
            assert_eq!(
                (is_phase_decided(&pod.status), sandbox(&pod.status)),
                (decided, up),
                "{text}"
            );
        }
    }
}
