//! The command `check`: everything that the agent needs, present and missing.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::support;
use crate::support::clock::unix_seconds;
use crate::support::collector::{Collector, Post, Reply};
use crate::support::script::{Behaviour, Target};
use crate::support::tls::Authority;
use crate::support::tls::Validity;
use crate::support::{AgentOptions, FakeApi, Options, Scratch, base64, http};
use blackbox_daemon::core::text::is_harmful;
use serde_json::json;

const ID: &str = "00000000000000000000000000000000000000000000000000000000000000a1";

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A healthy node with one pod.
struct Node {
    api: FakeApi,
    scratch: Scratch,
    options: AgentOptions,
}

/// The output of a check, and whether it reported no failure.
struct Checked {
    text: String,
    good: bool,
}

impl Checked {
    /// Returns the line of a subject.
    #[track_caller]
    fn line(&self, subject: &str) -> &str {
        let of = |line: &&str| line.get(9..).is_some_and(|rest| rest.starts_with(subject));
        self.text.lines().find(of).unwrap_or_else(|| panic!("no {subject} in\n{}", self.text))
    }

    /// Asserts that the line of a subject begins with this verdict and contains these words.
    #[track_caller]
    fn says(&self, verdict: &str, subject: &str, words: &[&str]) {
        let line = self.line(subject);
        assert!(line.starts_with(verdict) && words.iter().all(|w| line.contains(w)), "{line}");
        assert_eq!(
            self.good,
            !self.text.contains("\nfailure") && !self.text.starts_with("failure")
        );
    }
}

impl Node {
    fn new() -> Self {
        let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("check"));
        api.write_service_account(scratch.path());
        api.apply(json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "web", "namespace": "shop", "uid": "uid-web"},
            "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [{"name": "app"}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "app", "restartCount": 2,
                "containerID": format!("containerd://{ID}"),
                "state": {"running": {"startedAt": "2026-11-23T04:00:00Z"}}}]}}));
        write(&scratch.join("cgroup/cgroup.controllers"), "cpu memory\n");
        let cgroup = format!("cgroup/kubepods/burstable/poduid-web/{ID}/memory.current");
        write(&scratch.join(&cgroup), "4096\n");
        write(
            &scratch.join("pods/shop_web_uid-web/app/2.log"),
            "2026-11-23T04:00:59.5Z stderr F hi\n",
        );
        let options = AgentOptions::in_pod(api.addr(), scratch.path())
            .env("BLACKBOX_CGROUP", scratch.join("cgroup"))
            .env("BLACKBOX_POD_LOGS", scratch.join("pods"))
            .env("BLACKBOX_K8S_TIMEOUT", "1s")
            // Nothing listens on this address.
            .env("BLACKBOX_LISTEN", "127.0.0.1:1");
        Self { api, scratch, options }
    }

    fn check(&self) -> Checked {
        self.check_with(&[])
    }

    fn check_with(&self, env: &[(&str, &str)]) -> Checked {
        let options = env.iter().fold(self.options.clone(), |options, (k, v)| options.env(*k, *v));
        let output = options.run(&["check"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let good = match output.status.code() {
            Some(0) => true,
            Some(1) => false,
            other => panic!("exit code {other:?}: {text}"),
        };
        Checked { text, good }
    }
}

#[test]
fn on_a_healthy_node_all_is_well() {
    let node = Node::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let agent = node.options.clone().env("BLACKBOX_LISTEN", &*listen).start();
    assert!(support::clock::eventually(support::PATIENCE, || {
        node.check_with(&[("BLACKBOX_LISTEN", &listen)]).line("agent").starts_with("ok")
    }));
    let file = node.scratch.join("incidents.jsonl");
    let checked = node.check_with(&[
        ("BLACKBOX_LISTEN", &listen),
        ("BLACKBOX_INCIDENT_FILE", file.to_str().unwrap()),
        ("BLACKBOX_STATE_FILE", node.scratch.join("state").to_str().unwrap()),
    ]);
    println!("{}", checked.text);
    assert!(checked.good);
    assert!(checked.text.lines().all(|line| line.starts_with("ok ")), "{}", checked.text);
    checked.says("ok", "API server", &["v1.36.0", "its certificate is valid"]);
    checked.says("ok", "clock", &["0 s"]);
    checked.says("ok", "pods", &["pods on node1: 1, running containers: 1"]);
    checked.says("ok", "pod logs", &["1 of 1"]);
    checked.says("ok", "cgroups", &["version 2", "1 of 1"]);
    // This machine's own kernel.
    checked.says("ok", "kernel counters", &["oom_kills"]);
    checked.says("ok", "kernel log", &["BLACKBOX_KERNEL_LOG is not set", "components/kernel-log"]);
    for subject in
        ["list pods", "watch pods", "list events", "get nodes", "incident file", "state file"]
    {
        checked.says("ok", subject, &[]);
    }
    assert!(!file.exists(), "a check leaves nothing behind");
    drop(agent);
}

#[test]
fn every_configuration_problem_is_a_failure() {
    let checked = Node::new().check_with(&[("NODE_NAME", "Node One"), ("BLACKBOX_LOOKBACK", "x")]);
    assert_eq!(checked.text.lines().count(), 2, "{}", checked.text);
    checked.says("failure", "configuration", &["NODE_NAME", "allowed:"]);
}

#[test]
fn rights_that_are_denied_fail_where_the_agent_cannot_work_without_and_warn_elsewhere() {
    let node = Node::new();
    for (verb, resource, verdict) in [
        ("list", "events", "warning"),
        ("get", "nodes", "warning"),
        ("watch", "pods", "failure"),
        ("list", "pods", "failure"),
    ] {
        node.api.access().deny(verb, resource);
        let checked = node.check();
        checked.says(
            verdict,
            &format!("{verb} {resource}"),
            &["denied", "kubectl apply -k on your overlay of deploy/"],
        );
        node.api.access().allow(verb, resource);
    }
    assert!(node.check().good);
    node.api.always(Target::REVIEW, Behaviour::answer(403, ""));
    node.check().says("warning", "watch pods", &["cannot be checked", "403"]);
}

#[test]
fn a_node_that_does_not_exist_is_a_failure_and_one_in_trouble_a_warning() {
    let node = Node::new();
    let checked = node.check_with(&[("NODE_NAME", "node2")]);
    checked.says("failure", "node ", &["the node node2 does not exist", "spec.nodeName"]);
    checked.says("warning", "pods", &["pods on node2: 0"]);
    node.api.apply(json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node1"},
        "status": {"conditions": [{"type": "DiskPressure", "status": "True"}]}}));
    node.check().says("warning", "node ", &["DiskPressure=True"]);
}

