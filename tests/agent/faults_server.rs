//! The fault bed's rows about the API server: its restarts, its versions, its refusals.
//! `support::bed` explains what a row checks and prints.

use std::time::Duration;

use crate::support::bed::{SECOND, millis};
use crate::support::clock::{eventually, unix_seconds};
use crate::support::{
    Bed, BedOptions, Behaviour, Ending, Link, PATIENCE, Point, RequestRecord, Scratch, Target, http,
};

#[test]
fn an_api_server_that_restarts_without_its_history_costs_no_crash() {
    let mut bed = Bed::start("API server restarts, refused for 2 s, every old version 410");
    bed.proxy.set(Link::Refused);
    bed.wait(2 * SECOND);
    bed.api.restart();
    bed.proxy.set(Link::Open);
    bed.heal();
    bed.recover();
    assert!(bed.agent.metric("k8s_api_errors_total{code=\"connect\"}") >= 1.0);
    assert!(bed.agent.metric("blackbox_lists_total{reason=\"expired\"}") >= 1.0);
    let balance = bed.finish();
    assert!(balance.unseen > 0, "an outage of two seconds hides some ends: {balance}");
}

/// Uses the agent's default retry interval, which must not slow down the retries after a refused connection.
#[test]
fn an_api_server_that_comes_back_after_an_outage_is_listed_within_five_seconds() {
    let mut bed = Bed::with(
        "API server away for 15 s, every old version 410, default pace of retries",
        BedOptions { env: vec![("BLACKBOX_K8S_RETRY_INTERVAL", "5s".to_owned())], ..default() },
    );
    bed.proxy.set(Link::Refused);
    bed.wait(15 * SECOND);
    let tries = bed.agent.metric("k8s_api_errors_total{code=\"connect\"}");
    assert!((4.0..=20.0).contains(&tries), "{tries} tries of two threads in 15 s");
    bed.api.restart();
    bed.proxy.set(Link::Open);
    bed.heal();
    let took = bed.recover();
    assert!(took < 5 * SECOND, "{took:?}");
    assert!(bed.agent.metric("blackbox_lists_total{reason=\"expired\"}") >= 1.0);
    bed.finish();
}

#[test]
fn a_history_that_is_forgotten_is_listed_again() {
    let mut bed = Bed::start("410 inside HTTP 200 at watch start");
    bed.forget_history();
    bed.heal();
    bed.recover();
    assert!(bed.agent.metric("blackbox_lists_total{reason=\"expired\"}") >= 1.0);
    bed.finish();
}

#[test]
fn a_410_as_http_status_is_listed_again() {
    let mut bed = Bed::start("410 as HTTP status at watch start, and on LIST at a version");
    let gone = r#"{"kind":"Status","status":"Failure","reason":"Expired","code":410}"#;
    bed.api.once(Target::WATCH_PODS, Behaviour::answer(410, gone));
    bed.api.once(Target::LIST_PODS, Behaviour::answer(410, gone));
    bed.api.end_watches();
    bed.heal();
    bed.recover();
    let requests = pods_requests(&bed);
    assert_eq!(requests.iter().rfind(|r| r.verb == "list").unwrap().param("resourceVersion"), "");
    bed.finish();
}

#[test]
fn an_etcd_restore_that_is_told_by_the_list_is_survived() {
    let mut bed = Bed::start("504 ResourceVersionTooLarge after an etcd restore");
    bed.api.store().advance(1_000_000);
    bed.heal();
    bed.recover();
    bed.api.store().roll_back(1000);
    bed.api.end_watches();
    bed.heal();
    // A watch from a version that the server has not reached is silent; after it the pods are listed again.
    let took = bed.recover();
    assert!(took > SECOND, "{took:?}: nothing tells of it but the silence");
    assert!(bed.agent.metric("blackbox_lists_total{reason=\"silent\"}") >= 1.0);
    assert!(bed.agent.metric("k8s_api_errors_total{code=\"504\"}") >= 1.0);
    bed.finish();
}

/// A watch that ends without an event again and again, with the agent's default retry interval.
#[test]
fn watches_that_end_at_once_are_no_hot_loop() {
    let mut bed = Bed::with(
        "watch ends without an event after 50 ms, again and again",
        BedOptions { env: vec![("BLACKBOX_K8S_RETRY_INTERVAL", "5s".to_owned())], ..default() },
    );
    bed.pause();
    bed.wait(millis(200));
    let asked = bed.api.requests().len();
    bed.api
        .always(Target::WATCH_PODS, Behaviour::api().ends(Point::After(millis(50)), Ending::Close));
    bed.api.end_watches();
    bed.wait(9 * SECOND);
    // The limit is twenty per minute; in the first minute a doubling backoff is shortest.
    let asked = bed.api.requests().len() - asked;
    assert!((2..=6).contains(&asked), "{asked} requests in nine seconds");
    bed.api.script().clear();
    bed.resume();
    bed.heal();
    bed.recover();
    bed.finish();
}

