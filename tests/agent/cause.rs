//! The cause of a crash from its log, its fingerprint, and what the node has seen, through the real binary.

use std::fs;

use serde_json::{Value, json};

use crate::support::clock::eventually;
use crate::support::{Agent, AgentOptions, FakeApi, Options, PATIENCE, Scratch, crash};

const LOG: &str = "2026-11-23T04:00:00.1Z stdout F INFO starting
2026-11-23T04:00:00.5Z stderr F Traceback (most recent call last):
2026-11-23T04:00:00.5Z stderr F   File \"/app/settings.py\", line 12, in load
2026-11-23T04:00:00.5Z stderr F     raise KeyError(\"DATABASE_URL\")
2026-11-23T04:00:00.5Z stdout F INFO metrics flushed
2026-11-23T04:00:00.5Z stderr F KeyError: 'DATABASE_URL'
";

/// Returns a pod of the Deployment `checkout`.
fn pod(name: &str, ends: u32) -> Value {
    let mut pod = crash::pod(name, ends);
    pod["metadata"]["labels"] = json!({"pod-template-hash": "6988cfd45b"});
    pod["metadata"]["ownerReferences"] =
        json!([{"kind": "ReplicaSet", "name": "checkout-6988cfd45b", "controller": true}]);
    pod["metadata"]["creationTimestamp"] = json!("2026-11-23T03:59:49Z");
    pod
}

/// A pod crashes with that log; returns its line.
fn crashes(api: &FakeApi, scratch: &Scratch, agent: &Agent, name: &str) -> Value {
    let folder = scratch.join(&format!("pods/shop_{name}_uid-{name}/app"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("0.log"), LOG).unwrap();
    api.apply(pod(name, 0));
    api.apply(pod(name, 1));
    let own = || agent.incidents().into_iter().find(|incident| incident["pod_name"] == *name);
    assert!(eventually(PATIENCE, || own().is_some()), "{}", agent.log());
    own().unwrap()
}

#[test]
fn pods_of_one_workload_with_one_fault_have_one_fingerprint_over_restarts_of_the_agent() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("cause"));
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let start = || {
        let agent = AgentOptions::kubeconfig(&scratch.join("kubeconfig"))
            .env("BLACKBOX_POD_LOGS", scratch.join("pods"))
            .env("BLACKBOX_STATE_FILE", scratch.join("state"))
            .env("BLACKBOX_LOOKBACK", "0s")
            .start();
        agent.wait_ready();
        agent
    };
    let mut agent = start();
    let first = crashes(&api, &scratch, &agent, "checkout-6988cfd45b-aaaaa");
    assert_eq!(
        first["message"],
        "container app of shop/checkout-6988cfd45b-aaaaa exited with code 1 after 1 s: KeyError: 'DATABASE_URL' \
         (settings.py:12); restarts: 1; first crash of its kind on this node since the agent started, 12 s after the pod \
         was made"
    );
    let cause = json!({"error_type": "KeyError", "message": "'DATABASE_URL'", "location": "settings.py:12 in load",
        "source": "log", "line": "KeyError: 'DATABASE_URL'"});
    assert_eq!(first["cause"], cause);
    assert_eq!(first["metadata"]["workload"], json!({"kind": "Deployment", "name": "checkout"}));
    assert_eq!(first["metadata"]["seen"], json!({"count": 1, "first_at": first["occurred_at"]}));

    // Another pod of the workload is another crash of the same kind, and from the sixth on its line is short.
    for n in 2..=6 {
        let next = crashes(&api, &scratch, &agent, &format!("checkout-6988cfd45b-{n}"));
        assert_eq!(next["fingerprint"], first["fingerprint"]);
        assert_eq!(next["metadata"]["seen"]["count"], n);
        assert_eq!(next["telemetry"]["brief"] == true, n == 6, "{n}");
        assert!(!next["message"].as_str().unwrap().contains("first crash"));
    }
    agent.end("TERM");
    agent = start();
    let later = crashes(&api, &scratch, &agent, "checkout-6988cfd45b-7");
    assert_eq!(later["fingerprint"], first["fingerprint"]);
    assert_eq!(later["metadata"]["seen"]["count"], 7);
    assert_eq!(later["metadata"]["seen"]["first_at"], first["occurred_at"]);
}
