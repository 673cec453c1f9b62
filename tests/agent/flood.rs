//! The kubelet's probes while another process floods the agent's port with connections.
//!
//! `cargo test --test agent flood::measure -- --ignored --nocapture | grep '^|'` prints the table of failed probes.
//! `BLACKBOX_FLOOD_SECONDS` sets the length of each row, `BLACKBOX_FLOOD_PROBE_SECONDS` the time between two probes,
//! `BLACKBOX_FLOOD_ROWS` selects rows by a part of their names, and `BLACKBOX_BINARY` the agent.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::clock::{Stopper, eventually, now};
use crate::support::{Agent, AgentOptions, FakeApi, Options, PATIENCE, Scratch};
use socket2::{Domain, Socket, Type};

/// The kubelet's timeout in the manifests.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How many connections of a flood stay open; then the oldest is reset.
const HELD_MAX: usize = 2000;

/// What the connections of a flood do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Stay open and send nothing.
    Silent,
    /// Are reset at once.
    Reset,
    /// Send a part of a request and stay open.
    Begun,
    /// Send the head of a post and never its body.
    Post,
    /// Send a whole request and do not read the answer.
    Asking,
}

impl Kind {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Silent | Self::Reset => b"",
            Self::Begun => b"GET /healthz HT",
            Self::Post => b"POST /v1/telemetry HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
            Self::Asking => b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        }
    }
}

/// A flood from threads of this process, until it is dropped.
struct Flood {
    stopper: Arc<Stopper>,
    made: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
    began: Instant,
}

impl Flood {
    /// Begins a flood of `per_second` connections from an address of this machine.
    fn start(to: SocketAddr, from: IpAddr, kind: Kind, per_second: u64) -> Self {
        let (stopper, made) = (Arc::<Stopper>::default(), Arc::<AtomicU64>::default());
        let count = if per_second > 5000 { 2 } else { 1 };
        let threads = (0..count)
            .map(|_| {
                let (stopper, made) = (stopper.clone(), made.clone());
                let flood = move || pour(to, from, kind, per_second / count, &stopper, &made);
                Builder::new().spawn(flood).unwrap()
            })
            .collect();
        Self { stopper, made, threads, began: now() }
    }

    /// Returns how many connections a second it has begun.
    fn per_second(&self) -> f64 {
        self.made.load(Ordering::Relaxed) as f64 / (now() - self.began).as_secs_f64()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stopper.stop();
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// Begins connections at a rate until it is stopped. Does not wait for any of them.
fn pour(
    to: SocketAddr,
    from: IpAddr,
    kind: Kind,
    per_second: u64,
    stopper: &Stopper,
    made: &AtomicU64,
) {
    let (began, mut count) = (now(), 0_u64);
    let mut held = VecDeque::new();
    while !stopper.is_stopped() {
        let due = (now() - began).as_micros() as u64 * per_second / 1_000_000;
        // After a pause of the machine the rate stays what it is.
        count = count.max(due.saturating_sub(per_second / 10));
        for _ in count..due {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            if !from.is_unspecified() {
                socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
            }
            // Without free ports the flood is only slower.
            let _ = socket.connect(&to.into());
            let _ = socket.set_linger(Some(Duration::ZERO));
            if !kind.bytes().is_empty() {
                let _ = socket.send(kind.bytes());
            }
            if kind != Kind::Reset {
                held.push_back(socket);
            }
            if held.len() > HELD_MAX {
                held.pop_front();
            }
            made.fetch_add(1, Ordering::Relaxed);
        }
        count = due;
        stopper.wait(Duration::from_micros(500));
    }
}

/// Asks for `/healthz` as the kubelet does; returns the time that it took, or `None` if the probe failed.
fn probe(addr: SocketAddr) -> Option<Duration> {
    let began = now();
    let mut stream = TcpStream::connect_timeout(&addr, PROBE_TIMEOUT).ok()?;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.36\r\n\r\n")
        .ok()?;
    let mut text = Vec::new();
    loop {
        let left = PROBE_TIMEOUT.checked_sub(now() - began).filter(|left| !left.is_zero())?;
        stream.set_read_timeout(Some(left)).unwrap();
        let mut block = [0; 512];
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(n) => text.extend_from_slice(&block[..n]),
            Err(_) => return None,
        }
    }
    text.starts_with(b"HTTP/1.1 200 OK\r\n").then(|| now() - began)
}

/// The probes during one flood.
struct Outcome {
    per_second: f64,
    probes: Vec<Option<Duration>>,
    log_lines: usize,
    cpu_seconds: f64,
}

impl Outcome {
    fn failed(&self) -> usize {
        self.probes.iter().filter(|probe| probe.is_none()).count()
    }

