use std::collections::BTreeMap;

use super::*;

/// A field's number, and all values that it has.
type Fields<'a> = BTreeMap<u64, Vec<Field<'a>>>;

fn fields(mut message: &[u8]) -> Fields<'_> {
    let mut fields = Fields::new();
    while let Some((number, value)) = protobuf::next(&mut message) {
        fields.entry(number).or_default().push(value);
    }
    assert!(message.is_empty(), "the rest is no message: {message:?}");
    fields
}

fn bytes<'a>(fields: &Fields<'a>, number: u64) -> &'a [u8] {
    match fields.get(&number).map(|values| &values[..]) {
        Some([Field::Bytes(bytes)]) => bytes,
        other => panic!("field {number}: {other:?}"),
    }
}

fn text(fields: &Fields<'_>, number: u64) -> String {
    String::from_utf8(bytes(fields, number).to_vec()).unwrap()
}

/// Returns an attribute's value in words.
fn any_value(value: &[u8]) -> String {
    let value = fields(value);
    match value.iter().next().unwrap() {
        (1, _) => text(&value, 1),
        (2, values) => format!("flag {values:?}"),
        (3, values) => match values[..] {
            [Field::Number(n)] => n.cast_signed().to_string(),
            _ => panic!("{values:?}"),
        },
        (5, _) => {
            let array = fields(bytes(&value, 5));
            let item = |item: &Field<'_>| match item {
                Field::Bytes(item) => any_value(item),
                Field::Number(_) => panic!("{item:?}"),
            };
            array[&1].iter().map(item).collect::<Vec<_>>().join("|")
        }
        other => panic!("{other:?}"),
    }
}

fn attributes(of: &Fields<'_>, number: u64) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    for pair in of.get(&number).into_iter().flatten() {
        let Field::Bytes(pair) = pair else { panic!("{pair:?}") };
        let pair = fields(pair);
        let before = attributes.insert(text(&pair, 1), any_value(bytes(&pair, 2)));
        assert_eq!(before, None, "{} occurs twice", text(&pair, 1));
    }
    attributes
}

/// One exported line.
struct Exported {
    resource: BTreeMap<String, String>,
    attributes: BTreeMap<String, String>,
    body: String,
    event_name: String,
    severity: (u64, String),
    bytes: Vec<u8>,
}

fn export(line: &str, added: &Resource) -> Exported {
    let mut request = Request::default();
    assert!(request.add(line.as_bytes(), added), "{line}");
    assert_eq!(request.records(), 1);
    let body = request.into_body();
    let resource_logs = fields(bytes(&fields(&body), 1));
    assert_eq!(text(&resource_logs, 3), SCHEMA_URL);
    let scope_logs = fields(bytes(&resource_logs, 2));
    assert_eq!(text(&fields(bytes(&scope_logs, 1)), 1), "blackbox-daemon");
    let record = fields(bytes(&scope_logs, 2));
    let Field::Number(severity) = record[&2][0] else { panic!() };
    Exported {
        resource: attributes(&fields(bytes(&resource_logs, 1)), IN_RESOURCE),
        attributes: attributes(&record, IN_RECORD),
        body: text(&fields(bytes(&record, 5)), 1),
        event_name: text(&record, 12),
        severity: (severity, text(&record, 3)),
        bytes: body.clone(),
    }
}

const OOM: &str = r#"{"schema":"blackbox.incident/v1","id":"1f","timestamp":"2026-11-23T03:31:47Z",
"occurred_at":"2026-11-23T03:31:46.5Z","severity":"critical","type":"oom","message":"was OOM-killed",
"fingerprint":"44c1","cause":{"error_type":"MemoryError","message":"no memory","location":"a.py:1","source":"log","line":"x"},
"cluster":"prod","namespace":"shop","workload":"Deployment/api","pod_name":"api-7-x","pod_uid":"u1","node_name":"n1",
"container":"app","container_id":"containerd://a845","image":"registry:5000/shop/api:1.2@sha256:ee","exit_code":137,"signal":9,
"reason":"OOMKilled","containers":[{"name":"proxy","image":"p"},{"name":"app","kind":"app","image":"i",
"image_id":"registry:5000/shop/api@sha256:ee","state":"waiting","restart_count":4,"exit_code":137,"reason":"OOMKilled",
"started_at":"2026-11-23T03:31:00Z","finished_at":"2026-11-23T03:31:46Z","resources":{"memory_limit_bytes":50331648,
"cpu_limit_millicores":null}}],"metadata":{"workload":{"kind":"Deployment","name":"api"},"revision":"7",
"owner":{"kind":"ReplicaSet","name":"api-7"},"labels":{"app":"api","telemetry":"x"},"qos_class":"Burstable",
"restart_policy":"Always","confidence":"confirmed","evidence":["e1","e2"],"restarts":{"total":4,"unseen":0,"ended":5,
"crash_loop":true},"agent_version":"0.1.0"},"telemetry":{"container":{"interval_seconds":5,"memory_peak_bytes":50000000},
"logs":{"lines":[{"text":"one"},{"text":"two \"q\""}],"file":"app/3.log"},"sidecar":{"logs":1},
"node":{"conditions":[{"type":"Ready","status":"True"},{"type":"MemoryPressure","status":"True"},
{"type":"DiskPressure","status":"False"}]},"events":[],"gaps":[]}}"#;

