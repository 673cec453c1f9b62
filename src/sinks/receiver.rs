//! What the sinks that send incidents by HTTP have in common: which lines go into one request, what is tried again, and what
//! a failure means for the lines.
//!
//! Failures that may go away (no connection, no trust, no response, and the codes that the format names) are retried after a
//! backoff, or later if the receiver asks for it. If a token is configured, a 401 is retried once, with the token that its
//! file holds then. After any other code the lines are dropped; if there were several in a request that was malformed or too
//! large, each is tried alone first. While lines are retried the others wait in the queue, which drops the oldest ones when
//! it is full.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::config::endpoint::{Secret, TokenSource};
use crate::config::receivers::Receiver;
use crate::core::Now;
use crate::core::backoff::{Backoff, Jitter};
use crate::core::export::otlp::Rejected;
use crate::core::text::escaped;
use crate::kube::http::{Header, HttpClient, HttpError, Post, ResponseTimeout};
use crate::limits::{
    CONNECTION_IDLE_MAX, RECEIPT_BODY_TIMEOUT, RECEIVER_REST, RECEIVER_RETRY_AFTER_MAX,
    RECEIVER_RETRY_INTERVAL, RECEIVER_TRIES_MAX,
};
use crate::metrics::{Metrics, SinkName};
use crate::runtime::clock::Clock;
use crate::runtime::stop::Stop;
use crate::runtime::trouble::Trouble;
use crate::sinks::delivery::Delivery;
use crate::sinks::handle::lose;
use crate::sinks::queue::{Popped, Queue};

/// One kind of receiver: what it gets, and how it answers.
pub trait Format: Send {
    /// What messages to the operator call the receiver: `the collector`.
    fn receiver(&self) -> &'static str;

    /// The setting that names the CAs for the receiver.
    fn ca_setting(&self) -> &'static str;

    /// Maximum number of bytes of the lines of one request. A single line may be larger; with 0 each line has its own.
    fn batch_bytes_max(&self) -> usize {
        0
    }

    /// Makes the request about these lines. `None`: there is nothing to send about them, and they are done.
    fn request<'a>(&mut self, lines: &'a [Arc<Delivery>], now: Now) -> Option<Request<'a>>;

    /// Makes the request anew for the next try. `None`: it is the same.
    fn again<'a>(&mut self, _: &'a [Arc<Delivery>], _: Now) -> Option<Request<'a>> {
        None
    }

    /// Returns true if the same request may be accepted later, after an answer with this code.
    fn may_try_again(&self, code: u16) -> bool {
        matches!(code, 408 | 425 | 429 | 500..600)
    }

    /// Reads from the first bytes of an answer what the receiver refused although it accepted the request.
    fn rejected(&self, _: &[u8]) -> Rejected {
        Rejected::default()
    }

    /// Returns when a request is due that no line causes, by the monotonic clock.
    fn due(&self) -> Option<Duration> {
        None
    }

    /// Makes a request that is due, and says for how many incidents it stands; at the end all of them are due. Called until
    /// it returns `None`.
    fn late_request(&mut self, _: Now, _is_end: bool) -> Option<(Request<'static>, u64)> {
        None
    }
}

/// A request to a receiver.
#[derive(Debug)]
pub struct Request<'a> {
    /// The type of the body.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<Header>,
    /// The body.
    pub body: Cow<'a, [u8]>,
}

impl<'a> Request<'a> {
    /// Makes the request of a body in JSON.
    pub fn json(body: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { content_type: "application/json", headers: Vec::new(), body: body.into() }
    }

    /// Returns the request to this path of a receiver.
    pub fn to<'p>(&'p self, target: &'p Secret) -> Post<'p> {
        Post {
            path: target.expose(),
            content_type: self.content_type,
            body: &self.body,
            headers: &self.headers,
            response_timeout: ResponseTimeout::Receipt,
        }
    }
}

/// What the sinks share with the rest of the agent.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Seeds the jitter.
    pub seed: u64,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: Clock,
    /// Set when the agent shuts down.
    pub stop: Stop,
}

/// A sink's worker: it sends queued incidents to its receivers. It is enough if one of them accepts.
pub struct ReceiverSink {
    name: SinkName,
    connections: Vec<Connection>,
    format: Box<dyn Format>,
    retry_interval: Duration,
    jitter: Jitter,
    surroundings: Surroundings,
    losses: Trouble,
}

/// A client of one receiver.
struct Connection {
    client: HttpClient,
    target: Secret,
    has_token: bool,
    /// What messages call it.
    subject: String,
    /// Until then it is left alone, because another one accepts.
    rests_until: Duration,
    trouble: Trouble,
}

/// The outcome for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// A receiver accepted it; these are the first bytes of its answer.
    Delivered(Vec<u8>),
    /// It was refused for good, or every try failed. True if a receiver called it malformed or too large.
    Lost(bool),
    /// The agent shut down before it was delivered.
    Kept,
}

/// What to do after a failed try. If several receivers failed, the first of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// Retry, not before this time has passed.
    Again(Option<Duration>),
    /// Retry with the token that the file holds now.
    NewToken,
    /// Give up: the response would be the same.
    GiveUp,
}

