use std::collections::BTreeSet;

use super::*;
use crate::core::backoff::Jitter;
use crate::core::case::{Case, Confidence, Gap, Part};
use crate::core::detect::classify::Quiet;
use crate::core::detect::evidence::PodEvent;
use crate::core::incident::recurrence::Recurrence;
use crate::core::incident::{Gathered, Incident, compose};
use crate::core::stream::decode::{self, Decoded};
use crate::core::wire::json;
use crate::limits::{CONTAINERS_PER_POD_MAX, PODS_MAX, SETTLE_MAX};
use crate::rounds;
use serde_json::{Value, json};

mod deaths;
mod hangs;
mod storms;
mod truth;
mod unchanged;

/// Returns the incident of a case, without gathered telemetry.
fn written(case: &Case) -> Incident {
    compose(case.clone(), Gathered::default(), Recurrence::default())
}

const SECOND: Duration = Duration::from_secs(1);

/// Returns second `n` of the tests' time, as the API writes it.
fn t(n: i64) -> String {
    Timestamp::from_second(1_795_000_000 + n).unwrap().to_string()
}

fn now(n: i64) -> Now {
    let monotonic = Duration::from_secs(u64::try_from(n).unwrap());
    Now { monotonic, wall: Timestamp::from_second(1_795_000_000 + n).unwrap() }
}

/// Returns a pod with one container `app` in phase Running, with resourceVersion `version`.
fn pod(version: u64, status: Value) -> Value {
    let mut status = status;
    status["name"] = "app".into();
    json!({
        "metadata": {"namespace": "shop", "name": "web", "uid": "u1", "resourceVersion": version.to_string()},
        "spec": {"restartPolicy": "Always", "terminationGracePeriodSeconds": 10, "containers": [{"name": "app"}]},
        "status": {"phase": "Running", "containerStatuses": [status]}
    })
}

fn ended(id: &str, code: i32, reason: &str, from: i64, to: i64) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "containerID": id,
        "startedAt": t(from), "finishedAt": t(to)}})
}

fn running(from: i64) -> Value {
    json!({"running": {"startedAt": t(from)}})
}

fn waiting(reason: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": "because"}})
}

fn status(restarts: i64, id: &str, state: Value, last: Value) -> Value {
    json!({"restartCount": restarts, "containerID": id, "state": state, "lastState": last})
}

/// Returns the history for an agent that started at that second.
fn before(started: i64, lookback: Duration) -> History {
    History::Before { started: now(started).wall, lookback }
}

struct Bench {
    detector: Detector,
    out: Vec<Output>,
}

impl Bench {
    /// Creates a bench whose first LIST, an empty one, is complete.
    fn new() -> Self {
        let mut bench = Self::unlisted(before(0, 5 * SECOND));
        bench.list(0, &[]);
        bench
    }

    fn unlisted(history: History) -> Self {
        Self { detector: Detector::new("node1", &["quiet".to_owned()], history), out: Vec::new() }
    }

    fn list(&mut self, at: i64, pods: &[Value]) {
        self.detector.begin_list(false);
        for pod in pods {
            let text = pod.to_string();
            self.detector.on_listed(
                &json::from_slice(text.as_bytes()).unwrap(),
                now(at),
                &mut self.out,
            );
        }
        self.detector.end_list(&mut self.out);
    }

    fn apply(&mut self, at: i64, pod: &Value) -> &mut Self {
        let line = json!({"type": "MODIFIED", "object": pod}).to_string();
        let mut scratch = String::new();
        let known = |meta: &wire::Metadata<'_>, fingerprint| self.detector.knows(meta, fingerprint);
        match decode::line(line.as_bytes(), &mut scratch, known) {
            (Decoded::Applied(pod), None) => self.detector.on_applied(&pod, now(at), &mut self.out),
            (Decoded::Known(meta), None) => self.detector.on_known(&meta),
            other => panic!("{other:?}"),
        }
        self
    }

    fn delete(&mut self, at: i64, pod: &Value) -> &mut Self {
        let text = pod.to_string();
        self.detector.on_deleted(
            &json::from_slice(text.as_bytes()).unwrap(),
            now(at),
            &mut self.out,
        );
        self
    }

    fn pass(&mut self, at: i64) -> &mut Self {
        self.detector.on_time(now(at), &mut self.out);
        self
    }

    /// Returns the types of the incidents so far.
    fn types(&self) -> Vec<&'static str> {
        self.incidents().map(|i| i.kind.name()).collect()
    }

    fn incidents(&self) -> impl Iterator<Item = Incident> {
        self.out.iter().filter_map(|o| match o {
            Output::Crash(case) => Some(written(case)),
            _ => None,
        })
    }

    fn quiets(&self) -> Vec<Quiet> {
        self.out
            .iter()
            .filter_map(|o| if let Output::Quiet(q) = o { Some(*q) } else { None })
            .collect()
    }

    fn unseen(&self) -> i64 {
        self.out.iter().map(|o| if let Output::Unseen(n) = o { *n } else { 0 }).sum()
    }

    fn lookups(&self) -> usize {
        self.out.iter().filter(|o| matches!(o, Output::LookUp { .. })).count()
    }
}

#[test]
fn one_crash_is_reported_once_however_often_it_is_shown() {
    let mut b = Bench::new();
    let last = || ended("c1", 1, "Error", 10, 20);
    b.apply(20, &pod(2, status(0, "c1", last(), json!({}))));
    assert_eq!(b.types(), ["error"], "at the crash, not at the restart");
    b.apply(21, &pod(3, status(0, "c1", waiting("CrashLoopBackOff"), last())));
    b.apply(22, &pod(4, status(1, "c2", running(22), last())));
    b.apply(22, &pod(4, status(1, "c2", running(22), last())));
    b.apply(23, &pod(3, status(0, "c1", waiting("CrashLoopBackOff"), last())));
    b.list(30, &[pod(4, status(1, "c2", running(22), last()))]);
    b.delete(40, &pod(9, status(1, "c2", running(22), last())));
    assert_eq!(b.types(), ["error"]);
    assert_eq!(b.unseen(), 0);
}

