//! Blocking HTTP: requests, their timeouts, and how they fail. It knows no server's meaning: the API server is
//! [`crate::kube::api`]'s, a collector is its sink's.
//!
//! Each thread that sends requests has its own [`HttpClient`] with its own connection pool, so that interrupting
//! one stream does not interrupt another. Any transport failure drops the pool, since a connection that failed
//! once is not worth a second request.

mod credentials;
mod error;
mod resolver;
mod tls;

use std::borrow::Cow;
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

use crate::config::endpoint::Endpoint;
use crate::limits::{
    CONNECTION_IDLE_MAX, HTTP_OUTPUT_BUFFER_BYTES, LIST_TIMEOUTS, RECEIPT_BODY_TIMEOUT,
    RECEIPT_HEAD_BYTES_MAX, RECEIPT_OUTPUT_BUFFER_BYTES, RESPONSE_HEAD_BYTES_MAX,
    STATUS_BODY_BYTES_MAX, WATCH_OVERTIME,
};
use crate::runtime::clock::Clock;

use self::credentials::{TlsFiles, TlsSetUp, Token};
use self::resolver::Pinned;
use self::tls::Tls;

pub use self::error::{HttpError, Refusal};

/// How long the answer to a request may take.
#[derive(Clone, Copy, Debug)]
pub enum ResponseTimeout {
    /// A whole answer in one piece. A large answer gets more time as long as bytes keep arriving.
    Answer,
    /// A stream that the server closes after `timeout_seconds`.
    Stream {
        /// `timeoutSeconds` of the request.
        timeout_seconds: u64,
        /// The silence after which the client closes the stream earlier.
        idle: Duration,
    },
    /// A short answer that only acknowledges what was sent. The whole request takes no longer than the client's
    /// timeout.
    Receipt,
}

/// The content of a POST.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// The path, with its query.
    pub path: &'a str,
    /// The type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: &'a [u8],
    /// Further headers.
    pub headers: &'a [Header],
    /// How long the answer may take.
    pub response_timeout: ResponseTimeout,
}