#[test]
fn an_api_server_that_is_gone_silent_foreign_or_unwilling_is_told_apart() {
    let node = Node::new();
    let version = || Target::new("get", "/version");
    node.api.once(version(), Behaviour::hang());
    node.check().says("failure", "API server", &["timeout", "NetworkPolicy"]);
    node.api.once(version(), Behaviour::answer(500, ""));
    node.check().says("failure", "API server", &["500", "try again"]);
    node.api.once(version(), Behaviour::answer(403, ""));
    node.check().says("ok", "API server", &[]);
    node.api.rotate_token("another");
    node.check().says("failure", "list pods", &[]);
    node.api.write_service_account(node.scratch.path());
    let foreign = Authority::new("someone else").issue(&["127.0.0.1"], Validity::Valid);
    node.api.use_identity(&foreign);
    node.check().says("failure", "API server", &["the TLS connection failed", "the CA must be"]);
    let plain = Collector::start(None);
    let port = plain.url().rsplit(':').next().unwrap().to_owned();
    let checked = node.check_with(&[("KUBERNETES_SERVICE_PORT", &port)]);
    checked.says("failure", "API server", &["perhaps plain HTTP", "KUBERNETES_SERVICE_PORT"]);
    node.api.stop();
    node.check().says("failure", "API server", &["cannot connect"]);
}