#[test]
fn a_line_is_a_record_of_the_container_that_died() {
    let added = vec![
        ("deployment.environment.name".to_owned(), "live".to_owned()),
        ("k8s.cluster.name".to_owned(), "another".to_owned()),
    ];
    let exported = export(OOM, &added);
    assert_eq!(exported.body, "was OOM-killed");
    assert_eq!(exported.event_name, "blackbox.container.crash");
    assert_eq!(exported.severity, (21, "critical".to_owned()));
    let resource: Vec<_> = exported.resource.iter().map(|(k, v)| (&**k, &**v)).collect();
    let want = [
        ("container.id", "a845"),
        ("container.image.name", "registry:5000/shop/api"),
        ("container.image.repo_digests", "registry:5000/shop/api@sha256:ee"),
        ("container.image.tags", "1.2"),
        ("container.runtime.name", "containerd"),
        ("deployment.environment.name", "live"),
        ("k8s.cluster.name", "prod"),
        ("k8s.container.name", "app"),
        ("k8s.container.restart_count", "4"),
        ("k8s.deployment.name", "api"),
        ("k8s.namespace.name", "shop"),
        ("k8s.node.name", "n1"),
        ("k8s.pod.label.app", "api"),
        ("k8s.pod.label.telemetry", "x"),
        ("k8s.pod.name", "api-7-x"),
        ("k8s.pod.uid", "u1"),
        ("k8s.replicaset.name", "api-7"),
        ("service.name", "api"),
        ("service.namespace", "shop"),
    ];
    assert_eq!(resource, want);
    // 2026-11-23T03:31:46.5Z and 2026-11-23T03:31:47Z, eight bytes each.
    for (key, nanoseconds) in
        [(0x09_u8, 1_795_404_706_500_000_000_u64), (0x59, 1_795_404_707_000_000_000)]
    {
        let field = [&[key][..], &nanoseconds.to_le_bytes()].concat();
        assert!(exported.bytes.windows(9).any(|window| window == field), "{key}");
    }
}

