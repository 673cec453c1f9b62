//! SIGTERM and SIGINT terminate the agent cleanly and at once, whatever it is waiting for.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::clock::{self, eventually};
use crate::support::crash::crash;
use crate::support::{
    Agent, AgentOptions, Behaviour, Ending, FakeApi, Options, PATIENCE, Point, Scratch, Target,
    may_unshare,
};

/// The promise to the kubelet. This is not a benchmark: an agent that misses it delays its users' rollouts.
const PROMISE: Duration = Duration::from_secs(1);

/// Starts an agent against a changed API server, waits for `seen`, and terminates the agent.
#[track_caller]
fn ends_in_order(signal: &str, bend: impl Fn(&FakeApi), seen: impl Fn(&FakeApi) -> bool) {
    let api = FakeApi::start(Options::default());
    bend(&api);
    let scratch = Scratch::new("ending");
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let mut agent = AgentOptions::kubeconfig(&scratch.join("kubeconfig")).start();
    assert!(eventually(PATIENCE, || seen(&api)), "the server never saw it");
    let (status, took) = agent.end(signal);
    assert_eq!(status.code(), Some(0), "{}", agent.log());
    assert!(took < PROMISE, "{took:?}\n{}", agent.log());
}

#[test]
fn sigterm_ends_a_silent_watch() {
    ends_in_order("TERM", |_| {}, |api| api.open_watches() == 1);
}

#[test]
fn sigint_ends_a_silent_watch() {
    ends_in_order("INT", |_| {}, |api| api.open_watches() == 1);
}

#[test]
fn sigterm_ends_a_list_that_hangs_before_its_head() {
    ends_in_order(
        "TERM",
        |api| api.always(Target::LIST_PODS, Behaviour::hang()),
        |api| api.count("list", "pods") == 1,
    );
}

#[test]
fn sigterm_ends_a_list_that_hangs_in_its_body() {
    let in_body = Behaviour::api().ends(Point::Bytes(20), Ending::Hang);
    ends_in_order(
        "TERM",
        |api| api.always(Target::LIST_PODS, in_body.clone()),
        |api| api.count("list", "pods") == 1,
    );
}

#[test]
fn sigterm_ends_a_handshake_that_hangs() {
    let scratch = Scratch::new("ending-handshake");
    let api = FakeApi::start(Options::default());
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    api.on_accept(Some(Ending::Hang));
    let mut agent = AgentOptions::kubeconfig(&scratch.join("kubeconfig")).start();
    agent.wait_for_log("http on");
    let (status, took) = agent.end("TERM");
    assert_eq!(status.code(), Some(0));
    assert!(took < PROMISE, "{took:?}");
}

/// A port whose accept queue is full: the kernel leaves further connection attempts unanswered.
struct Unanswered {
    listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Unanswered {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let queued: Vec<TcpStream> = (0..10_000).map_while(connect).collect();
        Self { listener, _queued: queued }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

#[test]
fn sigterm_ends_an_agent_whose_api_server_is_unreachable() {
    let scratch = Scratch::new("ending-unreachable");
    let api = FakeApi::start(Options::default());
    let kubeconfig = scratch.join("kubeconfig");
    api.write_kubeconfig(&kubeconfig);
    let refused = api.addr();
    api.stop();
    let hangs = Unanswered::new();
    for address in [refused, hangs.address()] {
        let text = std::fs::read_to_string(&kubeconfig).unwrap();
        let text = text.replace(&refused.to_string(), &address.to_string());
        std::fs::write(&kubeconfig, text).unwrap();
        let mut agent = AgentOptions::kubeconfig(&kubeconfig).start();
        agent.wait_for_log("http on");
        let (status, took) = agent.end("TERM");
        assert_eq!(status.code(), Some(0), "{address}");
        assert!(took < PROMISE, "{address}: {took:?}");
    }
}

/// Starts an agent whose stdout is full: it has more to report than a pipe holds.
fn start_blocked(api: &FakeApi, scratch: &Scratch) -> Agent {
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let options = AgentOptions::kubeconfig(&scratch.join("kubeconfig"));
    let agent = options.with_stdout_unread().start();
    agent.wait_ready();
    for n in 0..200 {
        crash(api, &format!("pod-{n}"));
    }
    let told = || agent.metric("blackbox_incidents_total{type=\"error\",severity=\"medium\"}");
    assert!(eventually(PATIENCE, || told() == 200.0), "a full pipe does not hold up the watch");
    assert!(agent.metric("blackbox_sink_queued{sink=\"stdout\"}") > 0.0);
    agent
}

#[test]
fn sigterm_ends_an_agent_whose_stdout_is_full_and_says_what_is_lost() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("ending-full"));
    let mut agent = start_blocked(&api, &scratch);
    let (status, took) = agent.end("TERM");
    assert_eq!(status.code(), Some(0));
    assert!(took < PROMISE, "{took:?}");
    agent.wait_for_log("incidents could not be written in time");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("ending-twice"));
    let mut agent = start_blocked(&api, &scratch);
    agent.signal("TERM");
    agent.wait_for_log("signal 15: ending");
    agent.signal("INT");
    assert_eq!(agent.wait().code(), Some(1));
}

#[test]
fn as_pid_1_it_ends_as_well() {
    if !may_unshare("--pid") {
        return;
    }
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("ending-pid-1"));
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let options = AgentOptions::kubeconfig(&scratch.join("kubeconfig"));
    let mut agent = options.with_pid_1().start();
    agent.wait_ready();
    assert!(eventually(PATIENCE, || api.open_watches() == 1));
    let sent = clock::now();
    Agent::signal_to(agent.child_of_child(), "TERM");
    assert_eq!(agent.wait().code(), Some(0), "{}", agent.log());
    assert!(clock::now() - sent < PROMISE);
}
