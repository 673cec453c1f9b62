//! A small HTTP/1.1 server: one GET, HEAD or (for some paths) POST request per connection, which is then closed.
//!
//! Every pod of the node can reach it, so everything is bounded: the size of the head and of the body, the total time
//! of a connection, and the number of connections, each on a thread with a small stack. At the connection limit the
//! oldest connection is cut off, so a client that only holds connections open cannot lock out the kubelet's probe.

pub mod request;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use crate::limits::{
    HTTP_CONNECTION_MAX, HTTP_CONNECTIONS_MAX, HTTP_DRAIN_BYTES_MAX, HTTP_HEAD_BYTES_MAX,
    HTTP_PAUSE, HTTP_STACK_BYTES, HTTP_THREADS_MAX,
};
use crate::runtime::clock::Clock;
use crate::runtime::stop::Stop;
use crate::runtime::trouble::Trouble;

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
    /// The client's address.
    pub peer: SocketAddr,
    /// The `Host` header: the name and port that the client believes it is connected to.
    pub host: Option<&'a str>,
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

/// The connections being served, oldest first.
type Open = Arc<Mutex<VecDeque<(u64, TcpStream)>>>;

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

    /// Serves requests until the process exits.
    pub fn run<H>(self, clock: Clock, handler: H)
    where
        H: Fn(&Request<'_>) -> Response + Send + Sync + 'static,
    {
        let handler = Arc::new(handler);
        let posts = self.posts;
        let open = Open::default();
        let mut trouble = Trouble::new(module_path!(), "http");
        for id in 0.. {
            // Each connection thread holds one reference to `open`, and this thread holds one too.
            while Arc::strong_count(&open) > HTTP_THREADS_MAX {
                trouble.warn(
                    "too many connections are open, and closing the oldest did not help; new \
                     connections wait",
                );
                Stop::default().wait(HTTP_PAUSE);
            }
            let served = self.listener.accept().and_then(|(stream, peer)| {
                make_room(&open);
                lock(&open).push_back((id, stream.try_clone()?));
                let (served, handler) = (open.clone(), handler.clone());
                let run = move || {
                    // The server does not log that a client disconnected.
                    let _ = serve(Connection::new(stream, clock), peer, posts, &*handler);
                    lock(&served).retain(|(other, _)| *other != id);
                };
                let builder = Builder::new().name("http-conn".to_owned());
                builder.stack_size(HTTP_STACK_BYTES).spawn(run)
            });
            match served {
                Ok(_) => trouble.over("connections are served again"),
                Err(error) => {
                    lock(&open).retain(|(other, _)| *other != id);
                    trouble.warn(&format!("cannot serve a connection: {error}"));
                    // Out of file descriptors or threads: cut off the oldest connection, and pause, because an
                    // immediate retry would be a hot loop.
                    cut_off_oldest(&mut lock(&open));
                    Stop::default().wait(HTTP_PAUSE);
                }
            }
        }
    }
}

fn lock(open: &Open) -> std::sync::MutexGuard<'_, VecDeque<(u64, TcpStream)>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cuts off the oldest connections until there is room for one more. Their threads stop at their next
/// read or write.
fn make_room(open: &Open) {
    let mut open = lock(open);
    while open.len() >= HTTP_CONNECTIONS_MAX {
        cut_off_oldest(&mut open);
    }
}

fn cut_off_oldest(open: &mut VecDeque<(u64, TcpStream)>) {
    if let Some((_, oldest)) = open.pop_front() {
        let _ = oldest.shutdown(Shutdown::Both);
    }
}