    fn row(&self, what: &str) -> String {
        let slowest = self.probes.iter().flatten().max().copied().unwrap_or_default();
        format!(
            "| {what} | {:.0} | {} of {} | {} ms | {} | {:.1} s |",
            self.per_second,
            self.failed(),
            self.probes.len(),
            slowest.as_millis(),
            self.log_lines,
            self.cpu_seconds
        )
    }
}

/// Floods an agent and probes it from 127.0.0.1, with this time between the probes.
fn flood(
    agent: &Agent,
    from: IpAddr,
    kind: Kind,
    per_second: u64,
    probes: u32,
    pause: Duration,
) -> Outcome {
    let (addr, lines, cpu) = (agent.http(), agent.log().lines().count(), cpu_seconds(agent));
    let flood = Flood::start(addr, from, kind, per_second);
    let probes: Vec<JoinHandle<Option<Duration>>> = (0..probes)
        .map(|_| {
            Stopper::default().wait(pause);
            Builder::new().spawn(move || probe(addr)).unwrap()
        })
        .collect();
    let per_second = flood.per_second();
    let probes = probes.into_iter().map(|probe| probe.join().unwrap()).collect();
    let cpu_seconds = cpu_seconds(agent) - cpu;
    drop(flood);
    let log_lines = agent.log().lines().count() - lines;
    Outcome { per_second, probes, log_lines, cpu_seconds }
}

/// Returns the CPU time that the agent has used.
fn cpu_seconds(agent: &Agent) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", agent.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) as f64 / 100.0
}

/// Returns the name of each thread of the agent, and how often it has waited.
fn threads(agent: &Agent) -> Vec<(String, u64)> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap();
    let read = |task: std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let waited = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"))?;
        Some((name.trim().to_owned(), waited.trim().parse().ok()?))
    };
    tasks.flatten().filter_map(read).collect()
}

/// Returns how often the thread that accepts connections has waited.
fn wakings(agent: &Agent) -> u64 {
    threads(agent).into_iter().find(|(name, _)| name == "http").unwrap().1
}

fn start(listen: &str) -> (FakeApi, Agent, Scratch) {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("flood"));
    api.write_service_account(scratch.path());
    let options = AgentOptions::in_pod(api.addr(), scratch.path()).env("BLACKBOX_LISTEN", listen);
    let agent = options.start();
    agent.wait_ready();
    (api, agent, scratch)
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The probes come more often than the kubelet's, so that a short test has enough of them.
#[test]
fn the_kubelets_probes_pass_while_the_port_is_flooded() {
    let (_api, agent, _scratch) = start("127.0.0.1:0");
    for (kind, from, per_second) in [
        (Kind::Silent, HERE, 10_000),
        (Kind::Reset, HERE, 10_000),
        (Kind::Begun, ELSEWHERE, 10_000),
        (Kind::Post, ELSEWHERE, 3000),
    ] {
        let pause = Duration::from_millis(100);
        let outcome = flood(&agent, from, kind, per_second, 15, pause);
        println!("{}", outcome.row(&format!("{kind:?} from {from}")));
        assert_eq!(outcome.failed(), 0, "{kind:?} from {from}");
    }
    // Four floods, and each is a trouble that comes and goes.
    let told = agent.log().lines().filter(|line| line.contains("http: ")).count();
    assert!(told <= 4, "{}", agent.log());
    // When the connections are gone, the server waits for the next one and for nothing else.
    let is_at_rest = || {
        let before = wakings(&agent);
        Stopper::default().wait(Duration::from_millis(500));
        wakings(&agent) == before
    };
    assert!(eventually(PATIENCE, is_at_rest), "it looks for connections that are not there");
    assert!(!threads(&agent).iter().any(|(name, _)| name == "http-conn"));
}

#[test]
fn a_listener_of_ipv6_is_flooded_as_well_and_probed_over_both() {
    for listen in ["[::]:0", "[::1]:0"] {
        if TcpListener::bind(listen).is_err() {
            eprintln!("SKIPPED: no IPv6 here");
            return;
        }
        let (_api, agent, _scratch) = start(listen);
        let over6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), agent.http().port());
        let over4 = SocketAddr::new(HERE, over6.port());
        let flood = Flood::start(over6, Ipv6Addr::LOCALHOST.into(), Kind::Silent, 5000);
        for _ in 0..10 {
            Stopper::default().wait(Duration::from_millis(100));
            assert!(probe(over6).is_some());
            assert!(listen == "[::1]:0" || probe(over4).is_some());
        }
        assert!(flood.per_second() > 100.0);
    }
}

#[test]
#[ignore = "measures"]
fn measure() {
    let set = |name: &str, default: u32| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap())
    };
    let pause = set("BLACKBOX_FLOOD_PROBE_SECONDS", 1);
    let probes = set("BLACKBOX_FLOOD_SECONDS", 20) / pause;
    let only = std::env::var("BLACKBOX_FLOOD_ROWS").unwrap_or_default();
    let (_api, agent, _scratch) = start("127.0.0.1:0");
    println!(
        "| flood | connects a second | failed probes | slowest answer | log lines | CPU of the agent |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut rows = vec![(Kind::Silent, HERE, 0)];
    for per_second in [300, 3000, 10_000, 35_000, 50_000] {
        rows.extend([(Kind::Silent, HERE, per_second), (Kind::Reset, HERE, per_second)]);
    }
    for kind in [Kind::Begun, Kind::Post, Kind::Asking] {
        rows.extend([(kind, HERE, 3000), (kind, HERE, 35_000)]);
    }
    rows.extend([(Kind::Silent, ELSEWHERE, 35_000), (Kind::Asking, ELSEWHERE, 35_000)]);
    for (kind, from, per_second) in rows {
        let what = format!("{kind:?} from {from}, {per_second}");
        if !what.contains(&only) {
            continue;
        }
        let pause = Duration::from_secs(pause.into());
        let outcome = flood(&agent, from, kind, per_second, probes, pause);
        println!("{}", outcome.row(&what));
        // The next row begins with an agent at rest.
        Stopper::default().wait(Duration::from_secs(3));
    }
    println!("| memory | {} KiB |", agent.proc_status("VmHWM"));
}
