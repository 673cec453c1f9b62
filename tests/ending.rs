//! SIGTERM and SIGINT end the agent in order and at once, whatever it waits for.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::time::Duration;

use support::clock::eventually;
use support::{
    AgentOptions, Behaviour, Ending, FakeApi, Options, PATIENCE, Point, Scratch, Target,
};

/// The promise to the kubelet. No bench: an agent that misses it fails its users' roll-outs.
const PROMISE: Duration = Duration::from_secs(1);

/// Starts an agent against a bent API server, waits for `seen`, and ends it.
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

#[test]
fn sigterm_ends_an_agent_whose_api_server_is_unreachable() {
    let scratch = Scratch::new("ending-unreachable");
    let api = FakeApi::start(Options::default());
    let kubeconfig = scratch.join("kubeconfig");
    api.write_kubeconfig(&kubeconfig);
    let refused = api.addr();
    api.stop();
    // An address that nobody answers for (RFC 5737) hangs in connect, a closed port refuses.
    for address in [refused.to_string(), "192.0.2.1:6443".to_owned()] {
        let text = std::fs::read_to_string(&kubeconfig).unwrap();
        std::fs::write(&kubeconfig, text.replace(&refused.to_string(), &address)).unwrap();
        let mut agent = AgentOptions::kubeconfig(&kubeconfig).start();
        agent.wait_for_log("http on");
        let (status, took) = agent.end("TERM");
        assert_eq!(status.code(), Some(0), "{address}");
        assert!(took < PROMISE, "{address}: {took:?}");
    }
}