#[test]
fn ends_that_no_object_shows_are_counted_exactly() {
    let mut b = Bench::new();
    b.apply(5, &pod(2, status(0, "c0", running(5), json!({}))));
    // Five terminations later, the object shows two of them.
    let state = ended("c4", 1, "Error", 40, 41);
    b.apply(41, &pod(3, status(4, "c4", state, ended("c3", 1, "Error", 30, 31))));
    let unseen: Vec<i64> = b.incidents().map(|i| i.metadata.restarts.unwrap().unseen).collect();
    assert_eq!(unseen, [3, 0]);
    // One more, which only the restart count shows, has a line of its own.
    b.apply(50, &pod(4, status(6, "c6", running(50), json!({}))));
    assert_eq!(b.unseen(), 4);
    let line = b.incidents().last().unwrap();
    let restarts = line.metadata.restarts.unwrap();
    assert_eq!((line.kind.name(), line.severity.name()), ("unseen", "low"));
    assert_eq!((restarts.unseen, restarts.ended), (1, Some(6)));
    assert_eq!((line.container.as_deref(), line.container_id), (Some("app"), None));
    let message = "container app of shop/web terminated once unseen: only its restart count shows it; restarts: 6";
    assert_eq!(line.message, message);
    b.apply(60, &pod(5, status(6, "c6", ended("c6", 1, "Error", 50, 60), json!({}))));
    let last = b.incidents().last().unwrap();
    assert_eq!((last.kind.name(), last.metadata.restarts.unwrap().unseen), ("error", 0));
}

#[test]
fn unseen_ends_are_told_at_once_unless_an_incident_of_the_same_object_tells_them() {
    let quiet = || ended("c8", 0, "Completed", 7, 8);
    for (policy, state, last, want) in [
        ("Always", running(9), json!({}), vec![("unseen", 9)]),
        ("Always", running(9), ended("c8", 1, "Error", 7, 8), vec![("error", 8)]),
        // It is held back, and so is the count.
        ("Always", running(9), ended("c8", 143, "Error", 7, 8), vec![]),
        // It is quiet: a clean exit.
        ("OnFailure", running(9), quiet(), vec![("unseen", 8)]),
        ("Always", waiting("ErrImagePull"), json!({}), vec![("image_pull", 9)]),
    ] {
        let mut b = Bench::new();
        let mut first = pod(2, status(0, "c0", running(5), json!({})));
        first["spec"]["restartPolicy"] = policy.into();
        b.apply(5, &first);
        let mut then = pod(3, status(9, "c9", state, last));
        then["spec"]["restartPolicy"] = policy.into();
        b.apply(9, &then);
        let told = |b: &Bench| -> Vec<_> {
            b.incidents().map(|i| (i.kind.name(), i.metadata.restarts.unwrap().unseen)).collect()
        };
        assert_eq!(told(&b), want, "{policy}");
        let again = told(&b).len();
        then["metadata"]["resourceVersion"] = "4".into();
        b.list(10, &[then]);
        assert_eq!(told(&b).len(), again);
        let severe = b.incidents().filter(|i| i.kind.name() == "unseen");
        assert!(severe.into_iter().all(|i| i.severity.name() == "medium"), "more than five");
    }
}

#[test]
fn a_restart_count_that_falls_is_no_negative_number_of_crashes() {
    let mut b = Bench::new();
    b.apply(5, &pod(2, status(7, "c7", running(5), ended("c6", 1, "Error", 1, 2))));
    assert_eq!(b.unseen(), 6);
    b.apply(9, &pod(3, status(0, "d0", running(9), json!({}))));
    b.apply(12, &pod(4, status(1, "d1", running(12), ended("d0", 1, "Error", 9, 11))));
    assert_eq!((b.types().len(), b.unseen()), (2, 6));
}

