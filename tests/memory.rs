//! The memory cost of a LIST: one pod at a time, however many there are.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use support::crash::pod;
use support::{AgentOptions, FakeApi, Options, Scratch};

/// Returns the peak memory of a process, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Returns the peak memory of an agent that has listed this many pods of 20 kB each.
fn peak_after_listing(pods: usize) -> u64 {
    let api = FakeApi::start(Options::default());
    for n in 0..pods {
        let mut large = pod(&format!("pod-{n}"), 2);
        large["metadata"]["annotations"] = serde_json::json!({"pad": "x".repeat(20_000)});
        api.apply(large);
    }
    let scratch = Scratch::new("memory");
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let agent = AgentOptions::kubeconfig(&scratch.join("kubeconfig")).start();
    agent.wait_ready();
    assert_eq!(agent.metric("k8s_pods_watched_total"), pods as f64);
    peak_kib(agent.pid())
}

#[test]
fn a_list_of_500_pods_of_20_kb_is_never_held_as_a_whole() {
    let (one, many) = (peak_after_listing(1), peak_after_listing(500));
    // The body has 10 MB; the agent keeps a few hundred bytes per pod.
    assert!(many < one + 4096, "{one} KiB with one pod, {many} KiB with 500");
}
