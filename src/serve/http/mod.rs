//! A small HTTP/1.1 server: one GET, HEAD or (for some paths) POST request per connection, which is then closed.
//!
//! Every pod of the node can reach it, so everything is bounded: the size of the head and of the body, the total time
//! of a connection, the number of connections, and the number of threads, each with a small stack.
//!
//! ```text
//! accept ── door ── connections that wait for their request ── pool ── requests that wait for one of a few threads
//! ```
//!
//! A flood must not lock out the kubelet's probe, not even a flood from the probe's own address. Therefore the door
//! takes connections as fast as the kernel has them, and a connection gets a thread only when its request is there.
//! Connections that send none wait in a bounded queue, in which each address has its share.

pub mod address;
mod connection;
mod door;
mod pool;
pub mod request;
mod waiting;

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use crate::limits::HTTP_HEAD_BYTES_MAX;
use crate::runtime::clock::Clock;

use self::connection::Connection;
use self::door::Door;
use self::pool::Pool;
use self::request::{Head, Refusal};

pub use self::request::Method;

/// A path that takes POST and nothing else. All other paths take GET and HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Post {
    /// The path, without a query.
    pub path: &'static str,
    /// The largest body that is read.
    pub body_bytes_max: usize,
}

/// Why a body was not read. The handler chooses the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The length is unknown (for example a chunked body): 411.
    NoLength,
    /// The body is longer than [`Post::body_bytes_max`]: 413.
    TooLong,
}

/// A request as the handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method: POST for the paths that take it, GET or HEAD for all others. The handler answers HEAD like GET;
    /// the server leaves out the body.
    pub method: Method,
    /// The path, without a query.
    pub path: &'a str,
    /// The query as sent, without its question mark.
    pub query: &'a str,
    /// The client's address.
    pub peer: SocketAddr,
    /// The `Host` header: the name and port that the client believes it is connected to.
    pub host: Option<&'a str>,
    /// True if the request has an `Origin` header, which browsers send with each POST.
    pub has_origin: bool,
    /// The `Content-Type` of the posted body, as the client sent it.
    pub content_type: Option<&'a str>,
    /// The complete posted body; empty for GET and HEAD.
    pub body: Result<&'a [u8], Unread>,
}

/// A response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The HTTP status; a 204 response has no body.
    pub status: u16,
    /// The content type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// What follows the body, sent from where it is kept, without a copy.
    pub parts: Vec<Arc<[u8]>>,
    /// The `Retry-After` header in seconds; used with 429 and 503.
    pub retry_after_seconds: Option<u64>,
    /// Additional header lines, each with its line end.
    pub headers: &'static str,
    /// Concurrency token: dropped when the response has been sent, which frees a reader slot.
    pub turn: Option<Arc<()>>,
}

/// A server with a bound listener.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    addr: SocketAddr,
    posts: &'static [Post],
}

impl HttpServer {
    /// Binds the address.
    ///
    /// # Errors
    /// If the address is in use or not an address of this host.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        let addr = listener.local_addr()?;
        Ok(Self { listener, addr, posts: &[] })
    }

    /// Sets the paths that take POST; by default there are none.
    #[must_use]
    pub fn with_posts(self, posts: &'static [Post]) -> Self {
        Self { posts, ..self }
    }

    /// Returns the bound address, with the actual port if port 0 was requested.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves requests until the process exits. `is_node` tells the node's own addresses from those of pods and of the
    /// network; loopback and the listener's own address need not be known to it.
    pub fn run<N, H>(self, clock: Clock, is_node: N, handler: H)
    where
        N: Fn(IpAddr) -> bool,
        H: Fn(&Request<'_>) -> Response + Send + Sync + 'static,
    {
        let posts = self.posts;
        let pool = Pool::new(move |job| {
            let connection = Connection::new(job.held, clock, job.deadline);
            // The server does not log that a client disconnected.
            let _ = serve(&connection, job.peer, posts, &handler);
        });
        let mut door = Door::new(self.listener, posts, pool, clock, is_node);
        loop {
            door.round();
        }
    }
}

