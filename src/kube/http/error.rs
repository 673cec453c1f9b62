//! How a request can fail.

use std::time::Duration;
use std::{fmt, io};

use rustls::InvalidMessage;
use ureq::{Error as E, Timeout};

use crate::metrics::ErrorCode;

/// An answer whose head does not report success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP code.
    pub code: u16,
    /// How long the server asks to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// The first bytes of the body.
    pub body: Vec<u8>,
}

/// Why a request, or reading its answer, failed.
#[derive(Debug)]
pub enum HttpError {
    /// The server answered, but not with success.
    Status(Refusal),
    /// A timeout; the value names the phase.
    Timeout(Timeout),
    /// No connection could be established.
    Connect(String),
    /// The TLS handshake or the verification of the certificate failed.
    Tls(String),
    /// The server's answer to the TLS handshake is not TLS.
    NotTls,
    /// The connection broke.
    Io(String),
    /// The answer is not valid HTTP.
    Protocol(String),
}

impl HttpError {
    /// Returns the HTTP code, if there was one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status(refusal) => Some(refusal.code),
            _ => None,
        }
    }

    pub(super) fn from_ureq(error: ureq::Error) -> Self {
        match error {
            E::Timeout(timeout) => Self::Timeout(timeout),
            E::Io(error) => Self::from_io(&error),
            E::Rustls(error) => Self::from_tls(&error),
            E::Tls(text) => Self::Tls(text.to_owned()),
            E::Pem(error) => Self::Tls(error.to_string()),
            E::HostNotFound => Self::Connect("the host name has no address".to_owned()),
            E::ConnectionFailed => Self::Connect("no connection".to_owned()),
            other => Self::Protocol(other.to_string()),
        }
    }

    fn from_tls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            error => Self::Tls(error.to_string()),
        }
    }

    /// Converts an I/O error. A failed read of a body wraps the HTTP library's own error, or the TLS library's.
    pub(super) fn from_io(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(E::Timeout(timeout)) = inner.and_then(|e| e.downcast_ref::<E>()) {
            return Self::Timeout(*timeout);
        }
        if let Some(tls) = inner.and_then(|e| e.downcast_ref::<rustls::Error>()) {
            return Self::from_tls(tls);
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

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(refusal) => write!(f, "the server responded with {}", refusal.code),
            Self::Timeout(Timeout::PerRead) => write!(f, "the server stopped sending data"),
            Self::Timeout(timeout) => write!(f, "timeout in the phase \"{timeout}\""),
            Self::Connect(text) => write!(f, "cannot connect: {text}"),
            Self::Tls(text) => write!(f, "the TLS connection failed: {text}"),
            Self::NotTls => f.write_str("the server does not speak TLS here, perhaps plain HTTP"),
            Self::Io(text) => write!(f, "the connection was lost: {text}"),
            Self::Protocol(text) => write!(f, "cannot use the response: {text}"),
        }
    }
}

impl std::error::Error for HttpError {}

impl From<&HttpError> for ErrorCode {
    fn from(error: &HttpError) -> Self {
        match error {
            HttpError::Status(refusal) => Self::http(refusal.code),
            HttpError::Timeout(_) => Self::Timeout,
            HttpError::Connect(_) => Self::Connect,
            HttpError::Tls(_) | HttpError::NotTls => Self::Tls,
            HttpError::Io(_) => Self::Io,
            HttpError::Protocol(_) => Self::Protocol,
        }
    }
}
