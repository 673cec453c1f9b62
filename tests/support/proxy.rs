//! A TCP proxy between the agent and the fake, which simulates network faults below the protocol.
//!
//! ```text
//! agent ── accept ── connection thread ── fake
//!                    every byte in both directions passes the current Link
//! ```

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::clock::{self, Stopper};

/// How often a connection checks for bytes and for the link's state.
const TICK: Duration = Duration::from_millis(2);
/// A connection that passes nothing for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Maximum number of bytes read from a socket at once.
const BLOCK_BYTES: usize = 64 << 10;

/// What happens to the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// They pass.
    Open,
    /// Connections are refused, and open ones are closed.
    Refused,
    /// New connections get no response at all, not even a refusal; open ones are closed.
    Unanswered,
    /// All bytes are dropped, also of new connections, and neither side is notified.
    Silent,
    /// Connections are closed with RST as soon as they are accepted.
    Reset,
    /// They pass with this delay.
    Late(Duration),
    /// This many of the server's bytes pass in each tick.
    Slow(usize),
}

/// A running proxy; it stops when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    addr: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    link: Mutex<Link>,
    /// Connections of an earlier epoch are reset.
    reset_epoch: AtomicU64,
    /// Connections of an earlier epoch are closed after this many more bytes of the server.
    cut: Mutex<(u64, usize)>,
    open: AtomicUsize,
    /// Number of connections ever accepted.
    accepted: AtomicU64,
    /// Number of bytes passed in both directions.
    passed: AtomicU64,
    run: Stopper,
}

impl Proxy {
    /// Listens on a free loopback port and passes everything on to `target`.
    pub fn start(target: SocketAddr) -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap(), target)
    }

    /// Like [`Proxy::start`], on a given address.
    pub fn listen(on: SocketAddr, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(on).unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            link: Mutex::new(Link::Open),
            reset_epoch: AtomicU64::new(0),
            cut: Mutex::new((0, 0)),
            open: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            run: Stopper::default(),
        });
        let accepting = Arc::clone(&shared);
        let thread = Builder::new().spawn(move || accept(listener, &accepting)).unwrap();
        Self { shared, addr, thread: Some(thread) }
    }

    /// Returns the address to which the agent must connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets what happens to all bytes from now on.
    pub fn set(&self, link: Link) {
        *self.shared.link.lock().unwrap() = link;
    }

    /// Sends new connections to another target; open ones stay.
    pub fn retarget(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = target;
    }

    /// Closes all open connections with RST.
    pub fn reset_all(&self) {
        self.shared.reset_epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Closes all open connections with FIN after this many more bytes of the server have passed.
    pub fn cut_all_after(&self, bytes: usize) {
        let mut cut = self.shared.cut.lock().unwrap();
        *cut = (cut.0 + 1, bytes);
    }

    /// Returns the number of connections ever accepted.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Returns the number of bytes passed in both directions.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }

    /// Returns the number of open connections.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.run.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    let addr = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    let mut full = None;
    let mut threads = Vec::new();
    while !shared.run.is_stopped() {
        match *shared.link.lock().unwrap() {
            Link::Refused => listener = None,
            Link::Unanswered => {
                listener = None;
                full = full.or_else(|| full_queue(addr).ok());
            }
            _ if listener.is_none() => {
                full = None;
                listener = TcpListener::bind(addr).ok();
                listener.as_ref().map(|l| l.set_nonblocking(true));
            }
            _ => {}
        }
        let Some(Ok((client, _))) = listener.as_ref().map(TcpListener::accept) else {
            shared.run.wait(TICK);
            continue;
        };
        let shared = Arc::clone(shared);
        threads.retain(|thread: &JoinHandle<()>| !thread.is_finished());
        threads.push(Builder::new().spawn(move || carry(&client, &shared)).unwrap());
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Returns a socket whose accept queue is full: the kernel leaves further connection attempts unanswered.
fn full_queue(addr: SocketAddr) -> io::Result<(Socket, Vec<TcpStream>)> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(1)?;
    let connect = |_| TcpStream::connect_timeout(&addr, Duration::from_millis(50)).ok();
    Ok((socket, (0..100).map_while(connect).collect()))
}

/// Carries one connection until either side closes it.
fn carry(client: &TcpStream, shared: &Shared) {
    shared.open.fetch_add(1, Ordering::SeqCst);
    // An error means that one side is gone; dropping the sockets notifies the other side.
    let _ = Carried::new(client, shared).and_then(Carried::run);
    shared.open.fetch_sub(1, Ordering::SeqCst);
}

struct Carried<'a> {
    client: &'a TcpStream,
    server: Option<TcpStream>,
    shared: &'a Shared,
    reset_epoch: u64,
    cut_epoch: u64,
    /// Bytes of the server that may still pass before a cut.
    left: Option<usize>,
    /// Bytes of the server that the agent has not accepted yet: at most one block.
    pending: Vec<u8>,
    moved_at: Instant,
}