fn serve(
    connection: &Connection,
    peer: SocketAddr,
    posts: &[Post],
    handler: &dyn Fn(&Request<'_>) -> Response,
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(1024);
    let answer = loop {
        match request::parse(&bytes) {
            Some(Ok(head)) => break answer(connection, &bytes, &head, peer, posts, handler)?,
            Some(Err(Refusal::Malformed)) => break Answer::refusal(400),
            Some(Err(Refusal::Version)) => break Answer::refusal(505),
            None if bytes.len() >= HTTP_HEAD_BYTES_MAX => break Answer::refusal(431),
            None => {}
        }
        let room = HTTP_HEAD_BYTES_MAX - bytes.len();
        if connection.read(&mut bytes, room)? == 0 {
            return Ok(());
        }
    };
    // The head and the body are written separately, so the body need not be copied.
    connection.write(answer.head().as_bytes())?;
    for part in answer.content() {
        connection.write(part)?;
    }
    if answer.is_whole {
        return Ok(());
    }
    drop(answer);
    connection.finish()
}

/// Answers a parsed head. `bytes` starts with the head, followed by any part of the body that came with it.
fn answer(
    connection: &Connection,
    bytes: &[u8],
    head: &Head<'_>,
    peer: SocketAddr,
    posts: &[Post],
    handler: &dyn Fn(&Request<'_>) -> Response,
) -> io::Result<Answer> {
    let post = posts.iter().find(|post| post.path == head.path);
    let body = match (head.method, post) {
        (Method::Post, Some(post)) => {
            connection.body(head, &bytes[head.bytes..], post.body_bytes_max)?
        }
        (method, Some(_)) => return Ok(Answer::not_allowed("POST", method)),
        (Method::Get | Method::Head, None) => Ok(Vec::new()),
        (method, None) => return Ok(Answer::not_allowed("GET, HEAD", method)),
    };
    let response = handler(&Request {
        method: head.method,
        path: head.path,
        query: head.query,
        peer,
        host: head.host,
        has_origin: head.has_origin,
        content_type: head.body.content_type,
        body: body.as_deref().map_err(|unread| *unread),
    });
    let body_bytes = body.as_ref().map_or(usize::MAX, Vec::len);
    let is_whole = bytes.len() - head.bytes <= body_bytes;
    Ok(Answer { response, allow: "", with_body: head.method != Method::Head, is_whole })
}

/// A response, and what the server adds to it.
struct Answer {
    response: Response,
    /// The methods for the `Allow` header; empty for no header.
    allow: &'static str,
    with_body: bool,
    /// True if the request was read to its end, so that the connection can be closed at once.
    is_whole: bool,
}

impl Answer {
    fn refusal(status: u16) -> Self {
        Self { response: refusal(status), allow: "", with_body: true, is_whole: false }
    }

    /// Returns a 405 response for a method that the path does not take.
    fn not_allowed(allow: &'static str, method: Method) -> Self {
        let body = format!("this path accepts only {allow}\n").into_bytes();
        Self {
            response: Response { body, ..refusal(405) },
            allow,
            with_body: method != Method::Head,
            is_whole: false,
        }
    }

    /// Returns what is sent after the head.
    fn content(&self) -> impl Iterator<Item = &[u8]> {
        // A response without content must not send a Content-Length either (RFC 9110, 8.6).
        let has_content = self.with_body && self.response.status != NO_CONTENT;
        let Response { body, parts, .. } = &self.response;
        let content = [body.as_slice()].into_iter().chain(parts.iter().map(|part| &**part));
        content.filter(move |_| has_content)
    }

    fn head(&self) -> String {
        let Response { status, content_type, body, parts, retry_after_seconds, headers, .. } =
            &self.response;
        let mut head = String::with_capacity(256);
        let _ = write!(head, "HTTP/1.1 {status} {}\r\n", phrase(*status));
        if *status != NO_CONTENT {
            let length = body.len() + parts.iter().map(|part| part.len()).sum::<usize>();
            let _ = write!(head, "Content-Type: {content_type}\r\nContent-Length: {length}\r\n");
        }
        if !self.allow.is_empty() {
            let _ = write!(head, "Allow: {}\r\n", self.allow);
        }
        if let Some(seconds) = retry_after_seconds {
            let _ = write!(head, "Retry-After: {seconds}\r\n");
        }
        head.push_str(headers);
        head.push_str(
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        );
        head
    }
}

fn refusal(status: u16) -> Response {
    let body = format!("{}\n", phrase(status)).into_bytes();
    let content_type = "text/plain; charset=utf-8";
    Response { status, content_type, body, ..Response::default() }
}

const NO_CONTENT: u16 = 204;

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        NO_CONTENT => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests;
