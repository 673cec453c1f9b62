use serde_json::{Value, json};

use super::*;

const LINE: &str = r#"{"id":"1f","occurred_at":"2026-11-23T03:31:46Z","severity":"high","type":"error",
"message":"container app exited with code 1","fingerprint":"44c1","cause":{"message":"no route"},"cluster":null,
"namespace":"shop","workload":"Deployment/api","pod_name":"api-1","node_name":"n1","container":"app","image":"i:1",
"containers":[],"metadata":{},"telemetry":{"logs":{"lines":[{"text":"1"},{"text":"2"},{"text":"3"},{"text":"4"}]}}}"#;

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn alerts(lines: &[&str], ends_at: &str) -> Value {
    let mut alerts = Alerts::new(at(ends_at));
    for line in lines {
        assert!(alerts.add(line.as_bytes()), "{line}");
    }
    serde_json::from_slice(&alerts.into_body().unwrap()).unwrap()
}

#[test]
fn an_incident_is_an_alert_whose_labels_name_no_pod_and_no_node() {
    let alerts = alerts(&[LINE], "2026-11-23T04:01:50Z");
    let want = json!([{
        "labels": {
            "alertname": "BlackboxIncident", "severity": "warning", "type": "error",
            "namespace": "shop", "workload": "Deployment/api", "container": "app", "fingerprint": "44c1",
        },
        "annotations": {
            "summary": "container app exited with code 1", "incident_id": "1f", "pod": "api-1",
            "node": "n1", "image": "i:1", "occurred_at": "2026-11-23T03:31:46Z", "cause": "no route",
            "logs": "2\n3\n4", "runbook": "docs/incident.md#types",
        },
        "startsAt": "2026-11-23T03:31:46Z",
        "endsAt": "2026-11-23T04:01:50Z",
    }]);
    assert_eq!(alerts, want);
}

#[test]
fn the_same_crash_of_other_pods_and_nodes_has_the_same_labels() {
    let other = LINE
        .replace("api-1", "api-2")
        .replace("n1", "n2")
        .replace("1f", "2e")
        .replace(":46Z", ":59Z");
    let alerts = alerts(&[LINE, &other], "2026-11-23T04:01:50Z");
    assert_eq!(alerts[0]["labels"], alerts[1]["labels"]);
    assert_ne!(alerts[0]["annotations"], alerts[1]["annotations"]);
}

#[test]
fn severities_are_those_of_the_shipped_rules() {
    for (severity, want) in
        [("critical", "critical"), ("high", "warning"), ("medium", "info"), ("low", "info")]
    {
        let line = LINE.replace("\"high\"", &format!("\"{severity}\""));
        assert_eq!(alerts(&[&line], "2026-11-23T04:01:50Z")[0]["labels"]["severity"], want);
    }
}

#[test]
fn an_alert_never_ends_before_it_starts() {
    let alerts = alerts(&[LINE], "2020-01-01T00:00:00Z");
    assert_eq!(alerts[0]["startsAt"], alerts[0]["endsAt"]);
}

#[test]
fn what_is_no_incident_is_no_alert() {
    let mut alerts = Alerts::new(Timestamp::UNIX_EPOCH);
    assert!(!alerts.add(b"{}") && !alerts.add(br#"{"id":"1","occurred_at":"never"}"#));
    assert_eq!(alerts.into_body(), None);
}