fn serve(
    mut connection: Connection,
    peer: SocketAddr,
    posts: &[Post],
    handler: &dyn Fn(&Request<'_>) -> Response,
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(1024);
    let answer = loop {
        match request::parse(&bytes) {
            Some(Ok(head)) => break answer(&mut connection, &bytes, &head, peer, posts, handler)?,
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
    connection.write(answer.content())?;
    drop(answer);
    connection.finish()
}

/// Answers a parsed head. `bytes` starts with the head, followed by any part of the body that came with it.
fn answer(
    connection: &mut Connection,
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
        (_, Some(_)) => return Ok(Answer::not_allowed("POST")),
        (Method::Get | Method::Head, None) => Ok(Vec::new()),
        (Method::Post | Method::Other, None) => return Ok(Answer::not_allowed("GET, HEAD")),
    };
    let response = handler(&Request {
        method: head.method,
        path: head.path,
        peer,
        host: head.host,
        content_type: head.body.content_type,
        body: body.as_deref().map_err(|unread| *unread),
    });
    Ok(Answer { response, allow: "", with_body: head.method != Method::Head })
}

/// A response, and what the server adds to it.
struct Answer {
    response: Response,
    /// The methods for the `Allow` header; empty for no header.
    allow: &'static str,
    with_body: bool,
}

impl Answer {
    fn refusal(status: u16) -> Self {
        Self { response: refusal(status), allow: "", with_body: true }
    }

    /// Returns a 405 response for a method that the path does not take.
    fn not_allowed(allow: &'static str) -> Self {
        let body = format!("this path accepts only {allow}\n").into_bytes();
        Self { response: Response { body, ..refusal(405) }, allow, with_body: true }
    }

    /// Returns the part of the body that is sent.
    fn content(&self) -> &[u8] {
        // A response without content must not send a Content-Length either (RFC 9110, 8.6).
        let has_content = self.with_body && self.response.status != NO_CONTENT;
        if has_content { &self.response.body } else { &[] }
    }

    fn head(&self) -> String {
        let Response { status, content_type, body, retry_after_seconds, headers, .. } =
            &self.response;
        let mut head = String::with_capacity(256);
        let _ = write!(head, "HTTP/1.1 {status} {}\r\n", phrase(*status));
        if *status != NO_CONTENT {
            let length = body.len();
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

/// A connection with a deadline that no peer can extend.
struct Connection {
    stream: TcpStream,
    clock: Clock,
    deadline: Duration,
}

impl Connection {
    fn new(stream: TcpStream, clock: Clock) -> Self {
        Self { stream, clock, deadline: clock.monotonic() + HTTP_CONNECTION_MAX }
    }

    /// Returns the time until the deadline, or an error if there is none: a timeout of zero would mean no timeout.
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_sub(self.clock.monotonic());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Reads at most `room` bytes and appends them; returns 0 at the end of the stream.
    fn read(&mut self, bytes: &mut Vec<u8>, room: usize) -> io::Result<usize> {
        let mut block = [0; 1024];
        self.stream.set_read_timeout(Some(self.left()?))?;
        let room = block.len().min(room);
        let n = self.stream.read(&mut block[..room])?;
        bytes.extend_from_slice(&block[..n]);
        Ok(n)
    }

    /// Reads the body; `begun` holds the bytes that came with the head, perhaps more than the body. A body that is
    /// too long is neither requested (`100 Continue`) nor given memory.
    ///
    /// # Errors
    /// If the peer disconnects or the deadline passes before the end of the body.
    fn body(
        &mut self,
        head: &Head<'_>,
        begun: &[u8],
        bytes_max: usize,
    ) -> io::Result<Result<Vec<u8>, Unread>> {
        let Some(length) = head.body.length_bytes else {
            return Ok(Err(Unread::NoLength));
        };
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= bytes_max)
        else {
            return Ok(Err(Unread::TooLong));
        };
        let mut body = begun[..begun.len().min(length)].to_vec();
        if head.body.waits && body.len() < length {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        while body.len() < length {
            let room = length - body.len();
            if self.read(&mut body, room)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Ok(body))
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(self.left()?))?;
            let n = self.stream.write(bytes)?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Closes the connection. Closing a socket with unread bytes makes the kernel send a reset, which may overtake
    /// the response; so the rest of the request is read first, up to a limit.
    fn finish(mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        let mut block = [0; 1024];
        let mut taken = 0;
        while taken < HTTP_DRAIN_BYTES_MAX {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(&mut block)? {
                0 => break,
                n => taken += n,
            }
        }
        Ok(())
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
