use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use super::*;
use crate::config::endpoint::{Credentials, Endpoint, Server, Trust};
use crate::config::receivers::webhook::WebhookFormat;
use crate::kube::http::Refusal;
use crate::limits::RECEIVER_TIMEOUT;
use crate::sinks::queue::Limits;
use crate::sinks::webhook;

fn status(code: u16, after: Option<u64>) -> HttpError {
    let retry_after = after.map(Duration::from_secs);
    HttpError::Status(Refusal { code, retry_after, body: Vec::new() })
}

#[test]
fn only_what_may_be_better_the_next_time_is_tried_again() {
    let format = webhook::format(WebhookFormat::Incident);
    let second = Some(Duration::from_secs(1));
    for (code, after, want) in [
        (101, None, Next::GiveUp),
        (301, None, Next::GiveUp),
        (304, Some(1), Next::GiveUp),
        (307, None, Next::GiveUp),
        (400, Some(1), Next::GiveUp),
        (401, None, Next::NewToken),
        (403, None, Next::GiveUp),
        (404, None, Next::GiveUp),
        (408, None, Next::Again(None)),
        (413, None, Next::GiveUp),
        (425, None, Next::Again(None)),
        (429, Some(1), Next::Again(second)),
        (429, None, Next::Again(None)),
        (500, None, Next::Again(None)),
        (503, Some(1), Next::Again(second)),
        (503, Some(86_400), Next::Again(Some(RECEIVER_RETRY_AFTER_MAX))),
        (599, None, Next::Again(None)),
        (600, None, Next::GiveUp),
        (999, Some(1), Next::GiveUp),
    ] {
        assert_eq!(next(&status(code, after), &*format), want, "{code}");
        let described = describe(&status(code, after), "the collector", "");
        assert!(described.contains(&code.to_string()));
    }
    for error in [
        HttpError::Timeout(ureq::Timeout::Global),
        HttpError::Connect(String::new()),
        HttpError::Tls(String::new()),
        HttpError::Io(String::new()),
        HttpError::Protocol(String::new()),
    ] {
        assert_eq!(next(&error, &*format), Next::Again(None));
        let described = describe(&error, "the collector", "");
        assert!(!described.contains("API server"), "{error:?}");
    }
}

fn sink(url: &str, token: TokenSource) -> ReceiverSink {
    sink_of(webhook::format(WebhookFormat::Incident), [receiver(url, token)])
}

fn receiver(url: &str, token: TokenSource) -> Receiver {
    Receiver {
        server: Endpoint {
            server: Server::parse(url).unwrap(),
            tls_server_name: None,
            trust: Trust::Plaintext,
            credentials: Credentials { token, client_cert: None },
        },
        target: Secret::new("/hook"),
        timeout: RECEIVER_TIMEOUT,
    }
}

fn sink_of<const N: usize>(format: Box<dyn Format>, receivers: [Receiver; N]) -> ReceiverSink {
    let surroundings = Surroundings {
        seed: 1,
        metrics: Arc::default(),
        clock: Clock::start(),
        stop: Stop::default(),
    };
    let sink = ReceiverSink::new(SinkName::Webhook, &receivers, format, surroundings);
    ReceiverSink { retry_interval: Duration::from_millis(1), ..sink }
}

/// Responds to this many requests with this head, one per connection; the thread returns how many there were.
fn answering(head: &'static str, requests: usize) -> (String, std::thread::JoinHandle<usize>) {
    let (url, server) = answering_each(vec![(head, ""); requests]);
    let count = move || server.join().unwrap().len();
    (url, std::thread::Builder::new().spawn(count).unwrap())
}

