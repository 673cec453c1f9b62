use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::core::Now;
use crate::core::case::{
    Confidence, ContainerId, Losses, NodeIdentity, Reboot, Severity, Workload,
};
use crate::core::detect::{Detector, History, Output};
use crate::core::incident::recurrence::Recurrences;
use crate::core::wire::json;
use serde_json::json;

/// Returns a crash of a container with a limit of 256 MiB, as the detection reports it.
fn case(code: i32, reason: &str) -> Case {
    let pod = json!({
        "metadata": {"namespace": "shop", "name": "checkout", "uid": "u1", "resourceVersion": "2",
            "labels": {"app": "checkout"}},
        "spec": {"restartPolicy": "Always", "containers": [
            {"name": "app", "resources": {"limits": {"memory": "256Mi"}}}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "app", "restartCount": 3,
            "containerID": "containerd://c3", "state": {"terminated": {"exitCode": code,
            "reason": reason, "containerID": "containerd://c3",
            "startedAt": "2026-11-23T03:31:00Z", "finishedAt": "2026-11-23T03:31:41Z"}}}]}
    })
    .to_string();
    crash_of(&pod)
}

/// Returns the crash of a pod, as the detection reports it.
pub(in crate::core::incident) fn crash_of(pod: &str) -> Case {
    let mut detector = Detector::new("node1", &[], History::All);
    let now = Now { monotonic: Duration::from_secs(9), wall: at("2026-11-23T03:31:42Z") };
    let mut out = Vec::new();
    detector.begin_list(false);
    detector.end_list(&mut out);
    detector.on_applied(&json::from_slice(pod.as_bytes()).unwrap(), now, &mut out);
    detector.finish(now, &mut out);
    let find = |output| match output {
        Output::Crash(case) => Some(*case),
        _ => None,
    };
    out.into_iter().find_map(find).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn columns(memory_mib: &[f64]) -> Columns {
    let n = memory_mib.len();
    let memory = memory_mib.iter().map(|mib| Some(mib * f64::from(1 << 20))).collect();
    let age = (0..n).map(|i| Some((n - 1 - i) as f64 * 5.0)).collect();
    Columns {
        interval_seconds: 5.0,
        ends_at: at("2026-11-23T03:31:41Z"),
        columns: vec![("memory_bytes", memory), ("age_seconds", age)],
    }
}

fn of_container(memory_mib: &[f64]) -> Option<ContainerTelemetry> {
    Some(ContainerTelemetry {
        samples: columns(memory_mib),
        memory_limit_bytes: Some(256 << 20),
        memory_peak_bytes: None,
        oom_kills: 0,
    })
}

#[test]
fn the_kernels_count_stands_above_the_runtimes_word() {
    use Confidence::{Confirmed, Probable};
    for (code, reason, oom, kind, confidence) in [
        (137, "OOMKilled", OomCount::Unknown, "oom", Confirmed),
        (137, "OOMKilled", OomCount::Some(1), "oom", Confirmed),
        (137, "OOMKilled", OomCount::None, "oom", Probable),
        // The runtime checked too late.
        (137, "Error", OomCount::Some(2), "oom", Confirmed),
        (137, "Error", OomCount::None, "killed", Probable),
        (137, "Error", OomCount::Unknown, "killed", Probable),
        (1, "Error", OomCount::Unknown, "error", Confirmed),
        // A child process was killed, and the container terminated because of that.
        (1, "Error", OomCount::Some(1), "error", Confirmed),
        (1, "Error", OomCount::None, "error", Confirmed),
    ] {
        let mut case = case(code, reason);
        let facts = case.evidence.len();
        crate::core::detect::oom::weigh_oom_count(&mut case, oom);
        let incident = compose(case, Gathered::default(), Recurrence::default());
        assert_eq!(incident.kind.name(), kind, "{code} {reason} {oom:?}");
        assert_eq!(incident.metadata.confidence, confidence, "{code} {reason} {oom:?}");
        let is_oom = kind == "oom";
        assert_eq!(incident.severity == Severity::Critical, is_oom);
        assert_eq!(incident.message.contains("OOM-killed at its 256 MiB limit"), is_oom);
        let told = incident.metadata.evidence[facts..].iter().any(|e| e.contains("the kernel"));
        let is_told = matches!(oom, OomCount::Some(_)) || (code == 137 && oom == OomCount::None);
        assert_eq!(told, is_told, "{:?}", incident.metadata.evidence);
        let gap = "container: the kernel's count of OOM kills in its cgroup is not known";
        let has_gap = incident.telemetry.gaps.iter().any(|told| told.to_string() == gap);
        assert_eq!(
            has_gap,
            kind == "killed" && oom == OomCount::Unknown,
            "{code} {reason} {oom:?}"
        );
    }
}

#[test]
fn a_probe_that_only_may_have_ended_it_gives_way_to_the_kernels_count() {
    use Confidence::{Confirmed, Probable};
    for (confidence, oom, want) in [
        (Probable, OomCount::Some(1), "oom"),
        (Probable, OomCount::None, "probe_failure"),
        (Probable, OomCount::Unknown, "probe_failure"),
        (Confirmed, OomCount::Some(1), "probe_failure"),
    ] {
        let mut case = case(137, "Error");
        (case.kind, case.confidence) = (IncidentType::ProbeFailure, confidence);
        crate::core::detect::oom::weigh_oom_count(&mut case, oom);
        let incident = compose(case, Gathered::default(), Recurrence::default());
        assert_eq!(incident.kind.name(), want, "{confidence:?} {oom:?}");
        assert!(want != "oom" || incident.metadata.confidence == Confirmed);
    }
}

#[test]
fn the_sentence_says_how_the_memory_grew_and_how_often_it_crashed() {
    let container = of_container(&[40.0, 100.0, 130.0, 160.0, 190.0, 220.0, 250.0]);
    let gathered = Gathered { container, ..Gathered::default() };
    let recurrence = Recurrence { recent: 3, within_hour: 3, in_crash_loop: true, seen: None };
    let incident = compose(case(137, "OOMKilled"), gathered, recurrence);
    assert_eq!(
        incident.message,
        "container app of shop/checkout was OOM-killed at its 256 MiB limit after 41 s \
         (memory grew 7 MiB/s); restarts: 3, \
         3 earlier terminations unseen; third crash in 10 min"
    );
    assert_eq!(incident.metadata.labels["app"], "checkout");
}

#[test]
fn growth_is_told_only_where_there_was_some() {
    let growth = |mib: &[f64]| memory_growth(&columns(mib)).map(|g| g / f64::from(1 << 20));
    assert_eq!(growth(&[]), None);
    assert_eq!(growth(&[100.0]), None);
    assert_eq!(growth(&[100.0, 100.0, 100.1]), None);
    assert_eq!(growth(&[100.0, 50.0]), None, "it fell");
    assert_eq!(growth(&[10.0, 60.0]), Some(10.0));
    assert_eq!(growth(&[200.0, 10.0, 35.0, 60.0]), Some(5.0), "since it was emptied");
    assert_eq!(growth(&[10.0, 35.0, 60.0, 1.0]), Some(5.0), "until the process was gone");
    // Samples from longer ago do not count.
    let long: Vec<f64> = std::iter::repeat_n(0.0, 60).chain([600.0; 13]).collect();
    assert_eq!(growth(&long), None);
    let mut gaps = columns(&[1.0, 2.0]);
    gaps.columns[0].1[1] = None;
    assert_eq!(memory_growth(&gaps), None);
}

#[test]
fn growth_is_measured_over_the_time_in_which_it_grew() {
    // Idle for 100 s, then 8 MiB/s for 8 s, with a sample every 5 s from any moment on; and likewise with the samples
    // near the limit, every half second.
    let mib = f64::from(1 << 20);
    for phase in 0..10 {
        for fast_from in [8.0, 7.0] {
            let regular = (0..=22).map(|n| f64::from(n) * 5.0 + f64::from(phase) / 2.0 - 100.0);
            let fast = (0..16).map(|n| f64::from(n) / 2.0).filter(|at| *at >= fast_from);
            let mut times: Vec<f64> = regular.filter(|at| *at < 8.0).chain(fast).collect();
            times.sort_by(f64::total_cmp);
            let newest = *times.last().unwrap();
            let memory = times.iter().map(|at| Some((6.0 + 8.0 * at.max(0.0)) * mib)).collect();
            let age = times.iter().map(|at| Some(newest - at)).collect();
            let mut samples = columns(&[]);
            samples.columns = vec![("memory_bytes", memory), ("age_seconds", age)];
            let growth = memory_growth(&samples).unwrap() / mib;
            // With a single sample in the 8 s, the time before it is not known better.
            let least = if newest < 5.0 { 4.7 } else { 6.9 };
            assert!((least..=8.01).contains(&growth), "{phase} {fast_from}: {growth} MiB/s");
        }
    }
    let growth = |mib: &[f64]| memory_growth(&columns(mib)).map(|g| g / f64::from(1 << 20));
    assert_eq!(growth(&[10.0, 10.0, 11.0, 10.0, 15.0, 55.0, 95.0]), Some(8.0));
    assert_eq!(growth(&[10.0, 12.0, 20.0, 22.0, 30.0, 32.0, 40.0]), Some(1.12), "in steps");
}

#[test]
fn from_the_sixth_crash_within_an_hour_on_telemetry_is_brief() {
    let mut recurrences = Recurrences::default();
    let mut brief = Vec::new();
    for n in 0..8 {
        let recurrence = recurrences.note("u1", "app", Duration::from_secs(n * 300));
        let gathered = Gathered {
            container: of_container(&[1.0; 60]),
            system: Some(columns(&[1.0; 60])),
            ..Gathered::default()
        };
        let incident = compose(case(1, "Error"), gathered, recurrence);
        let samples = incident.telemetry.container.as_ref().unwrap().samples.len();
        assert_eq!(samples == BRIEF_SAMPLES, incident.telemetry.brief);
        assert_eq!(incident.telemetry.system.is_none(), incident.telemetry.brief);
        brief.push(incident.telemetry.brief);
    }
    assert_eq!(brief, [false, false, false, false, false, true, true, true]);
    let other = recurrences.note("u1", "log", Duration::from_secs(2400));
    let first = Recurrence { recent: 1, within_hour: 1, in_crash_loop: false, seen: None };
    assert_eq!(other, first);
    let later = recurrences.note("u1", "app", Duration::from_secs(9000));
    assert_eq!(later, first);
}

#[test]
fn a_killed_child_of_a_container_that_lives_on_is_an_incident_of_its_own() {
    let pod = case(1, "Error").pod;
    let now = Now { monotonic: Duration::ZERO, wall: at("2026-11-23T03:32:00Z") };
    let id = ContainerId::parse("c3").unwrap();
    let app = || pod.containers[0].clone();
    let survivor = |time| Case::survivor(&pod, app(), &id, now, at(time));
    let first = survivor("2026-11-23T03:31:50Z");
    assert_ne!(survivor("2026-11-23T03:31:55Z").id, first.id);
    let incident = compose(first, Gathered::default(), Recurrence::default());
    assert_eq!((incident.kind.name(), incident.severity), ("oom", Severity::High));
    assert!(incident.metadata.survived);
    assert_eq!(incident.occurred_at, at("2026-11-23T03:31:50Z"));
    assert_eq!(
        incident.message,
        "container app of shop/checkout lost a process to the OOM killer and lives on"
    );
}

#[test]
fn oom_killed_without_exit_code_137_is_told_by_the_code_and_not_by_the_verdict() {
    for (code, is_stray) in [(137, false), (1, true), (0, true), (143, true)] {
        let evidence = case(code, "OOMKilled").evidence;
        let has = evidence.iter().any(|fact| fact.contains("without exit code 137"));
        assert_eq!(has, is_stray, "{code}: {evidence:?}");
    }
}

/// Returns what `metadata` of the line has, besides what lines always have.
fn members(case: Case) -> serde_json::Value {
    let incident = compose(case, Gathered::default(), Recurrence::default());
    let mut metadata = serde_json::to_value(&incident.metadata).unwrap();
    let members = metadata.as_object_mut().unwrap();
    members.retain(|name, _| {
        ["cluster", "workload", "revision", "pod_created_at"].contains(&name.as_str())
    });
    metadata
}

#[test]
fn each_line_names_its_cluster_and_only_lines_of_pods_a_workload() {
    let node = |cluster: Option<&str>| {
        let cluster = cluster.map(str::to_owned);
        Arc::new(NodeIdentity { name: "node1".to_owned(), cluster })
    };
    let reboot = Reboot {
        boot_id: "b".to_owned(),
        booted_at: at("2026-11-23T03:31:41Z"),
        previous_boot_id: None,
        last_seen_at: None,
        is_orderly: None,
        last_alive_at: None,
        panic: None,
        containers: 1,
        names: Vec::new(),
        minutes: None,
    };
    let now = Now { monotonic: Duration::ZERO, wall: at("2026-11-23T03:31:42Z") };
    let losses = Losses::of_one("stdout", "error", now.wall, now.wall);
    for (cluster, want) in [(Some("prod-eu"), json!({"cluster": "prod-eu"})), (None, json!({}))] {
        let facts = || Arc::new(PodFacts::of_node(node(cluster)));
        let rebooted = Case::reboot(facts(), reboot.clone(), Severity::High, Vec::new(), now);
        assert_eq!(members(rebooted), want);
        assert_eq!(members(Case::lost(facts(), losses.clone())), want);

        let mut of_pod = case(1, "Error");
        let pod = PodFacts { node: node(cluster), ..(*of_pod.pod).clone() };
        of_pod.pod = Arc::new(pod.clone());
        let mut want = want;
        want["workload"] = json!({"kind": "Pod", "name": "checkout"});
        assert_eq!(members(of_pod.clone()), want);

        of_pod.pod = Arc::new(PodFacts {
            workload: Workload::new("Deployment", "checkout"),
            revision: Some("75c47cf76d".to_owned()),
            created_at: Some(at("2026-11-23T03:30:00Z")),
            ..pod
        });
        want["workload"]["kind"] = json!("Deployment");
        want["revision"] = json!("75c47cf76d");
        want["pod_created_at"] = json!("2026-11-23T03:30:00Z");
        assert_eq!(members(of_pod), want);
    }
}

#[test]
fn a_line_of_a_rush_has_no_containers_but_its_facts() {
    let gathered = Gathered { is_rushed: true, ..Gathered::default() };
    let incident = compose(case(137, "OOMKilled"), gathered, Recurrence::default());
    assert!(incident.containers.is_empty());
    assert_eq!((incident.exit_code, incident.reason.as_deref()), (Some(137), Some("OOMKilled")));
    let gaps = incident.telemetry.gaps.iter().map(ToString::to_string);
    assert_eq!(gaps.collect::<Vec<_>>(), ["containers: 1 left out, there was no room"]);
}
