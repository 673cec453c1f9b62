//! Stops of whole pods, as far as the conditions of the pod show them before its phase and its reason do.

use super::*;

/// The end of a container as an object shows it that does not show the pod's last phase yet.
const BEFORE_THE_PHASE: [(&str, &str, Option<&str>, bool); 10] = [
    // The policy, the reason of `ContainersReady`, the status of `PodReadyToStartContainers`, and whether the phase decides.
    ("Always", "PodFailed", Some("False"), true),
    ("Always", "PodFailed", None, true),
    // The sandbox could not be stopped: a container that is restarted does not decide the phase.
    ("Always", "PodFailed", Some("True"), true),
    ("OnFailure", "PodFailed", Some("True"), true),
    ("Never", "PodFailed", Some("False"), true),
    ("Never", "PodFailed", None, true),
    ("Never", "PodCompleted", Some("False"), true),
    // Recorded of every pod whose program ends by itself and is not restarted: `node-v2`, exits/exit1.
    ("Never", "PodFailed", Some("True"), false),
    ("Always", "ContainersNotReady", Some("True"), false),
    ("Never", "ContainersNotReady", None, false),
];

#[test]
fn an_end_waits_for_the_phase_that_the_kubelet_has_decided_and_not_shown() {
    for (policy, containers_ready, sandbox, is_held) in BEFORE_THE_PHASE {
        for (code, own) in [(1, "error"), (2, "misuse"), (139, "signal")] {
            for (reason, want) in [("Evicted", "evicted"), ("", own)] {
                let name = format!("{policy} {containers_ready} {sandbox:?} {code} {reason}");
                let mut b = Bench::new();
                let dead = status(0, "c1", ended("c1", code, "Error", 5, 20), json!({}));
                let dead = with(pod(3, dead), "/spec/restartPolicy", json!(policy));
                b.apply(21, &with_conditions(dead.clone(), containers_ready, sandbox));
                assert_eq!(b.detector.held(), usize::from(is_held), "{name}");
                if !is_held {
                    assert_eq!(b.types(), [own], "{name}");
                    continue;
                }
                b.pass(22);
                b.detector.on_events("u1", &Lookup::Found(Vec::new()), &mut b.out);
                // The pod's grace period is 10 s.
                b.pass(21 + 10 + 14);
                let failed = with(dead, "/metadata/resourceVersion", json!("4"));
                let failed = with(failed, "/status/phase", json!("Failed"));
                b.apply(45, &with(failed, "/status/reason", json!(reason)));
                let line = b.only();
                assert_eq!(line.kind.name(), want, "{name}");
                assert_eq!(line.metadata.explains, [], "{name}");
                let is_unexplained = reason.is_empty() && policy != "Never";
                let confidence =
                    if is_unexplained { Confidence::Probable } else { Confidence::Confirmed };
                assert_eq!(line.metadata.confidence, confidence, "{name}");
                let quiet = if reason.is_empty() { vec![] } else { vec![Quiet::PodFailure] };
                assert_eq!(b.quiets(), quiet, "{name}");
            }
        }
    }
}

#[test]
fn a_pod_whose_sandbox_is_up_is_not_being_stopped() {
    let (confirmed, probable) = (Confidence::Confirmed, Confidence::Probable);
    for (code, want, confidence) in [
        (0, "graceful", confirmed),
        (143, "terminated", confirmed),
        // Anybody may send SIGKILL.
        (137, "killed", probable),
    ] {
        for (sandbox, is_up) in [(Some("True"), true), (Some("False"), false), (None, false)] {
            let mut b = Bench::new();
            let dead = pod(3, status(0, "c1", ended("c1", code, "Error", 5, 20), json!({})));
            b.apply(21, &with_conditions(dead, "ContainersNotReady", sandbox));
            b.pass(22);
            assert_eq!((b.lookups(), b.detector.held()), (1, 1), "the container may be restarted");
            b.detector.on_events("u1", &Lookup::Found(Vec::new()), &mut b.out);
            assert_eq!(b.detector.held(), usize::from(!is_up), "{code} {sandbox:?}");
            b.pass(60);
            let line = b.only();
            assert_eq!(line.kind.name(), want);
            assert_eq!(line.metadata.confidence, if is_up { confidence } else { probable });
            assert_eq!(line.telemetry.gaps.len(), usize::from(!is_up), "{code} {sandbox:?}");
        }
    }
}

