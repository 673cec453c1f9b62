use super::*;
use crate::core::wire::json;

fn info(kind: &str, reason: &str, message: &str, at: i64) -> EventInfo {
    let at = Timestamp::from_second(1_800_000_000 + at).unwrap();
    EventInfo {
        kind: kind.into(),
        reason: reason.into(),
        message: message.into(),
        count: 1,
        first_at: Some(at),
        last_at: Some(at),
    }
}

#[test]
fn a_cache_that_is_not_synchronised_yet_lacks_nothing() {
    for (message, want) in [
        ("failed to sync secret cache: timed out waiting for the condition", true),
        ("failed to sync configmap cache: timed out waiting for the condition", true),
        ("couldn't propagate object cache: timed out waiting for the condition", true),
        ("object \"shop\"/\"settings\" not registered", true),
        ("services have not yet been read at least once, cannot construct envvars", true),
        ("secret \"cache\" not found", false),
        ("couldn't find key cache in Secret shop/s", false),
        ("", false),
    ] {
        assert_eq!(is_cache_sync(message), want, "{message}");
    }
}

#[test]
fn the_event_that_tells_most_is_the_cause() {
    let mount = info("Warning", "FailedMount", "MountVolume.SetUp failed for volume \"s\"", 20);
    let general = info("Warning", "FailedMount", "Unable to attach or mount volumes: x", 30);
    let scheduling = info("Warning", "FailedScheduling", "0/1 nodes are available", 40);
    let pulling = info("Normal", "Pulling", "Pulling image \"x\"", 50);
    let pulled = info("Normal", "Pulled", "Successfully pulled image \"x\"", 60);
    let sandbox = info("Warning", "FailedCreatePodSandBox", "cni: not ready", 70);
    let liveness = info("Warning", "Unhealthy", "Liveness probe failed: x", 72);
    let startup = info("Warning", "Unhealthy", "Startup probe failed: x", 74);
    let readiness = info("Warning", "Unhealthy", "Readiness probe failed: x", 76);
    let kill = info("Warning", "FailedKillPod", "error killing pod", 80);
    // Warnings of pods that run well.
    let dns = info("Warning", "DNSConfigForming", "Nameserver limits were exceeded", 90);
    let secret = info("Warning", "FailedToRetrieveImagePullSecret", "Unable to retrieve", 92);
    let policy = info("Warning", "PolicyViolation", "policy x fail: y", 94);
    let none: &[&EventInfo] = &[];
    for (hang, events, want) in [
        (Hang::Start, none, None),
        (Hang::Start, &[&mount], Some(&mount)),
        (Hang::Start, &[&mount, &general, &scheduling], Some(&mount)),
        (Hang::Start, &[&general, &scheduling], Some(&general)),
        (Hang::Start, &[&scheduling], None),
        (Hang::Start, &[&mount, &pulling], Some(&pulling)),
        // The volumes were there, or nothing could have been pulled.
        (Hang::Start, &[&mount, &general, &pulling, &pulled], None),
        (Hang::Start, &[&mount, &pulling, &pulled, &sandbox], Some(&sandbox)),
        (Hang::Start, &[&pulling, &sandbox], Some(&sandbox)),
        (Hang::End, &[&mount, &liveness, &kill], Some(&kill)),
        (Hang::Start, &[&sandbox, &dns, &secret, &policy], Some(&sandbox)),
        (Hang::Start, &[&dns, &secret, &policy], None),
        (Hang::End, &[&liveness], None),
        (Hang::End, &[&mount, &sandbox, &dns, &secret], None),
        (Hang::End, &[&kill, &dns], Some(&kill)),
        (Hang::Ready, &[&liveness, &startup, &readiness], Some(&readiness)),
        (Hang::Ready, &[&liveness, &startup], Some(&startup)),
        (Hang::Ready, &[&mount, &liveness], None),
    ] {
        assert_eq!(telling(events, hang), want, "{hang:?} {events:?}");
    }
}

#[test]
fn a_pod_hangs_at_its_start_if_nothing_goes_on_in_it_and_nothing_was_told_of_it() {
    let wait = |reason: &str| format!(r#"{{"waiting":{{"reason":"{reason}"}}}}"#);
    let run = r#"{"running":{}}"#.to_owned();
    let end = |code: i32| format!(r#"{{"terminated":{{"exitCode":{code}}}}}"#);
    for (init, app, want) in [
        (None, None, true),
        (None, Some(wait("ContainerCreating")), true),
        (None, Some(wait("ErrImagePull")), false),
        (None, Some(wait("CreateContainerConfigError")), false),
        (None, Some(wait("CreateContainerError")), false),
        (None, Some(wait("CrashLoopBackOff")), false),
        (None, Some(run.clone()), false),
        (Some(wait("PodInitializing")), Some(wait("PodInitializing")), true),
        (Some(run), Some(wait("PodInitializing")), false),
        (Some(end(0)), Some(wait("PodInitializing")), true),
        (Some(end(1)), Some(wait("PodInitializing")), false),
        (Some(wait("CrashLoopBackOff")), Some(wait("PodInitializing")), false),
    ] {
        let list = |state: &Option<String>| {
            state
                .as_ref()
                .map_or(String::new(), |state| format!(r#"{{"name":"c","state":{state}}}"#))
        };
        let text = format!(
            r#"{{"status":{{"phase":"Pending","initContainerStatuses":[{}],"containerStatuses":[{}]}}}}"#,
            list(&init),
            list(&app)
        );
        let pod: wire::Pod<'_> = json::from_slice(text.as_bytes()).unwrap();
        assert_eq!(hangs_at_start(&pod), want, "{text}");
    }
}

#[test]
fn a_pod_without_a_sandbox_whose_containers_stay_ended_is_not_started_again() {
    let running = r#"{"running":{}}"#;
    let ended = r#"{"terminated":{"exitCode":255}}"#;
    let done = r#"{"terminated":{"exitCode":0}}"#;
    for (sandbox, policy, init, apps, want) in [
        ("False", "Always", done, [ended, ended], true),
        ("False", "OnFailure", done, [ended, done], true),
        // The init container has to run again.
        ("False", "Always", ended, [ended, ended], true),
        ("False", "Always", ended, [running, ended], false),
        ("False", "Always", done, [ended, running], false),
        ("False", "OnFailure", done, [done, done], false),
        ("False", "Never", done, [ended, ended], false),
        // The kubelet is about to start it.
        ("True", "Always", done, [ended, ended], false),
        ("", "Always", done, [ended, ended], false),
    ] {
        let [a, b] = apps;
        let text = format!(
            r#"{{"spec":{{"restartPolicy":"{policy}"}},"status":{{"phase":"Running",
            "conditions":[{{"type":"PodReadyToStartContainers","status":"{sandbox}"}}],
            "initContainerStatuses":[{{"name":"i","state":{init}}}],
            "containerStatuses":[{{"name":"a","state":{a}}},{{"name":"b","state":{b}}}]}}}}"#
        );
        let pod: wire::Pod<'_> = json::from_slice(text.as_bytes()).unwrap();
        assert_eq!(hangs_at_start(&pod), want, "{sandbox} {policy} {init} {apps:?}");
    }
}
