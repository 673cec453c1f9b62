//! Takes connections from the kernel, and passes them on once their request is there.
//!
//! The kernel's queue of new connections is short, and while it is full, the kernel refuses everybody. So the door
//! accepts in batches and decides about a connection with one look (a `peek`); it closes what is too many at once. It
//! blocks in `accept` when nothing waits; otherwise it looks again after a moment.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{
    HTTP_BATCH_MAX, HTTP_CONNECTION_MAX, HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_LOOK_MAX,
    HTTP_LOOK_MIN, HTTP_PAUSE, HTTP_SWEEP_INTERVAL, HTTP_WAITING_MAX,
};
use crate::runtime::clock::Clock;
use crate::runtime::stop::Stop;
use crate::runtime::trouble::Trouble;
use crate::serve::http::Post;
use crate::serve::http::address::{Origin, is_loopback};
use crate::serve::http::connection::Held;
use crate::serve::http::pool::{Job, Pool};
use crate::serve::http::request;
use crate::serve::http::waiting::Waiting;

/// The accepting end of the server.
pub(super) struct Door<N> {
    listener: TcpListener,
    is_blocking: bool,
    pool: Arc<Pool>,
    posts: &'static [Post],
    /// Tells the node's own addresses.
    is_node: N,
    /// The connections without a whole request.
    waiting: Waiting<Guest>,
    /// What a connection has sent is copied here to be looked at.
    block: Vec<u8>,
    clock: Clock,
    swept_at: Duration,
    /// The time until the next look.
    pause: Duration,
    never: Stop,
    /// True if a connection of this round was closed because there were too many.
    is_crowded: bool,
    trouble: Trouble,
}

/// A connection whose request is not there yet.
#[derive(Debug)]
struct Guest {
    /// In non-blocking mode.
    stream: TcpStream,
    peer: SocketAddr,
    deadline: Duration,
    /// How many bytes there were at the last look.
    seen: usize,
}

/// What a look at a connection shows.
enum Look {
    /// The request is there, or what can be none.
    Ready,
    /// More may come.
    Waits,
    /// The peer has closed the connection.
    Gone,
}

impl Guest {
    fn look(&mut self, block: &mut [u8], posts: &[Post]) -> Look {
        match self.stream.peek(block) {
            Ok(0) => Look::Gone,
            Ok(n) if n == self.seen => Look::Waits,
            Ok(n) => {
                self.seen = n;
                if is_whole(&block[..n], block.len(), posts) { Look::Ready } else { Look::Waits }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Look::Waits,
                _ => Look::Gone,
            },
        }
    }
}

/// Returns true if a thread need not wait for more of this request: it is complete, or no request, or its body is not
/// taken, or is longer than can be looked at, or is sent only when it is asked for.
fn is_whole(bytes: &[u8], bytes_max: usize, posts: &[Post]) -> bool {
    match request::parse(bytes) {
        None => bytes.len() >= bytes_max,
        Some(Err(_)) => true,
        Some(Ok(head)) => {
            let post = posts.iter().find(|post| post.path == head.path);
            let length = head.body.length_bytes.and_then(|length| usize::try_from(length).ok());
            let is_taken = |length: &usize| {
                !head.body.waits && post.is_some_and(|post| *length <= post.body_bytes_max)
            };
            let bytes_all = head.bytes + length.filter(is_taken).unwrap_or(0);
            bytes.len() >= bytes_all || bytes_all > bytes_max
        }
    }
}

impl<N: Fn(IpAddr) -> bool> Door<N> {
    pub(super) fn new(
        listener: TcpListener,
        posts: &'static [Post],
        pool: Arc<Pool>,
        clock: Clock,
        is_node: N,
    ) -> Self {
        Self {
            listener,
            is_blocking: true,
            pool,
            posts,
            is_node,
            waiting: Waiting::new(HTTP_WAITING_MAX),
            block: vec![0; HTTP_HEAD_BYTES_MAX],
            clock,
            swept_at: Duration::ZERO,
            pause: HTTP_LOOK_MIN,
            never: Stop::default(),
            is_crowded: false,
            trouble: Trouble::new(module_path!(), "http"),
        }
    }

