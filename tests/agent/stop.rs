//! The kubelet stops a pod as a whole, and the API server shows the end of its container before the pod's last phase.

use serde_json::{Value, json};

use crate::support::clock::eventually;
use crate::support::{AgentOptions, FakeApi, Options, PATIENCE, Scratch, crash};

/// Returns the pod as the kubelet shows it after its container and its sandbox: the phase is decided and held back.
fn stopped(name: &str) -> Value {
    let mut pod = crash::pod(name, 1);
    let status = &mut pod["status"]["containerStatuses"][0];
    status["restartCount"] = json!(0);
    status["state"] = status["lastState"].take();
    status["containerID"] = status["state"]["terminated"]["containerID"].clone();
    pod["status"]["conditions"] = json!([
        {"type": "PodReadyToStartContainers", "status": "False"},
        {"type": "Ready", "status": "False", "reason": "PodFailed"},
        {"type": "ContainersReady", "status": "False", "reason": "PodFailed"},
    ]);
    pod
}

#[test]
fn an_eviction_that_a_program_answers_with_a_code_of_its_own_is_one_line() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("stop"));
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let agent = AgentOptions::kubeconfig(&scratch.join("kubeconfig")).start();
    agent.wait_ready();
    for name in ["evicted", "crashed"] {
        api.apply(crash::pod(name, 0));
        api.apply(stopped(name));
    }
    let held = || agent.metric("blackbox_incidents_held");
    assert!(eventually(PATIENCE, || held() == 2.0), "{}", agent.log());
    assert_eq!(agent.incidents(), [] as [Value; 0]);

    for (name, reason) in [("evicted", "Evicted"), ("crashed", "")] {
        let mut pod = stopped(name);
        pod["status"]["phase"] = json!("Failed");
        pod["status"]["reason"] = json!(reason);
        api.apply(pod);
    }
    assert!(eventually(PATIENCE, || held() == 0.0), "{}", agent.log());
    assert!(eventually(PATIENCE, || agent.incidents().len() == 2), "{}", agent.log());
    let mut lines: Vec<_> = agent.incidents();
    lines.sort_by_key(|line| line["type"].to_string());
    let told = |line: &Value| (line["type"].clone(), line["pod_name"].clone());
    assert_eq!(told(&lines[0]), (json!("error"), json!("crashed")));
    assert_eq!(told(&lines[1]), (json!("evicted"), json!("evicted")));
    assert_eq!(lines[1]["metadata"].get("explains"), None);
    let quiet = agent.metric("blackbox_quiet_ends_total{reason=\"pod_failure\"}");
    assert_eq!(quiet, 1.0);
}
