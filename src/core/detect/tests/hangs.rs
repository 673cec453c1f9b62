//! What does not get on: each episode is reported once, and only when its time is over.

use super::*;
use crate::core::detect::ledger::{self, Ledger};
use crate::limits::{CACHE_SYNC_MAX, HANG_EVENTS_MAX, HANG_SEEN_MIN, STUCK_AFTER, UNREADY_AFTER};

fn secs(d: Duration) -> i64 {
    i64::try_from(d.as_secs()).unwrap()
}

/// Returns a pod that was bound at that second and has not started.
fn creating(version: u64, bound: i64) -> Value {
    let mut p = pod(version, status(0, "", waiting("ContainerCreating"), json!({})));
    p["status"]["phase"] = "Pending".into();
    p["status"]["startTime"] = t(bound).into();
    p
}

/// Returns a pod whose container runs since second `from`, and is ready or not since second `changed`.
fn probed(version: u64, id: &str, from: i64, is_ready: bool, changed: i64) -> Value {
    let mut state = status(0, id, running(from), json!({}));
    state["ready"] = is_ready.into();
    let mut p = pod(version, state);
    p["spec"]["containers"][0]["readinessProbe"] = json!({"periodSeconds": 5});
    let word = if is_ready { "True" } else { "False" };
    p["status"]["conditions"] =
        json!([{"type": "ContainersReady", "status": word, "lastTransitionTime": t(changed)}]);
    p
}

fn deleted(mut pod: Value, version: u64, at: i64) -> Value {
    pod["metadata"]["resourceVersion"] = version.to_string().into();
    pod["metadata"]["deletionTimestamp"] = t(at).into();
    pod["metadata"]["deletionGracePeriodSeconds"] = 10.into();
    pod
}

fn event(kind: &str, reason: &str, message: &str, field: &str, at: i64) -> PodEvent {
    let text = json!({"type": kind, "reason": reason, "message": message, "count": 1,
        "involvedObject": {"fieldPath": field}, "firstTimestamp": t(at), "lastTimestamp": t(at)})
    .to_string();
    PodEvent::from_wire(&json::from_slice(text.as_bytes()).unwrap())
}

#[test]
fn a_pod_that_does_not_start_is_told_once_with_the_words_of_its_event() {
    let mut b = Bench::new();
    b.apply(2, &creating(2, 1));
    b.pass(1 + secs(STUCK_AFTER) - 1);
    assert_eq!((b.types().len(), b.lookups()), (0, 0));
    assert_eq!(b.detector.next_deadline(), Some(now(1 + secs(STUCK_AFTER)).monotonic));
    b.pass(1 + secs(STUCK_AFTER));
    assert_eq!((b.types().len(), b.lookups()), (0, 1));
    let why = "MountVolume.SetUp failed for volume \"s\" : secret \"x\" not found";
    let found = Lookup::Found(vec![event("Warning", "FailedMount", why, "", 200)]);
    b.detector.on_events("u1", &found, &mut b.out);
    let line = b.incidents().next().unwrap();
    assert_eq!((line.kind.name(), line.severity.name()), ("stuck", "high"));
    assert_eq!((line.container, line.container_id, line.metadata.restarts), (None, None, None));
    assert_eq!(line.message, format!("pod shop/web has not started for 5 min: FailedMount: {why}"));
    assert_eq!((line.occurred_at.to_string(), line.telemetry.events.len()), (t(1), 1));
    b.apply(400, &creating(3, 1)).pass(9000);
    b.list(9000, &[creating(4, 1)]);
    b.pass(20_000);
    assert_eq!(b.types(), ["stuck"]);
    assert_eq!(b.detector.next_deadline(), None);
}

