//! A cluster in which nothing happens: what watching it costs, and how the API server's state is noticed.

use std::time::Duration;

use crate::support::bed::{SECOND, millis};
use crate::support::clock::{eventually, now, unix_seconds};
use crate::support::{Bed, BedOptions, Link, Options, PATIENCE, RequestRecord};

const IDLE_SECONDS: u64 = 3;

/// Creates a bed whose API server sends no bookmark while no pod changes, and whose pods do not change.
fn quiet_bed(row: &str) -> Bed {
    let api = Options {
        bookmark_interval: millis(300),
        list_wait: millis(300),
        progress_notices: false,
        // As long as a service account's token.
        token: "t".repeat(1000),
        history_max: 100_000,
        ..Options::default()
    };
    let idle = format!("{IDLE_SECONDS}s");
    let env = vec![("BLACKBOX_WATCH_IDLE_TIMEOUT", idle)];
    let bed = Bed::with(row, BedOptions { api, env, ..BedOptions::default() });
    bed.pause();
    // Wait for the last crash's lookups, and end the watch that saw it, which counts as lively.
    bed.wait(SECOND);
    bed.api.end_watches();
    bed.wait(Duration::from_secs(IDLE_SECONDS));
    bed
}

fn is_version(request: &RequestRecord) -> bool {
    request.param("fieldSelector").contains("metadata.name")
}

/// Counts the requests for pods: watches, lists, lists for the version only.
fn requests(bed: &Bed) -> [usize; 3] {
    let mut counts = [0; 3];
    for request in bed.api.requests().iter().filter(|r| r.resource == "pods") {
        counts[match request.verb {
            "watch" => 0,
            _ if is_version(request) => 2,
            _ => 1,
        }] += 1;
    }
    counts
}

#[test]
fn a_quiet_cluster_is_watched_over_one_connection_and_listed_once() {
    let mut bed = quiet_bed("quiet cluster");
    let before = (requests(&bed), bed.proxy.accepted(), bed.proxy.passed());
    let until = now() + 20 * SECOND;
    while now() < until {
        assert_eq!(bed.agent.get("/readyz").0, 200);
        let heard = bed.agent.metric("k8s_watch_last_event_timestamp");
        let age = unix_seconds() as f64 - heard;
        assert!(age <= IDLE_SECONDS as f64, "heard {age} s ago");
        bed.wait(millis(100));
    }
    let [watches, lists, versions] = requests(&bed);
    let [watches, lists, versions] =
        [watches - before.0[0], lists - before.0[1], versions - before.0[2]];
    let connections = bed.proxy.accepted() - before.1;
    let bytes = bed.proxy.passed() - before.2;
    println!(
        "in 20 s with an idle timeout of {IDLE_SECONDS} s: {watches} watches, {lists} lists, {versions} questions \
         for the version, {connections} connections, {bytes} bytes"
    );
    assert!((8..=12).contains(&watches), "{watches} watches");
    assert_eq!(lists, 0);
    assert!((1..=4).contains(&versions), "{versions}");
    assert_eq!(connections, 0);
    let bytes = bytes / (watches + versions) as u64;
    // Each request contains the service account's token.
    assert!(bytes < 2000, "{bytes}");
    bed.resume();
    bed.heal();
    bed.recover();
    bed.finish();
}

#[test]
fn a_partition_of_a_quiet_cluster_is_found_within_the_idle_timeout() {
    let mut bed = quiet_bed("partition of a quiet cluster");
    for wait in [0, 700, 1400] {
        bed.wait(millis(wait));
        let cut_off = bed.agent.metric("k8s_api_errors_total{code=\"timeout\"}");
        bed.proxy.set(Link::Silent);
        let since = now();
        let found = || bed.agent.metric("k8s_api_errors_total{code=\"timeout\"}") > cut_off;
        assert!(eventually(PATIENCE, found));
        let took = since.elapsed();
        assert!(took < Duration::from_secs(IDLE_SECONDS) + millis(500), "{took:?}");
        bed.proxy.set(Link::Open);
        bed.proxy.reset_all();
        assert!(eventually(PATIENCE, || bed.api.open_watches() == 1));
        bed.wait(3 * SECOND);
    }
    bed.resume();
    bed.heal();
    bed.recover();
    bed.finish();
}

/// The API server accepts a watch from a version that it has not reached, and stays silent.
#[test]
fn a_version_of_the_future_is_found_with_the_first_silent_watch_after_the_restore() {
    let mut bed = quiet_bed("etcd restored while the cluster is quiet");
    bed.api.store().roll_back(5);
    bed.api.end_watches();
    let since = now();
    let listed = || bed.agent.metric("blackbox_lists_total{reason=\"silent\"}") >= 1.0;
    assert!(eventually(PATIENCE, listed));
    assert!(since.elapsed() < Duration::from_secs(2 * IDLE_SECONDS), "{:?}", since.elapsed());
    bed.resume();
    bed.heal();
    bed.recover();
    bed.finish();
}
