use super::*;
use crate::core::case::{
    Confidence, ContainerKind, EventInfo, IncidentId, IncidentType, Owner, ResourceAnalysis,
    Restarts, SCHEMA, Severity, Workload,
};
use crate::core::cause::Cause;
use crate::core::fingerprint::Fingerprint;
use crate::core::incident::schema::{ContainerTelemetry, KernelTelemetry};
use crate::core::kernel::counters::{Counter, Rises};
use crate::core::kernel::{FaultKind, FaultOf, LimitOf, OomVictim, TroubleKind, TroubleOf};
use crate::core::recorder::BeforeReboot;
use crate::core::ring::Columns;
use crate::core::text::escaped;
use crate::limits::{
    CLUSTER_BYTES_MAX, CONTAINERS_PER_POD_MAX, EVENT_MESSAGE_BYTES_MAX, EVENTS_PER_INCIDENT_MAX,
    KERNEL_NAME_BYTES_MAX, KERNEL_TROUBLES_SHOWN_MAX, LABEL_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX,
    STATUS_MESSAGE_BYTES_MAX,
};
use jiff::Timestamp;

/// Returns an incident with `containers` containers, in which every text has its maximum length and consists of
/// `fill`.
fn incident(containers: usize, fill: char) -> Incident {
    let text = |bytes: usize| cut(&fill.to_string().repeat(bytes), bytes);
    let name = |n: usize| format!("c{n}{}", text(60));
    let container = |n| ContainerInfo {
        name: name(n),
        kind: ContainerKind::App,
        image: text(NAME_BYTES_MAX),
        image_id: Some(text(NAME_BYTES_MAX).into()),
        state: "terminated",
        restart_count: i64::MAX,
        exit_code: Some(i32::MIN),
        signal: Some(11),
        exit_class: Some("admission_rejected"),
        reason: Some(text(NAME_BYTES_MAX)),
        started_at: Some(Timestamp::UNIX_EPOCH),
        finished_at: Some(Timestamp::UNIX_EPOCH),
        message: Some(text(STATUS_MESSAGE_BYTES_MAX)),
        resources: ResourceAnalysis { memory_limit_bytes: Some(i64::MAX), ..Default::default() },
    };
    let event = EventInfo {
        kind: "Warning".into(),
        reason: text(EVENT_MESSAGE_BYTES_MAX),
        message: text(EVENT_MESSAGE_BYTES_MAX),
        count: 1,
        first_at: None,
        last_at: Some(Timestamp::UNIX_EPOCH),
    };
    Incident {
        schema: SCHEMA,
        id: IncidentId::of_test("x"),
        timestamp: Timestamp::UNIX_EPOCH,
        occurred_at: Timestamp::UNIX_EPOCH,
        severity: Severity::High,
        kind: IncidentType::Killed,
        message: text(1000),
        fingerprint: Fingerprint(u64::MAX),
        cause: Cause::largest_of_test(text),
        cluster: Some(text(CLUSTER_BYTES_MAX)),
        namespace: "n".repeat(63),
        workload: Some(format!("Deployment/{}", "w".repeat(253))),
        pod_name: "p".repeat(253),
        pod_uid: "u".repeat(36),
        node_name: "k".repeat(253),
        container: Some(name(0)),
        container_id: Some("i".repeat(77)),
        image: Some(text(NAME_BYTES_MAX)),
        exit_code: Some(i32::MIN),
        signal: Some(i32::MAX),
        reason: Some(text(NAME_BYTES_MAX)),
        containers: (0..containers).map(container).collect(),
        metadata: metadata(text),
        telemetry: Telemetry {
            before_reboot: Some(BeforeReboot::full_of_test(-HUGE, 253)),
            system: Some(columns(HUGE, 22, 61)),
            container: Some(ContainerTelemetry {
                samples: columns(HUGE, 7, 721),
                memory_limit_bytes: Some(u64::MAX),
                memory_peak_bytes: Some(u64::MAX),
                oom_kills: u64::MAX,
            }),
            kernel: Some(largest_kernel(&text)),
            events: vec![event; EVENTS_PER_INCIDENT_MAX],
            ..Telemetry::default()
        },
    }
}

