//! Kinds of ends that were named wrongly on real nodes: each with the objects and events as the kubelet sends them.

use super::*;
use crate::core::case::{IncidentId, Subject};
use crate::core::detect::reboot::Boot;
use crate::limits::{JOB_LOOKUP_BURST, REBOOT_HELD, SETTLE_STOPPING_MARGIN};

mod random;
mod stops;

fn event(reason: &str, message: &str, container: bool, times: (i64, i64)) -> PodEvent {
    let path = if container { "spec.containers{app}" } else { "" };
    let text = json!({"reason": reason, "message": message, "count": 2,
        "involvedObject": {"fieldPath": path},
        "firstTimestamp": t(times.0), "lastTimestamp": t(times.1)})
    .to_string();
    PodEvent::from_wire(&json::from_slice(text.as_bytes()).unwrap())
}

fn killing(at: i64) -> PodEvent {
    event("Killing", "Container app failed liveness probe, will be restarted", true, (at, at))
}

/// Returns a pod whose container has a liveness probe.
fn probed(version: u64, status: Value) -> Value {
    let mut pod = pod(version, status);
    pod["spec"]["containers"][0]["livenessProbe"] = json!({"periodSeconds": 2});
    pod
}

fn with(mut pod: Value, pointer: &str, value: Value) -> Value {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    pod.pointer_mut(parent).unwrap()[member] = value;
    pod
}

impl Bench {
    /// Lets all deadlines pass, and answers each lookup with these events. Returns the number of lookups.
    fn answer(&mut self, events: &[PodEvent]) -> usize {
        self.answer_each(|_| events.to_vec())
    }

    /// The same with the events as each lookup finds them.
    fn answer_each(&mut self, events: impl Fn(usize) -> Vec<PodEvent>) -> usize {
        let before = self.lookups();
        for _ in 0..100 {
            let Some(deadline) = self.detector.next_deadline() else { break };
            let lookups = self.lookups();
            self.pass(i64::try_from(deadline.as_secs() + 1).unwrap());
            if self.lookups() > lookups {
                let found = Lookup::Found(events(lookups - before));
                self.detector.on_events("u1", &found, &mut self.out);
            }
        }
        self.lookups() - before
    }

    /// Returns the only incident.
    #[track_caller]
    fn only(&self) -> Incident {
        assert_eq!(self.types().len(), 1, "{:?}", self.types());
        self.incidents().next().unwrap()
    }
}

#[test]
fn a_program_chooses_its_own_exit_code_when_a_probe_failed() {
    for (code, policy, events, want) in [
        (1, "Always", vec![killing(18)], vec!["probe_failure"]),
        (2, "Always", vec![killing(18)], vec!["probe_failure"]),
        (130, "Always", vec![killing(18)], vec!["probe_failure"]),
        (0, "OnFailure", vec![killing(18)], vec!["probe_failure"]),
        (0, "Never", vec![killing(18)], vec!["probe_failure"]),
        (2, "Always", vec![], vec!["misuse"]),
        (0, "OnFailure", vec![], vec![]),
        (0, "Never", vec![], vec![]),
    ] {
        let mut b = Bench::new();
        let last = ended("c1", code, "Error", 10, 20);
        let dead = probed(3, status(0, "c1", last, json!({})));
        b.apply(21, &with(dead, "/spec/restartPolicy", json!(policy)));
        assert_eq!((b.types().len(), b.detector.held()), (0, 1), "{code} {policy}");
        b.answer(&events);
        assert_eq!(b.types(), want, "{code} {policy}");
        assert_eq!(b.detector.held(), 0);
        if want.is_empty() {
            assert_eq!(b.quiets(), [Quiet::CleanExit]);
        }
    }
}

#[test]
fn an_end_that_nothing_can_explain_is_reported_at_once() {
    let mut b = Bench::new();
    b.apply(21, &pod(3, status(0, "c1", ended("c1", 1, "Error", 10, 20), json!({}))));
    assert_eq!((b.types(), b.detector.held()), (vec!["error"], 0));
}

