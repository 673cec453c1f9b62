//! A small HTTP/1.1 server: GET and HEAD, a page each, then the connection closes.
//!
//! It is reachable by every pod of the node, so everything has a bound: the head's bytes, the time
//! that a connection may take from its first byte to its last, and the number of connections, each
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

use crate::clock::Clock;
use crate::limits::{
    HTTP_CONNECTION_MAX, HTTP_CONNECTIONS_MAX, HTTP_DRAIN_BYTES_MAX, HTTP_HEAD_BYTES_MAX,
    HTTP_PAUSE, HTTP_STACK_BYTES, HTTP_THREADS_MAX,
};
use crate::once::Once;
use crate::stop::Stop;

use self::request::Refusal;

pub use self::request::Method;

/// A request as the handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// How it asks. The answer to HEAD is that to GET: its body is left out here.
    pub method: Method,
    /// The path, without a query.
    pub path: &'a str,
    /// Who asks.
    pub peer: SocketAddr,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body's type.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// A bound listener.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    addr: SocketAddr,
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
        Ok(Self { listener, addr })
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
                    let _ = serve(stream, peer, clock, &*handler);
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
    mut stream: TcpStream,
    peer: SocketAddr,
    clock: Clock,
    handler: &dyn Fn(&Request<'_>) -> Response,
) -> io::Result<()> {
    let deadline = clock.monotonic() + HTTP_CONNECTION_MAX;
    let mut head = Vec::with_capacity(1024);
    let (response, allow, with_body) = loop {
        match request::parse(&head) {
            Some(Ok(asked)) => {
                let response = handler(&Request { method: asked.method, path: asked.path, peer });
                break (response, "", asked.method == Method::Get);
            }
            Some(Err(Refusal::Method)) => break (refusal(405), "Allow: GET, HEAD\r\n", true),
            Some(Err(Refusal::Malformed)) => break (refusal(400), "", true),
            Some(Err(Refusal::Version)) => break (refusal(505), "", true),
            None if head.len() >= HTTP_HEAD_BYTES_MAX => break (refusal(431), "", true),
            None => {}
        }
        let mut block = [0; 1024];
        stream.set_read_timeout(Some(left(clock, deadline)?))?;
        let room = block.len().min(HTTP_HEAD_BYTES_MAX - head.len());
        match stream.read(&mut block[..room])? {
            0 => return Ok(()),
            n => head.extend_from_slice(&block[..n]),
        }
    };
    let mut answer = String::with_capacity(256);
    let Response { status, content_type, body } = &response;
    let _ = write!(
        answer,
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        phrase(*status),
        body.len()
    );
    let mut bytes = answer.into_bytes();
    if with_body {
        bytes.extend_from_slice(body);
    }
    write_until(&mut stream, &bytes, clock, deadline)?;
    finish(stream, clock, deadline)
}

fn write_until(
    stream: &mut TcpStream,
    mut bytes: &[u8],
    clock: Clock,
    deadline: Duration,
) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(clock, deadline)?))?;
        let n = stream.write(bytes)?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[n..];
    }
    Ok(())
}

/// Closing with bytes unread makes the kernel send a reset, which may overtake the answer: what the
/// peer still sends is taken in, up to a bound.
fn finish(mut stream: TcpStream, clock: Clock, deadline: Duration) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let mut block = [0; 1024];
    let mut taken = 0;
    while taken < HTTP_DRAIN_BYTES_MAX {
        stream.set_read_timeout(Some(left(clock, deadline)?))?;
        match stream.read(&mut block)? {
            0 => break,
            n => taken += n,
        }
    }
    Ok(())
}

/// The time that is left; a timeout of zero would mean none at all.
fn left(clock: Clock, deadline: Duration) -> io::Result<Duration> {
    let left = deadline.saturating_sub(clock.monotonic());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn refusal(status: u16) -> Response {
    let body = format!("{}\n", phrase(status)).into_bytes();
    Response { status, content_type: "text/plain; charset=utf-8", body }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
#[path = "http/tests.rs"]
mod tests;