#[test]
fn what_ends_after_its_deletion_was_asked_for_is_nobodys_crash() {
    for (code, finished, deleted_at, want) in [
        (143, 22, 20, None),
        (1, 20, 20, None),
        (139, 22, 20, Some("signal")),
        (1, 17, 20, Some("error")),
        // The deletion was known before; the clocks disagree.
        (1, 18, 20, None),
        (143, 17, 20, None),
    ] {
        let mut b = Bench::new();
        let mut alive = pod(2, status(0, "c1", running(5), json!({})));
        alive["metadata"]["deletionTimestamp"] = t(deleted_at + 10).into();
        alive["metadata"]["deletionGracePeriodSeconds"] = 10.into();
        b.apply(20, &alive);
        let mut dead = alive.clone();
        dead["metadata"]["resourceVersion"] = "3".into();
        dead["status"]["containerStatuses"][0]["state"] = ended("c1", code, "Error", 5, finished);
        b.apply(23, &dead);
        // The kubelet's last deletion moves the timestamp; the first request still counts.
        dead["metadata"]["resourceVersion"] = "4".into();
        dead["metadata"]["deletionTimestamp"] = t(24).into();
        dead["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        b.delete(24, &dead).pass(60);
        assert_eq!(b.types(), want.into_iter().collect::<Vec<_>>(), "{code} at {finished}");
    }
}

#[test]
fn a_deletion_that_is_only_seen_at_its_end_is_taken_to_have_had_its_grace() {
    let mut b = Bench::new();
    let mut dead = pod(3, status(0, "c1", ended("c1", 143, "Error", 5, 22), json!({})));
    dead["metadata"]["deletionTimestamp"] = t(24).into();
    dead["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    b.delete(24, &dead).pass(60);
    assert_eq!(b.types(), Vec::<&str>::new());
}

#[test]
fn an_eviction_is_one_incident_also_when_the_phase_lags_behind() {
    let mut b = Bench::new();
    b.apply(5, &pod(2, status(0, "c1", running(5), json!({}))));
    let dead = status(0, "c1", ended("c1", 137, "Error", 5, 30), json!({}));
    b.apply(30, &pod(3, dead.clone())).pass(31);
    assert_eq!(b.types(), Vec::<&str>::new(), "held back");
    let mut failed = pod(4, dead);
    failed["status"]["phase"] = "Failed".into();
    failed["status"]["reason"] = "Evicted".into();
    failed["status"]["message"] = "The node was low on resource: memory.".into();
    b.apply(33, &failed);
    failed["metadata"]["resourceVersion"] = "5".into();
    b.apply(34, &failed).pass(99);
    assert_eq!(b.types(), ["evicted"]);
    let incident = b.incidents().next().unwrap();
    assert_eq!((incident.container.as_deref(), incident.container_id.as_deref()), (None, None));
    assert!(incident.message.contains("low on resource"), "{}", incident.message);
    assert_eq!(b.quiets(), [Quiet::PodFailure]);
}

#[test]
fn a_failed_phase_adds_nothing_to_the_end_that_caused_it() {
    let mut b = Bench::new();
    let dead = status(0, "c1", ended("c1", 137, "Error", 5, 30), json!({}));
    let mut job = pod(3, dead);
    job["spec"]["restartPolicy"] = "Never".into();
    b.apply(30, &job);
    job["metadata"]["resourceVersion"] = "4".into();
    job["status"]["phase"] = "Failed".into();
    b.apply(31, &job).pass(32);
    b.detector.on_events("u1", &Lookup::Found(Vec::new()), &mut b.out);
    assert_eq!(b.types(), ["killed"]);
}

#[test]
fn a_pod_that_is_refused_is_one_incident() {
    let mut b = Bench::new();
    let mut refused = pod(3, status(0, "", json!({}), json!({})));
    refused["status"] = json!({"phase": "Failed", "reason": "OutOfcpu", "startTime": t(7)});
    b.apply(8, &refused);
    assert_eq!(b.types(), ["admission_rejected"]);
    assert_eq!(b.incidents().next().unwrap().occurred_at.to_string(), t(7));
}

#[test]
fn a_stop_waits_for_its_cause_and_ends_when_that_is_known() {
    let event = |reason: &str, message: &str, at: i64| {
        let text = json!({"reason": reason, "message": message, "count": 1,
            "involvedObject": {"fieldPath": "spec.containers{app}"},
            "firstTimestamp": t(at), "lastTimestamp": t(at)})
        .to_string();
        PodEvent::from_wire(&json::from_slice(text.as_bytes()).unwrap())
    };
    let killing = "Container app failed liveness probe, will be restarted";
    for (events, want, confidence) in [
        (vec![event("Killing", killing, 18)], "probe_failure", Confidence::Confirmed),
        (
            vec![event("Unhealthy", "Liveness probe failed: x", 18)],
            "probe_failure",
            Confidence::Probable,
        ),
        (vec![event("Killing", "FailedPostStartHook", 11)], "hook_failure", Confidence::Confirmed),
        (
            vec![event("BackOff", "Back-off restarting failed container", 21)],
            "killed",
            Confidence::Probable,
        ),
        (vec![], "killed", Confidence::Probable),
    ] {
        let mut b = Bench::new();
        let last = ended("c1", 137, "Error", 10, 20);
        let mut p = pod(3, status(1, "c2", running(21), last));
        p["spec"]["containers"][0]["livenessProbe"] = json!({"periodSeconds": 2});
        b.apply(21, &p);
        assert_eq!((b.types().len(), b.detector.held()), (0, 1));
        for lookup in 1.. {
            let Some(deadline) = b.detector.next_deadline() else { break };
            b.pass(i64::try_from(deadline.as_secs()).unwrap());
            assert_eq!(b.lookups(), lookup);
            b.detector.on_events("u1", &Lookup::Found(events.clone()), &mut b.out);
        }
        assert_eq!(b.types(), [want], "{events:?}");
        assert_eq!(b.incidents().next().unwrap().metadata.confidence, confidence, "{want}");
    }
}

#[test]
fn unseen_ends_before_one_that_is_nobodys_crash_have_a_line_of_their_own() {
    let mut b = Bench::new();
    b.apply(5, &pod(1, status(0, "c0", running(5), json!({}))));
    b.apply(21, &pod(3, status(3, "c3", running(21), ended("c2", 143, "Error", 10, 20))));
    assert_eq!(b.detector.held(), 1);
    let text = json!({"reason": "Killing", "count": 1,
        "message": "Container app definition changed, will be restarted",
        "involvedObject": {"fieldPath": "spec.containers{app}"},
        "firstTimestamp": t(18), "lastTimestamp": t(18)})
    .to_string();
    let event = PodEvent::from_wire(&json::from_slice(text.as_bytes()).unwrap());
    while let Some(deadline) = b.detector.next_deadline() {
        b.pass(i64::try_from(deadline.as_secs()).unwrap());
        b.detector.on_events("u1", &Lookup::Found(vec![event.clone()]), &mut b.out);
    }
    assert_eq!(b.quiets(), [Quiet::SpecChange]);
    let line = b.incidents().next().unwrap();
    let restarts = line.metadata.restarts.unwrap();
    assert_eq!((line.kind.name(), restarts.unseen, restarts.ended), ("unseen", 2, Some(3)));
    b.apply(62, &pod(4, status(3, "c3", ended("c3", 1, "Error", 21, 61), json!({}))));
    let restarts = b.incidents().last().unwrap().metadata.restarts.unwrap();
    assert_eq!((restarts.unseen, restarts.ended), (0, Some(4)));
}

#[test]
fn without_the_right_to_events_a_stop_is_told_at_once_and_says_so() {
    let mut b = Bench::new();
    b.apply(21, &pod(3, status(1, "c2", running(21), ended("c1", 137, "Error", 10, 20))));
    b.pass(22);
    b.detector.on_events("u1", &Lookup::Denied, &mut b.out);
    let incident = b.incidents().next().unwrap();
    assert_eq!(incident.metadata.confidence, Confidence::Probable);
    assert_eq!(incident.telemetry.gaps, [Gap::new(Part::Events, "no right to list them")]);
}

#[test]
fn nothing_is_held_back_for_ever() {
    let mut b = Bench::new();
    b.apply(20, &pod(3, status(0, "c1", ended("c1", 143, "Error", 10, 20), json!({}))));
    b.pass(20 + i64::try_from(SETTLE_MAX.as_secs()).unwrap() - 1);
    assert_eq!(b.types().len(), 0);
    b.pass(20 + i64::try_from(SETTLE_MAX.as_secs()).unwrap());
    assert_eq!(b.types(), ["terminated"]);
    assert_eq!(b.detector.next_deadline(), None);
}

#[test]
fn the_agents_end_tells_what_is_held_back() {
    let mut b = Bench::new();
    b.apply(20, &pod(3, status(0, "c1", ended("c1", 143, "Error", 10, 20), json!({}))));
    b.detector.finish(now(20), &mut b.out);
    assert_eq!(b.types(), ["terminated"]);
    assert_eq!(b.incidents().next().unwrap().metadata.confidence, Confidence::Probable);
}

#[test]
fn the_first_list_is_history_but_for_the_lookback_and_what_still_waits() {
    let old = pod(3, status(1, "c2", running(90), ended("c1", 1, "Error", 10, 80)));
    let recent = pod(3, status(1, "c2", running(98), ended("c1", 1, "Error", 10, 97)));
    let waits = pod(3, status(0, "", waiting("ErrImagePull"), json!({})));
    for (listed, live, replayed) in [
        (&old, vec![], vec![]),
        (&recent, vec!["error"], vec![]),
        (&waits, vec!["image_pull"], vec![]),
    ] {
        for (history, want) in [(before(100, 5 * SECOND), live), (History::All, replayed)] {
            let mut b = Bench::unlisted(history);
            // The agent started at 100 and lists 40 seconds later, by a clock that was corrected in between.
            b.detector.begin_list(false);
            let text = listed.to_string();
            let later = Now { monotonic: 40 * SECOND, ..now(140) };
            b.detector.on_listed(&json::from_slice(text.as_bytes()).unwrap(), later, &mut b.out);
            b.detector.end_list(&mut b.out);
            assert_eq!(b.types(), want, "{history:?}");
            assert_eq!(b.unseen(), 0);
        }
    }
}

#[test]
fn a_relist_reports_what_was_missed_and_stops_what_went() {
    let mut b = Bench::new();
    b.apply(5, &pod(2, status(0, "c0", running(5), json!({}))));
    let mut other = pod(3, status(0, "x0", running(5), json!({})));
    other["metadata"]["uid"] = "u2".into();
    b.apply(5, &other);
    let mut new = pod(8, status(2, "n2", running(9), ended("n1", 2, "Error", 8, 9)));
    new["metadata"]["uid"] = "u3".into();
    b.list(10, &[pod(7, status(1, "c1", running(9), ended("c0", 1, "Error", 5, 8))), new]);
    assert_eq!(b.types(), ["error", "misuse"]);
    assert_eq!(b.unseen(), 1, "the first end of the new pod");
    let stopped = b.out.iter().filter(|o| matches!(o, Output::Stopped(_))).count();
    assert_eq!((stopped, b.detector.pods()), (1, 2));
}

#[test]
fn the_flips_of_an_image_pull_are_one_episode_until_the_container_runs() {
    let mut b = Bench::new();
    let flips = ["ErrImagePull", "ImagePullBackOff", "ContainerCreating", "ErrImagePull"];
    for (n, reason) in (2..).zip(flips) {
        b.apply(5, &pod(n, status(0, "", waiting(reason), json!({}))));
    }
    assert_eq!(b.types(), ["image_pull"]);
    b.apply(6, &pod(10, status(0, "c0", running(6), json!({}))));
    let end = ended("c0", 1, "Error", 6, 7);
    b.apply(8, &pod(11, status(0, "c0", waiting("ErrImagePull"), end)));
    assert_eq!(b.types(), ["image_pull", "error", "image_pull"]);
    let ids: Vec<_> = b.incidents().map(|i| i.id).collect();
    assert_ne!(ids[0], ids[2]);
}

#[test]
fn a_start_that_fails_is_told_once_whether_a_record_of_it_comes_or_not() {
    let mut b = Bench::new();
    b.apply(5, &pod(2, status(0, "", waiting("CreateContainerError"), json!({}))));
    b.apply(6, &pod(3, status(0, "c0", waiting("RunContainerError"), json!({}))));
    b.apply(7, &pod(4, status(0, "c0", waiting("RunContainerError"), json!({}))));
    let end = json!({"terminated": {"exitCode": 128, "reason": "StartError", "containerID": "c0",
        "startedAt": "1970-01-01T00:00:00Z", "finishedAt": t(6)}});
    b.apply(8, &pod(5, status(0, "c0", waiting("RunContainerError"), end.clone())));
    b.apply(9, &pod(6, status(0, "c0", waiting("CrashLoopBackOff"), end)));
    assert_eq!(b.types(), ["start_error", "start_error"], "one without an instance, one with");
    assert_eq!(b.unseen(), 0);
}

#[test]
fn a_hook_that_fails_is_named_from_the_status_alone() {
    let mut b = Bench::new();
    let end = || ended("c0", 137, "Error", 5, 9);
    b.apply(9, &pod(2, status(0, "c0", end(), json!({}))));
    b.apply(10, &pod(3, status(0, "c0", waiting("PostStartHookError"), end())));
    assert_eq!(b.types(), ["hook_failure"]);
}

#[test]
fn records_that_the_kubelet_makes_up_are_no_ends() {
    let mut b = Bench::new();
    b.apply(5, &pod(2, status(0, "c0", running(5), json!({}))));
    let unknown = json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown",
        "startedAt": null, "finishedAt": null}});
    b.apply(6, &pod(3, status(1, "", waiting("ContainerCreating"), unknown)));
    let all = json!({"terminated": {"exitCode": 137, "reason": "RestartingAllContainers"}});
    b.apply(7, &pod(4, status(2, "", waiting("RestartingAllContainers"), all)));
    b.pass(60);
    assert_eq!((b.types().len(), b.unseen()), (0, 0));
}