#[test]
fn the_facts_of_a_line_are_attributes_by_the_conventions() {
    let attributes = export(OOM, &Vec::new()).attributes;
    let attributes: Vec<_> = attributes.iter().map(|(k, v)| (&**k, &**v)).collect();
    let containers =
        &OOM[OOM.find(r#"[{"name":"proxy""#).unwrap()..OOM.find(r#","metadata""#).unwrap()];
    let want = [
        ("blackbox.cause.error_type", "MemoryError"),
        ("blackbox.cause.location", "a.py:1"),
        ("blackbox.cause.message", "no memory"),
        ("blackbox.cause.source", "log"),
        ("blackbox.confidence", "confirmed"),
        ("blackbox.container.memory.limit", "50331648"),
        ("blackbox.container.memory.peak", "50000000"),
        ("blackbox.containers", containers),
        ("blackbox.crash_loop", "flag [Number(1)]"),
        ("blackbox.evidence", "e1|e2"),
        ("blackbox.fingerprint", "44c1"),
        ("blackbox.logs", "one\ntwo \"q\""),
        ("blackbox.node.conditions", "MemoryPressure"),
        ("blackbox.qos_class", "Burstable"),
        ("blackbox.restart_policy", "Always"),
        ("blackbox.restarts.ended", "5"),
        ("blackbox.restarts.unseen", "0"),
        ("blackbox.revision", "7"),
        ("blackbox.schema", "blackbox.incident/v1"),
        ("blackbox.signal", "9"),
        ("blackbox.telemetry", {
            let container = r#"{"container":{"interval_seconds":5,"memory_peak_bytes":50000000},"#;
            let node = r#""sidecar":{"logs":1},
"node":{"conditions":[{"type":"Ready","status":"True"},{"type":"MemoryPressure","status":"True"},
{"type":"DiskPressure","status":"False"}]}}"#;
            &*format!("{container}{}", node.replacen(",\n", ",", 1))
        }),
        ("blackbox.workload", "Deployment/api"),
        ("error.type", "oom"),
        ("exception.message", "no memory"),
        ("exception.type", "MemoryError"),
        ("k8s.container.status.last_terminated_reason", "OOMKilled"),
        ("k8s.container.status.state", "waiting"),
        ("log.file.path", "app/3.log"),
        ("log.record.uid", "1f"),
        ("process.creation.time", "2026-11-23T03:31:00Z"),
        ("process.exit.code", "137"),
        ("process.exit.time", "2026-11-23T03:31:46Z"),
    ];
    assert_eq!(attributes, want);
}

#[test]
fn what_does_not_apply_has_no_attribute() {
    let line = r#"{"id":"2","severity":"low","type":"node_reboot","message":"m","node_name":"n1","container":null,
        "metadata":{"reboot":{"boot_id":"b"},"workload":null},"telemetry":{"events":[],"gaps":[]}}"#;
    let exported = export(line, &Vec::new());
    let names: Vec<_> = exported.resource.keys().collect();
    assert_eq!(names, ["k8s.node.name", "service.name"]);
    assert_eq!(exported.resource["service.name"], "kubernetes-node");
    assert_eq!(exported.attributes["blackbox.reboot"], r#"{"boot_id":"b"}"#);
    assert_eq!(exported.attributes.len(), 3, "{:?}", exported.attributes.keys());
    assert_eq!(exported.event_name, "blackbox.node.reboot");
    assert_eq!(exported.severity.0, 9);
}

#[test]
fn an_image_has_a_name_and_perhaps_a_tag() {
    for (text, want) in [
        ("nginx", ("nginx", "")),
        ("nginx:1", ("nginx", "1")),
        ("host:5000/a/b", ("host:5000/a/b", "")),
        ("host:5000/a/b:2@sha256:00", ("host:5000/a/b", "2")),
        ("a@sha256:00", ("a", "")),
        ("", ("", "")),
    ] {
        assert_eq!(image(text), want, "{text}");
    }
}

#[test]
fn an_image_id_of_docker_is_a_digest_without_dockers_prefix() {
    for (id, attribute, want) in [
        ("docker-pullable://shop/api@sha256:ee", "repo_digests", "shop/api@sha256:ee"),
        ("docker://sha256:ee", "id", "sha256:ee"),
        ("sha256:ee", "id", "sha256:ee"),
    ] {
        let line = OOM.replace("registry:5000/shop/api@sha256:ee", id);
        let resource = export(&line, &Vec::new()).resource;
        assert_eq!(resource[&format!("container.image.{attribute}")], want);
    }
}

#[test]
fn what_is_no_incident_is_not_added() {
    let mut request = Request::default();
    for line in ["", "{}", "[]", r#"{"id":""}"#, r#"{"id":"1","telemetry":[]}"#, "{\"id\":\"1\""] {
        assert!(!request.add(line.as_bytes(), &Vec::new()), "{line}");
    }
    assert_eq!((request.records(), request.into_body()), (0, Vec::new()));
}

#[test]
fn a_receiver_that_refuses_some_records_says_how_many_and_why() {
    let mut answer = Message::default();
    let partial = answer.begin(1);
    answer.int(1, 3);
    answer.text(2, "no room");
    answer.end(partial);
    let answer = answer.into_bytes();
    assert_eq!(rejected(&answer), Rejected { records: 3, message: "no room".into() });
    for none in [&b""[..], b"\x0a\x00", b"{}", b"<html>", &answer[..3]] {
        assert_eq!(rejected(none).records, 0, "{none:?}");
    }
    // -1, as the protocol's int64 writes it.
    let minus_one = [&b"\x0a\x0b\x08"[..], &[0xff; 9], b"\x01"].concat();
    assert_eq!(rejected(&minus_one).records, 0);
}