/// A failed try.
struct Failure {
    /// The position of its connection.
    at: usize,
    next: Next,
    code: Option<u16>,
    description: String,
}

impl ReceiverSink {
    /// Creates the sink; it connects when the first line arrives.
    pub fn new(
        name: SinkName,
        receivers: &[Receiver],
        format: Box<dyn Format>,
        surroundings: Surroundings,
    ) -> Self {
        let connection = |receiver: &Receiver| Connection {
            client: HttpClient::new(&receiver.server, receiver.timeout, surroundings.clock)
                .for_receipts(),
            target: receiver.target.clone(),
            has_token: receiver.server.credentials.token != TokenSource::None,
            subject: match receivers {
                [_] => format.receiver().to_owned(),
                _ => format!("{} at {}", format.receiver(), receiver.server.server),
            },
            rests_until: Duration::ZERO,
            trouble: Trouble::new(module_path!(), name.name()),
        };
        Self {
            name,
            connections: receivers.iter().map(connection).collect(),
            format,
            retry_interval: RECEIVER_RETRY_INTERVAL,
            jitter: Jitter::new(surroundings.seed),
            losses: Trouble::new(module_path!(), name.name()),
            surroundings,
        }
    }

    /// Sends queued lines until the queue is closed and empty. If the receiver fails while the agent shuts down, the sink
    /// does not wait for it: undelivered lines stay open, and the next agent reports them again.
    pub fn run(mut self, queue: &Queue) {
        let mut is_connected = false;
        loop {
            let now = self.now().monotonic;
            let due = self.format.due().map(|due| due.saturating_sub(now));
            let idle = is_connected.then_some(CONNECTION_IDLE_MAX);
            match queue.pop_within(due.into_iter().chain(idle).min()) {
                Popped::Item(first) => {
                    let batch = self.batch(first, queue);
                    if !self.deliver(&batch, queue) {
                        return;
                    }
                    is_connected = true;
                }
                // An idle connection keeps its buffers, and would not be used again.
                Popped::Nothing => {
                    self.connections.iter_mut().for_each(|connection| connection.client.renew());
                    is_connected = false;
                }
                Popped::Closed => break,
            }
            self.send_late(false);
        }
        self.send_late(true);
    }

    fn now(&self) -> Now {
        self.surroundings.clock.now()
    }

    /// Takes the lines that wait behind the first one, as far as they fit into one request.
    fn batch(&self, first: Arc<Delivery>, queue: &Queue) -> Vec<Arc<Delivery>> {
        let mut bytes = first.line.len();
        let mut batch = vec![first];
        while bytes < self.format.batch_bytes_max()
            && let Some(item) = queue.try_pop()
        {
            bytes += item.line.len();
            batch.push(item);
        }
        batch
    }

    /// Sends these lines. Returns false if the agent shut down before that.
    fn deliver(&mut self, batch: &[Arc<Delivery>], queue: &Queue) -> bool {
        // A line about losses that is lost is told again, with the next one.
        let is_about_losses = batch.iter().all(|delivery| delivery.losses.is_some());
        let tries = if is_about_losses { 1 } else { RECEIVER_TRIES_MAX };
        let outcome = match self.format.request(batch, self.now()) {
            Some(request) => self.send(request, batch, tries),
            None => Outcome::Delivered(Vec::new()),
        };
        let refused = match outcome {
            Outcome::Kept => return false,
            // One of the lines may be what fails.
            Outcome::Lost(true) if batch.len() > 1 => {
                return batch.chunks(1).all(|alone| self.deliver(alone, queue));
            }
            Outcome::Lost(_) => batch.len(),
            Outcome::Delivered(answer) => self.refused(&answer, batch.len()),
        };
        let metrics = &self.surroundings.metrics;
        for (at, delivery) in batch.iter().enumerate() {
            if refused == batch.len() {
                lose(delivery, queue, metrics, self.name);
            } else if at < refused {
                // The receiver does not say which they are.
                metrics.sink_dropped.add(self.name);
            } else {
                metrics.sink_written.add(self.name);
            }
            delivery.done();
            // Decrement only after delivery: a line that is being retried still counts as queued.
            metrics.sink_queued.take(self.name);
        }
        true
    }

    /// Returns how many lines of a request the receiver refused, by its answer, and logs that.
    fn refused(&mut self, answer: &[u8], lines: usize) -> usize {
        let Rejected { records, message } = self.format.rejected(answer);
        if records == 0 {
            return 0;
        }
        let refused = usize::try_from(records).map_or(lines, |records| records.min(lines));
        let subject = &self.connections[0].subject;
        let description = escaped(&message);
        self.losses.warn(&format!(
            "{subject} accepted a request, but refused {refused} of its {lines} incidents: \
             {description}"
        ));
        refused
    }

