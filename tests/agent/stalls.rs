//! What stops without an end: a reader of the log, a file that is a pipe, a disk. The agent goes on without it and says
//! so.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::agent::connect;
use crate::support::clock::{Stopper, eventually};
use crate::support::crash::{crash, pod};
use crate::support::{Agent, AgentOptions, FakeApi, Options, PATIENCE, Scratch, whole_lines};

/// Starts an agent on a port that is known without its log.
fn start_on_port(options: AgentOptions) -> (Agent, std::net::SocketAddr) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    (options.env("BLACKBOX_LISTEN", addr.to_string()).start(), addr)
}

fn get(addr: std::net::SocketAddr, path: &str) -> Option<String> {
    std::net::TcpStream::connect(addr).ok()?;
    let mut stream = connect(addr);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    // From the start, and from some line on.
    for lines in [0, 5] {
        let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("full-log"));
        api.write_service_account(&scratch.join(""));
        let options = AgentOptions::in_pod(api.addr(), &scratch.join(""))
            .env("RUST_LOG", "trace")
            .env("BLACKBOX_WATCH_IDLE_TIMEOUT", "2s")
            .with_log_read_for(lines);
        let (mut agent, addr) = start_on_port(options);
        let dropped = || {
            let page = get(addr, "/metrics")?;
            let line = page.lines().find(|l| l.starts_with("blackbox_log_lines_dropped_total "))?;
            line.split_once(' ')?.1.parse::<u64>().ok()
        };
        // Requests and events leave lines at this level.
        let fill = |n: u32| {
            crash(&api, &format!("fill-{lines}-{n}"));
            dropped().is_some_and(|dropped| dropped > 0)
        };
        assert!((0..4000).any(fill), "the log never filled");
        let before = agent.incidents().len();
        crash(&api, "last");
        assert!(eventually(PATIENCE, || agent.incidents().len() > before));
        assert!(get(addr, "/healthz").unwrap().starts_with("HTTP/1.1 200"));
        let (status, took) = agent.end("TERM");
        assert!(status.success() && took < Duration::from_secs(1), "{status} {took:?}");
    }
}

fn pipe(path: &Path) {
    let _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_token_file_that_is_a_pipe_does_not_stop_the_watch() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("pipe-token"));
    api.write_service_account(&scratch.join(""));
    let agent = AgentOptions::in_pod(api.addr(), &scratch.join(""))
        .env("BLACKBOX_K8S_RETRY_INTERVAL", "100ms")
        .start();
    agent.wait_ready();
    assert!(eventually(PATIENCE, || api.open_watches() == 1));
    pipe(&scratch.join("token"));
    api.rotate_token("another");
    api.end_watches();
    agent.wait_for_log("not a regular file");
    crash(&api, "a");
    let asked = api.requests().len();
    assert!(eventually(PATIENCE, || api.requests().len() > asked), "it does not try again");
    fs::remove_file(scratch.join("token")).unwrap();
    api.write_service_account(&scratch.join(""));
    agent.wait_for_crashes_of(&["a"]);
}

#[test]
fn pipes_in_the_place_of_the_agents_own_files_stop_nothing() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("pipe-files"));
    api.write_service_account(&scratch.join(""));
    let file = scratch.join("incidents.jsonl");
    for name in ["state.new", "incidents.jsonl.1", "incidents.jsonl.2"] {
        pipe(&scratch.join(name));
    }
    let mut agent = AgentOptions::in_pod(api.addr(), &scratch.join(""))
        .env("BLACKBOX_INCIDENT_FILE", &file)
        .env("BLACKBOX_STATE_FILE", scratch.join("state"))
        .start();
    agent.wait_ready();
    crash(&api, "a");
    agent.wait_for_crashes_of(&["a"]);
    assert!(eventually(PATIENCE, || whole_lines(&file).len() == 1), "{:?}", whole_lines(&file));
    agent.wait_for_log("cannot write");
    assert_eq!(agent.get("/healthz").0, 200);
    assert!(agent.end("TERM").0.success());
    // The same in the place of the files themselves: the agent starts, and reports to standard output.
    fs::remove_file(scratch.join("state.new")).unwrap();
    for name in ["state", "incidents.jsonl"] {
        pipe(&scratch.join(name));
    }
    let agent = AgentOptions::in_pod(api.addr(), &scratch.join(""))
        .env("BLACKBOX_INCIDENT_FILE", &file)
        .env("BLACKBOX_STATE_FILE", scratch.join("state"))
        .start();
    agent.wait_ready();
    crash(&api, "b");
    assert!(eventually(PATIENCE, || agent.incidents().iter().any(|i| i["pod_name"] == "b")));
}

