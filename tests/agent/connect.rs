//! The ways to connect to an API server: service account, kubeconfig, names, trust, tokens.

use std::fs;

use crate::support::clock::eventually;
use crate::support::crash::crash;
use crate::support::tls::{Authority, Validity};
use crate::support::{AgentOptions, FakeApi, Options, PATIENCE, Scratch};

fn sees_a_crash(api: &FakeApi, options: AgentOptions) -> String {
    let agent = options.start();
    agent.wait_ready();
    crash(api, "a");
    agent.wait_for_crashes_of(&["a"]);
    agent.log()
}

/// Options as in a pod: service host and port, and the folder of the service account.
fn in_cluster(api: &FakeApi, scratch: &Scratch) -> AgentOptions {
    api.write_service_account(scratch.path());
    AgentOptions::in_pod(api.addr(), scratch.path())
}

#[test]
fn in_a_cluster_the_service_account_serves() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("in-cluster"));
    sees_a_crash(&api, in_cluster(&api, &scratch));
    let request = &api.requests()[0];
    assert!(request.user_agent.starts_with("blackbox-daemon/"), "{}", request.user_agent);
    assert_eq!(request.accept, "application/json");
    assert_eq!(request.param("fieldSelector"), "spec.nodeName=node1");
    assert_eq!(request.param("resourceVersion"), "0");
}

#[test]
fn a_json_kubeconfig_serves_as_well_as_a_yaml_one() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("json"));
    fs::write(scratch.join("ca.crt"), api.ca_pem()).unwrap();
    fs::write(scratch.join("token"), api.token()).unwrap();
    let config = serde_json::json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster":
            {"server": api.url(), "certificate-authority": "ca.crt"}}],
        "users": [{"name": "u", "user": {"tokenFile": "token"}}],
    });
    fs::write(scratch.join("config.json"), config.to_string()).unwrap();
    sees_a_crash(&api, AgentOptions::kubeconfig(&scratch.join("config.json")));
}

#[test]
fn a_module_that_is_turned_off_in_rust_log_logs_no_problem_either() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("module"));
    api.use_identity(&api.authority().issue(&["api.example.com"], Validity::Valid));
    let agent = in_cluster(&api, &scratch)
        .env("RUST_LOG", "info,blackbox_daemon::agent::watch=off")
        .start();
    let failed = || agent.metric("k8s_api_errors_total{code=\"tls\"}") >= 1.0;
    assert!(eventually(PATIENCE, failed));
    assert!(!agent.log().contains("the TLS connection failed"), "{}", agent.log());
}

#[test]
fn a_certificate_for_another_name_is_refused_unless_that_name_is_asked_for() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("name"));
    api.use_identity(&api.authority().issue(&["api.example.com"], Validity::Valid));
    let agent = in_cluster(&api, &scratch).start();
    agent.wait_for_log("the TLS connection failed");
    assert_eq!(api.requests().len(), 0, "the token was not shown to it");
    assert!(agent.metric("k8s_api_errors_total{code=\"tls\"}") >= 1.0);
    drop(agent);
    let named = in_cluster(&api, &scratch).env("BLACKBOX_TLS_SERVER_NAME", "api.example.com");
    sees_a_crash(&api, named);
}

#[test]
fn neither_an_expired_certificate_nor_anothers_ca_is_trusted() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("trust"));
    let own = api.authority().issue(&["127.0.0.1"], Validity::Expired);
    let foreign = Authority::new("someone else").issue(&["127.0.0.1"], Validity::Valid);
    for identity in [own, foreign] {
        api.use_identity(&identity);
        let agent = in_cluster(&api, &scratch).start();
        agent.wait_for_log("the TLS connection failed");
        assert_eq!(api.requests().len(), 0);
    }
}

#[test]
fn verification_is_skipped_only_where_the_kubeconfig_says_so_and_loudly() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("insecure"));
    let config = serde_json::json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster":
            {"server": api.url(), "insecure-skip-tls-verify": true}}],
        "users": [{"name": "u", "user": {"token": api.token()}}],
    });
    fs::write(scratch.join("config"), config.to_string()).unwrap();
    let log = sees_a_crash(&api, AgentOptions::kubeconfig(&scratch.join("config")));
    assert!(log.contains("WARN") && log.contains("insecure-skip-tls-verify"), "{log}");
    assert!(!log.contains(&api.token()));
}