#[test]
fn the_sentence_of_a_probe_says_which_one_and_why() {
    let mut b = Bench::new();
    b.apply(21, &probed(3, status(1, "c2", running(21), ended("c1", 137, "Error", 10, 20))));
    let unhealthy = |at, code| {
        let text = format!("Liveness probe failed: HTTP probe failed with statuscode: {code}");
        event("Unhealthy", &text, true, (at - 1, at))
    };
    b.answer(&[unhealthy(14, 500), killing(18), unhealthy(17, 503), unhealthy(60, 999)]);
    let incident = b.only();
    assert_eq!(incident.metadata.confidence, Confidence::Confirmed);
    assert!(
        incident.message.contains("its liveness probe failed (exit code 137) after 10 s: HTTP probe failed with statuscode: 503"),
        "{}",
        incident.message
    );
}

#[test]
fn a_failed_probe_that_an_early_lookup_saw_is_not_forgotten() {
    let unhealthy = |last| event("Unhealthy", "Liveness probe failed: x", true, (16, last));
    let stopping = event("Killing", "Stopping container app", true, (18, 18));
    for (later, want) in [
        // The next instance failed its probe too.
        (vec![unhealthy(40)], "probe_failure"),
        (vec![], "probe_failure"),
        // The kubelet stopped the whole pod, so the probe was not the reason.
        (vec![unhealthy(18), stopping], "killed"),
    ] {
        let mut b = Bench::new();
        b.apply(21, &probed(3, status(1, "c2", running(21), ended("c1", 137, "Error", 10, 20))));
        b.answer_each(|lookup| if lookup == 0 { vec![unhealthy(18)] } else { later.clone() });
        let incident = b.only();
        assert_eq!(incident.kind.name(), want, "{later:?}");
        assert_eq!(incident.metadata.confidence, Confidence::Probable);
    }
}

#[test]
fn a_sticky_oom_kill_of_a_child_is_the_probes_if_the_grace_period_was_over() {
    for (killed_at, want) in [(30, "probe_failure"), (36, "oom")] {
        let mut b = Bench::new();
        let last = ended("c1", 137, "OOMKilled", 10, 40);
        b.apply(41, &probed(3, status(1, "c2", running(41), last)));
        b.answer(&[killing(killed_at)]);
        assert_eq!(b.types(), [want], "killed at {killed_at}, grace period of 10 s");
    }
    let mut b = Bench::new();
    b.apply(41, &pod(3, status(1, "c2", running(41), ended("c1", 137, "OOMKilled", 10, 40))));
    assert_eq!(b.types(), ["oom"], "without a probe nothing is in question");
}

#[test]
fn a_pod_that_was_evicted_and_exited_with_0_did_not_do_its_work() {
    let evicted =
        event("Evicted", "Pod ephemeral local storage usage exceeds 512Mi", false, (19, 19));
    let stopping = event("Killing", "Stopping container app", true, (19, 19));
    for policy in ["Never", "OnFailure", "Always"] {
        let mut b = Bench::new();
        let dead = status(0, "c1", ended("c1", 0, "Completed", 5, 20), json!({}));
        let done = with(pod(3, dead), "/spec/restartPolicy", json!(policy));
        b.apply(21, &with(done, "/status/phase", json!("Succeeded")));
        b.answer(&[evicted.clone(), stopping.clone()]);
        let incident = b.only();
        assert_eq!((incident.kind.name(), incident.container), ("evicted", None), "{policy}");
        assert!(incident.message.contains("ephemeral local storage"), "{}", incident.message);
        assert_eq!(b.quiets(), [Quiet::PodFailure]);
    }
}

