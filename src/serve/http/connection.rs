//! A connection that is being served.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::limits::HTTP_DRAIN_BYTES_MAX;
use crate::runtime::clock::Clock;
use crate::serve::http::Unread;
use crate::serve::http::address::Origin;
use crate::serve::http::request::Head;

/// What the pool and the thread that serves the connection share.
#[derive(Debug)]
pub(super) struct Held {
    stream: TcpStream,
    pub(super) origin: Origin,
    /// True once its thread had to wait for the peer.
    is_slow: AtomicBool,
    is_cut: AtomicBool,
}

impl Held {
    /// Holds a stream in non-blocking mode.
    pub(super) fn new(stream: TcpStream, origin: Origin) -> Self {
        Self { stream, origin, is_slow: AtomicBool::new(false), is_cut: AtomicBool::new(false) }
    }

    pub(super) fn is_slow(&self) -> bool {
        self.is_slow.load(Ordering::Relaxed)
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    /// Ends the connection. Its thread stops at its next read or write.
    pub(super) fn cut_off(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A connection with a deadline that no peer can extend.
pub(super) struct Connection {
    held: Arc<Held>,
    clock: Clock,
    deadline: Duration,
}

impl Connection {
    pub(super) fn new(held: Arc<Held>, clock: Clock, deadline: Duration) -> Self {
        Self { held, clock, deadline }
    }

    /// Returns the time until the deadline, or an error if there is none: a timeout of zero would mean no timeout.
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_sub(self.clock.monotonic());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Reads or writes. The first attempt does not wait; a connection that must wait is slow from then on, and may be
    /// cut off.
    fn attempt<T>(&self, mut once: impl FnMut(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        let stream = &self.held.stream;
        if !self.held.is_slow() {
            match once(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            stream.set_nonblocking(false)?;
            self.held.is_slow.store(true, Ordering::Relaxed);
        }
        let left = Some(self.left()?);
        stream.set_read_timeout(left)?;
        stream.set_write_timeout(left)?;
        once(stream)
    }

    /// Reads at most `room` bytes and appends them; returns 0 at the end of the stream.
    pub(super) fn read(&self, bytes: &mut Vec<u8>, room: usize) -> io::Result<usize> {
        let mut block = [0; 1024];
        let room = block.len().min(room);
        let n = self.attempt(|mut stream| stream.read(&mut block[..room]))?;
        bytes.extend_from_slice(&block[..n]);
        Ok(n)
    }

    /// Reads the body; `begun` holds the bytes that came with the head, perhaps more than the body. A body that is
    /// too long is neither requested (`100 Continue`) nor given memory.
    ///
    /// # Errors
    /// If the peer disconnects or the deadline passes before the end of the body.
    pub(super) fn body(
        &self,
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

    pub(super) fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = self.attempt(|mut stream| stream.write(bytes))?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Ends a connection whose request was not read to its end. Closing a socket with unread bytes makes the kernel
    /// send a reset, which may overtake the response; so the rest of the request is read first, up to a limit.
    pub(super) fn finish(&self) -> io::Result<()> {
        self.held.stream.shutdown(Shutdown::Write)?;
        let mut block = [0; 1024];
        let mut taken = 0;
        while taken < HTTP_DRAIN_BYTES_MAX {
            match self.attempt(|mut stream| stream.read(&mut block))? {
                0 => break,
                n => taken += n,
            }
        }
        Ok(())
    }
}