/// Returns facts about a pod in which every text has its maximum length. `text` makes one with so many bytes.
fn metadata(text: impl Fn(usize) -> String) -> Metadata {
    Metadata {
        cluster: Some(text(CLUSTER_BYTES_MAX)),
        workload: Some(Workload::new("Deployment", &"w".repeat(253))),
        revision: Some("h".repeat(63)),
        pod_created_at: Some(Timestamp::UNIX_EPOCH),
        owner: Some(Owner { kind: "ReplicaSet".into(), name: "o".repeat(253) }),
        qos_class: Some("Burstable".into()),
        restart_policy: Some("Always".into()),
        confidence: Confidence::Confirmed,
        evidence: vec![text(600); 4],
        restarts: Some(Restarts { total: 1, unseen: 2, ended: Some(3), crash_loop: true }),
        static_pod_uid: None,
        seen: None,
        repeats: None,
        explains: Vec::new(),
        lost: None,
        survived: false,
        reboot: None,
        labels: (0..LABELS_MAX).map(|n| (format!("{n}"), text(LABEL_BYTES_MAX))).collect(),
        agent_version: "0.0.0",
    }
}

/// Returns what the kernel may say at most.
fn largest_kernel(text: &impl Fn(usize) -> String) -> KernelTelemetry {
    let name = || cut(&escaped(&text(KERNEL_NAME_BYTES_MAX)), 2 * KERNEL_NAME_BYTES_MAX);
    let (at, confidence) = (Timestamp::UNIX_EPOCH, Confidence::Confirmed);
    let oom_kill = OomVictim {
        at,
        process: name(),
        pid: u64::MAX,
        resident_bytes: u64::MAX,
        limit_of: Some(LimitOf::Container),
        asked_by: Some(name()),
        processes: u64::MAX,
        confidence,
    };
    let fault = FaultOf {
        at,
        kind: FaultKind::GeneralProtection,
        process: name(),
        pid: u64::MAX,
        file: Some(name()),
        offset: Some(format!("{:#x}", u64::MAX)),
        confidence,
    };
    let trouble = TroubleOf {
        kind: TroubleKind::NetworkTimeout,
        subject: Some(name()),
        first_at: at,
        last_at: at,
        count: u64::MAX,
    };
    KernelTelemetry {
        counters: every_counter(u64::MAX),
        oom_kill: Some(oom_kill),
        fault: Some(fault),
        troubles: vec![trouble; KERNEL_TROUBLES_SHOWN_MAX],
    }
}

fn every_counter(by: u64) -> Rises {
    let mut rises = Rises::default();
    for counter in Counter::ALL {
        rises.add(counter, by);
    }
    rises
}

const HUGE: f64 = -123_456_789_012.5;

fn columns(value: f64, columns: usize, samples: usize) -> Columns {
    let name: &'static str = "pressure_memory_some_percent";
    Columns {
        interval_seconds: 5.0,
        ends_at: Timestamp::MIN,
        columns: vec![(name, vec![Some(value); samples]); columns],
    }
}

#[test]
fn samples_are_thinned_before_words_go() {
    let mut whole = incident(1, 'x');
    whole.telemetry.events.clear();
    whole.telemetry.before_reboot = None;
    whole.containers[0].message = Some("x".repeat(1000));
    (whole.cluster, whole.image, whole.reason) = (None, None, None);
    let counters = every_counter(u64::MAX);
    whole.telemetry.kernel = Some(KernelTelemetry { counters, ..KernelTelemetry::default() });
    let Telemetry { system, container, .. } = &mut whole.telemetry;
    *system = Some(columns(1234.5, 22, 61));
    container.as_mut().unwrap().samples = columns(268_435_456.0, 7, 61);
    let value: serde_json::Value = serde_json::from_slice(&line(&whole)).unwrap();
    assert_eq!(value["containers"][0]["message"].as_str().unwrap().len(), 1000);
    let column = &value["telemetry"]["container"]["pressure_memory_some_percent"];
    assert!((15..=61).contains(&column.as_array().unwrap().len()), "{column}");
    let gaps = value["telemetry"]["gaps"].to_string();
    assert!(gaps.contains("samples thinned") && !gaps.contains("messages"), "{gaps}");
}

