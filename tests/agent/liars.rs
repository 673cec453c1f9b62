//! An API server, or whoever can write to it, that says what cannot be: positions that no watch can begin at, a pod that
//! claims to be another one, a connection that only seems to live.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::clock::eventually;
use crate::support::crash::crash;
use crate::support::script::Insertion;
use crate::support::{
    Agent, AgentOptions, Behaviour, Ending, FakeApi, Options, PATIENCE, Point, Scratch, Target,
};

fn start(api: &FakeApi, set: impl FnOnce(AgentOptions) -> AgentOptions) -> (Agent, Scratch) {
    let scratch = Scratch::new("liars");
    api.write_service_account(&scratch.join(""));
    let options = AgentOptions::in_pod(api.addr(), &scratch.join(""));
    (set(options.env("BLACKBOX_K8S_RETRY_INTERVAL", "100ms")).start(), scratch)
}

fn bookmark(version: &str) -> Vec<u8> {
    let object = json!({"kind": "Pod", "metadata": {"resourceVersion": version}});
    format!("{}\n", json!({"type": "BOOKMARK", "object": object})).into_bytes()
}

#[test]
fn a_position_that_cannot_be_used_is_not_asked_for() {
    let long = "7".repeat(40_000);
    for version in ["abc", "a b", "5\r\nHost: evil", "1&watch=0", "\u{202e}9", &long] {
        let api = FakeApi::start(Options::default());
        let lie = Behaviour::api().insert(0, Insertion::Bytes(bookmark(version)));
        api.once(Target::WATCH_PODS, lie.ends(Point::Events(1), Ending::Close));
        let (agent, _scratch) = start(&api, |options| options);
        agent.wait_ready();
        crash(&api, "a");
        agent.wait_for_crashes_of(&["a"]);
        let asked: Vec<String> =
            api.requests().iter().map(|r| format!("{}?{}", r.path, r.query)).collect();
        assert!(asked.iter().all(|target| target.len() < 400), "{version:.20}");
        assert_eq!(api.count("list", "pods"), 1, "{version:.20}: {asked:?}");
        assert!(agent.metric("blackbox_watch_malformed_total{kind=\"field\"}") >= 1.0);
    }
}

#[test]
fn a_position_that_the_server_refuses_is_given_up() {
    let api = FakeApi::start(Options::default());
    // The first LIST has a version that the server itself refuses afterwards.
    let list = json!({"kind": "PodList", "metadata": {"resourceVersion": "x1"}, "items": []});
    api.once(Target::LIST_PODS, Behaviour::answer(200, list.to_string()));
    let (agent, _scratch) = start(&api, |options| options);
    crash(&api, "a");
    assert!(eventually(PATIENCE, || !agent.incidents().is_empty()), "never heard of it");
    let empty = |query: &str| query.ends_with("resourceVersion=");
    assert!(api.requests().iter().any(|request| empty(&request.query)));
    assert_eq!(agent.get("/readyz").0, 200);
}

/// Returns a pod whose container has ended once, long before, with these annotations.
fn claims(name: &str, uid: &str, annotations: &Value) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "shop", "uid": uid, "annotations": annotations},
        "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [{"name": "app"}]},
        "status": {"phase": "Running", "startTime": "2026-11-27T04:00:00Z", "containerStatuses": [{
            "name": "app", "restartCount": 7, "containerID": format!("containerd://{name}-8"),
            "state": {"running": {"startedAt": "2026-11-27T04:00:00Z"}},
            "lastState": {"terminated": {"exitCode": 3, "reason": "Error",
                "startedAt": "2026-11-27T03:00:00Z", "finishedAt": "2026-11-27T04:00:00Z",
                "containerID": format!("containerd://{name}-7")}}}]}
    })
}

#[test]
fn a_pod_that_claims_the_uid_of_another_one_neither_hides_it_nor_speaks_in_its_name() {
    let uid = "5f0c4f3e-6a1b-4f0e-9d59-0f6a1b2c3d4e";
    let claim = json!({"kubernetes.io/config.mirror": uid, "kubernetes.io/config.hash": uid});
    let is_claim_first = [true, false];
    for is_first in is_claim_first {
        let api = FakeApi::start(Options::default());
        let (evil, victim) = ("a-claimant", "b-victim");
        let mut pods = vec![
            claims(evil, "11111111-2222-4333-8444-555555555555", &claim),
            claims(victim, uid, &json!({})),
        ];
        if !is_first {
            pods.reverse();
        }
        pods.into_iter().for_each(|pod| {
            api.apply(pod);
        });
        let (agent, _scratch) = start(&api, |options| options.env("BLACKBOX_LOOKBACK", "0s"));
        agent.wait_ready();
        let mut crashed = claims(victim, uid, &json!({}));
        let status = &mut crashed["status"]["containerStatuses"][0];
        status["restartCount"] = 8.into();
        status["containerID"] = "containerd://b-victim-9".into();
        status["lastState"]["terminated"]["containerID"] = "containerd://b-victim-8".into();
        api.apply(crashed);
        agent.wait_for_crashes_of(&[victim]);
        let incident = &agent.incidents()[0];
        assert_eq!(incident["pod_uid"], uid);
        assert_eq!(incident["metadata"]["restarts"]["unseen"], 0, "{incident}");
    }
}

#[test]
fn a_watch_that_trickles_bytes_and_no_line_is_given_up() {
    let api = FakeApi::start(Options::default());
    let line = Insertion::Trickle { bytes: 400, every: Duration::from_millis(50) };
    api.once(Target::WATCH_PODS, Behaviour::api().insert(0, line));
    let (agent, _scratch) = start(&api, |o| o.env("BLACKBOX_WATCH_IDLE_TIMEOUT", "2s"));
    agent.wait_ready();
    assert!(eventually(Duration::from_secs(8), || api.count("watch", "pods") >= 2), "it waits");
    crash(&api, "a");
    agent.wait_for_crashes_of(&["a"]);
}
