//! The API server over blocking HTTP: requests, their timeouts, and failures grouped by how the agent reacts.
//!
//! Each thread that sends requests has its own [`Client`] with its own connection pool, so that interrupting
//! one stream does not interrupt another. Any transport failure drops the pool, since a connection that failed
//! once is not worth a second request.

pub mod credentials;
mod error;
mod resolver;
mod tls;

use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use log::info;
use ureq::config::Config as HttpConfig;
use ureq::unversioned::transport::{Connector as _, RustlsConnector, TcpConnector};
use ureq::{Agent, BodyReader, RequestBuilder, http};

use crate::config::cluster::Cluster;
use crate::core::stream::decode;
use crate::core::stream::reflector::Failure;
use crate::limits::{
    CONNECTION_IDLE_MAX, HTTP_INPUT_BUFFER_BYTES, HTTP_OUTPUT_BUFFER_BYTES, LIST_TIMEOUTS,
    READ_BLOCK_BYTES, RESPONSE_HEAD_BYTES_MAX, STATUS_BODY_BYTES_MAX, WATCH_OVERTIME,
    WEBHOOK_BODY_TIMEOUT,
};
use crate::runtime::clock::Clock;

use self::credentials::{TlsFiles, TlsSetUp, Token};
use self::resolver::Pinned;
use self::tls::Tls;

pub use self::error::Error;

/// How long the answer to a request may take.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// A whole answer in one piece. A large answer gets more time as long as bytes keep arriving.
    Answer,
    /// A stream that the server closes after `timeout_seconds`.
    Stream {
        /// `timeoutSeconds` of the request.
        timeout_seconds: u64,
        /// The silence after which the client closes the stream earlier.
        idle: Duration,
    },
}

/// Interrupts what a [`Client`] is waiting for, from another thread.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    agent: Mutex<Agent>,
    dropped: AtomicBool,
}

impl Interrupt {
    /// Aborts the request in progress. The client can send the next request; whether there is one is up to the
    /// caller.
    pub fn interrupt(&self) {
        self.0.dropped.store(true, Ordering::Release);
        self.0.agent.lock().unwrap_or_else(PoisonError::into_inner).clone().shutdown();
    }
}

/// A client of the API server, or of another server that is reached in the same way.
#[derive(Debug)]
pub struct Client {
    base: String,
    host: String,
    resolver: Pinned,
    timeout: Duration,
    clock: Clock,
    token: Token,
    tls_files: TlsFiles,
    tls: TlsSetUp,
    shared: Arc<Shared>,
}

impl Client {
    /// Makes a client for that server. `timeout` (for the API server `BLACKBOX_K8S_TIMEOUT`) applies to each
    /// phase of a request up to the head of the answer.
    pub fn new(cluster: &Cluster, timeout: Duration, clock: Clock) -> Self {
        let server = &cluster.server;
        // To verify the certificate for another name, the request is sent to that name, and the resolver
        // returns the server's address for it.
        let base = match &cluster.tls_server_name {
            Some(name) => {
                let mut named = server.clone();
                named.host.clone_from(name);
                named.url()
            }
            None => server.url(),
        };
        let mut plain = server.clone();
        plain.base_path.clear();
        let real = plain.url();
        let resolver = Pinned(real.parse().ok());
        let host = real.split_once("://").map_or(&*real, |(_, host)| host).to_owned();
        let mut tls_files = TlsFiles::new(cluster);
        let tls = tls_files.changed(clock.monotonic()).unwrap_or_else(TlsSetUp::no_trust);
        let agent = agent(timeout, &tls, &resolver);
        let shared = Shared { agent: Mutex::new(agent), dropped: AtomicBool::new(false) };
        Self {
            base,
            host,
            resolver,
            timeout,
            clock,
            token: Token::new(cluster.credentials.token.clone()),
            tls_files,
            tls,
            shared: Arc::new(shared),
        }
    }