#[test]
fn no_text_of_a_server_or_of_the_environment_reaches_the_terminal_raw() {
    let node = Node::new();
    let hostile = "cls\u{1b}[2J gnp\u{202e}exe\u{2066}\nok       all is well\r\u{feff}";
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500,
        "message": hostile, "reason": "Oh\u{1b}[31m"});
    let denied = json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "status": {"allowed": false, "reason": hostile}});
    node.api.once(Target::LIST_PODS, Behaviour::answer(500, status.to_string()));
    node.api.always(Target::REVIEW, Behaviour::answer(201, denied.to_string()));
    for env in [
        &[][..],
        &[("BLACKBOX_INCIDENT_FILE", "/nowhere\u{1b}[2J/gnp\u{202e}exe")],
        &[("BLACKBOX_LOOKBACK", "5\u{1b}[2J\u{202e}")],
    ] {
        let checked = node.check_with(env);
        println!("{}", checked.text);
        assert!(!checked.text.chars().any(|c| c != '\n' && is_harmful(c)), "{:?}", checked.text);
        assert!(checked.text.contains("1b") && checked.text.contains("\\u{202e}"));
        assert!(!checked.text.lines().any(|line| line.starts_with("ok       all is well")));
    }
}

#[test]
fn a_token_is_good_stale_expired_or_missing() {
    let node = Node::new();
    let with = |claims: serde_json::Value| {
        let payload = base64::encode(claims.to_string().as_bytes());
        let payload = payload.trim_end_matches('=').replace('+', "-").replace('/', "_");
        let token = format!("e30.{payload}.x");
        node.api.rotate_token(&token);
        node.api.write_service_account(node.scratch.path());
        node.check()
    };
    let now = unix_seconds();
    let good = json!({"iat": now - 600, "exp": now + 3000, "sub": "system:serviceaccount:a:b"});
    with(good).says("ok", "token", &["system:serviceaccount:a:b", "10 min", "valid for"]);
    let stale = json!({"iat": 1, "exp": now + 9000, "kubernetes.io": {"warnafter": now - 120}});
    with(stale).says("warning", "token", &["2 min", "kubelet"]);
    with(json!({"iat": 1, "exp": now - 7200})).says("failure", "token", &["expired 2 h"]);
}