#[test]
fn the_minutes_before_a_reboot_fit_beside_the_samples_after_it() {
    let mut whole = incident(1, 'x');
    whole.containers.clear();
    (whole.cause, whole.container, whole.telemetry) = (None, None, Telemetry::default());
    (whole.workload, whole.image, whole.reason) = (None, None, None);
    whole.metadata = metadata(|bytes| "x".repeat(bytes.min(40)));
    whole.telemetry.system = Some(columns(1234.5, 22, 61));
    for (value, want) in [(412.5, 40), (17_179_869_184.0, 20)] {
        whole.telemetry.before_reboot = Some(BeforeReboot::full_of_test(value, 40));
        let line = line(&whole);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let before = &value["telemetry"]["before_reboot"];
        assert_eq!(before["memory_available_bytes"].as_array().unwrap().len(), want);
        assert_eq!(before["containers"][7]["memory_bytes"].as_array().unwrap().len(), want);
        // What was before the reboot tells more than what was after it.
        assert_eq!(value["telemetry"]["system"]["ends_at"].is_string(), want == 40);
    }
}

#[test]
fn a_line_never_exceeds_its_limit_and_keeps_its_facts() {
    for containers in [1, 2, 10, CONTAINERS_PER_POD_MAX] {
        for fill in ['x', '"', '\u{1}', 'é', '😀', '<'] {
            let whole = incident(containers, fill);
            let line = line(&whole);
            assert!(line.len() <= INCIDENT_LINE_BYTES_MAX, "{containers} {fill:?}: {}", line.len());
            assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            for key in ["id", "type", "severity", "pod_name", "container", "container_id"] {
                let fact = serde_json::to_value(&whole).unwrap()[key].clone();
                assert_eq!(value[key], fact, "{containers} {fill:?} {key}");
            }
            assert_eq!(value["metadata"]["restarts"]["unseen"], 2);
            let own = &value["containers"][0];
            assert_eq!(own["exit_code"], i32::MIN, "{containers} {fill:?}");
            let gaps = value["telemetry"]["gaps"].to_string();
            assert!(gaps != "[]" && !gaps.contains("names: cut"), "{containers} {fill:?}: {gaps}");
        }
    }
}

/// No API server returns such names. The container runtime would split a line that is longer than the limit.
#[test]
fn names_that_kubernetes_forbids_do_not_make_a_line_too_long() {
    let name = || "\u{1}".repeat(NAME_BYTES_MAX);
    let mut odd = incident(3, '\u{1}');
    for text in odd.names() {
        *text = name();
    }
    odd.metadata.static_pod_uid = Some(name());
    odd.metadata.owner = Some(Owner { kind: name(), name: name() });
    let line = line(&odd);
    assert!(line.len() <= INCIDENT_LINE_BYTES_MAX, "{}", line.len());
    let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(value["type"], "killed");
    let gaps = value["telemetry"]["gaps"].as_array().unwrap();
    assert_eq!(gaps.last().unwrap(), "names: cut, the line was too long");
}

#[test]
fn a_line_that_fits_is_left_alone() {
    let mut small = incident(1, 'x');
    small.telemetry.events.clear();
    (small.telemetry.system, small.telemetry.container) = (None, None);
    small.telemetry.kernel = None;
    small.telemetry.before_reboot = None;
    let value: serde_json::Value = serde_json::from_slice(&line(&small)).unwrap();
    assert_eq!(value, serde_json::to_value(&small).unwrap());
}

/// Consumers parse the names and the order of the schema's fields.
#[test]
fn the_fields_of_the_line_are_those_of_the_schema() {
    let line = String::from_utf8(line(&incident(1, 'x'))).unwrap();
    let mut at = 0;
    for key in [
        "schema",
        "id",
        "timestamp",
        "occurred_at",
        "severity",
        "type",
        "message",
        "fingerprint",
        "cluster",
        "namespace",
        "workload",
        "pod_name",
        "pod_uid",
        "node_name",
        "container",
        "container_id",
        "image",
        "exit_code",
        "signal",
        "reason",
        "containers",
        "metadata",
        "telemetry",
    ] {
        let found = line[at..].find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key}"));
        at += found;
    }
    assert!(line.starts_with(r#"{"schema":"blackbox.incident/v1","id":""#));
}
