//! Input that an API server should never send: it is counted and logged, and the agent continues with the rest.

use crate::support::crash::{crash, pod};
use crate::support::script::Insertion;
use crate::support::{Agent, AgentOptions, Behaviour, FakeApi, Options, Scratch, Target};
use serde_json::json;

/// Starts an agent against an API server that `bend` has changed before.
fn start(bend: impl FnOnce(&FakeApi)) -> (FakeApi, Agent, Scratch) {
    let api = FakeApi::start(Options::default());
    bend(&api);
    let scratch = Scratch::new("bad-input");
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let options = AgentOptions::kubeconfig(&scratch.join("kubeconfig"));
    // Short retries: the tests are about what comes after them.
    let agent = options.env("BLACKBOX_K8S_RETRY_INTERVAL", "100ms").start();
    (api, agent, scratch)
}

fn malformed(agent: &Agent, kind: &str) -> f64 {
    agent.metric(&format!("blackbox_watch_malformed_total{{kind=\"{kind}\"}}"))
}

#[test]
fn bad_lines_among_good_ones_cost_themselves() {
    let lines: [(&str, &[u8]); 5] = [
        ("json", b"{\"type\":\"ADDED\",\"object\":{\n"),
        ("json", b"\x00\x01\x02 garbage\n"),
        ("field", br#"{"type":"ADDED","object":{"metadata":{"namespace":"shop","name":"odd","uid":"x"},"status":{"containerStatuses":[{"restartCount":"many"}]}}}
"#),
        ("unknown_type", br#"{"type":"SYNCED","object":{"metadata":{"name":"new"}}}
"#),
        ("utf8", b"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"namespace\":\"shop\",\"name\":\"latin\",\"uid\":\"y\"},\"status\":{\"message\":\"caf\xe9\"}}}\n"),
    ];
    let (api, agent, _scratch) = start(|api| {
        let mut behaviour = Behaviour::api();
        for (n, (_, bytes)) in lines.iter().enumerate() {
            behaviour = behaviour.insert(n, Insertion::Bytes(bytes.to_vec()));
        }
        api.always(Target::WATCH_PODS, behaviour);
    });
    agent.wait_ready();
    for name in ["a", "b", "c"] {
        crash(&api, name);
    }
    agent.wait_for_crashes_of(&["a", "b", "c"]);
    for (kind, count) in [("json", 2.0), ("field", 1.0), ("unknown_type", 1.0), ("utf8", 1.0)] {
        assert_eq!(malformed(&agent, kind), count, "{kind}");
    }
    let log = agent.log();
    assert!(log.contains("shop/odd: "), "the pod is named: {log}");
    assert!(log.contains("shop/latin: "), "{log}");
    assert_eq!(log.matches("bad input (Json)").count(), 1, "once a kind: {log}");
    assert_eq!(agent.metric("k8s_watch_reconnections_total"), 0.0, "on the same stream");
}

#[test]
fn a_line_over_16_mib_ends_the_stream_and_it_is_resumed() {
    let (api, agent, _scratch) = start(|api| {
        let giant = Insertion::GiantLine { bytes: 17 << 20, newline: true };
        api.once(Target::WATCH_PODS, Behaviour::api().insert(1, giant));
    });
    agent.wait_ready();
    crash(&api, "a");
    crash(&api, "b");
    agent.wait_for_crashes_of(&["a", "b"]);
    assert_eq!(malformed(&agent, "line_too_long"), 1.0);
    assert_eq!(agent.metric("k8s_watch_reconnections_total"), 1.0);
    assert_eq!(agent.metric("blackbox_lists_total{reason=\"expired\"}"), 0.0, "no relist for that");
}

#[test]
fn a_list_with_items_that_are_no_pods_serves_the_others() {
    let (api, agent, _scratch) = start(|api| {
        let mut good = pod("good", 0);
        good["metadata"]["resourceVersion"] = "5".into();
        let list = json!({"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [
            null, 7, "pod", {}, {"metadata": {"name": "half"}, "spec": []}, good]});
        api.once(Target::LIST_PODS, Behaviour::answer(200, list.to_string()));
    });
    agent.wait_for_log("1 pods of this node are listed");
    assert_eq!(malformed(&agent, "list_item"), 5.0);
    drop(api);
}

#[test]
fn lists_that_are_no_lists_are_asked_for_again() {
    let (api, agent, _scratch) = start(|api| {
        for (status, body) in [
            (200, ""),
            (200, "<html>sign in</html>"),
            (200, "{\"items\":[{\"metadata\":{"),
            (200, "{\"items\":[]}"),
            (200, "{\"metadata\":{\"resourceVersion\":null},\"items\":null}"),
            (502, "<html>bad gateway</html>"),
            (500, "{\"kind\":\"Status\",\"message\":\"etcd is down\",\"code\":500}"),
            (302, ""),
        ] {
            api.once(Target::LIST_PODS, Behaviour::answer(status, body));
        }
        api.once(Target::LIST_PODS, Behaviour::api().endless_head());
    });
    agent.wait_ready();
    crash(&api, "a");
    agent.wait_for_crashes_of(&["a"]);
    assert_eq!(api.count("list", "pods"), 10);
    assert_eq!(agent.metric("k8s_api_errors_total{code=\"502\"}"), 1.0);
    assert!(agent.log().contains("etcd is down"), "{}", agent.log());
}

#[test]
fn chunks_of_any_size_give_the_same() {
    for size in [1, 7, 4096] {
        let (api, agent, _scratch) = start(|api| {
            api.always(Target::ANY, Behaviour::api().chunks(size));
        });
        agent.wait_ready();
        crash(&api, "a");
        agent.wait_for_crashes_of(&["a"]);
    }
}

#[test]
fn a_right_that_is_missing_is_said_counted_and_asked_for_again() {
    let (api, agent, _scratch) = start(|api| api.access().deny("watch", "pods"));
    agent.wait_for_log("403 Forbidden");
    assert_eq!(agent.metric("blackbox_permission{resource=\"pods\",verb=\"list\"}"), 1.0);
    assert_eq!(agent.metric("blackbox_permission{resource=\"pods\",verb=\"watch\"}"), 0.0);
    assert_eq!(agent.get("/readyz").0, 503);
    assert_eq!(agent.get("/healthz").0, 200);
    assert!(agent.metric("k8s_api_errors_total{code=\"403\"}") >= 1.0);
    api.access().allow("watch", "pods");
    agent.wait_ready();
    crash(&api, "a");
    agent.wait_for_crashes_of(&["a"]);
}
