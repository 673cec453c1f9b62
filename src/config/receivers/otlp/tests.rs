use super::*;
use crate::config::endpoint::TokenSource;
use crate::config::tests::{CERTIFICATE, Folder};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

fn read_with(vars: &[(&str, &str)]) -> (Option<Otlp>, Vec<String>, Vec<String>) {
    let mut env = Environment::new(vars.iter().map(|(key, value)| (key.into(), value.into())));
    let otlp = read(&mut env);
    let problems = env.findings.problems.iter().map(ToString::to_string).collect();
    (otlp, problems, env.findings.warnings)
}

fn target(vars: &[(&str, &str)]) -> Option<String> {
    let (otlp, problems, _) = read_with(vars);
    assert_eq!(problems, [""; 0]);
    otlp.map(|otlp| format!("{}{}", otlp.receiver.server.server, otlp.receiver.target.expose()))
}

#[test]
fn the_own_endpoint_counts_before_the_one_for_logs_and_that_before_the_one_for_all_signals() {
    let all = (ENDPOINT, "http://all/");
    let logs = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs/in");
    let own = ("BLACKBOX_OTLP_ENDPOINT", "http://own/otlp");
    assert_eq!(target(&[]), None);
    assert_eq!(target(&[all]).as_deref(), Some("http://all:80/v1/logs"));
    assert_eq!(target(&[all, logs]).as_deref(), Some("http://logs:80/in"), "as it is");
    assert_eq!(target(&[all, logs, own]).as_deref(), Some("http://own:80/otlp/v1/logs"));
}

#[test]
fn headers_attributes_and_the_timeout_are_those_of_the_specification() {
    let vars = [
        (ENDPOINT, "http://all"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20YQ==, x-tenant = a b "),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=live%2C,service.name=x"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "1500"),
    ];
    let (otlp, problems, warnings) = read_with(&vars);
    assert_eq!((problems, warnings), (vec![], vec![]));
    let otlp = otlp.unwrap();
    assert!(!format!("{otlp:?}").contains("YQ=="), "a header may be a key");
    let headers: Vec<_> = otlp.headers.iter().map(|(k, v)| (&**k, v.expose())).collect();
    assert_eq!(headers, [("authorization", "Basic YQ=="), ("x-tenant", "a b")]);
    let resource: Vec<_> = otlp.resource.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(resource, [("deployment.environment.name", "live,"), ("service.name", "x")]);
    assert_eq!(otlp.receiver.timeout, Duration::from_millis(1500));
    assert_eq!(otlp.receiver.server.credentials.token, TokenSource::None);
    let own = ("BLACKBOX_OTLP_HEADERS", "x-own=1");
    let otlp = read_with(&[&vars[..], &[own]].concat()).0.unwrap();
    assert_eq!(otlp.headers.len(), 1);
    assert_eq!(read_with(&[vars[0]]).0.unwrap().receiver.timeout, limits::RECEIVER_TIMEOUT);
}

#[test]
fn a_client_certificate_needs_its_key() {
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let folder = Folder::new(&[("cert", CERTIFICATE), ("key", key)]);
    let (cert, key) = (folder.text("cert"), folder.text("key"));
    let vars = [
        (ENDPOINT, "https://all"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", &*cert),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &*cert),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &*key),
    ];
    let (otlp, problems, _) = read_with(&vars);
    assert_eq!(problems, [""; 0]);
    assert!(otlp.unwrap().receiver.server.credentials.client_cert.is_some());
    let (otlp, problems, _) = read_with(&vars[..3]);
    assert_eq!((otlp, problems.len()), (None, 1), "{problems:?}");
}

#[test]
fn what_the_agent_does_not_speak_and_what_no_receiver_takes_stops_the_start() {
    for (key, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "=secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0A"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Content-Type=secret"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/nowhere"),
    ] {
        let (_, problems, _) = read_with(&[(ENDPOINT, "http://all"), (key, value)]);
        assert_eq!(problems.len(), 1, "{key}={value}: {problems:?}");
        assert!(problems[0].starts_with(key) && !problems[0].contains("secret"), "{problems:?}");
    }
    let many = vec!["a=b"; limits::PAIRS_MAX + 1].join(",");
    let (_, problems, _) = read_with(&[(ENDPOINT, "http://all"), ("BLACKBOX_OTLP_HEADERS", &many)]);
    assert!(problems[0].contains("more than 32"), "{problems:?}");
}

#[test]
fn a_header_that_no_request_has_room_for_stops_the_start() {
    for (bytes, problems) in [(limits::HEADER_BYTES_MAX, 0), (limits::HEADER_BYTES_MAX + 1, 1)] {
        let header = format!("a={}", "k".repeat(bytes - 1));
        let vars = [(ENDPOINT, "http://all"), ("BLACKBOX_OTLP_HEADERS", &header)];
        assert_eq!(read_with(&vars).1.len(), problems, "{bytes}");
    }
}

#[test]
fn what_is_meant_for_others_does_no_harm() {
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    assert_eq!(target(&[grpc]), None);
    assert!(target(&[grpc, ("BLACKBOX_OTLP_ENDPOINT", "http://own")]).is_some());
    let gzip = ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
    let (otlp, problems, warnings) = read_with(&[(ENDPOINT, "http://all"), gzip]);
    assert!(otlp.is_some() && problems.is_empty());
    assert!(warnings[0].contains("does not compress"), "{warnings:?}");
    let (otlp, _, warnings) = read_with(&[("BLACKBOX_OTLP_HEADERS", "a=b")]);
    assert!(otlp.is_none() && warnings[0].contains("no effect"), "{warnings:?}");
}