impl<'a> Carried<'a> {
    fn new(client: &'a TcpStream, shared: &'a Shared) -> io::Result<Self> {
        client.set_nonblocking(true)?;
        client.set_nodelay(true)?;
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        Ok(Self {
            client,
            server: None,
            shared,
            reset_epoch: shared.reset_epoch.load(Ordering::SeqCst),
            cut_epoch: shared.cut.lock().unwrap().0,
            left: None,
            pending: Vec::new(),
            moved_at: clock::now(),
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; BLOCK_BYTES];
        while !self.shared.run.is_stopped() {
            let link = *self.shared.link.lock().unwrap();
            let is_reset = self.reset_epoch != self.shared.reset_epoch.load(Ordering::SeqCst);
            if is_reset || link == Link::Reset {
                // With SO_LINGER at zero a close sends RST.
                return SockRef::from(self.client).set_linger(Some(Duration::ZERO));
            }
            self.heed_cut();
            let moved = match link {
                Link::Refused | Link::Unanswered | Link::Reset => return Ok(()),
                Link::Silent => false,
                Link::Open => self.pass(&mut buffer, BLOCK_BYTES)?,
                Link::Slow(bytes) => {
                    let moved = self.pass(&mut buffer, bytes)?;
                    self.shared.run.wait(TICK);
                    moved
                }
                Link::Late(delay) => {
                    self.shared.run.wait(delay);
                    self.pass(&mut buffer, BLOCK_BYTES)?
                }
            };
            if moved {
                self.moved_at = clock::now();
            } else if clock::now() - self.moved_at > IDLE_MAX {
                return Ok(());
            } else {
                self.shared.run.wait(TICK);
            }
            if self.left == Some(0) && self.pending.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn heed_cut(&mut self) {
        let (epoch, bytes) = *self.shared.cut.lock().unwrap();
        if self.cut_epoch != epoch {
            self.cut_epoch = epoch;
            self.left = Some(bytes);
        }
    }

    /// Passes on the available bytes, at most `limit` of the server's. Returns whether there were any.
    fn pass(&mut self, buffer: &mut [u8], limit: usize) -> io::Result<bool> {
        let asked = self.pass_up(buffer)?;
        Ok(self.pass_down(buffer, limit)? || asked)
    }

    fn pass_up(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let read = match self.client.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        if self.server.is_none() {
            let target = *self.shared.target.lock().unwrap();
            let server = TcpStream::connect_timeout(&target, Duration::from_secs(5))?;
            server.set_nodelay(true)?;
            server.set_read_timeout(Some(TICK))?;
            server.set_write_timeout(Some(Duration::from_secs(5)))?;
            self.server = Some(server);
        }
        let server = self.server.as_mut().unwrap();
        server.write_all(&buffer[..read])?;
        self.shared.passed.fetch_add(read as u64, Ordering::SeqCst);
        Ok(true)
    }

    fn pass_down(&mut self, buffer: &mut [u8], limit: usize) -> io::Result<bool> {
        if self.pending.is_empty() && !self.take_down(buffer, limit)? {
            return Ok(false);
        }
        // A slow agent's full socket delays only its own bytes; the proxy still checks what the agent sends.
        match self.client.write(&self.pending) {
            Ok(written) => {
                self.shared.passed.fetch_add(written as u64, Ordering::SeqCst);
                self.pending.drain(..written);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Reads what the server has sent. Returns whether there was anything.
    fn take_down(&mut self, buffer: &mut [u8], limit: usize) -> io::Result<bool> {
        let limit = limit.min(self.left.unwrap_or(limit)).min(buffer.len());
        let Some(server) = self.server.as_mut().filter(|_| limit > 0) else {
            return Ok(false);
        };
        let read = match server.read(&mut buffer[..limit]) {
            Ok(0) => {
                self.left = Some(0);
                return Ok(false);
            }
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        if let Some(left) = &mut self.left {
            *left -= read;
        }
        self.pending.extend_from_slice(&buffer[..read]);
        Ok(true)
    }
}