#[test]
fn a_rotated_token_is_read_again_after_the_first_401() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("rotate"));
    let options = in_cluster(&api, &scratch).env("BLACKBOX_K8S_RETRY_INTERVAL", "100ms");
    let agent = options.start();
    agent.wait_ready();
    // A watch that has not started yet would not be closed by `end_watches`.
    assert!(eventually(PATIENCE, || api.open_watches() == 1));
    api.rotate_token("another");
    api.write_service_account(scratch.path());
    // A running watch keeps its old token; the next request needs the new one.
    api.end_watches();
    // Wait for the 401: before it the crash might still be sent on the watch that is being closed.
    let refused = || agent.metric("k8s_api_errors_total{code=\"401\"}") >= 1.0;
    assert!(eventually(PATIENCE, refused));
    crash(&api, "a");
    agent.wait_for_crashes_of(&["a"]);
}

#[test]
fn a_plain_http_server_serves_with_a_warning() {
    let options = Options { tls: false, ..Options::default() };
    let (api, scratch) = (FakeApi::start(options), Scratch::new("plain"));
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let log = sees_a_crash(&api, AgentOptions::kubeconfig(&scratch.join("kubeconfig")));
    assert!(log.contains("WARN"), "{log}");
}

#[test]
fn a_certificate_with_a_thousand_names_is_read_and_a_chain_without_measure_is_refused() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("names"));
    let issue = |names: usize| {
        let names: Vec<String> =
            (0..names).map(|n| format!("api-{n}.region.example.com")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.push("127.0.0.1");
        api.authority().issue(&names, Validity::Valid)
    };
    // 1.4 MB, where all of the handshake may have 128 KiB.
    api.use_identity(&issue(1000).repeated(40));
    let agent = in_cluster(&api, &scratch).env("BLACKBOX_K8S_RETRY_INTERVAL", "100ms").start();
    agent.wait_for_log("the TLS connection failed");
    assert_eq!(api.requests().len(), 0, "the token was not shown to it");
    api.use_identity(&issue(1000));
    agent.wait_ready();
    crash(&api, "a");
    agent.wait_for_crashes_of(&["a"]);
    assert!(agent.proc_status("VmHWM") < 32 << 10);
}

#[test]
fn a_service_account_whose_links_are_swapped_all_the_time_is_read() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("swaps"));
    // As the kubelet's atomic writer lays a projected volume out: token -> ..data/token, ..data -> ..2026_N.
    let publish = |n: u32| {
        let folder = format!("..2026_{n}");
        fs::create_dir(scratch.join(&folder)).unwrap();
        api.write_service_account(&scratch.join(&folder));
        let _ = fs::remove_file(scratch.join("..data_tmp"));
        std::os::unix::fs::symlink(&folder, scratch.join("..data_tmp")).unwrap();
        fs::rename(scratch.join("..data_tmp"), scratch.join("..data")).unwrap();
        if n > 1 {
            fs::remove_dir_all(scratch.join(&format!("..2026_{}", n - 2))).unwrap();
        }
    };
    publish(0);
    for name in ["token", "ca.crt"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), scratch.join(name)).unwrap();
    }
    let agent = AgentOptions::in_pod(api.addr(), &scratch.join(""))
        .env("BLACKBOX_K8S_RETRY_INTERVAL", "100ms")
        .start();
    agent.wait_ready();
    for n in 1..30 {
        api.rotate_token(&format!("token-{n}"));
        publish(n);
        api.end_watches();
        let name = format!("a{n:02}");
        crash(&api, &name);
        let told = || agent.incidents().iter().any(|incident| incident["pod_name"] == *name);
        assert!(eventually(PATIENCE, told), "{n}");
    }
    assert!(agent.incidents().len() == 29, "each once");
}