#[test]
fn what_gets_on_in_time_is_not_told() {
    let runs = |version| pod(version, status(0, "c0", running(200), json!({})));
    let mut initial = creating(3, 1);
    initial["status"]["initContainerStatuses"] =
        json!([{"name": "init", "containerID": "i0", "state": running(100)}]);
    let mut initialised = creating(4, 1);
    let end = ended("i0", 0, "Completed", 100, 900);
    initialised["status"]["initContainerStatuses"] =
        json!([{"name": "init", "containerID": "i0", "state": end}]);
    let mut pulls = creating(3, 1);
    pulls["status"]["containerStatuses"][0]["state"] = waiting("ImagePullBackOff");
    for (then, later, want) in [
        (runs(3), None, vec![]),
        // An init container works for long; the main containers follow at once.
        (initial.clone(), Some(initialised.clone()), vec![]),
        // The image pull is reported, and when the image is there, the container is created.
        (pulls, Some(creating(4, 1)), vec!["image_pull"]),
        (deleted(creating(3, 1), 3, 250), None, vec![]),
    ] {
        let mut b = Bench::new();
        b.apply(2, &creating(2, 1)).apply(200, &then).pass(500);
        if let Some(later) = &later {
            b.apply(900, later).pass(900 + secs(STUCK_AFTER) - 1);
        }
        assert_eq!(b.types(), want, "{then}");
    }
    let mut b = Bench::new();
    b.apply(2, &creating(2, 1)).apply(200, &initial).apply(901, &initialised);
    b.pass(901 + secs(STUCK_AFTER));
    b.detector.finish(now(10_000), &mut b.out);
    assert_eq!(b.types(), ["stuck"], "after the init container nothing went on");
}

#[test]
fn a_pod_that_does_not_go_is_told_when_its_grace_period_is_long_over() {
    let runs = pod(2, status(0, "c0", running(5), json!({})));
    let due = 30 + secs(STUCK_AFTER);
    for (goes_at, want) in [(due - 1, vec![]), (due + 60, vec!["stuck"])] {
        let mut b = Bench::new();
        b.apply(5, &runs).apply(20, &deleted(runs.clone(), 3, 30));
        b.pass(goes_at.min(due));
        let why = event("Warning", "FailedKillPod", "error killing pod: timeout", "", 100);
        b.detector.on_events("u1", &Lookup::Found(vec![why]), &mut b.out);
        b.delete(goes_at, &deleted(runs.clone(), 5, 30)).pass(9999);
        assert_eq!(b.types(), want, "{goes_at}");
        if let Some(line) = b.incidents().next() {
            let words = "pod shop/web is still there 5 min after its grace period: FailedKillPod: error killing pod: timeout";
            assert_eq!(line.message, words);
        }
    }
}

#[test]
fn a_deleted_pod_that_is_over_and_kept_by_a_finalizer_does_not_hang_on_the_node() {
    for (phase, finalizers, want) in [
        ("Succeeded", json!(["batch.kubernetes.io/job-tracking"]), vec![]),
        ("Running", json!(["batch.kubernetes.io/job-tracking"]), vec!["stuck"]),
        ("Failed", json!([]), vec!["stuck"]),
    ] {
        let mut b = Bench::new();
        let end = json!({"terminated": {"exitCode": 0, "containerID": "c0", "reason": "Completed",
            "startedAt": t(2), "finishedAt": t(25)}});
        let mut gone = deleted(pod(3, status(0, "c0", end, json!({}))), 3, 30);
        gone["status"]["phase"] = phase.into();
        gone["metadata"]["finalizers"] = finalizers;
        b.apply(20, &pod(2, status(0, "c0", running(2), json!({})))).apply(31, &gone);
        b.pass(31 + secs(STUCK_AFTER)).pass(9999);
        assert_eq!(b.types(), want, "{phase}");
    }
}

