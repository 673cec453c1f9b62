//! The fault bed's rows: everything that really happens between an agent and its API server, while
//! crashes go on. After each, every crash of the whole run is told exactly once, or counted as unseen
//! where the server itself had forgotten it.
//!
//! `cargo test --test faults -- --nocapture` prints the table: row, seconds until a crash after the
//! fault is told, crashes, of these unseen, lost, doubled.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::time::Duration;

use support::clock::eventually;
use support::script::Insertion;
use support::{Bed, BedOptions, Behaviour, Ending, Link, Options, PATIENCE, Point, Target};

const SECOND: Duration = Duration::from_secs(1);

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

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

#[test]
fn a_history_that_is_forgotten_is_listed_again() {
    let mut bed = Bed::start("410 inside HTTP 200 at watch start");
    bed.api.store().compact();
    bed.api.end_watches();
    bed.heal();
    bed.recover();
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
    let lists: Vec<_> =
        bed.api.requests().into_iter().filter(|r| r.verb == "list" && r.resource == "pods").collect();
    assert_eq!(lists.last().unwrap().param("resourceVersion"), "");
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
    // The watch from a version of the future is silent; two of these and it is listed anew.
    let took = bed.recover();
    assert!(took > SECOND, "{took:?}: nothing tells of it but the silence");
    assert!(bed.agent.metric("blackbox_lists_total{reason=\"silent\"}") >= 1.0);
    assert!(bed.agent.metric("k8s_api_errors_total{code=\"504\"}") >= 1.0);
    bed.finish();
}
