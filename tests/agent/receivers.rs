//! The sinks for OpenTelemetry, Alertmanager and a chat, against test collectors. `.ci/receivers` runs the last test, with
//! real receivers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::support::bed::millis;
use crate::support::clock::{self, eventually};
use crate::support::collector::{ACCEPTED, Collector, Post, Reply};
use crate::support::losses::lost_in;
use crate::support::{Bed, BedOptions, PATIENCE, Scratch};
use serde_json::Value;

fn bed(row: &str, env: Vec<(&'static str, String)>) -> Bed {
    Bed::with(row, BedOptions { pods: 10, pace: millis(50), env, ..BedOptions::default() })
}

/// Returns a sink's metrics: written, dropped, queued.
fn numbers(bed: &Bed, sink: &str) -> [usize; 3] {
    ["written_total", "dropped_total", "queued"]
        .map(|name| bed.agent.metric(&format!("blackbox_sink_{name}{{sink=\"{sink}\"}}")) as usize)
}

/// Stops the crashes and waits until the queue is empty.
#[track_caller]
fn drained(bed: &Bed, sink: &str) {
    bed.flush();
    assert!(eventually(PATIENCE, || bed.balance().is_even()), "{}", bed.balance());
    let empty = || numbers(bed, sink)[2] == 0;
    assert!(eventually(PATIENCE, empty), "{:?}\n{}", numbers(bed, sink), bed.agent.log());
}

fn lines(bed: &Bed) -> Vec<Value> {
    bed.agent.lines_from(0).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(bed: &Bed) -> BTreeSet<String> {
    lines(bed).iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_incident_is_one_log_record_and_an_outage_costs_few_requests() {
    let collector = Collector::start(None);
    let files = Scratch::new("otlp");
    fs::write(files.join("token"), "t0ken\n").unwrap();
    collector.answer(Reply::Status(503, "", ""));
    let bed = bed(
        "otlp",
        vec![
            ("BLACKBOX_OTLP_ENDPOINT", format!("{}/in?key=s3cret", collector.url())),
            ("BLACKBOX_OTLP_HEADERS", "x-scope=t%20h".to_owned()),
            ("BLACKBOX_OTLP_TOKEN_FILE", files.join("token").to_str().unwrap().to_owned()),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=live".to_owned()),
        ],
    );
    assert!(eventually(PATIENCE, || numbers(&bed, "otlp")[2] > 20), "{:?}", numbers(&bed, "otlp"));
    collector.answer(ACCEPTED);
    drained(&bed, "otlp");
    let refused = bed.agent.metric("blackbox_sink_errors_total{sink=\"otlp\"}") as usize;
    let posts = collector.posts().split_off(refused);
    let records: Vec<String> = posts.iter().flat_map(Post::records).collect();
    let told = ids(&bed);
    assert_eq!(records.iter().cloned().collect::<BTreeSet<_>>(), told);
    assert_eq!(records.len(), told.len(), "none of them twice");
    assert!(posts.iter().any(|post| post.records().len() > 15), "those that waited go together");
    for post in &posts {
        assert_eq!(post.target, "POST /in/v1/logs?key=s3cret");
        assert_eq!(post.authorization, "Bearer t0ken");
        assert_eq!(post.content_type, "application/x-protobuf");
        assert!(post.body.contains("deployment.environment.name\x12\x06\x0a\x04live"));
    }
    assert_eq!(numbers(&bed, "otlp"), [records.len(), 0, 0]);
    let log = bed.agent.log();
    assert!(
        log.contains("the OTLP receiver responded with status 503; the agent retries"),
        "{log}"
    );
    assert!(!log.contains("s3cret") && !log.contains("t0ken"), "{log}");
}

#[test]
fn a_batch_that_is_refused_loses_only_the_lines_that_are_refused_alone() {
    let collector = Collector::start(None);
    collector.answer(Reply::Status(503, "", ""));
    let bed = bed("otlp, refused", vec![("BLACKBOX_OTLP_ENDPOINT", collector.url())]);
    // The first request has one line. The others wait behind it, and are the second request.
    assert!(eventually(PATIENCE, || numbers(&bed, "otlp")[2] > 10));
    bed.pause();
    let refused = Reply::Status(400, "", "");
    let refused_alone = [ACCEPTED, refused.clone(), ACCEPTED, refused, ACCEPTED];
    collector.answer_next(refused_alone);
    collector.answer(ACCEPTED);
    drained(&bed, "otlp");
    let [written, dropped, _] = numbers(&bed, "otlp");
    let posts = collector.posts();
    let told = posts.iter().filter(|post| post.body.contains("blackbox.sink.loss")).count();
    assert_eq!((dropped, told), (1, 1), "{}", bed.agent.log());
    assert_eq!(written, ids(&bed).len() - 1 + told);
    bed.agent.wait_for_log("the OTLP receiver responded with status 400");
}

#[test]
fn incidents_are_alerts_and_an_alertmanager_that_is_gone_delays_none() {
    let (here, gone) = (Collector::start(None), Collector::start(None));
    gone.answer(Reply::Status(503, "", ""));
    let bed = bed(
        "alertmanager",
        vec![
            ("BLACKBOX_ALERTMANAGER_URL", format!("{}/, {}/am/", gone.url(), here.url())),
            ("BLACKBOX_ALERT_MIN_SEVERITY", "medium".to_owned()),
        ],
    );
    assert!(eventually(PATIENCE, || here.count() > 20), "{:?}", numbers(&bed, "alertmanager"));
    drained(&bed, "alertmanager");
    let posts = here.posts();
    assert!(posts.iter().all(|post| post.target == "POST /am/api/v2/alerts"));
    let bodies = posts.iter().map(|post| serde_json::from_str::<Vec<Value>>(&post.body).unwrap());
    let alerts: Vec<Value> = bodies.flatten().collect();
    let posted: Vec<&str> =
        alerts.iter().map(|a| a["annotations"]["incident_id"].as_str().unwrap()).collect();
    let lines = lines(&bed);
    let wanted = lines.iter().filter(|line| line["severity"] != "low");
    let wanted: Vec<&str> = wanted.map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(posted, wanted, "each once, in order");
    assert!(wanted.len() < lines.len(), "some incidents are low");
    assert_eq!(numbers(&bed, "alertmanager"), [posted.len(), 0, 0]);
    let mut of_fingerprint = BTreeMap::new();
    for alert in &alerts {
        let labels = &alert["labels"];
        assert_eq!(labels["alertname"], "BlackboxIncident");
        assert!(labels["pod"].is_null() && labels["node"].is_null());
        let fingerprint = labels["fingerprint"].as_str().unwrap();
        let first = of_fingerprint.entry(fingerprint).or_insert(labels);
        assert_eq!(*first, labels, "a fingerprint is one alert");
    }
    assert!(gone.count() > 0);
    assert!(gone.count() < 5, "it is left alone: {}", gone.count());
    bed.agent.wait_for_log("Alertmanager at http://127.0.0.1:");
}

#[test]
fn a_chat_gets_one_message_for_a_fingerprint_and_the_numbers_at_the_end() {
    let collector = Collector::start(None);
    let mut bed = bed(
        "chat",
        vec![
            ("BLACKBOX_WEBHOOK_URL", format!("{}/services/T0/B0/s3cret", collector.url())),
            ("BLACKBOX_WEBHOOK_FORMAT", "slack".to_owned()),
        ],
    );
    assert!(eventually(PATIENCE, || bed.agent.lines_from(0).len() > 150));
    drained(&bed, "webhook");
    let lines = lines(&bed);
    let fingerprints: BTreeSet<_> = lines.iter().map(|line| line["fingerprint"].as_str()).collect();
    assert_eq!(collector.count(), fingerprints.len());
    assert!(fingerprints.len() < lines.len(), "some occur again");
    assert_eq!(numbers(&bed, "webhook"), [lines.len(), 0, 0]);
    assert_eq!(bed.agent.end("TERM").0.code(), Some(0));
    let posts = collector.posts();
    let text = |post: &Post| {
        let body: Value = serde_json::from_str(&post.body).unwrap();
        body["text"].as_str().unwrap().to_owned()
    };
    let (messages, counts) = posts.split_at(fingerprints.len());
    assert!(messages.iter().all(|post| text(post).contains("fingerprint")));
    let counted: usize = counts
        .iter()
        .map(|post| {
            let text = text(post);
            let number =
                text.strip_prefix('*').and_then(|text| text.split_once(" more*")).unwrap().0;
            number.parse::<usize>().unwrap()
        })
        .sum();
    assert_eq!(messages.len() + counted, lines.len(), "each is told or counted");
}

#[test]
fn a_receiver_that_hangs_holds_up_no_other() {
    let (hangs, works) = (Collector::start(None), Collector::start(None));
    hangs.answer(Reply::Silence);
    let bed = bed(
        "receivers, one hangs",
        vec![
            ("BLACKBOX_OTLP_ENDPOINT", hangs.url()),
            ("BLACKBOX_ALERTMANAGER_URL", hangs.url()),
            ("BLACKBOX_WEBHOOK_URL", works.url()),
        ],
    );
    assert!(eventually(PATIENCE, || works.count() > 50));
    bed.flush();
    assert!(eventually(PATIENCE, || bed.balance().is_even()), "stdout: {}", bed.balance());
    let all = || works.count() == bed.agent.lines_from(0).len();
    assert!(eventually(PATIENCE, all), "{} posts", works.count());
    assert!(works.posts().iter().all(|post| lost_in(&post.body).is_none()));
    assert!(numbers(&bed, "otlp")[2] > 0);
    let since = clock::now();
    let mut bed = bed;
    assert_eq!(bed.agent.end("TERM").0.code(), Some(0));
    assert!(clock::now() - since < millis(3000), "{:?}", clock::now() - since);
}