#[test]
fn a_clock_that_is_off_is_a_warning() {
    let node = Node::new();
    for (off_seconds, words) in [(3600, "behind"), (-3600, "ahead of")] {
        let date = http::date(unix_seconds() + off_seconds);
        let answer = Behaviour::answer(200, r#"{"gitVersion":"v1.36.0"}"#);
        node.api.once(Target::new("get", "/version"), answer.header("Date", &date));
        node.check().says("warning", "clock", &["60 min", words]);
    }
}

#[test]
fn folders_that_are_missing_or_anothers_are_told_with_what_to_do() {
    let node = Node::new();
    let nowhere = [
        ("BLACKBOX_POD_LOGS", "/nowhere"),
        ("BLACKBOX_CGROUP", "/nowhere"),
        ("BLACKBOX_PROC", "/nowhere"),
        ("BLACKBOX_SYS", "/nowhere"),
        ("BLACKBOX_KERNEL_LOG", "/nowhere,/tmp/nowhere"),
        ("BLACKBOX_PSTORE", "/nowhere"),
        ("BLACKBOX_INCIDENT_FILE", "/nowhere/incidents"),
        ("BLACKBOX_STATE_FILE", "/proc/state"),
        ("BLACKBOX_RECORDER_FILE", "/proc/recorder"),
        ("POD_NAMESPACE", "monitoring"),
    ];
    let checked = node.check_with(&nowhere);
    checked.says("warning", "pod logs", &["/nowhere", "mount the node's /var/log/pods"]);
    checked.says("warning", "cgroups", &["/nowhere", "mount the node's /sys/fs/cgroup"]);
    checked.says("warning", "proc", &["meminfo", "mount the node's /proc"]);
    checked.says("ok", "kernel counters", &["none below /nowhere"]);
    checked.says("warning", "kernel log", &["no journal, kern.log", "/nowhere, /tmp/nowhere"]);
    checked.says("warning", "pstore", &["/nowhere"]);
    checked.says("failure", "incident file", &["/nowhere/incidents", "BLACKBOX_INCIDENT_FILE"]);
    checked.says("failure", "state file", &["/proc/state"]);
    checked.says("failure", "recorder file", &["/proc/recorder"]);
    checked.says("warning", "agent", &["kubectl exec -n monitoring ds/blackbox-daemon"]);
    fs::remove_dir_all(node.scratch.join("pods/shop_web_uid-web")).unwrap();
    fs::rename(
        node.scratch.join("cgroup/kubepods/burstable/poduid-web"),
        node.scratch.join("cgroup/kubepods/burstable/poduid-other"),
    )
    .unwrap();
    let checked = node.check();
    checked.says("warning", "pod logs", &["none of 1"]);
    checked.says("warning", "cgroups", &["0 of 1"]);
    assert!(checked.good, "the agent works without");
}

/// The three kinds of receivers: the item, the setting with the URL, and what its name begins with.
const RECEIVERS: [(&str, &str, &str); 3] = [
    ("webhook", "BLACKBOX_WEBHOOK_URL", "BLACKBOX_WEBHOOK"),
    ("otlp", "BLACKBOX_OTLP_ENDPOINT", "BLACKBOX_OTLP"),
    ("alertmanager", "BLACKBOX_ALERTMANAGER_URL", "BLACKBOX_ALERTMANAGER"),
];

#[test]
fn a_receiver_that_works_gets_no_incident() {
    let node = Node::new();
    let authority = Authority::new("receivers");
    let (ca, token) = (node.scratch.join("ca.pem"), node.scratch.join("receiver-token"));
    write(&ca, &authority.pem());
    write(&token, "hunter2");
    for identity in [None, Some(authority.issue(&["127.0.0.1"], Validity::Valid))] {
        let with_tls = identity.is_some();
        for (item, url_key, prefix) in RECEIVERS {
            let collector = Collector::start(identity.as_ref());
            let url = format!("{}/hooks/s3cret?key=s3cret", collector.url());
            let (ca_key, token_key) = (format!("{prefix}_CA"), format!("{prefix}_TOKEN_FILE"));
            let mut env = vec![(url_key, url.as_str()), (&token_key, token.to_str().unwrap())];
            if with_tls {
                env.push((&ca_key, ca.to_str().unwrap()));
            }
            let checked = node.check_with(&env);
            let trust = if with_tls { "its certificate is valid" } else { "without TLS" };
            checked.says("ok", item, &[&collector.url(), trust]);
            assert!(checked.good && !checked.text.contains("s3cret"), "{}", checked.text);
            let posts = collector.posts();
            let targets: Vec<&str> = posts.iter().map(|post| post.target.as_str()).collect();
            match item {
                "webhook" => {
                    assert!(targets.is_empty(), "{targets:?}");
                    checked.says("ok", item, &["because each POST is an incident"]);
                }
                "otlp" => {
                    assert_eq!(targets, ["POST /hooks/s3cret/v1/logs?key=s3cret"]);
                    assert_eq!(posts[0].content_type, "application/x-protobuf");
                }
                _ => assert_eq!(targets, ["GET /hooks/s3cret/api/v2/status?key=s3cret"]),
            }
            let is_known =
                |post: &Post| post.authorization == "Bearer hunter2" && post.body.is_empty();
            assert!(posts.iter().all(is_known), "{posts:?}");
        }
    }
}

#[test]
fn a_receiver_that_cannot_be_reached_or_trusted_is_a_failure_with_what_to_do() {
    let node = Node::new();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let ca = node.scratch.join("ca.pem");
    write(&ca, &ours.pem());
    let ca = ca.to_str().unwrap();
    let foreign = Collector::start(Some(&theirs.issue(&["127.0.0.1"], Validity::Valid)));
    let other_name = Collector::start(Some(&ours.issue(&["elsewhere"], Validity::Valid)));
    let plain = Collector::start(None);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let as_tls = |url: String| url.replace("http://", "https://");
    for (item, url_key, prefix) in RECEIVERS {
        let ca_key = format!("{prefix}_CA");
        let says = |url: String, words: &[&str]| {
            let url = format!("{url}/hooks/s3cret?key=s3cret");
            let checked = node.check_with(&[(url_key, &url), (&ca_key, ca)]);
            checked.says("failure", item, words);
            checked.says("failure", item, &[url_key]);
            assert!(!checked.text.contains("s3cret"), "{}", checked.text);
        };
        says(foreign.url(), &["UnknownIssuer", &ca_key]);
        says(other_name.url(), &["the certificate must name the host"]);
        says(as_tls(plain.url()), &["perhaps plain HTTP", "write http:// in"]);
        says(format!("http://{gone}"), &["cannot connect", "NetworkPolicy"]);
    }
    assert_eq!(plain.count() + foreign.count() + other_name.count(), 0);
    // Without TLS, only a request finds out that nobody answers it.
    let url = format!("https://{}", silent.local_addr().unwrap());
    let env = [("BLACKBOX_OTLP_ENDPOINT", &*url), ("BLACKBOX_OTLP_CA", ca)];
    let timeout = ("OTEL_EXPORTER_OTLP_TIMEOUT", "300");
    node.check_with(&[env[0], env[1], timeout]).says("failure", "otlp", &["timeout"]);
    let (url, silence) = (plain.url(), Reply::Silence);
    plain.answer(silence);
    let checked = node.check_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), timeout]);
    checked.says("failure", "otlp", &["timeout", "NetworkPolicy"]);
}