#[test]
fn an_end_without_a_sandbox_may_be_a_stop_whatever_its_exit_code() {
    let lost = event("SandboxChanged", "Pod sandbox changed, it will be killed", false, (20, 20));
    let stopping = event("Killing", "Stopping container app", true, (19, 19));
    let gap = "pod: whether it goes on or fails as a whole was not shown";
    for (code, events, then, want) in [
        // The kubelet starts the container in a new sandbox.
        (1, vec![lost], "told", "error, confirmed, sandbox was lost"),
        (1, vec![], "restarts", "error, confirmed"),
        // A static pod whose manifest was removed or changed: the kubelet writes no last phase and no deletion.
        (1, vec![stopping.clone()], "is gone", "quiet"),
        (1, vec![], "is gone", "error, confirmed"),
        // A fault of the program, while it is stopped.
        (139, vec![stopping.clone()], "is gone", "signal, confirmed"),
        (1, vec![], "stays", gap),
        (1, vec![stopping], "stays", gap),
    ] {
        let mut b = Bench::new();
        let dead = pod(3, status(0, "c1", ended("c1", code, "Error", 5, 20), json!({})));
        let dead = with_conditions(dead, "ContainersNotReady", Some("False"));
        b.apply(21, &dead);
        assert_eq!((b.types().len(), b.detector.held()), (0, 1), "{then} {want}");
        b.pass(22);
        b.detector.on_events("u1", &Lookup::Found(events), &mut b.out);
        assert_eq!(b.detector.held(), usize::from(then != "told"), "{then} {want}");
        match then {
            "restarts" => {
                let last = ended("c1", 1, "Error", 5, 20);
                b.apply(25, &pod(4, status(1, "c2", running(24), last)));
            }
            "is gone" => _ = b.delete(25, &dead),
            _ => _ = b.pass(60),
        }
        if want == "quiet" {
            assert_eq!((b.types().len(), b.quiets()), (0, vec![Quiet::Deletion]), "{then}");
            continue;
        }
        let line = b.only();
        let gaps: Vec<String> = line.telemetry.gaps.iter().map(ToString::to_string).collect();
        let confidence = match line.metadata.confidence {
            Confidence::Confirmed => "confirmed",
            Confidence::Probable => "probable",
        };
        let told = format!("{}, {confidence}, {} {gaps:?}", line.kind.name(), line.message);
        assert!(want.split(", ").all(|part| told.contains(part)), "{told}");
    }
}

#[test]
fn a_deletion_that_is_known_leaves_nothing_to_wait_for() {
    let stopping = event("Killing", "Stopping container app", true, (19, 19));
    for (code, finished, containers_ready, want) in [
        // A fault of the program, also while it is stopped.
        (139, 30, "PodFailed", "signal"),
        (134, 30, "ContainersNotReady", "signal"),
        // It ended before the deletion was requested.
        (1, 14, "PodFailed", "error"),
        (1, 14, "ContainersNotReady", "error"),
    ] {
        let mut b = Bench::new();
        let dead = pod(3, status(0, "c1", ended("c1", code, "Error", 5, finished), json!({})));
        let dead = with(dead, "/metadata/deletionTimestamp", json!(t(25)));
        let dead = with(dead, "/metadata/deletionGracePeriodSeconds", json!(10));
        let dead = with_conditions(dead, containers_ready, Some("False"));
        b.apply(31, &dead);
        assert_eq!((b.types(), b.detector.held()), (vec![want], 0), "{code} {containers_ready}");
        b.delete(32, &dead);
        b.answer(std::slice::from_ref(&stopping));
        assert_eq!((b.types(), b.quiets()), (vec![want], vec![]), "{code} {containers_ready}");
    }
}