    /// Accepts what is there, or waits for a connection if nothing else is to be done; then looks at what waits.
    pub(super) fn round(&mut self) {
        self.is_crowded = false;
        let is_idle = self.waiting.is_empty() && self.pool.is_staffed();
        if is_idle != self.is_blocking && self.listener.set_nonblocking(!is_idle).is_ok() {
            self.is_blocking = is_idle;
        }
        let (taken, error) = self.accept();
        let now = self.clock.monotonic();
        // A late request of an ordinary client is not kept waiting; in a flood, looking costs too much for that.
        let is_cheap = taken == 0 && self.waiting.len() <= HTTP_CONNECTIONS_MAX;
        if is_cheap || now.saturating_sub(self.swept_at) >= HTTP_SWEEP_INTERVAL {
            self.swept_at = now;
            self.sweep(now);
        }
        self.pause = if taken > 0 { HTTP_LOOK_MIN } else { (self.pause * 2).min(HTTP_LOOK_MAX) };
        let is_short = error.is_some();
        self.tell(error, self.pool.staff().err());
        if is_short && self.waiting.is_empty() {
            self.never.wait(HTTP_PAUSE);
        } else if is_short {
            // Those that have sent nothing give up what the process is out of.
            self.waiting = Waiting::new(HTTP_WAITING_MAX);
        } else if !self.is_blocking && taken < HTTP_BATCH_MAX {
            self.never.wait(self.pause);
        }
    }

    /// Accepts connections until there are no more, or until a look at those that wait is due. Returns their number,
    /// and why there are no more if the process is out of something.
    fn accept(&mut self) -> (usize, Option<io::Error>) {
        let mut taken = 0;
        while taken < HTTP_BATCH_MAX {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    taken += 1;
                    self.admit(stream, peer);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    // The peer went away, or a signal came.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => taken += 1,
                    _ => return (taken, Some(error)),
                },
            }
            if self.is_blocking {
                break;
            }
        }
        (taken, None)
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let address = peer.ip().to_canonical();
        // A connection from the node to its own address has that address at both ends.
        let is_own = || stream.local_addr().is_ok_and(|own| own.ip().to_canonical() == address);
        let is_near = is_loopback(address) || is_own() || (self.is_node)(address);
        let origin = Origin { address, is_near };
        let deadline = self.clock.monotonic() + HTTP_CONNECTION_MAX;
        let mut guest = Guest { stream, peer, deadline, seen: 0 };
        match guest.look(&mut self.block, self.posts) {
            Look::Ready => self.pass_on(origin, guest),
            Look::Gone => {}
            Look::Waits => {
                // The request of the one that must go may have come meanwhile.
                if let Some((origin, mut guest)) = self.waiting.push(origin, guest) {
                    match guest.look(&mut self.block, self.posts) {
                        Look::Ready => self.pass_on(origin, guest),
                        Look::Waits => self.is_crowded = true,
                        Look::Gone => {}
                    }
                }
            }
        }
    }

    /// Gives a connection to the threads.
    fn pass_on(&mut self, origin: Origin, guest: Guest) {
        let Guest { stream, peer, deadline, .. } = guest;
        let job = Job { held: Arc::new(Held::new(stream, origin)), peer, deadline };
        self.is_crowded |= self.pool.push(origin, job).is_some();
    }

    /// Looks at all connections that wait: passes on those whose request is there, and closes those whose peer is gone
    /// or whose time is over.
    fn sweep(&mut self, now: Duration) {
        let mut waiting = std::mem::replace(&mut self.waiting, Waiting::new(HTTP_WAITING_MAX));
        waiting.sweep(|origin, mut guest| match guest.look(&mut self.block, self.posts) {
            Look::Ready => {
                self.pass_on(origin, guest);
                None
            }
            Look::Waits if now < guest.deadline => Some(guest),
            Look::Waits | Look::Gone => None,
        });
        self.waiting = waiting;
    }

    /// Logs what is wrong: connections could not be accepted, threads could not be started, or there are too many.
    fn tell(&mut self, unaccepted: Option<io::Error>, unstaffed: Option<io::Error>) {
        if let Some(error) = unaccepted {
            self.trouble.warn(&format!("cannot accept a connection: {error}"));
        } else if let Some(error) = unstaffed {
            self.trouble.warn(&format!("cannot start a thread for a request: {error}"));
        } else if self.is_crowded {
            self.trouble.warn(
                "more connections are opened than the agent serves at the same time; the agent closes those that \
                 send no request, and then the oldest of the address that has the most",
            );
        } else if self.waiting.len() < HTTP_WAITING_MAX / 2 {
            self.trouble.over("connections are served again");
        }
    }
}