    /// Returns a handle that interrupts a wait from another thread.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(self.shared.clone())
    }

    /// Sends a GET for `path` (with its query) and returns the body if the head reports success.
    ///
    /// # Errors
    /// Any failure of the request. A transport failure also drops the connections.
    pub fn get(&mut self, path: &str, patience: Patience) -> Result<Body, Error> {
        self.send(|client, now| client.ask(path, patience, now))
    }

    /// Sends an object to `path` by POST. The API server answers with the object as it processed it.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn create(&mut self, path: &str, json: &[u8]) -> Result<Body, Error> {
        self.send(|client, now| {
            let request = client.agent().post(format!("{}{path}", client.base));
            let request = request.content_type("application/json");
            let request = request.header(http::header::HOST, &client.host);
            let request = client.authorize(request, now);
            let response = request.send(json).map_err(Error::from_ureq)?;
            client.body(response)
        })
    }

    /// Sends a JSON text to `path` (with its query) by POST. `key` is the same for the same text, so that the
    /// server can recognize repeats. The whole request takes no longer than the client's timeout.
    ///
    /// # Errors
    /// Any failure of the request, including an answer that is not a 2xx. The failure of such an answer is
    /// throttled if the server sent `Retry-After`, otherwise transient.
    pub fn post(&mut self, path: &str, key: &str, json: &[u8]) -> Result<(), Error> {
        self.send(|client, now| client.tell(path, key, json, now))
    }

    /// Sends one request. Loads changed certificate files first. A transport failure drops the connections;
    /// depending on the failure, the token or the certificate files are read again for the next request.
    fn send<T>(
        &mut self,
        request: impl FnOnce(&mut Self, Duration) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let now = self.clock.monotonic();
        if let Some(tls) = self.tls_files.changed(now) {
            info!("certificates: the agent loaded the changed files");
            self.tls = tls;
            self.renew();
        } else if self.is_interrupted() {
            self.renew();
        }
        let result = request(self, now);
        match &result {
            Err(Error::Status { code, .. }) => {
                if *code == 401 {
                    self.token.refused();
                }
            }
            Err(Error::Tls(_) | Error::Connect(_) | Error::Timeout(_)) => {
                self.tls_files.doubt();
                self.renew();
            }
            Err(Error::Io(_) | Error::Protocol(_)) => self.renew(),
            Ok(_) => {}
        }
        result
    }

    /// Returns true if [`Interrupt::interrupt`] was called since the last [`Client::renew`].
    fn is_interrupted(&self) -> bool {
        self.shared.dropped.load(Ordering::Acquire)
    }

    /// Drops all connections. Callers use it if a body was not read to its end, because its connection cannot
    /// be reused.
    pub fn renew(&mut self) {
        let agent = agent(self.timeout, &self.tls, &self.resolver);
        *self.shared.agent.lock().unwrap_or_else(PoisonError::into_inner) = agent;
        self.shared.dropped.store(false, Ordering::Release);
    }

    fn ask(&mut self, path: &str, patience: Patience, now: Duration) -> Result<Body, Error> {
        let agent = self.agent();
        let (idle, total) = match patience {
            Patience::Answer => (self.timeout, self.timeout * LIST_TIMEOUTS),
            Patience::Stream { timeout_seconds, idle } => {
                (idle, Duration::from_secs(timeout_seconds) + WATCH_OVERTIME)
            }
        };
        let request = agent
            .get(format!("{}{path}", self.base))
            .config()
            .timeout_per_read(Some(idle))
            .timeout_recv_body(Some(total))
            .build()
            .header(http::header::HOST, &self.host);
        let response = self.authorize(request, now).call().map_err(Error::from_ureq)?;
        self.body(response)
    }

    /// Returns the body if the answer is a success. Otherwise the error contains the server's message.
    fn body(&self, response: http::Response<ureq::Body>) -> Result<Body, Error> {
        let (code, after) = self.head(&response);
        let date = response.headers().get(http::header::DATE);
        let date = date.and_then(|v| v.to_str().ok()).and_then(date_of);
        let body = Body { reader: response.into_body().into_reader(), date };
        if matches!(code, 200 | 201) {
            return Ok(body);
        }
        let deadline = self.clock.monotonic() + self.timeout;
        let start = body.start(|| self.clock.monotonic() < deadline);
        let (failure, text) = decode::answer(code, &start, after);
        Err(Error::Status { code, failure, text })
    }

    fn tell(&mut self, path: &str, key: &str, json: &[u8], now: Duration) -> Result<(), Error> {
        let request = self
            .agent()
            .post(format!("{}{path}", self.base))
            .config()
            .timeout_global(Some(self.timeout))
            .timeout_recv_body(Some(WEBHOOK_BODY_TIMEOUT))
            .build()
            .content_type("application/json")
            .header("Idempotency-Key", key);
        let response = self.authorize(request, now).send(json).map_err(Error::from_ureq)?;
        let (code, after) = self.head(&response);
        // A connection can be reused once its answer was read to the end. The content is ignored.
        let deadline = self.clock.monotonic() + WEBHOOK_BODY_TIMEOUT;
        let body = Body { reader: response.into_body().into_reader(), date: None };
        body.start(|| self.clock.monotonic() < deadline);
        if (200..300).contains(&code) {
            return Ok(());
        }
        let failure = after.map_or(Failure::Transient, |after| Failure::Throttled(Some(after)));
        Err(Error::Status { code, failure, text: code.to_string() })
    }

    fn agent(&self) -> Agent {
        self.shared.agent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds the token, if there is one.
    fn authorize<B>(&mut self, request: RequestBuilder<B>, now: Duration) -> RequestBuilder<B> {
        match self.token.get(now) {
            Some(token) => {
                let value = format!("Bearer {}", token.expose());
                request.header(http::header::AUTHORIZATION, value)
            }
            None => request,
        }
    }

    /// Returns the status code of an answer, and how long the server asks to wait.
    fn head(&self, response: &http::Response<ureq::Body>) -> (u16, Option<Duration>) {
        let after = response.headers().get(http::header::RETRY_AFTER);
        let after = after.and_then(|v| v.to_str().ok());
        let after = after.and_then(|v| retry_after(v, self.clock.wall()));
        (response.status().as_u16(), after)
    }
}

