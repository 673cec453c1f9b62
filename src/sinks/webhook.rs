//! The webhook sink: one HTTP POST per incident, in order.
//!
//! Failures that may go away (no connection, no trust, no response, 408, 425, 429, 5xx) are retried after a
//! backoff, or later if the collector asks for it. If a token is configured, a 401 is retried once, with the
//! token that its file holds then. After any other status code the line is dropped. A retry carries the same
//! `Idempotency-Key`, the incident's id. While one line is retried the others wait in the queue, which drops
//! the oldest ones when it is full.

use std::sync::Arc;
use std::time::Duration;

use crate::config::endpoint::{Secret, TokenSource};
use crate::config::webhook;
use crate::core::backoff::{Backoff, Jitter};
use crate::kube::http::{HttpClient, HttpError, Post, ResponseTimeout};
use crate::limits::{
    RECEIPT_BODY_TIMEOUT, WEBHOOK_RETRY_AFTER_MAX, WEBHOOK_RETRY_INTERVAL, WEBHOOK_TIMEOUT,
    WEBHOOK_TRIES_MAX,
};
use crate::metrics::heartbeat::Worker;
use crate::metrics::{Metrics, SinkName};
use crate::runtime::clock::Clock;
use crate::runtime::stop::Stop;
use crate::runtime::trouble::Trouble;
use crate::sinks::delivery::Delivery;
use crate::sinks::handle::lose;
use crate::sinks::queue::Queue;

/// The webhook sink's worker: it sends queued incidents to the collector.
#[derive(Debug)]
pub struct Webhook {
    client: HttpClient,
    target: Secret,
    has_token: bool,
    retry_interval: Duration,
    jitter: Jitter,
    metrics: Arc<Metrics>,
    clock: Clock,
    stop: Stop,
    trouble: Trouble,
    losses: Trouble,
}

/// The outcome for one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The collector accepted it.
    Delivered,
    /// The collector refused it, or every try failed.
    Lost,
    /// The agent shut down before the line was delivered.
    Kept,
}

/// What to do after a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Retry, not before this time has passed.
    Again(Option<Duration>),
    /// Retry with the token that the file holds now.
    NewToken,
    /// Give up: the response would be the same.
    GiveUp,
}

impl Webhook {
    /// Creates the sink; it connects when the first line arrives. `seed` is for the jitter.
    pub fn new(
        config: &webhook::Webhook,
        seed: u64,
        metrics: Arc<Metrics>,
        clock: Clock,
        stop: Stop,
    ) -> Self {
        Self {
            client: HttpClient::new(&config.collector, WEBHOOK_TIMEOUT, clock),
            target: config.target.clone(),
            has_token: config.collector.credentials.token != TokenSource::None,
            retry_interval: WEBHOOK_RETRY_INTERVAL,
            jitter: Jitter::new(seed),
            metrics,
            clock,
            stop,
            trouble: Trouble::new(module_path!(), "webhook"),
            losses: Trouble::new(module_path!(), "webhook"),
        }
    }

    /// Posts queued lines until the queue is closed and empty. If the collector fails while the agent shuts down,
    /// the sink does not wait for it: undelivered lines stay open, and the next agent reports them again.
    pub fn run(mut self, queue: &Queue) {
        while let Some(delivery) = queue.pop() {
            match self.deliver(&delivery) {
                Outcome::Delivered => self.metrics.sink_written.add(SinkName::Webhook),
                Outcome::Lost => lose(&delivery, queue, &self.metrics, SinkName::Webhook),
                Outcome::Kept => return,
            }
            delivery.done();
            // Decrement only after delivery: a line that is being retried still counts as queued.
            self.metrics.sink_queued.take(SinkName::Webhook);
        }
    }

    fn post(&mut self, key: &str, json: &[u8]) -> Result<(), HttpError> {
        let path = self.target.expose();
        let response = self.client.post(&Post {
            path,
            json,
            idempotency_key: Some(key),
            response_timeout: ResponseTimeout::Receipt,
        })?;
        // The content is ignored, but a connection can be used again only if its answer was read to the end.
        response.start(RECEIPT_BODY_TIMEOUT, self.clock);
        Ok(())
    }

    fn deliver(&mut self, delivery: &Delivery) -> Outcome {
        let json = delivery.line.strip_suffix(b"\n").unwrap_or(&delivery.line);
        let key = delivery.id.to_string();
        let mut backoff = Backoff::new(self.retry_interval);
        let mut new_token = self.has_token;
        // A line about losses that is lost is told again, with the next one.
        let tries = if delivery.losses.is_some() { 1 } else { WEBHOOK_TRIES_MAX };
        for tries_left in (0..tries).rev() {
            let metrics = self.metrics.clone();
            let busy = metrics.heartbeats.busy(Worker::Webhook);
            let posted = self.post(&key, json);
            drop(busy);
            let Err(error) = posted else {
                self.trouble.over("the collector responds again");
                self.losses.over("incidents are delivered again");
                return Outcome::Delivered;
            };
            self.metrics.sink_errors.add(SinkName::Webhook);
            let description = describe(&error);
            match next(&error) {
                Next::NewToken if new_token && tries_left > 0 => new_token = false,
                Next::Again(_) if tries_left == 0 => {
                    self.losses.warn(&format!(
                        "the agent dropped an incident after {tries} tries: {description}"
                    ));
                }
                Next::Again(asked) => {
                    self.trouble.warn(&format!("{description}; the agent retries"));
                    let now = self.clock.monotonic();
                    let delay = backoff.delay(now, &mut self.jitter, asked);
                    if self.stop.wait(delay) {
                        return Outcome::Kept;
                    }
                }
                Next::NewToken | Next::GiveUp => {
                    self.losses.warn(&format!("the agent dropped an incident: {description}"));
                    return Outcome::Lost;
                }
            }
        }
        Outcome::Lost
    }
}

