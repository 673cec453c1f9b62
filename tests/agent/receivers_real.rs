//! A storm of crashes, and real receivers that go away and come back: rotel for OpenTelemetry, Debian's Alertmanager. Run by
//! `.ci/receivers`, which names their programs. The webhook and the chat have no program of their own; their rows use the
//! test collector.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::agent::connect;
use crate::support::bed::millis;
use crate::support::clock::{self, eventually};
use crate::support::collector::{ACCEPTED, Collector, Post, Reply};
use crate::support::{Bed, BedOptions, PATIENCE, Scratch};
use serde_json::Value;

/// How long a receiver is away.
const AWAY: Duration = Duration::from_secs(5);
/// How long the storm lasts before it, and after it.
const STORM: Duration = Duration::from_secs(5);

fn program(key: &str) -> String {
    std::env::var(key).unwrap_or_else(|_| panic!("set {key}, as .ci/receivers does"))
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A program that runs until it is dropped.
struct Running(Child);

impl Running {
    fn start(program: &str, arguments: &[&str], stdout: Stdio) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Ends it in order, so that it passes on what it has accepted.
    fn end(mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What became of the incidents that a receiver had to get.
#[derive(Debug, PartialEq, Eq)]
struct Score {
    received: usize,
    doubled: usize,
    lost: usize,
}

impl Score {
    /// Compares how often each incident arrived with those that had to.
    fn of(received: &BTreeMap<String, usize>, wanted: &[&Value]) -> Self {
        let arrived = |line: &&&Value| received.contains_key(line["id"].as_str().unwrap());
        Self {
            received: received.len(),
            doubled: received.values().map(|times| times - 1).sum(),
            lost: wanted.len() - wanted.iter().filter(arrived).count(),
        }
    }
}

/// A receiver that can go away.
trait Receiver {
    fn sink(&self) -> &'static str;
    fn env(&self) -> Vec<(&'static str, String)>;
    fn go_away(&mut self);
    /// Returns true if what arrives just before it goes away is in no count of it.
    fn forgets_the_last(&self) -> bool {
        false
    }
    fn come_back(&mut self);
    /// Waits until the receiver has passed on what it got.
    fn score(&mut self, wanted: &[&Value]) -> Score;
}

/// rotel, which prints the records that it gets.
struct Rotel {
    addr: SocketAddr,
    files: Scratch,
    running: Option<Running>,
}

impl Rotel {
    fn start() -> Self {
        let mut rotel = Self { addr: free_port(), files: Scratch::new("rotel"), running: None };
        rotel.come_back();
        rotel
    }
}

impl Receiver for Rotel {
    fn sink(&self) -> &'static str {
        "otlp"
    }

    fn env(&self) -> Vec<(&'static str, String)> {
        vec![("BLACKBOX_OTLP_ENDPOINT", format!("http://{}", self.addr))]
    }

    fn go_away(&mut self) {
        self.running.take().unwrap().end();
    }

    fn come_back(&mut self) {
        let (grpc, http) = (free_port().to_string(), self.addr.to_string());
        let mut arguments = vec!["start", "--otlp-grpc-endpoint", &grpc, "--exporter", "blackhole"];
        arguments.extend(["--otlp-http-endpoint", &http, "--debug-log", "logs"]);
        arguments.extend(["--debug-log-verbosity", "detailed"]);
        let records = File::options().create(true).append(true).open(self.files.join("records"));
        let rotel = program("BLACKBOX_ROTEL");
        self.running = Some(Running::start(&rotel, &arguments, records.unwrap().into()));
        assert!(eventually(PATIENCE, || TcpStream::connect(self.addr).is_ok()));
    }

    fn score(&mut self, wanted: &[&Value]) -> Score {
        self.go_away();
        let records = fs::read_to_string(self.files.join("records")).unwrap();
        let uid = |line: &str| {
            let (_, value) = line.split_once("-> log.record.uid: Str(")?;
            Some(value.trim_end_matches(')').to_owned())
        };
        let mut received = BTreeMap::new();
        for id in records.lines().filter_map(uid) {
            *received.entry(id).or_default() += 1;
        }
        Score::of(&received, wanted)
    }
}

/// Alertmanager. It shows how many alerts it got, and which ones are there now; it keeps none over its restart.
struct Alertmanager {
    addr: SocketAddr,
    files: Scratch,
    received: usize,
    running: Option<Running>,
}

impl Alertmanager {
    fn start() -> Self {
        let files = Scratch::new("alertmanager");
        fs::write(files.join("config"), "route: {receiver: none}\nreceivers: [{name: none}]\n")
            .unwrap();
        let mut alertmanager = Self { addr: free_port(), files, received: 0, running: None };
        alertmanager.come_back();
        alertmanager
    }

    fn get(&self, path: &str) -> String {
        let mut stream = connect(self.addr);
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn count(&self) -> usize {
        let metrics = self.get("/metrics");
        let series = "alertmanager_alerts_received_total{status=\"firing\",version=\"v2\"} ";
        metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap().parse().unwrap()
    }
}

impl Receiver for Alertmanager {
    fn sink(&self) -> &'static str {
        "alertmanager"
    }

    fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("BLACKBOX_ALERTMANAGER_URL", format!("http://{}", self.addr)),
            ("BLACKBOX_ALERT_MIN_SEVERITY", "low".to_owned()),
        ]
    }

    fn go_away(&mut self) {
        self.received += self.count();
        self.running.take().unwrap().end();
    }

    fn forgets_the_last(&self) -> bool {
        true
    }

    fn come_back(&mut self) {
        let flag = |name: &str, value: String| format!("--{name}={value}");
        let path = |name: &str| self.files.join(name).to_str().unwrap().to_owned();
        let arguments = [
            flag("config.file", path("config")),
            flag("storage.path", path("data")),
            flag("web.listen-address", self.addr.to_string()),
            flag("cluster.listen-address", String::new()),
        ];
        let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
        self.running =
            Some(Running::start(&program("BLACKBOX_ALERTMANAGER"), &arguments, Stdio::null()));
        assert!(eventually(PATIENCE, || TcpStream::connect(self.addr).is_ok()));
    }

    fn score(&mut self, wanted: &[&Value]) -> Score {
        let received = self.received + self.count();
        let alerts: Vec<Value> = serde_json::from_str(&self.get("/api/v2/alerts")).unwrap();
        let newest = wanted.last().unwrap();
        let is_newest = |alert: &Value| alert["annotations"]["incident_id"] == newest["id"];
        assert!(alerts.iter().any(is_newest), "the newest incident is an alert");
        let (doubled, lost) =
            (received.saturating_sub(wanted.len()), wanted.len().saturating_sub(received));
        Score { received: received - doubled, doubled, lost }
    }
}

/// A test collector that closes each connection while it is away.
struct Webhook(Collector);

impl Receiver for Webhook {
    fn sink(&self) -> &'static str {
        "webhook"
    }

    fn env(&self) -> Vec<(&'static str, String)> {
        vec![("BLACKBOX_WEBHOOK_URL", self.0.url())]
    }

    fn go_away(&mut self) {
        self.0.answer(Reply::Cut);
    }

    fn come_back(&mut self) {
        self.0.answer(ACCEPTED);
    }

    fn score(&mut self, wanted: &[&Value]) -> Score {
        let mut received = BTreeMap::new();
        // While the collector was away, it noted the posts that it did not answer.
        for post in self.0.accepted() {
            *received.entry(post.key).or_default() += 1;
        }
        Score::of(&received, wanted)
    }
}