#[test]
fn sidecars_end_quietly_after_the_pods_work() {
    let done = |finished: i64, code: i32, policy: &str| {
        json!({
            "metadata": {"uid": "u1", "resourceVersion": "2"},
            "spec": {"restartPolicy": policy, "containers": [{"name": "main"}],
                "initContainers": [{"name": "proxy", "restartPolicy": "Always"}]},
            "status": {"phase": "Running",
                "containerStatuses": [{"name": "main", "containerID": "m",
                    "state": ended("m", code, "Completed", 5, 20)}],
                "initContainerStatuses": [{"name": "proxy", "containerID": "p",
                    "state": ended("p", 1, "Error", 5, finished)}]}
        })
    };
    for (finished, code, policy, want) in [
        (21, 0, "Never", vec![]),
        (21, 0, "OnFailure", vec![]),
        (19, 0, "Never", vec!["error"]),
        (21, 3, "OnFailure", vec!["error", "unknown"]),
    ] {
        let mut b = Bench::new();
        b.apply(22, &done(finished, code, policy));
        assert_eq!(b.types(), want, "{finished} {code} {policy}");
    }
}

#[test]
fn a_static_pods_new_mirror_repeats_nothing() {
    let mirror = |uid: &str, version: u64| {
        let mut p = pod(version, status(3, "c3", running(9), ended("c2", 1, "Error", 5, 8)));
        p["metadata"]["uid"] = uid.into();
        p["metadata"]["annotations"] =
            json!({"kubernetes.io/config.hash": "h", "kubernetes.io/config.mirror": "h"});
        p
    };
    let mut b = Bench::new();
    b.apply(9, &mirror("m1", 2));
    b.delete(10, &mirror("m1", 3)).apply(11, &mirror("m2", 4));
    assert_eq!(b.types(), ["error"]);
    assert_eq!(b.unseen(), 2, "what the first sighting could not show");
    let incident = b.incidents().next().unwrap();
    assert_eq!(incident.metadata.static_pod_uid.as_deref(), Some("h"));
}