/// `BLACKBOX_STALLED`: also waits the minute until the thread is named.
#[test]
fn a_read_of_a_cgroup_that_hangs_costs_the_samples_and_is_named() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("pipe-cgroup"));
    api.write_service_account(&scratch.join(""));
    let root = scratch.join("cgroup");
    let id = format!("{:064x}", 0xabc);
    let container = root.join("kubepods/burstable/poduid-stuck").join(&id);
    fs::create_dir_all(&container).unwrap();
    fs::write(root.join("cgroup.controllers"), "cpu io memory pids\n").unwrap();
    for name in ["memory.current", "memory.stat", "memory.events", "cpu.stat", "pids.current"] {
        pipe(&container.join(name));
    }
    let logs = scratch.join("pods/shop_a_uid-a/app");
    fs::create_dir_all(&logs).unwrap();
    fs::write(logs.join("0.log"), "2026-11-23T04:00:00.5Z stderr F its last words\n").unwrap();
    let agent = AgentOptions::in_pod(api.addr(), &scratch.join(""))
        .env("BLACKBOX_CGROUP", &root)
        .env("BLACKBOX_POD_LOGS", scratch.join("pods"))
        .env("BLACKBOX_SAMPLE_INTERVAL", "1s")
        .start();
    agent.wait_ready();
    let mut stuck = pod("stuck", 0);
    stuck["status"]["containerStatuses"][0]["containerID"] = format!("containerd://{id}").into();
    api.apply(stuck);
    let rounds = || agent.metric("blackbox_samples_total");
    let hangs = || {
        let before = rounds();
        Stopper::default().wait(Duration::from_millis(2500));
        rounds() == before
    };
    assert!(eventually(PATIENCE, hangs), "the sampler does not hang");
    crash(&api, "a");
    agent.wait_for_crashes_of(&["a"]);
    let incident = &agent.incidents()[0];
    let gaps = incident["telemetry"]["gaps"].to_string();
    assert!(gaps.contains("the thread that reads the cgroups hangs"), "{gaps}");
    let words = incident["telemetry"]["logs"].to_string();
    assert!(words.contains("its last words"), "{incident}");
    assert_eq!(agent.get("/healthz").1, "ok\n", "not yet");
    if std::env::var_os("BLACKBOX_STALLED").is_none() {
        return;
    }
    // A restart would not help, so the agent counts as alive, but not as ready.
    let is_named = || {
        let (alive, ready) = (agent.get("/healthz"), agent.get("/readyz"));
        let names = |text: &str| text.contains("the thread sampler has made no progress");
        (alive.0, ready.0) == (200, 503) && names(&alive.1) && names(&ready.1)
    };
    assert!(eventually(Duration::from_secs(90), is_named), "{:?}", agent.get("/healthz"));
}

/// `BLACKBOX_STOPPED_SECONDS`: how long the agent stands still.
#[test]
fn an_agent_that_stood_still_goes_on_where_it_was() {
    let seconds = std::env::var("BLACKBOX_STOPPED_SECONDS").map_or(8, |s| s.parse().unwrap());
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("stopped"));
    api.write_service_account(&scratch.join(""));
    let agent = AgentOptions::in_pod(api.addr(), &scratch.join(""))
        .env("BLACKBOX_K8S_RETRY_INTERVAL", "100ms")
        .env("BLACKBOX_INCIDENT_FILE", scratch.join("incidents.jsonl"))
        .env("BLACKBOX_STATE_FILE", scratch.join("state"))
        .start();
    agent.wait_ready();
    crash(&api, "before");
    agent.wait_for_crashes_of(&["before"]);
    agent.signal("STOP");
    crash(&api, "while");
    Stopper::default().wait(Duration::from_secs(seconds));
    api.end_watches();
    agent.signal("CONT");
    crash(&api, "after");
    agent.wait_for_crashes_of(&["before", "while", "after"]);
    let is_healthy = || agent.get("/healthz").0 == 200 && agent.get("/readyz").0 == 200;
    assert!(eventually(Duration::from_secs(5), is_healthy), "{:?}", agent.get("/healthz"));
    let file = scratch.join("incidents.jsonl");
    assert!(eventually(PATIENCE, || whole_lines(&file).len() == 3));
}
