//! The role grants exactly the calls that the agent makes: every call that it grants is made in this test, and every
//! fake API server fails its test if the agent makes another one (`tests/support/role.rs`).

use std::collections::BTreeSet;
use std::fs;

use crate::support::clock::eventually;
use crate::support::role::{GRANTED, GRANTED_TO_ALL, call_of_the_agent};
use crate::support::{AgentOptions, FakeApi, Options, PATIENCE, Scratch};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    kind: String,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
}

/// Returns what `deploy/rbac.yaml` grants, as `verb resource`; all of it is in the core group.
fn granted() -> BTreeSet<String> {
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/rbac.yaml")).unwrap();
    let documents =
        text.split("\n---\n").map(|text| serde_saphyr::from_str::<Document>(text).unwrap());
    let roles: Vec<Document> = documents.filter(|d| d.kind.ends_with("Role")).collect();
    assert_eq!(roles.len(), 1);
    let mut granted = BTreeSet::new();
    for rule in &roles[0].rules {
        assert_eq!(rule.api_groups, [""]);
        for resource in &rule.resources {
            granted.extend(rule.verbs.iter().map(|verb| format!("{verb} {resource}")));
        }
    }
    granted
}

/// Causes a termination that may be due to a failed probe, so that events and the node are requested; and runs a
/// check.
fn all_calls_of_the_agent() -> BTreeSet<String> {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("rbac"));
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let options = AgentOptions::kubeconfig(&scratch.join("kubeconfig"));
    let agent = options.clone().start();
    agent.wait_ready();
    let pod = |count: u32, last: serde_json::Value| {
        json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "web", "namespace": "shop", "uid": "web-1"},
            "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [{"name": "app",
                "livenessProbe": {"periodSeconds": 1}}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "app",
                "restartCount": count, "lastState": last, "containerID": format!("containerd://{count}"),
                "state": {"running": {"startedAt": "2026-11-23T04:00:00Z"}}}]}})
    };
    api.apply(pod(0, json!({})));
    // Any incident needs the node; a termination that may be due to a failed probe needs the events.
    for (count, exit_code) in [(1, 1), (2, 137)] {
        let ended = json!({"terminated": {"exitCode": exit_code, "reason": "Error",
            "containerID": format!("containerd://{}", count - 1),
            "startedAt": "2026-11-23T04:00:00Z", "finishedAt": "2026-11-23T04:01:00Z"}});
        api.apply(pod(count, ended));
    }
    let asked = || api.count("list", "events") > 0 && api.count("get", "nodes") > 0;
    assert!(eventually(PATIENCE, asked));
    options.run(&["check"]);
    api.requests().iter().filter_map(call_of_the_agent).collect()
}

#[test]
fn the_role_grants_what_the_agent_calls_and_nothing_else() {
    let mut needed = all_calls_of_the_agent();
    for free in GRANTED_TO_ALL {
        assert!(needed.remove(free), "{free} is called no more");
    }
    assert_eq!(granted(), needed, "granted, and called");
    assert_eq!(granted(), GRANTED.map(str::to_owned).into(), "granted, and accepted by the fake");
}