#[test]
fn refusals_are_obeyed_and_told() {
    let html = "<html><body><h1>502 Bad Gateway</h1></body></html>";
    let date = http::date(unix_seconds() + 2);
    let mut bed = Bed::start("429, 503 with Retry-After (seconds, date), 500, 502 with HTML");
    for (code, body, retry_after, at_least) in [
        (429, "", Some("1"), SECOND),
        (503, "", Some("1"), SECOND),
        (503, "", Some(&*date), Duration::ZERO),
        (500, r#"{"kind":"Status","code":500,"reason":"InternalError"}"#, None, Duration::ZERO),
        (502, html, None, Duration::ZERO),
    ] {
        // Wait for the watch that follows the last refusal, so that it does not get the next refusal.
        assert!(eventually(PATIENCE, || bed.api.open_watches() == 1), "{code}: no watch");
        for target in [Target::WATCH_PODS, Target::LIST_PODS] {
            let mut refusal = Behaviour::answer(code, body);
            if let Some(retry_after) = retry_after {
                refusal = refusal.header("Retry-After", retry_after);
            }
            bed.api.once(target, refusal);
        }
        let series = format!("k8s_api_errors_total{{code=\"{code}\"}}");
        let before = bed.agent.metric(&series);
        let asked = pods_requests(&bed).len();
        bed.forget_history();
        bed.heal();
        assert!(eventually(PATIENCE, || bed.api.script().waiting() == 0), "{code}: not asked");
        bed.recover();
        assert_eq!(bed.agent.metric(&series), before + 2.0, "{code}");
        // The refused watch, a watch that gets the 410, the refused list, the successful list.
        let requests = &pods_requests(&bed)[asked..];
        let [watch, after_watch, list, after_list, ..] = requests else { panic!("{code}") };
        assert_eq!([watch.verb, list.verb, after_list.verb], ["watch", "list", "list"], "{code}");
        for (refused, next) in [(watch, after_watch), (list, after_list)] {
            let gap = next.at - refused.at;
            assert!(gap >= at_least, "{code}: asked again after {gap:?}");
        }
    }
    for words in ["502", "503", "429"] {
        assert!(bed.agent.log().contains(words), "{words} is not told");
    }
    assert!(!bed.agent.log().contains("<html>"), "{}", bed.agent.log());
    bed.finish();
}

#[test]
fn a_denied_list_or_watch_is_told_and_ends_when_granted() {
    let mut bed = Bed::start("403 for list, then for watch, 2 s each");
    for (verb, series) in [
        ("list", "blackbox_permission{resource=\"pods\",verb=\"list\"}"),
        ("watch", "blackbox_permission{resource=\"pods\",verb=\"watch\"}"),
    ] {
        assert_eq!(bed.agent.metric(series), 1.0);
        bed.api.access().deny(verb, "pods");
        bed.forget_history();
        assert!(eventually(PATIENCE, || bed.agent.metric(series) == 0.0), "{verb}");
        assert!(eventually(PATIENCE, || bed.agent.get("/readyz").0 == 503), "{verb}");
        bed.wait(2 * SECOND);
        assert_eq!(bed.agent.get("/healthz").0, 200);
        bed.api.access().allow(verb, "pods");
        bed.heal();
        bed.recover();
        assert!(eventually(PATIENCE, || bed.agent.metric(series) == 1.0), "{verb}");
        assert!(eventually(PATIENCE, || bed.agent.get("/readyz").0 == 200), "{verb}");
        let log = bed.agent.log();
        let words = ["WARN", &format!("{verb} of pods: "), "403 Forbidden"];
        let told = log.lines().filter(|line| words.iter().all(|word| line.contains(word)));
        assert_eq!(told.count(), 1, "once and clearly:\n{log}");
    }
    assert!(bed.agent.metric("k8s_api_errors_total{code=\"403\"}") >= 2.0);
    bed.finish();
}

#[test]
fn denied_events_cost_a_gap_and_nothing_else() {
    let mut bed = Bed::start("403 for events, all along");
    bed.api.access().deny("list", "events");
    bed.workload(|w| w.held_one_in = 5);
    bed.wait(2 * SECOND);
    bed.heal();
    bed.recover();
    assert_eq!(bed.agent.get("/readyz").0, 200);
    assert_eq!(bed.agent.metric("blackbox_permission{resource=\"events\",verb=\"list\"}"), 0.0);
    assert!(bed.agent.metric("blackbox_event_lookups_total{result=\"denied\"}") >= 1.0);
    bed.finish();
}

#[test]
#[ignore = "needs Debian's package faketime; .ci/run installs it"]
fn a_clock_that_jumps_an_hour_forward_and_back_changes_nothing() {
    let clock = Scratch::new("clock");
    let set = |offset: &str| std::fs::write(clock.join("offset"), offset).unwrap();
    set("+0");
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    let env = |key, value: &str| (key, value.to_owned());
    let options = BedOptions {
        env: vec![
            env("LD_PRELOAD", library),
            env("FAKETIME_TIMESTAMP_FILE", clock.join("offset").to_str().unwrap()),
            env("FAKETIME_NO_CACHE", "1"),
            env("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
        ..default()
    };
    let mut bed = Bed::with("clock jumps an hour forward and back", options);
    let hour_ahead = |bed: &Bed| {
        let told = bed.agent.incidents().last().unwrap()["timestamp"].as_str().unwrap().to_owned();
        let told: jiff::Timestamp = told.parse().unwrap();
        (3000..4000).contains(&(told.as_second() - unix_seconds()))
    };
    for (offset, ahead) in [("+1h", true), ("-1h", false), ("+1h", true), ("+0", false)] {
        set(offset);
        bed.forget_history();
        bed.heal();
        bed.recover();
        assert_eq!(hour_ahead(&bed), ahead, "{offset}");
        assert_eq!(bed.agent.get("/readyz").0, 200, "{offset}");
        assert_eq!(bed.agent.get("/healthz").0, 200, "{offset}");
        bed.wait(SECOND);
        assert_eq!(bed.agent.get("/readyz").0, 200, "{offset}");
    }
    bed.finish();
}

fn pods_requests(bed: &Bed) -> Vec<RequestRecord> {
    bed.api.requests().into_iter().filter(|r| r.resource == "pods").collect()
}

fn default() -> BedOptions {
    BedOptions::default()
}
