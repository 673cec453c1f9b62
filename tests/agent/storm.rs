//! A thousand crashes in ten seconds: all are reported, with no more requests to the API server than promised.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::bed::millis;
use crate::support::clock::{self, Stopper, eventually};
use crate::support::{AgentOptions, FakeApi, Options, PATIENCE, Scratch};
use serde_json::{Value, json};

const CRASHES: u32 = 1000;
/// The promise in docs/incident.md: a burst, and then one lookup per 200 ms.
const LOOKUP_BURST: usize = 20;
const LOOKUP_INTERVAL: Duration = Duration::from_millis(200);

/// Exit codes of which only events can show whether the kubelet stopped the container, with and without a probe, and one
/// that needs no evidence.
const KINDS: [(i32, bool); 4] = [(137, true), (1, true), (143, false), (1, false)];

/// Returns a pod whose container ended; its next instance is running.
fn ended(n: u32) -> Value {
    let name = format!("pod-{n}");
    let (code, is_probed) = KINDS[n as usize % KINDS.len()];
    let probe = if is_probed { json!({"periodSeconds": 1}) } else { Value::Null };
    let end = json!({"terminated": {"exitCode": code, "reason": "Error",
        "containerID": format!("containerd://{name}-0"),
        "startedAt": "2026-11-23T04:00:00Z", "finishedAt": "2026-11-23T04:01:00Z"}});
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{n}")},
        "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [
            {"name": "app", "livenessProbe": probe}]},
        "status": {"phase": "Running", "containerStatuses": [{
            "name": "app", "restartCount": 1, "containerID": format!("containerd://{name}-1"),
            "state": {"running": {"startedAt": "2026-11-23T04:01:01Z"}}, "lastState": end}]}
    })
}

#[test]
fn a_storm_is_told_whole_and_asks_for_events_no_more_than_promised() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("storm"));
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let agent = AgentOptions::kubeconfig(&scratch.join("kubeconfig")).start();
    agent.wait_ready();
    let since = clock::now();
    for n in 0..CRASHES {
        api.apply(ended(n));
        Stopper::default().wait(millis(10));
    }
    let told = || agent.lines_from(0).len() as u32;
    assert!(eventually(PATIENCE, || told() >= CRASHES), "{} of {CRASHES}", told());
    let lookups = api.count("list", "events");
    let elapsed = clock::now() - since;
    let promised = LOOKUP_BURST + elapsed.div_duration_f64(LOOKUP_INTERVAL) as usize + 1;
    assert!(lookups <= promised, "{lookups} of {promised}");
    assert!(lookups > LOOKUP_BURST, "they are asked for");
    let incidents = agent.incidents();
    let ids: BTreeSet<_> = incidents.iter().map(|i| i["id"].to_string()).collect();
    assert_eq!((ids.len() as u32, told()), (CRASHES, CRASHES), "each once");
    let of = |code: i32, is_probed: bool| {
        let is_own = move |i: &&Value| {
            let n: usize = i["pod_name"].as_str().unwrap()[4..].parse().unwrap();
            KINDS[n % KINDS.len()] == (code, is_probed)
        };
        incidents.iter().filter(is_own)
    };
    let sure = |i: &&Value| i["metadata"]["confidence"] == "confirmed";
    // Without a lookup, what the kubelet may have done must not be reported as confirmed.
    let looked_up = KINDS[..3].iter().flat_map(|kind| of(kind.0, kind.1)).filter(sure).count();
    assert!(looked_up <= lookups, "{looked_up} confirmed by {lookups} lookups");
    assert_eq!(of(1, false).filter(sure).count() as u32, CRASHES / 4, "no lookup is needed");
    println!(
        "{CRASHES} crashes in {elapsed:.1?}: {lookups} lookups of events, {promised} promised"
    );
}
