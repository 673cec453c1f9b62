//! A small HTTP/1.1 server: GET and HEAD, a page each, and POST where a path takes it; then the
//! connection closes.
//!
//! It is reachable by every pod of the node, so everything has a bound: the head's bytes, the body's,
//! the time that a connection may take from its first byte to its last, and the number of connections, each
//! on a small thread. When all are taken the oldest is cut off: whoever only holds connections open
//! cannot keep the kubelet's probe out.

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
use crate::runtime::trouble::Once;

use self::request::{Head, Refusal};

pub use self::request::Method;

/// A path that takes POST, and nothing else. All other paths take GET and HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Post {
    /// The path, without a query.
    pub path: &'static str,
    /// The longest body that is read.
    pub body_bytes_max: usize,
}

/// Why a body was not read. The answer is the handler's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Its length was not told (it may come in chunks): 411.
    NoLength,
    /// It is longer than [`Post::body_bytes_max`]: 413.
    TooLong,
}

/// A request as the handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// How it asks: POST for the paths that take it, GET or HEAD for all others. The answer to HEAD is
    /// that to GET: its body is left out here.
    pub method: Method,
    /// The path, without a query.
    pub path: &'a str,
    /// Who asks.
    pub peer: SocketAddr,
    /// Whom it asks: the name and port that the client believes to be talking to.
    pub host: Option<&'a str>,
    /// The type of what was posted, as the client calls it.
    pub content_type: Option<&'a str>,
    /// What was posted, whole; empty for GET and HEAD.
    pub body: Result<&'a [u8], Unread>,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The HTTP status; with 204 goes no body.
    pub status: u16,
    /// The body's type.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// When to come back, at the earliest; said with 429 and 503.
    pub retry_after_seconds: Option<u64>,
    /// Further header lines, each with its end.
    pub headers: &'static str,
    /// Whoever counts such answers holds another one of it: it goes when this one is sent.
    pub turn: Option<Arc<()>>,
}

/// A bound listener.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    addr: SocketAddr,
    posts: &'static [Post],
}

/// The connections that are being served, the oldest first.
type Open = Arc<Mutex<VecDeque<(u64, TcpStream)>>>;

impl HttpServer {
    /// Binds the address.
    ///
    /// # Errors
    /// When it is taken, or not ours.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        let addr = listener.local_addr()?;
        Ok(Self { listener, addr, posts: &[] })
    }

    /// Has these paths take POST. At first there is none that does.
    #[must_use]
    pub fn with_posts(self, posts: &'static [Post]) -> Self {
        Self { posts, ..self }
    }

    /// The address that it was bound to; the port where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves for ever; ends with the process.
    pub fn run<H>(self, clock: Clock, handler: H)
    where
        H: Fn(&Request<'_>) -> Response + Send + Sync + 'static,
    {
        let handler = Arc::new(handler);
        let posts = self.posts;
        let open = Open::default();
        let mut trouble = Once::new("http");
        for id in 0.. {
            // Each thread holds `open`, and so does this one.
            while Arc::strong_count(&open) > HTTP_THREADS_MAX {
                trouble.say("connections that were cut off do not end");
                Stop::default().wait(HTTP_PAUSE);
            }
            let served = self.listener.accept().and_then(|(stream, peer)| {
                make_room(&open);
                lock(&open).push_back((id, stream.try_clone()?));
                let (served, handler) = (open.clone(), handler.clone());
                let run = move || {
                    // A peer that goes away is its own affair.
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
                    trouble.say(&format!("cannot serve a connection: {error}"));
                    // Out of file descriptors or threads: whoever holds one longest gives it up, and
                    // at once again would be a hot loop.
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

/// Cuts off the oldest connections until there is room for one more. Their threads end at their next
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
    // In two pieces: a page is not copied behind its head.
    connection.write(answer.head().as_bytes())?;
    connection.write(answer.content())?;
    drop(answer);
    connection.finish()
}

/// The answer to a head that was read; `bytes` begin with it, and with what came along of the body.
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

/// An answer, and what only the server knows of it.
struct Answer {
    response: Response,
    /// The methods to be told, if any.
    allow: &'static str,
    with_body: bool,
}

impl Answer {
    fn refusal(status: u16) -> Self {
        Self { response: refusal(status), allow: "", with_body: true }
    }

    /// Another method than those that the path takes.
    fn not_allowed(allow: &'static str) -> Self {
        let body = format!("this path takes {allow}\n").into_bytes();
        Self { response: Response { body, ..refusal(405) }, allow, with_body: true }
    }

    /// What is sent of the body.
    fn content(&self) -> &[u8] {
        // An answer without content must not tell of its length either (RFC 9110, 8.6).
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

/// A connection, with the time until which it must be over, whatever the peer does.
struct Connection {
    stream: TcpStream,
    clock: Clock,
    deadline: Duration,
}

impl Connection {
    fn new(stream: TcpStream, clock: Clock) -> Self {
        Self { stream, clock, deadline: clock.monotonic() + HTTP_CONNECTION_MAX }
    }

    /// The time that is left; a timeout of zero would mean none at all.
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_sub(self.clock.monotonic());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Reads some bytes, `room` at most, and appends them. 0: no more will come.
    fn read(&mut self, bytes: &mut Vec<u8>, room: usize) -> io::Result<usize> {
        let mut block = [0; 1024];
        self.stream.set_read_timeout(Some(self.left()?))?;
        let room = block.len().min(room);
        let n = self.stream.read(&mut block[..room])?;
        bytes.extend_from_slice(&block[..n]);
        Ok(n)
    }

    /// Reads the body of which `begun`, and perhaps more than it, has come with the head. One that is not
    /// to be read is not asked for, and no memory is taken for it.
    ///
    /// # Errors
    /// When the peer goes away, or its time is over, before the body's end.
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

    /// Closing with bytes unread makes the kernel send a reset, which may overtake the answer: what the
    /// peer still sends is taken in, up to a bound.
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
