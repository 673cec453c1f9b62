//! Failures of a request, grouped by how the agent reacts.

use std::{fmt, io};

use ureq::{Error as E, Timeout};

use crate::core::stream::reflector::Failure;
use crate::metrics::ErrorCode;

/// Why a request, or reading its answer, failed.
#[derive(Debug)]
pub enum Error {
    /// The server answered with something other than success.
    Status {
        /// The HTTP code.
        code: u16,
        /// How the reflector reacts to this answer.
        failure: Failure,
        /// The server's message.
        text: String,
    },
    /// A timeout; the value names the phase.
    Timeout(Timeout),
    /// No connection could be established.
    Connect(String),
    /// The TLS handshake or the verification of the certificate failed.
    Tls(String),
    /// The connection broke.
    Io(String),
    /// The answer is not valid HTTP.
    Protocol(String),
}

impl Error {
    /// Returns the failure class, for the reflector.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Status { failure, .. } => *failure,
            Self::Protocol(_) => Failure::Transient,
            Self::Connect(_) => Failure::Unreachable,
            Self::Timeout(_) | Self::Tls(_) | Self::Io(_) => Failure::Unavailable,
        }
    }

    /// Returns the HTTP code, if there was one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub(super) fn from_ureq(error: ureq::Error) -> Self {
        match error {
            E::Timeout(timeout) => Self::Timeout(timeout),
            E::Io(error) => Self::from_io(&error),
            E::Rustls(error) => Self::Tls(error.to_string()),
            E::Tls(text) => Self::Tls(text.to_owned()),
            E::Pem(error) => Self::Tls(error.to_string()),
            E::HostNotFound => Self::Connect("the host name has no address".to_owned()),
            E::ConnectionFailed => Self::Connect("no connection".to_owned()),
            other => Self::Protocol(other.to_string()),
        }
    }

    /// Converts an I/O error. A failed read of a body wraps the HTTP library's own error, or the TLS library's.
    pub(super) fn from_io(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(E::Timeout(timeout)) = inner.and_then(|e| e.downcast_ref::<E>()) {
            return Self::Timeout(*timeout);
        }
        if let Some(tls) = inner.and_then(|e| e.downcast_ref::<rustls::Error>()) {
            return Self::Tls(tls.to_string());
        }
        if inner.is_some_and(|e| e.is::<E>()) {
            return Self::Protocol(error.to_string());
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::NetworkDown => Self::Connect(error.to_string()),
            _ => Self::Io(error.to_string()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { text, .. } => write!(f, "the server responded with {text}"),
            Self::Timeout(Timeout::PerRead) => write!(f, "the server stopped sending data"),
            Self::Timeout(timeout) => write!(f, "timeout in the phase \"{timeout}\""),
            Self::Connect(text) => write!(f, "cannot connect: {text}"),
            Self::Tls(text) => write!(f, "the TLS connection failed: {text}"),
            Self::Io(text) => write!(f, "the connection was lost: {text}"),
            Self::Protocol(text) => write!(f, "cannot use the response: {text}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<&Error> for ErrorCode {
    fn from(error: &Error) -> Self {
        match error {
            Error::Status { code, .. } => Self::http(*code),
            Error::Timeout(_) => Self::Timeout,
            Error::Connect(_) => Self::Connect,
            Error::Tls(_) => Self::Tls,
            Error::Io(_) => Self::Io,
            Error::Protocol(_) => Self::Protocol,
        }
    }
}