/// Responds to each request with a head and a body, one per connection; the thread returns the bodies of the requests.
fn answering_each(
    answers: Vec<(&'static str, &'static str)>,
) -> (String, std::thread::JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let run = move || {
        let answer = |((head, body), stream): ((&str, &str), _)| {
            let stream: std::net::TcpStream = stream;
            let mut reader = BufReader::new(&stream);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).unwrap() > 2 {
                let value = line.to_ascii_lowercase();
                if let Some(value) = value.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut got = vec![0; length];
            reader.read_exact(&mut got).unwrap();
            let tail = format!("Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            write!(&stream, "HTTP/1.1 {head}\r\n{tail}").unwrap();
            got
        };
        answers.into_iter().zip(listener.incoming().map(Result::unwrap)).map(answer).collect()
    };
    (url, std::thread::Builder::new().spawn(run).unwrap())
}

/// Returns the URL of a receiver that nobody runs.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn queue() -> (Queue, Arc<Delivery>) {
    let queue = Queue::new(Limits { lines: 8, bytes: 100 }, "node1", "stdout");
    let delivery = Arc::new(Delivery::of_line("{1}\n", 1));
    queue.push(delivery.clone());
    queue.close();
    (queue, delivery)
}

fn open(delivery: &Delivery) -> usize {
    delivery.open.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn a_line_is_lost_after_so_many_tries_and_counted_and_done() {
    let tries = usize::try_from(RECEIVER_TRIES_MAX).unwrap();
    for (head, token, requests) in [
        ("503 S", TokenSource::None, tries),
        ("401 U", TokenSource::None, 1),
        ("401 U", TokenSource::Inline(Secret::new("abc")), 2),
        ("400 B", TokenSource::None, 1),
        ("302 F\r\nLocation: /elsewhere", TokenSource::None, 1),
    ] {
        let (url, server) = answering(head, requests);
        let sink = sink(&url, token);
        let metrics = sink.surroundings.metrics.clone();
        let (queue, delivery) = queue();
        sink.run(&queue);
        assert_eq!(server.join().unwrap(), requests, "{head}");
        assert_eq!(metrics.sink_dropped.get(SinkName::Webhook), 1, "{head}");
        assert_eq!(open(&delivery), 0, "{head}");
    }
}

/// Runs a sink at the end of the agent, against a server that responds with this head; returns its metrics and how many
/// sinks are not done with the line.
fn run_at_the_end(head: &'static str) -> (Arc<Metrics>, usize) {
    let (url, server) = answering(head, 1);
    let sink = sink(&url, TokenSource::None);
    sink.surroundings.stop.set();
    let metrics = sink.surroundings.metrics.clone();
    let (queue, delivery) = queue();
    sink.run(&queue);
    assert_eq!(server.join().unwrap(), 1);
    (metrics, open(&delivery))
}

#[test]
fn what_cannot_be_sent_at_the_end_is_not_done() {
    let (metrics, open) = run_at_the_end("503 S");
    assert_eq!(metrics.sink_dropped.get(SinkName::Webhook), 0);
    assert_eq!(open, 1);
}

#[test]
fn what_can_be_sent_at_the_end_is_sent() {
    let (metrics, open) = run_at_the_end("204 N");
    assert_eq!(metrics.sink_written.get(SinkName::Webhook), 1);
    assert_eq!(open, 0);
}

const LINE: &str = r#"{"id":"1","fingerprint":"a","occurred_at":"2026-11-23T03:31:46Z"}"#;

fn lines(n: usize) -> Queue {
    let queue = Queue::new(Limits { lines: 8, bytes: 10_000 }, "node1", "webhook");
    (0..n).for_each(|_| drop(queue.push(Arc::new(Delivery::of_line(LINE, 1)))));
    queue.close();
    queue
}

#[test]
fn a_line_that_was_refused_in_part_of_a_request_is_dropped_and_not_written() {
    let (url, server) = answering_each(vec![("200 OK", "\x0a\x02\x08\x01")]);
    let config = crate::config::receivers::otlp::Otlp {
        receiver: receiver(&url, TokenSource::None),
        headers: Vec::new(),
        resource: Vec::new(),
    };
    let records = crate::sinks::otlp::LogRecords::new(&config);
    let sink = sink_of(Box::new(records), [config.receiver]);
    let metrics = sink.surroundings.metrics.clone();
    sink.run(&lines(3));
    assert_eq!(server.join().unwrap().len(), 1);
    assert_eq!(metrics.sink_dropped.get(SinkName::Webhook), 1);
    assert_eq!(metrics.sink_written.get(SinkName::Webhook), 2);
}

#[test]
fn a_receiver_that_rests_is_asked_before_a_line_is_given_up() {
    let (failing, first) = answering_each(vec![("503 S", ""), ("200 OK", "")]);
    let (other, second) = answering_each(vec![("200 OK", ""), ("403 F", "")]);
    let receivers = [&failing, &other].map(|url| receiver(url, TokenSource::None));
    let sink = sink_of(webhook::format(WebhookFormat::Incident), receivers);
    let metrics = sink.surroundings.metrics.clone();
    sink.run(&lines(2));
    assert_eq!(metrics.sink_dropped.get(SinkName::Webhook), 0);
    assert_eq!(metrics.sink_written.get(SinkName::Webhook), 2);
    assert_eq!((first.join().unwrap().len(), second.join().unwrap().len()), (2, 2));
}

#[test]
fn a_number_that_a_chat_refuses_is_counted_as_so_many_lost_incidents() {
    let (url, server) = answering_each(vec![("200 OK", "ok"), ("403 F", "")]);
    let format = webhook::format(WebhookFormat::Slack);
    let sink = sink_of(format, [receiver(&url, TokenSource::None)]);
    let metrics = sink.surroundings.metrics.clone();
    sink.run(&lines(4));
    let bodies = server.join().unwrap();
    assert!(String::from_utf8_lossy(&bodies[1]).contains("*3 more*"));
    assert_eq!(metrics.sink_dropped.get(SinkName::Webhook), 3);
}

#[test]
fn an_alert_lasts_from_the_try_that_is_accepted() {
    let (url, server) = answering_each(vec![("503 S", ""), ("200 OK", "")]);
    let format = crate::sinks::alertmanager::AlertsFor(Duration::from_secs(60));
    let sink = sink_of(Box::new(format), [receiver(&url, TokenSource::None)]);
    sink.run(&lines(1));
    let bodies = server.join().unwrap();
    let ends = bodies.iter().map(|body| {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        body[0]["endsAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    });
    let ends: Vec<_> = ends.collect();
    assert!(ends[0] < ends[1], "{ends:?}");
}

#[test]
fn a_receiver_that_refuses_the_token_does_not_end_the_tries_of_another_one() {
    let tries = u64::from(RECEIVER_TRIES_MAX);
    for token in [TokenSource::None, TokenSource::Inline(Secret::new("abc"))] {
        let (refusing, _) = answering("401 U", 100);
        let receivers = [&refusing, &nobody()].map(|url| receiver(url, token.clone()));
        let sink = sink_of(webhook::format(WebhookFormat::Incident), receivers);
        let metrics = sink.surroundings.metrics.clone();
        sink.run(&lines(1));
        // The line that tells the loss is tried once.
        assert_eq!(metrics.sink_errors.get(SinkName::Webhook), 2 * (tries + 1));
    }
}

#[test]
fn a_request_that_one_refuses_and_another_never_gets_is_sent_line_by_line() {
    let (refusing, _) = answering("400 B", 100);
    let receivers = [&refusing, &nobody()].map(|url| receiver(url, TokenSource::None));
    let alerts = crate::sinks::alertmanager::AlertsFor(Duration::from_secs(60));
    let sink = sink_of(Box::new(alerts), receivers);
    let metrics = sink.surroundings.metrics.clone();
    sink.run(&lines(2));
    // Both together, then each alone, and the line that tells the loss once.
    let tries = 3 * u64::from(RECEIVER_TRIES_MAX) + 1;
    assert_eq!(metrics.sink_errors.get(SinkName::Webhook), 2 * tries);
}