#[test]
fn a_pod_that_ran_before_and_does_not_start_again_is_stuck() {
    let last = ended("c0", 0, "Completed", 10, 100);
    for (sandbox, seen) in [(true, 101), (true, 150), (false, 101)] {
        let mut again = pod(3, status(0, "c0", waiting("ContainerCreating"), last.clone()));
        again["status"]["startTime"] = t(1).into();
        let mut others = status(0, "d0", running(5), json!({}));
        others["name"] = "other".into();
        if !sandbox {
            again["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "other"}));
            again["status"]["containerStatuses"].as_array_mut().unwrap().push(others);
        }
        let mut b = Bench::unlisted(History::All);
        b.list(seen, std::slice::from_ref(&again));
        let due = 100 + secs(STUCK_AFTER);
        b.pass(due - 1);
        assert!(!b.types().contains(&"stuck"));
        b.pass(due).pass(9999);
        assert_eq!(b.types().contains(&"stuck"), sandbox, "{sandbox} {seen}");
        if let Some(line) = b.incidents().find(|line| line.kind.name() == "stuck") {
            assert_eq!(line.metadata.evidence[0], "phase Running, waiting containers: app");
        }
    }
}

#[test]
fn a_sidecar_within_its_startup_probe_is_waited_for() {
    for (probe, started, want) in [
        (json!({"periodSeconds": 10, "failureThreshold": 90}), false, vec![]),
        (json!({"periodSeconds": 10, "failureThreshold": 90}), true, vec!["stuck"]),
        (Value::Null, false, vec!["stuck"]),
    ] {
        let mut p = creating(2, 1);
        p["spec"]["initContainers"] = json!([{"name": "mesh", "restartPolicy": "Always"}]);
        if !probe.is_null() {
            p["spec"]["initContainers"][0]["startupProbe"] = probe.clone();
        }
        p["status"]["initContainerStatuses"] =
            json!([{"name": "mesh", "containerID": "m0", "state": running(2), "started": started}]);
        let mut b = Bench::new();
        b.apply(3, &p).pass(3 + secs(STUCK_AFTER)).pass(9999);
        assert_eq!(b.types(), want, "{probe} {started}");
    }
}

#[test]
fn a_container_that_does_not_become_ready_is_told_with_the_words_of_its_probe() {
    let mut b = Bench::new();
    b.apply(6, &probed(2, "c0", 5, false, 1));
    b.pass(5 + secs(UNREADY_AFTER));
    assert_eq!(b.lookups(), 1);
    let why = "Readiness probe failed: HTTP probe failed with statuscode: 503";
    let other = event("Warning", "Unhealthy", "Readiness probe failed: x", "spec.containers{b}", 9);
    let own = event("Warning", "Unhealthy", why, "spec.containers{app}", 8);
    b.detector.on_events("u1", &Lookup::Found(vec![own, other]), &mut b.out);
    let line = b.incidents().next().unwrap();
    assert_eq!((line.kind.name(), line.severity.name()), ("unready", "medium"));
    let words = format!("container app of shop/web runs and has not been ready for 10 min: {why}");
    assert_eq!(line.message, words);
    assert_eq!(line.container_id.as_deref(), Some("c0"));
    // It becomes ready, and later is not ready again: another episode.
    b.apply(700, &probed(3, "c0", 5, true, 700)).apply(800, &probed(4, "c0", 5, false, 800));
    b.pass(800 + secs(UNREADY_AFTER) - 1);
    assert_eq!(b.lookups(), 1);
    b.pass(800 + secs(UNREADY_AFTER)).pass(2000);
    assert_eq!(b.types(), ["unready", "unready"]);
    // Without a readiness probe, `ready` follows the container, and nothing is judged.
    let mut b = Bench::new();
    let mut unprobed = probed(2, "c0", 5, false, 1);
    unprobed["spec"]["containers"][0]["readinessProbe"] = Value::Null;
    b.apply(6, &unprobed).pass(9999);
    assert_eq!(b.types(), [""; 0]);
}

#[test]
fn a_lookup_that_fails_is_repeated_and_one_that_is_denied_is_not() {
    let failed = || Lookup::Failed("HTTP 500".to_owned());
    for (answer, lookups, gap) in [
        (Some(failed()), 3, "HTTP 500"),
        (Some(Lookup::Denied), 1, "no right to list them"),
        (None, 1, "no answer in time"),
    ] {
        let mut b = Bench::new();
        b.apply(2, &creating(2, 1)).pass(1 + secs(STUCK_AFTER));
        loop {
            if let Some(answer) = &answer {
                b.detector.on_events("u1", answer, &mut b.out);
            }
            let Some(deadline) = b.detector.next_deadline() else { break };
            b.pass(secs(deadline));
        }
        assert_eq!((b.types(), b.lookups()), (vec!["stuck"], lookups), "{gap}");
        let line = b.incidents().next().unwrap();
        assert_eq!(line.telemetry.gaps, [Gap::new(Part::Events, gap)]);
        assert_eq!(line.message, "pod shop/web has not started for 5 min");
    }
}

#[test]
fn zero_turns_each_of_them_off() {
    for (stuck, unready, want) in [(0, 0, vec![]), (0, 9, vec!["unready"]), (9, 0, vec!["stuck"])] {
        let mut b = Bench::new();
        let patience = Patience { stuck: stuck * SECOND, unready: unready * SECOND };
        b.detector = b.detector.with_patience(patience);
        let mut other = probed(2, "c0", 5, false, 1);
        other["metadata"]["uid"] = "u2".into();
        b.apply(2, &creating(2, 1)).apply(6, &other).pass(99).pass(9999);
        assert_eq!(b.types(), want);
    }
}

#[test]
fn many_pods_that_hang_leave_lookups_to_others() {
    let mut b = Bench::new();
    for n in 0..100 {
        let mut p = creating(2, 1);
        p["metadata"]["uid"] = format!("u{n}").into();
        b.apply(2, &p);
    }
    b.pass(1 + secs(STUCK_AFTER));
    assert_eq!(b.lookups(), 1);
    b.pass(1 + secs(STUCK_AFTER) + 10);
    assert_eq!(b.lookups(), 26, "two and a half a second");
    b.pass(1 + secs(STUCK_AFTER) + 40).pass(1 + secs(STUCK_AFTER) + 120);
    assert_eq!(b.types(), vec!["stuck"; 100]);
}

#[test]
fn a_clock_that_was_set_makes_no_pod_hang_for_years() {
    const YEAR: i64 = 365 * 24 * 3600;
    for bound in [-20 * YEAR, 20 * YEAR] {
        let mut b = Bench::new();
        b.apply(2, &creating(2, bound)).pass(2 + secs(STUCK_AFTER) - 1);
        assert_eq!(b.lookups(), 0, "{bound}");
        b.pass(2 + secs(STUCK_AFTER)).pass(9999);
        let line = b.incidents().next().unwrap();
        assert_eq!(line.message, "pod shop/web has not started for 5 min", "{bound}");
    }
}

#[test]
fn a_cache_that_synchronises_is_no_config_error_and_one_that_stays_is() {
    let error = |version: u64, message: &str| {
        let state =
            json!({"waiting": {"reason": "CreateContainerConfigError", "message": message}});
        pod(version, status(0, "", state, json!({})))
    };
    let cache = "failed to sync secret cache: timed out waiting for the condition";
    let hold = secs(CACHE_SYNC_MAX);
    let mut b = Bench::new();
    b.apply(4, &error(2, cache));
    b.apply(9, &pod(3, status(0, "c0", running(9), json!({})))).pass(9999);
    assert_eq!(b.types(), [""; 0], "it runs");

    let mut b = Bench::new();
    b.apply(4, &error(2, cache)).apply(20, &error(3, cache)).pass(4 + hold - 1);
    assert_eq!(b.types(), [""; 0]);
    b.pass(4 + hold).apply(99, &error(4, cache)).pass(9999);
    b.list(9999, &[error(5, cache)]);
    assert_eq!((b.types(), b.lookups()), (vec!["config_error"], 0), "it stays");

    let mut b = Bench::new();
    b.apply(4, &error(2, cache)).apply(20, &error(3, "secret \"x\" not found"));
    assert_eq!(b.types(), ["config_error"], "another error is reported at once");
    b.apply(30, &error(4, cache)).pass(9999);
    assert_eq!(b.types(), ["config_error"], "one for an episode");
    assert_eq!(b.detector.next_deadline(), None);
}

#[test]
fn a_recording_that_is_over_makes_nothing_hang() {
    let mut b = Bench::unlisted(History::All);
    let mut old = creating(2, 1);
    old["metadata"]["uid"] = "u2".into();
    b.list(1 + secs(STUCK_AFTER), &[old]);
    b.apply(500, &creating(3, 400)).pass(500);
    b.detector.end_waits(&mut b.out);
    b.pass(9999);
    b.detector.finish(now(10_000), &mut b.out);
    assert_eq!((b.types().len(), b.lookups()), (0, 0));
}

/// A pod whose states last for random times, under agents that die. An episode that is long enough is reported once,
/// and a shorter one never.
#[test]
fn each_long_episode_is_told_once_however_often_the_agent_dies() {
    let (mut told_in_all, mut short) = (0, 0);
    for seed in 1..=rounds(300) {
        let mut dice = Jitter::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut below = |n: u32| (dice.unit() * f64::from(n)) as i64;
        let mut b = Bench::new();
        let mut ledger = Ledger::new("node1", None);
        ledger.complete();
        let (mut at, mut version, mut want) = (10, 10, 0);
        let mut told = BTreeSet::new();
        let mut lines = 0;
        // Instances that start, are ready or not, and are replaced.
        for round in 0..8 {
            let is_ready = round % 2 == 1;
            let begin = at;
            // Around the limit nothing is expected, since the agent may not have been there.
            let length =
                if below(2) == 0 { below(500) } else { secs(UNREADY_AFTER) + 120 + below(900) };
            if !is_ready {
                want += i64::from(length >= secs(UNREADY_AFTER));
                short += i64::from(length < secs(UNREADY_AFTER));
            }
            let id = format!("c{}", round / 4);
            let mut last_death = 0;
            while at < begin + length {
                version += 1;
                let object = probed(version, &id, begin, is_ready, begin);
                let has_time = begin + length - at > 2 * secs(HANG_SEEN_MIN + HANG_EVENTS_MAX);
                match below(8) {
                    0 if at - last_death > 100 && has_time => {
                        last_death = at;
                        b.detector.finish(now(10_000), &mut b.out);
                        lines += take(&mut b, &mut ledger, &mut told);
                        let page = ledger.page(now(at).wall, Vec::new()).unwrap();
                        let left = ledger::parse(page.as_bytes(), "node1").unwrap();
                        b = Bench::unlisted(before(at, 5 * SECOND));
                        b.detector.restore(&left.pods, true);
                        ledger = Ledger::new("node1", Some(left));
                        b.list(at, &[object]);
                    }
                    1 => b.list(at, &[object]),
                    2 | 3 => drop(b.apply(at, &object)),
                    4 => b.detector.on_events("u1", &Lookup::Found(Vec::new()), &mut b.out),
                    _ => {}
                }
                if at == begin {
                    b.apply(at, &probed(version + 1, &id, begin, is_ready, begin));
                    version += 1;
                }
                at += 1 + below(20);
                b.pass(at.min(begin + length));
            }
            at = begin + length;
        }
        b.detector.finish(now(10_000), &mut b.out);
        lines += take(&mut b, &mut ledger, &mut told);
        assert_eq!((told.len() as i64, lines as i64), (want, want), "seed {seed}");
        told_in_all += told.len();
    }
    assert!(told_in_all > rounds(300) as usize && short > rounds(300) as i64);
}

/// Delivers what the detector reported. Returns the number of lines.
fn take(b: &mut Bench, ledger: &mut Ledger, told: &mut BTreeSet<u64>) -> usize {
    let mut lines = 0;
    for output in b.out.drain(..) {
        match output {
            Output::Crash(case) => {
                assert_eq!(case.kind.name(), "unready");
                ledger.open(case.id, &case.pod.uid, case.container_name(), case.terminations());
                ledger.settle(case.id);
                told.insert(case.id.short());
                lines += 1;
            }
            Output::Kept(entry) => assert!(ledger.keep(*entry)),
            _ => {}
        }
    }
    lines
}
