use super::*;
use crate::core::case::{ContainerId, IncidentType};

fn kill(pod: &str, container: Option<&str>) -> OomKill {
    OomKill { pod_uid: pod.into(), container_id: container.map(Into::into), kills: 1 }
}

fn ended(pod: &str, container: Option<&str>) -> InstanceRef {
    InstanceRef {
        id: IncidentId::of_pod(pod, IncidentType::Oom),
        namespace: "shop".into(),
        pod_name: "web".into(),
        pod_key: pod.into(),
        container: "app".into(),
        container_id: container.and_then(ContainerId::parse),
        instance: 0,
        started: None,
        finished: None,
        is_alone: false,
        exit_code: Some(1),
    }
}

#[test]
fn a_termination_explains_the_kills_of_its_own_container() {
    // The container of the kill, the pod and the container that ended, and whether that explains the kill.
    for (killed, pod, container, explains) in [
        (Some("a"), "u1", Some("containerd://a"), true),
        (Some("a"), "u1", Some("containerd://b"), false),
        (Some("a"), "u1", None, true),
        (None, "u1", Some("containerd://b"), true),
        (Some("a"), "u2", Some("containerd://a"), false),
    ] {
        let mut state = EnrichState::default();
        state.hold_unexplained(vec![kill("u1", killed)], Timestamp::UNIX_EPOCH, Duration::ZERO);
        state.explain(&ended(pod, container));
        let left = state.due(SURVIVED_AFTER).len();
        assert_eq!(left == 0, explains, "{killed:?} {pod} {container:?}");
    }
}

#[test]
fn a_kill_waits_for_a_late_status_and_not_without_end() {
    let mut state = EnrichState::default();
    state.hold_unexplained(vec![kill("u1", Some("a"))], Timestamp::UNIX_EPOCH, Duration::ZERO);
    let mut looks = 0;
    while let Some(due) = state.next_due(Duration::ZERO) {
        assert_eq!(due, SURVIVED_AFTER * (looks + 1));
        looks += 1;
        for survivor in state.due(due) {
            state.hold_again(survivor, due);
        }
    }
    assert_eq!(looks, u32::from(SURVIVED_TRIES_MAX));
}
