//! What pods may post to the real binary, and the responses; the pod that posts has the address 127.0.0.1.
//!
//! `cargo test --test agent telemetry:: -- --nocapture | grep '^|'` prints the table of responses.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use crate::support::agent::connect;
use crate::support::clock::{Stopper, eventually, now};
use crate::support::crash::{self, crash};
use crate::support::{Agent, AgentOptions, FakeApi, Options, PATIENCE, Scratch};
use blackbox_daemon::limits::{HTTP_CONNECTION_MAX, TELEMETRY_NAMES_MAX, TELEMETRY_SAMPLES_MAX};
use blackbox_daemon::metrics::{Label, PostResult};
use serde_json::{Value, json};

/// An agent that knows some pods, and its API server.
struct Bench {
    agent: Agent,
    api: FakeApi,
    _scratch: Scratch,
}

fn pod(name: &str, address: &str, is_host_network: bool) -> Value {
    let mut pod = crash::pod(name, 0);
    pod["spec"]["hostNetwork"] = json!(is_host_network);
    pod["status"]["podIPs"] = json!([{"ip": address}]);
    pod
}

impl Bench {
    fn start(pods: &[Value]) -> Self {
        let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("telemetry"));
        api.write_service_account(scratch.path());
        for pod in pods {
            api.apply(pod.clone());
        }
        let agent = AgentOptions::in_pod(api.addr(), scratch.path()).start();
        agent.wait_ready();
        let bench = Self { agent, api, _scratch: scratch };
        // An agent that has reported a later crash knows the addresses of the pods in the list.
        crash(&bench.api, "later");
        bench.incident("later");
        bench
    }

    /// Sends these bytes and returns the response. The server may close the connection before it has read all of
    /// them.
    fn ask(&self, request: &[u8]) -> String {
        let mut stream = connect(self.agent.http());
        let sent = stream.write_all(request);
        let mut text = Vec::new();
        let got = stream.read_to_end(&mut text);
        for error in [sent.err(), got.err()].into_iter().flatten() {
            let cut = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
            assert!(cut.contains(&error.kind()), "{error}");
        }
        String::from_utf8(text).unwrap()
    }

    /// Posts a body and returns the response.
    fn post(&self, body: &str) -> String {
        self.ask(request(body, "Content-Type: application/json\r\n").as_bytes())
    }

    /// Waits for the incident of a pod.
    fn incident(&self, name: &str) -> Value {
        let find = || self.agent.incidents().into_iter().find(|i| i["pod_name"] == name);
        assert!(eventually(PATIENCE, || find().is_some()), "nothing is told of {name}");
        find().unwrap()
    }

    /// Makes the pod crash; returns its posts as the incident shows them.
    fn section(&self, name: &str) -> Value {
        self.api.apply(crash::pod(name, 1));
        self.incident(name)["telemetry"]["sidecar"].clone()
    }

    /// Returns the number of posts with this result.
    fn posts(&self, result: PostResult) -> f64 {
        self.agent.metric(&format!("blackbox_telemetry_posts_total{{{}}}", result.pairs()))
    }
}

