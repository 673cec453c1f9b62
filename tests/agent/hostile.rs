//! What an API server, a proxy in front of it, or the node itself may do to the agent: it must not exit, flood the
//! server, hang or report anything wrong.

use std::time::Duration;

use crate::support::clock::{Stopper, eventually};
use crate::support::crash::crash;
use crate::support::script::Insertion;
use crate::support::{
    Agent, AgentOptions, Behaviour, Ending, FakeApi, Options, PATIENCE, Point, Scratch, Target,
};
use blackbox_daemon::core::text::is_harmful;
use serde_json::{Value, json};

/// Starts an agent against an API server that `bend` has changed before.
fn start(
    bend: impl FnOnce(&FakeApi),
    set: impl FnOnce(AgentOptions) -> AgentOptions,
) -> (FakeApi, Agent, Scratch) {
    let api = FakeApi::start(Options::default());
    bend(&api);
    let scratch = Scratch::new("hostile");
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let options = AgentOptions::kubeconfig(&scratch.join("kubeconfig"));
    let agent = set(options).start();
    (api, agent, scratch)
}

fn quickly(options: AgentOptions) -> AgentOptions {
    options.env("BLACKBOX_K8S_RETRY_INTERVAL", "100ms")
}

fn sleep(duration: Duration) {
    Stopper::default().wait(duration);
}

/// Returns a pod whose container was killed: the agent holds the termination until it has looked up the pod's events.
fn killed(name: &str, annotations: &Value) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"),
            "annotations": annotations},
        "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [
            {"name": "app", "livenessProbe": {"periodSeconds": 10}}]},
        "status": {"phase": "Running", "containerStatuses": [{
            "name": "app", "restartCount": 0, "containerID": format!("containerd://{name}-0"),
            "state": {"terminated": {"exitCode": 137, "reason": "Error",
                "startedAt": "2026-11-23T04:00:00Z", "finishedAt": "2026-11-23T04:00:01Z",
                "containerID": format!("containerd://{name}-0")}}, "lastState": {}}]}
    })
}

#[test]
fn watches_that_end_with_nothing_but_garbage_are_not_repeated_at_once() {
    for page in [
        "<html>\n<body>sign in</body>\n</html>\n",
        // A proxy that dropped the watch parameter.
        "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[]}\n",
    ] {
        let page = Behaviour::answer(200, page);
        let (api, agent, _scratch) = start(|api| api.always(Target::WATCH_PODS, page), |o| o);
        agent.wait_for_log("pods of this node are listed");
        sleep(Duration::from_secs(3));
        let asked = api.count("watch", "pods");
        assert!((1..=4).contains(&asked), "{asked} watches in three seconds");
        api.script().clear();
        crash(&api, "a");
        agent.wait_for_crashes_of(&["a"]);
    }
}

#[test]
fn garbage_on_a_watch_is_no_sign_of_life() {
    let garbage = Insertion::Bytes(b"<p>\n".repeat(40_000));
    let (_api, agent, _scratch) = start(
        |api| {
            let page = Behaviour::api().insert(0, garbage).chunks(4);
            api.always(Target::WATCH_PODS, page);
        },
        |o| o.env("BLACKBOX_WATCH_IDLE_TIMEOUT", "2s"),
    );
    agent.wait_ready();
    let at_first = agent.metric("k8s_watch_last_event_timestamp");
    assert!(eventually(PATIENCE, || {
        agent.metric("blackbox_watch_malformed_total{kind=\"json\"}") > 0.0
    }));
    assert_eq!(agent.metric("k8s_watch_last_event_timestamp"), at_first);
}

#[test]
fn a_node_without_room_for_a_librarys_thread_does_not_end_the_agent() {
    for host in ["127.0.0.1", "localhost"] {
        let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("no-threads"));
        let kubeconfig = scratch.join("kubeconfig");
        api.write_kubeconfig(&kubeconfig);
        let text = std::fs::read_to_string(&kubeconfig).unwrap();
        std::fs::write(&kubeconfig, text.replace("//127.0.0.1:", &format!("//{host}:"))).unwrap();
        // Threads with the default stack size cannot be created, as under a full pids cgroup.
        let options = AgentOptions::kubeconfig(&kubeconfig);
        let mut agent = options.env("RUST_MIN_STACK", (1_u64 << 46).to_string()).start();
        assert!(eventually(PATIENCE, || !agent.is_running() || api.open_watches() == 1));
        assert!(agent.is_running(), "{}", agent.log());
    }
}