#[test]
fn a_failed_pod_names_the_lines_of_containers_that_it_probably_ended() {
    let within = SETTLE_STOPPING_MARGIN.as_secs() as i64 + 10;
    for (code, shown_at, failed_at, is_explained) in [
        (1, 21, 22, true),
        (2, 21, 20 + within, true),
        (1, 21, 21 + within, false),
        // A SIGSEGV is no answer to SIGTERM.
        (139, 21, 22, false),
        // The line of the container was not written yet.
        (1, 22, 22, false),
    ] {
        let mut b = Bench::new();
        let dead = status(0, "c1", ended("c1", code, "Error", 5, 20), json!({}));
        if shown_at < failed_at {
            b.apply(shown_at, &pod(3, dead.clone()));
        }
        let failed = with(pod(4, dead), "/status/phase", json!("Failed"));
        b.apply(failed_at, &with(failed, "/status/reason", json!("Evicted")));
        let lines: Vec<Incident> = b.incidents().collect();
        let (of_pod, before) = lines.split_last().unwrap();
        let want: Vec<IncidentId> = before.iter().map(|line| line.id).collect();
        let want = if is_explained { want } else { Vec::new() };
        assert_eq!(of_pod.metadata.explains, want, "{code} {failed_at}");
        let says = of_pod.message.contains("probably ended the container of the line before");
        assert_eq!(says, is_explained, "{}", of_pod.message);
        assert_eq!(before.len(), usize::from(shown_at < failed_at));
    }
}

/// Returns the pod with the conditions that say why it is not ready, and whether its sandbox is up.
fn with_conditions(pod: Value, containers_ready: &str, sandbox: Option<&str>) -> Value {
    let mut conditions = vec![
        json!({"type": "Ready", "status": "False", "reason": containers_ready}),
        json!({"type": "ContainersReady", "status": "False", "reason": containers_ready}),
    ];
    let sandbox =
        sandbox.map(|is_up| json!({"type": "PodReadyToStartContainers", "status": is_up}));
    conditions.extend(sandbox);
    with(pod, "/status/conditions", json!(conditions))
}

#[test]
fn lookups_for_finished_jobs_have_a_budget_of_their_own() {
    let mut b = Bench::new();
    let count = 5 * i64::from(JOB_LOOKUP_BURST);
    for n in 0..count {
        let dead = status(0, "c1", ended("c1", 0, "Completed", 5, 20), json!({}));
        let done = with(pod(3, dead), "/spec/restartPolicy", json!("Never"));
        b.apply(21, &with(done, "/metadata/uid", json!(format!("u{n}"))));
    }
    assert_eq!(b.detector.held(), JOB_LOOKUP_BURST as usize);
    b.answer(&[]);
    assert_eq!(b.types(), Vec::<&str>::new());
    assert_eq!(b.quiets().len(), count as usize);
}

#[test]
fn a_shutdown_is_named_by_the_condition_that_the_phase_hides() {
    let condition = |reason: &str, message: &str| json!([{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}]);
    let shutdown = "Pod was terminated in response to imminent node shutdown.";
    for (reason, message, want) in [
        ("TerminationByKubelet", shutdown, vec!["node_shutdown"]),
        ("TerminationByKubelet", "The node was low on resource: memory.", vec!["evicted"]),
        ("EvictionByEvictionAPI", "Eviction API: evicting", vec!["graceful"]),
    ] {
        let mut b = Bench::new();
        let dead = status(0, "c1", ended("c1", 0, "Completed", 5, 20), json!({}));
        let done = with(pod(3, dead), "/status/phase", json!("Succeeded"));
        b.apply(21, &with(done, "/status/conditions", condition(reason, message)));
        b.answer(&[]);
        assert_eq!(b.types(), want, "{reason}");
    }
}

#[test]
fn a_lost_sandbox_is_named_in_the_sentence() {
    let changed =
        event("SandboxChanged", "Pod sandbox changed, it will be killed", false, (21, 21));
    let mut b = Bench::new();
    b.apply(22, &pod(3, status(1, "c2", running(22), ended("c1", 137, "Error", 5, 20))));
    b.answer(&[changed]);
    let incident = b.only();
    assert_eq!(incident.kind.name(), "killed");
    assert!(incident.message.contains("the pod's sandbox was lost"), "{}", incident.message);
}