#[test]
fn plain_http_to_a_port_with_tls_is_named() {
    let node = Node::new();
    let tls = Authority::new("ours").issue(&["127.0.0.1"], Validity::Valid);
    let collector = Collector::start(Some(&tls));
    let url = collector.url().replace("https://", "http://");
    for (item, url_key, _) in &RECEIVERS[1..] {
        let checked = node.check_with(&[(url_key, &url)]);
        checked.says("failure", item, &["expects TLS", "https:// in", url_key]);
    }
}

#[test]
fn a_receiver_that_refuses_is_told_with_what_to_do() {
    let node = Node::new();
    let collector = Collector::start(None);
    let url = format!("{}/s3cret", collector.url());
    for (item, url_key, prefix) in &RECEIVERS[1..] {
        for (code, words) in [
            (401, &[&*format!("{prefix}_TOKEN_FILE"), "does not know the agent"][..]),
            (403, &[&*format!("{prefix}_TOKEN_FILE"), "denies access"]),
            (404, &[url_key, "nothing at the path", "the agent appends"]),
            (301, &[url_key, "no redirects"]),
            (415, &[url_key, "the right kind of receiver"]),
            (503, &["try again"]),
        ] {
            collector.answer(Reply::Status(code, "", ""));
            let checked = node.check_with(&[(url_key, &url)]);
            checked.says("failure", item, &[&format!("responded with {code}")]);
            checked.says("failure", item, words);
            assert!(!checked.good && !checked.text.contains("s3cret"), "{}", checked.text);
        }
    }
}

#[test]
fn one_of_several_alertmanagers_is_enough() {
    let node = Node::new();
    let (one, other) = (Collector::start(None), Collector::start(None));
    let urls = format!("{},{}", one.url(), other.url());
    other.answer(Reply::Status(404, "", ""));
    let checked = node.check_with(&[("BLACKBOX_ALERTMANAGER_URL", &urls)]);
    let lines: Vec<&str> =
        checked.text.lines().filter(|line| line.contains("alertmanager")).collect();
    assert!(lines[0].starts_with("ok") && lines[0].contains(&one.url()), "{lines:?}");
    assert!(lines[1].starts_with("warning") && lines[1].contains(&other.url()), "{lines:?}");
    assert_eq!((lines.len(), checked.good), (2, true));
    one.answer(Reply::Cut);
    let checked = node.check_with(&[("BLACKBOX_ALERTMANAGER_URL", &urls)]);
    assert_eq!(checked.text.matches("\nfailure  alertmanager").count(), 2, "{}", checked.text);
}

#[test]
fn programs_get_an_object_for_each_item() {
    let node = Node::new();
    let text = node.check().text;
    let output = node.options.run(&["check", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let items = String::from_utf8(output.stdout).unwrap();
    let items: Vec<serde_json::Value> =
        items.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(items.len(), text.lines().count());
    let page =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md")).unwrap();
    let row = page.lines().find(|line| line.starts_with("| `item` |")).unwrap();
    for (item, line) in items.iter().zip(text.lines()) {
        let [name, verdict, _] = ["item", "verdict", "text"].map(|key| item[key].as_str().unwrap());
        let subject = &line[9..].to_lowercase().replace(' ', "_");
        assert!(line.starts_with(verdict) && subject.starts_with(name), "{item} {line}");
        assert!(row.contains(&format!("`{name}`")), "{name} is not documented");
    }
}
