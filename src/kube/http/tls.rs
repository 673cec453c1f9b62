//! TLS between the HTTP library and its socket: incoming records are decrypted in place.
//!
//! The HTTP library's own TLS goes through the TLS library's buffer, which takes 4 KiB at a time, grows for
//! each of them, and moves the rest of a record after each (for what that costs, see docs/cost.md).
//! Here each record is decrypted in the buffer that it was read into, through the TLS library's interface for
//! that ([`UnbufferedClientConnection`]). The TLS protocol itself stays in the library: this module only moves
//! bytes.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{
    AppDataRecord, ConnectionState, EncodeError, EncryptError, UnbufferedStatus,
};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter, time,
};
use ureq::{Error as E, Timeout};

use super::credentials::TlsSetUp;
use crate::limits::{TIMEOUT_COARSE_FROM, TLS_BUFFER_BYTES, TLS_BUFFER_BYTES_MAX};
use crate::runtime::clock::Clock;

/// Adds TLS to a socket. Servers whose certificate is not verified are left to the next connector in the chain,
/// the HTTP library's own TLS.
#[derive(Debug)]
pub(super) struct Tls {
    config: Option<Arc<ClientConfig>>,
    /// Set as soon as there is a connection, which is then given up. `None`: connections are for requests.
    is_connected: Option<Arc<AtomicBool>>,
}

impl Tls {
    pub(super) fn new(set_up: &TlsSetUp, is_connected: Option<Arc<AtomicBool>>) -> Self {
        let config = match set_up {
            TlsSetUp::Verified(config) => Some(config.clone()),
            TlsSetUp::Unverified(_) => None,
        };
        Self { config, is_connected }
    }
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, E> {
        let Some(socket) = chained else { return Ok(None) };
        let config = self.config.clone().filter(|_| details.needs_tls() && !socket.is_tls());
        let transport = match config {
            None => Either::A(socket),
            Some(config) => Either::B(over_tls(config, details, socket)?),
        };
        match &self.is_connected {
            None => Ok(Some(transport)),
            Some(is_connected) => {
                is_connected.store(true, Ordering::Release);
                Err(E::ConnectionFailed)
            }
        }
    }
}

fn over_tls(
    config: Arc<ClientConfig>,
    details: &ConnectionDetails<'_>,
    socket: impl Transport,
) -> Result<TlsTransport, E> {
    let host = details.uri.host().unwrap_or_default();
    let mut socket = TransportAdapter::new(socket.boxed(), details.current_time.clone());
    socket.set_timeout(details.timeout);
    let (input, output) = (details.config.input_buffer_size(), details.config.output_buffer_size());
    TlsTransport::new(config, host, socket, LazyBuffers::new(input, output))
}

/// A socket with TLS around it.
pub(super) struct TlsTransport {
    tls: UnbufferedClientConnection,
    socket: TransportAdapter,
    /// `incoming[start..end]` was received but not decrypted yet: at most a part of a record, or records that
    /// nobody has requested.
    incoming: Vec<u8>,
    start: usize,
    end: usize,
    /// Encrypted bytes to send next.
    outgoing: Vec<u8>,
    buffers: LazyBuffers,
    /// The part of a decrypted record that did not fit into `buffers`.
    rest: Vec<u8>,
    clock: Clock,
}

/// The result of one step of the TLS library.
enum Step {
    /// The caller can run the next step at once.
    Again,
    /// This many bytes were decrypted.
    Decrypted(usize),
    /// The output was sent.
    Sent,
    /// The handshake cannot continue before more bytes arrive.
    Blocked,
    /// The handshake is done, and nothing is left to decrypt before more bytes arrive.
    Idle,
    /// The server closed the TLS connection.
    Closed,
}