#[test]
fn pods_start_once_and_stop_once() {
    let mut b = Bench::new();
    let mut p = pod(2, status(0, "c0", running(5), json!({})));
    b.apply(5, &p);
    p["metadata"]["resourceVersion"] = "3".into();
    p["status"]["phase"] = "Succeeded".into();
    b.apply(6, &p);
    p["metadata"]["resourceVersion"] = "4".into();
    b.delete(7, &p);
    let events: Vec<bool> = b
        .out
        .iter()
        .filter_map(|o| match o {
            Output::Started(_) => Some(true),
            Output::Stopped(_) => Some(false),
            _ => None,
        })
        .collect();
    assert_eq!(events, [true, false]);
}

#[test]
fn ignored_namespaces_are_not_looked_at() {
    let mut b = Bench::new();
    let mut p = pod(2, status(0, "c0", ended("c0", 1, "Error", 5, 6), json!({})));
    p["metadata"]["namespace"] = "quiet".into();
    b.apply(6, &p);
    assert_eq!((b.out.len(), b.detector.pods()), (0, 0));
}

#[test]
fn every_container_carries_its_own_resources() {
    let mut b = Bench::new();
    let mut p = pod(2, status(0, "c0", ended("c0", 137, "OOMKilled", 5, 46), json!({})));
    p["spec"]["containers"] = json!([
        {"name": "app", "resources": {"limits": {"memory": "256Mi", "cpu": "1.5"}}},
        {"name": "log", "resources": {"requests": {"memory": "1e3", "cpu": "100m"}}}
    ]);
    let log = json!({"name": "log", "state": running(5)});
    p["status"]["containerStatuses"].as_array_mut().unwrap().push(log);
    b.apply(46, &p);
    let incident = b.incidents().next().unwrap();
    let resources: Vec<_> = incident.containers.iter().map(|c| c.resources).collect();
    assert_eq!(resources[0].memory_limit_bytes, Some(256 << 20));
    assert_eq!(resources[0].cpu_limit_millicores, Some(1500));
    assert_eq!(resources[1].memory_request_bytes, Some(1000));
    assert_eq!(resources[1].cpu_request_millicores, Some(100));
    assert_eq!(resources[1].memory_limit_bytes, None);
    assert_eq!(
        incident.message,
        "container app of shop/web was OOM-killed at its 256 MiB limit after 41 s"
    );
}

/// The real history of a container, to compare with what the API shows of it.
#[derive(Default)]
struct Truth {
    /// Number of terminations so far: instance `n` is `c<n>`.
    ends: i64,
    alive: bool,
    /// Terminations that some object has shown.
    shown: Vec<i64>,
    ends_when_last_shown: i64,
    stops: bool,
    /// True if the kubelet now removes the instance before the newest one, so that only the restart count shows it.
    hides: bool,
    /// Instances that the kubelet has removed.
    removed: BTreeSet<i64>,
}

impl Truth {
    fn status(&mut self) -> Value {
        // If `stops` is set, every third exit code is one that a stop may cause, so that it is held back for a while.
        let code = |n: i64| if self.stops && n % 3 == 0 { 143 } else { 1 + (n % 2) as i32 };
        let end = |n: i64| ended(&format!("c{n}"), code(n), "Error", 2 * n, 2 * n + 1);
        let (newest, last) =
            if self.alive { (self.ends, self.ends - 1) } else { (self.ends - 1, self.ends - 2) };
        if self.hides {
            self.removed.insert(last);
        }
        let has_last = last >= 0 && !self.removed.contains(&last);
        let shown = [(newest, newest >= 0), (last, has_last)].into_iter();
        let shown = shown.filter(|(n, is_shown)| *is_shown && *n < self.ends);
        self.shown.extend(shown.map(|(n, _)| n));
        self.ends_when_last_shown = self.ends;
        let last_state = if has_last { end(last) } else { json!({}) };
        let state = if self.alive { running(0) } else { end(newest) };
        status(newest.max(0), &format!("c{newest}"), state, last_state)
    }
}

