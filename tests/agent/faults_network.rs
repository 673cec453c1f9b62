//! The fault bed's rows about the network: partitions, resets, cuts, slowness, names and addresses.
//! `support::bed` explains what a row checks and prints.

use std::time::Duration;

use crate::support::bed::{SECOND, millis};
use crate::support::clock::eventually;
use crate::support::{
    Bed, BedOptions, Behaviour, Ending, Link, PATIENCE, Point, Proxy, Target, may_unshare,
};

/// Makes the link bad for a while, then opens it again: the watch must resume from its last version, so that no crash
/// is merged into a restart count.
#[track_caller]
fn bad_link(row: &str, links: &[(Link, Duration)]) {
    let mut bed = Bed::start(row);
    for (link, time) in links {
        bed.proxy.set(*link);
        bed.wait(*time);
    }
    bed.proxy.set(Link::Open);
    bed.heal();
    bed.recover();
    assert_eq!(bed.api.count("list", "pods"), 1, "nothing but the watch was needed");
    let noticed = ["timeout", "connect", "io"]
        .map(|code| bed.agent.metric(&format!("k8s_api_errors_total{{code=\"{code}\"}}")));
    assert!(noticed.iter().sum::<f64>() >= 1.0 || matches!(links[0].0, Link::Late(_)));
    let skipped = bed.skipped();
    let balance = bed.finish();
    assert!(balance.unseen <= skipped + 1, "{balance}, {skipped} skipped");
}

#[test]
fn a_silent_partition_in_a_watch_is_ended_by_the_idle_timeout() {
    bad_link("silent partition in a watch, 2.5 s", &[(Link::Silent, millis(2500))]);
}

#[test]
fn a_connect_that_nobody_answers_is_ended_by_its_timeout() {
    bad_link("no answer to connects, 3 s", &[(Link::Unanswered, millis(3000))]);
}

#[test]
fn refused_connects_are_retried() {
    // Long enough for more consecutive failures than the number that makes a broken stream be listed again.
    bad_link("connection refused, 5 s", &[(Link::Refused, 5 * SECOND)]);
}

#[test]
fn resets_are_survived() {
    bad_link("every connection reset, 2 s", &[(Link::Reset, 2 * SECOND)]);
}

#[test]
fn a_slow_and_a_late_link_lose_nothing() {
    let late = (Link::Late(millis(30)), SECOND);
    bad_link("1 s late by 30 ms, 1 s at 50 kB/s", &[late, (Link::Slow(100), SECOND)]);
}

#[test]
fn a_silent_handshake_is_ended_by_its_timeout() {
    let mut bed = Bed::start("silence in the TLS handshake, 2.5 s");
    bed.api.on_accept(Some(Ending::Hang));
    bed.proxy.reset_all();
    bed.wait(millis(2500));
    bed.api.on_accept(None);
    bed.heal();
    bed.recover();
    assert_eq!(bed.api.count("list", "pods"), 1);
    assert!(bed.agent.metric("k8s_api_errors_total{code=\"timeout\"}") >= 1.0);
    bed.finish();
}

#[test]
fn a_list_that_falls_silent_is_asked_again() {
    let mut bed = Bed::start("silence in a LIST body");
    let silent = Behaviour::api().ends(Point::Bytes(700), Ending::Hang);
    bed.api.once(Target::LIST_PODS, silent);
    bed.forget_history();
    assert!(eventually(PATIENCE, || bed.api.script().waiting() == 0), "never listed");
    bed.heal();
    bed.recover();
    assert_eq!(bed.api.count("list", "pods"), 3);
    bed.finish();
}

#[test]
fn connections_cut_at_any_byte_are_resumed() {
    let mut bed = Bed::start("30 connections cut after any byte of TLS");
    for n in 0..30 {
        let watches = bed.api.count("watch", "pods");
        bed.proxy.cut_all_after(n * 173);
        assert!(eventually(PATIENCE, || bed.api.count("watch", "pods") > watches));
        // A single failure is not an outage: the backoff must stay short.
        bed.wait(millis(50));
    }
    bed.heal();
    bed.recover();
    assert_eq!(bed.api.count("list", "pods"), 1);
    bed.finish();
}

#[test]
fn an_ipv6_literal_is_an_address() {
    let mut bed = Bed::with(
        "IPv6 literal as KUBERNETES_SERVICE_HOST",
        BedOptions { proxy: "[::1]:0".parse().unwrap(), ..BedOptions::default() },
    );
    bed.proxy.reset_all();
    bed.heal();
    bed.recover();
    bed.finish();
}

#[test]
fn an_address_that_changes_and_a_name_that_is_gone_for_a_while_are_looked_up_anew() {
    if !may_unshare("--mount") {
        return;
    }
    let mut bed = Bed::with(
        "DNS: no such name for 2 s, then another address",
        BedOptions {
            host: Some("kubernetes.default.svc"),
            proxy: "127.0.0.2:0".parse().unwrap(),
            ..BedOptions::default()
        },
    );
    let next = Proxy::listen(
        format!("127.0.0.3:{}", bed.proxy.addr().port()).parse().unwrap(),
        bed.api.addr(),
    );
    bed.write("hosts", "127.0.0.1 localhost\n");
    bed.proxy.set(Link::Refused);
    bed.wait(2 * SECOND);
    assert!(bed.agent.is_running());
    bed.write("hosts", "127.0.0.3 kubernetes.default.svc\n");
    bed.heal();
    bed.recover();
    assert!(next.open() >= 1);
    bed.finish();
}

#[test]
fn an_agent_that_stands_still_is_dropped_by_the_server_and_resumes() {
    let mut bed = Bed::start("slow agent: stopped for 2 s, its watch ended by the server");
    bed.agent.signal("STOP");
    bed.wait(SECOND);
    bed.api.end_watches();
    bed.wait(SECOND);
    bed.agent.signal("CONT");
    bed.heal();
    bed.recover();
    bed.finish();
}

#[test]
fn an_agent_that_stands_still_longer_than_the_history_lists_again() {
    let mut options = BedOptions::default();
    options.api.history_max = 100;
    let mut bed = Bed::with("slow agent: stopped for 3 s, history of 100 events", options);
    bed.agent.signal("STOP");
    bed.wait(SECOND);
    bed.api.end_watches();
    bed.wait(2 * SECOND);
    bed.agent.signal("CONT");
    bed.heal();
    bed.recover();
    let balance = bed.finish();
    assert!(balance.unseen > 0, "{balance}");
}