fn request(body: &str, lines: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/telemetry HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn names(from: usize, to: usize) -> String {
    let names: Vec<_> = (from..to).map(|n| format!("\"a{n}\":{n}")).collect();
    format!("{{\"metrics\":{{{}}}}}", names.join(","))
}

/// Formats a response's status and text as a row of the table.
fn row(what: &str, answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or(("", ""));
    let status = head.lines().next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let after = head.lines().find(|line| line.starts_with("Retry-After"));
    let said: Vec<_> =
        after.into_iter().chain([body.trim_end()]).filter(|s| !s.is_empty()).collect();
    format!("| {what} | {} | {} |", status.unwrap_or("cut, no answer"), said.join("; "))
}

#[test]
fn what_a_pod_posts_is_kept_for_its_incidents() {
    let bench = Bench::start(&[pod("web", "127.0.0.1", false), pod("other", "10.0.0.2", false)]);
    for body in [
        r#"{"metrics": {"queue_depth": 12, "latency_p99_ms": 3.5}}"#,
        r#"{"metrics": {"queue_depth": 14}, "pod": {"namespace": "shop", "name": "web"}}"#,
    ] {
        let answer = bench.post(body);
        assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n"), "{answer}");
    }
    let section = bench.section("web");
    assert_eq!(section["queue_depth"]["values"], json!([12, 14]));
    assert_eq!(section["latency_p99_ms"]["values"], json!([3.5]));
    assert_eq!(bench.section("other"), Value::Null);
    assert_eq!(bench.posts(PostResult::Ok), 2.0);
}

#[test]
fn a_pod_on_the_hosts_network_names_itself() {
    let bench = Bench::start(&[pod("proxy", "192.0.2.1", true), pod("web", "10.0.0.1", false)]);
    for (named, status) in [
        ("", "403"),
        (r#","pod":{"namespace":"shop","name":"proxy"}"#, "204"),
        (r#","pod":{"namespace":"shop","name":"web"}"#, "403"),
        (r#","pod":{"namespace":"other","name":"proxy"}"#, "403"),
    ] {
        let answer = bench.post(&format!("{{\"metrics\":{{\"a\":1}}{named}}}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{named}: {answer}");
        println!("{}", row(&format!("from the node, {named:?}"), &answer));
    }
    assert_eq!(bench.section("proxy")["a"]["values"], json!([1]));
    assert_eq!(bench.posts(PostResult::Forbidden), 3.0);
}

#[test]
fn an_address_that_nobody_or_more_than_one_has_may_not_post() {
    for pods in [
        vec![pod("web", "10.0.0.1", false)],
        vec![pod("a", "127.0.0.1", false), pod("b", "127.0.0.1", false)],
    ] {
        let bench = Bench::start(&pods);
        let answer = bench.post(r#"{"metrics":{"a":1}}"#);
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
        println!("{}", row(&format!("{} pods", pods.len()), &answer));
    }
}

/// Returns everything that a pod may try in one request: a description, the bytes, the expected status.
fn tries() -> Vec<(&'static str, String, &'static str)> {
    let other = r#"{"metrics":{"a":1},"pod":{"namespace":"shop","name":"other"}}"#;
    let json = "Content-Type: application/json\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let page = format!("{json}Origin: https://evil.example\r\n");
    let sandbox = format!("{json}Origin: null\r\n");
    let rebound = request(&names(0, 1), json).replace("localhost", "evil.example:9464");
    let large = format!("{{\"metrics\":{{\"a\":1}}{}}}", " ".repeat(10 << 20));
    let deep = format!("{{\"metrics\":{{\"a\":{}", "[".repeat(8000));
    let bare = |lines: &str| format!("POST /v1/telemetry HTTP/1.1\r\n{lines}\r\n");
    let waiting = bare("Expect: 100-continue\r\nContent-Length: 10485760\r\n");
    let chunked = bare("Transfer-Encoding: chunked\r\n") + "5\r\nabcde\r\n0\r\n\r\n";
    vec![
        ("posts for another", request(other, json), "403"),
        ("posts 10 MB", request(&large, json), "413"),
        ("posts 10 MB, asks before", waiting, "413"),
        ("posts 10,000 names", request(&names(0, 10_000), json), "413"),
        ("posts 700 names", request(&names(0, 700), json), "422"),
        ("posts 17 names", request(&names(0, 17), json), "422"),
        ("posts garbage", request("\u{1}\u{2}{{{{", json), "400"),
        ("posts a form", request("a=1", form), "415"),
        ("posts JSON as text", request(&names(0, 1), "Content-Type: text/plain\r\n"), "415"),
        ("posts without a type", request(&names(0, 1), ""), "415"),
        ("posts from a page", request(&names(0, 1), &page), "403"),
        ("posts from a sandboxed page", request(&names(0, 1), &sandbox), "403"),
        ("posts by DNS rebinding", rebound, "403"),
        ("posts deep JSON", request(&deep, json), "400"),
        ("posts a text for a number", request(r#"{"metrics":{"a":"1"}}"#, json), "422"),
        ("posts a huge number", request(r#"{"metrics":{"a":1e999}}"#, json), "422"),
        ("posts a bad name", request(r#"{"metrics":{"a b":1}}"#, json), "422"),
        ("posts in chunks", chunked, "411"),
        ("posts without a length", bare(""), "411"),
        ("posts two lengths", request("{}", "Content-Length: 3\r\n"), "400"),
        ("posts elsewhere", request("{}", json).replace("telemetry", "incidents"), "405"),
        ("asks for what it posted", bare("").replace("POST", "GET"), "405"),
        ("posts 16 names", request(&names(0, 16), json), "204"),
        ("posts a seventeenth", request(&names(16, 17), json), "422"),
    ]
}

/// Starts a post and never completes it; returns the response.
fn hold(bench: &Bench) -> String {
    let began = now();
    let mut held = connect(bench.agent.http());
    held.write_all(b"POST /v1/telemetry HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"metr").unwrap();
    let mut text = String::new();
    // A connection that is closed with a part of its request unread is reset.
    let end = held.read_to_string(&mut text);
    assert!(end.is_ok() || end.unwrap_err().kind() == ErrorKind::ConnectionReset);
    assert!(now() - began < 2 * HTTP_CONNECTION_MAX);
    text
}

/// Prints the table of responses in the order of the tries, and the memory before and after many more of them.
#[test]
fn a_hostile_pod_gets_a_clear_answer_and_no_memory() {
    let bench = Bench::start(&[pod("web", "127.0.0.1", false), pod("other", "10.0.0.2", false)]);
    let tries = tries();
    println!("| the pod | answer | sentence |\n| --- | --- | --- |");
    for (what, request, status) in &tries {
        let answer = bench.ask(request.as_bytes());
        println!("{}", row(what, &answer));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
        let sentence = answer.split_once("\r\n\r\n").unwrap().1;
        assert!(sentence.lines().count() <= 1 && sentence.len() < 700, "{sentence}");
    }
    let held = hold(&bench);
    println!("{}", row("holds the connection open", &held));
    assert_eq!(held, "");
    let answers: Vec<_> = (0..30).map(|_| bench.post(&names(0, 16))).collect();
    let throttled = answers.iter().find(|answer| answer.starts_with("HTTP/1.1 429 ")).unwrap();
    println!("{}", row("posts thirty times at once", throttled));
    assert!(throttled.contains("\r\nRetry-After: 1\r\n"), "{throttled}");
    assert!(answers.iter().any(|answer| answer.starts_with("HTTP/1.1 204 ")));

    // Everything is warmed up: from here on memory must not grow, however long this continues.
    let before = bench.agent.proc_status("VmRSS");
    for _ in 0..15 {
        for (_, request, _) in &tries {
            bench.ask(request.as_bytes());
        }
        Stopper::default().wait(Duration::from_millis(20));
    }
    let idle: Vec<_> = (0..100).map(|_| connect(bench.agent.http())).collect();
    assert!(bench.ask(b"GET /healthz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 "));
    drop(idle);
    let after = bench.agent.proc_status("VmRSS");
    println!("| memory | {before} KiB before, {after} KiB after | |");
    assert!(after < before + 2048, "{before} KiB before, {after} KiB after");
    assert!(
        PostResult::all().into_iter().all(|r| (bench.posts(r) > 0.0) == (r != PostResult::Full))
    );
    // The pod uses no more than its share, and the other one nothing.
    let section = bench.section("web");
    let series = section.as_object().unwrap();
    assert_eq!(series.len(), TELEMETRY_NAMES_MAX, "{section}");
    let samples = |one: &Value| one["values"].as_array().unwrap().len();
    assert!(series.values().all(|one| samples(one) <= TELEMETRY_SAMPLES_MAX), "{section}");
    assert_eq!(bench.section("other"), Value::Null);
}