/// Returns how many terminations the lines of a pod report, seen and unseen.
fn told_of(b: &Bench, uid: &str) -> i64 {
    let of_pod = b.incidents().filter(|incident| incident.pod_uid == uid);
    of_pod
        .map(|incident| {
            let own = i64::from(incident.kind.name() != "unseen");
            own + incident.metadata.restarts.unwrap().unseen
        })
        .sum()
}

/// Compares random histories of containers, of which the API shows only moments, with a plain count: each termination
/// that was shown is reported once, and reported plus unseen terminations add up to all of them.
#[test]
fn random_histories_are_reported_once_and_add_up() {
    for seed in 1..=rounds(300) {
        let mut dice = Jitter::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut b = Bench::new();
        let mut truths: Vec<Truth> =
            (0..3).map(|_| Truth { alive: true, ..Truth::default() }).collect();
        let mut old: Vec<Value> = Vec::new();
        for version in 10..60_u64 {
            for truth in &mut truths {
                truth.hides = dice.unit() < 0.3;
                for _ in 0..(dice.unit() * 4.0) as usize {
                    truth.ends += i64::from(truth.alive);
                    truth.alive = !truth.alive;
                }
            }
            let which = (dice.unit() * 3.0) as usize;
            let object = |truth: &mut Truth, n: usize| {
                let mut p = pod(version, truth.status());
                p["metadata"]["uid"] = format!("u{n}").into();
                p
            };
            match (dice.unit() * 6.0) as u32 {
                0 => {
                    let all: Vec<Value> = (0..3).map(|n| object(&mut truths[n], n)).collect();
                    b.list(50, &all);
                }
                1 if !old.is_empty() => {
                    let repeated = old[(dice.unit() * old.len() as f64) as usize].clone();
                    b.apply(50, &repeated);
                }
                _ => {
                    let p = object(&mut truths[which], which);
                    b.apply(50, &p);
                    old.push(p);
                }
            }
            // At any moment, without another line: what is reported of a container is what had ended when it was shown.
            for (n, truth) in truths.iter().enumerate() {
                let told = told_of(&b, &format!("u{n}"));
                assert_eq!(told, truth.ends_when_last_shown, "seed {seed}: pod {n}");
            }
        }
        let mut ids: Vec<_> = b.incidents().map(|i| i.id).collect();
        let reported = ids.len();
        ids.sort_by_key(|id| id.short());
        ids.dedup();
        assert_eq!(ids.len(), reported, "seed {seed}: doubled");
        let reported = b.types().iter().filter(|kind| **kind != "unseen").count();
        let mut shown = 0;
        for truth in &mut truths {
            truth.shown.sort_unstable();
            truth.shown.dedup();
            shown += truth.shown.len();
        }
        assert_eq!(reported, shown, "seed {seed}: everything shown is reported");
        let ended: i64 = truths.iter().map(|t| t.ends_when_last_shown).sum();
        assert_eq!(reported as i64 + b.unseen(), ended, "seed {seed}: seen plus unseen");
    }
}

#[test]
fn an_end_shows_that_the_image_was_had_also_when_no_running_was_seen() {
    let mut b = Bench::new();
    b.apply(5, &pod(2, status(0, "", waiting("ErrImagePull"), json!({}))));
    // The instance ran for less time than the kubelet takes to look, so only its termination is seen.
    let end = || ended("c0", 1, "Error", 6, 6);
    b.apply(7, &pod(3, status(0, "c0", waiting("CrashLoopBackOff"), end())));
    b.apply(20, &pod(4, status(0, "c0", waiting("ErrImagePull"), end())));
    b.apply(21, &pod(5, status(0, "c0", waiting("ErrImagePull"), end())));
    assert_eq!(b.types(), ["image_pull", "error", "image_pull"]);
    // An instance that was created but could not be started also shows that its image was pulled.
    b.apply(30, &pod(6, status(1, "c1", waiting("RunContainerError"), end())));
    b.apply(40, &pod(7, status(1, "c1", waiting("ErrImagePull"), end())));
    assert_eq!(b.types()[3..], ["start_error", "image_pull"]);
}

#[test]
fn a_pod_that_a_list_did_not_name_is_watched_again_when_it_is_seen_again() {
    for went_back in [false, true] {
        let mut b = Bench::new();
        b.apply(5, &pod(100, status(0, "c0", running(5), json!({}))));
        b.detector.begin_list(went_back);
        b.detector.end_list(&mut b.out);
        assert_eq!(b.detector.pods(), 0);
        b.apply(20, &pod(101, status(0, "c0", ended("c0", 1, "Error", 5, 20), json!({}))));
        assert_eq!((b.types(), b.detector.pods()), (vec!["error"], 1), "{went_back}");
    }
}

#[test]
fn a_deleted_pod_does_not_come_back() {
    let mut b = Bench::new();
    let p = pod(2, status(0, "c0", running(5), json!({})));
    b.apply(5, &p).delete(6, &p).apply(7, &p);
    assert_eq!(b.detector.pods(), 0);
}