/// The name and the value of a header.
pub type Header = (Cow<'static, str>, String);

/// Interrupts what a [`HttpClient`] is waiting for, from another thread.
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

/// The sizes of the HTTP library's buffers, in bytes.
#[derive(Clone, Copy, Debug)]
struct Buffers {
    /// The maximum size of the head of an answer, and the size of the buffer for it.
    head: usize,
    output: usize,
}

/// A client of one server, with at most one open connection.
#[derive(Debug)]
pub struct HttpClient {
    base: String,
    host: String,
    resolver: Pinned,
    timeout: Duration,
    buffers: Buffers,
    clock: Clock,
    token: Token,
    tls_files: TlsFiles,
    tls: TlsSetUp,
    shared: Arc<Shared>,
}

impl HttpClient {
    /// Makes a client for that server. `timeout` applies to each
    /// phase of a request up to the head of the answer.
    pub fn new(endpoint: &Endpoint, timeout: Duration, clock: Clock) -> Self {
        let server = &endpoint.server;
        // To verify the certificate for another name, the request is sent to that name, and the resolver
        // returns the server's address for it.
        let base = match &endpoint.tls_server_name {
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
        let mut tls_files = TlsFiles::new(endpoint);
        let tls = tls_files.changed(clock.monotonic()).unwrap_or_else(TlsSetUp::no_trust);
        let buffers = Buffers { head: RESPONSE_HEAD_BYTES_MAX, output: HTTP_OUTPUT_BUFFER_BYTES };
        let agent = agent(timeout, &tls, &resolver, buffers, Tls::new(&tls, None));
        let shared = Shared { agent: Mutex::new(agent), dropped: AtomicBool::new(false) };
        Self {
            base,
            host,
            resolver,
            timeout,
            buffers,
            clock,
            token: Token::new(endpoint.credentials.token.clone()),
            tls_files,
            tls,
            shared: Arc::new(shared),
        }
    }

    /// Lets the client take only short answers, with smaller buffers.
    pub fn for_receipts(mut self) -> Self {
        self.buffers.head = RECEIPT_HEAD_BYTES_MAX;
        if self.token.is_none() {
            self.buffers.output = RECEIPT_OUTPUT_BUFFER_BYTES;
        }
        self.renew();
        self
    }

    /// Returns a handle that interrupts a wait from another thread.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(self.shared.clone())
    }

    /// Sends a GET for `path` (with its query) and returns the answer if its head reports success (2xx).
    ///
    /// # Errors
    /// Any failure of the request. A transport failure also drops the connections.
    pub fn get(
        &mut self,
        path: &str,
        response_timeout: ResponseTimeout,
    ) -> Result<Response, HttpError> {
        self.send(|client, now| {
            let request = client.agent().get(format!("{}{path}", client.base));
            let request = client.prepare(request, response_timeout, now);
            let response = request.call().map_err(HttpError::from_ureq)?;
            client.accept(response, response_timeout)
        })
    }

    /// Sends a POST and returns the answer if its head reports success (2xx).
    ///
    /// # Errors
    /// As [`HttpClient::get`].
    pub fn post(&mut self, post: &Post<'_>) -> Result<Response, HttpError> {
        self.send(|client, now| {
            let request = client.agent().post(format!("{}{}", client.base, post.path));
            let mut request = client.prepare(request, post.response_timeout, now);
            request = request.content_type(post.content_type);
            for (name, value) in post.headers {
                request = request.header(&**name, value);
            }
            let response = request.send(post.body).map_err(HttpError::from_ureq)?;
            client.accept(response, post.response_timeout)
        })
    }

    /// Opens a connection as for a request, and sends no request. TLS is part of it unless the server's certificate is
    /// not to be verified.
    ///
    /// # Errors
    /// As [`HttpClient::get`].
    pub fn connect(&self) -> Result<(), HttpError> {
        let is_connected = Arc::<AtomicBool>::default();
        let tls = Tls::new(&self.tls, Some(is_connected.clone()));
        let agent = agent(self.timeout, &self.tls, &self.resolver, self.buffers, tls);
        match agent.get(self.base.clone()).call() {
            Err(error) if !is_connected.load(Ordering::Acquire) => Err(HttpError::from_ureq(error)),
            _ => Ok(()),
        }
    }

    /// Sends one request. Loads changed certificate files first. A transport failure drops the connections;
    /// depending on the failure, the token or the certificate files are read again for the next request.
    fn send<T>(
        &mut self,
        request: impl FnOnce(&mut Self, Duration) -> Result<T, HttpError>,
    ) -> Result<T, HttpError> {
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
            Err(HttpError::Status(refusal)) => {
                if refusal.code == 401 {
                    self.token.refused();
                }
            }
            Err(HttpError::Tls(_) | HttpError::Connect(_) | HttpError::Timeout(_)) => {
                self.tls_files.recheck();
                self.renew();
            }
            Err(HttpError::NotTls | HttpError::Io(_) | HttpError::Protocol(_)) => self.renew(),
            Ok(_) => {}
        }
        result
    }

    /// Returns true if [`Interrupt::interrupt`] was called since the last [`HttpClient::renew`].
    fn is_interrupted(&self) -> bool {
        self.shared.dropped.load(Ordering::Acquire)
    }

    /// Drops all connections. Callers use it if a body was not read to its end, because its connection cannot
    /// be reused.
    pub fn renew(&mut self) {
        let connector = Tls::new(&self.tls, None);
        let agent = agent(self.timeout, &self.tls, &self.resolver, self.buffers, connector);
        *self.shared.agent.lock().unwrap_or_else(PoisonError::into_inner) = agent;
        self.shared.dropped.store(false, Ordering::Release);
    }

    /// Adds the timeouts, the server's name and the token to a request.
    fn prepare<B>(
        &mut self,
        request: RequestBuilder<B>,
        response_timeout: ResponseTimeout,
        now: Duration,
    ) -> RequestBuilder<B> {
        let (whole, silence, body) = match response_timeout {
            ResponseTimeout::Answer => (None, Some(self.timeout), self.timeout * LIST_TIMEOUTS),
            ResponseTimeout::Stream { timeout_seconds, idle } => {
                (None, Some(idle), Duration::from_secs(timeout_seconds) + WATCH_OVERTIME)
            }
            ResponseTimeout::Receipt => (Some(self.timeout), None, RECEIPT_BODY_TIMEOUT),
        };
        let request = request
            .config()
            .timeout_global(whole)
            .timeout_per_read(silence)
            .timeout_recv_body(Some(body))
            .build()
            .header(http::header::HOST, &self.host);
        match self.token.get(now) {
            Some(token) => {
                let value = format!("Bearer {}", token.expose());
                request.header(http::header::AUTHORIZATION, value)
            }
            None => request,
        }
    }

    /// Returns the answer if it is a success. Otherwise the error contains the start of its body.
    fn accept(
        &self,
        response: http::Response<ureq::Body>,
        response_timeout: ResponseTimeout,
    ) -> Result<Response, HttpError> {
        let code = response.status().as_u16();
        let header = |name| response.headers().get(name)?.to_str().ok();
        let date = header(http::header::DATE).and_then(date_of);
        let retry_after = header(http::header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| retry_after_of(value, self.clock.wall()));
        let reader = response.into_body().into_reader();
        let response = Response { code, date, reader };
        if (200..300).contains(&code) {
            return Ok(response);
        }
        let within = match response_timeout {
            ResponseTimeout::Receipt => RECEIPT_BODY_TIMEOUT,
            ResponseTimeout::Answer | ResponseTimeout::Stream { .. } => self.timeout,
        };
        let body = response.start(within, self.clock);
        Err(HttpError::Status(Refusal { code, retry_after, body }))
    }

    fn agent(&self) -> Agent {
        self.shared.agent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An answer whose head reports success, and whose body can be read.
pub struct Response {
    code: u16,
    date: Option<Timestamp>,
    reader: BodyReader<'static>,
}

impl Response {
    /// Returns the HTTP code: 200 to 299.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns when the server answered, by its own clock, in whole seconds. `None` if the answer has no date.
    pub fn date(&self) -> Option<Timestamp> {
        self.date
    }

    /// Reads the bytes that have arrived, at most as many as fit into `block`. Returns 0 at the end of the
    /// body.
    ///
    /// # Errors
    /// If the connection breaks or the time allowed by [`ResponseTimeout`] is over.
    pub fn read(&mut self, block: &mut [u8]) -> Result<usize, HttpError> {
        self.reader.read(block).map_err(|error| HttpError::from_io(&error))
    }

    /// Reads the first bytes of the body, as far as they arrive in that time. A body that breaks off gives the
    /// bytes received so far. A connection can be used again only if its answer was read to the end.
    pub fn start(mut self, within: Duration, clock: Clock) -> Vec<u8> {
        let deadline = clock.monotonic() + within;
        let (mut start, mut block) = (Vec::new(), [0; 1024]);
        while start.len() < STATUS_BODY_BYTES_MAX && clock.monotonic() < deadline {
            match self.read(&mut block) {
                Ok(n) if n > 0 => start.extend_from_slice(&block[..n]),
                _ => break,
            }
        }
        start
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Response")
    }
}

fn agent(
    timeout: Duration,
    tls: &TlsSetUp,
    resolver: &Pinned,
    buffers: Buffers,
    connector: Tls,
) -> Agent {
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
        .max_response_header_size(buffers.head)
        .input_buffer_size(buffers.head)
        .output_buffer_size(buffers.output)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .max_idle_age(CONNECTION_IDLE_MAX)
        .build();
    // The HTTP library's own TLS follows ours in the chain and handles the connections that ours leaves to it.
    let connector = TcpConnector::default().chain(connector).chain(RustlsConnector::default());
    Agent::with_parts(config, connector, resolver.clone())
}

/// Parses `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after_of(value: &str, now: Timestamp) -> Option<Duration> {
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