#[test]
fn a_pod_that_was_over_is_not_refused_by_a_restarted_kubelet() {
    for (code, phase, want) in [(0, "Succeeded", vec![]), (1, "Failed", vec!["error"])] {
        let mut b = Bench::new();
        let done = status(0, "c1", ended("c1", code, "Error", 5, 20), json!({}));
        let done = with(pod(3, done), "/spec/restartPolicy", json!("Never"));
        b.apply(21, &with(done, "/status/phase", json!(phase)));
        let mut refused = pod(4, status(0, "", json!({}), json!({})));
        refused["status"] = json!({"phase": "Failed", "reason": "UnexpectedAdmissionError"});
        b.apply(40, &refused);
        b.answer(&[]);
        assert_eq!(b.types(), want, "{phase}");
    }
}

#[test]
fn an_instance_that_runs_after_a_failed_start_ends_for_real_later() {
    let mut b = Bench::new();
    let slow = status(0, "c1", waiting("RunContainerError"), json!({}));
    b.apply(10, &pod(2, slow));
    b.apply(20, &pod(3, status(0, "c1", running(15), json!({}))));
    b.apply(99, &pod(4, status(0, "c1", ended("c1", 1, "Error", 15, 98), json!({}))));
    b.apply(100, &pod(5, status(1, "c2", running(100), ended("c1", 1, "Error", 15, 98))));
    b.apply(120, &pod(6, status(2, "c3", running(120), ended("c2", 1, "Error", 100, 119))));
    assert_eq!(b.types(), ["start_error", "error", "error"]);
    assert_eq!(b.unseen(), 0);
    let ids: Vec<IncidentId> = b.incidents().map(|incident| incident.id).collect();
    assert_eq!(ids[1], IncidentId::of_late_start("u1", "app", "c1"));
    // A record of the failed start itself is no second end.
    let mut b = Bench::new();
    b.apply(10, &pod(2, status(0, "c1", waiting("RunContainerError"), json!({}))));
    let never_ran = ended("c1", 128, "StartError", 10, 10);
    b.apply(20, &pod(3, status(1, "c2", running(20), never_ran)));
    assert_eq!((b.types(), b.unseen()), (vec!["start_error"], 0));
}

#[test]
fn a_sidecar_that_ends_before_the_main_container_is_not_torn_down() {
    // The main container fails at second 20, because its proxy is gone.
    for (code, finished, is_split, want) in [
        (1, 19, false, vec!["error", "error"]),
        (1, 19, true, vec!["error", "error"]),
        (143, 19, true, vec!["error", "terminated"]),
        (139, 19, false, vec!["error", "signal"]),
        (1, 20, false, vec!["error"]),
        (143, 21, true, vec!["error"]),
    ] {
        let object = |version: u64, phase: &str, main: Value| {
            let main = status(0, "m1", main, json!({}));
            let mut pod = with(pod(version, main), "/spec/restartPolicy", json!("Never"));
            pod["spec"]["initContainers"] = json!([{"name": "proxy", "restartPolicy": "Always"}]);
            let end = ended("p1", code, "Error", 5, finished);
            let mut proxy = status(0, "p1", end, json!({}));
            proxy["name"] = "proxy".into();
            pod["status"]["initContainerStatuses"] = json!([proxy]);
            pod["status"]["phase"] = json!(phase);
            pod
        };
        let mut b = Bench::new();
        if is_split && finished < 20 {
            b.apply(19, &object(3, "Running", running(5)));
        }
        b.apply(21, &object(4, "Failed", ended("m1", 1, "Error", 5, 20)));
        b.answer(&[]);
        let mut types = b.types();
        types.sort_unstable();
        assert_eq!(types, want, "{code} {finished} {is_split}");
    }
}

fn boot(at: i64) -> Boot {
    Boot {
        id: "boot".to_owned(),
        booted_at: now(at).wall,
        is_recent_until: Duration::ZERO,
        before: None,
        minutes: None,
    }
}