#[test]
fn what_ends_while_nothing_stops_the_pod_is_no_part_of_a_later_eviction() {
    for (code, reason, has_probe, want) in [
        (1, "Error", false, "error"),
        (1, "Error", true, "error"),
        (137, "OOMKilled", false, "oom"),
        (137, "OOMKilled", true, "oom"),
        (137, "Error", false, "killed"),
        (143, "Error", true, "terminated"),
    ] {
        let mut b = Bench::new();
        let end = status(0, "c1", ended("c1", code, reason, 5, 20), json!({}));
        let dead = if has_probe { probed(3, end) } else { pod(3, end) };
        b.apply(21, &with_conditions(dead.clone(), "ContainersNotReady", Some("True")));
        let failed = with(dead, "/metadata/resourceVersion", json!("4"));
        let failed = with(failed, "/status/phase", json!("Failed"));
        b.apply(24, &with(failed, "/status/reason", json!("Evicted")));
        b.answer(&[event("Evicted", "low on memory", false, (23, 23))]);
        let mut types = b.types();
        types.sort_unstable();
        let mut both = vec!["evicted", want];
        both.sort_unstable();
        assert_eq!((types, b.quiets()), (both, vec![]), "{code} {reason} {has_probe}");
        assert!(b.incidents().all(|line| line.metadata.explains.is_empty()), "{code} {reason}");
    }
}

#[test]
fn an_oom_kill_that_is_shown_without_a_sandbox_may_be_the_kubelets_kill() {
    // The reason is that of an earlier kill of a child, which containerd keeps.
    for (sandbox, want) in [(Some("False"), vec!["evicted"]), (None, vec!["oom", "evicted"])] {
        let mut b = Bench::new();
        let dead = status(0, "c1", ended("c1", 137, "OOMKilled", 5, 20), json!({}));
        let dead = pod(3, dead);
        b.apply(21, &with_conditions(dead.clone(), "ContainersNotReady", sandbox));
        let failed = with(dead, "/metadata/resourceVersion", json!("4"));
        let failed = with(failed, "/status/phase", json!("Failed"));
        b.apply(24, &with(failed, "/status/reason", json!("Evicted")));
        b.answer(&[]);
        assert_eq!(b.types(), want, "{sandbox:?}");
    }
}

#[test]
fn a_job_that_is_done_while_its_sandbox_is_up_costs_no_lookup() {
    for (sandbox, has_probe, lookups) in [
        (Some("True"), false, 0),
        (Some("True"), true, 1),
        (Some("False"), false, 1),
        (None, false, 1),
    ] {
        let mut b = Bench::new();
        let done = status(0, "c1", ended("c1", 0, "Completed", 5, 20), json!({}));
        let done = if has_probe { probed(3, done) } else { pod(3, done) };
        let done = with(done, "/spec/restartPolicy", json!("Never"));
        b.apply(21, &with_conditions(done, "PodCompleted", sandbox));
        assert_eq!(b.detector.held(), lookups, "{sandbox:?} {has_probe}");
        assert_eq!(b.answer(&[]).min(1), lookups, "{sandbox:?} {has_probe}");
        assert_eq!((b.types().len(), b.quiets()), (0, vec![Quiet::CleanExit]));
    }
}

#[test]
fn a_phase_that_does_not_come_leaves_a_probable_end_that_a_later_one_explains() {
    let mut b = Bench::new();
    let dead = pod(3, status(0, "c1", ended("c1", 1, "Error", 5, 20), json!({})));
    b.apply(21, &with_conditions(dead.clone(), "PodFailed", Some("False")));
    b.pass(22);
    b.detector.on_events("u1", &Lookup::Found(Vec::new()), &mut b.out);
    b.pass(21 + 10 + 14);
    assert_eq!((b.types().len(), b.detector.held()), (0, 1));
    b.pass(21 + 10 + 15);
    let line = b.only();
    assert_eq!((line.kind.name(), line.metadata.confidence), ("error", Confidence::Probable));
    let gap = Gap::new(Part::Pod, "whether it goes on or fails as a whole was not shown");
    assert_eq!(line.telemetry.gaps, [gap]);
    let failed = with(dead, "/metadata/resourceVersion", json!("4"));
    let failed = with(failed, "/status/phase", json!("Failed"));
    b.apply(90, &with(failed, "/status/reason", json!("Evicted")));
    assert_eq!(b.types(), ["error", "evicted"]);
    assert_eq!(b.incidents().last().unwrap().metadata.explains, [line.id]);
}