#[test]
fn a_sidecar_that_is_stopped_because_an_init_container_failed_is_no_crash() {
    for (phase, lag) in [("Failed", false), ("Failed", true), ("Succeeded", true)] {
        for code in [0, 143, 137] {
            let job = |version: u64, phase: &str| {
                json!({
                    "metadata": {"uid": "u1", "resourceVersion": version.to_string()},
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "main"}],
                        "initContainers": [{"name": "proxy", "restartPolicy": "Always"},
                            {"name": "migrate"}]},
                    "status": {"phase": phase,
                        "containerStatuses": [{"name": "main", "state": waiting("PodInitializing")}],
                        "initContainerStatuses": [
                            {"name": "proxy", "containerID": "p",
                                "state": ended("p", code, "Error", 5, 22)},
                            {"name": "migrate", "containerID": "m",
                                "state": ended("m", 3, "Error", 6, 20)}]}
                })
            };
            let mut b = Bench::new();
            if lag {
                b.apply(22, &job(2, "Pending"));
            }
            b.apply(23, &job(3, phase)).pass(60);
            assert_eq!(b.types(), ["unknown"], "{phase} {lag} {code}");
            assert_eq!(b.quiets(), [Quiet::SidecarTeardown]);
        }
    }
}

#[test]
fn a_static_pod_that_is_taken_off_the_node_is_no_crash() {
    let event = |reason: &str, message: &str, field: &str| {
        let text = json!({"reason": reason, "message": message, "count": 1,
            "involvedObject": {"fieldPath": field},
            "firstTimestamp": t(19), "lastTimestamp": t(19)})
        .to_string();
        PodEvent::from_wire(&json::from_slice(text.as_bytes()).unwrap())
    };
    let stopping = || event("Killing", "Stopping container app", "spec.containers{app}");
    let evicted = || event("Evicted", "The node was low on memory", "");
    for (events, want) in [
        (vec![stopping()], vec![]),
        (vec![], vec!["terminated"]),
        (vec![stopping(), evicted()], vec!["evicted"]),
    ] {
        for gone_first in [false, true] {
            let mut b = Bench::new();
            let mut mirror = pod(3, status(0, "c1", ended("c1", 143, "Error", 10, 20), json!({})));
            mirror["metadata"]["annotations"] =
                json!({"kubernetes.io/config.hash": "h", "kubernetes.io/config.mirror": "h"});
            b.apply(20, &mirror).pass(21);
            let found = Lookup::Found(events.clone());
            if gone_first {
                b.delete(21, &mirror);
                b.detector.on_events("h", &found, &mut b.out);
            } else {
                b.detector.on_events("h", &found, &mut b.out);
                b.delete(22, &mirror);
            }
            b.pass(200);
            assert_eq!(b.types(), want, "{events:?} {gone_first}");
        }
    }
}

#[test]
fn a_pod_that_ran_and_fails_without_its_containers_failed_when_it_was_seen() {
    let mut b = Bench::new();
    b.apply(5, &pod(2, status(0, "c0", running(5), json!({}))));
    let mut refused = pod(3, json!({}));
    refused["status"] = json!({"phase": "Failed", "reason": "NodeAffinity", "startTime": t(4)});
    b.apply(900, &refused);
    assert_eq!(b.incidents().next().unwrap().occurred_at.to_string(), t(900));

    // The init container terminated long ago, and the kubelet has no record of the others.
    let mut b = Bench::new();
    b.apply(5, &pod(2, status(0, "c0", running(5), json!({}))));
    let lost = json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown",
        "startedAt": null, "finishedAt": null}});
    let mut evicted = pod(3, status(0, "c0", lost, json!({})));
    evicted["status"]["phase"] = "Failed".into();
    evicted["status"]["reason"] = "Evicted".into();
    evicted["status"]["initContainerStatuses"] =
        json!([{"name": "init", "containerID": "i", "state": ended("i", 0, "Completed", 3, 4)}]);
    b.apply(900, &evicted);
    assert_eq!(b.incidents().next().unwrap().occurred_at.to_string(), t(900));
}

#[test]
fn an_end_that_the_kubelet_could_not_locate_is_counted_for_itself() {
    let lost = || {
        json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown",
        "startedAt": null, "finishedAt": null}})
    };
    let mut b = Bench::new();
    b.apply(5, &pod(2, status(0, "c0", running(5), json!({}))));
    b.apply(6, &pod(3, status(1, "c0", lost(), json!({}))));
    b.apply(7, &pod(4, status(1, "c0", lost(), json!({}))));
    b.apply(9, &pod(5, status(1, "c1", ended("c1", 1, "Error", 8, 9), lost())));
    b.apply(10, &pod(6, status(2, "c2", running(10), ended("c1", 1, "Error", 8, 9))));
    assert_eq!((b.types(), b.unseen()), (vec!["error"], 0));
    assert_eq!(b.quiets(), [Quiet::Synthetic]);
}

#[test]
fn a_start_that_fails_is_told_once_whatever_the_runtime_calls_it() {
    // CRI-O has no StartError: the record has the reason Error, and only the kubelet's waiting reason shows it.
    let end = || ended("c0", -1, "Error", 6, 6);
    for seen_first in [false, true] {
        let mut b = Bench::new();
        if seen_first {
            b.apply(5, &pod(1, status(0, "c0", waiting("RunContainerError"), json!({}))));
            b.apply(6, &pod(2, status(0, "c0", waiting("RunContainerError"), json!({}))));
        }
        b.apply(7, &pod(3, status(0, "c0", waiting("RunContainerError"), end())));
        b.apply(8, &pod(4, status(0, "c0", waiting("CrashLoopBackOff"), end())));
        assert_eq!(b.types(), ["start_error"], "{seen_first}");
    }
    // An instance that ran, and a next one that cannot even be created, are two incidents.
    let mut b = Bench::new();
    let ran = ended("c0", 3, "Error", 5, 6);
    b.apply(7, &pod(3, status(0, "c0", waiting("CreateContainerError"), ran)));
    assert_eq!(b.types(), ["unknown", "start_error"]);
}

