use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::core::case::{
    Confidence, ContainerInfo, NodeIdentity, Restarts, Severity, StopCause, StopKind, Termination,
    Workload,
};
use crate::core::incident::compose::tests::crash_of;
use crate::core::incident::recurrence::Recurrence;
use crate::core::incident::{Incident, compose};
use crate::core::seen::{First, Sighting};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Returns the case of a container of the pod `name` that ended with this code and termination message.
fn case(name: &str, exit_code: i32, reason: &str, message: &str) -> Case {
    let pod = json!({
        "metadata": {"namespace": "shop", "name": name, "uid": name, "resourceVersion": "2",
            "creationTimestamp": "2026-11-23T03:30:48Z", "labels": {"pod-template-hash": "6988"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "checkout-6988", "controller": true}]},
        "spec": {"restartPolicy": "Always", "containers": [{"name": "app"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "app", "restartCount": 0,
            "containerID": format!("containerd://{name}"), "state": {"terminated": {"exitCode": exit_code,
            "reason": reason, "message": message, "containerID": format!("containerd://{name}"),
            "startedAt": "2026-11-23T03:31:00Z", "finishedAt": "2026-11-23T03:31:41Z"}}}]}
    })
    .to_string();
    crash_of(&pod)
}

/// Returns the incident of an end whose log is this.
fn incident(case: Case, log: &str, seen: Option<Sighting>) -> Incident {
    let end = LogEnd::read_plain(log.as_bytes(), true);
    let exit_code = case.termination().map_or(0, |end| end.exit_code);
    let cause = find_in(&end, exit_code, Source::Log);
    let gathered = Gathered { cause, ..Gathered::default() };
    compose(case, gathered, Recurrence { seen, ..Recurrence::default() })
}

