//! What stops without an end: a reader of the log, a file that is a pipe, a disk. The agent goes on without it and says
//! so.

use std::net::TcpListener;

use crate::support::agent::connect;
use crate::support::clock::eventually;
use crate::support::crash::crash;
use crate::support::{Agent, AgentOptions, FakeApi, Options, PATIENCE, Scratch};

use std::io::{Read, Write};

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
        let (status, _) = agent.end("TERM");
        assert!(status.success(), "{status}");
    }
}