impl TlsTransport {
    /// Performs the handshake over the socket, whose timeout is already set.
    fn new(
        config: Arc<ClientConfig>,
        host: &str,
        socket: TransportAdapter,
        buffers: LazyBuffers,
    ) -> Result<Self, E> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host)
            .map_err(|_| E::Tls("the host is neither a DNS name nor an IP address"))?;
        let mut transport = Self {
            tls: UnbufferedClientConnection::new(config, name)?,
            socket,
            incoming: vec![0; TLS_BUFFER_BYTES],
            start: 0,
            end: 0,
            outgoing: Vec::new(),
            buffers,
            rest: Vec::new(),
            clock: Clock::start(),
        };
        transport.handshake()?;
        Ok(transport)
    }

    fn handshake(&mut self) -> Result<(), E> {
        loop {
            match self.step(None)? {
                Step::Again | Step::Decrypted(_) | Step::Sent => {}
                Step::Blocked => self.fill()?,
                Step::Idle => {
                    // A long chain of certificates arrives only once, so the buffer shrinks back.
                    if self.end <= TLS_BUFFER_BYTES {
                        self.incoming.truncate(TLS_BUFFER_BYTES);
                        self.incoming.shrink_to_fit();
                    }
                    return Ok(());
                }
                Step::Closed => return Err(unexpected_end()),
            }
        }
    }

    /// Runs one step of the TLS library. Encrypts and sends the first `sending` bytes of the output if it can.
    /// On a TLS error the server is sent an alert.
    fn step(&mut self, sending: Option<usize>) -> Result<Step, E> {
        let step = self.try_step(sending);
        if matches!(step, Err(E::Rustls(_))) {
            self.send_alert();
        }
        step
    }

    fn try_step(&mut self, sending: Option<usize>) -> Result<Step, E> {
        let incoming = &mut self.incoming[self.start..self.end];
        let UnbufferedStatus { mut discard, state, .. } = self.tls.process_tls_records(incoming);
        let step = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                let mut decrypted = 0;
                while let Some(record) = traffic.next_record() {
                    let AppDataRecord { discard: more, payload, .. } = record?;
                    discard += more;
                    decrypted += payload.len();
                    let room = self.buffers.input_append_buf();
                    let fitting = payload.len().min(room.len());
                    room[..fitting].copy_from_slice(&payload[..fitting]);
                    self.buffers.input_appended(fitting);
                    self.rest.extend_from_slice(&payload[fitting..]);
                }
                Ok(Step::Decrypted(decrypted))
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                grow(&mut self.outgoing, |out| match data.encode(out) {
                    Err(EncodeError::InsufficientSize(lacking)) => {
                        Err(Missing::Room(lacking.required_size))
                    }
                    other => other.map_err(|error| Missing::Else(error.to_string())),
                })?;
                Ok(Step::Again)
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                self.socket.write_all(&self.outgoing)?;
                self.outgoing.clear();
                data.done();
                Ok(Step::Again)
            }
            Ok(ConnectionState::WriteTraffic(mut traffic)) => match sending {
                None => Ok(Step::Idle),
                Some(len) => {
                    let plain = &self.buffers.output()[..len];
                    grow(&mut self.outgoing, |out| match traffic.encrypt(plain, out) {
                        Err(EncryptError::InsufficientSize(lacking)) => {
                            Err(Missing::Room(lacking.required_size))
                        }
                        other => other.map_err(|error| Missing::Else(error.to_string())),
                    })?;
                    self.socket.write_all(&self.outgoing)?;
                    self.outgoing.clear();
                    Ok(Step::Sent)
                }
            },
            Ok(ConnectionState::BlockedHandshake) => Ok(Step::Blocked),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Step::Closed),
            Ok(_) => Err(E::Tls("the TLS library is in an unknown state")),
            Err(error) => Err(error.into()),
        };
        self.start += discard;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        step
    }

    /// Sends the server an alert about what was wrong with its data, if possible. Runs only one step, which
    /// encodes the alert: another step would meet the same error again.
    fn send_alert(&mut self) {
        if matches!(self.try_step(None), Ok(Step::Again)) {
            // The server may be gone, and the caller gets the error in any case.
            let _ = self.socket.write_all(&self.outgoing);
        }
    }

    /// Waits until the socket has bytes, as long as the timeout has left after `waited`. [`TransportAdapter`] does the
    /// same without rounding, so that no two reads had the same timeout.
    fn await_socket(&mut self, mut timeout: NextTimeout, waited: Duration) -> Result<(), E> {
        if let time::Duration::Exact(after) = timeout.after {
            timeout.after = after.saturating_sub(waited).into();
        }
        let socket = self.socket.get_mut();
        if socket.buffers().input().is_empty() {
            socket.await_input(coarse(timeout))?;
        }
        Ok(())
    }

    /// Reads more bytes from the socket.
    fn fill(&mut self) -> Result<(), E> {
        // Bytes that stay where they are would be moved as well, by musl one after the other.
        if self.start > 0 {
            self.incoming.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.incoming.len() {
            if self.end >= TLS_BUFFER_BYTES_MAX {
                return Err(E::Tls("the server's handshake is too long"));
            }
            self.incoming.resize(self.end + TLS_BUFFER_BYTES, 0);
        }
        match self.socket.read(&mut self.incoming[self.end..])? {
            0 => Err(unexpected_end()),
            len => {
                self.end += len;
                Ok(())
            }
        }
    }

    /// Moves bytes from `rest` into the input buffer. Returns how many.
    fn hand_over(&mut self) -> usize {
        let room = self.buffers.input_append_buf();
        let fitting = self.rest.len().min(room.len());
        room[..fitting].copy_from_slice(&self.rest[..fitting]);
        self.buffers.input_appended(fitting);
        self.rest.drain(..fitting);
        fitting
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), E> {
        self.socket.set_timeout(timeout);
        loop {
            match self.step(Some(amount))? {
                Step::Again | Step::Decrypted(_) | Step::Idle => {}
                Step::Sent => return Ok(()),
                Step::Blocked => self.fill()?,
                Step::Closed => return Err(unexpected_end()),
            }
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, E> {
        self.socket.set_timeout(timeout);
        // Without room nothing more is decrypted. A head that never ends is given up by the code that reads it.
        if !self.rest.is_empty() || self.buffers.input_append_buf().is_empty() {
            return Ok(self.hand_over() > 0);
        }
        let mut started = None;
        loop {
            match self.step(None)? {
                Step::Decrypted(len) if len > 0 => return Ok(true),
                Step::Again | Step::Decrypted(_) | Step::Sent => {}
                Step::Blocked | Step::Idle => {
                    // Each byte of a record that never ends would begin the socket's timeout again.
                    let now = self.clock.monotonic();
                    let waited = now.saturating_sub(*started.get_or_insert(now));
                    if timeout.per_read.is_some_and(|limit| waited >= *limit) {
                        return Err(E::Timeout(Timeout::PerRead));
                    }
                    self.await_socket(timeout, waited)?;
                    self.fill()?;
                }
                Step::Closed => return Ok(false),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.start == self.end && self.rest.is_empty() && self.socket.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// Rounds a long time up to whole seconds. What is left of a request's time differs at each read, and a socket would get a
/// new timeout for each: a system call for every other kilobyte of a watch.
fn coarse(mut timeout: NextTimeout) -> NextTimeout {
    if let time::Duration::Exact(left) = timeout.after
        && left >= TIMEOUT_COARSE_FROM
    {
        timeout.after = time::Duration::from_secs(left.as_secs() + 1);
    }
    timeout
}

impl std::fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsTransport")
    }
}

/// Why nothing could be written into a buffer.
enum Missing {
    /// The buffer must have this many bytes.
    Room(usize),
    Else(String),
}

/// Lets `write` append to `out`, which grows as much as `write` asks for.
fn grow(
    out: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Missing>,
) -> Result<(), E> {
    let (end, mut room) = (out.len(), 0);
    loop {
        out.resize(end + room, 0);
        match write(&mut out[end..]) {
            Ok(len) => {
                out.truncate(end + len);
                return Ok(());
            }
            Err(Missing::Room(wanted)) if wanted > room => room = wanted,
            Err(Missing::Room(room)) => {
                let text = format!("the TLS library asked for {room} bytes and found them too few");
                return Err(rustls::Error::General(text).into());
            }
            Err(Missing::Else(text)) => return Err(rustls::Error::General(text).into()),
        }
    }
}

/// The error for a connection that was closed without TLS's `close_notify`: somebody other than the server may
/// have closed it.
fn unexpected_end() -> E {
    let text = "the server closed the connection without TLS's close_notify";
    E::Io(io::Error::new(io::ErrorKind::UnexpectedEof, text))
}

#[cfg(test)]
mod tests;