#[test]
fn jobs_that_fail_do_not_exceed_the_budget_of_lookups_while_their_phase_is_awaited() {
    let mut b = Bench::new();
    let count = 5 * i64::from(JOB_LOOKUP_BURST);
    for n in 0..count {
        let dead = pod(3, status(0, "c1", ended("c1", 1, "Error", 5, 20), json!({})));
        let dead = with(dead, "/spec/restartPolicy", json!("Never"));
        let dead = with(dead, "/metadata/uid", json!(format!("u{n}")));
        b.apply(21, &with_conditions(dead.clone(), "PodFailed", Some("False")));
        let failed = with(dead, "/metadata/resourceVersion", json!("4"));
        b.apply(21, &with(failed, "/status/phase", json!("Failed")));
    }
    assert_eq!(b.types().len(), (count - i64::from(JOB_LOOKUP_BURST)) as usize);
    b.answer(&[]);
    assert!(b.lookups() <= JOB_LOOKUP_BURST as usize);
    assert_eq!(b.types(), vec!["error"; count as usize]);
}

#[test]
fn a_pod_that_fails_between_its_instances_failed_when_its_sandbox_was_stopped() {
    let crashed = status(3, "c1", ended("c1", 1, "Error", 5, 20), json!({}));
    let killed = status(3, "c1", ended("c1", 137, "Error", 5, 598), json!({}));
    let waits = status(0, "", waiting("PodInitializing"), json!({}));
    let init =
        json!([{"name": "i", "containerID": "i1", "state": ended("i1", 137, "Error", 5, 597)}]);
    let none = json!([]);
    for (app, init, sandbox_down_at, want) in [
        // It ended long before, and was waiting for its next start.
        (&crashed, &none, Some(600), 600),
        (&killed, &none, Some(600), 598),
        (&killed, &none, None, 598),
        // Its init container was running.
        (&waits, &init, Some(600), 600),
        (&waits, &init, None, 601),
        // It was refused.
        (&waits, &none, Some(600), 4),
    ] {
        let mut b = Bench::new();
        let mut pod = with(pod(3, app.clone()), "/status/phase", json!("Failed"));
        pod["status"]["reason"] = "Evicted".into();
        pod["status"]["startTime"] = t(4).into();
        pod["status"]["initContainerStatuses"] = init.clone();
        if let Some(at) = sandbox_down_at {
            pod = with_conditions(pod, "PodFailed", Some("False"));
            pod["status"]["conditions"][2]["lastTransitionTime"] = t(at).into();
        }
        b.apply(601, &pod);
        let line = b.incidents().find(|line| line.kind.name() == "evicted").unwrap();
        assert_eq!(line.occurred_at, now(want).wall, "{pod}");
    }
}

#[test]
fn a_pod_that_is_over_although_it_restarts_was_stopped_for_something() {
    let gap = Gap::new(Part::Pod, "it was stopped as a whole, and nothing says for what");
    for (policy, code, is_split, is_stopped) in [
        ("Always", 0, false, true),
        ("Always", 1, false, true),
        ("Always", 143, true, true),
        ("OnFailure", 1, false, true),
        ("Never", 1, false, false),
        ("Never", 143, true, false),
    ] {
        let mut b = Bench::new();
        let dead = pod(3, status(0, "c1", ended("c1", code, "Error", 5, 20), json!({})));
        let dead = with(dead, "/spec/restartPolicy", json!(policy));
        if is_split {
            b.apply(21, &dead);
        }
        let over = with(dead, "/metadata/resourceVersion", json!("4"));
        b.apply(22, &with(over, "/status/phase", json!("Failed")));
        b.answer(&[]);
        let line = b.only();
        let want = if is_stopped { Confidence::Probable } else { Confidence::Confirmed };
        assert_eq!(line.metadata.confidence, want, "{policy} {code}");
        let gaps = if is_stopped { vec![gap.clone()] } else { vec![] };
        assert_eq!(line.telemetry.gaps, gaps, "{policy} {code}");
    }
}
