//! The webhook sink of the real binary, against a test collector.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::support::bed::{FOLDER, millis};
use crate::support::clock::{self, eventually};
use crate::support::collector::{ACCEPTED, Collector, Post, Reply};
use crate::support::losses::lost_in;
use crate::support::tls::{Authority, Validity};
use crate::support::{Bed, BedOptions, PATIENCE, Scratch};

fn bed(row: &str, env: Vec<(&'static str, String)>) -> Bed {
    // One crash per 50 ms: the tests need not wait long, and no queue fills.
    Bed::with(row, BedOptions { pods: 10, pace: millis(50), env, ..BedOptions::default() })
}

/// Returns the sink's metrics: written, dropped, queued.
fn numbers(bed: &Bed) -> [usize; 3] {
    ["written_total", "dropped_total", "queued"]
        .map(|name| bed.agent.metric(&format!("blackbox_sink_{name}{{sink=\"webhook\"}}")) as usize)
}

/// Stops the crashes and waits until the queue is empty.
#[track_caller]
fn drained(bed: &Bed) {
    bed.pause();
    let empty = || numbers(bed)[2] == 0;
    assert!(eventually(PATIENCE, empty), "{:?}", numbers(bed));
}

fn keys(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| &*post.key).collect()
}

#[test]
fn every_incident_is_posted_once_as_the_line_it_is() {
    let collector = Collector::start(None);
    let secrets = Scratch::new("webhook");
    fs::write(secrets.join("token"), "t0ken\n").unwrap();
    let bed = bed(
        "webhook",
        vec![
            ("BLACKBOX_WEBHOOK_URL", format!("{}/in/secret-path?key=s3cret", collector.url())),
            ("BLACKBOX_WEBHOOK_TOKEN_FILE", secrets.join("token").to_str().unwrap().to_owned()),
        ],
    );
    assert!(eventually(PATIENCE, || collector.count() > 20), "{:?}", numbers(&bed));
    bed.flush();
    let all = || collector.count() == bed.agent.lines_from(0).len();
    assert!(eventually(PATIENCE, || bed.balance().is_even() && all()), "{}", bed.balance());
    let (posts, lines) = (collector.posts(), bed.agent.lines_from(0));
    for (post, line) in posts.iter().zip(&lines) {
        let incident: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(&post.body, line);
        assert_eq!(post.key, incident["id"].as_str().unwrap());
        assert_eq!(post.target, "POST /in/secret-path?key=s3cret");
        assert_eq!(post.authorization, "Bearer t0ken");
        assert_eq!(post.content_type, "application/json");
        assert_eq!(post.event["id"], post.key);
        assert_eq!(post.event["type"], "io.blackbox-daemon.incident.v1");
        assert_eq!(post.event["source"], "/blackbox-daemon/node1");
        assert_eq!(post.event["incidenttype"], incident["type"].as_str().unwrap());
    }
    let (log, (_, page)) = (bed.agent.log(), bed.agent.get("/metrics"));
    for secret in ["secret-path", "s3cret", "t0ken"] {
        assert!(!log.contains(secret) && !page.contains(secret), "{secret} is told");
    }
    assert_eq!(numbers(&bed), [posts.len(), 0, 0]);
}

#[test]
fn a_collector_that_cannot_be_trusted_gets_nothing_until_it_can() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let collector = Collector::start(Some(&others.issue(&["127.0.0.1"], Validity::Valid)));
    let files = Scratch::new("webhook");
    fs::write(files.join("ca"), ours.pem()).unwrap();
    let bed = bed(
        "webhook, tls",
        vec![
            ("BLACKBOX_WEBHOOK_URL", collector.url()),
            ("BLACKBOX_WEBHOOK_CA", files.join("ca").to_str().unwrap().to_owned()),
        ],
    );
    bed.agent.wait_for_log("the TLS connection to the collector failed");
    collector.use_identity(&ours.issue(&["elsewhere.example"], Validity::Valid));
    bed.agent.wait_for_log("not valid for name");
    assert_eq!(collector.posts(), []);
    collector.use_identity(&ours.issue(&["127.0.0.1"], Validity::Valid));
    assert!(eventually(PATIENCE, || collector.count() > 5), "{}", bed.agent.log());
    drained(&bed);
    assert_eq!(collector.posts()[0].body, bed.agent.lines_from(0)[0], "what waited arrives");
    assert_eq!(numbers(&bed)[1], 0);
}

#[test]
fn what_may_be_better_the_next_time_is_posted_again_with_the_same_key() {
    let collector = Collector::start(None);
    let again = [
        Reply::Status(503, "", ""),
        Reply::Cut,
        Reply::Status(429, "Retry-After", "2"),
        Reply::Status(500, "", ""),
    ];
    collector.answer_next(again);
    let bed = bed("webhook, again", vec![("BLACKBOX_WEBHOOK_URL", collector.url())]);
    assert!(eventually(PATIENCE, || collector.count() >= 3));
    let asked = clock::now();
    assert!(eventually(PATIENCE, || collector.count() >= 4));
    // The requested wait, minus the time until the test noticed the third post.
    assert!(clock::now() - asked > Duration::from_millis(1500));
    assert!(eventually(PATIENCE, || collector.count() >= 6));
    drained(&bed);
    let posts = collector.posts();
    assert!(posts[..5].iter().all(|post| *post == posts[0]), "{:?}", keys(&posts[..5]));
    let keys: BTreeSet<_> = keys(&posts).into_iter().collect();
    assert_eq!(numbers(&bed), [keys.len(), 0, 0]);
    assert_eq!(posts.len(), keys.len() + 4);
}