/// The same, as a chat: its messages and numbers must add up to the incidents.
struct Chat(Webhook);

impl Receiver for Chat {
    fn sink(&self) -> &'static str {
        "webhook"
    }

    fn env(&self) -> Vec<(&'static str, String)> {
        [self.0.env(), vec![("BLACKBOX_WEBHOOK_FORMAT", "slack".to_owned())]].concat()
    }

    fn go_away(&mut self) {
        self.0.go_away();
    }

    fn come_back(&mut self) {
        self.0.come_back();
    }

    fn score(&mut self, wanted: &[&Value]) -> Score {
        let told = |post: &Post| {
            let body: Value = serde_json::from_str(&post.body).unwrap();
            let text = body["text"].as_str().unwrap().to_owned();
            let number = text.strip_prefix('*').and_then(|text| text.split_once(" more*"));
            number.map_or(1, |(number, _)| number.parse().unwrap())
        };
        let received: usize = self.0.0.accepted().iter().map(told).sum();
        let (doubled, lost) =
            (received.saturating_sub(wanted.len()), wanted.len().saturating_sub(received));
        Score { received: received - doubled, doubled, lost }
    }
}

/// Nothing, to compare the costs with.
struct Nobody;

impl Receiver for Nobody {
    fn sink(&self) -> &'static str {
        "stdout"
    }

    fn env(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn go_away(&mut self) {}

    fn come_back(&mut self) {}

    fn score(&mut self, wanted: &[&Value]) -> Score {
        Score { received: wanted.len(), doubled: 0, lost: 0 }
    }
}

