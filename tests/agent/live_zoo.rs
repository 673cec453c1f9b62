//! The real binary watches the recorded cluster through the fake API server, over TLS.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::clock::eventually;
use crate::support::{
    Agent, AgentOptions, FakeApi, Options, PATIENCE, Pace, Recording, Scratch, fixture, zoo,
};
use serde_json::Value;

/// Twenty times as fast as it happened: seven minutes in twenty seconds.
const PACE: Pace = Pace::Times(20.0);

fn play(api: &FakeApi, agent: &Agent) {
    agent.wait_ready();
    assert!(eventually(PATIENCE, || api.open_watches() == 1));
    Recording::load(&fixture("crash-zoo")).play(api.store(), PACE).wait_done();
}

#[test]
fn the_live_agent_finds_the_zoos_incidents_and_counts_what_was_sent() {
    let api = FakeApi::start(Options::default());
    let scratch = Scratch::new("live-zoo");
    api.write_kubeconfig(&scratch.join("kubeconfig"));
    let mut agent = AgentOptions::kubeconfig(&scratch.join("kubeconfig")).start();
    play(&api, &agent);
    // The last terminations are held back for up to twelve seconds.
    eventually(Duration::from_secs(20), || agent.incidents().len() >= 197);
    assert!(eventually(PATIENCE, || agent.metric("blackbox_incidents_held") == 0.0));
    let incidents = agent.incidents();
    zoo::assert_all_and_nothing_else(&incidents);
    check_metrics(&api, &agent, &incidents);
    check_with_promtool(&agent.get("/metrics").1);
    assert_eq!(agent.end("TERM").0.code(), Some(0));
}

/// Compares the agent's metrics with the server's side and with the incident lines.
fn check_metrics(api: &FakeApi, agent: &Agent, incidents: &[Value]) {
    let recorded = std::fs::read_to_string(fixture("crash-zoo/pods.watch.jsonl")).unwrap();
    let of_type = |kind: &str| recorded.matches(&format!("{{\"type\":\"{kind}\"")).count() as f64;
    let lines = ["ADDED", "MODIFIED", "DELETED"].map(of_type).iter().sum::<f64>();
    let received = agent.metric("k8s_watch_events_total");
    // The number of bookmarks depends on the server's clock.
    assert!(received >= lines && received <= lines + 60.0, "{received} of {lines} lines");
    for (series, want) in [
        ("k8s_pods_watched_total", of_type("ADDED") - of_type("DELETED")),
        ("k8s_pod_events_total{type=\"crash\"}", 197.0),
        ("blackbox_sink_written_total{sink=\"stdout\"}", 197.0),
        ("blackbox_sink_dropped_total{sink=\"stdout\"}", 0.0),
        ("blackbox_incident_delay_seconds_count", 197.0),
        ("blackbox_incident_agent_delay_seconds_count", 197.0),
        ("blackbox_unseen_ends_total", 1.0),
        ("k8s_api_requests_total{verb=\"watch\"}", api.count("watch", "pods") as f64),
        (
            "k8s_api_requests_total{verb=\"list\"}",
            (api.count("list", "pods") + api.count("list", "events")) as f64,
        ),
        ("blackbox_event_lookups_total{result=\"ok\"}", api.count("list", "events") as f64),
        ("blackbox_permission{resource=\"pods\",verb=\"watch\"}", 1.0),
        ("blackbox_permission{resource=\"events\",verb=\"list\"}", 1.0),
        ("blackbox_watch_malformed_total{kind=\"json\"}", 0.0),
    ] {
        assert_eq!(agent.metric(series), want, "{series}");
    }
    let mut classes: BTreeMap<[&str; 2], u32> = BTreeMap::new();
    for incident in incidents {
        let word = |key: &str| incident[key].as_str().unwrap();
        *classes.entry([word("type"), word("severity")]).or_default() += 1;
    }
    for ([kind, severity], count) in classes {
        let series = format!("blackbox_incidents_total{{type=\"{kind}\",severity=\"{severity}\"}}");
        assert_eq!(agent.metric(&series), f64::from(count), "{series}");
    }
    let (_, page) = agent.get("/metrics");
    let codes = page.lines().filter(|l| l.starts_with("k8s_api_errors_total"));
    assert!(codes.into_iter().all(|l| l.ends_with(" 0")), "{page}");
}

/// Checks that `promtool check metrics` complains about no metric other than the two whose names were kept from the
/// project's seed (`src/metrics/mod.rs` explains them).
fn check_with_promtool(page: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("SKIPPED: promtool is not in the PATH (Debian's package prometheus)");
        return;
    };
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    for line in said.lines().filter(|line| !line.is_empty()) {
        let seeds = ["k8s_pods_watched_total", "k8s_watch_last_event_timestamp"];
        assert!(seeds.iter().any(|name| line.starts_with(name)), "{said}");
    }
}