#[test]
fn what_would_be_refused_again_is_lost_counted_and_said() {
    let collector = Collector::start(None);
    let refusals = [
        Reply::Status(400, "", ""),
        Reply::Status(404, "", ""),
        Reply::Status(413, "Retry-After", "1"),
        Reply::Status(307, "Location", "/elsewhere"),
        Reply::Status(401, "", ""),
    ];
    collector.answer_next(refusals.clone());
    let bed = bed("webhook, refused", vec![("BLACKBOX_WEBHOOK_URL", collector.url())]);
    assert!(eventually(PATIENCE, || collector.count() > refusals.len() + 3));
    drained(&bed);
    let posts = collector.posts();
    let unique: BTreeSet<_> = keys(&posts).into_iter().collect();
    assert_eq!(unique.len(), posts.len(), "none of them twice");
    assert!(posts.iter().all(|post| post.target == "POST /"), "a redirect is not followed");
    // A line that tells a loss is refused as well, and told again.
    let told: Vec<usize> = posts.iter().filter_map(|post| lost_in(&post.body)).collect();
    let lost = refusals.len() - (told.len() - 1);
    assert_eq!((numbers(&bed)[1], told.last()), (lost, Some(&lost)), "{told:?}");
    bed.agent
        .wait_for_log("the agent dropped an incident: the collector responded with status 404");
}

#[test]
fn a_token_that_is_refused_is_read_anew() {
    let collector = Collector::start(None);
    let files = Scratch::new("webhook");
    fs::write(files.join("token"), "old").unwrap();
    let bed = bed(
        "webhook, token",
        vec![
            ("BLACKBOX_WEBHOOK_URL", collector.url()),
            ("BLACKBOX_WEBHOOK_TOKEN_FILE", files.join("token").to_str().unwrap().to_owned()),
        ],
    );
    assert!(eventually(PATIENCE, || collector.count() > 2));
    bed.pause();
    drained(&bed);
    fs::write(files.join("token"), "new").unwrap();
    collector.answer_next([Reply::Status(401, "", "")]);
    let before = collector.count();
    bed.resume();
    assert!(eventually(PATIENCE, || collector.count() > before + 2));
    drained(&bed);
    let posts = collector.posts().split_off(before);
    assert_eq!((&*posts[0].authorization, &*posts[1].authorization), ("Bearer old", "Bearer new"));
    assert_eq!(posts[0].key, posts[1].key);
    assert_eq!(numbers(&bed)[1], 0);
}

#[test]
fn a_collector_that_hangs_holds_up_nothing_else() {
    for (reply, is_delivered) in [(Reply::Silence, false), (Reply::Endless, true)] {
        let collector = Collector::start(None);
        collector.answer(reply);
        let options = BedOptions {
            pods: 40,
            pace: millis(2),
            env: vec![("BLACKBOX_WEBHOOK_URL", collector.url())],
            ..BedOptions::default()
        };
        let bed = Bed::with("webhook, hangs", options);
        let start_kib = bed.footprint().resident_kib;
        // One overflow of the queue is enough: it takes 10 MiB of lines.
        let is_held_up = || {
            let [_, dropped, queued] = numbers(&bed);
            if is_delivered { queued > 300 } else { dropped > 20 }
        };
        assert!(eventually(PATIENCE, is_held_up), "{:?}", numbers(&bed));
        bed.flush();
        assert!(eventually(PATIENCE, || bed.balance().is_even()), "stdout: {}", bed.balance());
        assert_eq!(bed.agent.metric("k8s_watch_reconnections_total"), 0.0, "the watch never broke");
        // The queue's lines, and what a debug build touches of itself meanwhile.
        let growth_kib = bed.footprint().resident_kib.saturating_sub(start_kib);
        assert!(growth_kib < 14 << 10, "{growth_kib} KiB more than {start_kib}");
        collector.answer(ACCEPTED);
        if is_delivered {
            drained(&bed);
            let [written, dropped, _] = numbers(&bed);
            let told = collector.posts().iter().filter_map(|post| lost_in(&post.body)).count();
            assert_eq!(written - told + dropped, bed.agent.lines_from(0).len());
        }
    }
}

#[test]
fn what_the_collector_did_not_get_by_the_end_is_told_by_the_next_agent() {
    let collector = Collector::start(None);
    collector.answer(Reply::Silence);
    let mut bed = bed(
        "webhook, end",
        vec![
            ("BLACKBOX_WEBHOOK_URL", collector.url()),
            ("BLACKBOX_STATE_FILE", format!("{FOLDER}/state")),
        ],
    );
    assert!(eventually(PATIENCE, || numbers(&bed)[2] > 5));
    bed.pause();
    let (status, took) = bed.agent.end("TERM");
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(1), "{took:?}");
    let told = bed.agent.last_lines();
    assert!(bed.agent.log().contains("could not be written in time"), "{}", bed.agent.log());
    collector.answer(ACCEPTED);
    bed.start_agent();
    // If a container terminated more than twice meanwhile, the older terminations are only counted.
    let newest: Vec<_> = told.iter().rev().take(3).collect();
    let arrived = || {
        let posts = collector.posts();
        newest.iter().all(|line| {
            let incident: serde_json::Value = serde_json::from_str(line).unwrap();
            posts.iter().any(|post| post.key == incident["id"].as_str().unwrap())
        })
    };
    assert!(eventually(PATIENCE, arrived), "{:?} of {}", keys(&collector.posts()), told.len());
}