/// Runs a storm, and prints a row of the table: lines, received, doubled, lost, seconds to catch up, CPU time for a line in
/// microseconds, and the highest memory in KiB.
fn storm(row: &str, mut receiver: Box<dyn Receiver>) {
    let env = receiver.env();
    let mut bed =
        Bed::with(row, BedOptions { pods: 40, pace: millis(5), env, ..BedOptions::default() });
    let sink = receiver.sink();
    let queued = |bed: &Bed| bed.agent.metric(&format!("blackbox_sink_queued{{sink=\"{sink}\"}}"));
    bed.wait(STORM);
    if receiver.forgets_the_last() {
        bed.pause();
        bed.wait(millis(500));
        assert!(eventually(PATIENCE, || queued(&bed) == 0.0), "{row}");
    }
    receiver.go_away();
    bed.resume();
    bed.wait(AWAY);
    receiver.come_back();
    let since = clock::now();
    // Lines keep coming, so a queue that works is seldom empty.
    assert!(eventually(PATIENCE, || queued(&bed) < 20.0), "{row}: {} lines wait", queued(&bed));
    let caught_up = clock::now() - since;
    bed.wait(STORM);
    bed.flush();
    assert!(eventually(PATIENCE, || bed.balance().is_even()), "{row}: {}", bed.balance());
    assert!(eventually(PATIENCE, || queued(&bed) == 0.0), "{row}: {} lines wait", queued(&bed));
    let cpu = bed.agent.metric("process_cpu_seconds_total");
    let peak_kib = bed.agent.proc_status("VmHWM");
    assert_eq!(bed.agent.metric(&format!("blackbox_sink_dropped_total{{sink=\"{sink}\"}}")), 0.0);
    let (status, _) = bed.agent.end("TERM");
    assert_eq!(status.code(), Some(0));
    let lines: Vec<Value> =
        bed.agent.last_lines().iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let wanted: Vec<&Value> = lines.iter().collect();
    let Score { received, doubled, lost } = receiver.score(&wanted);
    let cpu_per_line = cpu * 1e6 / lines.len() as f64;
    println!(
        "| {row} | {} | {received} | {doubled} | {lost} | {:.1} | {cpu_per_line:.0} | {peak_kib} |",
        lines.len(),
        caught_up.as_secs_f64()
    );
    assert_eq!(lost, 0, "{row}");
}

#[test]
#[ignore = "run by .ci/receivers, to compare with"]
fn without_a_receiver_a_storm_costs_this() {
    storm("none", Box::new(Nobody));
}

#[test]
#[ignore = "run by .ci/receivers"]
fn a_storm_reaches_a_collector_that_goes_away_and_comes_back() {
    storm("webhook", Box::new(Webhook(Collector::start(None))));
}

#[test]
#[ignore = "run by .ci/receivers"]
fn a_storm_reaches_a_chat_that_goes_away_and_comes_back() {
    storm("chat", Box::new(Chat(Webhook(Collector::start(None)))));
}

#[test]
#[ignore = "needs rotel: run .ci/receivers"]
fn a_storm_reaches_an_opentelemetry_receiver_that_goes_away_and_comes_back() {
    storm("OTLP, rotel", Box::new(Rotel::start()));
}

#[test]
#[ignore = "needs Alertmanager: run .ci/receivers"]
fn a_storm_reaches_an_alertmanager_that_goes_away_and_comes_back() {
    storm("Alertmanager", Box::new(Alertmanager::start()));
}