fn next(error: &HttpError) -> Next {
    let HttpError::Status(refusal) = error else {
        return Next::Again(None);
    };
    match refusal.code {
        401 => Next::NewToken,
        408 | 425 | 429 | 500..600 => {
            Next::Again(refusal.retry_after.map(|asked| asked.min(WEBHOOK_RETRY_AFTER_MAX)))
        }
        _ => Next::GiveUp,
    }
}

fn describe(error: &HttpError) -> String {
    match error {
        HttpError::Status(refusal) => {
            format!("the collector responded with status {}", refusal.code)
        }
        HttpError::Tls(text) => format!(
            "the TLS connection to the collector failed: {text}; check its certificate and \
             BLACKBOX_WEBHOOK_CA"
        ),
        HttpError::Timeout(_) => "the collector did not respond in time".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::config::endpoint::{Credentials, Endpoint, Server, Trust};
    use crate::kube::http::Refusal;
    use crate::sinks::queue::Limits;

    fn status(code: u16, after: Option<u64>) -> HttpError {
        let retry_after = after.map(Duration::from_secs);
        HttpError::Status(Refusal { code, retry_after, body: Vec::new() })
    }

    #[test]
    fn only_what_may_be_better_the_next_time_is_tried_again() {
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
            (503, Some(86_400), Next::Again(Some(WEBHOOK_RETRY_AFTER_MAX))),
            (599, None, Next::Again(None)),
            (600, None, Next::GiveUp),
            (999, Some(1), Next::GiveUp),
        ] {
            assert_eq!(next(&status(code, after)), want, "{code}");
            assert!(describe(&status(code, after)).contains(&code.to_string()));
        }
        for error in [
            HttpError::Timeout(ureq::Timeout::Global),
            HttpError::Connect(String::new()),
            HttpError::Tls(String::new()),
            HttpError::Io(String::new()),
            HttpError::Protocol(String::new()),
        ] {
            assert_eq!(next(&error), Next::Again(None));
            assert!(!describe(&error).contains("API server"), "{error:?}");
        }
    }

    fn webhook(url: &str, token: TokenSource) -> Webhook {
        let config = webhook::Webhook {
            collector: Endpoint {
                server: Server::parse(url).unwrap(),
                tls_server_name: None,
                trust: Trust::Plaintext,
                credentials: Credentials { token, client_cert: None },
            },
            target: Secret::new("/hook"),
        };
        let (metrics, clock, stop) = (Arc::default(), Clock::start(), Stop::default());
        let webhook = Webhook::new(&config, 1, metrics, clock, stop);
        Webhook { retry_interval: Duration::from_millis(1), ..webhook }
    }

    /// Responds to this many requests with this head, one per connection; the thread returns how many there were.
    fn answering(head: &'static str, requests: usize) -> (String, std::thread::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let run = move || {
            let answer = |stream: std::net::TcpStream| {
                let mut reader = BufReader::new(&stream);
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).unwrap() > 2 {
                    let value = line.to_ascii_lowercase();
                    if let Some(value) = value.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                reader.read_exact(&mut vec![0; length]).unwrap();
                let tail = "Connection: close\r\nContent-Length: 0\r\n\r\n";
                write!(&stream, "HTTP/1.1 {head}\r\n{tail}").unwrap();
            };
            listener.incoming().take(requests).map(|stream| answer(stream.unwrap())).count()
        };
        (url, std::thread::Builder::new().spawn(run).unwrap())
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
        let tries = usize::try_from(WEBHOOK_TRIES_MAX).unwrap();
        for (head, token, requests) in [
            ("503 S", TokenSource::None, tries),
            ("401 U", TokenSource::None, 1),
            ("401 U", TokenSource::Inline(Secret::new("abc")), 2),
            ("400 B", TokenSource::None, 1),
            ("302 F\r\nLocation: /elsewhere", TokenSource::None, 1),
        ] {
            let (url, server) = answering(head, requests);
            let webhook = webhook(&url, token);
            let metrics = webhook.metrics.clone();
            let (queue, delivery) = queue();
            webhook.run(&queue);
            assert_eq!(server.join().unwrap(), requests, "{head}");
            assert_eq!(metrics.sink_dropped.get(SinkName::Webhook), 1, "{head}");
            assert_eq!(open(&delivery), 0, "{head}");
        }
    }

    #[test]
    fn what_cannot_be_sent_at_the_end_is_not_done() {
        let (url, server) = answering("503 S", 1);
        let webhook = webhook(&url, TokenSource::None);
        webhook.stop.set();
        let metrics = webhook.metrics.clone();
        let (queue, delivery) = queue();
        webhook.run(&queue);
        assert_eq!(server.join().unwrap(), 1);
        assert_eq!(metrics.sink_dropped.get(SinkName::Webhook), 0);
        assert_eq!(open(&delivery), 1);
    }

    #[test]
    fn what_can_be_sent_at_the_end_is_sent() {
        let (url, server) = answering("204 N", 1);
        let webhook = webhook(&url, TokenSource::None);
        webhook.stop.set();
        let metrics = webhook.metrics.clone();
        let (queue, delivery) = queue();
        webhook.run(&queue);
        assert_eq!(server.join().unwrap(), 1);
        assert_eq!(metrics.sink_written.get(SinkName::Webhook), 1);
        assert_eq!(open(&delivery), 0);
    }
}
