//! One accepted connection: plain or TLS bytes, and the ways to close it.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How much a client may still send to a hanging connection before the fake closes it.
const DISCARD_BYTES_MAX: usize = 64 << 20;

/// A socket that leaves the last byte of what it read in the kernel until the next read.
///
/// Closing a socket with unread bytes makes the kernel send RST instead of FIN. The held-back byte makes an
/// abrupt close possible without unsafe code or SO_LINGER.
pub struct Socket {
    stream: Arc<TcpStream>,
    held_back: bool,
}

/// The byte stream of a connection, TLS or not.
pub enum Conn {
    /// Plain TCP.
    Plain(Socket),
    /// TLS over TCP.
    Tls(Box<StreamOwned<ServerConnection, Socket>>),
}

/// The buffered connection, for requests and responses.
pub type Wire = BufReader<Conn>;

impl Conn {
    /// Wraps an accepted stream; the TLS handshake happens at the first read.
    pub fn new(stream: Arc<TcpStream>, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let socket = Socket { stream, held_back: false };
        match tls {
            None => Ok(Self::Plain(socket)),
            Some(config) => {
                let session = ServerConnection::new(config).map_err(io::Error::other)?;
                Ok(Self::Tls(Box::new(StreamOwned::new(session, socket))))
            }
        }
    }

    /// Closes the connection with FIN, without a TLS or HTTP close.
    pub fn cut(mut self) {
        let socket = self.socket();
        // An error here means that the peer closed first.
        let _ = socket.release();
        let _ = socket.stream.shutdown(Shutdown::Both);
    }

    /// Closes the connection with RST, if the peer has sent something since the last cut.
    pub fn reset(self) {
        drop(self);
    }

    /// Sends nothing until the peer (or a stopping server) closes the connection.
    pub fn hang(mut self) {
        let socket = self.socket();
        let mut bytes = [0; 4096];
        let mut left = DISCARD_BYTES_MAX;
        while let Ok(1..) = socket.read(&mut bytes) {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                break;
            }
        }
    }

    /// Returns true if the peer has closed, without waiting. After this the connection cannot be reset.
    pub fn peer_has_closed(&mut self) -> bool {
        let socket = self.socket();
        if socket.release().is_err() || socket.stream.set_nonblocking(true).is_err() {
            return true;
        }
        // While a response is being sent a peer sends nothing but a TLS close_notify, which is dropped here.
        let read = (&*socket.stream).read(&mut [0; 4096]);
        let back = socket.stream.set_nonblocking(false);
        match read {
            Ok(bytes) => bytes == 0 || back.is_err(),
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.sock,
        }
    }
}

impl Read for Conn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Conn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Socket {
    fn release(&mut self) -> io::Result<()> {
        if self.held_back {
            (&*self.stream).read_exact(&mut [0])?;
            self.held_back = false;
        }
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.release()?;
        let seen = self.stream.peek(buffer)?;
        if seen > 0 {
            (&*self.stream).read_exact(&mut buffer[..seen - 1])?;
            // The last byte stays in the kernel; peek has already copied it into the buffer.
            self.held_back = true;
        }
        Ok(seen)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.stream).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