#[test]
fn what_a_pod_says_never_becomes_a_part_of_a_request() {
    let (api, agent, _scratch) = start(|_| {}, quickly);
    agent.wait_ready();
    assert!(eventually(PATIENCE, || api.open_watches() == 1));
    for (n, hash) in [
        "x&watch=1&fieldSelector=",
        "x&limit=100000",
        "x,involvedObject.kind=Node",
        "x HTTP/1.1\r\nHost: b\r\n\r\nDELETE /",
        "x#",
        "%26watch=1",
        "",
        &"x".repeat(9000),
    ]
    .iter()
    .enumerate()
    {
        let static_pod =
            json!({"kubernetes.io/config.mirror": hash, "kubernetes.io/config.hash": hash});
        api.apply(killed(&format!("odd-{n}"), &static_pod));
    }
    api.apply(killed("good", &json!({})));
    assert!(eventually(PATIENCE, || agent.incidents().len() == 9), "{}", agent.log());
    let lookups: Vec<_> = api.requests().into_iter().filter(|r| r.resource == "events").collect();
    assert!(!lookups.is_empty());
    for lookup in lookups {
        assert_eq!(lookup.verb, "list");
        assert_eq!(lookup.param("limit"), "256", "{}", lookup.query);
        let selector = lookup.param("fieldSelector");
        // A config hash that no kubelet would write is ignored: such a pod is looked up by its own UID.
        let own = selector.strip_prefix("involvedObject.uid=uid-");
        assert!(own.is_some_and(|o| o == "good" || o.starts_with("odd-")), "{selector}");
    }
}

#[test]
fn a_lookup_that_hangs_holds_up_no_other_pods_lookup() {
    let (api, agent, _scratch) =
        start(|api| api.once(Target::LIST_EVENTS, Behaviour::hang()), quickly);
    agent.wait_ready();
    assert!(eventually(PATIENCE, || api.open_watches() == 1));
    api.apply(killed("first", &json!({})));
    assert!(eventually(PATIENCE, || api.count("list", "events") == 1));
    api.apply(killed("second", &json!({})));
    assert!(eventually(PATIENCE, || agent.incidents().len() == 2));
    for incident in agent.incidents() {
        let gaps = incident["telemetry"]["gaps"].to_string();
        assert!(!gaps.contains("no answer in time"), "{}: {gaps}", incident["pod_name"]);
    }
}

#[test]
fn an_answer_that_the_agent_itself_drops_is_no_broken_connection() {
    let gone = b"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n";
    let (api, agent, _scratch) = start(
        |api| {
            let page = Behaviour::answer(200, "<html>sign in</html>");
            api.once(Target::LIST_PODS, page.ends(Point::Bytes(10), Ending::Hang));
            let gone = Insertion::Bytes(gone.to_vec());
            api.once(Target::WATCH_PODS, Behaviour::api().insert(0, gone));
        },
        quickly,
    );
    crash(&api, "a");
    assert!(eventually(PATIENCE, || api.open_watches() == 1 && api.count("watch", "pods") == 2));
    crash(&api, "b");
    assert!(eventually(PATIENCE, || {
        agent.incidents().iter().any(|i| i["pod_name"].as_str() == Some("b"))
    }));
    assert_eq!(agent.metric("k8s_api_errors_total{code=\"io\"}"), 0.0);
    assert!(!agent.log().contains("the connection was lost"), "{}", agent.log());
}

/// A Status whose text orders the terminal about, and makes a file name look like another one.
fn hostile_status(code: u16) -> String {
    let message = "cls\u{1b}[2J \u{1b}]0;title\u{7} gnp\u{202e}exe\u{2066}\u{200f}\nroot: all is well\r\u{2028}\u{feff}";
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": message, "reason": "Forb\u{1b}[31midden", "code": code});
    status.to_string()
}

#[test]
fn no_text_of_a_server_reaches_the_log_raw() {
    let (_api, agent, _scratch) = start(
        |api| {
            api.once(Target::LIST_PODS, Behaviour::answer(403, hostile_status(403)));
            api.once(Target::LIST_PODS, Behaviour::answer(500, hostile_status(500)));
            let gone =
                json!({"type": "ERROR", "object": hostile_status(410).parse::<Value>().unwrap()});
            let bytes = format!("{gone}\n").into_bytes();
            api.once(Target::WATCH_PODS, Behaviour::api().insert(0, Insertion::Bytes(bytes)));
        },
        |options| quickly(options).env("RUST_LOG", "debug"),
    );
    agent.wait_ready();
    agent.wait_for_log("gnp\\u{202e}exe\\u{2066}\\u{200f}");
    agent.wait_for_log("the API server ended it");
    let log = agent.log();
    println!("{}", log.lines().filter(|line| line.contains("gnp")).collect::<Vec<_>>().join("\n"));
    assert!(log.contains("cls\\x1b[2J"));
    assert!(!log.chars().any(|c| c != '\n' && is_harmful(c)), "{log:?}");
    assert!(log.lines().all(|line| line.starts_with('[')), "{log}");
}

#[test]
fn a_large_token_is_sent() {
    // A token with a hundred groups in it, as some identity providers issue.
    let options = Options { token: "t".repeat(12_000), ..Options::default() };
    let (api, scratch) = (FakeApi::start(options), Scratch::new("large-token"));
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let agent = AgentOptions::kubeconfig(&scratch.join("kubeconfig")).start();
    assert!(eventually(Duration::from_secs(10), || agent.get("/readyz").0 == 200));
}