/// The body of an answer.
pub struct Body {
    reader: BodyReader<'static>,
    date: Option<Timestamp>,
}

impl Body {
    /// Returns when the server answered, by its own clock, in whole seconds. `None` if the answer has no date.
    pub fn date(&self) -> Option<Timestamp> {
        self.date
    }

    /// Reads the bytes that have arrived, at most as many as fit into `block`. Returns 0 at the end of the
    /// body.
    ///
    /// # Errors
    /// If the connection breaks or the time allowed by [`Patience`] is over.
    pub fn read(&mut self, block: &mut [u8]) -> Result<usize, Error> {
        self.reader.read(block).map_err(|error| Error::from_io(&error))
    }

    /// Reads the whole body, if it has no more than `bytes_max`.
    ///
    /// # Errors
    /// If the connection breaks, the time allowed by [`Patience`] is over, or the body is longer.
    pub fn read_all(mut self, bytes_max: usize) -> Result<Vec<u8>, Error> {
        let (mut all, mut len) = (vec![0; READ_BLOCK_BYTES], 0);
        loop {
            if len == all.len() {
                if len >= bytes_max {
                    return Err(Error::Protocol(format!("it has more than {bytes_max} bytes")));
                }
                all.resize((2 * len).min(bytes_max), 0);
            }
            match self.read(&mut all[len..])? {
                0 => {
                    all.truncate(len);
                    return Ok(all);
                }
                n => len += n,
            }
        }
    }

    /// Returns the first bytes of the body, as far as they arrive while `in_time` returns true.
    fn start(mut self, in_time: impl Fn() -> bool) -> Vec<u8> {
        let (mut start, mut len) = (vec![0; STATUS_BODY_BYTES_MAX], 0);
        while len < start.len() && in_time() {
            // If the body breaks off, the bytes received so far are used.
            match self.read(&mut start[len..]) {
                Ok(n) if n > 0 => len += n,
                _ => break,
            }
        }
        start.truncate(len);
        start
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

fn agent(timeout: Duration, tls: &TlsSetUp, resolver: &Pinned) -> Agent {
    let mut config = Agent::config_builder();
    if let TlsSetUp::Unverified(tls) = tls {
        config = config.tls_config(tls.clone());
    }
    let config: HttpConfig = config
        .http_status_as_error(false)
        .user_agent(concat!("blackbox-daemon/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .accept_encoding("identity")
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_resolve(Some(timeout))
        .timeout_connect(Some(timeout))
        .timeout_send_request(Some(timeout))
        .timeout_recv_response(Some(timeout))
        .max_response_header_size(RESPONSE_HEAD_BYTES_MAX)
        .input_buffer_size(HTTP_INPUT_BUFFER_BYTES)
        .output_buffer_size(HTTP_OUTPUT_BUFFER_BYTES)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .max_idle_age(CONNECTION_IDLE_MAX)
        .build();
    // The HTTP library's own TLS follows ours in the chain and handles the connections that ours leaves to it.
    let connector = TcpConnector::default().chain(Tls::new(tls)).chain(RustlsConnector::default());
    Agent::with_parts(config, connector, resolver.clone())
}

/// Parses `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    Some(date_of(value)?.duration_since(now).try_into().unwrap_or_default())
}

/// Parses a date in HTTP's format (RFC 9110, 5.6.7).
fn date_of(value: &str) -> Option<Timestamp> {
    Some(jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp())
}

#[cfg(test)]
mod tests;