#[test]
fn an_exit_code_that_no_process_has_is_an_end_that_the_runtime_does_not_know() {
    let nowhere = "1754-08-30T22:43:41Z";
    for (started, finished, has_reboot, want) in [
        (5, t(20), false, "runtime_lost"),
        (5, nowhere.to_owned(), false, "runtime_lost"),
        (5, nowhere.to_owned(), true, "node_reboot"),
        // CRI-O's record of a failed start.
        (20, t(20), false, "start_error"),
    ] {
        let mut b = Bench::new();
        if has_reboot {
            b.detector.set_boots(vec![boot(15)]);
        }
        let mut end = ended("c1", -1, "Error", started, 20);
        end["terminated"]["finishedAt"] = json!(finished);
        b.apply(21, &pod(3, status(1, "c2", running(21), end)));
        b.pass(21 + REBOOT_HELD.as_secs() as i64);
        let line = b.only();
        assert_eq!(line.kind.name(), want, "{finished}");
        assert!(line.occurred_at > now(0).wall, "{}", line.occurred_at);
        assert!(!line.message.contains("after 15 s"), "{}", line.message);
    }
}

#[test]
fn rules_of_restart_come_before_the_policy() {
    let rules = json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
    for (rules, code, want) in [
        (rules.clone(), 42, vec!["unknown", "error"]),
        (rules, 43, vec!["unknown"]),
        (json!([]), 42, vec!["unknown"]),
        (
            json!([{"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [42]}}]),
            43,
            vec!["unknown", "error"],
        ),
    ] {
        let mut b = Bench::new();
        let main = ended("c1", code, "Error", 5, 20);
        let mut p =
            with(pod(3, status(0, "c1", main, json!({}))), "/spec/restartPolicy", json!("Never"));
        p["spec"]["containers"][0]["restartPolicyRules"] = rules.clone();
        p["spec"]["initContainers"] = json!([{"name": "proxy", "restartPolicy": "Always"}]);
        p["status"]["initContainerStatuses"] = json!([{"name": "proxy", "restartCount": 0,
            "containerID": "s1", "state": ended("s1", 1, "Error", 4, 22), "lastState": {}}]);
        b.apply(23, &p);
        b.answer(&[]);
        let mut types = b.types();
        types.sort_unstable_by_key(|kind| std::cmp::Reverse(*kind));
        assert_eq!(types, want, "{rules} {code}");
    }
}

#[test]
fn death_by_the_containers_own_stop_signal_may_be_a_stop() {
    for (signal, held) in [("SIGUSR1", 1), ("SIGINT", 0), ("", 0)] {
        let mut b = Bench::new();
        let mut p = pod(3, status(0, "c1", ended("c1", 138, "Error", 5, 20), json!({})));
        p["spec"]["containers"][0]["lifecycle"] = json!({"stopSignal": signal});
        b.apply(21, &p);
        assert_eq!(b.detector.held(), held, "{signal}");
    }
}

#[test]
fn a_debugging_session_is_nobodys_crash() {
    for code in [0, 1, 130, 137, 139] {
        let mut b = Bench::new();
        let mut p = pod(3, status(0, "c1", running(5), json!({})));
        p["status"]["ephemeralContainerStatuses"] = json!([{"name": "debugger", "restartCount": 0,
            "containerID": "e1", "state": ended("e1", code, "Error", 10, 20), "lastState": {}}]);
        b.apply(21, &p);
        b.answer(&[]);
        assert_eq!((b.types().len(), b.quiets()), (0, vec![Quiet::DebugSession]), "{code}");
    }
}

#[test]
fn an_image_back_off_without_its_cause_takes_it_from_the_event() {
    let message = r#"Failed to pull image "r/app:1": dial tcp: connection refused"#;
    let failed = event("Failed", message, true, (8, 12));
    for (events, want) in [(vec![failed], "connection refused"), (vec![], "ImagePullBackOff")] {
        let mut b = Bench::new();
        b.apply(10, &pod(2, status(0, "", waiting("ImagePullBackOff"), json!({}))));
        b.answer(&events);
        let incident = b.only();
        assert!(incident.message.contains(want), "{}", incident.message);
        assert_eq!(incident.metadata.confidence, Confidence::Confirmed);
    }
}

#[test]
fn what_a_reboot_ended_is_one_incident_of_the_node() {
    let lost =
        |n: i64| status(1, "c2", running(130), ended(&format!("c{n}"), 255, "Unknown", 5, 120));
    let mut b = Bench::new();
    b.detector.set_boots(vec![boot(100)]);
    for n in 0..3 {
        b.apply(131, &with(pod(3, lost(n)), "/metadata/uid", json!(format!("u{n}"))));
    }
    assert_eq!(b.types(), Vec::<&str>::new());
    assert_eq!(b.quiets(), [Quiet::Reboot; 3]);
    b.pass(131 + i64::try_from(REBOOT_HELD.as_secs()).unwrap());
    let incident = b.only();
    assert_eq!((incident.kind.name(), incident.container), ("node_reboot", None));
    assert_eq!((&*incident.pod_name, &*incident.node_name), ("", "node1"));
    assert_eq!(incident.metadata.reboot.unwrap().containers, 3);
    // A later boot of the runtime alone is another thing.
    let mut b = Bench::new();
    b.detector.set_boots(vec![boot(2)]);
    b.apply(131, &pod(3, lost(1)));
    b.answer(&[]);
    assert_eq!(b.types(), ["runtime_lost"]);
    assert!(!b.only().message.contains("after 1"), "the time of its end is not known");
}

#[test]
fn the_limit_in_the_sentence_is_the_one_in_force() {
    for (spec, actual, of_pod, actual_of_pod, want) in [
        (Some("2Gi"), Some("1Gi"), None, None, "at its 1 GiB limit"),
        (Some("64Mi"), None, None, None, "at its 64 MiB limit"),
        (None, None, Some("64Mi"), None, "at the pod's 64 MiB limit"),
        (Some("128Mi"), None, Some("64Mi"), None, "at the pod's 64 MiB limit"),
        (Some("32Mi"), None, Some("64Mi"), None, "at its 32 MiB limit"),
        // A resize of the pod that the node has no room for.
        (None, None, Some("2Gi"), Some("1Gi"), "at the pod's 1 GiB limit"),
        (None, None, None, None, "without a memory limit of its own"),
    ] {
        let mut b = Bench::new();
        let limits = |memory: Option<&str>| {
            memory.map_or_else(|| json!({}), |m| json!({"limits": {"memory": m}}))
        };
        let mut p = pod(3, status(1, "c2", running(21), ended("c1", 137, "OOMKilled", 5, 20)));
        p["spec"]["containers"][0]["resources"] = limits(spec);
        p["spec"]["resources"] = limits(of_pod);
        if actual.is_some() {
            p["status"]["containerStatuses"][0]["resources"] = limits(actual);
        }
        if actual_of_pod.is_some() {
            p["status"]["resources"] = limits(actual_of_pod);
        }
        b.apply(21, &p);
        let message = b.only().message;
        assert!(message.contains(want), "{message}");
    }
}

#[test]
fn what_is_held_as_a_clean_exit_is_never_counted_as_a_crash() {
    let mut b = Bench::new();
    let dead = status(0, "c1", ended("c1", 0, "Completed", 5, 20), json!({}));
    b.apply(21, &with(pod(3, dead), "/spec/restartPolicy", json!("OnFailure")));
    assert!(b.out.iter().all(|output| !matches!(output, Output::Held(_))), "its log is not read");
    b.detector.finish(now(22), &mut b.out);
    assert_eq!((b.types().len(), b.quiets()), (0, vec![Quiet::CleanExit]));
    assert!(b.out.iter().all(|output| match output {
        Output::Crash(case) => !matches!(case.subject, Subject::Termination { .. }),
        _ => true,
    }));
}