    /// Sends the requests that no line causes.
    fn send_late(&mut self, is_end: bool) {
        while let Some((request, incidents)) = self.format.late_request(self.now(), is_end) {
            let tries = if is_end { 1 } else { RECEIVER_TRIES_MAX };
            let outcome = self.send(request, &[], tries);
            if !matches!(outcome, Outcome::Delivered(_)) {
                self.surroundings.metrics.sink_dropped.add_many(self.name, incidents);
            }
            if outcome == Outcome::Kept {
                return;
            }
        }
    }

    fn send<'a>(
        &mut self,
        mut request: Request<'a>,
        lines: &'a [Arc<Delivery>],
        tries: u32,
    ) -> Outcome {
        let mut is_refused = false;
        let mut backoff = Backoff::new(self.retry_interval);
        let mut new_token = self.connections.iter().any(|connection| connection.has_token);
        for tries_left in (0..tries).rev() {
            let (accepted, failures) = self.try_once(&request);
            if let Some(answer) = accepted {
                self.losses.over("incidents are delivered again");
                return Outcome::Delivered(answer);
            }
            is_refused = failures.iter().any(|failure| matches!(failure.code, Some(400 | 413)));
            // As long as one of the receivers may accept it later, the request is not lost.
            let best = failures.into_iter().min_by_key(|failure| failure.next);
            let Some(Failure { at, next, description, .. }) = best else { break };
            match next {
                Next::NewToken if new_token && tries_left > 0 => new_token = false,
                Next::Again(_) if tries_left == 0 => {
                    self.losses.warn(&format!(
                        "the agent dropped an incident after {tries} tries: {description}"
                    ));
                }
                Next::Again(asked) => {
                    self.connections[at].retries(&description);
                    let delay = backoff.delay(self.now().monotonic, &mut self.jitter, asked);
                    if self.surroundings.stop.wait(delay) {
                        return Outcome::Kept;
                    }
                    if let Some(again) = self.format.again(lines, self.now()) {
                        request = again;
                    }
                }
                Next::NewToken | Next::GiveUp => {
                    self.losses.warn(&format!("the agent dropped an incident: {description}"));
                    return Outcome::Lost(is_refused);
                }
            }
        }
        Outcome::Lost(is_refused)
    }

    /// Sends the request to each receiver. One that failed while another one accepted is left alone for a while, as long as
    /// another one accepts. Returns the answer of one that accepted, and the failures of the others.
    fn try_once(&mut self, request: &Request<'_>) -> (Option<Vec<u8>>, Vec<Failure>) {
        let now = self.now().monotonic;
        let (mut accepted, mut failures) = (None, Vec::new());
        let Surroundings { metrics, clock, .. } = &self.surroundings;
        for is_resting in [false, true] {
            if accepted.is_some() {
                break;
            }
            for (at, connection) in self.connections.iter_mut().enumerate() {
                if (connection.rests_until > now) != is_resting {
                    continue;
                }
                let busy = metrics.heartbeats.busy(self.name.worker());
                let posted = connection.post(request, *clock);
                drop(busy);
                match posted {
                    Ok(answer) => {
                        connection.trouble.over(&format!("{} responds again", connection.subject));
                        accepted = Some(answer);
                    }
                    Err(error) => {
                        metrics.sink_errors.add(self.name);
                        let description =
                            describe(&error, &connection.subject, self.format.ca_setting());
                        let next = next(&error, &*self.format);
                        failures.push(Failure { at, next, code: error.code(), description });
                    }
                }
            }
        }
        if accepted.is_some() {
            for Failure { at, description, .. } in &failures {
                let connection = &mut self.connections[*at];
                connection.rests_until = now + RECEIVER_REST;
                connection.retries(description);
            }
        }
        (accepted, failures)
    }
}

impl Connection {
    /// Logs a failure after which the receiver is tried again.
    fn retries(&mut self, description: &str) {
        self.trouble.warn(&format!("{description}; the agent retries"));
    }

    /// Sends the request, and returns the first bytes of the answer.
    fn post(&mut self, request: &Request<'_>, clock: Clock) -> Result<Vec<u8>, HttpError> {
        let response = self.client.post(&request.to(&self.target))?;
        // A connection can be used again only if its answer was read to the end.
        Ok(response.start(RECEIPT_BODY_TIMEOUT, clock))
    }
}

fn next(error: &HttpError, format: &dyn Format) -> Next {
    let HttpError::Status(refusal) = error else {
        return Next::Again(None);
    };
    match refusal.code {
        401 => Next::NewToken,
        code if format.may_try_again(code) => {
            Next::Again(refusal.retry_after.map(|asked| asked.min(RECEIVER_RETRY_AFTER_MAX)))
        }
        _ => Next::GiveUp,
    }
}

fn describe(error: &HttpError, subject: &str, ca_setting: &str) -> String {
    match error {
        HttpError::Status(refusal) => format!("{subject} responded with status {}", refusal.code),
        HttpError::Tls(text) => format!(
            "the TLS connection to {subject} failed: {text}; check its certificate and {ca_setting}"
        ),
        HttpError::Timeout(_) => format!("{subject} did not respond in time"),
        other => format!("{subject}: {other}"),
    }
}

#[cfg(test)]
mod tests;
