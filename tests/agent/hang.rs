//! Pods that hang and pods that the node refuses: one line for an episode, with the words of the event, also after a
//! restart of the agent.

use std::time::Duration;

use crate::support::clock::{Stopper, eventually};
use crate::support::{Agent, AgentOptions, FakeApi, Options, PATIENCE, Scratch};
use serde_json::{Value, json};

fn pod(name: &str, phase: &str, state: &Value) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}")},
        "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [
            {"name": "app", "readinessProbe": {"periodSeconds": 1}}]},
        "status": {"phase": phase, "containerStatuses": [{"name": "app", "restartCount": 0,
            "containerID": "", "ready": false, "state": state, "lastState": {}}]}
    })
}

fn event(pod: &str, reason: &str, message: &str, field: &str) -> Value {
    json!({
        "kind": "Event", "apiVersion": "v1", "type": "Warning", "reason": reason, "message": message,
        "metadata": {"name": format!("{pod}.1"), "namespace": "shop", "uid": format!("event-{pod}")},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": pod,
            "uid": format!("uid-{pod}"), "fieldPath": field},
        "count": 3, "firstTimestamp": "2026-11-23T04:00:00Z", "lastTimestamp": "2026-11-23T04:01:00Z"
    })
}

fn start(scratch: &Scratch) -> Agent {
    let agent = AgentOptions::kubeconfig(&scratch.join("kubeconfig"))
        .env("BLACKBOX_STATE_FILE", scratch.join("state"))
        .env("BLACKBOX_STUCK_AFTER", "1s")
        .env("BLACKBOX_UNREADY_AFTER", "1s")
        .start();
    agent.wait_ready();
    agent
}

#[test]
fn pods_that_hang_are_told_once_with_the_words_of_their_events() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("hang"));
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let mut agent = start(&scratch);
    let waits = json!({"waiting": {"reason": "ContainerCreating"}});
    api.apply(event("mount", "FailedMount", "secret \"x\" not found", ""));
    api.apply(event("probe", "Unhealthy", "Readiness probe failed: 503", "spec.containers{app}"));
    api.apply(pod("mount", "Pending", &waits));
    api.apply(pod("probe", "Running", &json!({"running": {"startedAt": "2026-11-23T04:00:00Z"}})));
    let told = |agent: &Agent| agent.lines_from(0).len();
    assert!(eventually(PATIENCE, || told(&agent) >= 2), "{}", agent.log());
    let mut messages: Vec<String> = Vec::new();
    for incident in agent.incidents() {
        messages.push(incident["message"].as_str().unwrap().to_owned());
    }
    messages.sort();
    assert!(
        messages[0].starts_with("container app of shop/probe runs and has not been ready for 1 s")
            && messages[0].ends_with(": Readiness probe failed: 503"),
        "{messages:?}"
    );
    let mount = "pod shop/mount has not started for 1 s: FailedMount: secret \"x\" not found";
    assert_eq!(messages[1], mount);
    agent.end("TERM");
    let agent = start(&scratch);
    Stopper::default().wait(Duration::from_secs(3));
    assert_eq!(told(&agent), 0, "the episodes go on, and were told: {:?}", agent.incidents());
}

#[test]
fn a_storm_of_refusals_is_two_lines_and_exact_in_the_metric() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("refused"));
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let mut agent = start(&scratch);
    for n in 0..40 {
        let mut refused = pod(&format!("agent-{n}"), "Failed", &json!({}));
        refused["metadata"]["ownerReferences"] =
            json!([{"kind": "DaemonSet", "name": "agent", "controller": true}]);
        refused["status"] = json!({"phase": "Failed", "reason": "OutOfpods", "message": "no room"});
        api.apply(refused);
    }
    let folded = || agent.metric("blackbox_incidents_folded_total");
    assert!(eventually(PATIENCE, || folded() == 38.0), "{}", folded());
    assert!(eventually(PATIENCE, || agent.lines_from(0).len() == 1), "{}", agent.log());
    agent.end("TERM");
    let lines = agent.last_lines();
    let repeats = |line: &String| {
        serde_json::from_str::<Value>(line).unwrap()["metadata"]["repeats"].as_u64()
    };
    assert_eq!(lines.iter().map(repeats).collect::<Vec<_>>(), [None, Some(39)]);
}
