//! What pods may post to the agent, and the responses: over real sockets, to the real server and routes, with a pod
//! whose address is 127.0.0.1.
//!
//! `cargo test --test telemetry -- --nocapture | grep '^|'` prints the table of responses.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Duration;

use blackbox_daemon::config::Config;
use blackbox_daemon::core::detect::{Detector, History, Output};
use blackbox_daemon::core::roster::Roster;
use blackbox_daemon::core::sidecar::Sidecars;
use blackbox_daemon::core::wire::json;
use blackbox_daemon::limits::{
    HTTP_CONNECTION_MAX, TELEMETRY_BYTES_MAX, TELEMETRY_NAMES_MAX, TELEMETRY_SAMPLES_MAX,
};
use blackbox_daemon::metrics::{Label, Metrics, PostResult};
use blackbox_daemon::runtime::clock::Clock;
use blackbox_daemon::serve::http::HttpServer;
use blackbox_daemon::serve::recent::RecentIncidents;
use blackbox_daemon::serve::routes::{self, Known};
use serde_json::{Value, json};
use support::clock::{Stopper, now};
use support::{FakeApi, Options, Scratch};

/// The agent's HTTP server, and the state behind it.
struct Bench {
    addr: SocketAddr,
    clock: Clock,
    metrics: Arc<Metrics>,
    sidecars: Arc<Mutex<Sidecars>>,
}

fn pod(name: &str, address: &str, is_host_network: bool) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "uid": format!("uid-{name}")},
        "spec": {"hostNetwork": is_host_network, "containers": [{"name": "app"}]},
        "status": {"phase": "Running", "podIPs": [{"ip": address}], "containerStatuses": [{
            "name": "app", "containerID": "containerd://1",
            "state": {"running": {"startedAt": "2026-11-23T04:00:00Z"}}}]}
    })
}

/// Creates a roster, filled by the detection.
fn roster(pods: &[Value], clock: Clock) -> Roster {
    let history = History::Before { started: clock.wall(), lookback: Duration::ZERO };
    let mut detector = Detector::new("node1", &[], history);
    let mut out = Vec::new();
    for pod in pods {
        let text = pod.to_string();
        detector.on_applied(&json::from_slice(text.as_bytes()).unwrap(), clock.now(), &mut out);
    }
    let mut roster = Roster::default();
    for output in out {
        if let Output::Placed(place) = output {
            roster.place(*place);
        }
    }
    roster
}

fn config() -> Config {
    let scratch = Scratch::new("telemetry");
    let kubeconfig = scratch.join("kubeconfig");
    FakeApi::start(Options::default()).write_kubeconfig(&kubeconfig);
    let vars = [("NODE_NAME", "node1".into()), ("KUBECONFIG", kubeconfig.into_os_string())];
    Config::from_env(vars.map(|(key, value)| (OsString::from(key), value))).unwrap()
}

impl Bench {
    fn start(pods: &[Value]) -> Self {
        let clock = Clock::start();
        let metrics = Arc::<Metrics>::default();
        let sidecars = Arc::<Mutex<Sidecars>>::default();
        let roster = Arc::new(Mutex::new(roster(pods, clock)));
        let recent = Arc::new(RecentIncidents::new(clock.wall()));
        let known = Known { health: Arc::default(), recent, clock };
        let handler = routes::handler(&metrics, known, &config(), &roster, &sidecars);
        let server = HttpServer::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let server = server.with_posts(routes::POSTS);
        let addr = server.local_addr();
        Builder::new().spawn(move || server.run(clock, handler)).unwrap();
        Self { addr, clock, metrics, sidecars }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Sends these bytes and returns the response. The server may close the connection before it has read all of
    /// them.
    fn ask(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
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

    /// Returns what an incident of the pod would show.
    fn section(&self, name: &str) -> Value {
        let section = self.sidecars.lock().unwrap();
        let section = section.section(&format!("uid-{name}"), self.clock.monotonic());
        serde_json::to_value(section).unwrap()
    }

    /// Returns the number of posts with this result.
    fn posts(&self, result: PostResult) -> u64 {
        self.metrics.telemetry_posts.get(result)
    }
}

fn request(body: &str, lines: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/telemetry HTTP/1.1\r\nHost: node1\r\n{lines}Content-Length: {length}\r\n\r\n{body}"
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

/// Returns the memory of this process, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
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
    assert_eq!(bench.posts(PostResult::Ok), 2);
    let page = bench.ask(b"GET /metrics HTTP/1.1\r\n\r\n");
    assert!(page.contains("\nblackbox_telemetry_posts_total{result=\"ok\"} 2\n"), "{page}");
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
    assert_eq!(bench.posts(PostResult::Forbidden), 3);
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
    let mut held = bench.connect();
    held.write_all(b"POST /v1/telemetry HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"metr").unwrap();
    let mut text = String::new();
    held.read_to_string(&mut text).unwrap();
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
    let (before, table) = (resident_kib(), bench.sidecars.lock().unwrap().bytes());
    for _ in 0..15 {
        for (_, request, _) in &tries {
            bench.ask(request.as_bytes());
        }
        Stopper::default().wait(Duration::from_millis(20));
    }
    let idle: Vec<_> = (0..100).map(|_| bench.connect()).collect();
    assert!(bench.ask(b"GET /healthz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 "));
    drop(idle);
    let (after, sidecars) = (resident_kib(), bench.sidecars.lock().unwrap());
    let bytes = sidecars.bytes();
    println!("| memory | {before} KiB before, {after} KiB after | the table: {bytes} bytes |");
    assert!(after < before + 2048, "{before} KiB before, {after} KiB after");
    // One pod uses no more than its share.
    let one_pod_max = TELEMETRY_NAMES_MAX * (TELEMETRY_SAMPLES_MAX * 12 + 200) + 1024;
    assert!(table <= bytes && bytes <= one_pod_max && one_pod_max < TELEMETRY_BYTES_MAX / 50);
    assert_eq!((sidecars.pods(), sidecars.series()), (1, TELEMETRY_NAMES_MAX));
    drop(sidecars);
    assert!(PostResult::all().into_iter().all(|r| (bench.posts(r) > 0) == (r != PostResult::Full)));
    assert_eq!(bench.section("other"), Value::Null);
}