#[test]
fn a_late_delete_of_an_old_mirror_takes_nothing_from_the_new_one() {
    let mirror = |uid: &str, version: u64| {
        let mut p = pod(version, status(0, "c0", running(9), json!({})));
        p["metadata"]["uid"] = uid.into();
        p["metadata"]["annotations"] =
            json!({"kubernetes.io/config.hash": "h", "kubernetes.io/config.mirror": "h"});
        p
    };
    let mut b = Bench::new();
    b.apply(9, &mirror("m1", 2)).apply(10, &mirror("m2", 4)).delete(11, &mirror("m1", 3));
    assert_eq!(b.detector.pods(), 1);
}

#[test]
fn numbers_and_times_at_the_ends_of_their_ranges_are_survived() {
    let numbers = [i64::MIN, -1, 0, 1, i64::MAX];
    let times =
        ["-009999-01-02T01:59:59Z", "1970-01-01T00:00:00Z", "9999-12-30T22:00:00.999999999Z", ""];
    for (n, time) in numbers.iter().flat_map(|n| times.iter().map(move |t| (n, t))) {
        for history in [History::All, before(0, Duration::MAX), before(0, SECOND)] {
            for code in [i32::MIN, -1, 0, 137, 255, i32::MAX] {
                let mut b = Bench::unlisted(history);
                let end = json!({"terminated": {"exitCode": code, "signal": code, "containerID": "c0",
                    "reason": "Error", "startedAt": "9999-12-30T22:00:00Z", "finishedAt": time}});
                let mut p = pod(2, status(*n, "c0", end.clone(), json!({})));
                p["metadata"]["deletionTimestamp"] = (*time).into();
                p["metadata"]["deletionGracePeriodSeconds"] = (*n).into();
                p["spec"]["terminationGracePeriodSeconds"] = (*n).into();
                p["spec"]["containers"][0]["livenessProbe"] =
                    json!({"periodSeconds": n, "terminationGracePeriodSeconds": n});
                b.list(5, &[p.clone()]);
                p["metadata"]["resourceVersion"] = "3".into();
                p["metadata"]["deletionTimestamp"] = Value::Null;
                let again = n.wrapping_neg();
                p["status"]["containerStatuses"][0] = status(again, "c1", end.clone(), json!({}));
                p["status"]["containerStatuses"][0]["name"] = "app".into();
                p["status"]["containerStatuses"][0]["state"]["terminated"]["containerID"] =
                    "c1".into();
                b.apply(6, &p).pass(7);
                let text = json!({"reason": "Unhealthy", "message": "Liveness probe failed: ",
                    "involvedObject": {"fieldPath": "spec.containers{app}"}, "count": n,
                    "firstTimestamp": time, "lastTimestamp": time})
                .to_string();
                let event = PodEvent::from_wire(&json::from_slice(text.as_bytes()).unwrap());
                b.detector.on_events("u1", &Lookup::Found(vec![event]), &mut b.out);
                b.pass(9999);
                assert_eq!(b.detector.held(), 0, "{n} {time} {code}");
            }
        }
    }
}

#[test]
fn containers_past_the_limit_are_told_of() {
    let mut p = pod(2, json!({}));
    let statuses = (0..=CONTAINERS_PER_POD_MAX).map(|n| {
        let id = format!("c{n}");
        let mut status = status(0, &id, ended(&id, 1, "Error", 5, 6), json!({}));
        status["name"] = id.into();
        status
    });
    p["status"]["containerStatuses"] = statuses.collect();
    let mut b = Bench::new();
    b.apply(7, &p);
    assert_eq!(b.types().len(), CONTAINERS_PER_POD_MAX);
    assert!(b.out.iter().any(|o| matches!(o, Output::NoRoom(pod) if &*pod.name == "web")));
}

#[test]
fn a_clock_that_jumps_loses_no_lookback_and_one_that_was_never_right_makes_no_news() {
    const HOUR: i64 = 3600;
    let long_ago = 0;
    // The agent starts at second 100000 by its clock at that moment; 40 seconds later it lists.
    for (jump, end_at, is_news) in [
        (0, 99_990, true),
        (0, 99_000, false),
        (HOUR, 99_990, true),
        (HOUR, 100_020, true),
        (HOUR, HOUR + 100_020, true),
        (-HOUR, 99_990, true),
        (-HOUR, 100_020 - HOUR, true),
        (-HOUR, 100_000 - 2 * HOUR, false),
        (400 * 24 * HOUR, long_ago, false),
        (400 * 24 * HOUR, 400 * 24 * HOUR + 100_020, true),
    ] {
        let mut b = Bench::unlisted(before(100_000, 60 * SECOND));
        b.detector.begin_list(false);
        let end = status(1, "c1", running(200), ended("c0", 1, "Error", end_at - 1, end_at));
        let later = Now { monotonic: 40 * SECOND, wall: now(100_040 + jump).wall };
        let text = pod(3, end).to_string();
        b.detector.on_listed(&json::from_slice(text.as_bytes()).unwrap(), later, &mut b.out);
        b.detector.end_list(&mut b.out);
        assert_eq!(b.types().len(), usize::from(is_news), "{jump} {end_at}");
    }
}

#[test]
fn completed_pods_that_were_forgotten_for_room_are_no_news_when_they_are_listed_again() {
    const PODS: usize = PODS_MAX + 200;
    let mut b = Bench::new();
    let done = |n: usize| {
        // Every tenth failed.
        let code = i32::from(n.is_multiple_of(10));
        let id = format!("c{n}");
        let mut done = pod(3, status(0, &id, ended(&id, code, "Error", 5, 20), json!({})));
        done["metadata"]["uid"] = format!("u{n}").into();
        done["spec"]["restartPolicy"] = "Never".into();
        done["status"]["phase"] = if code == 0 { "Succeeded" } else { "Failed" }.into();
        done
    };
    let all: Vec<Value> = (0..PODS).map(done).collect();
    for at in [30, 100, 200] {
        b.list(at, &all);
        b.pass(at + 60);
        assert_eq!(b.types(), vec!["error"; PODS.div_ceil(10)], "{at}");
        assert!(b.detector.pods() <= PODS_MAX);
    }
    assert!(b.out.iter().any(|output| matches!(output, Output::Overfull)));
}