const LOG: &str = "Traceback (most recent call last):
  File \"/app/settings.py\", line 12, in load
    raise KeyError(\"DATABASE_URL\")
KeyError: 'DATABASE_URL'
";

#[test]
fn the_sentence_ends_with_the_cause_and_its_place() {
    let told = incident(case("a", 1, "Error", ""), LOG, None);
    assert_eq!(
        told.message,
        "container app of shop/a exited with code 1 after 41 s: KeyError: 'DATABASE_URL' (settings.py:12)"
    );
    assert_eq!(told.cause.unwrap().source, Source::Log);
    // A message of one line stays as it is; one of several is the end of the log, and the log has more of it.
    for (message, log, sentence, source) in [
        ("no licence\n", LOG, ": no licence", Source::TerminationMessage),
        (
            "no licence\nfor kestrel\n",
            LOG,
            ": KeyError: 'DATABASE_URL' (settings.py:12)",
            Source::Log,
        ),
        (LOG, "", ": KeyError: 'DATABASE_URL' (settings.py:12)", Source::TerminationMessage),
    ] {
        let told = incident(case("a", 1, "Error", message), log, None);
        assert!(told.message.ends_with(&format!("after 41 s{sentence}")), "{}", told.message);
        assert_eq!(told.cause.unwrap().source, source, "{message}");
    }
    // The kubelet cut the first line of this one, and with it perhaps the name of a credential.
    let cut = format!("{}hunter2 refused", "x".repeat(2033));
    let told = incident(case("a", 1, "Error", &cut), LOG, None);
    assert_eq!(told.cause.unwrap().source, Source::Log);
    assert_eq!(incident(case("a", 1, "Error", &cut), "", None).cause, None);
    let told = incident(case("a", 1, "Error", &format!("{cut}\nno licence")), "", None);
    assert_eq!(told.cause.unwrap().message, "no licence");
    let silent = incident(case("a", 1, "Error", ""), "INFO ready", None);
    assert!(silent.message.ends_with("exited with code 1 after 41 s"));
    assert_eq!(silent.cause, None);
}

#[test]
fn what_the_kernel_or_the_kubelet_ended_has_no_cause_in_its_log() {
    for (code, reason) in [(137, "OOMKilled"), (143, "Error"), (137, "Error"), (0, "Completed")] {
        let told = incident(case("a", code, reason, LOG), LOG, None);
        assert_eq!(told.cause, None, "{code} {reason}");
    }
    let start = "exec: \"/no/such\": no such file or directory";
    let told = incident(case("a", 128, "StartError", start), LOG, None).cause.unwrap();
    assert_eq!(
        (told.source, told.error_type.as_deref(), &*told.message),
        (Source::Status, Some("StartError"), start)
    );
}

#[test]
fn a_credential_in_the_cause_is_masked() {
    let secret = "FATAL: cannot log in with password=hunter2hunter2 at the ledger";
    // What a record's escapes hide from the mask of the line is masked once it is decoded, and so is what two lines say together.
    let record =
        r#"{"level":"fatal","msg":"cannot log in at postgres:\/\/bob:hunter2hunter2@db:5432/x"}"#;
    let joined = "FATAL: cannot log in with password:\nhunter2hunter2";
    for log in [record, joined] {
        let told = incident(case("a", 1, "Error", ""), log, None);
        let cause = told.cause.unwrap();
        assert!(
            cause.message.contains("cannot log in") && !cause.message.contains("hunter2"),
            "{}",
            cause.message
        );
        assert!(!told.message.contains("hunter2"), "{}", told.message);
    }
    for (message, log) in [("", secret), (&*format!("{secret}\nmore"), "")] {
        let told = incident(case("a", 1, "Error", message), log, None);
        let cause = serde_json::to_string(&told.cause.unwrap()).unwrap();
        assert!(cause.contains("cannot log in") && !cause.contains("hunter2"), "{cause}");
        assert!(!told.message.contains("hunter2"), "{}", told.message);
    }
}

#[test]
fn the_first_crash_of_its_kind_is_told_only_of_a_new_pod() {
    let seen = |first| {
        Some(Sighting { count: 1, first_at: at("2026-11-23T03:31:41Z"), within_hour: 1, first })
    };
    let sentence = |first| incident(case("a", 1, "Error", ""), LOG, seen(first)).message;
    assert!(
        sentence(Some(First::OnNode))
            .ends_with("; first crash of its kind on this node, 53 s after the pod was made")
    );
    assert!(sentence(Some(First::SinceStart)).contains("since the agent started"));
    assert!(!sentence(None).contains("first"));
    let mut old = case("a", 1, "Error", "");
    Arc::make_mut(&mut old.pod).created_at = Some(at("2026-11-23T03:20:00Z"));
    assert!(!incident(old, LOG, seen(Some(First::OnNode))).message.contains("first"));
}

#[test]
fn lines_are_brief_from_the_sixth_with_one_fingerprint_on() {
    for (within_hour, is_brief) in [(5, false), (6, true)] {
        let seen =
            Sighting { count: 9, first_at: at("2026-11-23T03:31:41Z"), within_hour, first: None };
        let told = incident(case("a", 1, "Error", ""), LOG, Some(seen));
        assert_eq!(told.telemetry.brief, is_brief, "{within_hour}");
    }
}

#[test]
fn the_fingerprint_is_that_of_the_kind_and_not_of_the_pod() {
    let of = |case: Case, log: &str| incident(case, log, None).fingerprint;
    let first = of(case("checkout-6988-a", 1, "Error", ""), LOG);
    assert_eq!(of(case("checkout-6988-b", 1, "Error", ""), &LOG.replace("12", "14")), first);
    assert_ne!(of(case("checkout-6988-a", 2, "Error", ""), LOG), first);
    assert_ne!(of(case("checkout-6988-a", 1, "Error", ""), "ValueError: no"), first);
    // It can be had before the incident is composed.
    let (case, mut gathered) = (case("a", 1, "Error", ""), Gathered::default());
    assert_eq!(
        fingerprint(&case, &mut gathered),
        compose(case, gathered, Recurrence::default()).fingerprint
    );
}

#[test]
fn only_ends_of_the_containers_own_have_a_cause_in_the_log() {
    let own = [
        IncidentType::Error,
        IncidentType::Misuse,
        IncidentType::DockerError,
        IncidentType::NotExecutable,
        IncidentType::NotFound,
        IncidentType::InvalidArg,
        IncidentType::Killed,
        IncidentType::Signal,
        IncidentType::Unknown,
    ];
    // Of a container that could not be started the status tells.
    for kind in IncidentType::ALL.into_iter().filter(|kind| *kind != IncidentType::StartError) {
        let has_cause = own.contains(&kind);
        for message in ["", "FATAL: no licence"] {
            let mut case = case("a", 1, "Error", message);
            case.kind = kind;
            let told = incident(case, LOG, None);
            assert_eq!(told.cause.is_some(), has_cause, "{}", kind.name());
            assert_eq!(
                told.message.contains("KeyError"),
                has_cause && message.is_empty(),
                "{}",
                told.message
            );
        }
    }
}

#[test]
fn a_failed_probe_is_told_and_not_what_the_log_says() {
    let mut case = case("a", 137, "Error", "");
    case.kind = IncidentType::ProbeFailure;
    let words = "HTTP probe failed with statuscode: 503".to_owned();
    case.stopped_for = Some(StopCause { kind: StopKind::LivenessProbe, words });
    let told = incident(case, LOG, None);
    assert!(
        told.message.ends_with("after 41 s: HTTP probe failed with statuscode: 503"),
        "{}",
        told.message
    );
    assert!(told.cause.is_none() && !told.message.contains("KeyError"));
}

#[test]
fn a_pod_as_a_whole_has_the_kubelets_words_only_if_it_was_refused() {
    let of_pod = |kind, reason: &str, message: &str| {
        let mut case = case("a", 1, "Error", "");
        (case.kind, case.restarts) = (kind, None);
        let (reason, message) = (reason.to_owned(), message.to_owned());
        case.subject = Subject::Pod { reason, message, repeats: None, explains: Vec::new() };
        incident(case, LOG, None)
    };
    let message = "The node was low on resource: memory.";
    let evicted = of_pod(IncidentType::Evicted, "Evicted", message);
    assert_eq!(evicted.message, format!("pod shop/a was evicted: {message}"));
    assert_eq!(evicted.cause, None);
    let message = "Pod was rejected: Node didn't have enough resource: cpu";
    let refused = of_pod(IncidentType::AdmissionRejected, "OutOfcpu", message);
    let cause = refused.cause.unwrap();
    assert_eq!((cause.text(), cause.source), (format!("OutOfcpu: {message}"), Source::Status));
    // The numbers differ from pod to pod, the kind does not.
    let [one, other] = [1, 2].map(|n| {
        of_pod(IncidentType::AdmissionRejected, "OutOfcpu", &format!("requested: {n}, used: 1800"))
            .fingerprint
    });
    assert_eq!(one, other);
    assert_ne!(one, refused.fingerprint);
}

/// Returns the termination of a case.
fn end(case: &mut Case) -> &mut Termination {
    match &mut case.subject {
        Subject::Termination { end, .. } => end,
        _ => panic!("no termination"),
    }
}

/// Returns the container of a case.
fn container(case: &mut Case) -> &mut ContainerInfo {
    match &mut case.subject {
        Subject::Termination { container, .. } => container,
        _ => panic!("no container"),
    }
}

type Change = fn(&mut Case);

fn fingerprint_with(change: Change) -> Fingerprint {
    let mut case = case("checkout-6988-a", 1, "Error", "");
    change(&mut case);
    incident(case, LOG, None).fingerprint
}

#[test]
fn nothing_that_differs_from_pod_to_pod_and_from_run_to_run_changes_the_fingerprint() {
    let changes: [(&str, Change); 12] = [
        ("node", |case| {
            let node = NodeIdentity { name: "node2".to_owned(), cluster: Some("eu".to_owned()) };
            Arc::make_mut(&mut case.pod).node = Arc::new(node);
        }),
        ("pod", |case| Arc::make_mut(&mut case.pod).name = "checkout-6988-b".to_owned()),
        ("uid", |case| Arc::make_mut(&mut case.pod).uid = "u2".to_owned()),
        ("revision", |case| Arc::make_mut(&mut case.pod).revision = Some("7000".to_owned())),
        ("labels", |case| Arc::make_mut(&mut case.pod).labels.clear()),
        ("age", |case| Arc::make_mut(&mut case.pod).created_at = None),
        ("image", |case| {
            container(case).image = "checkout:2".to_owned();
            Arc::make_mut(&mut case.pod).containers[0].image = "checkout:2".to_owned();
        }),
        ("instance", |case| end(case).container_id = "containerd://c9".to_owned()),
        ("times", |case| {
            (end(case).started, end(case).finished) = (None, Some(at("2026-11-24T03:31:41Z")));
            (case.occurred_at, case.detected_at) =
                (at("2026-11-24T03:31:41Z"), at("2026-11-24T03:31:42Z"));
        }),
        ("restarts", |case| {
            container(case).restart_count = 77;
            case.restarts =
                Some(Restarts { total: 77, unseen: 3, ended: Some(76), crash_loop: true });
        }),
        ("limits", |case| container(case).resources.memory_limit_bytes = Some(1 << 20)),
        ("verdict", |case| {
            (case.severity, case.confidence) = (Severity::Critical, Confidence::Probable);
            case.evidence.push("a fact".to_owned());
        }),
    ];
    let first = fingerprint_with(|_| {});
    for (what, change) in changes {
        assert_eq!(fingerprint_with(change), first, "another {what}");
    }
}

#[test]
fn what_makes_another_kind_of_crash_changes_the_fingerprint() {
    let changes: [(&str, Change); 8] = [
        ("namespace", |case| Arc::make_mut(&mut case.pod).namespace = "shop2".to_owned()),
        ("workload", |case| {
            Arc::make_mut(&mut case.pod).workload = Workload::new("Deployment", "cart")
        }),
        ("kind of workload", |case| {
            Arc::make_mut(&mut case.pod).workload = Workload::new("StatefulSet", "checkout");
        }),
        ("container", |case| container(case).name = "proxy".to_owned()),
        ("type", |case| case.kind = IncidentType::Unknown),
        ("type without a cause", |case| case.kind = IncidentType::Oom),
        ("exit code", |case| end(case).exit_code = 3),
        ("reason", |case| end(case).reason = "ContainerCannotRun".to_owned()),
    ];
    let mut seen = std::collections::HashSet::from([fingerprint_with(|_| {})]);
    for (what, change) in changes {
        assert!(seen.insert(fingerprint_with(change)), "another {what}");
    }
}

#[test]
fn the_lines_of_a_cause_are_cut_in_the_sentence() {
    let long = format!("FATAL: no licence {}\n", "for kestrel ".repeat(100));
    let told = incident(case("a", 1, "Error", ""), &long, None);
    assert!(
        told.message.contains(": FATAL: no licence for kestrel") && told.message.contains(" … ")
    );
    assert!(told.message.len() < 500, "{}", told.message);
    // The folders of the place are only in the cause.
    let deep =
        LOG.replace("/app/settings.py", &format!("/app/{}settings.py", "folder/".repeat(60)));
    let told = incident(case("a", 1, "Error", ""), &deep, None);
    assert!(told.message.ends_with(')') && told.message.len() < 300, "{}", told.message);
}
